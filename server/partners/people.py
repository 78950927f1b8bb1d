"""Who signs in to the console, and how: invitations, passwords, codes, sessions.

A password is stored as an Argon2id hash.  Failures cost the same whether the login, the password or
the code is wrong, and after a few of them every attempt must wait (`attempts`), so that neither who
can sign in nor a password can be found by trying.  Passkeys are in `passkeys`.
"""

from __future__ import annotations

import base64
import hmac
import re
import secrets
import threading
import uuid
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace

import pyotp
from argon2 import PasswordHasher
from argon2.exceptions import Argon2Error, InvalidHashError

from tocsin.admission.errors import Conflict, Malformed, NotAuthenticated, NotFound
from tocsin.server.auth import hash_secret
from tocsin.server.intake.review_decisions import DECIDERS, withdraw_pending
from tocsin.server.partners.attempts import SECOND, Attempts, forget_failures
from tocsin.server.person import HUB_ROLES, Invitation, Person, Role, Session
from tocsin.server.store import Store, Transaction

SESSION_SECONDS, IDLE_SECONDS = 12 * 3600, 30 * 60
"""Seconds after which a session ends, and those without a request after which it ends."""
INVITATION_SECONDS = 7 * 24 * 3600
SHORTEST_PASSWORD = 12
_LONGEST_PASSWORD = 1_000
_LONGEST_NAME = 200
_STEP = 30
"""Seconds for which a code of an authenticator app holds."""
_BASE32 = re.compile("[A-Z2-7]{32}")
_WRONG = "the mailbox, the password or the code is wrong, or a passkey is needed"
_USED = "this invitation was used, has ended, or never was: ask for another one"


@dataclass(frozen=True, slots=True)
class Attempt:
    """One attempt to sign in, as the browser sent it."""

    login: str
    password: str
    code: str
    """Code of the authenticator app; empty if there is none."""
    address: str
    """Address of the client."""
    client: str = ""
    """The browser's name for itself."""
    device: str = ""
    """The cookie of a browser in which the person has signed in before; see `attempts`."""


@dataclass(frozen=True, slots=True)
class Proof:
    """A person's proof to sign in, and the change that it makes."""

    person: Person
    change: Callable[[Person], Person] = lambda current: current
    """Changes the person as it is now.  Raises NotAuthenticated if the proof no longer holds."""
    has_second_factor: bool = False
    keys: Mapping[str, str] = field(default_factory=dict)
    """Under what failures of this attempt are counted."""
    details: Mapping[str, object] = field(default_factory=dict)
    """For the journal."""


@dataclass(frozen=True, slots=True)
class Stay:
    """A session that was begun, and the secret of its cookie, which is not stored."""

    person: Person
    session: Session
    cookie: str
    device: str
    """The cookie by which the browser is known from now on."""


HASHER = PasswordHasher(time_cost=3, memory_cost=32 * 1024, parallelism=1)
"""RFC 9106 with less memory: 32 MiB, one at a time, so that pollers keep theirs."""


