"""`tocsin push`: check files, show what would be shared, send it and report the verdicts."""

from __future__ import annotations

import os
import sys
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import IO, Any, NoReturn

import click
import msgspec

from tocsin.admission.descriptions import count, find_level, format_duration
from tocsin.admission.errors import ShareError, Unavailable
from tocsin.admission.model import Action, Tlp
from tocsin.clients.check import Preview, PreviewResults
from tocsin.clients.cli.command import (
    DURATION,
    ask_for_word,
    exit_code,
    json_option,
    open_answers,
    print_push_summary,
    push_exit_code,
    reporting_interrupt,
    warn_of_unread_terms,
    with_connection_options,
    with_sending_options,
    with_settings,
)
from tocsin.clients.cli.hub import find_target, open_hub
from tocsin.clients.cli.inputs import Inputs, preview_files, print_file_errors, with_inputs
from tocsin.clients.cli.wrong_usage import WrongUsage
from tocsin.clients.http import Collection, Hub
from tocsin.clients.push import PushOptions, PushResult, push
from tocsin.clients.push_record import PushKind, PushRecord, PushRecords, open_records, state_folder
from tocsin.clients.results import ObjectResult, order_counts
from tocsin.clients.share_preview import is_cut, print_share_preview
from tocsin.clients.terminal import (
    choose_console,
    open_console,
    print_json,
    print_message,
    print_result,
    print_statement,
    progress_bar,
)
from tocsin.clients.watch import (
    FAILED,
    SENT,
    FileChanged,
    FileVersion,
    SendingFailure,
    SendingOrder,
    WatchedFolder,
)
from tocsin.config import stdio
from tocsin.config.command_line import format_examples, printable
from tocsin.config.settings import CONSENTS, ClientSettings

_WATCH_SECONDS = 2.0
"""Seconds between two looks at a folder."""
_LONGEST_WAIT = 3_600.0
"""Seconds to wait at most if the hub says how long; a quota may be raised before it says."""
_MOST_COMPARED = 100_000
"""Objects up to which the question is preceded by what the record of pushes has of them."""
_LEVELS = {level.label.upper(): level for level in Tlp}
"""The levels by the labels that records have."""
_COUNTED = ("admitted", "merged", "duplicate", "held", "refused")
"""The verdicts that are counted even if no object has them."""
_DECIDING = {"refused": Action.REFUSED, "withheld": Action.HELD}
"""The action of the finding that explains why an object was not taken, by verdict."""
_RULES_OF_CLIENTS = frozenset({"format", "victim_terms"})
"""The rules by which a check may hold what the hub does not: by the file, and by own terms."""
_MAX_REASON = 300
"""Characters of a finding's message that are repeated on standard error."""


@dataclass(frozen=True, slots=True)
class _Job:
    """A push as the command line asks for it."""

    hub: Hub
    collection: Collection
    previews: Sequence[Preview]
    options: PushOptions
    as_json: bool
    default_level: str = ""
    """The level that the settings give what states none; empty if the command line does."""
    is_watched: bool = False
    """True for a file of a watched folder: one that the hub has not decided about is taken."""
    is_repeated: bool = False
    """True for such a file that could not be sent before; its check has been printed."""
    is_shown: bool = False
    """True if the preview was shown on the terminal that the results go to."""

    @property
    def results(self) -> PreviewResults:
        """The preview's result of each object, with the object as it was read."""
        return PreviewResults(self.previews, before=True)


