"""Review: the queue of what waits for a person, and the item with its decisions."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from http import HTTPStatus
from urllib.parse import urlencode

import flask
from flask import request
from flask.typing import ResponseReturnValue
from werkzeug.wrappers import Response

from tocsin.admission.errors import Conflict, Malformed, NotFound
from tocsin.admission.model import Action, StixObject
from tocsin.admission.stix.free_text import free_texts
from tocsin.admission.stix.ijson import parse_object
from tocsin.admission.stix.object_titles import LONGEST_TITLE
from tocsin.admission.timestamps import DAY
from tocsin.server.console.forms import (
    go,
    number_field,
    parse_number,
    refuse,
    sentence,
    show_again,
    text_field,
)
from tocsin.server.console.queue_ages import count_ages
from tocsin.server.console.registry import Pages
from tocsin.server.console.request_context import context
from tocsin.server.console.review_context import find_markings, name_acts, name_reviews
from tocsin.server.console.review_texts import compare_texts, is_machinery, release_texts
from tocsin.server.console.services import ROOT, ConsoleServices
from tocsin.server.intake.marks import Mark, find_marks, list_maskable_words
from tocsin.server.intake.masks import find_words
from tocsin.server.intake.review import FullPreview, MaskedPreview
from tocsin.server.intake.review_decisions import (
    DECIDERS,
    MOST_AT_ONCE,
    OWN,
    Chosen,
    DecidedAlready,
    ReviewDecision,
    is_own,
)
from tocsin.server.model import (
    ActState,
    Claim,
    DecisionKind,
    PublicObject,
    Review,
    ReviewAct,
    ReviewKind,
    Span,
    Submission,
)
from tocsin.server.person import Role
from tocsin.server.store import Store
from tocsin.server.store.review_acts import DecisionCounts
from tocsin.server.store.review_queue import QueuedReview
from tocsin.server.store.reviews import BY_ITSELF, ReviewTitle

_PAGE = 50
_READING = (*DECIDERS, Role.AUDITOR)
_SECTION = f"{ROOT}/review"
_TURNAROUND_DAYS = 7
_LOOKED_AHEAD = 50
"""Items among which one that nobody has opened is looked for."""
_MOST_COMPARED = 200
"""Items of a partner among which the same value is looked for."""
_MOST_SAME = 5
_NO_LEVEL = "none"
_MOST_WORDS = 100
_MOST_NAMED = 100
"""Items that a decision left out which are named by their values."""
_LONGEST_REASON = 500
READY_REASONS = {
    "personal_data": "it has personal data: send it without",
    "victim_terms": "it names a victim or a member: send it without",
    "private_addresses": "it is about a private address, which matches in every network",
    "benign": "its value is harmless by a warning list: it would match ordinary traffic",
    "marking": "its marking is not known here: send it with a TLP marking",
    "references": "what it refers to has not come: send it with that",
}
"""By rule: the reason of a rejection that is offered first, and under a key of its own.

