"""Nobody is asked twice about what a partner sends again unchanged (docs/merging.md)."""

import hashlib
import json
from dataclasses import replace
from typing import Any

import pytest
from support.clock import ManualClock
from support.hub import AMBER, HubInProcess, details, indicator, relationship, sdo
from support.several_ids import revoke

from tocsin.admission.errors import Conflict
from tocsin.admission.model import Tlp
from tocsin.config.settings import HubSettings
from tocsin.server.model import Account, Partner, Review
from tocsin.server.store import Store

LATER, LATEST = "2026-03-02T00:00:00.000Z", "2026-03-03T00:00:00.000Z"
RECIPIENT = "[email-message:to_refs[*].value = 'jane@bank.example']"
PERSON = "Reported by Jane Doe"
MASKED = "Reported by [removed: person's name]"


def held(**more: Any) -> dict[str, Any]:
    """An indicator that waits for a reviewer."""
    return indicator(pattern=RECIPIENT, **more)


def waiting(hub: HubInProcess) -> list[Review]:
    return hub.store.reviews.list_waiting("acme")


def release(hub: HubInProcess, **more: Any) -> str:
    [review] = waiting(hub)
    return hub.services.intake.reviewer.release(review, "rita", **more).verdict


def reject(hub: HubInProcess, *, is_answer: bool = True) -> Review:
    [review] = waiting(hub)
    hub.services.intake.reviewer.reject(review, "rita", "ask me", is_answer=is_answer)
    return review


def push(hub: HubInProcess, *objects: Any, **more: Any) -> list[str]:
    return hub.verdicts(hub.push(*objects, **more))


def messages(status: dict[str, Any]) -> str:
    """The message of the only object of a status."""
    return "; ".join(each["message"] for each in details(status))


class TestWhileItWaits:
    @pytest.mark.slow
    def test_one_question_is_asked_however_often_it_is_sent(self, hub: HubInProcess) -> None:
        sent = held()
        first = hub.push(sent)
        again = [hub.push(sent) for _ in range(3)]
        assert [hub.verdicts(each) for each in again] == [["duplicate"]] * 3
        assert all(first["id"] in messages(each) for each in again)
        assert len(waiting(hub)) == 1
        assert release(hub) == "admitted" and len(hub.feed("green")) == 1

    def test_two_versions_of_one_bundle_are_asked_about_once_each(self, hub: HubInProcess) -> None:
        sent = held()
        bundle = [sent, sent | {"modified": LATER, "name": "a campaign"}]
        assert push(hub, *bundle) == ["held", "held"]
        for _ in range(3):
            assert push(hub, *bundle) == ["duplicate", "duplicate"]
        assert len(waiting(hub)) == 2

    def test_new_dates_make_no_new_question(self, hub: HubInProcess) -> None:
        sent = held()
        hub.push(sent)
        assert push(hub, sent | {"modified": LATER, "valid_from": LATER}) == ["duplicate"]

    @pytest.mark.parametrize(
        "change", [{"description": "seen twice"}, {"object_marking_refs": [AMBER]}]
    )
    def test_other_content_is_another_question(self, hub: HubInProcess, change: Any) -> None:
        sent = held()
        hub.push(sent)
        assert push(hub, sent | {"modified": LATER} | change) == ["held"]
        assert len(waiting(hub)) == 2

    def test_so_is_the_same_under_another_id(self, hub: HubInProcess) -> None:
        hub.push(held())
        assert push(hub, held()) == ["held"]

    def test_another_partner_asks_for_itself(self, hub: HubInProcess) -> None:
        sent = held()
        hub.push(sent)
        assert push(hub, sent, who="north") == ["held"]

    def test_so_does_another_account_of_the_partner(self, hub: HubInProcess) -> None:
        """The first one may lose its rights, and its question with them."""
        first = hub.store.accounts.find_account("acme")
        assert first is not None
        hub.store.accounts.add_account(Account("second", "acme", first.reads, first.writes))
        hub.store.accounts.add_key("second", hashlib.sha256(b"second").hexdigest())
        sent = held()
        hub.push(sent)
        assert push(hub, sent, who="second") == ["held"]
        assert push(hub, sent, who="second") == ["duplicate"]

    def test_nobody_is_asked_when_it_came_with_what_it_waits_for(self, hub: HubInProcess) -> None:
        """The repeat waits no more, and neither does the first."""
        malware = sdo("malware", name="Loader", is_family=False)
        note = sdo("note", content="a loader", object_refs=[malware["id"]])
        assert push(hub, note) == ["held"] and push(hub, note) == ["duplicate"]
        assert push(hub, malware, note) == ["admitted", "admitted"]
        assert waiting(hub) == []

    def test_what_refers_to_it_waits_once_as_well(self, hub: HubInProcess) -> None:
        sent, malware = held(), sdo("malware", name="Loader", is_family=False)
        link = relationship(sent, "indicates", malware)
        assert push(hub, sent, malware, link) == ["held", "admitted", "held"]
        assert push(hub, sent, malware, link) == ["duplicate"] * 3
        [review] = [each for each in waiting(hub) if each.source_id == sent["id"]]
        hub.services.intake.reviewer.release(review, "rita")
        assert {each["type"] for each in hub.feed("green")} >= {"indicator", "relationship"}
        assert waiting(hub) == []
        assert push(hub, sent, malware, link) == ["duplicate"] * 3

    def test_it_takes_no_room_of_other_questions(self, store: Store) -> None:
        hub = HubInProcess(store, settings=HubSettings(max_waiting_reviews=1))
        sent = held()
        assert push(hub, sent) == ["held"] and push(hub, sent) == ["duplicate"]
        assert push(hub, held()) == ["refused"]

    def test_a_revocation_ends_it_at_once(self, hub: HubInProcess) -> None:
        sent = held()
        hub.push(sent)
        hub.push(sent)
        assert push(hub, revoke(sent)) == ["admitted"] and waiting(hub) == []
        assert push(hub, sent) == ["refused"]


