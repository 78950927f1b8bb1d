"""What each command of `tocsin` does with its arguments; answers the exit code."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Iterable, Sequence
from contextlib import closing
from dataclasses import asdict, replace
from difflib import get_close_matches
from pathlib import Path

import msgspec

from tocsin.admission import parse_policy
from tocsin.admission.errors import (
    Malformed,
    NotAllowed,
    NotAuthenticated,
    ShareError,
    Unavailable,
)
from tocsin.admission.model import Tlp
from tocsin.admission.stix import schemas
from tocsin.admission.timestamps import micros
from tocsin.admission.warninglists.index import load_warning_lists
from tocsin.clients.check import (
    Checker,
    File,
    Line,
    Preview,
    counted,
    unexamined,
)
from tocsin.clients.http import Hub, Patience, Place
from tocsin.clients.output import sink
from tocsin.clients.poll import Ask, poll
from tocsin.clients.push import Delivery, Sending, push
from tocsin.clients.render import (
    bar,
    console,
    json_line,
    printable,
    say,
    show_counts,
    show_difference,
    show_line,
    show_places,
    show_removals,
    show_stages,
    show_status,
)
from tocsin.clients.state import Memory, StateFile
from tocsin.clients.tls import Papers
from tocsin.config import ClientSettings, policy_text
from tocsin.config.cache import load_or_build

DONE, FAILED, WRONG_USAGE, NO_ACCESS = 0, 1, 2, 3
"""The exit codes: all well; something failed or was refused; wrong usage; hub not
reachable or access denied."""

_IN_CHECK = ("ready", "duplicate", "held", "refused")
_IN_PUSH = ("admitted", "merged", "duplicate", "held", "refused")
_FAILED = {"refused", "unsent", "pending"}


class WrongUsage(Exception):
    """The command line asks for what cannot be; the text says what to give instead."""


def exit_code(error: ShareError) -> int:
    """What an error is to whoever called the command."""
    away = isinstance(error, Unavailable | NotAllowed | NotAuthenticated)
    return NO_ACCESS if away else FAILED


def check(arguments: argparse.Namespace, settings: ClientSettings) -> int:
    """Show what admission makes of files; nothing is sent."""
    previews = _previews(arguments, settings)
    lines = _show_previews(previews, arguments)
    failed = sum(1 for preview in previews if preview.error)
    _show_counts(counted(lines, _IN_CHECK), failed, as_json=arguments.json)
    return FAILED if failed or any(line.verdict == "refused" for line in lines) else DONE


def push_files(arguments: argparse.Namespace, settings: ClientSettings) -> int:
    """Offer files to a collection and show what became of each object."""
    with _hub(settings) as hub:
        place = hub.place(arguments.to, "can_write")
        if not place.can_write:
            raise NotAllowed(f"this key may not write to {arguments.to}; ask the hub's operator")
        previews = _previews(arguments, settings)
        if not _agreed(arguments, place, previews):
            say("nothing was sent")
            return FAILED
        sending = Sending(wait=not arguments.no_wait, longest_wait=arguments.timeout)
        deliveries = _sent(hub, place, previews, sending, as_json=arguments.json)
    return _summed_up(arguments, previews, deliveries)


def poll_collection(arguments: argparse.Namespace, settings: ClientSettings) -> int:
    """Write what is new in a collection to a file or standard output."""
    if arguments.format == "bundle" and arguments.follow is not None:
        raise WrongUsage("a bundle is one document: use --format jsonl with --follow")
    if arguments.added_after:
        _checked_time(arguments.added_after)
    types = _listed(arguments.type)
    for unknown in [
        each for each in types if each not in schemas.standard_types() and each[:2] != "x-"
    ]:
        say(f"--type: STIX 2.1 has no {unknown}; it may be one of somebody's own{_like(unknown)}")
    state = _state(arguments.state)
    path = Path(arguments.output) if arguments.output not in (None, "", "-") else None
    ask = Ask(
        types=types,
        added_after=arguments.added_after or "",
        limit=arguments.limit,
    )
    with _hub(settings) as hub:
        place = hub.place(arguments.collection)
        if not place.can_read:
            raise NotAllowed(f"this key may not read {arguments.collection}")
        _follow(arguments, hub, place, ask, (path, state))
    return DONE


def status(arguments: argparse.Namespace, settings: ClientSettings) -> int:
    """Show what became of a submission."""
    with _hub(settings) as hub:
        report = hub.status(arguments.id)
    if arguments.json:
        json_line(report.resource)
    else:
        show_status(console(), report)
    return FAILED if report.failure else DONE


def collections(arguments: argparse.Namespace, settings: ClientSettings) -> int:
    """Show the collections that there are for this key."""
    with _hub(settings) as hub:
        places = hub.places()
    if arguments.json:
        for place in places:
            json_line({name: value for name, value in asdict(place).items() if name != "exact"})
    else:
        show_places(console(), places)
    return DONE


def _hub(settings: ClientSettings) -> Hub:
    if not settings.url:
        raise WrongUsage("which hub? give --url, TOCSIN_URL or `url` in client.toml")
    try:
        return Hub(
            settings.url,
            settings.key,
            Patience(answer=settings.timeout),
            Papers(cert=settings.cert, ca=settings.ca),
        )
    except Malformed as error:
        raise WrongUsage(str(error)) from error


def _previews(arguments: argparse.Namespace, settings: ClientSettings) -> list[Preview]:
    files = list(_files(arguments.files, arguments.form or ""))
    now = time.time_ns() // 1000
    tlp = arguments.tlp or settings.default_tlp
    if getattr(arguments, "raw", False):
        return [
            file if isinstance(file, Preview) else unexamined(file, now, Tlp.parse(tlp))
            for file in files
        ]
    policy = parse_policy(policy_text(settings.policy), settings.policy)
    settings = msgspec.structs.replace(settings, default_tlp=tlp)
    checker = Checker(settings, policy, load_warning_lists(keep=load_or_build))
    return [file if isinstance(file, Preview) else checker.preview(file, now) for file in files]


def _files(names: Sequence[str], form: str) -> Iterable[File | Preview]:
    """The files, each as its content or as the preview that says why there is none."""
    for name in names:
        try:
            content = sys.stdin.buffer.read() if name == "-" else Path(name).read_bytes()
        except OSError as error:
            yield Preview(name, error=f"cannot be read: {error.strerror}")
        else:
            yield File(name, content, form)


def _show_previews(previews: Iterable[Preview], arguments: argparse.Namespace) -> list[Line]:
    shown: list[Line] = []
    for preview in previews:
        _show_error(preview, as_json=arguments.json)
        for line in preview.lines(before=arguments.diff):
            _show_preview(line, arguments)
            shown.append(replace(line, object=None, before=None))
    return shown


def _show_preview(line: Line, arguments: argparse.Namespace) -> None:
    """One object, in as much detail as was asked for."""
    if arguments.json:
        json_line(line.as_json())
        return
    screen = console()
    show_line(screen, replace(line, findings=()) if arguments.explain else line)
    if arguments.explain:
        show_stages(screen, line)
    if arguments.diff:
        show_difference(screen, line)


def _show_error(preview: Preview, *, as_json: bool) -> None:
    if preview.error and as_json:
        json_line({"file": preview.file, "error": preview.error})
    if preview.error:
        say(f"{preview.file}: {preview.error}")
    elif not preview.candidates:
        say(f"{preview.file}: nothing to share was found in it")


def _show_counts(counts: dict[str, int], failed_files: int, *, as_json: bool) -> None:
    counts = counts | ({"failed_files": failed_files} if failed_files else {})
    if as_json:
        json_line({"counts": counts})
    else:
        show_counts(console(), counts)


def _agreed(arguments: argparse.Namespace, place: Place, previews: Iterable[Preview]) -> bool:
    """Whether the user wants it sent; asked on a terminal only."""
    if arguments.yes or not (sys.stdin.isatty() and sys.stderr.isatty()):
        return True
    screen = console(stderr=True)
    lines = [line for preview in previews for line in preview.lines()]
    show_counts(screen, counted(lines, _IN_CHECK))
    show_removals(screen, lines)
    ready = sum(1 for line in lines if line.verdict == "ready")
    name = printable(place.alias or place.title)
    sys.stderr.write(f"Send {ready} objects to {name}? [y/N] ")
    sys.stderr.flush()
    return sys.stdin.readline().strip().lower() in ("y", "yes")


def _sent(
    hub: Hub, place: Place, previews: Sequence[Preview], sending: Sending, *, as_json: bool
) -> list[Delivery]:
    """Send, showing each line as it settles; the deliveries without their objects."""
    screen = console()
    deliveries: list[Delivery] = []
    for preview in previews:
        _show_error(preview, as_json=as_json)
    total = sum(len(preview.candidates) for preview in previews)
    with bar("sending", counted=True) as progress:
        task = progress.add_task("", total=total)
        for delivery in push(hub, place, previews, sending):
            for line in delivery.lines:
                json_line(line.as_json()) if as_json else show_line(screen, line)
            progress.advance(task, len(delivery.lines))
            bare = tuple(replace(line, object=None, findings=()) for line in delivery.lines)
            deliveries.append(replace(delivery, lines=bare))
    return deliveries


def _summed_up(
    arguments: argparse.Namespace, previews: Iterable[Preview], deliveries: Sequence[Delivery]
) -> int:
    """Show the end of a push; answers its exit code."""
    lines = [line for delivery in deliveries for line in delivery.lines]
    reports = [delivery.status for delivery in deliveries if delivery.status]
    failed = sum(1 for preview in previews if preview.error)
    counts = counted(lines, _IN_PUSH) | ({"failed_files": failed} if failed else {})
    if arguments.json:
        last = dict(reports[-1].resource) if reports else None
        json_line({"status": last, "statuses": [each.id for each in reports], "counts": counts})
    else:
        show_counts(console(), counts)
    error = next((delivery.error for delivery in deliveries if delivery.error), None)
    if error:
        say(str(error))
        return exit_code(error)
    if counts.get("pending") and not arguments.no_wait:
        unsettled = ", ".join(each.id for each in reports if not each.settled)
        say(f"not settled yet; ask again with `tocsin status`: {unsettled}")
    refused = _FAILED - ({"pending"} if arguments.no_wait else set())
    return FAILED if failed or any(counts.get(word) for word in refused) else DONE


def _state(name: str | None) -> StateFile | Memory:
    if not name:
        return Memory()
    state = StateFile(Path(name))
    state.check()
    return state


def _follow(
    arguments: argparse.Namespace,
    hub: Hub,
    place: Place,
    ask: Ask,
    where: tuple[Path | None, StateFile | Memory],
) -> None:
    """Poll once, or again and again until interrupted."""
    path, state = where
    following = arguments.follow is not None
    target = sink(arguments.format, path, sys.stdout.buffer, append=isinstance(state, StateFile))
    with closing(target), bar("polling", counted=False) as progress:
        progress.disable = progress.disable or (path is None and sys.stdout.isatty())
        task = progress.add_task("", total=None)
        while True:
            try:
                for count in poll(hub, place, ask, target, state):
                    progress.advance(task, count)
            except Unavailable as error:
                if not following:
                    raise
                say(f"{error}; asking again in {arguments.follow} s")
            if not following:
                return
            time.sleep(arguments.follow)


def _checked_time(text: str) -> None:
    try:
        micros(text)
    except Malformed as error:
        raise WrongUsage(f"--added-after: {error}; it looks like 2026-01-31T00:00:00Z") from error


def _like(word: str) -> str:
    found = get_close_matches(word, schemas.standard_types(), n=1)
    return f", or is {found[0]} meant?" if found else ""


def _listed(words: Iterable[str] | None) -> tuple[str, ...]:
    """Words given one by one or joined by commas."""
    return tuple(part for word in words or () for part in word.split(",") if part)
