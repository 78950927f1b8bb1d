"""Whether a transaction whose answer was lost had been committed after all.

A database that is killed between writing a commit down and saying so may not
remember the transaction when it is asked again.  So each store keeps one small
document with the number of its latest turn, written in the same transaction:
if the number is there, so is everything else.
"""

from __future__ import annotations

import uuid

from pymongo.client_session import ClientSession

from tocsin.server.store.connection import Base


class Turns:
    """The commits of one store, counted."""

    def __init__(self, base: Base) -> None:
        """Nothing is written before the first commit."""
        self._turns = base.turns
        self._id = uuid.uuid4().hex
        self._latest = 0

    def begin(self) -> int:
        """The number of a new turn."""
        if not self._latest:
            nothing = {"$setOnInsert": {"turn": 0}}
            self._turns.update_one({"_id": self._id}, nothing, upsert=True)
        self._latest += 1
        return self._latest

    def take(self, turn: int, session: ClientSession) -> None:
        """Write the turn down as part of its transaction."""
        self._turns.update_one({"_id": self._id}, {"$set": {"turn": turn}}, session=session)

    def taken(self, turn: int) -> bool:
        """Whether the turn's transaction was committed."""
        kept = self._turns.find_one({"_id": self._id})
        return kept is not None and kept["turn"] == turn
