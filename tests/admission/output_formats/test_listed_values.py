"""Values for block lists: what an indicator says by equality alone."""

from typing import Any

import pytest
from support.feed_states import listing

from tocsin.admission.output_formats.listed_values import listed_values
from tocsin.admission.patterns.grammar import quote_string

MD5 = "d41d8cd98f00b204e9800998ecf8427e"


def values(pattern: str, **more: Any) -> list[str]:
    return [value for _, value in listed_values(listing(pattern, **more))]


@pytest.mark.parametrize(
    ("pattern", "found"),
    [
        ("[domain-name:value = 'Bad.Test']", [("domain", "bad.test")]),
        ("[domain-name:value = 'bücher.example']", [("domain", "xn--bcher-kva.example")]),
        ("[ipv4-addr:value = '198.51.100.7/32']", [("ipv4", "198.51.100.7")]),
        ("[ipv4-addr:value = '198.51.100.7/24']", [("ipv4", "198.51.100.0/24")]),
        ("[ipv4-addr:value ISSUBSET '198.51.100.0/24']", [("ipv4", "198.51.100.0/24")]),
        ("[ipv6-addr:value = '2001:DB8::0007']", [("ipv6", "2001:db8::7")]),
        ("[url:value = 'HTTP://Bad.Test:80/A b']", []),
        ("[url:value = 'HTTP://Bad.Test:80/Ä']", [("url", "http://bad.test/%C3%84")]),
        ("[email-addr:value = 'Me@Bad.Test']", [("email", "Me@bad.test")]),
        ("[email-message:from_ref.value = 'me@bad.test']", [("email", "me@bad.test")]),
        ("[network-traffic:dst_ref.value = '198.51.100.7']", [("ipv4", "198.51.100.7")]),
        (f"[file:hashes.MD5 = '{MD5.upper()}']", [("md5", MD5)]),
        (f"[file:hashes.'SHA256' = '{MD5 * 2}']", [("sha256", MD5 * 2)]),
    ],
)
def test_a_value_is_listed_in_its_one_spelling(pattern: str, found: list[tuple[str, str]]) -> None:
    assert list(listed_values(listing(pattern))) == found


@pytest.mark.parametrize(
    "pattern",
    [
        "[domain-name:value = 'a.test' OR domain-name:value = 'b.test']",
        "[domain-name:value = 'b.test'] OR [domain-name:value = 'a.test']",
        "[domain-name:value IN ('a.test', 'b.test', 'b.test')]",
        "([domain-name:value = 'a.test'] OR [(domain-name:value = 'b.test')])",
    ],
)
def test_each_of_several_alternatives_is_listed_once(pattern: str) -> None:
    assert values(pattern) == ["a.test", "b.test"]


@pytest.mark.parametrize(
    "pattern",
    [
        "[domain-name:value = 'a.test' AND url:value = 'http://a.test/']",
        "[domain-name:value = 'a.test'] AND [url:value = 'http://a.test/']",
        "[domain-name:value = 'a.test'] FOLLOWEDBY [url:value = 'http://a.test/']",
        "[domain-name:value = 'a.test'] WITHIN 5 SECONDS",
        "[domain-name:value = 'a.test'] REPEATS 3 TIMES",
        "[domain-name:value = 'a.test'] START t'2026-01-01T00:00:00Z' STOP t'2026-02-01T00:00:00Z'",
        "[domain-name:value != 'a.test']",
        "[domain-name:value NOT = 'a.test']",
        "[domain-name:value NOT IN ('a.test')]",
        "[domain-name:value LIKE 'a.test']",
        "[domain-name:value MATCHES 'a.test']",
        "[domain-name:value > 'a.test']",
        "[ipv4-addr:value ISSUPERSET '198.51.100.0/24']",
        "[domain-name:resolves_to_refs[*].value = '198.51.100.7']",
        "[x509-certificate:hashes.MD5 = 'd41d8cd98f00b204e9800998ecf8427e']",
        "[file:name = 'a.test']",
        "no pattern",
    ],
)
def test_a_pattern_that_needs_more_than_equality_is_not_listed(pattern: str) -> None:
    assert values(pattern) == []


