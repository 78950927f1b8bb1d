"""A command of an operator is done whole, and is in the journal then, or is not done at all."""

from collections.abc import Iterator
from typing import Any

import pytest
from support.crash import Crash, InterruptedStore
from support.databases import open_kind
from support.hub import HUB_SECRETS, HubInProcess, default_admission

from tocsin.admission.errors import Conflict
from tocsin.admission.model import Consent
from tocsin.config.settings import HubSettings
from tocsin.server.bootstrap import create_operator
from tocsin.server.cli.key import issue_key, revoke_key
from tocsin.server.cli.partner import add_partner, change_partner
from tocsin.server.model import Partner
from tocsin.server.partners.administration import PartnerChange
from tocsin.server.runtime import Runtime
from tocsin.server.services import build_services
from tocsin.server.store import Store

EAST = Partner("east", "East Limited")


def add(opened: Any) -> None:
    add_partner(opened, EAST, ["green"], ["inbox"])


def change(opened: Any) -> None:
    about = {"consent": Consent.EVERYONE}
    change_partner(opened, "acme", PartnerChange(about, reads=["clear"], disabled=True))


def issue(opened: Any) -> None:
    issue_key(opened, "acme")


def revoke(opened: Any) -> None:
    [key] = opened.services.store.accounts.list_keys("acme")
    revoke_key(opened, "acme", key)


@pytest.fixture
def hub(store: Store) -> Any:
    create_operator(store)
    return HubInProcess(store)


@pytest.fixture
def mortal(hub: Any) -> Iterator[Any]:
    """The runtime of commands over a store that crashes at its next transaction."""
    with open_kind(InterruptedStore, hub.store) as store:
        store.left = 1
        yield Runtime(
            HubSettings(),
            HUB_SECRETS,
            build_services(store, HUB_SECRETS, HubSettings(), default_admission()),
        )


def state(store: Any) -> Any:
    people = store.accounts
    keys = [people.list_keys(account.name) for account in people.list_accounts()]
    return people.list_partners(), people.list_accounts(), keys


@pytest.mark.parametrize("within", [True, False])
@pytest.mark.parametrize("act", [add, change, issue, revoke])
def test_whenever_it_dies(hub: Any, mortal: Any, act: Any, within: bool) -> None:
    before, acts = state(hub.store), len(hub.store.journal.list_entries())
    mortal.services.store.within = within
    with pytest.raises(Crash):
        act(mortal)
    done = state(hub.store) != before
    noted = len(hub.store.journal.list_entries()) > acts
    assert done == noted == (not within)


def test_a_partner_whose_account_is_taken_is_not_there_without_one(hub: Any) -> None:
    opened = Runtime(HubSettings(), HUB_SECRETS, hub.services)
    with pytest.raises(Conflict):
        add_partner(opened, Partner("operator", "Operators Limited"), [], [])
    assert hub.store.accounts.find_partner("operator") is None


def test_two_changes_at_once_undo_nothing_of_each_other(hub: Any, mortal: Any) -> None:
    """Who withdrew a consent need not look whether it stayed so."""
    store = mortal.services.store
    opened = Runtime(HubSettings(), HUB_SECRETS, hub.services)
    change(opened)
    store.within = True
    store.happens = lambda: change_partner(opened, "acme", PartnerChange({"consent": Consent.NONE}))
    change_partner(mortal, "acme", PartnerChange({"reliability": 80}))
    partner = hub.store.accounts.find_partner("acme")
    assert (partner.consent, partner.reliability) == (Consent.NONE, 80)
