"""A TAXII client for one server: credentials, headers, retries.

Other facts about the server are in `server.py`.
"""

from __future__ import annotations

import base64
import re
import time
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote, urlencode

from tocsin.conformance.http import MEDIA_TYPE, Request, Response, Target, send_request

Query = Mapping[str, str] | Sequence[tuple[str, str]]

_AGENT = "tocsin-conformance/1"
_ATTEMPTS = 5
_PAUSE = re.compile("[0-9]{1,2}")
"""A `Retry-After` that is obeyed: less than 100 seconds."""


class SkipCheck(Exception):
    """A check cannot be made here; the text says why."""


class Unexpected(Exception):
    """An expectation without which a check cannot go on was not met."""

    def __init__(self, expected: str, answer: Response) -> None:
        super().__init__(expected)
        self.expected, self.answer = expected, answer


@dataclass(frozen=True, slots=True)
class Options:
    """Options of a run."""

    target: Target
    discovery: str = "/taxii2/"
    """The path of the discovery resource."""
    credential: str = field(default="", repr=False)
    """The Authorization header of the account; empty: none."""
    other: str = field(default="", repr=False)
    """The credential of a second account."""
    root: str = ""
    collection: str = ""
    """Id or alias of a collection that may be written."""
    certificate: bool = False
    """The target's context holds a client certificate."""


def basic_auth_header(key: str) -> str:
    """The Authorization header for `account:secret` (RFC 7617)."""
    return "Basic " + base64.b64encode(key.encode()).decode()


def encode_query(query: Query) -> str:
    """A query string.

    >>> encode_query({"match[type]": "a,b"})
    'match%5Btype%5D=a,b'
    """
    return urlencode(query, quote_via=quote, safe=",:")


class TaxiiClient:
    """Asks one server, as one account if nothing else is said."""

    def __init__(self, options: Options) -> None:
        self.options = options

    def ask(
        self,
        method: str,
        path: str,
        query: Query = (),
        headers: Mapping[str, str | None] | None = None,
        **body: Any,
    ) -> Response:
        """Send a request with the account's credential; a header of None is left out.

        `body` and `chunked` go to `Request`.  If the server answers with Retry-After, it retries.
        """
        sent = {"User-Agent": _AGENT, "Accept": MEDIA_TYPE, "Authorization": None}
        sent["Authorization"] = self.options.credential or None
        sent |= dict(headers or {})
        asked = Request(
            method,
            path + (f"?{encode_query(query)}" if query else ""),
            {name: value for name, value in sent.items() if value is not None},
            **body,
        )
        for _ in range(_ATTEMPTS):
            answer = send_request(self.options.target, asked)
            pause = answer.header("Retry-After") or ""
            if answer.status != 429 or not _PAUSE.fullmatch(pause):
                break
            time.sleep(int(pause) + 0.2)
        return answer

    def get(self, path: str, query: Query = (), **headers: str | None) -> Response:
        """A GET; headers by their names with underscores."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return self.ask("GET", path, query, named)

    def read(self, path: str, query: Query = ()) -> Response:
        """A GET that must succeed."""
        answer = self.get(path, query)
        if answer.status != 200:
            raise Unexpected("200", answer)
        return answer

    @property
    def wrong_credential(self) -> str:
        """A credential that opens nothing; empty if the account has none."""
        return (
            basic_auth_header(f"nobody-{uuid.uuid4().hex}:wrong") if self.options.credential else ""
        )
