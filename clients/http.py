"""How long the clients wait, how often they ask again, and what they say in the end.

A request that did not arrive, or that the server put off (429, 502, 503, 504),
is sent again after a growing pause, or after the one that `Retry-After` names.
Whatever is left over becomes an error in words.

A TAXII 2.1 server as the clients see it.

taxii2-client speaks the protocol for discovery, API roots, collections, pushes
and statuses; `patience` gives it the time-outs and retries that it lacks.  Its
classes for collections and statuses are passed by where they refuse what other
servers answer: a count that does not agree with a list is no reason to lose the rest.
Pages of objects are asked for directly, since taxii2-client drops the response
headers that say how to go on (release 2.3.0), and each page is asked for once:
some servers move on when they are asked, so that asking again after a lost
answer would skip a page.
"""

from __future__ import annotations

import base64
import logging
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from http import HTTPStatus
from importlib.metadata import version
from types import TracebackType
from typing import Any, Self
from urllib.parse import quote, urljoin, urlsplit

import msgspec
import requests
from requests.adapters import HTTPAdapter
from requests.auth import AuthBase
from taxii2client.common import _HTTPConnection
from taxii2client.exceptions import AccessError, TAXIIServiceException
from taxii2client.v21 import ApiRoot, Server
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
    UnsupportedMediaType,
)
from tocsin.clients.responses import (
    Page,
    StatusReport,
    page,
    report,
)
from tocsin.clients.tls import PORTS, Papers, origin

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
    415: UnsupportedMediaType,
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


log = logging.getLogger(__name__)

MEDIA_TYPE = "application/taxii+json;version=2.1"
_TRIED_ON = (NotFound, NotTaxii, NotAuthenticated, NotAllowed)
"""After these, the discovery URL is tried where the user gave another one."""


@dataclass(frozen=True, slots=True)
class Place:
    """A collection of a server, found."""

    id: str
    alias: str
    title: str
    description: str
    can_read: bool
    can_write: bool
    root: str
    """The API root's URL."""
    url: str
    """The collection's URL, by id."""
    exact: bool = False
    """The server's stamps are unique and in order, so that `added_after` loses nothing."""

    def answers_to(self, name: str) -> int:
        """How well `name` names it: 3 by id, 2 by alias, 1 by title, 0 not at all."""
        if name == self.id:
            return 3
        if self.alias and name == self.alias:
            return 2
        return int(name.casefold() == self.title.casefold())


