"""The connection to a TAXII 2.1 server: timeouts, retries, errors and the requests themselves.

A request that did not arrive, or that the server put off (429, 502, 503, 504), is sent again
after a growing pause, or after the pause that `Retry-After` asks for.  A failure that remains
becomes an error with a text for the user.

taxii2-client does discovery and API roots.  Its classes for collections and statuses are not
used: they refuse responses that other servers send, for instance a count that disagrees with a
list.  Pages of objects are requested directly, because taxii2-client 2.3.0 drops the response
headers that say how to go on.  A page is requested only once: some servers count a page as read
when it is requested, so repeating the request after a lost response would skip a page.

The server may be hostile.  Its responses are read within bounds (see `bounds`), and nothing is ever
sent to another origin than that of the URL that the user gave: no redirect and no API root leads
away from it.
"""

from __future__ import annotations

import base64
import logging
import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from http import HTTPStatus
from http.cookiejar import DefaultCookiePolicy
from importlib.metadata import version
from pathlib import Path
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
from urllib3.exceptions import (
    HTTPError,
    InvalidHeader,
    MaxRetryError,
    ReadTimeoutError,
    ResponseError,
)
from urllib3.response import BaseHTTPResponse
from urllib3.util import parse_url
from urllib3.util.retry import Retry

from tocsin.admission.descriptions import format_duration
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
from tocsin.clients.bounds import (
    ACCEPTED_CODING,
    ResponseBounds,
    ResponseRefused,
    bound_connections,
    is_too_deep,
    read_body,
)
from tocsin.clients.credentials import read_credential
from tocsin.clients.responses import (
    ListedSubmission,
    Page,
    StatusReport,
    decode_status,
    parse_page,
    parse_submissions,
)
from tocsin.clients.tls import (
    DEFAULT_PORTS,
    TlsFiles,
    explain_tls_failure,
    is_certificate_alert,
    origin,
    without_secrets,
)
from tocsin.config.settings import ClientSettings

log = logging.getLogger(__name__)

_DEFAULTS = ClientSettings()
MEDIA_TYPE = "application/taxii+json;version=2.1"

_RETRIED_STATUSES = (429, 502, 503, 504)
_UNPROCESSED_STATUSES = (429, 503)
"""With these the server says that it did not start on the request."""
_ERRORS: dict[int, type[ShareError]] = {
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
    401: "the hub does not know this account and secret: check both, or ask its operator for a "
    "new key; `tocsin login` keeps it",
    403: "this key lacks the right; ask the operator of the server for it",
    404: "this key sees nothing of that name; `tocsin collections` lists what it sees",
    406: "it does not speak TAXII 2.1; check the URL, or poll it with --taxii 2.0",
    413: "the envelope is too long for it",
    429: "it limits the rate of requests; try again later",
}
_NO_KEY = "; no key was sent: run `tocsin login`, or give --key, TOCSIN_KEY or --cert"
_NO_ACCOUNT = (
    "; it does not take the client certificate: ask its operator to register it, or give "
    "--key or TOCSIN_KEY=account:secret"
)
_MAX_TITLE = 300
"""Characters of a server's message that are shown."""
_MAX_LIST = 2000
"""Characters of a list of collections in a message."""
_MAX_RETRY_AFTER = 120
"""Seconds; a longer wait is reported to the user instead."""
_LONGEST_WAIT, _WAIT_DIGITS = 86_400, 9
"""Seconds that an error says to wait at most; digits of them that are read."""
_MAX_REDIRECTS = 5
_MAX_ROOTS = 100
"""API roots of a server that are read."""
_MAX_LISTS = 1_000
"""Pages of a list of submissions that are read."""
_MAX_RESOURCE_LENGTH = 4 * 1024 * 1024
"""Octets of a resource other than pages and statuses; parsed as a whole it takes up to 30 times as
much."""
_STATUS_FACTOR = 4
"""A status may be this many times as long as a page: it describes up to 100,000 objects, and our
own hub writes 270 octets or more for each."""
_PAGE_ADVICE = "; ask for smaller pages with --limit, or raise max_response_length in client.toml"
_STATUS_ADVICE = "; raise max_response_length in client.toml"
_RESOURCE_ADVICE = ", too long for what was asked for; check the URL, or tell its operator"
_PIECE = 64 * 1024
_PROXY_ERRORS = (
    requests.exceptions.ProxyError,
    requests.exceptions.InvalidURL,
    requests.exceptions.InvalidSchema,
)
"""Errors that concern the proxy, if one is set: the URL of a hub is checked before."""
_HOST_AND_PORT = re.compile(r"(\[[0-9a-f:.%]+\]|[^:\[\]]+)(:[0-9]+)?", re.ASCII | re.IGNORECASE)
_SOCKS_PORT = 1080
PROXY_ADVICE = (
    "check the variables http_proxy, https_proxy and all_proxy (http://HOST:PORT), and no_proxy"
)
_IF_TRUSTED = (
    "If you trust that address, give the URL there: with --url, or as the source's url in "
    "sources.toml"
)
_ELSEWHERE = f"it is another address than the one you gave. {_IF_TRUSTED}"


