"""Two worlds that differ only in what one account may not see, and all that it is answered.

A *history* is a list of acts with fixed times.  In the one world all of them take place, in
the other only those that are not hidden, and of a post that the observer may see in part only
that part.  The account of `watch` reads clear and green, posts
to the inbox and asks for its statuses; all of its answers are recorded as text: status,
headers and octets.  The hub's clock, secrets and random ids are the same in both worlds.
"""

from __future__ import annotations

import base64
import json
import random
import shutil
import uuid
from collections.abc import Callable, Iterator, Sequence, Set
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from itertools import zip_longest
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, TypeVar
from unittest import mock

from support.clock import ManualClock
from support.databases import PreparedDatabase, open_empty_store, restore, snapshot
from support.hub import HUB_SECRETS, HubInProcess, Object
from support.strict_parts import without_strict_parts

from tocsin.admission.errors import NotFound, ShareError
from tocsin.admission.merge.identity import indicator_key, observable_id, public_id
from tocsin.admission.model import Consent, Tlp
from tocsin.admission.output_formats import output_formats
from tocsin.admission.timestamps import HOUR, micros, timestamp
from tocsin.config.settings import HubSettings
from tocsin.server.model import Collection, CollectionKind, Partner
from tocsin.server.processes.shared_folder import CommitCount, LocalNumbers, Process
from tocsin.server.store import Store, Transaction

T = TypeVar("T")
WATCH = "watch"
"""The account whose answers are compared, and its partner."""
START = micros("2026-03-02T08:00:00.000Z")
TICK = 500_000
STEP = 600_000_000
"""µs between two acts: longer than any window of stamps."""
_EVERY = 5
"""Every fifth format of files is fetched in one history."""
SPACE = HUB_SECRETS.namespace
"""From which the hub derives public ids."""
VALUES = ("one-portal.top", "two-portal.top", "mail.quiet.example")
"""The values that everybody reports; the last one lies in the domain of a hidden partner."""


@dataclass(frozen=True)
class Act:
    """One step of a history."""

    what: Callable[[World], None]
    """Does it."""
    name: str
    """Shown when an example fails."""
    hidden: bool = False
    """The observer may not see it; without it the other world is the same."""
    hours: int = 0
    """Time that passes before it, in both worlds."""
    shown: Callable[[World], None] | None = None
    """Does what the observer may see of it; None: all of it, or nothing if it is hidden."""

    def __repr__(self) -> str:
        return f"{'hidden ' if self.hidden else 'partly hidden ' if self.shown else ''}{self.name}"

    def choose(self, *, everything: bool) -> Callable[[World], None] | None:
        """Choose what takes place in the one world or in the other; None: nothing."""
        if everything:
            return self.what
        return None if self.hidden else self.shown or self.what


