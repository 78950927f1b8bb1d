"""Warning lists as an index: what they say of a value, and how quickly."""

import ipaddress
import lzma
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from zlib import crc32

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tocsin.admission.warninglists.index import (
    LIST_REACH,
    Reach,
    WarningLists,
    load_warning_lists,
)
from tocsin.admission.warninglists.packed_list import PackedList, pack

LISTS = WarningLists(
    [
        ("sites", Reach.WIDE, ["Good.example", ".dotted.example"]),
        ("popular", Reach.EXACT, ["good.example", "8.8.8.8", "2001:4860:4860::8888/128"]),
        ("clouds", Reach.WITHIN, ["52.0.0.0/8", "52.1.0.0/16", "cloud.example", "2600::/16"]),
        ("empty files", Reach.EXACT, ["D41D8CD98F00B204E9800998ECF8427E"]),
    ]
)


def said(kind: Any, value: Any) -> Any:
    return [(hit.list, hit.exact) for hit in LISTS.hits(kind, value)]


def test_a_listed_name_is_hit_exactly_in_any_case() -> None:
    assert said("domain-name", "GOOD.example.") == [("popular", True), ("sites", True)]
    assert said("domain-name", "dotted.example") == [("sites", True)]


def test_a_subdomain_is_hit_only_by_lists_that_reach_so_far() -> None:
    assert said("domain-name", "a.b.good.example") == [("sites", False)]
    assert said("domain-name", "notgood.example") == []


def test_exact_hits_come_first_and_shared_places_never_hit_exactly() -> None:
    assert said("domain-name", "cloud.example") == [("clouds", False)]


def test_an_address_is_hit_exactly_or_inside_a_range_once() -> None:
    assert said("ipv4-addr", "8.8.8.8") == [("popular", True)]
    assert said("ipv4-addr", "52.1.2.3") == [("clouds", False)]
    assert said("ipv6-addr", "2001:4860:4860:0:0:0:0:8888") == [("popular", True)]
    assert said("ipv6-addr", "2600:1::1") == [("clouds", False)]
    assert said("ipv4-addr", "9.9.9.9") == []


def test_a_network_wider_than_the_listed_one_is_not_hit() -> None:
    assert said("ipv4-addr", "8.8.8.0/24") == []
    assert said("ipv4-addr", "52.1.0.0/16") == [("clouds", False)]


@pytest.mark.parametrize("url", ["https://good.example", "https://good.example:443/"])
def test_a_url_that_names_nothing_but_a_listed_host_is_hit_exactly(url: str) -> None:
    assert ("popular", True) in said("url", url)


@pytest.mark.parametrize(
    "url",
    [
        "https://good.example/phish",
        "https://good.example/?q=1",
        "https://good.example/#/x",
        "https://bad@good.example/",
    ],
)
def test_a_page_on_a_listed_host_is_only_near(url: str) -> None:
    assert said("url", url) == [("sites", False)]


def test_hashes_are_hit_in_any_case_and_only_as_files() -> None:
    assert said("file", "d41d8cd98f00b204e9800998ecf8427e") == [("empty files", True)]
    assert said("mutex", "d41d8cd98f00b204e9800998ecf8427e") == []


@pytest.mark.parametrize("value", ["", ".", "[", "http://[", "::", "1.2.3", "999.1.1.1", "1/2/3"])
def test_nonsense_is_hit_by_nothing(value: str) -> None:
    for kind in ("domain-name", "url", "ipv4-addr", "file", "x-none"):
        assert said(kind, value) == []


NETWORKS = st.one_of(
    st.tuples(st.just(4), st.integers(0, 32), st.integers(0, 2**32 - 1)),
    st.tuples(st.just(6), st.integers(0, 128), st.integers(0, 2**128 - 1)),
)


def network(version: Any, length: Any, address: Any) -> Any:
    kind = ipaddress.IPv4Network if version == 4 else ipaddress.IPv6Network
    return kind((address, length), strict=False)


def close_to(networks: Any) -> Iterator[Any]:
    """Networks of any size at and around the ends of others."""
    for net in networks:
        first, last = int(net.network_address), int(net.broadcast_address)
        for address in (first - 1, first, last, last + 1):
            if 0 <= address < 2**net.max_prefixlen:
                for length in {net.max_prefixlen, net.prefixlen, max(0, net.prefixlen - 1)}:
                    yield network(net.version, length, address)