class TestOnceReleased:
    def test_it_is_published_and_no_more_asked_about(
        self, hub: HubInProcess, clock: ManualClock
    ) -> None:
        sent = held()
        hub.push(sent)
        release(hub)
        [before] = hub.feed("green")
        clock.advance(days=8)  # the day of the last report is published weekly
        status = hub.push(sent | {"modified": LATER})
        assert hub.verdicts(status) == ["duplicate"] and waiting(hub) == []
        [entry] = details(status)
        assert entry["x_tocsin_public_id"] == before["id"]
        assert {each["action"] for each in entry["x_tocsin_findings"]} == {"noted"}
        now = hub.feed("green")[-1]
        assert now["id"] == before["id"] and now["modified"] > before["modified"]
        assert "the version that you sent before" not in json.dumps(entry)

    @pytest.mark.parametrize("way", ["withdrawn", "revoked by the hub", "other content since"])
    def test_it_is_asked_about_if_it_is_not_what_is_published(
        self, hub: HubInProcess, clock: ManualClock, way: str
    ) -> None:
        sent = held()
        hub.push(sent)
        release(hub)
        clock.advance(hours=1)
        if way == "withdrawn":
            hub.push(revoke(sent))
            expected = ["refused"]
        elif way == "revoked by the hub":
            hub.services.lifecycle.revoke(hub.feed("green")[0]["id"], "operator", "why")
            expected = ["held"]
        else:
            hub.push(indicator("evil.top") | {"id": sent["id"], "modified": LATER})
            expected = ["held"]
        clock.advance(hours=1)
        assert push(hub, sent | {"modified": LATEST}) == expected

    def test_another_rule_asks_all_the_same(self, hub: HubInProcess) -> None:
        sent = held()
        hub.push(sent)
        release(hub)
        term = {"terms": ("bank.example",), "mask_everywhere": True}
        hub.join(Partner("west", "West", **term))  # type: ignore[arg-type]
        assert push(hub, sent) == ["held"]

    def test_what_was_released_in_full_stays_so(self, hub: HubInProcess) -> None:
        sent = indicator(description=PERSON)
        hub.push(sent)
        assert [each["description"] for each in hub.feed("green")] == [MASKED]
        release(hub)
        for number in range(2):
            again = sent | {"modified": f"2026-03-0{number + 2}T00:00:00.000Z"}
            assert push(hub, again) == ["duplicate"]
        assert hub.feed("green")[-1]["description"] == PERSON
        assert waiting(hub) == []

    def test_what_was_kept_masked_stays_so(self, hub: HubInProcess) -> None:
        sent = indicator(description=PERSON)
        hub.push(sent)
        release(hub, without_text=True)
        assert push(hub, sent | {"modified": LATER}) == ["duplicate"]
        assert [each["description"] for each in hub.feed("green")] == [MASKED]
        assert waiting(hub) == []

    def test_the_second_of_two_ids_is_asked_about_once(self, hub: HubInProcess) -> None:
        """Released, it adds nothing to the first."""
        for sent in (held(), held()):
            hub.push(sent)
            release(hub)
            assert push(hub, sent) == ["duplicate"] and waiting(hub) == []