@dataclass
class World:
    """A hub with its observer."""

    hub: HubInProcess
    clock: ManualClock
    commits: CommitCount
    """As of a hub with several processes: what was read holds until somebody has written."""
    statuses: list[str] = field(default_factory=list)
    """Ids of the observer's submissions."""
    answers: list[str] = field(default_factory=list)
    concealed: set[tuple[str, str]] = field(default_factory=set)
    """Hidden objects: the ids of their submissions, and their own."""

    def live(self, history: Sequence[Act], *, everything: bool) -> Iterator[list[str]]:
        """Let the acts take place; yield after each of them all answers to the observer so far."""
        now = START
        for number, act in enumerate(history):
            with fixed_randomness(number):
                now += STEP + act.hours * HOUR
                self._sweep(now)
                if what := act.choose(everything=everything):
                    what(self)
                    self._work()
                self.commits.note()  # operators write without a commit
                if not act.hidden:
                    self.clock.now = now + STEP // 4  # files say when they were asked for
                    self.look()
            yield self.answers
        with fixed_randomness(len(history)):
            self._sweep(now + STEP)
            self._look_everywhere()
        yield self.answers

    def _sweep(self, now: int) -> None:
        """Sweep, and go on at a time that does not depend on how much was swept."""
        self.clock.now = now - STEP // 2
        self.hub.sweep()
        self.clock.now = now

    def post(
        self, who: str, objects: Sequence[Object], *, hidden: bool, secret: Set[str] = frozenset()
    ) -> None:
        """Post as a partner; the observer remembers the id of its submission.

        `secret`: the ids of the objects that are hidden, if not all of them are.
        """
        body = json.dumps({"objects": objects}).encode()
        answer = self.hub.ask("collections/inbox/objects/", who, "POST", data=body)
        assert answer.status_code == 202, answer.text
        secret = {str(each["id"]) for each in objects} if hidden else secret
        self.concealed |= {(answer.json["id"], each) for each in secret}
        if who == WATCH:
            self._record("POST", answer)
            self.statuses.append(answer.json["id"])

    def look(self) -> None:
        """Record what the observer is answered after each act that it may know of."""
        self.ask("collections/green/objects/?match[version]=all&limit=1000")
        for id_ in self.statuses[-2:]:
            self.ask(f"status/{id_}/")
        self.fetch("green/rpz")

    def ask(self, path: str) -> Any:
        """Ask as the observer, and record the answer."""
        answer = self.hub.ask(path, WATCH)
        self._record(path, answer)
        return answer

    def fetch(self, path: str) -> Any:
        """Fetch a file for firewalls and sensors as the observer, and record the answer."""
        token = base64.b64encode(f"{WATCH}:{WATCH}".encode()).decode()
        headers = {"Authorization": f"Basic {token}"}
        answer = self.hub.client.get(f"/export/{path}", headers=headers)
        self._record(path, answer)
        return answer

    def _look_everywhere(self) -> None:
        """Ask whatever the protocol has a question for."""
        self.ask("submissions/")
        self._fetch_files()
        for path in ("", "collections/", "collections/amber/", "collections/inbox/", "nothing/"):
            self.ask(path)
        for alias in ("amber", "inbox", "extra", "nothing"):
            self.ask(f"collections/{alias}/objects/")
        self._record("discovery", self.hub.client.get("/taxii2/"))
        for alias in ("clear", "green"):
            self._walk(alias)
        for name in guessed_ids():
            self.ask(f"collections/green/objects/{name}/")
            self.ask(f"collections/amber/objects/{name}/versions/")
        for id_ in self.statuses:
            self.ask(f"status/{id_}/")
        self._read_models()

    def _read_models(self) -> None:
        """Record what the console would show the observer: search, reports on objects, numbers."""
        services = self.hub.services
        account = services.store.accounts.find_account(WATCH)
        if account is None:
            return
        if len(self.answers) % 2:  # with the index of values, or without
            while services.store.values.index_next(fewest=1):
                pass
        while services.store.statistics.count_next():
            pass
        found: list[object] = [
            services.search.search(account, text) for text in (*VALUES, "example", "", "portal")
        ]
        for name in guessed_ids():
            with suppress(NotFound):
                found.append(services.object_reports.report(account, name))
            found.append(services.search.search(account, name))
        numbers = services.statistics
        services.store.deliveries.flush()
        found.append(numbers.by_day(account, 7, WATCH))
        found.append(numbers.pollers(account, WATCH))
        found.append(numbers.value_returned(account, WATCH))
        self.answers.extend(f"read model: {each!r}" for each in found)

    def _fetch_files(self) -> None:
        """Fetch the files of some formats: others in another history, the same in both worlds."""
        self.fetch("amber/edl")
        for format in list(output_formats())[len(self.answers) % _EVERY :: _EVERY]:
            for name in self.fetch(f"green/{format}/").text.split():
                if "." in name and "/" not in name:
                    self.fetch(f"green/{format}/{name}")

    def _walk(self, alias: str) -> None:
        base = f"collections/{alias}"
        for question in ("match[type]=indicator", "match[tlp]=green", "match[confidence-gte]=40"):
            self.ask(f"{base}/objects/?{question}")
        answer = self.ask(f"{base}/manifest/?limit=3&match[version]=all")
        while token := answer.json.get("next"):
            answer = self.ask(f"{base}/manifest/?limit=3&match[version]=all&next={token}")
        last = answer.headers.get("X-TAXII-Date-Added-Last")
        self.ask(f"{base}/objects/?added_after={last}")
        self.ask(f"{base}/objects/?added_after={timestamp(START)}&limit=2")

    def _work(self) -> None:
        while self.hub.services.intake.work():
            pass

    def _record(self, question: str, answer: Any) -> None:
        headers = "\n".join(f"{name}: {value}" for name, value in sorted(answer.headers))
        self.answers.append(f"{question}\n{answer.status_code}\n{headers}\n{answer.text}")


class TickingStore(Store):
    """A store whose clock goes on with each transaction, by more than its windows last.

    On a machine that does nothing else a transaction takes as long; on a busy one the windows of
    several follow one another, and stamps show the load (docs/protocol.md).
    """

    def commit(self, work: Callable[[Transaction], T]) -> T:
        """See `Store.commit`."""
        assert isinstance(self.clock, ManualClock)
        result = super().commit(work)
        self.clock.now += TICK
        return result


