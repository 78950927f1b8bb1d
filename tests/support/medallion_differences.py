"""The intended differences between the hub and medallion 3.0.0.

`docs/medallion.md` documents the same list; a test compares the two.  Each
rule covers as little as possible: a difference that no rule covers is a fault.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable

from support.differential import Allowed, Difference
from support.differential_questions import CLOSED, EMPTY, OLD, SURE, TWIN, UNKNOWN
from support.medallion_files import threat

HTML = "text/html; charset=utf-8"
_DATES = ("X-TAXII-Date-Added-First", "X-TAXII-Date-Added-Last")
_TALLIES = ("success_count", "failure_count", "successes", "failures")
_VERSIONED = {threat(3)["id"], threat(4)["id"], OLD["id"]}
"""The objects of the data that have several versions."""

When = Callable[[Difference], bool]


def _status(*pairs: tuple[int, int]) -> When:
    return lambda d: d.status in pairs


def _values(d: Difference, name: str) -> list[str]:
    given = d.question.parameter(name)
    return given.split(",") if given else []


def _breaks_on(*junk: str) -> When:
    """medallion's 500 for dates with these endings, in either parameter."""

    def breaks(d: Difference) -> bool:
        dates = [*_values(d, "added_after"), *_values(d, "match[version]")]
        return d.status is not None and d.status[0] == 500 and any(x.endswith(junk) for x in dates)

    return breaks


def _is_repeated(d: Difference) -> bool:
    names = [name for name, _ in d.question.query]
    return d.status is not None and d.status[1] == 400 and len(set(names)) < len(names)


def _misses_a_version(d: Difference) -> bool:
    exact = [value for value in _values(d, "match[version]") if value[:1].isdigit()]
    return d.status == (200, 404) and d.question.method == "GET" and bool(exact)


def _is_closed(d: Difference) -> bool:
    return d.status is not None and d.status[1] == 404 and CLOSED in d.question.path


def _lists_collections(d: Difference) -> bool:
    """The hub lists medallion's collections, unchanged, without the closed one."""
    theirs, ours = ({(c := json.loads(item))["id"]: c for item in x} for x in (d.theirs, d.ours))
    for each in (*theirs.values(), *ours.values()):
        each.pop("media_types")
    theirs.pop(CLOSED)
    return ours == theirs


def _is_reversed(d: Difference) -> bool:
    return d.question.path.endswith("/versions/") and Counter(d.theirs) == Counter(d.ours)


def _is_tie(d: Difference) -> bool:
    """A manifest whose dates are in the same order."""
    theirs, ours = (
        [json.loads(x).get("date_added") for x in items] for items in (d.theirs, d.ours)
    )
    return theirs == ours and None not in theirs


def _is_selected_late(d: Difference) -> bool:
    return d.question.parameter("added_after") is not None and d.apart <= _VERSIONED


def _loses_ties(d: Difference) -> bool:
    """medallion's extra objects are old versions, see `_is_selected_late`."""
    extra = {json.loads(item)["id"] for item in Counter(d.theirs) - Counter(d.ours)}
    return d.question.walk == "added_after" and extra <= _VERSIONED


def _is_filtered_by_confidence(d: Difference) -> bool:
    """The hub returns only those of medallion's objects that have the requested confidence."""
    rated = [item for item in d.theirs or [] if json.loads(item)["id"] == SURE["id"]]
    return d.question.parameter("match[confidence]") == "80" and rated == (d.ours or [])


def _is_empty(d: Difference) -> bool:
    whole = d.answer.json
    return isinstance(whole, dict) and not whole.keys() - {"more"}


def _concerns(*ids: str) -> When:
    """A request that names one of these objects in its path or body."""
    return lambda d: any(
        id in d.question.path or id.encode() in (d.question.body or b"") for id in ids
    )


def _all_of(*conditions: When) -> When:
    return lambda d: all(condition(d) for condition in conditions)


def _header(name: str) -> When:
    return lambda d: any(given == name for given, _ in d.question.headers)


def _rule(name: str, reason: str, aspects: tuple[str, ...], when: When) -> Allowed:
    return Allowed(name, reason, frozenset(aspects), when)


_IS_INVALID = _concerns(UNKNOWN, threat(400)["id"], '"malware"}]')
_ANSWER = ("status",)

