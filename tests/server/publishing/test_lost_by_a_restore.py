"""Objects of which a restored hub knows only that they were revoked or purged."""

import pytest
from support.hub import HubInProcess, findings, indicator, sdo

from tocsin.admission.merge.identity import indicator_key, observable_id
from tocsin.admission.model import Tlp
from tocsin.server.model import RevocationReason

pytestmark = pytest.mark.slow
EVIL = "evil.top"


def revoke_lost(hub: HubInProcess) -> str:
    """Let the hub know that its indicator on EVIL was revoked on the hub that was lost; its id."""
    key = indicator_key("stix", f"[domain-name:value = '{EVIL}']", "green")
    public_id = hub.services.publisher.ids.first_ids("indicator", key)[0]
    hub.services.lifecycle.note_lost_end(public_id, "jane", "false alarm")
    return public_id


@pytest.mark.parametrize("who", ["acme", "north"])
def test_what_had_ended_waits_for_a_reviewer_and_gets_another_id(
    hub: HubInProcess, who: str
) -> None:
    lost = revoke_lost(hub)
    status = hub.push(indicator(EVIL), indicator("else.top"), who=who)
    assert hub.verdicts(status) == ["held", "admitted"]
    assert "restored from a backup" in findings(status)[-1]["message"]
    assert lost not in str(status) and EVIL not in str(hub.feed("amber"))
    [review] = hub.store.reviews.list_waiting()
    assert review.rules == ("restored",)
    assert hub.services.intake.reviewer.release(review, "analyst").verdict == "admitted"
    [published] = [each for each in hub.feed("amber") if EVIL in each["pattern"]]
    assert published["id"] != lost
    assert hub.verdicts(hub.push(indicator(EVIL), who="north")) != ["held"]


def test_what_had_been_purged_waits_and_stays_purged(hub: HubInProcess) -> None:
    lost = revoke_lost(hub)
    hub.services.purger.purge(lost, "jane", "names a victim")
    public = hub.store.read(lambda known: known.public_objects([lost]))[lost]
    assert public.revocation_reason == RevocationReason.PURGED
    assert hub.verdicts(hub.push(indicator(EVIL))) == ["held"]
    assert hub.feed("amber") == []


def test_what_refers_to_what_had_ended_waits_too(hub: HubInProcess) -> None:
    lost, sent = revoke_lost(hub), indicator(EVIL)
    note = sdo("note", content="n", object_refs=[sent["id"]])
    assert hub.verdicts(hub.push(sent, note)) == ["held", "held"]
    note = sdo("note", content="n", object_refs=[lost])
    assert hub.verdicts(hub.push(note)) == ["held"]
    assert hub.feed("amber") == []


@pytest.mark.parametrize("purged", [False, True])
def test_an_observable_that_had_ended_keeps_its_id_once_a_reviewer_releases_it(
    hub: HubInProcess, purged: bool
) -> None:
    subject = {"type": "domain-name", "spec_version": "2.1", "value": EVIL}
    subject |= {"object_marking_refs": indicator()["object_marking_refs"]}
    name = observable_id(subject)
    hub.services.lifecycle.note_lost_end(name, "jane", "false alarm")
    if purged:
        hub.services.purger.purge(name, "jane", "names a victim")
    assert hub.verdicts(hub.push({**subject, "id": name})) == ["held"]
    [review] = hub.store.reviews.list_waiting()
    hub.services.intake.reviewer.release(review, "analyst")
    assert [each.get("revoked", False) for each in hub.feed("clear")] == []
    assert [(each["id"], each.get("revoked")) for each in hub.feed("green")] == [(name, None)]


def test_reports_of_what_the_hub_knows_wait_once_it_is_revoked(hub: HubInProcess) -> None:
    sent = indicator(EVIL)
    hub.push(sent)
    public_id = revoke_lost(hub)
    assert not hub.feed("green")[0].get("revoked")
    hub.services.lifecycle.revoke(public_id, "jane", "false alarm")
    assert hub.verdicts(hub.push(sent)) == ["refused"]
    assert hub.verdicts(hub.push(indicator(EVIL), who="north")) == ["held"]


@pytest.mark.parametrize(
    ("level", "verdict"), [(Tlp.AMBER, "held"), (Tlp.AMBER_STRICT, "admitted")]
)
def test_what_a_partner_may_not_see_does_not_exist_for_it(
    hub: HubInProcess, level: Tlp, verdict: str
) -> None:
    subject = {"type": "domain-name", "spec_version": "2.1", "value": EVIL}
    subject |= {"object_marking_refs": indicator()["object_marking_refs"]}
    name = observable_id(subject)
    hub.services.lifecycle.note_lost_end(name, "jane", "false alarm", level)
    assert hub.verdicts(hub.push({**subject, "id": name})) == [verdict]
    assert len(hub.feed("green")) == (verdict == "admitted")


def test_the_journal_says_at_which_level_an_object_ended(hub: HubInProcess) -> None:
    hub.push(indicator(EVIL), indicator("else.top"))
    one, other = (each["id"] for each in hub.feed("green"))
    hub.services.lifecycle.revoke(one, "jane", "false alarm")
    hub.services.purger.purge(other, "jane", "names a victim")
    ended = [e for e in hub.store.journal.list_entries() if e.action.startswith("object.")]
    assert [each.details["tlp"] for each in ended] == ["green", "green"]
