"""How long the clients wait, how often they ask again, and what they say in the end.

A request that did not arrive, or that the server put off (429, 502, 503, 504),
is sent again after a growing pause, or after the one that `Retry-After` names.
Whatever is left over becomes an error in words.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http import HTTPStatus
from types import TracebackType
from typing import Any, Self
from urllib.parse import urlsplit

import msgspec
import requests
from requests.adapters import HTTPAdapter
from taxii2client.exceptions import AccessError, TAXIIServiceException
from urllib3.connectionpool import ConnectionPool
from urllib3.exceptions import MaxRetryError, ResponseError
from urllib3.response import BaseHTTPResponse
from urllib3.util.retry import Retry

from tocsin.admission.errors import (
    Malformed,
    NotAcceptable,
    NotAllowed,
    NotAuthenticated,
    NotFound,
    ShareError,
    TooLarge,
    Unavailable,
    Unprocessable,
    WrongMediaType,
)
from tocsin.clients.papers import Papers

_ALERT = re.compile(r" alert ((?:[a-z]+ ?)*(?:certificate|unknown ca|access denied)[a-z ]*)")
"""What OpenSSL says where the other side does not believe a certificate."""
_PUT_OFF = (429, 502, 503, 504)
_NOT_BEGUN = (429, 503)
_KINDS: dict[int, type[ShareError]] = {
    400: Malformed,
    401: NotAuthenticated,
    403: NotAllowed,
    404: NotFound,
    406: NotAcceptable,
    413: TooLarge,
    415: WrongMediaType,
    422: Unprocessable,
}
_ADVICE = {
    401: "it does not know this key; give one of its own with --key or TOCSIN_KEY, or use --cert",
    403: "this key may not do that there; ask the operator of the server for the right",
    404: "there is nothing of that name for this key; `tocsin collections` lists what there is",
    406: "it does not speak TAXII 2.1; is the URL the right one?",
    413: "the envelope is too long for it",
    429: "it wants to be asked less often; try again later",
}
_LONGEST_TITLE = 300
_LONGEST_RETRY_AFTER = 120
"""Seconds; a server that asks for more is told to the user instead."""


class NotTaxii(Unavailable):
    """Something answers, but no TAXII 2.1 server."""


@dataclass(frozen=True, slots=True)
class Patience:
    """Time-outs and retries, in seconds and times."""

    connect: float = 10.0
    """How long a connection may take to be made."""
    answer: float = 60.0
    """How long the server may be silent."""
    retries: int = 3
    pause: float = 0.5
    """Before the second retry; doubled from one to the next."""
    longest_pause: float = 30.0

    def again(self) -> Retry:
        """For requests that may be repeated though they may have arrived."""
        return self._retry(self.retries, _PUT_OFF)

    def once(self) -> Retry:
        """For requests that are repeated only if the server did not begin on them."""
        return self._retry(0, _NOT_BEGUN)

    def _retry(self, read: int, statuses: tuple[int, ...]) -> Retry:
        return _Bounded(
            total=self.retries,
            read=read,
            other=read,
            allowed_methods=None,
            status_forcelist=statuses,
            backoff_factor=self.pause,
            backoff_max=self.longest_pause,
            raise_on_status=False,
        )


class _Bounded(Retry):
    """Gives up rather than sleep for the hour that a server may ask for."""

    def increment(
        self,
        method: str | None = None,
        url: str | None = None,
        response: BaseHTTPResponse | None = None,
        error: Exception | None = None,
        _pool: ConnectionPool | None = None,
        _stacktrace: TracebackType | None = None,
    ) -> Self:
        """See urllib3."""
        asked = (response.headers.get("Retry-After") or "") if response else ""
        if _pool and response and asked.isdecimal() and int(asked) > _LONGEST_RETRY_AFTER:
            cause = ResponseError(f"asked to wait {asked} s")
            raise MaxRetryError(_pool, url or "", cause)
        return super().increment(method, url, response, error, _pool, _stacktrace)


class _Equipped(HTTPAdapter):
    """Gives every request a time-out, which requests itself has not, and the papers for its server.

    Here and not by the session, since requests lets REQUESTS_CA_BUNDLE go
    before what a session says.
    """

    def __init__(self, patience: Patience, retry: Retry, papers: Papers) -> None:
        self._limits = (patience.connect, patience.answer)
        self._papers = papers
        super().__init__(max_retries=retry)

    def send(  # noqa: PLR0913 - the signature of requests
        self,
        request: requests.PreparedRequest,
        stream: bool = False,
        timeout: Any = None,
        verify: bool | str = True,
        cert: Any = None,
        proxies: Any = None,
    ) -> requests.Response:
        """See requests."""
        url = str(request.url)
        verify, cert = self._papers.verify(url) or verify, self._papers.shown(url) or cert
        return super().send(request, stream, timeout or self._limits, verify, cert, proxies)


def equip(session: requests.Session, patience: Patience, retry: Retry, papers: Papers) -> None:
    """Give a session the time-outs of `patience`, the retries of `retry`, and papers."""
    for scheme in ("http://", "https://"):
        session.mount(scheme, _Equipped(patience, retry, papers))


@contextmanager
def answering(url: str) -> Iterator[None]:
    """Turn what goes wrong between us and the server at `url` into errors in words."""
    host = urlsplit(url).netloc.rpartition("@")[2]
    try:
        yield
    except requests.HTTPError as error:
        raise _refusal(host, error.response) from error
    except requests.Timeout as error:
        raise Unavailable(f"{host} does not answer in time; try again later") from error
    except AccessError as error:
        raise NotAllowed(f"{host} lets this key not do that: {error}") from error
    except (requests.exceptions.JSONDecodeError, msgspec.DecodeError, RecursionError) as error:
        raise NotTaxii(f"{url} does not answer in JSON; is the URL the right one?") from error
    except requests.RequestException as error:
        raise _unreached(host, error) from error
    except (TAXIIServiceException, AttributeError, KeyError, TypeError, ValueError) as error:
        raise NotTaxii(f"{url} does not answer in TAXII 2.1; is the URL the right one?") from error


def _unreached(host: str, error: requests.RequestException) -> ShareError:
    """Why there is no answer: an alert is the server's word on our certificate."""
    if alert := _ALERT.search(str(error)):
        return NotAuthenticated(
            f"{host} does not take our certificate, or none ({alert[1].strip()}); "
            "give one that its operator has registered with --cert or TOCSIN_CERT"
        )
    if "WRONG_VERSION_NUMBER" in str(error):
        return Unavailable(f"{host} speaks no TLS on this port; does its URL begin with http://?")
    if isinstance(error, requests.exceptions.SSLError):
        return Unavailable(
            f"the certificate of {host} cannot be trusted ({_cause(error)}); "
            "--ca or TOCSIN_CA names the file of an authority of your own"
        )
    return Unavailable(f"{host} cannot be reached ({_cause(error)}); is the URL right?")


