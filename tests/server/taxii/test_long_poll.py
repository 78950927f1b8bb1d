"""Waiting for news instead of asking again: `Prefer: wait` (RFC 7240 section 4.3)."""

import itertools
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from support.taxii_hub import GREEN, SCRATCH, TaxiiHub, ids, indicator, stamp

from tocsin.config.settings import HubSettings
from tocsin.server.model import FeedHead
from tocsin.server.taxii import long_poll
from tocsin.server.taxii.long_poll import LongPolls

APPLIED = "Preference-Applied"
NEWER = f"green/objects/?added_after={stamp(1)}"
"""Objects after the one indicator that is there."""


@pytest.fixture
def stopping() -> Iterator[Any]:
    event = threading.Event()
    yield event
    event.set()


@pytest.fixture
def taxii(stopping: Any) -> Any:
    taxii = TaxiiHub(long_polls=LongPolls(total=3, per_account=2, stopping=stopping))
    taxii.account("north-robot", "north", {GREEN}, set())
    taxii.feeds.add(GREEN.id, indicator(1))
    return taxii


@pytest.fixture
def pool() -> Iterator[Any]:
    with ThreadPoolExecutor(8) as pool:
        yield pool


def wait(taxii: Any, path: Any = NEWER, seconds: Any = 20, **more: Any) -> Any:
    """Asks, with the wish to wait; the answer and the seconds that it took."""
    headers = {"Prefer": f"wait={seconds}"} | more.pop("headers", {})
    began = time.monotonic()
    answer = taxii.get(path, headers=headers, **more)
    return answer, time.monotonic() - began


def until_waiting(taxii: Any, number: Any = 1) -> None:
    """Wait until `number` requests wait."""
    while taxii.long_polls._waiting.total() < number:
        time.sleep(0.01)


@pytest.mark.parametrize("path", [NEWER, NEWER.replace("objects", "manifest")])
def test_an_added_object_ends_the_wait(taxii: Any, pool: Any, path: Any) -> None:
    answer = pool.submit(wait, taxii, path)
    until_waiting(taxii)
    taxii.feeds.add(GREEN.id, indicator(2))
    answer, took = answer.result()
    assert (answer.status_code, ids(answer), answer.headers[APPLIED]) == (200, [2], "wait=20")
    assert took < 5


@pytest.mark.slow
def test_without_news_the_answer_comes_at_the_deadline(taxii: Any) -> None:
    answer, took = wait(taxii, seconds=1)
    assert (answer.status_code, ids(answer), answer.headers[APPLIED]) == (200, [], "wait=1")
    assert 1 <= took < 5


def test_a_page_with_objects_is_answered_at_once(taxii: Any) -> None:
    answer, took = wait(taxii, "green/objects/")
    assert (ids(answer), answer.headers[APPLIED]) == ([1], "wait=20") and took < 5


def test_a_reader_that_has_the_page_waits_for_another(taxii: Any, pool: Any) -> None:
    had = {"If-None-Match": taxii.get("green/objects/").headers["ETag"]}
    answer = pool.submit(wait, taxii, "green/objects/", headers=had)
    until_waiting(taxii)
    taxii.feeds.add(GREEN.id, indicator(2))
    assert ids(answer.result()[0]) == [1, 2]


@pytest.mark.parametrize("path", ["", "versions/"])
def test_a_reader_of_one_object_waits_for_its_next_version(
    taxii: Any, pool: Any, path: str
) -> None:
    path = f"green/objects/{indicator(1)['id']}/{path}"
    had = {"If-None-Match": taxii.get(path).headers["ETag"]}
    answer = pool.submit(wait, taxii, path, headers=had)
    until_waiting(taxii)
    taxii.feeds.add(GREEN.id, {**indicator(1), "modified": "2030-01-01T00:00:00.000Z"})
    answer, took = answer.result()
    assert (answer.status_code, answer.headers[APPLIED], took < 5) == (200, "wait=20", True)
    assert "2030-01-01" in answer.text


@pytest.mark.slow
def test_a_reader_that_has_the_page_gets_304_at_the_deadline(taxii: Any) -> None:
    had = {"If-None-Match": taxii.get("green/objects/").headers["ETag"]}
    answer, _ = wait(taxii, "green/objects/", seconds=1, headers=had)
    assert (answer.status_code, answer.headers[APPLIED]) == (304, "wait=1")


def test_a_deletion_ends_the_wait_of_a_reader_that_has_the_page(taxii: Any, pool: Any) -> None:
    taxii.feeds.add(SCRATCH.id, indicator(5))
    had = {"If-None-Match": taxii.get("scratch/objects/").headers["ETag"]}
    answer = pool.submit(wait, taxii, "scratch/objects/", headers=had)
    until_waiting(taxii)
    taxii.get(f"scratch/objects/{indicator(5)['id']}/", method="DELETE")
    assert (answer.result()[0].status_code, ids(answer.result()[0])) == (200, [])


@pytest.mark.slow
def test_an_object_outside_the_filter_does_not_end_the_wait(taxii: Any, pool: Any) -> None:
    answer = pool.submit(wait, taxii, f"{NEWER}&match[type]=tool", seconds=1)
    until_waiting(taxii)
    taxii.feeds.add(GREEN.id, indicator(2))
    answer, took = answer.result()
    assert ids(answer) == [] and took >= 1


@pytest.mark.slow
def test_a_write_to_another_feed_does_not_end_the_wait(taxii: Any, pool: Any) -> None:
    answer = pool.submit(wait, taxii, seconds=1)
    until_waiting(taxii)
    taxii.feeds.add(SCRATCH.id, indicator(2))
    assert answer.result()[1] >= 1


