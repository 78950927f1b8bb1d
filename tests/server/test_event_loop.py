"""Polls that are answered on the thread of the event loop, and what never happens there."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, field
from typing import Any

import pytest
from pymongo import MongoClient
from pymongo.monitoring import CommandListener
from support.hub import HubInProcess, indicator
from support.socket_peers import LOOP, Peer, Response, serve_application
from support.taxii_hub import MT, basic

from tocsin.server.event_loop import MustWait, check_may_wait, run_without_waiting
from tocsin.server.http.connection import ConnectionLimits
from tocsin.server.shared_folder import CommitCount, LocalNumbers, Process
from tocsin.server.store import Store
from tocsin.server.taxii import is_poll


def test_nothing_waits_within_and_all_may_again_afterwards() -> None:
    with pytest.raises(MustWait):
        run_without_waiting(check_may_wait)
    check_may_wait()
    with pytest.raises(ValueError, match="a fault"):
        run_without_waiting(lambda: fail(ValueError("a fault")))
    check_may_wait()


def fail(error: Exception) -> None:
    raise error


@pytest.mark.parametrize(
    ("method", "path", "is_one"),
    [
        ("GET", "/hub/collections/green/objects/", True),
        ("HEAD", "/hub/collections/green/objects", True),
        ("GET", "/hub/collections/green/manifest/", True),
        ("POST", "/hub/collections/green/objects/", False),
        ("GET", "/hub/collections/green/objects/indicator--1/", False),
        ("GET", "/console/overview", False),
    ],
)
def test_pages_and_manifests_are_polls(method: str, path: str, is_one: bool) -> None:  # noqa: FBT001
    assert is_poll({"REQUEST_METHOD": method, "PATH_INFO": path}) is is_one


@dataclass
class Application:
    """Notes the threads that run it; a path names what it does."""

    threads: list[str] = field(default_factory=list)

    def __call__(self, environ: Any, start_response: Any) -> list[bytes]:
        """A WSGI application."""
        self.threads.append(threading.current_thread().name)
        if environ["PATH_INFO"] == "/waits":
            check_may_wait()
        if environ["PATH_INFO"] == "/fails":
            raise ValueError("a fault")
        start_response("200 OK", [("Content-Length", "2")])
        return [b"ok"]

    @property
    def on_loop(self) -> list[bool]:
        """For each run, if it was on the thread of the event loop."""
        return [name == LOOP for name in self.threads]


@pytest.fixture
def application() -> Application:
    return Application()


@pytest.fixture
def peer(application: Application) -> Iterator[Peer]:
    """A connection to a server that takes all requests but those below `/slow` for quick ones."""
    with (
        serve_application(
            application, ConnectionLimits(), is_quick=lambda e: "slow" not in e["PATH_INFO"]
        ) as port,
        closing(Peer(port)) as peer,
    ):
        yield peer


def get(path: str) -> bytes:
    return f"GET {path} HTTP/1.1\r\nHost: hub.example\r\n\r\n".encode()


def statuses(peer: Peer, *paths: str) -> list[int]:
    """The answers to requests that are sent at once."""
    peer.send(b"".join(map(get, paths)))
    answers = [peer.receive() for _ in paths]
    return [0 if each is None else each.status for each in answers]


class TestServer:
    def test_a_quick_request_is_answered_where_it_was_read(
        self, peer: Peer, application: Application
    ) -> None:
        assert statuses(peer, "/quick", "/slow", "/quick") == [200] * 3
        assert application.on_loop == [True, False, True]

    def test_one_that_must_wait_is_answered_elsewhere(
        self, peer: Peer, application: Application
    ) -> None:
        assert statuses(peer, "/waits") == [200]
        assert application.on_loop == [True, False]

    def test_after_those_that_must_wait_others_are_not_tried(
        self, peer: Peer, application: Application
    ) -> None:
        assert statuses(peer, *["/waits"] * 1_000) == [200] * 1_000
        assert sum(application.on_loop) < 30
        application.threads.clear()
        assert statuses(peer, *["/quick"] * 100) == [200] * 100
        assert sum(application.on_loop) > 30, "but now and then one is tried"

    def test_a_fault_is_a_server_error(self, peer: Peer, application: Application) -> None:
        assert statuses(peer, "/fails") == [500] and application.on_loop == [True]

    def test_a_body_that_has_not_come_is_not_waited_for_there(
        self, peer: Peer, application: Application
    ) -> None:
        peer.send(b"POST /quick HTTP/1.1\r\nHost: hub.example\r\nContent-Length: 2\r\n\r\n")
        answer = peer.receive()
        assert answer is not None and answer.status == 200
        assert application.on_loop == [False]


class Threads(CommandListener):
    """The threads that sent commands to the database."""

    def __init__(self) -> None:
        self.names: list[str] = []

    def started(self, event: Any) -> None:
        self.names.append(threading.current_thread().name)

    def succeeded(self, event: Any) -> None:
        """Nothing more to note."""

    def failed(self, event: Any) -> None:
        """Nothing more to note."""


@dataclass
class Served:
    """A hub whose database counts commits, and the threads that asked it."""

    hub: HubInProcess
    peer: Peer
    commands: Threads
    threads: list[str]
    """The threads that ran the application."""
    latest: Response = field(init=False)

    def poll(self, query: str = "", path: str = "green/objects", **headers: str) -> int:
        """The status of a poll."""
        more = "".join(f"{name.replace('_', '-')}: {value}\r\n" for name, value in headers.items())
        head = f"GET /hub/collections/{path}/{query} HTTP/1.1\r\nHost: hub.example\r\n"
        head += f"Accept: {MT}\r\nAuthorization: {basic('acme', 'acme')}\r\n{more}\r\n"
        answer = self.peer.send(head.encode()).receive()
        assert answer is not None
        self.latest = answer
        return answer.status

    def is_asked_by(self, *args: str, **headers: str) -> set[str]:
        """The threads that ask the database for a poll."""
        self.commands.names.clear()
        assert self.poll(*args, **headers) == 200
        return set(self.commands.names)


@pytest.fixture
def served(store: Store, engine_uri: str) -> Iterator[Served]:
    commands = Threads()
    with MongoClient[dict[str, Any]](engine_uri, event_listeners=[commands]) as client:
        process = Process(commits=CommitCount(LocalNumbers()))
        hub = HubInProcess(Store(client, store._base.name, process=process))
        hub.push(indicator())
        threads: list[str] = []

        def note_thread(environ: Any, start_response: Any) -> Any:
            threads.append(threading.current_thread().name)
            return hub.client.application(environ, start_response)

        with (
            serve_application(note_thread, ConnectionLimits(), is_quick=is_poll) as port,
            closing(Peer(port)) as peer,
        ):
            yield Served(hub, peer, commands, threads)


class TestHub:
    def test_the_database_is_never_asked_on_that_thread(self, served: Served) -> None:
        everything = [
            *("", "?limit=1", "?limit=5000", "?match[type]=indicator", "?match[version]=all"),
            *("?added_after=2020-01-01T00:00:00Z", "?added_after=2999-01-01T00:00:00Z"),
            *("?match[id]=indicator--00000000-0000-4000-8000-000000000000", "?match[value]=a.top"),
        ]
        for _ in range(3):
            served.hub.push(indicator())
            for path in ("green/objects", "green/manifest", "clear/objects", "scratch/objects"):
                for query in everything:
                    assert LOOP not in served.is_asked_by(query, path)
        assert LOOP not in served.is_asked_by("", Accept_Encoding="gzip")
        assert LOOP not in served.is_asked_by("", Prefer="wait=1")
        assert LOOP not in served.is_asked_by("?added_after=2999-01-01T00:00:00Z", Prefer="wait=1")

    def test_a_poll_in_memory_is_answered_there_and_a_new_object_is_in_the_next(
        self, served: Served
    ) -> None:
        for _ in range(200):
            assert served.poll() == 200
        assert served.threads.count(LOOP) > 100
        served.hub.push(indicator("new.evil-portal.top"))
        assert served.is_asked_by() <= {"http-0", "http-1"} and served.commands.names
        assert "new.evil-portal.top" in served.latest.body.decode()

    def test_a_request_is_counted_once(self, served: Served) -> None:
        left = []
        for _ in range(20):
            served.hub.push(indicator(), who="north")  # so that it is tried, then handed over
            assert served.poll() == 200
            left.append(int(served.latest.headers["ratelimit"].split("r=")[1].split(";")[0]))
        assert served.threads.count(LOOP) > 1
        assert left[0] - left[-1] <= 19, "less than twice, though the allowance refills meanwhile"
