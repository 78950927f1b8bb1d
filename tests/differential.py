"""The same requests to medallion 3.0.0 and to the hub, over the same data.

Both are asked in this process, through their whole WSGI applications.  The
hub's dates are new; so in its answers each is put back to the date that the
same entry has at medallion, and in questions the other way round.
"""

from __future__ import annotations

import base64
import json
import random
import re
import uuid
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from itertools import product
from pathlib import Path
from typing import Any

from medallion.backends.memory_backend import MemoryBackend
from medallion_files import Home, collection, day, threat, written
from taxii_peers import KEY, MEDIA_TYPE, medallion_app
from werkzeug.test import TestResponse

from tocsin.admission.timestamps import timestamp
from tocsin.config import HubSettings
from tocsin.server import desk
from tocsin.server.app import create_app
from tocsin.server.model import Partner

PAGE = 20
"""The most that either gives at once."""
FULL, READ, WRITE, CLOSED, EMPTY = (str(uuid.UUID(int=n, version=4)) for n in range(1, 6))
ROOTS = {"theirs": "/trust/", "ours": "/hub/"}
SCO = {"type": "ipv4-addr", "id": f"ipv4-addr--{uuid.UUID(int=1, version=4)}", "value": "192.0.2.1"}
OLD = {**threat(50), "type": "tool", "id": f"tool--{uuid.UUID(int=50, version=4)}"}
OLD.pop("spec_version")
UNKNOWN = f"malware--{uuid.UUID(int=999, version=4)}"


@dataclass(frozen=True)
class Question:
    """One request, or one walk of several pages."""

    path: str
    """Below the API root; `/` first: from the top."""
    query: tuple[tuple[str, str], ...] = ()
    """`{date N}` stands for the N-th date of the data."""
    headers: tuple[tuple[str, str | None], ...] = ()
    method: str = "GET"
    body: bytes | None = None
    pages: int = 1

    def given(self, name: str) -> str | None:
        """A parameter's first value."""
        return dict(reversed(self.query)).get(name)

    def header(self, name: str) -> str | None:
        """A header that is not the usual one."""
        return dict(self.headers).get(name)


@dataclass(frozen=True)
class Difference:
    """One aspect in which the answers to a question are not the same."""

    question: Question
    aspect: str
    theirs: Any
    ours: Any
    answer: Answer
    """medallion's."""
    page: int

    @property
    def status(self) -> tuple[int, int] | None:
        """(medallion's, the hub's), if that is what differs."""
        return (self.theirs, self.ours) if self.aspect == "status" else None


@dataclass(frozen=True)
class Allowed:
    """A difference that is meant."""

    name: str
    reason: str
    aspects: frozenset[str]
    when: Callable[[Difference], bool]


@dataclass
class Report:
    """What a run found."""

    asked: int = 0
    answers: int = 0
    allowed: dict[str, int] = field(default_factory=dict)
    unexpected: list[Difference] = field(default_factory=list)


