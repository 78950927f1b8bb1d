"""A process that has imported and read all that a run of `tocsin collect` needs.

The server of `multiprocessing` imports this before it makes copies of itself, so that a run in a
test begins half a second of processor time later in its work.
"""

from tocsin.admission import parse_policy
from tocsin.admission.warninglists.index import load_warning_lists
from tocsin.clients import collect_schedule
from tocsin.clients.check import Checker
from tocsin.clients.cli import hub
from tocsin.clients.input_files import InputFile
from tocsin.config.cache import load_or_build
from tocsin.config.loading import policy_text
from tocsin.config.settings import ClientSettings

__all__ = ("collect_schedule", "hub")

_CHECKER = Checker(
    ClientSettings(), parse_policy(policy_text()), load_warning_lists(keep=load_or_build)
)
_CHECKER.preview(InputFile("a.csv", b"domain\nevil-portal.top\n"), 1_780_000_000_000_000)
