"""The torture test: small each time the tests run, long with scripts/torture; and its judge."""

import json
import os
import subprocess
import sys
from dataclasses import replace
from typing import Any

import pytest
from support.paths import ROOT
from support.torture_judge import Entry, Final, Log, Record, find_faults

TORTURE = (sys.executable, "-m", "support.torture")


@pytest.mark.slow
@pytest.mark.long
@pytest.mark.parametrize("more", [["--workers", "0"], ["--apart", "--workers", "2"]])
def test_nothing_is_lost_in_a_torture_run(more: Any) -> None:
    asked = ["--minutes", "0.2", "--every", "3", "--writers", "3", "--json", *more]
    tortured = subprocess.run(
        [*TORTURE, *asked],
        capture_output=True,
        text=True,
        timeout=600,
        env={**os.environ, "PYTHONPATH": str(ROOT / "tests")},
    )
    assert tortured.returncode == 0, tortured
    figures = json.loads(tortured.stdout)
    victims = ["hub", "database"]
    victims += ["worker", "answering process"] if "--apart" in more else []
    assert all(figures[f"kills of the {each}"] for each in victims)
    assert figures["versions"] and figures["pages"] and figures["acknowledged"]
    assert figures["downloads"]


def date(second: int) -> str:
    return f"2026-01-01T00:00:{second:02}.000000Z"


def entry(number: int, edition: int = 1, at: int = 0, asked: float = 0.0) -> Entry:
    return Entry(f"indicator--{number}", f"v{edition}", date(at or number), asked)


@pytest.fixture
def record() -> Any:
    """All is well: 1 was superseded, 3 withdrawn after one poller had seen it."""
    whole = [entry(1), entry(2), entry(1, 2, at=4), entry(5)]
    last = [entry(2), entry(1, 2, at=4), entry(5)]
    all_seen = [entry(1), entry(2), entry(3, asked=1.0), entry(1, 2, at=4), entry(5)]
    bare = [each._replace(date_added="") for each in last]
    return Record(
        feeds={"scratch": Final(whole, last)},
        logs=[
            Log("manifest", "scratch", True, all_seen, [(date(1), date(3)), (date(4), date(5))]),
            Log("objects", "scratch", False, bare, [(date(2), date(5))]),
        ],
        stored={"scratch": {each[:2] for each in [*whole, entry(3)]}},
        wanted={"[a]": 2},
        published={"[a]": 2},
        withdrawn={"indicator--3": 2.0},
    )


def kinds(record: Record) -> list[str]:
    return [kind for kind, found in find_faults(record).items() if found]


class TestTheJudge:
    def test_finds_nothing_where_nothing_is_wrong(self, record: Any) -> None:
        assert kinds(record) == []

    @pytest.mark.parametrize("log", [0, 1])
    def test_finds_what_a_poller_was_not_given(self, record: Any, log: int) -> None:
        del record.logs[log].entries[-1]
        assert kinds(record) == ["lost"]

    def test_does_not_ask_for_what_is_superseded_unless_all_was_asked_for(
        self, record: Any
    ) -> None:
        del record.logs[0].entries[0]
        assert find_faults(record)["lost"] == ["manifest did not receive indicator--1 v1"]

    def test_finds_what_was_acknowledged_and_is_not_there(self, record: Any) -> None:
        record.stored["scratch"].add(("indicator--9", "v1"))
        assert kinds(record) == ["lost"]

    @pytest.mark.parametrize("published", [{}, {"[a]": 1}])
    def test_finds_an_edition_that_was_not_published(self, record: Any, published: Any) -> None:
        assert kinds(replace(record, published=published)) == ["lost"]

    @pytest.mark.parametrize("log", [0, 1])
    def test_finds_what_came_twice(self, record: Any, log: int) -> None:
        record.logs[log].entries.append(record.logs[log].entries[-1]._replace(date_added=""))
        assert kinds(record) == ["duplicated"]

    @pytest.mark.parametrize("log", [0, 1])
    def test_finds_an_inversion(self, record: Any, log: int) -> None:
        entries = record.logs[log].entries
        entries[-1], entries[-2] = entries[-2], entries[-1]
        assert kinds(record) == ["out of order"]

    def test_finds_pages_that_overlap(self, record: Any) -> None:
        record.logs[0].pages[1] = (date(3), date(5))
        assert kinds(record) == ["out of order"]

    def test_finds_a_feed_whose_dates_do_not_increase(self, record: Any) -> None:
        record.feeds["scratch"].all[1] = entry(2, at=4)
        assert "out of order" in kinds(record)

    def test_finds_what_the_feed_never_had(self, record: Any) -> None:
        record.logs[0].entries.append(entry(7))
        assert kinds(record) == ["from nowhere"]

    def test_finds_a_withdrawn_object_in_the_feed(self, record: Any) -> None:
        for entries in (record.feeds["scratch"].all, record.feeds["scratch"].last):
            entries.insert(2 if len(entries) > 3 else 1, entry(3))
        assert "withdrawn and still there" in kinds(record)

    def test_finds_a_withdrawn_object_that_was_given_afterwards(self, record: Any) -> None:
        record.logs[0].entries[2] = entry(3, asked=3.0)
        assert kinds(record) == ["withdrawn and still there"]

    @pytest.mark.parametrize("kind", ["missing", "unsettled", "refused", "strange"])
    def test_finds_whatever_else_went_wrong(self, record: Any, kind: str) -> None:
        assert len(kinds(replace(record, **{kind: ["fault"]}))) == 1
