"""Run a hub: serve requests, and work in the background, until SIGTERM or SIGINT.

Work in progress is finished first.  The first process opens the hub and admits; those that answer
requests, and the console's, open it again (`answer_apart`, `answer_console_apart`).
"""

from __future__ import annotations

import errno
import gc
import json
import logging
import os
import shlex
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from functools import partial
from pathlib import Path
from typing import NamedTuple

from msgspec import structs

from tocsin.admission.errors import Unavailable
from tocsin.admission.recogniser.recogniser import check_installation, is_installed
from tocsin.config.conversion import ConfigError
from tocsin.config.settings import HubSettings
from tocsin.server.answering.connections import SharedConnections
from tocsin.server.answering.console import (
    ConsoleServer,
    RemoteConsole,
    bind_console,
    console_socket,
)
from tocsin.server.answering.processes import (
    CONSOLE,
    PROGRAM,
    AnsweringProcesses,
    AnsweringSetup,
    count_answering,
)
from tocsin.server.app import create_app, create_console_app, create_monitoring_app
from tocsin.server.bootstrap import (
    create_operator,
    first_start_lines,
    invite_first_person,
    new_hub_lines,
)
from tocsin.server.examination.processes import count_examiners
from tocsin.server.http.connection import ConnectionLimits
from tocsin.server.http.server import DRAIN, HttpServer, ListenAddress, bind
from tocsin.server.http.tls import ReloadedTls, reload_at_sighup
from tocsin.server.processes.counters import stop_sharing
from tocsin.server.processes.shared_folder import Notifier, SharedFolder
from tocsin.server.processes.signals import await_stop, call_at_sighup, stop_on_signal
from tocsin.server.runtime import STATE, Echo, Runtime, check_policy, connect, open_runtime
from tocsin.server.secrets import has_secrets
from tocsin.server.store import Clock, Store, wall_clock
from tocsin.server.store.embedded import Engine
from tocsin.server.taxii import is_quick_poll
from tocsin.server.urls import (
    find_console_url,
    find_host,
    format_host,
    is_loopback,
    record_url,
    serves_console,
)
from tocsin.server.worker import (
    build_notices,
    join_workers,
    start_answering_workers,
    start_workers,
)

log = logging.getLogger(__name__)

_COMMITTED, _QUEUED = b"commit", b"queued"
"""Messages between a hub's processes: something was committed; a submission is queued."""
_REQUESTS = "requests"
"""Name of the shared table of the rate limiter."""
_BIND_SECONDS, _BIND_PAUSE = 3.0, 0.1
"""Seconds for the processes of a hub that was killed to free its address."""
_READ_AHEAD = 5.0
"""Seconds for which requests wait at most until what they need is read."""
_METRICS_THREADS = 2
_CONSOLE_NICENESS = 5
_METRICS_DRAIN = 5
"""Seconds that requests for metrics have to finish when the hub stops."""
_PLAIN_HTTP_WARNING = (
    "plain HTTP at %s: keys can be intercepted; set tls_certificate, "
    "or let a proxy do TLS and listen on 127.0.0.1"
)
AnsweringMain = Callable[..., int]
"""The program of a process that answers, as a function: `answering.program.main`."""


@contextmanager
def open_serving_runtime(
    settings: HubSettings, echo: Echo, clock: Clock = wall_clock, engine: Engine | None = None
) -> Iterator[Runtime]:
    """Open the hub for `serve`, which keeps the embedded engine alive for all commands.

    `engine`: that of the settings' data directory, if its start has begun.
    """
    uri = settings.mongo_uri
    with (
        _shared_folder(count_answering(settings)) as shared,
        nullcontext(uri) if uri else _embedded_engine(settings, echo, shared, engine) as found,
        connect(
            settings, found, clock, count_examiners(settings), prepare=True, shared=shared
        ) as hub,
    ):
        known = {partner.slug for partner in hub.services.store.accounts.list_partners()}
        for slug in sorted(hub.services.policy.partner_settings.keys() - known):
            log.warning("policy: [partners.%s] has no effect: no partner has that short name", slug)
        if hub.services.policy.has_recogniser_rule and is_installed():
            _check_recogniser()
            log.info("recognised_names asks the recogniser of names about texts")
        yield hub


def _check_recogniser() -> None:
    try:
        check_installation()
    except Unavailable as error:
        raise ConfigError(f"the recogniser of names is installed but fails: {error}") from error


