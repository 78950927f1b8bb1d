"""The target of a request: in origin form, or absolute as it is sent to a proxy (RFC 9112)."""

from __future__ import annotations

import pytest

from tocsin.server.http.parser import Fault, Head, parse_head


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
