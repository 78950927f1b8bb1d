"""The patterns of one submission within limits (tocsin.admission.patterns.bounded_compiler)."""

import os
import subprocess
import sys
import threading
from typing import Any

import pytest
from support.stix_objects import make_object, yara_bomb

from tocsin.admission import Pipeline
from tocsin.admission.model import Candidate, Submitter
from tocsin.admission.patterns import bounded_compiler
from tocsin.admission.patterns.bounded_compiler import MOST_EXCEEDED, BoundedCompiler
from tocsin.admission.policy import parse_policy
from tocsin.config.loading import policy_text

NOW = 1_790_000_000_000_000
POLICY = parse_policy(policy_text(None))
YARA = 'rule a {{ strings: $a = "evil{}" condition: $a }}'
SNORT = 'alert tcp any any -> any 80 (msg:"a"; content:"evil"; sid:1; rev:1;)'
SIGMA = """
title: A shell is started
logsource:
    category: process_creation
detection:
{selections}
    condition:
{conditions}
"""


class NoWarninglists:
    """Lists on which nothing is."""

    def hits(self, kind: str, value: str) -> tuple[Any, ...]:
        return ()


def sigma_bomb() -> str:
    """A rule whose conditions multiply: each of hundreds names each of hundreds of selections."""
    selections = "".join(f"    s{number}:\n        a: b\n" for number in range(700))
    return SIGMA.format(selections=selections, conditions="     - all of them\n" * 600)


def examine(*patterns: tuple[str, str]) -> list[Candidate]:
    """The candidates of one submission after admission."""
    subjects = [
        make_object("indicator", pattern_type=kind, pattern=text) for kind, text in patterns
    ]
    candidates = [Candidate(index, subject) for index, subject in enumerate(subjects)]
    return Pipeline(POLICY, Submitter(), NoWarninglists()).examine(candidates, NOW)


def time_of_children() -> float:
    """Seconds of processor time of the processes that have ended."""
    return os.times().children_user


def messages(candidates: list[Candidate]) -> list[str]:
    return [
        " ".join(f.message for f in each.findings if f.rule == "pattern") for each in candidates
    ]


class TestBombs:
    @pytest.mark.parametrize("length", [12_000, 24_000])
    @pytest.mark.slow
    def test_a_yara_rule_that_compiles_for_minutes_is_refused_with_advice(
        self, length: int
    ) -> None:
        bomb = yara_bomb(length)
        assert len(bomb) == length
        fault = BoundedCompiler().check("yara", bomb).fault
        assert "processor time" in fault and "simplify it" in fault

    @pytest.mark.slow
    def test_a_sigma_rule_with_multiplying_conditions_is_refused(self) -> None:
        assert "processor time" in BoundedCompiler().check("sigma", sigma_bomb()).fault

    @pytest.mark.parametrize(
        "rule",
        [
            'alert tcp any any -> any 80 (pcre:"/(a+)+$/' + "a" * 30_000 + '";sid:1;)',
            "alert tcp any any -> any 80 (" + "a:b;" * 7_000 + ")",
            "alert " + "a " * 8_000 + "(" * 8_000,
            "alert tcp any any -> any 80 (msg:" + "\\;" * 9_000 + ";)",
        ],
    )
    def test_a_hostile_suricata_rule_gets_an_answer(self, rule: str) -> None:
        assert isinstance(BoundedCompiler().check("suricata", rule).fault, str)

    @pytest.mark.parametrize(
        "text", ["(a+)+" * 6_000, "/" * 32_000, "a{1," * 8_000, "(?i" * 10_000]
    )
    def test_a_hostile_regular_expression_gets_an_answer(self, text: str) -> None:
        assert not BoundedCompiler().check("pcre", text).exceeded

    def test_a_pattern_with_half_a_character_gets_an_answer(self) -> None:
        assert BoundedCompiler().check("yara", "rule a\ud800").fault

    @pytest.mark.slow
    def test_patterns_after_a_bomb_are_accepted(self) -> None:
        bomb, *others = examine(
            ("yara", yara_bomb(12_000)),
            ("yara", YARA.format(1)),
            ("yara", YARA.format(2)),
            ("snort", SNORT),
        )
        assert bomb.verdict == "refused" and "processor time" in messages([bomb])[0]
        assert all(each.is_open for each in others)

    @pytest.mark.slow
    def test_a_bomb_does_not_hold_other_threads(self) -> None:
        answered: list[str] = []

        def count() -> None:
            while not ended.is_set():
                answered.append(BoundedCompiler().check("yara", YARA.format("other")).fault)

        BoundedCompiler().check("yara", YARA.format("other"))
        ended = threading.Event()
        other = threading.Thread(target=count)
        other.start()
        BoundedCompiler().check("yara", yara_bomb(12_000, 2))
        ended.set()
        other.join()
        assert len(answered) > 100 and set(answered) == {""}


