"""Whatever is at the other end, a check gets an answer or learns that there is none, in time."""

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import pytest
from support.conformance_hub import ConformanceHub
from support.faulty_server import Fault, serve_with_fault
from support.taxii_hub import TaxiiHub

from tocsin.conformance.http import InvalidJson, Request, Target, Unreachable, send_request
from tocsin.conformance.model import Outcome
from tocsin.conformance.registry import select_checks
from tocsin.conformance.runner import run_checks

pytestmark = pytest.mark.slow

OK = b"HTTP/1.1 200 OK\r\nContent-Type: application/taxii+json;version=2.1\r\n"


@contextmanager
def server(answer: Any, heard: Any = None) -> Iterator[Any]:
    """A server that does as `answer` says with each connection."""
    listening = socket.create_server(("127.0.0.1", 0))
    listening.settimeout(0.05)
    stop = threading.Event()

    def one(line: Any) -> None:
        with line:
            try:
                line.settimeout(10)
                request = line.recv(65536)
                if heard is not None:
                    heard.append(request)
                answer(line, stop)
            except OSError:
                return

    def serve() -> None:
        those = []
        while not stop.is_set():
            try:
                line, _ = listening.accept()
            except TimeoutError:
                continue
            those.append(threading.Thread(target=one, args=(line,)))
            those[-1].start()
        for each in those:
            each.join()

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        yield Target("http", "127.0.0.1", listening.getsockname()[1], timeout=30)
    finally:
        stop.set()
        thread.join()
        listening.close()


def saying(octets: Any) -> Any:
    return lambda line, stop: line.sendall(octets)


def silent(line: Any, stop: Any) -> None:
    stop.wait()


def dripping(line: Any, stop: Any) -> None:
    line.sendall(b"HTTP/1.1 200 OK\r\n")
    while not stop.wait(0.05):
        line.sendall(b"X")


def endless(line: Any, stop: Any) -> None:
    line.sendall(OK + b"Transfer-Encoding: chunked\r\n\r\n")
    while not stop.is_set():
        line.sendall(b"10000\r\n" + b" " * 0x10000 + b"\r\n")


def ask(target: Any, **more: Any) -> Any:
    return send_request(target, Request("GET", "/", **more))


@pytest.mark.parametrize("answer", [silent, dripping], ids=["silent", "dripping"])
def test_a_server_that_does_not_come_to_an_end_is_not_waited_for(answer: Any) -> None:
    with server(answer) as target, pytest.raises(Unreachable, match="no answer within 1 s"):
        ask(replace(target, timeout=1))


@pytest.mark.parametrize(
    "octets",
    [
        b"",
        b"SSH-2.0-OpenSSH\r\n",
        b"HTTP/1.1 two hundred\r\n\r\n",
        OK + b"X: y\r\n" * 200 + b"\r\n",
    ],
    ids=["nothing", "another protocol", "no status", "headers without end"],
)
def test_what_is_no_http_is_no_answer(octets: Any) -> None:
    with server(saying(octets)) as target, pytest.raises(Unreachable, match="GET /"):
        ask(target)


def test_a_body_without_end_is_cut_off() -> None:
    with server(endless) as target:
        answer = ask(replace(target, max_body=1_000_000))
    assert len(answer.body) == 1_000_000


def test_a_redirect_is_reported_and_not_followed() -> None:
    moved = (
        b"HTTP/1.1 302 Found\r\nLocation: http://elsewhere.example/\r\nContent-Length: 0\r\n\r\n"
    )
    with server(saying(moved)) as target:
        answer = ask(target)
    assert (answer.status, answer.header("location")) == (302, "http://elsewhere.example/")


def test_an_answer_before_all_was_sent_is_heard() -> None:
    early = b"HTTP/1.1 413 Too Large\r\nContent-Length: 2\r\n\r\n{}"

    def answer(line: Any, stop: Any) -> None:
        line.sendall(early)
        line.shutdown(socket.SHUT_WR)
        time.sleep(0.1)
        while line.recv(65536):
            pass

    with server(answer) as target:
        found = send_request(target, Request("POST", "/", body=b" " * 4_000_000))
    assert found.status == 413


@pytest.mark.parametrize(
    "body", [b"", b"<html>", b'{"a": NaN}', b'{"a": 1, "a": 2}', b"[" * 100_000, b"\xff"]
)
def test_what_is_no_json_is_no_resource(body: Any) -> None:
    length = f"Content-Length: {len(body)}\r\n\r\n".encode()
    with server(saying(OK + length + body)) as target:
        answer = ask(target)
    assert (answer.resource, answer.objects) == ({}, [])
    with pytest.raises(InvalidJson):
        _ = answer.json


