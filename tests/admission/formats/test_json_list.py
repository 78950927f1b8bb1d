"""Block lists as JSON: lists that deny are read, lists that allow are not."""

import json
from typing import Any

import pytest

from tocsin.admission.errors import Unprocessable
from tocsin.admission.formats import ReadOptions, detect_format, read
from tocsin.admission.markings.tlp import TLP_2_IDS
from tocsin.admission.model import Tlp, Verdict

OPTIONS = ReadOptions(1_790_000_000_000_000)


def read_candidates(content: Any, name: Any = "list.json") -> Any:
    text = content if isinstance(content, str) else json.dumps(content)
    return list(read(name, text.encode(), OPTIONS))


def values(content: Any, name: Any = "list.json") -> Any:
    """The values in the patterns, without refusals."""
    made = (each.object for each in read_candidates(content, name) if each.object is not None)
    return [each["pattern"].split(" = ")[1][1:-2] for each in made]


def detected_format(content: Any, name: Any = "list.json") -> Any:
    form = detect_format(name, json.dumps(content).encode())
    return None if form is None else form.name


class TestListsThatAreRead:
    def test_a_plain_array_is_a_list(self) -> None:
        content = ["evil.com", "198.51.100.7", "hxxps://bad[.]com/a", "evil.net/login"]
        assert values(content) == [
            "evil.com",
            "198.51.100.7",
            "https://bad.com/a",
            "http://evil.net/login",
        ]

    @pytest.mark.parametrize(
        "name",
        ["deny", "denySub", "block_list", "blockedDomains", "BLACKLIST", "phishing-hosts", "iocs"],
    )
    def test_an_array_whose_name_denies_is_read(self, name: str) -> None:
        assert values({name: ["evil.com"]}) == ["evil.com"]

    def test_lists_may_stand_within_objects(self) -> None:
        assert values({"data": {"v1": {"blocklist": ["evil.com"]}}}) == ["evil.com"]

    def test_lists_of_a_kind_are_read_if_the_name_of_the_file_says_that_they_are_indicators(
        self,
    ) -> None:
        content = {"ips": ["198.51.100.7"], "sha256": ["e" * 64], "authors": ["a.example"]}
        content |= {"references": ["https://a.example/b"], "whitelist": ["b.example"]}
        assert detected_format(content) is None
        assert values(content, "iocs-2026.json") == ["198.51.100.7", "e" * 64]
        assert detected_format({"seen": {"ips": ["198.51.100.7"]}}, "iocs.json") is None

    def test_two_lists_of_one_name_are_both_read(self) -> None:
        content = {"deny": {"web": ["evil.com"]}, "deny.web": ["bad.com"]}
        assert values(content) == ["evil.com", "bad.com"]

    def test_a_byte_order_mark_changes_nothing(self) -> None:
        assert values('\ufeff["evil.com"]') == ["evil.com"]


class TestEntriesThatAreRefused:
    @pytest.mark.parametrize(
        ("entry", "message"),
        [
            ("http://evil.com/<id>", "placeholder"),
            ("CVE-2021-44228", "CVE-2021-44228 describes indicators"),
            ("https://attack.mitre.org/techniques/T1059", "T1059 describes indicators"),
            ("nothing", "no indicator"),
            (7, "no indicator"),
        ],
    )
    def test_an_entry_that_is_no_indicator_is_refused_with_a_fitting_reason(
        self, entry: Any, message: str
    ) -> None:
        _, _, refused = read_candidates(["evil.com", "evil.org", entry])
        assert refused.verdict is Verdict.REFUSED and message in refused.findings[0].message


