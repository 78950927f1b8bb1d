"""Canonical form of STIX patterns: one for all patterns that match the same observations."""

import random
import re
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from stix2matcher.matcher import match
from stix2patterns.validator import run_validator
from support.examples import examples
from support.paths import ROOT
from support.pattern_trees import (
    Combination,
    Comparison,
    ObservationExpression,
    Qualified,
    Writer,
    change_meaning,
)

from tocsin.admission.errors import Malformed
from tocsin.admission.model import Observable
from tocsin.admission.observables.values import extract_observables
from tocsin.admission.patterns.canonical import canonical_pattern
from tocsin.admission.patterns.grammar import MAX_CHARACTERS, MAX_DEPTH, quote_string

NO_OBSERVABLES = {
    "type": "bundle",
    "objects": [
        {
            "type": "observed-data",
            "id": "observed-data--1",
            "first_observed": "2026-01-01T00:00:00Z",
            "last_observed": "2026-01-01T00:00:00Z",
            "number_observed": 1,
            "object_refs": [],
        }
    ],
}
PE = "extensions.'windows-pebinary-ext'"
EQUIVALENT = [
    ("[domain-name:value='EVIL.example']", "[ domain-name:value = 'evil.example' ]"),
    ("[file:hashes.sha256 = 'AB']", "[file:hashes.'SHA-256' = 'ab']"),
    ("[file:hashes.MD5 = 'AB']", "[file:hashes.'MD5' = 'ab']"),
    *(
        (f"[file:{PE}.{place}.MD5 = 'AB']", f"[file:{PE}.{place}.md5 = 'ab']")
        for place in ("file_header_hashes", "optional_header.hashes", "sections[*].hashes")
    ),
    (f"[file:{PE}.imphash = 'AB']", f"[file:{PE}.imphash = 'ab']"),
    ("[file:hashes.IMPHASH = 'AB']", "[file:hashes.imphash = 'ab']"),
    ("[file:hashes.TLSH = 'T1AB']", "[file:hashes.'tlsh' = 't1ab']"),
    ("[ipv4-addr:value = '198.51.100.7/32']", "[ipv4-addr:value = '198.51.100.7']"),
    (
        "[ipv4-addr:value ISSUBSET '198.51.100.7/24']",
        "[ipv4-addr:value ISSUBSET '198.51.100.0/24']",
    ),
    ("[ipv6-addr:value = '2001:DB8:0::1']", "[ipv6-addr:value = '2001:db8::1']"),
    ("[url:value = 'HTTP://Evil.Example:80/A']", "[url:value = 'http://evil.example/A']"),
    ("[a:b = 1 OR a:b = 2]", "[a:b IN (2, 1, 2)]"),
    ("[a:b = 1] OR [a:b = 2]", "[a:b = 2 OR a:b = 1]"),
    ("[a:b = 1 AND a:c = 2]", "[(a:c = 2) AND (a:b = 1)]"),
    ("[a:b = 1] AND [a:c = 2]", "([a:c = 2]) AND [a:b = 1]"),
    ("[a:b = 1 AND (a:c = 2 AND a:d = 3)]", "[(a:d = 3 AND a:b = 1) AND a:c = 2]"),
    ("[a:b NOT = 'x']", "[a:b != 'x']"),
    ("[a:b = 1] REPEATS 1 TIMES", "[a:b == 1]"),
    (
        "[windows-registry-key:key = 'HKLM\\\\x']",
        "[windows-registry-key:key = 'hkey_local_machine\\\\x']",
    ),
    ("[a:t = t'2020-01-01T00:00:00.000Z']", "[a:t = t'2020-01-01T00:00:00Z']"),
    ("[a:b = 1] /* why */", "[a:b = 1] // why"),
    ("[a:'b'.c[+0] <> +1.50]", "[a:b.c[0] NOT = 1.5]"),
    ("[a:b NOT != 1]", "[a:b = 1.0]"),
    ("[a:b != 1 AND a:b != 2]", "[a:b NOT IN (2, 1)]"),
    (
        "[a:q = 1 OR a:r = 1] AND [a:p = 1 AND a:q = 1 OR a:r = 1] AND [a:p = 1]",
        "[a:p = 1 AND a:q = 1] AND [a:p = 1] AND [a:q = 1]"
        " OR [a:p = 1] AND [a:q = 1 OR a:r = 1] AND [a:r = 1]",
    ),
    ("[a:b = -0.0]", "[a:b = 0]"),
    ("[a:b = b'/9g=']", "[a:b = h'FFD8']"),
    ("[file:name LIKE 'x.exe']", "[file:name = 'x.exe']"),
    ("[ipv4-addr:value ISSUBSET '198.51.100.7/32']", "[ipv4-addr:value = '198.51.100.7']"),
    ("[ipv6-addr:value ISSUBSET '2001:DB8::1/128']", "[ipv6-addr:value = '2001:db8::1']"),
    ("[ipv4-addr:value ISSUPERSET '10.1.2.3/8']", "[ipv4-addr:value ISSUPERSET '10.0.0.0/8']"),
    ("[email-addr:value = 'Ann@E.example']", "[email-addr:value = 'Ann@e.example']"),
    (
        "[email-message:from_ref.value = 'a@E.example']",
        "[email-message:from_ref.value='a@e.example']",
    ),
    (
        "[network-traffic:dst_ref.value IN ('B.example', '192.0.2.1/32')]",
        "[network-traffic:dst_ref.value IN ('192.0.2.1', 'b.example')]",
    ),
    (
        "[windows-registry-key:key = 'HKLM\\\\Software\\\\X']",
        "[windows-registry-key:key = 'HKEY_LOCAL_MACHINE\\\\SOFTWARE\\\\x']",
    ),
    ("[(a:b = 1 OR a:c = 2) AND a:d = 3]", "[a:b = 1 AND a:d = 3 OR a:c = 2 AND a:d = 3]"),
    ("[a:b = 1] OR [a:b = 1 AND a:c = 2]", "[a:b = 1]"),
    ("[a:b = 1] OR ([a:b = 1] AND [a:c = 2])", "[a:b = 1]"),
    (
        "([a:b = 1] OR [a:c = 2]) AND [a:d = 3]",
        "([a:b = 1] AND [a:d = 3]) OR ([a:c = 2] AND [a:d = 3])",
    ),
    (
        "[a:b = 1] FOLLOWEDBY ([a:c = 2] FOLLOWEDBY [a:d = 3])",
        "([a:b = 1] FOLLOWEDBY [a:c = 2]) FOLLOWEDBY [a:d = 3]",
    ),
    ("([a:b = 1] OR [a:c = 2]) REPEATS 2 TIMES", "[a:c = 2 OR a:b = 1] REPEATS 2 TIMES"),
]
DIFFERENT = [
    ("[url:value = 'http://e.example/A']", "[url:value = 'http://e.example/a']"),
    ("[a:b = 1] AND [a:b = 1]", "[a:b = 1]"),
    ("[a:b = 1] FOLLOWEDBY [a:c = 2]", "[a:c = 2] FOLLOWEDBY [a:b = 1]"),
    ("[a:b = 1 AND a:c = 2]", "[a:b = 1] AND [a:c = 2]"),
    ("[a:b = '1']", "[a:b = 1]"),
    ("[a:b LIKE 'A']", "[a:b LIKE 'a']"),
    ("[a:b LIKE 'a_c']", "[a:b = 'a_c']"),
    ("[a:b LIKE 'K']", "[a:b = 'K']"),  # LIKE also matches the Kelvin sign
    ("[file:name = 'A.exe']", "[file:name = 'a.exe']"),
    ("[mutex:name = 'M']", "[mutex:name = 'm']"),
    ("[a:b MATCHES 'A']", "[a:b MATCHES 'a']"),
    ("[a:b MATCHES 'a']", "[a:b = 'a']"),
    ("[a:b = 1 AND a:c = 2] OR ([a:b = 1] AND [a:c = 2])", "[a:b = 1 AND a:c = 2]"),
    ("[a:b = 1] OR ([a:c = 2] AND [a:c = 2])", "[a:b = 1 OR a:c = 2]"),
    ("[ipv4-addr:value ISSUBSET '10.0.0.0/8']", "[ipv4-addr:value = '10.0.0.0/8']"),
    ("[x-host:name = 'EVIL.example']", "[x-host:name = 'evil.example']"),
    ("[a:b NOT < 1]", "[a:b >= 1]"),  # neither is true for a text, but NOT negates that
    ("[a:b[*] != 1 AND a:b[*] != 2]", "[a:b[*] NOT IN (1, 2)]"),  # two values, or one
    ("[a:b = 1] WITHIN 5 SECONDS", "[a:b = 1] WITHIN 6 SECONDS"),
    ("[a:b = 1] WITHIN 5 SECONDS", "[a:b = 1]"),
    ("[a:b = 1] REPEATS 2 TIMES", "[a:b = 1]"),
    ("[a:b = 1] REPEATS 2 TIMES WITHIN 5 SECONDS", "[a:b = 1] WITHIN 5 SECONDS REPEATS 2 TIMES"),
    (
        "([a:b = 1] OR [a:c = 2] AND [a:d = 3]) WITHIN 5 SECONDS",
        "[a:b = 1] WITHIN 5 SECONDS OR [a:c = 2] AND [a:d = 3]",
    ),
    (
        "[a:b = 1] START t'2026-01-01T00:00:00Z' STOP t'2026-01-02T00:00:00Z'",
        "[a:b = 1] START t'2026-01-01T00:00:00Z' STOP t'2026-01-03T00:00:00Z'",
    ),
    ("[email-addr:value = 'Ann@e.example']", "[email-addr:value = 'ann@e.example']"),
    ("[file:hashes.SSDEEP = '3:AB']", "[file:hashes.SSDEEP = '3:ab']"),
]
INVALID = [
    "",
    "domain-name:value = 'x'",
    "[domain-name:value = 'x'",
    "[domain-name:value = x]",
    "[domain-name:value = 'x'] AND",
    "[a:b = 1] WITHIN 5 SECONDS WITHIN 6 SECONDS",
    "[a:b = 1] REPEATS 0 TIMES",
    "[a:b LIKE 5]",
    "[a:b = h'abc']",
    "[a:b = t'2020-02-30T00:00:00Z']",
    "[a:b = 'x\\y']",
]


