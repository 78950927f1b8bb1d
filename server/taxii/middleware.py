"""Middleware of the TAXII endpoints: errors, headers, compression, metrics, one line in the log.

Every error, including Flask's own, becomes a TAXII error message, except on paths that other
blueprints own.  Some of these are served under the same rules, and have errors in plain text.
"""

import logging
import re
import time
from collections.abc import Callable, Collection
from dataclasses import dataclass
from http import HTTPStatus

import flask
from flask import request
from werkzeug.exceptions import HTTPException, MethodNotAllowed
from werkzeug.wrappers import Response as AnyResponse

from tocsin.admission.errors import (
    NotAuthenticated,
    ShareError,
    TooManyRequests,
    Unavailable,
    UnsupportedCoding,
)
from tocsin.server.auth import AuthScheme
from tocsin.server.processes.counters import OTHER, Counters
from tocsin.server.taxii import content, etags, resources
from tocsin.server.taxii.content import MEDIA_TYPE, OPENAPI
from tocsin.server.taxii.paging import PREFERENCE_APPLIED
from tocsin.server.taxii.protocols import TaxiiServices, TaxiiSettings
from tocsin.server.taxii.request_context import request_context, sanitise_log_text
from tocsin.server.taxii.routes import DISCOVERY, Endpoints

log = logging.getLogger(__name__)

TEXT = "text/plain; charset=utf-8"
_BEGAN = "tocsin.began"
"""WSGI environ key: when this run of the application began, in seconds."""
_PAGES = frozenset({"taxii.objects", "taxii.object", "taxii.versions", "taxii.manifest"})
_FOLLOWED = "taxii.objects"
"""The endpoint by which pollers follow a collection."""
_DESCRIPTIONS = {
    HTTPStatus.NOT_FOUND: "nothing is served at this path; start at /taxii2/",
    HTTPStatus.METHOD_NOT_ALLOWED: "this method is not served here; see the Allow header",
}


def register(
    app: flask.Flask,
    services: TaxiiServices,
    other_paths: Collection[str] = (),
    text_paths: Collection[str] = (),
    is_outage: Callable[[Exception], bool] = lambda error: False,
) -> None:
    """Install the middleware in an application that has `blueprint(services)`.

    `other_paths` are path prefixes whose answers are left alone; those below `text_paths` keep
    their media types, and have errors in plain text.  `is_outage` knows the exceptions of a store
    whose database cannot be reached.
    """
    middleware = _Middleware(services, tuple(other_paths), tuple(text_paths), is_outage)
    app.url_map.merge_slashes = False
    app.before_request(middleware.begin_request)
    app.register_error_handler(ShareError, middleware.answer_share_error)
    app.register_error_handler(HTTPException, middleware.answer_http_exception)
    app.register_error_handler(Exception, middleware.answer_exception)
    app.after_request(middleware.finish_response)


@dataclass(frozen=True, slots=True)
class _Middleware:
    services: TaxiiServices
    other_paths: tuple[str, ...]
    text_paths: tuple[str, ...]
    is_outage: Callable[[Exception], bool]

    def begin_request(self) -> None:
        """Start the clock; an unknown path below ours needs a credential before its 404."""
        request_context()
        is_ours = f"{request.path}/".startswith((DISCOVERY, resources.ROOT, *self.text_paths))
        if request.endpoint is None and is_ours:
            Endpoints(self.services).authenticate()

    def answer_share_error(self, error: ShareError) -> flask.Response:
        """An error of the client's, or Unavailable."""
        if self._is_other_path():
            raise error
        answer = self._error(resources.http_status(error), str(error))
        if isinstance(error, NotAuthenticated):
            for challenge in _challenges(self.services.settings):
                answer.headers.add("WWW-Authenticate", challenge)
        answer.headers.update(_advice(error))
        return answer

    def answer_http_exception(self, error: HTTPException) -> flask.Response | HTTPException:
        """An error raised by Flask itself."""
        if self._is_other_path() or error.code is None:
            return error
        status = HTTPStatus(error.code)
        answer = self._error(status, _DESCRIPTIONS.get(status, ""))
        if isinstance(error, MethodNotAllowed) and error.valid_methods:
            answer.headers["Allow"] = ", ".join(sorted(error.valid_methods))
        return answer

    def answer_exception(self, error: Exception) -> flask.Response:
        """An outage, or a bug: its details are in the log, under the error_id."""
        if self._is_other_path():
            raise error
        if self.is_outage(error):
            return self._answer_outage(error)
        log.error("request %s failed", request_context().id, exc_info=error)
        return self._error(HTTPStatus.INTERNAL_SERVER_ERROR, error_id=request_context().id)

    def _answer_outage(self, error: Exception) -> flask.Response:
        """The database cannot be reached; submissions that were acknowledged are safe."""
        reason = sanitise_log_text(str(error)[:200])
        log.warning("request %s: no database: %s", request_context().id, reason)
        unavailable = Unavailable("the database cannot be reached; try again in a moment")
        return self.answer_share_error(unavailable)

    def finish_response(self, response: AnyResponse) -> AnyResponse:
        """Set headers, compress, log."""
        if self._is_other_path():
            return response
        response.headers["Vary"] = "Accept-Encoding"
        if response.content_type != OPENAPI and not self._is_text_path():
            response.headers["Content-Type"] = MEDIA_TYPE
        if allowance := request_context().allowance:
            response.headers.update(allowance.headers())
        coding = content.negotiate_coding(request.headers.get("Accept-Encoding"))
        _set_etag(response, coding)
        _compress(response, coding)
        response.headers["X-Content-Type-Options"] = "nosniff"
        response.headers["Cache-Control"] = "private, no-cache"
        response.headers["X-Request-Id"] = request_context().id
        _log(response.status_code)
        return response

    def _is_other_path(self) -> bool:
        return bool(self.other_paths) and request.path.startswith(self.other_paths)

    def _is_text_path(self) -> bool:
        return bool(self.text_paths) and request.path.startswith(self.text_paths)

    def _error(
        self, status: HTTPStatus, description: str = "", error_id: str = ""
    ) -> flask.Response:
        if self._is_text_path():
            text = f"{description or status.phrase} {error_id}".rstrip() + "\n"
            return flask.Response(text, status, content_type=TEXT)
        body = resources.encode(resources.format_error(status, description, error_id))
        return flask.Response(body, status, content_type=MEDIA_TYPE)


