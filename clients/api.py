"""The clients for Python programs: check, push and poll.

`docs/python-api.md` shows how it is used.  Everything that can go wrong raises `ShareError`, whose
text says what to do.  Functions print nothing, ask nothing and start no process.
"""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import msgspec

from tocsin.admission import parse_policy
from tocsin.admission.errors import Malformed, ShareError, Unavailable
from tocsin.admission.model import StixObject
from tocsin.admission.warninglists.index import load_warning_lists
from tocsin.clients.check import Checker
from tocsin.clients.http import Collection, Hub
from tocsin.clients.input_files import InputFile
from tocsin.clients.poll import PollQuery, poll_batches
from tocsin.clients.push import PushOptions, push_results
from tocsin.clients.responses import decode_object
from tocsin.clients.results import ObjectResult
from tocsin.clients.state import cursor_key, open_state
from tocsin.config.cache import load_or_build
from tocsin.config.conversion import ConfigError
from tocsin.config.loading import load_client, policy_text
from tocsin.config.settings import ClientSettings

log = logging.getLogger(__name__)

__all__ = [
    "Client",
    "ClientSettings",
    "ConfigError",
    "ObjectResult",
    "PushOptions",
    "PushOutcome",
    "ShareError",
]


@dataclass(frozen=True, slots=True)
class PushOutcome:
    """Outcome of a push."""

    results: tuple[ObjectResult, ...]
    """One for each object, with the hub's verdict; in the order in which they became known."""
    statuses: tuple[str, ...]
    """The ids of the TAXII statuses."""
    error: ShareError | None = None
    """The error that ended the push early; then some objects are `unsent` or `pending`."""


class Client:
    """A hub, and what admission must know of the partner who uses it."""

    def __init__(
        self, url: str = "", key: str = "", *, settings: ClientSettings | None = None
    ) -> None:
        """`url` and `key` take precedence over `settings`.

        Those default to variables and client.toml.  Raises ConfigError if a value is wrong.
        Sends nothing yet: if the hub's URL, certificate or key cannot be used, the first call
        that needs it raises ShareError.
        """
        settings = settings or load_client(None, os.environ, {})
        given = {name: text for name, text in (("url", url), ("key", key)) if text}
        self.settings = msgspec.structs.replace(settings, **given)
        self._checker: Checker | None = None
        self._hub: Hub | None = None

    def __enter__(self) -> Client:
        """The client itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """See close."""
        self.close()

    def close(self) -> None:
        """Close the connections."""
        if self._hub:
            self._hub.close()
            self._hub = None

    @property
    def hub(self) -> Hub:
        """The connection; it is opened when it is first needed."""
        if self._hub is None:
            if not self.settings.url:
                raise Malformed("no hub is named; give url, or run `tocsin login`")
            self._hub = Hub.from_settings(self.settings)
        return self._hub

    def collections(self) -> list[Collection]:
        """The collections that the key sees."""
        return self.hub.list_collections()

    def check(self, path: str | Path) -> list[ObjectResult]:
        """Check a file as the hub would, without sending it.

        Raises ShareError if no format reads the file, OSError if it cannot be opened.
        """
        return self.check_content(Path(path).read_bytes(), str(path))

    def check_content(self, content: bytes, name: str) -> list[ObjectResult]:
        """The same for content in memory; the end of `name` shows the format: `iocs.csv`."""
        if self._checker is None:
            policy = parse_policy(policy_text(self.settings.policy), self.settings.policy)
            lists = load_warning_lists(keep=load_or_build)
            self._checker = Checker(self.settings, policy, lists)
        preview = self._checker.preview(InputFile(name, content), time.time_ns() // 1000)
        if preview.error:
            kind = Unavailable if preview.has_temporary_error else Malformed
            raise kind(f"{name}: {preview.error}")
        return list(preview.results(before=True))

    def push(
        self, results: Iterable[ObjectResult], to: str, options: PushOptions | None = None
    ) -> PushOutcome:
        """Send what was checked and is `ready` to a collection, and wait for the verdicts.

        With `PushOptions(send_held=True)` also what is `held`.  To send something twice is safe.
        Raises ShareError if nothing could be sent.
        """
        collection = self.hub.find_usable(to, "can_write")
        parts = list(push_results(self.hub, collection, results, options))
        return PushOutcome(
            results=tuple(result for part in parts for result in part.results),
            statuses=tuple(part.status.id for part in parts if part.status),
            error=next((part.error for part in parts if part.error), None),
        )

    def poll(
        self,
        collection: str,
        *,
        state: str | Path | None = None,
        types: str | Sequence[str] = (),
        added_after: str = "",
    ) -> Iterator[StixObject]:
        """The objects of a collection; with a `state` file those that are new since the last time.

        The cursor moves when the objects of a page have been used and the next one is asked
        for, so a program that ends in between gets the rest of its page again and loses nothing.
        An object with a number that Python does not read is left out, with a warning in the log.
        """
        found = self.hub.find_usable(collection)
        query = PollQuery(types=_as_tuple(types), added_after=added_after)
        key = cursor_key(found.url, query.filters())
        cursors = open_state(state)
        saved = cursors.load(key)
        for batch in poll_batches(self.hub, found, query, saved):
            for each in map(decode_object, batch.objects):
                if each is None:
                    log.warning("%s: an object is left out, it has a number that is too long", key)
                else:
                    yield each
            if batch.cursor != saved:
                saved = replace(batch.cursor, output="", size=0)
                cursors.save(key, saved)


def _as_tuple(values: str | Iterable[str]) -> tuple[str, ...]:
    """Several values; a single string is one of them, not its characters."""
    return (values,) if isinstance(values, str) else tuple(values)
