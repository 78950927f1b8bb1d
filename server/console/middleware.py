"""Before and after every request: host, session, origin, token, errors, headers.

A page that a person may not open is answered as one that does not exist.
"""

from __future__ import annotations

import hmac
import logging
import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any
from urllib.parse import quote, urlsplit

import flask
from flask import request
from werkzeug.exceptions import HTTPException
from werkzeug.wrappers import Response

from tocsin.admission.errors import (
    Conflict,
    NotAllowed,
    NotFound,
    ShareError,
    TooLarge,
    TooManyRequests,
    Unavailable,
)
from tocsin.server.console.assets import ASSET
from tocsin.server.console.drafts import DraftGone
from tocsin.server.console.forms import safe_next, sentence
from tocsin.server.console.request_context import context, rights_of
from tocsin.server.console.services import ROOT, ConsoleServices, ConsoleSettings

log = logging.getLogger(__name__)

CSP = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'; "
    "require-trusted-types-for 'script'; trusted-types default"
)
_HEADERS = {
    "Content-Security-Policy": CSP,
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    # Under `no-referrer`, browsers would send `Origin: null` with our own forms.
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), microphone=(), geolocation=()",
}
_SAFE_METHODS = frozenset({"GET", "HEAD"})
_MOST_AT_ONCE = 4
"""Requests that a process answers at the same time, so that pollers keep their threads."""
_MOST_UNAUTHENTICATED = 2
"""The same for people without a session."""
_UNAUTHENTICATED = ("/sign-in", "/invitation/", "/oidc")
"""Path prefixes of the pages for people without a session."""
_BUSY_SECONDS = 2
_LONGEST_WITHOUT_SESSION = 1 << 16
"""Octets of a form from somebody who has not signed in; longer ones are not read."""
_LONGEST_FORM = 1 << 18
"""Octets of a form from somebody who has, but for pages that take documents (`Pages.take_long`)."""
_BACKGROUND_PREFIX = "/part/"
"""Path prefix of requests that open pages send on their own; they do not extend the session."""
_SIGN_IN = f"{ROOT}/sign-in"
_APP = "/me/code"
_ENROLMENT_PATHS = (_APP, "/me/passkeys", "/me/passkeys/new", "/sign-out")
"""The only paths open to a person who must still set up a second factor."""
Environ = dict[str, Any]
Application = Callable[[Environ, Any], Iterable[bytes]]


class ConcurrencyLimit:
    """WSGI middleware: answers `most` requests at a time; others wait shortly, or get 503."""

    def __init__(self, application: Application, most: int = _MOST_AT_ONCE) -> None:
        self._application = application
        self._places = threading.BoundedSemaphore(most)
        self._queue = threading.BoundedSemaphore(2 * most)

    def __call__(self, environ: Environ, start_response: Any) -> Iterable[bytes]:
        """Answer, after a short wait if need be; refuse at once if as many wait already."""
        if self._queue.acquire(blocking=False):
            try:
                if self._places.acquire(timeout=_BUSY_SECONDS):
                    try:
                        return list(self._application(environ, start_response))
                    finally:
                        self._places.release()
            finally:
                self._queue.release()
        headers = [("Content-Type", "text/plain; charset=utf-8"), ("Retry-After", "2")]
        start_response("503 Service Unavailable", headers)
        return [b"The console is busy. Try again in a moment.\n"]


def limit_concurrency(application: Application) -> Application:
    """Limit the requests that are answered at a time, with a limit of its own for the sign-in.

    Checking a password takes long: clients that try many must not block people with a session.
    """
    inside = ConcurrencyLimit(application)
    outside = ConcurrencyLimit(application, _MOST_UNAUTHENTICATED)

    def answer(environ: Environ, start_response: Any) -> Iterable[bytes]:
        is_outside = environ.get("PATH_INFO", "").startswith(_UNAUTHENTICATED)
        return (outside if is_outside else inside)(environ, start_response)

    return answer


