"""Search: from a text in any spelling to the published objects that the person may read."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import quote

from flask import request
from flask.typing import ResponseReturnValue
from werkzeug.wrappers import Response

from tocsin.admission.errors import NotAllowed, ShareError
from tocsin.admission.timestamps import DAY, micros
from tocsin.server.console.forms import go, show_again
from tocsin.server.console.registry import EVERYBODY, Pages
from tocsin.server.console.request_context import context
from tocsin.server.console.services import ROOT, ConsoleServices
from tocsin.server.reports.search import LONGEST_TEXT, SearchFilters, SearchKind, SearchResult

_FIELDS = ("type", "feed", "from", "to", "partner")
_LONGEST_FIELD = 100
_MOST_DIGITS = 17
_DAY = re.compile(r"\d{4}-\d\d-\d\d")
_MINUTE = re.compile(r"(\d{4}-\d\d-\d\d)[ T](\d\d:\d\d)(:\d\d)?( ?(?:Z|UTC))?", re.IGNORECASE)
_SECOND = 1_000_000
_KINDS = {
    SearchKind.ID: "an id",
    SearchKind.DOMAIN: "a domain",
    SearchKind.URL: "a URL",
    SearchKind.ADDRESS: "an address",
    SearchKind.NETWORK: "a network",
    SearchKind.EMAIL: "a mailbox",
    SearchKind.HASH: "a hash",
    SearchKind.CVE: "a vulnerability",
    SearchKind.ATTACK: "an id of ATT&CK",
    SearchKind.FILE: "a file name",
    SearchKind.WORDS: "words of a name or label",
}
TYPES = (
    "indicator", "malware", "attack-pattern", "campaign", "course-of-action", "grouping",
    "identity", "incident", "infrastructure", "intrusion-set", "location", "malware-analysis",
    "note", "observed-data", "opinion", "report", "threat-actor", "tool", "vulnerability",
    "relationship", "sighting", "artifact", "autonomous-system", "directory", "domain-name",
    "email-addr", "email-message", "file", "ipv4-addr", "ipv6-addr", "mac-addr", "mutex",
    "network-traffic", "process", "software", "url", "user-account", "windows-registry-key",
    "x509-certificate", "marking-definition", "language-content", "extension-definition",
)  # fmt: skip
"""The types of STIX, the commonest first."""


def register(pages: Pages, services: ConsoleServices) -> None:
    """Register the page."""
    pages.link("Search", "/search", "f", EVERYBODY)
    pages.add("/search", SearchPage(services).search, EVERYBODY)


@dataclass(frozen=True, slots=True)
class SearchPage:
    """The page of the search."""

    services: ConsoleServices

    def search(self) -> ResponseReturnValue:
        """Show the hits; a single hit opens its object at once."""
        text = request.args.get("q", "")[:LONGEST_TEXT].strip()
        given = {name: request.args.get(name, "")[:_LONGEST_FIELD].strip() for name in _FIELDS}
        before = request.args.get("before", "")
        before = before if before.isdecimal() and len(before) <= _MOST_DIGITS else ""
        errors, since, until = _parse_times(given)
        if errors or not (text or any(given.values())):
            return self._show(text, given, errors)
        if given["partner"] and not context().who.is_of_hub:
            raise NotAllowed("Only the hub's own people may search by partner.")
        filters = SearchFilters(
            types=frozenset(filter(None, [given["type"]])),
            collections=frozenset(filter(None, [given["feed"]])),
            since=since,
            until=min(filter(None, (until, int(before or 0))), default=None),
            partner=given["partner"],
        )
        found = self.services.search.search(context().rights, text, filters)
        if text and len(found.hits) == 1 and not found.more and not before:
            return go(f"/objects/{quote(found.hits[0].id, safe='')}")
        return self._show(text, given, {}, found, times=(since, until), before=before)

    def _show(
        self,
        text: str,
        given: Mapping[str, str],
        errors: Mapping[str, str],
        found: SearchResult | None = None,
        **values: object,
    ) -> Response:
        return show_again(
            "search.html",
            errors,
            200,
            section=f"{ROOT}/search",
            searched=text,
            given=given,
            found=found,
            kind=_KINDS.get(found.understood.kind, "") if found else "",
            older=found.older if found else 0,
            types=[("", "any"), *((each, each) for each in TYPES)],
            feeds=[("", "any that I may read"), *self._feeds()],
            partners=self._partners(),
            **{"times": (None, None), "before": ""} | values,
        )

    def _feeds(self) -> list[tuple[str, str]]:
        return [(each.alias or each.id, each.title) for each in context().readable()]

    def _partners(self) -> list[tuple[str, str]]:
        """The partners by which the hub's own people may filter; empty for all others."""
        if not context().who.is_of_hub:
            return []
        every = self.services.store.accounts.list_partners()
        return [("", "any"), *((each.slug, each.name) for each in every)]


def _parse_times(
    given: Mapping[str, str],
) -> tuple[dict[str, str], int | None, int | None]:
    """Errors by field, and the first and the last moment, in µs since 1970 UTC."""
    errors: dict[str, str] = {}
    bounds: list[int | None] = [None, None]
    for index, name in enumerate(("from", "to")):
        if given[name]:
            try:
                bounds[index] = parse_time(given[name], is_end=name == "to")
            except ShareError:
                errors[name] = "Write the time like 2026-01-31 or 2026-01-31 08:00, in UTC."
    since, until = bounds
    if since is not None and until is not None and since > until:
        errors["to"] = "The end lies before the beginning."
    return errors, since, until


def parse_time(text: str, *, is_end: bool) -> int:
    """A day, or a time to the minute or second, in UTC; of an end, its last moment.

    >>> parse_time("1970-01-02", is_end=False), parse_time("1970-01-01", is_end=True)
    (86400000000, 86399999999)

    Raises Malformed if it is neither.
    """
    if _DAY.fullmatch(text):
        return micros(f"{text}T00:00:00Z") + (DAY - 1 if is_end else 0)
    if found := _MINUTE.fullmatch(text):
        length = _SECOND if found[3] else 60 * _SECOND
        start = micros(f"{found[1]}T{found[2]}{found[3] or ':00'}Z")
        return start + (length - 1 if is_end else 0)
    return micros(text)
