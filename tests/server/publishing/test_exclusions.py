"""The hub's own list of what nobody may send again (docs/merging.md)."""

import pytest
from support.clock import indicators
from support.hub import AMBER, GREEN, HubInProcess, details, indicator
from support.presence import present

from tocsin.admission.errors import Malformed, NotFound

pytestmark = pytest.mark.slow

STATEMENT = "marking-definition--22222222-2222-4222-8222-222222222222"


class TestExcludedValue:
    def test_the_value_is_refused_for_everybody_with_the_reason(self, hub: HubInProcess) -> None:
        hub.services.lifecycle.exclude("Our-CDN[.]top.", "operator", "our own CDN")
        for partner in ("acme", "north"):
            status = hub.push(indicator("our-cdn.top"), who=partner)
            assert hub.verdicts(status) == ["refused"]
            assert "our own CDN" in details(status)[0]["message"]

    def test_only_the_very_value_is_refused(self, hub: HubInProcess) -> None:
        hub.services.lifecycle.exclude("our-cdn.top", "operator", "")
        others = indicator("www.our-cdn.top"), indicator("our-cdn.com")
        assert hub.verdicts(hub.push(*others)) == ["admitted", "admitted"]

    @pytest.mark.parametrize(
        ("pattern", "verdict"),
        [
            ("[network-traffic:dst_ref.value = 'our-cdn.top']", "refused"),
            ("[email-message:from_ref.value = 'ME@our-cdn.top']", "refused"),
            ("[url:value = 'https://a@our-cdn.top/#b']", "refused"),
            ("[ipv4-addr:value ISSUBSET '45.12.1.0/24']", "held"),
            ("[network-traffic:src_ref.value = '45.12.1.2/31']", "held"),
            ("[url:value = 'https://our-cdn.top/a']", "admitted"),
        ],
    )
    def test_the_value_is_known_however_a_block_list_would_hold_it(
        self, hub: HubInProcess, pattern: str, verdict: str
    ) -> None:
        for value in ("our-cdn.top", "me@our-cdn.top", "45.12.1.2"):
            hub.services.lifecycle.exclude(value, "operator", "ours")
        assert hub.verdicts(hub.push(indicator(pattern=pattern))) == [verdict]

    def test_objects_on_an_excluded_value_are_revoked_in_every_scope(
        self, hub: HubInProcess
    ) -> None:
        statement = {
            "type": "marking-definition",
            "spec_version": "2.1",
            "id": STATEMENT,
            "created": "2026-01-01T00:00:00.000Z",
            "definition_type": "statement",
            "definition": {"statement": "ours"},
        }
        marked = [[GREEN], [AMBER], [GREEN, STATEMENT]]
        sent = [indicator(object_marking_refs=marks) for marks in marked]
        hub.push(statement, *sent, indicator("other.top"))
        _, revoked = hub.services.lifecycle.exclude("evil-portal.top", "operator", "ours")
        assert revoked == 3
        left = [o for o in indicators(hub, "amber") if not o.get("revoked")]
        assert [o["pattern"] for o in left] == ["[domain-name:value = 'other.top']"]
        act = hub.store.journal.last_entry()
        assert (present(act).action, present(act).details["revoked"]) == ("exclusion.add", 3)

    @pytest.mark.parametrize(
        ("value", "pattern"),
        [
            ("45.12.1.2", "[ipv4-addr:value = '45.12.1.2']"),
            ("2001:0DB9::1", "[ipv6-addr:value = '2001:db9::1']"),
            ("hxxp://Evil.top/A", "[url:value = 'http://evil.top/A']"),
            ("A.Person@evil.top", "[email-addr:value = 'A.Person@EVIL.top']"),
            ("A" * 64, f"[file:hashes.'SHA-256' = '{'a' * 64}']"),
        ],
    )
    def test_values_of_every_kind(self, hub: HubInProcess, value: str, pattern: str) -> None:
        hub.push(indicator(pattern=pattern))
        assert hub.services.lifecycle.exclude(value, "operator", "")[1] == 1
        assert hub.verdicts(hub.push(indicator(pattern=pattern))) == ["refused"]

    @pytest.mark.parametrize(
        ("value", "host"),
        [("sp.top", "sp.top"), ("45.12.1.2", "45.12.1.2"), ("2001:db9::1", "[2001:DB9::1]")],
    )
    def test_the_start_page_goes_with_its_host(
        self, hub: HubInProcess, value: str, host: str
    ) -> None:
        pages = [f"http://{host}", f"http://{host}:80/", f"https://{host}/", f"https://{host}:443"]
        others = [f"http://{host}/a", f"http://{host}:8080/", "http://www.sp.top/"]
        hub.push(*(indicator(pattern=f"[url:value = '{url}']") for url in pages + others))
        assert hub.services.lifecycle.exclude(value, "operator", "ours")[1] == 4
        left = [o["pattern"] for o in indicators(hub, "green") if not o.get("revoked")]
        assert sorted(left) == sorted(f"[url:value = '{url.lower()}']" for url in others)

    def test_a_network_has_no_start_page(self, hub: HubInProcess) -> None:
        hub.push(indicator(pattern="[url:value = 'http://45.12.1.0/24']"))
        assert hub.services.lifecycle.exclude("45.12.1.0/24", "operator", "ours")[1] == 0

    def test_excluding_again_revokes_what_was_published_meanwhile(self, hub: HubInProcess) -> None:
        hub.push(indicator())
        hub.services.lifecycle.revoke(hub.feed("green")[0]["id"], "operator", "once")
        hub.push(indicator())
        assert hub.services.lifecycle.exclude("evil-portal.top", "operator", "")[1] == 1

    def test_an_excluded_value_may_be_readmitted(self, hub: HubInProcess) -> None:
        hub.services.lifecycle.exclude("evil-portal.top", "operator", "")
        hub.services.lifecycle.readmit(["EVIL-portal.top"], "operator")
        assert hub.verdicts(hub.push(indicator())) == ["admitted"]
        with pytest.raises(NotFound):
            hub.services.lifecycle.readmit(["evil-portal.top"], "operator")

    @pytest.mark.parametrize("value", ["", "two words", "just-a-name", "1.2.3", "abcdef"])
    def test_a_text_that_is_no_value_cannot_be_excluded(
        self, hub: HubInProcess, value: str
    ) -> None:
        with pytest.raises(Malformed):
            hub.services.lifecycle.exclude(value, "operator", "")
