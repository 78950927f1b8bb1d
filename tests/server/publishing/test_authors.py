"""Identities that say who sent something, whenever they do: in one submission, before, or after."""

import dataclasses
from typing import Any

import pytest
from support.clock import ManualClock
from support.crash import work_later
from support.hub import (
    AMBER,
    GREEN,
    HubInProcess,
    details,
    findings,
    indicator,
    relationship,
    sdo,
)
from support.presence import present
from support.statement_marking import STATEMENT

from tocsin.admission.model import Consent
from tocsin.admission.timestamps import DAY, HOUR
from tocsin.server.model import Partner

pytestmark = pytest.mark.slow

TEAM = sdo("identity", name="Blue Kite Team", identity_class="organization", sectors=["energy"])
PLACE = sdo("location", city="Smallville", country="US")


def by(author: Any, value: Any = "evil.top") -> Any:
    return indicator(value, created_by_ref=author["id"])


def published_objects(hub: Any, feed: Any = "green") -> Any:
    """Return the partners' objects and identities in a feed, without the hub's identity."""
    answer = hub.ask(f"collections/{feed}/objects/", "north", query_string={"limit": 1000})
    own = ("marking-definition", "extension-definition")
    return [o for o in answer.json["objects"] if o["type"] not in own and o["id"] != hub.identity]


def identities(hub: Any) -> Any:
    return [o for o in published_objects(hub) if o["type"] == "identity" and o["name"] != "Tocsin"]


class TestSentLater:
    @pytest.fixture(autouse=True)
    def named(self, hub: HubInProcess) -> None:
        hub.push(by(TEAM))

    def test_the_identity_gives_way_to_the_hubs(self, hub: HubInProcess) -> None:
        [entry] = details(hub.push(TEAM))
        assert entry["x_tocsin_verdict"] == "duplicate"
        assert entry["x_tocsin_public_id"] == hub.identity
        assert identities(hub) == []

    def test_the_location_of_an_author_is_not_published(self, hub: HubInProcess) -> None:
        status = hub.push(PLACE, relationship(TEAM, "located-at", PLACE))
        assert hub.verdicts(status) == ["refused", "refused"]
        assert "Smallville" not in str(published_objects(hub))

    def test_another_partner_may_speak_of_it(self, hub: HubInProcess) -> None:
        assert hub.verdicts(hub.push(TEAM, who="north")) == ["admitted"]

    def test_an_author_is_named_once_the_partner_consents_and_sends_it(
        self, hub: HubInProcess
    ) -> None:
        people = hub.store.accounts
        people.update_partner(
            dataclasses.replace(present(people.find_partner("acme")), consent=Consent.EVERYONE)
        )
        assert hub.verdicts(hub.push(TEAM, by(TEAM, "else.top"))) == ["admitted"] * 2
        [shown] = identities(hub)
        authors = {o["created_by_ref"] for o in published_objects(hub) if o["type"] == "indicator"}
        assert authors == {hub.identity, shown["id"]}