_NO_ROOT = (
    "{} names the API root {}, but there is none; if a proxy serves the hub below a path of its "
    "own, give the URL of the API root below that path: https://proxy.example/path/hub/"
)
NO_RIGHTS = "ask the operator for rights; if there were some, your agreement may have ended"
"""Advice for a key that may read and write nothing."""


class NotTaxii(Unavailable):
    """Something answered, but it is not a TAXII 2.1 server."""


@dataclass(frozen=True, slots=True)
class RetrySettings:
    """Timeouts and retries; times in seconds."""

    connect: float = 10.0
    """Timeout for opening a connection."""
    read: float = _DEFAULTS.timeout
    """Timeout for each read from the server."""
    retries: int = 3
    pause: float = 0.5
    """Pause before the second retry; doubled from retry to retry."""
    longest_pause: float = 30.0
    bounds: ResponseBounds = ResponseBounds(
        _DEFAULTS.max_response_length, _DEFAULTS.response_timeout
    )
    """Bounds on a page; a status may be longer, and other responses have narrower bounds."""

    def repeatable(self) -> Retry:
        """Retries for requests that are safe to repeat even if they arrived."""
        return self._retry(self.retries, _RETRIED_STATUSES)

    def unrepeatable(self) -> Retry:
        """Retries for requests that are repeated only if the server did not start on them."""
        return self._retry(0, _UNPROCESSED_STATUSES)

    def _retry(self, read: int, statuses: tuple[int, ...]) -> Retry:
        return _BoundedRetry(
            total=self.retries,
            read=read,
            other=read,
            allowed_methods=None,
            status_forcelist=statuses,
            backoff_factor=self.pause,
            backoff_max=self.longest_pause,
            raise_on_status=False,
        )


class _BoundedRetry(Retry):
    """Gives up instead of sleeping for an hour when a server asks for that."""

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
        wait = self.get_retry_after(response) if response else None
        if _pool and wait and wait > _MAX_RETRY_AFTER:
            cause = ResponseError(f"asked to wait {wait:.0f} s")
            raise MaxRetryError(_pool, url or "", cause)
        return super().increment(method, url, response, error, _pool, _stacktrace)

    def get_retry_after(self, response: BaseHTTPResponse) -> float | None:
        """The wait in seconds, also of a date; None if there is none that can be read."""
        try:
            return super().get_retry_after(response)
        except (InvalidHeader, ValueError, OverflowError):
            return None


