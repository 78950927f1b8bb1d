"""The rest of a revoked or purged object: valid STIX without its text."""

import json

import pytest
from support.hub import GREEN
from support.stix_objects import DOMAIN_OBJECTS, OBSERVABLES, make_object, ref

from tocsin.admission.model import Tlp
from tocsin.admission.stix.schemas import schema_for
from tocsin.server.publishing.revoked_and_purged_versions import purged_version, revoked_version

MARKER = "Kestrel over Lisbon"


@pytest.mark.parametrize(
    ("kind", "name", "neutral", "known"),
    [
        ("grouping", "context", "unspecified", "malware-analysis"),
        ("relationship", "relationship_type", "related-to", "indicates"),
    ],
)
def test_a_word_of_the_senders_own_is_gone_and_one_of_stix_stays(
    kind: str, name: str, neutral: str, known: str
) -> None:
    whole = make_object(kind, revoked=True)
    left = revoked_version({**whole, name: "kestrel-over-lisbon"})
    assert left[name] == neutral and schema_for(left).validator.is_valid(left)
    assert revoked_version({**whole, name: known})[name] == known


@pytest.mark.parametrize("kind", ["malware", "x-acme-case"])
def test_a_property_that_stix_does_not_define_for_the_type_is_gone(kind: str) -> None:
    whole = make_object("malware", revoked=True) | {"type": kind, "id": ref(kind)}
    left = revoked_version({**whole, "context": MARKER, "opinion": MARKER, "pattern": MARKER})
    assert MARKER not in json.dumps(left)


@pytest.mark.parametrize("kind", [*DOMAIN_OBJECTS, *OBSERVABLES])
def test_what_is_left_of_an_object_is_valid_stix_whatever_its_type(kind: str) -> None:
    whole = make_object(kind, object_marking_refs=[GREEN], revoked=True)
    for left in (revoked_version(whole), purged_version(whole, Tlp.GREEN, ref("identity"))):
        assert schema_for(left).validator.is_valid(left), left
        assert (left["id"], left["revoked"]) == (whole["id"], True)
    purged = json.dumps(purged_version(whole, Tlp.GREEN, ref("identity")))
    assert "evil-shop" not in purged and "45.12.3.4" not in purged
    assert ref("malware") not in purged or kind == "malware"
