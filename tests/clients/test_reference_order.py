"""The order in which the objects of a push are sent."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tocsin.clients import reference_order
from tocsin.clients.reference_order import SORTED_STEPS, ReferenceOrder


def note(number: int, *refs: str, **more: Any) -> dict[str, Any]:
    return {"type": "note", "id": f"note--{number}", "object_refs": list(refs), **more}


def link(number: int, source: str, target: str) -> dict[str, Any]:
    ends = {"source_ref": source, "target_ref": target}
    return {"type": "relationship", "id": f"relationship--{number}", **ends}


INDICATOR = {"type": "indicator", "id": "indicator--1", "created_by_ref": "identity--1"}


def ordered(*objects: dict[str, Any]) -> list[str]:
    """The ids of objects in the order in which they are sent."""
    order = ReferenceOrder()
    for each in objects:
        order.add(each)
    found: list[str] = []
    for step in order.steps:
        of_step = [each for each in objects if order.find_step(each) is step]
        numbers = {}
        if step in SORTED_STEPS:
            numbers = {id(each): order.add_references(each) for each in of_step}
            places = order.sort()
            of_step.sort(key=lambda each: places[numbers[id(each)]])
        found += [each["id"] for each in of_step]
    return found


def test_what_a_relationship_joins_comes_before_it() -> None:
    joined = link(1, "indicator--1", "indicator--2")
    assert ordered(joined, INDICATOR) == ["indicator--1", "relationship--1"]


def test_references_over_several_objects_are_followed() -> None:
    report = {"type": "report", "id": "report--1", "object_refs": ["relationship--1"]}
    about_report = link(2, "report--1", "indicator--1")
    opinion = {"type": "opinion", "id": "opinion--1", "object_refs": ["note--1"]}
    joined = link(1, "indicator--1", "indicator--2")
    sent = (opinion, about_report, note(1, "relationship--2"), report, joined, INDICATOR)
    assert ordered(*sent) == [
        *("indicator--1", "relationship--1"),
        *("report--1", "relationship--2", "note--1", "opinion--1"),
    ]


def test_an_optional_reference_counts_too() -> None:
    sighting = {"type": "sighting", "id": "sighting--1", "sighting_of_ref": "indicator--1"}
    sighting["observed_data_refs"] = ["observed-data--1"]  # type: ignore[assignment]
    seen = {"type": "observed-data", "id": "observed-data--1", "object_refs": ["domain-name--1"]}
    assert ordered(sighting, seen) == ["observed-data--1", "sighting--1"]


ADDRESS = {"type": "ipv4-addr", "id": "ipv4-addr--1"}
TRAFFIC = {"type": "network-traffic", "id": "network-traffic--1", "src_ref": "ipv4-addr--1"}
OUTER = {
    "type": "network-traffic",
    "id": "network-traffic--2",
    "encapsulates_refs": ["network-traffic--1"],
}
ON_TRAFFIC = {"type": "observed-data", "id": "observed-data--1", "object_refs": [OUTER["id"]]}


def test_what_an_object_lists_comes_before_it_though_it_needs_none() -> None:
    sent = ordered(ON_TRAFFIC, OUTER, TRAFFIC, INDICATOR, ADDRESS)
    assert sent == [
        *("indicator--1", "ipv4-addr--1"),
        *("network-traffic--1", "network-traffic--2", "observed-data--1"),
    ]


def test_versions_of_an_id_stay_in_their_order_if_only_one_lists_others() -> None:
    without = {"type": "malware", "id": "malware--1", "name": "older"}
    sent = ordered(without | {"sample_refs": ["file--1"]}, without, ADDRESS)
    assert sent == ["ipv4-addr--1", "malware--1", "malware--1"]


def test_very_many_objects_that_list_others_stay_in_the_order_of_the_file(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(reference_order, "_MOST_LISTING", 1)
    assert ordered(OUTER, TRAFFIC, ADDRESS) == [OUTER["id"], TRAFFIC["id"], ADDRESS["id"]]


def test_versions_of_an_id_stay_in_their_order() -> None:
    later = note(1, "note--2", name="later")
    assert ordered(later, note(1, "indicator--1"), note(2, "note--3"), note(3)) == [
        *("note--3", "note--2", "note--1", "note--1"),
    ]


def test_a_circle_is_sent_together() -> None:
    circles = [note(n, f"note--{n + 10}") for n in range(3)]
    circles += [note(n + 10, f"note--{n}") for n in range(3)]
    sent = [int(each.removeprefix("note--")) % 10 for each in ordered(*circles)]
    assert sent == [0, 0, 1, 1, 2, 2]


def test_an_object_that_refers_to_itself_has_a_place() -> None:
    assert ordered(note(1, "note--1"), note(2, "note--1")) == ["note--1", "note--2"]


def test_a_chain_may_be_long() -> None:
    chain = [note(n, f"note--{n + 1}") for n in range(5_000)]
    assert ordered(*chain) == [f"note--{n}" for n in [4_999, *range(4_998, -1, -1)]]


@pytest.mark.parametrize("odd", [{}, {"type": ["note"]}, {"type": "note", "id": {}}])
def test_objects_that_nothing_has_checked_have_a_place(odd: dict[str, Any]) -> None:
    assert ordered({"id": None, **odd}, note(1)) != []


@pytest.mark.slow
@given(st.lists(st.tuples(st.integers(0, 9), st.lists(st.integers(0, 9))), max_size=20))
def test_no_object_is_sent_before_one_that_it_refers_to_unless_in_a_circle(
    drawn: list[tuple[int, list[int]]],
) -> None:
    refs = {n: [each for each in found if each > n] for n, found in drawn}  # so there is none
    sent = [note(n, *(f"note--{each}" for each in found)) for n, found in refs.items()]
    places = {each: place for place, each in enumerate(ordered(*sent))}
    assert len(places) == len(sent)
    for each in sent:
        assert all(places.get(ref, -1) < places[each["id"]] for ref in each["object_refs"])
