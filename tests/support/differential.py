"""Sends the same requests to medallion 3.0.0 and to the hub, over the same data.

Both run in this process as WSGI applications.  The hub assigns new dates, so
each date in its responses is replaced by medallion's date of the same entry,
and in requests the other way round.
"""

from __future__ import annotations

import base64
import json
import re
import uuid
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from medallion.backends.memory_backend import MemoryBackend
from support.differential_questions import EMPTY, FULL, PAGE, READ, WRITE, Question, data
from support.medallion_files import ImportTarget, day, write_data_file
from support.taxii_servers import KEY, MEDIA_TYPE, medallion_app
from werkzeug.test import TestResponse

from tocsin.admission.timestamps import timestamp
from tocsin.config.settings import HubSettings
from tocsin.server.app import create_app
from tocsin.server.cli.partner import add_partner
from tocsin.server.model import Partner

ROOTS = {"theirs": "/trust/", "ours": "/hub/"}


@dataclass(frozen=True)
class Difference:
    """One aspect in which the two responses to a request differ."""

    question: Question
    aspect: str
    theirs: Any
    ours: Any
    answer: Answer
    """medallion's last response."""

    @property
    def status(self) -> tuple[int, int] | None:
        """The last status codes of medallion and the hub, if these differ."""
        return (self.theirs[-1], self.ours[-1]) if self.aspect == "status" else None

    @property
    def apart(self) -> set[str]:
        """The ids of the entries that only one of the two returned."""
        lists = (Counter(items or []) for items in (self.theirs, self.ours))
        one, other = lists
        only = (one - other) + (other - one)
        return {json.loads(item)["id"] for item in only}


@dataclass(frozen=True)
class Allowed:
    """An intended difference."""

    name: str
    reason: str
    aspects: frozenset[str]
    when: Callable[[Difference], bool]


@dataclass
class Report:
    """The result of a run."""

    asked: int = 0
    answers: int = 0
    allowed: dict[str, int] = field(default_factory=dict)
    unexpected: list[Difference] = field(default_factory=list)


class Pair:
    """medallion, and a hub that imported its data."""

    def __init__(self, home: ImportTarget, folder: Path) -> None:
        file = write_data_file(folder, *data())
        content = json.loads(file.read_text())
        content["/discovery"] |= {"title": "Peer", "default": "/trust/", "api_roots": ["/trust/"]}
        content["trust"]["information"] |= {"title": "Peer", "versions": [MEDIA_TYPE]}
        file.write_text(json.dumps(content))
        home.run_import(file)
        slug = f"peer-{uuid.uuid4().hex[:8]}"
        may = [FULL, READ, EMPTY], [FULL, WRITE, EMPTY]  # CLOSED: neither
        key = add_partner(home.hub, Partner(slug, "Peer"), *may)["key"]
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
        ours = create_app(home.hub.services, home.hub.secrets, settings)
        self.apps = {"theirs": theirs, "ours": ours}
        self.keys = {"theirs": KEY, "ours": f"{slug}:{key}"}
        self.answers = 0
        self.dates: dict[str, str] = {}
        self.full: set[str] = set()
        """The hub's dates in the collection FULL."""
        self.map_dates()

    def map_dates(self) -> None:
        """Map the hub's dates to medallion's."""
        for collection in self.backend.data["trust"]["collections"]:
            self.home.feed = collection["id"]
            entries = [(e.id, e.version, timestamp(e.stamp)) for e in self.home.entries()]
            versions = {(id, version): stamp for id, version, stamp in entries}
            versions |= {(id, ""): stamp for id, version, stamp in entries if version == stamp}
            for each in collection["manifest"]:
                own = each["version"] == each["date_added"]
                stamp = versions.get((each["id"], "" if own else each["version"]))
                if stamp:
                    self.dates[stamp] = each["date_added"]
            if collection["id"] == FULL:
                self.full = {stamp for _, _, stamp in entries if stamp in self.dates}

    def ask(self, side: str, question: Question, more: dict[str, str]) -> Answer:
        """Send a request to one side and return the response."""
        root = ROOTS[side]
        path = question.path if question.path.startswith("/") else root + question.path
        query = [(name, self._replace_date(side, value)) for name, value in question.query]
        key = base64.b64encode(self.keys[side].encode()).decode()
        headers = {"Accept": MEDIA_TYPE, "Authorization": f"Basic {key}"}
        headers |= {"Content-Type": MEDIA_TYPE} if question.body is not None else {}
        headers |= dict(question.headers)  # type: ignore[arg-type]  # None leaves one out
        with self.apps[side].test_client() as client:
            answer = client.open(
                path.replace("/ROOT/", root),
                method=question.method,
                query_string=[pair for pair in query if pair[0] not in more] + [*more.items()],
                headers={name: value for name, value in headers.items() if value is not None},
                data=question.body,
            )
        return Answer(answer, self.dates if side == "ours" else {})

    def _replace_date(self, side: str, value: str) -> str:
        """Replace `{date N}` by a side's date; for the hub, by the last of several equal ones."""
        found = re.fullmatch(r"\{date (\d+)\}", value)
        if not found:
            return value
        date = day(int(found[1]))
        if side == "theirs":
            return date
        return max(stamp for stamp in self.full if self.dates[stamp] <= date)

    def differences(self, question: Question) -> Iterator[Difference]:
        """Yield all aspects that differ, over all pages of a walk."""
        walks = [self.walk(side, question) for side in ROOTS]
        self.answers += sum(map(len, walks))
        theirs, ours = (merge_pages(walk) for walk in walks)
        for aspect in _aspects_to_compare(theirs, ours):
            one, other = theirs.get(aspect), ours.get(aspect)
            if one != other:
                yield Difference(question, aspect, one, other, walks[0][-1])
        if question.method != "GET":
            self.map_dates()
        if question.method == "POST" and theirs["status"] == ours["status"] == [202]:
            yield from self._compare_statuses(walks)

    def _compare_statuses(self, walks: Sequence[Sequence[Answer]]) -> Iterator[Difference]:
        """Request each status once more from its own server, and compare it with the first one."""
        for side, walk in zip(ROOTS, walks, strict=True):
            question = Question(f"status/{walk[0].json['id']}/")
            first, later = walk[0].aspects, self.ask(side, question, {}).aspects
            for aspect in sorted({*first, *later} - {"status"}):
                if first.get(aspect) != later.get(aspect):
                    yield Difference(
                        question, aspect, first.get(aspect), later.get(aspect), walk[0]
                    )

    def walk(self, side: str, question: Question) -> list[Answer]:
        """Return the responses to a request, page by page."""
        answers = [self.ask(side, question, {})]
        while question.walk and len(answers) < _MOST_PAGES:
            latest = answers[-1]
            if question.walk == "added_after":
                more = {"added_after": latest.last} if latest.last else {}
            else:
                more = {"next": latest.next} if latest.next else {}
            if not more or latest.status >= 400 or "objects" not in latest.aspects:
                break
            answers.append(self.ask(side, question, more))
            if question.walk == "twice":
                answers.append(self.ask(side, question, more))
                break
        return answers


