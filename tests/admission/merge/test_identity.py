"""Identity: relationships of different times, and observables without a deterministic id."""

import uuid
from typing import Any

import pytest
from support.hub import GREEN, HubInProcess, details, findings, indicator, relationship
from support.observables import sco
from support.stix_objects import make_object

from tocsin.admission.merge.identity import public_id, relationship_key
from tocsin.server.store import Store


def push_green(hub: Any, subject: Any, who: Any = "acme") -> Any:
    return hub.push({**subject, "object_marking_refs": [GREEN]}, who=who)


def test_versions_of_a_process_are_published_under_one_random_id_of_the_hub(
    store: Store,
) -> None:
    hub = HubInProcess(store)
    process = make_object("process", image_ref=None)
    push_green(hub, process)
    push_green(hub, {**process, "pid": 2})
    (first, second) = hub.feed("green", **{"match[version]": "all"})
    assert first["id"] == second["id"] != process["id"]
    assert uuid.UUID(first["id"].partition("--")[2]).version == 4


def test_observables_of_two_partners_with_the_same_random_id_are_not_merged(store: Store) -> None:
    hub = HubInProcess(store)
    for who in ("acme", "north"):
        push_green(hub, make_object("process", image_ref=None), who)
    assert len({each["id"] for each in hub.feed("green")}) == 2


def test_an_observable_resubmitted_under_its_public_id_is_a_duplicate(store: Store) -> None:
    hub = HubInProcess(store)
    push_green(hub, make_object("process", image_ref=None))
    (public,) = hub.feed("green")
    assert hub.verdicts(hub.push(public, who="north")) == ["duplicate"]
    assert len(hub.feed("green")) == 1


def test_no_finding_states_an_id_under_which_an_observable_is_not_published(store: Store) -> None:
    """The id of the traffic follows from the public id of its end; a private address has none."""
    hub = HubInProcess(store)
    name = sco("domain-name", value="evil.top") | {"id": f"domain-name--{uuid.uuid4()}"}
    traffic = sco("network-traffic", dst_ref=name["id"], protocols=["tcp"])
    private = sco("ipv4-addr", value="10.1.2.3")
    wrong = [each | {"id": f"{each['type']}--{uuid.uuid4()}"} for each in (traffic, private)]
    status = hub.push(name, *wrong)
    assert hub.verdicts(status) == ["admitted", "admitted", "refused"]
    repaired = [each for each in findings(status) if each["rule"] == "observable_id"]
    assert repaired and not any("--" in each["message"] for each in repaired)


class TestRelationships:
    ENDS = indicator("evil.top", seed="evil"), indicator("else.top", seed="else")

    def link(self, **more: Any) -> Any:
        return relationship(self.ENDS[0], "related-to", self.ENDS[1], **more)

    ENDS_AND_TYPE = {
        "source_ref": ENDS[0]["id"],
        "target_ref": ENDS[1]["id"],
        "relationship_type": "related-to",
    }

    def test_the_id_of_one_without_times_never_changes(self) -> None:
        key = relationship_key(self.ENDS_AND_TYPE, "green")
        name = public_id("relationship", key, uuid.NAMESPACE_DNS)
        assert name == "relationship--aad7f4d7-82d6-5705-a044-19c015e042bd"

    def test_the_same_moment_in_another_spelling_is_the_same_time(self) -> None:
        keys = {
            relationship_key({**self.ENDS_AND_TYPE, "start_time": time}, "green")
            for time in ("2020-01-01T00:00:00Z", "2020-01-01T00:00:00.000Z")
        }
        assert len(keys) == 1

    def test_different_times_are_different_statements(self, store: Store) -> None:
        hub = HubInProcess(store)
        times = [
            {},
            {"start_time": "2020-01-01T00:00:00Z"},
            {"stop_time": "2020-01-01T00:00:00Z"},
            {"start_time": "2020-01-01T00:00:00Z", "stop_time": "2021-01-01T00:00:00Z"},
            {"start_time": "2023-01-01T00:00:00Z", "stop_time": "2024-01-01T00:00:00Z"},
        ]
        status = hub.push(*self.ENDS, *(self.link(**each) for each in times))
        assert set(hub.verdicts(status)) == {"admitted"}
        public = [each for each in hub.feed("green") if each["type"] == "relationship"]
        assert len({each["id"] for each in public}) == len(times)

    @pytest.mark.parametrize("order", [1, -1])
    def test_who_says_something_else_under_two_ids_is_told_which_one_counts(
        self, store: Store, order: int
    ) -> None:
        newer = self.link(description="newer", modified="2026-02-01T00:00:00.000Z")
        sent = [newer, self.link(description="older")][::order]
        status = HubInProcess(store).push(*self.ENDS, *sent)
        (older,) = (each for each in details(status) if "x_tocsin_findings" in each)
        assert older["id"] != newer["id"]
        (finding,) = older["x_tocsin_findings"]
        assert finding["message"].endswith(f"under another id takes precedence: {newer['id']}")

    def test_a_version_that_moves_into_another_own_relationship_is_one_with_it(
        self, store: Store
    ) -> None:
        hub = HubInProcess(store)
        first, ended = self.link(), self.link(stop_time="2026-03-01T00:00:00Z")
        hub.push(*self.ENDS, first, ended)
        status = hub.push({**ended, "id": first["id"], "modified": "2026-02-01T00:00:00.000Z"})
        (entry,) = details(status)
        assert entry["x_tocsin_verdict"] == "duplicate"
        assert f"with what you sent under another id: {ended['id']}; " in entry["message"]
        public = [each for each in hub.feed("green") if each["type"] == "relationship"]
        assert [each.get("revoked", False) for each in public].count(True) == 1

    def test_the_same_under_two_ids_needs_no_finding(self, store: Store) -> None:
        status = HubInProcess(store).push(*self.ENDS, self.link(), self.link())
        assert findings(status) == []
