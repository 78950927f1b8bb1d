"""Search: any spelling of a value finds the objects that the account may read, and no others."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
from support.hub import AMBER, CLEAR, GREEN, HubInProcess, indicator, sdo
from support.statement_marking import STATEMENT

from tocsin.admission.errors import NotAllowed
from tocsin.server.model import Account, Collection, CollectionKind, Partner, View
from tocsin.server.reports.search import SearchFilters, SearchKind, SearchResult, understand_text
from tocsin.server.store.exclusions import parse_exclusion
from tocsin.server.store.feeds.packing import Packer
from tocsin.server.store.value_terms import has_terms, value_terms

LONG = f"http://cdn.top/{'x' * 2_500}"
OTHER_PAGES = "[url:value IN ('http://far.cdn.top/', 'http://cdn.top/a', 'http://9.8.7.6/?a')]"
OPERATOR = Account("operator", "", operator=True)


@pytest.fixture(params=["indexed", "not indexed yet"])
def find(hub: HubInProcess, request: pytest.FixtureRequest) -> Any:
    """A function that searches, with and without an index; the titles of the hits."""

    def search(text: str, who: str = "", **filters: Any) -> list[str]:
        if request.param == "indexed":
            index(hub)
        return [hit.title for hit in ask(hub, text, who, **filters).hits]

    return search


def index(hub: HubInProcess) -> None:
    """Index everything that was published."""
    while hub.store.values.index_next(fewest=1):
        pass


def ask(hub: HubInProcess, text: str, who: str = "", **filters: Any) -> SearchResult:
    """Search as an account; empty: the operator."""
    account = hub.store.accounts.find_account(who) if who else OPERATOR
    assert account is not None
    return hub.services.search.search(account, text, SearchFilters(**filters))


def on(pattern: str, **more: Any) -> Any:
    """An indicator with this pattern."""
    return indicator(**more) | {"pattern": pattern}


def address(value: str) -> Any:
    return on(f"[ipv4-addr:value = '{value}']")


class TestSpellings:
    @pytest.mark.parametrize(
        "text",
        ["evil-portal.top", "EVIL-Portal[.]top", "evil-portal(dot)top ", "*.evil-portal.top"],
    )
    def test_a_domain_is_found_in_any_spelling(
        self, hub: HubInProcess, find: Any, text: str
    ) -> None:
        hub.push(indicator())
        hub.push(indicator("another.top"))
        assert find(text) == ["[domain-name:value = 'evil-portal.top']"]

    @pytest.mark.parametrize(
        "text", ["hxxp://evil-portal[.]top/A", "HTTP://EVIL-portal.top:80/A", "evil-portal.top/A"]
    )
    def test_a_url_is_found_in_any_spelling(self, hub: HubInProcess, find: Any, text: str) -> None:
        hub.push(on("[url:value = 'http://evil-portal.top/A']"))
        assert find(text) == ["[url:value = 'http://evil-portal.top/A']"]

    def test_what_was_understood_is_shown(self, hub: HubInProcess) -> None:
        found = ask(hub, "hxxps[://]evil[.]com/a").understood
        assert (found.kind, found.value) == (SearchKind.URL, "https://evil.com/a")
        assert found.was_refanged

    def test_a_hash_is_found_in_upper_case(self, hub: HubInProcess, find: Any) -> None:
        digest = "e3b1c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
        hub.push(on(f"[file:hashes.'SHA-256' = '{digest}']"))
        assert len(find(digest.upper())) == 1

    def test_a_mailbox_is_found(self, hub: HubInProcess, find: Any) -> None:
        hub.push(on("[email-addr:value = 'phisher@evil-portal.top']"))
        assert len(find("Phisher[at]evil-portal[.]top")) == 1

    def test_a_value_inside_a_larger_pattern_is_found(self, hub: HubInProcess, find: Any) -> None:
        hub.push(
            on("[domain-name:value = 'one.top' AND url:value = 'http://two.top/x'] REPEATS 2 TIMES")
        )
        assert len(find("one.top")) == len(find("http://two.top/x")) == 1

    @pytest.mark.parametrize(
        ("pattern", "kind", "value"),
        [
            ("[domain-name:value = 'one.top']", SearchKind.DOMAIN, "one.top"),
            (" [domain-name:value = 'one[.]top'] ", SearchKind.DOMAIN, "one.top"),
            ("[url:value = 'hxxp://one[.]top/x']", SearchKind.URL, "http://one.top/x"),
            ("[ipv6-addr:value = '2001:db8::1']", SearchKind.ADDRESS, "2001:db8::1"),
            (
                "([domain-name:value NOT = 'no.top' AND url:value = 'http://one.top/x'])",
                SearchKind.URL,
                "http://one.top/x",
            ),
            ("[2001:db8::1]", SearchKind.ADDRESS, "2001:db8::1"),
            ("[domain-name:value = 'one.top'", SearchKind.WORDS, "[domain-name:value = 'one.top'"),
        ],
    )
    def test_a_pattern_is_understood_as_its_first_value(
        self, pattern: str, kind: SearchKind, value: str
    ) -> None:
        found = understand_text(pattern)
        assert (found.kind, found.value) == (kind, value)

    def test_the_pattern_of_an_object_finds_it(self, hub: HubInProcess, find: Any) -> None:
        hub.push(on("[domain-name:value = 'hx1.top']"))
        assert len(find("[domain-name:value = 'hx1[.]top']")) == 1

    @pytest.mark.parametrize("text", ["files.newtopdom", "Files[.]NewTopDom"])
    def test_a_host_is_found_whose_top_level_domain_is_unknown(self, text: str) -> None:
        terms = value_terms(on("[domain-name:value = 'files.newtopdom']"))
        assert has_terms(terms, understand_text(text).filters)
        assert not has_terms(
            value_terms(on("[domain-name:value = 'newtopdom']")), understand_text(text).filters
        )

    @pytest.mark.slow
    def test_any_text_is_answered(self, find: Any) -> None:
        for text in ("\x00", "'\"><img>", "[.]", "://", "a" * 100_000, "1.2.3.4/99", "--", "@"):
            assert find(text) == []


class TestNaming:
    @pytest.mark.slow
    @pytest.mark.parametrize("is_indexed", [True, False])
    @pytest.mark.parametrize(
        ("value", "pattern"),
        [
            ("cdn.top", "[domain-name:value = 'cdn.top' OR domain-name:value = 'bad.top']"),
            (
                "http://cdn.top/x",
                "[url:value = 'http://cdn.top/x'] AND [ipv4-addr:value = '8.8.1.9']",
            ),
            ("9.8.7.6", "[ipv4-addr:value IN ('9.8.7.6', '9.8.7.5')]"),
            (LONG, f"[url:value = '{LONG}' OR url:value = 'http://bad.top/']"),
            ("cdn.top", "[url:value = 'http://cdn.top/' OR ipv4-addr:value = '8.8.1.9']"),
            ("cdn.top", "[url:value IN ('https://cdn.top', 'http://bad.top/')]"),
            ("cdn.top", "[url:value = 'http://cdn.top:8080/#a']"),
            ("cdn.top", "[url:value = 'http://cdn.top/*']"),
            ("9.8.7.6", "[url:value = 'https://9.8.7.6/' OR domain-name:value = 'bad.top']"),
            ("9.8.7.6", "[url:value = 'https://9.8.7.6:8443']"),
            (
                "bad@cdn.top",
                "[email-message:from_ref.value = 'Bad@CDN.top' AND email-message:subject = 'Bill']",
            ),
        ],
    )
    def test_what_names_an_excluded_value_beside_others_is_found(
        self, hub: HubInProcess, value: str, pattern: str, *, is_indexed: bool
    ) -> None:
        hub.push(on(pattern), on("[domain-name:value = 'far.cdn.top']"), on(OTHER_PAGES))
        named = value.lower()
        patterns = {e["id"]: e["pattern"].lower() for e in hub.feed("green")}
        [naming] = (id for id, p in patterns.items() if named in p and "far.cdn.top" not in p)
        if is_indexed:
            index(hub)
        about = parse_exclusion(value, "", 0)
        assert hub.services.search.find_naming(about) == [naming]
        hub.services.lifecycle.revoke(naming, "operator", "ours")
        assert hub.services.search.find_naming(about) == []


class TestNetworksAndDomains:
    @pytest.mark.slow
    def test_an_address_finds_the_networks_that_contain_it(
        self, hub: HubInProcess, find: Any
    ) -> None:
        hub.push(address("91.198.22.0/24"))
        hub.push(address("91.198.23.0/24"))
        assert find("91.198.22.70") == ["[ipv4-addr:value = '91.198.22.0/24']"]

    @pytest.mark.slow
    @pytest.mark.parametrize("network", ["91.198.22.64/26", "91.198.22.0/24", "91.198.16.0/20"])
    def test_a_network_finds_the_addresses_inside(
        self, hub: HubInProcess, find: Any, network: str
    ) -> None:
        hub.push(address("91.198.22.70"))
        hub.push(address("91.198.200.3"))
        hub.push(address("91.198.22.0/25") | {"name": "around or inside"})
        found = find(network)
        assert "[ipv4-addr:value = '91.198.22.70']" in found
        assert len(found) == 2

    @pytest.mark.slow
    def test_a_small_network_finds_no_neighbour_outside_it(
        self, hub: HubInProcess, find: Any
    ) -> None:
        hub.push(address("91.198.22.70"))
        hub.push(address("91.198.22.200"))
        assert find("91.198.22.64/26") == ["[ipv4-addr:value = '91.198.22.70']"]

    @pytest.mark.slow
    def test_an_address_of_ipv6_is_found_in_its_network(self, hub: HubInProcess, find: Any) -> None:
        hub.push(on("[ipv6-addr:value = '2a0b:1234:5678::/48']"))
        assert len(find("2A0B:1234:5678:0::9")) == 1
        assert len(find("2a0b:1234::/32")) == 1

    @pytest.mark.slow
    def test_a_registered_domain_finds_hosts_urls_and_mailboxes_below(
        self, hub: HubInProcess, find: Any
    ) -> None:
        hub.push(indicator("mail.evil-portal.top"))
        hub.push(on("[url:value = 'https://www.evil-portal.top/x']"))
        hub.push(on("[email-addr:value = 'phisher@evil-portal.top']"))
        assert len(find("evil-portal.top")) == 3
        assert len(find("www.evil-portal.top")) == 1

    def test_a_host_finds_the_domain_above(self, hub: HubInProcess, find: Any) -> None:
        hub.push(indicator("evil-portal.top"))
        assert len(find("deep.www.evil-portal.top")) == 1


class TestWordsAndIds:
    def test_a_public_id_finds_its_object(self, hub: HubInProcess, find: Any) -> None:
        name = hub.push(indicator())["successes"][0]["x_tocsin_public_id"]
        assert len(find(name.upper())) == 1

    @pytest.mark.slow
    def test_a_partner_finds_an_object_by_its_own_id(self, hub: HubInProcess, find: Any) -> None:
        sent = indicator()
        hub.push(sent)
        assert len(find(sent["id"], "acme")) == 1
        assert find(sent["id"], "north") == []
        assert len(find(sent["id"], partner="acme")) == 1

    @pytest.mark.slow
    def test_labels_names_and_catalogue_ids_are_found_in_any_case(
        self, hub: HubInProcess, find: Any
    ) -> None:
        reference = {"source_name": "cve", "external_id": "CVE-2024-12345"}
        hub.push(sdo("vulnerability", name="Heart Ache", external_references=[reference]))
        hub.push(indicator(labels=["phishing-kit"]))
        assert len(find("cve-2024-12345")) == 1
        assert len(find("heart")) == len(find("ache HEART")) == 1
        assert len(find("Phishing-Kit")) == 1
        assert find("heart attack") == []

    def test_without_a_text_the_filters_alone_select(self, hub: HubInProcess) -> None:
        hub.push(indicator("one.top"), sdo("malware", name="Emotet", is_family=True))
        found = ask(hub, "", types=frozenset({"malware"}))
        assert [hit.title for hit in found.hits] == ["Emotet"]


class TestRights:
    def test_an_account_finds_nothing_that_it_may_not_read(
        self, hub: HubInProcess, find: Any
    ) -> None:
        hub.join(Partner("small", "Small"), reads=("green",))
        hub.push(indicator(object_marking_refs=[AMBER]))
        assert find("evil-portal.top", "small") == []
        assert len(find("evil-portal.top", "acme")) == 1

    @pytest.mark.slow
    def test_results_do_not_depend_on_what_is_hidden(self, hub: HubInProcess) -> None:
        hub.join(Partner("small", "Small"), reads=("green",))
        hub.push(indicator())
        index(hub)
        before = ask(hub, "evil-portal.top", "small")
        hub.push(indicator(object_marking_refs=[AMBER]), who="north")
        assert ask(hub, "evil-portal.top", "small") == before
        index(hub)
        assert ask(hub, "evil-portal.top", "small") == before

    def test_only_the_hub_may_filter_by_partner(self, hub: HubInProcess, find: Any) -> None:
        hub.push(indicator("one.evil-portal.top"))
        hub.push(indicator("two.evil-portal.top"), who="north")
        assert find("evil-portal.top", partner="north") == [
            "[domain-name:value = 'two.evil-portal.top']"
        ]
        with pytest.raises(NotAllowed):
            ask(hub, "evil-portal.top", "acme", partner="north")

    def test_a_reader_of_a_view_alone_finds_what_the_view_shows(self, hub: HubInProcess) -> None:
        view = View((hub.collection("green").id,), types=frozenset({"indicator"}))
        some = Collection(
            "0b6a0f5c-4a0a-4f4e-9a5f-0d6f9b0d8a11", "some", CollectionKind.AGGREGATE, "x", view=view
        )
        hub.store.feeds.add(some)
        hub.join(Partner("viewer", "Viewer"), reads=("some",))
        hub.push(indicator(), sdo("malware", name="evil-portal", is_family=True))
        index(hub)
        assert len(ask(hub, "evil-portal.top", "viewer").hits) == 1
        assert ask(hub, "evil-portal", "viewer").hits == ()


class TestHits:
    def test_each_object_is_one_hit_in_its_fullest_collection(self, hub: HubInProcess) -> None:
        hub.push(indicator(object_marking_refs=[CLEAR]))
        [hit] = ask(hub, "evil-portal.top").hits
        assert (hit.collection.alias, hit.type, hit.in_force) == ("amber", "indicator", True)

    def test_a_revoked_object_is_found_and_said_to_be(self, hub: HubInProcess, find: Any) -> None:
        name = hub.push(indicator())["successes"][0]["x_tocsin_public_id"]
        hub.services.lifecycle.revoke(name, "operator", "a false alarm")
        assert len(find("evil-portal.top")) == 1
        assert not ask(hub, "evil-portal.top").hits[0].in_force

    @pytest.mark.slow
    def test_a_revoked_marking_definition_is_not_in_force(self, hub: HubInProcess) -> None:
        status = hub.push(STATEMENT | {"object_marking_refs": [GREEN]})
        name = status["successes"][0]["x_tocsin_public_id"]
        assert ask(hub, name).hits[0].in_force
        hub.services.lifecycle.revoke(name, "operator", "a mistake")
        assert not ask(hub, name).hits[0].in_force

    @pytest.mark.slow
    def test_only_the_current_version_is_found(self, hub: HubInProcess, find: Any) -> None:
        sent = sdo("malware", name="Emotet", is_family=True)
        hub.push(sent)
        hub.push(sent | {"modified": "2026-02-01T00:00:00.000Z", "name": "Geodo"})
        assert find("Emotet") == []
        assert find("Geodo") == ["Geodo"]

    @pytest.mark.slow
    def test_what_was_added_last_comes_first_and_more_is_said(
        self, hub: HubInProcess, find: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("tocsin.server.reports.search.MOST_HITS", 3)
        for number in range(5):
            hub.push(indicator(f"n{number}.evil-portal.top"))
        found = find("evil-portal.top")
        assert [title[-20:-18] for title in found] == ["n4", "n3", "n2"]
        first = ask(hub, "evil-portal.top")
        assert first.more
        rest = ask(hub, "evil-portal.top", until=first.hits[-1].stamp - 1)
        assert [len(rest.hits), rest.more] == [2, False]

    @pytest.mark.slow
    def test_time_and_type_and_feed_restrict_the_hits(self, hub: HubInProcess, find: Any) -> None:
        hub.push(indicator("one.evil-portal.top"))
        [first] = ask(hub, "evil-portal.top").hits
        hub.push(indicator("two.evil-portal.top"))
        assert len(find("evil-portal.top", since=first.stamp + 1)) == 1
        assert len(find("evil-portal.top", until=first.stamp)) == 1
        assert find("evil-portal.top", types=frozenset({"malware"})) == []
        assert find("evil-portal.top", collections=frozenset({"clear"})) == []


class TestIndex:
    @pytest.mark.slow
    def test_it_keeps_its_values_when_blocks_are_packed(self, hub: HubInProcess) -> None:
        for number in range(12):
            hub.push(indicator(f"n{number}.evil-portal.top"))
            index(hub)
        store = hub.store
        packer = Packer(store._client, store._base, store._lock, after_writes=1)
        while packer.pack_next():
            pass
        assert packer.packed
        assert len(ask(hub, "evil-portal.top").hits) == 12

    @pytest.mark.slow
    def test_a_purged_value_is_not_kept_in_it(self, hub: HubInProcess) -> None:
        hub.push(indicator("victim-name.top"))
        index(hub)
        assert b"victim-name" in index_documents(hub)
        hub.services.purger.purge_value("victim-name.top", "operator", "it names a victim")
        assert b"victim-name" not in index_documents(hub)
        index(hub)
        assert b"victim-name" not in index_documents(hub)

    @pytest.mark.slow
    def test_what_is_removed_while_it_is_being_indexed_is_not_indexed(
        self, hub: HubInProcess
    ) -> None:
        hub.push(indicator("victim-name.top"))
        values = hub.store.values
        parts = [(part, values._documents(part)) for part in values._due(1)]
        hub.services.purger.purge_value("victim-name.top", "operator", "it names a victim")
        for part, documents in parts:
            values._try(part, documents)
        assert b"victim-name" not in index_documents(hub)

    @pytest.mark.slow
    def test_entries_beyond_the_unindexed_ones_that_are_compared_are_counted(
        self, hub: HubInProcess, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("tocsin.server.reports.search.MOST_UNINDEXED", 10)
        hub.push(*(indicator(f"n{number}.evil-portal.top") for number in range(20)))
        assert ask(hub, "evil-portal.top").unsearched > 0
        index(hub)
        assert ask(hub, "evil-portal.top").unsearched == 0


def index_documents(hub: HubInProcess) -> bytes:
    """Everything in the filter index."""
    return json.dumps([str(each) for each in _documents(hub)]).encode()


def _documents(hub: HubInProcess) -> Iterator[Any]:
    yield from hub.store._base.filter_index.find({})