@dataclass(slots=True)
class _Outcome:
    """How a push ended."""

    code: int = stdio.DONE
    """The exit code."""
    verdicts: Counter[str] = field(default_factory=Counter)
    """The number of objects of each verdict."""
    reason: str = ""
    """Why the first object that was not taken was not."""
    error: ShareError | None = None
    """Error that ended the push, or the wait for a status."""
    is_checked: bool = True
    """False if it ended before what the check found was printed."""

    @property
    def failure(self) -> SendingFailure:
        """The error, as far as it says when to try again."""
        is_away = self.error is None or isinstance(self.error, Unavailable)
        seconds = float(getattr(self.error, "seconds", 0.0))
        return SendingFailure(is_away, min(seconds, _LONGEST_WAIT), self.is_checked)

    def add(self, result: ObjectResult) -> None:
        """Count the result of an object."""
        self.verdicts[result.verdict] += 1
        if not self.reason and (action := _DECIDING.get(result.verdict)):
            messages = (f.get("message", "") for f in result.findings if f.get("action") == action)
            self.reason = next(messages, "")[:_MAX_REASON]

    def describe(self) -> str:
        """The counts, and the reason if there is one, in a line."""
        counts = order_counts(self.verdicts)
        text = ", ".join(f"{n} {word}" for word, n in counts.items() if word != "received")
        return ": ".join(filter(None, (text, self.reason)))


@click.command(
    "push",
    short_help="Send files to a collection.",
    epilog=format_examples(
        "tocsin push bundle.json iocs.csv",
        "tocsin push report.txt --tlp green --yes --json",
        "tocsin push iocs.csv --label phishing --valid-for 30d",
        "cat iocs | tocsin push - --as iocs.csv --to inbox --send-held",
        "tocsin push --watch outgoing --to inbox --tlp green",
    ),
)
@with_inputs
@with_sending_options
@click.option(
    "--send-held/--keep-held",
    default=None,
    help="Send what the check holds, or keep it. A reviewer looks at what the hub holds too; the "
    "rest is published at once. Default: ask on a terminal, elsewhere keep it.",
)
@click.option(
    "--label", "labels", multiple=True, metavar="LABEL", help="Add this label; repeatable."
)
@click.option(
    "--valid-for",
    type=DURATION,
    default=0,
    help="Let indicators that state no end expire after this time: 12h, 30d, 8w.",
)
@click.option(
    "--consent",
    type=click.Choice(CONSENTS),
    help="Who may learn your organisation's name, for these files.",
)
@click.option(
    "--watch",
    type=click.Path(path_type=Path, file_okay=False, exists=True),
    metavar="DIR",
    help="Send every file that comes into this folder, until interrupted, without asking.",
)
@click.option(
    "--raw",
    is_flag=True,
    help="Send objects unchecked, for collections that keep them unchanged. Your terms are not "
    "masked then, and --tlp does not mark STIX objects.",
)
@click.option(
    "--new-ids",
    is_flag=True,
    help="Send the values of texts and tables under new ids, after they were withdrawn.",
)
@json_option
@with_connection_options
@with_settings
def push_command(settings: ClientSettings, inputs: Inputs, **options: Any) -> int:
    """Send files to a collection.

    FILE may be STIX, MISP, a table, a report, a mail or rules, see docs/formats.md;
    - is standard input. On a terminal, push shows what it would share, what was
    removed, and what is held or refused and why; then it asks, also if a file
    comes through a pipe. It waits until the hub has decided.
    `tocsin status` and `tocsin sent` show it again later.

    With --watch: a file is taken when it no longer grows. It moves to the folder
    `sent` inside DIR, or to `failed` if nothing of it was taken. While the hub
    is away, or refuses the key or the collection, files wait, and a message says
    why. One that alone cannot be sent delays no other.

    Objects that the check refuses are never sent. Those that it holds are sent
    if you say so: then a reviewer of the hub looks at them. But the hub holds
    what is about your --term only if it has that term on record, and it sees
    neither drafts of MISP nor the text around a value: otherwise it publishes
    them at once. To send a file twice at the same level is safe.

    \b
    Verdicts:
      admitted   published
      merged     merged with what others reported
      duplicate  the hub has it already
      held       a reviewer of the hub looks at it
      withheld   the check holds it, and it was not sent; see --send-held
      refused    never shared; the findings say why
      pending    not decided yet
      unsent     the hub could not be reached any more

    \b
    Exit codes:
      0  everything was taken
      1  nothing was taken, or no file had anything to share
      3  the hub was not reached, or denies access to it or to the collection
      4  some objects were taken, others not

    With --json: a line for each object, with the hub's verdict and public id; at
    the end {"status": <TAXII status>, "statuses": [ids], "counts": ...}.
    """
    warn_of_unread_terms(settings)
    consent = options["consent"] or settings.consent
    settings = msgspec.structs.replace(settings, consent=consent)
    names = ("new_ids", "labels", "valid_for")
    inputs = replace(inputs, **{name: options[name] for name in names})
    if not options["watch"]:
        return _push_files(settings, inputs, options).code
    if inputs.names:
        raise WrongUsage("give files or --watch, not both")
    if not options["to"]:
        raise WrongUsage("--watch needs --to, since what you may write to can change meanwhile")
    _watch(settings, inputs, options | {"yes": True})


