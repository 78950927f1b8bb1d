"""Four eyes: what raises somebody's rights waits until a second operator confirms it."""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from http import HTTPStatus

import flask
from flask import current_app, request
from flask.typing import ResponseReturnValue
from werkzeug.datastructures import MultiDict
from werkzeug.wrappers import Response

from tocsin.admission.errors import Conflict, NotAllowed, NotFound
from tocsin.server.console.forms import go, text_field
from tocsin.server.console.registry import Pages
from tocsin.server.console.request_context import RequestContext, context, rights_of
from tocsin.server.console.services import ROOT, ConsoleServices
from tocsin.server.person import Role
from tocsin.server.store import Transaction
from tocsin.server.store.admin_requests import MOST, AdminRequest

_WHO = (Role.OPERATOR,)
_OTHER = "another operator has to confirm this"
_CHANGED = "this has been changed since it was asked for: decline the request, and ask again"
_GONE = "what this is about was removed since it was asked for: decline the request"
_NOTHING: Mapping[str, Iterable[str]] = {}
_OF_PAGE = ("token", "shown")
"""Fields that say of which session or page a form is, and ask for nothing."""


def register(pages: Pages, services: ConsoleServices) -> None:
    """Register the pages, if two operators are wanted."""
    if services.settings.four_eyes:
        views = Requests(services)
        pages.add("/admin/requests", views.list_requests, _WHO)
        pages.add("/admin/requests/<id>", views.decide, _WHO, ("POST",))


def count_requests(services: ConsoleServices) -> int:
    """How many requests wait for a second operator, those to purge included."""
    store = services.store
    return len(store.admin_requests.list()) + len(store.purges.list_requests())


class Changed(Exception):
    """The object of a request is not as it was when the request was made."""


def ask_second(
    services: ConsoleServices,
    text: str,
    before: Mapping[str, Iterable[str]] = _NOTHING,
    *,
    partner: str = "",
    raises: bool = True,
) -> Response | None:
    """Let the form that was sent wait for a second operator; None: it can be carried out now.

    `text` is its effect, `before` has its fields as they are now, `partner` is the short name of
    the partner that it is about, and `raises` is False if it gives nobody more rights.  Raises
    Changed if text or fields differ from those of the request.
    """
    confirmed, old = context().confirmed, {name: tuple(sorted(v)) for name, v in before.items()}
    if confirmed is not None and (confirmed.text, confirmed.before) != (text, old):
        raise Changed
    if confirmed is not None or not (raises and services.settings.four_eyes):
        return None
    person = context().who
    form = {name: tuple(values) for name, values in request.form.lists() if name not in _OF_PAGE}
    made = AdminRequest(
        id=secrets.token_hex(8),
        path=request.path,
        form=form,
        text=text,
        by=person.id,
        login=person.login,
        at=services.clock(),
        before=old,
        partner=partner,
    )

    def work(txn: Transaction) -> None:
        if len(txn.admin_requests.list()) >= MOST:
            raise Conflict("too many requests wait for a second operator: decide about these first")
        txn.admin_requests.add(made)
        txn.add_journal_entry(
            "request.add", person.login, {"request": made.id, "text": made.journal_text}
        )

    services.store.commit(work)
    return go("/admin/requests")


@dataclass(frozen=True, slots=True)
class Requests:
    """The pages."""

    services: ConsoleServices

    def list_requests(self) -> ResponseReturnValue:
        """List the requests that wait, with the person who made each."""
        return flask.render_template(
            "admin_requests.html",
            section=f"{ROOT}/admin",
            requests=[
                (each, list_changes(each)) for each in self.services.store.admin_requests.list()
            ],
            purges=self.services.store.purges.list_requests(),
        )

    def decide(self, id: str) -> ResponseReturnValue:
        """Confirm a request, which carries it out, or decline it; the first one may withdraw it."""
        found = self.services.store.admin_requests.find(id)
        if found is None:
            raise NotFound("there is no such request")
        person, confirms = context().who, text_field("act") == "confirm"
        if confirms and person.id == found.by:
            raise NotAllowed(_OTHER)

        def work(txn: Transaction) -> None:
            if not txn.admin_requests.remove(id):
                raise Conflict("somebody else has decided about this meanwhile")
            action = "request.confirm" if confirms else "request.decline"
            txn.add_journal_entry(action, person.login, {"request": id, "text": found.journal_text})

        requester = self.services.store.people.find(found.by)
        if confirms and (
            requester is None or requester.disabled or not requester.has(Role.OPERATOR)
        ):
            raise Conflict("the person who asked for this is not an operator any more: decline it")
        self.services.store.commit(work)
        if not confirms:
            return go("/admin/requests")
        is_done = False
        try:
            answer = self._carry_out(found)
            is_done = answer.status_code < HTTPStatus.BAD_REQUEST
        finally:
            if not is_done:  # it waits again, and the journal does not say that it was carried out
                self._return(found, person.login)
        return answer

    def _return(self, found: AdminRequest, login: str) -> None:
        """Let a request wait again that was confirmed and could not be carried out."""

        def work(txn: Transaction) -> None:
            txn.admin_requests.add(found)
            details = {"request": found.id, "text": found.journal_text}
            txn.add_journal_entry("request.return", login, details)

        self.services.store.commit(work)

    def _carry_out(self, found: AdminRequest) -> Response:
        """Handle the form as if it came now, in the name of who sent it."""
        here = context()
        requester = self.services.store.people.find(found.by)
        if requester is None:
            raise NotFound("there is no such person")
        app = current_app._get_current_object()  # type: ignore[attr-defined]
        data = MultiDict([(name, value) for name, values in found.form.items() for value in values])
        with app.test_request_context(
            found.path, base_url=request.url_root, method="POST", data=data
        ):
            flask.g.request_context = RequestContext(
                person=requester,
                session=here.session,
                account=rights_of(requester, self.services),
                collections=here.collections,
                confirmed=found,
                confirmer=here.who,
            )
            try:
                answer: Response = flask.make_response(app.dispatch_request())
            except Changed as error:
                raise Conflict(_CHANGED) from error
            except NotFound as error:
                raise Conflict(_GONE) from error
        return answer


def list_changes(asked: AdminRequest) -> list[tuple[str, str, str]]:
    """The name of each field that a request changes, with its value before and after."""
    names = [each for each in dict.fromkeys([*asked.form, *asked.before]) if each != "act"]
    rows = [(name, _values(asked.before, name), _values(asked.form, name)) for name in names]
    return [(name, _join(old), _join(new)) for name, old, new in rows if old != new]


def _values(fields: Mapping[str, Sequence[str]], name: str) -> list[str]:
    """The values of a field in order; browsers send each line break as two characters."""
    return sorted(each.replace("\r\n", "\n") for each in fields.get(name, ()) if each)


def _join(values: Iterable[str]) -> str:
    """Values as one text: what a page would not show has a sign, and a comma does not separate."""
    texts = ((each, each.replace("  ", " ␠").replace("\n", " ⏎ ")) for each in values)
    return ", ".join(
        f"“{text}”" if "," in each or each != each.strip() else text for each, text in texts
    )
