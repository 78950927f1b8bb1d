"""One partner, one thing, several ids of its own for it (docs/merging.md): what it says under
each stands by itself, and all of it together is one voice."""

import itertools
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support.clock import ManualClock, hub_extension, report_counts, stix_time_after
from support.databases import open_empty_store
from support.examples import examples
from support.hub import AMBER, CLEAR, GREEN, HubInProcess, details, findings, indicator
from support.presence import present
from support.several_ids import change_value, revoke, visible_descriptions

from tocsin.admission.model import Tlp
from tocsin.server.model import PendingReferences
from tocsin.server.publishing import public_objects

pytestmark = pytest.mark.slow

JANUARY, FEBRUARY = "2026-01-01T00:00:00.000Z", "2026-01-20T00:00:00.000Z"
NAMED = "said by Mr John Smith, tel. +1 202 555 0142"


def older(value: Any = "evil.top", **more: Any) -> Any:
    return indicator(value, **{"modified": JANUARY, "description": "the older", **more})


def newer(value: Any = "evil.top", **more: Any) -> Any:
    return indicator(value, **{"modified": FEBRUARY, "description": "the newer", **more})


def domain(value: Any, number: Any, mark: Any = GREEN, **more: Any) -> Any:
    """An SCO under an id that its value does not give it."""
    name = f"domain-name--{number:08}-1111-4111-8111-111111111111"
    body = {"type": "domain-name", "spec_version": "2.1", "id": name, "value": value}
    return {**body, "object_marking_refs": [mark], **more}


def versions(hub: Any, feed: Any = "green") -> Any:
    return hub.ask(f"collections/{feed}/manifest/", query_string={"match[version]": "all"}).json


def remembered(hub: Any, number: Any = 0) -> Any:
    """The ids under which partners say it, as the store has them."""
    public = [o for o in hub.feed("amber") if o["type"] in ("indicator", "domain-name")][number]
    kept = hub.store.commit(lambda txn: txn.public_objects([public["id"]]))[
        public["id"]
    ].contributions
    return {each.source_id for each in kept}


class TestRemainingContributions:
    @pytest.mark.parametrize("ending", [revoke, change_value])
    @pytest.mark.parametrize("order", [1, -1])
    def test_the_older_contribution_counts_when_the_newer_ends(
        self, hub: HubInProcess, ending: Any, order: int
    ) -> None:
        sent = [older(), newer()]
        for each in sent[::order]:
            hub.push(each)
        assert visible_descriptions(hub) == {"evil.top": "the newer"}
        assert hub.verdicts(hub.push(ending(sent[1]))) == ["admitted"]
        assert visible_descriptions(hub)["evil.top"] == "the older"

    def test_one_submission_may_bring_two_contributions_and_end_one(
        self, hub: HubInProcess
    ) -> None:
        one, other = older(), newer()
        hub.push(one, other, change_value(other))
        assert visible_descriptions(hub) == {"evil.top": "the older", "else.top": "the newer"}

    def test_nothing_changes_when_the_older_contribution_ends(self, hub: HubInProcess) -> None:
        one, other = older(), newer()
        hub.push(one), hub.push(other)
        before = versions(hub)
        hub.push(revoke(one))
        assert versions(hub) == before
        assert visible_descriptions(hub) == {"evil.top": "the newer"}

    def test_the_object_is_revoked_when_all_contributions_have_ended(
        self, hub: HubInProcess
    ) -> None:
        one, other = older(), newer()
        hub.push(one), hub.push(other), hub.push(revoke(other)), hub.push(revoke(one))
        assert visible_descriptions(hub) == {"evil.top": None}

    def test_other_partners_contributions_remain(self, hub: HubInProcess) -> None:
        one, other = older(), newer()
        hub.push(older(description="of another", modified=JANUARY), who="north")
        hub.push(one), hub.push(other), hub.push(revoke(other)), hub.push(revoke(one))
        assert visible_descriptions(hub) == {"evil.top": "of another"}

    def test_revoking_an_unpublished_id_changes_nothing(self, hub: HubInProcess) -> None:
        hub.push(older())
        status = hub.push(revoke(newer()))
        assert hub.verdicts(status) == ["duplicate"]
        assert "nothing of yours" in findings(status)[-1]["message"]
        assert visible_descriptions(hub) == {"evil.top": "the older"}

    def test_an_older_version_of_a_moved_id_does_not_remain(self, hub: HubInProcess) -> None:
        sent = older("old.top")
        hub.push(sent, change_value(sent, "new.top"))
        assert visible_descriptions(hub) == {"old.top": None, "new.top": "the older"}


