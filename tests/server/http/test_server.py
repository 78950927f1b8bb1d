"""The hub's socket: what is no request, what never ends, what wants to be two (RFC 9112)."""

from __future__ import annotations

import gzip
import logging
import socket
import time
from collections.abc import Iterator
from typing import Any

import pytest
from support.presence import present
from support.socket_peers import (
    BODY,
    LIMIT,
    LONG,
    POST,
    ROOT,
    STRANGER,
    Peer,
    chunk,
    get,
    send_slowly,
    serve_hub,
    still_answers,
)
from support.taxii_hub import basic

pytestmark = pytest.mark.filterwarnings(
    # what a peer that has left did not read any more; Python 3.13 mentions it
    "ignore:Exception ignored in. <function IOBase.__del__:pytest.PytestUnraisableExceptionWarning"
)


class TestInvalidRequests:
    @pytest.mark.parametrize(
        "octets",
        [
            b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n",
            b"GET\r\n\r\n",
            b"GET /hub/\r\n\r\n",
            b"get /hub/ HTTP/1.1\r\n\r\n",
            b"GET /hub/ HTTP/1.1\n\n",
            b"GET hub HTTP/1.1\r\n\r\n",
            b"GET //hub/ HTTP/1.1\r\n\r\n",
            b"GET /hub/\xe9 HTTP/1.1\r\n\r\n",
            b"GET //[/ HTTP/1.1\r\n\r\n",
            b"GET http://[::1/ HTTP/1.1\r\n\r\n",
            b"GET /hub/#a HTTP/1.1\r\n\r\n",
            b"GET /hub/ HTTP/x.y\r\n\r\n",
            b"GET /hub/ HTTP/1.1\r\n folded: first\r\n\r\n",
            b"GET /hub/ HTTP/1.1\r\nHost: a\r\n b\r\n\r\n",
            b"GET /hub/ HTTP/1.1\r\nHost : a\r\n\r\n",
            b"GET /hub/ HTTP/1.1\r\nno colon\r\n\r\n",
            b"GET /hub/ HTTP/1.1\r\nA: b\x00c\r\n\r\n",
            b"GET /hub/ HTTP/1.1\r\nA: b\rX: c\r\n\r\n",
            b"GET /hub/ HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
            b"GET /hub/ HTTP/1.1\r\nAuthorization: a\r\nAuthorization: b\r\n\r\n",
        ],
    )
    def test_an_invalid_request_gets_an_error_and_the_connection_closes(
        self, port: Any, peer: Any, octets: bytes
    ) -> None:
        response = peer.send(octets).receive()
        assert (response.status, response.is_taxii, response.headers["connection"]) == (
            400,
            True,
            "close",
        )
        assert peer.receive() is None
        assert still_answers(port)

    @pytest.mark.parametrize(
        ("octets", "status"),
        [
            (b"GET /" + b"a" * 70_000 + b" HTTP/1.1\r\n\r\n", 414),
            (b"GET /hub/ HTTP/1.1\r\nA: " + b"a" * 70_000 + b"\r\n\r\n", 431),
            (b"GET /hub/ HTTP/1.1\r\n" + b"A: b\r\n" * 20_000 + b"\r\n", 431),
            (b"GET /hub/ HTTP/2.0\r\n\r\n", 505),
            (b"CONNECT hub:443 HTTP/1.1\r\n\r\n", 405),
            (b"GET /hub/ HTTP/1.1\r\nTransfer-Encoding: gzip\r\n\r\n", 501),
        ],
    )
    def test_the_status_names_what_is_wrong_with_an_invalid_request(
        self, port: Any, peer: Any, octets: Any, status: int
    ) -> None:
        response = peer.send(octets).receive()
        assert (response.status, response.is_taxii) == (status, True)
        assert still_answers(port)

    def test_an_invalid_head_request_gets_an_error_without_a_body(self, peer: Any) -> None:
        response = peer.send(b"HEAD /hub/ HTTP/1.1\r\nno colon\r\n\r\n").shut_down_sending()
        head, body = response.file.read().split(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 400 ") and not body

    def test_a_client_that_stays_after_an_error_holds_no_thread(self, port: Any) -> None:
        staying = [Peer(port).send(b"GET\r\n\r\n") for _ in range(8)]
        assert {present(each.receive()).status for each in staying} == {400}
        assert still_answers(port)
        for each in staying:
            assert each.send(b"more").receive() is None
            each.close()

    def test_a_connection_that_ends_in_the_middle_stores_nothing(self, port: Any) -> None:
        for octets in (b"", b"GET", ROOT[:-2], (POST + "Content-Length: 9\r\n\r\n").encode()):
            peer = Peer(port).send(octets)
            peer.close()
        assert still_answers(port)


class TestBodyLength:
    @pytest.mark.parametrize(
        "fields",
        [
            "Content-Length: -1\r\n",
            "Content-Length: +5\r\n",
            "Content-Length: 1_0\r\n",
            "Content-Length: 0x5\r\n",
            "Content-Length: 5, 5\r\n",
            "Content-Length: 99999999999999999999\r\n",
            "Content-Length: 5\r\nContent-Length: 6\r\n",
            "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n",
            "Transfer-Encoding: chunked, chunked\r\n",
            "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n",
        ],
    )
    def test_an_ambiguous_body_length_is_refused(self, peer: Any, fields: str) -> None:
        response = peer.send(f"{POST}{fields}\r\nabcde{ROOT.decode()}".encode()).receive()
        assert (response.status, response.is_taxii) == (400, True)
        assert peer.receive() is None

    def test_a_header_field_with_an_underscore_is_ignored(self, peer: Any) -> None:
        fields = (
            f"Content_Length: 5\r\nContent-Length: {len(BODY)}\r\nAccept_Encoding: gzip\r\n\r\n"
        )
        assert peer.send((POST + fields).encode() + BODY).receive().status == 202

    @pytest.mark.parametrize(
        "chunks",
        [
            b"zz\r\n",
            b"0x5\r\nabcde\r\n",
            b"-5\r\n",
            b"+5\r\nabcde\r\n",
            b"1_0\r\n",
            b"\r\n",
            b"5 abcde\r\n",
            b"5\nabcde\n0\n\n",
            b"5\r\nabcdeXX0\r\n\r\n",
            b"5;" + b"a" * 5000 + b"\r\nabcde\r\n",
            b"ffffffffffffffffffff\r\n",
            chunk(BODY) + b"0\r\n" + b"A: b\r\n" * 100 + b"\r\n",
        ],
    )
    @pytest.mark.parametrize("start", [POST, STRANGER], ids=["partner", "stranger"])
    def test_malformed_chunks_end_the_connection(
        self, port: Any, peer: Any, start: Any, chunks: Any
    ) -> None:
        head = f"{start}Transfer-Encoding: chunked\r\n\r\n".encode()
        response = peer.send(head + chunks + ROOT).receive()
        assert (response.status, response.is_taxii) == (400 if start == POST else 401, True)
        assert response.headers["connection"] == "close"
        assert peer.receive() is None
        assert still_answers(port)

    def test_trailers_and_chunk_extensions_are_skipped(self, peer: Any) -> None:
        head = f"{POST}Transfer-Encoding: Chunked\r\n\r\n".encode()
        chunks = b"5;name=value\r\n" + BODY[:5] + b"\r\n" + chunk(BODY[5:]) + b"0\r\nA: b\r\n\r\n"
        assert peer.send(head + chunks + ROOT).receive().status == 202
        assert peer.receive().status == 200

    @pytest.mark.parametrize("size", [b"7fffffff", b"fffffffffff"])
    @pytest.mark.parametrize("start", [POST, STRANGER], ids=["partner", "stranger"])
    def test_a_chunk_takes_no_more_memory_than_arrives_of_it(
        self, peer: Any, start: Any, size: bytes
    ) -> None:
        head = f"{start}Transfer-Encoding: chunked\r\n\r\n".encode()
        before = peak()
        response = peer.send(head + size + b"\r\n" + b"a" * 3 * LIMIT).receive()
        assert (response.status, response.is_taxii) == (413 if start == POST else 401, True)
        assert response.headers["connection"] == "close"
        assert peak() - before < 64 * 1024


def peak() -> int:
    """KiB of address space that this process has had at most."""
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) for line in status if line.startswith("VmPeak"))


