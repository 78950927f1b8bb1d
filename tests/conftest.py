"""What every test may ask for: a database engine, and a store of its own on it."""

import os
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings
from support.certificates import authority, written
from support.clock import ManualClock, hub_and_clock
from support.conformance_hub import ConformanceHub
from support.databases import drop_all, emptied
from support.feed_postings import Feed
from support.hub import HubInProcess
from support.paths import ROOT
from support.processes import HubProcess
from support.taxii_servers import KEY, Medallion, serve_medallion

from tocsin.clients.cli.main import main
from tocsin.server.model import Collection, CollectionKind
from tocsin.server.store import Store
from tocsin.server.store.embedded import Engine

CACHE = ROOT / ".pytest_cache" / "tocsin"
"""What is kept between starts is kept among the tests, not in the home of who runs them."""


settings.register_profile("gate", derandomize=True)
if "TOCSIN_TEST_EXAMPLES" not in os.environ:
    settings.load_profile("gate")  # the same examples each time; more of them find new ones


def pytest_configure() -> None:
    """Share the cache among the workers and runs; it is built once."""
    CACHE.mkdir(mode=0o700, parents=True, exist_ok=True)
    os.environ["XDG_CACHE_HOME"] = str(CACHE)


@pytest.fixture(scope="session")
def engine_uri(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The database server of this session: embedded, or $TOCSIN_TEST_MONGO."""
    if "TOCSIN_TEST_MONGO" in os.environ:
        yield os.environ["TOCSIN_TEST_MONGO"]
        drop_all()
        return
    engine = Engine.start(Path(tmp_path_factory.mktemp("engine")), print)
    yield engine.uri
    engine.stop()


@pytest.fixture
def store(engine_uri: str) -> Iterator[Store]:
    """A store on an empty database of its own."""
    with emptied(engine_uri) as store:
        yield store


@pytest.fixture(scope="module")
def common_store(engine_uri: str) -> Iterator[Store]:
    """A store for all tests of a file, where each brings what it needs and sees only that."""
    with emptied(engine_uri) as store:
        yield store


@pytest.fixture
def new(common_store: Store) -> Callable[[], Feed]:
    """Makes empty feeds."""

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
    """A hub, and the clock by which it tells the time."""
    return hub_and_clock(store)


@pytest.fixture
def hub(timed: tuple[HubInProcess, ManualClock]) -> HubInProcess:
    """The same hub."""
    return timed[0]


@pytest.fixture
def clock(timed: tuple[HubInProcess, ManualClock]) -> ManualClock:
    """Its clock, which stands until it is moved."""
    return timed[1]


@pytest.fixture(scope="session")
def conformance_hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ConformanceHub]:
    """A served hub without allowances, in TLS, and what the conformance checks are told of it."""
    folder, own = tmp_path_factory.mktemp("conformance"), authority()
    ca = written(folder / "ca.pem", own.certificate)
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("TOCSIN_REQUESTS_PER_MINUTE", "0")
        environment.setenv("TOCSIN_TLS_CERTIFICATE", str(own.server().both(folder)))
        environment.setenv("TOCSIN_TLS_CLIENT_CA", str(ca))
        hub = HubProcess(folder / "data").start()
    try:
        hub.join("acme")
        hub.command("collection", "add", "secret", "--kind", "verbatim", "--title", "Of others")
        rights = ("--read", "clear,scratch,secret", "--write", "inbox,secret")
        other = hub.command("partner", "add", "north", "--name", "NORTH", *rights)
        certificate = own.issue("acme").both(folder)
        hub.command("key", "certificate", "acme", str(certificate))
        keys = hub.key, f"{other['account']}:{other['key']}"
        yield ConformanceHub(hub.url, *keys, ca=ca, certificate=certificate)
    finally:
        assert hub.stop() == 0


@pytest.fixture
def alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No settings from outside, and a folder of its own."""
    for name in [name for name in os.environ if name.startswith("TOCSIN_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def tocsin(alone: None, capfd: pytest.CaptureFixture[str]) -> Callable[..., Any]:
    """Runs a command of the clients; answers its exit code, its lines and what it said."""

    def run(*arguments: str) -> tuple[int, list[str], str]:
        code = main(arguments)
        told = capfd.readouterr()
        return code, told.out.splitlines(), told.err

    return run


@pytest.fixture
def partner(alone: None, monkeypatch: pytest.MonkeyPatch) -> Iterator[Medallion]:
    """A server of somebody else, where the clients find it."""
    with serve_medallion() as server:
        monkeypatch.setenv("TOCSIN_URL", server.url)
        monkeypatch.setenv("TOCSIN_KEY", KEY)
        yield server