@pytest.mark.parametrize(("one", "other"), EQUIVALENT)
def test_equivalent_patterns_have_one_canonical_form(one: Any, other: Any) -> None:
    assert canonical_pattern(one) == canonical_pattern(other)


@pytest.mark.parametrize(("one", "other"), DIFFERENT)
def test_patterns_with_different_meanings_have_different_canonical_forms(
    one: Any, other: Any
) -> None:
    assert canonical_pattern(one) != canonical_pattern(other)


@pytest.mark.parametrize("pattern", [one for pair in EQUIVALENT + DIFFERENT for one in pair])
def test_the_canonical_form_of_a_canonical_form_is_itself(pattern: Any) -> None:
    assert canonical_pattern(canonical_pattern(pattern)) == canonical_pattern(pattern)


def test_the_examples_of_docs_patterns_are_correct() -> None:
    page = ROOT / "docs" / "patterns.md"
    rows = [
        line.strip("|").split(" | ") for line in page.read_text().splitlines() if "| `[" in line
    ]
    assert len(rows) > 20
    for sent, published in rows:
        ticked = re.findall(r"`([^`]+)`", published)
        for pattern in re.findall(r"`([^`]+)`", sent):
            if "…" not in pattern:
                assert canonical_pattern(pattern) == ticked[0]


