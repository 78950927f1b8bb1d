"""The windows in which a transaction stamps its entries (docs/protocol.md, "Pages")."""

from collections.abc import Callable
from itertools import count, pairwise
from typing import Any

import pytest
from support.clock import ManualClock
from support.feed_postings import Feed, posting
from support.hub import HubInProcess, indicator

from tocsin.admission.timestamps import micros
from tocsin.server.model import Query
from tocsin.server.store.feeds.clock import GROUP, MILLISECOND, Windows

NOW = 1_800_000_000_123_456
_STARTS = count(0, 1_000)


def stamps_of(feed: Feed) -> list[int]:
    entries: list[Any] = []
    while True:
        query = feed.store.feeds.page(feed.id, _after(entries))
        entries += query.entries
        if not query.more:
            return [entry.stamp for entry in entries]


def _after(entries: list[Any]) -> Any:
    return Query(1_000, position=entries[-1].position if entries else 0)


def publish_together(counts: dict[str, int], feed: Feed) -> None:
    """Publish so many new objects into each of several feeds, in one transaction."""
    start = next(_STARTS)

    def work(txn: Any) -> None:
        wanted = {name: most for name, most in counts.items() if most}
        entries = {name: [posting(start + n) for n in range(most)] for name, most in wanted.items()}
        txn.begin_publication(wanted).write(entries)

    feed.store.commit(work)


@pytest.fixture
def standing(common_store: Any) -> Any:
    """The clock of the feeds' store, ahead of all stamps so far."""
    before, clock = common_store.clock, ManualClock(NOW)
    known = common_store._base.clock.find_one({"_id": "hub"})["stamp"]
    clock.now = max(NOW, known + 3_600_000_000)
    common_store.clock = clock
    yield clock
    common_store.clock = before


@pytest.mark.slow
def test_stamps_are_unique_and_in_the_order_of_commit(
    new: Callable[[], Feed], standing: ManualClock
) -> None:
    feeds = [new() for _ in range(3)]
    last = 0
    for counts in ((1, 2, 450), (201, 0, 200), (1, 1, 1)):
        publish_together({f.id: n for f, n in zip(feeds, counts, strict=True)}, feeds[0])
        fresh = [stamp for feed in feeds for stamp in stamps_of(feed) if stamp > last]
        assert len(set(fresh)) == len(fresh) == sum(counts)
        last = max(fresh)
    for feed in feeds:
        stamps = stamps_of(feed)
        assert stamps == sorted(set(stamps))


@pytest.mark.slow
@pytest.mark.parametrize("others", [0, 1, 200, 777])
def test_the_stamps_of_a_feed_do_not_depend_on_what_goes_into_others(
    new: Callable[[], Feed], standing: ManualClock, others: int
) -> None:
    one, hidden, later = new(), new(), new()
    begin = standing.now
    publish_together({hidden.id: others, one.id: 450, later.id: others}, one)
    alone = Windows(-(-begin // MILLISECOND) * MILLISECOND, {one.id: number_of(one)})
    assert stamps_of(one) == alone.stamps(one.id, range(450))


def number_of(feed: Feed) -> int:
    return int(feed.store._base.heads.find_one({"_id": feed.id})["number"])  # type: ignore[index]


def test_the_last_entry_of_a_group_stands_on_a_whole_millisecond_the_others_before_it(
    new: Callable[[], Feed], standing: ManualClock
) -> None:
    feed = new()
    publish_together({feed.id: 450}, feed)
    stamps = stamps_of(feed)
    for group in (stamps[:GROUP], stamps[GROUP : 2 * GROUP], stamps[2 * GROUP :]):
        assert group[-1] % MILLISECOND == 0
        assert all(later - earlier == 1 for earlier, later in pairwise(group))
        assert group[0] // MILLISECOND * MILLISECOND > group[-1] - 2 * MILLISECOND


def test_a_cursor_cut_to_milliseconds_loses_nothing_and_does_not_go_in_circles(
    new: Callable[[], Feed], standing: ManualClock
) -> None:
    feed = new()
    for most in (1, 3, 450, 200, 2):
        publish_together({feed.id: most}, feed)
    cursor, seen, pages = 0, [], 0
    while True:
        page = feed.store.feeds.page(feed.id, Query(GROUP + 1, added_after=cursor))
        if not page.entries:
            break
        pages += 1
        seen += [entry.id for entry in page.entries if entry.id not in seen]
        cursor = page.entries[-1].stamp // MILLISECOND * MILLISECOND
    assert len(seen) == 656 and pages < 12


@pytest.mark.slow
def test_a_cursor_from_modified_never_skips_and_is_never_stuck(
    hub: HubInProcess, clock: ManualClock
) -> None:
    hub.push(*(indicator(f"host{n}.evil.top") for n in range(450)))
    cursor, seen = "1970-01-01T00:00:00Z", set[str]()
    for _ in range(9):
        page = hub.ask(f"collections/green/objects/?limit={GROUP + 1}&added_after={cursor}").json
        sent = page.get("objects", [])
        seen |= {each["id"] for each in sent if each["type"] == "indicator"}
        newest = max(each.get("modified", "") for each in sent)
        if newest == cursor:
            break
        cursor = newest
    assert len(seen) == 450


@pytest.mark.slow
def test_modified_lies_before_all_stamps_of_its_group(hub: HubInProcess) -> None:
    hub.push(*(indicator(f"host{n}.evil.top") for n in range(250)))
    records = hub.ask("collections/green/manifest/?limit=1000&match[type]=indicator").json[
        "objects"
    ]
    groups: dict[str, list[int]] = {}
    for each in records:
        groups.setdefault(each["version"], []).append(micros(each["date_added"]))
    assert sorted(map(len, groups.values())) == [250 - GROUP, GROUP]
    last = 0
    for version in sorted(groups):
        assert last <= micros(version) < min(groups[version])
        last = max(groups[version])


@pytest.mark.parametrize("feeds", [3, 100])
def test_a_hub_that_admits_at_full_rate_does_not_run_ahead_of_the_world(feeds: int) -> None:
    names = [str(n) for n in range(feeds)]
    windows = Windows(0, {name: n for n, name in enumerate(names)})
    taken = max(windows.stamps(name, range(500))[-1] for name in names)
    assert 500 / (taken / 1_000_000) > 1_366  # objects a second: twice OpenTAXII (bench)


def test_feeds_get_numbers_that_are_never_used_twice(new: Callable[[], Feed]) -> None:
    feeds = [new() for _ in range(4)]
    assert len({number_of(feed) for feed in feeds}) == 4
    feeds[0].store.prepare()
    assert len({number_of(feed) for feed in feeds}) == 4