class _Adapter(HTTPAdapter):
    """Adds timeouts and bounds to every request, which requests itself lacks, and the TLS files.

    The TLS files are set here and not on the session, because requests prefers
    REQUESTS_CA_BUNDLE to the session's settings.
    """

    def __init__(self, settings: RetrySettings, retry: Retry, tls: TlsFiles) -> None:
        self._timeouts = (settings.connect, settings.read)
        self._bounds = settings.bounds
        self._tls = tls
        super().__init__(max_retries=retry)

    def shows_certificate(self, url: str) -> bool:
        """True if the server at `url` is shown a certificate, should it ask for one."""
        return url.startswith("https:") and self._tls.cert_for(url) is not None

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        """See requests."""
        super().init_poolmanager(*args, **kwargs)
        bound_connections(self.poolmanager, self._bounds)

    def proxy_manager_for(self, proxy: str, **kwargs: Any) -> Any:
        """See requests."""
        manager = super().proxy_manager_for(proxy, **kwargs)
        if not proxy.lower().startswith("socks"):  # these have connections of their own
            bound_connections(manager, self._bounds)
        return manager

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
        verify, cert = self._tls.ca_for(url) or verify, self._tls.cert_for(url) or cert
        timeouts = timeout or self._timeouts
        response = super().send(request, True, timeouts, verify, cert, proxies)
        try:
            self._read(response)
        finally:
            response.close()
        return response

    def _read(self, response: requests.Response) -> None:
        """Read the body within bounds, as if requests had done so."""
        host = urlsplit(response.url).netloc
        length = self._bounds.length_for(response.status_code)
        coding = response.headers.get("Content-Encoding", "")
        try:
            body = read_body(_read_pieces(response.raw), coding, length)
        except ReadTimeoutError as error:
            raise requests.ReadTimeout(error, request=response.request) from error
        except HTTPError as error:
            raise requests.exceptions.ChunkedEncodingError(
                error, request=response.request
            ) from error
        if body is None:
            raise self._bounds.too_long(host, length)
        vars(response).update(_content=body, _content_consumed=True)


def _read_pieces(raw: Any) -> Iterable[bytes]:
    return iter(partial(raw.read, _PIECE, decode_content=False), b"")


class BoundedSession(requests.Session):
    """Follows few redirects, keeps no cookies, and asks only for codings read within bounds."""

    def __init__(self, auth: AuthBase) -> None:
        super().__init__()
        self.auth = auth
        self.max_redirects = _MAX_REDIRECTS
        self.headers["Accept-Encoding"] = ACCEPTED_CODING
        self.cookies.set_policy(DefaultCookiePolicy(allowed_domains=()))


class _HubSession(BoundedSession):
    """Sends requests to one origin only, and lets only a GET be redirected."""

    def __init__(self, url: str, auth: AuthBase) -> None:
        super().__init__(auth)
        self._hub = origin(url)

    def send(self, request: requests.PreparedRequest, **kwargs: Any) -> requests.Response:
        """See requests."""
        if origin(str(request.url)) != self._hub:
            raise ResponseRefused(f"nothing is sent to {request.url}; {_ELSEWHERE}")
        return super().send(request, **kwargs)

    def get_redirect_target(self, resp: requests.Response) -> str | None:
        """See requests."""
        target = super().get_redirect_target(resp)
        if target is None:
            return None
        host, to = urlsplit(resp.url).netloc, urljoin(resp.url, target)
        if resp.request.method != "GET":
            raise ResponseRefused(
                f"{host} redirects a submission to {to}; it was not sent there. {_IF_TRUSTED}"
            )
        if origin(to) != self._hub:
            raise ResponseRefused(f"{host} redirects to {to}; {_ELSEWHERE}")
        return target

    def rebuild_auth(self, prepared_request: Any, response: Any) -> None:
        """Keep what the first request had; requests would look into ~/.netrc."""


def mount_adapter(
    session: requests.Session, settings: RetrySettings, retry: Retry, tls: TlsFiles
) -> None:
    """Give a session the timeouts of `settings`, the retries of `retry`, and TLS files."""
    for scheme in ("http://", "https://"):
        session.mount(scheme, _Adapter(settings, retry, tls))


@contextmanager
def _deny_missing() -> Iterator[None]:
    """Turn NotFound into NotAllowed: the key does not see a collection that it names."""
    try:
        yield
    except NotFound as error:
        raise NotAllowed(str(error)) from error


@contextmanager
def translate_errors(url: str) -> Iterator[None]:
    """Turn each failure of a request to `url` into a ShareError with a text for the user."""
    host = name_host(url)
    try:
        yield
    except requests.HTTPError as error:
        raise _explain_status(host, error.response) from error
    except requests.Timeout as error:
        raise Unavailable(_describe_silence(url)) from error
    except AccessError as error:
        raise NotAllowed(
            f"{host} does not let this key do that ({error}); ask its operator for the right"
        ) from error
    except (requests.exceptions.JSONDecodeError, msgspec.DecodeError, RecursionError) as error:
        place = without_secrets(url)
        raise NotTaxii(f"{place} did not answer in JSON; check the URL") from error
    except requests.RequestException as error:
        raise _explain_failure(url, error) from error
    except (TAXIIServiceException, AttributeError, KeyError, TypeError, ValueError) as error:
        place = without_secrets(url)
        raise NotTaxii(f"{place} did not answer in TAXII 2.1; check the URL") from error


