"""Run a hub: open its secrets, database and services; serve requests; work without serving.

`serve` and `run_worker` end cleanly at SIGTERM or SIGINT: work in progress is finished first.
Commands that run beside the hub use `open_runtime`.
"""

from __future__ import annotations

import gc
import json
import logging
import os
import signal
import threading
from _thread import start_new_thread
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

from tocsin.admission import parse_policy
from tocsin.admission.errors import PolicyError, Unavailable
from tocsin.admission.policy import Policy
from tocsin.admission.recogniser.recogniser import check_installation, is_installed
from tocsin.admission.warninglists.index import load_warning_lists
from tocsin.config import ConfigError, HubSettings, policy_text
from tocsin.config.cache import load_or_build
from tocsin.server.app import (
    AdmissionConfig,
    HubServices,
    build_services,
    create_app,
    create_monitoring_app,
)
from tocsin.server.bootstrap import create_default_collections, create_operator, first_start_lines
from tocsin.server.examination.processes import ExaminerLimits, ExaminerProcesses
from tocsin.server.http.connection import ConnectionLimits
from tocsin.server.http.server import (
    DRAIN,
    HttpServer,
    ListenAddress,
    build_server,
)
from tocsin.server.http.tls import TlsContextSource, reload_at_sighup
from tocsin.server.intake.queue import MOST_BEGUN
from tocsin.server.journal import OPERATOR
from tocsin.server.metrics import Metrics, SharedFolder
from tocsin.server.secrets import HubSecrets, load_secrets
from tocsin.server.store import Clock, Store, wall_clock
from tocsin.server.store.embedded import Engine, database
from tocsin.server.worker import join_workers, start_workers

log = logging.getLogger(__name__)

_NO_RECOGNISER = (
    "policy: [rules.recognised_names] expected = true, but the recogniser is not installed on this"
    " system: docs/operate.md says how, or set it to false"
)
_METRICS_THREADS = 2
_METRICS_DRAIN = 5
"""Seconds that requests for metrics have to finish when the hub stops."""
Echo = Callable[[str], None]
"""Shows the operator one line of text."""


@dataclass(frozen=True, slots=True)
class Runtime:
    """An open hub."""

    settings: HubSettings
    secrets: HubSecrets
    services: HubServices
    policy: Policy
    actor: str = OPERATOR
    """Who acts through it, as the journal names them."""


@contextmanager
def open_runtime(
    settings: HubSettings, echo: Echo, clock: Clock = wall_clock, processes: int = 0
) -> Iterator[Runtime]:
    """Open the hub for a command, whether a hub is running or not.

    `processes` examine submissions.
    """
    uri = settings.mongo_uri
    with (
        nullcontext(uri) if uri else database(settings.data, echo) as found,
        _connect(settings, found, clock, processes) as hub,
    ):
        yield hub


@contextmanager
def open_serving_runtime(
    settings: HubSettings, echo: Echo, clock: Clock = wall_clock
) -> Iterator[Runtime]:
    """Open the hub for `serve`, which keeps the embedded engine alive for all commands."""
    uri = settings.mongo_uri
    with (
        nullcontext(uri) if uri else _embedded_engine(settings, echo) as found,
        _shared_metrics(settings) as metrics,
        _connect(settings, found, clock, _count_processes(settings), metrics) as hub,
    ):
        known = {partner.slug for partner in hub.services.store.accounts.list_partners()}
        for slug in sorted(hub.policy.partner_settings.keys() - known):
            echo(f"policy: [partners.{slug}] has no effect: no partner has that short name")
        if hub.policy.has_recogniser_rule and is_installed():
            _check_recogniser()
            log.info("recognised_names asks the recogniser of names about texts")
        yield hub


def _check_recogniser() -> None:
    try:
        check_installation()
    except Unavailable as error:
        raise ConfigError(f"the recogniser of names is installed but fails: {error}") from error


@contextmanager
def _embedded_engine(settings: HubSettings, echo: Echo) -> Iterator[str]:
    """Start and supervise the embedded engine; gives its URI."""
    engine = Engine.start(settings.data, echo)
    try:
        echo(f"database: the embedded engine, in {settings.data}")
        engine.watch()
        yield engine.uri
    finally:
        engine.stop()


