"""Cost of one indicator and of one page: modules and functions that run, database commands.

    python bench/path.py [--commands] [--modules]

Starts a hub in this process, on the embedded engine or on the MongoDB that
$TOCSIN_TEST_MONGO names, and lets a partner post three indicators and poll two
pages, so that caches are filled as in a hub that has run for a while.  Then it
counts what runs between a fourth POST and its answer, when the submission is
complete, and what runs for one page of 100 objects.

A module counts if any of its functions runs; a function counts once.  With
`--commands` every database command is listed in order, with `--modules` every
module with its functions.
"""

import argparse
import base64
import contextlib
import hashlib
import json
import os
import sys
import tempfile
import uuid
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from types import CodeType, FrameType
from typing import Any

from flask.testing import FlaskClient
from pymongo import monitoring

from tocsin.config.settings import HubSettings
from tocsin.server.app import create_app
from tocsin.server.model import Account, Partner
from tocsin.server.serving import open_serving_runtime

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = ("admission/", "server/", "config/")
MEDIA_TYPE = "application/taxii+json;version=2.1"
GREEN = "marking-definition--bab4a63c-aed9-4cf5-a766-dfca5abac2bb"
KEY = "acme"
BOOKKEEPING = ("commitTransaction", "abortTransaction", "endSessions", "hello", "isMaster", "ping")
"""Commands that read and write nothing: counted apart."""


@dataclass
class Commands(monitoring.CommandListener):
    """Records the commands sent while it is on: name and document."""

    on: bool = False
    sent: list[tuple[str, dict[str, Any]]] = field(default_factory=list)

    def started(self, event: monitoring.CommandStartedEvent) -> None:
        """Record the command."""
        if self.on:
            self.sent.append((event.command_name, dict(event.command)))

    def succeeded(self, event: monitoring.CommandSucceededEvent) -> None:
        """Ignore the answer."""

    def failed(self, event: monitoring.CommandFailedEvent) -> None:
        """Ignore the failure, which pymongo raises where the command was sent."""


COMMANDS = Commands()


@dataclass
class Trace:
    """The functions of this project that ran, by module."""

    seen: set[CodeType] = field(default_factory=set)

    def __call__(self, frame: FrameType, event: str, argument: object) -> None:
        """Record the function; called by `sys.setprofile`."""
        if event == "call":
            self.seen.add(frame.f_code)

    def by_module(self) -> dict[str, list[str]]:
        """Return the functions' names by path, without code that runs when a module is imported."""
        found: dict[str, list[str]] = {}
        for code in self.seen:
            path = Path(code.co_filename).resolve()
            if code.co_name != "<module>" and path.is_relative_to(ROOT):
                name = path.relative_to(ROOT).as_posix()
                if name.startswith(PACKAGES):
                    found.setdefault(name, []).append(code.co_qualname)
        return {name: sorted(found[name]) for name in sorted(found)}


@dataclass
class Cost:
    """Modules, functions and commands of one request."""

    modules: dict[str, list[str]]
    commands: list[tuple[str, dict[str, Any]]]

    def as_json(self) -> dict[str, Any]:
        """Return the figures to print."""
        working = [each for each in self.commands if each[0] not in BOOKKEEPING]
        return {
            "modules": len(self.modules),
            "functions": sum(map(len, self.modules.values())),
            "commands": len(working),
            "bookkeeping": dict(Counter(n for n, _ in self.commands if n in BOOKKEEPING)),
            "by_name": dict(Counter(name for name, _ in working).most_common()),
        }


def measure_request(request: Callable[[], Any]) -> Cost:
    """Measure a request."""
    trace = Trace()
    COMMANDS.sent, COMMANDS.on = [], True
    sys.setprofile(trace)
    try:
        request()
    finally:
        sys.setprofile(None)
        COMMANDS.on = False
    return Cost(trace.by_module(), COMMANDS.sent)


