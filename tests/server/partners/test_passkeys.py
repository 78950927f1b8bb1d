"""Challenges of passkeys: each for one purpose."""

import time

import pytest
from support.console import add_person
from support.hub import HubInProcess
from support.passkeys import ORIGIN, Authenticator

from tocsin.admission.errors import NotAuthenticated
from tocsin.server.partners.passkeys import PasskeyAnswer, Passkeys, Site
from tocsin.server.person import Role
from tocsin.server.store import Store


def test_a_challenge_to_sign_in_adds_no_passkey_though_it_has_the_name_of_the_session(
    store: Store,
) -> None:
    hub = HubInProcess(store)
    person = add_person(hub, "otto@hub.example", Role.OPERATOR)
    passkeys = Passkeys(store, hub.services.people, b"key", lambda: time.time_ns() // 1000)
    site, made = Site(ORIGIN, "Hub"), Authenticator()
    options = passkeys.begin_sign_in(site, "session") | {"user": {"id": "AA"}}
    with pytest.raises(NotAuthenticated):
        passkeys.add(site, person, "laptop", PasskeyAnswer(made.create(options), "session"))
