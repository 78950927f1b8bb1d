"""Index of warning lists: the hits for a value."""

import ipaddress
import lzma
import os
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from zlib import crc32

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tocsin.admission.model import WarninglistHit
from tocsin.admission.warninglists.index import (
    PackedList,
    WarningLists,
    WithExclusions,
    load_warning_lists,
    pack,
)
from tocsin.admission.warninglists.lists import LIST_REACH, Reach

LISTS = WarningLists(
    [
        ("sites", Reach.WIDE, ["Good.example", ".dotted.example"]),
        ("popular", Reach.EXACT, ["good.example", "8.8.8.8", "2001:4860:4860::8888/128"]),
        ("clouds", Reach.WITHIN, ["52.0.0.0/8", "52.1.0.0/16", "cloud.example", "2600::/16"]),
        ("empty files", Reach.EXACT, ["D41D8CD98F00B204E9800998ECF8427E"]),
        ("mail servers", Reach.EACH, ["40.92.0.0/15"]),
        ("schemas", Reach.PAGES, ["names.example"]),
    ]
)


def hits_for(kind: Any, value: Any) -> Any:
    return [(hit.list, hit.exact) for hit in LISTS.hits(kind, value)]


def test_a_listed_name_is_an_exact_hit_in_any_case() -> None:
    assert hits_for("domain-name", "GOOD.example.") == [("popular", True), ("sites", True)]
    assert hits_for("domain-name", "dotted.example") == [("sites", True)]


def test_a_subdomain_is_hit_only_by_lists_with_reach_wide() -> None:
    assert hits_for("domain-name", "a.b.good.example") == [("sites", False)]
    assert hits_for("domain-name", "notgood.example") == []


def test_a_list_with_reach_within_has_no_exact_hits() -> None:
    assert hits_for("domain-name", "cloud.example") == [("clouds", False)]


def test_an_address_is_hit_once_exactly_or_inside_a_network() -> None:
    assert hits_for("ipv4-addr", "8.8.8.8") == [("popular", True)]
    assert hits_for("ipv4-addr", "52.1.2.3") == [("clouds", False)]
    assert hits_for("ipv6-addr", "2001:4860:4860:0:0:0:0:8888") == [("popular", True)]
    assert hits_for("ipv6-addr", "2600:1::1") == [("clouds", False)]
    assert hits_for("ipv4-addr", "9.9.9.9") == []


def test_each_address_of_a_range_with_reach_each_is_an_exact_hit() -> None:
    assert hits_for("ipv4-addr", "40.92.1.2") == [("mail servers", True)]
    assert hits_for("url", "http://40.92.1.2/") == [("mail servers", True)]
    assert hits_for("url", "http://40.92.1.2/panel") == [("mail servers", False)]


@pytest.mark.parametrize("url", ["http://names.example/2001/a?b#c", "https://NAMES.example:8443/"])
def test_every_page_of_a_host_with_reach_pages_is_an_exact_hit(url: str) -> None:
    assert hits_for("url", url) == hits_for("domain-name", "names.example") == [("schemas", True)]


@pytest.mark.parametrize(
    "url",
    [
        "http://a.names.example/2001/a",
        "http://names.example.evil.top/a",
        "http://names.example@e.top/",
    ],
)
def test_a_page_of_another_host_is_none_of_these(url: str) -> None:
    assert hits_for("url", url) == []


@pytest.mark.parametrize(
    ("value", "lists"),
    [
        ("8.8.8.0/24", ["popular"]),
        ("8.8.8.8/31", ["popular"]),
        ("8.0.0.0/8", ["popular"]),
        ("40.0.0.0/8", ["mail servers"]),
        ("2001:4860::/32", ["popular"]),
        ("8.8.9.0/24", []),
        ("51.0.0.0/7", []),  # around a range that never counts exactly
    ],
)
def test_a_network_includes_the_listed_addresses_in_it(value: str, lists: list[str]) -> None:
    hits = LISTS.hits("ipv6-addr" if ":" in value else "ipv4-addr", value)
    assert [hit.list for hit in hits if hit.included] == lists
    assert not any(hit.exact for hit in hits)


