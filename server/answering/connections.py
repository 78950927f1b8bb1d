"""Connections of each client address, counted over all processes that answer."""

from __future__ import annotations

from contextlib import suppress

from tocsin.server.shared_folder import SharedFolder, SharedNumbers

_MOST_UNFINISHED = 1 << 20
_ALL = ""


class SharedConnections:
    """See `http.server.OtherServers`.

    Each process notes its own connections, so that those of one that was killed are forgotten
    when the next one begins.
    """

    def __init__(self, folder: SharedFolder, processes: int) -> None:
        """`processes` answer, and one more has joined the folder.  Raises OSError."""
        self._folder = folder
        self._own = folder.numbers(_name(folder.number))
        self._own.clear()
        self._places = [n for n in range(processes + 1) if n != folder.number]

    def note(self, key: str, connections: int, unfinished: int) -> None:
        """See `OtherServers`."""
        self._own.update(key, lambda _: connections * _MOST_UNFINISHED + unfinished)

    def count(self, key: str) -> tuple[int, int]:
        """See `OtherServers`."""
        counts = [divmod(int(each.get(key)), _MOST_UNFINISHED) for each in self._others()]
        return sum(each[0] for each in counts), sum(each[1] for each in counts)

    def note_all(self, connections: int) -> None:
        """See `OtherServers`."""
        self._own.update(_ALL, lambda _: connections + 1)

    def least(self) -> int:
        """See `OtherServers`."""
        counts = (int(each.get(_ALL)) - 1 for each in self._others())
        return min((count for count in counts if count >= 0), default=1 << 30)

    def _others(self) -> list[SharedNumbers]:
        found = []
        for place in self._places:
            with suppress(OSError):
                found.append(self._folder.numbers(_name(place)))
        return found


def _name(place: int) -> str:
    return f"connections-{place}"