class TestBodies:
    def send(self, peer: Any, octets: Any, fields: Any = "") -> Any:
        head = f"{POST}{fields}Content-Length: {len(octets)}\r\n\r\n"
        return peer.send(head.encode() + octets).receive()

    @pytest.mark.parametrize(
        "octets",
        [
            b"",
            b"{",
            BODY[:-1],
            BODY + b"}",
            b"\x00" * 100,
            b"\xff\xfe{}",
            b'{"objects": [NaN]}',
            b'{"objects": ["\xed\xa0\x80"]}',
            b"[" * 15_000,
            b'{"objects":' * 1000,
        ],
    )
    def test_broken_json_keeps_the_connection_usable(self, peer: Any, octets: Any) -> None:
        response = self.send(peer, octets)
        assert (response.status, response.is_taxii) == (400, True)
        assert self.send(peer, BODY).status == 202

    @pytest.mark.parametrize(
        ("octets", "status"),
        [
            (gzip.compress(BODY)[:-9], 400),
            (gzip.compress(BODY)[:5], 400),
            (BODY, 400),
            (gzip.compress(BODY) * 2, 400),
            (gzip.compress(b"a" * 10_000_000), 413),
        ],
        ids=["cut off", "only a head", "no gzip", "two members", "a bomb"],
    )
    def test_broken_gzip_keeps_the_connection_usable(
        self, port: Any, peer: Any, octets: Any, status: int
    ) -> None:
        response = self.send(peer, octets, "Content-Encoding: gzip\r\n")
        assert (response.status, response.is_taxii) == (status, True)
        closed = response.headers.get("connection") == "close"
        assert peer.receive() is None if closed else self.send(peer, BODY).status == 202
        assert still_answers(port)

    def test_a_body_shorter_than_announced_is_malformed(self, port: Any, peer: Any) -> None:
        peer.send(f"{POST}Content-Length: {len(BODY) + 5}\r\n\r\n".encode() + BODY)
        peer.socket.shutdown(socket.SHUT_WR)
        response = peer.receive()
        assert (response.status, response.is_taxii) == (400, True)
        assert still_answers(port)

    def test_octets_after_a_body_are_the_next_request(self, peer: Any) -> None:
        head = f"{POST}Content-Length: {len(BODY)}\r\n\r\n".encode()
        peer.send(head + BODY + b"junk\r\n\r\n")
        assert peer.receive().status == 202
        assert peer.receive().status == 400


