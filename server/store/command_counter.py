"""Counts and times the commands that the driver sends to the database."""

from __future__ import annotations

from pymongo.monitoring import (
    CommandFailedEvent,
    CommandListener,
    CommandStartedEvent,
    CommandSucceededEvent,
)

from tocsin.server.processes.counters import Counters

_MICROSECONDS = 1e-6


class CommandCounter(CommandListener):
    """Hands the name, duration and outcome of each command to the counters."""

    def __init__(self, counters: Counters) -> None:
        self._counters = counters

    def started(self, event: CommandStartedEvent) -> None:
        """Counted when it ends."""

    def succeeded(self, event: CommandSucceededEvent) -> None:
        """Count it."""
        self._counters.count_command(event.command_name, event.duration_micros * _MICROSECONDS)

    def failed(self, event: CommandFailedEvent) -> None:
        """Count it as failed."""
        seconds = event.duration_micros * _MICROSECONDS
        self._counters.count_command(event.command_name, seconds, failed=True)
