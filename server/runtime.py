"""A hub opened: secrets, database, parts.  For `serve` and for every command beside it.

A hub that answers, a worker that only works, and a clean end for both.
"""

from __future__ import annotations

import gc
import json
import os
import signal
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

from tocsin.admission import parse_policy
from tocsin.admission.policy import Policy
from tocsin.admission.warninglists.index import load_warning_lists
from tocsin.config import ConfigError, HubSettings, policy_text
from tocsin.config.cache import load_or_build
from tocsin.server.app import (
    AdmissionConfig,
    HubServices,
    build_services,
    create_app,
)
from tocsin.server.bootstrap import OPERATOR, create_default_collections, create_operator
from tocsin.server.http.server import (
    DRAIN,
    Contexts,
    HttpServer,
    ListenAddress,
    build_server,
)
from tocsin.server.http.tls import server_context
from tocsin.server.secrets import HubSecrets, load_secrets
from tocsin.server.store import Clock, Store, wall_clock
from tocsin.server.store.embedded import Engine, database
from tocsin.server.worker import join_workers, start_workers

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Runtime:
    """What a command works with."""

    settings: HubSettings
    seal: HubSecrets
    services: HubServices
    policy: Policy


@contextmanager
def open_runtime(settings: HubSettings, say: Say, clock: Clock = wall_clock) -> Iterator[Runtime]:
    """The hub's parts over its database, for a command beside the hub or without it."""
    place = nullcontext(settings.mongo_uri) if settings.mongo_uri else database(settings.data, say)
    with place as uri, _joined(settings, uri, clock) as hub:
        yield hub


@contextmanager
def open_serving_runtime(
    settings: HubSettings, say: Say, clock: Clock = wall_clock
) -> Iterator[Runtime]:
    """The same for the hub itself, which keeps the embedded engine alive for all."""
    place = nullcontext(settings.mongo_uri) if settings.mongo_uri else _engine(settings, say)
    with place as uri, _joined(settings, uri, clock) as hub:
        there = {partner.slug for partner in hub.services.store.accounts.list_partners()}
        for slug in sorted(hub.policy.partner_settings.keys() - there):
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
def _joined(settings: HubSettings, uri: str, clock: Clock = wall_clock) -> Iterator[Runtime]:
    own = load_secrets(settings.data)
    admission = AdmissionConfig(
        parse_policy(policy_text(settings.policy), settings.policy),
        load_warning_lists(keep=load_or_build),
    )
    store = Store.connect(uri, name=settings.database, clock=clock)
    try:
        store.prepare()
        store.check_secrets(own.fingerprint)
        services = build_services(store, own, settings, admission)
        create_default_collections(store, services.publisher, own)
        yield Runtime(settings, own, services, admission.policy)
    finally:
        store.close()


_RISK = "keys can be read on the way"
_ADVICE = "set tls_certificate, or let a proxy do TLS and listen on 127.0.0.1"


def serve(
    settings: HubSettings,
    ready: Path | None,
    say: Callable[[str], None],
    clock: Clock = wall_clock,
) -> None:
    """Answer until SIGTERM or SIGINT; what is in hand is finished first."""
    stop = threading.Event()
    _on_signal(stop)
    tls = _tls(settings, say)
    with open_serving_runtime(settings, say, clock) as hub:
        key = create_operator(hub.services.store)
        if not settings.mongo_uri:
            # The engine is ours alone, so whoever held these leases is dead.
            hub.services.store.submissions.release_all()
            hub.services.store.outbox.release_all()
        server = _server(hub, stop, tls)
        _listen(server, settings)
        scheme = "https" if tls else "http"
        url = f"{scheme}://{_shown(settings.host)}:{server.bind_addr[1]}/taxii2/"
        answering = threading.Thread(target=server.serve, name="http", daemon=True)
        answering.start()
        workers = start_workers(hub.services, stop)
        _settle()
        try:
            _announce(url, key, ready, say)
            if not tls and not _is_loopback(settings.host):
                say(f"warning: plain HTTP at {settings.host}: {_RISK}; {_ADVICE}")
            stop.wait()
            say("stopping: finishing what is in hand")
        finally:  # the workers keep the process alive until they are told
            stop.set()
            server.stop()
            answering.join(DRAIN)
            join_workers(workers, DRAIN)
        if ready is not None:
            ready.unlink(missing_ok=True)
    say("stopped")


