"""Fixtures for all tests: database engine, stores, hubs, clients, other servers."""

import functools
import gc
import hashlib
import os
import shutil
import signal
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import settings
from support.certificates import make_authority, write_private_file
from support.clock import ManualClock, hub_and_clock
from support.conformance_hub import ConformanceHub
from support.databases import drop_all, open_empty_store
from support.feed_postings import Feed
from support.hub import HubInProcess
from support.paths import ROOT
from support.processes import STARTED, HubProcess
from support.taxii_servers import KEY, Medallion, serve_medallion

from tocsin.clients.cli.main import main
from tocsin.server.model import Collection, CollectionKind
from tocsin.server.store import Store
from tocsin.server.store.embedded import Engine

CACHE = ROOT / ".pytest_cache" / "tocsin"
"""Cache directory of the tests, in place of the user's own."""
_MEMORY = Path("/dev/shm")  # noqa: S108 - a new folder in it
"""The file system in memory, on Linux."""
_ROOM = 4 << 30
"""Octets that must be free there."""


# No example has a deadline: one that a busy machine delays would count as a failure.
settings.register_profile("gate", derandomize=True, deadline=None)  # the same in each run
settings.register_profile("many", deadline=None)
settings.load_profile("many" if "TOCSIN_TEST_EXAMPLES" in os.environ else "gate")


def pytest_configure(config: pytest.Config) -> None:
    """Share the cache among workers and runs, so that it is built once.

    Nothing is garbage while tests are collected, so none is looked for.
    """
    gc.disable()
    config.addinivalue_line("markers", "long: takes half a minute or more; is begun first")
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # as in a job in the background:
        # programs that tests interrupt would ignore it as well
        signal.signal(signal.SIGINT, signal.default_int_handler)
    CACHE.mkdir(mode=0o700, parents=True, exist_ok=True)
    os.environ["XDG_CACHE_HOME"] = str(CACHE)
    os.environ.setdefault("TOCSIN_MIN_FREE_OCTETS", str(1 << 20))  # and so small reserves


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the longest tests, so that at the end no core waits for one of them."""
    items.sort(key=lambda item: item.get_closest_marker("long") is None)


def pytest_collection_finish() -> None:
    """Spare what each test would do again: search all tests for garbage, derive the same key."""
    gc.freeze()
    gc.enable()
    gc.set_threshold(20_000, 20, 50)
    derive: Any = functools.cache(hashlib.pbkdf2_hmac)
    hashlib.pbkdf2_hmac = derive


@pytest.fixture(autouse=True)
def _kill_left_hubs() -> Iterator[None]:
    """Kill what a failing test leaves running, so that no other one fails for it."""
    count = len(STARTED)
    yield
    for process in STARTED[count:]:
        if process.poll() is None:
            process.kill()
            process.wait()
    del STARTED[count:]


@pytest.fixture(scope="session")
def engine_uri() -> Iterator[str]:
    """The URI of this session's database server: embedded, or $TOCSIN_TEST_MONGO."""
    if "TOCSIN_TEST_MONGO" in os.environ:
        yield os.environ["TOCSIN_TEST_MONGO"]
        drop_all()
        return
    with TemporaryDirectory(dir=_MEMORY if _has_room_in_memory() else None) as folder:
        engine = Engine.start(Path(folder), print)
        yield engine.uri
        engine.stop()


def _has_room_in_memory() -> bool:
    """True if the engine's files may be in memory, where it need not wait for a disk.

    No test that shares this engine takes its power away.
    """
    return _MEMORY.is_dir() and shutil.disk_usage(_MEMORY).free > _ROOM


@pytest.fixture
def store(engine_uri: str) -> Iterator[Store]:
    """A store on an empty database."""
    with open_empty_store(engine_uri) as store:
        yield store


@pytest.fixture(scope="module")
def common_store(engine_uri: str) -> Iterator[Store]:
    """A store shared by all tests of a file; each test adds its own collections."""
    with open_empty_store(engine_uri) as store:
        yield store


@pytest.fixture
def new(common_store: Store) -> Callable[[], Feed]:
    """A function that creates empty feeds."""

    def make() -> Feed:
        id = str(uuid.uuid4())
        common_store.feeds.add(Collection(id, f"alias-{id}", CollectionKind.FEED, "A feed"))
        return Feed(common_store, id)

    return make


@pytest.fixture
def feed(new: Callable[[], Feed]) -> Feed:
    """An empty feed."""
    return new()


@pytest.fixture
def timed(store: Store) -> tuple[HubInProcess, ManualClock]:
    """A hub, and its clock."""
    return hub_and_clock(store)


@pytest.fixture
def hub(timed: tuple[HubInProcess, ManualClock]) -> HubInProcess:
    """The hub of `timed`."""
    return timed[0]


@pytest.fixture
def clock(timed: tuple[HubInProcess, ManualClock]) -> ManualClock:
    """The clock of `timed`, which stands still until a test moves it."""
    return timed[1]


@pytest.fixture(scope="session")
def conformance_hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ConformanceHub]:
    """A running hub with TLS and without rate limit, as a target of the conformance checks."""
    folder, ca = tmp_path_factory.mktemp("conformance"), make_authority()
    ca_file = write_private_file(folder / "ca.pem", ca.certificate)
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("TOCSIN_REQUESTS_PER_MINUTE", "0")
        environment.setenv("TOCSIN_TLS_CERTIFICATE", str(ca.server().write_pem(folder)))
        environment.setenv("TOCSIN_TLS_CLIENT_CA", str(ca_file))
        hub = HubProcess(folder / "data").start()
    try:
        hub.join("acme")
        hub.command("collection", "add", "secret", "--kind", "verbatim", "--title", "Of others")
        rights = ("--read", "clear,scratch,secret", "--write", "inbox,secret")
        other = hub.command("partner", "add", "north", "--name", "NORTH", *rights)
        certificate = ca.issue("acme").write_pem(folder)
        hub.command("key", "certificate", "acme", str(certificate))
        keys = hub.key, f"{other['account']}:{other['key']}"
        yield ConformanceHub(hub.url, *keys, ca=ca_file, certificate=certificate)
    finally:
        assert hub.stop() == 0


@pytest.fixture
def alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Remove all settings from the environment, and use a temporary home folder."""
    for name in [name for name in os.environ if name.startswith("TOCSIN_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def tocsin(alone: None, capfd: pytest.CaptureFixture[str]) -> Callable[..., Any]:
    """A function that runs a client command; returns exit code, output lines, standard error."""

    def run(*arguments: str) -> tuple[int, list[str], str]:
        code = main(arguments)
        captured = capfd.readouterr()
        return code, captured.out.splitlines(), captured.err

    return run


@pytest.fixture
def partner(alone: None, monkeypatch: pytest.MonkeyPatch) -> Iterator[Medallion]:
    """A running medallion, to which the clients' environment variables point."""
    with serve_medallion() as server:
        monkeypatch.setenv("TOCSIN_URL", server.url)
        monkeypatch.setenv("TOCSIN_KEY", KEY)
        yield server
