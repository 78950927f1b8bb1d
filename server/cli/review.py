"""`tocsin-hub review`: objects that wait for an analyst's decision."""

from __future__ import annotations

from collections.abc import Iterable

import click

from tocsin.admission.errors import NotFound
from tocsin.config.command_line import format_examples
from tocsin.server.cli.command import Answer, with_acting_hub, with_hub
from tocsin.server.model import Record, Review
from tocsin.server.runtime import Runtime


@click.group("review")
def review_command() -> None:
    """Objects that wait for an analyst's decision."""


@review_command.command(
    "list",
    epilog=format_examples("tocsin-hub review list", "tocsin-hub review list --partner acme"),
)
@click.option("--partner", metavar="SLUG", help="Only reviews of this partner.")
@with_hub
def _list(hub: Runtime, partner: str | None) -> list[Answer]:
    """List what waits, the oldest first, with the findings."""
    return list_reviews(hub, partner)


@review_command.command(
    "release",
    epilog=format_examples("tocsin-hub review release 0d6c2a9f-6f0e-4d53-9f4e-2a4d6b1c7e55"),
)
@click.argument("ids", nargs=-1, required=True, metavar="ID...")
@with_acting_hub
def _release(hub: Runtime, ids: tuple[str, ...]) -> list[Answer]:
    """Admit objects that were held; ID is what `review list` shows."""
    return decide_reviews(hub, ids, release=True, reason="")


@review_command.command(
    "reject",
    epilog=format_examples(
        "tocsin-hub review reject 0d6c2a9f-6f0e-4d53-9f4e-2a4d6b1c7e55 \\",
        '  --reason "names a victim"',
    ),
)
@click.argument("ids", nargs=-1, required=True, metavar="ID...")
@click.option("--reason", default="", help="Shown to the submitter.")
@with_acting_hub
def _reject(hub: Runtime, ids: tuple[str, ...], reason: str) -> list[Answer]:
    """Refuse objects that were held; ID is what `review list` shows."""
    return decide_reviews(hub, ids, release=False, reason=reason)


def list_reviews(hub: Runtime, partner: str | None) -> list[Answer]:
    """The open reviews of a partner, or of all if None, the oldest first."""
    waiting = sorted(
        hub.services.store.reviews.list_waiting(partner), key=lambda review: review.created
    )
    return [_format_review(review) for review in waiting]


def decide_reviews(hub: Runtime, ids: Iterable[str], *, release: bool, reason: str) -> list[Answer]:
    """Release or reject reviews; each answer is the record as its submitter sees it now."""
    answers: list[Answer] = []
    for id in ids:
        review = hub.services.store.reviews.find(id)
        if review is None:
            raise NotFound(f"there is no review {id!r}; `tocsin-hub review list` shows them")
        intake = hub.services.intake
        if release:
            record = intake.release(review, hub.actor)
        else:
            record = intake.reject(review, hub.actor, reason)
        answers.append(_format_decision(review, record))
    return answers


def _format_review(review: Review) -> Answer:
    return {
        "review": review.id,
        "question": review.kind.value,
        "partner": review.partner,
        "submission": review.submission,
        "index": review.index,
        "source_id": review.source_id,
        "asked": review.created,
        "rules": list(review.rules),
        "findings": [dict(finding) for finding in review.findings],
        "waits_for": list(review.waits_for),
    }


def _format_decision(review: Review, record: Record) -> Answer:
    return {
        "review": review.id,
        "source_id": review.source_id,
        "verdict": record.verdict,
        "public_id": record.public_id,
        "findings": [dict(finding) for finding in record.findings],
    }
