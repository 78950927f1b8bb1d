"""Pollers that send the requests of products that partners own.

Each repeats what the product's public source or documentation says: how it pages, where its next
poll begins, and what it drops.  None of them runs the product itself.
"""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import requests
from support.processes import MT, HubProcess, indicators
from taxii2client.v21 import ApiRoot, Server, as_pages

_MAX_REQUESTS = 200
"""Requests of one poll; a consumer that needs more is stuck."""


class Consumer(ABC):
    """One consumer of a hub's feed `green`."""

    name = ""
    marking = "tlp2"

    def __init__(self, hub: HubProcess, key: str) -> None:
        """`key`: `account:secret`."""
        self._hub, self.key = hub, key
        self.received: Counter[tuple[str, str]] = Counter()
        """Count the arrivals of each version of an indicator, by id and `modified`."""
        self.requests = 0

    @abstractmethod
    def poll(self) -> None:
        """Do what the product does at each of its intervals."""

    @property
    def duplicates(self) -> int:
        """Indicators that came again."""
        return self.received.total() - len(self.received)

    def _keep(self, objects: list[dict[str, Any]]) -> None:
        found = (each for each in objects if each["type"] == "indicator")
        self.received.update((each["id"], each["modified"]) for each in found)

    def _get(self, query: dict[str, str], feed: str = "green") -> requests.Response:
        self.requests += 1
        return self._hub.ask(f"collections/{feed}/objects/", params=query, key=self.key)

    def _server(self) -> Server:
        user, password = self.key.split(":", 1)
        return Server(self._hub.url, user=user, password=password)

    def _root(self) -> ApiRoot:
        return self._server().api_roots[0]


class OfficialClient(Consumer):
    """taxii2-client, as its README shows: `as_pages`, from the start of the last poll on."""

    name = "taxii2-client 2.3"

    def __init__(self, hub: HubProcess, key: str) -> None:
        super().__init__(hub, key)
        self._green = next(c for c in self._root().collections if c.alias == "green")
        self._since: datetime | None = None

    def poll(self) -> None:
        """Read everything that was added since the last poll began."""
        begun = datetime.now(UTC)
        filters = {"added_after": self._since} if self._since else {}
        for envelope in as_pages(self._green.get_objects, per_request=500, **filters):
            self.requests += 1
            self._keep(envelope.get("objects", []))
        self._since = begun


class OpenCtiConnector(Consumer):
    """OpenCTI's connector `external-import/taxii2` with all collections.

    It keeps `next` among its filters, also for the next collection and the next poll, and begins
    at the whole second in which the last poll began.
    """

    name = "OpenCTI connector, all collections"

    def __init__(self, hub: HubProcess, key: str) -> None:
        super().__init__(hub, key)
        self._filters: dict[str, Any] = {"added_after": datetime(2020, 1, 1, tzinfo=UTC)}

    def poll(self) -> None:
        """Read all collections; one that answers with an error ends the poll of them all."""
        begun = int(time.time())
        for collection in self._root().collections:
            if collection.can_read:
                self._poll_collection(collection)
        self._filters["added_after"] = datetime.fromtimestamp(begun, UTC)

    def _poll_collection(self, collection: Any) -> None:
        for _ in range(_MAX_REQUESTS):
            self.requests += 1
            envelope = collection.get_objects(**self._filters)
            if collection.alias == "green":
                self._keep(envelope.get("objects", []))
            if not envelope.get("objects") or envelope.get("more") is not True:
                return
            self._filters.pop("added_after", None)
            self._filters["next"] = envelope["next"]


class OpenCtiIngester(Consumer):
    """OpenCTI's own ingester: one request at each tick, and cursors cut to milliseconds."""

    name = "OpenCTI ingester"

    def __init__(self, hub: HubProcess, key: str) -> None:
        super().__init__(hub, key)
        self._next, self._since = "", ""

    def poll(self) -> None:
        """Tick until a page has no further one."""
        for _ in range(_MAX_REQUESTS):
            query = {"next": self._next} if self._next else {}
            query |= {"added_after": self._since} if self._since else {}
            answer = self._get(query)
            answer.raise_for_status()
            envelope = answer.json()
            self._keep(envelope.get("objects", []))
            if envelope.get("objects") and envelope["more"]:
                self._next = envelope["next"]
                continue
            if envelope.get("objects"):
                self._since = answer.headers["X-TAXII-Date-Added-Last"][:-4] + "Z"
            self._next = ""
            return


class Xsoar(Consumer):
    """Cortex XSOAR's FeedTAXII2 with 300 indicators a fetch.

    It begins at the greatest `modified` that it received, and knows the levels of TLP 1.0 only.
    """

    name = "Cortex XSOAR, 300 a fetch"
    marking = "tlp1"
    _MAXIMUM = 300
    _since = ""

    def poll(self) -> None:
        """Fetch until a fetch brings nothing that the last one did not bring."""
        before: list[str] = []
        for _ in range(_MAX_REQUESTS):
            query = {"limit": str(self._MAXIMUM)}
            query |= {"added_after": self._since} if self._since else {}
            answer = self._get(query)
            answer.raise_for_status()
            objects = answer.json().get("objects", [])
            self._keep(objects)
            self._since = max([each["modified"] for each in objects if "modified" in each] or [""])
            ids = [each["id"] for each in objects]
            if not objects or ids == before:
                return
            before = ids


