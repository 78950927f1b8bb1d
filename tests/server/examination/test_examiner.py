"""Objects that the examiner refuses before any stage."""

import json

import pytest

from tocsin.admission.model import Verdict
from tocsin.server.examination.examiner import parse_candidate

EVENT = {"info": "x", "threat_level_id": "1", "Attribute": [], "Orgc": {"name": "x"}}


@pytest.mark.parametrize("event", [EVENT, {"Event": EVENT}], ids=["bare", "wrapped"])
def test_an_event_of_misp_is_refused_with_the_command_that_sends_it(
    event: dict[str, object],
) -> None:
    candidate = parse_candidate(0, json.dumps(event).encode())
    assert candidate.verdict is Verdict.REFUSED
    assert "tocsin push" in candidate.findings[-1].message
