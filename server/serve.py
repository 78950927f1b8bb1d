"""A hub that answers, a worker that only works, and a clean end for both."""

from __future__ import annotations

import gc
import json
import os
import signal
import ssl
import threading
from collections.abc import Callable
from pathlib import Path
from types import FrameType

from tocsin.config import ConfigError, HubSettings
from tocsin.server.app import create_app
from tocsin.server.founding import OPERATOR, found_operator
from tocsin.server.listening import DRAIN, Contexts, Listener, Place, listener
from tocsin.server.opening import Opened, housed, opened
from tocsin.server.store import Clock, wall_clock
from tocsin.server.tls import server_context
from tocsin.server.working import finish, start

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
    with housed(settings, say, clock) as hub:
        key = found_operator(hub.parts.store)
        if not settings.mongo_uri:
            hub.parts.store.submissions.free()  # the engine is ours alone: who had them is dead
            hub.parts.store.errands.free()
        server = _server(hub, stop, tls)
        _listen(server, settings)
        scheme = "https" if tls else "http"
        url = f"{scheme}://{_shown(settings.host)}:{server.bind_addr[1]}/taxii2/"
        answering = threading.Thread(target=server.serve, name="http", daemon=True)
        answering.start()
        workers = start(hub.parts, stop)
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
            finish(workers, DRAIN)
        if ready is not None:
            ready.unlink(missing_ok=True)
    say("stopped")


def work(settings: HubSettings, say: Callable[[str], None], clock: Clock = wall_clock) -> None:
    """Admit what waits, and pack, beside the hubs that answer, until SIGTERM or SIGINT.

    Raises ConfigError on the embedded engine, which ends with its hub: that one works itself.
    """
    if not settings.mongo_uri:
        raise ConfigError(
            "mongo_uri: `work` is for a MongoDB; beside the embedded engine the hub works"
        )
    stop = threading.Event()
    _on_signal(stop)
    with opened(settings, say, clock) as hub:
        workers = start(hub.parts, stop)
        _settle()
        say("working")
        stop.wait()
        say("stopping: finishing what is in hand")
        finish(workers, DRAIN)
    say("stopped")


def _settle() -> None:
    """What is loaded now stays to the end: no collection of garbage need look at it again."""
    gc.collect()
    gc.freeze()


def _server(hub: Opened, stop: threading.Event, tls: Contexts | None) -> Listener:
    settings = hub.settings
    place = Place(settings.host, settings.port, settings.threads, tls)
    return listener(place, create_app(hub.parts, hub.seal, settings, stop))


def _listen(server: Listener, settings: HubSettings) -> None:
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
