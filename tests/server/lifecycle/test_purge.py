"""A purge deletes an object's content from everything that the hub keeps."""

import json
import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from typing import Any

import pytest
import zstandard
from support.clock import LATER, ManualClock, indicators
from support.crash import build_services_over
from support.databases import open_again
from support.hub import AMBER, GREEN, HubInProcess, details, indicator, sdo
from support.observables import sco
from support.presence import present

from tocsin.admission.errors import Malformed, NotFound
from tocsin.config.settings import HubSettings
from tocsin.server.cli.object import purge_objects
from tocsin.server.intake.evaluate import split_envelope
from tocsin.server.intake.review_decisions import Chosen, ReviewDecision
from tocsin.server.lifecycle import purge
from tocsin.server.lifecycle.purge import Purger
from tocsin.server.model import DecisionKind, Purge
from tocsin.server.person import Person, Role
from tocsin.server.runtime import Runtime
from tocsin.server.store import Store
from tocsin.server.store.journal import JournalFilter
from tocsin.server.store.purged_content import is_mentioned

pytestmark = pytest.mark.slow

MARKER = "kestrel-over-lisbon"
VALUE = f"{MARKER}.top"
WHY = "request for erasure 17"


def strings(value: Any) -> Iterator[bytes]:
    """Every text and all bytes within a document, decompressed where that is possible."""
    if isinstance(value, bytes):
        yield value
        if value[:4] == b"\x28\xb5\x2f\xfd":
            yield zstandard.ZstdDecompressor().decompress(value, max_output_size=1 << 24)
    elif isinstance(value, str):
        yield value.encode()
    elif isinstance(value, dict):
        for name, each in value.items():
            yield from (name.encode(), *strings(each))
    elif isinstance(value, list):
        for each in value:
            yield from strings(each)


def places(store: Store, text: str = MARKER) -> set[str]:
    """The collections of the database in which a text occurs."""
    wanted, base = text.encode(), store._base
    return {
        name
        for name in base.list_collection_names()
        if any(wanted in each.lower() for doc in base[name].find() for each in strings(doc))
    }


def publish_at_every_level(hub: HubInProcess) -> None:
    """An object with its marker in texts, pattern, labels and parts, in several versions.

    The body of one submission is long, so it is stored apart.
    """
    sent = indicator(
        VALUE,
        name=MARKER,
        description=f"green {MARKER}",
        labels=[MARKER],
        granular_markings=[{"marking_ref": AMBER, "selectors": ["description"]}],
    )
    hub.push(sent)
    hub.push({**sent, "name": f"{MARKER} again", "modified": LATER})
    long = "lorem ipsum " * 2_000
    hub.push(indicator(VALUE, name=f"of another {MARKER}", description=long), who="north")


def test_the_marker_is_found_before_the_purge(hub: HubInProcess) -> None:
    publish_at_every_level(hub)
    while hub.store.packing.pack_next():
        pass
    expected = {"entry_batches", "filter_index", "public_objects"}
    assert expected | {"submissions", "submission_bodies"} <= places(hub.store)


def test_nothing_of_it_is_in_any_collection_of_the_database(hub: HubInProcess) -> None:
    publish_at_every_level(hub)
    (public,) = indicators(hub, "green")
    report = hub.services.purger.purge(public["id"], "operator", WHY)
    assert places(hub.store) == set()
    assert report.ids == (public["id"],) and report.versions >= 3


def test_nothing_of_it_is_left_in_packed_feeds(hub: HubInProcess) -> None:
    publish_at_every_level(hub)
    hub.push(*(indicator(f"other{n}.top") for n in range(30)))
    hub.store.packing._after_writes = 1
    while hub.store.packing.pack_next():
        pass
    hub.services.purger.purge_value(VALUE, "operator", WHY)
    assert places(hub.store) == set()
    assert len([o for o in hub.feed("green") if "other" in o["pattern"]]) == 30


def test_its_translations_are_purged_with_it(hub: HubInProcess) -> None:
    sent = indicator(VALUE, name=MARKER)
    contents = {"de": {"name": f"{MARKER} auf Deutsch"}}
    hub.push(sent, sdo("language-content", object_ref=sent["id"], contents=contents))
    (public,) = indicators(hub, "green")
    report = hub.services.purger.purge(public["id"], "operator", WHY)
    assert places(hub.store) == set()
    assert len(report.ids) == 2