class TestPartnerCountsOnce:
    def test_two_ids_of_one_partner_corroborate_nothing(
        self, hub: HubInProcess, clock: ManualClock
    ) -> None:
        hub.push(older(confidence=60)), hub.push(newer(confidence=50))
        [public] = hub.feed("green")
        assert (public["confidence"], report_counts(public)) == (50, (1, 0, 0))
        hub.push(older(confidence=50), who="north")
        hub.push(newer(confidence=50), who="north")
        clock.advance(hours=2)
        hub.sweep()
        assert hub_extension(hub.feed("green")[0])["contributors"] == 2

    def test_resending_two_ids_makes_no_versions(self, hub: HubInProcess) -> None:
        one, other = older(), newer()
        hub.push(one), hub.push(other)
        before = versions(hub)
        for each in (one, other, one):
            assert hub.verdicts(hub.push(each)) == ["duplicate"]
        assert versions(hub) == before

    def test_resending_two_ids_of_an_observable_makes_no_versions(self, hub: HubInProcess) -> None:
        one = domain("evil.top", 1, defanged=False)
        other = domain("evil.top", 2, defanged=True)
        hub.push(one), hub.push(other)
        before = versions(hub)
        for each in (one, other, one):
            assert hub.verdicts(hub.push(each)) == ["duplicate"]
        assert versions(hub) == before

    def test_a_finding_says_that_another_id_takes_precedence(self, hub: HubInProcess) -> None:
        hub.push(newer())
        status = hub.push(older())
        assert hub.verdicts(status) == ["duplicate"]
        assert "under another id" in findings(status)[-1]["message"]
        assert details(status)[0]["x_tocsin_public_id"] == hub.feed("green")[0]["id"]

    def test_the_same_under_another_id_is_a_duplicate_beside_other_partners(
        self, hub: HubInProcess
    ) -> None:
        hub.push(older(), who="north")
        hub.push(older())
        assert hub.verdicts(hub.push(older(modified=FEBRUARY))) == ["duplicate"]

    def test_first_reported_is_that_of_the_first_id(
        self, hub: HubInProcess, clock: ManualClock
    ) -> None:
        hub.push(older())
        clock.advance(days=10)
        hub.push(newer())
        first, last = (
            hub_extension(hub.feed("green")[0])[f"{n}_reported"] for n in ("first", "last")
        )
        assert int(last[8:10]) != int(first[8:10])

    def test_resending_any_id_restores_confidence(
        self, hub: HubInProcess, clock: ManualClock
    ) -> None:
        one = older(pattern="[ipv4-addr:value = '45.12.1.2']", confidence=80)
        hub.push(one), hub.push({**newer(confidence=80), "pattern": one["pattern"]})
        clock.advance(days=31)
        hub.sweep()
        assert hub.feed("green")[0]["confidence"] == 40
        clock.advance(days=1)
        hub.push(one)
        assert hub.feed("green")[0]["confidence"] == 80