def name_host(url: str) -> str:
    """Host and port of a URL, for messages."""
    return urlsplit(url).netloc.rpartition("@")[2]


def _describe_silence(url: str) -> str:
    return f"{name_host(url)}{_way(url)} did not answer in time; try again later"


def _way(url: str) -> str:
    proxy = find_proxy(url)
    return f" (through {name_proxy(proxy)})" if proxy else ""


def find_ca_certificates(url: str) -> Path:
    """A file or folder of CA certificates: those that requests trusts where no setting names some.

    The variables REQUESTS_CA_BUNDLE and CURL_CA_BUNDLE name others than those that it comes with.
    """
    with requests.Session() as session:
        found = session.merge_environment_settings(url, {}, None, True, None)["verify"]
    return Path(requests.utils.DEFAULT_CA_BUNDLE_PATH if found is True else str(found))


def find_proxy(url: str) -> str:
    """The URL of the proxy that requests would use, which may hold a password; empty: none."""
    proxies = requests.utils.get_environ_proxies(url)
    return str(requests.utils.select_proxy(url, proxies) or "")


def name_proxy(proxy: str) -> str:
    """A proxy, for messages: host and port of its URL, if nothing there may be a password.

    >>> name_proxy("http://me:secret@proxy.example:3128/"), name_proxy("http://me:secret")
    ('the proxy proxy.example:3128', 'the proxy that is set')
    """
    place = re.split("[/?#]", proxy.rpartition("@")[2].rpartition("://")[2])[0]
    return f"the proxy {place if _HOST_AND_PORT.fullmatch(place) else 'that is set'}"


def parse_proxy(proxy: str) -> tuple[str, int]:
    """Host and port of a proxy's URL, as requests reads it.  Raises ValueError if it cannot."""
    parts = parse_url(proxy)
    if not parts.host:
        raise ValueError("no host")
    return parts.host.strip("[]"), parts.port or DEFAULT_PORTS.get(
        parts.scheme or "http", _SOCKS_PORT
    )


def _explain_failure(url: str, error: requests.RequestException) -> ShareError:
    """The error for a request to `url` without a response.

    urllib3 tells a failure on the way to a proxy from one behind it, except with SOCKS.
    """
    host, proxy = name_host(url), find_proxy(url)
    if proxy and isinstance(error, _PROXY_ERRORS):
        return Unavailable(_explain_proxy_failure(host, proxy, error))
    cause = _innermost_cause(error)
    if isinstance(error, requests.exceptions.SSLError) or is_certificate_alert(error):
        return explain_tls_failure(host, cause)
    if isinstance(error, requests.exceptions.ChunkedEncodingError):  # of whatever body
        return Unavailable(
            f"the connection to {host} broke before its whole answer was here "
            f"({_format_cause(cause)}); run it again"
        )
    if isinstance(cause, ReadTimeoutError):  # after the last retry, requests has no Timeout for it
        return Unavailable(_describe_silence(url))
    if proxy:
        return Unavailable(_explain_proxy_failure(host, proxy, error))
    return Unavailable(f"{host} cannot be reached ({_format_cause(cause)}); check the URL")


def _explain_proxy_failure(host: str, proxy: str, error: requests.RequestException) -> str:
    place = f"{host} cannot be reached through {name_proxy(proxy)}"
    if "SOCKS support" in str(error):
        return f"{place}: PySocks is not installed; run pip install 'requests[socks]'"
    if isinstance(error, ValueError):  # its text may hold the password
        return f"{place}: its URL cannot be read; {PROXY_ADVICE}"
    return f"{place} ({_format_cause(_innermost_cause(error))}); {PROXY_ADVICE}"


