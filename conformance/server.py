"""The server under test, and the results of requests that many checks share.

The API root, the collections and the objects to page through are requested
once, when first needed.  Posted objects are recorded, to be deleted at the end.
"""

from __future__ import annotations

import contextlib
import json
import time
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Generic, TypeVar, cast
from urllib.parse import quote, urljoin, urlsplit

from tocsin.conformance import samples
from tocsin.conformance.client import Options, Query, SkipCheck, TaxiiClient
from tocsin.conformance.http import MEDIA_TYPE, Response, Unreachable
from tocsin.conformance.samples import StixObject

Collection = dict[str, Any]
T = TypeVar("T")

_PAUSE = 0.2
_IMPATIENT = 1.0
"""Seconds for a status, once one stayed pending for the whole time-out."""


@dataclass(frozen=True, slots=True)
class Feed:
    """A collection and a query that has at least some objects."""

    path: str
    query: dict[str, str]
    ids: tuple[str, ...] = ()
    """Ids of its objects, in no order; empty if unknown."""

    def at(self, endpoint: str) -> str:
        """The path of `manifest/`, `objects/` and so on."""
        return self.path + endpoint


class computed_once(Generic[T]):
    """A property that is worked out when first needed; that it cannot be had is kept too."""

    def __init__(self, make: Callable[[Server], T]) -> None:
        self._make = make
        self.__doc__ = make.__doc__

    def __get__(self, subject: Server, kind: type[Server]) -> T:
        known, name = subject.known, self._make.__name__
        if name not in known:
            try:
                known[name] = self._make(subject)
            except SkipCheck as reason:
                known[name] = reason
        found = known[name]
        if isinstance(found, SkipCheck):
            raise SkipCheck(str(found))
        return cast(T, found)


