"""Polls of misbehaving servers: no object is lost, and every poll ends."""

import json
import socket
import time
from collections.abc import Callable
from email.utils import formatdate
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from support.hub import AMBER, GREEN, HubInProcess
from support.hub import indicator as hub_indicator
from support.statement_marking import STATEMENT
from support.taxii_servers import Answer, ReceivedRequest, indicator, serve_script

from tocsin.admission.errors import Malformed, ShareError, Unavailable
from tocsin.admission.markings.revoked_definitions import REVOKED_TEXT
from tocsin.admission.timestamps import micros, timestamp
from tocsin.clients.bounds import ResponseBounds
from tocsin.clients.http import Hub, RetrySettings
from tocsin.clients.output_formats import DistinctOutput, open_output
from tocsin.clients.poll import PollQuery, poll_batches
from tocsin.clients.state import Cursor
from tocsin.config.settings import ClientSettings

FAST_RETRIES = RetrySettings(connect=30, read=30, retries=1, pause=0.01)
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


def poll_numbers(script: Any, **query: Any) -> tuple[list[int], list[ReceivedRequest]]:
    """Poll a scripted server; returns indicator numbers and the requests for objects."""
    known = {indicator(n)["id"]: n for n in range(100)}
    with serve_script(script) as server, Hub(server.url, "", FAST_RETRIES) as hub:
        arrived = [
            known[json.loads(each)["id"]]
            for batch in poll_batches(
                hub, hub.find_collection("feed"), PollQuery(**query), Cursor()
            )
            for each in batch.objects
        ]
        return arrived, [each for each in server.requests if each.path.endswith("/objects/")]


def answer_objects_with(answer: Any) -> Any:
    """A script that answers requests for objects only."""
    return lambda request: answer(request) if request.path.endswith("/objects/") else None


class TestMoreWithoutNext:
    @pytest.mark.parametrize("limit", [1, 2, 3])
    def test_paging_by_added_after_brings_all_objects_where_stamps_are_unique(
        self, limit: int
    ) -> None:
        def answer(request: Any) -> Any:
            after = request.query.get("added_after", "")
            left = [n for n in range(7) if DAY.format(n) > after]
            some = left[: int(request.query["limit"])]
            stamps = (some[0], some[-1]) if some else None
            return page(some, more=len(left) > len(some), stamps=stamps)

        arrived, _ = poll_numbers(answer_objects_with(answer), limit=limit)
        assert arrived == list(range(7))

    def test_objects_that_share_a_stamp_across_pages_all_arrive(self) -> None:
        stamp = {0: 1, 1: 2, 2: 2, 3: 2, 4: 2, 5: 3}

        def answer(request: Any) -> Any:
            after = request.query.get("added_after", "")
            left = [n for n in stamp if DAY.format(stamp[n]) > after]
            some = left[: int(request.query["limit"])]
            return page(some, more=len(left) > len(some), stamps=(stamp[some[0]], stamp[some[-1]]))

        arrived, _ = poll_numbers(answer_objects_with(answer), limit=2)
        assert sorted(arrived) == list(range(6))

    def test_a_server_that_repeats_its_first_page_is_refused(self) -> None:
        with pytest.raises(Malformed, match="same page"):
            poll_numbers(
                answer_objects_with(lambda request: page([1, 2], more=True, stamps=(1, 2))), limit=2
            )

    def test_more_without_next_or_stamps_is_refused(self) -> None:
        with pytest.raises(Malformed, match="how to go on"):
            poll_numbers(answer_objects_with(lambda request: page([1], more=True)))


class TestRepeatedAndEmptyPages:
    def test_a_cycle_of_two_pages_is_refused(self) -> None:
        def answer(request: Any) -> Any:
            other = request.query.get("next") == "b"
            return page([1] if other else [2], more=True, next="a" if other else "b")

        with pytest.raises(Malformed, match="same page"):
            poll_numbers(answer_objects_with(answer))

    def test_an_endless_series_of_empty_pages_is_refused(self) -> None:
        def answer(request: Any) -> Any:
            return page([], more=True, next=request.query.get("next", "") + "x")

        with pytest.raises(Malformed, match="empty pages"):
            poll_numbers(answer_objects_with(answer))

    def test_an_empty_page_does_not_end_the_poll(self) -> None:
        pages = {None: page([1], more=True, next="a"), "a": page([], more=True, next="b")}
        last = page([2])
        arrived, _ = poll_numbers(
            answer_objects_with(lambda request: pages.get(request.query.get("next"), last))
        )
        assert arrived == [1, 2]


