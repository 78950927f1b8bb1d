"""The head of a request: its target (RFC 9112), and the limits of its length."""

from __future__ import annotations

import pytest

from tocsin.server.http.parser import MAX_FIELDS, MAX_HEAD, Fault, Head, find_head, parse_head


def parse(target: str, fields: str = "Host: hub.example\r\n") -> Head:
    return parse_head(f"GET {target} HTTP/1.1\r\n{fields}\r\n".encode())


@pytest.mark.parametrize(
    ("target", "path", "query"),
    [
        ("http://hub.example/taxii2/", b"/taxii2/", b""),
        ("HTTPS://hub.example:8443/hub/?limit=1", b"/hub/", b"limit=1"),
        ("http://[::1]:8443/hub/", b"/hub/", b""),
        ("http://hub.example", b"/", b""),
        ("http://hub.example?a=/b", b"/", b"a=/b"),
        ("http://hub.example/a?b=http://c/d", b"/a", b"b=http://c/d"),
        ("/a?b=http://c/d", b"/a", b"b=http://c/d"),
    ],
)
def test_an_absolute_target_is_read_as_its_path_and_query(
    target: str, path: bytes, query: bytes
) -> None:
    head = parse(target)
    assert (head.path, head.query) == (path, query)
    assert head.target.startswith(b"/")


def test_the_authority_of_an_absolute_target_takes_precedence_over_host() -> None:
    assert parse("http://hub.example:8443/").fields[b"Host"] == b"hub.example:8443"
    assert parse("http://other.example/").fields[b"Host"] == b"other.example"
    assert parse("/").fields[b"Host"] == b"hub.example"


@pytest.mark.parametrize("fields", ["", "Host: a b\r\n", "Host: a\r\nHost: a\r\n"])
def test_an_absolute_target_excuses_no_wrong_host(fields: str) -> None:
    with pytest.raises(Fault):
        parse("http://hub.example/", fields)


@pytest.mark.parametrize(
    "target",
    [
        *("http:///hub/", "http:/hub/", "http://[::1/", "http://user@hub.example/", "ftp://a/"),
        *("http://hub.example//hub/", "http://hub.example/#a", "http://a:b/", "hub.example:443"),
    ],
)
def test_other_targets_are_malformed(target: str) -> None:
    with pytest.raises(Fault, match="Malformed request target"):
        parse(target)


class TestLimits:
    def test_as_many_fields_as_allowed_are_read(self) -> None:
        assert parse("/", "Host: a\r\n" + "A: b\r\n" * (MAX_FIELDS - 1)).path == b"/"

    def test_too_many_fields_are_told_from_too_long_ones(self) -> None:
        with pytest.raises(Fault, match="more than 100 header fields: send fewer") as caught:
            parse("/", "Host: a\r\n" + "A: b\r\n" * MAX_FIELDS)
        assert caught.value.status == 431

    @pytest.mark.parametrize(
        ("start", "status", "text"),
        [
            (b"GET / HTTP/1.1\r\nA: ", 431, "and the header fields have more than 65,536 octets"),
            (b"GET /?", 414, "the request line has more than 65,536 octets"),
        ],
    )
    def test_a_head_that_is_too_long_is_refused_with_the_limit(
        self, start: bytes, status: int, text: str
    ) -> None:
        with pytest.raises(Fault, match=text) as caught:
            find_head(bytearray(start + b"a" * MAX_HEAD), 0)
        assert caught.value.status == status