@pytest.mark.parametrize(
    "url",
    [
        *("https://good.example", "https://good.example:443/", "https://good.example//?"),
        *("https://good.example/./", "https://good.example/%2E%2e/."),
    ],
)
def test_a_url_of_a_listed_host_without_a_path_is_an_exact_hit(url: str) -> None:
    assert ("popular", True) in hits_for("url", url)


@pytest.mark.parametrize(
    "url",
    [
        "https://good.example/phish",
        "https://good.example/?q=1",
        "https://good.example/#/x",
        "https://bad@good.example/",
    ],
)
def test_a_url_with_more_than_a_listed_host_is_not_an_exact_hit(url: str) -> None:
    hits = LISTS.hits("url", url)
    assert ("sites", False) in hits_for("url", url) and not any(hit.exact for hit in hits)


@pytest.mark.parametrize("more", ["/#/x", "#x", "/?#", "/.#x"])
@pytest.mark.parametrize("user", ["", "bad@", "a:b@"])
def test_a_url_that_products_shorten_to_a_start_page_includes_it(more: str, user: str) -> None:
    url = f"https://{user}good.example{more}"
    degree = {hit.list: (hit.exact, hit.included) for hit in LISTS.hits("url", url)}
    shortened = user != "" or len(more.partition("#")[2]) > 0
    assert degree["popular"] == (not shortened, shortened)


class TestExclusions:
    OWN = WithExclusions(
        [
            ("domain-name", "ours.example", "own"),
            ("ipv4-addr", "45.77.141.9", ""),
            ("ipv4-addr", "45.80.0.0/24", ""),
            ("ipv6-addr", "2600:9::9", ""),
            ("url", "http://shop.example/a?b", ""),
            ("email-addr", "Me@ours.example", ""),
        ],
        LISTS,
    )

    @pytest.mark.parametrize(
        ("kind", "value"),
        [
            ("domain-name", "ours.example"),
            ("email-addr", "me@ours.example"),
            *(
                ("url", f"{scheme}://{user}ours.example{more}")
                for scheme in ("http", "https")
                for user in ("", "a@")
                for more in ("", "/", "//", "/#a", ":8080/", "/?#")
            ),
            ("url", "http://45.77.141.9/#a"),
            ("url", "http://[2600:9::9]"),
        ],
    )
    def test_an_excluded_value_is_hit_in_any_spelling(self, kind: str, value: str) -> None:
        hit = self.OWN.hits(kind, value)[0]
        assert hit.excluded and hit.exact

    @pytest.mark.parametrize(
        ("kind", "value"),
        [
            ("ipv4-addr", "45.77.141.0/24"),
            ("ipv4-addr", "45.77.141.8/31"),
            ("ipv4-addr", "45.80.0.0/23"),
            ("ipv6-addr", "2600:9::/32"),
            ("url", "https://shop.example/a?b"),
            ("url", "http://u@shop.example/a?b#c"),
        ],
    )
    def test_a_value_with_which_an_excluded_one_is_blocked_includes_it(
        self, kind: str, value: str
    ) -> None:
        hit = self.OWN.hits(kind, value)[-1]
        assert hit.excluded and hit.included and not hit.exact

    @pytest.mark.parametrize(
        ("kind", "value"),
        [
            ("domain-name", "a.ours.example"),
            ("url", "http://ours.example/a"),
            ("url", "http://ours.example/?a"),
            ("url", "http://shop.example/a"),
            ("ipv4-addr", "45.77.141.10"),
            ("ipv4-addr", "45.77.141.10/31"),
            ("ipv4-addr", "45.80.0.0/25"),
            ("ipv4-addr", "45.80.0.1"),
            ("email-addr", "you@ours.example"),
        ],
    )
    def test_any_other_value_is_not_excluded(self, kind: str, value: str) -> None:
        assert not any(hit.excluded for hit in self.OWN.hits(kind, value))


