"""The clients against medallion 3.0.0, a TAXII server of another make.

It gives all objects of one POST the same date_added, and counts a page as read
when it is requested: a client that pages by `added_after`, or repeats a request
after a lost answer, loses objects.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from support.presence import present
from support.taxii_servers import COLLECTION, KEY, indicator, serve_medallion

from tocsin.admission.errors import NotAllowed, NotAuthenticated, NotFound, Unavailable
from tocsin.admission.model import Candidate
from tocsin.clients.check import Preview
from tocsin.clients.http import Hub, RetrySettings
from tocsin.clients.poll import PollQuery, poll, poll_batches
from tocsin.clients.push import push
from tocsin.clients.state import Cursor, StateFile

FAST_RETRIES = RetrySettings(connect=30, read=30, retries=1, pause=0.01)


@pytest.fixture
def partner() -> Iterator[Any]:
    with serve_medallion() as server:
        yield server


@pytest.fixture
def hub(partner: Any) -> Iterator[Any]:
    with Hub(partner.url, KEY, FAST_RETRIES) as hub:
        yield hub


class MemorySink:
    """An output that keeps objects in memory and fails after some number of writes."""

    incremental = True

    def __init__(self, writable_pages: int = 1000) -> None:
        self.objects: list[bytes] = []
        self.writable_pages = writable_pages

    def resume(self, cursor: Cursor) -> None:
        pass

    def write(self, objects: Any) -> None:
        self.writable_pages -= 1
        if self.writable_pages < 0:
            raise InterruptedError("the disk is full")
        self.objects += objects

    def sync(self) -> Any:
        return "", 0

    finish = sync


def sorted_ids(objects: list[bytes]) -> list[str]:
    return sorted(json.loads(each)["id"] for each in objects)


def expected_ids(count: int) -> list[str]:
    return sorted(indicator(number)["id"] for number in range(count))


@pytest.mark.parametrize("limit", [1, 2, 3, 7, 100])
def test_all_objects_arrive_once_at_any_page_size(partner: Any, hub: Any, limit: int) -> None:
    partner.add(*(indicator(n) for n in range(7)))
    partner.add(*(indicator(n) for n in range(7, 10)))
    sink = MemorySink()
    list(poll(hub, hub.find_collection(COLLECTION), PollQuery(limit=limit), sink))
    assert sorted_ids(sink.objects) == expected_ids(10)


def test_a_later_poll_brings_only_new_objects(partner: Any, hub: Any, tmp_path: Path) -> None:
    state, sink = StateFile(tmp_path / "state"), MemorySink()
    collection = hub.find_collection(COLLECTION)
    partner.add(*(indicator(n) for n in range(5)))
    assert list(poll(hub, collection, PollQuery(), sink, state)) == [5]
    assert sum(poll(hub, collection, PollQuery(), sink, state)) == 0
    partner.add(indicator(5))
    assert sum(poll(hub, collection, PollQuery(), sink, state)) == 1
    assert sorted_ids(sink.objects) == expected_ids(6)


@pytest.mark.parametrize("writable_pages", [0, 1, 2, 3])
def test_a_poll_that_failed_among_objects_of_one_stamp_resumes_without_loss(
    partner: Any, hub: Any, tmp_path: Path, writable_pages: int
) -> None:
    partner.add(*(indicator(n) for n in range(9)))
    state, collection = StateFile(tmp_path / "state"), hub.find_collection(COLLECTION)
    first, second = MemorySink(writable_pages), MemorySink()
    with pytest.raises(InterruptedError):
        list(poll(hub, collection, PollQuery(limit=2), first, state))
    list(poll(hub, collection, PollQuery(limit=2), second, state))
    assert sorted_ids(first.objects + second.objects) == expected_ids(9)


def test_a_poll_whose_next_token_has_expired_restarts_without_loss(partner: Any, hub: Any) -> None:
    partner.add(*(indicator(n) for n in range(9)))
    arrived: list[bytes] = []
    batches = poll_batches(hub, hub.find_collection(COLLECTION), PollQuery(limit=2), Cursor())
    arrived += next(batches).objects
    arrived += next(batches).objects
    partner.backend.next.clear()
    for batch in batches:
        arrived += batch.objects
    assert sorted_ids(arrived) == expected_ids(9)


def test_a_poll_with_types_brings_only_those_types(partner: Any, hub: Any) -> None:
    tool = {**indicator(1), "type": "tool", "id": indicator(1)["id"].replace("indicator", "tool")}
    partner.add(indicator(0), tool)
    sink = MemorySink()
    list(poll(hub, hub.find_collection(COLLECTION), PollQuery(types=("tool",)), sink))
    assert sorted_ids(sink.objects) == [tool["id"]]


def preview(*objects: dict[str, Any]) -> Preview:
    return Preview(
        "file.json",
        tuple(
            Candidate(index=n, object=each, source_id=each["id"]) for n, each in enumerate(objects)
        ),
    )


def test_a_push_larger_than_one_envelope_arrives_in_several(partner: Any, hub: Any) -> None:
    sent = preview(*(indicator(n) for n in range(50)))  # the partner takes 9,000 octets at a time
    deliveries = list(push(hub, hub.find_collection(COLLECTION), [sent]))
    lines = [line for each in deliveries for line in each.results]
    assert [line.index for line in lines] == list(range(50))
    assert {line.verdict for line in lines} == {"admitted"}
    assert len({present(each.status).id for each in deliveries}) > 1
    sink = MemorySink()
    list(poll(hub, hub.find_collection(COLLECTION), PollQuery(), sink))
    assert sorted_ids(sink.objects) == expected_ids(50)


def test_a_refusal_is_reported_with_the_message_of_the_partner(partner: Any, hub: Any) -> None:
    partner.add(indicator(0))
    collection = hub.find_collection(COLLECTION)
    (delivery,) = push(hub, collection, [preview(indicator(0), indicator(1))])
    assert [line.verdict for line in delivery.results] == ["refused", "admitted"]
    assert delivery.results[0].findings[-1]["message"] == "Unable to process object"


def test_an_invalid_object_in_an_envelope_is_refused_alone(hub: Any) -> None:
    objects = [indicator(n) for n in range(7)]
    sent = preview(*objects)
    del objects[3]["id"]  # medallion answers 422 to the whole envelope
    lines = [
        line for each in push(hub, hub.find_collection(COLLECTION), [sent]) for line in each.results
    ]
    assert sorted(line.index for line in lines) == list(range(7))
    assert [line.index for line in lines if line.object is None] == [3]


def test_the_status_of_a_push_can_be_fetched_later(hub: Any) -> None:
    (delivery,) = push(hub, hub.find_collection(COLLECTION), [preview(indicator(0))])
    assert hub.fetch_status(present(delivery.status).id).success == 1


@pytest.mark.parametrize("name", [COLLECTION, "Sightings of ours", "sightings of OURS"])
def test_a_collection_is_found_by_id_or_title(hub: Any, name: Any) -> None:
    assert hub.find_collection(name).id == COLLECTION


@pytest.mark.parametrize("path", ["/taxii2/", "/taxii2", "/", "", "/partner/", "/partner"])
def test_collections_are_found_from_any_url_of_the_server(partner: Any, path: str) -> None:
    url = partner.url.removesuffix("/taxii2/") + path
    with Hub(url, KEY, FAST_RETRIES) as hub:
        assert [collection.id for collection in hub.list_collections()][0] == COLLECTION


def test_an_unknown_collection_is_refused_with_the_names_of_the_known_ones(hub: Any) -> None:
    with pytest.raises(NotFound, match="Sightings of ours"):
        hub.find_collection("nosuch")


def test_a_wrong_key_is_not_authenticated(partner: Any) -> None:
    with Hub(partner.url, "partner:wrong", FAST_RETRIES) as hub, pytest.raises(NotAuthenticated):
        hub.list_collections()


def test_polling_a_closed_collection_is_not_allowed(hub: Any) -> None:
    with pytest.raises(NotAllowed, match="403"):
        list(poll(hub, hub.find_collection("Closed"), PollQuery(), MemorySink()))


def test_an_unreachable_server_is_unavailable() -> None:
    with Hub("http://127.0.0.1:9/taxii2/", KEY, FAST_RETRIES) as hub, pytest.raises(Unavailable):
        hub.list_collections()
