"""The one place where parts are chosen and joined."""

from __future__ import annotations

import logging
import threading
from dataclasses import dataclass

import flask

from tocsin.admission.markings.tlp import WELL_KNOWN
from tocsin.admission.model import KnownBenign
from tocsin.admission.policy import Policy
from tocsin.admission.stix.attack import attack_ids
from tocsin.config import HubSettings
from tocsin.server import taxii
from tocsin.server.auth import Scheme
from tocsin.server.intake.evaluate import Rules
from tocsin.server.intake.intake import Intake
from tocsin.server.lifecycle import Aftercare
from tocsin.server.model import CollectionKind
from tocsin.server.publishing.attribution import Naming
from tocsin.server.publishing.public_ids import Mint
from tocsin.server.publishing.public_objects import House
from tocsin.server.publishing.publisher import Publisher
from tocsin.server.secrets import Seal
from tocsin.server.store import OUTAGES, Clock, Store
from tocsin.server.taxii import openapi
from tocsin.server.taxii.long_poll import Vigil
from tocsin.server.taxii.protocols import Hub, Settings
from tocsin.server.taxii.rate_limit import Rates

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Judging:
    """What admission judges by."""

    policy: Policy
    lists: KnownBenign


@dataclass(frozen=True, slots=True)
class Parts:
    """A hub, joined."""

    store: Store
    publisher: Publisher
    intake: Intake
    aftercare: Aftercare


def assemble(
    store: Store,
    seal: Seal,
    settings: HubSettings,
    judging: Judging,
    clock: Clock | None = None,
) -> Parts:
    """The parts that admit and publish, over one store, by its clock unless another is given."""
    clock = clock or store.clock
    identity = seal.identity(settings.title)
    policy = judging.policy
    house = House(
        identity=identity,
        feeds=lambda: [c for c in store.feeds.collections() if c.kind is CollectionKind.FEED],
        well_known=attack_ids() | WELL_KNOWN,
        naming=Naming(store.people.partners),
        quiet_period=policy.quiet_period,
        scale=policy.scale,
    )
    publisher = Publisher(Mint(seal.namespace, identity), house)
    rules = Rules(policy, judging.lists, settings.inline_objects)
    log.info("policy sha256=%s rules=%s", policy.sha256, ",".join(policy.rules))
    intake = Intake(store, publisher, rules, clock)
    return Parts(store, publisher, intake, Aftercare(store, publisher, clock))


def create_app(
    parts: Parts, seal: Seal, settings: HubSettings, stopping: threading.Event | None = None
) -> flask.Flask:
    """The hub as a WSGI application.

    Once `stopping` is set, whoever waits for news is answered at once.
    """
    home = str(settings.data.resolve())
    app = flask.Flask(__name__, static_folder=None, instance_path=home)
    hub = Hub(
        settings=Settings(
            title=settings.title,
            contact=settings.contact,
            cursor_key=seal.cursor_key,
            max_content_length=settings.max_content_length,
            page_size=settings.page_default,
            page_cap=settings.page_cap,
            public_discovery=settings.public_discovery,
            schemes=_schemes(settings),
            interop_filters=settings.interop_filters,
        ),
        feeds=parts.store.feeds,
        people=parts.store.people,
        intake=parts.intake,
        statuses=parts.store.submissions,
        vigil=Vigil(settings.threads // 2, max(settings.threads // 8, 1), stopping),
        rates=Rates(settings.requests_per_minute),
    )
    app.register_blueprint(taxii.blueprint(hub))
    app.register_blueprint(openapi.blueprint(hub))
    taxii.register(app, hub, outages=OUTAGES)
    return app


def _schemes(settings: HubSettings) -> frozenset[Scheme]:
    """Those that work: certificates only where TLS asks for them."""
    chosen = frozenset(map(Scheme, settings.schemes))
    return chosen if settings.tls_client_ca else chosen - {Scheme.CERTIFICATE}
