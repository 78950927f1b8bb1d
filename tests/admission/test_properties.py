"""What holds of every object, whatever it is: found by making many of each type."""

import json
from typing import Any

import pytest
from hypothesis import (
    HealthCheck,
    given,
    settings,
)
from hypothesis import (
    strategies as st,
)
from support.examples import examples
from support.stix_objects import DOMAIN_OBJECTS, OBSERVABLES, objects

from tocsin.admission.model import Candidate, Tlp
from tocsin.admission.normalise import DefaultTlp, normalise
from tocsin.admission.policy import parse_policy
from tocsin.admission.stix.validate import validate
from tocsin.config import policy_text

NOW = 1_790_000_000_000_000
POLICY = parse_policy(policy_text(None))
EVERY = sorted({**DOMAIN_OBJECTS, **OBSERVABLES})
EXAMPLES = examples(20)
many = settings(
    max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True
)


def validated(subject: Any) -> Any:
    return validate(Candidate(index=0, object=subject), POLICY, NOW)


def normalised(subject: Any) -> Any:
    return normalise(Candidate(index=0, object=subject), DefaultTlp(Tlp.GREEN, {}), {})


@pytest.mark.parametrize("kind", EVERY)
class TestEveryType:
    @many
    @given(data=st.data())
    def test_what_was_validated_once_is_valid_as_it_stands(self, kind: Any, data: Any) -> None:
        once = validated(data.draw(objects(kind)))
        if once.is_open:
            again = validated(once.object)
            assert again.is_open, again.findings
            assert again.object == once.object

    @many
    @given(data=st.data())
    def test_what_was_normalised_once_stays_as_it_is(self, kind: Any, data: Any) -> None:
        valid = validated(data.draw(objects(kind)))
        if valid.is_open:
            once = normalised(valid.object)
            again = normalised(once.object)
            assert again.object == once.object
            assert (again.tlp, again.scope) == (once.tlp, once.scope)

    @many
    @given(data=st.data())
    def test_what_was_normalised_is_valid_still(self, kind: Any, data: Any) -> None:
        valid = validated(data.draw(objects(kind)))
        if valid.is_open:
            again = validated(normalised(valid.object).object)
            assert again.is_open, again.findings

    @many
    @given(data=st.data())
    def test_neither_stage_changes_its_argument(self, kind: Any, data: Any) -> None:
        subject = data.draw(objects(kind))
        before = json.dumps(subject)
        valid = validated(subject)
        assert json.dumps(subject) == before
        if valid.is_open:
            between = json.dumps(valid.object)
            normalised(valid.object)
            assert json.dumps(valid.object) == between