def _push_files(settings: ClientSettings, inputs: Inputs, options: Mapping[str, Any]) -> _Outcome:
    """Push some files."""
    asked = nullcontext() if options["yes"] else open_answers(inputs.names)
    with asked as answers, open_hub(settings) as hub:
        collection = find_target(hub, options["to"])
        push_options = PushOptions(
            wait=not options["no_wait"],
            timeout=options["timeout"],
            send_held=bool(options["send_held"]),
        )
        previews = preview_files(settings, inputs, examine=not options["raw"])
        if options["watch"]:
            _raise_temporary_error(previews)
        job = _Job(hub, collection, previews, push_options, options["as_json"])
        watched, repeated = options["watch"] is not None, options.get("repeated", False)
        level = "" if inputs.tlp else Tlp.parse(settings.default_tlp).label.upper()
        job = replace(job, default_level=level, is_watched=watched, is_repeated=repeated)
        failed = print_file_errors(previews, as_json=job.as_json)
        agreed = _ask(job, options["send_held"], answers) if answers else push_options
        if agreed is None:
            print_message("nothing was sent")
            return _Outcome(stdio.FAILED)
        is_shown = answers is not None and sys.stdout.isatty()
        job = replace(job, options=agreed, is_shown=is_shown)
        records = open_records(settings, os.environ)
        kind = PushKind.NEW_IDS if inputs.new_ids else None
        with records.begin(collection, hub.url, inputs.names, kind) as record:
            return _run(job, record, failed)


def _raise_temporary_error(previews: Iterable[Preview]) -> None:
    """Raise Unavailable if a file could not be checked now, but may be later."""
    for each in previews:
        if each.has_temporary_error:
            raise Unavailable(each.error)


def _watch(settings: ClientSettings, inputs: Inputs, options: Mapping[str, Any]) -> NoReturn:
    """Push each file of a folder once it is complete, until interrupted."""
    folder, order = WatchedFolder(options["watch"]), SendingOrder(_WATCH_SECONDS)
    with open_hub(settings):  # wrong settings end it; nothing is sent yet
        stdio.discard_closed_output()
    while True:
        found = ((file, folder.find_complete(file)) for file in folder.list_complete())
        versions = {file: version for file, version in found if version}
        for file in order.select(versions, time.monotonic()):
            version = folder.find_complete(file)
            if version != versions[file]:  # it has changed while those before it were sent
                continue
            named = replace(inputs, names=(_name_file(file),))
            repeated = {**options, "repeated": order.is_checked(file)}
            outcome = _push_watched(settings, named, repeated)
            if outcome.code != stdio.UNAVAILABLE:
                order.note_success(file, time.monotonic())
                _finish(folder, file, version, outcome)
                continue
            pause = order.note_failure(file, version, outcome.failure, time.monotonic())
            again = format_duration(round(pause))
            others = "; the other files go on" if order.is_overtaken(file) else ""
            print_message(f"{file.name} waits, the next attempt is in {again}{others}")
            if not order.may_send(time.monotonic()):
                break
        sys.stdout.flush()
        time.sleep(_WATCH_SECONDS)


