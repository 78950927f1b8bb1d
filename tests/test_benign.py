"""Warning lists as an index: what they say of a value, and how quickly."""

import lzma
import os
import time
from pathlib import Path

import pytest

from tocsin.admission.benign import COUNTED, Lists, Reach, load

LISTS = Lists(
    [
        ("sites", Reach.WIDE, ["Good.example", ".dotted.example"]),
        ("popular", Reach.EXACT, ["good.example", "8.8.8.8", "2001:4860:4860::8888/128"]),
        ("clouds", Reach.WITHIN, ["52.0.0.0/8", "52.1.0.0/16", "cloud.example", "2600::/16"]),
        ("empty files", Reach.EXACT, ["D41D8CD98F00B204E9800998ECF8427E"]),
    ]
)


def said(kind, value):
    return [(hit.list, hit.exact) for hit in LISTS.hits(kind, value)]


def test_a_listed_name_is_hit_exactly_in_any_case():
    assert said("domain-name", "GOOD.example.") == [("popular", True), ("sites", True)]
    assert said("domain-name", "dotted.example") == [("sites", True)]


def test_a_subdomain_is_hit_only_by_lists_that_reach_so_far():
    assert said("domain-name", "a.b.good.example") == [("sites", False)]
    assert said("domain-name", "notgood.example") == []


def test_exact_hits_come_first_and_shared_places_never_hit_exactly():
    assert said("domain-name", "cloud.example") == [("clouds", False)]


def test_an_address_is_hit_exactly_or_inside_a_range_once():
    assert said("ipv4-addr", "8.8.8.8") == [("popular", True)]
    assert said("ipv4-addr", "52.1.2.3") == [("clouds", False)]
    assert said("ipv6-addr", "2001:4860:4860:0:0:0:0:8888") == [("popular", True)]
    assert said("ipv6-addr", "2600:1::1") == [("clouds", False)]
    assert said("ipv4-addr", "9.9.9.9") == []


def test_a_network_wider_than_the_listed_one_is_not_hit():
    assert said("ipv4-addr", "8.8.8.0/24") == []
    assert said("ipv4-addr", "52.1.0.0/16") == [("clouds", False)]


@pytest.mark.parametrize("url", ["https://good.example", "https://good.example:443/"])
def test_a_url_that_names_nothing_but_a_listed_host_is_hit_exactly(url):
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
def test_a_page_on_a_listed_host_is_only_near(url):
    assert said("url", url) == [("sites", False)]


def test_hashes_are_hit_in_any_case_and_only_as_files():
    assert said("file", "d41d8cd98f00b204e9800998ecf8427e") == [("empty files", True)]
    assert said("mutex", "d41d8cd98f00b204e9800998ecf8427e") == []


@pytest.mark.parametrize("value", ["", ".", "[", "http://[", "::", "1.2.3", "999.1.1.1", "1/2/3"])
def test_nonsense_is_hit_by_nothing(value):
    for kind in ("domain-name", "url", "ipv4-addr", "file", "x-none"):
        assert said(kind, value) == []


@pytest.fixture(scope="module")
def shipped():
    return load()


class TestTheShippedLists:
    def test_know_the_famous(self, shipped):
        for kind, value in (
            ("domain-name", "google.com"),
            ("domain-name", "co.uk"),
            ("ipv4-addr", "8.8.8.8"),
            ("ipv6-addr", "2606:4700:4700::1111"),
            ("file", "d41d8cd98f00b204e9800998ecf8427e"),
        ):
            assert shipped.hits(kind, value)[0].exact, value

    def test_think_a_page_on_a_famous_host_only_near(self, shipped):
        assert not shipped.hits("url", "https://docs.google.com/forms/d/x")[0].exact

    def test_load_in_reasonable_time(self):
        start = time.process_time()
        load()
        assert time.process_time() - start < 3  # 0.3 s on an idle machine

    def test_can_be_chosen(self):
        few = load(["google"])
        assert few.hits("domain-name", "google.com") and not few.hits("ipv4-addr", "8.8.8.8")
        with pytest.raises(KeyError):
            load(["no such list"])

    def test_leave_out_where_attackers_live(self):
        assert not {"tranco", "dynamic-dns", "vpn-ipv4", "disposable-email"} & COUNTED.keys()


REAL = Path(os.environ.get("TOCSIN_REAL", "none")) / "distinct_indicators.tsv.xz"


@pytest.mark.skipif(not REAL.exists(), reason="needs the real data ($TOCSIN_REAL)")
def test_hardly_a_real_indicator_is_dropped():
    lists = load()
    kinds = {"domain": "domain-name", "ipv4": "ipv4-addr", "ipv6": "ipv6-addr", "url": "url"}
    dropped = 0
    with lzma.open(REAL, "rt", encoding="utf-8") as lines:
        for line in lines:
            kind, value, _ = line.rstrip("\n").split("\t")
            hits = lists.hits(kinds.get(kind, "file"), value)
            dropped += bool(hits and hits[0].exact)
    assert dropped <= 99