class People:
    """People of the console.  Safe for threads."""

    def __init__(self, store: Store, key: bytes, clock: Callable[[], int]) -> None:
        """`key` seals the secrets of authenticator apps; it is not in the database."""
        self._store, self._clock = store, clock
        self._key = hmac.digest(key, b"console people", "sha256")
        self.attempts = Attempts(store, key, clock)
        self._hasher = HASHER
        self._guard = threading.Lock()
        self._absent = ""

    def invite(self, invitation: Invitation) -> str:
        """Store an invitation and return the secret of its link.

        Its `id` and `until` are set here.  Raises Malformed if the roles do not fit.
        """
        check_roles(invitation.roles, is_of_hub=not invitation.partner)
        if invitation.login:
            invitation = replace(invitation, login=check_login(invitation.login))
        secret = secrets.token_urlsafe(32)
        until = self._clock() + INVITATION_SECONDS * SECOND
        made = replace(invitation, id=hash_secret(secret), until=until)

        def work(txn: Transaction) -> None:
            known = txn.people.find_by_login(made.login) if made.login else None
            if known is not None and known.id != made.person:
                raise Conflict(f"{made.login} can sign in already")
            if made.partner:
                txn.accounts.require_partner(made.partner)
            txn.people.invite(made)
            txn.add_journal_entry("person.invite", made.by, _describe(made))

        self._store.commit(work)
        return secret

    def withdraw_invitation(self, id: str, by: str) -> None:
        """End an invitation.  Raises NotFound if it was used or has ended."""

        def work(txn: Transaction) -> None:
            if not txn.people.remove_invitation(id):
                raise NotFound(_USED)
            txn.add_journal_entry("person.invite_end", by, {"invitation": id[:16]})

        self._store.commit(work)

    def check_invitation(self, login: str) -> None:
        """Raises Malformed if it is no mailbox, Conflict if somebody signs in with it."""
        if self._store.people.find_by_login(check_login(login)) is not None:
            raise Conflict(f"somebody signs in with the mailbox {login} already")

    def find_invitation(self, secret: str) -> Invitation:
        """The invitation of a link.  Raises NotFound if it does not hold."""
        found = self._store.people.find_invitation(hash_secret(secret), self._clock())
        if found is None:
            raise NotFound(_USED)
        return found

    def accept(self, secret: str, login: str, name: str, password: str) -> Person:
        """Take an invitation: the person that may sign in from now on.

        Raises NotFound if it does not hold, Malformed if the password is too short or the mailbox
        is none, Conflict if it is in use.
        """
        invitation = self.find_invitation(secret)
        login = check_login(invitation.login or login)
        name = check_name(name or invitation.name)
        hashed = self._hash_password(check_password(password, login))

        def work(txn: Transaction) -> Person:
            if not txn.people.remove_invitation(invitation.id):
                raise NotFound(_USED)
            known = _require_invited(txn, invitation)
            if known is not None:
                person = replace(_without_second_factors(known), password=hashed)
                txn.people.update(person)
                txn.people.end_sessions(person.id)
                action = "person.password"
            else:
                person = _make_person(invitation, login, name, txn.now)
                person = replace(person, password=hashed)
                txn.people.add(person)
                action = "person.add"
            txn.add_journal_entry(action, login, _describe(person) | {"login": login})
            return person

        return self._store.commit(work)

    def sign_in(self, attempt: Attempt) -> Stay:
        """Check a password, and a code if the person has an authenticator app.

        Raises NotAuthenticated, always with the same text, and TooManyRequests after many failures.
        """
        keys = self.attempts.keys_of(attempt.login, attempt.address, attempt.device)
        self.attempts.check(keys)
        person = self._store.people.find_by_login(attempt.login.strip())
        has_password = self.is_password(person, attempt.password)
        step = self._find_step(person, attempt.code) if person else None
        if person is None or person.disabled or not has_password or step is None:
            self.attempts.note_failure(keys)
            raise NotAuthenticated(_WRONG)
        checked, used, hashed = person, step or person.totp_step, person.password
        if self._hasher.check_needs_rehash(hashed):
            hashed = self._hash_password(attempt.password)

        def change(current: Person) -> Person:
            if _proofs(current) != _proofs(checked):
                raise NotAuthenticated(_WRONG)  # changed, or the code was used, meanwhile
            return replace(current, totp_step=used, password=hashed)

        return self.begin(Proof(person, change, bool(person.totp), keys), attempt.client)

    def sign_in_proven(self, login: str, name: str, client: str) -> Stay:
        """Begin a session of a person whose mailbox an identity provider has proven.

        Who has an invitation for this mailbox takes it so.  Raises NotAuthenticated for others.
        """
        person = self._store.people.find_by_login(login) or self._take_invitation(login, name)
        if person is None or person.disabled:
            raise NotAuthenticated("there is no invitation for this mailbox: ask an operator")
        return self.begin(Proof(person), client)

    def _take_invitation(self, login: str, name: str) -> Person | None:
        invited = self._store.people.list_invitations(self._clock())
        new = (each for each in invited if each.login == login and not each.person)
        found = next((each for each in new if _is_partner_left(self._store, each)), None)
        if found is None:
            return None

        def work(txn: Transaction) -> Person | None:
            if not _is_partner_left(txn, found) or not txn.people.remove_invitation(found.id):
                return None
            shown = " ".join((found.name or name or login).split())[:_LONGEST_NAME]
            person = _make_person(found, login, shown, txn.now)
            txn.people.add(person)
            txn.add_journal_entry("person.add", login, _describe(person))
            return person

        return self._store.commit(work)

    def begin(self, proof: Proof, client: str) -> Stay:
        """Begin a session of a person who has proven who they are, and change the person.

        Raises NotAuthenticated if the person was removed or disabled, or the proof does not hold.
        """
        cookie, now, person = secrets.token_urlsafe(32), self._clock(), proof.person
        session = Session(
            id=hash_secret(cookie),
            person=person.id,
            begun=now,
            seen=now,
            token=secrets.token_urlsafe(32),
            epoch=self._store.epoch(),
            has_second_factor=proof.has_second_factor,
            client=client[:_LONGEST_NAME],
        )

        def work(txn: Transaction) -> None:
            current = txn.people.find(person.id)
            if current is None or current.disabled:
                raise NotAuthenticated(_WRONG)
            txn.people.update(proof.change(current))
            txn.people.begin_session(session, now - IDLE_SECONDS * SECOND)
            forget_failures(txn, proof.keys)
            txn.add_journal_entry("sign_in", person.login, dict(proof.details))

        self._store.commit(work)
        return Stay(person, session, cookie, self.attempts.new_device(person.login))

    def find_session(self, cookie: str, *, is_active: bool = True) -> tuple[Person, Session] | None:
        """The person and the session of a cookie; None if it has ended.

        The session stays open from now on unless `is_active` is False: the person did nothing.
        """
        if not cookie:
            return None
        session, now = self._store.people.find_session(hash_secret(cookie)), self._clock()
        if session is None or session.epoch != self._store.epoch():
            return None
        is_ahead = session.seen > now + IDLE_SECONDS * SECOND  # by a clock that was set back
        if is_ahead or now >= min(idle_end(session), latest_end(session)):
            self._store.people.end_session(session.id)
            return None
        person = self._store.people.find(session.person)
        if person is None or person.disabled:
            return None
        if is_active and now - session.seen > 60 * SECOND:
            self._store.people.note_session(session.id, now)
        return person, session

    def sign_out(self, session: Session, person: Person) -> None:
        """End a session."""

        def work(txn: Transaction) -> None:
            txn.people.end_session(session.id)
            txn.add_journal_entry("sign_out", person.login, {})

        self._store.commit(work)

    def sessions(self, person: Person) -> Sequence[Session]:
        """The sessions of a person, the newest first."""
        return self._store.people.list_sessions(person.id)

    def end_other_sessions(self, person: Person, kept: Session) -> None:
        """End all sessions of a person but one."""

        def work(txn: Transaction) -> None:
            txn.people.end_sessions(person.id, kept.id)
            txn.add_journal_entry("person.sessions_end", person.login, {})

        self._store.commit(work)

    def change_password(self, person: Person, session: Session, old: str, new: str) -> None:
        """Set another password, and end all other sessions.

        Raises NotAuthenticated if the old one is wrong, Malformed if the new one is too short.
        """
        self.confirm(person, session, old)
        hashed = self._hash_password(check_password(new, person.login))

        def work(txn: Transaction) -> None:
            current = require_unchanged(txn, person)
            txn.people.update(replace(current, password=hashed))
            txn.people.end_sessions(person.id, session.id)
            txn.add_journal_entry("person.password", person.login, {"login": person.login})

        self._store.commit(work)

    def confirm(self, person: Person, session: Session, password: str) -> None:
        """Check the password again before something that decides how the person signs in.

        Raises NotAuthenticated if it is wrong, TooManyRequests after many failures.
        """
        keys = self.attempts.keys_of_session(session.id)
        self.attempts.check(keys)
        if not self.is_password(person, password):
            self.attempts.note_failure(keys)
            raise NotAuthenticated("the present password is wrong")
        self._store.people.forget_failures(list(keys.values()))

    def change(self, person: Person, **settings: object) -> None:
        """Change a person's own settings: zone, has_keys, scheme, undo_seconds, name."""

        def work(txn: Transaction) -> None:
            txn.people.update(replace(_require(txn, person.id), **settings))  # type: ignore[arg-type]

        self._store.commit(work)

    def set_roles(self, login: str, roles: Collection[Role], by: str) -> Person:
        """Give a person other roles; they hold from the next request on.

        A person who may not decide reviews any more loses decisions and claims, as in
        `set_disabled`.  Raises Conflict if the hub would have no operator.
        """

        def work(txn: Transaction) -> Person:
            person = self._require_login(txn, login)
            check_roles(roles, is_of_hub=person.is_of_hub)
            changed = replace(person, roles=frozenset(roles))
            _check_operator_left(txn, changed)
            txn.people.update(changed)
            if not changed.has(*DECIDERS):
                withdraw_pending(txn, changed, by)
            details = {
                "login": login,
                "roles": sorted(changed.roles),
                "before": sorted(person.roles),
            }
            txn.add_journal_entry("person.roles", by, details)
            return changed

        changed = self._store.commit(work)
        if not changed.has(*DECIDERS):
            self._store.review_queue.end_claims(changed.id)
        return changed

    def set_disabled(self, login: str, by: str, *, disabled: bool) -> Person:
        """Lock a person out, with all sessions, or let the person in again.

        Locking out takes back decisions that have not taken effect, and ends claims on reviews.
        """

        def work(txn: Transaction) -> Person:
            changed = replace(self._require_login(txn, login), disabled=disabled)
            _check_operator_left(txn, changed)
            txn.people.update(changed)
            if disabled:
                txn.people.end_sessions(changed.id)
                withdraw_pending(txn, changed, by)
            action = "person.disable" if disabled else "person.enable"
            txn.add_journal_entry(action, by, {"login": login})
            return changed

        changed = self._store.commit(work)
        if disabled:
            self._store.review_queue.end_claims(changed.id)
        return changed

    def remove(self, login: str, by: str) -> int:
        """Remove a person, or cancel the invitations of a mailbox that nobody signs in with.

        A person's decisions and claims end as when `set_disabled` locks one out, and submissions
        do not name the person any more.  The journal keeps what it says of it.  Returns the number
        of invitations that were cancelled, or deleted after their end.  Raises NotFound if there is
        neither.
        """

        def work(txn: Transaction) -> tuple[Person | None, int]:
            every = txn.people.list_invitations()
            found = [each for each in every if each.login == login.lower()]
            if found and txn.people.find_by_login(login) is None:
                for each in found:
                    _end_invitation(txn, each, by)
                return None, len(found)
            person = self._require_login(txn, login)
            _check_operator_left(txn, replace(person, disabled=True))
            txn.people.remove(person.id)
            withdraw_pending(txn, person, by)
            txn.review_acts.remove_person(person.id)
            txn.add_journal_entry("person.remove", by, {"login": login})
            return person, 0

        removed, cancelled = self._store.commit(work)
        if removed is not None:
            self._store.review_queue.end_claims(removed.id)
            self._store.submissions.forget_person(removed.login)
        return cancelled

    def _invited(self, txn: Transaction, login: str) -> list[Invitation]:
        """The invitations of a mailbox that hold."""
        found = txn.people.list_invitations(self._clock())
        return [each for each in found if each.login == login.lower()]

    def _require_login(self, txn: Transaction, login: str) -> Person:
        found = txn.people.find_by_login(login)
        if found is None and self._invited(txn, login):
            raise NotFound(
                f"{login} was invited and has not signed in yet: invite again to replace the "
                "invitation, or cancel it with `tocsin-hub person remove`"
            )
        if found is None:
            raise NotFound(f"{login} cannot sign in; `tocsin-hub person list` shows who can")
        return found

    def new_totp(self, person: Person, title: str) -> tuple[str, str]:
        """A new secret for an authenticator app, and its URI; nothing is stored yet."""
        secret = pyotp.random_base32()
        return secret, self.totp_uri(person, secret, title)

    def totp_uri(self, person: Person, secret: str, title: str) -> str:
        """The `otpauth:` URI of a secret, as apps read it from a picture."""
        return pyotp.TOTP(secret, issuer=title, name=person.login).provisioning_uri()

    def set_totp(self, person: Person, secret: str, code: str) -> None:
        """Ask for codes of an app from now on; the password was confirmed.

        Raises Malformed if this code is not of it, Conflict if there is an app already.
        """
        step = _match_code(secret, code, self._clock())
        if step is None:
            raise Malformed("the code is not that of the app: enter the one that it shows now")
        sealed = self._seal(secret, person.id)

        def work(txn: Transaction) -> None:
            current = require_unchanged(txn, person)
            if current.totp:
                raise Conflict("there is an authenticator app already: remove it first")
            txn.people.update(replace(current, totp=sealed, totp_step=step))
            txn.add_journal_entry("person.second_factor", person.login, {"login": person.login})

        self._store.commit(work)

    def remove_totp(self, person: Person) -> None:
        """Ask for no code any more; the password was confirmed."""

        def work(txn: Transaction) -> None:
            current = require_unchanged(txn, person)
            if not current.totp:
                raise NotFound("there is no authenticator app")
            txn.people.update(replace(current, totp="", totp_step=0))
            details = {"login": person.login}
            txn.add_journal_entry("person.second_factor_end", person.login, details)

        self._store.commit(work)

    def remove_second_factors(self, login: str, by: str) -> None:
        """Remove a person's authenticator app and passkeys, which were lost."""

        def work(txn: Transaction) -> None:
            person = self._require_login(txn, login)
            txn.people.update(_without_second_factors(person))
            details = {"login": login, "passkeys": len(person.passkeys)}
            txn.add_journal_entry("person.second_factor_end", by, details)

        self._store.commit(work)

    def end_credentials(self, login: str, by: str) -> None:
        """Let no password, app or passkey of a person be valid any more, and end all sessions.

        An invitation lets the person set a new password.
        """

        def work(txn: Transaction) -> None:
            person = self._require_login(txn, login)
            txn.people.update(replace(_without_second_factors(person), password=""))
            txn.people.end_sessions(person.id)
            txn.add_journal_entry("person.credentials_end", by, {"login": login})

        self._store.commit(work)

    def _find_step(self, person: Person, code: str) -> int | None:
        """The step of a person's code; 0 if none is asked for, None if it is wrong or used.

        None as well if the person has passkeys only: the password alone is not enough.
        """
        if not person.totp:
            return None if person.passkeys else 0
        step = _match_code(self._unseal(person.totp, person.id), code, self._clock())
        return step if step is not None and step > person.totp_step else None

    def is_password(self, person: Person | None, password: str) -> bool:
        """True if it is the person's password; it costs the same without a person."""
        return self._verify(person.password if person else "", password)

    def _verify(self, hashed: str, password: str) -> bool:
        """True if it is the password; without a hash it costs the same."""
        with self._guard:
            if not self._absent:
                self._absent = self._hasher.hash(secrets.token_urlsafe(16))
            try:
                matches = self._hasher.verify(hashed or self._absent, password[:_LONGEST_PASSWORD])
            except (Argon2Error, InvalidHashError):
                return False
        return matches and bool(hashed)

    def _hash_password(self, password: str) -> str:
        with self._guard:
            return self._hasher.hash(password)

    def _pad(self, nonce: bytes, id: str, label: bytes) -> bytes:
        return hmac.digest(self._key, label + nonce + id.encode(), "sha256")

    def _seal(self, secret: str, id: str) -> str:
        """Encrypt a short secret for the database, where `id` has it."""
        plain, nonce = secret.encode(), secrets.token_bytes(16)
        pad = self._pad(nonce, id, b"pad")
        sealed = bytes(a ^ b for a, b in zip(plain, pad, strict=False))
        proof = self._pad(nonce, id, b"proof" + sealed)[:16]
        return base64.b64encode(nonce + proof + sealed).decode()

    def _unseal(self, text: str, id: str) -> str:
        octets = base64.b64decode(text)
        nonce, proof, sealed = octets[:16], octets[16:32], octets[32:]
        if not hmac.compare_digest(proof, self._pad(nonce, id, b"proof" + sealed)[:16]):
            raise NotAuthenticated(_WRONG)
        pad = self._pad(nonce, id, b"pad")
        return bytes(a ^ b for a, b in zip(sealed, pad, strict=False)).decode()