def data() -> list[dict[str, Any]]:
    """Collections with ties, versions, observables, and objects of STIX 2.0."""
    added = [(day(1 + number // 6), threat(number)) for number in range(24)]
    added += [(day(6), threat(3, 4)), (day(7), threat(4, 3)), (day(8), threat(3, 2))]
    added += [(day(8), {**SCO, "_date_added": day(8)}), (day(9), OLD)]
    added += [(day(10), {**OLD, "modified": "2019-01-09T00:00:00.000Z"})]
    added += [(day(11), {**OLD, "spec_version": "2.1", "modified": "2019-01-05T00:00:00.000Z"})]
    few = [(day(2), threat(100 + number)) for number in range(3)]
    return [
        collection(*added, id=FULL, title="Full", can_write=True, description="All sorts"),
        collection(*few, id=READ, title="Read"),
        collection(*few, id=WRITE, title="Write", can_read=False, can_write=True),
        collection(*few, id=CLOSED, title="Closed", can_read=False),
        collection(id=EMPTY, title="Empty", can_write=True),
    ]


class Pair:
    """medallion and a hub that took its data over."""

    def __init__(self, home: Home, folder: Path) -> None:
        file = written(folder, *data())
        told = json.loads(file.read_text())
        told["/discovery"] |= {"title": "Peer", "default": "/trust/", "api_roots": ["/trust/"]}
        told["trust"]["information"] |= {"title": "Peer", "versions": [MEDIA_TYPE]}
        file.write_text(json.dumps(told))
        home.take(file)
        slug = f"peer-{uuid.uuid4().hex[:8]}"
        may = [FULL, READ, EMPTY], [FULL, WRITE, EMPTY]
        key = desk.add_partner(home.hub, Partner(slug, "Peer"), *may)["key"]
        settings = HubSettings(
            data=home.hub.settings.data,
            title="Peer",
            page_default=PAGE,
            page_cap=PAGE,
            requests_per_minute=0,
            max_content_length=9000,
        )
        self.home = home
        self.backend = MemoryBackend(filename=str(file), check_interval=3600)
        theirs = medallion_app(self.backend, PAGE)
        theirs.logger.disabled = True
        self.apps = {"theirs": theirs, "ours": create_app(home.hub.parts, home.hub.seal, settings)}
        self.keys = {"theirs": KEY, "ours": f"{slug}:{key}"}
        self.dates: dict[str, str] = {}
        self.learn()

    def learn(self) -> None:
        """Which date of the hub's is which of medallion's."""
        for told in self.backend.data["trust"]["collections"]:
            self.home.feed = told["id"]
            entries = [(e.id, e.version, timestamp(e.stamp)) for e in self.home.entries()]
            versions = {(id, version): stamp for id, version, stamp in entries}
            versions |= {(id, ""): stamp for id, version, stamp in entries if version == stamp}
            for each in told["manifest"]:
                own = each["version"] == each["date_added"]
                stamp = versions.get((each["id"], "" if own else each["version"]))
                if stamp:
                    self.dates[stamp] = each["date_added"]

    def ask(self, side: str, question: Question, next: str | None) -> Answer:
        """One answer of one side."""
        root = ROOTS[side]
        path = question.path if question.path.startswith("/") else root + question.path
        query = [(name, self._dated(side, value)) for name, value in question.query]
        key = base64.b64encode(self.keys[side].encode()).decode()
        headers = {"Accept": MEDIA_TYPE, "Authorization": f"Basic {key}"}
        headers |= {"Content-Type": MEDIA_TYPE} if question.body is not None else {}
        headers |= dict(question.headers)
        with self.apps[side].test_client() as client:
            answer = client.open(
                path.replace("/ROOT/", root),
                method=question.method,
                query_string=query + ([("next", next)] if next else []),
                headers={name: value for name, value in headers.items() if value is not None},
                data=question.body,
            )
        return Answer(answer, self.dates if side == "ours" else {})

    def _dated(self, side: str, value: str) -> str:
        """`{date N}` in a side's own dates: for the hub, the last of those that are equal there."""
        found = re.fullmatch(r"\{date (\d+)\}", value)
        if not found:
            return value
        date = day(int(found[1]))
        if side == "theirs":
            return date
        self.home.feed = FULL
        stamps = [timestamp(entry.stamp) for entry in self.home.entries()]
        return [stamp for stamp in stamps if self.dates.get(stamp, "9") <= date][-1]

    def differences(self, question: Question) -> Iterator[Difference]:
        """All aspects that differ, page by page."""
        nexts: dict[str, str | None] = {"theirs": None, "ours": None}
        for page in range(1, question.pages + 1):
            theirs, ours = (self.ask(side, question, nexts[side]) for side in ROOTS)
            for aspect in _compared(theirs, ours):
                one, other = theirs.aspects.get(aspect), ours.aspects.get(aspect)
                if one != other:
                    yield Difference(question, aspect, one, other, theirs, page)
            nexts = {"theirs": theirs.next, "ours": ours.next}
            if not all(nexts.values()):
                return
        if question.method != "GET":
            self.learn()


def _compared(theirs: Answer, ours: Answer) -> list[str]:
    """What is worth comparing: where one says yes and one says no, nothing else."""
    if theirs.status != ours.status:
        return ["status"]
    return sorted({*theirs.aspects, *ours.aspects})


class Answer:
    """An answer in aspects that can be compared."""

    def __init__(self, answer: TestResponse, dates: dict[str, str]) -> None:
        self.status = answer.status_code
        text = answer.get_data(as_text=True)
        told = {name: answer.headers.get(name) for name in _DATES}
        if dates:
            pattern = re.compile("|".join(map(re.escape, dates)))
            text = pattern.sub(lambda found: dates[found[0]], text)
            text = text.replace(f'"{ROOTS["ours"]}"', f'"{ROOTS["theirs"]}"')
            told = {name: dates.get(value or "", value) for name, value in told.items()}
        self.json = _json(text)
        whole = self.json if isinstance(self.json, dict) else {}
        self.next = whole.get("next")
        self.aspects: dict[str, Any] = {"status": self.status, "type": answer.content_type, **told}
        if self.status >= 400:
            self.aspects["error"] = sorted(whole.keys() & {"title", "http_status"})
            self.aspects["challenge"] = "WWW-Authenticate" in answer.headers
        elif answer.request.method == "HEAD" or not text:
            self.aspects["body"] = text
        else:
            self.aspects |= _resource(whole)


_DATES = ("X-TAXII-Date-Added-First", "X-TAXII-Date-Added-Last")


def _json(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return None


def _resource(whole: dict[str, Any]) -> dict[str, Any]:
    """A resource: which entries, in which order, each as it is; and all that is beside them."""
    names = (
        ("objects", "collections") if "title" in whole else ("objects", "versions", "collections")
    )
    lists = {name: whole.get(name) for name in names}
    found: dict[str, Any] = {}
    for name, items in lists.items():
        if items is not None:
            found[name] = sorted(map(_spelt, items))
            found[f"order of {name}"] = list(map(_spelt, items))
    found["next"] = bool(whole.get("next"))
    unsteady = (
        {*lists, "next", "id", "request_timestamp"} if "status" in whole else {*lists, "next"}
    )
    for name, value in whole.items():
        if name not in unsteady:
            found[name] = value
    return found


def _spelt(value: Any) -> str:
    return json.dumps(value, sort_keys=True)


def compare(pair: Pair, questions: Iterable[Question], allowed: Iterable[Allowed]) -> Report:
    """Ask everything; each difference is either meant or unexpected."""
    report = Report(allowed={rule.name: 0 for rule in allowed})
    for question in questions:
        report.asked += 1
        for difference in pair.differences(question):
            for rule in allowed:
                if difference.aspect in rule.aspects and rule.when(difference):
                    report.allowed[rule.name] += 1
                    break
            else:
                report.unexpected.append(difference)
    return report


OBJECTS = f"collections/{FULL}/objects/"
MANIFEST = f"collections/{FULL}/manifest/"
ONE = f"{OBJECTS}{threat(3)['id']}/"
VERSIONS = f"{ONE}versions/"
PLACES = (
    *("/taxii2/", "", "collections/", "status/nosuch/", f"status/{READ}/"),
    *(f"collections/{id}/" for id in (FULL, READ, WRITE, CLOSED, EMPTY, UNKNOWN)),
    *(f"collections/{id}/objects/" for id in (FULL, READ, WRITE, CLOSED, EMPTY, UNKNOWN)),
    *(f"collections/{id}/manifest/" for id in (FULL, READ, WRITE, CLOSED, EMPTY)),
    *(ONE, VERSIONS, f"{OBJECTS}{UNKNOWN}/", f"{OBJECTS}{UNKNOWN}/versions/"),
    *(f"{OBJECTS}{SCO['id']}/", f"{OBJECTS}{SCO['id']}/versions/", f"{OBJECTS}{OLD['id']}/"),
    *("/nowhere/", "/nowhere/collections/", "collections/nosuch/nowhere/"),
)
FEEDS = (OBJECTS, MANIFEST, ONE, VERSIONS, f"{OBJECTS}{OLD['id']}/")
HEADERS: tuple[tuple[str, str | None], ...] = (
    *(("Accept", "application/taxii+json"), ("Accept", "*/*"), ("Accept", None)),
    *(("Accept", "application/taxii+json; version=2.1"), ("Accept", "application/*")),
    *(("Accept", "application/taxii+json;version=2.0"), ("Accept", "text/html")),
    ("Accept", "application/taxii+json;version=2.0, application/taxii+json;version=2.1"),
    ("Accept", "application/taxii+json;version=2.1;q=0.5"),
    ("Accept", "APPLICATION/TAXII+JSON;VERSION=2.1"),
    *(("Authorization", None), ("Authorization", "Basic d3Jvbmc6d3Jvbmc=")),
)
VALUES: dict[str, tuple[str, ...]] = {
    "added_after": (
        *(f"{{date {n}}}" for n in (1, 2, 3, 5, 7, 8, 10, 11)),
        *("1999-01-01T00:00:00Z", "2999-01-01T00:00:00.000000Z"),
        *("junk", "2020-06-02T10:00:00", "2020-06-02T10:00:00.000000+00:00"),
    ),
    "limit": ("1", "2", "3", "7", "20", "21", "1000000", "0", "-1", "many", "1.5"),
    "match[id]": (
        threat(3)["id"],
        f"{threat(3)['id']},{threat(4)['id']},{OLD['id']}",
        UNKNOWN,
        SCO["id"],
    ),
    "match[type]": ("malware", "tool", "tool,ipv4-addr", "nosuch"),
    "match[version]": (
        *("last", "first", "all", "first,last", "all,last", "junk"),
        *("2019-01-02T00:00:00.000Z", "2019-01-02T00:00:00Z,last", "2001-01-01T00:00:00.000Z"),
    ),
    "match[spec_version]": ("2.0", "2.1", "2.0,2.1", "9.9"),
    "match[confidence]": ("80",),
    "other": ("1",),
}


def questions(count: int, seed: int = 1) -> list[Question]:
    """Every place, every header, every filter; then as many mixed ones as are wanted."""
    found = [Question(place) for place in PLACES]
    found += [Question(place, headers=(h,)) for place, h in product(("", OBJECTS, ONE), HEADERS)]
    found += [
        Question(place, ((name, value),))
        for place in FEEDS
        for name, values in VALUES.items()
        for value in values
    ]
    found += [Question(OBJECTS, method=method) for method in ("HEAD", "PUT", "DELETE")]
    chance = random.Random(seed)  # noqa: S311 - the same questions each time
    while len(found) < count:
        found.append(_mixed(chance))
    return found[:count] if count else found


def _mixed(chance: random.Random) -> Question:
    names = chance.sample(sorted(VALUES), chance.randint(1, 4))
    query = [(name, chance.choice(VALUES[name])) for name in names]
    if chance.random() < 0.05:
        query.append(query[0])
    paged = chance.random() < 0.5
    if paged:
        query = [pair for pair in query if pair[0] != "limit"]
        query.append(("limit", chance.choice(("1", "2", "5", "20"))))
    return Question(chance.choice(FEEDS), tuple(query), pages=8 if paged else 1)
