"""What holds for every answer at the door: errors, headers, one line in the log.

Whatever goes wrong, the framework's own refusals included, is told as a TAXII
error, except on the paths of other doors.
"""

import logging
import re
from collections.abc import Collection
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
from tocsin.server.taxii import content, etags, resources
from tocsin.server.taxii.content import MEDIA_TYPE, OPENAPI
from tocsin.server.taxii.protocols import TaxiiServices, TaxiiSettings
from tocsin.server.taxii.request_context import plain, visit
from tocsin.server.taxii.routes import DISCOVERY, Door

LOG = logging.getLogger(__name__)

_RETRY_AFTER = "5"
"""Seconds after which to try again what is unavailable now."""

_PLAIN_WORDS = {
    HTTPStatus.NOT_FOUND: "nothing is served at this path; begin at /taxii2/",
    HTTPStatus.METHOD_NOT_ALLOWED: "not served by this method; see the header Allow",
}


def register(
    app: flask.Flask,
    hub: TaxiiServices,
    besides: Collection[str] = (),
    outages: Collection[type[Exception]] = (),
) -> None:
    """Gives an application with `blueprint(hub)` the door's manners.

    `besides` are path prefixes of other doors, whose answers are left alone;
    `outages` are what the store raises while its database cannot be reached.
    """
    manners = _Manners(hub, tuple(besides))
    app.url_map.merge_slashes = False
    app.before_request(manners.greet)
    app.register_error_handler(ShareError, manners.refused)
    app.register_error_handler(HTTPException, manners.turned_away)
    app.register_error_handler(Exception, manners.broken)
    for kind in outages:
        app.register_error_handler(kind, manners.out)
    app.after_request(manners.leave)


@dataclass(frozen=True, slots=True)
class _Manners:
    hub: TaxiiServices
    besides: tuple[str, ...]

    def greet(self) -> None:
        """Paths below ours that lead nowhere are told so only to those with a credential."""
        visit()
        below = f"{request.path}/".startswith((DISCOVERY, resources.ROOT))
        if request.endpoint is None and below:
            Door(self.hub).admit()

    def refused(self, error: ShareError) -> flask.Response:
        if self._is_elsewhere():
            raise error
        answer = _error(resources.http_status(error), str(error))
        if isinstance(error, NotAuthenticated):
            for challenge in _challenges(self.hub.settings):
                answer.headers.add("WWW-Authenticate", challenge)
        answer.headers.update(_advice(error))
        return answer

    def turned_away(self, error: HTTPException) -> flask.Response | HTTPException:
        """What Flask itself refuses."""
        if self._is_elsewhere() or error.code is None:
            return error
        status = HTTPStatus(error.code)
        answer = _error(status, _PLAIN_WORDS.get(status, ""))
        if isinstance(error, MethodNotAllowed) and error.valid_methods:
            answer.headers["Allow"] = ", ".join(sorted(error.valid_methods))
        return answer

    def broken(self, error: Exception) -> flask.Response:
        """A bug: the log says all, the answer only where to look in it."""
        if self._is_elsewhere():
            raise error
        LOG.error("request %s broke", visit().id, exc_info=error)
        return _error(HTTPStatus.INTERNAL_SERVER_ERROR, error_id=visit().id)

    def out(self, error: Exception) -> flask.Response:
        """The database cannot be reached at the moment; what was acknowledged is safe."""
        if self._is_elsewhere():
            raise error
        LOG.warning("request %s found no database: %s", visit().id, plain(str(error)[:200]))
        return self.refused(Unavailable("the database cannot be reached; try again in a moment"))

    def leave(self, response: AnyResponse) -> AnyResponse:
        if self._is_elsewhere():
            return response
        response.headers["Vary"] = "Accept-Encoding"
        if response.content_type != OPENAPI:
            response.headers["Content-Type"] = MEDIA_TYPE
        if allowance := visit().allowance:
            response.headers.update(allowance.headers())
        wanted = content.negotiated(request.headers.get("Accept-Encoding"))
        _recognise(response, wanted)
        _compress(response, wanted)
        response.headers["X-Content-Type-Options"] = "nosniff"
        response.headers["Cache-Control"] = "private, no-cache"
        response.headers["X-Request-Id"] = visit().id
        if not content.cleared(self.hub.settings.max_content_length):
            response.headers["Connection"] = "close"
        _log(response.status_code)
        return response

    def _is_elsewhere(self) -> bool:
        return bool(self.besides) and request.path.startswith(self.besides)


def _error(status: HTTPStatus, description: str = "", error_id: str = "") -> flask.Response:
    told = resources.encoded(resources.error(status, description, error_id))
    return flask.Response(told, status, content_type=MEDIA_TYPE)


def _advice(error: ShareError) -> dict[str, str]:
    """When to try again, or how else to send."""
    if isinstance(error, Unavailable):
        return {"Retry-After": _RETRY_AFTER}
    if isinstance(error, TooManyRequests):
        return {"Retry-After": str(error.seconds)}
    return {"Accept-Encoding": content.TAKEN} if isinstance(error, UnsupportedCoding) else {}


def _recognise(response: AnyResponse, wanted: str) -> None:
    """Gives an answer its tag, and leaves the answer out if the reader has it."""
    if request.method not in ("GET", "HEAD") or response.status_code != HTTPStatus.OK:
        return
    tag = response.get_etag()[0] or etags.tag_of(response.data)
    form = etags.known(request.if_none_match, tag, wanted)
    response.set_etag(form or tag)
    if form is not None:
        response.status_code, response.data = HTTPStatus.NOT_MODIFIED, b""


def _compress(response: AnyResponse, wanted: str) -> None:
    """Sends an answer in the coding that was negotiated, under that form's tag."""
    if not wanted or len(response.data) < content.WORTH_IT:
        return
    response.data = content.compressed(response.data, wanted)
    response.headers["Content-Encoding"] = wanted
    tag, _ = response.get_etag()
    if tag is not None:
        response.set_etag(etags.coded(tag, wanted))


_CHALLENGES = {
    AuthScheme.BASIC: 'Basic realm="{}", charset="UTF-8"',
    AuthScheme.BEARER: 'Bearer realm="{}"',
    AuthScheme.CERTIFICATE: 'Certificate realm="{}"',  # not registered; a 401 must name something
}


def _challenges(settings: TaxiiSettings) -> list[str]:
    realm = re.sub(r'[^ -~]|["\\]', "?", settings.title)
    return [
        _CHALLENGES[scheme].format(realm) for scheme in AuthScheme if scheme in settings.schemes
    ]


def _log(status: int) -> None:
    call = visit()
    LOG.info(
        "request=%s account=%s %s %s collection=%s status=%d objects=%s ms=%.1f",
        call.id,
        plain(call.account.name) if call.account else "-",
        plain(request.method),
        plain(request.path),
        plain(call.collection) or "-",
        status,
        "-" if call.objects is None else call.objects,
        call.milliseconds,
    )
