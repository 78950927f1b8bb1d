"""The prose in YARA, Sigma, Snort and Suricata, and personal data in it."""

import time

import pytest
from support.rules import apply_rule, indicator
from support.slowness import measure_slowness

from tocsin.admission.model import Verdict
from tocsin.admission.patterns.prose import find_prose

YARA = """import "pe"
/* YARA Rule Set
   Author: Florian Roth
   Date: 2019-02-24 */
rule Loader {
  meta:
    description = "Detects the loader of version 10.0.1"
    author = "Florian Roth"
    hash1 = "6f76a8e16908ba2d576cf0e8cdb70114dcb70e0f7223be10aab3a728dc65c41c"
    id = "5c3f8a21-0000-4000-8000-123456789012"
    %s
  strings:
    $a = "call +1 212 555 0147 now"
    $b = "http://evil.test/ // contact Jane Roe"
  condition: #a > 3 and $b // both
}"""
SIGMA = """title: Renamed tool
author: Florian Roth, Jane Roe
date: 2017/10/22
description: Detects a renamed tool
%s
logsource:
  product: windows
detection:
  selection:
    CommandLine: 'call +1 212 555 0147'
  condition: selection
level: high
"""
FURTHER = ("(?#", "```", "`comment(", "<!--", " --", "`")
SNORT = 'alert tcp any any -> any any (msg:"%s"; content:"+1 212 555 0147"; sid:1; rev:1;)'


def judge(language: str, pattern: str) -> Verdict:
    subject = indicator(pattern, pattern_type=language)
    return Verdict(apply_rule("personal_data", subject, secrets=["Jane", "7946"]).verdict)


class TestPersonalData:
    @pytest.mark.parametrize(
        ("language", "pattern"),
        [
            ("yara", YARA % ""),
            ("sigma", SIGMA % "# tested on Windows 10"),
            ("snort", SNORT % "MALWARE evil.test by Florian Roth"),
            ("suricata", SNORT % "ET TROJAN checkin 2019-02-24"),
        ],
    )
    def test_rules_as_they_are_published_pass_with_the_names_of_their_authors(
        self, language: str, pattern: str
    ) -> None:
        assert judge(language, pattern) is Verdict.OPEN

    @pytest.mark.parametrize(
        ("language", "pattern"),
        [
            ("yara", YARA % 'contact = "Jane Roe"'),
            ("yara", YARA % 'phone = "020 7946 0018"'),
            ("yara", YARA % "// found on the laptop of Mrs. Jane Roe"),
            ("yara", YARA % "/* user: jroe */"),
            ("yara", YARA % 'description = "reported by Jane Roe"'),
            ("sigma", SIGMA % "# phone +44 20 7946 0018"),
            ("sigma", SIGMA % "falsepositives:\n  - scripts of Mr. John Roe"),
            ("snort", SNORT % "seen at the desk of Mrs. Jane Roe"),
            ("snort", "# contact Jane Roe\n" + SNORT % "x"),
            ("pcre", r"^GET /\w+ (?#reported by Jane Roe)$"),
            ("pcre", r'say"(?#phone +44 20 7946 0018)'),
            ("spl", 'index=a `comment("victim: Mrs. Jane Roe")` | head'),
            ("spl", 'x="a ```reported by Jane Roe``` b'),
            ("sql", "SELECT 1 -- reported by Jane Roe"),
            ("xml", "<a/><!-- reported by Jane Roe -->"),
            ("snort", (SNORT % "x").replace("sid", "metadata:phone +44 20 7946 0018;sid")),
        ],
    )
    def test_personal_data_in_comments_and_metadata_is_held(
        self, language: str, pattern: str
    ) -> None:
        assert judge(language, pattern) is Verdict.HELD


class TestProse:
    def test_what_is_matched_is_no_prose(self) -> None:
        assert not any("212" in text for text in find_prose("yara", YARA % ""))
        assert not any("212" in text for text in find_prose("sigma", SIGMA % ""))
        assert not any("212" in text for text in find_prose("snort", SNORT % "x"))

    @pytest.mark.parametrize("language", ["pcre", "spl"])
    def test_an_expression_without_comments_has_no_prose(self, language: str) -> None:
        assert not any(find_prose(language, r"^\+44 20 7946 0018 `x` a--b (?:call)<!x>"))

    @pytest.mark.parametrize(
        "part", ['"\\"', "/*", "//", '$a="', "metadata:", "# ", "a:", "= ", *FURTHER]
    )
    @pytest.mark.slow
    def test_the_time_is_linear(self, part: str) -> None:
        began = time.process_time()
        list(find_prose("snort", part * (300_000 // len(part))))
        list(find_prose("sigma", part * (300_000 // len(part))))
        list(find_prose("spl", part * (300_000 // len(part))))
        assert time.process_time() - began < 3 * measure_slowness()
