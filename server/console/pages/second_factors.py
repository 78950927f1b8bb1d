"""A person's second factors: the authenticator app and passkeys.

To add or remove one, the person enters the password again: a browser that was left open must not
be enough to take over how that person signs in.
"""

from __future__ import annotations

from dataclasses import dataclass

import flask
import segno
from flask import request
from flask.typing import ResponseReturnValue
from markupsafe import Markup
from werkzeug.wrappers import Response

from tocsin.admission.errors import (
    Conflict,
    Malformed,
    NotAuthenticated,
    NotFound,
    ShareError,
    TooManyRequests,
)
from tocsin.server.console.forms import go, sentence, show_again, text_field
from tocsin.server.console.middleware import say_when, status_of
from tocsin.server.console.registry import EVERYBODY, Pages
from tocsin.server.console.request_context import context
from tocsin.server.console.services import ConsoleServices
from tocsin.server.partners.passkeys import PasskeyAnswer, Site, check_passkey_name, passkey_handle
from tocsin.server.partners.people import is_totp_secret
from tocsin.server.person import Passkey

_PASSWORD = "password"  # noqa: S105 - the name of a field


def register(pages: Pages, services: ConsoleServices) -> None:
    """Register the pages."""
    app, passkeys = AppPages(services), PasskeyPages(services)
    pages.add("/me/code", app.begin, EVERYBODY)
    pages.add("/me/code", app.set, EVERYBODY, ("POST",))
    pages.add("/me/code/remove", app.remove, EVERYBODY, ("POST",))
    pages.add("/me/passkeys/new", passkeys.ask, EVERYBODY)
    pages.add("/me/passkeys/new", passkeys.begin, EVERYBODY, ("POST",))
    pages.add("/me/passkeys", passkeys.add, EVERYBODY, ("POST",))
    pages.add("/me/passkeys/<handle>/remove", passkeys.ask_removal, EVERYBODY)
    pages.add("/me/passkeys/<handle>/remove", passkeys.remove, EVERYBODY, ("POST",))


def _confirm(services: ConsoleServices) -> None:
    """Check the password of the form.  Raises NotAuthenticated, or TooManyRequests."""
    here = context()
    services.people.confirm(here.who, here.own_session, request.form.get(_PASSWORD, ""))


@dataclass(frozen=True, slots=True)
class AppPages:
    """The authenticator app."""

    services: ConsoleServices

    def begin(self) -> ResponseReturnValue:
        """Show the secret for an app, or the form to remove the app."""
        return self._page(*self._new_secret())

    def _new_secret(self) -> tuple[str, str]:
        people, settings = self.services.people, self.services.settings
        return people.new_totp(context().who, settings.title)

    def _same_secret(self, secret: str) -> tuple[str, str]:
        """The secret of a form and its URI; a new one if this hub did not make it."""
        if not is_totp_secret(secret):
            return self._new_secret()
        title = self.services.settings.title
        return secret, self.services.people.totp_uri(context().who, secret, title)

    def _page(
        self, secret: str, uri: str, errors: dict[str, str] | None = None, status: int = 200
    ) -> Response:
        picture = segno.make(uri, error="m").svg_inline(
            scale=4, border=2, omitsize=True, svgclass="qr", lineclass=None
        )
        return show_again(
            "code.html",
            errors or {},
            status,
            secret=secret,
            picture=Markup(picture),  # noqa: S704 - paths only, drawn by segno
            passkey_site=self.services.passkey_site(),
        )

    def _refuse(self, secret: str, field: str, error: ShareError) -> Response:
        errors, status = {field: sentence(error)}, status_of(error)
        return say_when(self._page(*self._same_secret(secret), errors, status), error)

    def set(self) -> ResponseReturnValue:
        """Ask for codes of the app from now on, if it shows the right one."""
        secret, code = text_field("secret", 64), text_field("code", 20)
        try:
            _confirm(self.services)
            self.services.people.set_totp(context().who, secret, code)
        except (NotAuthenticated, TooManyRequests) as error:
            return self._refuse(secret, _PASSWORD, error)
        except Malformed as error:
            return self._refuse(secret, "code", error)
        return go("/me")

    def remove(self) -> ResponseReturnValue:
        """Ask for no code any more."""
        try:
            _confirm(self.services)
        except (NotAuthenticated, TooManyRequests) as error:
            return self._refuse("", _PASSWORD, error)
        self.services.people.remove_totp(context().who)
        return go("/me")


@dataclass(frozen=True, slots=True)
class PasskeyPages:
    """Passkeys."""

    services: ConsoleServices

    def ask(self) -> ResponseReturnValue:
        """The form to name a new passkey and enter the password."""
        return self._form({}, 200, "")

    def _form(self, errors: dict[str, str], status: int, name: str) -> Response:
        site, local = self.services.passkey_site(), self.services.local_origin()
        return show_again(
            "passkey_new.html", errors, status, name=name, site=site, local_origin=local
        )

    def _refuse_new(self, field: str, error: ShareError, name: str) -> Response:
        return say_when(self._form({field: sentence(error)}, status_of(error), name), error)

    def begin(self) -> ResponseReturnValue:
        """Check the password; the page on which the browser creates the passkey."""
        site, name, here = self._require_site(), text_field("name", 200), context()
        try:
            name = check_passkey_name(name)
            _confirm(self.services)
        except Malformed as error:
            return self._refuse_new("name", error, name)
        except (NotAuthenticated, TooManyRequests) as error:
            return self._refuse_new(_PASSWORD, error, name)
        options = self.services.passkeys.begin_adding(site, here.who, here.own_session)
        return flask.render_template(
            "passkey_create.html", name=name, site=site, options=flask.json.dumps(options)
        )

    def add(self) -> ResponseReturnValue:
        """Store the passkey that the browser has created."""
        site, name, here = self._require_site(), text_field("name", 200), context()
        answer = PasskeyAnswer(request.form.get("passkey", ""), here.own_session.id)
        try:
            self.services.passkeys.add(site, here.who, name, answer)
        except (NotAuthenticated, Malformed, Conflict) as error:
            return self._refuse_new("name", error, name)
        return go("/me")

    def ask_removal(self, handle: str) -> ResponseReturnValue:
        """The form to remove a passkey."""
        found = self._require(handle)
        return show_again("passkey_remove.html", {}, 200, passkey=found)

    def remove(self, handle: str) -> ResponseReturnValue:
        """Remove a passkey; its authenticator keeps its half, which opens nothing any more."""
        found = self._require(handle)
        try:
            _confirm(self.services)
        except (NotAuthenticated, TooManyRequests) as error:
            errors = {_PASSWORD: sentence(error)}
            page = show_again("passkey_remove.html", errors, status_of(error), passkey=found)
            return say_when(page, error)
        self.services.passkeys.remove(context().who, found.id)
        return go("/me")

    def _require(self, handle: str) -> Passkey:
        found = [each for each in context().who.passkeys if passkey_handle(each) == handle]
        if not found:
            raise NotFound("there is no such passkey")
        return found[0]

    def _require_site(self) -> Site:
        site = self.services.passkey_site()
        if site is None:
            raise NotFound("there is no such page")
        return site
