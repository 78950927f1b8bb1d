"""Ids of observables, and of those without ID contributing properties, which have no such id."""

import uuid
from typing import Any

from support.hub import GREEN, HubInProcess, findings
from support.observables import sco
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