def test_the_alternatives_beside_a_combination_are_listed() -> None:
    pattern = "[domain-name:value = 'a.test' OR (url:value = 'http://x.test' AND file:size = 1)]"
    assert values(pattern) == ["a.test"]


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        ("domain-name", "*.bad.test"),
        ("domain-name", "com"),
        ("domain-name", "bad test"),
        ("domain-name", "bad.test\nCNAME ."),
        ("domain-name", "bad.test;"),
        ("domain-name", "-bad.test"),
        ("domain-name", "198.51.100.7"),
        ("domain-name", "a" * 64 + ".test"),
        ("domain-name", ".".join(["a" * 60] * 5)),
        ("domain-name", "bad..test"),
        ("domain-name", ""),
        ("ipv4-addr", "0.0.0.0/0"),
        ("ipv4-addr", "0.0.0.0"),
        ("ipv4-addr", "10.0.0.0/7"),
        ("ipv4-addr", "8.0.0.0/11"),
        ("ipv6-addr", "2a00::/27"),
        ("ipv4-addr", "127.0.0.1"),
        ("ipv4-addr", "224.0.0.1"),
        ("ipv4-addr", "198.51.100.7; drop"),
        ("ipv4-addr", "2001:db8::7"),
        ("ipv6-addr", "::/0"),
        ("ipv6-addr", "fe80::1%eth0"),
        ("ipv6-addr", "::1"),
        ("url", "bad.test/a"),
        ("url", "http://bad.test/a\nb"),
        ("url", "http://bad.test/a b"),
        ("url", "http:///a"),
        ("url", "http://0.0.0.0/"),
        ("url", "http://*.bad.test/"),
        ("url", "http://bad.test/\x1b[2J"),
        ("url", "javascript:alert(1)"),
        ("url", "http://bad.test/*"),
        ("url", "http://bad.test/a/**"),
        ("url", "http://bad.test/" + "a" * 5000),
        ("email-addr", "me@localhost"),
        ("email-addr", "*@bad.test"),
        ("email-addr", '"a b"@bad.test'),
        ("email-addr", "me@bad.test\tx"),
    ],
)
def test_a_value_that_no_list_could_mean_is_not_listed(kind: str, value: str) -> None:
    assert values(f"[{kind}:value = {quote_string(value)}]") == []


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        ("ipv4-addr", "10.0.0.0/8"),
        ("ipv4-addr", "172.0.0.0/8"),
        ("ipv4-addr", "192.168.1.1"),
        ("ipv4-addr", "100.64.0.1"),
        ("ipv4-addr", "169.254.169.254"),
        ("ipv4-addr", "255.255.255.255"),
        ("ipv4-addr", "0.0.0.1/8"),
        ("ipv6-addr", "fe80::1"),
        ("ipv6-addr", "fd00::/19"),
        ("ipv6-addr", "64:ff9b::/96"),
        ("ipv6-addr", "::ffff:0:0/96"),
        ("ipv6-addr", "2002:c000::/19"),
        ("domain-name", "co.uk"),
        ("domain-name", "wpad.localdomain"),
        ("domain-name", "a.localhost"),
        ("domain-name", "printer.local"),
        ("domain-name", "1.168.192.in-addr.arpa"),
        ("url", "http://10.0.0.1/"),
        ("url", "http://[::1]/"),
        ("url", "http://co.uk/"),
        ("url", "http://a.internal/"),
    ],
)
def test_what_means_something_else_in_each_network_is_not_listed(kind: str, value: str) -> None:
    assert values(f"[{kind}:value = {quote_string(value)}]") == []


@pytest.mark.parametrize(
    "url",
    [
        "http://a@bad.test@good.test/",
        "http://bad.test\\@good.test/",
        "http://bad.test%5C@good.test/",
        "http://bad.test@",
        "http://bad.test:99999/",
        "http://bad.test:x/",
        "http://bad.test:80:90/",
        "http://bad.test:²/",
        "http://[::::]/",
        "http://[1:2]/",
        "http://[2001:db8::7]:x/",
    ],
)
def test_a_url_whose_host_and_port_programs_would_dispute_is_not_listed(url: str) -> None:
    assert values(f"[url:value = {quote_string(url)}]") == []


@pytest.mark.parametrize(
    "url",
    [
        "http://me:secret@bad.test:8080/a@b:c",
        "http://[2001:db8::7]:8080/a",
        "http://bad.test?a@b",
        "http://bad.test#a:b",
        "http://198.51.100.7:65535",
    ],
)
def test_a_url_with_credentials_an_address_or_a_port_is_listed(url: str) -> None:
    assert values(f"[url:value = {quote_string(url)}]") == [url]


def test_a_hash_of_another_length_is_not_listed() -> None:
    assert values(f"[file:hashes.'SHA-256' = '{MD5}']") == []


@pytest.mark.parametrize("sign", list("\"<>\\^`{|}';,#$%&"))
def test_signs_with_a_meaning_elsewhere_are_in_urls_as_a_program_sends_them(sign: str) -> None:
    (value,) = values(f"[url:value = {quote_string(f'http://bad.test/{sign}x')}]")
    assert value in (f"http://bad.test/{sign}x", f"http://bad.test/%{ord(sign):02X}x")
    assert not set(value) & set('"<>\\^`{|}')


@pytest.mark.parametrize(
    "more",
    [
        {"revoked": True},
        {"pattern_type": "yara"},
        {"indicator_types": ["benign"]},
        {"type": "domain-name", "value": "a.test"},
        {"pattern": 5},
    ],
)
def test_only_indicators_that_say_that_something_is_bad_are_listed(more: Any) -> None:
    assert listed_values({**listing("[domain-name:value = 'a.test']"), **more}) == ()
