"""A secret planted anywhere in an object is not in the sanitised object (hypothesis)."""

from dataclasses import replace
from json import dumps
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.examples import examples

from tocsin.admission import Pipeline, parse_policy
from tocsin.admission.model import Candidate, Submitter
from tocsin.admission.warninglists.index import WarningLists
from tocsin.config.loading import policy_text

NOW = 1_790_000_000_000_000
AUTHOR = "identity--96b9f522-7592-502b-a5f7-8fa59a268afd"
ACME = Submitter(
    partner="acme-slug",
    names=("ACME Corp",),
    terms=("acme.example", "Widget Pro", "45.12.0.0/16"),
)
POLICY = parse_policy(
    policy_text(None).replace('custom_properties = "strip"', 'custom_properties = "keep"')
)

SECRETS = {
    "name of the partner": ("ACME Corp", "ACME Corp"),
    "domain of the partner": ("vpn.acme.example", "acme.example"),
    "product of the partner": ("Widget Pro", "Widget Pro"),
    "network of the partner": ("45.12.7.8", "45.12.7.8"),
    "e-mail address": ("jane.doe@bank.test", "jane.doe"),
    "telephone": ("+49 30 901820", "901820"),
    "card": ("4111 1111 1111 1111", "4111 1111"),
    "IBAN": ("DE89 3704 0044 0532 0130 00", "3704 0044"),
    "SSN": ("078-05-1121", "078-05-1121"),
    "identity number": ("PESEL 44051401359", "44051401359"),
    "person": ("Reported by Joan Roe-Smith", "Joan"),
    "postal address": ("Musterstraße 12a, 10115 Berlin", "Musterstraße"),
    "user": (r"C:\Users\jroe\Desktop", "jroe"),
    "home": ("/home/jroe/.ssh", "jroe"),
    "password": ("https://jroe:hunter2@evil.test/x", "hunter2"),
    "token": ("https://evil.test/?sid=0123abcd", "0123abcd"),
    "address in a URL": ("https://evil.test/?to=joan%40bank.com", "joan"),
    "private address": ("10.1.2.3", "10.1.2.3"),
    "handle": ("@joan_roe", "joan_roe"),
    "post": ("https://x.com/joan_roe/status/2081543335966347395", "joan_roe"),
}
"""Planted texts, and the part of each that may never be seen again."""

CASED = st.sampled_from([str, str.upper, str.lower])
DEFANGED = st.sampled_from(
    [str, lambda text: text.replace(".", "[.]"), lambda text: text.replace("@", "[@]")]
)
AS_WRITTEN = frozenset(["person", "postal address", "telephone", "user", "home"])
"""Kinds that are known by their capitals, or that nobody defangs."""


@st.composite
def planted(draw: Any) -> Any:
    """A text with a secret in it, and the secret."""
    kind = draw(st.sampled_from(sorted(SECRETS)))
    text, part = SECRETS[kind]
    before = draw(st.sampled_from(["", "Seen: ", "\n- ", "(", "„", "see also ", "x, "]))
    behind = draw(st.sampled_from(["", " today", "\n", ")", ", and more", " – it seems"]))
    if kind not in AS_WRITTEN:
        spell = draw(CASED), draw(DEFANGED)
        text = spell[1](spell[0](text))
    return f"{before}{text}{behind}", part


def nested(leaf: Any) -> Any:
    return st.recursive(
        leaf,
        lambda inner: st.one_of(
            st.lists(inner, min_size=1, max_size=2),
            st.dictionaries(
                st.sampled_from(["a", "id", "pattern", "to_ref", "hashes"]),
                inner,
                min_size=1,
                max_size=2,
            ),
        ),
        max_leaves=4,
    )


PLACES = ["name", "description", "label", "reference", "source", "url", "x_note", "x_deep"]


@st.composite
def objects(draw: Any) -> Any:
    """An indicator with a secret in one of its texts, and what may not be seen."""
    text, secret = draw(planted())
    place = draw(st.sampled_from(PLACES))
    subject: dict[str, Any] = {
        "type": "indicator",
        "spec_version": "2.1",
        "id": "indicator--3bc740bc-763a-4f0a-8c7c-c85f319ae188",
        "created_by_ref": AUTHOR,
        "created": "2026-01-01T00:00:00.000Z",
        "modified": "2026-01-01T00:00:00.000Z",
        "valid_from": "2026-01-01T00:00:00.000Z",
        "indicator_types": ["malicious-activity"],
        "pattern": "[domain-name:value = 'evil.test']",
        "pattern_type": "stix",
    }
    if place == "label":
        subject["labels"] = [text, "c2"]
    elif place == "x_deep":
        subject["x_deep"] = draw(nested(st.just(text)))
    elif place in ("reference", "source", "url"):
        reference = {"source_name": "report", "external_id": "1"}
        name = {"reference": "description", "source": "source_name", "url": "url"}[place]
        subject["external_references"] = [{**reference, name: text}]
    else:
        subject[place] = text
    return subject, secret


def examine(subject: Any, submitter: Any = ACME) -> Any:
    candidate = Candidate(0, subject, subject["id"], subject["modified"])
    (candidate,) = Pipeline(POLICY, submitter, WarningLists([])).examine([candidate], NOW)
    return candidate


def plain(candidate: Any) -> Any:
    """All that goes on or is findings, without defanging, in lower case."""
    findings = [finding.as_json() for finding in candidate.findings]
    text = dumps([candidate.object if candidate.is_open else None, findings], ensure_ascii=False)
    return text.replace("[.]", ".").replace("[@]", "@").lower()


class TestNothingOfIt:
    @pytest.mark.slow
    @settings(max_examples=examples(150, 30), deadline=None)
    @given(objects())
    def test_no_secret_is_in_the_object_or_in_a_finding(self, made: Any) -> None:
        subject, secret = made
        seen = plain(examine(subject))
        assert secret.lower() not in seen
        assert "acme" not in seen and AUTHOR not in seen

    @pytest.mark.slow
    @settings(max_examples=examples(100), deadline=None)
    @given(objects())
    def test_sanitising_the_result_again_changes_nothing(self, made: Any) -> None:
        candidate = examine(made[0])
        if candidate.is_open:
            again = examine(candidate.object)
            assert (again.is_open, again.object) == (True, candidate.object)

    @pytest.mark.parametrize("kind", sorted(SECRETS))
    def test_without_rules_every_secret_passes(self, kind: Any) -> None:
        """So that the tests above can fail."""
        none = replace(POLICY, rules=("marking",))
        text, part = SECRETS[kind]
        note: dict[str, Any] = {
            "type": "note",
            "spec_version": "2.1",
            "id": "note--3bc740bc-763a-4f0a-8c7c-c85f319ae188",
            "created": "2026-01-01T00:00:00.000Z",
            "modified": "2026-01-01T00:00:00.000Z",
            "content": text,
            "object_refs": [AUTHOR],
        }
        candidate = Candidate(0, note, note["id"], note["modified"])
        (candidate,) = Pipeline(none, ACME, WarningLists([])).examine([candidate], NOW)
        assert part.lower() in plain(candidate)