class TestTheIndex:
    @given(st.lists(st.tuples(NETWORKS, st.integers(0, 2)), max_size=12))
    def test_says_of_every_network_what_the_lists_say(self, entries: Any) -> None:
        nets = [(network(*entry), number) for entry, number in entries]
        lists = [
            (str(each), Reach.WIDE, [str(net) for net, number in nets if number == each])
            for each in range(3)
        ]
        index = WarningLists(lists)
        for asked in close_to([net for net, _ in nets]):
            around = [
                (net, number)
                for net, number in nets
                if net.version == asked.version and asked.subnet_of(net)
            ]
            wanted = {
                str(number): any(net == asked for net, each in around if each == number)
                for _, number in around
            }
            said = index.hits(f"ipv{asked.version}-addr", str(asked))
            assert {hit.list: hit.exact for hit in said} == wanted

    @given(st.dictionaries(st.text(min_size=1), st.integers(0, 2), max_size=30), st.text())
    def test_finds_the_values_that_it_was_given_and_no_others(
        self, values: Any, other: Any
    ) -> None:
        named = {value: (number,) for value, number in values.items()}
        listed = PackedList(pack("about", named, {}))
        assert listed.about == "about"
        for value in (*values, other, "plumless", "buckeroo"):
            assert listed.names(value) == named.get(value, ())

    def test_tells_values_of_one_checksum_apart(self) -> None:
        listed = PackedList(pack(None, {"plumless": (0,), "x": (2,)}, {}))
        assert crc32(b"plumless") == crc32(b"buckeroo")
        assert (listed.names("plumless"), listed.names("buckeroo")) == ((0,), ())
        both = PackedList(pack(None, {"plumless": (0,), "buckeroo": (1,)}, {}))
        assert (both.names("plumless"), both.names("buckeroo")) == ((0,), (1,))

    @pytest.mark.parametrize("block", [b"", b"short", bytes(64), b"\xff" * 64])
    def test_refuses_what_is_none(self, block: Any) -> None:
        with pytest.raises(ValueError):  # noqa: PT011  (of whatever kind)
            PackedList(block)

    def test_is_made_anew_where_it_was_spoilt(self) -> None:
        spoilt = load_warning_lists(["google"], keep=lambda name, make: make()[:100])
        assert spoilt.hits("domain-name", "google.com")

    def test_is_kept_under_another_name_for_other_lists(self) -> None:
        names = []

        def keep(name: str, make: Any) -> Any:
            names.append(name)
            return make()

        for chosen in (["google"], ["google"], ["akamai"]):
            load_warning_lists(chosen, keep=keep)
        assert names[0] == names[1] != names[2]


@pytest.fixture(scope="module")
def shipped() -> Any:
    return load_warning_lists()


class TestTheShippedLists:
    def test_know_the_famous(self, shipped: Any) -> None:
        for kind, value in (
            ("domain-name", "google.com"),
            ("domain-name", "co.uk"),
            ("ipv4-addr", "8.8.8.8"),
            ("ipv6-addr", "2606:4700:4700::1111"),
            ("file", "d41d8cd98f00b204e9800998ecf8427e"),
            ("x509-certificate", "61ED377E85D386A8DFEE6B864BD85B0BFAA5AF81"),
        ):
            assert shipped.hits(kind, value)[0].exact, value

    def test_think_a_page_on_a_famous_host_only_near(self, shipped: Any) -> None:
        assert not shipped.hits("url", "https://docs.google.com/forms/d/x")[0].exact

    def test_can_be_chosen(self) -> None:
        few = load_warning_lists(["google"])
        assert few.hits("domain-name", "google.com") and not few.hits("ipv4-addr", "8.8.8.8")
        with pytest.raises(KeyError):
            load_warning_lists(["no such list"])

    def test_leave_out_where_attackers_live(self) -> None:
        assert not {"tranco", "dynamic-dns", "vpn-ipv4", "disposable-email"} & LIST_REACH.keys()


REAL = Path(os.environ.get("TOCSIN_REAL", "none")) / "distinct_indicators.tsv.xz"


@pytest.mark.skipif(not REAL.exists(), reason="needs the real data ($TOCSIN_REAL)")
def test_hardly_a_real_indicator_is_dropped() -> None:
    lists = load_warning_lists()
    kinds = {"domain": "domain-name", "ipv4": "ipv4-addr", "ipv6": "ipv6-addr", "url": "url"}
    dropped = 0
    with lzma.open(REAL, "rt", encoding="utf-8") as lines:
        for line in lines:
            kind, value, _ = line.rstrip("\n").split("\t")
            hits = lists.hits(kinds.get(kind, "file"), value)
            dropped += bool(hits and hits[0].exact)
    assert dropped <= 99
