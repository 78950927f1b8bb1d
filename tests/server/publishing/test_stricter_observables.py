"""Objects that refer to observables which are published at stricter levels only, so far."""

import uuid

import pytest
from support.hub import AMBER, GREEN, HubInProcess, Object, details, findings, sdo

from tocsin.admission.merge.identity import observable_id
from tocsin.server.store import Store


@pytest.fixture
def hub(store: Store) -> HubInProcess:
    return HubInProcess(store)


def domain(mark: str, *, own_id: bool = False) -> Object:
    """An observable; `own_id`: under an id that does not follow from its value."""
    subject: Object = {"type": "domain-name", "spec_version": "2.1", "value": "two-portal.top"}
    id_ = f"domain-name--{uuid.uuid4()}" if own_id else observable_id(subject)
    return {**subject, "id": id_, "object_marking_refs": [mark]}


def note(about: Object, **more: object) -> Object:
    return sdo("note", content="seen", object_refs=[about["id"]], **more)


def notes(hub: HubInProcess, feed: str) -> int:
    return sum(each["type"] == "note" for each in hub.feed(feed, "north"))


def work_off(hub: HubInProcess) -> None:
    """Work until nothing is left."""
    while hub.services.intake.work():
        pass


@pytest.mark.slow
@pytest.mark.parametrize("own_id", [False, True])
@pytest.mark.parametrize("who", ["acme", "north"])
def test_it_waits_until_the_observable_is_published_at_its_level(
    hub: HubInProcess, who: str, own_id: bool
) -> None:
    strict = domain(AMBER, own_id=own_id)
    hub.push(strict)
    status = hub.push(note(strict, object_marking_refs=[GREEN]))
    assert hub.verdicts(status) == ["held"]
    assert "send it again with their marking" in details(status)[0]["message"]
    assert not any(each["action"] == "noted" for each in findings(status))
    hub.push(
        {**strict, "object_marking_refs": [GREEN]} if who == "acme" else domain(GREEN), who=who
    )
    work_off(hub)
    assert hub.verdicts(hub.ask(f"status/{status['id']}/").json) == ["admitted"]
    assert (notes(hub, "green"), notes(hub, "amber")) == (1, 1)


def test_beside_the_observable_it_is_raised_to_its_level(hub: HubInProcess) -> None:
    strict = domain(AMBER)
    status = hub.push(strict, note(strict, object_marking_refs=[GREEN]))
    assert hub.verdicts(status) == ["admitted", "admitted"]
    assert (notes(hub, "green"), notes(hub, "amber")) == (0, 1)


@pytest.mark.slow
def test_a_stricter_copy_of_the_same_version_stands_whatever_arrives(hub: HubInProcess) -> None:
    strict = domain(AMBER)
    hub.push(strict)
    held = note(strict, object_marking_refs=[GREEN])
    hub.push(held)
    assert hub.verdicts(hub.push({**held, "object_marking_refs": [AMBER]})) == ["admitted"]
    hub.push(domain(GREEN), who="north")
    work_off(hub)
    assert (notes(hub, "green"), notes(hub, "amber")) == (0, 1)
    assert hub.store.reviews.list_waiting() == []


def test_an_analyst_may_publish_it_at_the_level_of_the_observable(hub: HubInProcess) -> None:
    strict = domain(AMBER)
    hub.push(strict)
    hub.push(note(strict, object_marking_refs=[GREEN]))
    [review] = hub.store.reviews.list_waiting()
    assert hub.services.intake.reviewer.release(review, "operator:jane").verdict == "admitted"
    assert (notes(hub, "green"), notes(hub, "amber")) == (0, 1)


def test_a_later_version_waits_for_the_observable_under_all_its_ids(hub: HubInProcess) -> None:
    strict, plain = domain(AMBER, own_id=True), sdo("tool", name="t", object_marking_refs=[GREEN])
    hub.push(strict, plain)
    earlier = note(plain, object_marking_refs=[GREEN])
    hub.push(earlier)
    later = {"object_refs": [strict["id"]], "modified": "2026-01-05T00:00:00.000Z"}
    status = hub.push({**earlier, **later})
    assert hub.verdicts(status) == ["held"]
    hub.push(domain(GREEN), who="north")
    work_off(hub)
    assert hub.verdicts(hub.ask(f"status/{status['id']}/").json) == ["admitted"]
