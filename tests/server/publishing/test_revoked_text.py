"""A revoked object shows none of the text that was revoked with it."""

import json
from typing import Any

import pytest
from support.clock import LATER
from support.hub import AMBER, GREEN, HubInProcess, indicator, sdo
from support.stix_objects import TIME

from tocsin.admission.stix.schemas import schema_for

pytestmark = pytest.mark.slow

MARKER = "Kestrel over Lisbon"


def revoke_and_read(hub: HubInProcess, sent: Any, alias: str = "green") -> Any:
    """Publish an object, revoke it as its partner does, and read it again."""
    assert hub.verdicts(hub.push(sent)) == ["admitted"]
    hub.push({**sent, "revoked": True, "modified": LATER})
    (public,) = (each for each in hub.feed(alias) if each["type"] == sent["type"])
    return public


def test_a_revoked_indicator_keeps_its_pattern_and_marking_and_no_text(hub: HubInProcess) -> None:
    sent = indicator(
        name=MARKER,
        description=MARKER,
        labels=[MARKER.lower()],
        confidence=80,
        external_references=[{"source_name": MARKER, "description": MARKER}],
    )
    public = revoke_and_read(hub, sent)
    assert public["revoked"] is True
    assert MARKER.lower() not in json.dumps(public).lower()
    assert set(public) - {"pattern_version"} == {
        *("type", "spec_version", "id", "created", "modified", "created_by_ref", "revoked"),
        *("pattern", "pattern_type", "valid_from", "object_marking_refs"),
    }
    assert public["pattern"] == "[domain-name:value = 'evil-portal.top']"
    assert public["object_marking_refs"] == [GREEN]


@pytest.mark.parametrize(
    "sent",
    [
        sdo("malware", name=MARKER, is_family=True, aliases=[MARKER]),
        sdo("tool", name=MARKER, tool_version=MARKER),
        sdo("campaign", name=MARKER, objective=MARKER),
        sdo("note", content=MARKER, abstract=MARKER, object_refs=[indicator(seed="x")["id"]]),
        sdo("location", name=MARKER, country="PT", city=MARKER),
        sdo("threat-actor", name=MARKER, goals=[MARKER], threat_actor_types=["criminal"]),
        sdo("malware-analysis", product=MARKER, result="malicious"),
        sdo("report", name=MARKER, published=TIME, object_refs=[indicator(seed="x")["id"]]),
    ],
    ids=lambda sent: str(sent["type"]),
)
def test_a_revoked_object_of_any_type_is_valid_stix_without_its_text(
    hub: HubInProcess, sent: Any
) -> None:
    hub.push(indicator(seed="x"))
    public = revoke_and_read(hub, sent)
    assert public["revoked"] is True
    assert MARKER not in json.dumps(public)
    assert schema_for(public).validator.is_valid(public)


def test_an_object_raised_to_a_stricter_level_leaves_no_text_below(hub: HubInProcess) -> None:
    sent = indicator(name=MARKER, object_marking_refs=[GREEN])
    hub.push(sent)
    hub.push({**sent, "object_marking_refs": [AMBER], "modified": LATER})
    (below,) = hub.feed("green")
    assert below["revoked"] is True and MARKER not in json.dumps(below)


def test_a_reader_who_filters_by_a_label_still_learns_of_the_revocation(hub: HubInProcess) -> None:
    sent = indicator(labels=["phishing"])
    hub.push(sent)
    assert len(hub.feed("green", **{"match[labels]": "phishing"})) == 1
    hub.push({**sent, "revoked": True, "modified": LATER})
    (public,) = hub.feed("green", **{"match[labels]": "phishing"})
    assert public["revoked"] is True and "labels" not in public


def test_a_withdrawn_observable_keeps_the_value_from_which_its_id_follows(
    hub: HubInProcess,
) -> None:
    sent = {
        "type": "file",
        "spec_version": "2.1",
        "id": "file--00000000-0000-4000-8000-000000000001",
        "name": "dropper.exe",
        "hashes": {"MD5": "d41d8cd98f00b204e9800998ecf8427e"},
        "mime_type": "text/kestrel",
        "object_marking_refs": [GREEN],
    }
    assert hub.verdicts(hub.push(sent)) == ["admitted"]
    hub.services.lifecycle.revoke(hub.feed("green")[0]["id"], "operator", "a false alarm")
    (public,) = hub.feed("green")
    assert public["revoked"] is True and "mime_type" not in public
    assert (public["name"], public["hashes"]) == (sent["name"], sent["hashes"])