@contextmanager
def _shared_metrics(settings: HubSettings) -> Iterator[Metrics]:
    """Metrics to which all processes of this hub can add; in memory, if there is no room."""
    folder = _open_shared_folder()
    try:
        yield Metrics(folder, times_commands=bool(settings.metrics_address))
    finally:
        if folder is not None:
            folder.remove()


def _open_shared_folder() -> SharedFolder | None:
    folder = None
    try:
        folder = SharedFolder.create()
        folder.join()
    except OSError as error:
        log.warning("metrics are counted by each process for itself: %s", error.strerror)
        if folder is not None:
            folder.remove()
        return None
    return folder


@contextmanager
def _connect(  # noqa: PLR0913
    settings: HubSettings,
    uri: str,
    clock: Clock,
    processes: int = 0,
    metrics: Metrics | None = None,
) -> Iterator[Runtime]:
    """The hub's services over the database at `uri`; `processes` examine submissions."""
    secrets = load_secrets(settings.data)
    text = policy_text(settings.policy)
    policy = parse_policy(text, settings.policy)
    if policy.expects_recogniser and not is_installed():
        raise PolicyError(_NO_RECOGNISER)
    limits = ExaminerLimits.for_bodies(settings.max_content_length, MOST_BEGUN + 1)
    examiner = ExaminerProcesses(processes, text, limits) if processes else None
    admission = AdmissionConfig(policy, load_warning_lists(keep=load_or_build), examiner)
    metrics = metrics or Metrics(times_commands=bool(settings.metrics_address))
    store = Store.connect(uri, name=settings.database, clock=clock, metrics=metrics)
    try:
        store.prepare()
        store.check_secrets(secrets.fingerprint)
        services = build_services(store, secrets, settings, admission)
        create_default_collections(store, services.publisher, secrets)
        yield Runtime(settings, secrets, services, policy)
    finally:
        store.close()
        if examiner is not None:
            examiner.close()


def _count_processes(settings: HubSettings) -> int:
    """The number of processes that examine submissions."""
    if settings.admission_processes >= 0:
        return settings.admission_processes
    return 2


def serve(settings: HubSettings, ready: Path | None, echo: Echo, clock: Clock = wall_clock) -> None:
    """Serve requests, and work in the background, until SIGTERM or SIGINT.

    `ready` is a file to write, with the URL and the process id as JSON, once requests are served.
    """
    stop = threading.Event()
    _stop_on_signal(stop)
    tls = _tls_contexts(settings, echo)
    with (
        open_serving_runtime(settings, echo, clock) as hub,
        _serve_metrics(hub, echo),
    ):
        key = create_operator(hub.services.store)
        if not settings.mongo_uri:
            # Only this process uses the engine, so the holders of these leases are dead.
            hub.services.store.submissions.release_all()
            hub.services.store.outbox.release_all()
        server = _build_server(hub, stop, tls)
        _listen(server, settings)
        hub.services.store.deliveries.begin(alone=not settings.mongo_uri)
        scheme = "https" if tls else "http"
        url = f"{scheme}://{_url_host(settings.host)}:{server.port}/taxii2/"
        http = threading.Thread(target=server.serve, name="http", daemon=True)
        http.start()
        workers = start_workers(hub.services, stop)
        _freeze_loaded_objects()
        try:
            _announce(url, key, ready, echo)
            if not tls and not _is_loopback(settings.host):
                echo(_PLAIN_HTTP_WARNING.format(settings.host))
            stop.wait()
            echo("stopping: finishing work in progress")
        finally:  # the workers keep the process alive until `stop` is set
            stop.set()
            server.stop()
            http.join(DRAIN)
            join_workers(workers, DRAIN)
            _end_deliveries(hub.services.store)
        if ready is not None:
            ready.unlink(missing_ok=True)
    echo("stopped")


def _end_deliveries(store: Store) -> None:
    """Write the last deliveries; if they cannot be written, they are listed as possible."""
    try:
        store.deliveries.end()
    except Exception:  # the hub stops in any case
        log.exception("the last deliveries could not be written")


_PLAIN_HTTP_WARNING = (
    "warning: plain HTTP at {}: keys can be intercepted; set tls_certificate, "
    "or let a proxy do TLS and listen on 127.0.0.1"
)


