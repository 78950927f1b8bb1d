"""A server that the conformance checks look at, as they are told of it."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import urlsplit

from tocsin.server.conformance.asking import Options, basic
from tocsin.server.conformance.catalogue import chosen
from tocsin.server.conformance.model import Result
from tocsin.server.conformance.runner import run
from tocsin.server.conformance.subject import Subject
from tocsin.server.conformance.wire import Target


@dataclass(frozen=True)
class Judged:
    """Where it is, and two accounts of which the first may read and write `scratch`."""

    url: str
    key: str
    other: str
    collection: str = "scratch"

    def subject(self, timeout: float = 60) -> Subject:
        """What the checks ask."""
        parts = urlsplit(self.url)
        target = Target(parts.scheme, parts.hostname, parts.port, timeout)
        keys = {"credential": basic(self.key), "other": basic(self.other)}
        return Subject(Options(target, collection=self.collection, **keys))

    def words(self) -> list[str]:
        """The same for the command."""
        keys = ["--key", self.key, "--other-key", self.other]
        return [self.url, *keys, "--collection", self.collection]

    def look(self, *numbers: str) -> list[Result]:
        """The results of some checks."""
        subject = self.subject()
        try:
            return run(subject, chosen(list(numbers)), lambda result: None)
        finally:
            subject.clean()
