"""People of the console, their sessions and invitations.

Of cookies and links only the SHA-256 is stored; a reader of the database cannot use it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, fields
from typing import TypeVar

from pymongo.errors import DuplicateKeyError

from tocsin.admission.errors import Conflict, NotFound
from tocsin.admission.timestamps import DAY
from tocsin.server.person import Invitation, Passkey, Person, Role, Session
from tocsin.server.store.connection import Base, Document, time_limit
from tocsin.server.store.connection import Session as Transactional
from tocsin.server.store.senders import forget_senders
from tocsin.server.store.submissions import REMOVED_PERSON

T = TypeVar("T", Invitation, Session, Person)


class People:
    """People and invitations; within a transaction they are `Transaction.people`."""

    def __init__(self, base: Base, session: Transactional = None) -> None:
        """Read and write in `session`, if there is one."""
        self._base = base
        self._people, self._invitations = base.people, base.invitations
        self._sessions, self._attempts = base.sessions, base.attempts
        self._session = session

    def add(self, person: Person) -> None:
        """Store a new person.  Raises Conflict if the login is taken."""
        if self.find_by_login(person.login) is not None:
            raise Conflict(f"{person.login} can sign in already")
        try:
            self._people.insert_one(_to_document(person), session=self._session)
        except DuplicateKeyError as error:
            raise Conflict(f"{person.login} can sign in already") from error

    def update(self, person: Person) -> None:
        """Replace the person with this id.  Raises NotFound if there is none."""
        replaced = self._people.replace_one(
            {"_id": person.id}, _to_document(person), session=self._session
        )
        if not replaced.matched_count:
            raise NotFound(f"{person.login} cannot sign in")

    def remove(self, id: str) -> None:
        """Delete a person, with all sessions; nothing happens if there is none.

        When the person submitted is deleted too, and that they invited those who are invited.
        """
        person = self.find(id)
        if person is not None:
            forget_senders(self._base, [person.login], self._session)
            own = {"by": person.login}
            self._invitations.update_many(
                own, {"$set": {"by": REMOVED_PERSON}}, session=self._session
            )
        self.end_sessions(id)
        self._people.delete_one({"_id": id}, session=self._session)

    @time_limit()
    def find(self, id: str) -> Person | None:
        """The person with this id, or None."""
        return _to_person(self._people.find_one({"_id": id}, session=self._session))

    @time_limit()
    def find_by_login(self, login: str) -> Person | None:
        """The person who signs in with this mailbox, or None."""
        return _to_person(self._people.find_one({"login": login.lower()}, session=self._session))

    @time_limit()
    def find_by_passkey(self, id: str) -> Person | None:
        """The person who has the passkey with this id, or None."""
        return _to_person(self._people.find_one({"passkeys.id": id}, session=self._session))

    @time_limit()
    def list_people(self, partner: str | None = None) -> list[Person]:
        """All people, by login; of one partner if one is named, the hub's own for `""`."""
        query = {} if partner is None else {"partner": partner}
        found = map(_to_person, self._people.find(query, session=self._session))
        return sorted((each for each in found if each), key=lambda person: person.login)

    def has_any(self) -> bool:
        """True if anyone can sign in."""
        return self._people.find_one({}, {"_id": 1}, session=self._session) is not None

    def invite(self, invitation: Invitation) -> None:
        """Store an invitation; former ones of the same login and partner end."""
        same = {"login": invitation.login, "partner": invitation.partner}
        self._invitations.delete_many(same, session=self._session)
        self._invitations.insert_one(_to_document(invitation), session=self._session)

    def find_invitation(self, id: str, now: int) -> Invitation | None:
        """An invitation that still holds, or None."""
        document = self._invitations.find_one({"_id": id}, session=self._session)
        if document is None or document["until"] <= now:
            return None
        return _make(Invitation, document, roles=_roles(document))

    def list_invitations(self, now: int = 0) -> list[Invitation]:
        """The invitations that still hold at a time, in µs, by login; at 0: also ended ones."""
        found = self._invitations.find({}, session=self._session)
        valid = [_make(Invitation, each, roles=_roles(each)) for each in found]
        return sorted((e for e in valid if e.until > now), key=lambda each: each.login)

    def remove_invitation(self, id: str) -> bool:
        """Delete an invitation; False if there is none."""
        return bool(self._invitations.delete_one({"_id": id}, session=self._session).deleted_count)

    def begin_session(self, new: Session, oldest: int) -> None:
        """Store a session; those of the person that were last seen before `oldest` end."""
        past = [each.id for each in self.list_sessions(new.person) if each.seen < oldest]
        if past:
            self._sessions.delete_many({"_id": {"$in": past}}, session=self._session)
        self._sessions.insert_one(_to_document(new), session=self._session)

    @time_limit()
    def find_session(self, id: str) -> Session | None:
        """A session, or None."""
        document = self._sessions.find_one({"_id": id}, session=self._session)
        return None if document is None else _make(Session, document)

    def list_sessions(self, person: str) -> list[Session]:
        """The sessions of a person, the newest first."""
        found = self._sessions.find({"person": person}, session=self._session)
        return sorted((_make(Session, each) for each in found), key=lambda each: -each.seen)

    def note_session(self, id: str, seen: int) -> None:
        """Note that a session was used."""
        self._sessions.update_one({"_id": id}, {"$set": {"seen": seen}}, session=self._session)

    def end_session(self, id: str) -> None:
        """End a session."""
        self._sessions.delete_one({"_id": id}, session=self._session)

    def end_sessions(self, person: str, keep: str = "") -> None:
        """End all sessions of a person but the one with the id `keep`."""
        ids = [each.id for each in self.list_sessions(person) if each.id != keep]
        if ids:
            self._sessions.delete_many({"_id": {"$in": ids}}, session=self._session)

    def forget_ended(self, now: int) -> None:
        """Delete the invitations that have ended, and the sessions without a request for a day.

        A session that was used later than tomorrow was so by a clock that was ahead.
        """
        self._invitations.delete_many({"until": {"$lte": now}}, session=self._session)
        for seen in ({"$lte": now - DAY}, {"$gt": now + DAY}):
            self._sessions.delete_many({"seen": seen}, session=self._session)

    def count_failures(self, key: str) -> tuple[int, int]:
        """Failed attempts in a row under this key, and the time of the last one, in µs."""
        document = self._attempts.find_one({"_id": key}, session=self._session)
        return (0, 0) if document is None else (int(document["count"]), int(document["at"]))

    def note_failure(self, key: str, count: int, at: int) -> None:
        """Note the number of failed attempts under this key, and the time of the last one."""
        change = {"$set": {"count": count, "at": at, "day": at // DAY}}
        self._attempts.update_one({"_id": key}, change, upsert=True, session=self._session)

    def forget_ended_failures(self, now: int) -> None:
        """Delete what failed the day before yesterday or earlier, or later than tomorrow.

        The latter was noted by a clock that was ahead.
        """
        today = now // DAY
        for days in ({"$lt": today - 1}, {"$gt": today + 1}):
            self._attempts.delete_many({"day": days}, session=self._session)

    def forget_failures(self, keys: list[str]) -> None:
        """Note that an attempt under these keys succeeded."""
        self._attempts.delete_many({"_id": {"$in": keys}}, session=self._session)


def _to_document(value: Person | Invitation | Session) -> Document:
    document = asdict(value)
    document["_id"] = document.pop("id")
    if "roles" in document:
        document["roles"] = sorted(document["roles"])
    if "passkeys" in document:
        document["passkeys"] = list(document["passkeys"])
    return document


def _make(kind: type[T], document: Document, **more: object) -> T:
    known = {each.name for each in fields(kind)}
    values = {name: value for name, value in document.items() if name in known}
    return kind(**{**values, "id": document["_id"], **more})


def _roles(document: Mapping[str, list[str]]) -> frozenset[Role]:
    return frozenset(map(Role, document["roles"]))


def _to_person(document: Document | None) -> Person | None:
    if document is None:
        return None
    passkeys = tuple(Passkey(**each) for each in document.get("passkeys", ()))
    return _make(Person, document, roles=_roles(document), passkeys=passkeys)