def test_hashes_are_hit_in_any_case_and_for_files_only() -> None:
    assert hits_for("file", "d41d8cd98f00b204e9800998ecf8427e") == [("empty files", True)]
    assert hits_for("mutex", "d41d8cd98f00b204e9800998ecf8427e") == []


@pytest.mark.parametrize("value", ["", ".", "[", "http://[", "::", "1.2.3", "999.1.1.1", "1/2/3"])
def test_an_invalid_value_has_no_hits(value: str) -> None:
    for kind in ("domain-name", "url", "ipv4-addr", "file", "x-none"):
        assert hits_for(kind, value) == []


NETWORKS = st.one_of(
    st.tuples(st.just(4), st.integers(0, 32), st.integers(0, 2**32 - 1)),
    st.tuples(st.just(6), st.integers(0, 128), st.integers(0, 2**128 - 1)),
)


def network(version: Any, length: Any, address: Any) -> Any:
    kind = ipaddress.IPv4Network if version == 4 else ipaddress.IPv6Network
    return kind((address, length), strict=False)


def networks_near(networks: Any) -> Iterator[Any]:
    """Networks of several sizes at and next to the ends of the given ones."""
    for net in networks:
        first, last = int(net.network_address), int(net.broadcast_address)
        for address in (first - 1, first, last, last + 1):
            if 0 <= address < 2**net.max_prefixlen:
                for length in {net.max_prefixlen, net.prefixlen, max(0, net.prefixlen - 1)}:
                    yield network(net.version, length, address)


class TestIndex:
    @pytest.mark.slow
    @given(st.lists(st.tuples(NETWORKS, st.integers(0, 2)), max_size=12))
    def test_the_index_has_the_hits_of_its_lists_for_every_network(self, entries: Any) -> None:
        nets = [(network(*entry), number) for entry, number in entries]
        lists = [
            (str(each), Reach.WIDE, [str(net) for net, number in nets if number == each])
            for each in range(3)
        ]
        index = WarningLists(lists)
        for queried in networks_near([net for net, _ in nets]):
            containing = [
                (net, number)
                for net, number in nets
                if net.version == queried.version and queried.subnet_of(net)
            ]
            included = {
                str(number)
                for net, number in nets
                if net.version == queried.version and net != queried and net.subnet_of(queried)
            }
            exact = {str(number) for net, number in containing if net == queried}
            hits = index.hits(f"ipv{queried.version}-addr", str(queried))
            assert {hit.list for hit in hits if hit.exact} == exact
            assert {hit.list for hit in hits if hit.included} == included - exact
            assert {hit.list for hit in hits} == {str(n) for _, n in containing} | included

    @pytest.mark.slow
    @given(st.dictionaries(st.text(min_size=1), st.integers(0, 2), max_size=30), st.text())
    def test_a_packed_list_contains_its_values_and_no_others(self, values: Any, other: Any) -> None:
        named = {value: (number,) for value, number in values.items()}
        packed = PackedList(pack("about", named, {}))
        assert packed.about == "about"
        for value in (*values, other, "plumless", "buckeroo"):
            assert packed.names(value) == named.get(value, ())

    def test_a_packed_list_distinguishes_values_with_the_same_checksum(self) -> None:
        packed = PackedList(pack(None, {"plumless": (0,), "x": (2,)}, {}))
        assert crc32(b"plumless") == crc32(b"buckeroo")
        assert (packed.names("plumless"), packed.names("buckeroo")) == ((0,), ())
        both = PackedList(pack(None, {"plumless": (0,), "buckeroo": (1,)}, {}))
        assert (both.names("plumless"), both.names("buckeroo")) == ((0,), (1,))

    @pytest.mark.parametrize("block", [b"", b"short", bytes(64), b"\xff" * 64])
    def test_a_damaged_packed_list_is_refused(self, block: Any) -> None:
        with pytest.raises(ValueError):  # noqa: PT011  (any message)
            PackedList(block)

    @pytest.mark.slow
    def test_a_damaged_cached_index_is_rebuilt(self) -> None:
        rebuilt = load_warning_lists(["google"], keep=lambda name, make: make()[:100])
        assert rebuilt.hits("domain-name", "google.com")

    @pytest.mark.slow
    def test_the_cached_index_has_another_name_for_other_lists(self) -> None:
        names = []

        def keep(name: str, make: Any) -> Any:
            names.append(name)
            return make()

        for selection in (["google"], ["google"], ["akamai"]):
            load_warning_lists(selection, keep=keep)
        assert names[0] == names[1] != names[2]


