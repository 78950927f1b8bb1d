"""Open a hub: its secrets, its database and its services.

Commands use `open_runtime`, whether a hub is running or not; `serving.py` answers requests.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from tocsin.admission import parse_policy
from tocsin.admission.errors import NotFound, PolicyError
from tocsin.admission.policy import Policy
from tocsin.admission.recogniser.recogniser import is_installed
from tocsin.admission.warninglists.index import WarningLists, load_warning_lists
from tocsin.config.cache import load_or_build
from tocsin.config.conversion import ConfigError
from tocsin.config.loading import policy_text
from tocsin.config.settings import HubSettings
from tocsin.server.bootstrap import create_default_collections
from tocsin.server.examination.processes import ExaminerLimits, ExaminerProcesses
from tocsin.server.intake.queue import MOST_BEGUN
from tocsin.server.monitoring import HubProcesses
from tocsin.server.processes.counters import Counters
from tocsin.server.processes.shared_folder import (
    CommitCount,
    LocalNumbers,
    Numbers,
    Process,
    SharedFolder,
)
from tocsin.server.secrets import HubSecrets, load_secrets, read_secrets
from tocsin.server.services import AdmissionConfig, HubServices, build_services, warning_lists_file
from tocsin.server.store import Clock, Store, wall_clock
from tocsin.server.store.embedded import announced_folder, database
from tocsin.server.store.journal import OPERATOR

if TYPE_CHECKING:
    from tocsin.server.answering.processes import AnsweringSetup

log = logging.getLogger(__name__)

STATE = "state"
"""Name of the shared table of the monitor."""
_NO_RECOGNISER = (
    "policy: [rules.recognised_names] expected = true, but the recogniser is not installed on this"
    " system: docs/operate/reviews.md says how, or set it to false"
)
_NO_HUB = (
    "the MongoDB database {!r} has no hub: the setting `database` may be mistyped, or the URI that "
    "of another MongoDB; `tocsin-hub serve` or `tocsin-hub partner add` makes a new hub"
)
Echo = Callable[[str], None]
"""Shows the operator one line of text."""


@dataclass(frozen=True, slots=True)
class Runtime:
    """An open hub."""

    settings: HubSettings
    secrets: HubSecrets
    services: HubServices
    actor: str = OPERATOR
    """The person who acts through it, as the journal names them."""
    uri: str = field(default="", repr=False)
    """URI of its database; may hold a password."""
    shared: SharedFolder | None = None
    """State that its processes share; None if there is none."""
    is_new: bool = False
    """True if the database had no hub before."""


@contextmanager
def open_runtime(  # noqa: PLR0913
    settings: HubSettings,
    echo: Echo,
    clock: Clock = wall_clock,
    processes: int = 0,
    *,
    prepare: bool = False,
    expected: bool = False,
) -> Iterator[Runtime]:
    """Open the hub for a command, whether a hub is running or not.

    A database that is new is prepared first; with `prepare`, every one.  `processes` examine
    submissions.  With `expected`, raises NotFound if a MongoDB has no hub, and leaves it so.
    """
    uri = settings.mongo_uri
    with (
        nullcontext(uri) if uri else database(settings.data, echo) as found,
        connect(
            settings, found, clock, processes, prepare=prepare, expected=expected and bool(uri)
        ) as hub,
    ):
        yield hub


@contextmanager
def open_restored_runtime(settings: HubSettings, uri: str, restore: str) -> Iterator[Runtime]:
    """Open the hub over the database at `uri` before its restore, of this name, has ended."""
    with connect(settings, uri, wall_clock, restore=restore) as hub:
        yield hub


@contextmanager
def connect(  # noqa: PLR0913
    settings: HubSettings,
    uri: str,
    clock: Clock,
    processes: int = 0,
    *,
    prepare: bool = False,
    shared: SharedFolder | None = None,
    setup: AnsweringSetup | None = None,
    restore: str = "",
    expected: bool = False,
) -> Iterator[Runtime]:
    """The hub's services over the database at `uri`; `processes` examine submissions.

    Prepares a new database; with `prepare`, also an existing one, which may lack what this version
    adds.  `setup`: that of a process that answers requests; the first process has prepared the
    database.  `restore`: the name of the restore that may go on; see `schema`.  `expected`: see
    `open_runtime`.
    """
    text = policy_text(settings.policy) if setup is None else setup.policy
    policy = _parse_policy(text, settings)
    limits = ExaminerLimits.for_bodies(settings.max_content_length, MOST_BEGUN + 3)
    loaded = warning_lists_file(settings.data)
    examiner = ExaminerProcesses(processes, text, limits, loaded) if processes else None
    # Of its own, so that drafts keep no submission waiting; it starts with the first of them.
    gentle = replace(limits, seconds=60.0, wall=150.0, niceness=5)
    previewer = ExaminerProcesses(1, text, gentle, loaded)
    lists = _load_warning_lists(loaded)
    admission = AdmissionConfig(policy, text, lists, previewer, examiner)
    store = Store.connect(
        uri,
        name=settings.database,
        clock=clock,
        counters=_make_counters(settings, shared),
        process=_describe_process(settings, shared, setup),
    )
    numbers: Numbers | None = LocalNumbers() if setup is None else None
    if shared is not None:
        numbers = shared.numbers(STATE)
    processes_of_hub = HubProcesses(os.getpid() if setup is None else setup.main_pid, numbers)
    try:
        is_new = setup is None and not (store.has_secrets() or store.is_prepared(restore))
        if is_new and expected:
            raise NotFound(_NO_HUB.format(settings.database))
        secrets = _load_secrets(settings.data, store)
        prepares = setup is None and (prepare or not store.is_prepared(restore))
        if prepares:
            store.prepare(restore)
        store.check_secrets(secrets.fingerprint)
        services = build_services(store, secrets, settings, admission, processes=processes_of_hub)
        if prepares:
            log.info("policy sha256=%s rules=%s", policy.sha256, ",".join(policy.rules))
            create_default_collections(store, services.publisher, secrets)
        yield Runtime(settings, secrets, services, uri=uri, shared=shared, is_new=is_new)
    finally:
        store.close()
        if examiner is not None:
            examiner.close()
        previewer.close()


def check_policy(settings: HubSettings) -> None:
    """Raise ConfigError or PolicyError if the policy cannot be used.

    It is asked before a new database is made, so that a mistake leaves nothing behind.
    """
    _parse_policy(policy_text(settings.policy), settings)


def _parse_policy(text: str, settings: HubSettings) -> Policy:
    policy = parse_policy(text, settings.policy)
    if policy.expects_recogniser and not is_installed():
        raise PolicyError(_NO_RECOGNISER)
    return policy


def _load_secrets(data: Path, store: Store) -> HubSecrets:
    """The hub's secrets; new ones only for a database that has never been used with any.

    Raises NotFound if they are missing.
    """
    if store.has_secrets():
        read_secrets(data)
    return load_secrets(data)


def _describe_process(
    settings: HubSettings, shared: SharedFolder | None, setup: AnsweringSetup | None
) -> Process:
    process = Process() if setup is None else Process(setup.name)
    process = replace(process, commits=_count_commits(settings, shared))
    return process if shared is None else replace(process, commit_lock=shared.commit_lock())


def _make_counters(settings: HubSettings, shared: SharedFolder | None) -> Counters:
    """Counters to which all processes of this hub can add; in memory, if the folder is full."""
    times_commands = bool(settings.metrics_address)
    try:
        return Counters(shared, times_commands=times_commands)
    except OSError as error:
        log.warning("each process counts its metrics separately: %s", error.strerror)
        return Counters(times_commands=times_commands)


def _count_commits(settings: HubSettings, shared: SharedFolder | None) -> CommitCount:
    """Counts the commits of all that write to the hub's database.

    Nothing is known of them if other hubs may write to it, or without a shared folder.
    """
    if settings.mongo_uri:
        return CommitCount()
    try:
        if shared is None:  # of a command; the hub may be running
            path = announced_folder(settings.data)
            return SharedFolder(Path(path)).commit_count() if path else CommitCount()
        return shared.commit_count()
    except OSError:
        return CommitCount()


def _load_warning_lists(loaded: Path) -> WarningLists:
    try:
        return load_warning_lists(keep=load_or_build, loaded=loaded)
    except ValueError as error:
        raise ConfigError(f"{loaded}: {error}; remove it to use the shipped lists") from error
