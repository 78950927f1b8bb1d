"""Rules of Snort and Suricata (tocsin.admission.formats.network_rules)."""

import pytest
from support.reading import (
    external_ids,
    format_name,
    judge,
    messages,
    patterns,
    read_file,
    refusals,
)

from tocsin.admission.model import Candidate

PLAIN = 'alert tcp any any -> any 443 (msg:"A beacon"; content:"x"; sid:1;)'
DNS = 'alert dns any any -> any any (msg:"A host"; dns.query; content:"evil.com"; sid:2;)'
SNORT_3 = 'alert http (\n  msg:"Three";\n  service: http;\n  content:"x";\n)'


def names(candidates: list[Candidate]) -> list[str]:
    return [each.object["name"] for each in candidates if each.object]


def languages(candidates: list[Candidate]) -> set[str]:
    return {each.object["pattern_type"] for each in candidates if each.object}


class TestReading:
    def test_each_rule_becomes_an_indicator_named_by_its_message(self) -> None:
        found = read_file("a.rules", f"# our rules\n{PLAIN}\n\n{DNS}\n")
        assert format_name("a.rules", PLAIN) == "network_rules"
        assert (patterns(found), names(found)) == ([PLAIN, DNS], ["A beacon", "A host"])

    def test_the_words_of_the_rules_show_the_language(self) -> None:
        assert languages(read_file("a.rules", f"{PLAIN}\n{DNS}")) == {"suricata"}
        assert languages(read_file("a.rules", SNORT_3)) == {"snort"}
        assert languages(read_file("a.rules", PLAIN)) == {"suricata"}
        assert languages(read_file("snort3-community.rules", PLAIN)) == {"snort"}

    def test_a_rule_over_several_lines_is_one(self) -> None:
        text = f'{SNORT_3}\nalert tcp any any -> any any (msg:"Cut"; \\\n  content:"a)"; sid:3;)\n'
        assert names(read_file("a.rules", text)) == ["Three", "Cut"]

    def test_references_and_class_of_a_rule_are_read(self) -> None:
        text = PLAIN.replace("sid", "reference:url,example.com/a; classtype:trojan-activity; sid")
        (found,) = read_file("a.rules", text)
        assert found.object and found.object["labels"] == ["trojan-activity"]
        assert found.object["external_references"][0]["url"] == "https://example.com/a"

    def test_ids_of_a_rule_become_references(self) -> None:
        given = "reference:cve,2024-3402; reference:url,nvd.nist.gov/vuln/detail/CVE-2024-3403;"
        given += " metadata:cve CVE_2024_3404, mitre_technique_id T1059;"
        (found,) = read_file(
            "a.rules", PLAIN.replace("A beacon", "CVE-2024-3405").replace("sid", given + " sid")
        )
        assert sorted(external_ids(found)) == [*(f"CVE-2024-340{n}" for n in range(2, 6)), "T1059"]

    def test_rules_that_are_commented_out_are_counted_and_not_shared(self) -> None:
        found = read_file("a.rules", f"#{PLAIN}\n# {PLAIN}\n{DNS}\n{PLAIN}")
        assert names(found) == ["A host", "A beacon"]
        assert messages(found) == ["rules that are commented out are not shared: 2"]
        (message,) = refusals(read_file("a.rules", f"#{PLAIN}"))
        assert message == "no rule is active in it: 1 are commented out"

    def test_a_line_that_is_no_rule_is_refused_alone(self) -> None:
        found = read_file("a.rules", f"{PLAIN}\nnothing\n{DNS}")
        assert names(found) == ["A beacon", "A host"]
        assert refusals(found) == ["line 2: not a rule of Snort or Suricata"]

    def test_the_rules_can_be_read_alone(self) -> None:
        candidates = read_file("a.rules", f"{PLAIN}\n{DNS}\n{SNORT_3}")
        found = judge(candidates)
        assert [each.is_open for each in found] == [True] * 3, messages(found)

    @pytest.mark.parametrize("content", ["nothing", "", "# a comment"])
    def test_a_file_without_rules_is_not_accepted(self, content: str) -> None:
        assert format_name("a.rules", content) == ""
