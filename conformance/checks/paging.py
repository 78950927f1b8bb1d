"""Section 17: pages and their order."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor

from tocsin.conformance import samples
from tocsin.conformance.checks.reading import LAST
from tocsin.conformance.client import SkipCheck, Unexpected
from tocsin.conformance.http import Response
from tocsin.conformance.model import Level, Looked, check, expect
from tocsin.conformance.server import Feed, Server

_MOST = 30
"""Pages that a walk has at most."""
_WRITERS, _POSTS, _EACH = 4, 6, 3
_READING = 20.0
"""Seconds in which a reader must have seen what several wrote at once."""


def _next(answer: Response) -> str:
    found = answer.resource.get("next")
    if answer.resource.get("more") is not True:
        raise Unexpected("more: true", answer)
    if not isinstance(found, str):
        raise SkipCheck("the server gives no next, which it may")
    return found


def _walk(
    on: Server,
    feed: Feed,
    limits: tuple[int, ...] = (3,),
    by: str = "next",
    at: str = "objects/",
) -> list[Response]:
    """The pages of a feed, followed by `next`, by `date` or by both in turn."""
    pages: list[Response] = []
    moved: dict[str, str] = {}
    while len(pages) < _MOST:
        limit = str(limits[len(pages) % len(limits)])
        page = on.read(feed.at(at), {**feed.query, "limit": limit, **moved})
        pages.append(page)
        if page.resource.get("more") is not True:
            break
        next, last = page.resource.get("next"), page.header(LAST)
        follow_date = by == "date" or (by == "mixed" and len(pages) % 2 == 0)
        if isinstance(next, str) and not follow_date:
            moved = {**moved, "next": next} if by == "mixed" else {"next": next}
        elif last is not None:
            moved = {"added_after": last}
        else:
            raise Unexpected(f"next or {LAST} beside more: true", page)
    return pages


def _ours(on: Server) -> Feed:
    """A feed of which every object is known."""
    if not on.feed.ids:
        raise SkipCheck("needs a collection to write: --collection")
    return on.feed


def _whole(feed: Feed, pages: list[Response]) -> bool:
    found = [id for page in pages for id in page.ids]
    return sorted(found) == sorted(feed.ids) and pages[-1].resource.get("more") is not True


@check("17.1", "3.3", Level.MUST)
def ascending(on: Server) -> Looked:
    """Objects and records are ordered by the date at which they were added."""
    records = _walk(on, on.feed, at="manifest/")[:5]
    dates = [str(each.get("date_added")) for page in records for each in page.objects]
    yield expect(dates == sorted(dates), "dates that never decrease", records[-1])
    known = dict(zip((id for page in records for id in page.ids), dates, strict=True))
    objects = _walk(on, on.feed)[:5]
    reported = [known[id] for page in objects for id in page.ids if id in known]
    yield expect(
        reported == sorted(reported), f"dates that never decrease, not {reported}", objects[-1]
    )


@check("17.2", "3.4", Level.MUST)
def no_more(on: Server) -> Looked:
    """A page has at most limit entries."""
    for endpoint in ("objects/", "manifest/"):
        for limit in (1, 2, 5):
            answer = on.read(on.feed.at(endpoint), {**on.feed.query, "limit": str(limit)})
            yield expect(len(answer.ids) <= limit, f"{limit} at most", answer)


@check("17.3", "3.4", Level.MUST)
def all_that_fits(on: Server) -> Looked:
    """Everything that fits the limit is in one page."""
    feed = _ours(on)
    for limit in (7, 8, 100):
        answer = on.read(feed.at("objects/"), {**feed.query, "limit": str(limit)})
        good = len(answer.ids) == 7 and answer.resource.get("more", False) is False
        yield expect(good, f"seven objects and no more, with limit={limit}", answer)


@check("17.4", "3.4", Level.DECISION)
def high_limit(on: Server) -> Looked:
    """A limit above the server's own is accepted."""
    answer = on.get(on.feed.at("objects/"), {**on.feed.query, "limit": "1000000"})
    yield expect(answer.status == 200, "200", answer)


