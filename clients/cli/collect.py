"""`tocsin collect`: read sources by their schedules and submit what is new."""

from __future__ import annotations

import logging
import signal
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Event, Thread
from typing import Any

import click
from rich.table import Table
from rich.text import Text

from tocsin.admission.errors import Malformed
from tocsin.admission.timestamps import timestamp
from tocsin.clients.cli.command import (
    check_distinct,
    json_option,
    warn_of_unread_terms,
    with_connection_options,
    with_settings,
)
from tocsin.clients.cli.hub import open_hub
from tocsin.clients.cli.wrong_usage import WrongUsage
from tocsin.clients.collect import Run
from tocsin.clients.collect_schedule import (
    LOCK_FILE,
    STATUS_FILE,
    Collector,
    SourceStatus,
    exclusive,
    format_metrics,
    read_statuses,
)
from tocsin.clients.sources import Source, load_sources
from tocsin.clients.terminal import (
    open_console,
    print_json,
    print_message,
    print_table,
    progress_bar,
)
from tocsin.config import stdio
from tocsin.config.command_line import ParsedValue, format_examples, printable, wrap_words
from tocsin.config.settings import ClientSettings

log = logging.getLogger(__name__)

_SHOWN = (
    *("documents", "objects", "submitted", "unchanged"),
    *("held", "refused", "narrowed", "unreadable"),
)
_MINUTE, _HOUR = 60, 3_600
_MAX_NAMED = 3
"""Sources that are named while they are read."""


def _parse_address(text: str) -> tuple[str, int]:
    host, _, port = text.rpartition(":")
    if not host or not port.isdecimal() or not 0 <= int(port) < 65_536:
        raise ValueError("must be an address and a port, as 127.0.0.1:9465")
    return host.strip("[]"), int(port)


@click.command(
    "collect",
    short_help="Read sources by their schedules and submit what is new.",
    epilog=format_examples(
        "tocsin collect --check",
        "tocsin collect --once --only urlhaus",
        "tocsin collect --metrics 127.0.0.1:9465",
        "tocsin collect --status",
    ),
)
@click.option(
    "--sources",
    type=click.Path(path_type=Path),
    default=Path("sources.toml"),
    show_default=True,
    help="The file that lists the sources.",
)
@click.option(
    "--state",
    type=click.Path(path_type=Path),
    default=Path("collect-state"),
    show_default=True,
    help="The folder that keeps how far each source was read.",
)
@click.option("--only", multiple=True, metavar="NAME", help="Only this source; repeatable.")
@click.option("--once", is_flag=True, help="Run each source once, now, and end.")
@click.option("--check", is_flag=True, help="Check the file of sources and its folders, and end.")
@click.option("--status", is_flag=True, help="Show the last run of each source, and end.")
@click.option(
    "--metrics",
    type=ParsedValue("ADDRESS", _parse_address),
    help="Serve /metrics and /healthz at this address.",
)
@json_option
@with_connection_options
@with_settings
def collect_command(settings: ClientSettings, **options: Any) -> int:
    """Read sources by their schedules and submit what is new to the hub.

    The file of sources has a [[source]] table for each: a file on a web server,
    a TAXII collection, a MISP feed, a folder, a mailbox. docs/collect.md
    explains the settings. Objects that the check refuses or holds are not submitted;
    those that it holds are if a source has send_held = true.

    It runs until it is stopped. With --once or --status the exit code is 1 if
    the last run of a source failed.
    """
    _check_together(options)
    sources = _choose(_load(options["sources"]), options["only"])
    state, as_json = options["state"], options["as_json"]
    for name in (LOCK_FILE, STATUS_FILE):
        check_distinct("--state", state / name, (("--sources", options["sources"]),))
    if options["check"]:
        _check_places(options["sources"], sources)
        return _print_sources(sources, as_json=as_json)
    if options["status"]:
        known = read_statuses(state)
        found = [known.get(each.name) or SourceStatus(each.name) for each in sources]
        return _print_statuses(found, as_json=as_json)
    warn_of_unread_terms(settings)
    open_hub(settings).close()  # a wrong setting ends the command before the first run

    def report(run: Run) -> None:
        _print_run(run, as_json=as_json)

    stdio.discard_closed_output()
    with exclusive(state):
        collector = Collector(sources, settings, open_hub, state, report)
        if options["once"]:
            with _show_running(len(sources)) as show:
                return stdio.DONE if collector.run_once(show) else stdio.FAILED
        stopped = _stop_at_signals()
        if sys.stderr.isatty():
            print_message(f"{_count(len(sources), 'sources')} by their schedules; Ctrl-C stops")
        with _metrics_server(options["metrics"], collector):
            collector.run(stopped)
    return stdio.DONE


def _check_together(options: Mapping[str, Any]) -> None:
    """Raise WrongUsage if options contradict each other."""
    ending = [name for name in ("once", "check", "status") if options[name]]
    if len(ending) > 1:
        raise WrongUsage("give one of --once, --check and --status")
    if ending and options["metrics"]:
        raise WrongUsage(f"--metrics serves until collect is stopped; leave out --{ending[0]}")


def _load(path: Path) -> tuple[Source, ...]:
    """The sources of a file.  Raises WrongUsage if it cannot be used."""
    if not path.exists():
        raise WrongUsage(
            f"{path}: the file does not exist; docs/collect.md shows how to write one, "
            "--sources names another"
        )
    try:
        return load_sources(path)
    except Malformed as error:
        raise WrongUsage(str(error)) from error


