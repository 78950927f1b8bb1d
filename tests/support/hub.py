"""A complete hub in this process: real store and WSGI application, no socket."""

from __future__ import annotations

import base64
import hashlib
import json
import threading
import uuid
from collections.abc import Callable, Iterable, Sequence
from copy import copy
from dataclasses import dataclass, field, replace
from functools import cache, cached_property
from typing import TYPE_CHECKING, Any

import flask
from flask.testing import FlaskClient
from jinja2 import BytecodeCache
from jinja2.bccache import Bucket
from support.databases import exchange, find_filled, keep_state
from support.warning_lists import warning_lists
from werkzeug.routing import Rule

from tocsin.admission import Policy, parse_policy
from tocsin.admission.model import Warninglists
from tocsin.config.loading import policy_text
from tocsin.config.settings import HubSettings
from tocsin.server.app import create_app, create_console_app
from tocsin.server.bootstrap import create_default_collections
from tocsin.server.console.previews import Examiner as PreviewExaminer
from tocsin.server.examination.examiner import (
    Examination,
    ExaminationTask,
    Examiner,
    LocalExamination,
)
from tocsin.server.examination.reading import ReadFile, ReadTask, read_file
from tocsin.server.model import Account, Collection, Partner
from tocsin.server.person import Person
from tocsin.server.secrets import HubSecrets
from tocsin.server.services import AdmissionConfig, HubServices, build_services
from tocsin.server.store import Store, wall_clock
from tocsin.server.urls import serves_console

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

MT = "application/taxii+json;version=2.1"
HUB_SECRETS = HubSecrets(uuid.UUID(int=7), b"k" * 32)

Object = dict[str, Any]


class _CompiledTemplates(BytecodeCache):
    """Templates that were compiled in this process; each hub would compile them again."""

    def __init__(self) -> None:
        self._compiled: dict[tuple[str, str], Any] = {}

    def load_bytecode(self, bucket: Bucket) -> None:
        bucket.code = self._compiled.get((bucket.key, bucket.checksum))

    def dump_bytecode(self, bucket: Bucket) -> None:
        self._compiled[bucket.key, bucket.checksum] = bucket.code


flask.Flask.jinja_options = {"bytecode_cache": _CompiledTemplates()}


_compile = Rule.compile
_COMPILED: dict[str, Rule] = {}
"""Routes that were compiled in this process; each hub would compile them again."""


def _compile_once(rule: Rule) -> None:
    """Let the rule be as one that was compiled before; what is bound to a rule is bound to it."""
    converters = sorted(rule.map.converters.items()) if rule.map else ()
    place = rule.rule, rule.subdomain, rule.host, rule.merge_slashes, rule.defaults
    key = repr((place, converters))
    former = _COMPILED.get(key)
    if former is None:
        _compile(rule)
        _COMPILED[key] = rule
        return
    for name in ("_parts", "_trace", "_converters", "arguments"):
        setattr(rule, name, copy(getattr(former, name)))
    for name in ("_build", "_build_unknown"):
        setattr(rule, name, getattr(former, name).__func__.__get__(rule))


Rule.compile = _compile_once  # type: ignore[assignment, method-assign]


class _ConsoleWhenAsked:
    """The console of a hub, built at the first request for a page of it: most tests need none."""

    def __init__(self, services: HubServices, settings: HubSettings) -> None:
        self._parts = services, HUB_SECRETS, settings
        self._lock = threading.Lock()
        self._app: WSGIApplication | None = None
        services.store.review_queue.is_shown = serves_console(settings)

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Answer as the console does."""
        with self._lock:
            self._app = self._app or create_console_app(*self._parts)
        return self._app(environ, start_response)


_BUILDING = threading.Lock()
_FOUNDATIONS = ("collections", "accounts", "partners", "journal", "exclusions")
"""The database's collections of which one has a document if a test began before the hub."""


@dataclass(frozen=True, slots=True)
class LocalExaminer:
    """Examines drafts of the console in this process, which saves the start of another one."""

    policy: Policy
    lists: Warninglists

    def read(self, task: ReadTask) -> ReadFile:
        """See `PreviewExaminer.read`."""
        return read_file(task)

    def begin(self, task: ExaminationTask) -> Examination:
        """See `PreviewExaminer.begin`."""
        return LocalExamination.begin(task, self.policy, self.lists)

    def end_idle(self) -> None:
        """See `PreviewExaminer.end_idle`."""