def _explain_status(host: str, response: requests.Response) -> ShareError:
    """The error for a 4xx or 5xx response, with the server's own message."""
    status = response.status_code
    kind = _ERRORS.get(status, Unavailable)  # 408, 409, 410 …: not about what was sent
    message = "" if status == HTTPStatus.UNAUTHORIZED else _read_message(response)  # for programs
    text = f"{host} says {status}" + (f": {message}" if message else "")
    wait = response.headers.get("Retry-After", "")
    if kind is Unavailable and wait.isdecimal():
        seconds = min(int(wait[:_WAIT_DIGITS]), _LONGEST_WAIT)
        is_said = "retry in" in message
        text += "" if is_said else f"; try again in {format_duration(seconds)}"
        return Unavailable(text, seconds)
    return kind(text + _advice(status, response))


def _advice(status: int, response: requests.Response) -> str:
    if status == 401 and "Authorization" not in response.request.headers:
        return _NO_ACCOUNT if _was_shown_certificate(response) else _NO_KEY
    if status == 406 and "version=2.0" in response.request.headers.get("Accept", ""):
        return "; it does not speak TAXII 2.0; check the URL, or poll it without --taxii 2.0"
    if advice := _ADVICE.get(status):
        return f"; {advice}"
    if status == HTTPStatus.BAD_REQUEST and len(_read_error(response)) > 1:
        return ""  # its description says what is wrong with the request
    return "; try again later" if status >= 500 else "; check the URL, or try again later"


def _was_shown_certificate(response: requests.Response) -> bool:
    adapter = getattr(response, "connection", None)
    return isinstance(adapter, _Adapter) and adapter.shows_certificate(response.url)


def _read_message(response: requests.Response) -> str:
    """Title and description of a TAXII error message, or else the name of the HTTP status."""
    if texts := _read_error(response):
        return ": ".join(texts)[:_MAX_TITLE]
    phrases = {each.value: each.phrase for each in HTTPStatus}
    return phrases.get(response.status_code, "")


def _read_error(response: requests.Response) -> list[str]:
    """Title and description of a TAXII error message, without those that it does not have."""
    try:
        body = response.json()
    except (ValueError, RecursionError):
        return []
    if not isinstance(body, dict):
        return []
    parts = (body.get("title"), body.get("description"))
    return list(dict.fromkeys(part for part in parts if isinstance(part, str) and part))


def _innermost_cause(error: Exception) -> Exception:
    """The reason of an error, without the wrapping of requests and urllib3."""
    while True:
        inner = getattr(error, "reason", None)
        if inner is None:
            inner = next((each for each in error.args if isinstance(each, Exception)), None)
        if not isinstance(inner, Exception):
            return error
        error = inner


def _format_cause(cause: Exception) -> str:
    return str(cause).rpartition(": ")[2][:_MAX_TITLE] or type(cause).__name__


@dataclass(frozen=True, slots=True)
class Collection:
    """A collection of a server (TAXII 2.1 section 5.2)."""

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
    """True if the server's stamps are unique and in order, so that `added_after` loses nothing."""

    def rank_name(self, name: str) -> int:
        """Rank of the match with `name`: 3 by id, 2 by alias, 1 by title, 0 for none."""
        if name == self.id:
            return 3
        if self.alias and name == self.alias:
            return 2
        return int(name.casefold() == self.title.casefold())


