"""A hub that answers: HTTP, the background worker, and a clean end."""

from __future__ import annotations

import json
import logging
import os
import signal
import threading
from collections.abc import Callable
from pathlib import Path
from types import FrameType

from tocsin.config import HubSettings
from tocsin.server.aftercare import Aftercare
from tocsin.server.app import create_app
from tocsin.server.founding import OPERATOR, found_operator
from tocsin.server.intake import Intake
from tocsin.server.listening import PATIENCE, Listener
from tocsin.server.opening import Opened, housed
from tocsin.server.store import OUTAGES

log = logging.getLogger(__name__)

_DRAIN = 60
"""Seconds that requests in hand have to finish when the hub stops."""
_IDLE = 1.0
"""Seconds after which the worker looks for submissions that another process left."""


def serve(settings: HubSettings, ready: Path | None, say: Callable[[str], None]) -> None:
    """Answer until SIGTERM or SIGINT; what is in hand is finished first."""
    stop = threading.Event()
    _on_signal(stop)
    with housed(settings, say) as hub:
        key = found_operator(hub.parts.store)
        if not settings.mongo_uri:
            hub.parts.store.submissions.free()  # the engine is ours alone: who had them is dead
        server = _server(hub, stop)
        server.prepare()
        url = f"http://{_shown(settings.host)}:{server.bind_addr[1]}/taxii2/"
        answering = threading.Thread(target=server.serve, name="http", daemon=True)
        answering.start()
        working = threading.Thread(
            target=work,
            args=(hub.parts.intake, hub.parts.aftercare, stop),
            name="worker",
            daemon=True,
        )
        working.start()
        _announce(url, key, ready, say)
        stop.wait()
        say("stopping: finishing what is in hand")
        server.stop()
        answering.join(_DRAIN)
        working.join(_DRAIN)
        if ready is not None:
            ready.unlink(missing_ok=True)
    say("stopped")


def _server(hub: Opened, stop: threading.Event) -> Listener:
    settings = hub.settings
    server = Listener(
        (settings.host, settings.port),
        create_app(hub.parts, hub.seal, settings, stop),
        numthreads=settings.threads,
        server_name="tocsin",
        request_queue_size=128,
        timeout=PATIENCE,
        shutdown_timeout=_DRAIN,
    )
    server.max_request_header_size = 64 * 1024
    return server


def work(intake: Intake, aftercare: Aftercare, stop: threading.Event) -> None:
    """Admit what was too large to be admitted at once, and sweep, until the hub stops."""
    while not stop.is_set():
        intake.waiting.clear()
        try:
            found = intake.work()
            found = aftercare.work() or found
        except OUTAGES as error:
            log.warning("the database is away, the work goes on when it is back: %s", error)
            found = False
        except Exception:  # whatever went wrong with one must not end the work on the others
            log.exception("a submission or a sweep failed; it is tried again later")
            found = False
        if not found:
            intake.waiting.wait(_IDLE)


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
        partial.write_text(json.dumps({"url": url, "pid": os.getpid()}), "utf-8")
        partial.replace(ready)


def _shown(host: str) -> str:
    if host in ("0.0.0.0", "::", ""):  # noqa: S104  (compared, not bound)
        return "127.0.0.1"
    return f"[{host}]" if ":" in host else host