@contextlib.contextmanager
def client() -> Iterator[FlaskClient]:
    """Open a hub without a socket, with one partner whose account reads and writes."""
    with tempfile.TemporaryDirectory() as folder:
        uri = os.environ.get("TOCSIN_TEST_MONGO", "")
        name = f"path_{uuid.uuid4().hex[:8]}"
        settings = HubSettings(data=Path(folder), mongo_uri=uri, database=name)
        with open_serving_runtime(settings, lambda text: None) as hub:
            store = hub.services.store
            ids = {each.alias: each.id for each in store.feeds.collections()}
            reads = frozenset(ids[alias] for alias in ("clear", "green", "amber"))
            store.accounts.add_partner(Partner("acme", "ACME Corporation", terms=("acme.example",)))
            store.accounts.add_account(Account("acme", "acme", reads, frozenset({ids["inbox"]})))
            store.accounts.add_key("acme", hashlib.sha256(KEY.encode()).hexdigest())
            yield create_app(hub.services, hub.secrets, settings).test_client()


def send(client: FlaskClient, path: str, body: bytes | None = None) -> dict[str, Any]:
    """Send a request below the API root; POST if there is a body."""
    token = base64.b64encode(f"acme:{KEY}".encode()).decode()
    headers = {"Accept": MEDIA_TYPE, "Content-Type": MEDIA_TYPE, "Authorization": f"Basic {token}"}
    method = "GET" if body is None else "POST"
    answer = client.open(f"/hub/{path}", method=method, headers=headers, data=body)
    if answer.status_code not in (200, 202):
        raise SystemExit(f"{method} {path}: {answer.status_code} {answer.text}")
    return dict(answer.json or {})


def indicator(value: str) -> bytes:
    """Create an envelope with one indicator."""
    subject = {
        "type": "indicator",
        "spec_version": "2.1",
        "id": f"indicator--{uuid.uuid4()}",
        "created": "2026-01-01T00:00:00.000Z",
        "modified": "2026-01-01T00:00:00.000Z",
        "pattern": f"[domain-name:value = '{value}']",
        "pattern_type": "stix",
        "valid_from": "2026-01-01T00:00:00Z",
        "object_marking_refs": [GREEN],
    }
    return json.dumps({"objects": [subject]}).encode()


def measure() -> dict[str, Cost]:
    """Submit one indicator and poll one page in a hub with warm caches."""
    monitoring.register(COMMANDS)
    inbox, page = "collections/inbox/objects/", "collections/green/objects/?limit=100"
    with client() as hub:
        for number in range(3):
            send(hub, inbox, indicator(f"evil-{number}.top"))
        for _ in range(2):
            send(hub, page)
        status: dict[str, Any] = {}
        body = indicator("evil-portal.top")
        posted = measure_request(lambda: status.update(send(hub, inbox, body)))
        if status.get("status") != "complete":
            raise SystemExit(f"the submission is not complete: {status}")
        polled = measure_request(lambda: send(hub, page))
    return {"one indicator": posted, "one page": polled}


def format_command(command: dict[str, Any]) -> str:
    """Format a command as one line: name, collection and criteria."""
    name, where = next(iter(command.items()))
    for key in ("filter", "updates", "documents", "deletes", "query"):
        if key in command:
            text = repr(command[key])
            return f"{name} {where} {text[:140]}"
    return f"{name} {where}"


def main() -> None:
    """Measure both requests and print the figures."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--commands", action="store_true", help="list every database command")
    parser.add_argument("--modules", action="store_true", help="list every module and function")
    chosen = parser.parse_args()
    for name, found in measure().items():
        print(name, json.dumps(found.as_json()))
        if chosen.commands:
            for _, command in found.commands:
                print("   ", format_command(command))
        if chosen.modules:
            for module, functions in found.modules.items():
                print("   ", module, len(functions), ", ".join(functions))


if __name__ == "__main__":
    main()