The keys are the numbers of this order, so they are the same for every item.
"""
_ENDED_MARKING = (
    "its marking definition was withdrawn, revoked or purged: send the definition under a new id,"
    " and mark the object with that"
)
_IS_ENDED_MARKING = {"stage": "publish", "rule": "marking", "action": Action.HELD.value}
"""In the finding by which an object waits whose marking is known, but has ended."""
_REASON = "a reviewer rejected it"
_NOT_KEPT = "its submission is not kept any more"
_NOTHING_TYPED = {"decision": "", "reason": "", "words": ""}


def register(pages: Pages, services: ConsoleServices) -> None:
    """Register the pages."""
    queue, item = Queue(services), ReviewPage(services)
    pages.link("Review", "/review", "r", _READING, queue.count)
    pages.add("/part/waiting", queue.waiting, _READING)
    pages.add("/review", queue.show, _READING)
    pages.add("/review/all", queue.choose_all, DECIDERS)
    pages.add("/review/all", queue.decide_all, DECIDERS, ("POST",))
    pages.add("/review/undo", queue.undo, DECIDERS, ("POST",))
    pages.add("/review/<id>", item.show, _READING)
    pages.add("/review/<id>", item.decide, DECIDERS, ("POST",))
    pages.add("/review/<id>/skip", item.skip, DECIDERS, ("POST",))
    pages.add("/review/<id>/lead", item.lead, DECIDERS, ("POST",))


@dataclass(frozen=True, slots=True)
class Filter:
    """The part of the queue that a person looks at; it is in the query string of every link."""

    rule: str = ""
    partner: str = ""
    tlp: str = ""
    type: str = ""

    @classmethod
    def of_request(cls) -> Filter:
        """The filter in the query string."""
        return cls(*(request.args.get(name, "")[:200] for name in cls.__slots__))

    def takes(self, each: QueuedReview) -> bool:
        """True if an item passes."""
        if self.rule == "" and each.rules == BY_ITSELF:
            return False
        return (
            (not self.rule or self.rule in each.rules)
            and self.partner in ("", each.partner)
            and self.tlp in ("", each.tlp or _NO_LEVEL)
            and self.type in ("", each.type)
        )

    def url(self, path: str = "", **more: object) -> str:
        """A path below that of the queue, with the filter."""
        values = {name: getattr(self, name) for name in self.__slots__} | more
        query = urlencode({name: value for name, value in values.items() if value})
        return f"{path}?{query}" if query else path

    def queue_url(self, page: int, **more: object) -> str:
        """The path of a page of the queue below the root of the console."""
        return self.url("/review", page=page if page > 1 else "", **more)


@dataclass(frozen=True, slots=True)
class Choices:
    """The values that a filter can have, each with the number of items, by name."""

    rule: list[tuple[str, int]]
    partner: list[tuple[str, int]]
    tlp: list[tuple[str, int]]
    type: list[tuple[str, int]]

    @classmethod
    def count(cls, items: Iterable[QueuedReview]) -> Choices:
        """Count what is in the queue."""
        counts: tuple[Counter[str], ...] = tuple(Counter() for _ in range(4))
        for each in items:
            counts[0].update(each.rules)
            counts[1][each.partner] += 1
            counts[2][each.tlp or _NO_LEVEL] += 1
            counts[3][each.type] += 1
        return cls(*(sorted(each.items()) for each in counts))


@dataclass(frozen=True, slots=True)
class QueueLine:
    """An item in the list."""

    item: QueuedReview
    shown: ReviewTitle
    is_mine: bool


@dataclass(frozen=True, slots=True)
class Queue:
    """The list."""

    services: ConsoleServices

    def count(self) -> int:
        """How many items wait for a decision."""
        return sum(each.rules != BY_ITSELF for each in self.services.store.review_queue.look())

    def waiting(self) -> ResponseReturnValue:
        """The number in the bar, if it is not the one that the page shows."""
        number = self.count()
        if request.args.get("seen") == str(number):
            return flask.make_response("", 204)
        return flask.render_template("waiting.html", number=number)

    def show(self) -> ResponseReturnValue:
        """A page of the queue, the oldest first."""
        return self._show({}, HTTPStatus.OK)

    def _show(self, errors: dict[str, str], status: int) -> Response:
        """The page; the items of a refused decision on several are still selected."""
        chosen, store = Filter.of_request(), self.services.store
        items = store.review_queue.look()
        found = [each for each in items if chosen.takes(each)]
        page = _page_number(len(found))
        shown = found[(page - 1) * _PAGE : page * _PAGE]
        here, now = context(), self.services.clock()
        waiting = [each for each in items if each.rules != BY_ITSELF]
        acts, said = store.review_acts.list_latest(here.who.id), find_act(self.services)
        failures = _list_failures(acts, items)
        left_out = [*failures, *(said.skipped if said else ())]
        return show_again(
            "review_queue.html",
            errors,
            status,
            section=_SECTION,
            selected=frozenset(request.form.getlist("item")),
            lines=self._lines(shown),
            filter=chosen,
            choices=Choices.count(items),
            found=len(found),
            waiting=len(waiting),
            by_itself=len(items) - len(waiting),
            oldest=waiting[0].asked if waiting else None,
            ages=count_ages(waiting, now),
            page=page,
            has_more=page * _PAGE < len(found),
            may_act=here.who.has(*DECIDERS),
            turnaround=store.review_acts.median_turnaround(now, _TURNAROUND_DAYS),
            reason=_REASON,
            ready=_shorten(READY_REASONS),
            acts=acts,
            said=said,
            failures=failures,
            named=name_acts(store, [*acts, *filter(None, [said])]) | _name_pairs(store, left_out),
        )

    def _lines(self, items: Sequence[QueuedReview]) -> list[QueueLine]:
        titles = self.services.store.reviews.list_titles([each.id for each in items])
        now, me = self.services.clock(), context().who.id
        lines: list[QueueLine] = []
        for each in items:
            if (shown := titles.get(each.id)) is not None:
                held = shown.claim if shown.claim and shown.claim.holds(now) else None
                is_mine = held is not None and held.person == me
                lines.append(QueueLine(each, replace(shown, claim=held), is_mine))
        return lines

    def choose_all(self) -> ResponseReturnValue:
        """The reviews that a decision on everything that passes the filter would be about."""
        chosen = Filter.of_request()
        found = [each for each in self.services.store.review_queue.look() if chosen.takes(each)]
        return flask.render_template(
            "review_all.html",
            section=_SECTION,
            filter=chosen,
            found=len(found),
            items=found[:MOST_AT_ONCE],
            most=MOST_AT_ONCE,
            reason=_REASON,
            by_rule=Choices.count(found[:MOST_AT_ONCE]).rule,
            by_partner=Choices.count(found[:MOST_AT_ONCE]).partner,
        )

    def decide_all(self) -> ResponseReturnValue:
        """Decide the chosen items; their ids and versions are in the form."""
        chosen = [_parse_chosen(each) for each in request.form.getlist("item")]
        back, page_number = Filter.of_request(), number_field("page", 1)
        if not chosen:
            return go(back.queue_url(page_number, said="nothing"))
        kinds = {"keep_masked": DecisionKind.KEEP_MASKED, "reject": DecisionKind.REJECT}
        is_ready = "ready" in request.form
        kind = DecisionKind.REJECT if is_ready else kinds.get(text_field("decision"))
        if kind is None:
            return self._show({"decision": "Choose what to do with the items."}, 422)
        try:
            reason = self._read_common_reason(chosen) if kind is DecisionKind.REJECT else ""
        except Malformed as error:
            return self._show({"reason": sentence(error)}, 422)
        try:
            decision = ReviewDecision(kind, reason)
            faults = self._find_faults(chosen, kind)
            act = self.services.intake.decisions.decide_all(context().who, chosen, decision, faults)
        except Conflict as error:
            return self._show({"decision": sentence(error)}, HTTPStatus.CONFLICT)
        if not act.reviews and (same := self._find_same_act(act)):
            return go(back.url("/review", act=same.id))  # the form was sent twice
        if not act.reviews:
            page = flask.render_template(
                "review_skipped.html",
                section=_SECTION,
                act=act,
                filter=back,
                named=_name_pairs(self.services.store, act.skipped),
            )
            return flask.make_response(page, HTTPStatus.CONFLICT)
        return go(back.queue_url(page_number, act=act.id))

    def _read_common_reason(self, chosen: Sequence[Chosen]) -> str:
        """The one reason for which all of them are rejected: the shorter, if one is published."""
        if "ready" not in request.form:
            return _read_reason()
        found = self.services.store.reviews.find_all([each.id for each in chosen[:MOST_AT_ONCE]])
        is_published = any(each.kind is not ReviewKind.HELD for each in found)
        return _read_ready(_shorten(READY_REASONS) if is_published else READY_REASONS)

    def _find_same_act(self, act: ReviewAct) -> ReviewAct | None:
        """The earlier act by which the person decided the same about the same items."""
        ids = {id for id, _ in act.skipped}
        for each in self.services.store.review_acts.list_latest(act.person):
            chosen = {*each.reviews, *(id for id, _ in each.skipped)}
            if each.kind is act.kind and chosen == ids and each.state is not ActState.WITHDRAWN:
                return each
        return None

    def _find_faults(self, chosen: Sequence[Chosen], kind: DecisionKind) -> dict[str, str]:
        """Why items cannot be kept masked, by id; those that can are left out."""
        if kind is not DecisionKind.KEEP_MASKED or len(chosen) > MOST_AT_ONCE:
            return {}
        found = self.services.store.reviews.find_all([each.id for each in chosen])
        held = (each for each in found if each.kind is ReviewKind.HELD)
        return {each.id: _preview(self.services, each).fault for each in held}

    def undo(self) -> ResponseReturnValue:
        """Take a decision back."""
        back = Filter.of_request()
        try:
            act = self.services.intake.decisions.withdraw(context().who, text_field("act", 64))
        except Conflict as error:
            page = flask.render_template(
                "review_conflict.html",
                section=_SECTION,
                review=None,
                own_act=None,
                why=str(error),
                filter=back,
                own=_NOTHING_TYPED,
                queue_url=f"{ROOT}{back.url('/review')}",
                next_url=f"{ROOT}{back.url('/review')}",
            )
            return refuse(page, HTTPStatus.CONFLICT)
        if len(act.reviews) == 1:
            return go(f"{back.url(f'/review/{act.reviews[0]}', act=act.id)}#item")
        return go(back.queue_url(number_field("page", 1), act=act.id))


@dataclass(frozen=True, slots=True)
class Around:
    """The surroundings of an item in the queue."""

    submission: Submission | None
    same: list[tuple[PublicObject, str]]
    """Objects in force about the same, each with the partner that leads it."""
    answers: list[tuple[str, DecisionCounts]]
    """By rule, what was answered to this partner."""

    def has(self, review: Review) -> bool:
        """True if the partner's own report, about which the review is, is part of one of them."""
        own = review.partner, review.source_id
        every = (each for public, _ in self.same for each in public.contributions)
        return any((each.partner, each.source_id) == own for each in every)


