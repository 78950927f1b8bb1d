"""`tocsin-hub review`: objects that wait for a reviewer's decision."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from itertools import chain
from typing import Any

import click

from tocsin.admission.descriptions import count
from tocsin.admission.errors import Conflict, NotFound
from tocsin.admission.model import Action
from tocsin.admission.stix.object_titles import object_title
from tocsin.admission.timestamps import DAY, stix_time, timestamp
from tocsin.config.command_line import format_examples, printable
from tocsin.server.cli.command import (
    AS_JSON,
    Answer,
    act_on_each,
    format_record,
    print_result,
    print_wrapped,
    with_acting_hub,
    with_open_hub,
)
from tocsin.server.cli.settings import print_notice
from tocsin.server.intake.marks import Mark
from tocsin.server.lifecycle.retention import WARNING_DAYS
from tocsin.server.model import Review
from tocsin.server.runtime import Runtime

_QUESTIONS = frozenset({Action.ASKED, Action.HELD})
"""A reviewer decides about these."""


@click.group("review")
def review_command() -> None:
    """Objects that wait for a reviewer's decision."""


@review_command.command(
    "list",
    epilog=format_examples(
        "tocsin-hub review list",
        "tocsin-hub review list --partner acme",
        "tocsin-hub review list --all",
    ),
)
@click.option("--partner", metavar="SLUG", help="Only reviews of this partner.")
@click.option(
    "--limit",
    type=click.IntRange(1, 10_000),
    default=100,
    show_default=True,
    help="Reviews at most.",
)
@click.option(
    "--all",
    "with_others",
    is_flag=True,
    help="List also what waits for objects that it references: it needs no decision.",
)
@AS_JSON
@with_open_hub
def _list(hub: Runtime, partner: str | None, limit: int, with_others: bool, as_json: bool) -> None:
    """List what waits for a decision, the oldest first."""
    if with_others:
        found, others = list_reviews(hub, partner, limit + 1), 0
    else:
        reviews, others = hub.services.store.reviews.list_for_reviewers(partner, limit + 1)
        found = _format_open(hub, reviews)
    if others:
        wait = count(others, "object not listed here waits", "objects not listed here wait")
        print_notice(f"tocsin-hub: {wait} for others that have not come yet: --all lists them too")
    if len(found) > limit:
        print_notice(f"tocsin-hub: more reviews wait than these {limit}: --limit shows more")
    if as_json or not found:
        print_result(found[:limit], as_json=as_json)
    else:
        print_wrapped(chain.from_iterable(map(_format_lines, found[:limit])), " " * 6)


@review_command.command(
    "show",
    epilog=format_examples("tocsin-hub review show 0d6c2a9f-6f0e-4d53-9f4e-2a4d6b1c7e55"),
)
@click.argument("id")
@AS_JSON
@with_open_hub
def _show(hub: Runtime, id: str, as_json: bool) -> None:
    """Show the object, and the words in it about which the rules ask."""
    answer = show_review(hub, id)
    if as_json:
        print(json.dumps(answer))
    else:
        print_review(answer)


@review_command.command(
    "release",
    epilog=format_examples(
        "tocsin-hub review release 0d6c2a9f-6f0e-4d53-9f4e-2a4d6b1c7e55",
        "tocsin-hub review release 0d6c2a9f-6f0e-4d53-9f4e-2a4d6b1c7e55 \\",
        "  --without-text",
    ),
)
@click.argument("ids", nargs=-1, required=True, metavar="ID...")
@click.option(
    "--without-text",
    is_flag=True,
    help="Leave the texts masked in which the rules found something.",
)
@with_acting_hub
def _release(hub: Runtime, ids: tuple[str, ...], without_text: bool) -> Iterator[Answer]:
    """Admit objects that were held; ID is what `review list` shows."""

    def release(id: str) -> list[Answer]:
        return [decide_review(hub, id, release=True, reason="", without_text=without_text)]

    return act_on_each(ids, release)


@review_command.command(
    "reject",
    epilog=format_examples(
        "tocsin-hub review reject 0d6c2a9f-6f0e-4d53-9f4e-2a4d6b1c7e55 \\",
        '  --reason "names a victim"',
    ),
)
@click.argument("ids", nargs=-1, required=True, metavar="ID...")
@click.option(
    "--reason",
    default="",
    help="Shown to the submitter, and kept in the journal; repeat no content in it.",
)
@with_acting_hub
def _reject(hub: Runtime, ids: tuple[str, ...], reason: str) -> Iterator[Answer]:
    """Refuse objects that were held; ID is what `review list` shows."""
    return act_on_each(ids, lambda id: [decide_review(hub, id, release=False, reason=reason)])


@review_command.command(
    "forget",
    epilog=format_examples(
        "tocsin-hub review forget 0d6c2a9f-6f0e-4d53-9f4e-2a4d6b1c7e55",
    ),
)
@click.argument("ids", nargs=-1, required=True, metavar="ID...")
@with_acting_hub
def _forget(hub: Runtime, ids: tuple[str, ...]) -> Iterator[Answer]:
    """Forget decisions: ask about their objects if they come again.

    ID is in the journal: `journal list --act review.reject`.
    """

    def forget(id: str) -> list[Answer]:
        review = hub.services.intake.reviewer.forget_decision(id, hub.actor)
        return [{"review": id, "source_id": review.source_id, "state": review.state}]

    return act_on_each(ids, forget)


