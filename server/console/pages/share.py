"""Share a report: paste or drop it, see what others would read, submit."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, NamedTuple

import flask
import msgspec
from flask import request
from flask.typing import ResponseReturnValue
from werkzeug.wrappers import Response

from tocsin.admission.errors import Conflict, Malformed, NotFound, TooManyRequests, Unavailable
from tocsin.admission.formats import formats
from tocsin.admission.model import CONSENTS_TO_NAME, Tlp
from tocsin.server.console.comparison import Compared, Room, compare
from tocsin.server.console.drafts import (
    SENT,
    Draft,
    DraftGone,
    DraftOptions,
    DraftRow,
    DraftState,
    Origin,
    PreviewedObject,
    Standing,
)
from tocsin.server.console.forms import go, number_field, sentence, show_again, text_field
from tocsin.server.console.middleware import status_of
from tocsin.server.console.previews import MOST_OBJECTS, STALE_SECONDS
from tocsin.server.console.registry import Pages
from tocsin.server.console.request_context import context
from tocsin.server.console.services import ConsoleServices
from tocsin.server.intake.evaluate import split_envelope
from tocsin.server.model import Collection, CollectionKind, Partner
from tocsin.server.partners.agreement_lifecycle import find_current
from tocsin.server.person import Role

_ANALYSTS = (Role.ANALYST,)
_DAYS = (0, 7, 30, 90, 180, 365)
_LEVELS = (Tlp.CLEAR, Tlp.GREEN, Tlp.AMBER, Tlp.AMBER_STRICT)
_PAGE = 50
_WAIT = 1.0
"""Seconds in which most examinations end; longer ones have a page that shows their progress."""
_MOST_LABELS, _LONGEST_LABEL, _LONGEST_NAME = 20, 100, 200
_MOST_KEPT = 200_000
"""Characters of a pasted text that stay in the form when something else in it is wrong."""
_ALONE = 500_000
"""Characters of the texts of an object that is shown alone."""
_LONGEST_ID = 40
_SECOND = 1_000_000
_NO_ROW = "Choose at least one object."
_LOST = "The examination did not end. Examine it again, or discard the draft and send it in parts."
_STILL_WORKING = "This report is still being examined. Wait for that, or discard it."
_CHANGED = "The preview has changed since this page was opened. Look at it again, then submit it."


def register(pages: Pages, services: ConsoleServices) -> None:
    """Register the pages."""
    views = SharePages(services)
    pages.link("Share", "/share", "s", _ANALYSTS)
    pages.add("/share", views.ask, _ANALYSTS)
    pages.add("/share", views.take, _ANALYSTS, ("POST",))
    pages.add("/share/<id>", views.show, _ANALYSTS)
    pages.add("/share/<id>", views.change, _ANALYSTS, ("POST",))
    pages.add("/share/<id>/rows", views.take_out, _ANALYSTS, ("POST",))
    pages.add("/share/<id>/submit", views.submit, _ANALYSTS, ("POST",))
    pages.add("/share/<id>/discard", views.discard, _ANALYSTS, ("POST",))
    pages.take_long("/share")
    pages.add("/part/share/<id>", views.progress, _ANALYSTS)


class PreviewView(NamedTuple):
    """The view of a preview: its filters and its page, all of it in the URL."""

    everything: bool
    reader: Tlp
    page: int
    only: int = 0
    """The number of the only object that is shown; 0: all of them."""

    def includes(self, number: int, row: DraftRow) -> bool:
        """True if an object is looked at."""
        if self.only:
            return number == self.only
        is_plain = row.standing is Standing.READY and not (row.is_changed or row.has_text)
        return self.everything or not is_plain

    def query(self, **changes: Any) -> str:
        """The query string of this selection, with some changes."""
        chosen = self._replace(**changes)
        show = "all" if chosen.everything else "changed"
        only = f"&only={chosen.only}" if chosen.only else ""
        return f"show={show}&level={chosen.reader.label.replace('+', '-')}&page={chosen.page}{only}"


class _Parsed(NamedTuple):
    options: DraftOptions
    errors: dict[str, str]


@dataclass(frozen=True, slots=True)
class SharePages:
    """Drafts and their previews."""

    services: ConsoleServices

    def ask(self) -> ResponseReturnValue:
        """The form, empty or with the text of a draft that is to be changed."""
        id = request.args.get("instead", "")
        if not id:
            return self._render_again("", self._default_options(self._collections()), {}, 200)
        draft = self._find(id)
        text = self._read_text(draft)
        if text is None:
            raise NotFound("there is no such page")
        options = draft.options
        if draft.name and not options.format:  # a text without a file's name, read as before
            options = msgspec.structs.replace(options, format=draft.format)
        return self._render_again(text, options, {}, 200, draft.id)

    def _read_text(self, draft: Draft) -> str | None:
        """The text of a draft, if a person can change it in the form; None if not."""
        if draft.state is DraftState.SUBMITTED or draft.octets > _MOST_KEPT:
            return None
        try:
            content = self.services.drafts.read_input(draft)
            return content.decode("utf-8-sig", "strict" if draft.name else "replace")
        except FileNotFoundError:
            raise DraftGone from None
        except UnicodeDecodeError:
            return None

    def take(self) -> ResponseReturnValue:
        """Keep what was pasted or dropped, and examine it."""
        options, errors = self._parse_options()
        upload = request.files.get("file")
        text = request.form.get("text", "").replace("\r\n", "\n")
        content = upload.stream.read() if upload is not None and upload.filename else b""
        name = _file_name(upload.filename or "") if content and upload is not None else ""
        if bool(content) == bool(text.strip()):
            errors["text"] = (
                "Paste the report or choose its file, one of both."
                if content
                else "Paste a report, or choose its file."
            )
        instead = request.form.get("instead", "")[:_LONGEST_ID]
        if errors:
            return self._render_again(text, options, errors, 422, instead)
        origin = Origin(context().who.id, context().who.partner, name, instead)
        content = content or text.encode("utf-8", "replace")
        try:
            draft, is_new = self._begin(origin, content, options)
        except (TooManyRequests, Unavailable) as error:
            answer = self._render_again(
                text, options, {"text": sentence(error)}, status_of(error), instead
            )
            answer.headers["Retry-After"] = str(error.seconds)
            return answer
        if is_new:
            self._discard_former(instead)
            self._examine(draft)
        return go(f"/share/{draft.id}")

    def _begin(self, origin: Origin, content: bytes, options: DraftOptions) -> tuple[Draft, bool]:
        """The draft of a form, and True if it is new: a form that is sent twice makes one."""
        drafts = self.services.drafts
        with drafts.lock_all():
            if same := drafts.find_same(origin, content, options):
                return same, False
            self.services.check_room()
            self.services.previews.check_room(origin.partner)
            return drafts.begin(origin, content, options), True

    def _discard_former(self, id: str) -> None:
        """Delete the draft that a changed one replaces, unless it is gone or submitted."""
        if not id:
            return
        with suppress(NotFound), self.services.drafts.lock(context().who.id, id):
            former = self._find(id)
            if former.state is not DraftState.SUBMITTED:
                self.services.drafts.discard(former)

    def _render_again(
        self,
        text: str,
        options: DraftOptions,
        errors: dict[str, str],
        status: int,
        instead: str = "",
    ) -> Response:
        """The form with what was entered; `instead`: the draft that it replaces."""
        kept = text if len(text) <= _MOST_KEPT else ""
        drafts = self.services.drafts.list_of(context().who.id)
        form = self._form(options)
        return show_again(
            "share.html", errors, status, text=kept, drafts=drafts, instead=instead, **form
        )

    def show(self, id: str) -> ResponseReturnValue:
        """The preview, or how far it has come."""
        draft = self._find(id)
        if draft.state is DraftState.SUBMITTED:
            return go(f"/submissions/{draft.submission}")
        return self._page(draft, {}, 200)

    def progress(self, id: str) -> ResponseReturnValue:
        """Show the progress of an examination; the whole page once it has ended."""
        status = HTTPStatus.NO_CONTENT
        try:
            draft = self._find(id)
            if draft.state is DraftState.WORKING and not self._is_lost(draft):
                return flask.render_template("share_progress.html", draft=draft)
        except DraftGone:  # discarded in another tab: the page would ask for ever
            status = HTTPStatus.NOT_FOUND
        answer = flask.make_response("", status)
        answer.headers["HX-Refresh"] = "true"
        return answer

    def change(self, id: str) -> ResponseReturnValue:
        """Examine a draft again, under other options."""
        options, errors = self._parse_options()
        if errors:
            return self._page(self._find(id), errors, 422, options)
        return self._begin_again(id, options, None)

    def take_out(self, id: str) -> ResponseReturnValue:
        """Leave objects out of what is submitted, or share them again."""
        rows = frozenset(
            int(each) - 1
            for each in request.form.getlist("row")[:MOST_OBJECTS]
            if re.fullmatch(r"[0-9]{1,6}", each)
        )
        return self._begin_again(id, None, rows)

    def _begin_again(
        self, id: str, options: DraftOptions | None, rows: frozenset[int] | None
    ) -> ResponseReturnValue:
        """Examine a draft again under other options, or with a choice of its objects."""
        self.services.previews.check_room(context().who.partner)
        with self.services.drafts.lock(context().who.id, id):
            draft = self._find(id)
            if draft.state is DraftState.SUBMITTED:
                return go(f"/submissions/{draft.submission}")
            if draft.state is DraftState.WORKING and not self._is_lost(draft):
                return self._page(draft, {"progress": _STILL_WORKING}, 409)
            out = frozenset(draft.taken_out)
            if rows is not None:
                if not _is_seen(draft):
                    return self._page(draft, {"preview": _CHANGED}, 409)
                if not rows:
                    return self._page(draft, {"rows": _NO_ROW}, 422)
                chosen = frozenset(n for n, row in enumerate(draft.rows) if _may_choose(row))
                out = (out - rows) if text_field("act", 20) == "back" else (out | rows & chosen)
            draft = self.services.drafts.begin_again(draft, options or draft.options, out)
        self._examine(draft)
        query = f"?{_parse_selection(Tlp.RED, 'all').query()}" if request.args else ""
        return go(f"/share/{draft.id}{query}")

    def submit(self, id: str) -> ResponseReturnValue:
        """Submit what was previewed, once; the page of its submission."""
        drafts = self.services.drafts
        with drafts.lock(context().who.id, id):
            draft = self._find(id)
            if draft.state is not DraftState.SUBMITTED:
                if not _is_seen(draft) or not draft.count(*SENT):
                    return self._page(draft, {"preview": _CHANGED}, 409)
                try:
                    self._receive(draft)
                except TooManyRequests as error:
                    return self._page(draft, {"preview": sentence(error)}, status_of(error))
                drafts.close(draft)
        return go(f"/submissions/{draft.submission}")

    def _receive(self, draft: Draft) -> None:
        collection = self._find_collection(draft.options.collection)
        if collection is None:
            raise NotFound("this collection is not there any more")
        self.services.check_room()
        body, here = self.services.drafts.read_body(draft), context()
        try:
            self.services.intake.receive(
                here.rights,
                collection,
                split_envelope(body),
                body,
                here.collections,
                id=draft.submission,
                anonymous=draft.anonymous,
            )
        except Conflict:
            return  # it was received before, and this process died before it could note that

    def discard(self, id: str) -> ResponseReturnValue:
        """Delete a draft."""
        with self.services.drafts.lock(context().who.id, id):
            self.services.drafts.discard(self._find(id))
        return go("/share")

    def _find(self, id: str) -> Draft:
        me = context().who
        draft = self.services.drafts.find(id, me.id)
        if draft.partner != me.partner:
            raise DraftGone
        return draft

    def _examine(self, draft: Draft) -> None:
        collection = self._find_collection(draft.options.collection)
        is_verbatim = collection is not None and collection.kind is CollectionKind.VERBATIM
        self.services.previews.begin(draft, context().rights, is_verbatim=is_verbatim, wait=_WAIT)

    def _is_lost(self, draft: Draft) -> bool:
        return self.services.clock() - draft.renewed > STALE_SECONDS * _SECOND

    def _page(
        self, draft: Draft, errors: dict[str, str], status: int, options: DraftOptions | None = None
    ) -> Response:
        if draft.state is DraftState.WORKING and self._is_lost(draft):
            draft = msgspec.structs.replace(draft, state=DraftState.FAILED, error=_LOST)
        values = self._form(options or draft.options)
        is_long = len(draft.rows) > _PAGE
        max_tlp = self._partner().max_tlp
        chosen = _parse_selection(max_tlp, "changed" if is_long else "all")
        rows = [each for each in enumerate(draft.rows, 1) if chosen.includes(*each)]
        page = rows[(chosen.page - 1) * _PAGE : chosen.page * _PAGE]
        items = self._read_items(draft, [row for _, row in page])
        if "level" not in request.args:
            chosen = chosen._replace(reader=min(max_tlp, _strictest_level(items)))
        to = self._find_collection(draft.options.collection)
        return show_again(
            "share_preview.html",
            errors,
            status,
            draft=draft,
            to=to,
            is_verbatim=to is not None and to.kind is CollectionKind.VERBATIM,
            summary=_summarise(draft),
            levels=[each for each in _LEVELS if each <= self._partner().max_tlp],
            chosen=chosen,
            items=_compare_all(page, items, chosen.reader),
            shown=len(rows),
            newer=chosen.query(page=chosen.page - 1) if chosen.page > 1 else "",
            older=chosen.query(page=chosen.page + 1) if len(rows) > chosen.page * _PAGE else "",
            sendable=draft.count(*SENT),
            as_json=_as_json,
            is_changeable=self._read_text(draft) is not None,
            may_choose=[n for n, row in page if _may_choose(row)],
            **values,
        )

    def _read_items(self, draft: Draft, rows: Sequence[DraftRow]) -> list[PreviewedObject]:
        try:
            return self.services.drafts.read_items(draft, rows) if rows else []
        except FileNotFoundError:
            raise DraftGone from None

    def _partner(self) -> Partner:
        return self.services.store.accounts.require_partner(context().who.partner)

    def _collections(self) -> list[Collection]:
        """The collections to which the person may submit, inboxes first."""
        found = context().writable()
        return sorted(found, key=lambda c: (c.kind is not CollectionKind.INBOX, c.title, c.id))

    def _find_collection(self, id: str) -> Collection | None:
        return next((each for each in context().writable() if each.id == id), None)

    def _default_options(self, collections: Sequence[Collection]) -> DraftOptions:
        partner = self._partner()
        return DraftOptions(
            collection=collections[0].id if collections else "",
            tlp=min(partner.default_tlp, partner.max_tlp).label,
            anonymous=partner.consent not in CONSENTS_TO_NAME,
        )

    def _form(self, options: DraftOptions) -> dict[str, object]:
        """The variables of the form."""
        partner = self._partner()
        names = [("named", partner.name)] if partner.consent in CONSENTS_TO_NAME else []
        return {
            "section": "/console/share",
            "options": options,
            "collections": [(each.id, each.title or each.alias) for each in self._collections()],
            "tlps": [(t.label, f"TLP:{t.label.upper()}") for t in _LEVELS if t <= partner.max_tlp],
            "agreement": find_current(
                self.services.store.agreements.list_of(partner.slug), self.services.clock()
            ),
            "names": [*names, ("anonymous", "anonymous")],
            "days": [(str(d), f"{d} days" if d else "as the report says") for d in _DAYS],
            "formats": list({each.name: each for each in formats()}.values()),
            "most_octets": self.services.settings.max_content_length,
            "most_objects": MOST_OBJECTS,
        }

    def _parse_options(self) -> _Parsed:
        """The options of the form, with an error for each field that is wrong."""
        partner, errors = self._partner(), dict[str, str]()
        collections = self._collections()
        default = self._default_options(collections)
        collection = text_field("collection") or default.collection
        if collection not in {each.id for each in collections}:
            errors["collection"] = "Choose one of the collections."
            collection = default.collection
        tlp = text_field("tlp") or default.tlp
        if tlp not in {each.label for each in _LEVELS if each <= partner.max_tlp}:
            errors["tlp"] = f"Choose a level up to TLP:{partner.max_tlp.label.upper()}."
            tlp = default.tlp
        days = text_field("days") or "0"
        if days not in map(str, _DAYS):
            errors["days"], days = "Choose one of the spans.", "0"
        try:
            labels = _parse_labels(text_field("labels"))
        except Malformed as error:
            errors["labels"], labels = str(error), ()
        chosen = text_field("format")
        is_named = text_field("named") == "named" and partner.consent in CONSENTS_TO_NAME
        options = DraftOptions(
            collection=collection,
            tlp=tlp,
            anonymous=not is_named,
            days=int(days),
            labels=labels,
            format=chosen if chosen in {each.name for each in formats()} else "",
            confirmed=request.form.get("confirmed") == "yes",
            new_ids=request.form.get("new_ids") == "yes",
        )
        return _Parsed(options, errors)


def _strictest_level(items: Sequence[PreviewedObject]) -> Tlp:
    """The strictest level among some objects: its readers would read all of them."""
    return max((i.candidate.tlp for i in items if i.candidate.tlp is not None), default=Tlp.RED)


def _compare_all(
    rows: Sequence[tuple[int, DraftRow]], items: Sequence[PreviewedObject], reader: Tlp
) -> list[Compared]:
    room = Room() if len(rows) > 1 else Room(texts=_ALONE, cuts=True)
    pairs = zip(rows, items, strict=True)
    return [compare(n, item, row.standing, reader, room) for (n, row), item in pairs]


def _parse_labels(text: str) -> tuple[str, ...]:
    labels = tuple(dict.fromkeys(filter(None, (each.strip() for each in text.split(",")))))
    if len(labels) > _MOST_LABELS:
        raise Malformed(f"At most {_MOST_LABELS} labels.")
    if any(len(each) > _LONGEST_LABEL or not each.isprintable() for each in labels):
        raise Malformed(f"A label has at most {_LONGEST_LABEL} characters, none of them hidden.")
    return labels


def _parse_selection(strictest: Tlp, show: str) -> PreviewView:
    given = request.args
    try:
        reader = Tlp.parse(given.get("level", strictest.label))
    except ValueError:
        reader = strictest
    everything = given.get("show", show) != "changed"
    page, only = max(1, number_field("page", 1)), number_field("only", 0)
    return PreviewView(everything, min(reader, strictest), page, only)


def _file_name(given: str) -> str:
    """The last part of a file's path, as the browser sent it."""
    return given.replace("\\", "/").rpartition("/")[2][:_LONGEST_NAME]