class ElasticCustom(Consumer):
    """Elastic's `ti_custom`: `next` without `added_after`; an answer without `objects` fails."""

    name = "Elastic ti_custom"
    _since = "2020-01-01T00:00:00Z"

    def poll(self) -> None:
        """Read pages until there is no `next`."""
        query = {"added_after": self._since}
        for _ in range(_MAX_REQUESTS):
            answer = self._get(query)
            answer.raise_for_status()
            envelope = answer.json()
            if "objects" not in envelope:
                return  # its program fails here, and keeps the cursor
            self._keep(envelope["objects"])
            self._since = answer.headers["X-TAXII-Date-Added-Last"]
            if not envelope.get("next"):
                return
            query = {"next": envelope["next"]}


class IntelMq(Consumer):
    """IntelMQ's TAXII collector: one request, no paging, from the start of the last poll on."""

    name = "IntelMQ"
    _since = "2020-01-01T00:00:00Z"

    def poll(self) -> None:
        """Send the one request."""
        begun = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        answer = self._get({"added_after": self._since})
        answer.raise_for_status()
        self._keep(answer.json().get("objects", []))
        self._since = begun


class Sentinel(Consumer):
    """Microsoft Sentinel by its documentation: Basic, pages, and the header's last date."""

    name = "Microsoft Sentinel (by its documentation)"
    _since = ""

    def poll(self) -> None:
        """Read pages by `next`, and keep the last date of the last one."""
        query = {"added_after": self._since} if self._since else {}
        for _ in range(_MAX_REQUESTS):
            answer = self._get(query)
            answer.raise_for_status()
            envelope = answer.json()
            self._keep(envelope.get("objects", []))
            self._since = answer.headers.get("X-TAXII-Date-Added-Last", self._since)
            if not envelope.get("more"):
                return
            query = {**query, "next": envelope["next"]}


class Variants(Consumer):
    """Splunk, QRadar and Anomali by their documentation: other media types, slashes and schemes."""

    name = "Splunk ES, QRadar, Anomali (by their documentation)"
    _ACCEPTS = (
        "application/taxii+json;version=2.1",
        "application/taxii+json; version=2.1",
        "application/vnd.oasis.stix+json; version=2.1, application/taxii+json;version=2.1",
        "application/taxii+json",
        "*/*",
    )

    def poll(self) -> None:
        """Read the whole feed in one of the variants, another one at each poll."""
        query = {"limit": "1000"}
        for number in range(_MAX_REQUESTS):
            accept = self._ACCEPTS[(self.requests + number) % len(self._ACCEPTS)]
            slash = "/" if number % 2 else ""
            headers = {"Accept": accept, "Content-Type": MT}
            self.requests += 1
            path = f"collections/green/objects{slash}"
            answer = self._hub.ask(path, params=query, key=self.key, headers=headers)
            answer.raise_for_status()
            envelope = answer.json()
            self._keep(envelope.get("objects", []))
            if not envelope.get("more"):
                return
            query["next"] = envelope["next"]


CONSUMERS: tuple[type[Consumer], ...] = (
    OfficialClient,
    OpenCtiConnector,
    OpenCtiIngester,
    Xsoar,
    ElasticCustom,
    IntelMq,
    Sentinel,
    Variants,
)


class _Everything(Consumer):
    """Reads the whole feed, to know what there is."""

    name = "everything"

    def poll(self) -> None:
        """Read the whole feed."""
        self._keep(list(self._hub.walk()))


def run_rounds(hub: HubProcess, rounds: Sequence[int]) -> tuple[list[Consumer], Consumer]:
    """Publish so many indicators, let each consumer poll, and so on; the consumers, and all.

    `hub` is running, and has a partner that may submit.
    """
    found = [each(hub, _join(hub, each, n)) for n, each in enumerate(CONSUMERS)]
    for count in rounds:
        _publish(hub, count)
        for consumer in found:
            consumer.poll()
    everything = _Everything(hub, hub.key)
    everything.poll()
    return found, everything


def _join(hub: HubProcess, consumer: type[Consumer], number: int) -> str:
    submitter, key = hub.key, hub.join(f"reader-{number}")
    hub.key = submitter
    hub.command("partner", "change", f"reader-{number}", "--marking", consumer.marking)
    return key


def _publish(hub: HubProcess, count: int) -> None:
    new = indicators(count)
    for begin in range(0, count, 500):
        hub.wait_until_settled(hub.post(new[begin : begin + 500]).json()["id"])