class TestLevelsOfSeveralIds:
    def test_indicators_of_two_levels_stay_apart(self, hub: HubInProcess) -> None:
        one, other = older(object_marking_refs=[AMBER]), newer()
        hub.push(one), hub.push(other), hub.push(revoke(other))
        assert visible_descriptions(hub) == {"evil.top": None}
        revoked = {o.get("description", ""): o.get("revoked", False) for o in hub.feed("amber")}
        assert revoked == {"": True, "the older": False}

    @pytest.mark.parametrize("left", ["acme", "north"])
    def test_an_observable_left_at_amber_is_revoked_in_green(
        self, hub: HubInProcess, left: str
    ) -> None:
        hub.push(domain("evil.top", 1, AMBER, defanged=True), who=left)
        hub.push(domain("evil.top", 2))
        assert visible_descriptions(hub) == visible_descriptions(hub, "amber") == {"evil.top": ""}
        hub.push(domain("else.top", 2))
        assert visible_descriptions(hub) == {"evil.top": None, "else.top": ""}
        assert visible_descriptions(hub, "amber") == {"evil.top": "", "else.top": ""}
        taken = next(o for o in hub.feed("green") if o.get("revoked"))
        assert taken["object_marking_refs"] == [GREEN] and "defanged" not in taken

    def test_green_gets_the_revocation_though_amber_changes_in_the_same_submission(
        self, hub: HubInProcess
    ) -> None:
        hub.push(domain("evil.top", 1, AMBER)), hub.push(domain("evil.top", 2))
        hub.push(domain("else.top", 2), domain("evil.top", 1, AMBER, defanged=True))
        assert visible_descriptions(hub) == {"evil.top": None, "else.top": ""}

    def test_green_keeps_an_observable_that_another_partner_reports(
        self, hub: HubInProcess
    ) -> None:
        hub.push(domain("evil.top", 1, AMBER)), hub.push(domain("evil.top", 2))
        hub.push(domain("evil.top", 3), who="north")
        hub.push(domain("else.top", 2))
        assert visible_descriptions(hub) == {"evil.top": "", "else.top": ""}

    def test_green_gets_a_withdrawn_observable_again(self, hub: HubInProcess) -> None:
        hub.push(domain("evil.top", 1, AMBER)), hub.push(domain("evil.top", 2))
        hub.push(domain("else.top", 2)), hub.push(domain("evil.top", 3))
        assert visible_descriptions(hub) == {"evil.top": "", "else.top": ""}

    @pytest.mark.parametrize("order", list(itertools.permutations((CLEAR, GREEN, AMBER))))
    def test_of_one_observable_count_by_the_least_strict_whichever_comes_last(
        self, hub: HubInProcess, order: Any
    ) -> None:
        for number, mark in enumerate(order):
            hub.push(domain("evil.top", number, mark))
        assert visible_descriptions(hub, "clear") == {"evil.top": ""}

    def test_parts_that_the_one_left_marks_stay_out_of_what_is_less_strict(
        self, hub: HubInProcess
    ) -> None:
        marked = [{"marking_ref": AMBER, "selectors": ["description"]}]
        one, other = older(granular_markings=marked), newer()
        hub.push(one), hub.push(other)
        assert "the older" not in str([hub.feed(f) for f in ("green", "amber")])
        hub.push(revoke(other))
        assert visible_descriptions(hub) == {"evil.top": ""}
        assert visible_descriptions(hub, "amber") == {"evil.top": "the older"}

    def test_parts_of_a_word_that_does_not_count_show_nowhere(self, hub: HubInProcess) -> None:
        marked = [{"marking_ref": AMBER, "selectors": ["description", "labels.[0]"]}]
        hub.push(older(granular_markings=marked, labels=["secret", "open"])), hub.push(newer())
        assert visible_descriptions(hub, "amber") == {"evil.top": "the newer"}
        assert "secret" not in str(hub.feed("amber"))