@cache
def default_admission() -> AdmissionConfig:
    """Load the shipped policy and warning lists."""
    policy, lists = parse_policy(policy_text()), warning_lists()
    return AdmissionConfig(policy, policy_text(), lists, LocalExaminer(policy, lists))


@dataclass
class HubInProcess:
    """A hub with the shipped policy and two partners, `acme` and `north`."""

    store: Store
    clock: Callable[[], int] | None = None
    """Clock of admission and of the expiry sweep."""
    more: str = ""
    """TOML that is appended to the shipped policy."""
    keeps_unknown_types: bool = False
    """True for a policy with `unknown_types = "keep"`."""
    settings: HubSettings = field(default_factory=HubSettings)
    examiner: Examiner | None = None
    """Examines queued submissions in other processes."""
    previewer: PreviewExaminer | None = None
    """Examines drafts of the console; None: this process does."""
    founded: bool = False
    """The store has collections and partners already."""
    others: tuple[Partner, ...] = ()
    """Further partners, who join as `acme` does."""
    people: tuple[Person, ...] = ()
    """Who may sign in to the console."""
    services: HubServices = field(init=False)

    def __post_init__(self) -> None:
        self.__dict__.pop("client", None)  # of before, if it is started again
        settings = self.settings
        admission = replace(default_admission(), examiner=self.examiner)
        if self.more or self.keeps_unknown_types:
            policy = parse_policy(f"{policy_text()}\n{self.more}")
            policy = replace(policy, unknown_types="keep") if self.keeps_unknown_types else policy
            previewer = LocalExaminer(policy, admission.warninglists)
            admission = replace(admission, policy=policy, previewer=previewer)
        if self.previewer is not None:
            admission = replace(admission, previewer=self.previewer)
        untouched = not self.founded and self.store.clock is wall_clock and self._is_empty()
        state = repr((settings.title, self.others, self.people))
        if untouched and exchange(self.store, state):
            self.founded = True
        self.services = build_services(self.store, HUB_SECRETS, settings, admission, self.clock)
        self.pages = _ConsoleWhenAsked(self.services, settings)
        if not self.founded:
            self._found()
            if untouched:
                keep_state(self.store, state)

    @cached_property
    def client(self) -> FlaskClient:
        """A client of the hub's application."""
        with _BUILDING:  # without a lock, two threads that ask at once build two applications
            built: FlaskClient | None = self.__dict__.get("client")
            if built is None:
                app = create_app(self.services, HUB_SECRETS, self.settings, pages=self.pages)
                self.__dict__["client"] = built = app.test_client()
            return built

    def _is_empty(self) -> bool:
        """True if the database is as a new one."""
        return not find_filled(self.store._base, _FOUNDATIONS)

    def _found(self) -> None:
        """Create collections, partners and people.

        They depend on nothing but the hub's title, those named and, by their time, its clock: a
        database that has them is used again.
        """
        create_default_collections(self.store, self.services.publisher, HUB_SECRETS)
        for slug in ("acme", "north"):
            self.join(Partner(slug, f"{slug.title()} Corporation", terms=(f"{slug}.example",)))
        for partner in self.others:
            self.join(partner)
        for person in self.people:
            self.store.people.add(person)

    @property
    def identity(self) -> str:
        """The id of the hub's own identity object."""
        return str(self.services.publisher.config.hub)

    def collection(self, alias: str) -> Collection:
        """Find a collection by alias."""
        return next(c for c in self.store.feeds.collections() if c.alias == alias)

    def join(
        self, partner: Partner, reads: Sequence[str] = ("clear", "green", "amber", "scratch")
    ) -> None:
        """Add a partner with an account whose name and key are its slug."""
        ids = {c.alias: c.id for c in self.store.feeds.collections()}
        may_read = frozenset(ids[alias] for alias in reads)
        writes = frozenset((ids["inbox"], ids["scratch"]))
        accounts = self.store.accounts
        accounts.add_partner(partner)
        accounts.add_account(Account(partner.slug, partner.slug, may_read, writes))
        accounts.add_key(partner.slug, hashlib.sha256(partner.slug.encode()).hexdigest())

    def ask(self, path: str, who: str = "acme", method: str = "GET", **more: Any) -> Any:
        """Send a request below the API root."""
        token = base64.b64encode(f"{who}:{who}".encode()).decode()
        headers = {"Accept": MT, "Content-Type": MT, "Authorization": f"Basic {token}"}
        headers |= more.pop("headers", {})
        return self.client.open(f"/hub/{path}", method=method, headers=headers, **more)

    def push(self, *objects: object, who: str = "acme", to: str = "inbox") -> Object:
        """Post objects and evaluate them; return the final status."""
        body = json.dumps({"objects": objects})
        return self.push_raw(body.encode(), who=who, to=to)

    def push_raw(self, body: bytes, who: str = "acme", to: str = "inbox") -> Object:
        """Post a body as it is and evaluate it; return the final status."""
        answer = self.ask(f"collections/{to}/objects/", who, "POST", data=body)
        assert answer.status_code == 202, answer.text
        work_off(self.services.intake.work)
        if answer.json["status"] == "complete":  # it does not change any more
            return dict(answer.json)
        return dict(self.ask(f"status/{answer.json['id']}/", who).json)

    def sweep(self) -> None:
        """Do all that the lifecycle of objects has due now."""
        clock = self.clock or self.store.clock
        work_off(lambda: self.services.lifecycle.sweep_once(clock()))

    def feed(self, alias: str, who: str = "acme", **query: str) -> list[Object]:
        """Return the objects of a feed as a reader receives them, without the hub's own objects."""
        found = self.ask(f"collections/{alias}/objects/", who, query_string={"limit": 1000} | query)
        objects = found.json.get("objects", [])
        own = ("identity", "marking-definition", "extension-definition")
        return [each for each in objects if each["type"] not in own or alias == "scratch"]

    def verdicts(self, status: Object) -> list[str]:
        """Return the verdict of each record, by index."""
        return [entry["x_tocsin_verdict"] for entry in details(status)]


