"""The rights that a partner can have, and those that are refused."""

import uuid

import pytest
from support.hub import HUB_SECRETS, HubInProcess

from tocsin.admission.errors import Malformed
from tocsin.config.settings import HubSettings
from tocsin.server.cli.collection import add_collection
from tocsin.server.model import Collection, CollectionKind, Partner
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


@pytest.mark.parametrize("title", ["a\x1b[2Jb", "two\nlines", "a" * 201])
def test_the_title_of_a_collection_is_one_printable_line(hub: Runtime, title: str) -> None:
    new = Collection(str(uuid.uuid4()), "ics", CollectionKind.FEED, title)
    with pytest.raises(Malformed, match="--title must be one line"):
        add_collection(hub, new)