class TestOnceRejected:
    def test_it_is_refused_and_no_more_asked_about(self, hub: HubInProcess) -> None:
        sent = held()
        first = hub.push(sent)
        reject(hub)
        status = hub.push(sent | {"modified": LATER})
        assert hub.verdicts(status) == ["refused"] and waiting(hub) == []
        assert first["id"] in messages(status)

    def test_it_is_asked_about_once_it_is_changed(self, hub: HubInProcess) -> None:
        sent = held()
        hub.push(sent)
        reject(hub)
        assert push(hub, sent | {"modified": LATER, "name": "a campaign"}) == ["held"]

    def test_it_is_asked_about_if_nobody_decided(self, hub: HubInProcess) -> None:
        """The hub's own rejection, after a time, asks to send it again."""
        sent = held()
        hub.push(sent)
        reject(hub, is_answer=False)
        assert push(hub, sent) == ["held"]

    def test_it_is_asked_about_if_the_rejection_is_forgotten(self, hub: HubInProcess) -> None:
        sent = held()
        hub.push(sent)
        with pytest.raises(Conflict, match="not been decided"):
            hub.services.intake.reviewer.forget_decision(waiting(hub)[0].id, "rita")
        review = reject(hub)
        hub.services.intake.reviewer.forget_decision(review.id, "rita")
        assert push(hub, sent) == ["held"]
        acts = [each.action for each in hub.store.journal.entries()]
        assert acts[-2:] == ["review.forget", "admit"]

    def test_what_refers_to_it_waits_for_a_better_one(self, hub: HubInProcess) -> None:
        sent, malware = held(), sdo("malware", name="Loader", is_family=False)
        hub.push(sent)
        reject(hub)
        link = relationship(sent, "indicates", malware)
        assert push(hub, sent, malware, link) == ["refused", "admitted", "held"]
        assert push(hub, sent, malware, link) == ["refused", "duplicate", "duplicate"]
        assert [each.source_id for each in waiting(hub)] == [link["id"]]

    def test_what_was_published_before_stays(self, hub: HubInProcess) -> None:
        sent = indicator("evil.top")
        hub.push(sent)
        newer = sent | {"modified": LATER, "pattern": RECIPIENT}
        hub.push(newer)
        reject(hub)
        assert push(hub, newer) == ["refused"]
        assert [each["pattern"] for each in hub.feed("green")] == [sent["pattern"]]

    def test_its_checksum_goes_with_a_purge(self, hub: HubInProcess) -> None:
        sent = held(name="from jane@bank.example")
        hub.push(sent)
        review = reject(hub)
        hub.store.commit(lambda txn: txn.reviews.purge(review.id, ()))
        assert push(hub, sent) == ["held"]


class TestOnceANewerVersionIsPublished:
    """Nothing that a reviewer decides about the older one could have an effect."""

    def test_it_waits_no_more(self, hub: HubInProcess) -> None:
        sent = held()
        status = hub.push(sent)
        better = sent | {"modified": LATER, "pattern": "[domain-name:value = 'evil.top']"}
        assert push(hub, better) == ["admitted"]
        assert waiting(hub) == []
        answer = hub.ask(f"status/{status['id']}/").json
        assert hub.verdicts(answer) == ["refused"] and "newer version" in messages(answer)

    def test_so_it_is_if_it_had_been_published_before(self, hub: HubInProcess) -> None:
        sent = indicator("evil.top")
        hub.push(sent)
        hub.push(sent | {"modified": LATER, "pattern": RECIPIENT})
        assert len(waiting(hub)) == 1
        assert push(hub, sent | {"modified": LATEST, "description": "seen again"}) == ["admitted"]
        assert waiting(hub) == []

    def test_so_it_is_for_a_text_that_waits(self, hub: HubInProcess) -> None:
        sent = indicator(description=PERSON)
        hub.push(sent)
        assert push(hub, sent | {"modified": LATER, "description": "seen again"}) == ["admitted"]
        assert waiting(hub) == []

    def test_an_older_version_or_that_of_another_partner_ends_nothing(
        self, hub: HubInProcess
    ) -> None:
        sent = held(modified=LATER)
        hub.push(sent)
        older = indicator("evil.top") | {"id": sent["id"]}
        assert push(hub, older) == ["admitted"]
        assert push(hub, older | {"modified": LATEST}, who="north") == ["merged"]
        assert len(waiting(hub)) == 1

    def test_one_that_is_held_too_ends_nothing(self, hub: HubInProcess) -> None:
        sent = held()
        hub.push(sent)
        assert push(hub, sent | {"modified": LATER, "name": "a campaign"}) == ["held"]
        assert len(waiting(hub)) == 2


