"""`tocsin sighting`: say that an indicator was seen, or that it raises false alarms."""

from __future__ import annotations

import time
import uuid
from collections.abc import Sequence
from contextlib import nullcontext
from typing import IO, Any

import click

from tocsin.admission.descriptions import count, find_label
from tocsin.admission.errors import Malformed, NotFound
from tocsin.admission.model import StixObject
from tocsin.admission.stix.history_extension import has_history
from tocsin.admission.stix.sightings_and_opinions import Observation, build_statement
from tocsin.admission.timestamps import stix_time
from tocsin.clients.cli.command import (
    PAST_TIME,
    ask_for_word,
    json_option,
    open_answers,
    print_push_summary,
    push_exit_code,
    with_connection_options,
    with_sending_options,
    with_settings,
)
from tocsin.clients.cli.hub import find_target, open_hub
from tocsin.clients.cli.wrong_usage import WrongUsage
from tocsin.clients.http import Collection, Hub
from tocsin.clients.lookup import find_by_id, find_by_pattern
from tocsin.clients.push import PushOptions, push_results
from tocsin.clients.results import ObjectResult, count_verdicts
from tocsin.clients.share_preview import print_share_preview
from tocsin.clients.terminal import open_console, print_json, print_message, print_result
from tocsin.clients.withdraw import resolve_name
from tocsin.config import stdio
from tocsin.config.command_line import format_examples, printable
from tocsin.config.settings import ClientSettings

_CLOCK_DIFFERENCE = 5 * 60 * 1_000_000
"""µs by which the clock of what wrote the time may be ahead of ours."""
_COUNTED = ("admitted",)


@click.command(
    "sighting",
    short_help="Say that you have seen an indicator, or that it raises false alarms.",
    epilog=format_examples(
        "tocsin sighting 'evil-portal[.]top' --to inbox",
        "tocsin sighting evil-portal.top --to inbox --false-alarm",
        "tocsin sighting evil-portal.top --to inbox --count 12 --yes",
    ),
)
@click.argument("names", nargs=-1, required=True, metavar="VALUE|ID...")
@click.option("--false-alarm", is_flag=True, help="It matches what is harmless.")
@click.option(
    "--count", type=click.IntRange(1, 999_999_999), default=1, help="How often you have seen it."
)
@click.option(
    "--seen",
    type=PAST_TIME,
    default=0,
    help="When you saw it: 12h (ago), 2026-01-31 or an RFC 3339 timestamp; default: now.",
)
@with_sending_options
@json_option
@with_connection_options
@with_settings
def sighting_command(settings: ClientSettings, names: tuple[str, ...], **options: Any) -> int:
    """Say that you have seen an indicator, or that it raises false alarms.

    VALUE is a domain, address, URL, e-mail address or hash in any spelling, ID
    that of a public indicator. It is looked up in the collections that your key
    may read, and what you say is marked as the indicator is. Your name is not
    published, and nothing but the indicator's id is sent. On a terminal it shows
    what would be sent, and asks.

    A sighting raises the indicator's confidence and lets it age less; a false
    alarm lowers it. Of each organisation the newest word counts. To take yours
    back: tocsin withdraw with the id that is printed.

    With --json: a line for each object, as push prints it.

    \b
    Exit codes:
      0  the hub took all of what you said
      1  it took nothing, no indicator was found, or you said no
      3  the hub cannot be reached, or access was denied
      4  some was taken, other objects are refused, pending or unsent
    """
    if options["false_alarm"] and (options["count"] != 1 or options["seen"]):
        raise WrongUsage("--false-alarm cannot be combined with --count or --seen")
    now = time.time_ns() // 1000
    if options["seen"] > now + _CLOCK_DIFFERENCE:
        raise WrongUsage("--seen lies in the future; give the time when you saw it")
    observation = Observation(options["false_alarm"], options["count"], options["seen"])
    wait, as_json = not options["no_wait"], options["as_json"]
    asked = nullcontext() if options["yes"] else open_answers(())
    with asked as answers, open_hub(settings) as hub:
        inbox = find_target(hub, options["to"])
        targets = _find_targets(hub, inbox, names, now)
        results = [
            _make_result(index, target, build_statement(target, observation, now, uuid.uuid4()))
            for index, target in enumerate(targets)
        ]
        if answers and not _confirm(inbox, results, observation, answers):
            print_message("nothing was sent")
            return stdio.FAILED
        push_options = PushOptions(wait=wait, timeout=options["timeout"])
        pushed = list(push_results(hub, inbox, results, push_options))
    console = open_console()
    for part in pushed:
        for result in part.results:
            print_json(result.as_json()) if as_json else print_result(console, result)
    counts = count_verdicts((result for part in pushed for result in part.results), _COUNTED)
    print_push_summary(pushed, counts, as_json=as_json)
    return push_exit_code(pushed, counts, wait=wait)


def _confirm(
    inbox: Collection,
    results: Sequence[ObjectResult],
    observation: Observation,
    answers: IO[str],
) -> bool:
    """Show the indicators that the statements are about, and ask."""
    print_share_preview(open_console(stderr=True), results)
    said = _describe(observation, len(results))
    question = f"Send {said} to {printable(inbox.alias or inbox.title)}?"
    return ask_for_word(question, "ny", answers) == "y"


def _describe(observation: Observation, number: int) -> str:
    """The statements about a number of indicators: `2 sightings, each of 7 times`."""
    if observation.false_alarm:
        return count(number, "false alarm")
    parts = [count(number, "sighting")]
    if observation.count != 1:
        parts.append(f"{'each ' if number > 1 else ''}of {count(observation.count, 'time')}")
    if observation.seen:
        parts.append(f"last at {stix_time(observation.seen)[:16]}Z")
    return ", ".join(parts)


def _find_targets(hub: Hub, inbox: Collection, names: Sequence[str], now: int) -> list[StixObject]:
    """The public indicators that the arguments name.

    Raises WrongUsage if one is neither a value nor an id, NotFound if one names no indicator, or
    only some that cannot be sighted through the inbox.
    """
    readable = [each for each in hub.list_collections() if each.can_read]
    found: dict[str, StixObject] = {}
    for name in names:
        try:
            meant = resolve_name(name, now)
        except Malformed as error:
            raise WrongUsage(str(error)) from error
        by_id = [each.id for each in meant if not each.label]
        public = [*find_by_id(hub, readable, by_id).values()] if by_id else []
        public += find_by_pattern(hub, readable, [each.label for each in meant if each.label])
        if not public:
            raise NotFound(f"no collection that this key may read has an indicator for {name!a}")
        sightable = [each for each in public if _can_be_sighted(each, inbox)]
        if not sightable:
            raise NotFound(
                f"the hub does not publish {name!a}, which only a verbatim collection has: send"
                " the sighting to that collection with --to"
            )
        found |= {str(each["id"]): each for each in sightable}
    return list(found.values())


def _can_be_sighted(target: StixObject, inbox: Collection) -> bool:
    """False if a sighting would wait for ever: nothing from verbatim collections is published.

    Of a hub's collections that take posts only verbatim ones can be read; those take anything.
    """
    is_report = target.get("type") == "indicator" and target.get("revoked") is not True
    return has_history(target) or not is_report or inbox.can_read or not inbox.exact


def _make_result(index: int, target: StixObject, statement: StixObject) -> ObjectResult:
    label = find_label(target)
    return ObjectResult("", index, str(statement["id"]), "ready", (), statement, label=label)
