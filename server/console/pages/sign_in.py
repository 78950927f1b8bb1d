"""Signing in and out, invitations, and what people set for themselves."""

from __future__ import annotations

import zoneinfo
from dataclasses import dataclass

import flask
import segno
from flask import request
from flask.typing import ResponseReturnValue
from werkzeug.wrappers import Response

from tocsin.admission.errors import (
    Conflict,
    Malformed,
    NotAuthenticated,
    TooManyRequests,
)
from tocsin.server.console.door import client_address, cookie_name, status_of
from tocsin.server.console.forms import again, go, safe_next, sentence, text_field
from tocsin.server.console.registry import EVERYBODY, Pages
from tocsin.server.console.services import ROOT, ConsoleServices
from tocsin.server.console.visit import visit
from tocsin.server.partners.people import SESSION_SECONDS, Attempt, Stay, check_name, is_totp_secret
from tocsin.server.person import Role

_LONGEST_PASSWORD = 1_000
_UNDO_SECONDS = (0, 20, 60)
_SCHEMES = ("", "light", "dark")


def register(pages: Pages, services: ConsoleServices) -> None:
    """Register the pages."""
    views = SignIn(services)
    pages.add_public("/sign-in", views.ask)
    pages.add_public("/sign-in", views.sign_in, ("POST",))
    pages.add_public("/invitation/<secret>", views.invitation)
    pages.add_public("/invitation/<secret>", views.accept, ("POST",))
    pages.add("/", views.start, EVERYBODY)
    pages.add("/sign-out", views.sign_out, EVERYBODY, ("POST",))
    me = Me(services)
    pages.add("/me", me.show, EVERYBODY)
    pages.add("/me/settings", me.change, EVERYBODY, ("POST",))
    pages.add("/me/password", me.change_password, EVERYBODY, ("POST",))
    pages.add("/me/code", me.begin_code, EVERYBODY)
    pages.add("/me/code", me.set_code, EVERYBODY, ("POST",))
    pages.add("/me/sessions", me.end_sessions, EVERYBODY, ("POST",))


@dataclass(frozen=True, slots=True)
class SignIn:
    """Signing in and out."""

    services: ConsoleServices

    def ask(self) -> ResponseReturnValue:
        """The form."""
        target = safe_next(request.args.get("next", ""))
        if visit().person is not None:
            return flask.redirect(target, 303)
        return flask.render_template("sign_in.html", errors={}, next=target, login="")

    def sign_in(self) -> ResponseReturnValue:
        """Check what was entered, and begin a session under a new cookie."""
        target, login = safe_next(request.form.get("next", "")), text_field("login", 200)
        attempt = Attempt(
            login,
            request.form.get("password", ""),
            text_field("code", 20),
            client_address(self.services.settings),
            request.headers.get("User-Agent", ""),
        )
        try:
            stay = self.services.people.sign_in(attempt)
        except (NotAuthenticated, TooManyRequests) as error:
            status = 401 if isinstance(error, NotAuthenticated) else status_of(error)
            errors = {"login": f"{str(error).capitalize()}."}
            return again("sign_in.html", errors, status, next=target, login=login)
        return self.let_in(stay, target)

    def let_in(self, stay: Stay, target: str) -> Response:
        """Give the browser the cookie of a session that has begun."""
        here = visit()
        if here.person is not None and here.session is not None:  # another one's, or an older one
            self.services.people.sign_out(here.session, here.person)
        answer = flask.redirect(target, 303)
        settings = self.services.settings
        answer.set_cookie(
            cookie_name(settings),
            stay.cookie,
            max_age=SESSION_SECONDS,
            secure=settings.is_secure,
            httponly=True,
            samesite="Lax",
            path="/",
        )
        return answer

    def sign_out(self) -> ResponseReturnValue:
        """End the session."""
        here = visit()
        self.services.people.sign_out(here.stay, here.who)
        answer = go("/sign-in")
        settings = self.services.settings
        answer.delete_cookie(
            cookie_name(settings), path="/", secure=settings.is_secure, httponly=True
        )
        answer.headers["Clear-Site-Data"] = '"cache", "storage"'
        return answer

    def invitation(self, secret: str) -> ResponseReturnValue:
        """The form to set a password."""
        found = self.services.people.find_invitation(secret)
        return flask.render_template(
            "invitation.html", errors={}, invitation=found, login=found.login, name=found.name
        )

    def accept(self, secret: str) -> ResponseReturnValue:
        """Take the invitation, and sign the person in."""
        people = self.services.people
        found = people.find_invitation(secret)
        login, name = found.login or text_field("login", 200), text_field("name", 200)
        password = request.form.get("password", "")
        try:
            person = people.accept(secret, login, name, password)
        except (Malformed, Conflict) as error:
            text = str(error)
            place = next((f for f in ("password", "name") if f in text), "login")
            errors = {place: f"{text[:1].upper()}{text[1:]}."}
            return again("invitation.html", errors, 422, invitation=found, login=login, name=name)
        attempt = Attempt(person.login, password, "", client_address(self.services.settings))
        return self.let_in(people.sign_in(attempt), f"{ROOT}/")

    def start(self) -> ResponseReturnValue:
        """Go where a person's day begins."""
        person = visit().who
        if person.has(Role.OPERATOR):
            return go("/overview")
        if person.has(Role.REVIEWER):
            return go("/review")
        return go("/journal" if person.has(Role.AUDITOR) else "/partner")


