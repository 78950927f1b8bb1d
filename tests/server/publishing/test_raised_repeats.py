"""The same statement again, after what it is about was published less or more strictly."""

from typing import Any

import pytest
from support.clock import ManualClock
from support.hub import AMBER, GREEN, HubInProcess, indicator, sdo

LATER = "2026-03-02T00:00:00.000Z"


def note(about: dict[str, Any]) -> dict[str, Any]:
    return sdo("note", content="seen", object_refs=[about["id"]], object_marking_refs=[GREEN])


def sighting(about: dict[str, Any]) -> dict[str, Any]:
    return sdo("sighting", sighting_of_ref=about["id"], object_marking_refs=[GREEN])


@pytest.mark.slow
@pytest.mark.parametrize("make", [note, sighting])
def test_it_is_published_at_the_level_of_its_subject_now(
    hub: HubInProcess, clock: ManualClock, make: Any
) -> None:
    subject = indicator(object_marking_refs=[AMBER])
    statement = make(subject)
    hub.push(subject, statement)
    assert statement["type"] not in kinds(hub, "green")
    hub.push(subject | {"object_marking_refs": [GREEN], "modified": LATER})
    clock.advance(hours=1)
    assert hub.verdicts(hub.push(statement)) == ["admitted"]
    assert statement["type"] in kinds(hub, "green")
    assert hub.verdicts(hub.push(statement)) == ["duplicate"]


@pytest.mark.parametrize("make", [note, sighting])
def test_other_words_under_the_same_version_are_refused(
    hub: HubInProcess, clock: ManualClock, make: Any
) -> None:
    subject = indicator(object_marking_refs=[AMBER])
    statement = make(subject)
    hub.push(subject, statement)
    hub.push(subject | {"object_marking_refs": [GREEN], "modified": LATER})
    clock.advance(hours=1)
    assert hub.verdicts(hub.push(statement | {"labels": ["other"]})) == ["refused"]
    assert statement["type"] not in kinds(hub, "green")


def kinds(hub: HubInProcess, feed: str) -> set[str]:
    return {each["type"] for each in hub.feed(feed) if not each.get("revoked")}