def list_reviews(hub: Runtime, partner: str | None, most: int | None = None) -> list[Answer]:
    """The open reviews of a partner, or of all if None, the oldest first, at most `most`."""
    return _format_open(hub, hub.services.store.reviews.list_waiting(partner, most))


def _format_open(hub: Runtime, reviews: Iterable[Review]) -> list[Answer]:
    days = hub.services.retention.periods.reviews
    now = hub.services.store.clock()
    return [_format_review(review) | _format_end(review, days, now) for review in reviews]


def _format_lines(answer: Answer) -> Iterator[str]:
    """A few lines for people: the id that other commands take, what it is, and why it waits."""
    yield printable(
        f"{answer['review']}  {answer['partner']}  {answer['question']}  {answer['asked']}"
    )
    yield printable(f"  {answer['type']}: {answer['value']}")
    findings: Any = answer["findings"]
    for finding in findings:
        if finding["action"] in _QUESTIONS:
            yield printable(f"    {finding['rule']}: {finding['message']}")
    waits_for: Any = answer["waits_for"]
    if waits_for:
        yield printable(f"    waits for: {', '.join(waits_for)}")
    if "decided" in answer:
        yield printable(f"    {answer['by']} decided: {answer['decided']}")
    if "warning" in answer:
        yield f"    {answer['warning']}"
    elif "ends" in answer:
        yield f"    it is refused on {str(answer['ends'])[:10]} unless you decide"


def show_review(hub: Runtime, id: str) -> Answer:
    """A review with its object as it was sent, and the words that the rules mark in it."""
    review = _find_review(hub, id)
    marks = hub.services.intake.reviewer.find_marks(review)
    return {
        **_format_summary(review),
        "sender": review.partner,
        "state": review.state,
        "marked": [_format_mark(each) for each in marks],
        "object": json.loads(review.object),
    }


def _format_mark(mark: Mark) -> Answer:
    return {
        "path": mark.path,
        "rule": mark.rule,
        "action": mark.action,
        "reason": mark.reason,
        "words": [{"start": w.start, "end": w.end, "text": w.text} for w in mark.words],
    }


def print_review(answer: Answer) -> None:
    """Print what `show_review` answers, safe on a terminal."""
    marked: Any = answer["marked"]
    summary = {k: v for k, v in answer.items() if k not in ("marked", "object")}
    for line in format_record(summary):
        print(line)
    for mark in marked:
        print(f"\n{printable(mark['rule'])} ({mark['action']}): {printable(mark['reason'])}")
        for word in mark["words"]:
            place = f"{mark['path']}[{word['start']}:{word['end']}]"
            print(f"  {printable(place)}  {printable(word['text'])}")
        if not mark["words"]:
            print(f"  {printable(mark['path'] or 'the object as a whole')}")
    print()
    for line in json.dumps(answer["object"], indent=2, ensure_ascii=False).split("\n"):
        print(printable(line))


def decide_review(
    hub: Runtime, id: str, *, release: bool, reason: str, without_text: bool = False
) -> Answer:
    """Release or reject a review; the answer is the record as its submitter sees it now."""
    review = _find_review(hub, id)
    if review.state == "waiting" and review.decision is not None:
        raise Conflict(
            f"{review.decision.by} has decided review {id} in the console; "
            f"that takes effect at {timestamp(review.decision.due)} unless it is withdrawn"
        )
    reviewer = hub.services.intake.reviewer
    if release:
        record = reviewer.release(review, hub.actor, without_text=without_text)
    else:
        record = reviewer.reject(review, hub.actor, reason, is_answer=True)
    return {
        "review": review.id,
        "source_id": review.source_id,
        "verdict": record.verdict,
        "public_id": record.public_id,
        "findings": [dict(finding) for finding in record.findings],
    }


def _find_review(hub: Runtime, id: str) -> Review:
    review = hub.services.store.reviews.find(id)
    if review is None:
        raise NotFound(f"there is no review {id!r}; `tocsin-hub review list` shows them")
    return review


def _format_review(review: Review) -> Answer:
    decision = review.decision
    decided = {} if decision is None else {"decided": decision.kind.value, "by": decision.by}
    return {
        **_format_summary(review),
        **decided,
        "findings": [dict(finding) for finding in review.findings],
        "waits_for": list(review.waits_for),
    }


def _format_summary(review: Review) -> Answer:
    subject = json.loads(review.object)
    return {
        "review": review.id,
        "question": review.kind.value,
        "type": subject.get("type", ""),
        "value": object_title(subject),
        "partner": review.partner,
        "submission": review.submission,
        "index": review.index,
        "source_id": review.source_id,
        "asked": timestamp(review.created),
        "rules": list(review.rules),
    }


def _format_end(review: Review, days: int, now: int) -> Answer:
    """The day on which a review ends without a decision, with a warning if that is soon."""
    end = (review.created // DAY + days + 1) * DAY
    left = max(0, end - now) // DAY
    answer: Answer = {"ends": stix_time(end)}
    if left < WARNING_DAYS:
        days_left = count(left + 1, "day")
        answer["warning"] = f"it is refused in {days_left} at most unless you decide"
    return answer
