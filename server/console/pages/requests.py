"""Four eyes: what raises somebody's rights waits until a second operator confirms it."""

from __future__ import annotations

import secrets
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


def register(pages: Pages, services: ConsoleServices) -> None:
    """Register the pages, if two operators are wanted."""
    if services.settings.four_eyes:
        views = Requests(services)
        pages.add("/admin/requests", views.list_requests, _WHO)
        pages.add("/admin/requests/<id>", views.decide, _WHO, ("POST",))


def ask_second(services: ConsoleServices, text: str) -> Response | None:
    """Let the form that was sent wait for a second operator; None: it can be carried out now."""
    if not services.settings.four_eyes or context().is_confirmed:
        return None
    person = context().who
    form = {name: tuple(values) for name, values in request.form.lists() if name != "token"}
    made = AdminRequest(
        secrets.token_hex(8), request.path, form, text, person.id, person.login, services.clock()
    )

    def work(txn: Transaction) -> None:
        if len(txn.admin_requests.list()) >= MOST:
            raise Conflict("too many requests wait for a second operator: decide about these first")
        txn.admin_requests.add(made)
        txn.add_journal_entry("request.add", person.login, {"request": made.id, "text": text})

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
            requests=self.services.store.admin_requests.list(),
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
            txn.add_journal_entry(action, person.login, {"request": id, "text": found.text})

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
            if not is_done:  # it waits again
                self.services.store.commit(lambda txn: txn.admin_requests.add(found))
        return answer

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
                is_confirmed=True,
            )
            answer: Response = flask.make_response(app.dispatch_request())
        return answer
