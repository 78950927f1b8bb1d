"""Grammar of STIX patterns: the same verdict as the OASIS grammar for every text."""

import re
from typing import Any

import pytest
from hypothesis import assume, given, note, settings
from hypothesis import strategies as st
from stix2patterns.validator import run_validator
from support.examples import examples
from support.pattern_trees import Writer, patterns

from tocsin.admission.errors import Malformed
from tocsin.admission.patterns.grammar import parse_pattern

TOKENS = re.findall(
    r"\S+",
    "[ ] ( ) , : . * = == != <> < <= > >= AND OR NOT FOLLOWEDBY LIKE MATCHES ISSUBSET ISSUPERSET"
    " EXISTS IN WITHIN SECONDS REPEATS TIMES START STOP LAST true false TRUE a b-c _d t h b file"
    " 1 +2 -3 007 1.5 .5 1. 'x' '' 'it\\'s' '\\\\' 'a\\n' \"x\" t'2026-01-01T00:00:00Z' t'2026'"
    " t'2026-13-01T00:00:00Z' t'2026-01-01T00:00:00.Z' t'2026-01-01T00:00:60.5Z' h'' h'ab' h'abc'"
    " b'' b'abcd' b'ab==' b'abc' b'ab=d' /*x*/ /*x //x + ; ? \u200b \u0000",
)
STRICTER = ("a positive number", "a list index", "not a real date")
"""Errors for patterns that the grammar allows but that never match or crash other parsers."""


def is_accepted(pattern: str) -> bool:
    try:
        parse_pattern(pattern)
    except Malformed as error:
        assume(not any(reason in str(error) for reason in STRICTER))
        return False
    return True


def is_accepted_by_oasis(pattern: str) -> bool:
    return not run_validator(pattern, "2.1")


@settings(max_examples=examples(100), deadline=None)
@given(st.lists(st.sampled_from(TOKENS), min_size=1, max_size=12), st.sampled_from(["", " "]))
def test_any_tokens_in_brackets_are_accepted_or_refused_as_by_oasis(
    tokens: Any, separator: Any
) -> None:
    pattern = "[" + separator.join(tokens)
    note(pattern)
    assert is_accepted(pattern) == is_accepted_by_oasis(pattern)


@pytest.mark.slow
@settings(max_examples=examples(100), deadline=None)
@given(patterns, st.integers(0, 2**32), st.data())
def test_a_pattern_with_a_changed_token_is_accepted_or_refused_as_by_oasis(
    tree: Any, seed: Any, data: Any
) -> None:
    tokens = Writer(seed, loose=False).write(tree).split(" ")
    at = data.draw(st.integers(0, len(tokens) - 1))
    tokens[at : at + data.draw(st.integers(0, 1))] = [data.draw(st.sampled_from(["", *TOKENS]))]
    pattern = " ".join(tokens)
    note(pattern)
    assume("hashes" not in pattern)
    assume(pattern.strip())
    assert is_accepted(pattern) == is_accepted_by_oasis(pattern)


@pytest.mark.parametrize(
    "pattern",
    [
        "[a:b = 1]",
        "[a-b:'c-d'.e[*].f[0] != 'x']",
        "[a:b IN ()]",
        "[NOT EXISTS a:b]",
        "[a:b NOT >= -1.5]",
        "[a:b=1AND a:c=.5]",
        "[a:b = 1]\u00a0OR\u2003[a:c = true]",
        "[a:b = b'ab==' OR a:b = h'']",
        "[a:b = 't\n\u0000\U0001f600']",
        "([a:b = 1]) WITHIN 5 SECONDS WITHIN 0.5 SECONDS",
        "[a:b = 1] START t'2026-01-01T00:00:00Z' STOP t'2026-01-01T23:59:60.123456789Z'",
    ],
)
def test_unusual_valid_patterns_are_accepted(pattern: str) -> None:
    assert is_accepted_by_oasis(pattern)
    parse_pattern(pattern)


@pytest.mark.parametrize(
    "pattern",
    [
        "[a:b[-1] = 1]",
        "[a:b = 1] REPEATS 0 TIMES",
        "[a:b = 1] WITHIN 0.0 SECONDS",
        "[a:b = t'2026-02-30T00:00:00Z']",
        "[a:b = t'0000-01-01T00:00:00Z']",
    ],
)
def test_a_pattern_that_can_never_match_is_refused_although_the_grammar_allows_it(
    pattern: str,
) -> None:
    with pytest.raises(Malformed):
        parse_pattern(pattern)


@pytest.mark.parametrize(
    "pattern",
    [
        "[a:b",
        "[a:b =",
        "[a:b NOT",
        "[a:b IN (1",
        "[a:b = 1] REPEATS",
        "[a:b = 1] START t'2026-01-01T00:00:00Z' STOP",
        "[EXISTS",
        "[a:b.",
        "[a:b[",
        "(",
    ],
)
def test_a_truncated_pattern_is_refused(pattern: str) -> None:
    with pytest.raises(Malformed, match="the end found"):
        parse_pattern(pattern)


@pytest.mark.parametrize(
    ("pattern", "place"),
    [
        ("[a:b = 'x' XOR a:c = 'y']", "'XOR' found at character 12"),
        ("[a:b /* = */ LIKE 5]", "'LIKE' found at character 14"),
        ("[a:b = 'x'] WITHIN 0 SECONDS", "a number found at character 20"),
        ("[a:b = 'x", "unexpected text at character 8"),
        ("[a:b = 'x'", "] expected, the end found"),
    ],
)
def test_the_message_gives_the_place(pattern: str, place: str) -> None:
    with pytest.raises(Malformed, match=f"{re.escape(place)}$"):
        parse_pattern(pattern)