def _check_places(path: Path, sources: Sequence[Source]) -> None:
    """Raise WrongUsage if a source reads from a folder that is not there.

    Only --check does so: a folder that is missing for a while must not stop the other sources.
    """
    for each in sources:
        try:
            each.check_place()
        except Malformed as error:
            raise WrongUsage(f"{path}: source {each.name}: {error}") from error


def _choose(sources: Sequence[Source], only: Sequence[str]) -> list[Source]:
    known = [each.name for each in sources]
    if unknown := sorted(set(only).difference(known)):
        raise WrongUsage(f"--only: unknown source {unknown[0]}; known are {', '.join(known)}")
    return [each for each in sources if each.name in only or (each.enabled and not only)]


@contextmanager
def _show_running(total: int) -> Iterator[Callable[[Sequence[str]], None]]:
    """Show on a terminal which sources are being read."""
    with progress_bar("{task.description}", known_total=False) as bar:
        task = bar.add_task(f"starting {_count(total, 'sources')}", total=None)

        def show(names: Sequence[str]) -> None:
            more = f" and {len(names) - _MAX_NAMED} more" if len(names) > _MAX_NAMED else ""
            bar.update(task, description=f"reading {', '.join(names[:_MAX_NAMED])}{more}")

        yield show


def _stop_at_signals() -> Event:
    stopped = Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stopped.set())
    return stopped


def _print_sources(sources: Sequence[Source], *, as_json: bool) -> int:
    for each in sources:
        kind = each.__struct_config__.tag
        if as_json:
            print_json({"source": each.name, "kind": kind, "every": each.every, "to": each.to})
        else:
            print(f"{each.name}: {kind}, every {each.every}, to {each.to}")
    return stdio.DONE


def _print_run(run: Run, *, as_json: bool) -> None:
    if as_json:
        print_json(asdict(run))
        sys.stdout.flush()
        return
    counts = ", ".join(_count(run.counts[name], name) for name in _SHOWN if run.counts.get(name))
    outcome = f"failed: {run.error}" if run.error else "done"
    parts = [outcome, counts] if run.error else [outcome, counts or "nothing new"]
    at = timestamp(int(run.began * 1_000_000))[:19]
    line = printable(f"{at}Z {run.source}: {'; '.join(filter(None, parts))}")
    is_terminal = sys.stdout.isatty()
    print(wrap_words(line, open_console().width, "  ") if is_terminal else line, flush=True)
    for note in run.notes:
        print_message(f"{run.source}: {note}")
    for each in run.reasons:
        log.info("%s: %d %s: %s", run.source, each.count, each.verdict, each.message)


def _count(number: int, name: str) -> str:
    return f"{number} {name.removesuffix('s') if number == 1 else name}"


def _print_statuses(statuses: Sequence[SourceStatus], *, as_json: bool) -> int:
    if as_json:
        for status in statuses:
            print_json(asdict(status))
    else:
        table = Table(box=None)
        for heading in ("source", "last run", "took", "objects", "new", "held", "refused", "state"):
            table.add_column(heading, overflow="fold", no_wrap=heading not in ("source", "state"))
        for status in statuses:
            table.add_row(*(Text(printable(cell)) for cell in _row(status)))
        print_table(open_console(), table)
    return stdio.FAILED if any(each.error for each in statuses) else stdio.DONE


def _format_duration(seconds: int) -> str:
    if seconds < _MINUTE:
        return f"{seconds} s"
    hours, minutes = seconds // _HOUR, seconds % _HOUR // _MINUTE
    return f"{hours} h {minutes} min" if hours else f"{minutes} min"


def _row(status: SourceStatus) -> tuple[str, ...]:
    if status.last_run is None:
        return status.source, "never", *[""] * 5, "waits for its first run"
    ago = int(time.time() - status.last_run)
    counts = status.counts
    return (
        status.source,
        f"{_format_duration(ago)} ago" if ago >= 0 else f"in the future: {_format_duration(-ago)}",
        f"{status.seconds:.0f} s",
        str(counts.get("objects", 0)),
        *(str(counts.get(name, 0)) for name in ("submitted", "held", "refused")),
        status.error or (status.notes[0] if status.notes else "ok"),
    )


class _Handler(BaseHTTPRequestHandler):
    collector: Collector

    def do_GET(self) -> None:  # noqa: N802 - the name is http.server's
        """Answer /metrics and /healthz."""
        if self.path not in ("/metrics", "/healthz"):
            self.send_error(404)
            return
        is_metrics = self.path == "/metrics"
        body = (format_metrics(self.collector.statuses) if is_metrics else "ok\n").encode()
        self.send_response(200)
        self.send_header("Content-Type", "text/plain; version=0.0.4; charset=utf-8")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Log nothing."""


@contextmanager
def _metrics_server(address: tuple[str, int] | None, collector: Collector) -> Iterator[None]:
    """Serve the metrics meanwhile; nothing without an address."""
    if address is None:
        yield
        return
    handler = type("Handler", (_Handler,), {"collector": collector, "timeout": 10})
    try:
        server = ThreadingHTTPServer(address, handler)
    except OSError as error:
        raise WrongUsage(f"--metrics: {address[0]}:{address[1]}: {error.strerror}") from error
    print_message(f"metrics at http://{address[0]}:{server.server_address[1]}/metrics")
    Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield
    finally:
        server.shutdown()
        server.server_close()