class TestBusySystems:
    @pytest.mark.slow
    def test_a_system_that_cannot_start_a_compiler_decides_nothing(self) -> None:
        code = (
            "import resource\n"
            "from tocsin.admission.errors import Unavailable\n"
            "from tocsin.admission.patterns.bounded_compiler import BoundedCompiler\n"
            "resource.setrlimit(resource.RLIMIT_NOFILE, (3, 3))\n"
            "try: BoundedCompiler().check('yara', 'rule a { condition: true }')\n"
            "except Unavailable as error: print(error)\n"
        )
        ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
        assert "could not be started" in ended.stdout, ended.stderr


class TestSubmissions:
    @pytest.mark.slow
    def test_the_rest_of_a_language_is_refused_after_several_bombs(self) -> None:
        submission = [("yara", yara_bomb(12_000, number)) for number in range(500)]
        result = examine(*submission, ("yara", YARA.format(3)), ("snort", SNORT))
        said = messages(result)
        assert all("processor time" in text for text in said[:MOST_EXCEEDED])
        assert all("send the other patterns" in text for text in said[MOST_EXCEEDED:-1])
        assert result[-1].is_open

    @pytest.mark.slow
    def test_a_bomb_that_is_sent_again_is_refused_from_memory(self) -> None:
        submission = [("yara", yara_bomb(12_000, number)) for number in range(MOST_EXCEEDED + 1)]
        first, before = messages(examine(*submission)), time_of_children()
        assert messages(examine(*submission)) == first
        assert time_of_children() == before

    def test_many_patterns_of_several_languages_get_their_own_verdicts(self) -> None:
        submission = []
        for number in range(100):
            submission.append(("yara", YARA.format(number) if number % 7 else f"rule {number}"))
            submission.append(("snort", SNORT.replace("sid:1", f"sid:{number}")))
        result = examine(*submission)
        assert [index for index, each in enumerate(result) if not each.is_open] == [
            2 * number for number in range(100) if not number % 7
        ]

    def test_patterns_that_are_refused_unread_cost_no_compilation(self) -> None:
        unread = [("yara", f"{yara_bomb(12_000, 900 + n)} // \x00") for n in range(5)]
        before = time_of_children()
        result = examine(("yara", YARA.format(6)), *unread)
        assert [each.is_open for each in result] == [True] + 5 * [False]
        assert time_of_children() == before

    def test_objects_that_are_refused_for_another_reason_cost_no_compilation(self) -> None:
        broken = [
            Candidate(
                index, {**make_object("indicator", pattern_type="yara", pattern=text), "name": 1}
            )
            for index, text in enumerate(yara_bomb(12_000, 800 + n) for n in range(200))
        ]
        valid = Candidate(
            200, make_object("indicator", pattern_type="yara", pattern=YARA.format(5))
        )
        result = Pipeline(POLICY, Submitter(), NoWarninglists()).examine([*broken, valid], NOW)
        assert result[-1].is_open and not any(each.is_open for each in result[:-1])

    def test_the_rest_is_refused_after_many_patterns_that_each_take_long(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        # One pattern stays far below its own limit on the slowest machine.
        monkeypatch.setattr(bounded_compiler, "SUBMISSION_SECONDS", 0.5)
        rule = "rule a {{ strings: $a = /xyz{}" + "[^a]" * 2_000 + "/ condition: $a }}"
        result = examine(*(("yara", rule.format(number)) for number in range(40)))
        assert result[0].is_open and result[-1].verdict == "refused"
        assert "fewer at a time" in messages(result)[-1]