def work_off(work: Callable[[], bool]) -> None:
    """Repeat a step of work until it finds nothing to do."""
    while work():
        pass


def details(status: Object) -> list[Object]:
    """Return the details of a status, by index, each with its findings as `x_tocsin_findings`."""
    every = status.get("x_tocsin_findings", [])
    lists = [status.get(name, []) for name in ("successes", "failures", "pendings")]
    entries = [dict(entry) for entry in sum(lists, [])]
    for entry in entries:
        if indexes := entry.pop("x_tocsin_finding_indexes", []):
            entry["x_tocsin_findings"] = [every[index] for index in indexes]
    return sorted(entries, key=lambda entry: entry["x_tocsin_index"])


def findings(status: Object) -> list[Object]:
    """Return every finding of a status."""
    return [each for entry in details(status) for each in entry.get("x_tocsin_findings", [])]


def indicator(value: str = "evil-portal.top", **more: Any) -> Object:
    """Build an indicator for a domain name; the id is random unless `seed` is given."""
    seed = more.pop("seed", None)
    name = uuid.uuid5(uuid.NAMESPACE_DNS, seed) if seed else uuid.uuid4()
    return {
        "type": "indicator",
        "spec_version": "2.1",
        "id": f"indicator--{name}",
        "created": "2026-01-01T00:00:00.000Z",
        "modified": "2026-01-01T00:00:00.000Z",
        "pattern": f"[domain-name:value = '{value}']",
        "pattern_type": "stix",
        "valid_from": "2026-01-01T00:00:00Z",
        "object_marking_refs": [GREEN],
        **more,
    }


def sdo(kind: str, **more: Any) -> Object:
    """Build an object of any other type with created and modified."""
    return {
        "type": kind,
        "spec_version": "2.1",
        "id": f"{kind}--{uuid.uuid4()}",
        "created": "2026-01-01T00:00:00.000Z",
        "modified": "2026-01-01T00:00:00.000Z",
        "object_marking_refs": [GREEN],
        **more,
    }


def relationship(source: Object, word: str, target: Object, **more: Any) -> Object:
    """Build a relationship between two objects."""
    ends = {"source_ref": source["id"], "target_ref": target["id"]}
    return sdo("relationship", relationship_type=word, **ends, **more)


CLEAR = "marking-definition--94868c89-83c2-464b-929b-a1a8aa3c8487"
GREEN = "marking-definition--bab4a63c-aed9-4cf5-a766-dfca5abac2bb"
AMBER = "marking-definition--55d920b0-5e8b-4f79-9ee9-91f868d9b421"
RED = "marking-definition--e828b379-4e03-4974-9ac4-e53a884c97c1"
GREEN_1 = "marking-definition--34098fce-860f-48ae-8e50-ebd3cc5e41da"