@pytest.mark.parametrize("pattern", INVALID)
def test_an_invalid_pattern_is_refused_with_the_place(pattern: Any) -> None:
    with pytest.raises(Malformed, match="not a|nested|expected"):
        canonical_pattern(pattern)


@pytest.mark.parametrize(
    "pattern",
    [
        f"[file:hashes.MD5 IN ('{'a' * 32}', '{'B' * 32}')]",
        "([a:b = 1]) WITHIN 5 SECONDS WITHIN 6 SECONDS",
        "[a:b IN (1, 'x', true)]",
        "[a:b = 1 OR a:b = 'x']",
        "[artifact:payload_bin IN (h'00', b'/9g=')]",
    ],
)
def test_a_canonical_form_is_accepted_by_the_oasis_validator_and_matcher(pattern: str) -> None:
    assert run_validator(canonical_pattern(pattern), "2.1") == []
    assert canonical_pattern(canonical_pattern(pattern)) == canonical_pattern(pattern)
    match(canonical_pattern(pattern), [NO_OBSERVABLES], stix_version="2.1")


def test_parentheses_nested_deeper_than_the_maximum_are_refused() -> None:
    with pytest.raises(Malformed, match="nested deeper"):
        canonical_pattern("(" * (MAX_DEPTH + 1) + "[a:b = 1]" + ")" * (MAX_DEPTH + 1))


