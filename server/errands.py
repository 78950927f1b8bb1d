"""What a transaction leaves to be done after it."""

from __future__ import annotations

from dataclasses import dataclass

from tocsin.server.model import Arrivals


@dataclass(frozen=True, slots=True)
class Errand:
    """To see to what waited for what has arrived.  To do one twice does no harm."""

    id: str
    arrivals: Arrivals
    after: str = ""
    """Where the next portion begins of the contributions to be completed, if there is one."""
    revoked: frozenset[str] = frozenset()
    """Ids that the partner revoked: nobody need decide any more what waits under them."""