def run_worker(settings: HubSettings, echo: Echo, clock: Clock = wall_clock) -> None:
    """Work in the background, beside hubs that serve, until SIGTERM or SIGINT.

    Raises ConfigError on the embedded engine, which belongs to one serving hub.
    """
    if not settings.mongo_uri:
        raise ConfigError(
            "mongo_uri: `work` needs a MongoDB; with the embedded engine the hub itself works"
        )
    stop = threading.Event()
    _stop_on_signal(stop)
    with (
        open_runtime(settings, echo, clock, _count_processes(settings)) as hub,
        _serve_metrics(hub, echo),
    ):
        workers = start_workers(hub.services, stop)
        _freeze_loaded_objects()
        echo("working")
        stop.wait()
        echo("stopping: finishing work in progress")
        join_workers(workers, DRAIN)
    echo("stopped")


def _freeze_loaded_objects() -> None:
    """Exempt what is loaded now, which stays to the end, from garbage collection."""
    gc.collect()
    gc.freeze()


def _build_server(hub: Runtime, stop: threading.Event, tls: TlsContextSource | None) -> HttpServer:
    settings = hub.settings
    address = ListenAddress(settings.host, settings.port, settings.threads, tls)
    longest = settings.max_content_length
    limits = ConnectionLimits(
        max_body=longest,
        max_held=max(ConnectionLimits().max_held, 4 * longest),
        per_address=settings.connections_per_address,
        unfinished_per_address=settings.unfinished_per_address,
    )
    return build_server(address, create_app(hub.services, hub.secrets, settings, stop), limits)


def _listen(server: HttpServer, settings: HubSettings) -> None:
    """Bind the socket.  Raises ConfigError if the address is in use or not of this machine."""
    try:
        server.prepare()
    except OSError as error:
        raise ConfigError(
            f"cannot listen at {settings.host}:{settings.port}: {error.strerror}; "
            "choose another --port or --host"
        ) from error


@contextmanager
def _serve_metrics(hub: Runtime, echo: Echo) -> Iterator[None]:
    """Serve the metrics at an address of their own, if the settings name one."""
    given = hub.settings.metrics_address
    if not given:
        yield
        return
    host, _, port = given.rpartition(":")
    host = host.strip("[]")
    address = ListenAddress(host, int(port), threads=_METRICS_THREADS)
    server = build_server(address, create_monitoring_app(hub.services.monitor))
    try:
        server.prepare()
    except (OSError, OverflowError) as error:
        raise ConfigError(f"metrics_address: cannot listen at {given}: {error}") from error
    http = threading.Thread(target=server.serve, name="metrics", daemon=True)
    http.start()
    echo(f"metrics at http://{_url_host(host)}:{server.port}/metrics")
    if not _is_loopback(host):
        echo(
            f"warning: every client that reaches {given} can read the metrics; "
            "let only Prometheus reach it"
        )
    try:
        yield
    finally:
        server.stop()
        http.join(_METRICS_DRAIN)


def _tls_contexts(settings: HubSettings, echo: Echo) -> TlsContextSource | None:
    if settings.tls_certificate is None:
        return None
    return reload_at_sighup(
        settings.tls_certificate, settings.tls_key, settings.tls_client_ca, echo
    )


def _stop_on_signal(stop: threading.Event) -> None:
    def end(number: int, frame: FrameType | None) -> None:
        # Not here: this thread may be in `stop.wait`, and hold the lock that `set` takes.
        start_new_thread(stop.set, ())

    signal.signal(signal.SIGTERM, end)
    signal.signal(signal.SIGINT, end)


def _announce(url: str, key: str | None, ready: Path | None, echo: Echo) -> None:
    echo(f"answering at {url}")
    if key is not None:
        for line in first_start_lines(key):
            echo(line)
    if ready is not None:
        partial = ready.with_name(f"{ready.name}.partial")
        try:
            partial.write_text(json.dumps({"url": url, "pid": os.getpid()}), "utf-8")
            partial.replace(ready)
        except OSError as error:
            raise ConfigError(f"--ready-file: cannot write {ready}: {error.strerror}") from error


def _url_host(host: str) -> str:
    """The host to name in a URL."""
    if host in ("0.0.0.0", "::", ""):  # noqa: S104  (compared, not bound)
        return "127.0.0.1"
    return f"[{host}]" if ":" in host else host


def _is_loopback(host: str) -> bool:
    return host == "localhost" or host.startswith("127.") or host == "::1"
