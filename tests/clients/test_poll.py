"""What a poll does with servers that misbehave: it loses nothing and always comes to an end."""

import json
from typing import Any

import pytest
from support.taxii_servers import (
    Answer,
    ReceivedRequest,
    indicator,
    serve_script,
)

from tocsin.admission.errors import Malformed, ShareError, Unavailable
from tocsin.clients.http import Hub, RetrySettings
from tocsin.clients.poll import PollQuery, poll_batches
from tocsin.clients.state import Cursor

HASTY = RetrySettings(connect=2, answer=0.3, retries=1, pause=0.01)
DAY = "2026-03-01T00:00:{:02}.000000Z"


def page(numbers: Any, *, more: Any = False, next: Any = None, stamps: Any = None) -> Answer:
    body = {"objects": [indicator(n) for n in numbers], "more": more}
    headers = {}
    if stamps:
        first, last = stamps
        headers = {
            "X-TAXII-Date-Added-First": DAY.format(first),
            "X-TAXII-Date-Added-Last": DAY.format(last),
        }
    return Answer(body | ({"next": next} if next else {}), headers=headers)


def walked(script: Any, **ask: Any) -> tuple[list[int], list[ReceivedRequest]]:
    """The numbers of the indicators that a poll brings, and what it asked for."""
    known = {indicator(n)["id"]: n for n in range(100)}
    with serve_script(script) as server, Hub(server.url, "", HASTY) as hub:
        arrived = [
            known[json.loads(each)["id"]]
            for batch in poll_batches(hub, hub.find_collection("feed"), PollQuery(**ask), Cursor())
            for each in batch.objects
        ]
        return arrived, [each for each in server.asked if each.path.endswith("/objects/")]


def of_objects(answer: Any) -> Any:
    """A script that is asked for objects only."""
    return lambda asked: answer(asked) if asked.path.endswith("/objects/") else None


class TestMoreWithoutNext:
    @pytest.mark.parametrize("limit", [1, 2, 3])
    def test_added_after_goes_on_where_stamps_are_unique(self, limit: int) -> None:
        def answer(asked: Any) -> Any:
            after = asked.query.get("added_after", "")
            left = [n for n in range(7) if DAY.format(n) > after]
            some = left[: int(asked.query["limit"])]
            stamps = (some[0], some[-1]) if some else None
            return page(some, more=len(left) > len(some), stamps=stamps)

        arrived, _ = walked(of_objects(answer), limit=limit)
        assert arrived == list(range(7))

    def test_objects_that_share_a_stamp_across_pages_all_arrive(self) -> None:
        stamp = {0: 1, 1: 2, 2: 2, 3: 2, 4: 2, 5: 3}

        def answer(asked: Any) -> Any:
            after = asked.query.get("added_after", "")
            left = [n for n in stamp if DAY.format(stamp[n]) > after]
            some = left[: int(asked.query["limit"])]
            return page(some, more=len(left) > len(some), stamps=(stamp[some[0]], stamp[some[-1]]))

        arrived, _ = walked(of_objects(answer), limit=2)
        assert sorted(arrived) == list(range(6))

    def test_a_server_that_always_gives_the_first_page_is_stopped(self) -> None:
        with pytest.raises(Malformed, match="same page"):
            walked(of_objects(lambda asked: page([1, 2], more=True, stamps=(1, 2))), limit=2)

    def test_a_server_that_does_not_say_how_to_go_on_is_stopped(self) -> None:
        with pytest.raises(Malformed, match="how to go on"):
            walked(of_objects(lambda asked: page([1], more=True)))


class TestCircles:
    def test_two_pages_in_turn_are_stopped(self) -> None:
        def answer(asked: Any) -> Any:
            other = asked.query.get("next") == "b"
            return page([1] if other else [2], more=True, next="a" if other else "b")

        with pytest.raises(Malformed, match="same page"):
            walked(of_objects(answer))

    def test_empty_pages_without_end_are_stopped(self) -> None:
        def answer(asked: Any) -> Any:
            return page([], more=True, next=asked.query.get("next", "") + "x")

        with pytest.raises(Malformed, match="empty pages"):
            walked(of_objects(answer))

    def test_an_empty_page_on_the_way_is_no_end(self) -> None:
        pages = {None: page([1], more=True, next="a"), "a": page([], more=True, next="b")}
        last = page([2])
        arrived, _ = walked(of_objects(lambda asked: pages.get(asked.query.get("next"), last)))
        assert arrived == [1, 2]