@contextmanager
def _embedded_engine(
    settings: HubSettings, echo: Echo, shared: SharedFolder | None, engine: Engine | None
) -> Iterator[str]:
    """Wait for the embedded engine, and supervise it; gives its URI."""
    engine = engine or Engine.begin(settings.data, echo)
    try:
        engine.await_start()
        engine.announce("" if shared is None else str(shared.path))
        echo(f"database: the embedded engine, in {settings.data}")
        engine.watch()
        yield engine.uri
    finally:
        engine.stop()


def _take_place(folder: SharedFolder) -> None:
    """Join a folder, and set aside all that this process will need of it.  Raises OSError."""
    folder.join()
    folder.commit_lock()
    for name in (STATE, _REQUESTS):
        folder.numbers(name)


@contextmanager
def _shared_folder(processes: int) -> Iterator[SharedFolder | None]:
    """The shared folder of a hub with this number of answering processes; None without room."""
    folder = None
    try:
        folder = SharedFolder.create()
        _take_place(folder)
        for place in range(processes):
            SharedConnections.forget(folder, place)
    except OSError as error:
        log.warning(
            "no shared memory: each process counts metrics and limits separately: %s",
            error.strerror,
        )
        if folder is not None:
            folder.remove()
        folder = None
    try:
        yield folder
    finally:
        if folder is not None:
            stop_sharing()
            folder.remove()


def _join_folder(path: str) -> SharedFolder | None:
    """Join the folder of the hub's first process; None without one, or if it is full."""
    if not path:
        return None
    try:
        folder = SharedFolder(Path(path))
        _take_place(folder)
    except OSError as error:
        log.warning(
            "cannot join the shared memory of the hub: this process counts separately: %s",
            error.strerror,
        )
        return None
    return folder


def serve(  # noqa: PLR0913
    settings: HubSettings,
    ready: Path | None,
    echo: Echo,
    clock: Clock = wall_clock,
    program: Sequence[str] = PROGRAM,
    *,
    answer: AnsweringMain | None = None,
    engine: Engine | None = None,
    stop: threading.Event | None = None,
) -> None:
    """Serve requests, and work in the background, until SIGTERM or SIGINT.

    `ready` is a file to write, with the URL and the process id as JSON, once requests are served.
    `program` is that of the processes that answer requests, and `answer` the same as a function:
    with it, they begin as copies of this process.  The start of `engine` has begun, and the caller
    stops it if this raises; `stop` is set by signals already.
    """
    if stop is None:
        stop = threading.Event()
        stop_on_signal(stop)
    tls = _load_tls(settings)
    check_policy(settings)  # it also loads the rules, which copies of this process then share
    is_new = not has_secrets(settings.data)
    with (
        _bound_socket(settings) as listening,
        _start_answering(settings, listening, program, answer) as processes,
        _reload_at_sighup(tls),
        open_serving_runtime(settings, echo, clock, engine) as hub,
        _serve_metrics(hub, echo),
    ):
        is_other = hub.is_new and bool(settings.mongo_uri) and not is_new
        database = settings.database if is_other else ""
        for line in new_hub_lines(settings.data, database) if is_new or is_other else ():
            echo(line)
        # All that needs the database is asked before requests are served: later it may be away.
        key = create_operator(hub.services.store)
        invitation = invite_first_person(hub.services) if serves_console(settings) else None
        if not settings.mongo_uri:
            # Only this process uses the engine, so the holders of these leases are dead.
            hub.services.store.submissions.release_all()
            hub.services.store.outbox.release_all()
        hub.services.store.forget_killed()
        hub.services.store.deliveries.begin(alone=not settings.mongo_uri)
        hub.services.monitor.certificate = tls
        front = (
            _answer(hub, listening, tls, stop)
            if processes is None
            else _answer_elsewhere(hub, listening, processes)
        )
        scheme = "https" if tls else "http"
        port = listening.getsockname()[1]
        with ExitStack() as at_end, front:
            notices = build_notices(hub.services, settings)
            workers = start_workers(hub.services, notices, stop)
            at_end.callback(join_workers, workers, hub.services, DRAIN)
            _freeze_loaded_objects()
            try:
                url = f"{scheme}://{find_host(settings)}:{port}/taxii2/"
                record_url(settings.data, url)
                _announce(settings, url, key, ready, echo)
                _announce_console(settings, invitation, echo)
                if not tls and not is_loopback(settings.host):
                    log.warning(_PLAIN_HTTP_WARNING, settings.host)
                await_stop(stop)
                log.info("stopping: finishing work in progress")
            finally:  # the workers keep the process alive until `stop` is set
                stop.set()
        _end_deliveries(hub.services.store)
        if ready is not None:
            ready.unlink(missing_ok=True)
    log.info("stopped")