@dataclass(frozen=True, slots=True)
class Place:
    """Where an item is in the filtered queue."""

    number: int
    """From 1; 0: it does not pass the filter."""
    total: int


@dataclass(frozen=True, slots=True)
class ReviewPage:
    """One item."""

    services: ConsoleServices

    def show(self, id: str) -> ResponseReturnValue:
        """The item; opening it claims it."""
        review = self._require(id)
        if not review.is_open:
            return self._show_decided(review)
        return self._show_open(review, {}, {}, HTTPStatus.OK)

    def _require(self, id: str) -> Review:
        review = self.services.store.reviews.find(id)
        if review is None:
            raise NotFound("there is no such review")
        return review

    def _show_decided(self, review: Review) -> Response:
        chosen, said = Filter.of_request(), find_act(self.services)
        page = flask.render_template(
            "review_decided.html",
            section=_SECTION,
            review=review,
            own_act=self._find_own_pending(review),
            filter=chosen,
            said=said,
            named=name_acts(self.services.store, [said] if said else []),
            queue_url=self._queue_url(review, chosen),
            next_url=ROOT + self._next_url(review, chosen),
        )
        return flask.make_response(page)

    def _find_own_pending(self, review: Review) -> ReviewAct | None:
        """The person's own act that decided only this review, while it can be withdrawn."""
        if review.decision is None:
            return None
        act, now = self.services.store.review_acts.find(review.decision.act), self.services.clock()
        if act is None or act.person != context().who.id or len(act.reviews) > 1:
            return None
        return act if act.state is ActState.PENDING and now < act.due else None

    def _show_open(
        self, review: Review, errors: dict[str, str], typed: dict[str, str], status: int
    ) -> Response:
        who, chosen = context().who, Filter.of_request()
        may_act = who.has(*DECIDERS)
        holder = review.claim
        if may_act and not is_own(review, who):
            queue, now = self.services.store.review_queue, self.services.clock()
            holder = queue.claim(review.id, who.id, who.login, now)
        if holder is not None and not holder.holds(self.services.clock()):
            holder = None
        original, whole = parse_object(review.object), "all" in request.args
        preview, marks = self._compare(review)
        rows = compare_texts(original, preview.object, marks, whole=whole)
        store = self.services.store
        acts = store.review_acts.list_latest(who.id)
        full, said = self._preview_full(review), find_act(self.services)
        last = self._last_pending(acts)
        failures = _list_failures(acts, store.review_queue.look(), but=review.id)
        words = _marked_words(original, marks)
        if said and said.state is ActState.WITHDRAWN and said.reviews == (review.id,):
            typed = typed or _entered_before(said, original, words)
        why_not = _why_not(review, holder, may_act=may_act)
        others = [each for each in rows if not each.is_first and is_machinery(each)]
        around = self._around(review)
        page = flask.render_template(
            "review_item.html",
            section=_SECTION,
            review=review,
            title=self._title(review),
            rows=[each for each in rows if each not in others],
            others=others,
            marks=marks,
            words=words,
            no_edit=preview.no_edit,
            fault=preview.fault,
            is_left_alone=review.rules == BY_ITSELF,
            why_not=why_not,
            next_url=ROOT + self._next_url(review, chosen) if why_not else "",
            claim=holder if holder is not None and holder.person == who.id else None,
            around=around,
            has_ended=review.kind is ReviewKind.REDACTED and not around.has(review),
            place=self._place(review, chosen),
            queue_url=self._queue_url(review, chosen),
            filter=chosen,
            reason=typed.get("reason") or ("" if "reason" in errors else _usual_reason(review)),
            ready=_ready_reasons(review),
            typed=typed.get("words", ""),
            chosen_marks=typed.get("marks", "").split(),
            is_edit=typed.get("decision") == DecisionKind.EDIT,
            errors=errors,
            ends=(review.created // DAY + self.services.settings.review_days + 1) * DAY,
            said=said,
            last=last,
            failures=failures,
            named=name_acts(store, [*filter(None, [said, last])]) | _name_pairs(store, failures),
            full=full,
            full_rows=release_texts(rows, compare_texts(original, full.object, marks, whole=whole)),
            remaining=preview.remaining,
            markings=find_markings(self.services.store, review),
            also=self._find_same_waiting(review),
            is_held=review.kind is ReviewKind.HELD,
            whole=whole,
        )
        return flask.make_response(page) if status == HTTPStatus.OK else refuse(page, status)

    def _title(self, review: Review) -> str:
        found = self.services.store.reviews.list_titles([review.id])
        return found[review.id].title if review.id in found else ""

    def _compare(self, review: Review) -> tuple[MaskedPreview, Sequence[Mark]]:
        preview = _preview(self.services, review)
        return preview, find_marks(review, parse_object(review.object), preview.object)

    def _preview_full(self, review: Review) -> FullPreview:
        try:
            return self.services.intake.reviewer.preview_full(review)
        except NotFound:
            return FullPreview(None, _NOT_KEPT)

    def _find_same_waiting(self, review: Review) -> list[str]:
        """Other items on the same value of the same partner, the latest ones."""
        queue = self.services.store.review_queue.look()
        type_ = next((each.type for each in queue if each.id == review.id), "")
        same = [e.id for e in queue if (e.partner, e.type) == (review.partner, type_)]
        titles = self.services.store.reviews.list_titles([*same[-_MOST_COMPARED:], review.id])
        own = titles[review.id].title if review.id in titles else ""
        is_whole = len(own) <= LONGEST_TITLE
        found = [id for id in same if id in titles and id != review.id and titles[id].title == own]
        return found[-_MOST_SAME:] if own and is_whole else []

    def _around(self, review: Review) -> Around:
        store = self.services.store
        subject = parse_object(review.object)
        same = self.services.lifecycle.find_same(subject, review.partner, review.source_id)
        answers = [(rule, store.review_acts.answers(review.partner, rule)) for rule in review.rules]
        return Around(store.submissions.find(review.submission, raw=False), same, answers)

    def _last_pending(self, acts: Sequence[ReviewAct]) -> ReviewAct | None:
        """The last act of the person, while it can be withdrawn."""
        now = self.services.clock()
        return next((a for a in acts if a.state is ActState.PENDING and now < a.due), None)

    def _place(self, review: Review, chosen: Filter) -> Place:
        found = [e.id for e in self.services.store.review_queue.look() if chosen.takes(e)]
        return Place(found.index(review.id) + 1 if review.id in found else 0, len(found))

    def _queue_url(self, review: Review, chosen: Filter) -> str:
        """The row of an item in the queue, on its page; of a decided one, where it was."""
        place = self.services.store.reviews.place_of(review)
        queue = self.services.store.review_queue.look()
        before = sum(each.place < place for each in queue if chosen.takes(each))
        return f"{ROOT}{chosen.queue_url(before // _PAGE + 1)}#row-{review.id}"

    def _next_url(self, review: Review, chosen: Filter, **more: object) -> str:
        """The next item that nobody has open, in the order of the queue; else the queue.

        After the last one the first follows, and the page says so.
        """
        found = [e for e in self.services.store.review_queue.look() if chosen.takes(e)]
        place = self.services.store.reviews.place_of(review)
        later = [e for e in found if e.place > place]
        candidates = [e.id for e in (*later, *found) if e.id != review.id][:_LOOKED_AHEAD]
        titles = self.services.store.reviews.list_titles(candidates)
        now, me = self.services.clock(), context().who.id
        for id in candidates:
            claim = titles[id].claim if id in titles else None
            if id in titles and (claim is None or claim.person == me or not claim.holds(now)):
                is_again = all(each.id != id for each in later)
                return f"{chosen.url(f'/review/{id}', again=is_again or '', **more)}#item"
        return chosen.url("/review", **more)

    def decide(self, id: str) -> ResponseReturnValue:
        """Write a decision down, and open the next item."""
        review, chosen = self._require(id), Filter.of_request()
        try:
            decision = self._read_decision(review)
        except Malformed as error:
            if not review.is_open:
                return self._show_conflict(review, "it has been decided already", chosen)
            is_rejected = "ready" in request.form or text_field("decision") == DecisionKind.REJECT
            field = "reason" if is_rejected else "words"
            return self._show_open(review, {field: sentence(error)}, _typed(), 422)
        version = parse_number(request.form.get("version", ""))
        if version is None:
            raise Malformed("the form is not complete: open the item again")
        try:
            picked = Chosen(id, version)
            act = self.services.intake.decisions.decide(context().who, picked, decision)
        except DecidedAlready as error:
            return self._show_conflict(error.review, str(error), chosen)
        return go(self._next_url(review, chosen, act=act.id))

    def _show_conflict(self, review: Review, why: str, chosen: Filter) -> Response:
        """Who decided it, and what the person had entered."""
        own = _typed()
        if own["reason"] == _usual_reason(review):
            own["reason"] = ""  # the hub's words
        page = flask.render_template(
            "review_conflict.html",
            section=_SECTION,
            review=review,
            own_act=self._find_own_pending(review),
            why=why,
            filter=chosen,
            own=own,
            queue_url=self._queue_url(review, chosen),
            next_url=ROOT + self._next_url(review, chosen),
        )
        return refuse(page, HTTPStatus.CONFLICT)

    def _read_decision(self, review: Review) -> ReviewDecision:
        kinds = {each.value: each for each in DecisionKind}
        if "ready" in request.form:
            return ReviewDecision(DecisionKind.REJECT, _read_ready(_ready_reasons(review)))
        kind = kinds.get(text_field("decision"))
        if kind is None:
            raise Malformed("choose what to do")
        if kind is DecisionKind.EDIT:
            masks = tuple(self._read_masks(review))
            self._check_edit(review, masks)
            return ReviewDecision(kind, masks=masks)
        if kind is DecisionKind.KEEP_MASKED and (fault := _preview(self.services, review).fault):
            raise Malformed(fault)
        return ReviewDecision(kind, _read_reason() if kind is DecisionKind.REJECT else "")

    def _check_edit(self, review: Review, masks: Sequence[Span]) -> None:
        """Raises Malformed if any of the masked words would be published all the same."""
        if not review.is_open:
            return  # it is refused with the decision that was made before
        try:
            self.services.intake.reviewer.check_edit(review, masks)
        except (Conflict, NotFound) as error:
            raise Malformed(str(error)) from error

    def _read_masks(self, review: Review) -> Iterable[Span]:
        """The places of the words that a person chose: of those in question, and of others."""
        if not review.object:
            return []
        original = parse_object(review.object)
        offered = _marked_words(original, self._compare(review)[1])
        numbers = set(map(parse_number, request.form.getlist("mark")))
        words = [word for n, word in enumerate(offered) if n in numbers]
        words += [line.strip() for line in text_field("words").splitlines() if line.strip()]
        if not words:
            raise Malformed("choose or enter the words to mask; to publish all, release it in full")
        if len(words) > _MOST_WORDS:
            raise Malformed(f"{len(words)} words are too many: {_MOST_WORDS} at most")
        return find_words(original, words)

    def skip(self, id: str) -> ResponseReturnValue:
        """Leave the item to others, and open the next one."""
        review = self._require(id)
        self.services.store.review_queue.end_claim(id, context().who.id)
        return go(self._next_url(review, Filter.of_request()))

    def lead(self, id: str) -> ResponseReturnValue:
        """Let another partner's report lead an object about the same."""
        review, chosen = self._require(id), Filter.of_request()
        public, partner = text_field("public", 200), text_field("partner", 100)
        same = self.services.lifecycle.find_same(
            parse_object(review.object) if review.object else {}, review.partner, review.source_id
        )
        if public not in {each.id for each, _ in same}:
            raise NotFound("there is no such object")
        self.services.lifecycle.lead(public, partner, context().who.login)
        return go(f"{chosen.url(f'/review/{id}', said='lead')}#item")


def find_act(services: ConsoleServices) -> ReviewAct | None:
    """The act of the person that the query string names."""
    id = request.args.get("act", "")[:64]
    act = services.store.review_acts.find(id) if id else None
    return act if act is not None and act.person == context().who.id else None


def _preview(services: ConsoleServices, review: Review) -> MaskedPreview:
    if not review.is_open:
        return MaskedPreview(None)
    try:
        return services.intake.reviewer.preview_masked(review)
    except NotFound:
        return MaskedPreview(None, _NOT_KEPT, no_edit=_NOT_KEPT)


def _list_failures(
    acts: Sequence[ReviewAct], queue: Sequence[QueuedReview], but: str = ""
) -> list[tuple[str, str]]:
    """The items on which decisions did not take effect and that wait still, each with the reason.

    `but`: the id of an item that is left out.
    """
    failed = {id: why for act in reversed(acts) for id, why in act.failed if id != but}
    waiting = {each.id for each in queue} if failed else set()
    return [(id, why) for id, why in failed.items() if id in waiting]


def _name_pairs(store: Store, pairs: Sequence[tuple[str, str]]) -> dict[str, str]:
    """The values of the first items that were left out, by id; see `name_reviews`."""
    return name_reviews(store, [id for id, _ in pairs[:_MOST_NAMED]])


def _page_number(total: int) -> int:
    wanted = parse_number(request.args.get("page", "1")) or 1
    return max(1, min(wanted, -(-total // _PAGE)))


def _parse_chosen(text: str) -> Chosen:
    id, _, revision = text.partition(":")
    number = parse_number(revision)
    return Chosen(id[:100], -1 if number is None else number)


def _marked_words(subject: StixObject, marks: Sequence[Mark]) -> list[str]:
    """The words in question that can be masked; those that are as long as a text are left out."""
    return [each for each in list_maskable_words(subject, marks) if len(each) <= _LONGEST_REASON]


def _read_reason() -> str:
    """The reason of a rejection in the form.  Raises Malformed if it was emptied."""
    reason = " ".join(text_field("reason", _LONGEST_REASON).split())
    if not reason and "reason" in request.form:
        raise Malformed("enter a reason for the submitter")
    return reason or _REASON


def _ready_reasons(review: Review) -> dict[str, str]:
    """The ready reasons for an item, by rule."""
    reasons = dict(READY_REASONS)
    if any(_IS_ENDED_MARKING.items() <= finding.items() for finding in review.findings):
        reasons["marking"] = _ENDED_MARKING
    return reasons if review.kind is ReviewKind.HELD else _shorten(reasons)


def _shorten(reasons: Mapping[str, str]) -> dict[str, str]:
    """The reasons alone: of what is published already, nothing is to be sent again."""
    return {rule: reason.partition(":")[0] for rule, reason in reasons.items()}


def _read_ready(reasons: Mapping[str, str]) -> str:
    """The ready reason whose button was pressed.  Raises Malformed if it is none of them."""
    reason = reasons.get(text_field("ready"))
    if reason is None:
        raise Malformed("choose one of the ready reasons, or enter one")
    return reason


def _usual_reason(review: Review) -> str:
    """The reason that is offered first."""
    reasons = _ready_reasons(review)
    return next((reasons[rule] for rule in review.rules if rule in reasons), _REASON)


def _why_not(review: Review, holder: Claim | None, *, may_act: bool) -> str:
    """Why the person cannot decide an item now; empty if they can."""
    who = context().who
    if not may_act:
        return "You can look at it; reviewers decide."
    if is_own(review, who):
        return sentence(Conflict(OWN))
    if holder is not None and holder.person != who.id:
        return f"{holder.login} has it open. You can look at it; decide another one meanwhile."
    return ""


def _entered_before(act: ReviewAct, subject: StixObject, offered: Sequence[str]) -> dict[str, str]:
    """The fields of the form by which an act was made that was withdrawn; see `_typed`.

    `offered`: the words in question that the form offers to mask.
    """
    masks, marks, covered = set(act.masks), list[str](), set[Span]()
    for number, word in enumerate(offered):
        with suppress(Malformed):  # too many places, so it was not chosen
            if masks.issuperset(places := find_words(subject, [word])):
                marks.append(str(number))
                covered.update(places)
    texts = dict(free_texts(subject))
    left = (each for each in act.masks if each not in covered)
    words = (" ".join(texts.get(path, "")[start:end].split()) for path, start, end in left)
    return {
        "decision": act.kind.value,
        "reason": act.reason,
        "words": "\n".join(dict.fromkeys(filter(None, words))),
        "marks": " ".join(marks),
    }


def _typed() -> dict[str, str]:
    """The words that the person had entered, kept for copying, also if they are too long."""
    given = {name: request.form.get(name, "").strip() for name in ("decision", "reason", "words")}
    return given | {
        "marks": " ".join(request.form.getlist("mark")),
    }
