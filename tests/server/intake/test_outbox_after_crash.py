"""Whatever a transaction leaves to be done after it is done, though the hub dies in between."""

import signal
import sys
import time
from collections.abc import Callable, Iterator
from copy import copy
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import requests
from support.clock import sighting
from support.crash import (
    collect_visible_state,
    replace_store,
    run_interrupted,
    work_later,
)
from support.databases import PreparedDatabase, fill, open_again, open_empty_store, snapshot
from support.hub import GREEN, HubInProcess, indicator, relationship, sdo
from support.observables import sco
from support.paths import ROOT
from support.presence import present
from support.processes import HubProcess
from support.statement_marking import STATEMENT
from support.stix_objects import TIME

from tocsin.server.intake import admission
from tocsin.server.intake import review as reviewing
from tocsin.server.intake.review import LEASE
from tocsin.server.model import Review
from tocsin.server.publishing import references
from tocsin.server.store import Store

pytestmark = pytest.mark.slow

ONE, OTHER = indicator("one.top"), sdo("malware", name="evil", is_family=False)
JOINED = relationship(ONE, "indicates", OTHER)
LISTED = sdo("report", name="r", published=TIME, object_refs=[JOINED["id"]])
CARRYING = indicator("two.top", object_marking_refs=[GREEN, STATEMENT["id"]])
OWN = sco("domain-name", value="north.example")  # a partner's own: a reviewer looks
OUTSIDE = sco("ipv4-addr", value="45.77.1.1")
TRAFFIC = sco("network-traffic", protocols=["tcp"], src_ref=OWN["id"], dst_ref=OUTSIDE["id"])
LATEST = {"revoked": True, "modified": "2026-03-01T00:00:00.000Z"}
MANY = [
    sdo("report", name=f"r{n}", published=TIME, object_refs=[ONE["id"], OTHER["id"]])
    for n in range(5)
]
LARGE = [sighting(ONE), ONE, *MANY, OTHER, JOINED]


@dataclass(frozen=True)
class Scene:
    """The steps before, and the one that is being done when the hub dies."""

    before: list[tuple[Any, ...]]
    act: Callable[[HubInProcess], object]


def push(*objects: Any) -> Any:
    return lambda hub: hub.push(*objects, who="north")


def decide(hub: HubInProcess, decided: Callable[[Review], object]) -> None:
    """A reviewer's decision, repeated until it is done."""
    for review in hub.store.reviews.list_waiting():
        if review.rules != ("references",):
            decided(review)


def release(hub: Any) -> None:
    decide(hub, lambda review: hub.services.intake.reviewer.release(review, "analyst"))


def reject(hub: Any) -> None:
    decide(hub, lambda review: hub.services.intake.reviewer.reject(review, "analyst", "no"))


ABOUT_OWN: list[tuple[Any, ...]] = [
    (sdo("report", name="r", published=TIME, object_refs=[TRAFFIC["id"]]),)
]
ABOUT_OWN += [(TRAFFIC,), (OWN, OUTSIDE)]
HELD = indicator("vpn.north.example")
NOTES = [sdo("note", content="n", object_refs=[HELD["id"]]) for _ in range(2)]
SCENES = {
    "the end of a relationship that a report lists comes": Scene(
        [(LISTED, JOINED), (ONE,)], push(OTHER)
    ),
    "the definition of a marking comes": Scene([(CARRYING,)], push(STATEMENT)),
    "what many list comes": Scene([(ONE, *MANY)], push(OTHER)),
    "a reviewer releases what others wait for": Scene(ABOUT_OWN, release),
    "a reviewer rejects what others wait for": Scene(ABOUT_OWN, reject),
    "what waits for a reviewer is revoked": Scene([(HELD, *NOTES)], push(HELD | LATEST)),
    "much is sent at once": Scene([], push(*LARGE)),
}


@pytest.fixture
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    """Few objects fill a transaction."""
    monkeypatch.setattr(references, "PORTION", 2)
    monkeypatch.setattr(admission, "BATCH", 3)
    monkeypatch.setattr(reviewing, "PORTION", 1)