@contextmanager
def fixed_randomness(number: int) -> Iterator[None]:
    """Let the hub draw the same ids of submissions and requests in both worlds."""
    dice = random.Random(number)

    def draw() -> uuid.UUID:
        return uuid.UUID(int=dice.getrandbits(128), version=4)

    ids = mock.patch("tocsin.server.intake.intake.uuid", mock.Mock(uuid4=draw))
    context = "tocsin.server.taxii.request_context.secrets.token_hex"
    with ids, mock.patch(context, lambda octets: f"{dice.getrandbits(8 * octets):x}"):
        yield


class Pair:
    """Two databases on one engine, used again and again for two worlds."""

    def __init__(self, stores: Sequence[Store], folder: Path) -> None:
        """The stores' databases are empty; the hubs keep files in `folder`."""
        self._folder = folder
        self._databases = [self._begin(store) for store in stores]

    def worlds(self) -> list[World]:
        """Two worlds in which nothing has happened yet."""
        return [self._renew(*each) for each in self._databases]

    def differences(self, history: Sequence[Act]) -> list[str]:
        """The answers that differ, the one and the other; empty: the worlds look the same."""
        *_, (here, there) = self._live(history)
        return [f"with:\n{a}\n\nwithout:\n{b}" for a, b in zip_longest(here, there) if a != b]

    def differ(self, history: Sequence[Act]) -> bool:
        """True if any answers differ; the acts after the first such answers do not take place."""
        return any(here != there for here, there in self._live(history))

    def _live(self, history: Sequence[Act]) -> Iterator[tuple[list[str], list[str]]]:
        """All answers so far in both worlds, after each act in both."""
        whole, part = self.worlds()
        here = whole.live(history, everything=True)
        there = part.live(history, everything=False)
        return zip(here, there, strict=True)

    def _begin(self, store: Store) -> tuple[Store, PreparedDatabase]:
        clock = ManualClock(START)
        store.clock = clock
        hub = HubInProcess(store, clock)
        join_observer(hub)
        while store.statistics.count_next():  # looks for what earlier versions settled, once
            pass
        return store, snapshot(store)

    def _renew(self, store: Store, prepared: PreparedDatabase) -> World:
        restore(store._base, prepared)
        clock = ManualClock(START)
        process = Process(commits=CommitCount(LocalNumbers()))
        fresh = TickingStore(store._client, prepared.name, clock, process=process)
        folder = self._folder / prepared.name
        shutil.rmtree(folder, ignore_errors=True)
        settings = HubSettings(requests_per_minute=0, data=folder, min_free_octets=0)
        hub = HubInProcess(fresh, clock, settings=settings, founded=True)
        return World(hub, clock, process.commits)


@contextmanager
def open_pair(uri: str) -> Iterator[Pair]:
    """Open two databases on an engine."""
    with (
        open_empty_store(uri) as one,
        open_empty_store(uri) as other,
        TemporaryDirectory() as folder,
    ):
        yield Pair((one, other), Path(folder))


def join_observer(hub: HubInProcess) -> None:
    """Add the observer, and the partners whose acts may be hidden.

    Some of them send at a level that only one of them reads.
    """
    hub.store.feeds.add(
        Collection(
            "88888888-8888-4888-8888-888888888888",
            "strict",
            CollectionKind.FEED,
            "Strict",
            max_tlp=Tlp.AMBER_STRICT,
        )
    )
    hub.store.commit(hub.services.publisher.publish_own_objects)
    hub.join(Partner(WATCH, "Watch Limited", terms=("watch.example",)), ("clear", "green"))
    open_ = Partner("open", "Open Limited", consent=Consent.EVERYONE, max_tlp=Tlp.AMBER_STRICT)
    hub.join(open_, ("clear", "green", "amber", "strict"))
    _allow_strict(hub, Tlp.AMBER_STRICT)


def _allow_strict(hub: HubInProcess, level: Tlp) -> None:
    accounts = hub.store.accounts
    acme = accounts.find_partner("acme")
    assert acme is not None
    accounts.update_partner(replace(acme, max_tlp=level))


def source_id(kind: str, number: int) -> str:
    """An id of a partner's own that anybody may guess."""
    return f"{kind}--{uuid.uuid5(uuid.NAMESPACE_DNS, f'{kind} {number}')}"


