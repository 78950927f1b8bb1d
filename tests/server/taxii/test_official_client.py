"""The hub behind a real HTTP server, met by the official client (conformance 2.17, 7.6 and 21)."""

import gzip
import http.client
import json
import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import pytest
from support.socket_peers import serve_application
from support.taxii_hub import GREEN, MT, TaxiiHub, basic, indicator
from taxii2client.v21 import Collection, Server, as_pages

from tocsin.clients.http import Hub
from tocsin.server.http.connection import ConnectionLimits

AUTH = {"Authorization": basic("acme", "acme-robot-key"), "Accept": MT}
LIMIT = 5000


@pytest.fixture(scope="module")
def port() -> Iterator[Any]:
    taxii = TaxiiHub(max_content_length=LIMIT)
    taxii.feeds.add(GREEN.id, *(indicator(n) for n in range(1, 24)))
    with serve_application(taxii.app, ConnectionLimits()) as port:
        yield port


@contextmanager
def connected(port: Any) -> Iterator[Any]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    yield connection
    connection.close()


def chunks(total: Any, size: Any = 1000) -> Iterator[Any]:
    yield from (b" " * min(size, total - at) for at in range(0, total, size))


def send(connection: Any, method: Any, path: Any, body: Any = None, **headers: Any) -> Any:
    headers = AUTH | {name.replace("_", "-"): value for name, value in headers.items()}
    connection.request(method, path, body, headers, encode_chunked=hasattr(body, "__next__"))
    answer = connection.getresponse()
    return answer, answer.read()


POST = "/hub/collections/scratch/objects/"
CHUNKED = {"Content_Type": MT, "Transfer_Encoding": "chunked"}


def test_21_1_the_official_client_reads_each_object_of_a_feed_once(port: Any) -> None:
    url = f"http://127.0.0.1:{port}/hub/collections/{GREEN.id}/"
    collection = Collection(url, user="acme", password="acme-robot-key")
    for ask in (collection.get_objects, collection.get_manifest):
        pages = list(as_pages(ask, per_request=7))
        seen = [int(one["id"][-12:]) for page in pages for one in page["objects"]]
        assert seen == list(range(1, 24))
    collection.close()


def test_the_official_client_finds_its_way_from_discovery_to_a_status(port: Any) -> None:
    server = Server(f"http://127.0.0.1:{port}/taxii2/", user="acme", password="acme-robot-key")
    by_alias = {one.title: one for one in server.default.collections}
    status = by_alias["Scratch"].add_objects({"objects": [indicator()]})
    assert (status.status, status.success_count) == ("complete", 1)
    assert by_alias["Scratch"].get_object(indicator()["id"])["objects"] == [indicator()]
    server.close()


def test_2_17_every_answer_carries_one_date(port: Any) -> None:
    with connected(port) as connection:
        for path in ("/taxii2/", "/nowhere/"):
            answer, _ = send(connection, "GET", path)
            assert len(answer.headers.get_all("Date")) == 1


RAW = {
    "no request line": b"GARBAGE\r\n\r\n",
    "a version of HTTP that is none": b"GET /taxii2/ HTTP/3.0\r\n\r\n",
    "a transfer coding that is not known": b"POST /hub/ HTTP/1.1\r\nTransfer-Encoding: x\r\n\r\n",
    "a length that is no number": b"POST /hub/ HTTP/1.1\r\nContent-Length: x\r\n\r\n",
    "a length below zero": b"POST /hub/ HTTP/1.1\r\nContent-Length: -5\r\n\r\n",
    "two lengths": (
        b"POST /hub/ HTTP/1.1\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"
    ),
    "an endless path": b"GET /" + b"a" * 70_000 + b" HTTP/1.1\r\n\r\n",
    "endless headers": b"GET / HTTP/1.1\r\nX: " + b"a" * 70_000 + b"\r\n\r\n",
    "a header without a colon": b"GET / HTTP/1.1\r\nfoo\r\n\r\n",
}


@pytest.mark.parametrize("said", RAW.values(), ids=RAW)
def test_4_5_invalid_http_gets_a_taxii_error_and_the_connection_closes(
    port: Any, said: Any
) -> None:
    with socket.create_connection(("127.0.0.1", port), 10) as bare:
        bare.sendall(said)
        answer = http.client.HTTPResponse(bare)
        answer.begin()
        content = json.loads(answer.read())
        assert bare.recv(1) == b""
    assert answer.headers["Content-Type"] == MT and answer.headers["Date"]
    assert content["http_status"] == str(answer.status) and answer.status >= 400


