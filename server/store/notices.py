"""The notices that were sent and are still in force."""

from __future__ import annotations

from collections.abc import Collection

from tocsin.server.store.connection import Base


class SentNotices:
    """The notices that were sent, by key."""

    def __init__(self, base: Base) -> None:
        """`base` is the hub's database."""
        self._notices = base.notices

    def list_sent(self) -> set[str]:
        """The keys of all; they are few."""
        return {str(each["_id"]) for each in self._notices.find({}, {"_id": 1})}

    def note_sent(self, key: str, at: int) -> None:
        """Note that a notice was sent, in µs since 1970 UTC."""
        self._notices.update_one({"_id": key}, {"$set": {"at": at}}, upsert=True)

    def forget(self, keys: Collection[str]) -> None:
        """Forget notices whose cause has ended."""
        for key in keys:
            self._notices.delete_one({"_id": key})