class TestWhatIsNotTheSame:
    """A decision holds only for what the reviewer saw, and as it was published then."""

    @pytest.mark.slow
    def test_references_of_what_was_released_lead_where_they_do_now(
        self, hub: HubInProcess
    ) -> None:
        about = indicator("one.top")
        report = sdo("report", name="R", description=PERSON, published=LATER)
        report["object_refs"] = [about["id"]]
        hub.push(about, report)
        release(hub)
        changed = about | {"modified": LATER, "pattern": "[domain-name:value = 'two.top']"}
        assert push(hub, changed, report) == ["admitted", "duplicate"]
        living = {o["id"]: o for o in hub.feed("green") if not o.get("revoked")}
        [now] = [o for o in living.values() if o["type"] == "report"]
        assert [living[ref]["pattern"] for ref in now["object_refs"]] == [changed["pattern"]]
        assert now["description"] == PERSON and waiting(hub) == []

    @pytest.mark.slow
    def test_masks_that_came_later_are_asked_about(self, hub: HubInProcess) -> None:
        sent = held(description="seen at vpn.inner.example")
        hub.push(sent)
        release(hub)
        partner = hub.store.accounts.require_partner("acme")
        hub.store.accounts.update_partner(replace(partner, terms=("inner.example",)))
        assert push(hub, sent | {"modified": LATER}) == ["held"]

    @pytest.mark.slow
    def test_so_is_another_level_that_is_assumed(self, hub: HubInProcess) -> None:
        sent = held()
        del sent["object_marking_refs"]
        partner = hub.store.accounts.require_partner("acme")
        hub.store.accounts.update_partner(replace(partner, default_tlp=Tlp.GREEN))
        hub.push(sent)
        release(hub)
        hub.store.accounts.update_partner(replace(partner, default_tlp=Tlp.AMBER))
        assert push(hub, sent) == ["held"]

    @pytest.mark.slow
    def test_the_last_word_counts_when_it_is_the_first_one_again(
        self, hub: HubInProcess, clock: ManualClock
    ) -> None:
        sent = held()
        versions = [
            sent,
            sent | {"modified": LATER, "name": "a campaign"},
            sent | {"modified": LATEST},
        ]
        for each in versions:
            assert push(hub, each) == ["held"]
            clock.advance(hours=1)
        for review in sorted(waiting(hub), key=lambda each: each.version):
            hub.services.intake.reviewer.release(review, "rita")
        assert "name" not in hub.feed("green")[-1]
        assert push(hub, versions[2]) == ["duplicate"]
        assert push(hub, versions[1] | {"modified": "2026-03-04T00:00:00.000Z"}) == ["held"]

    def test_a_released_text_is_not_asked_about_where_its_sender_does_not_read(
        self, hub: HubInProcess
    ) -> None:
        hub.join(Partner("low", "Low Limited", max_tlp=Tlp.AMBER), reads=("clear", "green"))
        about = indicator("one.top", object_marking_refs=[AMBER])
        note = sdo("note", content=PERSON, object_refs=[about["id"]], object_marking_refs=[AMBER])
        hub.push(about, note, who="low")
        [review] = hub.store.reviews.list_waiting()
        hub.services.intake.reviewer.release(review, "rita")
        assert push(hub, note | {"modified": LATER}, who="low") == ["duplicate"]
        assert hub.store.reviews.list_waiting() == []
        assert [o["content"] for o in hub.feed("amber") if o["type"] == "note"] == [PERSON]

    def test_a_rejected_text_does_not_ask_about_the_object_again(self, hub: HubInProcess) -> None:
        sent = held(description=PERSON)
        hub.push(sent)
        release(hub)
        reject(hub)
        assert push(hub, sent | {"modified": LATER}) == ["duplicate"]

    @pytest.mark.slow
    def test_a_text_is_asked_about_once_while_its_references_move(self, hub: HubInProcess) -> None:
        about = indicator("one.top")
        note = sdo("note", content=PERSON, object_refs=[about["id"]])
        hub.push(about, note)
        for day in range(2, 6):
            pattern = f"[domain-name:value = 'day{day}.top']"
            changed = about | {"modified": f"2026-03-0{day}T00:00:00.000Z", "pattern": pattern}
            hub.push(changed, note)
        assert len(waiting(hub)) == 1
        reject(hub)
        hub.push(about | {"modified": "2026-03-09T00:00:00.000Z"}, note)
        assert waiting(hub) == []

    def test_the_same_twice_in_a_submission_is_one_question(self, hub: HubInProcess) -> None:
        sent = held()
        assert push(hub, sent, sent | {"modified": LATER}) == ["held", "duplicate"]
        assert len(waiting(hub)) == 1