def check_roles(roles: Collection[Role], *, is_of_hub: bool) -> None:
    """Raises Malformed if there is no role, or one of the other kind of person."""
    if not roles or any((role in HUB_ROLES) != is_of_hub for role in roles):
        fitting = sorted(role for role in Role if (role in HUB_ROLES) == is_of_hub)
        whose = "one of the hub's own people" if is_of_hub else "a person of a partner"
        raise Malformed(f"{whose} has one or more of the roles {', '.join(fitting)}")


def check_login(login: str) -> str:
    """Return the mailbox in lower case.  Raises Malformed if it is none."""
    login = login.strip().lower()
    name, at, host = login.rpartition("@")
    if (
        not (name and at and host)
        or len(login) > _LONGEST_NAME
        or not login.isprintable()
        or " " in login
    ):
        raise Malformed("enter a mailbox, for instance jane@north.example")
    return login


def check_name(name: str) -> str:
    """Return the name.  Raises Malformed if it is empty or too long."""
    name = " ".join(name.split())
    if not name or len(name) > _LONGEST_NAME or not name.isprintable():
        raise Malformed(f"enter a name of at most {_LONGEST_NAME} characters")
    return name


def check_password(password: str, login: str) -> str:
    """Return the password.  Raises Malformed if it is too short to be safe."""
    if len(password) > _LONGEST_PASSWORD:
        raise Malformed(f"a password has at most {_LONGEST_PASSWORD} characters")
    if len(password) < SHORTEST_PASSWORD or len(set(password)) < SHORTEST_PASSWORD // 2:
        raise Malformed(
            f"a password has {SHORTEST_PASSWORD} characters or more, and not the same ones: "
            "several words are easy to remember"
        )
    if password.lower() in (login, login.partition("@")[0] * 2):
        raise Malformed("the password must not be the mailbox")
    return password


