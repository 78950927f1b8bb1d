"""victim_terms: the organisations that saw what a sighting reports are not named."""

from json import dumps
from typing import Any

import pytest
from support.hub import HubInProcess, indicator, sdo

from tocsin.admission.model import Consent
from tocsin.server.model import Partner
from tocsin.server.store import Store


def post(hub: HubInProcess, who: str = "acme", **identity: Any) -> tuple[list[str], str]:
    """Post an organisation, an indicator, and a sighting of it there; what a reader sees."""
    seen = {"name": "Bank of Springfield", "identity_class": "organization"} | identity
    organisation, threat = sdo("identity", **seen), indicator()
    sighting = sdo(
        "sighting", sighting_of_ref=threat["id"], where_sighted_refs=[organisation["id"]], count=3
    )
    status = hub.push(organisation, threat, sighting, who=who)
    found = hub.ask("collections/green/objects/", "north").json.get("objects", [])
    return hub.verdicts(status), dumps(found)


class TestWhereSighted:
    def test_the_organisation_is_neither_published_nor_referred_to(self, hub: HubInProcess) -> None:
        verdicts, shown = post(hub)
        assert verdicts == ["refused", "admitted", "admitted"]
        assert "Springfield" not in shown and "where_sighted_refs" not in shown

    @pytest.mark.slow
    def test_the_consent_of_the_submitter_does_not_name_others(self, store: Store) -> None:
        hub = HubInProcess(store)
        hub.join(Partner("open", "Open Corporation", consent=Consent.EVERYONE))
        verdicts, shown = post(hub, "open")
        assert verdicts[0] == "refused" and "Springfield" not in shown

    def test_a_submitter_that_consents_may_say_that_it_saw_it_itself(self, store: Store) -> None:
        hub = HubInProcess(store)
        hub.join(Partner("open", "Open Corporation", consent=Consent.EVERYONE))
        verdicts, shown = post(hub, "open", name="Open Corporation")
        assert "refused" not in verdicts and "where_sighted_refs" in shown

    def test_a_whole_sector_may_be_named(self, hub: HubInProcess) -> None:
        verdicts, shown = post(hub, name="Dairies", identity_class="class")
        assert "refused" not in verdicts and "Dairies" in shown

    @pytest.mark.parametrize(
        ("mode", "verdict"), [("keep", "admitted"), ("hold", "held"), ("refuse", "refused")]
    )
    def test_the_mode_decides_about_the_organisation(
        self, store: Store, mode: str, verdict: str
    ) -> None:
        hub = HubInProcess(store, more=f'[rules.victim_terms]\nsighters = "{mode}"\n')
        assert post(hub)[0][0] == verdict
