"""A running hub as a target of the conformance checks."""

from __future__ import annotations

import ssl
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from support.presence import present

from tocsin.conformance.client import Options, basic_auth_header
from tocsin.conformance.http import Target
from tocsin.conformance.model import Result
from tocsin.conformance.registry import select_checks
from tocsin.conformance.runner import run_checks
from tocsin.conformance.server import Server


@dataclass(frozen=True)
class ConformanceHub:
    """URL, TLS files, and two accounts; the first can read and write `scratch`."""

    url: str
    key: str
    other: str
    collection: str = "scratch"
    ca: Path | None = None
    """The CA of an https URL."""
    certificate: Path | None = None
    """A client certificate of the first account."""

    def subject(self, timeout: float = 60) -> Server:
        """Build the client side of the checks, with the accounts' keys."""
        keys = basic_auth_header(self.key), basic_auth_header(self.other)
        target = self._target(timeout)
        return Server(
            Options(target, credential=keys[0], other=keys[1], collection=self.collection)
        )

    def subject_with_certificate(self) -> Server:
        """Build the client side of the checks, with the certificate instead of the keys."""
        target = self._target(60)
        present(target.tls).load_cert_chain(present(self.certificate))
        return Server(Options(target, certificate=True))

    def _target(self, timeout: float) -> Target:
        parts = urlsplit(self.url)
        trust = ssl.create_default_context(cafile=self.ca) if self.ca else None
        return Target(parts.scheme, present(parts.hostname), present(parts.port), timeout, trust)

    def arguments(self) -> list[str]:
        """Return the arguments of `tocsin-hub conformance` for this hub."""
        keys = ["--key", self.key, "--other-key", self.other]
        return [self.url, *keys, "--collection", self.collection, "--timeout", "60"]

    def run_checks(self, *numbers: str) -> list[Result]:
        """Run the checks with these numbers and return their results."""
        subject = self.subject()
        try:
            return run_checks(subject, select_checks(list(numbers)), lambda result: None)
        finally:
            subject.delete_posted()