def test_pollers_learn_of_it_by_a_revoked_version_that_says_nothing(hub: HubInProcess) -> None:
    publish_at_every_level(hub)
    (before,) = indicators(hub, "amber")
    hub.services.purger.purge(before["id"], "operator", WHY)
    for alias in ("green", "amber"):
        (after,) = hub.feed(alias)
        assert (after["id"], after["revoked"]) == (before["id"], True)
        assert after["pattern"] == "[domain-name:value = 'purged.invalid']"
        assert after["modified"] > before["modified"]
        versions = hub.ask(f"collections/{alias}/objects/{before['id']}/versions/").json
        assert versions["versions"] == [after["modified"]]


def test_readers_cursors_go_on(hub: HubInProcess) -> None:
    hub.push(indicator("one.top"))
    publish_at_every_level(hub)
    page = hub.ask(
        "collections/green/objects/", query_string={"limit": 1, "match[type]": "indicator"}
    )
    stamps = page.headers["X-TAXII-Date-Added-Last"]
    hub.services.purger.purge_value(VALUE, "operator", WHY)
    hub.push(indicator("two.top"))
    rest = hub.feed("green", added_after=stamps)
    assert [o["pattern"].split("'")[1] for o in rest] == ["purged.invalid", "two.top"]
    following = {"limit": 1000, "match[type]": "indicator", "next": page.json["next"]}
    again = hub.ask("collections/green/objects/", query_string=following).json["objects"]
    assert again == rest


@pytest.mark.parametrize("spelling", ["KESTREL-over-Lisbon.top", "kestrel-over-lisbon[.]top."])
def test_a_value_is_purged_in_any_spelling_and_every_scope(
    hub: HubInProcess, spelling: str
) -> None:
    hub.push(indicator(VALUE))
    hub.push(indicator(VALUE, object_marking_refs=[AMBER]), who="north")
    hub.push(
        {
            "type": "domain-name",
            "spec_version": "2.1",
            "value": VALUE,
            "id": "domain-name--00000000-0000-4000-8000-000000000001",
            "object_marking_refs": [GREEN],
        }
    )
    report = hub.services.purger.purge_value(spelling, "operator", WHY)
    assert len(report.ids) == 3 and places(hub.store) == set()
    (left,) = [o for o in hub.feed("green") if o["type"] == "domain-name"]
    assert (left["value"], left["revoked"]) == ("purged.invalid", True)


def test_a_value_that_only_waits_for_an_analyst_is_purged_too(hub: HubInProcess) -> None:
    unknown = "marking-definition--00000000-0000-4000-8000-000000000009"
    status = hub.push(indicator(VALUE, name=MARKER, object_marking_refs=[unknown]))
    assert hub.verdicts(status) == ["held"]
    report = hub.services.purger.purge_value(VALUE, "operator", WHY)
    assert (report.reviews, report.submissions) == (1, 1)
    assert places(hub.store) == set()
    status = hub.ask(f"status/{status['id']}/").json
    assert "purged" in details(status)[0]["message"]
    assert hub.store.reviews.list_waiting() == []


def test_a_withdrawn_decision_keeps_no_reason_that_names_the_value(hub: HubInProcess) -> None:
    unknown = "marking-definition--00000000-0000-4000-8000-000000000009"
    hub.push(indicator("b.top", object_marking_refs=[unknown]))
    (review,) = hub.store.reviews.list_waiting()
    person = Person("jane", "jane@hub.example", "Jane", "", frozenset({Role.REVIEWER}))
    hub.store.people.add(person)
    rejected = ReviewDecision(DecisionKind.REJECT, f"names {VALUE} of Jane")
    decisions = hub.services.intake.decisions
    act = decisions.decide(person, Chosen(review.id, review.revision), rejected)
    decisions.withdraw(person, act.id)
    assert places(hub.store) == {"review_acts"}
    hub.services.purger.purge_value(VALUE, "operator", WHY)
    assert places(hub.store) == set() and hub.store.reviews.list_waiting() != []


