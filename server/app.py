"""Dependency wiring: the hub's services over a store, and the Flask application over them.

The only module that knows the publisher, the intake and the TAXII endpoints at once.  It
opens nothing: settings, secrets and the store are passed in (see `runtime.py`).
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import flask
from werkzeug.exceptions import HTTPException
from werkzeug.middleware.dispatcher import DispatcherMiddleware

from tocsin.admission.markings.tlp import official_ids
from tocsin.admission.merge.identity import WELL_KNOWN_OBJECTS
from tocsin.admission.model import Warninglists
from tocsin.admission.policy import Policy
from tocsin.admission.recogniser.recogniser import is_installed
from tocsin.admission.stix.mitre_attack import attack_ids
from tocsin.config.conversion import ConfigError
from tocsin.config.settings import HubSettings
from tocsin.server import console, export, taxii
from tocsin.server.auth import AuthScheme
from tocsin.server.examination.examiner import Examiner
from tocsin.server.intake.evaluate import Rules
from tocsin.server.intake.intake import Intake
from tocsin.server.intake.queue import Limits
from tocsin.server.lifecycle.lifecycle import Lifecycle
from tocsin.server.lifecycle.purge import Purger
from tocsin.server.lifecycle.retention import Retention, RetentionPeriods
from tocsin.server.model import Account, Collection, CollectionKind, FeedHead, Quota
from tocsin.server.monitoring import HubProcesses, Monitor
from tocsin.server.notices import Notices, NoticeSettings
from tocsin.server.partners.administration import Partners
from tocsin.server.partners.agreement_lifecycle import AgreementLifecycle
from tocsin.server.partners.partner_data import PartnerData
from tocsin.server.partners.passkeys import Passkeys
from tocsin.server.partners.people import People
from tocsin.server.processes.shared_folder import Numbers
from tocsin.server.publishing.attribution import Attribution
from tocsin.server.publishing.hub_identity import build_hub_identity
from tocsin.server.publishing.public_ids import PublicIds
from tocsin.server.publishing.public_objects import PublishingConfig
from tocsin.server.publishing.publisher import Publisher
from tocsin.server.reports.object_report import ObjectReports
from tocsin.server.reports.receivers import Receivers
from tocsin.server.reports.search import Search
from tocsin.server.reports.statistics import StatisticsReader
from tocsin.server.secrets import HubSecrets
from tocsin.server.store import Availability, Clock, DiskSpace, Store
from tocsin.server.taxii import monitoring, openapi
from tocsin.server.taxii.long_poll import LongPolls
from tocsin.server.taxii.protocols import TaxiiServices, TaxiiSettings
from tocsin.server.taxii.rate_limit import RateLimiter
from tocsin.server.taxii.request_context import RequestContext, request_context
from tocsin.server.taxii.routes import Endpoints
from tocsin.server.urls import find_url, is_loopback

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

    from tocsin.server.console.oidc import Provider

_TRIALS = "trials"
_EXPORTS = "exports"
"""The folder of the data directory with files that are made of feeds."""
_DRAFTS = "drafts"
"""The folder of the data directory with what people have pasted and not submitted."""
_INLINE_OCTETS_WITH_RECOGNISER = 32_768
"""A recogniser reads about 20 KB of prose in a second; what is longer waits in the queue."""


@dataclass(frozen=True, slots=True)
class AdmissionConfig:
    """The configuration of admission: the policy and the warning lists."""

    policy: Policy
    text: str
    """The text of the policy."""
    warninglists: Warninglists
    previewer: console.PreviewExaminer
    """Examines drafts of the console."""
    examiner: Examiner | None = None
    """Examines queued submissions in other processes; None: this process does."""


@dataclass(frozen=True, slots=True)
class HubServices:
    """The services of one hub process, over one store."""

    store: Store
    publisher: Publisher
    intake: Intake
    lifecycle: Lifecycle
    purger: Purger
    retention: Retention
    partner_data: PartnerData
    disk: DiskSpace
    monitor: Monitor
    exports: export.FeedFiles
    clock: Clock
    notices: Notices
    people: People
    policy: Policy
    receivers: Receivers
    object_reports: ObjectReports
    search: Search
    statistics: StatisticsReader
    agreements: AgreementLifecycle
    drafts: console.DraftFiles
    policy_text: str
    previewer: console.PreviewExaminer


def build_services(  # noqa: PLR0913
    store: Store,
    secrets: HubSecrets,
    settings: HubSettings,
    admission: AdmissionConfig,
    clock: Clock | None = None,
    processes: HubProcesses | None = None,
) -> HubServices:
    """Build the services that admit and publish; `clock` defaults to the store's.

    `processes` are those of its hub; None: this one is alone.
    """
    clock = clock or store.clock
    identity = build_hub_identity(secrets.namespace, settings.title)
    policy = admission.policy
    custodian = str(policy.settings_for("marking", "").get("acs_custodian", ""))
    config = PublishingConfig(
        identity=identity,
        feeds=lambda: [c for c in store.feeds.collections() if c.kind is CollectionKind.FEED],
        well_known=WELL_KNOWN_OBJECTS | attack_ids() | official_ids(),
        attribution=Attribution(store.accounts.list_partners, custodian),
        quiet_period=policy.quiet_period,
        scale=policy.confidence,
        tie_secret=secrets.namespace.bytes,
        max_waiting_reviews=settings.max_waiting_reviews,
    )
    publisher = Publisher(PublicIds(secrets.namespace, identity), config)
    inline_octets = settings.inline_octets
    if policy.has_recogniser_rule and is_installed():
        inline_octets = min(inline_octets, _INLINE_OCTETS_WITH_RECOGNISER)
    limits = Limits(
        inline_objects=settings.inline_objects,
        inline_octets=inline_octets,
        queued=settings.queued_submissions,
        quota=Quota(
            objects_per_day=settings.objects_per_day,
            octets_kept=settings.octets_kept,
            kept_days=settings.retain_bodies_days,
        ),
    )
    rules = Rules(
        policy,
        admission.warninglists,
        limits,
        admission.examiner,
        require_agreements=settings.require_agreements,
    )
    intake = Intake(store, publisher, rules, clock)
    lifecycle = Lifecycle(store, publisher, clock)
    purger = Purger(store, publisher, intake, lifecycle)
    retention = Retention(store, intake, _periods(settings), clock)
    partner_data = PartnerData(store, publisher, intake, lifecycle)
    processes = processes or HubProcesses()
    least = 0 if settings.mongo_uri else settings.min_free_octets
    disk = DiskSpace(settings.data, least, numbers=processes.numbers)
    monitor = Monitor(store, disk, processes=processes)
    folder = settings.data / _EXPORTS
    has_room = disk.has_room_for_copies
    exports = export.FeedFiles(folder, store.feeds, store.epoch(), clock, has_room)
    receivers = Receivers(store, lifecycle)
    statistics = StatisticsReader(store, clock, requires_agreements=settings.require_agreements)
    monitor.find_polls = statistics.last_polls
    return HubServices(
        store,
        publisher,
        intake,
        lifecycle,
        purger,
        retention,
        partner_data,
        disk,
        monitor,
        exports,
        clock,
        Notices(
            store,
            statistics,
            _notice_settings(settings),
            clock,
            monitor.find_certificate_end,
        ),
        People(store, secrets.page_token_key, clock),
        policy,
        receivers,
        ObjectReports(store, config, receivers, clock),
        Search(store, clock),
        statistics,
        AgreementLifecycle(store, publisher, clock),
        console.DraftFiles(settings.data / _DRAFTS, clock),
        admission.text,
        admission.previewer,
    )


def _notice_settings(settings: HubSettings) -> NoticeSettings:
    return NoticeSettings(
        title=settings.title,
        find_console=partial(find_console_url, settings),
        webhook=settings.notice_webhook,
        smtp_host=settings.smtp_host,
        smtp_port=settings.smtp_port,
        smtp_tls=settings.smtp_tls,
        smtp_user=settings.smtp_user,
        smtp_password=settings.smtp_password,
        sender=settings.mail_from,
    )


def find_console_url(settings: HubSettings) -> str:
    """The URL at which browsers open the console, without a slash at the end."""
    url = find_url(settings).removesuffix("/taxii2/")
    if settings.public_url:
        return url + console.ROOT
    # Browsers let passkeys and copying work at this name, and not at an address.
    return url.replace("//127.0.0.1:", "//localhost:") + console.ROOT


def warning_lists_file(data: Path) -> Path:
    """The file of the warning lists that the operator loaded; it may not exist."""
    return data / "warning-lists.json.xz"


def _periods(settings: HubSettings) -> RetentionPeriods:
    return RetentionPeriods(
        bodies=settings.retain_bodies_days,
        refused_bodies=settings.retain_refused_days,
        reviews=settings.retain_reviews_days,
        statuses=settings.retain_statuses_days,
        journal=settings.retain_journal_days,
    )


@dataclass(frozen=True, slots=True)
class _Readiness:
    """See `taxii.protocols.Readiness`."""

    availability: Availability
    disk: DiskSpace

    def check_database(self) -> None:
        self.availability.check()

    def check_room(self) -> None:
        self.disk.check_room()


@dataclass(frozen=True, slots=True)
class _ExportRequest:
    """See `export.routes.ExportRequest`."""

    context: RequestContext
    endpoints: Endpoints

    @property
    def account(self) -> Account:
        return self.context.authenticated

    @property
    def collections(self) -> Sequence[Collection]:
        return self.context.hub.collections

    def head(self, collection: Collection) -> FeedHead:
        return self.context.hub.head(collection)

    def note(self, collection: Collection) -> None:
        self.context.collection = collection.alias or collection.id

    def recheck(self, collection: Collection) -> None:
        self.endpoints.recheck(collection)


def _export_services(services: HubServices, hub: TaxiiServices) -> export.ExportServices:
    """The services of the exports: who may read what is decided as for TAXII."""

    endpoints = Endpoints(hub)

    def authenticate() -> _ExportRequest:
        endpoints.authenticate()
        return _ExportRequest(request_context(), endpoints)

    return export.ExportServices(authenticate, services.exports, hub.deliveries)


def create_app(  # noqa: PLR0913
    services: HubServices,
    secrets: HubSecrets,
    settings: HubSettings,
    stopping: threading.Event | None = None,
    numbers: Numbers | None = None,
    pages: WSGIApplication | None = None,
) -> flask.Flask:
    """Build the WSGI application of a hub.

    Once `stopping` is set, long polls are answered at once.  `numbers` hold the quotas of
    requests, for all processes; None: this one is alone.  `pages` is the console; None: it is made.
    """
    long_polls = LongPolls.for_threads(settings.threads, stopping or threading.Event())
    services.store.listeners.append(long_polls.wake)
    instance_path = str(settings.data.resolve())
    app = flask.Flask(__name__, static_folder=None, instance_path=instance_path)
    hub = TaxiiServices(
        settings=TaxiiSettings(
            title=settings.title,
            contact=settings.contact,
            page_token_key=secrets.page_token_key_of(services.store.epoch()),
            max_content_length=settings.max_content_length,
            page_size=settings.page_default,
            page_cap=settings.page_cap,
            public_discovery=settings.public_discovery,
            schemes=_schemes(settings),
            interop_filters=settings.interop_filters,
            require_agreements=settings.require_agreements,
        ),
        feeds=services.store.feeds,
        intake=services.intake,
        statuses=services.store.submissions,
        deliveries=services.store.deliveries,
        readiness=_Readiness(services.store.availability, services.disk),
        long_polls=long_polls,
        rate_limiter=RateLimiter(settings.requests_per_minute, numbers=numbers),
        clock=services.clock,
    )
    taxii.count_requests(app, services.monitor.counters)
    app.register_blueprint(monitoring.blueprint(services.monitor, hub))
    app.register_blueprint(taxii.blueprint(hub))
    app.register_blueprint(openapi.blueprint(hub))
    app.register_blueprint(export.blueprint(_export_services(services, hub)))
    is_outage = services.store.availability.is_outage
    taxii.register(app, hub, monitoring.PATHS, (export.ROOT,), is_outage)
    if serves_console(settings):
        pages = pages or create_console_app(services, secrets, settings)
        mounted: dict[str, WSGIApplication] = {console.ROOT: console.limit_crowds(pages)}
        app.wsgi_app = _Mounts(app.wsgi_app, mounted)  # type: ignore[method-assign]
    return app


def create_console_app(
    services: HubServices, secrets: HubSecrets, settings: HubSettings
) -> WSGIApplication:
    """Build the WSGI application of the console, which is mounted at its root."""
    services.store.review_queue.is_shown = True
    return console.create_console(
        _console_services(services, settings, secrets.page_token_key)
    ).wsgi_app


class _Mounts(DispatcherMiddleware):
    """The console below its root; who opens the hub with a browser is sent there.

    It leaves the environment of a request to the console as it was: where the body of a form
    has not arrived with its head, the server asks the application again later, with the same one.
    """

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Answer by the application whose path it is."""
        path = environ["PATH_INFO"]
        if path == "/" and "text/html" in environ.get("HTTP_ACCEPT", ""):
            headers = [("Location", f"{console.ROOT}/"), ("Content-Length", "0")]
            start_response("303 See Other", headers)
            return []
        if path.startswith(console.ROOT):
            environ = dict(environ)
        return super().__call__(environ, start_response)