class TestValidity:
    def test_lasts_as_long_as_the_last_of_its_words(
        self, hub: HubInProcess, clock: ManualClock
    ) -> None:
        hub.push(older(valid_until=stix_time_after(clock, days=3)))
        hub.push(newer(valid_until=stix_time_after(clock, days=1)))
        clock.advance(days=2)
        hub.sweep()
        assert visible_descriptions(hub) == {"evil.top": "the newer"}
        clock.advance(days=2)
        hub.sweep()
        assert visible_descriptions(hub) == {"evil.top": None}

    @pytest.mark.parametrize("order", [1, -1])
    def test_valid_from_is_the_earliest_of_several_ids(self, hub: HubInProcess, order: int) -> None:
        early, late = older(valid_from=JANUARY), newer(valid_from=FEBRUARY)
        for each in [early, late][::order]:
            hub.push(each)
        [public] = hub.feed("green")
        assert public["valid_from"] == JANUARY

    def test_ends_with_what_is_left_if_that_has_expired(
        self, hub: HubInProcess, clock: ManualClock
    ) -> None:
        other = newer()
        hub.push(older(valid_until=stix_time_after(clock, days=1))), hub.push(other)
        clock.advance(days=2)
        hub.push(revoke(other))
        clock.advance(hours=1)
        hub.sweep()
        assert visible_descriptions(hub) == {"evil.top": None}

    def test_ends_under_all_ids_when_an_analyst_forbids_the_value(self, hub: HubInProcess) -> None:
        one, other = older(), newer()
        hub.push(one), hub.push(other)
        hub.services.lifecycle.exclude("evil.top", "operator", "it is ours")
        assert visible_descriptions(hub) == {"evil.top": None}
        assert hub.verdicts(hub.push(one, other)) == ["refused", "refused"]

    def test_is_as_it_was_taken_though_the_partner_may_send_less_since(
        self, hub: HubInProcess
    ) -> None:
        one, other = older(), newer()
        hub.push(one), hub.push(other)
        acme = hub.store.accounts.find_partner("acme")
        hub.store.accounts.update_partner(
            replace(present(acme), max_tlp=Tlp.CLEAR, default_tlp=Tlp.CLEAR)
        )
        hub.push(change_value({**other, "object_marking_refs": [CLEAR]}))
        assert visible_descriptions(hub)["evil.top"] == "the older"

    def test_each_word_that_was_shortened_is_asked_about_and_released_by_itself(
        self, hub: HubInProcess
    ) -> None:
        one, other = older(description=f"{NAMED}, one"), newer(description=f"{NAMED}, other")
        hub.push(one), hub.push(other)
        asked = {r.source_id: r for r in hub.store.reviews.list_waiting("acme")}
        assert asked.keys() == {one["id"], other["id"]}
        hub.services.intake.reviewer.release(asked[other["id"]], "analyst")
        hub.services.intake.reviewer.release(asked[one["id"]], "analyst")
        assert visible_descriptions(hub)["evil.top"].endswith("other")
        hub.push(revoke(other))
        assert visible_descriptions(hub)["evil.top"].endswith("one")


class TestSeveralIdsWaiting:
    def test_each_contribution_is_completed_when_its_references_arrive(
        self, hub: HubInProcess
    ) -> None:
        first, second = (domain(f"to{n}.top", n) for n in (1, 2))
        one = domain("evil.top", 3, resolves_to_refs=[first["id"]])
        other = domain("evil.top", 4, resolves_to_refs=[second["id"]])
        hub.push(one), hub.push(other), hub.push(first), hub.push(second)
        ids = {o["value"]: o["id"] for o in hub.feed("green")}
        found = {o["value"]: o.get("resolves_to_refs") for o in hub.feed("green")}
        assert found["evil.top"] == [ids["to2.top"]]
        hub.push(domain("else.top", 4))
        found = {o["value"]: o.get("resolves_to_refs") for o in hub.feed("green")}
        assert found["evil.top"] == [ids["to1.top"]]

    def test_what_an_earlier_build_left_waiting_is_completed_too(self, hub: HubInProcess) -> None:
        first = domain("to1.top", 1)
        hub.push(domain("evil.top", 3, resolves_to_refs=[first["id"]]))
        pending = hub.store._base.pending_references
        [new] = pending.find()
        pending.delete_one({"_id": new["_id"]})
        level: Any = None
        old = PendingReferences(new["public"], new["partner"], level, frozenset())
        pending.insert_one({k: v for k, v in {**new, "_id": old.key}.items() if k != "source"})
        hub.push(first)
        assert any(o.get("resolves_to_refs") for o in hub.feed("green"))
        assert pending.count_documents({}) == 0