@dataclass(frozen=True, slots=True)
class Middleware:
    """The checks that every request passes."""

    services: ConsoleServices
    public: set[str] = field(default_factory=set)
    """Endpoints that are served without a session."""
    long: set[str] = field(default_factory=set)
    """Endpoints that take documents."""

    def enter(self) -> flask.typing.ResponseReturnValue | None:
        """Find the session; refuse what other sites have browsers send."""
        settings, host = self.services.settings, _host(request.host)
        if not host or (settings.hosts and host not in settings.hosts):
            return flask.make_response("this host name is not that of the hub\n", 421)
        if request.endpoint == ASSET:
            return None  # the same for all, and also while the database is away
        here = context()
        self._find_session()
        request.max_content_length = self._longest_form()
        if request.method not in _SAFE_METHODS:
            self._check_origin()
            # Forms that need no session have no token; their origin is checked.
            if here.session is not None and request.endpoint not in self.public:
                self._check_token(here.session.token)
        if here.person is None and request.endpoint not in self.public:
            return self._ask_to_sign_in()
        if self._needs_second_factor():
            # A part of a page would take in the page that it is led to.
            return ("", 204) if _is_background() else flask.redirect(f"{ROOT}{_APP}", 303)
        if request.endpoint is None:  # unknown paths, and known ones with another method
            raise NotFound("there is no such page")
        return None

    def _find_session(self) -> None:
        """Note the person and the rights of the session that the cookie names, if there is one."""
        here, cookie = context(), request.cookies.get(cookie_name(self.services.settings), "")
        found = self.services.people.find_session(cookie, is_active=not _is_background())
        if found is not None:
            here.person, here.session = found
            collections = self.services.store.feeds.look().collections
            here.collections = sorted(collections, key=lambda c: (c.kind, c.max_tlp, c.alias))
            here.account = rights_of(here.person, self.services)

    def _longest_form(self) -> int:
        """Octets of a form; longer ones are not read."""
        most = self.services.settings.max_content_length
        if context().session is None:
            return min(most, _LONGEST_WITHOUT_SESSION)
        return most if request.endpoint in self.long else min(most, _LONGEST_FORM)

    def _needs_second_factor(self) -> bool:
        """True if the person must set up a second factor before anything else."""
        person, rule = context().person, str(request.url_rule or "")
        return (
            self.services.settings.requires_second_factor
            and person is not None
            and person.is_of_hub
            and bool(person.password)
            and not person.has_second_factor
            and rule not in _ENROLMENT_PATHS
            and request.endpoint not in self.public
        )

    def _check_origin(self) -> None:
        """Raises NotAllowed if a form of another site was sent here."""
        site = request.headers.get("Sec-Fetch-Site")
        origin = request.headers.get("Origin", "")
        own = self.services.settings.origin or f"{request.scheme}://{request.host}"
        if site == "same-origin" or (site is None and origin and origin == own):
            return
        raise NotAllowed("this form was not sent from a page of the console: open the page again")

    def _check_token(self, token: str) -> None:
        given = request.headers.get("X-Tocsin-Token") or request.form.get("token", "")
        if not hmac.compare_digest(given.encode(), token.encode()):
            raise NotAllowed("this form belongs to another session: open the page again")

    def _ask_to_sign_in(self) -> Response:
        if _is_background():
            # Nobody asked: the page stays, with what is typed there, and says it in its bar.
            part = flask.render_template("session_part.html", target=_sign_in_url(_shown_page()))
            return flask.make_response(part, HTTPStatus.UNAUTHORIZED)
        if request.method not in _SAFE_METHODS or request.headers.get("HX-Request"):
            target = _sign_in_url(_shown_page())
            page = flask.render_template("session_ended.html", target=target)
            answer = flask.make_response(page, HTTPStatus.UNAUTHORIZED)
            answer.headers["HX-Redirect"] = f"{target}&said=ended"
            return answer
        path = request.full_path.rstrip("?")
        return flask.redirect(_sign_in_url(ROOT + path), HTTPStatus.SEE_OTHER)

    def answer_share_error(self, error: ShareError) -> Response:
        """An error of the person's, or Unavailable."""
        status = status_of(error)
        if isinstance(error, NotFound) and not isinstance(error, DraftGone):
            return _error_page(status, "There is no such page, or it is not yours to open.")
        return say_when(_error_page(status, sentence(error)), error)

    def answer_http_exception(self, error: HTTPException) -> Response:
        """An error raised by Flask; a method that is not served has the answer of an unknown page.

        So no answer says that a page is there for others.
        """
        status = HTTPStatus(error.code or HTTPStatus.INTERNAL_SERVER_ERROR)
        if status in (HTTPStatus.NOT_FOUND, HTTPStatus.METHOD_NOT_ALLOWED):
            return self.answer_share_error(NotFound(""))
        if status is HTTPStatus.REQUEST_ENTITY_TOO_LARGE:
            if request.endpoint not in self.long or context().session is None:
                return _error_page(status, "This is longer than such a form can be.")
            most = self.services.settings.max_content_length >> 20
            return _error_page(status, f"This is longer than {most} MB. Send it in parts.")
        return _error_page(status, status.description)

    def answer_exception(self, error: Exception) -> Response:
        """An outage, or a bug: its details are in the log, under the request's id."""
        if self.services.store.availability.is_outage(error):
            log.warning("request %s: no database", context().id)
            return self.answer_share_error(
                Unavailable("The database cannot be reached. Try again in a moment.")
            )
        log.error("request %s failed", context().id, exc_info=error)
        status = HTTPStatus.INTERNAL_SERVER_ERROR
        return _error_page(status, f"Something went wrong. Request id: {context().id}.")

    def leave(self, answer: Response) -> Response:
        """Set headers; write a line in the log, with the kind of page only.

        Its path may hold the secret of an invitation, and its query what somebody searches for.
        """
        for name, value in _HEADERS.items():
            answer.headers.setdefault(name, value)
        answer.headers.setdefault("Cache-Control", "no-store")
        if self.services.settings.is_secure:
            answer.headers["Strict-Transport-Security"] = "max-age=31536000"
        answer.headers["X-Request-Id"] = context().id
        log.info(
            "request=%s console person=%s %s %s status=%d ms=%.1f",
            context().id,
            getattr(context().person, "id", "-"),
            request.method,
            request.url_rule or "-",
            answer.status_code,
            (time.monotonic() - context().started) * 1000,
        )
        return answer


