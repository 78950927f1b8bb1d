"""A person's own page: settings, password, sessions."""

from __future__ import annotations

import zoneinfo
from dataclasses import dataclass

import flask
from flask import request
from flask.typing import ResponseReturnValue
from werkzeug.wrappers import Response

from tocsin.admission.errors import Malformed, NotAuthenticated, TooManyRequests
from tocsin.server.console.forms import go, sentence, text_field
from tocsin.server.console.middleware import say_when, status_of
from tocsin.server.console.registry import EVERYBODY, Pages
from tocsin.server.console.request_context import context
from tocsin.server.console.services import ConsoleServices
from tocsin.server.partners.passkeys import MOST_PASSKEYS, passkey_handle
from tocsin.server.partners.people import check_name, idle_end, latest_end
from tocsin.server.person import Session

_UNDO_SECONDS = (0, 20, 60)
_SCHEMES = ("", "light", "dark")
_NO_ZONES = {"localtime", "posixrules", "Factory"}
"""Names among the time zones that stand for this machine's zone, or for programs only."""
_DONE = {
    "settings": "Your settings are saved.",
    "password": "Your password is changed. Your other sessions have ended.",
    "sessions": "Your other sessions have ended.",
}
"""The sentence that the page shows after a form of it was taken."""
_WARNING = 120_000_000
"""Time before the end of a session from which on an open page says so, in µs."""


def register(pages: Pages, services: ConsoleServices) -> None:
    """Register the pages."""
    me = Me(services)
    pages.add("/me", me.show, EVERYBODY)
    pages.add("/me/settings", me.change, EVERYBODY, ("POST",))
    pages.add("/me/password", me.change_password, EVERYBODY, ("POST",))
    pages.add("/me/sessions", me.end_sessions, EVERYBODY, ("POST",))
    pages.add("/me/stay", me.stay, EVERYBODY, ("POST",))
    pages.add("/part/session", me.warn, EVERYBODY)


@dataclass(frozen=True, slots=True)
class Me:
    """The page on which people change their own settings."""

    services: ConsoleServices

    def show(self) -> ResponseReturnValue:
        """The page."""
        return self._page({}, 200)

    def _page(self, errors: dict[str, str], status: int) -> Response:
        here = context()
        page = flask.render_template(
            "me.html",
            errors=errors,
            passkey_site=self.services.passkey_site(),
            local_origin=self.services.local_origin(),
            most_passkeys=MOST_PASSKEYS,
            handle=passkey_handle,
            sessions=self.services.people.sessions(here.who),
            session=here.session,
            undo_seconds=_UNDO_SECONDS,
            done="" if errors else _DONE.get(request.args.get("done", ""), ""),
        )
        return flask.make_response(page, status)

    def change(self) -> ResponseReturnValue:
        """Take over the settings."""
        zone, scheme, undo = (text_field(name) for name in ("zone", "scheme", "undo_seconds"))
        errors = {}
        if zone and zone not in zoneinfo.available_timezones() - _NO_ZONES:
            errors["zone"] = "Write the name of a time zone, like Europe/Lisbon."
        if scheme not in _SCHEMES or undo not in map(str, _UNDO_SECONDS):
            errors["scheme"] = "Choose one of the values."
        try:
            name = check_name(text_field("name"))
        except Malformed as error:
            errors["name"] = f"{error}."
        if errors:
            return self._page(errors, 422)
        self.services.people.change(
            context().who,
            name=name,
            zone=zone,
            scheme=scheme,
            undo_seconds=int(undo),
            wants_mail=request.form.get("wants_mail") == "yes",
            has_keys=request.form.get("has_keys") == "yes",
        )
        return go("/me?done=settings")

    def change_password(self) -> ResponseReturnValue:
        """Set another password."""
        here = context()
        old, new = (request.form.get(name, "") for name in ("old_password", "new_password"))
        try:
            self.services.people.change_password(here.who, here.own_session, old, new)
        except (NotAuthenticated, TooManyRequests) as error:
            return say_when(self._page({"old_password": sentence(error)}, status_of(error)), error)
        except Malformed as error:
            return self._page({"new_password": sentence(error)}, 422)
        return go("/me?done=password")

    def end_sessions(self) -> ResponseReturnValue:
        """End the sessions in other browsers."""
        here = context()
        self.services.people.end_other_sessions(here.who, here.own_session)
        return go("/me?done=sessions")

    def warn(self) -> ResponseReturnValue:
        """The warning that the session is about to end, if the page does not show it yet."""
        warning = _warning(context().own_session, self.services.clock())
        if warning == request.args.get("shown", ""):
            return flask.make_response("", 204)
        return flask.render_template("session_warning.html", warning=warning)

    def stay(self) -> ResponseReturnValue:
        """Keep the session open, as every request does, and take the warning away."""
        return flask.render_template("session_warning.html", warning="")


def _warning(session: Session, now: int) -> str:
    """The reason for which a session ends soon: `idle`, `latest`, or none."""
    if now >= latest_end(session) - _WARNING:
        return "latest"
    return "idle" if now >= idle_end(session) - _WARNING else ""
