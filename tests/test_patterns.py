"""STIX patterns: one spelling for everything that matches the same."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tocsin.admission.errors import Malformed
from tocsin.admission.model import Observable
from tocsin.admission.pattern_reader import DEEPEST, LONGEST
from tocsin.admission.patterns import canonical, observables

SAME = [
    ("[domain-name:value='EVIL.example']", "[ domain-name:value = 'evil.example' ]"),
    ("[file:hashes.sha256 = 'AB']", "[file:hashes.'SHA-256' = 'ab']"),
    ("[file:hashes.MD5 = 'AB']", "[file:hashes.'MD5' = 'ab']"),
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
]
DIFFERENT = [
    ("[url:value = 'http://e.example/A']", "[url:value = 'http://e.example/a']"),
    ("[a:b = 1] AND [a:b = 1]", "[a:b = 1]"),
    ("[a:b = 1] FOLLOWEDBY [a:c = 2]", "[a:c = 2] FOLLOWEDBY [a:b = 1]"),
    ("[a:b = 1 AND a:c = 2]", "[a:b = 1] AND [a:c = 2]"),
    ("[a:b = '1']", "[a:b = 1]"),
    ("[a:b LIKE 'A']", "[a:b LIKE 'a']"),
    ("[email-addr:value = 'Ann@e.example']", "[email-addr:value = 'ann@e.example']"),
    ("[file:hashes.SSDEEP = '3:AB']", "[file:hashes.SSDEEP = '3:ab']"),
]
BROKEN = [
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


@pytest.mark.parametrize(("one", "other"), SAME)
def test_what_matches_the_same_is_spelt_the_same(one, other):
    assert canonical(one) == canonical(other)


@pytest.mark.parametrize(("one", "other"), DIFFERENT)
def test_what_matches_differently_stays_different(one, other):
    assert canonical(one) != canonical(other)


@pytest.mark.parametrize("pattern", [one for pair in SAME + DIFFERENT for one in pair])
def test_the_canonical_form_is_its_own_canonical_form(pattern):
    assert canonical(canonical(pattern)) == canonical(pattern)


@pytest.mark.parametrize("pattern", BROKEN)
def test_what_is_no_pattern_is_refused_with_the_place(pattern):
    with pytest.raises(Malformed, match="not a|nested|expected"):
        canonical(pattern)


def test_parentheses_nest_only_so_deep():
    with pytest.raises(Malformed, match="nested deeper"):
        canonical("(" * (DEEPEST + 1) + "[a:b = 1]" + ")" * (DEEPEST + 1))


def test_a_pattern_may_not_be_endless():
    with pytest.raises(Malformed, match="longer than"):
        canonical(f"[a:b = '{'x' * LONGEST}']")


def test_pairs_of_alternatives_do_not_multiply():
    spelt = canonical(" AND ".join(f"([a:b = {n}] OR [a:c = {n}])" for n in range(200)))
    assert spelt.count("IN") == 0 and spelt.count(" OR ") == 200  # ten pairs take the peer 25 s


def test_thousands_of_alternatives_do_not_recurse():
    many = " OR ".join(f"a:b = {n}" for n in range(3000))
    assert canonical(f"[{many}]").startswith("[a:b IN (0, 1, 10")


def test_the_values_of_a_pattern_are_its_observables():
    found = observables(
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


def test_an_sco_is_about_its_value_and_its_hashes():
    subject = {"type": "file", "name": "x.exe", "hashes": {"MD5": "ab"}}
    assert observables(subject) == (
        Observable("file", "name", "x.exe"),
        Observable("file", "hashes.'MD5'", "ab"),
    )


tests = st.builds(
    "{}:{} {} {}".format,
    st.sampled_from(["a", "b"]),
    st.sampled_from(["x", "y.z", "hashes.MD5"]),
    st.sampled_from(["=", "!=", "<", ">="]),
    st.sampled_from(["1", "2", "'s'", "1.5"]),
)
comparisons = st.recursive(
    tests,
    lambda inner: st.builds(
        lambda parts, word: "(" + f" {word} ".join(parts) + ")",
        st.lists(inner, min_size=2, max_size=3),
        st.sampled_from(["AND", "OR"]),
    ),
    max_leaves=6,
)
expressions = st.recursive(
    st.builds("[{}]".format, comparisons),
    lambda inner: st.builds(
        lambda parts, word: "(" + f" {word} ".join(parts) + ")",
        st.lists(inner, min_size=2, max_size=3),
        st.sampled_from(["AND", "OR", "FOLLOWEDBY"]),
    ),
    max_leaves=4,
)


@settings(max_examples=200, deadline=None)
@given(expressions)
def test_canonical_is_idempotent_for_every_pattern(pattern):
    once = canonical(pattern)
    assert canonical(once) == once