class TestInterruptedAnswers:
    def test_after_a_lost_answer_the_poll_resumes_by_added_after_instead_of_next(self) -> None:
        answers = iter(
            [
                page([1, 2], more=True, next="token", stamps=(1, 1)),
                Answer(break_off=True),
                page([1, 2, 3], stamps=(1, 1)),
            ]
        )
        arrived, requests = poll_numbers(answer_objects_with(lambda request: next(answers)))
        assert arrived == [1, 2, 3]
        assert [each.query.get("next") for each in requests] == [None, "token", None]
        assert requests[-1].query["added_after"] == "2026-03-01T00:00:00.999999Z"

    def test_a_server_that_never_answers_is_unavailable(self) -> None:
        with pytest.raises(Unavailable):
            poll_numbers(answer_objects_with(lambda request: Answer(break_off=True)))

    @pytest.mark.slow
    def test_a_server_that_is_slow_is_not_said_to_be_unreachable(self) -> None:
        impatient = RetrySettings(connect=2, read=0.3, retries=1, pause=0.01)
        with (
            socket.create_server(("127.0.0.1", 0)) as listener,  # it accepts, and never answers
            Hub(f"http://127.0.0.1:{listener.getsockname()[1]}/", "", impatient) as hub,
            pytest.raises(Unavailable, match="did not answer in time; try again later"),
        ):
            hub.list_collections()

    @pytest.mark.slow
    def test_a_poll_waits_for_the_retry_after_of_a_server(self) -> None:
        answers = iter([Answer({}, 429, {"Retry-After": "1"}), page([1])])
        arrived, _ = poll_numbers(answer_objects_with(lambda request: next(answers)))
        assert arrived == [1]

    def test_a_retry_after_of_an_hour_is_reported_at_once(self) -> None:
        with pytest.raises(Unavailable, match="try again in 1 h"):
            poll_numbers(
                answer_objects_with(lambda request: Answer({}, 429, {"Retry-After": "3600"}))
            )

    def test_a_retry_after_that_is_a_date_in_some_hours_is_reported_at_once(self) -> None:
        busy = Answer({}, 429, {"Retry-After": formatdate(time.time() + 6 * 3600, usegmt=True)})
        started = time.monotonic()
        with pytest.raises(Unavailable, match="429"):
            poll_numbers(answer_objects_with(lambda request: busy))
        assert time.monotonic() - started < 10

    @pytest.mark.parametrize("wait", ["soon", "9" * 5000, "Mon, 01 Jan 9999999999 00:00:00 GMT"])
    def test_a_retry_after_that_cannot_be_read_is_ignored(self, wait: str) -> None:
        answers = iter([Answer({}, 429, {"Retry-After": wait}), page([1])])
        arrived, _ = poll_numbers(answer_objects_with(lambda request: next(answers)))
        assert arrived == [1]

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
    def test_an_invalid_answer_is_a_readable_error(self, answer: Any) -> None:
        with pytest.raises(ShareError):
            poll_numbers(answer_objects_with(lambda request: answer))


@pytest.mark.parametrize(
    ("body", "advice"),
    [
        ({"title": "Bad Request", "description": "match[confidence]: a whole number"}, ""),
        ({"title": "Bad Request"}, "; check the URL, or try again later"),
    ],
)
def test_no_advice_follows_a_server_that_says_what_is_wrong(
    body: dict[str, str], advice: str
) -> None:
    with pytest.raises(ShareError) as refused:
        poll_numbers(answer_objects_with(lambda request: Answer(body, 400)))
    assert str(refused.value).endswith(": ".join(body.values()) + advice)


def test_the_default_timeouts_and_bounds_are_those_of_the_settings() -> None:
    retries, settings = RetrySettings(), ClientSettings()
    bounds = ResponseBounds(settings.max_response_length, settings.response_timeout)
    assert (retries.read, retries.bounds) == (settings.timeout, bounds)


