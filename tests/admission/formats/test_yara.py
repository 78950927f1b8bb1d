"""YARA rules (tocsin.admission.formats.yara)."""

import time

import pytest
from support.reading import external_ids, format_name, judge, messages, read_file, refusals

from tocsin.admission.markings.tlp import TLP_2_IDS
from tocsin.admission.model import Candidate, Tlp

FILE = r"""
// rule commented { condition: true }
import "pe"
import "math"

private rule helper { strings: $a = "}" condition: $a }

rule one : tag
{
    meta:
        description = "A loader"
        date = "2024-01-02"
        reference = "https://example.com/report"
    strings:
        $hex = { 4D 5A [2-4] 00 }
        $re = /a{2,3}\/"[{]/
        $s = "// { \" rule x {"
    condition:
        pe.is_pe and helper and any of them
}

rule two { condition: one } // }
"""


def rule(name: str, condition: str = "true", meta: str = "", head: str = "") -> str:
    return f"{head} rule {name} {{ {meta and 'meta: ' + meta} condition: {condition} }}\n".strip()


def by_name(candidates: list[Candidate]) -> dict[str, str]:
    return {each.object["name"]: each.object["pattern"] for each in candidates if each.object}


class TestDetection:
    def test_a_file_of_rules_is_known_by_its_name_or_its_first_words(self) -> None:
        assert format_name("a.yar", FILE) == "yara"
        assert format_name("standard-input", FILE) == "yara"

    def test_a_report_with_a_rule_in_it_stays_a_report(self) -> None:
        assert format_name("a.txt", FILE) == "text"
        assert format_name("b", "We made a rule evil { condition: true }") == "text"


class TestReading:
    def test_each_rule_that_is_not_private_becomes_an_indicator_named_after_it(self) -> None:
        found = read_file("a.yar", FILE)
        assert list(by_name(found)) == ["one", "two"]
        assert {each.object["pattern_type"] for each in found if each.object} == {"yara"}

    def test_a_rule_takes_along_what_it_needs_and_no_more(self) -> None:
        found = by_name(read_file("a.yar", FILE + rule("three")))
        assert 'import "pe"' in found["one"] and "rule helper" in found["one"]
        assert "rule two" not in found["one"] and "math" not in found["one"]
        assert found["three"] == rule("three")
        assert all(name in found["two"] for name in ("helper", "rule one", "rule two"))

    def test_global_rules_go_along_with_each(self) -> None:
        text = rule("everywhere", head="global private") + "\n\n" + rule("one")
        assert list(by_name(read_file("a.yar", text)).values()) == [text]

    def test_the_details_of_a_rule_are_read(self) -> None:
        first = read_file("a.yar", FILE)[0].object
        assert first
        assert first["description"] == "A loader"
        assert first["valid_from"].startswith("2024-01-02")
        assert first["external_references"][0]["url"] == "https://example.com/report"

    def test_ids_in_the_meta_values_of_a_rule_become_references(self) -> None:
        meta = 'reference="https://nvd.nist.gov/vuln/detail/CVE-2024-3403" cve="CVE-2024-3404"'
        meta += ' mitre_attack="T1059.001" description="Uses CVE-2024-3405" note2="CVE-2024-3406"'
        (found,) = read_file("a.yar", f"rule a {{ meta: {meta} condition: true }}")
        cves = [f"CVE-2024-{number}" for number in range(3403, 3407)]
        assert sorted(external_ids(found)) == [*cves, "T1059.001"]

    def test_a_rule_has_the_strictest_level_of_those_it_takes_along(self) -> None:
        text = rule("one", meta='tlp = "amber"') + "\n" + rule("two", "one", meta='tlp = "clear"')
        levels = [
            each.object["object_marking_refs"] for each in read_file("a.yar", text) if each.object
        ]
        assert levels == [[TLP_2_IDS[Tlp.AMBER]]] * 2

    def test_rules_compile_alone(self) -> None:
        found = judge(read_file("a.yar", FILE))
        assert [each.is_open for each in found] == [True, True], messages(found)

    def test_the_same_rule_has_the_same_id(self) -> None:
        one, other = (read_file(name, rule("one"))[0].source_id for name in ("a.yar", "b.yara"))
        assert one == other


class TestRefused:
    def test_a_rule_that_does_not_end_is_named_with_its_line(self) -> None:
        found = read_file("a.yar", rule("one") + "\nrule two {\n condition: true\n")
        assert list(by_name(found)) == ["one"]
        assert refusals(found) == ["line 2: a rule that does not end: close its last bracket"]

    def test_a_level_that_is_none_is_refused_with_its_line(self) -> None:
        (message,) = refusals(read_file("a.yar", rule("one", meta='tlp = "purple"')))
        assert message.startswith("line 1: not a TLP level: 'purple'")

    def test_includes_are_refused_with_a_remedy(self) -> None:
        found = read_file("a.yar", 'include "other.yar"\n' + rule("one"))
        assert list(by_name(found)) == ["one"]
        assert "put their rules into this one" in refusals(found)[0]

    @pytest.mark.slow
    def test_a_chain_of_many_rules_is_refused(self) -> None:
        long = "a" * 200
        chain = "".join(
            rule(f"r{n}", f"r{n - 1}" if n else "true", meta=f'note = "{long}"') + "\n"
            for n in range(400)
        )
        found = read_file("a.yar", chain)
        assert "too long: send fewer rules" in refusals(found)[-1]
        assert len(by_name(found)) + len(refusals(found)) == 400

    @pytest.mark.parametrize(
        "piece", ["\\\\", "rule a {", "/*", "= /a", "private ", "= {", 'import "a', "matches /a["]
    )
    def test_hostile_text_is_read_in_linear_time(self, piece: str) -> None:
        text = 'rule a { strings: $a = "' + piece * (600_000 // len(piece))
        started = time.thread_time()
        read_file("a.yar", text)
        assert time.thread_time() - started < 5
