"""The rights, names and terms that a partner can have, and those that are refused."""

import uuid

import pytest
from support.hub import HUB_SECRETS, HubInProcess

from tocsin.admission.errors import Malformed
from tocsin.config.settings import HubSettings
from tocsin.server.cli.collection import add_collection
from tocsin.server.cli.partner import add_partner, change_partner
from tocsin.server.model import Account, Collection, CollectionKind, Partner
from tocsin.server.partners.administration import PartnerChange, Partners
from tocsin.server.runtime import Runtime
from tocsin.server.store import Store

EAST = Partner("east", "East Limited")


@pytest.fixture
def hub(store: Store) -> Runtime:
    services = HubInProcess(store).services
    return Runtime(HubSettings(), HUB_SECRETS, services, "operator:jane")


@pytest.fixture
def partners(hub: Runtime) -> Partners:
    return Partners(hub.services.store)


class TestRights:
    @pytest.mark.parametrize(
        ("change", "message"),
        [
            (PartnerChange(reads=["inbox"]), "nobody can read inbox"),
            (PartnerChange(writes=["green"]), "nobody can write to green: its kind is feed"),
        ],
    )
    def test_a_right_that_cannot_exist_is_refused(
        self, partners: Partners, change: PartnerChange, message: str
    ) -> None:
        with pytest.raises(Malformed, match=message):
            partners.add(EAST, change, "operator:jane")
        with pytest.raises(Malformed, match=message):
            partners.change("acme", change, "operator:jane")

    def test_a_verbatim_collection_can_be_read_and_written_to(self, partners: Partners) -> None:
        change = PartnerChange(reads=["scratch", "green"], writes=["scratch", "inbox"])
        assert partners.add(EAST, change, "operator:jane").account == "east"


class TestNames:
    @pytest.mark.parametrize("name", ["a" * 201, "-", "*", " . "])
    def test_a_name_or_term_that_is_of_no_use_is_refused(
        self, partners: Partners, name: str
    ) -> None:
        for partner in (Partner("east", name), Partner("east", "East", terms=(name,))):
            with pytest.raises(Malformed, match="no letter or digit|longer than 200"):
                partners.add(partner, PartnerChange(), "operator:jane")
        with pytest.raises(Malformed, match="no letter or digit|longer than 200"):
            partners.change("acme", PartnerChange({"terms": (name,)}), "operator:jane")

    def test_a_partner_with_an_old_name_of_that_kind_can_be_locked_out(
        self, partners: Partners
    ) -> None:
        partners.store.commit(lambda txn: txn.accounts.add_partner(Partner("old", "o" * 300)))
        partners.store.commit(lambda txn: txn.accounts.add_account(Account("old", "old")))
        partners.change("old", PartnerChange(disabled=True), "operator:jane")
        [account] = partners.store.accounts.list_accounts("old")
        assert account.disabled

    def test_a_short_term_is_taken_with_a_warning(
        self, hub: Runtime, capsys: pytest.CaptureFixture[str]
    ) -> None:
        add_partner(hub, Partner("east", "East", terms=("a",)), ["green"], ["inbox"])
        change_partner(hub, "acme", PartnerChange({"terms": ("b1", "acme.example")}))
        change_partner(hub, "acme", PartnerChange(disabled=True))
        first, second = capsys.readouterr().err.splitlines()
        assert "'a' is masked wherever it stands in what east submits" in first
        assert "'b1' is masked wherever" in second


@pytest.mark.parametrize("title", ["a\x1b[2Jb", "two\nlines", "a" * 201])
def test_the_title_of_a_collection_is_one_printable_line(hub: Runtime, title: str) -> None:
    new = Collection(str(uuid.uuid4()), "ics", CollectionKind.FEED, title)
    with pytest.raises(Malformed, match="--title must be one line"):
        add_collection(hub, new)