@pytest.mark.slow
def test_7_6_a_far_too_long_body_gets_its_413_before_the_connection_closes(port: Any) -> None:
    with connected(port) as connection:
        answer, content = send(connection, "POST", POST, b" " * 8_000_000, Content_Type=MT)
    assert (answer.status, json.loads(content)["http_status"]) == (413, "413")


def test_idle_connections_do_not_block_others(port: Any) -> None:
    with ExitStack() as stack:
        for _ in range(20):
            stack.enter_context(socket.create_connection(("127.0.0.1", port), 10))
        with connected(port) as connection:
            assert send(connection, "GET", "/taxii2/")[0].status == 200


@pytest.mark.parametrize("path", ["/taxii2/", "/nowhere/", "/hub/collections/green/objects/"])
def test_head_keeps_the_connection_usable(port: Any, path: str) -> None:
    with connected(port) as connection:
        answer, body = send(connection, "HEAD", path)
        assert body == b"" and int(answer.headers["Content-Length"]) > 0
        assert send(connection, "GET", "/hub/")[0].status == 200


def test_our_clients_get_gzip_by_default(port: Any) -> None:
    with Hub(f"http://127.0.0.1:{port}/taxii2/", "acme:acme-robot-key") as hub:
        collection = hub.find_collection("green")
        page = hub.fetch_page(collection, {"limit": "1000"})
        raw = hub._pages.get(f"{collection.url}objects/", stream=True)
        assert raw.headers["Content-Encoding"] == "gzip"
        assert len(raw.raw.read(decode_content=False)) * 3 < sum(map(len, page.objects))
    assert len(page.objects) == 23


def test_not_modified_keeps_the_connection_usable(port: Any) -> None:
    with connected(port) as connection:
        answer, _ = send(connection, "GET", "/hub/collections/green/objects/")
        tag = answer.headers["ETag"]
        for _ in range(2):
            answer, body = send(
                connection, "GET", "/hub/collections/green/objects/", If_None_Match=tag
            )
            assert (answer.status, body, answer.headers["ETag"]) == (304, b"", tag)
        assert send(connection, "GET", "/hub/")[0].status == 200


def test_a_body_in_gzip_may_come_in_chunks_and_a_bomb_leaves_the_connection_usable(
    port: Any,
) -> None:
    good = gzip.compress(json.dumps({"objects": [indicator(3)]}).encode())
    bomb = gzip.compress(b" " * (LIMIT + 1))
    packed = CHUNKED | {"Content_Encoding": "gzip"}
    with connected(port) as connection:
        for body, status in ((bomb, 413), (good, 202)):
            answer, _ = send(connection, "POST", POST, iter([body[:9], body[9:]]), **packed)
            assert answer.status == status


def test_7_6_a_body_in_chunks_is_taken(port: Any) -> None:
    body = json.dumps({"objects": [indicator()]}).encode()
    pieces = iter([body[:50], body[50:]])
    with connected(port) as connection:
        answer, content = send(connection, "POST", POST, pieces, **CHUNKED)
    assert (answer.status, json.loads(content)["success_count"]) == (202, 1)


def test_7_6_too_many_chunks_are_refused(port: Any) -> None:
    with connected(port) as connection:
        answer, content = send(connection, "POST", POST, chunks(LIMIT + 1), **CHUNKED)
    assert (answer.status, json.loads(content)["http_status"]) == (413, "413")
    assert answer.headers["Content-Type"] == MT


@pytest.mark.parametrize("surplus", [-1, 0])
def test_7_5_a_body_of_the_announced_length_is_not_too_large(port: Any, surplus: int) -> None:
    body = json.dumps({"objects": [indicator()]}).encode()
    with connected(port) as connection:
        padded = body.ljust(LIMIT + surplus)
        assert send(connection, "POST", POST, padded, Content_Type=MT)[0].status == 202


@pytest.mark.parametrize("method", ["POST", "GET", "PUT"])
def test_the_body_of_a_refused_request_is_not_taken_for_the_next_one(
    port: Any, method: str
) -> None:
    smuggled = b"GET /hub/collections/green/objects/ HTTP/1.1\r\nHost: x\r\n\r\n"
    with connected(port) as connection:
        path = "/hub/collections/never-was/objects/"
        answer, _ = send(connection, method, path, iter([smuggled]), Transfer_Encoding="chunked")
        assert answer.status in (404, 405)
        answer, content = send(connection, "GET", "/hub/")
        assert (answer.status, json.loads(content)["title"]) == (200, "Tocsin")
