"""A canonical pattern matches what the original matched, by the OASIS matcher."""

from typing import Any

import pytest
from hypothesis import given, note, settings
from hypothesis import strategies as st
from stix2matcher.matcher import match
from stix2patterns.validator import run_validator
from support.examples import examples
from support.pattern_trees import Writer, bundle, observations, patterns

from tocsin.admission.patterns.canonical import canonical_pattern

seeds = st.integers(0, 2**32)


@pytest.mark.slow
@settings(max_examples=examples(150, 15), deadline=None)
@given(patterns, observations, seeds)
def test_a_canonical_pattern_matches_the_same_observations(
    tree: Any, observed: Any, seed: Any
) -> None:
    writer = Writer(seed, loose=False)
    pattern = writer.write(tree)
    original_observations = bundle(observed, writer, normal=False)
    normalised_observations = bundle(observed, writer, normal=True)
    note(f"{pattern}\n{canonical_pattern(pattern)}\n{original_observations}")
    before = bool(match(pattern, [original_observations], stix_version="2.1"))
    after = bool(match(canonical_pattern(pattern), [normalised_observations], stix_version="2.1"))
    assert before == after


PAIRS = " AND ".join(f"(x:a{n} = 1 OR x:b{n} = 2)" for n in range(9))


@pytest.mark.slow
@settings(max_examples=examples(100), deadline=None)
@given(patterns, observations, seeds)
def test_a_canonical_pattern_too_large_to_expand_matches_the_same_observations(
    tree: Any, observed: Any, seed: Any
) -> None:
    pattern = Writer(seed, loose=False, alternative=PAIRS).write(tree)
    writer = Writer(seed, loose=False)
    canonical = canonical_pattern(pattern)
    note(f"{pattern}\n{canonical}")
    before = bool(match(pattern, [bundle(observed, writer, normal=False)], stix_version="2.1"))
    after = bool(match(canonical, [bundle(observed, writer, normal=True)], stix_version="2.1"))
    assert before == after
    assert canonical_pattern(canonical) == canonical


@settings(max_examples=examples(150, 15), deadline=None)
@given(patterns, seeds)
def test_every_form_of_a_pattern_has_one_canonical_form(tree: Any, seed: Any) -> None:
    plain = Writer(0, loose=False).write(tree)
    other = Writer(seed, loose=True).write(tree)
    note(f"{plain}\n{other}")
    assert canonical_pattern(other) == canonical_pattern(plain)


@settings(max_examples=examples(150, 15), deadline=None)
@given(patterns, seeds)
def test_a_canonical_pattern_is_valid_and_its_own_canonical_form(tree: Any, seed: Any) -> None:
    pattern = Writer(seed, loose=True).write(tree)
    canonical = canonical_pattern(pattern)
    note(f"{pattern}\n{canonical}")
    assert canonical_pattern(canonical) == canonical
    assert run_validator(canonical, "2.1") == []