class TestBreaks:
    def test_a_lost_answer_is_not_asked_for_again_by_its_next(self) -> None:
        answers = iter(
            [
                page([1, 2], more=True, next="token", stamps=(1, 1)),
                Answer(break_off=True),
                page([1, 2, 3], stamps=(1, 1)),
            ]
        )
        arrived, asked = walked(of_objects(lambda asked: next(answers)))
        assert arrived == [1, 2, 3]
        assert [each.query.get("next") for each in asked] == [None, "token", None]
        assert asked[-1].query["added_after"] == "2026-03-01T00:00:00.999999Z"

    def test_a_server_that_stays_silent_is_unavailable(self) -> None:
        with pytest.raises(Unavailable):
            walked(of_objects(lambda asked: Answer(break_off=True)))

    def test_a_server_that_wants_a_pause_gets_it(self) -> None:
        answers = iter([Answer({}, 429, {"Retry-After": "1"}), page([1])])
        arrived, _ = walked(of_objects(lambda asked: next(answers)))
        assert arrived == [1]

    def test_a_server_that_wants_an_hour_is_told_to_the_user_at_once(self) -> None:
        with pytest.raises(Unavailable, match="3600 s"):
            walked(of_objects(lambda asked: Answer({}, 429, {"Retry-After": "3600"})))

    @pytest.mark.parametrize(
        "answer",
        [
            Answer(b"<html>"),
            Answer(b'{"objects": {}}'),
            Answer(b"[" * 10_000),
            Answer({"title": "No"}, 422),
            Answer({"title": "\x1b[2Jred"}, 403),
        ],
    )
    def test_nonsense_is_an_error_in_words(self, answer: Any) -> None:
        with pytest.raises(ShareError):
            walked(of_objects(lambda asked: answer))


def test_a_key_does_not_go_to_another_server() -> None:
    def elsewhere(url: Any) -> Any:
        return lambda asked: (
            Answer({"title": "Here", "api_roots": [url.replace("taxii2", "root")]})
            if asked.path == "/taxii2/"
            else None
        )

    with (
        serve_script(lambda asked: None) as other,
        serve_script(elsewhere(other.url)) as server,
        Hub(server.url, "partner:secret", HASTY) as hub,
    ):
        assert hub.find_collection("feed").root.startswith(other.url.removesuffix("taxii2/"))
        assert all("Authorization" in each.headers for each in server.asked)
        assert not any("Authorization" in each.headers for each in other.asked)


@pytest.mark.parametrize(
    ("key", "sent"),
    [("partner:secret", "Basic cGFydG5lcjpzZWNyZXQ="), ("opaque", "Bearer opaque")],
)
def test_a_key_with_a_colon_is_basic_and_one_without_is_bearer(key: str, sent: str) -> None:
    with serve_script(lambda asked: None) as server, Hub(server.url, key, HASTY) as hub:
        hub.list_collections()
        assert {each.headers["Authorization"] for each in server.asked} == {sent}


def test_the_server_learns_the_clients_name_and_version() -> None:
    with serve_script(lambda asked: None) as server, Hub(server.url, "", HASTY) as hub:
        hub.list_collections()
        assert all(each.headers["User-Agent"].startswith("tocsin/") for each in server.asked)


def test_a_key_in_the_clear_is_warned_of(caplog: pytest.LogCaptureFixture) -> None:
    with Hub("http://hub.example/taxii2/", "partner:secret"):
        assert "unencrypted" in caplog.text
    caplog.clear()
    with Hub("http://127.0.0.1/taxii2/", "partner:secret"), Hub("https://hub.example/", "a:b"):
        assert caplog.text == ""
