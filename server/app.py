"""Dependency wiring: the applications that answer requests, over the services of a hub.

The only module that knows the TAXII endpoints, the exports and the console at once.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from importlib import import_module
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import flask
from werkzeug.exceptions import HTTPException
from werkzeug.middleware.dispatcher import DispatcherMiddleware

from tocsin.config.conversion import ConfigError
from tocsin.config.settings import HubSettings
from tocsin.server import taxii
from tocsin.server.auth import AuthScheme
from tocsin.server.console.app import create_console
from tocsin.server.console.middleware import limit_concurrency
from tocsin.server.console.own_objects import find_ended_ids
from tocsin.server.console.policy_trial import PolicyTrials
from tocsin.server.console.previews import Previews
from tocsin.server.console.services import ConsoleServices, ConsoleSettings
from tocsin.server.export import routes as export
from tocsin.server.model import Account, Collection, FeedHead
from tocsin.server.monitoring import Monitor
from tocsin.server.partners.administration import Partners
from tocsin.server.partners.passkeys import Passkeys
from tocsin.server.processes.shared_folder import Numbers
from tocsin.server.secrets import HubSecrets
from tocsin.server.services import HubServices, warning_lists_file
from tocsin.server.store import Availability, DiskSpace
from tocsin.server.taxii import monitoring, openapi
from tocsin.server.taxii.long_poll import LongPolls
from tocsin.server.taxii.protocols import TaxiiServices, TaxiiSettings
from tocsin.server.taxii.rate_limit import RateLimiter
from tocsin.server.taxii.request_context import RequestContext, request_context
from tocsin.server.taxii.routes import Endpoints
from tocsin.server.urls import CONSOLE_ROOT, is_secure, serves_console

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

    from tocsin.server.console.oidc import Provider

_TRIALS = "trials"


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
    """The services of the exports; rights to read are those of TAXII."""

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
        mounted: dict[str, WSGIApplication] = {CONSOLE_ROOT: limit_concurrency(pages)}
        app.wsgi_app = _Mounts(app.wsgi_app, mounted)  # type: ignore[method-assign]
    return app


def create_console_app(
    services: HubServices, secrets: HubSecrets, settings: HubSettings
) -> WSGIApplication:
    """Build the WSGI application of the console, which is mounted at its root."""
    services.store.review_queue.is_shown = True
    return create_console(_console_services(services, settings, secrets.page_token_key)).wsgi_app


def create_monitoring_app(monitor: Monitor) -> flask.Flask:
    """Build the WSGI application of an address of its own, where no credential is asked for."""
    app = flask.Flask(__name__, static_folder=None)
    app.register_blueprint(monitoring.blueprint(monitor))
    app.register_error_handler(HTTPException, monitoring.answer_http_error)
    return app


class _Mounts(DispatcherMiddleware):
    """The console below its root; a browser that opens the hub is sent there.

    It leaves the environment of a request to the console as it was: where the body of a form
    has not arrived with its head, the server asks the application again later, with the same one.
    """

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Answer by the application whose path it is."""
        path = environ["PATH_INFO"]
        if path == "/" and "text/html" in environ.get("HTTP_ACCEPT", ""):
            headers = [("Location", f"{CONSOLE_ROOT}/"), ("Content-Length", "0")]
            start_response("303 See Other", headers)
            return []
        if path.startswith(CONSOLE_ROOT):
            environ = dict(environ)
        return super().__call__(environ, start_response)


def _console_services(services: HubServices, settings: HubSettings, key: bytes) -> ConsoleServices:
    origin = settings.public_url.rstrip("/")
    name = urlsplit(origin).hostname
    local = frozenset({"localhost", "127.0.0.1", "::1", settings.host})
    made = ConsoleSettings(
        title=settings.title,
        origin=origin,
        hosts=local | {name} if name else (local if not settings.tls_certificate else frozenset()),
        is_secure=is_secure(settings),
        has_forwarded_for=settings.forwarded_for,
        max_content_length=settings.max_content_length,
        require_agreements=settings.require_agreements,
        requires_second_factor=settings.require_second_factor,
        four_eyes=settings.four_eyes,
        review_days=settings.retain_reviews_days,
    )
    store, intake, drafts = services.store, services.intake, services.drafts
    return ConsoleServices(
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
        trials=PolicyTrials(
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
        previews=Previews(
            drafts,
            intake,
            services.previewer,
            partial(find_ended_ids, store),
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
    provider: Provider = oidc.Provider(about, key, f"{site}{CONSOLE_ROOT}/oidc/return")
    return provider


def _schemes(settings: HubSettings) -> frozenset[AuthScheme]:
    """The enabled schemes; client certificates only if TLS asks for them."""
    chosen = frozenset(map(AuthScheme, settings.schemes))
    return chosen if settings.tls_client_ca else chosen - {AuthScheme.CERTIFICATE}