def guessed_ids() -> list[str]:
    """Public ids that exist if somebody reported the values, at every level."""
    found = []
    for value in VALUES[:2]:
        for level in (Tlp.GREEN, Tlp.AMBER):
            key = indicator_key("stix", f"[domain-name:value = '{value}']", level.label)
            found += [public_id("indicator", f"{key}{end}", SPACE) for end in ("", "#1")]
        found.append(observable_id({"type": "domain-name", "value": value}))
    return found


def strict_ids() -> list[str]:
    """Those of `guessed_ids` that only readers of a stricter level see."""
    every = guessed_ids()
    return [*every[2:4], *every[7:9]]


def say(who: str, *sent: Object, hours: int = 0) -> Act:
    """A post; of those of partners other than the observer, what is marked AMBER is hidden."""
    name = f"post of {who}: {json.dumps(sent)}"
    if who == WATCH:
        return Act(lambda world: world.post(who, sent, hidden=False), name, hours=hours)
    return say_in_part(who, sent, name, hours)


def say_in_part(who: str, sent: Sequence[Object], name: str, hours: int) -> Act:
    """A post of which the observer may see what is not marked AMBER."""
    both = [(each, without_strict_parts(each)) for each in sent]
    shown = [part for _, part in both if part is not None]
    secret = {str(each["id"]) for each, part in both if part is None}
    hidden = not shown

    def whole(world: World) -> None:
        world.post(who, sent, hidden=hidden, secret=secret)

    def rest(world: World) -> None:
        world.post(who, shown, hidden=False)

    same = hidden or list(sent) == shown
    return Act(whole, name, hidden, hours, None if same else rest)


def _join_quiet(world: World) -> None:
    if world.hub.store.accounts.find_partner("quiet") is None:
        partner = Partner("quiet", "Quiet Limited", terms=("quiet.example", "Mr John"))
        world.hub.join(partner, ("clear", "green", "amber"))


def _change_partner(world: World) -> None:
    accounts = world.hub.store.accounts
    known = accounts.find_partner("north")
    assert known is not None
    changed = replace(known, consent=Consent.EVERYONE, group="family", reliability=90)
    accounts.update_partner(changed)


def _add_feed(world: World) -> None:
    feeds = world.hub.store.feeds
    if all(each.alias != "extra" for each in feeds.collections()):
        id_ = "99999999-9999-4999-8999-999999999999"
        feeds.add(Collection(id_, "extra", CollectionKind.FEED, "Of others", max_tlp=Tlp.GREEN))
        world.hub.store.commit(world.hub.services.publisher.publish_own_objects)
        accounts = world.hub.store.accounts
        account = accounts.find_account("north")
        assert account is not None
        accounts.update_account(replace(account, reads=account.reads | {id_}))


def _release(world: World) -> None:
    for review in world.hub.store.reviews.list_waiting():
        if (review.submission, review.source_id) in world.concealed:
            with suppress(ShareError):
                world.hub.services.intake.reviewer.release(review, "operator")


def _exclude(world: World) -> None:
    world.hub.services.lifecycle.exclude("nobody-sees.top", "operator", "test")


def _change_level(world: World) -> None:
    """Let a partner send at a stricter level, or no longer."""
    acme = world.hub.store.accounts.find_partner("acme")
    assert acme is not None
    is_strict = acme.max_tlp is Tlp.AMBER_STRICT
    _allow_strict(world.hub, Tlp.AMBER if is_strict else Tlp.AMBER_STRICT)


def _end_strict(world: World) -> None:
    """Revoke the indicators on a value at AMBER, and purge those on another."""
    one, again, two, more = (each for each in guessed_ids() if each in strict_ids())
    services = world.hub.services
    for end, name in (
        (services.lifecycle.revoke, one),
        (services.lifecycle.revoke, again),
        (services.purger.purge, two),
        (services.purger.purge, more),
    ):
        with suppress(NotFound, ShareError):
            end(name, "operator", "why")


JOINS = Act(_join_quiet, "a partner joins", hidden=True)
CHANGES = Act(_change_partner, "consent, group and reliability change", hidden=True)
FEED_IS_ADDED = Act(_add_feed, "a feed is added", hidden=True)
RELEASES = Act(_release, "hidden reviews are released", hidden=True)
LEVEL_CHANGES = Act(_change_level, "the strictest level of a partner changes", hidden=True)
STRICT_ENDS = Act(_end_strict, "strict indicators are revoked or purged", hidden=True)
EXCLUDES = Act(_exclude, "a value that nobody sees is excluded", hidden=True)