@pytest.mark.slow
def test_a_canonical_form_is_never_nested_deeper_than_the_maximum() -> None:
    pattern = "(" * (MAX_DEPTH - 2) + "([a:b = 1] AND [a:c = 2])" + ")" * (MAX_DEPTH - 2)
    assert canonical_pattern(pattern) == "[a:b = 1] AND [a:c = 2]"
    hashes = f"a:hashes.MD5 IN ('{'a' * 32}', '{'b' * 32}') AND a:b = 1"
    deep = "".join(f"(a:x{n} = 1 OR a:y{n} = 2 AND " for n in range(MAX_DEPTH))
    with pytest.raises(Malformed, match="nested deeper"):
        canonical_pattern(f"[a:z = 1 AND {deep}{hashes}{')' * MAX_DEPTH}]")


def test_alternatives_whose_expansion_is_much_longer_are_not_expanded() -> None:
    pairs = [f"([a:b{n} = 1] OR [a:c{n} = 2] WITHIN 5 SECONDS)" for n in range(8)]
    assert canonical_pattern(" AND ".join(pairs)) == " AND ".join(pairs)


def test_the_shorter_of_expanded_and_factored_form_is_canonical() -> None:
    pairs = [f"(a:b{n} = 1 OR a:c{n} = 2)" for n in range(8)]
    assert canonical_pattern(f"[{' AND '.join(reversed(pairs))}]") == f"[{' AND '.join(pairs)}]"


def test_a_set_whose_expansion_is_too_long_is_refused() -> None:
    path = "a:" + "b." * 400 + "hashes.MD5"
    with pytest.raises(Malformed, match="too long"):
        canonical_pattern(f"[{path} IN ({', '.join(str(n) for n in range(5000))})]")


@pytest.mark.parametrize("junk", ["[", "(", "'", "/*", "//", "0", "b'", "[a:b=", "\x00", "é"])
def test_junk_of_any_length_is_refused(junk: str) -> None:
    for length in (MAX_CHARACTERS, 1_000_000):
        with pytest.raises(Malformed):
            canonical_pattern((junk * length)[:length])


def test_an_object_path_that_is_too_long_is_refused() -> None:
    with pytest.raises(Malformed, match="path is longer"):
        canonical_pattern(f"[a:{'b.' * 1000}c = 1]")


def test_a_pattern_that_is_too_long_is_refused() -> None:
    with pytest.raises(Malformed, match="longer than"):
        canonical_pattern(f"[a:b = '{'x' * MAX_CHARACTERS}']")


