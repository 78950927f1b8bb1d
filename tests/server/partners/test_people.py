"""How passwords are stored."""

from support.hub import HubInProcess

from tocsin.server.partners.people import People
from tocsin.server.person import Invitation, Role
from tocsin.server.store import Store


def test_a_password_is_stored_as_an_argon2id_hash_of_32_mebibytes(store: Store) -> None:
    people: People = HubInProcess(store).services.people
    roles = frozenset({Role.OPERATOR})
    invitation = Invitation("", "otto@hub.example", "Otto", "", roles, until=0, by="operator")
    person = people.accept(people.invite(invitation), "", "", "a long pass phrase")
    found = store.people.find(person.id)
    assert found is not None
    assert found.password.startswith("$argon2id$v=19$m=32768,t=3,p=1$")
