"""A TAXII 2.0 server, which is only read.

It is read with the same care as a TAXII 2.1 server (see `http` and `poll`): pages by `Range`
(TAXII 2.0 section 3.4), and `added_after` from poll to poll.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import msgspec
import requests

from tocsin.admission.errors import NotAllowed
from tocsin.clients.bounds import ResponseRefused, is_too_deep
from tocsin.clients.http import Collection, Hub, NotTaxii, translate_errors
from tocsin.clients.responses import Page, StatusReport, parse_page

_TAXII = "application/vnd.oasis.taxii+json; version=2.0"
_STIX = "application/vnd.oasis.stix+json; version=2.0"
_PAGE = "100"
"""Objects that are asked for at once if the query has no limit."""
_RANGE = re.compile(r"items (\d{1,12})-(\d{1,12})/(\d{1,12}|\*)", re.ASCII)
_MAX_ROOTS = 100
_READ_ONLY = "TAXII 2.0 servers are only read; nothing was sent"


class _Resource(msgspec.Struct):
    """A discovery resource, an API root or a list of collections (sections 4 and 5)."""

    api_roots: list[str] | None = None
    versions: list[str] | None = None
    collections: list[_Collection] | None = None


class _Collection(msgspec.Struct):
    id: str
    title: str | None = None
    description: str | None = None
    can_read: bool = False


class Hub20(Hub):
    """A TAXII 2.0 server."""

    def list_collections(self) -> list[Collection]:
        """See Hub; `url` may be the discovery URL or that of an API root."""
        found = []
        for root in self._list_roots():
            resource = self._get(f"{root}collections/")
            for each in resource.collections or ():
                url = f"{root}collections/{each.id}/"
                about = each.title or "", each.description or ""
                found.append(Collection(each.id, "", *about, each.can_read, False, root, url))
        return found

    def fetch_page(self, collection: Collection, query: Mapping[str, str]) -> Page:
        """See Hub; `next` is the number of the first object of the page."""
        kept = {name: value for name, value in query.items() if name not in ("limit", "next")}
        begin = int(query.get("next", "0"))
        end = begin + int(query.get("limit", _PAGE)) - 1
        headers = {"Accept": _STIX, "Range": f"items {begin}-{end}"}
        url = f"{collection.url}objects/"
        with translate_errors(url):
            response = self._pages.get(url, params=kept, headers=headers)
            if response.status_code == requests.codes.requested_range_not_satisfiable:
                return parse_page(b"{}", {})
            response.raise_for_status()
            page = parse_page(response.content, response.headers)
        following = _find_next(response, begin, len(page.objects))
        return replace(page, more=bool(following), next=str(following or ""))

    def max_content_length(self, collection: Collection) -> int:
        """Raises NotAllowed."""
        raise NotAllowed(_READ_ONLY)

    def post_envelope(self, collection: Collection, envelope: bytes) -> StatusReport:
        """Raises NotAllowed."""
        raise NotAllowed(_READ_ONLY)

    def _list_roots(self) -> list[str]:
        """The API roots behind the URL."""
        resource = self._get(self.url)
        if resource.api_roots is None:
            return [self.url]
        roots = [each.rstrip("/") + "/" for each in resource.api_roots[:_MAX_ROOTS]]
        return self._select_roots(list(dict.fromkeys(roots)))

    def _get(self, url: str) -> _Resource:
        with translate_errors(url):
            response = self._pages.get(url, headers={"Accept": _TAXII})
            response.raise_for_status()
        if is_too_deep(response.content):
            raise ResponseRefused(f"the response of {url} is nested too deeply; check the URL")
        try:
            return msgspec.json.decode(response.content, type=_Resource)
        except msgspec.DecodeError as error:
            raise NotTaxii(f"{url} did not answer in TAXII 2.0; check the URL") from error


def _find_next(response: Any, begin: int, count: int) -> int:
    """The number of the first object of the next page; 0 after the last one."""
    found = _RANGE.fullmatch(response.headers.get("Content-Range", ""))
    if found is None or not count:
        return 0
    end = int(found[2]) + 1
    is_last = found[3] != "*" and end >= int(found[3])
    return 0 if is_last or end <= begin else end