class _Apart(NamedTuple):
    """The processes that answer."""

    requests: AnsweringProcesses
    pages: AnsweringProcesses | None
    """The one that serves the console."""
    pages_socket: socket.socket

    def stop(self) -> None:
        """End all of them; they finish the requests that they have begun."""
        both = [self.requests] if self.pages is None else [self.requests, self.pages]
        for each in both:
            each.begin_stop()
        for each in both:
            each.stop()


@contextmanager
def _start_answering(
    settings: HubSettings,
    listening: socket.socket,
    program: Sequence[str],
    answer: AnsweringMain | None,
) -> Iterator[_Apart | None]:
    """Start the processes that answer requests; None if this one does it itself.

    This process has no thread and no connection yet, so that they can be copies of it.
    """
    count = count_answering(settings)
    if count == 0:
        yield None
        return
    with console_socket() as pages_socket:
        copy = None if answer is None else partial(answer, serves_console=False)
        requests = AnsweringProcesses(count, listening, program, copy)
        pages = None
        if serves_console(settings):
            copy = None if answer is None else partial(answer, serves_console=True)
            pages = AnsweringProcesses(1, pages_socket, (*program, CONSOLE), copy)
        apart = _Apart(requests, pages, pages_socket)
        try:
            yield apart
        finally:
            apart.stop()


@contextmanager
def _answer(
    hub: Runtime,
    listening: socket.socket,
    tls: ReloadedTls | None,
    stop: threading.Event,
    setup: AnsweringSetup | None = None,
) -> Iterator[None]:
    """Answer requests in this process; `setup` if it is one of several that do."""
    hub.services.monitor.certificate = tls
    server = _build_server(hub, stop, tls, setup)
    _read_ahead(hub)
    server.prepare(listening)
    http = threading.Thread(target=server.serve, name="http", daemon=True)
    http.start()
    try:
        yield
    finally:
        server.stop()
        http.join(DRAIN)


def _read_ahead(hub: Runtime) -> None:
    """Read what the first requests need: a feed, for /readyz, and the queue of reviews.

    10,000 reviews take a second or two on the embedded engine.  Requests wait in the socket, for
    `_READ_AHEAD` at most; what takes longer goes on beside them.  A process that shows no pages
    reads no reviews.
    """

    def read() -> None:
        try:
            hub.services.monitor.look()
            hub.services.store.review_queue.refresh()
        except Exception as error:  # the background work tries it again every second
            log.warning("feeds and reviews are read later: %s", str(error)[:200])

    reader = threading.Thread(target=read, name="ahead", daemon=True)
    reader.start()
    reader.join(_READ_AHEAD)


@contextmanager
def _answer_elsewhere(hub: Runtime, listening: socket.socket, processes: _Apart) -> Iterator[None]:
    """Let other processes answer requests."""
    store, shared = hub.services.store, hub.shared
    with _open_notifier(shared) as notifier:
        if notifier is not None:
            store.listeners.append(partial(notifier.notify, _COMMITTED))
            waiting = hub.services.intake.waiting
            notifier.listen(lambda message: waiting.set() if message == _QUEUED else None)
        folder = "" if shared is None else str(shared.path)
        count, policy = count_answering(hub.settings), hub.services.policy_text
        setup = AnsweringSetup(
            hub.settings, policy, hub.uri, folder, listening.fileno(), count, os.getpid()
        )
        if hub.settings.tls_certificate is not None:
            call_at_sighup(partial(processes.requests.signal, signal.SIGHUP))
        with _config_error_of(hub.settings):
            listening.listen()  # of two hubs at one address, one fails here
        try:  # if one of them does not start, the others end before their database does
            if processes.pages is not None and shared is not None:
                setup = _begin_console(processes.pages, processes.pages_socket, setup, hub)
            processes.requests.begin(setup, partial(_note_death, hub))
            _read_ahead(hub)
            yield
        finally:
            processes.stop()


@contextmanager
def answer_apart(
    setup: AnsweringSetup,
    listening: socket.socket,
    stop: threading.Event,
    clock: Clock = wall_clock,
) -> Iterator[None]:
    """Answer requests in a process of its own, for a hub whose first process admits."""
    tls = _load_tls(setup.settings)
    if tls is not None:
        reload_at_sighup(tls, is_logged=False)
        # A signal that came while this process was starting is heard now.
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGHUP})
    with _work_apart(setup, stop, clock, lambda hub: _answer(hub, listening, tls, stop, setup)):
        yield


