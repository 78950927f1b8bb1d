"""Polls that are answered on the event loop's thread, and what never happens there."""

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

from tocsin.server.http import server
from tocsin.server.http.connection import ConnectionLimits
from tocsin.server.processes.nonblocking import WouldBlock, check_may_block, run_nonblocking
from tocsin.server.processes.shared_folder import CommitCount, LocalNumbers, Process
from tocsin.server.store import Store
from tocsin.server.taxii import is_quick_poll


def test_blocking_is_refused_during_an_attempt_and_allowed_after_it() -> None:
    with pytest.raises(WouldBlock):
        run_nonblocking(check_may_block)
    check_may_block()
    with pytest.raises(ValueError, match="a fault"):
        run_nonblocking(lambda: fail(ValueError("a fault")))
    check_may_block()


def fail(error: Exception) -> None:
    raise error


@pytest.mark.parametrize(
    ("more", "is_quick"),
    [
        ({}, True),
        ({"REQUEST_METHOD": "HEAD", "PATH_INFO": "/hub/collections/green/objects"}, True),
        ({"PATH_INFO": "/hub/collections/green/manifest/"}, True),
        ({"QUERY_STRING": "limit=1000&next=abc"}, True),
        ({"REQUEST_METHOD": "POST"}, False),
        ({"PATH_INFO": "/hub/collections/green/objects/indicator--1/"}, False),
        ({"PATH_INFO": "/console/overview"}, False),
        ({"QUERY_STRING": "match[type]=indicator"}, False),
        ({"QUERY_STRING": "match%5Btype%5D=indicator"}, False),
        ({"HTTP_PREFER": "wait=20"}, False),
        ({"HTTP_ACCEPT_ENCODING": "a," * 3_000}, False),
        ({"QUERY_STRING": "limit=1&" * 1_000}, False),
    ],
)
def test_polls_without_filters_and_long_heads_are_quick(
    more: dict[str, str],
    is_quick: bool,  # noqa: FBT001
) -> None:
    usual = {"REQUEST_METHOD": "GET", "PATH_INFO": "/hub/collections/green/objects/"}
    assert is_quick_poll(usual | {"QUERY_STRING": ""} | more) is is_quick


@dataclass
class Application:
    """Notes the threads that run it; a path names what it does."""

    threads: list[str] = field(default_factory=list)

    def __call__(self, environ: Any, start_response: Any) -> list[bytes]:
        """A WSGI application."""
        self.threads.append(threading.current_thread().name)
        if environ["PATH_INFO"] == "/waits":
            check_may_block()
        if environ["PATH_INFO"] == "/fails":
            raise ValueError("a fault")
        start_response("200 OK", [("Content-Length", "2")])
        return [b"ok"]

    @property
    def on_loop(self) -> list[bool]:
        """For each run, if it was on the event loop's thread."""
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

    def test_a_request_that_would_block_is_answered_on_a_thread_of_the_pool(
        self, peer: Peer, application: Application
    ) -> None:
        assert statuses(peer, "/waits") == [200]
        assert application.on_loop == [True, False]

    @pytest.mark.slow
    def test_failed_attempts_back_off(self, peer: Peer, application: Application) -> None:
        assert statuses(peer, *["/waits"] * 1_000) == [200] * 1_000
        assert sum(application.on_loop) < 30
        application.threads.clear()
        assert statuses(peer, *["/quick"] * 100) == [200] * 100
        assert sum(application.on_loop) > 30, "but now and then one is tried"

    def test_a_turn_of_the_loop_answers_for_some_milliseconds_only(
        self, peer: Peer, application: Application, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(server, "_MAX_TURN", 0)
        assert statuses(peer, *["/quick"] * 20) == [200] * 20
        assert application.on_loop == [False] * 20

    def test_a_fault_is_a_server_error(self, peer: Peer, application: Application) -> None:
        assert statuses(peer, "/fails") == [500] and application.on_loop == [True]

    def test_a_request_whose_body_has_not_come_goes_to_the_pool(
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

    def threads_that_query(self, *args: str, **headers: str) -> set[str]:
        """The threads that ask the database for a poll."""
        self.commands.names.clear()
        self.threads.clear()
        assert self.poll(*args, **headers) == 200
        assert self.threads[0] == LOOP, "each was tried there"
        return set(self.commands.names)


@pytest.fixture
def served(store: Store, engine_uri: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Served]:
    """A hub that tries every request on the event loop first."""
    monkeypatch.setattr(server, "_MAX_SKIPPED", 0)
    monkeypatch.setattr(server, "_MAX_TURN", 60)
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
            serve_application(note_thread, ConnectionLimits(), is_quick=lambda _: True) as port,
            closing(Peer(port)) as peer,
        ):
            yield Served(hub, peer, commands, threads)


class TestHub:
    @pytest.mark.slow
    def test_the_event_loop_never_asks_the_database(self, served: Served) -> None:
        everything = [
            *("", "?limit=1", "?limit=5000", "?match[type]=indicator", "?match[version]=all"),
            *("?added_after=2020-01-01T00:00:00Z", "?added_after=2999-01-01T00:00:00Z"),
            *("?match[id]=indicator--00000000-0000-4000-8000-000000000000", "?match[value]=a.top"),
        ]
        for _ in range(3):
            served.hub.push(indicator())
            for path in ("green/objects", "green/manifest", "clear/objects", "scratch/objects"):
                for query in everything:
                    assert LOOP not in served.threads_that_query(query, path)
        assert LOOP not in served.threads_that_query("", Accept_Encoding="gzip")
        assert LOOP not in served.threads_that_query("", Prefer="wait=1")
        assert LOOP not in served.threads_that_query(
            "?added_after=2999-01-01T00:00:00Z", Prefer="wait=1"
        )

    @pytest.mark.slow
    def test_polls_in_memory_are_answered_on_the_event_loop_and_the_next_has_what_is_new(
        self, served: Served
    ) -> None:
        for _ in range(200):
            assert served.poll() == 200
        assert served.threads.count(LOOP) > 100
        served.hub.push(indicator("new.evil-portal.top"))
        assert served.threads_that_query() <= {"http-0", "http-1"} and served.commands.names
        assert "new.evil-portal.top" in served.latest.body.decode()

    @pytest.mark.slow
    def test_a_request_is_counted_once(self, served: Served) -> None:
        left = []
        for _ in range(40):  # a filter asks the database after the request was counted
            served.threads_that_query("?match[value]=other.evil-portal.top")
            assert len(served.threads) == 2
            left.append(int(served.latest.headers["ratelimit"].split("r=")[1].split(";")[0]))
        assert left[0] - left[-1] <= 39, "less than twice, though the allowance refills meanwhile"