def _name_file(file: Path) -> str:
    """The name of a file on the command line, where `-` would be standard input."""
    return f"./{file}" if str(file) == "-" else str(file)


def _push_watched(settings: ClientSettings, inputs: Inputs, options: Mapping[str, Any]) -> _Outcome:
    """Push a file; UNAVAILABLE if it is to be sent later, whatever the reason is.

    Only a verdict sorts a file: an agreement may be renewed, and a proxy answers in place of a hub
    that starts.
    """
    try:
        outcome = _push_files(settings, inputs, options)
    except ShareError as error:
        print_message(str(error))
        return _Outcome(stdio.UNAVAILABLE, error=error, is_checked=False)
    if outcome.code == stdio.FAILED and outcome.error:
        is_taken = not outcome.verdicts["unsent"]  # then only a status is not known
        outcome.code = exit_code(outcome.verdicts, wait=False) if is_taken else stdio.UNAVAILABLE
    return outcome


def _finish(folder: WatchedFolder, file: Path, version: FileVersion, outcome: _Outcome) -> None:
    """Move a file, and say so if not everything in it was taken, or if it stays."""
    to = FAILED if outcome.code == stdio.FAILED else SENT
    try:
        why = folder.finish(file, version, to)
    except FileChanged:
        text = f"{file.name} changed while it was sent; it is sent again as it is now"
        print_message("; ".join(filter(None, (text, outcome.describe()))))
        return
    if why or outcome.code != stdio.DONE:
        moved = f"cannot be moved to {to}: {why}" if why else f"was moved to {to}"
        print_message("; ".join(filter(None, (f"{file.name} {moved}", outcome.describe()))))


def _ask(job: _Job, send_held: bool | None, answers: IO[str]) -> PushOptions | None:
    """Show what would be shared, and ask; None if the answer is no."""
    console, results = open_console(stderr=True), job.results
    print_share_preview(console, results)
    counts = results.counts
    ready, held = counts["ready"], counts["held"]
    if 0 < ready <= _MOST_COMPARED:
        records = PushRecords(state_folder(os.environ))
        for sentence in _describe_sent_before(job, records):
            print_statement(console, sentence)
    name = printable(job.collection.alias or job.collection.title)
    options = job.options
    if held and send_held is None:
        options = replace(options, send_held=_ask_about_held(results, held, answers))
    number = ready + (held if options.send_held else 0)
    if not number:
        return options
    question = f"Send {count(number, 'object')} to {name}?"
    answer = ask_for_word(question, "nya" if is_cut(results) else "ny", answers)
    if answer == "a":
        print_share_preview(console, results, most=None)
        answer = ask_for_word(question, "ny", answers)
    return options if answer == "y" else None


def _ask_about_held(results: Iterable[ObjectResult], held: int, answers: IO[str]) -> bool:
    """Ask if held objects are sent too.

    Enter alone means no if the hub may publish some of them, else yes.
    """
    objects = "held object" if held == 1 else f"{held} held objects"
    question = f"Send the {objects} too, for a reviewer of the hub to look at?"
    if unknown := sum(map(_may_be_published, results)):
        print_message(
            f"{count(unknown, 'held object')} may be published without a review: the hub holds "
            f"{'it' if unknown == 1 else 'them'} only if it has your terms on record, and it sees "
            "neither drafts of MISP nor the text around a value"
        )
    return ask_for_word(question, "ny" if unknown else "yn", answers) == "y"


def _may_be_published(result: ObjectResult) -> bool:
    """True if the check holds an object for reasons that the hub may not know."""
    if result.verdict != "held":
        return False
    rules = {each.get("rule") for each in result.findings if each.get("action") == Action.HELD}
    return rules <= _RULES_OF_CLIENTS


