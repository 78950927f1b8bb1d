"""A whole hub on a real socket, and schemathesis that tries its own description on it.

No check of schemathesis' is switched off.  Two kinds of complaint are no
faults of the hub; `_is_fault` knows them by what was answered.
"""

from __future__ import annotations

import copy
import gzip
import json
import threading
import zlib
from collections import Counter
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import flask
import requests
import schemathesis
from schemathesis.config import SchemathesisConfig
from schemathesis.core.failures import AcceptedNegativeData, Failure
from schemathesis.engine import events, from_schema
from schemathesis.engine.recorder import ScenarioRecorder
from schemathesis.openapi.checks import RejectedPositiveData
from support.examples import examples
from support.hub import HUB_SECRETS, HubInProcess, indicator
from support.taxii_hub import basic

from tocsin.config import HubSettings
from tocsin.server.app import create_app
from tocsin.server.http.server import ListenAddress, build_server

EXAMPLES = examples(8, 2)
"""For each method of each path and each way of trying it; the files' own time grows with it."""
_SEED = 20261125
_OPEN = ("StixObject", "NewObjects")
"""Schemas of what others write, which may have any property."""

Document = dict[str, Any]
Wsgi = Callable[[dict[str, Any], Any], Any]


@dataclass
class Trial:
    """What came of a run."""

    answers: Counter[str] = field(default_factory=Counter)
    """Requests by method and status."""
    checks: Counter[str] = field(default_factory=Counter)
    """How often each check was made."""
    complaints: list[str] = field(default_factory=list)

    def told(self) -> str:
        """The figures in a line."""
        answers = ", ".join(f"{name}: {count}" for name, count in sorted(self.answers.items()))
        return f"{self.answers.total()} requests, {self.checks.total()} checks; {answers}"


def fill(hub: HubInProcess) -> HubInProcess:
    """The hub with objects in its feed and in its verbatim collection, one in two versions."""
    hub.push(*(indicator(f"bad{n}.top") for n in range(30)))
    again = indicator("worse.top", seed="again")
    hub.push(*(indicator(f"bad{n}.top") for n in range(5)), again, to="scratch")
    hub.push(again | {"modified": "2026-02-01T00:00:00.000Z"}, to="scratch")
    return hub


def build_app(hub: HubInProcess, **chosen: Any) -> flask.Flask:
    """The hub's application, which answers at once whoever wishes to wait."""
    stopping = threading.Event()
    stopping.set()
    settings = {"requests_per_minute": 0, "max_content_length": 64 * 1024} | chosen
    return create_app(hub.services, HUB_SECRETS, HubSettings(**settings), stopping)


@contextmanager
def serving(app: Wsgi) -> Iterator[str]:
    """The application behind the hub's own HTTP server; its URL."""
    server = build_server(ListenAddress("127.0.0.1", 0, 4), app)
    server.prepare()
    thread = threading.Thread(target=server.serve, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.bind_addr[1]}"
    finally:
        server.stop()
        thread.join(30)


def run_trial(
    url: str, examples: int = EXAMPLES, only: Collection[str] = (), *, first: bool = False
) -> Trial:
    """The hub's description tried on the hub; `only` some operations, or all of it.

    `first`: no further than to the first complaint.

    Every phase of schemathesis': the examples, the corners of each schema, random data that
    is right and random data that is wrong, and the links from one operation to the next.
    """
    document = forbid_unknown_properties(requests.get(f"{url}/openapi.json", timeout=60).json())
    schema = schemathesis.openapi.from_dict(document, config=_config(url, examples, first))
    schema.hook("filter_failure")(_is_fault)
    schema.hook("map_path_parameters")(_mostly_writable)
    chosen = schema.include(operation_id=list(only)) if only else schema
    trial = Trial()
    for event in from_schema(chosen).execute():
        if isinstance(event, events.ScenarioFinished):
            _note(trial, event.recorder)
        elif isinstance(event, events.NonFatalError | events.FatalError):
            trial.complaints.append(repr(event))
    return trial


