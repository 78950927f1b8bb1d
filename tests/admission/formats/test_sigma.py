"""Sigma rules (tocsin.admission.formats.sigma)."""

import pytest
from support.reading import external_ids, format_name, judge, messages, read_file, refusals

from tocsin.admission.errors import Malformed
from tocsin.admission.markings.tlp import TLP_2_IDS
from tocsin.admission.model import Tlp

RULE = """title: {title}
date: {date}
tags: [attack.t1059{tag}]
references:
  - https://example.com/report
logsource:
  product: windows
detection:
  selection:
    Image: evil.exe
  condition: selection
"""


def rule(title: str = "Evil starts", date: str = "2024-01-02", tag: str = "") -> str:
    return RULE.format(title=title, date=date, tag=tag)


class TestDetection:
    def test_yaml_with_the_parts_of_a_rule_is_sigma(self) -> None:
        assert format_name("a.yml", rule()) == "sigma"
        assert format_name("a.yaml", rule()) == "sigma"

    def test_other_yaml_is_not(self) -> None:
        assert format_name("a.yml", "title: a\nhosts: [evil.com]\n") == ""


class TestReading:
    def test_each_rule_becomes_an_indicator_named_by_its_title(self) -> None:
        text = f"# our rules\n---\n{rule()}---\n{rule('Another')}"
        found = read_file("a.yml", text)
        assert [each.object["name"] for each in found if each.object] == ["Evil starts", "Another"]
        assert [each.object["pattern"] for each in found if each.object] == [
            rule(),
            rule("Another"),
        ]
        assert {each.object["pattern_type"] for each in found if each.object} == {"sigma"}

    @pytest.mark.parametrize("date", ["2024-01-02", "2024/01/02", "'2024-01-02'"])
    def test_the_details_of_a_rule_are_read(self, date: str) -> None:
        (found,) = read_file("a.yml", rule(date=date))
        assert found.object
        assert found.object["valid_from"].startswith("2024-01-02")
        assert found.object["labels"] == ["attack.t1059"]
        assert found.object["external_references"][0]["url"] == "https://example.com/report"

    def test_ids_in_the_tags_of_a_rule_become_references(self) -> None:
        (found,) = read_file(
            "a.yml", rule(tag=".001, attack.g0016, attack.execution, cve.2024-3405")
        )
        assert sorted(external_ids(found)) == ["CVE-2024-3405", "G0016", "T1059.001"]

    def test_the_level_is_that_of_its_tags(self) -> None:
        (found,) = read_file("a.yml", rule(tag=", tlp.amber"))
        assert found.object and found.object["object_marking_refs"] == [TLP_2_IDS[Tlp.AMBER]]
        assert refusals(read_file("a.yml", rule(tag=", tlp.purple")))[0].startswith(
            "line 1: not a TLP level"
        )

    def test_a_correlation_keeps_its_rules(self) -> None:
        correlation = (
            "title: Often\ncorrelation:\n  type: event_count\n  rules: [evil]\n"
            "  group-by: [User]\n  timespan: 1h\n  condition: {gte: 10}\n"
        )
        (found,) = read_file("a.yml", f"{rule()}name: evil\n---\n{correlation}")
        assert found.object and "timespan" in found.object["pattern"]
        assert "selection" in found.object["pattern"]

    def test_the_rules_can_be_read_alone(self) -> None:
        candidates = read_file("a.yml", f"{rule()}---\n{rule('Another')}")
        found = judge(candidates)
        assert [each.is_open for each in found] == [True, True], messages(found)


class TestHostile:
    @pytest.mark.parametrize(
        ("text", "reason"),
        [
            ("x: " + "[" * 100_000, "not well-formed"),
            ("x: " + "[" * 70 + "]" * 70, "nested too deeply"),
            ("a: &a [x]\n" + "".join(f"k{n}: [*a, *a]\n" for n in range(40)), "too many aliases"),
            ("---\na: b: c", "line 13: it is not well-formed YAML"),
        ],
    )
    def test_hostile_yaml_is_refused(self, text: str, reason: str) -> None:
        with pytest.raises(Malformed, match=reason):
            read_file("a.yml", rule() + text)