def test_an_account_that_loses_the_right_while_waiting_is_refused(taxii: Any, pool: Any) -> None:
    answer = pool.submit(wait, taxii)
    until_waiting(taxii)
    taxii.account("acme-robot", "acme", {SCRATCH}, set())
    taxii.feeds.add(GREEN.id, indicator(2))
    assert answer.result()[0].status_code == 404


@pytest.mark.slow
def test_waiting_requests_share_the_readings_of_the_head(taxii: Any, pool: Any) -> None:
    waits = [pool.submit(wait, taxii, seconds=2) for _ in range(2)]
    waits.append(pool.submit(wait, taxii, seconds=2, by="north-robot"))
    until_waiting(taxii, 3)
    before = taxii.feeds.heads
    assert [each.result()[0].status_code for each in waits] == [200] * 3
    assert taxii.feeds.heads - before <= 2 / long_poll.CHECK_INTERVAL + 2


class TestBounds:
    def test_with_the_shipped_settings_an_account_has_two_slots(self, stopping: Any) -> None:
        polls = LongPolls.for_threads(HubSettings().threads, stopping)
        with polls.slot("a") as one, polls.slot("a") as two, polls.slot("a") as three:
            assert (one, two, three) == (True, True, False)

    @pytest.mark.slow
    def test_one_account_cannot_take_all_slots(self, taxii: Any, pool: Any) -> None:
        waits = [pool.submit(wait, taxii) for _ in range(2)]
        until_waiting(taxii, 2)
        answer, took = wait(taxii)
        assert (answer.status_code, took < 5) == (200, True) and APPLIED not in answer.headers
        assert wait(taxii, by="north-robot", seconds=1)[0].headers[APPLIED] == "wait=1"
        taxii.feeds.add(GREEN.id, indicator(2))
        assert [ids(each.result()[0]) for each in waits] == [[2], [2]]

    def test_without_a_free_slot_the_answer_comes_at_once(self, taxii: Any, pool: Any) -> None:
        waits = [pool.submit(wait, taxii) for _ in range(2)]
        waits.append(pool.submit(wait, taxii, by="north-robot"))
        until_waiting(taxii, 3)
        answer, took = wait(taxii, by="north-robot")
        assert (answer.status_code, took < 5) == (200, True) and APPLIED not in answer.headers
        taxii.feeds.add(GREEN.id, indicator(2))
        assert [ids(each.result()[0]) for each in waits] == [[2]] * 3

    @pytest.mark.slow
    def test_a_slot_is_released_after_the_answer(self, taxii: Any) -> None:
        assert APPLIED in wait(taxii, seconds=1)[0].headers
        assert taxii.long_polls._waiting.total() == 0

    def test_a_slot_is_released_after_an_error(self, taxii: Any, pool: Any) -> None:
        answer = pool.submit(wait, taxii)
        until_waiting(taxii)
        taxii.feeds.last = None
        assert answer.result()[0].status_code == 500
        assert taxii.long_polls._waiting.total() == 0

    def test_a_hub_that_stops_answers_at_once(self, taxii: Any, pool: Any, stopping: Any) -> None:
        answer = pool.submit(wait, taxii)
        until_waiting(taxii)
        stopping.set()
        assert answer.result()[0].status_code == 200 and answer.result()[1] < 5

    @pytest.mark.parametrize("path", ["", "objects/"])
    def test_a_reader_without_the_right_does_not_wait(self, taxii: Any, path: str) -> None:
        answer, took = wait(taxii, f"hidden/{path}")
        assert (answer.status_code, took < 5) == (404, True)


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        (["wait=5"], 5),
        (["WAIT=5"], 5),
        (['wait="5"'], 5),
        (["wait = 5"], 5),
        (["wait=5; strict"], 5),
        (["return=minimal, wait=5"], 5),
        (["return=minimal", "wait=5"], 5),
        (["wait=5, wait=9"], 5),
        (["wait=60"], 60),
        (["wait=61"], 60),
        (["wait=999999999"], 60),
        (["wait=0"], 0),
        (["wait"], 0),
        (["wait="], 0),
        (["wait=-1"], 0),
        (["wait=1.5"], 0),
        (["wait=soon"], 0),
        (["wait=٣"], 0),
        (["await=5"], 0),
        (['x="wait=5"'], 0),
        ([""], 0),
        ([], 0),
    ],
)
def test_prefer_is_parsed_as_in_rfc_7240(headers: Any, seconds: int) -> None:
    assert long_poll.parse_prefer_wait(headers) == seconds


@pytest.mark.slow
def test_an_older_head_is_not_a_change(stopping: Any) -> None:
    polls = LongPolls(stopping=stopping)
    heads = itertools.chain([FeedHead(1, 1, 1)], itertools.repeat(FeedHead(2, 2, 2)))
    soon = time.monotonic() + 0.3
    assert not polls.wait_for_change("feed", FeedHead(2, 2, 2), soon, lambda feed: next(heads))
    assert not polls.wait_for_change(
        "feed", FeedHead(2, 2, 2), soon + 0.3, lambda feed: next(heads)
    )


def test_what_this_process_writes_is_looked_at_at_once(
    taxii: Any, pool: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(long_poll, "CHECK_INTERVAL", 15.0)
    answer = pool.submit(wait, taxii)
    until_waiting(taxii)
    taxii.feeds.add(GREEN.id, indicator(2))
    taxii.long_polls.wake()
    answer, took = answer.result()
    assert (ids(answer), took < 10) == ([2], True)
