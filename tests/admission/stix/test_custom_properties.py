"""Properties that STIX 2.1 does not define: `custom_properties` of the policy."""

from dataclasses import replace
from typing import Any

import pytest
from support.hub import AMBER
from support.stix_objects import make_object, ref

from tocsin.admission import Pipeline, parse_policy
from tocsin.admission.model import Candidate, Submitter
from tocsin.admission.stix.custom_properties import _of_type, find_undefined_properties
from tocsin.admission.stix.free_text import replace_texts
from tocsin.admission.warninglists.index import WarningLists
from tocsin.config.loading import policy_text

SHIPPED = parse_policy(policy_text(None))
REFERENCE = {"source_name": "a", "external_id": "1"}
PHASE = {"kill_chain_name": "a", "phase_name": "b"}
REQUEST = {"request_method": "get", "request_value": "/"}
CUSTOM_TYPE = {
    **make_object("malware", external_references=[REFERENCE]),
    **{"type": "x-case", "id": ref("x-case")},
}
NESTED_PLACES = [
    (make_object("malware", external_references=[REFERENCE]), ("external_references", 0)),
    (make_object("malware", kill_chain_phases=[PHASE, PHASE]), ("kill_chain_phases", 1)),
    (
        make_object("network-traffic", extensions={"http-request-ext": REQUEST}),
        ("extensions", "http-request-ext"),
    ),
    (
        make_object(
            "file", extensions={"windows-pebinary-ext": {"pe_type": "exe", "imphash": "a"}}
        ),
        ("extensions", "windows-pebinary-ext"),
    ),
    (
        make_object(
            "file",
            extensions={"windows-pebinary-ext": {"pe_type": "exe", "sections": [{"name": "a"}]}},
        ),
        ("extensions", "windows-pebinary-ext", "sections", 0),
    ),
    (
        make_object("x509-certificate", x509_v3_extensions={"key_usage": "a"}),
        ("x509_v3_extensions",),
    ),
    (make_object("windows-registry-key", values=[{"name": "a"}]), ("values", 0)),
    (CUSTOM_TYPE, ("external_references", 0)),
]
OPEN_DICTIONARIES = [
    make_object("process", environment_variables={"x_own": "secret"}),
    make_object("file", extensions={"pdf-ext": {"document_info_dict": {"x_own": "secret"}}}),
    make_object("file", hashes={"x_own": "0" * 32}),
    make_object("language-content", contents={"de": {"x_own": "secret"}}),
]
"""Objects with dictionaries whose keys the standard leaves open."""


def add_custom_property(subject: Any, place: Any) -> Any:
    return replace_texts(subject | {"x": 0}, {("x",): None, (*place, "x_own"): "secret"})


def examine_object(subject: Any, mode: Any = "strip") -> Any:
    policy = replace(SHIPPED, custom_properties=mode, rules=("marking",))
    sent = Candidate(0, subject, subject["id"], subject.get("modified"))
    [candidate] = Pipeline(policy, Submitter(), WarningLists([])).examine(
        [sent], 1_790_000_000_000_000
    )
    return candidate


@pytest.mark.parametrize(("subject", "place"), NESTED_PLACES)
class TestNestedCustomProperties:
    def test_strip_removes_a_nested_custom_property_with_a_finding(
        self, subject: Any, place: Any
    ) -> None:
        if subject["type"] == "x-case":  # `unknown_types` decides about the object
            return
        candidate = examine_object(add_custom_property(subject, place))
        assert candidate.is_open and candidate.object == examine_object(subject).object
        [finding] = [f for f in candidate.findings if f.path.endswith("x_own")]
        assert (finding.rule, finding.action) == ("custom_properties", "stripped")

    def test_refuse_refuses_an_object_with_a_nested_custom_property(
        self, subject: Any, place: Any
    ) -> None:
        if subject["type"] != "x-case":  # `unknown_types` decides about the object
            assert (
                examine_object(add_custom_property(subject, place), "refuse").verdict == "refused"
            )
            assert examine_object(subject, "refuse").is_open

    def test_keep_keeps_a_nested_custom_property(self, subject: Any, place: Any) -> None:
        if subject["type"] != "x-case":
            candidate = examine_object(add_custom_property(subject, place), "keep")
            assert candidate.is_open and "secret" in str(candidate.object)


@pytest.mark.parametrize("subject", OPEN_DICTIONARIES)
def test_a_key_of_an_open_dictionary_is_not_a_custom_property(subject: Any) -> None:
    assert list(find_undefined_properties(subject)) == []
    assert (
        "x_own" in str(examine_object(subject, "refuse").object)
        and examine_object(subject, "refuse").is_open
    )


def test_a_marking_of_a_stripped_property_is_removed_and_an_unresolved_one_refused() -> None:
    markings = [{"marking_ref": AMBER, "selectors": ["external_references.[0].x_own"]}]
    reference = {**REFERENCE, "x_own": "secret"}
    subject = make_object("malware", external_references=[reference], granular_markings=markings)
    assert examine_object(subject).object.keys() == examine_object(
        make_object("malware")
    ).object.keys() | {"external_references"}
    unresolved = [{"marking_ref": AMBER, "selectors": ["external_references.[0].x_more"]}]
    assert not examine_object(subject | {"granular_markings": unresolved}).is_open


def test_custom_types_are_not_kept_in_the_cache() -> None:
    assert list(find_undefined_properties(CUSTOM_TYPE)) == []
    before = _of_type.cache_info().currsize
    for number in range(5):
        assert list(find_undefined_properties(CUSTOM_TYPE | {"type": f"x-case{number}"})) == []
    assert _of_type.cache_info().currsize == before
