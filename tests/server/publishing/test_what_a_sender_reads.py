"""An answer tells of others' objects only what the account that sent may read."""

from typing import Any

import pytest
from support.clock import sighting
from support.hub import AMBER, CLEAR, GREEN, HubInProcess, Object, details, indicator, sdo

from tocsin.admission.model import Tlp
from tocsin.server.model import Collection, CollectionKind, Partner, View

ALIAS = "both"


@pytest.fixture
def hub(hub: HubInProcess) -> HubInProcess:
    """With `blind`, which reads nothing."""
    hub.join(Partner("blind", "Blind Limited"), reads=())
    return hub


def join_reader(hub: HubInProcess, *sources: str, **more: Any) -> None:
    """Let `lone` join, which reads nothing but an aggregate of these feeds."""
    ids = tuple(hub.collection(each).id for each in sources)
    id_, view = "99999999-1111-4111-8111-111111111111", View(sources=ids, **more)
    hub.store.feeds.add(Collection(id_, ALIAS, CollectionKind.AGGREGATE, ALIAS, view=view))
    hub.join(Partner("lone", "Lone Limited"), reads=(ALIAS,))


def answer(hub: HubInProcess, who: str, *sent: Object) -> tuple[list[str], bool]:
    """The verdicts on what a partner sends, and whether a public id is among the answer."""
    entries = details(hub.push(*sent, who=who))
    verdicts = [str(each["x_tocsin_verdict"]) for each in entries]
    return verdicts, any("x_tocsin_public_id" in each for each in entries)


@pytest.mark.parametrize("level", [CLEAR, GREEN, AMBER])
@pytest.mark.parametrize("with_others", [True, False])
def test_who_reads_nothing_is_answered_as_if_it_were_alone(
    hub: HubInProcess, level: str, with_others: bool
) -> None:
    if with_others:
        hub.push(indicator(object_marking_refs=[level]))
    sent = indicator(object_marking_refs=[level])
    assert answer(hub, "blind", sent) == (["admitted"], False)
    assert answer(hub, "blind", sent) == (["duplicate"], False)


def test_it_cannot_refer_to_what_it_does_not_read(hub: HubInProcess) -> None:
    hub.push(indicator(object_marking_refs=[CLEAR]))
    [public] = hub.feed("clear")
    assert answer(hub, "blind", sighting(public, object_marking_refs=[CLEAR]))[0] == ["held"]


def test_what_it_sent_may_refer_to_its_own(hub: HubInProcess) -> None:
    sent, tool = indicator(object_marking_refs=[CLEAR]), sdo("tool", name="t")
    tool["object_marking_refs"] = [CLEAR]
    assert answer(hub, "blind", sent, tool)[0] == ["admitted"] * 2
    seen = sighting(sent, object_marking_refs=[CLEAR])
    assert answer(hub, "blind", seen)[0] == ["admitted"]
    [public] = (each for each in hub.feed("clear") if each["type"] == "indicator")
    assert public["id"] in str(hub.feed("clear", **{"match[type]": "sighting"}))


def test_what_it_waits_for_arrives_from_itself_alone(hub: HubInProcess) -> None:
    waits_for = indicator(object_marking_refs=[CLEAR])
    seen = sighting(waits_for, object_marking_refs=[CLEAR])
    assert answer(hub, "blind", seen)[0] == ["held"]
    assert answer(hub, "blind", waits_for)[0] == ["admitted"]
    assert [each["type"] for each in hub.feed("clear")] == ["indicator", "sighting"]


@pytest.mark.slow
def test_who_reads_an_aggregate_of_whole_feeds_reads_those(hub: HubInProcess) -> None:
    join_reader(hub, "clear", "green")
    hub.push(indicator())
    [public] = (each for each in hub.feed(ALIAS, "lone") if each["type"] == "indicator")
    assert answer(hub, "lone", sighting(public)) == (["admitted"], True)
    assert answer(hub, "lone", public) == (["duplicate"], True)
    assert answer(hub, "lone", indicator()) == (["merged"], True)


@pytest.mark.parametrize(
    "selection",
    [
        {"max_tlp": Tlp.CLEAR},
        {"active": True},
        {"types": frozenset({"indicator"})},
    ],
)
def test_an_aggregate_of_a_part_is_none_of_its_feeds(hub: HubInProcess, selection: Any) -> None:
    join_reader(hub, "green", **selection)
    hub.push(indicator())
    assert answer(hub, "lone", indicator()) == (["admitted"], False)