class TestBounds:
    def test_the_newest_few_are_remembered_in_whatever_order_they_come(
        self, hub: HubInProcess, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(public_objects, "MOST_CONTRIBUTIONS", 3)
        sent = [newer(modified=f"2026-01-0{day}T00:00:00.000Z") for day in range(1, 7)]
        for each in (sent[2], sent[5], sent[0], sent[4], sent[1], sent[3]):
            hub.push(each)
        assert remembered(hub) == {each["id"] for each in sent[-3:]}

    def test_since_when_it_has_held_outlives_what_is_forgotten(
        self, hub: HubInProcess, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Else what is sent daily under new ids would make a version a day."""
        monkeypatch.setattr(public_objects, "MOST_CONTRIBUTIONS", 2)
        stamps = [f"2026-01-0{day}T00:00:00.000Z" for day in range(1, 6)]
        for each in stamps:
            hub.push(older(modified=each, valid_from=each))
        [public] = hub.feed("green")
        assert public["valid_from"] == JANUARY
        assert len([o for o in versions(hub)["objects"] if o["id"] == public["id"]]) == 1

    def test_what_is_large_is_remembered_while_there_is_room(
        self, hub: HubInProcess, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(public_objects, "MOST_OCTETS", 5_000)
        stamps = [f"2026-01-0{day}T00:00:00.000Z" for day in (1, 2, 3)]
        sent = [newer(modified=stamp, labels=["x" * 4_000]) for stamp in stamps]
        for each in sent:
            hub.push(each)
        assert remembered(hub) == {each["id"] for each in sent[1:]}

    def test_what_is_less_strict_is_remembered_before_what_is_newer(
        self, hub: HubInProcess, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(public_objects, "MOST_CONTRIBUTIONS", 1)
        green = domain("evil.top", 1)
        hub.push(green), hub.push(domain("evil.top", 2, AMBER))
        assert remembered(hub) == {green["id"]}


VALUES = ("one.top", "two.top")
ACTS = st.lists(
    st.tuples(
        st.sampled_from(("acme", "north")),
        st.integers(0, 1),
        st.sampled_from((*VALUES, None)),
        st.booleans(),
    ),
    min_size=6,
    max_size=12,
)


class TestNothingIsLost:
    @settings(max_examples=examples(15), deadline=None, suppress_health_check=list(HealthCheck))
    @given(ACTS)
    def test_a_value_is_in_the_feed_if_and_only_if_somebody_stands_behind_it(
        self, engine_uri: str, acts: Any
    ) -> None:
        """`together`: in one submission with what comes before."""
        posts: list[Any] = []
        stands, gone = {}, set()
        for number, (who, id, value, together) in enumerate(acts):
            if (who, id) in gone:
                continue
            sent = indicator(value or VALUES[0], seed=f"{who}{id}")
            sent["modified"] = f"2026-01-{number + 1:02}T00:00:00.000Z"
            stands[who, id] = value
            if value is None:
                sent["revoked"] = True
                gone.add((who, id))
            if together and posts and posts[-1][0] == who:
                posts[-1][1].append(sent)
            else:
                posts.append((who, [sent]))
        with open_empty_store(engine_uri) as store:
            hub = HubInProcess(store)
            for who, objects in posts:
                hub.push(*objects, who=who)
            living = [o["pattern"] for o in hub.feed("green") if not o.get("revoked")]
        behind = {value for value in stands.values() if value}
        assert sorted(living) == sorted(f"[domain-name:value = '{v}']" for v in behind)