@pytest.mark.parametrize(
    ("key", "sent"),
    [("partner:secret", "Basic cGFydG5lcjpzZWNyZXQ="), ("opaque", "Bearer opaque")],
)
def test_a_key_with_a_colon_is_sent_as_basic_and_any_other_as_bearer(key: str, sent: str) -> None:
    with serve_script(lambda request: None) as server, Hub(server.url, key, FAST_RETRIES) as hub:
        hub.list_collections()
        assert {each.headers["Authorization"] for each in server.requests} == {sent}


def test_the_user_agent_names_the_client_and_its_version() -> None:
    with serve_script(lambda request: None) as server, Hub(server.url, "", FAST_RETRIES) as hub:
        hub.list_collections()
        assert all(each.headers["User-Agent"].startswith("tocsin/") for each in server.requests)


def test_a_key_over_plain_http_logs_a_warning(caplog: pytest.LogCaptureFixture) -> None:
    with Hub("http://hub.example/taxii2/", "partner:secret"):
        assert "unencrypted" in caplog.text
    caplog.clear()
    with Hub("http://127.0.0.1/taxii2/", "partner:secret"), Hub("https://hub.example/", "a:b"):
        assert caplog.text == ""


class TestBegin:
    def asked(self, tocsin: Callable[..., Any], *words: str) -> str:
        with serve_script(answer_objects_with(lambda request: page([]))) as server:
            assert tocsin("poll", "feed", "--url", server.url, *words)[0] == 0
            (request,) = [each for each in server.requests if each.path.endswith("/objects/")]
            return str(request.query.get("added_after", ""))

    @pytest.mark.parametrize("option", ["--since", "--added-after"])
    def test_a_poll_begins_at_a_date_or_timestamp(
        self, tocsin: Callable[..., Any], alone: None, option: str
    ) -> None:
        assert self.asked(tocsin, option, "2026-01-31") == "2026-01-31T00:00:00.000000Z"
        stamp = "2026-01-31T12:00:00.5Z"
        assert self.asked(tocsin, option, stamp) == "2026-01-31T12:00:00.500000Z"

    @pytest.mark.parametrize(("text", "seconds"), [("1h", 3_600), ("2d", 172_800)])
    def test_a_poll_begins_some_time_before_now(
        self, tocsin: Callable[..., Any], alone: None, text: str, seconds: int
    ) -> None:
        begin = micros(self.asked(tocsin, "--since", text)) / 1_000_000
        assert abs(time.time() - seconds - begin) < 60

    @pytest.mark.parametrize("option", ["--since", "--added-after"])
    def test_a_message_about_the_begin_names_the_option_as_it_was_typed(
        self, tocsin: Callable[..., Any], alone: None, option: str
    ) -> None:
        for text in ("yesterday", "2026-02-31"):
            code, _, stderr = tocsin("poll", "feed", "--url", "http://127.0.0.1:9/", option, text)
            assert (code, f"'{option}': not a" in stderr) == (2, True)

    def test_a_poll_may_begin_where_a_clock_that_is_a_little_ahead_says(
        self, tocsin: Callable[..., Any], alone: None
    ) -> None:
        ahead = timestamp(time.time_ns() // 1000 + 5 * 60 * 1_000_000)
        assert self.asked(tocsin, "--added-after", ahead) == ahead

    @pytest.mark.parametrize(
        "command",
        [["poll", "feed", "--since"], ["poll", "feed", "--added-after"], ["receipts", "--since"]],
    )
    def test_a_begin_in_the_future_exits_with_2(
        self, tocsin: Callable[..., Any], alone: None, command: list[str]
    ) -> None:
        soon = timestamp(time.time_ns() // 1000 + 15 * 60 * 1_000_000)
        for text in ("2128-02-29", soon):
            code, _, stderr = tocsin(*command, text, "--url", "http://127.0.0.1:9/")
            assert (code, f"'{command[-1]}': {text[:10]}" in stderr) == (2, True), stderr
            assert "in the future" in stderr


@pytest.mark.slow
@pytest.mark.parametrize("field", ["foo", "bad.field"])
def test_a_match_field_that_the_hub_ignores_ends_the_poll_before_an_object_is_written(
    tocsin: Callable[..., Any], served: HubInProcess, field: str
) -> None:
    served.push(hub_indicator("evil-portal.top", object_marking_refs=[GREEN]))
    state = ("--state", "s", "--output", "out")
    code, _, stderr = tocsin("poll", "green", "--match", f"{field}=bar", *state)
    assert (code, f"does not know the match fields match[{field}]" in stderr) == (1, True), stderr
    assert Path("out").read_text() == ""
    assert tocsin("poll", "green", "--match", "spec_version=2.1", *state)[0] == 0
    assert "evil-portal.top" in Path("out").read_text()


@pytest.mark.slow
def test_an_object_of_two_collections_is_written_once(
    tocsin: Callable[..., Any], served: HubInProcess
) -> None:
    served.push(hub_indicator("evil-portal.top", object_marking_refs=[GREEN]))
    served.push(hub_indicator("bad-portal.top", object_marking_refs=[AMBER]))
    _, lines, _ = tocsin("poll", "green", "amber")
    patterns = [json.loads(line).get("pattern", "") for line in lines]
    assert len([each for each in patterns if "evil-portal" in each]) == 1
    assert len([each for each in patterns if "bad-portal" in each]) == 1


def test_a_quiet_collection_does_not_read_again_what_another_one_wrote_to_its_file(
    tocsin: Callable[..., Any], alone: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    added = 0

    def answer(request: ReceivedRequest) -> Answer | None:
        if request.path.endswith("/collections/"):
            rights = {"can_read": True, "can_write": False}
            return Answer({"collections": [{"id": n, "title": n, **rights} for n in ("q", "b")]})
        if not request.path.endswith("/objects/"):
            return None
        if "collections/q/" in request.path:
            return page([])
        return page([added], stamps=(added, added))

    sizes = list[int]()

    def note_size(stream: Any, size: int) -> set[bytes]:
        sizes.append(size)
        return set()

    monkeypatch.setattr("tocsin.clients.output_formats._read_lines_after", note_size)
    with serve_script(answer) as server:
        for _ in range(3):
            added += 1
            words = ("--url", server.url, "--state", "s", "--output", "out")
            assert tocsin("poll", "q", "b", *words)[0] == 0
    lines = Path("out").read_bytes().splitlines(keepends=True)
    assert [json.loads(line)["id"] for line in lines] == [indicator(n)["id"] for n in (1, 2, 3)]
    ends = [sum(map(len, lines[:n])) for n in range(4)]
    assert sizes[-2:] == [ends[1], ends[2]]


@pytest.mark.slow
def test_a_marking_definition_that_ended_replaces_what_a_follower_has(
    tocsin: Callable[..., Any], served: HubInProcess
) -> None:
    marked = {"object_marking_refs": [GREEN]}
    served.push(STATEMENT | marked, hub_indicator("evil-portal.top", **marked))
    follow = ("poll", "green", "--state", "s", "--format", "jsonl")
    before = [json.loads(line) for line in tocsin(*follow)[1]]
    (public,) = (o for o in before if o.get("definition") == STATEMENT["definition"])
    assert tocsin("poll", "green", "--mirror", "m")[0] == 0
    served.services.lifecycle.revoke(public["id"], "operator", "asked by mail")
    (left,) = map(json.loads, tocsin(*follow)[1])
    assert (left["id"], left["definition"]["statement"]) == (public["id"], REVOKED_TEXT)
    assert tocsin("poll", "green", "--mirror", "m")[0] == 0
    mirrored = b"".join(each.read_bytes() for each in Path("m").rglob("*") if each.is_file())
    assert b"Copyright of" not in mirrored and REVOKED_TEXT.encode() in mirrored


class TestDistinctOutput:
    def test_only_objects_with_the_same_octets_are_left_out(self, tmp_path: Path) -> None:
        first, other = indicator(1), {**indicator(1), "confidence": 50}
        output = open_output("jsonl", tmp_path / "out", BytesIO(), append=False)
        distinct = DistinctOutput(output)
        distinct.resume(Cursor())
        for each in (first, other, first):
            distinct.write([json.dumps(each).encode()])
        distinct.finish()
        output.close()
        written = (tmp_path / "out").read_text().splitlines()
        assert [json.loads(line) for line in written] == [first, other]