class Hub:
    """A TAXII 2.1 server: Tocsin's hub or another."""

    def __init__(
        self,
        url: str,
        key: str = "",
        retries: RetrySettings | None = None,
        tls: TlsFiles | None = None,
    ) -> None:
        """`url` may be the discovery URL, the server's root or an API root.

        Sends nothing yet.  `tls` is used for this hub, whatever URL it names.
        Raises Malformed if `url` or a file of `tls` cannot be used.
        """
        self.url = _check_url(url)
        tls = replace(tls or TlsFiles(), url=self.url)
        tls.check()
        self.retries = retries = retries or RetrySettings()
        auth = OriginAuth(self.url, key)
        if key and self.url.startswith("http:") and not is_loopback(self.url):
            log.warning("the key goes to %s unencrypted; use https", urlsplit(self.url).hostname)
        agent = f"tocsin/{version('tocsin')}"
        self._connection = _HTTPConnection(version="2.1", user_agent=agent)
        self._connection.session = _HubSession(self.url, auth)
        self._connection.session.headers["User-Agent"] = agent  # taxii2-client's POST omits it
        self._connection.session.hooks["response"].append(_check_depth)
        resources = replace(retries, bounds=_bound_resources(retries.bounds))
        mount_adapter(self._connection.session, resources, retries.repeatable(), tls)
        self._pages = _HubSession(self.url, auth)
        self._statuses = _HubSession(self.url, auth)
        self._statuses.hooks["response"].append(_check_depth)
        for session in (self._pages, self._statuses):
            session.headers.update({"User-Agent": agent, "Accept": MEDIA_TYPE})
        advice = retries.bounds.advice or _PAGE_ADVICE
        pages = replace(retries, bounds=replace(retries.bounds, advice=advice))
        mount_adapter(self._pages, pages, retries.unrepeatable(), tls)
        statuses = replace(retries, bounds=_bound_statuses(retries.bounds))
        mount_adapter(self._statuses, statuses, retries.repeatable(), tls)
        self._known_roots: tuple[Any, ...] = ()

    @classmethod
    def from_settings(cls, settings: ClientSettings) -> Self:
        """The hub that the settings name.  Raises Malformed if a setting cannot be used."""
        bounds = ResponseBounds(settings.max_response_length, settings.response_timeout)
        return cls(
            settings.url,
            read_credential(settings),
            RetrySettings(read=settings.timeout, bounds=bounds),
            TlsFiles(cert=settings.cert, ca=settings.ca),
        )

    def __enter__(self) -> Hub:
        """The hub itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """See close."""
        self.close()

    def close(self) -> None:
        """Close the connections."""
        self._connection.close()
        self._pages.close()
        self._statuses.close()

    def fetch_date(self) -> str:
        """The `Date` of the server's answer, whatever that is; empty if it has none."""
        with translate_errors(self.url):
            return str(self._pages.get(self.url).headers.get("Date", ""))

    def list_collections(self) -> list[Collection]:
        """Every collection of every API root that answers, in the server's order.

        Raises the error of the first root if no root answers.
        """
        found: list[Collection] = []
        errors: list[ShareError] = []
        roots = self._roots()
        for root in roots:
            try:
                found += self._list_root(root)
            except ShareError as error:
                log.warning("the API root %s is left out: %s", root.url, error)
                errors.append(error)
        if len(errors) == len(roots):
            raise errors[0]
        return found

    def find_collection(self, name: str, right: str = "can_read") -> Collection:
        """The collection with this id, alias or title, in any API root.

        `right` (can_read or can_write) decides between two that have the name.
        Raises NotFound if there is none, Malformed if there are several.
        """
        collections = self.list_collections()
        best = max((each.rank_name(name) for each in collections), default=0)
        named = [each for each in collections if best and each.rank_name(name) == best]
        if not named:
            known = list_names(collections)
            seen = f"it sees: {known}" if known else f"it sees none at all: {NO_RIGHTS}"
            raise NotFound(f"this key sees no collection {ascii(name)}; {seen}")
        usable = [each for each in named if getattr(each, right)] or named
        if len(usable) > 1:
            ids = ", ".join(each.id for each in usable)[:_MAX_LIST]
            raise Malformed(f"{ascii(name)} names several collections; use an id: {ids}")
        return usable[0]

    def find_usable(self, name: str, right: str = "can_read") -> Collection:
        """As `find_collection`; raises NotAllowed if the key does not see it or lacks the right."""
        with _deny_missing():
            collection = self.find_collection(name, right)
        if not getattr(collection, right):
            act = "write to" if right == "can_write" else "read"
            allowed = list_names(c for c in self.list_collections() if getattr(c, right))
            others = f", only {allowed}: name one of these, or" if allowed else ";"
            raise NotAllowed(
                f"this key may not {act} {name}{others} ask the operator for the right"
            )
        return collection

    def max_content_length(self, collection: Collection) -> int:
        """The longest body that the collection's API root accepts, in octets."""
        root = next((each for each in self._roots() if each.url == collection.root), None)
        root = root or ApiRoot(collection.root, conn=self._connection)
        with translate_errors(root.url):
            longest = root.max_content_length
        if not isinstance(longest, int) or longest <= 0:
            raise Malformed(
                f"{root.url} gives no usable max_content_length (TAXII 2.1 section 4.2.1); "
                "ask its operator to set one"
            )
        return longest

    def fetch_page(self, collection: Collection, query: Mapping[str, str]) -> Page:
        """One page of a collection's objects; requested once, see the module's docstring."""
        url = collection.url + "objects/"
        with translate_errors(url):
            response = self._pages.get(url, params=dict(query))
            response.raise_for_status()
            return parse_page(response.content, response.headers)

    def post_envelope(self, collection: Collection, envelope: bytes) -> StatusReport:
        """Submit an envelope; repeated if the response was lost, which is safe.

        Raises NotAllowed if the key does not see the collection any more.
        """
        headers = {"Content-Type": MEDIA_TYPE}
        with _deny_missing(), translate_errors(collection.url):
            url = collection.url + "objects/"
            response = self._statuses.post(url, headers=headers, data=envelope)
            response.raise_for_status()
            return decode_status(response.content)

    def fetch_status(self, id: str, root: str = "") -> StatusReport:
        """The status of a submission; looked for in every API root unless `root` is given.

        Raises NotFound if no root knows it, ResponseTooLong if it is longer than a status may be.
        """
        refused: ShareError | None = None
        for url in [root] if root else [each.url for each in self._roots()]:
            address = f"{url}status/{quote(id, safe='')}/"
            try:
                with translate_errors(address):
                    response = self._statuses.get(address)
                    response.raise_for_status()
                    return decode_status(response.content)
            except (NotFound, NotAllowed) as error:
                refused = error
        if isinstance(refused, NotAllowed):
            raise refused
        raise NotFound(
            f"{self.url} knows no status {ascii(id)} of this key; "
            "check the id: it may be of another partner, or removed because of its age, or the "
            "hub was restored from a backup of before; without an agreement in force, a key sees "
            "none"
        )

    def list_submissions(self) -> Iterator[ListedSubmission]:
        """List the submissions of this key's partner, the newest first; at most 1,000 pages.

        They are those of the first API root that lists any.

        Raises NotFound if none does: it is an extension of Tocsin's hub.
        """
        refused = NotFound(f"{self.url} does not list submissions")
        for root in self._roots():
            try:
                yield from self._list_submissions_of(root)
                return
            except (NotFound, NotTaxii, NotAllowed) as error:
                log.debug("%s: %s", root.url, error)
        raise refused

    def _list_submissions_of(self, root: Any) -> Iterator[ListedSubmission]:
        """The submissions of an API root, each once; a server's list may have no end."""
        address, query, seen = f"{root.url}submissions/", {"limit": "100"}, set[str]()
        for _ in range(_MAX_LISTS):
            with translate_errors(address):
                page = self._connection.get(address, params=query)
                found, query["next"] = parse_submissions(page, root.url)
            new = {each.id: each for each in found if each.id not in seen}
            seen.update(new)
            yield from new.values()
            if not (new and query["next"]):
                return
        log.warning("%s has no end after %d pages; the rest is left out", address, _MAX_LISTS)

    def _has_exact_stamps(self, root: Any) -> bool:
        """True if an API root is one of our hub.  Raises NotFound if there is none at its URL."""
        try:
            with translate_errors(root.url):
                return any(name.startswith("x_tocsin_") for name in root.custom_properties)
        except NotFound as error:
            raise NotFound(_NO_ROOT.format(self.url, root.url)) from error

    def _list_root(self, root: Any) -> list[Collection]:
        exact = self._has_exact_stamps(root)
        with translate_errors(root.url):
            return [
                Collection(
                    id=each.id,
                    alias=_read_text(each.alias),
                    title=_read_text(each.title),
                    description=_read_text(each.description),
                    can_read=each.can_read is True,
                    can_write=each.can_write is True,
                    root=root.url,
                    url=each.url,
                    exact=exact,
                )
                for each in root.collections
            ]

    def _roots(self) -> tuple[Any, ...]:
        if not self._known_roots:
            self._known_roots = self._discover_roots()
        if not self._known_roots:
            raise NotAllowed(
                f"{self.url} names no API root for this key; "
                "check the key, or ask the operator for access"
            )
        return self._known_roots

    def _discover_roots(self) -> tuple[Any, ...]:
        """The API roots behind the URL, of whichever kind it is.

        If the URL leads nowhere, the discovery URL of the same server is tried (TAXII 2.1
        section 4.1).
        """
        discovery = urljoin(self.url, "/taxii2/")
        try:
            server = self._fetch_discovery(self.url)
        except (NotFound, NotTaxii, NotAuthenticated, NotAllowed):
            if self.url == discovery:
                raise
            server = self._fetch_discovery(discovery)
        if "max_content_length" in server.custom_properties:
            return (ApiRoot(server.url, conn=self._connection),)
        urls = list(dict.fromkeys(_check_url(root.url) for root in server.api_roots))
        if len(urls) > _MAX_ROOTS:
            log.warning("%s names %d API roots; %d are read", self.url, len(urls), _MAX_ROOTS)
        return tuple(
            ApiRoot(url, conn=self._connection) for url in self._select_roots(urls[:_MAX_ROOTS])
        )

    def _select_roots(self, urls: list[str]) -> list[str]:
        """The API roots that may be asked.  Raises ResponseRefused if all are at other origins."""
        elsewhere = [url for url in urls if origin(url) != origin(self.url)]
        for url in elsewhere:
            message = f"the API root {url} is left out; {_ELSEWHERE}"
            if len(elsewhere) == len(urls):
                raise ResponseRefused(message)
            log.warning("%s", message)
        return [url for url in urls if url not in elsewhere]

    def _fetch_discovery(self, url: str) -> Any:
        server = Server(url, conn=self._connection)
        with translate_errors(url):
            server.refresh()
        return server


