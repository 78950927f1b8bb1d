"""Pollers that use every way of paging, crash, and resume from their stored state.

Another one stores nothing and downloads the complete feed repeatedly.
"""

from __future__ import annotations

import json
import random
import threading
import time
from collections import Counter
from pathlib import Path
from typing import Any

import requests
from support.processes import MT, HubProcess
from support.torture_judge import Entry, Log

HUB_DOWN = (requests.ConnectionError, requests.Timeout, requests.exceptions.ChunkedEncodingError)
CRASH_PROBABILITY = 0.02
"""Probability that a poller crashes before it stores a page."""


class Poller:
    """One poller; its state file has one line per page, with the entries and the cursor."""

    def __init__(self, hub: HubProcess, number: int, state: Path) -> None:
        self._hub, self._rng, self._state = hub, random.Random(number), state
        self.feed = ("scratch", "green")[number % 3 == 2]
        self.every = number % 2 == 0
        self._records = number % 4 in (1, 2)
        """True if it reads the manifest, which has each date_added."""
        self.name = f"poller {number}"
        self.counts: Counter[str] = Counter()
        self.strange: list[str] = []
        self._tag = self._limit = ""

    def poll(self, done: threading.Event) -> None:
        """Poll until the writers are done and three polls after that return nothing."""
        idle = 0
        while idle < 3:
            ended = done.is_set()
            found = self._poll_once(self._cursor(), patient=not ended)
            if found is False:  # there is nothing new, for a minute or two at the end
                time.sleep(self._rng.random() * 0.2)
            idle = idle + 1 if ended and found is False else 0

    def log(self) -> Log:
        """Read the log from the state file."""
        log = Log(self.name, self.feed, self.every)
        for line in self._lines():
            log.entries += [Entry(*each) for each in line["entries"]]
            log.pages.append((line["first"], line["last"]))
        return log

    def _lines(self) -> list[dict[str, Any]]:
        if not self._state.exists():
            return []
        return [json.loads(line) for line in self._state.read_text().splitlines()]

    def _cursor(self) -> dict[str, str]:
        """Return the cursor, from memory or, after a crash, from the file."""
        if not hasattr(self, "_at"):
            lines = self._lines()
            self._at = lines[-1]["cursor"] if lines else {}
        return dict(self._at)

    def _poll_once(self, cursor: dict[str, str], *, patient: bool) -> bool | None:
        """Poll once; True if there were objects, None if the hub was down."""
        asked = time.monotonic()
        answer = self._ask(cursor, patient=patient)
        if answer is None:
            return None
        self.counts["polls"] += 1
        if answer.status_code == 304:
            self.counts["304"] += 1
            return False
        page = answer.json()
        objects = page.get("objects", [])
        self._tag = answer.headers.get("ETag", "") if not objects else ""
        if not objects:
            return False
        if self._rng.random() < CRASH_PROBABILITY:
            self.counts["deaths"] += 1
            del self._at
            return True
        self._store_page(page, answer, asked)
        return True

    def _store_page(self, page: dict[str, Any], answer: requests.Response, asked: float) -> None:
        first, last = (answer.headers[f"X-TAXII-Date-Added-{end}"] for end in ("First", "Last"))
        cursor = {"added_after": last}
        if page.get("more") and self._rng.random() < 0.6:
            cursor = {"next": page["next"]}
            self.counts["by next"] += 1
        name = "version" if self._records else "modified"
        entries = [
            (each["id"], each.get(name) or each["created"], each.get("date_added", ""), asked)
            for each in page["objects"]
        ]
        line = {"cursor": cursor, "entries": entries, "first": first, "last": last}
        with self._state.open("a") as file:
            file.write(json.dumps(line) + "\n")
        self._at = cursor
        self.counts["pages"] += 1

    def _ask(self, cursor: dict[str, str], *, patient: bool) -> requests.Response | None:
        if not self._tag:  # the tag belongs to the response to the same query
            self._limit = str(self._rng.choice((1, 7, 50, 200, 1_000)))
        query = {"limit": self._limit, "match[spec_version]": "2.1", **cursor}
        if self.every:
            query["match[version]"] = "all"
        headers = {"Accept": MT, "Accept-Encoding": self._rng.choice(("gzip", "identity"))}
        if self._tag:
            headers["If-None-Match"] = self._tag
        if patient and self._rng.random() < 0.3:
            headers["Prefer"] = "wait=1"
        kind = "manifest" if self._records else "objects"
        url = self._hub.url.replace("taxii2/", f"hub/collections/{self.feed}/{kind}/")
        auth = tuple(self._hub.key.split(":", 1))
        try:
            answer = requests.get(url, params=query, headers=headers, auth=auth, timeout=60)  # type: ignore[arg-type]
        except HUB_DOWN:
            time.sleep(0.1)
            return None
        if answer.status_code in (200, 304):
            time.sleep(self._rng.random() * 0.05)
            return answer
        if answer.status_code != 503:
            self.strange.append(f"{url}: {answer.status_code} {answer.text[:200]}")
        time.sleep(0.2)
        return None


class Downloader:
    """A client that downloads the complete feed green, from which nothing is ever removed."""

    def __init__(self, hub: HubProcess, number: int) -> None:
        self._hub, self._rng = hub, random.Random(number)
        self._known: set[str] = set()
        self.missing: list[str] = []
        self.downloads = 0

    def download(self, done: threading.Event) -> None:
        """Download until the writers are done; record ids that an earlier download had."""
        while not done.is_set():
            ids = self._download_once()
            if ids is None:
                time.sleep(0.2)
                continue
            self.downloads += 1
            self.missing += sorted(self._known - ids)
            self._known |= ids
            done.wait(0.1)

    def _download_once(self) -> set[str] | None:
        """Return the ids of all objects; None if the hub went down in between."""
        ids: set[str] = set()
        query = {"limit": str(self._rng.choice((50, 200, 1_000)))}
        while True:
            try:
                answer = self._hub.ask("collections/green/objects/", params=query)
            except HUB_DOWN:
                return None
            if answer.status_code != 200:
                return None
            page = answer.json()
            ids.update(each["id"] for each in page.get("objects", []))
            if not page.get("more"):
                return ids
            query["next"] = page["next"]
