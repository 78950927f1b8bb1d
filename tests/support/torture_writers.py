"""Writers that post, supersede, repeat and withdraw objects, and record acknowledgements."""

from __future__ import annotations

import random
import threading
import time
import uuid
from dataclasses import dataclass, field
from typing import Any

import requests
from support.processes import GREEN, MT, HubProcess

LARGE = 230
"""Number of objects that is too large for evaluation before the response."""
HUB_DOWN = (requests.ConnectionError, requests.Timeout)
Object = dict[str, Any]


@dataclass
class Acknowledged:
    """Everything that was acknowledged to the writers."""

    statuses: list[str] = field(default_factory=list)
    stored: set[tuple[str, str]] = field(default_factory=set)
    """(id, version) of the objects in the verbatim collection."""
    wanted: dict[str, int] = field(default_factory=dict)
    """The newest edition of each pattern acknowledged by the inbox."""
    withdrawn: dict[str, float] = field(default_factory=dict)
    doubtful: set[str] = field(default_factory=set)
    strange: list[str] = field(default_factory=list)
    posts: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)


class Writer:
    """One writer with its own objects, so that it knows in which order they were sent."""

    def __init__(self, hub: HubProcess, seed: int, book: Acknowledged) -> None:
        self._hub, self._rng, self._book = hub, random.Random(seed), book
        self._own: dict[str, list[Object]] = {"scratch": [], "inbox": []}
        """The newest version of each object that can be sent again."""
        self._web = requests.Session()
        self._web.headers.update({"Accept": MT, "Content-Type": MT})

    def write(self, stop: threading.Event) -> None:
        """Send random requests until stopped."""
        self._web.auth = tuple(self._hub.key.split(":", 1))  # type: ignore[assignment]
        acts = (self._add, self._supersede, self._repeat, self._withdraw)
        while not stop.is_set():
            (act,) = self._rng.choices(acts, (55, 25, 10, 10))
            act(self._rng.choice(("scratch", "scratch", "inbox")))
            stop.wait(self._rng.random() * 0.05)

    def _add(self, to: str) -> None:
        count = LARGE if self._rng.random() < 0.04 else self._rng.randrange(1, 12)
        new = [self._build_indicator() for _ in range(count)]
        if self._post(to, new):
            self._own[to] += new

    def _supersede(self, to: str) -> None:
        old = self._some(to)
        new = [_edition(each, _number(each) + 1) for each in old]
        for each in old:
            self._own[to].remove(each)
        if self._post(to, new):
            self._own[to] += new

    def _repeat(self, to: str) -> None:
        again = self._some(to)
        if not self._post(to, again):
            self._own[to] = [each for each in self._own[to] if each not in again]

    def _withdraw(self, to: str) -> None:
        for each in self._some("scratch")[:1]:
            self._own["scratch"].remove(each)
            answer = self._ask("DELETE", f"collections/scratch/objects/{each['id']}/")
            with self._book.lock:
                if answer is not None and answer.status_code == 200:
                    self._book.withdrawn[each["id"]] = time.monotonic()
                else:
                    self._doubt([each], answer, (503,))

    def _some(self, to: str) -> list[Object]:
        own = self._own[to]
        return self._rng.sample(own, min(len(own), self._rng.randrange(1, 4)))

    def _post(self, to: str, objects: list[Object]) -> bool:
        """Post objects; return True if they were acknowledged and settled.

        Objects in the queue cannot be withdrawn yet, so the writer leaves them alone.
        """
        if not objects:
            return False
        answer = self._ask("POST", f"collections/{to}/objects/", json={"objects": objects})
        with self._book.lock:
            self._book.posts += 1
            if answer is not None and answer.status_code == 202:
                self._note_acknowledgement(answer.json()["id"], to, objects)
            else:
                self._doubt(objects, answer, (503, 429))
        if answer is None or answer.status_code != 202:
            time.sleep(0.5 if answer is not None and answer.status_code == 429 else 0)
            return False
        return bool(answer.json()["status"] == "complete")

    def _note_acknowledgement(self, status: str, to: str, objects: list[Object]) -> None:
        self._book.statuses.append(status)
        if to == "scratch":
            self._book.stored |= {(each["id"], each["modified"]) for each in objects}
        else:
            self._book.wanted.update((each["pattern"], _number(each)) for each in objects)

    def _doubt(
        self, objects: list[Object], answer: requests.Response | None, fine: tuple[int, ...]
    ) -> None:
        self._book.doubtful |= {each["id"] for each in objects}
        if answer is not None and answer.status_code not in fine:
            response = f"{answer.request.method}: {answer.status_code} {answer.text[:200]}"
            self._book.strange.append(response)

    def _ask(self, method: str, path: str, **more: Any) -> requests.Response | None:
        url = self._hub.url.replace("taxii2/", f"hub/{path}")
        try:
            return self._web.request(method, url, timeout=60, **more)
        except HUB_DOWN:
            time.sleep(0.1)
            return None

    def _build_indicator(self) -> Object:
        name = uuid.UUID(int=self._rng.getrandbits(128), version=4)
        subject = {
            "type": "indicator",
            "spec_version": "2.1",
            "id": f"indicator--{name}",
            "created": "2026-01-01T00:00:00.000Z",
            "valid_from": "2026-01-01T00:00:00Z",
            "pattern": f"[domain-name:value = '{name.hex}.top']",
            "pattern_type": "stix",
            "object_marking_refs": [GREEN],
        }
        return _edition(subject, 1)


def _edition(subject: Object, number: int) -> Object:
    modified = f"2026-01-01T{number // 3600:02}:{number // 60 % 60:02}:{number % 60:02}.000Z"
    return {**subject, "modified": modified, "description": f"Edition {number}"}


def _number(subject: Object) -> int:
    """Return the edition number of an object."""
    return int(subject["description"].split()[1])