def _bound_statuses(pages: ResponseBounds) -> ResponseBounds:
    """The bounds on statuses."""
    return replace(pages, max_length=_STATUS_FACTOR * pages.max_length, advice=_STATUS_ADVICE)


def _bound_resources(pages: ResponseBounds) -> ResponseBounds:
    """The bounds on resources other than pages and statuses."""
    length = min(pages.max_length, _MAX_RESOURCE_LENGTH)
    return replace(pages, max_length=length, advice=_RESOURCE_ADVICE)


def _check_depth(response: requests.Response, **_: Any) -> None:
    if is_too_deep(response.content):
        raise ResponseRefused(
            f"the response of {urlsplit(response.url).netloc} is nested too deeply; "
            "check the URL, or tell its operator"
        )


def list_names(collections: Iterable[Collection]) -> str:
    """The names of collections in order, cut where there are many."""
    return ", ".join(sorted(each.alias or each.title for each in collections))[:_MAX_LIST]


def _read_text(value: object) -> str:
    """A text of a server; empty if it is of another type."""
    return value if isinstance(value, str) else ""


class OriginAuth(AuthBase):
    """Sends a credential to the origin of the user's URL only, and none from ~/.netrc."""

    def __init__(self, url: str, credential: str, header: str = "") -> None:
        """`account:secret` is sent as Basic, a key without a colon as Bearer, an empty one not.

        `header` is one that takes the credential as it is.
        """
        self._origin, self.header = origin(url), header or "Authorization"
        self._value = credential
        if credential and not header:
            basic = base64.b64encode(credential.encode()).decode("ascii")
            self._value = f"Basic {basic}" if ":" in credential else f"Bearer {credential}"

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        """See requests."""
        if self._value and origin(str(request.url)) == self._origin:
            request.headers[self.header] = self._value
        return request


def _check_url(url: str) -> str:
    """The URL with a slash at its end.  Raises Malformed."""
    try:
        parts = urlsplit(url)
        usable = parts.scheme in DEFAULT_PORTS and bool(parts.hostname) and parts.port != 0
    except ValueError:
        usable = False
    if not usable or parts.query or parts.fragment:
        raise Malformed(
            f"{ascii(without_secrets(url)[:80])} cannot be the URL of a TAXII server; "
            "give one like https://hub.example/taxii2/"
        )
    if parts.username or parts.password:
        raise Malformed("the URL holds a key; give it with --key or TOCSIN_KEY instead")
    return url.rstrip("/") + "/"


def is_loopback(url: str) -> bool:
    """True if the URL names this machine."""
    host = urlsplit(url).hostname or ""
    return host in ("localhost", "::1") or host.startswith("127.")
