"""Download files from servers that may be hostile.

Responses are read within bounds (see `bounds`).  Nothing is read from an address inside our own
network, wherever a name or a redirect leads, unless the source allows it.  A credential goes only
to the scheme, host and port of the source's URL.  A redirect never leads from https to http.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from http import HTTPStatus
from importlib.metadata import version
from typing import Self
from urllib.parse import urljoin, urlsplit

import requests

from tocsin.admission.errors import NotAllowed, NotFound, ShareError, Unavailable
from tocsin.clients.bounds import ResponseRefused
from tocsin.clients.http import (
    BoundedSession,
    OriginAuth,
    RetrySettings,
    mount_adapter,
    translate_errors,
)
from tocsin.clients.tls import TlsFiles, origin

_WAIT, _MAX_WAIT = 5, 24 * 60 * 60
"""Seconds before another attempt where a server names none, and at most."""
_ADVICE = "; raise max_length of the source if it is right"


@dataclass(frozen=True, slots=True)
class Download:
    """A file, and what a later request needs to learn whether it has changed."""

    content: bytes
    etag: str = ""
    last_modified: str = ""


@dataclass(frozen=True, slots=True)
class Access:
    """Credential and bounds for reading a source."""

    credential: str = ""
    """`user:password` is sent as Basic, a token without a colon as Bearer; empty: none."""
    header: str = ""
    """The header that takes the credential as it is, such as X-Api-Key; empty: Authorization."""
    allow_private: bool = False
    """Connect to addresses inside our own network too."""
    max_length: int = 128 * 1024 * 1024
    """Octets of a response after decompression."""
    tls: TlsFiles = TlsFiles()


class Downloads:
    """Downloads from one source; a context manager."""

    def __init__(self, url: str, access: Access) -> None:
        """`url`: that of the source, which alone is given its credential."""
        retries = RetrySettings()
        bounds = replace(
            retries.bounds,
            max_length=access.max_length,
            advice=_ADVICE,
            public_only=not access.allow_private,
        )
        settings = replace(retries, bounds=bounds)
        self._session = _Session(url, access)
        mount_adapter(self._session, settings, settings.repeatable(), access.tls)

    def __enter__(self) -> Self:
        """The downloads themselves."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close the connections."""
        self._session.close()

    def fetch(
        self, url: str, known: Download | None = None, accept: str = "*/*", **headers: str
    ) -> Download | None:
        """A file; None if it is as it was when `known` was downloaded.

        Raises a ShareError if it cannot be read.
        """
        response = self.send(url, {"Accept": accept, **_conditions(known), **headers})
        if response is None:
            return None
        etag, modified = (response.headers.get(n, "") for n in ("ETag", "Last-Modified"))
        return Download(bytes(response.content), etag, modified)

    def send(self, url: str, headers: dict[str, str]) -> requests.Response | None:
        """The response to a GET; None if the file has not changed."""
        with translate_errors(url):
            response = self._session.get(url, headers=headers)
        if response.status_code == HTTPStatus.NOT_MODIFIED:
            return None
        if not response.ok:
            raise _explain_status(response)
        return response


def _conditions(known: Download | None) -> dict[str, str]:
    """The headers of a conditional request (RFC 9110 section 13.1)."""
    if known is None:
        return {}
    named = {"If-None-Match": known.etag, "If-Modified-Since": known.last_modified}
    return {name: value for name, value in named.items() if value}


def _explain_status(response: requests.Response) -> ShareError:
    status, host = response.status_code, urlsplit(response.url).netloc
    if status in (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN):
        return NotAllowed(f"{host} says {status}; check the credential of the source")
    if status in (HTTPStatus.NOT_FOUND, HTTPStatus.GONE):
        return NotFound(f"{host} says {status}; check the url of the source")
    return Unavailable(f"{host} says {status} {response.reason}", _retry_after(response))


def _retry_after(response: requests.Response) -> int:
    """The wait that the server asks for, in seconds."""
    value = response.headers.get("Retry-After", "")
    return min(int(value), _MAX_WAIT) if value.isdecimal() and len(value) < 9 else _WAIT


class _Session(BoundedSession):
    def __init__(self, url: str, access: Access) -> None:
        self._credential = OriginAuth(url, access.credential, access.header)
        super().__init__(self._credential)
        self._origin = origin(url)
        self.headers["User-Agent"] = f"tocsin/{version('tocsin')}"

    def get_redirect_target(self, resp: requests.Response) -> str | None:
        """See requests."""
        target = super().get_redirect_target(resp)
        if target is not None:
            of, to = urlsplit(resp.url), urlsplit(urljoin(resp.url, target))
            if to.scheme not in ("https", of.scheme):
                raise ResponseRefused(
                    f"{of.netloc} redirects from {of.scheme} to {to.scheme}; it is not followed"
                )
        return target

    def rebuild_auth(
        self, prepared_request: requests.PreparedRequest, response: requests.Response
    ) -> None:
        """Drop the credential on the way to another origin; requests would look into ~/.netrc."""
        if origin(str(prepared_request.url)) != self._origin:
            prepared_request.headers.pop(self._credential.header, None)
