"""A reader's word on an indicator: what is sent, and that it says nothing else."""

import uuid

from tocsin.admission.stix.sightings_and_opinions import Observation, build_statement
from tocsin.admission.timestamps import micros

TARGET = {
    "type": "indicator",
    "id": "indicator--2f6b1b5c-6d0f-4a63-8a4c-0d9f6f1f1b52",
    "name": "a name",
    "object_marking_refs": ["marking-definition--bab4a63c-aed9-4cf5-a766-dfca5abac2bb"],
}
NOW = micros("2026-03-02T08:00:00.500Z")
NUMBER = uuid.UUID(int=1 << 78)


def test_a_sighting_is_marked_as_its_target_and_has_no_text() -> None:
    sent = build_statement(TARGET, Observation(), NOW, NUMBER)
    assert (sent["type"], sent["id"]) == ("sighting", f"sighting--{NUMBER}")
    assert (sent["sighting_of_ref"], sent["count"]) == (TARGET["id"], 1)
    assert sent["last_seen"] == "2026-03-02T08:00:00.000Z"
    assert sent["object_marking_refs"] == TARGET["object_marking_refs"]
    assert "name" not in sent and "description" not in sent


def test_a_sighting_cannot_lie_in_the_future() -> None:
    sent = build_statement(TARGET, Observation(seen=NOW + 10_000_000), NOW, NUMBER)
    assert sent["last_seen"] == "2026-03-02T08:00:00.000Z"


def test_of_several_sightings_no_single_time_is_said() -> None:
    sent = build_statement(TARGET, Observation(count=12), NOW, NUMBER)
    assert sent["count"] == 12 and "last_seen" not in sent


def test_a_false_alarm_is_an_opinion_that_strongly_disagrees() -> None:
    sent = build_statement(TARGET, Observation(false_alarm=True), NOW, NUMBER)
    assert (sent["type"], sent["opinion"]) == ("opinion", "strongly-disagree")
    assert sent["object_refs"] == [TARGET["id"]] and "sighting_of_ref" not in sent
