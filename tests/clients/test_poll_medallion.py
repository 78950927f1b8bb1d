"""Our clients against medallion 3.0.0, a partner's server as it is out there.

It gives all objects of one POST one date_added, and counts a page as read when
it is asked for: whoever pages by `added_after`, or asks again after a lost
answer, loses objects.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from support.presence import present
from support.taxii_servers import (
    COLLECTION,
    KEY,
    indicator,
    serve_medallion,
)

from tocsin.admission.errors import (
    NotAllowed,
    NotAuthenticated,
    NotFound,
    Unavailable,
)
from tocsin.admission.model import Candidate
from tocsin.clients.check import Preview
from tocsin.clients.http import Hub, RetrySettings
from tocsin.clients.poll import PollQuery, poll, poll_batches
from tocsin.clients.push import push
from tocsin.clients.state import Cursor, StateFile

HASTY = RetrySettings(connect=2, answer=5, retries=1, pause=0.01)


@pytest.fixture
def partner() -> Iterator[Any]:
    with serve_medallion() as server:
        yield server


@pytest.fixture
def hub(partner: Any) -> Iterator[Any]:
    with Hub(partner.url, KEY, HASTY) as hub:
        yield hub


class Kept:
    """An output that remembers, and can break down."""

    incremental = True

    def __init__(self, pages: int = 1000) -> None:
        self.objects: list[bytes] = []
        self.pages = pages

    def resume(self, cursor: Cursor) -> None:
        pass

    def write(self, objects: Any) -> None:
        self.pages -= 1
        if self.pages < 0:
            raise InterruptedError("the disk is full")
        self.objects += objects

    def sync(self) -> Any:
        return "", 0

    finish = sync


def ids(objects: list[bytes]) -> list[str]:
    return sorted(json.loads(each)["id"] for each in objects)


def expected(count: int) -> list[str]:
    return sorted(indicator(number)["id"] for number in range(count))


@pytest.mark.parametrize("limit", [1, 2, 3, 7, 100])
def test_everything_arrives_once_whatever_the_page_size(partner: Any, hub: Any, limit: int) -> None:
    partner.add(*(indicator(n) for n in range(7)))
    partner.add(*(indicator(n) for n in range(7, 10)))
    kept = Kept()
    list(poll(hub, hub.find_collection(COLLECTION), PollQuery(limit=limit), kept))
    assert ids(kept.objects) == expected(10)


def test_a_later_poll_brings_only_what_is_new(partner: Any, hub: Any, tmp_path: Path) -> None:
    state, kept = StateFile(tmp_path / "state"), Kept()
    place = hub.find_collection(COLLECTION)
    partner.add(*(indicator(n) for n in range(5)))
    assert list(poll(hub, place, PollQuery(), kept, state)) == [5]
    assert sum(poll(hub, place, PollQuery(), kept, state)) == 0
    partner.add(indicator(5))
    assert sum(poll(hub, place, PollQuery(), kept, state)) == 1
    assert ids(kept.objects) == expected(6)


@pytest.mark.parametrize("pages", [0, 1, 2, 3])
def test_a_poll_that_broke_down_among_objects_of_one_stamp_goes_on(
    partner: Any, hub: Any, tmp_path: Path, pages: int
) -> None:
    partner.add(*(indicator(n) for n in range(9)))
    state, place = StateFile(tmp_path / "state"), hub.find_collection(COLLECTION)
    first, second = Kept(pages), Kept()
    with pytest.raises(InterruptedError):
        list(poll(hub, place, PollQuery(limit=2), first, state))
    list(poll(hub, place, PollQuery(limit=2), second, state))
    assert ids(first.objects + second.objects) == expected(9)


def test_a_walk_whose_next_has_expired_starts_again_without_loss(partner: Any, hub: Any) -> None:
    partner.add(*(indicator(n) for n in range(9)))
    arrived: list[bytes] = []
    walk = poll_batches(hub, hub.find_collection(COLLECTION), PollQuery(limit=2), Cursor())
    arrived += next(walk).objects
    arrived += next(walk).objects
    partner.backend.next.clear()
    for batch in walk:
        arrived += batch.objects
    assert ids(arrived) == expected(9)


def test_the_types_asked_for_are_those_that_come(partner: Any, hub: Any) -> None:
    tool = {**indicator(1), "type": "tool", "id": indicator(1)["id"].replace("indicator", "tool")}
    partner.add(indicator(0), tool)
    kept = Kept()
    list(poll(hub, hub.find_collection(COLLECTION), PollQuery(types=("tool",)), kept))
    assert ids(kept.objects) == [tool["id"]]


def preview(*objects: dict[str, Any]) -> Preview:
    return Preview(
        "file.json",
        tuple(
            Candidate(index=n, object=each, source_id=each["id"]) for n, each in enumerate(objects)
        ),
    )


def test_what_is_pushed_arrives_in_as_many_envelopes_as_it_takes(partner: Any, hub: Any) -> None:
    sent = preview(*(indicator(n) for n in range(50)))  # the partner takes 9,000 octets at a time
    deliveries = list(push(hub, hub.find_collection(COLLECTION), [sent]))
    lines = [line for each in deliveries for line in each.results]
    assert [line.index for line in lines] == list(range(50))
    assert {line.verdict for line in lines} == {"admitted"}
    assert len({present(each.status).id for each in deliveries}) > 1
    kept = Kept()
    list(poll(hub, hub.find_collection(COLLECTION), PollQuery(), kept))
    assert ids(kept.objects) == expected(50)


def test_what_the_partner_refuses_is_told_with_its_words(partner: Any, hub: Any) -> None:
    partner.add(indicator(0))
    place = hub.find_collection(COLLECTION)
    (delivery,) = push(hub, place, [preview(indicator(0), indicator(1))])
    assert [line.verdict for line in delivery.results] == ["refused", "admitted"]
    assert delivery.results[0].findings[-1]["message"] == "Unable to process object"


def test_an_object_that_spoils_the_envelope_costs_only_itself(hub: Any) -> None:
    objects = [indicator(n) for n in range(7)]
    sent = preview(*objects)
    del objects[3]["id"]  # medallion answers 422 to the whole envelope
    lines = [
        line for each in push(hub, hub.find_collection(COLLECTION), [sent]) for line in each.results
    ]
    assert sorted(line.index for line in lines) == list(range(7))
    assert [line.index for line in lines if line.object is None] == [3]


def test_the_status_of_a_push_can_be_asked_for_later(hub: Any) -> None:
    (delivery,) = push(hub, hub.find_collection(COLLECTION), [preview(indicator(0))])
    assert hub.fetch_status(present(delivery.status).id).success == 1


@pytest.mark.parametrize("name", [COLLECTION, "Sightings of ours", "sightings of OURS"])
def test_a_collection_goes_by_id_and_title(hub: Any, name: Any) -> None:
    assert hub.find_collection(name).id == COLLECTION


@pytest.mark.parametrize("path", ["/taxii2/", "/taxii2", "/", "", "/partner/", "/partner"])
def test_any_url_of_the_server_will_do(partner: Any, path: str) -> None:
    url = partner.url.removesuffix("/taxii2/") + path
    with Hub(url, KEY, HASTY) as hub:
        assert [place.id for place in hub.list_collections()][0] == COLLECTION


def test_an_unknown_collection_is_refused_with_those_that_there_are(hub: Any) -> None:
    with pytest.raises(NotFound, match="Sightings of ours"):
        hub.find_collection("nosuch")


def test_a_wrong_key_is_no_access(partner: Any) -> None:
    with Hub(partner.url, "partner:wrong", HASTY) as hub, pytest.raises(NotAuthenticated):
        hub.list_collections()


def test_a_closed_collection_is_no_access(hub: Any) -> None:
    with pytest.raises(NotAllowed, match="403"):
        list(poll(hub, hub.find_collection("Closed"), PollQuery(), Kept()))


def test_a_server_that_is_not_there_is_unavailable() -> None:
    with Hub("http://127.0.0.1:9/taxii2/", KEY, HASTY) as hub, pytest.raises(Unavailable):
        hub.list_collections()