@contextmanager
def answer_console_apart(
    setup: AnsweringSetup,
    bound: socket.socket,
    stop: threading.Event,
    clock: Clock = wall_clock,
) -> Iterator[None]:
    """Serve the console in a process of its own, which leaves the processors to the others."""
    os.nice(_CONSOLE_NICENESS)
    with _work_apart(setup, stop, clock, partial(_serve_console, bound)):
        yield


@contextmanager
def _serve_console(bound: socket.socket, hub: Runtime) -> Iterator[None]:
    server = ConsoleServer(bound, create_console_app(hub.services, hub.secrets, hub.settings))
    _read_ahead(hub)
    server.start()
    try:
        yield
    finally:
        server.stop(DRAIN)


@contextmanager
def _work_apart(
    setup: AnsweringSetup,
    stop: threading.Event,
    clock: Clock,
    serve_with: Callable[[Runtime], AbstractContextManager[None]],
) -> Iterator[None]:
    """Open the hub that another process prepared; hear what its processes do, and tell them."""
    shared = _join_folder(setup.shared_folder)
    with connect(setup.settings, setup.uri, clock, shared=shared, setup=setup) as hub:
        services = hub.services
        notify: Callable[[], None] | None = None
        services.store.deliveries.begin(alone=False)
        with _open_notifier(shared) as notifier, serve_with(hub):
            if notifier is not None:
                notifier.listen(partial(_wake, tuple(services.store.listeners)))
                services.store.listeners.append(partial(notifier.notify, _COMMITTED))
                notify = partial(notifier.notify, _QUEUED)
            workers = start_answering_workers(services, stop, notify)
            _freeze_loaded_objects()
            try:
                yield
            finally:
                stop.set()
        join_workers(workers, services, DRAIN)
        _end_deliveries(services.store)


def _begin_console(
    process: AnsweringProcesses, unbound: socket.socket, setup: AnsweringSetup, hub: Runtime
) -> AnsweringSetup:
    """Let the console's process serve it; the setup that lets the others hand requests over."""
    assert hub.shared is not None  # noqa: S101  (the caller has looked)
    try:
        path = bind_console(unbound, hub.shared.path)
    except OSError as error:
        log.warning("the console has no process of its own: %s", error.strerror or error)
        return setup
    setup = structs.replace(setup, console=path)
    process.begin(
        structs.replace(setup, socket_fd=unbound.fileno()),
        lambda _, name: hub.services.store.forget_process(name),  # what it had begun
    )
    return setup


def _note_death(hub: Runtime, place: int, name: str) -> None:
    """Let go of what a process that has ended had: its connections, and what it had begun."""
    if hub.shared is not None:
        SharedConnections.forget(hub.shared, place)
    hub.services.store.forget_process(name)


def _wake(listeners: Sequence[Callable[[], None]], message: bytes) -> None:
    """Let those that wait for a commit of this process look also at one of another."""
    if message == _COMMITTED:
        for listener in listeners:
            listener()


@contextmanager
def _open_notifier(shared: SharedFolder | None) -> Iterator[Notifier | None]:
    """The notifier of this process; None if nothing is shared."""
    notifier = None
    if shared is not None:
        try:
            notifier = Notifier(shared)
        except OSError as error:
            log.warning(
                "this process cannot be woken by the others and polls the database instead: %s",
                error.strerror,
            )
    try:
        yield notifier
    finally:
        if notifier is not None:
            notifier.close()


def _end_deliveries(store: Store) -> None:
    """Write the last deliveries; if they cannot be written, they are listed as possible."""
    try:
        store.deliveries.end()
    except Exception:  # the hub stops in any case
        log.exception("the last deliveries could not be written")


def run_worker(settings: HubSettings, echo: Echo, clock: Clock = wall_clock) -> None:
    """Work in the background, beside hubs that serve, until SIGTERM or SIGINT.

    Raises ConfigError on the embedded engine, which belongs to one serving hub.
    """
    if not settings.mongo_uri:
        raise ConfigError(
            "mongo_uri: `work` needs a MongoDB; with the embedded engine the hub itself works"
        )
    stop = threading.Event()
    stop_on_signal(stop)
    with (
        open_runtime(settings, echo, clock, count_examiners(settings), prepare=True) as hub,
        _serve_metrics(hub, echo),
    ):
        hub.services.store.forget_killed()
        notices = build_notices(hub.services, settings)
        workers = start_workers(hub.services, notices, stop)
        _freeze_loaded_objects()
        echo("working")
        await_stop(stop)
        log.info("stopping: finishing work in progress")
        join_workers(workers, hub.services, DRAIN)
    log.info("stopped")