_STATUS = {
    NotAllowed: HTTPStatus.FORBIDDEN,
    NotFound: HTTPStatus.NOT_FOUND,
    Conflict: HTTPStatus.CONFLICT,
    TooLarge: HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
    TooManyRequests: HTTPStatus.TOO_MANY_REQUESTS,
    Unavailable: HTTPStatus.SERVICE_UNAVAILABLE,
}


def status_of(error: ShareError) -> HTTPStatus:
    """The status of an error; 422 for what a person can mend in the form."""
    kinds = (kind for kind in type(error).__mro__ if kind in _STATUS)
    return next((_STATUS[kind] for kind in kinds), HTTPStatus.UNPROCESSABLE_ENTITY)


def say_when(answer: Response, error: Exception) -> Response:
    """Add when to try again, if the error says so (RFC 9110 section 10.2.3)."""
    if isinstance(error, (Unavailable, TooManyRequests)):
        answer.headers["Retry-After"] = str(error.seconds)
    return answer


def client_address(settings: ConsoleSettings) -> str:
    """The address of the client, which the proxy names if there is one."""
    peer = request.remote_addr or ""
    if not settings.has_forwarded_for:
        return peer
    return request.headers.get("X-Forwarded-For", "").rpartition(",")[2].strip() or peer


def cookie_name(settings: ConsoleSettings) -> str:
    """The name of the session's cookie; over TLS no other host or path can set it."""
    return "__Host-tocsin" if settings.is_secure else "tocsin-console"


def _error_page(status: HTTPStatus, text: str) -> Response:
    page = flask.render_template("error.html", title=status.phrase, text=text)
    return flask.make_response(page, status)


def _sign_in_url(target: str) -> str:
    """The form to sign in, from which a page of the console follows."""
    return f"{_SIGN_IN}?next={quote(target, safe='/')}"


def _is_background() -> bool:
    return request.path.startswith(_BACKGROUND_PREFIX)


def _shown_page() -> str:
    """The page of the console that sent a form, or asked for a part of itself.

    A form that was not taken is shown at the path that it was sent to, which may only take forms:
    then it is the page above.
    """
    try:
        url = urlsplit(request.headers.get("HX-Current-URL") or request.referrer or "")
    except ValueError:
        return safe_next("")
    page = safe_next(url._replace(scheme="", netloc="").geturl())
    path = page.partition("?")[0].removeprefix(ROOT)
    above = path
    while not _can_be_opened(above):
        above = above.rpartition("/")[0]
    return page if above == path else f"{ROOT}{above or '/'}"


def _can_be_opened(path: str) -> bool:
    """True if a page is at this path below the root of the console; the start always is."""
    adapter = flask.current_app.create_url_adapter(request)
    return not path or adapter is None or adapter.test(path, "GET")


def _host(host: str) -> str:
    """The name without its port; empty if it is none, such as `[::::]`."""
    try:
        return urlsplit(f"//{host}").hostname or ""
    except ValueError:
        return ""
