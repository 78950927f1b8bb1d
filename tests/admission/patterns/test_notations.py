"""The text that a pattern matches, past the notations of its language."""

import time

import pytest
from support.rules import apply_rule, indicator
from support.slowness import measure_slowness

from tocsin.admission.model import Verdict
from tocsin.admission.patterns.notations import read_octets, read_pattern


class TestOctets:
    @pytest.mark.parametrize(
        ("pattern", "text"),
        [
            ("{ 41 63 6d 65 }", " Acme "),
            ("{41636D65}", " Acme "),
            ("{ 41 00 63 00 6d 00 65 00 }", " Acme "),
            ("{ 41 63 /* } x */ 6d // y\n 65 }", " Acme "),
            ("{ ( 41 | 61 ) 63 [2-4] ?? 6d ff }", " Ac**m* "),
            ('"a|20 41|c"', '"a Ac"'),
            ('"|03|www|04|evil|03|top|00|"', '"*www*evil*top"'),
        ],
    )
    def test_octets_are_read_as_text(self, pattern: str, text: str) -> None:
        assert read_octets(pattern) == text

    @pytest.mark.parametrize(
        "pattern", ["a{1,30}", "{ $a = 1 }", "a|b|c", "rule x { condition: true }", "{41", "|4 x|"]
    )
    def test_other_braces_and_bars_stay(self, pattern: str) -> None:
        assert read_octets(pattern) == pattern

    @pytest.mark.parametrize(
        ("rule", "octets"),
        [
            ("personal_data", b"jane.doe@bank.com".hex(" ")),
            ("user_paths", rb"C:\Users\jdoe\x".hex(" ")),
            ("user_paths", r"C:\Users\jdoe\x".encode("utf-16-le").hex(" ")),
        ],
    )
    def test_a_rule_with_private_data_in_octets_is_held(self, rule: str, octets: str) -> None:
        for language, pattern in (
            ("yara", f"rule x {{ strings: $a = {{ {octets} }} condition: $a }}"),
            ("snort", f'alert tcp any any -> any any (content:"|{octets}|"; sid:1;)'),
        ):
            subject = indicator(pattern, pattern_type=language)
            assert apply_rule(rule, subject, secrets=["jane", "jdoe"]).verdict is Verdict.HELD

    def test_a_rule_with_other_octets_passes(self) -> None:
        pattern = "rule x { strings: $a = { 4d 5a 90 00 ?? 50 45 [4] 40 2e } condition: $a }"
        for rule in ("personal_data", "user_paths"):
            assert apply_rule(rule, indicator(pattern, pattern_type="yara")).findings == ()


class TestExpressions:
    @pytest.mark.parametrize(
        ("expression", "text"),
        [
            (r"Acme\s+Corp", "Acme*Corp"),
            (r"Acme.*?Corp.", "Acme*Corp."),
            (r"[Aa]cme[ _-]?[.]com", "Acme*.com"),
            (r"\x41\x{63}\u006de", "Acme"),
            (r"(?i)ac(?:me)?\.com\/", "acme.com/"),
            (r"81\.2\.\d{1,3}\.[0-9]+", "81.2.*.*"),
            (r"acme(?:\s|_)corp[a-f]", "acme*corp[a-f]"),
        ],
    )
    def test_an_expression_is_read_as_text(self, expression: str, text: str) -> None:
        assert read_pattern(indicator(expression, pattern_type="pcre")) == (text,)

    def test_only_like_and_matches_of_stix_are_read(self) -> None:
        assert read_pattern(indicator("[file:name = 'a%b']")) == ()
        pattern = r"[file:name LIKE 'a%b_' OR file:name = 'c%' OR file:name MATCHES 'd\\s']"
        assert read_pattern(indicator(pattern)) == ("a*b*", "d**")

    def test_other_objects_have_no_pattern(self) -> None:
        assert read_pattern({"type": "file", "pattern": "[a]"}) == ()


@pytest.mark.parametrize(
    "piece",
    [
        *("{", "{41", "{ 41 ", "{/*", "{//", "|", "|41", "|41 ", "{(41|", "{[", "{41}"),
        *("\\", "\\s", "[", "[a", "[\\", "(", "(?:", "(?:_", "(_", ".*", "  ", "\\x{", "{1,2}"),
        "//{\n",
        "/*{41 414141 /**/",
    ],
)
def test_reading_hostile_patterns_takes_linear_time(piece: str) -> None:
    pattern = piece * (200_000 // len(piece))
    began = time.process_time()
    read_pattern(indicator(pattern, pattern_type="yara"))
    read_pattern(indicator("{ " + pattern + " }", pattern_type="yara"))
    assert time.process_time() - began < 3 * measure_slowness()
