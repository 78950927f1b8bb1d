"""Lists as JSON: what a file denies is taken, and never what it allows."""

import json

import pytest

from tocsin.admission.errors import Unprocessable
from tocsin.admission.formats import ReadOptions, detect_format, read
from tocsin.admission.markings.tlp import TLP_2_IDS
from tocsin.admission.model import Tlp, Verdict

READING = ReadOptions(1_790_000_000_000_000)


def taken(content, name="list.json"):
    text = content if isinstance(content, str) else json.dumps(content)
    return list(read(name, text.encode(), READING))


def values(content, name="list.json"):
    """What stands between the quotes of the patterns; refusals are left out."""
    made = (each.object for each in taken(content, name) if each.object is not None)
    return [each["pattern"].split(" = ")[1][1:-2] for each in made]


def claimed(content, name="list.json"):
    form = detect_format(name, json.dumps(content).encode())
    return None if form is None else form.name


class TestTaken:
    def test_a_plain_array_is_a_list(self):
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
    def test_an_array_is_taken_under_a_name_that_denies(self, name):
        assert values({name: ["evil.com"]}) == ["evil.com"]

    def test_lists_may_stand_within_objects(self):
        assert values({"data": {"v1": {"blocklist": ["evil.com"]}}}) == ["evil.com"]

    def test_two_lists_that_are_called_alike_are_both_taken(self):
        content = {"deny": {"web": ["evil.com"]}, "deny.web": ["bad.com"]}
        assert values(content) == ["evil.com", "bad.com"]

    def test_a_byte_order_mark_changes_nothing(self):
        assert values('\ufeff["evil.com"]') == ["evil.com"]


class TestNotTaken:
    @pytest.mark.parametrize(
        "name",
        [
            *("allow", "whitelist", "fuzzylist", "denyExceptions", "non-malicious", "targets"),
            *("malware.whitelists", "iocs_allowlists", "block-exempt", "blocklistexceptions"),
            *("blocked.whitelisteddomains", "phishing.approved", "malicious.fps", "ioc_clean"),
        ],
    )
    def test_what_is_allowed_is_not(self, name):
        assert values({name: ["good.com"], "deny": ["evil.com"]}) == ["evil.com"]

    def test_nothing_within_what_is_allowed_is_taken(self):
        assert values({"allow": {"deny": ["good.com"]}, "deny": ["evil.com"]}) == ["evil.com"]

    @pytest.mark.parametrize("name", ["list", "domains", "hosts", "entries"])
    def test_a_name_that_says_neither_is_no_reason_to_take_a_list(self, name):
        assert claimed({name: ["evil.com", "bad.com"]}) is None

    @pytest.mark.parametrize(
        "name",
        [
            *("allowlist.json", "our_whitelist.json", "warninglist.json", "whitelists.json"),
            *("exclusions.json", "safelist.json", "false-positives.json", "trusted.json"),
        ],
    )
    def test_a_file_whose_name_allows_is_not_claimed(self, name):
        with pytest.raises(Unprocessable):
            taken(["good.com"], name)

    @pytest.mark.parametrize(
        "content",
        [{"blocked": ["yes", "no"]}, {"deny": []}, {"indicators": [{"a": 1}]}, [1, 2], ["a", "b"]],
    )
    def test_arrays_of_something_else_are_no_lists(self, content):
        assert claimed(content) is None

    def test_a_note_names_the_lists_that_were_left_out(self):
        first, second = taken({"allow": ["good.com"], "deny": ["evil.com", "bad.com"]})
        (note,) = first.findings
        assert "'allow'" in note.message
        assert second.findings == ()


class TestOddEntries:
    def test_what_the_same_file_allows_is_refused(self):
        first, second = taken({"deny": ["evil.com", "GOOD.com"], "allow": ["good.com"]})
        assert first.is_open
        assert second.verdict is Verdict.REFUSED
        assert "entry 2, in 'deny': the same file allows it" in second.findings[0].message

    def test_an_entry_that_is_no_indicator_is_refused_and_the_others_are_not(self):
        kinds = [each.verdict for each in taken(["evil.com", "bad.com", "what?", "worse.com"])]
        assert kinds == [Verdict.OPEN, Verdict.OPEN, Verdict.REFUSED, Verdict.OPEN]

    def test_an_entry_that_is_no_text_is_refused(self):
        assert taken(["evil.com", "bad.com", {"a": 1}])[2].verdict is Verdict.REFUSED

    def test_an_entry_said_again_is_settled(self):
        again = taken({"deny": ["evil.com"], "block": ["EVIL.com"]})[1]
        assert again.verdict is Verdict.DUPLICATE
        assert "entry 2: says again what entry 1 says" in again.findings[-1].message

    def test_a_name_that_occurs_twice_loses_nothing_in_silence(self):
        assert detect_format("list.json", b'{"deny": ["evil.com"], "deny": ["bad.com"]}') is None


class TestLevels:
    @pytest.mark.parametrize("stated", [{"tlp": "amber"}, {"about": {"note": "TLP:AMBER only"}}])
    def test_a_level_that_the_file_states_holds_for_all_of_it(self, stated):
        for candidate in taken({**stated, "deny": ["evil.com", "bad.com"]}):
            assert candidate.object["object_marking_refs"] == [TLP_2_IDS[Tlp.AMBER]]

    def test_a_level_that_is_none_refuses_the_file(self):
        with pytest.raises(Unprocessable, match="not a TLP level"):
            taken({"tlp": "mauve", "deny": ["evil.com"]})
