"""Cheap questions that are asked first change no answer."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.examples import examples

from tocsin.admission.detectors import ip_addresses
from tocsin.admission.detectors.ip_addresses import find_ip_networks
from tocsin.admission.observables import addresses, urls
from tocsin.admission.observables.urls import canonical_url

many_examples = settings(max_examples=examples(600, 150), deadline=None, derandomize=True)


def joined(*choices: str, most: int = 1) -> st.SearchStrategy[str]:
    """Up to `most` of these pieces, one after another; pieces are separated by blanks."""
    pieces = [piece for choice in choices for piece in choice.split(" ")]
    return st.lists(st.sampled_from(pieces), max_size=most).map("".join)


def in_order(*parts: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    return st.tuples(*parts).map("".join)


URLS = in_order(
    st.sampled_from(("", " ", "\t", "\x85")),
    st.sampled_from(("http", "https", "ftp", "HTTP", "tcp", "ws")),
    st.sampled_from(("://", "://", "://", ":/", ":")),
    joined(
        "evil Evil top com _dmarc - . .. 10.0.0.1 [2001:DB8::1] jane@", "b\u00fccher \u3002", most=5
    ),
    joined(":80 :443 :21 :8080 :x :"),
    joined("/ ? # // \\ Path @ %20 \u00a0 \t \n \x85", most=5),
    st.sampled_from(("", "", " ", "\n", "\u00a0")),
)
POINTS = st.sampled_from((".", ".", "[.]", "(dot)", "[DOT]", "\\.", "-", ":"))
NUMBERS = st.sampled_from(("10", "0", "1", "255", "256", "db8", ""))
ADDRESSES = in_order(
    joined("x ip- IP- :: http:// HTTP:// \u0130 [ 167772161 0x0a000001 ip-10-0-0-1", most=2),
    *(NUMBERS, POINTS, NUMBERS, POINTS, NUMBERS, POINTS, NUMBERS),
    joined(".in-addr.arpa .IN-ADDR.ARPA /24 :80 ] x / 2001:db8::1", most=2),
)


@pytest.mark.slow
@many_examples
@given(URLS)
def test_a_url_that_is_canonical_at_once_is_canonical(text: str) -> None:
    with pytest.MonkeyPatch.context() as patched:
        found = canonical_url(text)
        patched.setattr(urls, "_CANONICAL_URL", addresses.PLAIN_IPV4)
        assert canonical_url(text) == found


@pytest.mark.parametrize(
    "text", ["http://evil.top", "https://a-b.evil.top/A?b#c", "ftp://10.0.0.1/x", "http://e/\x07 "]
)
def test_most_urls_are_canonical_at_once(text: str) -> None:
    assert urls._CANONICAL_URL.fullmatch(text.strip())
    assert canonical_url(text) == text.strip()


@pytest.mark.slow
@many_examples
@given(ADDRESSES)
def test_a_text_in_which_no_address_is_searched_has_none(text: str) -> None:
    assert find_ip_networks(text) == tuple(ip_addresses._find_ip_networks(text))


def test_most_texts_are_not_searched_for_addresses() -> None:
    texts = ["cdn.evil.top", "0cc175b9c0f1b6a831c399e269772661", "seen at 10:30"]
    assert not any(map(ip_addresses._may_hold_address, texts))