@check("17.5", "3.4, 3.5", Level.MUST)
def more(on: Server) -> Looked:
    """more is true when there are more entries."""
    for endpoint in ("objects/", "manifest/"):
        answer = on.read(on.feed.at(endpoint), {**on.feed.query, "limit": "1"})
        yield expect(answer.resource.get("more") is True, "more: true", answer)


@check("17.5", "3.5", Level.MUST)
def walk(on: Server) -> Looked:
    """Following the server's pages returns each object once."""
    feed = _ours(on)
    for endpoint in ("objects/", "manifest/"):
        pages = _walk(on, feed, at=endpoint)
        yield expect(_whole(feed, pages), "seven ids, each once, and an end", pages[-1])


@check("17.6", "3.5", Level.DECISION)
def other_limit(on: Server) -> Looked:
    """limit may change between pages."""
    feed = _ours(on)
    pages = _walk(on, feed, (1, 3, 2))
    _next(pages[0])
    yield expect(_whole(feed, pages), "seven ids, each once, and an end", pages[-1])


@check("17.7", "3.4", Level.MUST, "16.1")
def garbage(on: Server) -> Looked:
    """An invalid next is refused."""
    for endpoint in ("objects/", "manifest/"):
        answer = on.get(on.feed.at(endpoint), {**on.feed.query, "next": "no such next!"})
        yield expect(answer.status == 400, "400 for next=no such next!", answer)


@check("17.7", "3.5", Level.DECISION)
def forged(on: Server) -> Looked:
    """A next that was tampered with is refused."""
    query = {**on.feed.query, "limit": "1"}
    given = _next(on.read(on.feed.at("objects/"), query))
    middle = len(given) // 2
    changed = given[:middle] + ("A" if given[middle] != "A" else "B") + given[middle + 1 :]
    for forged in (given[:middle], given + "x", changed):
        answer = on.get(on.feed.at("objects/"), {**query, "next": forged})
        yield expect(answer.status == 400, f"400 for next={forged}", answer)


@check("17.7", "3.5", Level.DECISION)
def foreign(on: Server) -> Looked:
    """A next of another endpoint or query is refused."""
    query = {**on.feed.query, "limit": "1"}
    given = _next(on.read(on.feed.at("objects/"), query))
    for endpoint, changed in (
        ("manifest/", query),
        ("objects/", {**query, "match[type]": "x-no-such-type"}),
    ):
        answer = on.get(on.feed.at(endpoint), {**changed, "next": given})
        yield expect(answer.status == 400, "400", answer)


@check("17.7", "3.5", Level.DECISION)
def shared(on: Server) -> Looked:
    """Another account does not move a client's next."""
    if not on.options.other:
        raise SkipCheck("needs a second account: --other-key")
    query = {**on.feed.query, "limit": "1"}
    first = on.read(on.feed.at("objects/"), query)
    moved = {**query, "next": _next(first)}
    on.get(on.feed.at("objects/"), moved, Authorization=on.options.other)
    answer = on.get(on.feed.at("objects/"), moved)
    wanted = on.read(on.feed.at("objects/"), {**query, "limit": "2"}).ids[1:]
    yield expect(
        answer.ids == wanted, f"{wanted}, regardless of the other account's requests", answer
    )


@check("17.8", "3.5", Level.DECISION)
def by_date(on: Server) -> Looked:
    """Paging with added_after alone loses nothing."""
    feed = _ours(on)
    for endpoint in ("objects/", "manifest/"):
        pages = _walk(on, feed, by="date", at=endpoint)
        count = len({id for page in pages for id in page.ids})
        expected = f"seven objects of one POST, three a page; {count} came"
        yield expect(_whole(feed, pages), expected, pages[-1])


@check("17.8", "3.5", Level.DECISION)
def mixed(on: Server) -> Looked:
    """Paging with next and added_after in turn loses nothing."""
    feed = _ours(on)
    pages = _walk(on, feed, (2,), by="mixed")
    yield expect(_whole(feed, pages), "seven ids, each once, and an end", pages[-1])


