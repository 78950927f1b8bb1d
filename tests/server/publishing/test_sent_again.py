"""An object that is sent again after what it refers to has got another public id."""

from typing import Any

import pytest
from support.clock import ManualClock
from support.hub import AMBER, HubInProcess, details, indicator, sdo

LATER, LATEST = "2026-03-02T00:00:00.000Z", "2026-03-03T00:00:00.000Z"


def living(hub: HubInProcess, feed: str, kind: str) -> list[dict[str, Any]]:
    """The objects of a type that are in force in a feed."""
    found = (each for each in hub.feed(feed) if each["type"] == kind)
    return [each for each in found if not each.get("revoked")]


def public_id(hub: HubInProcess, feed: str, value: str) -> str:
    [found] = [e["id"] for e in living(hub, feed, "indicator") if f"'{value}'" in e["pattern"]]
    return str(found)


def bundle() -> list[dict[str, Any]]:
    """Two indicators, and a report, a note and a relationship that refer to the first."""
    first, other = indicator("one.top"), indicator("other.top")
    malware = sdo("malware", name="Loader", is_family=False)
    refs = [first["id"], other["id"]]
    report = sdo("report", name="Loader", published=LATER, object_refs=refs)
    note = sdo("note", content="seen in a loader chain", object_refs=refs[:1])
    ends = {"source_ref": first["id"], "target_ref": malware["id"]}
    relationship = sdo("relationship", relationship_type="indicates", **ends)
    return [first, other, malware, report, note, relationship]


def correct(first: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {**first, "modified": LATER, "pattern": "[domain-name:value = 'two.top']", **more}


@pytest.mark.slow
def test_it_leads_to_what_its_partner_says_now(hub: HubInProcess, clock: ManualClock) -> None:
    first, *others = bundle()
    assert hub.verdicts(hub.push(first, *others)) == ["admitted"] * 6
    clock.advance(hours=1)
    assert hub.verdicts(hub.push(correct(first))) == ["admitted"]
    clock.advance(hours=1)
    again = hub.verdicts(hub.push(*others))
    assert again == ["duplicate", "duplicate", "admitted", "admitted", "admitted"]
    now = public_id(hub, "green", "two.top")
    [report], [note], [relationship] = (
        living(hub, "green", kind) for kind in ("report", "note", "relationship")
    )
    assert report["object_refs"] == [now, public_id(hub, "green", "other.top")]
    assert note["object_refs"] == [now] and relationship["source_ref"] == now
    clock.advance(hours=1)
    assert hub.verdicts(hub.push(first, *others)) == ["duplicate"] * 6


def test_what_became_stricter_is_shown_to_its_readers_alone(
    hub: HubInProcess, clock: ManualClock
) -> None:
    first, *others = bundle()
    report = others[2]
    hub.push(first, *others)
    clock.advance(hours=1)
    hub.push({**first, "modified": LATER, "object_marking_refs": [AMBER]})
    clock.advance(hours=1)
    assert hub.verdicts(hub.push(report)) == ["admitted"]
    other, stricter = public_id(hub, "green", "other.top"), public_id(hub, "amber", "one.top")
    [shown], [fuller] = living(hub, "green", "report"), living(hub, "amber", "report")
    assert shown["object_refs"] == [other]
    assert sorted(fuller["object_refs"]) == sorted([stricter, other])


@pytest.mark.parametrize("change", [{"name": "Another"}, {"confidence": 20}])
def test_other_content_under_the_same_version_is_refused(
    hub: HubInProcess, clock: ManualClock, change: dict[str, Any]
) -> None:
    first, *others = bundle()
    hub.push(first, *others)
    clock.advance(hours=1)
    hub.push(correct(first))
    clock.advance(hours=1)
    refused = hub.push({**others[2], **change})
    assert hub.verdicts(refused) == ["refused"]
    assert "raise `modified`" in details(refused)[0]["message"]


def test_what_was_sent_last_says_where_its_references_lead(
    hub: HubInProcess, clock: ManualClock
) -> None:
    late, first, other = indicator("late.top"), indicator("one.top"), indicator("other.top")
    version = {"name": "Loader", "published": LATER}
    report = sdo("report", **version, object_refs=[late["id"]])
    hub.push(first, other)
    assert hub.verdicts(hub.push(report)) == ["held"]  # it refers to nothing that is here
    clock.advance(hours=1)
    assert hub.verdicts(hub.push({**report, "object_refs": [first["id"], other["id"]]})) == [
        "admitted"
    ]
    clock.advance(hours=1)
    hub.push(late)
    [shown] = living(hub, "green", "report")
    ids = [public_id(hub, "green", value) for value in ("one.top", "other.top")]
    assert sorted(shown["object_refs"]) == sorted(ids)


def test_a_broken_newer_version_beside_it_takes_nothing_from_it(hub: HubInProcess) -> None:
    malware = sdo("malware", name="Foo", is_family=True)
    broken = {**malware, "modified": LATER}
    del broken["is_family"]
    status = hub.push(malware, broken)
    assert hub.verdicts(status) == ["admitted", "refused"]
    assert "the version that you sent before stays published" in details(status)[1]["message"]
    note = sdo("note", content="seen", object_refs=[malware["id"]])
    assert hub.verdicts(hub.push(note)) == ["admitted"]