class Server(TaxiiClient):
    """One server, in one run."""

    def __init__(self, options: Options) -> None:
        super().__init__(options)
        self.posted: dict[str, None] = {}
        """Ids that were posted, in order."""
        self.known: dict[str, Any] = {}
        self._patience = options.target.timeout

    def post(
        self, body: bytes | object, headers: Mapping[str, str | None] | None = None, **more: Any
    ) -> Response:
        """POST a body, or an object as JSON, to the objects of the writable collection."""
        octets = body if isinstance(body, bytes) else json.dumps(body).encode()
        sent = {"Content-Type": MEDIA_TYPE} | dict(headers or {})
        return self.ask("POST", self.writable_path + "objects/", (), sent, body=octets, **more)

    def send(self, *objects: object) -> Response:
        """POST an envelope; what has an id is deleted in the end."""
        self.writable_path  # noqa: B018  (nothing is posted where there is none)
        ids = [o["id"] for o in objects if isinstance(o, dict) and isinstance(o.get("id"), str)]
        self.posted |= dict.fromkeys(ids)
        return self.post({"objects": objects})

    def wait_until_complete(self, answer: Response) -> Response:
        """The status of a submission once it is complete, or as it is after the time-out."""
        deadline = time.monotonic() + self._patience
        path = f"{self.root}status/{quote(str(answer.resource.get('id')), safe='')}/"
        while answer.resource.get("status") == "pending":
            if time.monotonic() > deadline:
                self._patience = _IMPATIENT
                break
            time.sleep(_PAUSE)
            answer = self.get(path)
        return answer

    def add(self, *objects: StixObject) -> list[StixObject]:
        """Put objects into the writable collection; Skip where that cannot be done."""
        answer = self.send(*objects)
        status = self.wait_until_complete(answer)
        reported = status.resource
        if answer.status != 202 or reported.get("status") != "complete":
            raise SkipCheck(f"objects that it needs could not be added: {_found(answer, reported)}")
        if reported.get("failure_count"):
            raise SkipCheck(
                "objects that it needs were refused: " + str(reported.get("failures"))[:200]
            )
        return list(objects)

    @computed_once
    def discovery(self) -> Response:
        """The discovery resource."""
        return self.get(self.options.discovery)

    @computed_once
    def root(self) -> str:
        """The path of the API root."""
        if self.options.root:
            return self.options.root
        reported = self.discovery.resource
        roots = [
            each for each in (reported.get("default"), *self.discovery.items("api_roots")) if each
        ]
        if not roots:
            raise SkipCheck("discovery names no API root; give one with --root")
        return self.path_of(str(roots[0]))

    def path_of(self, url: str) -> str:
        """The path of an API root on this server."""
        target = self.options.target
        found = urlsplit(urljoin(f"{target.scheme}://{target.host}:{target.port}/", url))
        port = found.port or (443 if found.scheme == "https" else 80)
        if (found.hostname, port) != (target.host.lower(), target.port):
            raise SkipCheck(
                f"the API root {url[:200]} is on another server; give a path with --root"
            )
        return found.path if found.path.endswith("/") else found.path + "/"

    @computed_once
    def collections(self) -> list[Collection]:
        """Every collection that the account sees."""
        answer = self.get(self.root + "collections/")
        return [each for each in answer.items("collections") if isinstance(each, dict)]

    def path(self, collection: Collection) -> str:
        """The path of a collection."""
        return f"{self.root}collections/{quote(str(collection.get('id')), safe='')}/"

    def with_rights(self, read: bool, write: bool) -> list[Collection]:
        """The collections with these flags."""
        return [
            each
            for each in self.collections
            if each.get("can_read") is read and each.get("can_write") is write
        ]

    @computed_once
    def writable(self) -> Collection:
        """The collection that may be written."""
        wanted = self.options.collection
        if not wanted:
            raise SkipCheck("needs a collection to write: --collection")
        named = [each for each in self.collections if wanted in (each.get("id"), each.get("alias"))]
        if not named:
            raise SkipCheck(f"the account sees no collection {wanted}")
        if not (named[0].get("can_read") is True and named[0].get("can_write") is True):
            raise SkipCheck(f"the account may not both read and write {wanted}")
        return named[0]

    @property
    def writable_path(self) -> str:
        """The path of the collection that may be written."""
        return self.path(self.writable)

    @computed_once
    def readable(self) -> str:
        """The path of a collection that may be read, one with objects if there is any."""
        if self.options.collection:
            return self.writable_path
        found = [self.path(each) for each in self.collections if each.get("can_read") is True]
        if not found:
            raise SkipCheck("the account may read no collection")
        return next((p for p in found if self.get(f"{p}objects/", {"limit": "1"}).ids), found[0])

    @computed_once
    def seven_indicators(self) -> list[StixObject]:
        """Seven indicators, added in one request."""
        return self.add(*(samples.indicator(name=f"Check {n}") for n in range(7)))

    @computed_once
    def feed(self) -> Feed:
        """Several objects to read: seven of our own, or existing ones."""
        if self.options.collection:
            ids = tuple(each["id"] for each in self.seven_indicators)
            return Feed(self.writable_path, {"match[id]": ",".join(ids)}, ids)
        feed = Feed(self.readable, {})
        if len(self.get(feed.at("objects/"), {"limit": "2"}).ids) < 2:
            raise SkipCheck("there are no objects to read; --collection lets the checks add some")
        return feed

    @computed_once
    def history(self) -> list[StixObject]:
        """Three versions of one object: 2022, 2023, and then 2021."""
        first = samples.indicator(created="2021-01-01T00:00:00.000Z")
        versions = [
            first | {"modified": f"{year}-06-01T00:00:00.000Z"} for year in (2022, 2023, 2021)
        ]
        for each in versions:
            self.add(each)
        return versions

    @computed_once
    def one_of_each_kind(self) -> list[StixObject]:
        """An indicator, an observable, a marking definition, a relationship and a note."""
        one, other = samples.indicator(), samples.address()
        reported = (samples.marking(), samples.relationship(one, other), samples.note(one))
        return self.add(one, other, *reported)

    @computed_once
    def resources(self) -> list[tuple[str, Response]]:
        """One success of each endpoint, with the resource that it has."""
        found = [
            ("discovery", self.discovery),
            ("api-root", self.get(self.root)),
            ("collections", self.get(f"{self.root}collections/")),
        ]
        if self.collections:
            found.append(("collection", self.get(self.path(self.collections[0]))))
        found += [(kind, self.get(path, query)) for kind, path, query in self.pages]
        with contextlib.suppress(SkipCheck):
            found.append(("status", self.get(f"{self.root}status/{self.status_id}/")))
            found.append(("status", self.send(samples.indicator())))
        return [(kind, answer) for kind, answer in found if answer.status in (200, 202)]

    @computed_once
    def pages(self) -> list[tuple[str, str, Query]]:
        """The four endpoints with date headers: kind, path and query."""
        try:
            feed = self.feed
        except SkipCheck:
            return self._empty_pages()
        first = self.get(feed.at("objects/"), {**feed.query, "limit": "1"}).ids
        id = quote((*feed.ids, *first, "none")[0], safe="")
        return [
            ("manifest", feed.at("manifest/"), feed.query),
            ("envelope", feed.at("objects/"), feed.query),
            ("envelope", feed.at(f"objects/{id}/"), {}),
            ("versions", feed.at(f"objects/{id}/versions/"), {}),
        ]

    def _empty_pages(self) -> list[tuple[str, str, Query]]:
        try:
            path = self.readable
        except SkipCheck:
            return []
        return [("manifest", f"{path}manifest/", {}), ("envelope", f"{path}objects/", {})]

    @computed_once
    def status_id(self) -> str:
        """The id of a status."""
        answer = self.send(samples.indicator())
        if answer.status != 202:
            raise SkipCheck(f"objects could not be added: {_found(answer, answer.resource)}")
        return quote(str(answer.resource.get("id")), safe="")

    @computed_once
    def errors(self) -> list[Response]:
        """Errors of several kinds, each as the server's own rules make it."""
        wrong = self.wrong_credential
        nowhere = f"{self.root}collections/{uuid.uuid4()}/"
        asked = [
            self.get(nowhere),
            self.get(f"{nowhere}objects/"),
            self.get(f"{self.root}status/{uuid.uuid4()}/"),
            self.get(self.options.discovery, (), Accept="text/html"),
        ]
        if self.pages:
            path = self.pages[1][1]  # objects/
            asked += [self.get(path, {"limit": "0"}), self.get(path, {"added_after": "yesterday"})]
        if wrong:
            asked += [
                self.get(path, (), Authorization=wrong) for path in (self.root, self.readable)
            ]
        with contextlib.suppress(SkipCheck):
            asked.append(self.post(b"{}", {"Content-Type": "text/plain"}))
            asked.append(self.post(b"[]"))
        return [answer for answer in asked if answer.status >= 400]

    def delete_posted(self) -> list[str]:
        """Delete what was posted; the ids that stayed."""
        if not self.options.collection:
            return []
        self.posted = {id: None for id in self.posted if not self._deleted(id)}
        return list(self.posted)

    def _deleted(self, id: str) -> bool:
        every = {"match[spec_version]": "2.0,2.1", "match[version]": "all"}
        try:
            path = f"{self.writable_path}objects/{quote(id, safe='')}/"
            answers = (self.ask("DELETE", path, query) for query in (every, {}))
            return any(answer.status in (200, 404) for answer in answers)
        except (SkipCheck, Unreachable):
            return False


def _found(answer: Response, reported: Mapping[str, Any]) -> str:
    state = reported.get("status")
    return f"POST answered {answer.status}" + (f", status {str(state)[:20]}" if state else "")
