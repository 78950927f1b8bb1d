"""A partner that agreed to be named, and does so no longer, is not named again."""

import json
from typing import Any

import pytest
from support.clock import LATER, ManualClock, sighting
from support.granular_markings import granular_markings
from support.hub import AMBER, HubInProcess, indicator, relationship, sdo

from tocsin.admission.model import Consent
from tocsin.server.model import Partner

pytestmark = pytest.mark.slow

OPEN = sdo("identity", name="Open Limited", identity_class="organization")
NAMED = {"created_by_ref": OPEN["id"], "description": "Open Limited saw it on its own gateway"}
CITED = {"external_references": [{"source_name": "Open Limited", "external_id": "OL-1"}]}


def newest_indicator(hub: Any) -> Any:
    """Return the newest version of the only indicator."""
    [public] = [each for each in hub.feed("green", "north") if each["type"] == "indicator"]
    return public


def end_consent(hub: Any) -> None:
    hub.store.accounts.update_partner(Partner("open", "Open Limited"))


def anonymous(hub: Any) -> Any:
    public = newest_indicator(hub)
    return public["created_by_ref"] == hub.identity and "Open" not in json.dumps(public)


@pytest.fixture
def report(hub: HubInProcess) -> Any:
    """An indicator published under its partner's name."""
    hub.join(Partner("open", "Open Limited", consent=Consent.EVERYONE))
    sent = indicator("evil.top", **NAMED, **CITED)
    hub.push(OPEN, sent, who="open")
    assert "Open Limited" in newest_indicator(hub)["description"]
    return sent


def test_a_consenting_partner_stays_named(hub: HubInProcess, report: Any) -> None:
    hub.push(sighting(newest_indicator(hub)), who="north")
    assert "Open Limited" in newest_indicator(hub)["description"]
    assert newest_indicator(hub)["created_by_ref"] != hub.identity


def test_not_when_a_newer_report_without_the_name_is_revoked(
    hub: HubInProcess, report: Any
) -> None:
    end_consent(hub)
    newer = indicator("evil.top", modified=LATER, created_by_ref=OPEN["id"])
    hub.push(newer, who="open")
    hub.push(newer | {"revoked": True, "modified": "2026-04-01T00:00:00.000Z"}, who="open")
    assert anonymous(hub) and "own gateway" in newest_indicator(hub)["description"]


def test_not_when_another_partner_has_seen_it(
    hub: HubInProcess, clock: ManualClock, report: Any
) -> None:
    end_consent(hub)
    clock.advance(hours=2)
    hub.push(sighting(newest_indicator(hub)), who="north")
    assert anonymous(hub)


def test_a_resent_object_loses_the_name(hub: HubInProcess, report: Any) -> None:
    end_consent(hub)
    assert hub.verdicts(hub.push(report, who="open")) == ["duplicate"]
    assert anonymous(hub)


def test_a_revoked_object_loses_the_name(hub: HubInProcess, report: Any) -> None:
    end_consent(hub)
    hub.push(report | {"revoked": True, "modified": LATER}, who="open")
    assert newest_indicator(hub)["revoked"] and anonymous(hub)


def test_a_swept_object_loses_the_name(hub: HubInProcess, clock: ManualClock, report: Any) -> None:
    hub.push(report | {"valid_until": "2026-12-24T00:00:00.000Z", "modified": LATER}, who="open")
    end_consent(hub)
    clock.advance(days=60)
    hub.sweep()
    assert newest_indicator(hub)["revoked"] and anonymous(hub)


def test_a_completed_object_loses_the_name(hub: HubInProcess) -> None:
    hub.join(Partner("open", "Open Limited", consent=Consent.EVERYONE))
    tool = sdo("tool", name="t")
    note = {"object_refs": [tool["id"], sdo("malware")["id"]], "content": "by Open Limited"}
    hub.push(OPEN, tool, sdo("note", **note, created_by_ref=OPEN["id"]), who="open")
    end_consent(hub)
    malware = sdo("malware", name="m", is_family=True, id=note["object_refs"][1])
    hub.push(malware, relationship(malware, "uses", tool), who="open")
    [public] = [each for each in hub.feed("green", "north") if each["type"] == "note"]
    assert len(public["object_refs"]) == 2 and "Open" not in json.dumps(public)


def test_an_object_of_which_a_stricter_part_is_completed_loses_the_name_when_it_is_sent_again(
    hub: HubInProcess,
) -> None:
    hub.join(Partner("open", "Open Limited", consent=Consent.EVERYONE))
    tool, late = sdo("tool", name="t"), sdo("malware", name="m", is_family=True)
    late["object_marking_refs"] = [AMBER]
    note = sdo("note", object_refs=[tool["id"], late["id"]], content="c", created_by_ref=OPEN["id"])
    note["granular_markings"] = granular_markings(AMBER, "object_refs.[1]")
    hub.push(OPEN, tool, note, who="open")

    def authors(feed: str) -> set[bool]:
        """Return whether the newest version is in the hub's name."""
        found = (each for each in hub.feed(feed, "north") if each["type"] == "note")
        return {each["created_by_ref"] == hub.identity for each in found}

    assert authors("green") == {False}
    end_consent(hub)
    hub.push(late, who="open")
    assert (authors("green"), authors("amber")) == ({False}, {True})
    assert hub.verdicts(hub.push(note, who="open")) == ["duplicate"]
    assert (authors("green"), authors("amber")) == ({True}, {True})
