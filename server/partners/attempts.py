"""Attempts to sign in: how many failed, how long the next one must wait, and known browsers.

Failures count by person and address, by person, and by address.  A browser in which a person has
signed in before has an allowance of its own as this person: it keeps a signed cookie (a "device
cookie", OWASP).  So strangers who try a person's password cannot lock the person out there.
"""

from __future__ import annotations

import hashlib
import hmac
import ipaddress
import logging
import re
import secrets
import threading
from collections.abc import Callable, Mapping

from tocsin.admission.errors import TooManyRequests
from tocsin.server.store import Store, Transaction

log = logging.getLogger(__name__)

SECOND = 1_000_000
DEVICE_SECONDS = 180 * 24 * 3600
"""Seconds for which a browser is known after a person has signed in there."""
_FREE_FAILURES = {"person": 5, "login": 50, "address": 30, "device": 5, "session": 5}
"""Failed attempts in a row that need no wait: of one address as one person, as one person, of one
address, of one known browser, and within a session."""
_LONGEST_WAIT = 15 * 60
_DAY_SECONDS = 24 * 3600
_MOST_SKEW = 60 * SECOND
"""µs by which a failure may lie in the future, by another process's clock.  One later than that was
noted by a clock that was ahead, and nobody waits for it; up to a day it still counts."""
_DEVICE = re.compile(r"([0-9]{1,12})\.([0-9A-Za-z_-]{22})\.([0-9a-f]{64})")


class Attempts:
    """Failed attempts, in the database.  Safe for threads."""

    def __init__(self, store: Store, key: bytes, clock: Callable[[], int]) -> None:
        """`key` signs the cookies of known browsers."""
        self._store, self._clock = store, clock
        self._key = hmac.digest(key, b"console devices", "sha256")
        self._guard = threading.Lock()

    def keys_of(self, login: str, address: str, device: str = "") -> dict[str, str]:
        """Under what an attempt as this person counts: alone, if it is from a known browser."""
        login, address = login.strip().lower(), _network_of(address)
        known = self._known_device(login, device)
        if known:
            return _hashed({"device": known})
        return _hashed({"person": f"{login} {address}", "login": login, "address": address})

    def keys_of_address(self, login: str, address: str, device: str) -> dict[str, str]:
        """The same for an attempt that guesses no password of the person, so costs it nothing."""
        keys = self.keys_of(login, address, device)
        return {kind: key for kind, key in keys.items() if kind in ("device", "address")}

    def keys_of_session(self, id: str) -> dict[str, str]:
        """Under what an attempt counts to confirm the password within a session."""
        return _hashed({"session": id})

    def new_device(self, login: str) -> str:
        """The cookie of a browser in which this person has signed in."""
        until = self._clock() // SECOND + DEVICE_SECONDS
        nonce = secrets.token_urlsafe(16)
        return f"{until}.{nonce}.{self._sign(login, until, nonce)}"

    def _known_device(self, login: str, cookie: str) -> str:
        """The name of the browser with this cookie; empty if this person is not known there."""
        found = _DEVICE.fullmatch(cookie)
        if found is None or int(found[1]) <= self._clock() // SECOND:
            return ""
        proof = self._sign(login, int(found[1]), found[2])
        return found[2] if hmac.compare_digest(proof, found[3]) else ""

    def _sign(self, login: str, until: int, nonce: str) -> str:
        return hmac.new(self._key, f"{until} {nonce} {login}".encode(), "sha256").hexdigest()

    def check(self, keys: Mapping[str, str]) -> None:
        """Raises TooManyRequests while attempts under one of these keys must wait."""
        now = self._clock()
        for kind, key in keys.items():
            count, at = self._store.people.count_failures(key)
            allowance = _wait_after(count - _FREE_FAILURES[kind]) * SECOND
            wait = allowance - max(0, now - at) if at <= now + _MOST_SKEW else 0
            if wait > 0:
                seconds = -(-wait // SECOND)
                raise TooManyRequests(f"too many attempts: try again in {seconds} s", seconds)

    def note_failure(self, keys: Mapping[str, str]) -> None:
        """Count a failed attempt, and forget those that no longer matter."""
        now = self._clock()
        self._store.people.forget_ended_failures(now)
        for kind, key in keys.items():
            with self._guard:  # else those at the same time would count as one
                count, at = self._store.people.count_failures(key)
                count = count + 1 if abs(now - at) <= _DAY_SECONDS * SECOND else 1
                self._store.people.note_failure(key, count, now)
            if count == _FREE_FAILURES[kind]:
                log.warning("console: %d failed attempts to sign in from one %s", count, kind)


def forget_failures(txn: Transaction, keys: Mapping[str, str]) -> None:
    """After an attempt that succeeded; those of its address go on counting."""
    txn.people.forget_failures([key for kind, key in keys.items() if kind != "address"])


def _hashed(named: Mapping[str, str]) -> dict[str, str]:
    return {
        kind: hashlib.sha256(f"{kind} {text}".encode()).hexdigest() for kind, text in named.items()
    }


def _network_of(address: str) -> str:
    """The network of one client: its address, or of IPv6 the first 64 bits.

    >>> _network_of("192.0.2.7"), _network_of("2001:db8::7"), _network_of("")
    ('192.0.2.7', '2001:db8::/64', '')
    """
    try:
        found = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return address
    if isinstance(found, ipaddress.IPv4Address):
        return str(found)
    return str(found.ipv4_mapped or ipaddress.ip_network((found, 64), strict=False))


def _wait_after(more: int) -> int:
    """Seconds to wait after this number of failures above those that are free."""
    return 0 if more < 0 else int(min(_LONGEST_WAIT, 2 ** min(more + 1, 20)))