def test_two_hundred_pairs_of_alternatives_are_not_expanded() -> None:
    canonical = canonical_pattern(" AND ".join(f"([a:b = {n}] OR [a:c = {n}])" for n in range(200)))
    # The OASIS library needs 25 s for ten pairs.
    assert canonical.count("IN") == 0 and canonical.count(" OR ") == 200


def test_thousands_of_alternatives_do_not_exceed_the_recursion_limit() -> None:
    many = " OR ".join(f"a:b = {n}" for n in range(3000))
    assert canonical_pattern(f"[{many}]").startswith("[a:b IN (0, 1, 10")


def test_the_observables_of_an_indicator_are_the_values_of_its_pattern() -> None:
    found = extract_observables(
        {
            "type": "indicator",
            "pattern_type": "stix",
            "pattern": "[domain-name:value = 'a.example' AND NOT EXISTS x:y]"
            " OR [ipv4-addr:value NOT IN ('192.0.2.1')]",
        }
    )
    assert found == (
        Observable("domain-name", "value", "a.example"),
        Observable("ipv4-addr", "value", "192.0.2.1", "IN", negated=True),
    )


def test_the_observables_of_an_sco_are_its_value_and_its_hashes() -> None:
    subject = {"type": "file", "name": "x.exe", "hashes": {"MD5": "ab"}}
    assert extract_observables(subject) == (
        Observable("file", "name", "x.exe"),
        Observable("file", "hashes.'MD5'", "ab"),
    )


any_value = st.text(
    st.sampled_from("aZ.:/@%[]\\ \t\n-19?#'\"\u0130\u00df\u3002\u200b\u212a\x00"), max_size=12
)
prefixes = st.sampled_from(
    ["", "http://", "HTTPS://u@", "1.2.3.4", "::FFFF:1.2.3.4", "1.2.3.4/", "HKLM\\"]
)
fields = st.sampled_from(
    [
        *("domain-name:value", "ipv4-addr:value", "ipv6-addr:value", "url:value", "mac-addr:value"),
        *("email-addr:value", "windows-registry-key:key", "file:hashes.MD5", "file:name"),
        *("network-traffic:dst_ref.value", "email-message:from_ref.value"),
    ]
)


@pytest.mark.slow
@settings(max_examples=examples(1000, 100), deadline=None)
@given(fields, st.sampled_from(["=", "!=", "LIKE", "ISSUBSET", "ISSUPERSET"]), prefixes, any_value)
def test_canonical_form_is_idempotent_for_any_value(
    place: Any, operator: Any, prefix: Any, value: Any
) -> None:
    once = canonical_pattern(f"[{place} {operator} {quote_string(prefix + value)}]")
    assert canonical_pattern(once) == once


def random_tree(change: Any) -> Any:
    """A pattern that compares each field once, so that every part of it has an effect."""
    fields = [Comparison(n, "=", (change.randrange(2),)) for n in (0, 1, 3, 5, 6, 7, 8, 9)]
    change.shuffle(fields)
    brackets = [
        ObservationExpression(Combination(change.choice(["AND", "OR"]), tuple(fields[at : at + 2])))
        for at in (0, 2, 4)
    ]
    last = Qualified(
        ObservationExpression(fields[6]), change.choice(["WITHIN 5 SECONDS", "REPEATS 2 TIMES"])
    )
    return Combination(
        change.choice(["AND", "FOLLOWEDBY"]),
        (
            *brackets[:2],
            Combination(change.choice(["AND", "OR", "FOLLOWEDBY"]), (brackets[2], last)),
        ),
    )


@pytest.mark.parametrize("seed", range(100))
def test_a_changed_value_order_or_qualifier_changes_the_canonical_form(seed: Any) -> None:
    change = random.Random(seed)
    tree = random_tree(change)
    plain = Writer(0, loose=False).write(tree)
    other = Writer(seed, loose=True).write(change_meaning(tree, change))
    assert canonical_pattern(plain) != canonical_pattern(other)
    assert canonical_pattern(plain) == canonical_pattern(Writer(seed, loose=True).write(tree))
