"""`tocsin-hub submission`: submissions that were set aside and wait for the operator."""

from __future__ import annotations

from collections.abc import Iterator

import click

from tocsin.admission.descriptions import count
from tocsin.admission.timestamps import DAY, stix_time
from tocsin.config.command_line import format_examples
from tocsin.server.cli.command import Answer, act_on_each, with_acting_hub, with_hub
from tocsin.server.model import Submission
from tocsin.server.runtime import Runtime


@click.group("submission", short_help="Submissions set aside after they ended their worker.")
def submission_command() -> None:
    """Submissions that were set aside because they ended their worker three times."""


@submission_command.command("list", epilog=format_examples("tocsin-hub submission list --json"))
@with_hub
def _list(hub: Runtime) -> list[Answer]:
    """List what waits for a decision, the oldest first.

    It keeps its bodies until you decide, however long; `warning` says when that is longer than
    bodies are kept otherwise.
    """
    found = hub.services.store.submissions.list_set_aside()
    days, now = hub.services.retention.periods.bodies, hub.services.store.clock()
    return [_format_submission(each) | _warn_of_age(each, days, now) for each in found]


@submission_command.command(
    "retry",
    short_help="Put submissions back into the queue.",
    epilog=format_examples("tocsin-hub submission retry 0d6c2a9f-6f0e-4d53-9f4e-2a4d6b1c7e55"),
)
@click.argument("ids", nargs=-1, required=True, metavar="ID...")
@with_acting_hub
def _retry(hub: Runtime, ids: tuple[str, ...]) -> Iterator[Answer]:
    """Put submissions back into the queue, for instance after an update of the hub."""

    def retry(id: str) -> list[Answer]:
        hub.services.intake.set_aside.retry(id, hub.actor)
        return [{"submission": id, "state": "queued"}]

    return act_on_each(ids, retry)


@submission_command.command(
    "drop",
    epilog=format_examples(
        "tocsin-hub submission drop 0d6c2a9f-6f0e-4d53-9f4e-2a4d6b1c7e55 \\",
        '  --reason "send it in smaller parts"',
    ),
)
@click.argument("ids", nargs=-1, required=True, metavar="ID...")
@click.option(
    "--reason",
    default="",
    help="Shown to the submitter, and kept in the journal; repeat no content in it.",
)
@with_acting_hub
def _drop(hub: Runtime, ids: tuple[str, ...], reason: str) -> Iterator[Answer]:
    """Refuse what is left of submissions and delete their bodies."""

    def drop(id: str) -> list[Answer]:
        return [{"submission": id, "refused": set_aside.drop(id, hub.actor, reason)}]

    set_aside = hub.services.intake.set_aside
    return act_on_each(ids, drop)


def _format_submission(submission: Submission) -> Answer:
    return {
        "submission": submission.id,
        "partner": submission.partner,
        "account": submission.account,
        "collection": submission.collection,
        "received": stix_time(submission.received),
        "set_aside": stix_time(submission.set_aside),
        "objects": submission.total,
        "settled": submission.settled,
    }


def _warn_of_age(submission: Submission, days: int, now: int) -> Answer:
    if now - submission.received < days * DAY:
        return {}
    return {"warning": f"its body is kept longer than {count(days, 'day')}: retry it, or drop it"}
