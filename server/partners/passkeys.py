"""Passkeys of people: add, remove, sign in.

A passkey is a second factor beside the password, like a code.  If the authenticator has checked a
PIN or a fingerprint it needs no password beside it.

A challenge needs no store: it says when it was made and is authenticated together with the browser
or session that asked for it.  A person keeps the time of the newest challenge that was answered;
that one and all before it are used up.
"""

from __future__ import annotations

import hashlib
import hmac
import logging
import secrets
from collections.abc import Callable
from dataclasses import dataclass, replace
from importlib import import_module
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from tocsin.admission.errors import Conflict, Malformed, NotAuthenticated, NotFound
from tocsin.server.partners.attempts import SECOND
from tocsin.server.partners.people import Attempt, People, Proof, Stay, require_unchanged
from tocsin.server.person import Passkey, Person, Session
from tocsin.server.store import Store, Transaction

if TYPE_CHECKING:
    from tocsin.server.partners import webauthn

log = logging.getLogger(__name__)

CHALLENGE_SECONDS = 300
MOST_PASSKEYS = 10
"""Passkeys of one person."""
_LONGEST_NAME = 60
_REFUSED = "the passkey was not accepted: try again"
_UNVERIFIED = (
    "this passkey did not ask for a PIN or a fingerprint: enter mailbox and password too, then use "
    "it again"
)
_OLD = "this took longer than five minutes, or was sent twice: start again"


@dataclass(frozen=True, slots=True)
class Site:
    """The hub, as browsers know it."""

    origin: str
    """`https://hub.example`"""
    title: str


@dataclass(frozen=True, slots=True)
class PasskeyAnswer:
    """An authenticator's answer to a challenge."""

    text: str
    """As the console's script sends it: JSON."""
    bound_to: str
    """The secret of the browser, or the id of the session, that asked."""


class Passkeys:
    """Passkeys of people.  Safe for threads."""

    def __init__(self, store: Store, people: People, key: bytes, clock: Callable[[], int]) -> None:
        """`key` authenticates challenges."""
        self._store, self._people, self._clock = store, people, clock
        self._key = hmac.digest(key, b"console passkeys", "sha256")

    def begin_adding(self, site: Site, person: Person, session: Session) -> dict[str, object]:
        """Options to create a passkey; the password was confirmed."""
        return _party(site).creation_options(self._new_challenge("add", session.id), person)

    def add(self, site: Site, person: Person, name: str, answer: PasskeyAnswer) -> None:
        """Store a passkey that was created.

        Raises NotAuthenticated if the answer is not accepted, Malformed if the name is not,
        Conflict if the passkey is known or there are too many.
        """
        name = check_passkey_name(name)
        party = _party(site)
        challenge, parsed = party.read_creation(answer.text)
        made = self._check_challenge(challenge, "add", answer.bound_to)
        found = party.verify_creation(challenge, parsed)

        def work(txn: Transaction) -> None:
            current = require_unchanged(txn, person)
            if txn.people.find_by_passkey(found.id) is not None:
                raise Conflict("this passkey is known already: choose another one")
            if len(current.passkeys) >= MOST_PASSKEYS:
                raise Conflict(f"there are {MOST_PASSKEYS} passkeys already: remove one first")
            new = Passkey(found.id, name, found.public_key, txn.now, count=found.count)
            txn.people.update(_use_up(replace(current, passkeys=(*current.passkeys, new)), made))
            details = {"login": person.login, "passkey": name}
            txn.add_journal_entry("person.passkey", person.login, details)

        self._store.commit(work)

    def remove(self, person: Person, id: str) -> None:
        """Remove a passkey; the password was confirmed.  Raises NotFound if there is none."""

        def work(txn: Transaction) -> None:
            current = require_unchanged(txn, person)
            found = _require(current, id)
            left = tuple(each for each in current.passkeys if each is not found)
            txn.people.update(replace(current, passkeys=left))
            details = {"login": person.login, "passkey": found.name}
            txn.add_journal_entry("person.passkey_end", person.login, details)

        self._store.commit(work)

    def begin_sign_in(self, site: Site, browser: str) -> dict[str, object]:
        """Options to sign in, for the browser with this secret."""
        return _party(site).request_options(self._new_challenge("sign-in", browser))

    def sign_in(self, site: Site, attempt: Attempt, answer: PasskeyAnswer) -> Stay:
        """Begin a session by a passkey; `attempt` has the password if it needs one.

        Raises NotAuthenticated if it is not accepted, TooManyRequests after many failures.
        """
        party = _party(site)
        attempts = self._people.attempts
        keys = attempts.keys_of_address(attempt.login, attempt.address, attempt.device)
        attempts.check(keys)
        try:
            assertion = party.read_assertion(answer.text)
            made = self._check_challenge(assertion.challenge, "sign-in", answer.bound_to)
            person = self._store.people.find(assertion.user)
            passkey = find_passkey(person, assertion.credential)
            if person is None or person.disabled or passkey is None:
                raise NotAuthenticated(_REFUSED)
            _use_up(person, made)
            presence = party.verify_assertion(assertion, passkey.public_key)
        except NotAuthenticated:
            attempts.note_failure(keys)
            raise
        if not presence.is_verified:
            keys = self._check_password(person, attempt)
        use = _Use(person, passkey.id, presence.count, made, self._clock())
        if use.is_cloned(person):
            self._report_clone(person, passkey)
        details = {"passkey": passkey.name}
        return self._people.begin(Proof(person, use.apply, True, keys, details), attempt.client)

    def _check_password(self, person: Person, attempt: Attempt) -> dict[str, str]:
        """Under what the attempt counts.  Raises NotAuthenticated without the password."""
        attempts = self._people.attempts
        keys = attempts.keys_of(person.login, attempt.address, attempt.device)
        attempts.check(keys)
        is_login = attempt.login.strip().lower() in ("", person.login)
        if not attempt.password:
            raise NotAuthenticated(_UNVERIFIED)
        if not self._people.is_password(person, attempt.password) or not is_login:
            attempts.note_failure(keys)
            raise NotAuthenticated("the mailbox or the password is wrong")
        return keys

    def _report_clone(self, person: Person, passkey: Passkey) -> None:
        """Raises NotAuthenticated: the counter says that there are two of this passkey."""
        log.warning("console: the counter of a passkey of person %s went back", person.id)
        details = {"login": person.login, "passkey": passkey.name}

        def work(txn: Transaction) -> None:
            txn.add_journal_entry("person.passkey_cloned", person.login, details)

        self._store.commit(work)
        raise NotAuthenticated(
            "the passkey was not accepted, since its counter went back: it may have been copied; "
            "remove it"
        )

    def _new_challenge(self, purpose: str, bound_to: str) -> bytes:
        head = self._clock().to_bytes(8, "big") + secrets.token_bytes(8)
        return head + self._sign(head, purpose, bound_to)

    def _check_challenge(self, challenge: bytes, purpose: str, bound_to: str) -> int:
        """When the challenge was made, in µs.

        Raises NotAuthenticated if it is not ours, for something else, or too old.
        """
        head, proof = challenge[:16], challenge[16:]
        made = int.from_bytes(head[:8], "big")
        if not bound_to or not hmac.compare_digest(proof, self._sign(head, purpose, bound_to)):
            raise NotAuthenticated(_REFUSED)
        if not 0 <= self._clock() - made < CHALLENGE_SECONDS * SECOND:
            raise NotAuthenticated(_OLD)
        return made

    def _sign(self, head: bytes, purpose: str, bound_to: str) -> bytes:
        return hmac.digest(self._key, head + f"{purpose} {bound_to}".encode(), "sha256")[:16]


