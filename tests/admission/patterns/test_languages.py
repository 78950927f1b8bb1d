"""Patterns in other languages than STIX (tocsin.admission.patterns.languages)."""

import subprocess
import sys
from typing import Any

import pytest
from support.stix_objects import made

from tocsin.admission.model import Candidate
from tocsin.admission.patterns.languages import (
    LANGUAGES,
    MAX_CHARACTERS,
    find_fault,
    find_warning,
)
from tocsin.admission.policy import parse_policy
from tocsin.admission.stix.validate import validate
from tocsin.config import policy_text

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
GOOD = {
    "yara": 'rule a { strings: $a = "evil" condition: $a }',
    "sigma": SIGMA,
    "snort": 'alert tcp any any -> any 80 (msg:"a"; content:"evil"; sid:1; rev:1;)',
    "suricata": 'alert dns any any -> any any (msg:"a"; dns.query; content:"evil"; sid:1;)',
    "pcre": r"^GET /[a-z]{8}\.php\?id=\d++$",
}


def validated(language: Any, pattern: Any, policy: Any = POLICY) -> Any:
    subject = made("indicator", pattern_type=language, pattern=pattern)
    return validate(Candidate(index=0, object=subject), policy, NOW)


class TestEveryLanguage:
    @pytest.mark.parametrize("language", sorted(LANGUAGES))
    def test_a_rule_is_taken_as_it_is(self, language: Any) -> None:
        told = validated(language, GOOD[language])
        assert told.is_open and told.object["pattern"] == GOOD[language] and told.findings == ()

    @pytest.mark.parametrize("language", sorted(LANGUAGES))
    @pytest.mark.parametrize("junk", ["(((", "[", "a\x00b"])
    def test_junk_is_refused(self, language: Any, junk: str) -> None:
        told = validated(language, junk)
        assert [(f.rule, f.path) for f in told.findings] == [("pattern", "pattern")]
        assert told.verdict == "refused"

    @pytest.mark.parametrize("language", sorted(LANGUAGES))
    @pytest.mark.parametrize("sign", "([{-*\\'\": \n|")
    def test_a_sign_repeated_without_end_comes_to_an_answer(self, language: Any, sign: Any) -> None:
        assert find_fault(language, sign * MAX_CHARACTERS) or language == "pcre"
        assert isinstance(
            find_fault(language, (GOOD[language] + sign * MAX_CHARACTERS)[:MAX_CHARACTERS]), str
        )

    @pytest.mark.parametrize("language", sorted(LANGUAGES))
    def test_one_longer_than_any_reader_can_bear_is_refused(self, language: Any) -> None:
        assert str(MAX_CHARACTERS) in find_fault(language, GOOD[language] + " " * MAX_CHARACTERS)

    def test_a_language_that_the_standard_does_not_know_is_kept_and_told(self) -> None:
        told = validated("zeek", "signature a { payload /evil/ }")
        assert told.is_open and [f.action for f in told.findings] == ["noted"]

    def test_the_policy_may_refuse_such_a_language(self) -> None:
        strict = parse_policy(
            policy_text(None).replace('unknown_patterns = "keep"', 'unknown_patterns = "refuse"')
        )
        told = validated("zeek", "signature a { payload /evil/ }", strict)
        assert [f.rule for f in told.findings] == ["unknown_patterns"]

    def test_no_library_is_loaded_before_a_pattern_needs_it(self) -> None:
        code = "import sys, tocsin.clients.cli.main, tocsin.admission; print(*sys.modules)"
        loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
        assert loaded.returncode == 0, loaded.stderr
        assert not {"sigma", "yara_x", "yaml", "suricataparser"} & set(loaded.stdout.split())


class TestYara:
    @pytest.mark.parametrize("file", ["/etc/passwd", "/etc/hostname"])
    def test_an_include_is_refused_and_nothing_of_the_file_is_told(self, file: str) -> None:
        told = find_fault("yara", f'include "{file}"\nrule a {{ condition: true }}')
        assert "include" in told
        with open(file) as opened:
            assert not any(line.strip() in told for line in opened if line.strip())

    def test_modules_may_be_imported(self) -> None:
        assert find_fault("yara", 'import "pe"\nrule a { condition: pe.is_pe }') == ""

    @pytest.mark.parametrize("text", ["", "// nothing", "rule a { condition: $b }"])
    def test_what_matches_nothing_is_refused(self, text: str) -> None:
        assert find_fault("yara", text)


class TestSigma:
    def test_a_condition_names_what_is_there(self) -> None:
        assert "nothing" in find_fault(
            "sigma", SIGMA.replace("condition: shell", "condition: nothing")
        )

    def test_aliases_do_not_multiply(self) -> None:
        lines = ["a: &a [x, x, x, x, x, x, x, x]"]
        for before, name in zip("abcdefgh", "bcdefghi", strict=True):
            lines.append(f"{name}: &{name} [{', '.join(['*' + before] * 8)}]")
        assert "aliases" in find_fault("sigma", "\n".join(lines) + SIGMA)

    def test_a_list_in_a_list_without_end_never_meets_the_reader_that_recurses(self) -> None:
        assert "or too many aliases" in find_fault("sigma", "- " * 16_000 + "a")

    def test_a_negation_without_end_is_refused(self) -> None:
        endless = SIGMA.replace("condition: shell", "condition: " + "not " * 2_000 + "shell")
        assert find_fault("sigma", endless)


class TestSnort:
    def test_many_rules_a_line_each_with_comments(self) -> None:
        assert find_fault("snort", f"# two\n{GOOD['snort']}\n\n{GOOD['snort']}") == ""

    def test_one_rule_over_many_lines(self) -> None:
        assert find_fault("snort", 'alert tcp any any -> any 80 (\n msg:"a";\n sid:1;\n)') == ""

    def test_one_bad_line_spoils_the_pattern(self) -> None:
        assert "place 2" in find_fault("suricata", f"{GOOD['snort']}\nalert me")


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
    def test_what_python_does_not_know_is_taken_all_the_same(self, text: str) -> None:
        assert find_fault("pcre", text) == ""

    @pytest.mark.parametrize(
        "text", ["", "(a", "a)", "[a", "a\\", "*a", "a|*", "a***", "[z-a]", "a{3,2}", "(?#a"]
    )
    def test_what_is_wrong_in_every_dialect_is_refused(self, text: str) -> None:
        assert find_fault("pcre", text)

    @pytest.mark.parametrize("text", ["(a+)+$", "((a*)b?)*", "(?:a+){2,}"])
    def test_what_may_run_for_ever_is_told_and_not_run(self, text: str) -> None:
        assert find_fault("pcre", text) == ""
        assert "exponential" in find_warning("pcre", text)
        assert find_warning("pcre", "(a+b)?c+") == ""
