"""The names and terms that a partner can have, and those that are refused."""

import pytest
from support.hub import HUB_SECRETS, HubInProcess

from tocsin.admission.errors import Malformed
from tocsin.config.settings import HubSettings
from tocsin.server.cli.partner import add_partner, change_partner
from tocsin.server.model import Account, Partner
from tocsin.server.partners.administration import PartnerChange, Partners
from tocsin.server.runtime import Runtime
from tocsin.server.store import Store


@pytest.fixture
def partners(store: Store) -> Partners:
    return Partners(HubInProcess(store).store)


@pytest.mark.parametrize("name", ["a" * 201, "-", "*", " . "])
def test_a_name_or_term_that_is_of_no_use_is_refused(partners: Partners, name: str) -> None:
    for partner in (Partner("east", name), Partner("east", "East", terms=(name,))):
        with pytest.raises(Malformed, match="no letter or digit|longer than 200"):
            partners.add(partner, PartnerChange(), "operator:jane")
    with pytest.raises(Malformed, match="no letter or digit|longer than 200"):
        partners.change("acme", PartnerChange({"terms": (name,)}), "operator:jane")


def test_a_partner_with_an_old_name_of_that_kind_can_be_locked_out(partners: Partners) -> None:
    partners.store.commit(lambda txn: txn.accounts.add_partner(Partner("old", "o" * 300)))
    partners.store.commit(lambda txn: txn.accounts.add_account(Account("old", "old")))
    partners.change("old", PartnerChange(disabled=True), "operator:jane")
    [account] = partners.store.accounts.list_accounts("old")
    assert account.disabled


def test_a_short_term_is_taken_with_a_warning(
    store: Store, capsys: pytest.CaptureFixture[str]
) -> None:
    hub = Runtime(HubSettings(), HUB_SECRETS, HubInProcess(store).services, "operator:jane")
    add_partner(hub, Partner("east", "East", terms=("a",)), ["green"], ["inbox"])
    change_partner(hub, "acme", PartnerChange({"terms": ("b1", "acme.example")}))
    change_partner(hub, "acme", PartnerChange(disabled=True))
    first, second = capsys.readouterr().err.splitlines()
    assert "'a' is masked wherever it stands in what east submits" in first
    assert "'b1' is masked wherever" in second
