"""Properties of validation and normalisation, on generated objects of every type."""

import json
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support.examples import examples
from support.stix_objects import DOMAIN_OBJECTS, OBSERVABLES, objects

from tocsin.admission.model import Candidate, Tlp
from tocsin.admission.normalise import MarkingContext, normalise
from tocsin.admission.policy import parse_policy
from tocsin.admission.stix.validate import validate
from tocsin.config.loading import policy_text

NOW = 1_790_000_000_000_000
POLICY = parse_policy(policy_text(None))
ALL_TYPES = sorted({**DOMAIN_OBJECTS, **OBSERVABLES})
EXAMPLES = examples(10, 4)
many_examples = settings(
    max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True
)


def validate_object(subject: Any) -> Any:
    return validate(Candidate(index=0, object=subject), POLICY, NOW)


def normalise_object(subject: Any) -> Any:
    return normalise(Candidate(index=0, object=subject), MarkingContext(Tlp.GREEN, {}), {})


@pytest.mark.parametrize("kind", ALL_TYPES)
class TestEveryType:
    @many_examples
    @given(data=st.data())
    def test_validating_twice_changes_nothing(self, kind: Any, data: Any) -> None:
        once = validate_object(data.draw(objects(kind)))
        if once.is_open:
            again = validate_object(once.object)
            assert again.is_open, again.findings
            assert again.object == once.object

    @many_examples
    @given(data=st.data())
    def test_normalising_twice_changes_nothing(self, kind: Any, data: Any) -> None:
        valid = validate_object(data.draw(objects(kind)))
        if valid.is_open:
            once = normalise_object(valid.object)
            again = normalise_object(once.object)
            assert again.object == once.object
            assert (again.tlp, again.scope) == (once.tlp, once.scope)

    @many_examples
    @given(data=st.data())
    def test_a_normalised_object_is_valid(self, kind: Any, data: Any) -> None:
        valid = validate_object(data.draw(objects(kind)))
        if valid.is_open:
            again = validate_object(normalise_object(valid.object).object)
            assert again.is_open, again.findings

    @many_examples
    @given(data=st.data())
    def test_validating_and_normalising_do_not_change_their_argument(
        self, kind: Any, data: Any
    ) -> None:
        subject = data.draw(objects(kind))
        before = json.dumps(subject)
        valid = validate_object(subject)
        assert json.dumps(subject) == before
        if valid.is_open:
            between = json.dumps(valid.object)
            normalise_object(valid.object)
            assert json.dumps(valid.object) == between
