"""A canonical pattern matches what the pattern matched, in the eyes of the OASIS matcher."""

from typing import Any

from hypothesis import (
    given,
    note,
    settings,
)
from hypothesis import (
    strategies as st,
)
from stix2matcher.matcher import match
from stix2patterns.validator import run_validator
from support.examples import examples
from support.pattern_trees import (
    Writer,
    bundle,
    observations,
    patterns,
)

from tocsin.admission.patterns.canonical import canonical_pattern

seeds = st.integers(0, 2**32)


@settings(max_examples=examples(150), deadline=None)
@given(patterns, observations, seeds)
def test_a_canonical_pattern_matches_the_same_observations(
    tree: Any, observed: Any, seed: Any
) -> None:
    writer = Writer(seed, loose=False)
    pattern = writer.written(tree)
    as_seen = bundle(observed, writer, normal=False)
    as_meant = bundle(observed, writer, normal=True)
    note(f"{pattern}\n{canonical_pattern(pattern)}\n{as_seen}")
    before = bool(match(pattern, [as_seen], stix_version="2.1"))
    after = bool(match(canonical_pattern(pattern), [as_meant], stix_version="2.1"))
    assert before == after


PAIRS = " AND ".join(f"(x:a{n} = 1 OR x:b{n} = 2)" for n in range(9))


@settings(max_examples=examples(100), deadline=None)
@given(patterns, observations, seeds)
def test_so_does_one_that_is_too_large_to_be_multiplied_out(
    tree: Any, observed: Any, seed: Any
) -> None:
    pattern = Writer(seed, loose=False, beside=PAIRS).written(tree)
    writer = Writer(seed, loose=False)
    spelt = canonical_pattern(pattern)
    note(f"{pattern}\n{spelt}")
    before = bool(match(pattern, [bundle(observed, writer, normal=False)], stix_version="2.1"))
    after = bool(match(spelt, [bundle(observed, writer, normal=True)], stix_version="2.1"))
    assert before == after
    assert canonical_pattern(spelt) == spelt


@settings(max_examples=examples(150), deadline=None)
@given(patterns, seeds)
def test_however_it_is_written_it_is_one_pattern(tree: Any, seed: Any) -> None:
    plain = Writer(0, loose=False).written(tree)
    other = Writer(seed, loose=True).written(tree)
    note(f"{plain}\n{other}")
    assert canonical_pattern(other) == canonical_pattern(plain)


@settings(max_examples=examples(150), deadline=None)
@given(patterns, seeds)
def test_a_canonical_pattern_is_valid_and_its_own_canonical_form(tree: Any, seed: Any) -> None:
    pattern = Writer(seed, loose=True).written(tree)
    spelt = canonical_pattern(pattern)
    note(f"{pattern}\n{spelt}")
    assert canonical_pattern(spelt) == spelt
    assert run_validator(spelt, "2.1") == []