def _freeze_loaded_objects() -> None:
    """Exempt what is loaded now, which stays to the end, from garbage collection."""
    gc.collect()
    gc.freeze()


def _build_server(
    hub: Runtime,
    stop: threading.Event,
    tls: ReloadedTls | None,
    setup: AnsweringSetup | None,
) -> HttpServer:
    """The HTTP server of this process; see `_answer`."""
    settings, shared = hub.settings, hub.shared
    address = ListenAddress(settings.host, settings.port, settings.threads, tls)
    longest, most = settings.max_content_length, ConnectionLimits()
    processes = 1 if setup is None else setup.processes
    limits = ConnectionLimits(
        max_body=longest,
        max_held=max(most.max_held // processes, 4 * longest),
        total=most.total // processes,
        per_address=settings.connections_per_address,
        unfinished_per_address=settings.unfinished_per_address,
    )
    numbers = None if shared is None else shared.numbers(_REQUESTS)
    pages = RemoteConsole(setup.console) if setup is not None and setup.console else None
    app = create_app(hub.services, hub.secrets, settings, stop, numbers, pages)
    others = None
    if setup is not None and shared is not None and processes > 1:
        others = SharedConnections(shared, setup.place, processes)
    return HttpServer(address, app, limits, others, is_quick=is_quick_poll)


@contextmanager
def _bound_socket(settings: HubSettings) -> Iterator[socket.socket]:
    """Bind the socket.  Raises ConfigError if the address is in use or not of this machine."""
    deadline = time.monotonic() + _BIND_SECONDS
    with _config_error_of(settings):
        while True:
            try:
                bound = bind(settings.host, settings.port)
                break
            except OSError as error:
                if error.errno != errno.EADDRINUSE or time.monotonic() > deadline:
                    raise
                time.sleep(_BIND_PAUSE)
    with bound:
        yield bound


@contextmanager
def _config_error_of(settings: HubSettings) -> Iterator[None]:
    """Raise a ConfigError where the address cannot be listened at."""
    try:
        yield
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
    server = HttpServer(address, create_monitoring_app(hub.services.monitor))
    try:
        server.prepare()
    except (OSError, OverflowError) as error:
        raise ConfigError(f"metrics_address: cannot listen at {given}: {error}") from error
    http = threading.Thread(target=server.serve, name="metrics", daemon=True)
    http.start()
    echo(f"metrics at http://{format_host(host)}:{server.port}/metrics")
    if not is_loopback(host):
        log.warning(
            "every client that reaches %s can read the metrics; let only Prometheus reach it", given
        )
    try:
        yield
    finally:
        server.stop()
        http.join(_METRICS_DRAIN)


def _load_tls(settings: HubSettings) -> ReloadedTls | None:
    if settings.tls_certificate is None:
        return None
    return ReloadedTls(settings.tls_certificate, settings.tls_key, settings.tls_client_ca)


@contextmanager
def _reload_at_sighup(tls: ReloadedTls | None) -> Iterator[None]:
    """From now on: this starts a thread, so it comes after the processes that are copies."""
    if tls is not None:
        reload_at_sighup(tls)
    yield


def _announce(
    settings: HubSettings, url: str, key: str | None, ready: Path | None, echo: Echo
) -> None:
    echo(f"answering at {url}")
    if key is not None:
        is_usual = settings.data == HubSettings().data
        more = "" if is_usual else f" --data {shlex.quote(str(settings.data))}"
        for line in first_start_lines(key, more):
            echo(line)
    if ready is not None:
        partial = ready.with_name(f"{ready.name}.partial")
        try:
            partial.write_text(json.dumps({"url": url, "pid": os.getpid()}), "utf-8")
            partial.replace(ready)
        except OSError as error:
            raise ConfigError(f"--ready-file: cannot write {ready}: {error.strerror}") from error


def _announce_console(settings: HubSettings, invitation: str | None, echo: Echo) -> None:
    if not serves_console(settings):
        if settings.console:
            echo("no console: it needs TLS, or a proxy with TLS named by public_url")
        return
    url = find_console_url(settings)
    if invitation is None:
        echo(f"console: {url}/")
    else:
        echo(f"console: {url}/invitation/{invitation}")
        echo("  with this link you become its first person; it works once")
