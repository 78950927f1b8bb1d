"""State of one request: its id, account, collection, counts and rate limit.

The one object here that is edited in place, because Flask passes a request from function to
function; it ends as one line in the log.  The server in front runs a request by its head alone,
and again if it needs a body that arrives later: it is counted once, and authenticated each time.
"""

import secrets
import time
from dataclasses import dataclass, field

from flask import request

from tocsin.server.model import Account
from tocsin.server.taxii.protocols import HubState
from tocsin.server.taxii.rate_limit import Allowance

_KEY = "tocsin.request_context"
"""WSGI environ key: a request that is run again when its body has arrived keeps its context."""
_MAX_LOGGED = 120


@dataclass(slots=True)
class RequestContext:
    """The facts known so far about the current request."""

    id: str = field(default_factory=lambda: secrets.token_hex(8))
    """For the log, X-Request-Id and the error_id of a 500."""
    started: float = field(default_factory=time.monotonic)
    account: Account | None = None
    state: HubState | None = None
    """The configuration, and what the requested collection is at; None until it is looked up."""
    collection: str = ""
    """The collection's alias, else its id; empty until it is found."""
    objects: int | None = None
    """Entries of the page, objects of the envelope, or versions deleted."""
    is_complete: bool = True
    """False if there is a further page."""
    allowance: Allowance | None = None
    """The account's remaining requests; None without a rate limit."""

    @property
    def authenticated(self) -> Account:
        """The authenticated account; only public discovery is served without one."""
        if self.account is None:
            raise RuntimeError("a protected endpoint was reached without authentication")
        return self.account

    @property
    def hub(self) -> HubState:
        """The state that `authenticate` has looked up."""
        if self.state is None:
            raise RuntimeError("nothing was looked up yet")
        return self.state

    @property
    def milliseconds(self) -> float:
        """Since the request arrived."""
        return (time.monotonic() - self.started) * 1000


def request_context() -> RequestContext:
    """The context of the current request."""
    context: RequestContext | None = request.environ.get(_KEY)
    if context is None:
        context = request.environ[_KEY] = RequestContext()
    return context


def sanitise_log_text(text: str) -> str:
    """Text from a client, cut and reduced to printable ASCII, safe within one line of the log.

    >>> sanitise_log_text("/hub/\\nINFO all well")
    '/hub/?INFO?all?well'
    """
    safe = "".join(c if "!" <= c <= "~" else "?" for c in text[:_MAX_LOGGED])
    return safe + ("..." if len(text) > _MAX_LOGGED else "")
