"""Counts and times the commands that the driver sends to the database."""

from __future__ import annotations

from pymongo.monitoring import (
    CommandFailedEvent,
    CommandListener,
    CommandStartedEvent,
    CommandSucceededEvent,
)

from tocsin.server.metrics import Metrics

_MICROSECONDS = 1e-6


class CommandMetrics(CommandListener):
    """Hands the name, duration and outcome of each command to the metrics."""

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics

    def started(self, event: CommandStartedEvent) -> None:
        """Counted when it ends."""

    def succeeded(self, event: CommandSucceededEvent) -> None:
        """Count it."""
        self._metrics.count_command(event.command_name, event.duration_micros * _MICROSECONDS)

    def failed(self, event: CommandFailedEvent) -> None:
        """Count it as failed."""
        seconds = event.duration_micros * _MICROSECONDS
        self._metrics.count_command(event.command_name, seconds, failed=True)
