"""A transaction settles a bounded number of objects and of octets."""

import json
import tracemalloc
import uuid
from typing import Any

import pytest
from support.crash import run_interrupted, work_later
from support.hub import AMBER, GREEN, HubInProcess, indicator, relationship, sdo
from support.statement_marking import STATEMENT

from tocsin.admission.model import Candidate
from tocsin.server.intake import admission
from tocsin.server.model import Partner
from tocsin.server.publishing import references
from tocsin.server.publishing.batch import Batch
from tocsin.server.publishing.public_ids import sort_by_references
from tocsin.server.publishing.publisher import Publisher, Settlement
from tocsin.server.store import Store, Transaction, TransactionTooLarge


def large(name: str, octets: int) -> dict[str, object]:
    return indicator(f"{name}.top", description="rented " * (octets // 7))


@pytest.mark.parametrize(("collection", "action"), [("inbox", "admit"), ("scratch", "deposit")])
@pytest.mark.parametrize(("octets", "batches"), [(1, 5), (5_000, 3), (1_000_000, 1)])
def test_a_batch_is_bounded_in_octets(
    store: Store,
    monkeypatch: pytest.MonkeyPatch,
    collection: str,
    action: str,
    octets: int,
    batches: int,
) -> None:
    monkeypatch.setattr(admission, "BATCH_OCTETS", octets)
    hub = HubInProcess(store)
    status = hub.push(*(large(f"host{n}", 2_000) for n in range(5)), to=collection)
    assert hub.verdicts(status) == ["admitted"] * 5
    assert [e.action for e in store.journal.entries()].count(action) == batches


@pytest.mark.slow
@pytest.mark.parametrize("collection", ["inbox", "scratch"])
def test_the_largest_objects_fit_into_the_transactions_of_the_database(
    store: Store, collection: str
) -> None:
    hub = HubInProcess(store)
    status = hub.push(*(large(f"host{n}", 990_000) for n in range(10)), to=collection)
    assert hub.verdicts(status) == ["admitted"] * 10


@pytest.mark.slow
def test_a_batch_that_is_too_large_with_what_it_is_merged_into_is_halved(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub, settle, sizes = HubInProcess(store), Publisher.settle, list[int]()

    def refuse_many(publisher: Publisher, txn: Transaction, batch: Batch) -> Settlement:
        sizes.append(len(batch.candidates))
        if len(batch.candidates) > 2:
            raise TransactionTooLarge
        return settle(publisher, txn, batch)

    monkeypatch.setattr(Publisher, "settle", refuse_many)
    subject = indicator("host5.top")
    sighting = sdo("sighting", sighting_of_ref=subject["id"])
    status = hub.push(sighting, *(indicator(f"host{n}.top") for n in range(5)), subject)
    assert hub.verdicts(status) == ["admitted"] * 7
    assert sizes == [7, 3, 1, 1, 1, 1, 1, 1, 1]
    [seen] = [each for each in hub.feed("green") if each["type"] == "sighting"]
    assert count_assessments(hub, seen["sighting_of_ref"]) == 1


class TestReferencesAcrossBatches:
    """They lead to what another batch of the submission publishes, under the id that it has."""

    @pytest.fixture(autouse=True)
    def _small(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(admission, "BATCH", 2)

    @pytest.mark.slow
    @pytest.mark.parametrize("place", ["before", "after", "in the middle"])
    def test_they_lead_to_the_id_in_force(self, hub: HubInProcess, place: str) -> None:
        hub.push(indicator())
        [ended] = hub.feed("green")
        hub.services.lifecycle.revoke(ended["id"], "operator", "why")
        again, malware = indicator(), sdo("malware", name="Loader", is_family=False)
        about = [relationship(again, "indicates", malware)]
        about.append(sdo("note", content="seen", object_refs=[again["id"]]))
        about.append(sdo("sighting", sighting_of_ref=again["id"]))
        others = [malware, indicator("a.top"), indicator("b.top"), indicator("c.top")]
        sent = {
            "before": [again, *others, *about],
            "after": [*about, *others, again],
            "in the middle": [*others, *about[:1], again, *about[1:]],
        }[place]
        assert hub.verdicts(hub.push(*sent)) == ["admitted"] * 8
        objects = {each["id"]: each for each in hub.feed("green")}
        living = (o for o in objects.values() if not o.get("revoked"))
        [now] = (o for o in living if o.get("pattern") == again["pattern"])
        [link], [note], [sighting] = (
            [o for o in objects.values() if o["type"] == kind]
            for kind in ("relationship", "note", "sighting")
        )
        assert link["source_ref"] == note["object_refs"][0] == now["id"]
        assert sighting["sighting_of_ref"] == now["id"]
        assert count_assessments(hub, now["id"]) == 1

    @pytest.mark.slow
    @pytest.mark.parametrize("place", ["first", "last"])
    def test_carriers_get_the_definition_that_came_anew(
        self, hub: HubInProcess, place: str
    ) -> None:
        before, name = statement("All rights reserved"), "marking-definition--" + str(uuid.uuid4())
        carriers = [indicator(f"host{n}.top", object_marking_refs=[GREEN, name]) for n in range(5)]
        old = {**carriers[0], "object_marking_refs": [GREEN, before["id"]]}
        hub.push(before, old)
        hub.services.lifecycle.revoke(definitions(hub)[0], "operator", "why")
        again = before | {"id": name}
        carriers[0]["modified"] = "2026-03-02T00:00:00.000Z"
        sent = [again, *carriers] if place == "first" else [*carriers, again]
        assert hub.verdicts(hub.push(*sent)) == ["admitted"] * 6
        living = set(definitions(hub))
        assert len(living) == 1
        for each in hub.feed("green"):
            assert set(each["object_marking_refs"]) == {GREEN, *living}

    @pytest.mark.slow
    def test_they_lead_to_what_stays_if_a_later_batch_changes_nothing(
        self, hub: HubInProcess
    ) -> None:
        newer = indicator("new.top", modified="2026-03-02T00:00:00.000Z")
        hub.push(newer)
        [published] = hub.feed("green")
        older = newer | {"modified": "2026-02-02T00:00:00.000Z"}
        older["pattern"] = "[domain-name:value = 'old.top']"
        never = indicator("never.top")
        about = [sdo("note", content="seen", object_refs=[each["id"]]) for each in (newer, never)]
        ended = {**never, "modified": "2026-03-02T00:00:00.000Z", "revoked": True}
        status = hub.push(*about, indicator("a.top"), older, ended)
        assert hub.verdicts(status)[:2] == ["admitted", "held"]
        [note] = [each for each in hub.feed("green") if each["type"] == "note"]
        assert note["object_refs"] == [published["id"]]

    @pytest.mark.slow
    def test_they_wait_for_what_a_later_batch_holds(self, hub: HubInProcess) -> None:
        terms = statement("All rights reserved")
        hub.push(terms)
        hub.services.lifecycle.revoke(definitions(hub)[0], "operator", "why")
        carrier = indicator("a.top", object_marking_refs=[GREEN, terms["id"]])
        note = sdo("note", content="seen", object_refs=[carrier["id"]])
        sent = [note, indicator("b.top"), carrier]
        assert hub.verdicts(hub.push(*sent)) == ["held", "admitted", "held"]

    @pytest.mark.slow
    def test_nothing_refers_to_what_an_earlier_one_did_not_publish(self, hub: HubInProcess) -> None:
        missing = indicator("late.top")
        malware = sdo("malware", name="Loader", is_family=False)
        first = relationship(missing, "indicates", malware)
        note = sdo("note", content="seen", object_refs=[first["id"]])
        sent = [malware, first, indicator("a.top"), note]
        assert hub.verdicts(hub.push(*sent)) == ["admitted", "held", "admitted", "held"]
        hub.push(missing)
        assert {"relationship", "note"} <= {each["type"] for each in hub.feed("green")}

    def test_they_wait_for_what_a_later_batch_does(self, hub: HubInProcess) -> None:
        group = grouping(indicator("never.top"), sdo("malware", name="x", is_family=False))
        note = sdo("note", content="seen", object_refs=[group["id"]])
        assert hub.verdicts(hub.push(note, indicator("b.top"), group)) == [
            "held",
            "admitted",
            "held",
        ]

    @pytest.mark.slow
    def test_statements_have_the_level_of_what_a_later_batch_publishes(
        self, hub: HubInProcess
    ) -> None:
        secret = indicator(object_marking_refs=[AMBER])
        hub.push(secret)
        group = grouping(secret)
        about = [sdo("note", content="seen", object_refs=[group["id"]])]
        about += [sdo("sighting", sighting_of_ref=group["id"])]
        about += [grouping(group, context="other")]
        hub.push(*about, *(indicator(f"{n}.top") for n in range(5)), group)
        kinds = {kind: {o["type"] for o in hub.feed(kind)} for kind in ("green", "amber")}
        assert not kinds["green"] & {"note", "sighting", "grouping"}
        assert kinds["amber"] >= {"note", "sighting", "grouping"}

    @pytest.mark.parametrize("level", [GREEN, AMBER])
    def test_of_two_versions_in_later_batches_the_newer_counts(
        self, hub: HubInProcess, level: str
    ) -> None:
        old = indicator("old.top")
        new = old | {"modified": "2026-03-02T00:00:00.000Z", "object_marking_refs": [level]}
        new["pattern"] = "[domain-name:value = 'new.top']"
        note = sdo("note", content="seen", object_refs=[old["id"]], object_marking_refs=[GREEN])
        hub.push(note, *(indicator(f"{n}.top") for n in range(5)), old, new)
        feed = hub.feed("green" if level == GREEN else "amber")
        [note] = [each for each in feed if each["type"] == "note"]
        [named] = [each for each in feed if each["id"] in note["object_refs"]]
        assert "new.top" in named["pattern"] and not named.get("revoked")
        in_green = any(each["type"] == "note" for each in hub.feed("green"))
        assert in_green is (level == GREEN)

    @pytest.mark.slow
    @pytest.mark.parametrize("is_reported", [True, False])
    @pytest.mark.parametrize("kind", ["language-content", "duplicate-of"])
    def test_no_verdict_tells_if_others_report_what_a_later_batch_has(
        self, hub: HubInProcess, monkeypatch: pytest.MonkeyPatch, kind: str, is_reported: bool
    ) -> None:
        hub.join(Partner("watch", "Watch Limited"), ("clear", "green"))
        if is_reported:
            hub.push(indicator("secret.top", object_marking_refs=[AMBER]), who="north")
        mine = indicator("secret.top", object_marking_refs=[AMBER])
        other = indicator("other.top", object_marking_refs=[AMBER])
        texts = {"de": {"description": "x"}}
        about = {
            "language-content": sdo(kind, object_ref=mine["id"], contents=texts),
            "duplicate-of": relationship(other, kind, mine),
        }[kind]
        about["object_marking_refs"] = [AMBER]
        sent = [about, *(indicator(f"{n}.top") for n in range(5)), other, mine]
        seen, settle = list[str](), Publisher.settle

        def note_first(publisher: Publisher, txn: Transaction, batch: Batch) -> Settlement:
            found = settle(publisher, txn, batch)
            seen.extend(each.verdict for each in found.records if each.index == 0)
            return found

        monkeypatch.setattr(Publisher, "settle", note_first)
        status = hub.push(*sent, who="watch")
        assert (seen, hub.verdicts(status)[0]) == (["refused"], "refused")


class TestOrder:
    """Objects are settled after those that they reference; verdicts keep the order sent."""

    @pytest.fixture(autouse=True)
    def _small(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(admission, "BATCH", 2)

    @pytest.mark.slow
    def test_what_is_referenced_comes_in_no_later_batch(self, hub: HubInProcess) -> None:
        sent = backwards()
        assert hub.verdicts(hub.push(*sent)) == ["admitted"] * len(sent)
        feed = [each for each in hub.feed("green") if each["type"] in ("grouping", "indicator")]
        batch = {each["id"]: place // 2 for place, each in enumerate(feed)}
        for each in feed:
            assert all(batch[ref] <= batch[each["id"]] for ref in each.get("object_refs", ()))

    @pytest.mark.slow
    def test_every_verdict_is_that_of_its_own_object(self, hub: HubInProcess) -> None:
        status = hub.push(*backwards(), indicator(pattern="[nonsense"))
        listed = sorted((*status["successes"], *status["failures"]), key=by_index)
        assert [each["x_tocsin_index"] for each in listed] == list(range(8))
        assert [each["id"] for each in listed[:7]] == [each["id"] for each in backwards()]
        assert listed[7]["x_tocsin_verdict"] == "refused"

    @pytest.mark.slow
    @pytest.mark.parametrize("settled", [1, 2, 3])
    def test_after_a_crash_the_rest_is_settled_and_nothing_twice(
        self, hub: HubInProcess, settled: int
    ) -> None:
        sent = backwards()
        run_interrupted(hub, lambda: hub.push(*sent), settled)
        [begun] = hub.store.submissions.list_open(60)
        left = hub.store.submissions.list_unsettled(begun.id)
        assert len(left) == 7 - 2 * settled
        assert 0 in left and 6 not in left
        work_later(hub)
        records = hub.store.submissions.records(begun.id)
        assert [each.source_id for each in records] == [each["id"] for each in sent]
        assert {each.verdict for each in records} == {"admitted"}
        feed = [each["id"] for each in hub.feed("green")]
        assert len(feed) == len(set(feed))

    def test_what_is_dropped_after_a_crash_is_the_rest(self, hub: HubInProcess) -> None:
        run_interrupted(hub, lambda: hub.push(*backwards()), 1)
        hub.store._base.submissions.update_many({}, {"$set": {"lease": 0}})
        [begun] = hub.store.submissions.list_open(60)
        assert hub.services.intake.set_aside.add(begun)
        assert hub.services.intake.set_aside.drop(begun.id, "operator", "why") == 5
        records = hub.store.submissions.records(begun.id)
        assert [each.verdict for each in records] == ["refused"] * 5 + ["admitted"] * 2

    def test_the_answer_to_a_post_is_by_index_too(self, hub: HubInProcess) -> None:
        body = json.dumps({"objects": backwards()})
        answer = hub.ask("collections/inbox/objects/", "acme", "POST", data=body).json
        assert [by_index(each) for each in answer["successes"]] == list(range(7))

    def test_a_page_of_records_is_by_index(self, hub: HubInProcess) -> None:
        status = hub.push(*backwards())
        find = hub.store.submissions.page_of_records
        for start in range(7):
            found = find(status["id"], start, start + 2)
            assert [each.index for each in found] == list(range(start, min(start + 2, 7)))

    @pytest.mark.slow
    def test_a_review_replaces_the_record_of_its_object(self, hub: HubInProcess) -> None:
        held = indicator("late.top")
        sent = backwards()
        sent[1]["object_refs"] = [held["id"]]
        status = hub.push(*sent)
        assert hub.verdicts(status) == ["held"] * 2 + ["admitted"] * 5
        hub.push(held)
        records = hub.store.submissions.records(status["id"])
        assert [each.verdict for each in records] == ["admitted"] * 7

    def test_a_circle_of_references_is_published(self, hub: HubInProcess) -> None:
        ring = [sdo("grouping", context="unspecified", object_refs=["x"]) for _ in range(5)]
        for each, following in zip(ring, [*ring[1:], ring[0]], strict=True):
            each["object_refs"] = [following["id"]]
        assert hub.verdicts(hub.push(*ring)) == ["admitted"] * 5
        feed = {each["id"]: each for each in hub.feed("green")}
        groups = [each for each in feed.values() if each["type"] == "grouping"]
        assert len(groups) == 5
        assert all(set(each["object_refs"]) <= feed.keys() for each in groups)


@pytest.mark.slow
def test_many_versions_that_reference_each_other_are_sorted_in_little_memory() -> None:
    note = sdo("note", content="x", object_refs=["x"])
    note["object_refs"] = [note["id"]]
    every = [Candidate(n, note, source_id=note["id"]) for n in range(4_000)]
    tracemalloc.start()
    try:
        assert [each.index for each in sort_by_references(every)] == list(range(3_999, -1, -1))
        assert tracemalloc.get_traced_memory()[1] < 4_000_000
    finally:
        tracemalloc.stop()


def count_assessments(hub: HubInProcess, public_id: str) -> int:
    """The sightings and opinions that count for a public object."""
    found = hub.store.read(lambda known: known.public_objects([public_id]))
    return len(found[public_id].assessments)


def backwards() -> list[dict[str, Any]]:
    """Objects of which each references the next one; the last is an indicator."""
    chain = [indicator(seed="last")]
    for n in range(6):
        name = f"grouping--00000000-0000-4000-8000-{n:012}"
        chain.insert(0, grouping(chain[0]) | {"id": name})
    return chain


def by_index(detail: dict[str, Any]) -> int:
    return int(detail["x_tocsin_index"])


def grouping(*members: dict[str, Any], context: str = "suspicious-activity") -> dict[str, Any]:
    refs = [each["id"] for each in members]
    return sdo("grouping", context=context, object_refs=refs, object_marking_refs=[GREEN])


def statement(text: str) -> dict[str, Any]:
    return STATEMENT | {"definition": {"statement": text}, "object_marking_refs": [GREEN]}


def definitions(hub: HubInProcess) -> list[str]:
    """Ids of the statements in force in the feed at TLP:GREEN."""
    found = hub.ask("collections/green/objects/", query_string={"limit": 1000}).json["objects"]
    return [
        o["id"]
        for o in found
        if o.get("definition_type") == "statement"
        and not str(o["definition"]["statement"]).startswith("[removed")
    ]


@pytest.mark.slow
def test_completing_what_waits_is_bounded_in_octets(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(references, "PORTION_OCTETS", 5_000)
    monkeypatch.setattr(references, "_LOADED", 1)
    hub, one, missing = HubInProcess(store), indicator(), indicator("late.top")
    words = {"description": "rented " * 300, "published": "2026-01-01T00:00:00Z"}
    refs = [one["id"], missing["id"]]
    hub.push(one, *(sdo("report", name=f"R{n}", object_refs=refs, **words) for n in range(7)))
    commits = list[bool]()
    store.listeners.append(lambda: commits.append(True))
    hub.push(missing)
    listed = [each["object_refs"] for each in hub.feed("green") if each["type"] == "report"]
    assert [len(each) for each in listed] == [2] * 7
    assert len(commits) >= 3