class Hub:
    """A TAXII 2.1 server: Tocsin's hub or anybody's."""

    def __init__(
        self,
        url: str,
        key: str = "",
        patience: Patience | None = None,
        papers: Papers | None = None,
    ) -> None:
        """`url` may be the discovery URL, the server's root or an API root.

        Nothing is sent yet.  Raises Malformed if `url` is not one, or if a file
        of `papers`, which are for this hub whatever URL they name, is of no use.
        """
        self.url = _checked(url)
        papers = replace(papers or Papers(), url=self.url)
        papers.check()
        self.patience = patience = patience or Patience()
        auth = _Key(key, self.url) if key else _NoKey()
        if key and self.url.startswith("http:") and not _loopback(self.url):
            log.warning("the key goes to %s unencrypted; use https", urlsplit(self.url).hostname)
        agent = f"tocsin/{version('tocsin')}"
        self._connection = _HTTPConnection(version="2.1", auth=auth, user_agent=agent)
        equip(self._connection.session, patience, patience.again(), papers)
        self._connection.session.headers["User-Agent"] = agent  # its POST leaves it out
        self._pages = requests.Session()
        self._pages.auth = auth
        self._pages.headers.update({"User-Agent": agent, "Accept": MEDIA_TYPE})
        equip(self._pages, patience, patience.once(), papers)
        self._known: tuple[Any, ...] = ()

    def __enter__(self) -> Hub:
        """The hub itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """See close."""
        self.close()

    def close(self) -> None:
        """Let go of the connections."""
        self._connection.close()
        self._pages.close()

    def places(self) -> list[Place]:
        """Every collection of every API root that answers, in the server's order.

        Raises what the first root says if none answers.
        """
        found: list[Place] = []
        silent: list[ShareError] = []
        roots = self._roots()
        for root in roots:
            try:
                found += self._places_of(root)
            except ShareError as error:
                log.warning("the API root %s is left out: %s", root.url, error)
                silent.append(error)
        if len(silent) == len(roots):
            raise silent[0]
        return found

    def place(self, name: str, wanted: str = "can_read") -> Place:
        """The collection with this id, alias or title, in whatever API root.

        `wanted` (can_read or can_write) decides between two that answer to the
        name.  Raises NotFound if there is none, Malformed if there are several.
        """
        places = self.places()
        best = max((place.answers_to(name) for place in places), default=0)
        named = [place for place in places if best and place.answers_to(name) == best]
        if not named:
            known = ", ".join(sorted(each.alias or each.title for each in places))
            raise NotFound(f"no collection {ascii(name)} for this key; there are: {known or '-'}")
        able = [place for place in named if getattr(place, wanted)] or named
        if len(able) > 1:
            ids = ", ".join(place.id for place in able)
            raise Malformed(f"{ascii(name)} names several collections; use an id: {ids}")
        return able[0]

    def max_content_length(self, place: Place) -> int:
        """The longest body that the collection's API root takes, in octets."""
        root = next((each for each in self._roots() if each.url == place.root), None)
        root = root or ApiRoot(place.root, conn=self._connection)
        with answering(root.url):
            longest = root.max_content_length
        if not isinstance(longest, int) or longest <= 0:
            raise Malformed(f"{root.url} gives no usable max_content_length (TAXII 2.1 4.2.1)")
        return longest

    def page(self, place: Place, query: Mapping[str, str]) -> Page:
        """One page of a collection's objects; asked for once, see the module's word."""
        url = place.url + "objects/"
        with answering(url):
            response = self._pages.get(url, params=dict(query))
            response.raise_for_status()
            return page(response.content, response.headers)

    def post(self, place: Place, envelope: bytes) -> StatusReport:
        """Offer an envelope; sent again where the answer was lost, which is safe."""
        headers = {"Accept": MEDIA_TYPE, "Content-Type": MEDIA_TYPE}
        with answering(place.url):
            url = place.url + "objects/"
            return report(self._connection.post(url, headers=headers, data=envelope))

    def status(self, id: str, root: str = "") -> StatusReport:
        """What has become of a submission; sought in every API root unless `root` is given.

        Raises NotFound if no root knows it.
        """
        refused: ShareError | None = None
        for url in [root] if root else [each.url for each in self._roots()]:
            address = f"{url}status/{quote(id, safe='')}/"
            try:
                with answering(address):
                    return report(self._connection.get(address))
            except (NotFound, NotAllowed) as error:
                refused = error
        if isinstance(refused, NotAllowed):
            raise refused
        raise NotFound(f"{self.url} knows no status {ascii(id)}; it may be too old, or another's")

    def _places_of(self, root: Any) -> list[Place]:
        with answering(root.url):
            exact = any(name.startswith("x_tocsin_") for name in root.custom_properties)
            return [
                Place(
                    id=each.id,
                    alias=each.alias or "",
                    title=each.title,
                    description=each.description or "",
                    can_read=each.can_read is True,
                    can_write=each.can_write is True,
                    root=root.url,
                    url=each.url,
                    exact=exact,
                )
                for each in root.collections
            ]

    def _roots(self) -> tuple[Any, ...]:
        if not self._known:
            self._known = self._discovered()
        if not self._known:
            raise NotAllowed(f"{self.url} names no API root for this key; is it the right one?")
        return self._known

    def _discovered(self) -> tuple[Any, ...]:
        """The API roots that the URL stands for, whichever kind of URL it is."""
        discovery = urljoin(self.url, "/taxii2/")
        try:
            server = self._server(self.url)
        except _TRIED_ON:
            if self.url == discovery:
                raise
            server = self._server(discovery)
        if "max_content_length" in server.custom_properties:
            return (ApiRoot(server.url, conn=self._connection),)
        urls = dict.fromkeys(_checked(root.url) for root in server.api_roots)
        for url in urls:
            if origin(url) != origin(self.url):
                log.warning("the API root %s is on another server; it does not get the key", url)
        return tuple(ApiRoot(url, conn=self._connection) for url in urls)

    def _server(self, url: str) -> Any:
        server = Server(url, conn=self._connection)
        with answering(url):
            server.refresh()
        return server


class _Key(AuthBase):
    """A credential that goes to one origin only.

    A discovery document may name API roots anywhere; the key is for the hub
    whose URL the user gave.
    """

    def __init__(self, key: str, url: str) -> None:
        """`account:secret` goes as Basic, a key without a colon as Bearer."""
        self._origin = origin(url)
        basic = base64.b64encode(key.encode()).decode("ascii")
        self._header = f"Basic {basic}" if ":" in key else f"Bearer {key}"

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        if origin(str(request.url)) == self._origin:
            request.headers["Authorization"] = self._header
        return request


class _NoKey(AuthBase):
    """No credential; keeps requests from sending one that it finds in ~/.netrc."""

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        return request


def _checked(url: str) -> str:
    """The URL with its trailing slash."""
    try:
        parts = urlsplit(url)
        usable = parts.scheme in PORTS and bool(parts.hostname) and parts.port != 0
    except ValueError:
        usable = False
    if not usable or parts.query or parts.fragment:
        raise Malformed(
            f"not the URL of a TAXII server: {ascii(url[:80])}; "
            "it looks like https://hub.example/taxii2/"
        )
    if parts.username or parts.password:
        raise Malformed("give the key with --key or TOCSIN_KEY, not within the URL")
    return url.rstrip("/") + "/"


def _loopback(url: str) -> bool:
    host = urlsplit(url).hostname or ""
    return host in ("localhost", "::1") or host.startswith("127.")
