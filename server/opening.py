"""A hub opened: secrets, database, parts.  For `serve` and for every command beside it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass

from tocsin.admission import policy_of
from tocsin.admission.benign import load
from tocsin.admission.policy import Policy
from tocsin.config import HubSettings, policy_text
from tocsin.config.keeping import kept
from tocsin.server.app import Judging, Parts, assemble
from tocsin.server.founding import found
from tocsin.server.seal import Seal, seal
from tocsin.server.store import Clock, Store, wall_clock
from tocsin.server.store.embedded import Engine, database

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Opened:
    """What a command works with."""

    settings: HubSettings
    seal: Seal
    parts: Parts
    policy: Policy


@contextmanager
def opened(settings: HubSettings, say: Say, clock: Clock = wall_clock) -> Iterator[Opened]:
    """The hub's parts over its database, for a command beside the hub or without it."""
    place = nullcontext(settings.mongo_uri) if settings.mongo_uri else database(settings.data, say)
    with place as uri, _joined(settings, uri, clock) as hub:
        yield hub


@contextmanager
def housed(settings: HubSettings, say: Say, clock: Clock = wall_clock) -> Iterator[Opened]:
    """The same for the hub itself, which keeps the embedded engine alive for all."""
    place = nullcontext(settings.mongo_uri) if settings.mongo_uri else _engine(settings, say)
    with place as uri, _joined(settings, uri, clock) as hub:
        there = {partner.slug for partner in hub.parts.store.people.partners()}
        for slug in sorted(hub.policy.partners.keys() - there):
            say(f"policy: [partners.{slug}] has no effect: there is no partner of that short name")
        yield hub


@contextmanager
def _engine(settings: HubSettings, say: Say) -> Iterator[str]:
    engine = Engine.start(settings.data, say)
    try:
        say(f"database: the embedded engine, in {settings.data}")
        engine.watch()
        yield engine.uri
    finally:
        engine.stop()


@contextmanager
def _joined(settings: HubSettings, uri: str, clock: Clock = wall_clock) -> Iterator[Opened]:
    own = seal(settings.data)
    judging = Judging(policy_of(policy_text(settings.policy), settings.policy), load(keep=kept))
    store = Store.connect(uri, name=settings.database, clock=clock)
    try:
        store.prepare()
        store.check_secrets(own.fingerprint)
        parts = assemble(store, own, settings, judging)
        found(store, parts.publisher, own)
        yield Opened(settings, own, parts, judging.policy)
    finally:
        store.close()
