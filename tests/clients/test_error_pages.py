"""Error pages in place of lists are recognised, and documents that are meant are not."""

import time

import pytest
from support.slowness import measure_slowness

from tocsin.clients.error_pages import explain_error_page, find_format

PAGE = b"<!doctype html><title>Blocked</title>Your address 203.0.113.9 is blocked"
ERROR = b'{"status": "error", "message": "client 203.0.113.9 blocked"}'
STIX = b'{"type": "bundle", "id": "bundle--1", "objects": []}'


@pytest.mark.parametrize("name", ["list.csv", "LIST.TXT", "list.json", "iocs.ioc", "report.xml"])
@pytest.mark.parametrize(
    "page",
    [
        *(PAGE, b"\xef\xbb\xbf\n<HTML>", b"<!-- cache --><h1>Blocked</h1>", PAGE[15:]),
        *(b"<br />\n<b>Warning</b>: db.top is down", b"<noscript>off</noscript>"),
        b"<?xml version='1.0'?>\n<Error><HostId>db.top</HostId></Error>",
    ],
)
def test_a_web_page_in_place_of_a_list_is_named(name: str, page: bytes) -> None:
    assert "it is a web page" in explain_error_page(name, page)


@pytest.mark.parametrize("name", ["list.csv", "list.txt"])
def test_json_in_place_of_a_list_is_named(name: str) -> None:
    assert f".{name[-3:]} file is expected" in explain_error_page(name, ERROR)


def test_the_earlier_format_tells_what_is_expected_where_the_name_does_not() -> None:
    assert not explain_error_page("feed", PAGE) and not explain_error_page("feed", PAGE, "html")
    assert "the format text is expected" in explain_error_page("feed", PAGE, "text")
    assert "the format csv is expected" in explain_error_page("feed.php", ERROR, "csv")


def test_a_source_that_always_gives_json_is_read_again() -> None:
    feed = b'{"1": {"ioc": "evil-portal.top"}}'
    assert not explain_error_page("recent", feed, find_format("recent", feed))
    assert "it is a web page" in explain_error_page("recent", PAGE, find_format("recent", feed))
    assert "JSON of no known format" in explain_error_page("recent", feed, "text")


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("page.html", PAGE),
        ("list.txt", b"evil-portal.top\n"),
        ("list.csv", b"domain,note\nevil-portal.top,<html>\n"),
        ("lines.txt", b'{"domain": "a.top"}\n{"domain": "b.top"}\n'),
        ("list.txt", STIX),
        ("list.txt", b"<b@evil-portal.top>\n<br-1@evil-portal.top>\n"),
        ("report.xml", b"<?xml version='1.0'?><stix:STIX_Package/>"),
    ],
)
def test_a_document_that_is_meant_is_read(name: str, content: bytes) -> None:
    assert explain_error_page(name, content, "html" if name == "page.html" else "text") == ""


def test_many_comments_take_no_time() -> None:
    began = time.process_time()
    assert not explain_error_page("list.txt", b"<!---->" * 2_000)
    assert time.process_time() - began < 1 * measure_slowness()