def _advice(error: ShareError) -> dict[str, str]:
    """Headers that say when to retry, or which coding to use."""
    if isinstance(error, (Unavailable, TooManyRequests)):
        return {"Retry-After": str(error.seconds)}
    return (
        {"Accept-Encoding": content.ACCEPTED_CODING} if isinstance(error, UnsupportedCoding) else {}
    )


def _set_etag(response: AnyResponse, coding: str) -> None:
    """Tag a successful answer, and turn it into a 304 if the reader has it."""
    if request.method not in ("GET", "HEAD") or response.status_code != HTTPStatus.OK:
        return
    tag = response.get_etag()[0] or etags.hash_body(response.data)
    known_tag = etags.match_etag(request.if_none_match, tag, coding)
    response.set_etag(known_tag or tag)
    if known_tag is not None:
        response.status_code, response.data = HTTPStatus.NOT_MODIFIED, b""


def _compress(response: AnyResponse, coding: str) -> None:
    """Apply the negotiated coding, and the tag of the coded answer.

    A file that is sent from the disk is not compressed.
    """
    if (
        not coding
        or response.direct_passthrough
        or len(response.data) < content.MIN_COMPRESSED_LENGTH
    ):
        return
    response.data = content.compress(response.data, coding)
    response.headers["Content-Encoding"] = coding
    tag, _ = response.get_etag()
    if tag is not None:
        response.set_etag(etags.etag_in_coding(tag, coding))


_CHALLENGES = {
    AuthScheme.BASIC: 'Basic realm="{}", charset="UTF-8"',
    AuthScheme.BEARER: 'Bearer realm="{}"',
    AuthScheme.CERTIFICATE: 'Certificate realm="{}"',  # unregistered; a 401 must name something
}


def _challenges(settings: TaxiiSettings) -> list[str]:
    realm = re.sub(r'[^ -~]|["\\]', "?", settings.title)
    return [
        _CHALLENGES[scheme].format(realm) for scheme in AuthScheme if scheme in settings.schemes
    ]


_OBJECT_IN_PATH = re.compile(r"(?<=/objects/)/*[^/]+|[\w-]{1,250}--[\dA-Fa-f-]{36}")
"""An object's id, in a path that does not exist too: the log need not say who looked it up."""


def _log(status: int) -> None:
    context = request_context()
    log.info(
        "request=%s account=%s %s %s collection=%s status=%d objects=%s ms=%.1f",
        context.id,
        sanitise_log_text(context.account.name) if context.account else "-",
        sanitise_log_text(request.method),
        sanitise_log_text(_OBJECT_IN_PATH.sub("-", request.path)),
        sanitise_log_text(context.collection) or "-",
        status,
        "-" if context.objects is None else context.objects,
        context.milliseconds,
    )


def count_requests(app: flask.Flask, counters: Counters) -> None:
    """Count each request of an application, before any other middleware is registered."""

    def begin() -> None:
        request.environ[_BEGAN] = time.perf_counter()

    def count(answer: flask.Response) -> flask.Response:
        seconds = time.perf_counter() - request.environ[_BEGAN]
        may_wait = PREFERENCE_APPLIED in answer.headers
        rule = request.url_rule
        route = OTHER if rule is None else rule.rule.rstrip("/")
        counters.count_request(
            route, request.method, answer.status_code, None if may_wait else seconds
        )
        if request.endpoint in _PAGES and request.method == "GET":
            _count_page(answer, counters)
        return answer

    app.before_request(begin)
    app.after_request(count)


def _count_page(answer: flask.Response, counters: Counters) -> None:
    context = request_context()
    if answer.status_code == HTTPStatus.OK:
        counters.count_page(context.collection, context.objects or 0)
    elif answer.status_code != HTTPStatus.NOT_MODIFIED:
        return
    if request.endpoint == _FOLLOWED and context.is_complete and context.account is not None:
        counters.note_caught_up(context.account.name, context.collection)