@pytest.mark.parametrize("other", ["45.12.1.25", "145.12.1.2", "45.12.1.2.top"])
def test_what_only_begins_or_ends_like_the_value_is_left_alone(
    hub: HubInProcess, other: str
) -> None:
    unknown = "marking-definition--00000000-0000-4000-8000-000000000009"
    kind = "domain-name" if other.endswith("top") else "ipv4-addr"
    sent = indicator(pattern=f"[{kind}:value = '{other}']", object_marking_refs=[unknown])
    status = hub.push(sent)
    assert hub.verdicts(status) == ["held"]
    report = hub.services.purger.purge_value("45.12.1.2", "operator", WHY)
    assert (report.reviews, report.submissions, report.also_in) == (0, 0, ())
    assert len(hub.store.reviews.list_waiting()) == 1


def test_objects_that_only_mention_the_value_are_listed_and_left(hub: HubInProcess) -> None:
    hub.push(
        indicator(VALUE), sdo("malware", name="m", is_family=False, description=f"see {VALUE}")
    )
    (mentions,) = [o["id"] for o in hub.feed("green") if o["type"] == "malware"]
    assert hub.services.purger.purge_value(VALUE, "operator", WHY).also_in == (mentions,)


def test_what_is_not_settled_yet_is_cut_out_of_its_submission(hub: HubInProcess) -> None:
    many = [indicator(f"n{n}.top") for n in range(250)]
    body = json.dumps({"objects": [*many, indicator(VALUE, name=MARKER)]}).encode()
    answer = hub.ask("collections/inbox/objects/", method="POST", data=body)
    report = hub.services.purger.purge_value(VALUE, "operator", WHY)
    assert (report.submissions, report.in_progress) == (1, 0) and places(hub.store) == set()
    while hub.services.intake.work():
        pass
    status = hub.ask(f"status/{answer.json['id']}/").json
    assert (status["success_count"], status["failure_count"]) == (250, 1)


def queue(hub: HubInProcess, *objects: object, who: str = "acme") -> str:
    """Post objects that wait in the queue; the id of the submission."""
    many = [*objects, *(indicator(f"n{n}.top") for n in range(201))]
    path = "collections/inbox/objects/"
    answer = hub.ask(path, who, method="POST", json={"objects": many})
    return str(answer.json["id"])


