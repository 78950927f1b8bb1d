"""Ids of observables without ID contributing properties, for which no deterministic id exists."""

import uuid
from typing import Any

from support.hub import GREEN, HubInProcess
from support.stix_objects import make_object

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
