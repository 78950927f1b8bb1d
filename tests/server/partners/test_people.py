"""How passwords are stored."""

import pytest
from support.clock import ManualClock
from support.hub import HubInProcess

from tocsin.admission.errors import NotFound
from tocsin.server.partners.people import People
from tocsin.server.person import Invitation, Role
from tocsin.server.store import Store, wall_clock


def test_a_password_is_stored_as_an_argon2id_hash_of_32_mebibytes(store: Store) -> None:
    people: People = HubInProcess(store).services.people
    roles = frozenset({Role.OPERATOR})
    invitation = Invitation("", "otto@hub.example", "Otto", "", roles, until=0, by="operator")
    person = people.accept(people.invite(invitation), "", "", "a long pass phrase")
    found = store.people.find(person.id)
    assert found is not None
    assert found.password.startswith("$argon2id$v=19$m=32768,t=3,p=1$")


def test_an_invitation_that_nobody_took_is_cancelled_by_removing_its_mailbox(store: Store) -> None:
    people: People = HubInProcess(store).services.people
    roles = frozenset({Role.OPERATOR})
    made = Invitation("", "wrong@hub.example", "", "", roles, until=0, by="operator")
    kept = people.invite(Invitation("", "jane@hub.example", "", "", roles, until=0, by="operator"))
    secret = people.invite(made)
    assert people.remove("Wrong@hub.example", "operator") == 1
    with pytest.raises(NotFound):
        people.find_invitation(secret)
    assert people.find_invitation(kept)
    entry = [*store.journal.entries()][-1]
    assert (entry.action, entry.details["login"]) == ("person.invite_end", "wrong@hub.example")
    with pytest.raises(NotFound, match="cannot sign in"):
        people.remove("wrong@hub.example", "operator")


def test_an_invitation_that_has_ended_is_deleted_by_removing_its_mailbox(store: Store) -> None:
    clock = ManualClock(wall_clock())
    people: People = HubInProcess(store, clock).services.people
    roles = frozenset({Role.OPERATOR})
    people.invite(Invitation("", "jane@hub.example", "", "", roles, until=0, by="operator"))
    clock.advance(days=8)
    assert people.remove("jane@hub.example", "operator") == 1
    assert store.people.list_invitations() == []


def test_a_person_who_was_only_invited_has_no_roles_to_change(store: Store) -> None:
    people: People = HubInProcess(store).services.people
    roles = frozenset({Role.OPERATOR})
    people.invite(Invitation("", "jane@hub.example", "", "", roles, until=0, by="operator"))
    with pytest.raises(NotFound, match=r"invite again .* person remove"):
        people.set_roles("jane@hub.example", roles, "operator")
