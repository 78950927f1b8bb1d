"""An object that is sent again with other references to what has not arrived."""

import uuid
from typing import Any

import pytest
from support.granular_markings import granular_markings
from support.hub import AMBER, HubInProcess, Object, indicator, sdo

STRICT = {"granular_markings": granular_markings(AMBER, "object_refs.[1]")}
LATER = {"modified": "2026-02-01T00:00:00.000Z"}


def report(*members: Object, **more: Any) -> Object:
    """A report under a known id."""
    name = f"report--{uuid.UUID(int=4, version=4)}"
    refs = [each["id"] for each in members]
    return sdo("report", id=name, name="r", published=LATER["modified"], object_refs=refs, **more)


def count(hub: HubInProcess) -> dict[str, int]:
    """The number of objects that the newest version of the report lists, by feed."""
    return {
        feed: len(each["object_refs"])
        for feed in ("green", "amber")
        for each in hub.feed(feed)
        if each["type"] == "report"
    }


@pytest.fixture
def members() -> list[Object]:
    return [indicator("one.top"), indicator("two.top")]


@pytest.mark.parametrize("more", [{}, LATER], ids=["the same version", "a later version"])
class TestOnceItArrives:
    def test_what_was_added_is_there(
        self, hub: HubInProcess, members: list[Object], more: Any
    ) -> None:
        hub.push(members[0], report(members[0]))
        assert hub.verdicts(hub.push(report(*members) | more)) == ["duplicate"]
        hub.push(members[1])
        assert count(hub) == {"green": 2, "amber": 2}

    def test_what_was_added_to_a_stricter_part_is_there_for_its_readers(
        self, hub: HubInProcess, members: list[Object], more: Any
    ) -> None:
        hub.push(members[0], report(members[0]))
        hub.push(report(*members, **STRICT) | more)
        hub.push(members[1])
        assert count(hub) == {"green": 1, "amber": 2}

    def test_what_was_left_out_is_not_published(
        self, hub: HubInProcess, members: list[Object], more: Any
    ) -> None:
        hub.push(members[0], report(*members))
        hub.push(report(members[0]) | more)
        assert hub.store._base.pending_references.count_documents({}) == 0
        hub.push(members[1])
        assert count(hub) == {"green": 1, "amber": 1}

    def test_what_was_marked_more_strictly_is_not_shown_to_others(
        self, hub: HubInProcess, members: list[Object], more: Any
    ) -> None:
        hub.push(members[0], report(*members))
        hub.push(report(*members, **STRICT) | more)
        hub.push(members[1])
        assert count(hub) == {"green": 1, "amber": 2}


def test_an_older_version_changes_nothing(hub: HubInProcess, members: list[Object]) -> None:
    hub.push(members[0], report(members[0]) | LATER)
    status = hub.push(report(*members))
    assert hub.verdicts(status) == ["duplicate"]
    hub.push(members[1])
    assert count(hub) == {"green": 1, "amber": 1}