def beginning(uri: str, scene: Scene) -> PreparedDatabase:
    """The database before the act."""
    with open_empty_store(uri) as store:
        hub = HubInProcess(store)
        for each in scene.before:
            hub.push(*each, who="north")
        return snapshot(store)


def outcome(uri: str, scene: Scene, before: PreparedDatabase, after: int) -> Any:
    """If the hub died, and what there is in the end."""
    with open_empty_store(uri) as store:
        fill(store._base, before)
        hub = HubInProcess(store, founded=True)
        died = run_interrupted(hub, lambda: scene.act(hub), after).left == 0
        work_later(hub)
        if scene.act in (release, reject):
            scene.act(hub)  # who got no answer does it again, where it is not done
        assert store.outbox.lease("nobody", 0, 9) == []
        return died, collect_visible_state(hub)


@pytest.mark.usefixtures("few")
@pytest.mark.parametrize("what", SCENES)
@pytest.mark.slow
def test_a_crash_after_any_transaction_changes_nothing_in_the_end(
    engine_uri: str, what: Any
) -> None:
    scene = SCENES[what]
    before = beginning(engine_uri, scene)
    _, lived = outcome(engine_uri, scene, before, -1)
    assert lived
    died, after = True, 0
    while died:
        after += 1
        died, ended = outcome(engine_uri, scene, before, after)
        assert ended == lived, f"it died after transaction {after}"
    assert after > 2


@pytest.mark.slow
def test_a_hub_that_is_killed_goes_on_as_soon_as_it_is_started(tmp_path: Path) -> None:
    last = tmp_path / "last"
    program = (sys.executable, ROOT / "tests" / "support" / "crashing_hub.py", "--last", last)
    hub = HubProcess(tmp_path / "data", program=program)
    hub.start()
    hub.join()
    hub.wait_until_settled(hub.post([ONE, JOINED]).json()["id"])
    last.touch()
    with pytest.raises(requests.ConnectionError):
        hub.post([OTHER])
    assert present(hub.process).wait() == -signal.SIGKILL
    try:
        hub.start()
        deadline = time.monotonic() + LEASE / 2
        while "relationship" not in {each["type"] for each in hub.walk()}:
            assert time.monotonic() < deadline
            time.sleep(0.1)
    finally:
        hub.kill()


@pytest.fixture
def hub(store: Store) -> Any:
    return HubInProcess(store)


@pytest.fixture
def other(hub: Any) -> Iterator[Any]:
    """Another process of the same hub."""
    there = copy(hub)
    with open_again(hub.store) as store:
        replace_store(there, store)
        yield there


class TestTwoAtOnce:
    @pytest.mark.parametrize("after", range(1, 5))
    def test_a_worker_that_takes_over_too_early_does_no_harm(self, hub: Any, after: Any) -> None:
        hub.push(LISTED, JOINED)
        hub.push(ONE)
        happens = partial(work_later, hub)
        run_interrupted(hub, partial(hub.push, OTHER), after, happens)
        versions = hub.feed("green", "north", **{"match[version]": "all"})
        found = sorted(each["type"] for each in versions)
        assert found == ["indicator", "malware", "relationship", "report"]
        assert hub.store.reviews.list_waiting() == hub.store.outbox.lease("nobody", 0, 9) == []

    def test_a_definition_that_comes_while_what_carries_it_is_examined_is_seen(
        self, hub: Any, other: Any
    ) -> None:
        happens = partial(other.push, STATEMENT)
        run_interrupted(hub, partial(hub.push, CARRYING), 1, happens)
        assert [each["type"] for each in hub.feed("green")] == ["indicator"]

    def test_a_relationship_end_that_arrives_while_its_review_is_decided_is_seen(
        self, hub: Any, other: Any
    ) -> None:
        hub.push({**JOINED, "object_marking_refs": [GREEN, STATEMENT["id"]]})
        hub.push(ONE)
        act, happens = partial(hub.push, STATEMENT, CARRYING), partial(other.push, OTHER)
        run_interrupted(hub, act, 2, happens, within=True)
        found = sorted(each["type"] for each in hub.feed("green"))
        assert found == ["indicator", "indicator", "malware", "relationship"]
