"""A download of a whole feed meets every object in it, though all of them change meanwhile."""

from collections.abc import Callable
from typing import Any

import pytest
from support.feed_postings import ALL, Feed, object_id, posting, version
from support.view_feeds import add_view, walk

from tocsin.server.model import Query, TermFilter
from tocsin.server.store import Store

SIX = range(1, 7)
LABELLED = (TermFilter("labels", ("labels=a",)),)


@pytest.fixture
def meddle(common_store: Store, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Does something once, after a reader has seen how far the feed is and before it reads on."""

    def later(what: Any, after: Any = 0) -> None:
        look, left = common_store.feeds._reader.read, [after]

        def read(feed: Any, find: Any) -> Any:
            left[0] -= 1
            if left[0] == -1:
                what()
            return look(feed, find)

        monkeypatch.setattr(common_store.feeds._reader, "read", read)

    return later


def renewed(feed: Feed, numbers: Any = SIX) -> Any:
    return lambda: feed.publish(*(posting(number, at=2) for number in numbers))


def names(entries: Any) -> list[str]:
    return sorted(entry.id for entry in entries)


QUERIES = [
    Query(limit=9),
    Query(limit=6),
    Query(limit=9, types=frozenset({"indicator"})),
    Query(limit=9, filters=LABELLED),
    Query(limit=9, specs=frozenset({"2.1"})),
    Query(limit=9, added_after=0),
]


class TestAFeed:
    @pytest.fixture
    def six(self, feed: Feed) -> Any:
        feed.publish(*(posting(number) for number in SIX))
        return feed

    @pytest.mark.parametrize("query", QUERIES)
    @pytest.mark.parametrize("bodies", [True, False])
    def test_shows_each_once_and_as_it_is_now(
        self, six: Any, meddle: Any, query: Any, bodies: bool
    ) -> None:
        meddle(renewed(six))
        page = six.store.feeds.page(six.id, query, bodies=bodies)
        assert names(page.entries) == [object_id(number) for number in SIX]
        assert {entry.version for entry in page.entries} == {version(2)} and not page.more

    @pytest.mark.parametrize("limit", [1, 2, 4, 5])
    def test_shows_each_page_by_page(self, six: Any, meddle: Any, limit: int) -> None:
        meddle(renewed(six))
        assert names(walk(six, Query(limit=limit))) == [object_id(number) for number in SIX]

    def test_shows_the_others_as_they_are(self, six: Any, meddle: Any) -> None:
        meddle(renewed(six, numbers=(2, 5)))
        found = {entry.id: entry.version for entry in six.page(Query(limit=9))}
        assert found == {object_id(n): version(2 if n in (2, 5) else 1) for n in SIX}

    @pytest.mark.parametrize("wanted", [(), LABELLED])
    def test_shows_an_object_that_is_asked_for(self, six: Any, meddle: Any, wanted: Any) -> None:
        meddle(renewed(six))
        (entry,) = six.page(Query(ids=frozenset({object_id(3)}), filters=wanted))
        assert entry.id == object_id(3) and version(1) in entry.body.decode()

    def test_shows_all_versions_on_request(self, six: Any, meddle: Any) -> None:
        meddle(renewed(six))
        found = six.page(Query(limit=99, keywords=ALL))
        assert [entry.position for entry in found] == list(range(1, 13))

    def test_shows_no_object_twice_that_had_been_read_already(
        self, feed: Feed, meddle: Any
    ) -> None:
        every = range(1, 1_004)
        feed.publish(*(posting(number) for number in every))
        meddle(renewed(feed, numbers=(1, 500, 1_002)), after=1)  # the second block comes next
        found = feed.page(Query(limit=5_000))
        assert names(found) == [object_id(number) for number in every]
        assert [e.version for e in found[-3:]] == [version(2)] * 3


class TestAView:
    @pytest.fixture
    def sources(self, new: Callable[[], Feed]) -> Any:
        one, other = new(), new()
        one.publish(*(posting(number) for number in (1, 2, 3)))
        other.publish(*(posting(number) for number in (4, 5, 6)))
        return one, other

    @pytest.mark.parametrize(
        "definition", [{}, {"types": frozenset({"indicator"})}, {"active": True}]
    )
    def test_shows_each_once(self, sources: Any, meddle: Any, definition: Any) -> None:
        both = add_view(*sources, **definition)
        meddle(renewed(sources[1], numbers=(4, 6)))
        assert names(both.page(Query(limit=9))) == [object_id(number) for number in SIX]

    def test_shows_each_page_by_page(self, sources: Any, meddle: Any) -> None:
        both = add_view(*sources)
        meddle(renewed(sources[0], numbers=(1, 2, 3)))
        assert names(walk(both, Query(limit=2))) == [object_id(number) for number in SIX]
