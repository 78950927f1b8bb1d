"""In what the hub differs from medallion 3.0.0, and why it is meant.

`docs/medallion.md` tells the same to people; a test compares the two.
"""

from __future__ import annotations

from collections.abc import Callable

from differential import CLOSED, OLD, Allowed, Difference

HTML = "text/html; charset=utf-8"
_PAGES = frozenset({"objects", "order of objects", "next", "more"})
_DATES = frozenset({"X-TAXII-Date-Added-First", "X-TAXII-Date-Added-Last"})
_STATUS = frozenset({"status"})


def _status(*pairs: tuple[int, int]) -> Callable[[Difference], bool]:
    return lambda difference: difference.status in pairs


def _values(difference: Difference, name: str) -> list[str]:
    given = difference.question.given(name)
    return given.split(",") if given else []


def _is_repeated(difference: Difference) -> bool:
    names = [name for name, _ in difference.question.query]
    return len(set(names)) < len(names)


def _misses_a_version(difference: Difference) -> bool:
    exact = [v for v in _values(difference, "match[version]") if v[:1].isdigit()]
    return difference.status == (200, 404) and bool(exact)


def _is_junk(difference: Difference) -> bool:
    dates = [difference.question.given("added_after"), *_values(difference, "match[version]")]
    return difference.status == (500, 400) and any(
        date == "junk" or (date or "").endswith("T10:00:00") for date in dates
    )


def _has_offset(difference: Difference) -> bool:
    return difference.status == (500, 200) and "+00:00" in (
        difference.question.given("added_after") or ""
    )


def _is_versions(difference: Difference) -> bool:
    return difference.question.path.endswith("/versions/")


def _is_chosen_late(difference: Difference) -> bool:
    """Only an `added_after` between two versions of one object shows it."""
    return difference.question.given("added_after") is not None and not _is_versions(difference)


def _is_empty(difference: Difference) -> bool:
    return not isinstance(difference.answer.json, dict) or not difference.answer.json.keys() - {
        "more"
    }


ALLOWED = (
    Allowed(
        "accept",
        "any `Accept` that TAXII 2.1 satisfies is answered: without version, with wildcards, "
        "q-values or several types, or none at all; medallion answers 406",
        _STATUS,
        lambda d: d.status == (406, 200) and any(n == "Accept" for n, _ in d.question.headers),
    ),
    Allowed(
        "junk",
        "a date that is none is 400 with its parameter's name; medallion breaks with 500",
        _STATUS,
        _is_junk,
    ),
    Allowed(
        "offset",
        "a date with an offset from UTC is understood; medallion breaks with 500",
        _STATUS,
        _has_offset,
    ),
    Allowed(
        "all-and-more",
        "`match[version]=all` beside other versions is 400, as the standard forbids it",
        _STATUS,
        lambda d: d.status == (200, 400) and {"all"} < set(_values(d, "match[version]")),
    ),
    Allowed(
        "repeated",
        "a parameter given twice is 400; medallion takes the first",
        _STATUS,
        lambda d: d.status is not None and d.status[1] == 400 and _is_repeated(d),
    ),
    Allowed(
        "closed",
        "a collection that the account may neither read nor write does not exist for it",
        _STATUS,
        lambda d: d.ours == 404 and CLOSED in d.question.path,
    ),
    Allowed(
        "no-such-version",
        "an object asked for in a version that it has not is 404; medallion answers 200, empty",
        _STATUS,
        _misses_a_version,
    ),
    Allowed(
        "html",
        "every error is a TAXII error; medallion's 401, 404 by path and 405 are HTML",
        frozenset({"type", "error"}),
        lambda d: d.answer.aspects["type"] == HTML,
    ),
    Allowed(
        "collections",
        "collections are listed by id, and only those that the account may know of",
        frozenset({"collections", "order of collections"}),
        lambda d: True,
    ),
    Allowed(
        "media-types",
        "`media_types` says what a collection can hold, not what it happens to hold",
        frozenset({"media_types"}),
        lambda d: "application/stix+json;version=2.1" in d.ours,
    ),
    Allowed(
        "root",
        "the API root says that dates are unique",
        frozenset({"x_tocsin_date_added"}),
        lambda d: d.ours == "unique",
    ),
    Allowed(
        "versions-order",
        "versions come in the order in which they were added, as everything; medallion turns "
        "each page round",
        frozenset({"order of versions"}),
        _is_versions,
    ),
    Allowed(
        "version-first",
        "which version is the last is decided before `added_after` acts, so that an old version "
        "that arrives late is never taken for the last one",
        _PAGES | _DATES,
        _is_chosen_late,
    ),
    Allowed(
        "last-of-each-spec",
        "where several STIX versions are asked for, the last version in each is given",
        _PAGES | _DATES,
        lambda d: len(_values(d, "match[spec_version]")) > 1 and OLD is not None,
    ),
    Allowed(
        "empty",
        "an empty envelope says `more: false`; medallion's says nothing",
        frozenset({"more"}),
        lambda d: d.theirs is None and d.ours is False,
    ),
    Allowed(
        "empty-dates",
        "an empty page repeats `added_after` as both dates, so that a poller stays where it was",
        _DATES,
        lambda d: d.theirs is None and _is_empty(d),
    ),
)