def serves_console(settings: HubSettings) -> bool:
    """True if the console is served: over TLS, or to browsers on this machine only."""
    return settings.console and (_is_secure(settings) or is_loopback(settings.host))


def _is_secure(settings: HubSettings) -> bool:
    return settings.public_url.startswith("https:") or settings.tls_certificate is not None


def _console_services(
    services: HubServices, settings: HubSettings, key: bytes
) -> console.ConsoleServices:
    origin = settings.public_url.rstrip("/")
    name = urlsplit(origin).hostname
    local = frozenset({"localhost", "127.0.0.1", "::1", settings.host})
    made = console.ConsoleSettings(
        title=settings.title,
        origin=origin,
        hosts=local | {name} if name else (local if not settings.tls_certificate else frozenset()),
        is_secure=_is_secure(settings),
        has_forwarded_for=settings.forwarded_for,
        max_content_length=settings.max_content_length,
        require_agreements=settings.require_agreements,
        requires_second_factor=settings.require_second_factor,
        four_eyes=settings.four_eyes,
        review_days=settings.retain_reviews_days,
    )
    store, intake, drafts = services.store, services.intake, services.drafts
    return console.ConsoleServices(
        settings=made,
        store=store,
        people=services.people,
        passkeys=Passkeys(services.store, services.people, key, services.clock),
        intake=intake,
        lifecycle=services.lifecycle,
        agreements=services.agreements,
        partners=Partners(store),
        policy=services.policy,
        policy_text=services.policy_text,
        trials=console.PolicyTrials(
            store,
            settings.data / _TRIALS,
            str(services.publisher.config.hub),
            services.policy_text,
            warning_lists_file(settings.data),
            services.clock,
        ),
        statistics=services.statistics,
        monitor=services.monitor,
        warning_lists=warning_lists_file(settings.data),
        search=services.search,
        object_reports=services.object_reports,
        purger=services.purger,
        partner_data=services.partner_data,
        clock=services.clock,
        provider=_identity_provider(settings, key, origin),
        drafts=drafts,
        previews=console.Previews(
            drafts,
            intake,
            services.previewer,
            partial(console.find_ended_ids, store),
            made.max_content_length,
        ),
        check_room=services.disk.check_room,
    )


