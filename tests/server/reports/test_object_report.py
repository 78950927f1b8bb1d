"""The report on an object: complete for the hub's people, and for partners what they may read."""

from typing import Any

import pytest
from support.clock import ManualClock
from support.hub import AMBER, GREEN, HubInProcess, indicator, relationship, sdo
from support.statement_marking import STATEMENT

from tocsin.admission.errors import NotFound
from tocsin.admission.timestamps import DAY
from tocsin.server.model import Account, Partner
from tocsin.server.reports.object_report import ObjectReport

OPERATOR = Account("operator", "", operator=True)


def publish(hub: HubInProcess, sent: Any, who: str = "acme") -> str:
    """Push an object; its public id."""
    return str(hub.push(sent, who=who)["successes"][0]["x_tocsin_public_id"])


def report(hub: HubInProcess, name: str, who: str = "") -> ObjectReport:
    """The report as an account gets it; empty: the operator."""
    account = hub.store.accounts.find_account(who) if who else OPERATOR
    assert account is not None
    hub.store.deliveries.flush()
    return hub.services.object_reports.report(account, name)


class TestWhatIsPublished:
    def test_every_collection_with_the_object_is_named_the_fullest_last(
        self, hub: HubInProcess
    ) -> None:
        found = report(hub, publish(hub, indicator()))
        assert [each.collection.alias for each in found.copies] == ["green", "amber"]

    def test_each_version_has_its_stamp_and_body(self, hub: HubInProcess) -> None:
        sent = indicator()
        name = publish(hub, sent)
        hub.push(sent | {"modified": "2026-02-01T00:00:00.000Z", "description": "new"})
        found = report(hub, name)
        first, second = found.copies[0].versions
        assert first.stamp < second.stamp
        assert (first.is_current, second.is_current) == (False, True)
        assert found.copies[0].current is second and b"new" in second.body

    def test_an_object_in_force_says_so_and_a_revoked_one_does_not(self, hub: HubInProcess) -> None:
        name = publish(hub, indicator())
        assert report(hub, name).in_force
        hub.services.lifecycle.revoke(name, "operator", "a false alarm")
        found = report(hub, name)
        assert (found.in_force, found.revoked) == (False, True)
        assert found.private is not None and found.private.revocation_reason == "decided"

    @pytest.mark.slow
    @pytest.mark.parametrize("who", ["", "north"])
    def test_so_does_a_marking_definition_for_which_stix_has_no_such_property(
        self, hub: HubInProcess, who: str
    ) -> None:
        name = publish(hub, STATEMENT | {"object_marking_refs": [GREEN]})
        found = report(hub, name, who)
        assert (found.in_force, found.revoked) == (True, False)
        hub.services.lifecycle.revoke(name, "operator", "a mistake")
        found = report(hub, name, who)
        assert (found.in_force, found.revoked) == (False, True)
        hub.services.purger.purge(name, "operator", "it names a person")
        found = report(hub, name, who)
        assert (found.in_force, found.revoked) == (False, True)

    def test_a_partner_reads_only_the_copies_of_its_collections(self, hub: HubInProcess) -> None:
        hub.join(Partner("small", "Small"), reads=("green",))
        name = publish(hub, indicator())
        assert [c.collection.alias for c in report(hub, name, "small").copies] == ["green"]

    def test_what_no_readable_collection_has_does_not_exist(self, hub: HubInProcess) -> None:
        hub.join(Partner("small", "Small"), reads=("green",))
        name = publish(hub, indicator(object_marking_refs=[AMBER]))
        with pytest.raises(NotFound) as hidden:
            report(hub, name, "small")
        with pytest.raises(NotFound) as missing:
            report(hub, "indicator--00000000-0000-4000-8000-000000000000", "small")
        assert str(hidden.value).replace(name, "") == str(missing.value).replace(
            "indicator--00000000-0000-4000-8000-000000000000", ""
        )


class TestWhoReported:
    def test_the_hub_sees_every_contribution_and_which_leads(self, hub: HubInProcess) -> None:
        name = publish(hub, indicator(confidence=60))
        publish(hub, indicator(confidence=40), who="north")
        found = report(hub, name).contributions
        assert [(c.partner, c.confidence, c.leads) for c in found] == [
            ("acme", 60, True),
            ("north", 40, False),
        ]

    def test_a_partner_sees_its_own_contribution_and_no_other(self, hub: HubInProcess) -> None:
        sent = indicator(confidence=60)
        name = publish(hub, sent)
        publish(hub, indicator(confidence=40), who="north")
        [own] = report(hub, name, "acme").contributions
        assert (own.partner, own.source_id, own.leads) == ("acme", sent["id"], None)

    def test_a_reader_that_reported_nothing_sees_no_contribution(self, hub: HubInProcess) -> None:
        name = publish(hub, indicator())
        found = report(hub, name, "north")
        assert (found.contributions, found.assessments, found.private) == ((), (), None)

    @pytest.mark.slow
    def test_sightings_are_counted_for_all_and_named_for_the_hub(
        self, timed: tuple[HubInProcess, ManualClock]
    ) -> None:
        hub, clock = timed
        name = publish(hub, indicator())
        hub.push(sdo("sighting", sighting_of_ref=name, count=1), who="north")
        clock.now += DAY
        hub.sweep()
        [seen] = report(hub, name).assessments
        assert seen.partner == "north"
        partner_view = report(hub, name, "acme")
        assert partner_view.assessments == ()
        assert partner_view.figures is not None and partner_view.figures.sightings == 1


