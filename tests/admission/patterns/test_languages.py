"""Patterns in other languages than STIX (tocsin.admission.patterns.languages)."""

import subprocess
import sys
from typing import Any

import pytest
from support.stix_objects import make_object

from tocsin.admission.model import Candidate
from tocsin.admission.patterns.bounded_compiler import MAX_CHARACTERS, BoundedCompiler
from tocsin.admission.patterns.languages import LANGUAGES
from tocsin.admission.policy import parse_policy
from tocsin.admission.stix.validate import validate
from tocsin.config.loading import policy_text

NOW = 1_790_000_000_000_000
POLICY = parse_policy(policy_text(None))
SIGMA = """
title: A shell is started
logsource:
    category: process_creation
detection:
    shell:
        Image|endswith: '\\\\cmd.exe'
    condition: shell
"""
VALID_RULES = {
    "yara": 'rule a { strings: $a = "evil" condition: $a }',
    "sigma": SIGMA,
    "snort": 'alert tcp any any -> any 80 (msg:"a"; content:"evil"; sid:1; rev:1;)',
    "suricata": 'alert dns any any -> any any (msg:"a"; dns.query; content:"evil"; sid:1;)',
    "pcre": r"^GET /[a-z]{8}\.php\?id=\d++$",
}


def validate_pattern(language: Any, pattern: Any, policy: Any = POLICY) -> Any:
    subject = make_object("indicator", pattern_type=language, pattern=pattern)
    return validate(Candidate(index=0, object=subject), policy, NOW)


def find_fault(language: str, pattern: str) -> str:
    return BoundedCompiler().check(language, pattern).fault


class TestAllLanguages:
    @pytest.mark.parametrize("language", sorted(LANGUAGES))
    def test_a_valid_rule_is_accepted_unchanged(self, language: Any) -> None:
        result = validate_pattern(language, VALID_RULES[language])
        assert (
            result.is_open
            and result.object["pattern"] == VALID_RULES[language]
            and result.findings == ()
        )

    @pytest.mark.parametrize("language", sorted(LANGUAGES))
    @pytest.mark.parametrize("junk", ["(((", "[", "a\x00b"])
    def test_junk_in_any_pattern_language_is_refused(self, language: Any, junk: str) -> None:
        result = validate_pattern(language, junk)
        rule = "value" if "\x00" in junk else "pattern"
        assert [(f.rule, f.path) for f in result.findings] == [(rule, "pattern")]
        assert result.verdict == "refused"

    @pytest.mark.parametrize("language", sorted(LANGUAGES))
    @pytest.mark.parametrize("character", "([{-*\\'\": \n|")
    def test_a_character_repeated_to_the_maximum_length_gets_an_answer(
        self, language: Any, character: Any
    ) -> None:
        assert find_fault(language, character * MAX_CHARACTERS) or language == "pcre"
        assert isinstance(
            find_fault(
                language, (VALID_RULES[language] + character * MAX_CHARACTERS)[:MAX_CHARACTERS]
            ),
            str,
        )

    @pytest.mark.parametrize("language", sorted(LANGUAGES))
    def test_a_rule_longer_than_the_maximum_is_refused(self, language: Any) -> None:
        assert str(MAX_CHARACTERS) in find_fault(
            language, VALID_RULES[language] + " " * MAX_CHARACTERS
        )

    def test_a_pattern_in_an_unknown_language_is_kept_with_a_finding(self) -> None:
        result = validate_pattern("zeek", "signature a { payload /evil/ }")
        assert result.is_open and [f.action for f in result.findings] == ["noted"]

    def test_a_pattern_in_an_unknown_language_is_refused_if_the_policy_says_so(self) -> None:
        strict = parse_policy(
            policy_text(None).replace('unknown_patterns = "keep"', 'unknown_patterns = "refuse"')
        )
        result = validate_pattern("zeek", "signature a { payload /evil/ }", strict)
        assert [f.rule for f in result.findings] == ["unknown_patterns"]

    @pytest.mark.parametrize(
        ("written", "language"),
        [
            *(("STIX", "stix"), ("Stix", "stix"), (" stix\n", "stix"), ("st\u00adix", "stix")),
            *(
                ("st\u200bix", "stix"),
                ("\uff33tix", "stix"),
                ("YARA", "yara"),
                (" Snort ", "snort"),
            ),
        ],
    )
    def test_a_language_is_known_in_any_spelling(self, written: str, language: str) -> None:
        pattern = VALID_RULES.get(language, "[domain-name:value = 'evil.test']")
        result = validate_pattern(written, pattern)
        assert result.is_open and result.object["pattern_type"] == language
        assert [(f.action, f.path) for f in result.findings] == [("repaired", "pattern_type")]
        assert validate_pattern(written, "[").verdict == "refused"

    @pytest.mark.parametrize("language", ["stix2", "stix-2.1", "stix_v2", "pcre", "none"])
    def test_a_stix_pattern_under_another_name_is_refused(self, language: str) -> None:
        for pattern in ("[ipv4-addr:value = '8.8.8.8']", "([a:b = 1]) /**/ AND [user-account:c=2]"):
            result = validate_pattern(language, pattern)
            assert result.verdict == "refused"
            assert ("pattern", "pattern_type") in {(f.rule, f.path) for f in result.findings}

    def test_a_stix_pattern_under_another_name_can_be_revoked(self) -> None:
        subject = make_object("indicator", pattern_type="stix2", pattern="[a:b = 1]", revoked=True)
        assert validate(Candidate(index=0, object=subject), POLICY, NOW).is_open

    @pytest.mark.slow
    def test_no_pattern_library_is_imported_before_its_first_use(self) -> None:
        code = (
            "import sys, tocsin.clients.cli.check, tocsin.admission.pipeline; print(*sys.modules)"
        )
        completed = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
        assert completed.returncode == 0, completed.stderr
        assert not {"sigma", "yara_x", "yaml", "suricataparser"} & set(completed.stdout.split())