def merge_pages(walk: Sequence[Answer]) -> dict[str, Any]:
    """Merge a walk into one response: all entries, and a list of each page's other aspects."""
    found: dict[str, Any] = {"status": [answer.status for answer in walk]}
    for name in sorted({name for answer in walk for name in answer.aspects} - {"status"}):
        values = [answer.aspects.get(name) for answer in walk]
        if name.removeprefix("order of ") in _LISTS:
            found[name] = [item for items in values for item in items or []]
        else:
            found[name] = values[0] if len(values) == 1 else values
    for name in _LISTS & found.keys():
        found[name] = sorted(found[name])
    return found


_LISTS = {"objects", "versions", "collections"}
_MOST_PAGES = 60


def _aspects_to_compare(theirs: dict[str, Any], ours: dict[str, Any]) -> list[str]:
    """Return the aspects to compare; only the first if the statuses or the entries differ."""
    statuses = theirs["status"], ours["status"]
    if any(statuses[0][at] != statuses[1][at] for at in (0, -1)):
        return ["status"]
    for name in sorted(_LISTS):
        if theirs.get(name, []) != ours.get(name, []):
            return [name]
    return sorted({*theirs, *ours})


class Answer:
    """A response as aspects that can be compared."""

    def __init__(self, answer: TestResponse, dates: dict[str, str]) -> None:
        self.status = answer.status_code
        text = answer.get_data(as_text=True)
        headers = {name: answer.headers.get(name) for name in _DATES}
        if dates:
            pattern = re.compile("|".join(map(re.escape, dates)))
            text = pattern.sub(lambda found: dates[found[0]], text)
            text = text.replace(f'"{ROOTS["ours"]}"', f'"{ROOTS["theirs"]}"')
            headers = {name: dates.get(value or "", value) for name, value in headers.items()}
        self.json = _json(text)
        whole = self.json if isinstance(self.json, dict) else {}
        self.next = whole.get("next")
        self.last = answer.headers.get("X-TAXII-Date-Added-Last")
        self.aspects: dict[str, Any] = {
            "status": self.status,
            "type": answer.content_type,
            **headers,
        }
        if self.status >= 400:
            self.aspects["error"] = sorted(whole.keys() & {"title", "http_status"})
            self.aspects["challenge"] = "WWW-Authenticate" in answer.headers
        elif answer.request.method == "HEAD" or not text:
            self.aspects["body"] = text
        else:
            self.aspects |= _resource_aspects(whole)


_DATES = ("X-TAXII-Date-Added-First", "X-TAXII-Date-Added-Last")


def _json(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return None


def _resource_aspects(whole: dict[str, Any]) -> dict[str, Any]:
    """Return the aspects of a resource: its entries, their order, and each other property."""
    names = (
        ("objects", "collections") if "title" in whole else ("objects", "versions", "collections")
    )
    lists = {name: whole.get(name) for name in names}
    found: dict[str, Any] = {}
    for name, items in lists.items():
        if items is not None:
            found[name] = found[f"order of {name}"] = list(map(_canonical_json, items))
    found["next"] = bool(whole.get("next"))
    for name in whole.keys() - {*lists, "next"} - (_UNSTEADY if "status" in whole else set()):
        found[name] = whole[name]
    for name in _DETAILS & whole.keys():
        found[name] = [(each["id"], each["version"]) for each in whole[name]]
    return found


_UNSTEADY = {"id", "request_timestamp"}
_DETAILS = {"successes", "failures", "pendings"}


def _canonical_json(value: Any) -> str:
    return json.dumps(value, sort_keys=True)


def compare(pair: Pair, questions: Iterable[Question], allowed: Iterable[Allowed]) -> Report:
    """Send every request; sort the differences into allowed and unexpected ones."""
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
    report.answers = pair.answers
    return report