def _describe_sent_before(job: _Job, records: PushRecords) -> Iterator[str]:
    """Sentences on the objects, by their ids, that this computer sent to the hub before."""
    ready = (each for each in job.results if each.verdict == "ready")
    now = {each.source_id: find_level(each.object or {}) for each in ready}
    before = records.find_levels(now, job.hub.url, job.collection)
    if not before:
        return
    stricter = sum(_is_wider(now[id], levels) for id, levels in before.items())
    text = f"{len(before)} of {count(len(now), 'object')} sent from this computer before"
    yield text + (f", {stricter} only at a stricter level" if stricter else "")
    moves = Counter((levels[0], now[id]) for id, levels in before.items() if levels)
    for (old, new), number in moves.items():
        if _is_wider(old, [new]):
            option = f"; add --tlp {old.lower()} to keep the level"
            text = _describe_loss(old, new, number)
            yield text + (option if new == job.default_level else "")


def _describe_loss(old: str, new: str, number: int) -> str:
    """A sentence on objects that are sent again at a stricter level, so that readers lose them."""
    objects, were, them = count(number, "object"), "were", "them"
    if number == 1:
        were, them = "was", "it"
    return (
        f"{objects} {were} sent at TLP:{old} before: at TLP:{new}, readers of TLP:{old} lose {them}"
    )


def _is_wider(level: str, before: Iterable[str]) -> bool:
    """True if a level lets more people know than all those before."""
    known = [_LEVELS[each] for each in before if each in _LEVELS]
    return level in _LEVELS and bool(known) and _LEVELS[level] < min(known)


def _select_new(result: ObjectResult) -> ObjectResult | None:
    """The result with what the preview has not shown; None if all of it was shown."""
    shown = result.findings[: result.previewed]
    fresh = tuple(each for each in result.findings if each not in shown)
    was_sent = result.object is not None
    return replace(result, findings=fresh) if fresh or was_sent else None


def _run(job: _Job, record: PushRecord, failed: int) -> _Outcome:
    """Send, and print the results; `failed` files could not be read."""
    outcome = _Outcome()
    pushed = _push(job, record, outcome)
    counts = order_counts(outcome.verdicts, _COUNTED)
    counts |= {"failed_files": failed} if failed else {}
    record.finish(counts)
    if not job.is_watched or record.statuses or not outcome.verdicts["unsent"]:
        print_push_summary(pushed, counts, as_json=job.as_json)
    outcome.error = next((part.error for part in pushed if part.error), None)
    outcome.code = push_exit_code(pushed, counts, wait=job.options.wait and not job.is_watched)
    return outcome


def _is_printed_later(job: _Job, part: PushResult, result: ObjectResult) -> bool:
    """True for an object of a watched folder that is sent again, or was printed before."""
    return job.is_watched and (result.verdict == "unsent" or (part.is_kept and job.is_repeated))


def _push(job: _Job, record: PushRecord, outcome: _Outcome) -> list[PushResult]:
    """Send, and print each object's result as soon as it is known; the parts without their results.

    Adds each result to `outcome`.
    """
    pushed: list[PushResult] = []
    counts = job.results.counts
    total = counts["ready"] + (counts["held"] if job.options.send_held else 0)
    parts = push(job.hub, job.collection, job.previews, job.options, record.acknowledge)
    with (
        reporting_interrupt(record, total),
        progress_bar("sending", known_total=True, hidden=not total) as progress,
    ):
        task, console = progress.add_task("", total=total), choose_console(progress)
        for part in parts:
            for result in part.results:
                outcome.add(result)
                if _is_printed_later(job, part, result):
                    continue
                if job.as_json:
                    print_json(result.as_json())
                elif new := _select_new(result) if job.is_shown else result:
                    print_result(console, new)
            if not part.is_kept:
                progress.advance(task, len(part.results))
            if pushed and (former := pushed[-1].status) and part.status:
                short = replace(former, details=(), resource={})  # only the last one is printed
                pushed[-1] = replace(pushed[-1], status=short)
            pushed.append(replace(part, results=()))
    return pushed