def _is_seen(draft: Draft) -> bool:
    """True if the form was sent from the preview as it is now."""
    return text_field("run", 20) == str(draft.run) and draft.state is DraftState.READY


def _may_choose(row: DraftRow) -> bool:
    """True if a person may leave an object out, or has done so."""
    return row.standing is Standing.TAKEN_OUT or row.standing in SENT


def _summarise(draft: Draft) -> str:
    """The sentence on what would become of the objects."""
    parts = [
        (draft.count(Standing.READY, Standing.ASKED), "can be shared now", "can be shared now"),
        (draft.count(Standing.HELD), "waits for a reviewer", "wait for a reviewer"),
        (draft.count(Standing.UNCONFIRMED), "needs your confirmation", "need your confirmation"),
        (draft.count(Standing.LEFT_OUT), "is left out", "are left out"),
        (draft.count(Standing.TAKEN_OUT), "is left out by you", "are left out by you"),
        (draft.count(Standing.REFUSED), "is refused", "are refused"),
    ]
    found = [f"{n:,} {one if n == 1 else many}" for n, one, many in parts if n]
    total = len(draft.rows)
    head = f"{total:,} object{'' if total == 1 else 's'} found."
    asked = draft.count(Standing.ASKED)
    more = f" Of {asked:,}, a part waits for a reviewer." if asked else ""
    return f"{head} {', '.join(found)}.{more}" if found else head


def _as_json(content: object) -> str:
    return json.dumps(content, ensure_ascii=False, indent=2)