def is_totp_secret(text: str) -> bool:
    """True for a secret as this hub makes them for authenticator apps."""
    return _BASE32.fullmatch(text) is not None


def _match_code(secret: str, code: str, now: int) -> int | None:
    """The step of a code, up to one before or after the present one; None if it is wrong."""
    code = "".join(code.split())
    if not is_totp_secret(secret):
        return None
    step = now // SECOND // _STEP
    for each in (step, step - 1, step + 1):
        if hmac.compare_digest(pyotp.TOTP(secret).generate_otp(each).encode(), code.encode()):
            return each
    return None


def _proofs(person: Person) -> tuple[object, ...]:
    """The fields that an attempt to sign in is checked against."""
    passkeys = tuple(each.id for each in person.passkeys)
    return person.password, person.totp, person.totp_step, passkeys


def _without_second_factors(person: Person) -> Person:
    return replace(person, totp="", totp_step=0, passkeys=())


def idle_end(session: Session) -> int:
    """The time at which a session ends if its person does nothing, in µs since 1970 UTC."""
    return session.seen + IDLE_SECONDS * SECOND


def latest_end(session: Session) -> int:
    """The time at which a session ends in any case, in µs since 1970 UTC."""
    return session.begun + SESSION_SECONDS * SECOND


def require_unchanged(txn: Transaction, person: Person) -> Person:
    """The person as it is now.  Raises Conflict if its password was changed meanwhile."""
    current = _require(txn, person.id)
    if current.password != person.password:
        raise Conflict("the password was changed meanwhile: sign in with the new one")
    return current