class TestWhatIsNotSettledYet:
    @pytest.fixture
    def sent(self, hub: HubInProcess) -> dict[str, Any]:
        """An object that is published."""
        published = indicator(VALUE, name=MARKER)
        hub.push(published)
        return published

    def test_a_queued_version_is_purged_by_its_public_id(
        self, hub: HubInProcess, sent: dict[str, Any]
    ) -> None:
        status = queue(hub, {**sent, "modified": LATER})
        report = hub.services.purger.purge(indicators(hub)[0]["id"], "operator", WHY)
        assert (report.submissions, report.in_progress) == (2, 0)
        assert places(hub.store) == set()
        while hub.services.intake.work():
            pass
        assert places(hub.store) == set()
        assert hub.ask(f"status/{status}/").json["success_count"] == 201

    def test_so_is_one_that_was_set_aside(self, hub: HubInProcess, sent: dict[str, Any]) -> None:
        queue(hub, {**sent, "modified": LATER})
        (waiting,) = hub.store.submissions.list_open(60)
        hub.services.intake.set_aside.add(waiting)
        report = hub.services.purger.purge(indicators(hub)[0]["id"], "operator", WHY)
        assert report.in_progress == 0 and places(hub.store) == set()

    def test_one_that_a_worker_has_in_hand_is_counted(
        self, hub: HubInProcess, sent: dict[str, Any]
    ) -> None:
        queue(hub, {**sent, "modified": LATER})
        (waiting,) = hub.store.submissions.list_open(60)
        assert hub.store.submissions.lease(waiting, "another", 60)
        report = hub.services.purger.purge(indicators(hub)[0]["id"], "operator", WHY)
        assert report.in_progress == 1 and places(hub.store) == set()

    def test_what_another_partner_sent_under_the_same_id_is_left_alone(
        self, hub: HubInProcess, sent: dict[str, Any]
    ) -> None:
        settled = hub.push({**indicator("other.top"), "id": sent["id"]}, who="north")
        waiting = queue(hub, {**indicator("more.top"), "id": sent["id"]}, who="north")
        (public,) = [o for o in indicators(hub) if VALUE in o["pattern"]]
        assert hub.services.purger.purge(public["id"], "operator", WHY).submissions == 1
        for each in (settled["id"], waiting):
            assert present(hub.store.submissions.find(each)).raw
        assert b"more.top" in present(hub.store.submissions.find(waiting)).raw

    def test_two_purges_at_once_do_not_undo_each_other(
        self, hub: HubInProcess, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        queue(hub, indicator(VALUE), indicator("second-value.top"))
        calls, begun = iter(range(100)), list[Future[object]]()

        def interrupted(raw: bytes) -> list[bytes]:
            if next(calls) == 1:  # within the transaction that cuts
                begun.append(pool.submit(second.purge_value, VALUE, "operator", WHY))
                time.sleep(0.3)
            return split_envelope(raw)

        monkeypatch.setattr("tocsin.server.lifecycle.purge.split_envelope", interrupted)
        with open_again(hub.store) as other, ThreadPoolExecutor(1) as pool:
            second = build_services_over(hub, other).purger
            hub.services.purger.purge_value("second-value.top", "operator", WHY)
            begun[0].result()
        assert places(hub.store) == set() == places(hub.store, "second-value")


def test_an_object_that_was_revoked_before_loses_its_content_too(hub: HubInProcess) -> None:
    publish_at_every_level(hub)
    name = indicators(hub)[0]["id"]
    hub.services.lifecycle.revoke(name, "operator", "why")
    hub.services.purger.purge(name, "operator", WHY)
    assert places(hub.store) == set()


def test_an_object_of_a_verbatim_collection_is_purged_by_its_id(hub: HubInProcess) -> None:
    sent = sdo("malware", name=MARKER, is_family=False)
    hub.push(sent, to="scratch")
    hub.services.purger.purge(sent["id"], "operator", WHY)
    assert hub.feed("scratch") == [] and places(hub.store) == set()


def test_the_same_id_is_refused_afterwards(hub: HubInProcess) -> None:
    sent = indicator(VALUE)
    hub.push(sent)
    hub.services.purger.purge(indicators(hub)[0]["id"], "operator", WHY)
    assert hub.verdicts(hub.push({**sent, "modified": LATER})) == ["refused"]


def test_the_journal_names_the_act_the_id_and_the_level_and_no_content(hub: HubInProcess) -> None:
    publish_at_every_level(hub)
    name = indicators(hub)[0]["id"]
    hub.services.purger.purge(name, "operator", WHY)
    acts = [e for e in hub.store.journal.list_entries() if e.action == "object.purge"]
    assert [(e.actor, dict(e.details)) for e in acts] == [
        ("operator", {"public": name, "reason": WHY, "tlp": "green"})
    ]


def test_the_command_lists_who_had_received_it(hub: HubInProcess) -> None:
    publish_at_every_level(hub)
    name = indicators(hub, "green")[0]["id"]
    hub.feed("green", "north")
    hub.store.deliveries.flush()
    absent: Any = None
    opened = Runtime(HubSettings(), absent, hub.services)
    (answer,) = purge_objects(opened, [name], WHY)
    assert answer["received_by"] == ["acme", "north"] and answer["possibly_received_by"] == []
    (act,) = hub.store.journal.search(JournalFilter(about=name, action="object.purge"))
    assert act.details["reason"] == WHY


@pytest.mark.parametrize("is_alone", [True, False])
def test_by_value_it_lists_who_had_received_the_observable_too(
    hub: HubInProcess, is_alone: bool
) -> None:
    domain = sco("domain-name", value=VALUE)
    hub.push(*([domain] if is_alone else [domain, indicator(VALUE)]))
    hub.feed("green", "north")
    hub.store.deliveries.flush()
    absent: Any = None
    opened = Runtime(HubSettings(), absent, hub.services)
    (answer,) = purge_objects(opened, [VALUE], WHY)
    assert domain["id"] in str(answer["purged"])
    assert answer["received_by"] == ["north"]


def test_it_lists_who_had_received_the_translation_that_is_purged_too(hub: HubInProcess) -> None:
    sent = indicator(VALUE, name="Evil")
    text = sdo("language-content", object_ref=sent["id"], contents={"de": {"name": "Boese"}})
    hub.push(sent, text)
    [public] = (each for each in hub.feed("green") if each["type"] == "language-content")
    hub.feed("green", "north", **{"match[type]": "language-content"})
    hub.store.deliveries.flush()
    absent: Any = None
    opened = Runtime(HubSettings(), absent, hub.services)
    (answer,) = purge_objects(opened, [public["object_ref"]], WHY)
    assert public["id"] in str(answer["purged"])
    assert answer["received_by"] == ["acme", "north"]


def test_the_command_lists_those_that_possibly_received_it_apart(hub: HubInProcess) -> None:
    hub.push(indicator("before.top"))
    publish_at_every_level(hub)
    hub.push(indicator("after.top"))
    name = next(e["id"] for e in indicators(hub, "green") if VALUE in e["pattern"])
    hub.feed("green", "north", **{"match[type]": "indicator"})
    hub.store.deliveries.flush()
    absent: Any = None
    opened = Runtime(HubSettings(), absent, hub.services)
    (answer,) = purge_objects(opened, [name], WHY)
    assert answer["received_by"] == ["acme"] and answer["possibly_received_by"] == ["north"]


@pytest.mark.parametrize("other", ["indicator--none", "no value"])
def test_nothing_is_purged_if_one_of_the_names_is_wrong(hub: HubInProcess, other: str) -> None:
    publish_at_every_level(hub)
    before = indicators(hub)
    absent: Any = None
    opened = Runtime(HubSettings(), absent, hub.services)
    with pytest.raises((NotFound, Malformed)):
        list(purge_objects(opened, [before[0]["id"], other], WHY))
    assert indicators(hub) == before


def test_it_can_be_repeated(hub: HubInProcess) -> None:
    publish_at_every_level(hub)
    name = indicators(hub)[0]["id"]
    unknown = "marking-definition--00000000-0000-4000-8000-000000000009"
    sent = indicator(VALUE)
    held = {**sent, "modified": LATER, "object_marking_refs": [unknown]}
    assert [hub.verdicts(hub.push(each)) for each in (sent, held)] == [["duplicate"], ["held"]]
    report = hub.services.purger.purge(name, "operator", WHY)
    assert (report.submissions, report.reviews) == (5, 1)
    before = hub.feed("amber"), hub.feed("green")
    purger = hub.services.purger
    for again, what in ((purger.purge, name), (purger.purge_value, VALUE)):
        report = again(what, "operator", WHY)
        assert (report.versions, report.submissions, report.reviews) == (0, 0, 0)
    assert (hub.feed("amber"), hub.feed("green")) == before


def test_an_unknown_id_is_an_error(hub: HubInProcess) -> None:
    with pytest.raises(NotFound):
        hub.services.purger.purge("indicator--none", "operator", WHY)


@pytest.mark.parametrize("own", ["", GREEN])
def test_what_every_feed_needs_of_the_hub_itself_cannot_be_purged(
    hub: HubInProcess, own: str
) -> None:
    with pytest.raises(Malformed):
        hub.services.purger.purge(own or hub.identity, "operator", WHY)


@pytest.mark.parametrize("step", range(8))
def test_a_purge_that_dies_half_way_is_finished_by_a_worker(
    hub: HubInProcess, clock: ManualClock, monkeypatch: pytest.MonkeyPatch, step: int
) -> None:
    publish_at_every_level(hub)
    name = indicators(hub)[0]["id"]
    commit, left = hub.store.commit, iter(range(step + 1))

    def end_midway(work: Any) -> Any:
        if next(left, None) is None:
            raise SystemExit
        return commit(work)

    monkeypatch.setattr(hub.store, "commit", end_midway)
    with suppress(SystemExit):
        hub.services.purger.purge(name, "operator", WHY)
    monkeypatch.setattr(hub.store, "commit", commit)
    assert not hub.services.purger.work()  # the command may still be at it
    clock.advance(hours=1)
    while hub.services.purger.work():
        pass
    assert places(hub.store) == set()
    assert [o["revoked"] for o in hub.feed("green")] == [True]


def test_a_second_purge_of_an_object_adds_to_an_unfinished_one(
    hub: HubInProcess, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    publish_at_every_level(hub)
    name = indicators(hub)[0]["id"]
    hub.push(sdo("report", name=f"see {VALUE}", published=LATER, object_refs=[name]))

    def die(*arguments: object) -> None:
        raise SystemExit

    purger = hub.services.purger
    monkeypatch.setattr(Purger, "_finish", die)
    for method, what in ((purger.purge_value, VALUE), (purger.purge, name)):
        with suppress(SystemExit):
            method(what, "operator", WHY)
        (kept,) = [each for each in hub.store.purges.unfinished() if each.public_id == name]
        assert kept.values == (VALUE,)
    monkeypatch.undo()
    clock.advance(hours=1)
    assert purger.work()
    assert not {"submissions", "submission_bodies"} & places(hub.store)
    assert hub.store.purges.unfinished() == []


def test_what_came_to_a_purge_while_it_ran_is_not_forgotten(hub: HubInProcess) -> None:
    first, more = Purge("indicator--1", values=("a.top",)), Purge("indicator--1", values=("b.top",))
    hub.store.commit(lambda txn: txn.purges.put(first))
    united = hub.store.commit(lambda txn: txn.purges.put(more))
    hub.store.commit(lambda txn: txn.purges.end(first))
    assert hub.store.purges.unfinished() == [united]
    hub.store.commit(lambda txn: txn.purges.end(united))
    assert hub.store.purges.unfinished() == []


def test_no_worker_takes_over_a_long_purge_that_goes_on(
    hub: HubInProcess, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    for n in range(9):
        hub.push(indicator(VALUE, name=f"{n}"))
    commit, taken = hub.store.commit, list[Any]()

    def slow(work: Any) -> Any:
        clock.now += purge.PATIENCE // 2
        done = commit(work)
        unfinished = hub.store.purges.unfinished()
        taken.extend(each for each in unfinished if each.begun < clock.now - purge.PATIENCE)
        return done

    monkeypatch.setattr(hub.store, "commit", slow)
    hub.services.purger.purge(indicators(hub)[0]["id"], "operator", WHY)
    assert taken == []


def test_a_purge_that_fails_stops_no_other(
    hub: HubInProcess, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("indicator--1", "indicator--2"):
        hub.store.commit(lambda txn, name=name: txn.purges.put(Purge(name)))  # type: ignore[misc]
    clock.advance(hours=1)
    finish = Purger._finish

    def failing(self: Purger, one: Purge) -> Any:
        if one.public_id == "indicator--1":
            raise ValueError
        return finish(self, one)

    monkeypatch.setattr(Purger, "_finish", failing)
    assert hub.services.purger.work()
    assert [each.public_id for each in hub.store.purges.unfinished()] == ["indicator--1"]


@pytest.mark.parametrize(
    "text",
    [
        rb'{"a": "\u0065vil-portal.top", "b": "\ud800"}',
        rb'{"a": "line\nevil-portal.top"}',
        rb'{"a": "\ud83d\ude00 EVIL-portal[.]top"}',
        '{"a": "ｅｖｉｌ-portal.top"}'.encode(),
    ],
)
def test_a_value_is_found_however_json_spells_it(text: bytes) -> None:
    assert is_mentioned(text, ["evil-portal.top"])


@pytest.mark.parametrize("text", ["münchen-bank.top", "MÜNCHEN-bank.top", "mu\u0308nchen-bank.top"])
def test_an_internationalised_domain_is_found_in_unicode(text: str) -> None:
    value = "xn--mnchen-bank-thb.top"
    for spelling in (text, value, json.dumps(text)):
        assert is_mentioned(f'{{"a": "see http://{spelling}/x"}}'.encode(), [value])
    assert not is_mentioned('{"a": "xmünchen-bank.top"}'.encode(), [value])
