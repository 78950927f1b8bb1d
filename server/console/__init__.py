"""The console: web pages for the people who share, decide and run a hub."""

from tocsin.server.console.app import create_console
from tocsin.server.console.drafts import DraftFiles
from tocsin.server.console.middleware import Crowded, limit_crowds
from tocsin.server.console.own_objects import find_ended_ids
from tocsin.server.console.policy_trial import PolicyTrials
from tocsin.server.console.previews import Examiner as PreviewExaminer
from tocsin.server.console.previews import Previews
from tocsin.server.console.services import ROOT, ConsoleServices, ConsoleSettings

__all__ = [
    "ROOT",
    "ConsoleServices",
    "ConsoleSettings",
    "Crowded",
    "limit_crowds",
    "DraftFiles",
    "PolicyTrials",
    "PreviewExaminer",
    "Previews",
    "create_console",
    "find_ended_ids",
]