class TestTheLog:
    def test_clients_cannot_inject_lines_into_the_log(
        self, port: Any, peer: Any, caplog: pytest.LogCaptureFixture
    ) -> None:
        caplog.set_level(logging.DEBUG)
        lie = "%0d%0aINFO%20request=x%20account=operator"
        liar = basic("a\nINFO b", "c")
        for octets in (
            get(f"/hub/collections/{lie}/"),
            get(f"/hub/collections/green/objects/{lie}/"),
            get(f"/hub/collections/green/objects/?match[{lie}]=1"),
            get("/hub/", "X: y\x0b\x0c\x1c\x85INFO\r\n"),
            f"GET /hub/ HTTP/1.1\r\nAuthorization: {liar}\r\n\r\n".encode(),
            b"GET /\x0b\x85INFO HTTP/1.1\r\n\r\n",
            b"GET /hub/ HTTP/1.1\r\n\x0b\x85INFO\r\n\r\n",
            POST.encode() + b"Transfer-Encoding: chunked\r\n\r\n\x85INFO\x0b\r\n",
        ):
            one = Peer(port).send(octets)
            one.receive()
            one.close()
        assert len(caplog.messages) >= 8
        for line in caplog.messages:
            assert line.isascii() and line.isprintable(), line
            assert "INFO request=x" not in line


class TestSlowPeers:
    @pytest.fixture
    def impatient(self) -> Iterator[Any]:
        """A hub with less patience than the shipped one; two hundred octets buy a second."""
        with serve_hub(0.5, 200) as port:
            yield port

    def test_silent_clients_hold_no_thread(self, port: Any) -> None:
        silent = [Peer(port) for _ in range(8)]
        assert still_answers(port)
        for each in silent:
            each.close()

    @pytest.mark.slow
    @pytest.mark.parametrize(
        "start",
        [
            b"GET /hub/ HTTP/1.1\r\nA: ",
            LONG,
            f"{POST}Transfer-Encoding: chunked\r\n\r\n270f\r\n".encode(),
            f"{STRANGER}Content-Length: 9999\r\n\r\n".encode(),
        ],
        ids=["head", "body", "chunk", "stranger's body"],
    )
    def test_a_client_below_the_minimum_rate_is_disconnected(
        self, impatient: Any, start: Any
    ) -> None:
        slow = [Peer(impatient).send(start) for _ in range(2)]
        assert {response and response.status for response in send_slowly(slow)} <= {
            408,
            400,
            401,
            None,
        }
        assert still_answers(impatient)

    @pytest.mark.slow
    def test_octets_that_came_fast_allow_no_longer_pause(self, impatient: Any) -> None:
        head = f"{POST}Content-Length: 9999\r\n\r\n".encode()
        peer, began = Peer(impatient).send(head), time.monotonic()
        time.sleep(0.2)
        peer.send(bytes(9000))
        assert present(peer.receive()).status == 408
        assert time.monotonic() - began < 5  # the octets would have bought 45 seconds
        peer.close()

    @pytest.mark.slow
    def test_a_steady_slow_body_is_accepted(self) -> None:
        with serve_hub(2.2, 30) as port:
            peer = Peer(port).send(f"{POST}Content-Length: {len(BODY)}\r\n\r\n".encode())
            began = time.monotonic()
            for at in range(0, len(BODY), 20):
                time.sleep(0.2)
                peer.send(BODY[at : at + 20])
            assert time.monotonic() - began > 2.2
            assert present(peer.receive()).status == 202
            peer.close()