def answers(url: str, path: str, method: str, times: int) -> list[int]:
    """The statuses of one request, made so many times, each answer held against its description.

    Raises if one is not as described.  Nothing is asked again after 429, as `tried` would.
    """
    document = forbid_unknown_properties(requests.get(f"{url}/openapi.json", timeout=60).json())
    schema = schemathesis.openapi.from_dict(document, config=_config(url, 1, first=False))
    case = schema[path][method].Case(headers={"Authorization": basic("acme", "acme")})
    made = [case.call(base_url=url) for _ in range(times)]
    for each in made:
        case.validate_response(each)
    return [each.status_code for each in made]


def forbid_unknown_properties(document: Document) -> Document:
    """The description without room for properties that it does not name."""
    told = copy.deepcopy(document)
    for name, schema in told["components"]["schemas"].items():
        if "properties" in schema and name not in _OPEN:
            schema["additionalProperties"] = False
    return told


def _config(url: str, examples: int, first: bool) -> SchemathesisConfig:
    return SchemathesisConfig.from_dict(
        {
            "seed": _SEED,
            **({"max-failures": 1} if first else {}),
            "base-url": url,
            "auth": {"openapi": {"basic": {"username": "acme", "password": "acme"}}},
            "generation": {
                "max-examples": examples,
                "deterministic": True,
                "database": "none",
                "no-shrink": True,
            },
            "operations": [
                {"include-operation-id": id, "generation": {"max-examples": 4 * examples}}
                for id in ("addObjects", "deleteObject")
            ],
        }
    )


def _note(trial: Trial, recorder: ScenarioRecorder) -> None:
    for made in recorder.interactions.values():
        status = made.response.status_code if made.response else "no answer"
        trial.answers[f"{made.request.method} {status}"] += 1
        if made.response is None:
            trial.complaints.append(f"no answer: {made.request.method} {made.request.uri}")
    for id, checks in recorder.checks.items():
        for check in checks:
            trial.checks[check.name] += 1
            if check.failure_info is not None:
                made = recorder.interactions[id]
                answer = made.response.content[:300] if made.response else b""
                trial.complaints.append(
                    f"{check.name}: {made.request.method} {made.request.uri} "
                    f"{check.failure_info.failure} {answer!r}"
                )


def _is_fault(context: object, failure: Failure, case: Any, response: Any) -> bool:
    """False for what TAXII wants and a schema cannot say.

    A cursor is opaque, so one that fits the schema may still be no cursor of this hub; and an
    object that is no STIX object is a failure in the status, not an error of the request.
    """
    if isinstance(failure, RejectedPositiveData) and "next" in (case.query or {}):
        return not (response.status_code == 400 and _is_about_next(response, case))
    if isinstance(failure, AcceptedNegativeData) and response.status_code == 202:
        return not response.json()["failure_count"]
    return True


def _is_about_next(response: Any, case: Any) -> bool:
    return case.method == "HEAD" or str(response.json()["description"]).startswith("next:")


def _mostly_writable(
    context: object, path_parameters: dict[str, Any] | None
) -> dict[str, Any] | None:
    """Three of four times the collection that can be read, written and deleted from."""
    if path_parameters is None:
        return None
    name = path_parameters.get("collection")
    if isinstance(name, str) and zlib.crc32(repr(sorted(path_parameters.items())).encode()) % 4:
        return path_parameters | {"collection": "scratch"}
    return path_parameters


@schemathesis.serializer("application/json")
def _packed(context: Any, value: object) -> bytes:
    """The body, in gzip where the headers say so; schemathesis asks here for all JSON."""
    octets = value if isinstance(value, bytes) else json.dumps(value).encode()
    named = {name.lower(): told for name, told in (context.case.headers or {}).items()}
    return gzip.compress(octets, mtime=0) if named.get("content-encoding") == "gzip" else octets