class TestConfidence:
    def test_the_steps_lead_to_the_published_confidence(
        self, timed: tuple[HubInProcess, ManualClock]
    ) -> None:
        hub, clock = timed
        name = publish(hub, indicator(confidence=60))
        publish(hub, indicator(confidence=40), who="north")
        clock.now += DAY  # the quiet period is over
        hub.sweep()
        found = report(hub, name)
        assert found.private is not None and found.private.confidence is not None
        steps = found.private.confidence
        assert (steps.stated, steps.weighed, steps.sources) == (60, 60, 2)
        assert steps.corroborated > 60
        assert steps.now == found.confidence

    def test_the_coming_falls_are_those_that_the_sweep_publishes(
        self, timed: tuple[HubInProcess, ManualClock]
    ) -> None:
        hub, clock = timed
        name = publish(hub, indicator(confidence=80))
        found = report(hub, name)
        assert found.private is not None and found.private.confidence is not None
        at, left = found.private.confidence.falls[0]
        clock.now = at + DAY // 24
        hub.sweep()
        assert report(hub, name).confidence == left < 80


class TestWhoReceived:
    def test_receivers_and_those_that_have_not_received_it_are_named(
        self, hub: HubInProcess
    ) -> None:
        name = publish(hub, indicator())
        hub.feed("green", who="north")
        private = report(hub, name).private
        assert private is not None
        assert [(r.account, r.certain) for r in private.received] == [("north", True)]
        assert "acme" in {each.name for each in private.not_received}
        assert "north" not in {each.name for each in private.not_received}


class TestRelations:
    def test_relationships_show_in_both_directions_with_the_other_end(
        self, hub: HubInProcess
    ) -> None:
        malware = sdo("malware", name="Emotet", is_family=True)
        about = indicator()
        link = relationship(about, "indicates", malware)
        ids = {
            each["id"]: each["x_tocsin_public_id"]
            for each in hub.push(malware, about, link)["successes"]
        }
        of_indicator = report(hub, ids[about["id"]], "north").relations.listed
        [out] = [each for each in of_indicator if each.kind == "indicates"]
        assert (out.outgoing, out.id, out.title) == (True, ids[malware["id"]], "Emotet")
        of_malware = report(hub, ids[malware["id"]], "north").relations.listed
        [back] = [each for each in of_malware if each.kind == "indicates"]
        assert (back.outgoing, back.id) == (False, ids[about["id"]])

    def test_a_report_lists_its_members_and_a_member_its_report(self, hub: HubInProcess) -> None:
        about = indicator()
        listed = sdo(
            "report", name="Week 1", published="2026-01-01T00:00:00Z", object_refs=[about["id"]]
        )
        ids = {
            each["id"]: each["x_tocsin_public_id"] for each in hub.push(about, listed)["successes"]
        }
        members = report(hub, ids[listed["id"]]).relations.listed
        assert (True, "object_refs", ids[about["id"]]) in {
            (r.outgoing, r.kind, r.id) for r in members
        }
        reports = report(hub, ids[about["id"]]).relations.listed
        assert (False, "object_refs", ids[listed["id"]], "Week 1") in {
            (r.outgoing, r.kind, r.id, r.title) for r in reports
        }

    def test_a_stricter_relationship_is_absent_for_who_may_not_read_it(
        self, hub: HubInProcess
    ) -> None:
        hub.join(Partner("small", "Small"), reads=("green",))
        malware = sdo("malware", name="Emotet", is_family=True)
        about = indicator()
        link = relationship(about, "indicates", malware, object_marking_refs=[AMBER])
        ids = {
            each["id"]: each["x_tocsin_public_id"]
            for each in hub.push(malware, about, link)["successes"]
        }
        kinds = {r.kind for r in report(hub, ids[about["id"]], "small").relations.listed}
        assert "indicates" not in kinds
        assert "indicates" in {r.kind for r in report(hub, ids[about["id"]]).relations.listed}

    def test_of_many_relations_the_rest_is_counted(
        self, hub: HubInProcess, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        malware = sdo("malware", name="Emotet", is_family=True)
        abouts = [indicator(f"n{number}.top") for number in range(5)]
        links = [relationship(each, "indicates", malware) for each in abouts]
        ids = {
            each["id"]: each["x_tocsin_public_id"]
            for each in hub.push(malware, *abouts, *links)["successes"]
        }
        monkeypatch.setattr("tocsin.server.reports.object_report.MOST_RELATIONS", 2)
        found = report(hub, ids[malware["id"]]).relations
        incoming = [each for each in found.listed if each.kind == "indicates"]
        assert (len(incoming), found.more_incoming) == (2, 3)
