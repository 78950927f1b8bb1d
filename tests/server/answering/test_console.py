"""The console's requests, handed over to its process."""

import os
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, ClassVar

import pytest
import requests
from support.processes import HubProcess

from tocsin.server.answering.console import (
    ConsoleServer,
    RemoteConsole,
    bind_console,
    console_socket,
)
from tocsin.server.http.gateway import Answer, run_application
from tocsin.server.http.parser import BodyReader

Application = Callable[[dict[str, Any], Any], Iterable[bytes]]
Serve = Callable[[Application], RemoteConsole]


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Serve]:
    """A function that serves an application at a socket; returns what hands requests over."""
    servers, sockets = [], []

    def start(application: Application) -> RemoteConsole:
        bound = console_socket()
        sockets.append(bound)
        path = bind_console(bound, tmp_path)
        server = ConsoleServer(bound, application)
        servers.append(server)
        server.start()
        return RemoteConsole(path)

    yield start
    for server in servers:
        server.stop(5)
    for each in sockets:
        each.close()


def ask(remote: RemoteConsole, body: bytes | None = b"", **environ: str) -> Answer | None:
    """The hub's answer; `body` None: it has not arrived yet."""
    reader = BodyReader(len(body) if body is not None else 5, 1 << 20)
    if body:
        reader.feed(bytearray(body))
    request = {"REQUEST_METHOD": "GET", "PATH_INFO": "/", **environ}
    return run_application(remote, request, reader)


def echo(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
    """Answer with the path, the client's address and the body."""
    body = environ["wsgi.input"].read()
    start_response("200 OK", [("X-Path", environ["PATH_INFO"]), ("Set-Cookie", "a=b")])
    return [environ.get("REMOTE_ADDR", "-").encode(), b" ", body]


def test_a_request_is_answered_by_the_console_with_its_headers(serve: Serve) -> None:
    answer = ask(serve(echo), PATH_INFO="/review", REMOTE_ADDR="192.0.2.7")
    assert answer is not None
    assert answer.status == "200 OK"
    assert answer.headers == [("X-Path", "/review"), ("Set-Cookie", "a=b")]
    assert b"".join(answer.pieces) == b"192.0.2.7 "


def test_a_body_reaches_the_console_whole(serve: Serve) -> None:
    form = os.urandom(900_000)
    answer = ask(serve(echo), form, REQUEST_METHOD="POST", CONTENT_LENGTH="900000")
    assert answer is not None
    assert b"".join(answer.pieces) == b"- " + form


def test_the_console_refuses_by_the_head_before_the_body_has_arrived(serve: Serve) -> None:
    def refuse(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        start_response("413 Content Too Large", [])
        return [b"too long"]

    answer = ask(serve(refuse), None, REQUEST_METHOD="POST", CONTENT_LENGTH="5")
    assert answer is not None
    assert answer.status == "413 Content Too Large"


def test_a_body_that_is_needed_is_waited_for(serve: Serve) -> None:
    remote = serve(echo)
    assert ask(remote, None, REQUEST_METHOD="POST", CONTENT_LENGTH="5") is None
    answer = ask(remote, b"hello", REQUEST_METHOD="POST", CONTENT_LENGTH="5")
    assert answer is not None
    assert b"".join(answer.pieces) == b"- hello"


def test_a_page_that_waits_keeps_no_other_one_waiting(serve: Serve) -> None:
    release = threading.Event()

    def wait(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        if environ["PATH_INFO"] == "/slow":
            release.wait(30)
        start_response("200 OK", [])
        return [b"done"]

    remote = serve(wait)
    slow = threading.Thread(target=ask, args=(remote,), kwargs={"PATH_INFO": "/slow"})
    slow.start()
    answer = ask(remote, PATH_INFO="/fast")
    assert answer is not None and answer.status == "200 OK"
    assert slow.is_alive()
    release.set()
    slow.join(30)


def test_a_request_whose_process_dies_is_answered_by_503_and_not_sent_again(
    serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    taken = []

    def die(server: ConsoleServer, request: bytes) -> bytes:
        taken.append(request)
        raise OSError  # ends the connection, as the end of the process does

    monkeypatch.setattr(ConsoleServer, "_answer", die)
    answer = ask(serve(echo), b"hello", REQUEST_METHOD="POST", CONTENT_LENGTH="5")
    assert answer is not None
    assert answer.status == "503 Service Unavailable"
    assert ("Retry-After", "2") in answer.headers
    assert len(taken) == 1


def test_the_console_goes_on_after_it_had_no_descriptor_for_a_connection(tmp_path: Path) -> None:
    class Bound(socket.socket):
        faults: ClassVar = [OSError(24, "Too many open files")]

        def accept(self) -> Any:
            if self.faults:
                raise self.faults.pop()
            return super().accept()

    with Bound(socket.AF_UNIX) as bound:
        remote = RemoteConsole(bind_console(bound, tmp_path))
        server = ConsoleServer(bound, echo)
        server.start()
        answer = ask(remote)
        assert not Bound.faults
        assert answer is not None and answer.status == "200 OK"
        server.stop(5)


@pytest.mark.slow
def test_the_console_comes_back_after_its_process_was_killed(tmp_path: Path) -> None:
    hub = HubProcess(tmp_path / "data")
    hub.program = (*hub.program, "--workers", "1")
    hub.start()
    try:
        page = f"http://127.0.0.1:{hub.port}/console/sign-in"
        assert requests.get(page, timeout=30).status_code == 200
        (console,) = hub.console()
        assert os.getpriority(os.PRIO_PROCESS, console) > 0
        (answering,) = hub.answering()
        os.kill(console, signal.SIGKILL)
        statuses = []
        deadline = time.monotonic() + 60
        while 200 not in statuses and time.monotonic() < deadline:
            statuses.append(requests.get(page, timeout=60).status_code)
            assert requests.get(hub.url, timeout=30).status_code == 401
            time.sleep(0.1)
        assert set(statuses) <= {200, 503} and statuses[-1] == 200
        assert hub.console() != [console]
        assert hub.answering() == [answering]
    finally:
        assert hub.stop() == 0