def test_control_characters_of_a_server_do_not_reach_the_terminal() -> None:
    octets = OK + b"WWW-Authenticate: a\x1b[31mred\r\nContent-Length: 0\r\n\r\n"
    with server(saying(octets)) as target:
        assert ask(target).header("WWW-Authenticate") == "a?[31mred"


def test_only_the_headers_that_are_given_are_sent() -> None:
    heard: list[Any] = []

    def listen(line: Any, stop: Any) -> None:
        line.sendall(OK + b"Content-Length: 0\r\n\r\n")

    with server(listen, heard) as target:
        send_request(target, Request("GET", "/", {"X-Own": "1"}))
    names = [row.split(":")[0] for row in heard[0].decode().strip().splitlines()[1:]]
    assert names == ["Host", "X-Own", "Connection"]


def test_a_credential_is_not_shown() -> None:
    asked = Request("GET", "/", {"Authorization": "Basic abc"})
    assert asked.lines() == ["GET /", "Authorization: …"]
    assert asked.short_lines() == ["GET /", "no Accept"]


def test_a_server_that_went_away_is_not_asked_every_question() -> None:
    with server(saying(b"")) as target:
        hub = ConformanceHub(f"http://127.0.0.1:{target.port}/taxii2/", "a:b", "c:d")
        results = run_checks(hub.subject(), select_checks(["6", "7"]), lambda result: None)
    assert results[0].complaints
    assert {each.reason for each in results[1:]} == {"the server no longer answers"}
    assert {each.outcome for each in results[1:]} == {Outcome.SKIPPED}


ODD: tuple[Any, ...] = (None, [], 7, "x", {"a": None}, [[], 7, "x"])


@pytest.mark.parametrize("odd", ODD, ids=str)
@pytest.mark.parametrize("inside", [False, True], ids=["properties", "parts"])
def test_no_answer_is_too_odd_for_a_check(odd: Any, inside: bool) -> None:
    def strange(x: Any) -> None:
        content = x.json
        for name in content:
            parts = content[name] if isinstance(content[name], list) else []
            if inside:
                content[name] = [dict.fromkeys(p, odd) if isinstance(p, dict) else p for p in parts]
            elif x.path not in ("/taxii2/", "/hub/collections/"):
                content[name] = odd
        if content and not (inside and x.path == "/hub/collections/"):
            x.json = content

    with serve_with_fault(TaxiiHub().app, Fault("odd", (), on_response=strange)) as url:
        results = ConformanceHub(url, "acme-robot:acme-robot-key", "blind:blind-key").run_checks()
    expected = {c.expected for result in results for c in result.complaints}
    assert [each for each in expected if each.startswith("an answer that can be read")] == []
    assert Outcome.FAILED in {each.outcome for each in results}


class TestPatience:
    def subject(self, url: Any) -> Any:
        return ConformanceHub(url, "acme-robot:acme-robot-key", "blind:blind-key").subject()

    def test_a_server_that_asks_to_come_again_later_is_obeyed(self) -> None:
        asked = []

        def busy(x: Any) -> None:
            asked.append(x.path)
            if len(asked) < 3:
                x.status, x.response_headers = 429, {"Retry-After": "0"}

        with serve_with_fault(TaxiiHub().app, Fault("busy", (), busy)) as url:
            answer = self.subject(url).get("/hub/")
        assert (answer.status, asked) == (200, ["/hub/"] * 3)

    @pytest.mark.parametrize("pause", ["soon", "", "1000000", "9" * 5000, "²"])
    def test_who_asks_to_come_much_later_is_taken_at_the_word(self, pause: str) -> None:
        def busy(x: Any) -> None:
            x.status, x.response_headers = 429, {"Retry-After": pause}

        with serve_with_fault(TaxiiHub().app, Fault("busy", (), busy)) as url:
            assert self.subject(url).get("/hub/").status == 429

    def test_a_status_that_never_completes_is_not_waited_for(self) -> None:
        def pending(x: Any) -> None:
            if "total_count" in x.json:
                x.json = x.json | {"status": "pending"}

        with serve_with_fault(TaxiiHub().app, Fault("slow", (), on_response=pending)) as url:
            subject = self.subject(url)
            subject._patience = 1
            results = run_checks(subject, select_checks(["17.8", "13.5"]), lambda result: None)
        reason = "objects that it needs could not be added: POST answered 202, status pending"
        assert {(each.outcome, each.reason) for each in results} == {(Outcome.SKIPPED, reason)}
