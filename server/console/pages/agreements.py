"""Agreements: the written terms under which partners send and receive."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import flask
from flask import request
from flask.typing import ResponseReturnValue
from werkzeug.wrappers import Response

from tocsin.admission.errors import Malformed, NotFound, ShareError
from tocsin.admission.markings.audience import Audience
from tocsin.admission.model import Tlp
from tocsin.admission.policy import SLUG
from tocsin.admission.timestamps import micros, timestamp
from tocsin.server.agreements import find_raised
from tocsin.server.console.forms import (
    FieldErrors,
    find_changed,
    find_too_long,
    go,
    merge_entered,
    sent_fields,
    sentence,
    show_again,
    split_words,
    text_field,
)
from tocsin.server.console.middleware import status_of
from tocsin.server.console.pages.requests import ask_second
from tocsin.server.console.registry import Pages
from tocsin.server.console.request_context import context
from tocsin.server.console.services import ROOT, ConsoleServices
from tocsin.server.model import Agreement, AgreementState
from tocsin.server.partners.agreement_lifecycle import AgreementChange
from tocsin.server.partners.countries import parse_country
from tocsin.server.person import Role

_SEE, _ACT = (Role.OPERATOR, Role.AUDITOR), (Role.OPERATOR,)
_FIELDS = ("partner", "max_tlp", "starts", "until", "purposes", "countries", "sectors", "note")
_LEVELS = [(level.label.lower(), f"TLP:{level.label.upper()}") for level in Tlp]
_DAY = len("2026-01-31")
_MINUTE = len("2026-01-31T08:00")
Form = Mapping[str, str]


def register(pages: Pages, services: ConsoleServices) -> None:
    """Register the pages."""
    views = AgreementPages(services)
    pages.add("/admin/agreements", views.list_agreements, _SEE)
    pages.add("/admin/agreements/new", views.ask, _ACT)
    pages.add("/admin/agreements/new", views.add, _ACT, ("POST",))
    pages.add("/admin/agreements/<id>", views.show, _SEE)
    pages.add("/admin/agreements/<id>", views.change, _ACT, ("POST",))
    pages.add("/admin/agreements/<id>/end", views.end, _ACT, ("POST",))


@dataclass(frozen=True, slots=True)
class AgreementPages:
    """The pages."""

    services: ConsoleServices

    def list_agreements(self) -> ResponseReturnValue:
        """All agreements: those in force first, then by their end."""
        now, found = self.services.clock(), self.services.store.agreements.list_all()
        wanted, bound = request.args.get("partner", ""), {each.partner for each in found}
        rows = [(e, e.state_at(now)) for e in found if wanted in ("", e.partner)]
        rows.sort(key=lambda row: (_ORDER[row[1]], row[0].until or 1 << 62))
        partners = [each.slug for each in self.services.store.accounts.list_partners()]
        return flask.render_template(
            "admin_agreements.html",
            section=f"{ROOT}/admin",
            rows=rows,
            aliases=self.services.partners.aliases(),
            partners=[("", "all partners"), *((slug, slug) for slug in partners)],
            wanted=wanted,
            unbound=[slug for slug in partners if slug not in bound],
            shut_out=_find_shut_out(rows),
            required=self.services.settings.require_agreements,
            may_act=context().who.has(*_ACT),
        )

    def ask(self) -> ResponseReturnValue:
        """The form for a new agreement."""
        usual = {"max_tlp": "amber", "partner": request.args.get("partner", "")}
        return self._form({}, dict.fromkeys(_FIELDS, "") | usual, {"inbox", "clear", "green"})

    def _form(
        self, errors: Form, form: Form, chosen: set[str], agreement: Agreement | None = None
    ) -> Response:
        now = self.services.clock()
        return show_again(
            "admin_agreement.html",
            errors,
            422 if errors else 200,
            section=f"{ROOT}/admin",
            form=form,
            chosen=chosen,
            agreement=agreement,
            state=None if agreement is None else agreement.state_at(now),
            shown=None if agreement is None else json.dumps(self._describe(agreement)),
            collections=context().collections,
            partners=[(p.slug, p.name) for p in self.services.store.accounts.list_partners()],
            levels=_LEVELS,
            may_act=context().who.has(*_ACT),
        )

    def add(self) -> ResponseReturnValue:
        """Add an agreement."""
        form, chosen = self._read_form()
        try:
            terms = self._parse(form, chosen)
            text = f"Add an agreement with {terms.partner}."
            waits = ask_second(self.services, text, partner=terms.partner)
            if waits is not None:
                return waits
            self.services.agreements.add(terms, context().who.login)
        except FieldErrors as error:
            return self._form(error.errors, form, chosen)
        except ShareError as error:
            return self._form({"until": sentence(error)}, form, chosen)
        return go("/admin/agreements")

    def show(self, id: str) -> ResponseReturnValue:
        """One agreement."""
        found = self._require(id)
        form = _fields_of(found) | {"partner": found.partner}
        return self._form({}, form, self._names(found), found)

    def _describe(self, agreement: Agreement) -> dict[str, list[str]]:
        """The fields of the form for an agreement, as they are now."""
        fields = {name: [value] for name, value in _fields_of(agreement).items()}
        return fields | {"collections": sorted(self._names(agreement))}

    def _names(self, agreement: Agreement) -> set[str]:
        aliases = self.services.partners.aliases()
        return {aliases.get(each, each) for each in agreement.collections}

    def change(self, id: str) -> ResponseReturnValue:
        """Change the terms, from the next request on."""
        before = self._require(id)
        form, chosen = self._read_form()
        form["partner"] = before.partner  # it stays: the page has no such field
        stored = self._describe(before)
        if changed := find_changed(stored, _LABELS):
            merged = merge_entered(stored, _LABELS, ("collections",))
            form |= {name: "".join(merged[name]) for name in _fields_of(before)}
            return self._form(changed, form, set(merged["collections"]), before)
        try:
            new = self._parse(form, chosen)
            change = AgreementChange(
                collections=new.collections,
                max_tlp=new.max_tlp,
                audience=new.audience,
                purposes=new.purposes,
                starts=new.starts if form["starts"] else None,
                until=new.until,
                is_open=new.until is None,
                note=new.note,
            )
            raised = find_raised(before, change.apply(before))
            named = f"{id} with {before.partner}, from {timestamp(before.starts)}"
            text = f"Raise in the agreement {named}: {', '.join(raised)}."
            waits = ask_second(
                self.services, text, stored, partner=before.partner, raises=bool(raised)
            )
            if waits is not None:
                return waits
            self.services.agreements.change(id, change, context().who.login)
        except FieldErrors as error:
            return self._form(error.errors, form, chosen, before)
        except ShareError as error:
            return self._form({"until": sentence(error)}, form, chosen, before)
        return go("/admin/agreements")

    def end(self, id: str) -> ResponseReturnValue:
        """End an agreement now, for good; the form says so and asks for the reason."""
        self._require(id)
        reason = text_field("reason", 500)
        if not reason:
            raise Malformed("A reason is needed: it is recorded in the journal.")
        try:
            self.services.agreements.end(id, context().who.login, reason)
        except ShareError as error:
            return flask.make_response(
                flask.render_template("error.html", title="Not ended", text=sentence(error)),
                status_of(error),
            )
        return go("/admin/agreements")

    def _require(self, id: str) -> Agreement:
        found = next((e for e in self.services.store.agreements.list_all() if e.id == id), None)
        if found is None:
            raise NotFound("there is no such agreement")
        return found

    def _read_form(self) -> tuple[dict[str, str], set[str]]:
        return sent_fields(_FIELDS), set(request.form.getlist("collections"))

    def _parse(self, form: Form, chosen: set[str]) -> Agreement:
        """The terms in a form.  Raises FieldErrors."""
        if errors := find_too_long(form):
            raise FieldErrors(errors)
        if self.services.store.accounts.find_partner(form["partner"]) is None:
            raise FieldErrors({"partner": "Choose a partner."})
        if not chosen:
            raise FieldErrors({"collections": "Choose at least one collection."})
        try:
            collections = self.services.partners.find_collection_ids(chosen)
            level = Tlp.parse(form["max_tlp"])
        except (ShareError, ValueError) as error:
            raise FieldErrors({"max_tlp": sentence(error)}) from error
        starts = _parse_time("starts", form["starts"])
        return Agreement(
            id="",
            partner=form["partner"],
            collections=collections,
            starts=self.services.clock() if starts is None else starts,
            until=_parse_time("until", form["until"]),
            max_tlp=level,
            purposes=tuple(line.strip() for line in form["purposes"].splitlines() if line.strip()),
            audience=_parse_audience(form),
            note=form["note"],
        )


def _find_shut_out(rows: Sequence[tuple[Agreement, AgreementState]]) -> list[str]:
    """The partners that read and send nothing, as none of their agreements is in force."""
    in_force = {each.partner for each, state in rows if state is AgreementState.IN_FORCE}
    return sorted({each.partner for each, _ in rows} - in_force)


_ORDER = {AgreementState.IN_FORCE: 0, AgreementState.PLANNED: 1, AgreementState.ENDED: 2}


_LABELS = {
    "max_tlp": "Sends and receives up to",
    "starts": "From (UTC)",
    "until": "Until (UTC)",
    "collections": "Collections",
    "countries": "Its data may go to countries",
    "sectors": "Its data may go to sectors",
    "purposes": "Purposes",
    "note": "Note",
}


def _fields_of(agreement: Agreement) -> dict[str, str]:
    """The terms that can be changed, as the form has them, but the collections."""
    return {
        "max_tlp": agreement.max_tlp.label.lower(),
        "starts": timestamp(agreement.starts),
        "until": "" if agreement.until is None else timestamp(agreement.until),
        "purposes": "\n".join(agreement.purposes),
        "countries": ", ".join(sorted(agreement.audience.countries or ())),
        "sectors": ", ".join(sorted(agreement.audience.sectors or ())),
        "note": agreement.note,
    }


def _parse_time(field: str, text: str) -> int | None:
    """A time in UTC: a day, a minute, or as STIX writes it; None for an empty text."""
    if not text:
        return None
    whole = {_DAY: f"{text}T00:00:00Z", _MINUTE: f"{text}:00Z"}.get(len(text), text)
    try:
        return micros(whole)
    except ShareError as error:
        raise FieldErrors(
            {field: "Write the time in UTC, like 2026-12-31 or 2026-12-31T12:00."}
        ) from error


def _parse_audience(form: Form) -> Audience:
    try:
        countries = frozenset(parse_country(each) for each in split_words(form["countries"]))
    except ValueError as error:
        raise FieldErrors({"countries": sentence(error)}) from error
    sectors = frozenset(each.lower() for each in split_words(form["sectors"]))
    for word in sectors:
        if not SLUG.fullmatch(word):
            raise FieldErrors({"sectors": "A sector has lower-case letters, digits and hyphens."})
    return Audience(countries or None, sectors or None)