@dataclass(frozen=True, slots=True)
class Me:
    """What people set for themselves."""

    services: ConsoleServices

    def show(self) -> ResponseReturnValue:
        """The page."""
        return self._page({}, 200)

    def _page(self, errors: dict[str, str], status: int) -> Response:
        here = visit()
        page = flask.render_template(
            "me.html",
            errors=errors,
            sessions=self.services.people.sessions(here.who),
            session=here.session,
            zones=sorted(zoneinfo.available_timezones()),
            undo_seconds=_UNDO_SECONDS,
        )
        return flask.make_response(page, status)

    def change(self) -> ResponseReturnValue:
        """Take over the settings."""
        zone, scheme, undo = (text_field(name) for name in ("zone", "scheme", "undo_seconds"))
        errors = {}
        if zone and zone not in zoneinfo.available_timezones():
            errors["zone"] = "Choose a time zone of the list, for instance Europe/Lisbon."
        if scheme not in _SCHEMES or undo not in map(str, _UNDO_SECONDS):
            errors["scheme"] = "Choose one of the values."
        try:
            name = check_name(text_field("name"))
        except Malformed as error:
            errors["name"] = f"{error}."
        if errors:
            return self._page(errors, 422)
        self.services.people.change(
            visit().who,
            name=name,
            zone=zone,
            scheme=scheme,
            undo_seconds=int(undo),
            wants_mail=request.form.get("wants_mail") == "yes",
            has_keys=request.form.get("has_keys") == "yes",
        )
        return go("/me")

    def change_password(self) -> ResponseReturnValue:
        """Set another password."""
        here = visit()
        old, new = (request.form.get(name, "") for name in ("old_password", "new_password"))
        try:
            self.services.people.change_password(here.who, here.stay, old, new)
        except (NotAuthenticated, TooManyRequests) as error:
            return self._page({"old_password": sentence(error)}, status_of(error))
        except Malformed as error:
            return self._page({"new_password": sentence(error)}, 422)
        return go("/me")

    def begin_code(self) -> ResponseReturnValue:
        """Show the secret for an authenticator app."""
        return self._code_page(*self._new_secret(), {}, 200)

    def _new_secret(self) -> tuple[str, str]:
        people, settings = self.services.people, self.services.settings
        return people.new_totp(visit().who, settings.title)

    def _same_secret(self, secret: str) -> tuple[str, str]:
        """The secret of a form and its URI; a new one if this hub did not make it."""
        if not is_totp_secret(secret):
            return self._new_secret()
        title = self.services.settings.title
        return secret, self.services.people.totp_uri(visit().who, secret, title)

    def _code_page(self, secret: str, uri: str, errors: dict[str, str], status: int) -> Response:
        picture = segno.make(uri, error="m").svg_inline(
            scale=4, border=2, omitsize=True, svgclass="qr", lineclass=None
        )
        page = flask.render_template("code.html", secret=secret, picture=picture, errors=errors)
        return flask.make_response(page, status)

    def set_code(self) -> ResponseReturnValue:
        """Ask for codes of the app from now on, if it shows the right one."""
        people, person = self.services.people, visit().who
        secret, code = text_field("secret", 64), text_field("code", 20)
        try:
            people.set_totp(person, secret, code)
        except Malformed as error:
            errors = {"code": sentence(error)}
            return self._code_page(*self._same_secret(secret), errors, 422)
        return go("/me")

    def end_sessions(self) -> ResponseReturnValue:
        """End the sessions in other browsers."""
        here = visit()
        self.services.people.end_other_sessions(here.who, here.stay)
        return go("/me")
