"""Admission of generated submissions with planted secrets, without a hub."""

import json
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support.examples import examples
from support.planted_secrets import (
    AMBER,
    NAMES,
    NOW,
    POLICY,
    QUUX,
    VEXIL,
    decoded_texts,
    encodings_of,
    submissions,
)
from support.presence import present

from tocsin.admission import Pipeline
from tocsin.admission.markings.granular import join_layers
from tocsin.admission.model import Candidate, Tlp
from tocsin.admission.normalise import MarkingContext, normalise
from tocsin.admission.stix.validate import validate
from tocsin.admission.warninglists.index import WarningLists

EXAMPLES = examples(20, 8)
many_examples = settings(
    max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck)
)
TERMS = (*QUUX.terms, *VEXIL.terms)
PIPELINES = {
    each.slug: Pipeline(POLICY, replace(each.submitter(), terms=TERMS), WarningLists([]))
    for each in (QUUX, VEXIL)
}
any_submission = st.sampled_from(sorted(PIPELINES)).flatmap(submissions)


def candidates(sent: Any) -> Any:
    objects = json.loads(sent.body(escaped=False))["objects"]
    return [Candidate(i, each, each["id"], each.get("modified")) for i, each in enumerate(objects)]


def open_candidates(sent: Any) -> Iterator[Any]:
    """The open candidates, without the identity of the submitter, which the hub replaces."""
    for each in PIPELINES[sent.slug].examine(candidates(sent), NOW):
        if each.is_open and present(each.object).get("name") != NAMES[sent.slug]:
            yield each


class TestAnySubmission:
    @pytest.mark.slow
    @many_examples
    @given(any_submission)
    def test_no_planted_secret_is_left_in_an_admitted_object_at_any_level(self, sent: Any) -> None:
        for candidate in open_candidates(sent):
            for level, layer in ((candidate.tlp, candidate.object), *candidate.stricter_layers):
                for text in decoded_texts(json.dumps(layer).encode()):
                    found = [s for each in sent.secrets for s in encodings_of(each) if s in text]
                    assert not found, (found, layer)
                    assert level >= Tlp.AMBER or AMBER not in text

    @pytest.mark.slow
    @many_examples
    @given(any_submission)
    def test_normalising_twice_changes_nothing(self, sent: Any) -> None:
        for candidate in candidates(sent):
            valid = validate(candidate, POLICY, NOW)
            if valid.is_open:
                once = normalise(valid, MarkingContext(Tlp.GREEN, {}), {})
                again = normalise(once, MarkingContext(Tlp.GREEN, {}), {})
                assert (again.object, again.scope) == (once.object, once.scope)

    @pytest.mark.slow
    @many_examples
    @given(any_submission)
    def test_an_admitted_object_passes_admission_again_unchanged(self, sent: Any) -> None:
        for candidate in open_candidates(sent):
            whole = join_layers(candidate)
            (again,) = PIPELINES[sent.slug].examine(
                [Candidate(0, whole, present(whole)["id"], present(whole).get("modified"))], NOW
            )
            assert again.is_open, again.findings
            assert join_layers(again) == whole