ALLOWED = (
    _rule(
        "accept",
        "Any `Accept` that TAXII 2.1 satisfies is answered: without version, with wildcards, "
        "q-values or several types, or none at all. medallion answers 406.",
        _ANSWER,
        _all_of(_status((406, 200), (406, 422)), _header("Accept")),
    ),
    _rule(
        "content-type",
        "`application/taxii+json` without version is accepted in POST. medallion answers 415.",
        _ANSWER,
        _all_of(_status((415, 422)), _header("Content-Type")),
    ),
    _rule(
        "invalid-timestamp",
        "An invalid timestamp is 400, and the description names the parameter. medallion fails "
        "with 500.",
        _ANSWER,
        _all_of(_breaks_on("junk", "T10:00:00"), lambda d: d.ours[-1] == 400),
    ),
    _rule(
        "offset",
        "A timestamp with a UTC offset is understood. medallion fails with 500.",
        _ANSWER,
        _breaks_on("+00:00"),
    ),
    _rule(
        "all-and-more",
        "`match[version]=all` combined with other versions is 400, because the standard forbids "
        "it.",
        _ANSWER,
        lambda d: d.status == (200, 400) and {"all"} < set(_values(d, "match[version]")),
    ),
    _rule(
        "repeated",
        "A repeated parameter is 400, because the standard forbids it. medallion uses the first.",
        _ANSWER,
        _is_repeated,
    ),
    _rule(
        "closed",
        "A collection that the account may neither read nor write does not exist for it: 404.",
        _ANSWER,
        _is_closed,
    ),
    _rule(
        "no-such-version",
        "An object requested only in versions that do not exist is 404. medallion answers 200 "
        "with nothing.",
        _ANSWER,
        _misses_a_version,
    ),
    _rule(
        "head",
        "HEAD is answered like GET without the body. medallion fails with 500.",
        _ANSWER,
        lambda d: d.question.method == "HEAD" and d.status == (500, 200),
    ),
    _rule(
        "html",
        "Every error is a TAXII error. medallion's 401, 405, unknown paths and broken JSON are "
        "HTML.",
        ("type", "error"),
        lambda d: d.answer.aspects["type"] == HTML,
    ),
    _rule(
        "collections",
        "Only collections that the account may see are listed. medallion lists all.",
        ("collections",),
        _lists_collections,
    ),
    _rule(
        "media-types",
        "`media_types` says what a collection can hold. medallion says what it currently holds.",
        ("media_types",),
        lambda d: set(d.theirs) < set(d.ours),
    ),
    _rule(
        "root",
        "The API root says that dates are unique (`x_tocsin_date_added`).",
        ("x_tocsin_date_added",),
        lambda d: (d.theirs, d.ours) == (None, "unique"),
    ),
    _rule(
        "versions-order",
        "Versions of an object are listed in the order in which they were added. medallion "
        "reverses each page.",
        ("order of versions",),
        _is_reversed,
    ),
    _rule(
        "manifest-ties",
        "Entries added at the same moment keep their order in every endpoint. medallion's "
        "manifests order them by id when versions are selected.",
        ("order of objects",),
        _is_tie,
    ),
    _rule(
        "interop-filters",
        "The match filters of the interoperability document, such as `match[confidence]`, are "
        "supported. medallion ignores them.",
        ("objects",),
        _is_filtered_by_confidence,
    ),
    _rule(
        "version-first",
        "The first and last version are determined before `added_after` applies, so that an old "
        "version that arrives late is never taken for the last one.",
        ("objects",),
        _is_selected_late,
    ),
    _rule(
        "last-of-each-spec",
        "If several STIX versions are requested, the last version in each of them is returned.",
        ("objects",),
        lambda d: len(_values(d, "match[spec_version]")) > 1 and d.apart <= {OLD["id"]},
    ),
    _rule(
        "empty",
        "An empty envelope says `more: false`. medallion's is empty.",
        ("more",),
        lambda d: _is_empty(d) and (d.theirs, d.ours) == (None, False),
    ),
    _rule(
        "empty-dates",
        "An empty page repeats `added_after` in both date headers, so that a poller stays where "
        "it was.",
        _DATES,
        lambda d: (
            _is_empty(d) and d.theirs is None and d.question.parameter("added_after") is not None
        ),
    ),
    _rule(
        "ties",
        "Paging by `added_after` = the last `X-TAXII-Date-Added-Last` loses nothing. medallion "
        "loses objects that share a date with the end of a page.",
        ("objects",),
        _loses_ties,
    ),
    _rule(
        "next-twice",
        "The same `next` returns the same page each time. medallion returns the page after it, "
        "or 400.",
        ("objects", "status"),
        lambda d: d.question.walk == "twice",
    ),
    _rule(
        "next-without-limit",
        "`next` works without `limit`. medallion fails with 500.",
        _ANSWER,
        lambda d: (
            d.status == (500, 200) and bool(d.question.walk) and not d.question.parameter("limit")
        ),
    ),
    _rule(
        "no-objects",
        "An envelope without objects is 422. medallion accepts it.",
        _ANSWER,
        lambda d: d.status == (202, 422) and d.question.body == b'{"objects": []}',
    ),
    _rule(
        "one-invalid",
        "An invalid object in an envelope is a failure of its own. medallion answers 422 for "
        "the whole envelope and keeps the objects before it.",
        _ANSWER,
        _all_of(_status((422, 202)), _IS_INVALID),
    ),
    _rule(
        "invalid",
        "An object whose id is not of its type, or whose timestamps are invalid, is a failure. "
        "medallion accepts it",
        ("status", *_TALLIES),
        _all_of(_IS_INVALID, lambda d: d.status in (None, (200, 404))),
    ),
    _rule(
        "spoilt-collection",
        "a `modified` that is not a timestamp then breaks every read with 500.",
        _ANSWER,
        _all_of(_status((500, 200)), _concerns(EMPTY)),
    ),
    _rule(
        "sent-again",
        "The same object sent again is a success and changes nothing. medallion reports a failure.",
        _TALLIES,
        _concerns(threat(210)["id"]),
    ),
    _rule(
        "status-extensions",
        "A status says what became of each object (`x_tocsin_…`).",
        ("x_tocsin_counts", "x_tocsin_findings", "x_tocsin_settled"),
        lambda d: d.theirs is None,
    ),
    _rule(
        "delete-all",
        "DELETE without `match[version]` deletes all versions. medallion deletes the last.",
        _ANSWER,
        _all_of(_status((200, 404)), _concerns(TWIN[0]["id"])),
    ),
)