@pytest.fixture(scope="module")
def shipped() -> Any:
    return load_warning_lists()


class TestShippedLists:
    def test_the_shipped_lists_contain_well_known_values(self, shipped: Any) -> None:
        for kind, value in (
            ("domain-name", "google.com"),
            ("domain-name", "co.uk"),
            ("ipv4-addr", "8.8.8.8"),
            ("ipv6-addr", "2606:4700:4700::1111"),
            ("file", "d41d8cd98f00b204e9800998ecf8427e"),
            ("x509-certificate", "61ED377E85D386A8DFEE6B864BD85B0BFAA5AF81"),
            ("url", "http://www.w3.org/2001/XMLSchema"),
        ):
            assert shipped.hits(kind, value)[0].exact, value

    def test_a_page_on_a_well_known_host_is_not_an_exact_hit(self, shipped: Any) -> None:
        assert not shipped.hits("url", "https://docs.google.com/forms/d/x")[0].exact

    @pytest.mark.slow
    def test_warning_lists_can_be_selected_by_name(self) -> None:
        google_only = load_warning_lists(["google"])
        assert google_only.hits("domain-name", "google.com") and not google_only.hits(
            "ipv4-addr", "8.8.8.8"
        )
        with pytest.raises(KeyError):
            load_warning_lists(["no such list"])

    def test_lists_of_places_that_attackers_use_are_not_shipped(self) -> None:
        assert not {"tranco", "vpn-ipv4", "disposable-email"} & LIST_REACH.keys()

    @pytest.mark.parametrize(
        ("kind", "value"),
        [
            ("domain-name", "duckdns.org"),  # dynamic DNS
            ("domain-name", "linktr.ee"),
            ("domain-name", "api.telegram.org"),  # a popular site
            ("ipv4-addr", "40.92.1.2"),  # sends the mail of Outlook
        ],
    )
    def test_popular_sites_and_mail_servers_are_held(
        self, shipped: Any, kind: str, value: str
    ) -> None:
        hit = next(hit for hit in shipped.hits(kind, value) if hit.mode)
        assert hit.exact and hit.mode == "hold"

    def test_an_address_of_a_scanner_is_not_an_exact_hit(self, shipped: Any) -> None:
        hits = shipped.hits("ipv4-addr", "71.6.135.131")
        assert any("Shodan" in hit.list for hit in hits)
        assert not any(hit.exact for hit in hits)

    def test_a_host_below_a_dynamic_name_is_not_an_exact_hit(self, shipped: Any) -> None:
        hits = shipped.hits("domain-name", "evil-portal.duckdns.org")
        assert not any(hit.exact for hit in hits)


REAL_INDICATORS = Path(os.environ.get("TOCSIN_REAL", "none")) / "distinct_indicators.tsv.xz"


@pytest.mark.skipif(not REAL_INDICATORS.exists(), reason="needs the real data ($TOCSIN_REAL)")
def test_few_real_indicators_are_refused_or_held() -> None:
    lists = load_warning_lists()
    kinds = {"domain": "domain-name", "ipv4": "ipv4-addr", "ipv6": "ipv6-addr", "url": "url"}
    modes: Counter[str] = Counter()
    with lzma.open(REAL_INDICATORS, "rt", encoding="utf-8") as lines:
        for line in lines:
            kind, value, _ = line.rstrip("\n").split("\t")
            hits = lists.hits(kinds.get(kind, "file"), value)
            named = {"hold" if hit.included else hit.mode for hit in hits if _is_named(hit)}
            modes[min(named, default="none")] += 1
    assert modes[""] <= 99  # refused
    assert modes["hold"] <= 45


def _is_named(hit: WarninglistHit) -> bool:
    return hit.exact or hit.included
