"""People in the database."""

from dataclasses import replace

from tocsin.admission.timestamps import DAY
from tocsin.server.person import Invitation, Passkey, Person, Role, Session
from tocsin.server.store import Store

KEYS = (
    Passkey("aWQ", "laptop", "a2V5", added=1, used=2, count=3),
    Passkey("aWQy", "phone", "a2V5", added=4),
)
JANE = Person("p", "jane@hub.example", "Jane", "", frozenset({Role.OPERATOR}), passkeys=KEYS)


def test_a_person_is_kept_with_all_passkeys(store: Store) -> None:
    store.commit(lambda txn: txn.people.add(replace(JANE, last_challenge=5)))
    found = store.people.find("p")
    assert found is not None
    assert (found.passkeys, found.last_challenge) == (KEYS, 5)


def test_a_person_is_found_by_each_passkey(store: Store) -> None:
    store.commit(lambda txn: txn.people.add(JANE))
    other = replace(JANE, id="q", login="otto@hub.example", passkeys=())
    store.commit(lambda txn: txn.people.add(other))
    for passkey in KEYS:
        found = store.people.find_by_passkey(passkey.id)
        assert found is not None and found.id == "p"
    assert store.people.find_by_passkey("eA") is None


def test_failed_attempts_are_forgotten_after_two_days(store: Store) -> None:
    store.people.note_failure("long ago", 3, at=0)
    store.people.note_failure("a", 3, at=10 * DAY)
    store.people.note_failure("b", 3, at=11 * DAY)
    store.people.note_failure("by a clock that was ahead", 3, at=14 * DAY)
    store.people.forget_ended_failures(12 * DAY)
    assert store.people.count_failures("by a clock that was ahead") == (0, 0)
    assert store.people.count_failures("long ago") == (0, 0)
    assert store.people.count_failures("a") == (0, 0)
    assert store.people.count_failures("b") == (3, 11 * DAY)


def test_invitations_and_sessions_that_have_ended_are_forgotten(store: Store) -> None:
    for name, at in (("past", 9), ("today", 11), ("ahead", 13)):
        invitation = Invitation(name, name, "", "", frozenset(), until=at * DAY, by="otto")
        store.people.invite(invitation)
        store.people.begin_session(Session(name, name, at * DAY, at * DAY, ""), oldest=0)
    store.people.forget_ended(11 * DAY)
    assert [each.id for each in store.people.list_invitations()] == ["ahead"]
    found = [name for name in ("past", "today", "ahead") if store.people.find_session(name)]
    assert found == ["today"]


def test_a_person_of_an_earlier_version_has_no_passkeys(store: Store) -> None:
    store.commit(lambda txn: txn.people.add(replace(JANE, passkeys=())))
    store._base.people.update_one({"_id": "p"}, {"$unset": {"passkeys": "", "last_challenge": ""}})
    found = store.people.find("p")
    assert found is not None
    assert not found.has_second_factor and found.last_challenge == 0
