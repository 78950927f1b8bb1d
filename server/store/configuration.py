"""The configuration in memory: collections, partners with accounts, keys and agreements.

Every change of them raises a number in the document `configuration`, which lies beside
the feeds' heads.  A request reads both in one look-up, and so knows whether what this
process remembers is still in force.  Rights that end by time are not remembered:
`server/agreements.py` decides them for each request.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from tocsin.server.model import Account, Agreement, Collection, Partner
from tocsin.server.store.connection import Base, Document, Session

CONFIGURATION = "configuration"
"""Key of the document with the revision, among the heads."""
ONLY_FEEDS: Document = {"_id": {"$ne": CONFIGURATION}}
"""Selects the heads of feeds, without the document of the configuration."""
_MOST_SECONDS = 60.0
"""Age at which a configuration is read again in any case: an operator may edit a database."""


def increment_configuration_revision(base: Base, session: Session = None) -> None:
    """Say that collections, partners, accounts, keys or agreements have changed."""
    change = {"$inc": {"revision": 1}}
    base.heads.update_one({"_id": CONFIGURATION}, change, upsert=True, session=session)


@dataclass(frozen=True, slots=True)
class Configuration:
    """All of one revision, but of the accounts those that were asked for."""

    revision: int
    collections: Sequence[Collection]
    agreements: Mapping[str, Sequence[Agreement]] = field(default_factory=dict)
    """Agreements by partner, in force or not."""
    partners: Mapping[str, Partner] = field(default_factory=dict)
    """Partners by slug."""
    accounts: dict[str, Account] = field(default_factory=dict)
    """Accounts by credential; unknown credentials are not remembered."""
    read_at: float = field(default_factory=time.monotonic)

    def holds_at(self, revision: int) -> bool:
        """True if it is still in force."""
        return revision == self.revision and time.monotonic() - self.read_at < _MOST_SECONDS

    def feeds_of(self, name: str) -> frozenset[str]:
        """The feeds whose heads belong to the collection of this id or alias; none for ""."""
        named = [each for each in self.collections if name and name in (each.id, each.alias)]
        found: set[str] = set()
        for each in named:
            found.update([each.id] if each.view is None else each.view.sources)
        return frozenset(found)
