"""A collection of a TAXII 2.0 server (TAXII 2.0 sections 3.4, 5.3)."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

import msgspec
import requests

from tocsin.admission.timestamps import micros, timestamp
from tocsin.clients.bounds import ResponseRefused, is_too_deep
from tocsin.clients.downloads import Downloads
from tocsin.clients.http import NotTaxii
from tocsin.clients.poll import version_fingerprint
from tocsin.clients.sources import Document, Memory, RemoteSource

_ACCEPT = "application/vnd.oasis.stix+json; version=2.0"
_PAGE = 100
"""Objects that are asked for at once: a size that every server takes."""
_MAX_PAGES = 10_000
_RANGE = re.compile(r"items (\d{1,12})-(\d{1,12})/(\d{1,12}|\*)", re.ASCII)


class Taxii20Source(
    RemoteSource, kw_only=True, frozen=True, forbid_unknown_fields=True, tag="taxii20"
):
    """What is new in a collection since the last run.

    `url` is that of the collection: https://host/root/collections/ID/.  Only the date of the last
    run can be told from outside, so it begins there, and what it had read then is left out.
    """

    added_after: str = ""
    """Where to begin at the first run, RFC 3339."""

    def documents(self, memory: Memory) -> Iterator[Document]:
        """See Source; one document is one page."""
        url = f"{self.url.rstrip('/')}/objects/"
        last = memory.get("last", "") or self.added_after
        seen = set(filter(None, memory.get("seen", "").split()))
        query = f"?added_after={timestamp(micros(last) - 1)}" if last else ""
        with Downloads(self.url, self.access()) as downloads:
            for number, (page, objects) in enumerate(_read_pages(downloads, url + query), 1):
                new = [each for each in objects if version_fingerprint(each) not in seen]
                stamp = page.get("X-TAXII-Date-Added-Last", "")
                if stamp and (not last or micros(stamp) > micros(last)):
                    last, seen = stamp, set()
                seen |= {version_fingerprint(each) for each in objects}
                if new:
                    kept = {"last": last, "seen": " ".join(sorted(seen))}
                    content = b'{"type":"bundle","spec_version":"2.0","objects":[%b]}'
                    name = f"page-{number}.json"
                    yield Document(name, content % b",".join(new), kept)


def _read_pages(downloads: Downloads, url: str) -> Iterator[tuple[Mapping[str, str], list[bytes]]]:
    """Headers and objects of each page."""
    begin = 0
    for _ in range(_MAX_PAGES):
        headers = {"Accept": _ACCEPT, "Range": f"items {begin}-{begin + _PAGE - 1}"}
        response = downloads.send(url, headers)
        if response is None:
            return
        objects = _read_objects(response)
        yield response.headers, objects
        begin = _find_next(response, begin, len(objects))
        if not begin:
            return
    raise ResponseRefused(f"the server gave {_MAX_PAGES} pages and says that there is more")


def _find_next(response: requests.Response, begin: int, count: int) -> int:
    """Where the next page begins; 0 after the last one."""
    found = _RANGE.fullmatch(response.headers.get("Content-Range", ""))
    if found is None or not count:
        return 0
    end = int(found[2]) + 1
    is_last = found[3] != "*" and end >= int(found[3])
    return 0 if is_last or end <= begin else end


def _read_objects(response: requests.Response) -> list[bytes]:
    content = response.content
    if is_too_deep(content):
        raise ResponseRefused("the response is nested too deeply; tell the operator of the server")
    try:
        bundle: Any = msgspec.json.decode(content or b"{}", type=dict[str, msgspec.Raw])
        objects = msgspec.json.decode(bundle.get("objects", b"[]"), type=list[msgspec.Raw])
    except msgspec.DecodeError as error:
        raise NotTaxii(f"{response.url} did not answer in TAXII 2.0; check the url") from error
    return [bytes(each) for each in objects]


SOURCE = Taxii20Source