def _require(txn: Transaction, id: str) -> Person:
    found = txn.people.find(id)
    if found is None:
        raise NotFound("this person was removed")
    return found


def _make_person(invitation: Invitation, login: str, name: str, now: int) -> Person:
    partner, roles = invitation.partner, invitation.roles
    return Person(uuid.uuid4().hex, login, name, partner, roles, created=now)


def _describe(person: Person | Invitation) -> dict[str, object]:
    """The details of one who may sign in, for the journal."""
    return {"login": person.login, "partner": person.partner, "roles": sorted(person.roles)}


def _require_invited(txn: Transaction, invitation: Invitation) -> Person | None:
    """The person who gets a new password; None for a new person.

    Raises NotFound if the person or the partner was removed.
    """
    known = txn.people.find(invitation.person) if invitation.person else None
    if not _is_partner_left(txn, invitation) or (invitation.person and known is None):
        raise NotFound(_USED)
    return known


def _is_partner_left(known: Store | Transaction, invitation: Invitation) -> bool:
    """True unless the partner was removed that the person is invited for."""
    return not invitation.partner or known.accounts.find_partner(invitation.partner) is not None


def remove_people(txn: Transaction, partner: str, by: str) -> None:
    """Remove the people of a partner, with their sessions, and its invitations."""
    for person in txn.people.list_people(partner):
        txn.people.remove(person.id)
        details = {"login": person.login, "partner": partner}
        txn.add_journal_entry("person.remove", by, details)
    for each in txn.people.list_invitations():
        if each.partner == partner:
            _end_invitation(txn, each, by)


def _end_invitation(txn: Transaction, invitation: Invitation, by: str) -> None:
    txn.people.remove_invitation(invitation.id)
    details = {"login": invitation.login, "invitation": invitation.id[:16]}
    txn.add_journal_entry("person.invite_end", by, details)


def _check_operator_left(txn: Transaction, changed: Person) -> None:
    """Raises Conflict if the hub would be without an operator after a change."""
    people = [changed if each.id == changed.id else each for each in txn.people.list_people("")]
    if any(Role.OPERATOR in each.roles and not each.disabled for each in people):
        return
    if changed.is_of_hub:
        raise Conflict("the hub needs an operator: make another person one first")
