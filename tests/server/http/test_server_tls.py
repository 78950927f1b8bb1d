"""The promises of the hub's socket, where the octets come encrypted."""

import socket
import ssl
import time
from collections.abc import Iterator
from contextlib import closing
from typing import Any

import pytest
from support.certificates import make_authority, write_private_file
from support.presence import present
from support.socket_peers import (
    BODY,
    LIMIT,
    LONG,
    POST,
    ROOT,
    Peer,
    send_slowly,
    serve_application,
    serve_hub,
    still_answers,
)

from tocsin.server.http.connection import ConnectionLimits
from tocsin.server.http.tls import server_context

CHUNKED = f"{POST}Transfer-Encoding: chunked\r\n\r\n".encode()


@pytest.fixture(scope="module")
def certificate_folder(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """The folder with the hub's certificate and that of its authority."""
    folder, own = tmp_path_factory.mktemp("certificates"), make_authority()
    write_private_file(folder / "ca.pem", own.certificate)
    own.server().write_pem(folder)
    return folder


@pytest.fixture(scope="module")
def trusting(certificate_folder: Any) -> Any:
    return ssl.create_default_context(cafile=certificate_folder / "ca.pem")


@pytest.fixture(scope="module")
def port(certificate_folder: Any) -> Iterator[Any]:
    with serve_hub(tls=server_context(certificate_folder / "hub.pem")) as port:
        yield port


@pytest.fixture
def peer(port: Any, trusting: Any) -> Iterator[Any]:
    with closing(Peer(port, trusting)) as peer:
        yield peer


@pytest.mark.parametrize(
    ("octets", "status"),
    [
        (b"GET /hub/ HTTP/1.1\r\nHost: a\r\n b\r\n\r\n", 400),
        (b"GET /hub/ HTTP/1.1\r\nA: " + b"a" * 70_000 + b"\r\n\r\n", 431),
        (CHUNKED + b"zz\r\n", 400),
        (CHUNKED + b"7fffffff\r\n" + b"a" * LIMIT * 3, 413),
    ],
    ids=["a folded field", "a long field", "no chunk", "a huge chunk"],
)
def test_an_invalid_request_gets_an_error_and_the_connection_closes(
    port: Any, trusting: Any, peer: Any, octets: Any, status: int
) -> None:
    response = peer.send(octets).receive()
    assert (response.status, response.is_taxii) == (status, True)
    assert peer.receive() is None
    assert still_answers(port, trusting)


def test_octets_after_a_body_are_the_next_request(peer: Any) -> None:
    peer.send(f"{POST}Content-Length: {len(BODY)}\r\n\r\n".encode() + BODY + ROOT)
    assert [peer.receive().status for _ in range(2)] == [202, 200]


def test_a_client_that_stays_after_an_error_holds_no_thread(port: Any, trusting: Any) -> None:
    staying = [Peer(port, trusting).send(b"GET\r\n\r\n") for _ in range(8)]
    assert {present(each.receive()).status for each in staying} == {400}
    assert still_answers(port, trusting)
    for each in staying:
        each.close()


def test_an_answer_is_never_sent_in_the_clear_after_tls_has_failed(
    certificate_folder: Any, trusting: Any
) -> None:
    def answer_late(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        time.sleep(0.5)
        start_response("200 OK", [])
        return [b"confidential"]

    tls = server_context(certificate_folder / "hub.pem")
    with serve_application(answer_late, ConnectionLimits(), tls) as port:
        with socket.create_connection(("127.0.0.1", port), timeout=10) as bare:
            incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
            session = trusting.wrap_bio(incoming, outgoing, server_hostname="localhost")
            while True:
                try:
                    session.do_handshake()
                    break
                except ssl.SSLWantReadError:
                    bare.sendall(outgoing.read())
                    incoming.write(bare.recv(65536))
            session.write(ROOT)
            bare.sendall(outgoing.read())
            time.sleep(0.2)
            bare.sendall(b"this is no TLS record")
            received = b"".join(iter(lambda: bare.recv(65536), b""))
        assert b"confidential" not in received and b"HTTP/1.1" not in received


@pytest.mark.slow
@pytest.mark.parametrize("start", [b"GET /hub/ HTTP/1.1\r\nA: ", LONG], ids=["head", "body"])
def test_a_client_below_the_minimum_rate_is_disconnected(
    certificate_folder: Any, trusting: Any, start: Any
) -> None:
    with serve_hub(0.5, 200, server_context(certificate_folder / "hub.pem")) as impatient:
        slow = [Peer(impatient, trusting).send(start) for _ in range(2)]
        assert {response and response.status for response in send_slowly(slow)} <= {408, 400, None}
        assert still_answers(impatient, trusting)