def _identity_provider(settings: HubSettings, key: bytes, origin: str) -> Provider | None:
    if not settings.oidc_issuer:
        return None
    try:
        oidc = import_module("tocsin.server.console.oidc")
    except ModuleNotFoundError as error:
        raise ConfigError(
            "oidc_issuer: the extra is not installed: pip install 'tocsin[oidc]'"
        ) from error
    about = oidc.ProviderSettings(
        settings.oidc_issuer, settings.oidc_client_id, settings.oidc_client_secret
    )
    site = origin or f"http://localhost:{settings.port}"
    provider: Provider = oidc.Provider(about, key, f"{site}{console.ROOT}/oidc/return")
    return provider


def create_monitoring_app(monitor: Monitor) -> flask.Flask:
    """Build the WSGI application of an address of its own, where no credential is asked for."""
    app = flask.Flask(__name__, static_folder=None)
    app.register_blueprint(monitoring.blueprint(monitor))
    app.register_error_handler(HTTPException, monitoring.answer_http_error)
    return app


def _schemes(settings: HubSettings) -> frozenset[AuthScheme]:
    """The enabled schemes; client certificates only if TLS asks for them."""
    chosen = frozenset(map(AuthScheme, settings.schemes))
    return chosen if settings.tls_client_ca else chosen - {AuthScheme.CERTIFICATE}
