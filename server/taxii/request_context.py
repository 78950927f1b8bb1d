"""One request on its way through the middleware: account, collection, start, allowance.

The one thing that is edited in place here, because Flask hands a request from
function to function; it ends as one line in the log.
"""

import secrets
import time
from dataclasses import dataclass, field

from flask import g

from tocsin.server.model import Account
from tocsin.server.taxii.rate_limit import Allowance

_SHOWN = 120


@dataclass(slots=True)
class Visit:
    """What is known so far about the request in hand."""

    id: str = field(default_factory=lambda: secrets.token_hex(8))
    """For the log; also the error_id of what went wrong."""
    started: float = field(default_factory=time.monotonic)
    account: Account | None = None
    collection: str = ""
    """The alias, else the id, of the collection once it was found."""
    objects: int | None = None
    """Entries on the page, objects in the envelope, versions deleted."""

    allowance: Allowance | None = None
    """What the account has left of its requests, if they are counted."""

    @property
    def guest(self) -> Account:
        """The account that was authenticated; there is one behind every guarded path."""
        if self.account is None:
            raise RuntimeError("a guarded path was reached without authentication")
        return self.account

    @property
    def milliseconds(self) -> float:
        """Since the request came in."""
        return (time.monotonic() - self.started) * 1000


def visit() -> Visit:
    """The request in hand."""
    if "visit" not in g:
        g.visit = Visit()
    found: Visit = g.visit
    return found


def plain(text: str) -> str:
    """Text of a stranger's, fit for one line of the log.

    >>> plain("/hub/\\nINFO all well")
    '/hub/?INFO?all?well'
    """
    kept = "".join(c if "!" <= c <= "~" else "?" for c in text[:_SHOWN])
    return kept + ("..." if len(text) > _SHOWN else "")
