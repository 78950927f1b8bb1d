"""Junk on the hub's socket: each gets a TAXII error or a closed connection, and nothing else."""

from __future__ import annotations

import json
import random
from contextlib import closing
from typing import Any

import pytest
from support.examples import examples
from support.socket_peers import BODY, HOST, POST, ROOT, Peer, chunk, get, still_answers
from support.taxii_hub import MT

CASES = 40 * examples(8, 2)
SEEDS = (
    ROOT,
    get("/hub/collections/green/objects/?limit=1&match[type]=indicator", "Prefer: wait=0\r\n"),
    f"{POST}Content-Length: {len(BODY)}\r\n\r\n".encode() + BODY,
    f"{POST}Transfer-Encoding: chunked\r\n\r\n".encode() + chunk(BODY) + b"0\r\n\r\n",
)
SCRAPS = (
    b"\r\n",
    b"\n",
    b"\x00",
    b"\xff",
    b" ",
    b":",
    b"%00",
    b"%",
    b"chunked",
    b"-1",
    b"HTTP/1.1",
)


class TestPathsAndQueries:
    @pytest.mark.parametrize(
        "path",
        [
            "/hub/collections/%00/",
            "/hub/collections/green%00/objects/",
            "/hub/collections/%2e%2e/",
            "/hub/collections/..%2f..%2fetc/objects/",
            "/hub/collections/%ff%fe/objects/",
            "/hub/collections/%zz/",
            "/hub/collections/" + "a" * 60_000 + "/",
            "/hub/collections/green/objects/%00%0d%0a/",
            "/hub/collections/green/objects/{$ne:1}/",
            "/hub/status/%0d%0aX-Injected:%20yes/",
            "/hub//collections//green/",
            "/%0d%0a",
        ],
    )
    def test_junk_in_a_path_is_not_found(self, port: Any, peer: Any, path: str) -> None:
        response = peer.send(get(path)).receive()
        assert (response.status, response.is_taxii) == (404, True)
        assert "x-injected" not in response.headers

    @pytest.mark.parametrize(
        ("query", "status"),
        [
            ("limit=%00", 400),
            ("added_after=%00", 400),
            ("next=%00%0d%0a", 400),
            ("next=" + "A" * 50_000, 400),
            ("match[version]=%ff", 400),
            ("limit=" + "9" * 50_000, 200),
            ("match[id]=" + ",".join("a" * 9 for _ in range(5000)), 400),
            ("match[id]=%00", 200),
            ("match[%0d%0aX-Injected:yes]=1", 200),
            ("&".join(f"a{n}=1" for n in range(6000)), 200),
            ("&".join(f"match[a{n}]=1" for n in range(4000)), 200),
            ("limit=1&" * 5000, 400),
            ("%", 200),
            ("&&&===&&", 200),
        ],
    )
    def test_junk_in_a_query_is_refused_or_ignored(
        self, peer: Any, query: Any, status: int
    ) -> None:
        response = peer.send(get(f"/hub/collections/green/objects/?{query}")).receive()
        assert response.status == status
        assert status == 200 or response.is_taxii
        assert "x-injected" not in response.headers
        assert peer.send(ROOT).receive().status == 200

    @pytest.mark.parametrize(
        "fields",
        [
            "Accept: " + "a/b;q=0.1, " * 4000 + "*/*\r\n",
            "Accept-Encoding: gzip;q=\xff, \x80\r\n",
            "If-None-Match: " + '"a", ' * 8000 + "\r\n",
            "If-None-Match: W/\r\n",
            "Prefer: wait=99999999999999999999\r\n",
            "Prefer: " + "wait=0, " * 5000 + "\r\n",
            'Prefer: wait="\r\n',
            "Range: bytes=0-1\r\n",
            "Expect: 200-ok\r\n",
            "X-Request-Id: \xff\r\n",
            "Content-Length: 0\r\n",
            "Content-Type: \xff;charset=\xff\r\n",
        ],
    )
    def test_odd_header_fields_are_harmless(self, peer: Any, fields: str) -> None:
        response = peer.send(get("/hub/collections/green/manifest/", fields)).receive()
        assert response.status == 200
        assert peer.send(ROOT).receive().status == 200

    @pytest.mark.parametrize(
        ("field", "status"),
        [
            ("X-A:" + " " * 60_000 + "\x00", 400),
            ("X-A: a" + " " * 60_000 + "b", 200),
            ("X-A: a" + " \t" * 30_000, 200),
            ("X-A:" + " " * 60_000, 200),
        ],
    )
    def test_long_blanks_in_a_field_cost_nothing(self, peer: Any, field: str, status: int) -> None:
        octets = get("/hub/collections/green/manifest/", f"{field}\r\n")
        response = peer.send(octets).receive()
        assert response.status == status

    @pytest.mark.parametrize(
        "credential",
        ["Basic ", "Basic \xff", "Basic AAAA", "Basic " + "QQ==" * 9999, "Bearer", "Bearer \xff"],
    )
    def test_an_odd_credential_is_401(self, peer: Any, credential: str) -> None:
        octets = f"GET /hub/ HTTP/1.1\r\n{HOST}Authorization: {credential}\r\n\r\n"
        response = peer.send(octets.encode("latin-1")).receive()
        assert (response.status, response.is_taxii) == (401, True)


def mutated(chance: random.Random) -> bytes:
    """A good request with a few octets put in, taken out, doubled or changed."""
    octets = bytearray(chance.choice(SEEDS))
    for _ in range(chance.choice((1, 1, 2, 4, 16))):
        at, length = chance.randrange(len(octets) + 1), chance.choice((1, 2, 9))
        scrap = chance.choice((chance.choice(SCRAPS), bytes([chance.randrange(256)])))
        span = bytes(octets[at : at + length])
        octets[at : at + length] = chance.choice((scrap, b"", span * 2, scrap + span))
    return bytes(octets)


def test_every_mutated_request_is_answered_or_disconnected(port: Any) -> None:
    chance, seen = random.Random(2026), set()
    for number in range(CASES):
        octets = mutated(chance)
        with closing(Peer(port)) as peer:
            response = peer.send(octets).shut_down_sending().receive()
            seen.add(response and response.status)
            if response is not None:
                assert response.status < 500 or response.status in (501, 505), octets
                assert response.headers["content-type"] == MT, octets
                assert not response.body or isinstance(json.loads(response.body), dict), octets
        assert number % 200 or still_answers(port)
    assert still_answers(port)
    assert {200, 202, 400, 401, 404, 415} <= seen
