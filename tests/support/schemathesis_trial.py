"""Runs schemathesis with the hub's own OpenAPI description against a hub on a real socket.

All checks of schemathesis are enabled.  Two kinds of failure are not faults of
the hub; `_is_fault` recognises them by the response.
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

from tocsin.config.settings import HubSettings
from tocsin.server.app import create_app
from tocsin.server.http.server import HttpServer, ListenAddress

EXAMPLES = examples(4, 2)
"""Examples per operation and phase; the duration of the tests grows with it."""
_SEED = 20261125
_OPEN = ("StixObject", "NewObjects")
"""Schemas of objects from clients, which may have any property."""

Document = dict[str, Any]
Wsgi = Callable[[dict[str, Any], Any], Any]


@dataclass
class Trial:
    """The result of a run."""

    answers: Counter[str] = field(default_factory=Counter)
    """Requests by method and status."""
    checks: Counter[str] = field(default_factory=Counter)
    """Number of runs of each check."""
    complaints: list[str] = field(default_factory=list)

    def summary(self) -> str:
        """Return the figures as one line."""
        answers = ", ".join(f"{name}: {count}" for name, count in sorted(self.answers.items()))
        return f"{self.answers.total()} requests, {self.checks.total()} checks; {answers}"


def fill_hub(hub: HubInProcess) -> HubInProcess:
    """Push objects into the hub's feed and its verbatim collection, one of them in two versions."""
    hub.push(*(indicator(f"bad{n}.top") for n in range(30)))
    versioned = indicator("worse.top", seed="again")
    hub.push(*(indicator(f"bad{n}.top") for n in range(5)), versioned, to="scratch")
    hub.push(versioned | {"modified": "2026-02-01T00:00:00.000Z"}, to="scratch")
    return hub


def build_app(hub: HubInProcess, **chosen: Any) -> flask.Flask:
    """Build the hub's application; it answers long polls at once."""
    stopping = threading.Event()
    stopping.set()
    settings = {"requests_per_minute": 0, "max_content_length": 64 * 1024} | chosen
    return create_app(hub.services, HUB_SECRETS, HubSettings(**settings), stopping)


@contextmanager
def serve_on_socket(app: Wsgi) -> Iterator[str]:
    """Serve the application with the hub's own HTTP server; yield its URL."""
    server = HttpServer(ListenAddress("127.0.0.1", 0, 4), app)
    server.prepare()
    thread = threading.Thread(target=server.serve, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.port}"
    finally:
        server.stop()
        thread.join(30)


def run_trial(
    url: str, examples: int = EXAMPLES, only: Collection[str] = (), *, first: bool = False
) -> Trial:
    """Test the hub against its OpenAPI description; `only` these operations, or all.

    With `first` it stops at the first failure.  It runs every phase of schemathesis: the
    examples, the limits of each schema, random valid and invalid data, and the links from one
    operation to the next.
    """
    document = forbid_unknown_properties(requests.get(f"{url}/openapi.json", timeout=60).json())
    schema = schemathesis.openapi.from_dict(document, config=_config(url, examples, first))
    schema.hook("filter_failure")(_is_fault)
    schema.hook("map_path_parameters")(_mostly_writable)
    chosen = schema.include(operation_id=list(only)) if only else schema
    trial = Trial()
    for event in from_schema(chosen).execute():
        if isinstance(event, events.ScenarioFinished):
            _record_scenario(trial, event.recorder)
        elif isinstance(event, events.NonFatalError | events.FatalError):
            trial.complaints.append(repr(event))
    return trial


def request_repeatedly(url: str, path: str, method: str, times: int) -> list[int]:
    """Send a request `times` times, validate each response, and return the status codes.

    Raises if a response does not match the description.  Does not repeat a request after 429.
    """
    document = forbid_unknown_properties(requests.get(f"{url}/openapi.json", timeout=60).json())
    schema = schemathesis.openapi.from_dict(document, config=_config(url, 1, first=False))
    case = schema[path][method].Case(headers={"Authorization": basic("acme", "acme")})
    responses = [case.call(base_url=url) for _ in range(times)]
    for each in responses:
        case.validate_response(each)
    return [each.status_code for each in responses]


def forbid_unknown_properties(document: Document) -> Document:
    """Return the description with unknown properties forbidden."""
    strict = copy.deepcopy(document)
    for name, schema in strict["components"]["schemas"].items():
        if "properties" in schema and name not in _OPEN:
            schema["additionalProperties"] = False
    return strict


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


def _record_scenario(trial: Trial, recorder: ScenarioRecorder) -> None:
    for exchange in recorder.interactions.values():
        status = exchange.response.status_code if exchange.response else "no answer"
        trial.answers[f"{exchange.request.method} {status}"] += 1
        if exchange.response is None:
            trial.complaints.append(f"no answer: {exchange.request.method} {exchange.request.uri}")
    for id, checks in recorder.checks.items():
        for check in checks:
            trial.checks[check.name] += 1
            if check.failure_info is not None:
                exchange = recorder.interactions[id]
                answer = exchange.response.content[:300] if exchange.response else b""
                trial.complaints.append(
                    f"{check.name}: {exchange.request.method} {exchange.request.uri} "
                    f"{check.failure_info.failure} {answer!r}"
                )


def _is_fault(context: object, failure: Failure, case: Any, response: Any) -> bool:
    """False for TAXII behaviour that a schema cannot express.

    A page token is opaque, so a valid string may still not be a page token of this hub; and an
    invalid STIX object is a failure in the status, not an error of the request.
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
    """Use the readable and writable collection in three of four requests."""
    if path_parameters is None:
        return None
    name = path_parameters.get("collection")
    if isinstance(name, str) and zlib.crc32(repr(sorted(path_parameters.items())).encode()) % 4:
        return path_parameters | {"collection": "scratch"}
    return path_parameters


@schemathesis.serializer("application/json")
def _serialise_json(context: Any, value: object) -> bytes:
    """Serialise a JSON body, in gzip if the headers say so."""
    octets = value if isinstance(value, bytes) else json.dumps(value).encode()
    named = {name.lower(): value for name, value in (context.case.headers or {}).items()}
    return gzip.compress(octets, mtime=0) if named.get("content-encoding") == "gzip" else octets