class TestSentBefore:
    def test_a_published_identity_is_revoked_when_it_turns_out_to_be_the_author(
        self, hub: HubInProcess
    ) -> None:
        hub.push(TEAM)
        assert len(identities(hub)) == 1
        hub.push(by(TEAM))
        work_later(hub, 26 * HOUR)
        [gone] = identities(hub)
        assert gone["revoked"] and "Kite" not in str(gone) and "energy" not in str(gone)

    def test_it_is_not_revoked_together_with_the_report(self, hub: HubInProcess) -> None:
        hub.push(TEAM)
        hub.push(by(TEAM))
        work_later(hub, HOUR // 2)
        assert not any("revoked" in each for each in identities(hub))

    def test_it_is_revoked_within_a_day_though_the_clock_was_ahead_but_not_at_once(
        self, hub: HubInProcess
    ) -> None:
        hub.push(TEAM)
        hub.push(by(TEAM))
        hub.store._base.outbox.update_many({"authors": True}, {"$inc": {"due": 40 * DAY}})
        work_later(hub, HOUR // 2)
        assert not any("revoked" in each for each in identities(hub))
        work_later(hub, 26 * HOUR)
        assert all(each["revoked"] for each in identities(hub))

    def test_it_stays_if_the_partner_agrees_to_be_named_meanwhile(self, hub: HubInProcess) -> None:
        hub.push(TEAM)
        hub.push(by(TEAM))
        people = hub.store.accounts
        people.update_partner(
            dataclasses.replace(present(people.find_partner("acme")), consent=Consent.EVERYONE)
        )
        hub.push(TEAM | {"modified": "2026-03-01T00:00:00.000Z"})
        work_later(hub, 26 * HOUR)
        assert not any("revoked" in each for each in identities(hub))
        gone = TEAM | {"modified": "2026-04-01T00:00:00.000Z", "revoked": True}
        assert hub.verdicts(hub.push(gone)) == ["admitted"]
        assert all(each["revoked"] for each in identities(hub))

    def test_its_id_stands_for_it_again_if_the_partner_agrees_to_be_named(
        self, hub: HubInProcess
    ) -> None:
        hub.push(TEAM)
        hub.push(by(TEAM))
        people = hub.store.accounts
        people.update_partner(
            dataclasses.replace(present(people.find_partner("acme")), consent=Consent.EVERYONE)
        )
        work_later(hub, 26 * HOUR)
        [named] = identities(hub)
        gone = TEAM | {"modified": "2026-04-01T00:00:00.000Z", "revoked": True}
        [answer] = details(hub.push(gone))
        assert answer["x_tocsin_public_id"] == named["id"]
        assert [each.get("revoked") for each in identities(hub)] == [True]

    def test_its_partner_can_revoke_it_at_once(self, hub: HubInProcess) -> None:
        hub.push(TEAM)
        hub.push(by(TEAM))
        gone = TEAM | {"modified": "2026-03-01T00:00:00.000Z", "revoked": True}
        [answer] = details(hub.push(gone))
        assert answer["x_tocsin_verdict"] == "admitted"
        [left] = identities(hub)
        assert left["revoked"] and "Kite" not in str(left)
        work_later(hub, 26 * HOUR)
        assert identities(hub) == [left]

    def test_a_revoked_author_is_not_published_again(self, hub: HubInProcess) -> None:
        hub.push(TEAM), hub.push(by(TEAM))
        work_later(hub, 26 * HOUR)
        hub.push(TEAM | {"modified": "2026-03-01T00:00:00.000Z"})
        assert [each["revoked"] for each in identities(hub)] == [True]

    def test_an_author_published_with_consent_is_revoked_when_consent_has_ended(
        self, hub: HubInProcess
    ) -> None:
        hub.join(Partner("open", "Open Limited", consent=Consent.EVERYONE))
        hub.push(TEAM, by(TEAM), who="open")
        hub.store.accounts.update_partner(Partner("open", "Open Limited"))
        hub.push(by(TEAM, "else.top"), who="open")
        work_later(hub, 26 * HOUR)
        assert all(each["revoked"] and "Kite" not in str(each) for each in identities(hub))

    def test_a_related_author_is_not_published(self, hub: HubInProcess) -> None:
        hub.push(TEAM), hub.push(by(TEAM) | {"created_by_ref": TEAM["id"]}, who="north")
        assert not any("revoked" in each for each in identities(hub))


class TestListed:
    """An object that lists its own author would be about the hub with the hub's identity there."""

    @pytest.fixture
    def found(self) -> Any:
        return by(TEAM)

    def listing(self, kind: str, *members: Any) -> Any:
        more = {"report": {"name": "r", "published": "2026-01-01T00:00:00Z"}}
        more |= {"grouping": {"context": "unspecified"}, "note": {"content": "n"}}
        refs = [each["id"] for each in members]
        return sdo(kind, created_by_ref=TEAM["id"], object_refs=refs, **more[kind])

    @pytest.mark.parametrize("together", [True, False])
    @pytest.mark.parametrize("kind", ["report", "grouping", "note"])
    def test_the_author_is_left_out(
        self, hub: HubInProcess, found: Any, kind: str, together: bool
    ) -> None:
        if together:
            status = hub.push(TEAM, found, self.listing(kind, TEAM, found))
        else:
            hub.push(TEAM, found)
            status = hub.push(self.listing(kind, TEAM, found))
        shown = {o["type"]: o for o in published_objects(hub)}
        assert shown[kind]["object_refs"] == [shown["indicator"]["id"]]
        assert shown[kind]["created_by_ref"] == hub.identity
        [finding] = [each for each in findings(status) if each["rule"] == "references"]
        assert (finding["path"], finding["action"]) == ("object_refs", "stripped")

    def test_what_lists_nothing_else_is_refused(self, hub: HubInProcess) -> None:
        status = hub.push(TEAM, self.listing("report", TEAM))
        assert hub.verdicts(status) == ["duplicate", "refused"]
        assert "report" not in {o["type"] for o in published_objects(hub)}

    def test_the_author_does_not_lower_the_level_of_what_lists_it(
        self, hub: HubInProcess, found: Any
    ) -> None:
        strict = {**found, "object_marking_refs": [AMBER]}
        hub.push(TEAM, strict, self.listing("report", TEAM, strict))
        assert "report" not in {o["type"] for o in published_objects(hub)}
        assert "report" in {o["type"] for o in published_objects(hub, "amber")}

    @pytest.mark.parametrize("late", [False, True])
    @pytest.mark.parametrize("all_late", [False, True])
    def test_what_was_sent_without_a_name_never_lists_its_author(
        self, hub: HubInProcess, found: Any, late: bool, all_late: bool
    ) -> None:
        hub.join(Partner("open", "Open Limited", consent=Consent.EVERYONE))
        other, nameless = by(TEAM, "late.top"), TEAM | {"labels": ["ais-consent-none"]}
        members = [each for each, there in ((found, not all_late), (other, late)) if there]
        members = members or [found]
        first = [] if all_late else [found]
        hub.push(nameless, *first, self.listing("report", TEAM, *members), who="open")
        hub.push(TEAM, found, other, who="open")
        [report] = [o for o in published_objects(hub) if o["type"] == "report"]
        [named] = identities(hub)
        assert named["id"] not in report["object_refs"]
        assert len(report["object_refs"]) == len(members)

    def test_the_author_is_listed_once_the_partner_consents_and_sends_both(
        self, hub: HubInProcess, found: Any
    ) -> None:
        report = self.listing("report", TEAM, found)
        hub.push(TEAM, found, report)
        people = hub.store.accounts
        people.update_partner(
            dataclasses.replace(present(people.find_partner("acme")), consent=Consent.EVERYONE)
        )
        hub.push(TEAM, report)
        [shown] = [o for o in published_objects(hub) if o["type"] == "report"]
        [named] = identities(hub)
        assert named["id"] in shown["object_refs"]


class TestLabels:
    """The consent in an identity's labels: `ais-consent-…`."""

    def pushed(self, hub: Any, consent: Any, *labels: Any, **more: Any) -> Any:
        hub.join(Partner("open", "Open Limited", consent=consent))
        text = {"description": "Open Limited saw it"}
        return hub.push(TEAM | {"labels": list(labels)}, by(TEAM) | text | more, who="open")

    @pytest.mark.parametrize("label", ["ais-consent-none", "AIS-Consent-USG"])
    def test_less_than_the_partner_agreed_to_is_obeyed(self, hub: HubInProcess, label: str) -> None:
        self.pushed(hub, Consent.EVERYONE, "other", label)
        assert identities(hub) == []
        [shown] = [each for each in published_objects(hub) if each["type"] == "indicator"]
        assert shown["created_by_ref"] == hub.identity and "Open" not in str(shown)

    def test_more_is_not(self, hub: HubInProcess) -> None:
        self.pushed(hub, Consent.NONE, "ais-consent-everyone")
        assert identities(hub) == [] and "Open" not in str(published_objects(hub))

    WAITING = (
        {"pattern": "[domain-name:value = 'vpn.acme.example']"},
        {"description": "Open Limited saw it. Reported by Jane Doe"},
        {"object_marking_refs": [GREEN, STATEMENT["id"]]},
    )

    def released(self, hub: Any) -> Any:
        hub.push(STATEMENT, who="open")
        for review in hub.store.reviews.list_waiting():
            assert hub.services.intake.reviewer.release(review, "analyst").verdict == "admitted"
        return [each for each in published_objects(hub) if each["type"] == "indicator"][-1]

    @pytest.mark.parametrize("more", WAITING)
    def test_an_object_that_waited_is_published_as_anonymous_as_it_was_sent(
        self, hub: HubInProcess, more: Any
    ) -> None:
        self.pushed(hub, Consent.EVERYONE, "ais-consent-none", **more)
        shown = self.released(hub)
        assert shown["created_by_ref"] == hub.identity and "Open" not in str(shown)
        assert "saw it" in shown["description"]

    def test_consent_in_a_later_submission_keeps_the_author_named(
        self, hub: HubInProcess, clock: ManualClock
    ) -> None:
        self.pushed(hub, Consent.EVERYONE, "ais-consent-none", **self.WAITING[0])
        clock.advance(hours=1)
        hub.push(TEAM, by(TEAM, "else.top"), who="open")
        assert "Open" not in str(self.released(hub))
        assert ["revoked" in each for each in identities(hub)] == [False]

    def test_an_identity_that_is_not_the_author_decides_nothing(self, hub: HubInProcess) -> None:
        other = sdo("identity")["id"]
        self.pushed(hub, Consent.EVERYONE, "ais-consent-none", created_by_ref=other)
        assert "Open Limited" in str(published_objects(hub))


def test_the_location_of_an_author_stops_waiting(hub: HubInProcess) -> None:
    """The relationship came first, when nobody knew whose identity it is."""
    hub.push(PLACE, relationship(TEAM, "located-at", PLACE, object_marking_refs=[GREEN]))
    hub.push(by(TEAM))
    assert "relationship" not in {each["type"] for each in published_objects(hub)}
