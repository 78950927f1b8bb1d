"""Properties inside an object that STIX 2.1 does not define: `custom_properties` of the policy."""

from dataclasses import replace
from typing import Any

import pytest
from support.hub import AMBER
from support.stix_objects import made, ref

from tocsin.admission import Pipeline, parse_policy
from tocsin.admission.model import Candidate, Submitter
from tocsin.admission.stix.custom_properties import _of_type, find_undefined_properties
from tocsin.admission.stix.free_text import replace_texts
from tocsin.admission.warninglists.index import WarningLists
from tocsin.config import policy_text

SHIPPED = parse_policy(policy_text(None))
REFERENCE = {"source_name": "a", "external_id": "1"}
PHASE = {"kill_chain_name": "a", "phase_name": "b"}
REQUEST = {"request_method": "get", "request_value": "/"}
CASE = {
    **made("malware", external_references=[REFERENCE]),
    **{"type": "x-case", "id": ref("x-case")},
}
INSIDE = [
    (made("malware", external_references=[REFERENCE]), ("external_references", 0)),
    (made("malware", kill_chain_phases=[PHASE, PHASE]), ("kill_chain_phases", 1)),
    (
        made("network-traffic", extensions={"http-request-ext": REQUEST}),
        ("extensions", "http-request-ext"),
    ),
    (
        made("file", extensions={"windows-pebinary-ext": {"pe_type": "exe", "imphash": "a"}}),
        ("extensions", "windows-pebinary-ext"),
    ),
    (
        made(
            "file",
            extensions={"windows-pebinary-ext": {"pe_type": "exe", "sections": [{"name": "a"}]}},
        ),
        ("extensions", "windows-pebinary-ext", "sections", 0),
    ),
    (
        made("x509-certificate", x509_v3_extensions={"key_usage": "a"}),
        ("x509_v3_extensions",),
    ),
    (made("windows-registry-key", values=[{"name": "a"}]), ("values", 0)),
    (CASE, ("external_references", 0)),
]
DICTIONARIES = [
    made("process", environment_variables={"x_own": "secret"}),
    made("file", extensions={"pdf-ext": {"document_info_dict": {"x_own": "secret"}}}),
    made("file", hashes={"x_own": "0" * 32}),
    made("language-content", contents={"de": {"x_own": "secret"}}),
]
"""Where the standard lets people make up names."""


def planted(subject: Any, place: Any) -> Any:
    return replace_texts(subject | {"x": 0}, {("x",): None, (*place, "x_own"): "secret"})


def judged(subject: Any, mode: Any = "strip") -> Any:
    policy = replace(SHIPPED, custom_properties=mode, rules=("marking",))
    candidate = Candidate(0, subject, subject["id"], subject.get("modified"))
    [told] = Pipeline(policy, Submitter(), WarningLists([])).examine(
        [candidate], 1_790_000_000_000_000
    )
    return told


@pytest.mark.parametrize(("subject", "place"), INSIDE)
class TestInside:
    def test_strip_takes_it_out_and_says_so(self, subject: Any, place: Any) -> None:
        told = judged(planted(subject, place))
        assert told.is_open and told.object == judged(subject).object
        [finding] = [f for f in told.findings if f.path.endswith("x_own")]
        assert (finding.rule, finding.action) == ("custom_properties", "stripped")

    def test_refuse_does_not_take_the_object(self, subject: Any, place: Any) -> None:
        if subject["type"] != "x-case":  # that is for `unknown_types` to say
            assert judged(planted(subject, place), "refuse").verdict == "refused"
            assert judged(subject, "refuse").is_open

    def test_keep_keeps_it(self, subject: Any, place: Any) -> None:
        if subject["type"] != "x-case":
            told = judged(planted(subject, place), "keep")
            assert told.is_open and "secret" in str(told.object)


@pytest.mark.parametrize("subject", DICTIONARIES)
def test_what_people_may_name_is_not_undefined(subject: Any) -> None:
    assert list(find_undefined_properties(subject)) == []
    assert "x_own" in str(judged(subject, "refuse").object) and judged(subject, "refuse").is_open


def test_a_marking_of_it_goes_with_it_and_one_of_nothing_still_holds() -> None:
    marks = [{"marking_ref": AMBER, "selectors": ["external_references.[0].x_own"]}]
    reference = {**REFERENCE, "x_own": "secret"}
    subject = made("malware", external_references=[reference], granular_markings=marks)
    assert judged(subject).object.keys() == judged(made("malware")).object.keys() | {
        "external_references"
    }
    astray = [{"marking_ref": AMBER, "selectors": ["external_references.[0].x_more"]}]
    assert not judged(subject | {"granular_markings": astray}).is_open


def test_nothing_is_remembered_of_types_that_people_make_up() -> None:
    assert list(find_undefined_properties(CASE)) == []
    before = _of_type.cache_info().currsize
    for number in range(5):
        assert list(find_undefined_properties(CASE | {"type": f"x-case{number}"})) == []
    assert _of_type.cache_info().currsize == before
