"""Admission of made-up submissions with secrets planted in them, before any hub is there."""

import json
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from hypothesis import (
    HealthCheck,
    given,
    settings,
)
from hypothesis import (
    strategies as st,
)
from support.examples import examples
from support.planted_secrets import (
    AMBER,
    NAMES,
    NOW,
    POLICY,
    QUUX,
    VEXIL,
    forms,
    seen,
    submissions,
)
from support.presence import present

from tocsin.admission import Pipeline
from tocsin.admission.markings.granular import join_layers
from tocsin.admission.model import Candidate, Tlp
from tocsin.admission.normalise import DefaultTlp, normalise
from tocsin.admission.stix.validate import validate
from tocsin.admission.warninglists.index import WarningLists

EXAMPLES = examples(40)
many = settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck))
TERMS = (*QUUX.terms, *VEXIL.terms)
EXAMINERS = {
    each.slug: Pipeline(POLICY, replace(each.submitter(), terms=TERMS), WarningLists([]))
    for each in (QUUX, VEXIL)
}
any_submission = st.sampled_from(sorted(EXAMINERS)).flatmap(submissions)


def candidates(sent: Any) -> Any:
    objects = json.loads(sent.body(escaped=False))["objects"]
    return [Candidate(i, each, each["id"], each.get("modified")) for i, each in enumerate(objects)]


def open_ones(sent: Any) -> Iterator[Any]:
    """What goes on of a submission, but for the submitter's identity, which the hub's replaces."""
    for each in EXAMINERS[sent.slug].examine(candidates(sent), NOW):
        if each.is_open and present(each.object).get("name") != NAMES[sent.slug]:
            yield each


class TestAnySubmission:
    @many
    @given(any_submission)
    def test_nothing_planted_is_in_what_goes_on_at_whatever_level(self, sent: Any) -> None:
        for candidate in open_ones(sent):
            for level, layer in ((candidate.tlp, candidate.object), *candidate.stricter_layers):
                for text in seen(json.dumps(layer).encode()):
                    found = [s for each in sent.secrets for s in forms(each) if s in text]
                    assert not found, (found, layer)
                    assert level >= Tlp.AMBER or AMBER not in text

    @many
    @given(any_submission)
    def test_what_was_normalised_once_stays_as_it_is(self, sent: Any) -> None:
        for candidate in candidates(sent):
            valid = validate(candidate, POLICY, NOW)
            if valid.is_open:
                once = normalise(valid, DefaultTlp(Tlp.GREEN, {}), {})
                again = normalise(once, DefaultTlp(Tlp.GREEN, {}), {})
                assert (again.object, again.scope) == (once.object, once.scope)

    @many
    @given(any_submission)
    def test_what_went_through_admission_goes_through_unchanged_again(self, sent: Any) -> None:
        for candidate in open_ones(sent):
            whole = join_layers(candidate)
            (again,) = EXAMINERS[sent.slug].examine(
                [Candidate(0, whole, present(whole)["id"], present(whole).get("modified"))], NOW
            )
            assert again.is_open, again.findings
            assert join_layers(again) == whole