class TestYara:
    @pytest.mark.parametrize("path", ["/etc/passwd", "/etc/hostname"])
    def test_a_yara_include_is_refused_and_the_message_shows_nothing_of_the_file(
        self, path: str
    ) -> None:
        message = find_fault("yara", f'include "{path}"\nrule a {{ condition: true }}')
        assert "include" in message
        with open(path) as file:
            assert not any(line.strip() in message for line in file if line.strip())

    def test_a_yara_rule_may_import_modules(self) -> None:
        assert find_fault("yara", 'import "pe"\nrule a { condition: pe.is_pe }') == ""

    @pytest.mark.parametrize("text", ["", "// nothing", "rule a { condition: $b }"])
    def test_a_yara_text_without_a_valid_rule_is_refused(self, text: str) -> None:
        assert find_fault("yara", text)


class TestSigma:
    def test_a_sigma_condition_with_an_undefined_name_is_refused(self) -> None:
        assert "nothing" in find_fault(
            "sigma", SIGMA.replace("condition: shell", "condition: nothing")
        )

    def test_a_sigma_rule_with_nested_yaml_aliases_is_refused(self) -> None:
        lines = ["a: &a [x, x, x, x, x, x, x, x]"]
        for before, name in zip("abcdefgh", "bcdefghi", strict=True):
            lines.append(f"{name}: &{name} [{', '.join(['*' + before] * 8)}]")
        assert "aliases" in find_fault("sigma", "\n".join(lines) + SIGMA)

    def test_deeply_nested_yaml_lists_are_refused_before_the_recursive_parser(self) -> None:
        assert "or too many aliases" in find_fault("sigma", "- " * 16_000 + "a")

    def test_a_sigma_condition_with_thousands_of_negations_is_refused(self) -> None:
        too_long = SIGMA.replace("condition: shell", "condition: " + "not " * 2_000 + "shell")
        assert find_fault("sigma", too_long)


class TestSnort:
    def test_several_snort_rules_with_comments_are_accepted(self) -> None:
        assert find_fault("snort", f"# two\n{VALID_RULES['snort']}\n\n{VALID_RULES['snort']}") == ""

    def test_a_snort_rule_over_several_lines_is_accepted(self) -> None:
        assert find_fault("snort", 'alert tcp any any -> any 80 (\n msg:"a";\n sid:1;\n)') == ""

    def test_a_suricata_pattern_with_one_invalid_line_is_refused(self) -> None:
        assert "place 2" in find_fault("suricata", f"{VALID_RULES['snort']}\nalert me")


class TestRegularExpressions:
    @pytest.mark.parametrize(
        "text",
        [
            r"(?<y>\d{4})-(?P=y)\k<y>",
            r"(?|a|(b))(?>c+)(?<=d)(?<!e)(?R)?",
            r"\Q((\E[]a][[:alpha:]^-]{2,}",
            "(*UTF8)a{,3}b{x}",
            r"/evil\/path/is",
            "(?x) a # an open ( in a comment\n b",
        ],
    )
    def test_pcre_syntax_that_python_lacks_is_accepted(self, text: str) -> None:
        assert find_fault("pcre", text) == ""

    @pytest.mark.parametrize(
        "text", ["", "(a", "a)", "[a", "a\\", "*a", "a|*", "a***", "[z-a]", "a{3,2}", "(?#a"]
    )
    def test_a_regular_expression_invalid_in_every_dialect_is_refused(self, text: str) -> None:
        assert find_fault("pcre", text)

    @pytest.mark.parametrize("text", ["(a+)+$", "((a*)b?)*", "(?:a+){2,}"])
    def test_a_regular_expression_with_exponential_backtracking_gets_a_warning(
        self, text: str
    ) -> None:
        assert find_fault("pcre", text) == ""
        assert "exponential" in BoundedCompiler().check("pcre", text).warning
        assert BoundedCompiler().check("pcre", "(a+b)?c+").warning == ""