def run_worker(
    settings: HubSettings, say: Callable[[str], None], clock: Clock = wall_clock
) -> None:
    """Admit what waits, and pack, beside the hubs that answer, until SIGTERM or SIGINT.

    Raises ConfigError on the embedded engine, which ends with its hub: that one works itself.
    """
    if not settings.mongo_uri:
        raise ConfigError(
            "mongo_uri: `work` is for a MongoDB; beside the embedded engine the hub works"
        )
    stop = threading.Event()
    _on_signal(stop)
    with open_runtime(settings, say, clock) as hub:
        workers = start_workers(hub.services, stop)
        _settle()
        say("working")
        stop.wait()
        say("stopping: finishing what is in hand")
        join_workers(workers, DRAIN)
    say("stopped")


def _settle() -> None:
    """What is loaded now stays to the end: no collection of garbage need look at it again."""
    gc.collect()
    gc.freeze()


def _server(hub: Runtime, stop: threading.Event, tls: Contexts | None) -> HttpServer:
    settings = hub.settings
    place = ListenAddress(settings.host, settings.port, settings.threads, tls)
    return build_server(place, create_app(hub.services, hub.seal, settings, stop))


def _listen(server: HttpServer, settings: HubSettings) -> None:
    """Raises ConfigError if the address is another's, or none of this machine."""
    try:
        server.prepare()
    except OSError as error:
        why = str(error).rpartition("] ")[2].rstrip(")")  # cheroot's text holds the cause's
        place = f"{settings.host}:{settings.port}"
        raise ConfigError(
            f"cannot listen at {place}: {why}; name another --port or --host"
        ) from error


def _tls(settings: HubSettings, say: Callable[[str], None]) -> Contexts | None:
    """TLS, if there is a certificate; renewed from the same files at SIGHUP.

    A context that is in use stays as it is: who came in while it was changed would be refused.
    """
    certificate = settings.tls_certificate
    if certificate is None:
        return None

    def made() -> ssl.SSLContext:
        return server_context(certificate, settings.tls_key, settings.tls_client_ca)

    context = made()

    def renew(number: int, frame: FrameType | None) -> None:
        nonlocal context
        try:
            context = made()
            say(f"new connections are shown {certificate} as it is now")
        except ConfigError as error:
            say(f"the certificate stays as it was: {error}")

    signal.signal(signal.SIGHUP, renew)
    return lambda: context


def _on_signal(stop: threading.Event) -> None:
    def end(number: int, frame: FrameType | None) -> None:
        stop.set()

    signal.signal(signal.SIGTERM, end)
    signal.signal(signal.SIGINT, end)


def _announce(url: str, key: str | None, ready: Path | None, say: Callable[[str], None]) -> None:
    say(f"answering at {url}")
    if key is not None:
        say(f"operator account: {OPERATOR}  key: {key}")
        say("  the key is shown this once; `tocsin-hub key issue operator` makes another")
        say("  next: tocsin-hub partner add acme --name 'ACME Corp' --read clear,green")
    if ready is not None:
        partial = ready.with_name(f"{ready.name}.partial")
        try:
            partial.write_text(json.dumps({"url": url, "pid": os.getpid()}), "utf-8")
            partial.replace(ready)
        except OSError as error:
            raise ConfigError(f"--ready-file: cannot write {ready}: {error.strerror}") from error


def _shown(host: str) -> str:
    if host in ("0.0.0.0", "::", ""):  # noqa: S104  (compared, not bound)
        return "127.0.0.1"
    return f"[{host}]" if ":" in host else host


def _is_loopback(host: str) -> bool:
    return host == "localhost" or host.startswith("127.") or host == "::1"
