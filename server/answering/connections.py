"""Connections of each client address, counted over all processes that answer."""

from __future__ import annotations

from contextlib import suppress

from tocsin.server.http.server import AddressCounts
from tocsin.server.processes.shared_folder import SharedFolder, SharedNumbers

_RADIX = 1 << 17
"""Three counts are stored in one number of 51 bits: more than a setting allows of any."""
_ALL = ""
"""The name of the connections of all addresses."""


class SharedConnections:
    """See `http.server.PeerServers`.

    Each process notes its own connections at a place of its own, so that those of one that was
    killed can be forgotten.
    """

    def __init__(self, folder: SharedFolder, place: int, processes: int) -> None:
        """`place` is that of this process, from 0, among all that answer.  Raises OSError."""
        self._folder = folder
        self._own = folder.numbers(_name(place))
        self._own.clear()
        self._places = [other for other in range(processes) if other != place]
        self.count_of_others = len(self._places)
        """See `PeerServers`."""

    @staticmethod
    def forget(folder: SharedFolder, place: int) -> None:
        """Forget the connections of a process that has ended.  Raises OSError."""
        folder.numbers(_name(place)).clear()

    def note(self, key: str, counts: AddressCounts) -> None:
        """See `PeerServers`."""
        packed = (counts.connections * _RADIX + counts.unfinished) * _RADIX + counts.droppable
        self._own.update(key, lambda _: packed)

    def count(self, key: str) -> AddressCounts:
        """See `PeerServers`."""
        every = [_unpack(int(each.get(key))) for each in self._others()]
        return AddressCounts(*map(sum, zip(*every, strict=True)))

    def note_total(self, connections: int) -> None:
        """See `PeerServers`."""
        self._own.update(_ALL, lambda _: connections + 1)  # 0: that process does not count

    def fewest(self) -> int:
        """See `PeerServers`."""
        counts = (int(each.get(_ALL)) - 1 for each in self._others())
        return min((count for count in counts if count >= 0), default=1 << 30)

    def _others(self) -> list[SharedNumbers]:
        found = []
        for place in self._places:
            with suppress(OSError):
                found.append(self._folder.numbers(_name(place)))
        return found


def _unpack(packed: int) -> AddressCounts:
    rest, droppable = divmod(packed, _RADIX)
    return AddressCounts(*divmod(rest, _RADIX), droppable)


def _name(place: int) -> str:
    return f"connections-{place}"