@dataclass(frozen=True, slots=True)
class _Use:
    """A use of a passkey that was checked."""

    checked: Person
    """The person as the use was checked."""
    id: str
    count: int
    challenge: int
    """When its challenge was made, in µs."""
    now: int

    def is_cloned(self, person: Person) -> bool:
        """True if the counter has not risen (section 6.1.1 of the standard)."""
        passkey = find_passkey(person, self.id)
        before = passkey.count if passkey is not None else 0
        return bool(self.count or before) and self.count <= before

    def apply(self, current: Person) -> Person:
        """Note the use.

        Raises NotAuthenticated if the person was changed meanwhile, or the challenge is used up.
        """
        passkey = find_passkey(current, self.id)
        is_same = current.password == self.checked.password
        if passkey is None or not is_same or self.is_cloned(current):
            raise NotAuthenticated(_REFUSED)
        used = replace(passkey, used=self.now, count=self.count)
        passkeys = tuple(used if each is passkey else each for each in current.passkeys)
        return _use_up(replace(current, passkeys=passkeys), self.challenge)


def _use_up(person: Person, challenge: int) -> Person:
    """Raises NotAuthenticated if a challenge of this time, or a newer one, was answered before.

    One answered longer after this one than challenges hold was made by a clock that was ahead.
    """
    if challenge <= person.last_challenge < challenge + CHALLENGE_SECONDS * SECOND:
        raise NotAuthenticated(_OLD)
    return replace(person, last_challenge=challenge)


def find_passkey(person: Person | None, id: str) -> Passkey | None:
    """The passkey of a person with this id, or None."""
    passkeys = person.passkeys if person is not None else ()
    return next((each for each in passkeys if each.id == id), None)


def passkey_handle(passkey: Passkey) -> str:
    """A short name of a passkey for addresses of pages, unique for a person."""
    return hashlib.sha256(passkey.id.encode()).hexdigest()[:16]


def _require(person: Person, id: str) -> Passkey:
    found = find_passkey(person, id)
    if found is None:
        raise NotFound("there is no such passkey")
    return found


def check_passkey_name(name: str) -> str:
    """Return the name.  Raises Malformed if it is empty or too long."""
    name = " ".join(name.split())
    if not name or len(name) > _LONGEST_NAME or not name.isprintable():
        raise Malformed(f"enter a name of at most {_LONGEST_NAME} characters for the passkey")
    return name


def site_of(origin: str, title: str) -> Site | None:
    """The site at which browsers let passkeys work; None if they do not at this origin.

    >>> site_of("https://Hub.example:443", "Hub").origin, site_of("https://192.0.2.1", "Hub")
    ('https://hub.example', None)
    >>> site_of("http://localhost:8080", "Hub").origin, site_of("http://hub.example", "Hub")
    ('http://localhost:8080', None)
    """
    parts = urlsplit(origin)
    name, port = parts.hostname or "", parts.port
    is_name = name.isascii() and not name.replace(".", "").isdecimal() and ":" not in name
    if not name or not is_name or (parts.scheme != "https" and name != "localhost"):
        return None
    is_usual = port in (None, 443 if parts.scheme == "https" else 80)
    return Site(f"{parts.scheme}://{name}{'' if is_usual else f':{port}'}", title)


def _party(site: Site) -> webauthn.RelyingParty:
    """The hub as a party of the protocol, whose module is loaded when it is first needed."""
    protocol = import_module("tocsin.server.partners.webauthn")
    party: webauthn.RelyingParty = protocol.RelyingParty(site.origin, site.title)
    return party