class TestListsThatAreIgnored:
    @pytest.mark.parametrize(
        "name",
        [
            *("allow", "whitelist", "fuzzylist", "denyExceptions", "non-malicious", "targets"),
            *("malware.whitelists", "iocs_allowlists", "block-exempt", "blocklistexceptions"),
            *("blocked.whitelisteddomains", "phishing.approved", "malicious.fps", "ioc_clean"),
        ],
    )
    def test_an_array_whose_name_allows_is_not_read(self, name: Any) -> None:
        assert values({name: ["good.com"], "deny": ["evil.com"]}) == ["evil.com"]

    @pytest.mark.parametrize(
        "name",
        [
            *("affected", "impacted", "opfer", "infected_hosts", "infected_ips", "our_servers"),
            *("victimes", "internal", "victims.ips", "betroffene", "被害者"),
        ],
    )
    def test_an_array_of_victims_among_indicators_is_not_read(self, name: str) -> None:
        outer, _, inner = name.partition(".")
        listed = {inner: ["81.2.3.4"]} if inner else ["81.2.3.4"]
        assert values({"iocs": {"ips": ["45.9.70.7"], outer: listed}}) == ["45.9.70.7"]

    def test_a_victim_that_is_listed_as_an_indicator_too_is_refused(self) -> None:
        content = {"iocs": {"ips": ["45.9.70.7", "81.2.3.4"], "affected": ["81.2.3.4"]}}
        assert values(content) == ["45.9.70.7"]

    def test_a_deny_list_within_an_allow_list_is_not_read(self) -> None:
        assert values({"allow": {"deny": ["good.com"]}, "deny": ["evil.com"]}) == ["evil.com"]

    @pytest.mark.parametrize("name", ["list", "domains", "hosts", "entries"])
    def test_a_neutral_name_is_not_a_block_list(self, name: str) -> None:
        assert detected_format({name: ["evil.com", "bad.com"]}) is None

    @pytest.mark.parametrize(
        "name",
        [
            *("allowlist.json", "our_whitelist.json", "warninglist.json", "whitelists.json"),
            *("exclusions.json", "safelist.json", "false-positives.json", "trusted.json"),
            *("victims.json", "infected-hosts-2026.json", "our_servers.json"),
        ],
    )
    def test_a_file_named_after_victims_or_what_is_allowed_is_not_accepted(self, name: str) -> None:
        with pytest.raises(Unprocessable):
            read_candidates(["good.com"], name)

    @pytest.mark.parametrize(
        "content",
        [{"blocked": ["yes", "no"]}, {"deny": []}, {"indicators": [{"a": 1}]}, [1, 2], ["a", "b"]],
    )
    def test_arrays_without_values_are_not_accepted(self, content: Any) -> None:
        assert detected_format(content) is None

    def test_a_finding_names_the_ignored_lists(self) -> None:
        first, second = read_candidates({"allow": ["good.com"], "deny": ["evil.com", "bad.com"]})
        (note,) = first.findings
        assert "'allow'" in note.message
        assert second.findings == ()


class TestOddEntries:
    def test_an_entry_that_the_file_also_allows_is_refused(self) -> None:
        first, second = read_candidates({"deny": ["evil.com", "GOOD.com"], "allow": ["good.com"]})
        assert first.is_open
        assert second.verdict is Verdict.REFUSED
        assert "entry 2, in 'deny': the same file allows it" in second.findings[0].message

    def test_only_the_entry_that_is_not_an_indicator_is_refused(self) -> None:
        kinds = [
            each.verdict for each in read_candidates(["evil.com", "bad.com", "what?", "worse.com"])
        ]
        assert kinds == [Verdict.OPEN, Verdict.OPEN, Verdict.REFUSED, Verdict.OPEN]

    def test_an_entry_that_is_not_text_is_refused(self) -> None:
        assert read_candidates(["evil.com", "bad.com", {"a": 1}])[2].verdict is Verdict.REFUSED

    def test_a_repeated_entry_is_a_duplicate(self) -> None:
        again = read_candidates({"deny": ["evil.com"], "block": ["EVIL.com"]})[1]
        assert again.verdict is Verdict.DUPLICATE
        assert "entry 2: duplicate of entry 1" in again.findings[-1].message

    def test_a_file_with_a_repeated_name_is_not_accepted(self) -> None:
        assert detect_format("list.json", b'{"deny": ["evil.com"], "deny": ["bad.com"]}') is None


class TestTlpLevels:
    @pytest.mark.parametrize("stated", [{"tlp": "amber"}, {"about": {"note": "TLP:AMBER only"}}])
    def test_a_tlp_level_of_the_file_applies_to_all_entries(self, stated: Any) -> None:
        for candidate in read_candidates({**stated, "deny": ["evil.com", "bad.com"]}):
            assert candidate.object["object_marking_refs"] == [TLP_2_IDS[Tlp.AMBER]]

    def test_an_unknown_tlp_level_refuses_the_file(self) -> None:
        with pytest.raises(Unprocessable, match="not a TLP level"):
            read_candidates({"tlp": "mauve", "deny": ["evil.com"]})
