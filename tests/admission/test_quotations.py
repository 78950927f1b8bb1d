"""Findings name the place and the rule; they do not repeat what was sent."""

from dataclasses import replace
from typing import Any

import pytest
from support.contributions import NOW
from support.hub import GREEN, default_admission, indicator, sdo
from support.stix_objects import make_object

from tocsin.admission.errors import Malformed
from tocsin.admission.model import Action, Candidate
from tocsin.admission.patterns.canonical import canonical_pattern
from tocsin.admission.patterns.languages import library_error
from tocsin.admission.quotations import remove_quotation
from tocsin.admission.stix.ijson import parse_object
from tocsin.admission.stix.validate import validate

TEXT = "Jane Doe jane.doe@bank.test"
DEFINITION = {
    **{"name": "x", "schema": "s", "version": "1.0.0", "extension_types": ["new-sdo"]},
    **{"extension_properties": ["a"], "description": TEXT, "created_by_ref": make_object("tool")},
}
BROKEN = [
    *(indicator(confidence=TEXT), indicator(confidence=300, description=TEXT)),
    *(indicator(labels=TEXT), indicator(labels=[], description=TEXT), indicator(labels=[5])),
    *(indicator(revoked=TEXT), indicator(created_by_ref=TEXT), indicator(valid_from=TEXT)),
    *(indicator(kill_chain_phases=[{TEXT: 1}]), indicator(external_references=[TEXT])),
    *(indicator(external_references=[{"source_name": TEXT}]), indicator(lang=TEXT)),
    indicator(granular_markings=[{"selectors": [TEXT], "marking_ref": GREEN}]),
    indicator(granular_markings=[{"selectors": ["labels"], "lang": TEXT}]),
    *(indicator(pattern=TEXT), indicator(pattern=f"[domain-name:value = '{TEXT}']")),
    *(indicator(pattern=f"[a:b = 1] '{TEXT}'"), indicator(pattern="[a:b = 4111111111111111 1]")),
    *(sdo("extension-definition", **DEFINITION), sdo("malware", description=TEXT)),
    *(sdo("opinion", opinion=TEXT, object_refs=[]), sdo("relationship", relationship_type=TEXT)),
    *(sdo("location", latitude=TEXT), sdo("location", description=TEXT, latitude=500)),
    *(sdo("sighting", sighting_of_ref=TEXT, count=-1), sdo("language-content", contents={TEXT: 1})),
    *(make_object("file", extensions={TEXT: TEXT}), make_object("file", hashes={TEXT: TEXT})),
    *(make_object("file", hashes={"MD5": TEXT}), make_object("file", magic_number_hex=TEXT)),
    *(make_object("file", size=TEXT), make_object("mac-addr", value=TEXT)),
    *(make_object("artifact", payload_bin=TEXT, url="x"), sdo("tool", name=[TEXT])),
    make_object("windows-registry-key", values=[{"data_type": TEXT}]),
    make_object("process", environment_variables={TEXT: TEXT}),
]


@pytest.mark.parametrize("mode", ["strip", "keep", "refuse"])
@pytest.mark.parametrize("subject", BROKEN)
def test_no_finding_about_an_invalid_object_repeats_its_texts(subject: Any, mode: str) -> None:
    policy = replace(default_admission().policy, custom_properties=mode)
    judged = validate(Candidate.from_object(0, subject), policy, NOW)
    assert judged.findings
    told = "\n".join(f"{each.path} {each.message}" for each in judged.findings)
    assert not any(word in told for word in ("Jane", "jane", "bank", "4111"))


def test_a_finding_says_which_rule_is_broken_and_how_to_follow_it() -> None:
    subject = indicator(confidence=300, labels="a", revoked="no", name=5)
    judged = validate(Candidate.from_object(0, subject), default_admission().policy, NOW)
    refused = {each.path: each.message for each in judged.findings if each.action is Action.REFUSED}
    assert refused == {
        "confidence": "must be at most 100",
        "labels": "must be of type array",
        "name": "must be of type string",
        "revoked": "must be of type boolean",
    }


@pytest.mark.parametrize("value", ["evil[.]top", "*.evil.top"])
def test_an_impossible_host_is_shown(value: str) -> None:
    subject = indicator(pattern=f"[domain-name:value = '{value}']")
    judged = validate(Candidate.from_object(0, subject), default_admission().policy, NOW)
    assert value in judged.findings[-1].message


def test_a_name_that_occurs_twice_is_shown_only_if_it_is_plain() -> None:
    with pytest.raises(Malformed, match="^a name occurs twice"):
        parse_object(b'{"Jane Doe": 1, "Jane Doe": 2}')


def test_a_token_of_a_pattern_is_shown_only_if_it_is_a_sign_or_a_word() -> None:
    with pytest.raises(Malformed, match="a string found at character 12$"):
        canonical_pattern("[a:b = 'x' 'Jane Doe']")
    with pytest.raises(Malformed, match="'and' found at character 12$"):
        canonical_pattern("[a:b = 'x' and a:c = 1]")


@pytest.mark.parametrize(
    ("message", "shown"),
    [
        ("'Jane Doe' is not a valid Sigma rule status", "... is not a valid Sigma rule status"),
        ("'Jane\nDoe' is invalid", "..."),
        ("'x' Jane\nDoe' is invalid", "..."),
        ("unknown identifier `jane`\n --> line 1", "unknown identifier `jane`"),
        ("invalid: b'missing ): (Jane Doe", "invalid: b..."),
        ("Unknown modifier 'contain'", "Unknown modifier 'contain'"),
        ("unknown pattern `$b`", "unknown pattern `$b`"),
        ("field 'sel' must not be \"Jane Doe\"", "field ..."),
        ("tel '+4930901820' is unknown", "tel ... is unknown"),
        ("\n  \n", "no reason given"),
    ],
)
def test_what_a_library_quotes_is_left_out(message: str, shown: str) -> None:
    assert remove_quotation(message) == shown
    assert str(library_error("Sigma", message)) == f"not Sigma: {shown}"