@check("17.9", "3.5", Level.DECISION)
def vanished(on: Server) -> Looked:
    """Entries that vanish between pages leave an empty last page."""
    objects = on.add(*(samples.indicator() for _ in range(2)))
    query = {"match[id]": ",".join(each["id"] for each in objects), "limit": "1"}
    first = on.read(f"{on.writable_path}objects/", query)
    next = _next(first)
    for each in objects:
        if each["id"] not in first.ids:
            path = f"{on.writable_path}objects/{each['id']}/"
            gone = on.ask("DELETE", path, {"match[version]": "all"})
            if gone.status != 200:
                raise SkipCheck(f"DELETE answered {gone.status}")
    answer = on.get(f"{on.writable_path}objects/", {**query, "next": next})
    good = answer.status == 200 and not answer.ids and not answer.resource.get("more")
    yield expect(good, "200, no objects, no more", answer)


@check("17.10", "3.5", Level.DECISION)
def idempotent(on: Server) -> Looked:
    """The same next returns the same page again."""
    for endpoint in ("objects/", "manifest/"):
        query = {**on.feed.query, "limit": "1"}
        moved = {**query, "next": _next(on.read(on.feed.at(endpoint), query))}
        first = on.get(on.feed.at(endpoint), moved)
        again = on.get(on.feed.at(endpoint), moved)
        good = first.status == 200 and bool(first.ids) and first.ids == again.ids
        yield expect(good, f"{first.ids} once more", again)


def _write(on: Server) -> list[str]:
    """Several small submissions; the ids that were taken."""
    taken = []
    for _ in range(_POSTS):
        objects = [samples.indicator() for _ in range(_EACH)]
        answer = on.wait_until_complete(on.send(*objects))
        if answer.resource.get("failure_count") == 0:
            taken += [each["id"] for each in objects]
    return taken


def _follow(on: Server, since: str, done: threading.Event) -> set[str]:
    """The objects that a reader by date receives, until a while after the writers."""
    seen: set[str] = set()
    deadline, quiet = time.monotonic() + _READING, 0
    while time.monotonic() < deadline and quiet < 3:
        writing = not done.is_set()
        query = {"limit": "100"} | ({"added_after": since} if since else {})
        page = on.read(f"{on.writable_path}objects/", query)
        seen |= set(page.ids)
        since = page.header(LAST) or since
        quiet = 0 if page.ids or writing else quiet + 1
    return seen


@check("17.12", "3.5", Level.DECISION)
def concurrent(on: Server) -> Looked:
    """A poller with added_after misses nothing of several writers."""
    (mark,) = on.add(samples.indicator())
    page = on.read(f"{on.writable_path}manifest/", {"match[id]": mark["id"]})
    since = page.header(LAST) or str((page.objects or [{}])[0].get("date_added", ""))
    done = threading.Event()
    with ThreadPoolExecutor(_WRITERS + 1) as pool:
        reader = pool.submit(_follow, on, since, done)
        writers = [pool.submit(_write, on) for _ in range(_WRITERS)]
        try:
            written = {id for each in writers for id in each.result()}
        finally:
            done.set()
        missed = written - reader.result()
    if not written:
        raise SkipCheck("no object could be added")
    expected = f"all {len(written)} objects of {_WRITERS} writers; {len(missed)} were missed"
    yield expect(not missed, expected, None)


@check("17.15", "3.5", Level.DECISION)
def empty_next(on: Server) -> Looked:
    """An empty next is refused, or treated as absent."""
    answer = on.get(on.feed.at("objects/"), {**on.feed.query, "limit": "1", "next": ""})
    yield expect(answer.status in (200, 400), "400 or 200", answer)


@check("17.16", "3.5", Level.DECISION)
def together(on: Server) -> Looked:
    """next and added_after may be combined."""
    query = {**on.feed.query, "limit": "1", "added_after": "2000-01-01T00:00:00.000000Z"}
    first = on.read(on.feed.at("objects/"), query)
    answer = on.get(on.feed.at("objects/"), {**query, "next": _next(first)})
    good = answer.status == 200 and len(answer.ids) == 1 and answer.ids != first.ids
    yield expect(good, "the second object", answer)
