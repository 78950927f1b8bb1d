"""A TAXII 2.1 server as the clients see it.

taxii2-client speaks the protocol for discovery, API roots, collections, pushes
and statuses; `patience` gives it the time-outs and retries that it lacks.  Its
classes for collections and statuses are passed by where they refuse what other
servers answer: a count that does not agree with a list is no reason to lose the rest.
Pages of objects are asked for directly, since taxii2-client drops the response
headers that say how to go on (release 2.3.0), and each page is asked for once:
some servers move on when they are asked, so that asking again after a lost
answer would skip a page.
"""

import base64
import logging
from collections.abc import Mapping
from dataclasses import dataclass, replace
from importlib.metadata import version
from typing import Any
from urllib.parse import quote, urljoin, urlsplit

import requests
from requests.auth import AuthBase
from taxii2client.common import _HTTPConnection
from taxii2client.v21 import ApiRoot, Server

from tocsin.admission.errors import (
    Malformed,
    NotAllowed,
    NotAuthenticated,
    NotFound,
    ShareError,
)
from tocsin.clients.answers import Page, StatusReport, page, report
from tocsin.clients.papers import PORTS, Papers, origin
from tocsin.clients.patience import NotTaxii, Patience, answering, equip

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

    def __enter__(self) -> "Hub":
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
