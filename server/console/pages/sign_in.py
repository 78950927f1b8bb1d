"""Signing in and out, and invitations."""

from __future__ import annotations

import secrets
from dataclasses import dataclass, replace

import flask
from flask import request
from flask.typing import ResponseReturnValue
from werkzeug.wrappers import Response

from tocsin.admission.errors import Conflict, Malformed, NotAuthenticated, NotFound, TooManyRequests
from tocsin.server.console.forms import go, safe_next, sentence, show_again, text_field
from tocsin.server.console.middleware import client_address, cookie_name, say_when, status_of
from tocsin.server.console.registry import EVERYBODY, Pages
from tocsin.server.console.request_context import context
from tocsin.server.console.services import ROOT, ConsoleServices, ConsoleSettings
from tocsin.server.partners.attempts import DEVICE_SECONDS
from tocsin.server.partners.passkeys import CHALLENGE_SECONDS, PasskeyAnswer
from tocsin.server.partners.people import SESSION_SECONDS, Attempt, Stay
from tocsin.server.person import Role


def register(pages: Pages, services: ConsoleServices) -> None:
    """Register the pages."""
    views = SignIn(services)
    pages.add_public("/sign-in", views.ask)
    pages.add_public("/sign-in", views.sign_in, ("POST",))
    pages.add_public("/sign-in/challenge", views.challenge, ("POST",))
    pages.add_public("/invitation/<secret>", views.invitation)
    pages.add_public("/invitation/<secret>", views.accept, ("POST",))
    pages.add("/", views.start, EVERYBODY)
    pages.add("/sign-out", views.sign_out, EVERYBODY, ("POST",))


@dataclass(frozen=True, slots=True)
class SignIn:
    """Signing in and out."""

    services: ConsoleServices

    def ask(self) -> ResponseReturnValue:
        """The form."""
        target = safe_next(request.args.get("next", ""))
        if context().person is not None:
            return flask.redirect(target, 303)
        return self.form(target, "", {}, 200)

    def form(self, target: str, login: str, errors: dict[str, str], status: int) -> Response:
        """The form to sign in, with what was entered and what was wrong."""
        site = self.services.passkey_site()
        return show_again(
            "sign_in.html",
            errors,
            status,
            next=target,
            login=login,
            passkey_site=site,
            has_ended=request.args.get("said") == "ended",
        )

    def sign_in(self) -> ResponseReturnValue:
        """Check what was entered, and begin a session under a new cookie."""
        target, login = safe_next(request.form.get("next", "")), text_field("login", 200)
        try:
            stay = self._check(self._attempt(login))
        except (NotAuthenticated, TooManyRequests) as error:
            status = 401 if isinstance(error, NotAuthenticated) else status_of(error)
            answer = self.form(target, login, {"login": sentence(error)}, status)
            return say_when(answer, error)
        return self.let_in(stay, target)

    def _attempt(self, login: str) -> Attempt:
        settings = self.services.settings
        return Attempt(
            login,
            request.form.get("password", ""),
            text_field("code", 20),
            client_address(settings),
            request.headers.get("User-Agent", ""),
            request.cookies.get(device_cookie(settings), ""),
        )

    def _check(self, attempt: Attempt) -> Stay:
        """The session of an attempt, by a passkey if the form has the answer of one."""
        text = request.form.get("passkey", "")
        site = self.services.passkey_site()
        if not text or site is None:
            return self.services.people.sign_in(attempt)
        browser = request.cookies.get(self._challenge_cookie(), "")
        return self.services.passkeys.sign_in(site, attempt, PasskeyAnswer(text, browser))

    def challenge(self) -> ResponseReturnValue:
        """Options to use a passkey, for the console's script; only this browser can answer."""
        site = self.services.passkey_site()
        if site is None:
            raise NotFound("there is no such page")
        browser = secrets.token_urlsafe(32)
        answer = flask.jsonify(self.services.passkeys.begin_sign_in(site, browser))
        self.set_cookie(answer, self._challenge_cookie(), browser, CHALLENGE_SECONDS)
        return answer

    def _challenge_cookie(self) -> str:
        return f"{cookie_name(self.services.settings)}-challenge"

    def set_cookie(self, answer: Response, name: str, value: str, seconds: int) -> None:
        """Give the browser a cookie that no script can read."""
        answer.set_cookie(
            name,
            value,
            max_age=seconds,
            secure=self.services.settings.is_secure,
            httponly=True,
            samesite="Lax",
            path="/",
        )

    def let_in(self, stay: Stay, target: str) -> Response:
        """Give the browser the cookies of a session that has begun, and by which it is known."""
        here = context()
        if here.person is not None and here.session is not None:  # another one's, or an older one
            self.services.people.sign_out(here.session, here.person)
        answer = flask.redirect(target, 303)
        settings = self.services.settings
        self.set_cookie(answer, cookie_name(settings), stay.cookie, SESSION_SECONDS)
        self.set_cookie(answer, device_cookie(settings), stay.device, DEVICE_SECONDS)
        if self._challenge_cookie() in request.cookies:
            answer.delete_cookie(self._challenge_cookie(), path="/", secure=settings.is_secure)
        return answer

    def sign_out(self) -> ResponseReturnValue:
        """End the session."""
        here = context()
        self.services.people.sign_out(here.own_session, here.who)
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
            errors = {place: sentence(error)}
            return show_again(
                "invitation.html", errors, 422, invitation=found, login=login, name=name
            )
        # The invitation is a proof too: failures of strangers do not count here.
        device = people.attempts.new_device(person.login)
        stay = people.sign_in(replace(self._attempt(person.login), device=device))
        return self.let_in(stay, f"{ROOT}/")

    def start(self) -> ResponseReturnValue:
        """Go where a person's day begins."""
        person = context().who
        if person.has(Role.OPERATOR):
            return go("/overview")
        if person.has(Role.REVIEWER):
            return go("/review")
        return go("/admin/journal" if person.has(Role.AUDITOR) else "/partner")


def device_cookie(settings: ConsoleSettings) -> str:
    """The name of the cookie by which a browser is known in which somebody has signed in."""
    return f"{cookie_name(settings)}-device"
