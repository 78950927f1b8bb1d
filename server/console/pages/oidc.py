"""Signing in at an identity provider."""

from __future__ import annotations

from dataclasses import dataclass

import flask
from flask import request
from flask.typing import ResponseReturnValue

from tocsin.admission.errors import NotAuthenticated, Unavailable
from tocsin.server.console.forms import safe_next, sentence
from tocsin.server.console.middleware import cookie_name, say_when, status_of
from tocsin.server.console.pages.sign_in import SignIn
from tocsin.server.console.registry import Pages
from tocsin.server.console.services import ROOT, ConsoleServices

_HOME = "/oidc/return"


def register(pages: Pages, services: ConsoleServices) -> None:
    """Register the pages, if there is a provider."""
    if services.provider is not None:
        views = OidcPages(services)
        pages.add_public("/oidc", views.begin_sign_in)
        pages.add_public(_HOME, views.finish_sign_in)


@dataclass(frozen=True, slots=True)
class OidcPages:
    """The two requests of a sign-in at the identity provider: to it, and back from it."""

    services: ConsoleServices

    def begin_sign_in(self) -> ResponseReturnValue:
        """Send the browser to the provider; a link leads here, since a form may not."""
        target = safe_next(request.args.get("next", ""))
        provider = self.services.require_provider()
        try:
            authorization = provider.begin_sign_in(target)
        except Unavailable as error:
            return self._refuse(error)
        answer = flask.redirect(authorization.url, 303)
        SignIn(self.services).set_cookie(answer, self._cookie(), authorization.cookie, 600)
        return answer

    def finish_sign_in(self) -> ResponseReturnValue:
        """Let in who comes back from the provider, if the person is known or invited."""
        provider = self.services.require_provider()
        try:
            cookie = request.cookies.get(self._cookie(), "")
            verified = provider.finish_sign_in(cookie, request.args)
            stay = self.services.people.sign_in_proven(
                verified.login, verified.name, request.headers.get("User-Agent", "")
            )
        except (NotAuthenticated, Unavailable) as error:
            return self._refuse(error)
        answer = SignIn(self.services).let_in(stay, verified.target)
        answer.delete_cookie(self._cookie(), path="/")
        return answer

    def _refuse(self, error: NotAuthenticated | Unavailable) -> ResponseReturnValue:
        status = 401 if isinstance(error, NotAuthenticated) else status_of(error)
        errors = {"login": sentence(error)}
        return say_when(SignIn(self.services).form(f"{ROOT}/", "", errors, status), error)

    def _cookie(self) -> str:
        return f"{cookie_name(self.services.settings)}-oidc"