def _refusal(host: str, response: requests.Response) -> ShareError:
    """What a failed answer means, with the server's own words."""
    status = response.status_code
    kind = _KINDS.get(status, Unavailable if status >= 500 or status == 429 else Unprocessable)
    said = _own_words(response)
    parts = [f"{host} says {status}", f": {said}" if said else "", _advice(status, response)]
    return kind("".join(parts))


def _advice(status: int, response: requests.Response) -> str:
    wait = response.headers.get("Retry-After", "")
    if wait.isdecimal():
        return f"; try again in {wait} s"
    if status == 401 and "Authorization" not in response.request.headers:
        return "; no key was sent: give --key or TOCSIN_KEY=account:secret, or use --cert"
    if advice := _ADVICE.get(status):
        return f"; {advice}"
    return "; try again later" if status >= 500 else ""


def _own_words(response: requests.Response) -> str:
    """Title and description of a TAXII error message, else the name of the status."""
    try:
        body = response.json()
    except (ValueError, RecursionError):
        body = None
    if isinstance(body, dict):
        words = [body.get("title"), body.get("description")]
        told = [word for word in words if isinstance(word, str) and word]
        if told:
            return ": ".join(dict.fromkeys(told))[:_LONGEST_TITLE]
    known = {each.value: each.phrase for each in HTTPStatus}
    return known.get(response.status_code, "")


def _cause(error: Exception) -> str:
    """The innermost reason, without the wrapping of two libraries."""
    reason: object = error
    while True:
        inner = getattr(reason, "reason", None)
        if inner is None and isinstance(reason, Exception):
            inner = next((each for each in reason.args if isinstance(each, Exception)), None)
        if inner is None or isinstance(inner, str):
            break
        reason = inner
    return str(reason).rpartition(": ")[2][:_LONGEST_TITLE] or type(error).__name__
