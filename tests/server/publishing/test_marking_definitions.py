"""Marking definitions that come before or after what carries them, or alone."""

import itertools
import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from support.acs_markings import acs
from support.clock import ManualClock, sighting
from support.hub import (
    AMBER,
    CLEAR,
    GREEN,
    HUB_SECRETS,
    HubInProcess,
    details,
    findings,
    indicator,
    relationship,
    sdo,
)
from support.statement_marking import STATEMENT
from support.stix_objects import LATER, ref

from tocsin.admission.markings.revoked_definitions import PURGED_TEXT, REVOKED_TEXT
from tocsin.admission.merge.identity import definition_key, public_id
from tocsin.admission.model import Tlp
from tocsin.admission.stix.schemas import schema_for
from tocsin.server.intake import admission
from tocsin.server.model import Collection, CollectionKind, Partner, View
from tocsin.server.publishing.revoked_and_purged_versions import (
    purged_version,
    revoked_version,
)

pytestmark = pytest.mark.slow
ACS_POLICY = '[rules.marking]\nacs_scopes = ["USA.USG"]\nacs_custodian = "USA.DHS"\n'


def carrying(level: Any = GREEN, value: Any = "evil.top") -> Any:
    return indicator(value, object_marking_refs=[level, STATEMENT["id"]])


def markings_and_definitions(hub: Any, feed: Any = "green") -> Any:
    """Return the indicators' markings other than TLP, and the definitions in the feed."""
    answer = hub.ask(f"collections/{feed}/objects/", "north", query_string={"limit": 1000})
    objects = answer.json["objects"]
    defined = {o["id"] for o in objects if "Copyright" in str(o.get("definition"))}
    marks = [o["object_marking_refs"][1] for o in objects if o["type"] == "indicator"]
    return marks, defined


@pytest.mark.parametrize("order", list(itertools.permutations(range(3))))
def test_in_whatever_order_they_come(hub: HubInProcess, order: Any) -> None:
    sent = STATEMENT, carrying(), carrying(AMBER, "strict.top")
    for at in order:
        hub.push(sent[at])
    [mark], defined = markings_and_definitions(hub)
    assert {mark} == defined
    marks, defined = markings_and_definitions(hub, "amber")
    assert len(marks) == 2 and set(marks) <= defined


def test_an_object_waits_for_its_definition_and_is_published_with_it(hub: HubInProcess) -> None:
    waiting = hub.push(carrying())
    assert hub.verdicts(waiting) == ["held"]
    hub.push(STATEMENT)
    [entry] = details(hub.ask(f"status/{waiting['id']}/").json)
    assert entry["x_tocsin_verdict"] == "admitted" and entry["message"] == "published"
    assert hub.store.reviews.list_waiting() == []


def test_an_object_that_waits_for_several_things_is_published_with_the_last(
    hub: HubInProcess,
) -> None:
    one, other = indicator(), sdo("malware", name="evil", is_family=False)
    marks = [GREEN, STATEMENT["id"]]
    waiting = hub.push(relationship(one, "indicates", other, object_marking_refs=marks))
    messages = []
    for each in (STATEMENT, one, other):
        hub.push(each)
        [entry] = details(hub.ask(f"status/{waiting['id']}/").json)
        messages.append(entry["message"])
    assert all(other["id"] in said and "definition" not in said for said in messages[:2])
    assert one["id"] in messages[0] and one["id"] not in messages[1]
    assert messages[2] == "published" and hub.store.reviews.list_waiting() == []


def test_the_definitions_that_an_object_waits_for_are_limited(hub: HubInProcess) -> None:
    ids = [sdo("marking-definition")["id"] for _ in range(1_500)]
    assert hub.verdicts(hub.push(indicator(object_marking_refs=[GREEN, *ids]))) == ["held"]
    [review] = hub.store.reviews.list_waiting()
    assert len(review.waits_for) == 1_000


def test_a_definition_may_be_sent_alone_repeatedly(hub: HubInProcess) -> None:
    for number in range(20):
        hub.push(STATEMENT)
        assert hub.verdicts(hub.push(carrying(value=f"evil{number}.top"))) == ["admitted"]
    marks, defined = markings_and_definitions(hub)
    assert len(marks) == 20 and set(marks) == defined and len(defined) == 1


def test_a_stricter_object_carries_the_published_definition(hub: HubInProcess) -> None:
    hub.push(STATEMENT, carrying())
    hub.push(STATEMENT, carrying(AMBER, "strict.top"))
    marks, defined = markings_and_definitions(hub, "amber")
    assert set(marks) == defined and len(marks) == 2


def test_one_that_says_its_level_keeps_it(hub: HubInProcess) -> None:
    hub.push(STATEMENT | {"object_marking_refs": [AMBER]})
    assert hub.verdicts(hub.push(carrying())) == ["held"]
    assert markings_and_definitions(hub) == ([], set())


def test_another_partner_must_send_the_definition_itself(hub: HubInProcess) -> None:
    hub.push(STATEMENT)
    assert hub.verdicts(hub.push(carrying(), who="north")) == ["held"]


class TestDefinitionsOfOthers:
    """A partner may mark with the public id of a definition that it reads."""

    def test_one_that_it_reads_need_not_come_again(self, hub: HubInProcess) -> None:
        hub.push(STATEMENT, carrying())
        [public] = markings_and_definitions(hub)[1]
        again = indicator("two.top", object_marking_refs=[GREEN, public])
        same = indicator("evil.top", object_marking_refs=[GREEN, public])
        assert hub.verdicts(hub.push(again, same, who="north")) == ["admitted", "merged"]
        marks, defined = markings_and_definitions(hub)
        assert set(marks) == defined == {public}

    def test_it_may_sight_what_carries_one(self, hub: HubInProcess) -> None:
        hub.push(STATEMENT, carrying())
        [public] = hub.feed("green", "north")
        seen = sighting(public, object_marking_refs=public["object_marking_refs"])
        assert hub.verdicts(hub.push(seen, who="north")) == ["admitted"]

    def test_an_acs_marking_is_known_as_it_is_published(self, hub: HubInProcess) -> None:
        hub = HubInProcess(hub.store, more=ACS_POLICY, founded=True)
        hub.push(acs(), indicator("evil.top", object_marking_refs=[GREEN, acs()["id"]]))
        [public] = hub.feed("green", "north")
        same = indicator("evil.top", object_marking_refs=public["object_marking_refs"])
        assert hub.verdicts(hub.push(same, who="north")) == ["merged"]

    def test_one_that_it_may_not_read_is_unknown(self, hub: HubInProcess) -> None:
        hub.join(Partner("low", "Low Limited"), reads=("clear", "green"))
        hub.push(STATEMENT, carrying(AMBER))
        [public] = markings_and_definitions(hub, "amber")[1]
        missing = sdo("marking-definition")["id"]
        hidden, absent = (
            hub.push(indicator("two.top", object_marking_refs=[GREEN, id_]), who="low")
            for id_ in (public, missing)
        )
        messages = [[each["message"] for each in findings(s)] for s in (hidden, absent)]
        assert messages[0] == messages[1] and "known definition" in str(messages[0])
        assert hub.verdicts(hidden) == hub.verdicts(absent) == ["held"]

    def test_its_own_id_never_stands_for_one(self, hub: HubInProcess) -> None:
        hub.push(statement("Copyright reserved"), carrying(value="one.top"))
        [public] = markings_and_definitions(hub)[1]
        own = statement("Free to use", id=ref("marking-definition"))
        hub.push(own, indicator("two.top", object_marking_refs=[GREEN, own["id"]]), who="north")
        sent = indicator("three.top", object_marking_refs=[GREEN, own["id"]])
        assert hub.verdicts(hub.push(sent, who="north")) == ["admitted"]
        texts = texts_carried(hub)
        assert texts["[domain-name:value = 'three.top']"] == "Free to use"
        sent = indicator("four.top", object_marking_refs=[GREEN, public])
        hub.push(sent, who="north")
        assert texts_carried(hub)["[domain-name:value = 'four.top']"] == "Copyright reserved"

    def test_what_waits_for_one_is_published_with_it(self, hub: HubInProcess) -> None:
        key = definition_key([(Tlp.GREEN, STATEMENT)], "green", "acme")
        public = public_id("marking-definition", key, HUB_SECRETS.namespace)
        sent = indicator("two.top", object_marking_refs=[GREEN, public])
        waiting = hub.push(sent, who="north")
        assert hub.verdicts(waiting) == ["held"]
        hub.push(STATEMENT, carrying())
        status = hub.ask(f"status/{waiting['id']}/", "north").json
        assert hub.verdicts(status) == ["admitted"]


def test_a_definition_does_not_answer_other_reviews(hub: HubInProcess) -> None:
    hub.push(carrying(value="vpn.acme.example"))
    hub.push(STATEMENT)
    [review] = hub.store.reviews.list_waiting()
    assert "victim_terms" in review.rules


def statement(text: str, **more: Any) -> Any:
    return STATEMENT | {"definition": {"statement": text}} | more


def texts_carried(hub: HubInProcess, feed: str = "green") -> dict[str, str]:
    """The statement that each indicator of a feed carries, by pattern."""
    found = hub.ask(f"collections/{feed}/objects/", query_string={"limit": 1000}).json["objects"]
    texts = {o["id"]: o["definition"]["statement"] for o in found if "definition" in o}
    indicators = [o for o in found if o["type"] == "indicator"]
    return {o["pattern"]: texts[o["object_marking_refs"][1]] for o in indicators}


class TestIdsFromContent:
    def test_two_partners_who_send_the_same_content_meet_under_one_id(
        self, hub: HubInProcess
    ) -> None:
        other = STATEMENT | {"id": sdo("marking-definition")["id"], "created": LATER}
        hub.push(STATEMENT, carrying())
        status = hub.push(
            other, carrying() | {"object_marking_refs": [GREEN, other["id"]]}, who="north"
        )
        assert hub.verdicts(status) == ["merged", "merged"]
        marks, defined = markings_and_definitions(hub)
        assert set(marks) == defined and len(defined) == 1

    def test_two_partners_who_send_one_id_with_different_content_never_meet(
        self, hub: HubInProcess
    ) -> None:
        first, second = statement("All rights reserved"), statement("Free to use")
        hub.push(first, carrying(value="one.top"))
        status = hub.push(second, carrying(value="two.top"), who="north")
        assert hub.verdicts(status) == ["admitted", "admitted"]
        assert list(texts_carried(hub).values()) == ["All rights reserved", "Free to use"]

    def test_an_indicator_with_other_terms_of_use_is_another_public_object(
        self, hub: HubInProcess
    ) -> None:
        hub.push(statement("All rights reserved"), carrying())
        status = hub.push(statement("Free to use"), carrying(), who="north")
        assert hub.verdicts(status) == ["admitted", "admitted"]

    def test_a_definition_changed_under_its_id_does_not_change_what_carries_it(
        self, hub: HubInProcess
    ) -> None:
        hub.push(statement("All rights reserved"), carrying(value="one.top"))
        hub.push(statement("Free to use"), carrying(value="two.top"))
        hub.push(carrying(value="three.top"))
        assert list(texts_carried(hub).values()) == [
            "All rights reserved",
            "Free to use",
            "Free to use",
        ]

    def test_a_definition_that_names_its_sender_has_one_meaning_sent_along_or_not(
        self, hub: HubInProcess
    ) -> None:
        naming = statement("Copyright of Acme Corporation, 2026")
        hub.push(naming, carrying(value="one.top"))
        assert hub.verdicts(hub.push(carrying(value="one.top"))) == ["duplicate"]
        [text] = texts_carried(hub).values()
        assert "Acme" not in text

    def test_a_definition_that_exists_at_a_stricter_level_does_not_change_a_verdict(
        self, hub: HubInProcess
    ) -> None:
        hub.join(Partner("low", "Low Limited"), reads=("clear", "green"))
        hub.push(statement("All rights reserved"), carrying(AMBER))
        for text in ("All rights reserved", "Free to use"):
            status = hub.push(statement(text), carrying(value=f"{len(text)}.top"), who="low")
            assert hub.verdicts(status) == ["admitted", "admitted"]

    def test_more_ids_with_one_content_than_are_kept_still_lead_to_it(
        self, hub: HubInProcess
    ) -> None:
        ids = [sdo("marking-definition")["id"] for _ in range(25)]
        hub.push(*(STATEMENT | {"id": each} for each in ids))
        for number, each in enumerate(ids):
            sent = carrying(value=f"evil{number}.top") | {"object_marking_refs": [GREEN, each]}
            assert hub.verdicts(hub.push(sent)) == ["admitted"]
        marks, defined = markings_and_definitions(hub)
        assert set(marks) == defined and len(defined) == 1

    def test_the_hubs_definition_that_comes_back_marks_what_comes_with_it(
        self, hub: HubInProcess
    ) -> None:
        hub.push(STATEMENT, carrying())
        [public] = markings_and_definitions(hub)[1]
        found = hub.ask("collections/green/objects/", query_string={"limit": 1000}).json["objects"]
        definition = next(each for each in found if each["id"] == public)
        sent = carrying(value="two.top") | {"object_marking_refs": [GREEN, public]}
        assert hub.verdicts(hub.push(definition, sent, who="north")) == ["duplicate", "admitted"]
        marks, defined = markings_and_definitions(hub)
        assert set(marks) == defined == {public}


TEXT = "All rights reserved"
REASON = "asked by mail"


def revoke(hub: HubInProcess, public: str) -> None:
    hub.services.lifecycle.revoke(public, "operator", REASON)


def withdraw(hub: HubInProcess, public: str) -> None:
    hub.services.partner_data.withdraw("acme", [public], "operator", REASON)


def remove(hub: HubInProcess, public: str) -> None:
    hub.services.partner_data.remove("acme", "operator", REASON)


def purge(hub: HubInProcess, public: str) -> None:
    hub.services.purger.purge(public, "operator", REASON)


ENDS = [
    pytest.param(end, text, id=end.__name__)
    for end, text in (
        (revoke, REVOKED_TEXT),
        (withdraw, REVOKED_TEXT),
        (remove, REVOKED_TEXT),
        (purge, PURGED_TEXT),
    )
]
"""Each way in which a definition ends, and the text that it has then."""
End = Callable[[HubInProcess, str], None]


def definition_of(hub: HubInProcess, feed: str = "green") -> Any:
    """The statement marking in a feed that is not of the hub itself."""
    found = hub.ask(f"collections/{feed}/objects/", "north", query_string={"limit": 1000}).json
    [definition] = [o for o in found["objects"] if "statement" in o.get("definition", {})]
    return definition


def let_north_read(hub: HubInProcess, alias: str, view: View) -> None:
    """Add an aggregate or a snapshot that north reads."""
    name = "00000000-0000-4000-8000-000000000077"
    kind = CollectionKind.AGGREGATE if view.at is None else CollectionKind.SNAPSHOT
    hub.store.feeds.add(Collection(name, alias, kind, alias.title(), view=view))
    account = hub.store.accounts.find_account("north")
    assert account is not None
    hub.store.accounts.update_account(replace(account, reads=account.reads | {name}))


class TestTheEnd:
    @pytest.fixture
    def before(self, hub: HubInProcess) -> Any:
        """A published definition, which an indicator carries."""
        hub.push(statement(TEXT, object_marking_refs=[GREEN]), carrying())
        found = definition_of(hub)
        assert found["definition"] == {"statement": TEXT}
        return found

    @pytest.mark.parametrize(("end", "text"), ENDS)
    def test_every_feed_has_it_without_its_text_in_place_of_the_former(
        self, hub: HubInProcess, before: Any, end: End, text: str
    ) -> None:
        end(hub, before["id"])
        for feed in ("green", "amber"):
            path = f"collections/{feed}/objects/{before['id']}/"
            query = {"match[version]": "all"}
            [left] = hub.ask(path, "north", query_string=query).json["objects"]
            assert left["definition"] == {"statement": text} and TEXT not in json.dumps(left)
            assert (left["id"], left["created"]) == (before["id"], before["created"])
            assert "revoked" not in left and "modified" not in left
            assert hub.ask(f"{path}versions/", "north").json["versions"] == [before["created"]]

    @pytest.mark.parametrize(("end", "text"), ENDS)
    def test_a_poller_that_has_it_receives_it_once_more(
        self, hub: HubInProcess, before: Any, end: End, text: str
    ) -> None:
        first = hub.ask("collections/green/objects/", "north", query_string={"limit": 1000})
        last = {"added_after": first.headers["X-TAXII-Date-Added-Last"]}
        end(hub, before["id"])
        news = hub.ask("collections/green/objects/", "north", query_string=last)
        again = [each for each in news.json["objects"] if each["id"] == before["id"]]
        assert [each["definition"] for each in again] == [{"statement": text}]
        manifest = hub.ask("collections/green/manifest/", "north", query_string=last).json
        [entry] = [each for each in manifest["objects"] if each["id"] == before["id"]]
        assert entry["version"] == before["created"]

    @pytest.mark.parametrize(("end", "text"), ENDS)
    def test_a_poller_in_the_middle_of_its_walk_receives_every_object_once(
        self, hub: HubInProcess, before: Any, end: End, text: str
    ) -> None:
        hub.push(*(indicator(f"evil{number}.top") for number in range(10)))
        answer = hub.ask("collections/green/objects/", "north", query_string={"limit": 3})
        found = [each["id"] for each in answer.json["objects"]]
        end(hub, before["id"])
        while answer.json["more"]:
            query = {"limit": 3, "next": answer.json["next"]}
            answer = hub.ask("collections/green/objects/", "north", query_string=query)
            found += [each["id"] for each in answer.json["objects"] if "revoked" not in each]
        assert len(found) == len(set(found)) and before["id"] in found

    def test_it_ends_in_packed_feeds_too(self, hub: HubInProcess, before: Any) -> None:
        hub.push(*(indicator(f"evil{number}.top") for number in range(300)))
        while hub.store.packing.pack_next():
            pass
        revoke(hub, before["id"])
        assert definition_of(hub)["definition"] == {"statement": REVOKED_TEXT}

    def test_a_purge_counts_the_entries_that_it_replaced(
        self, hub: HubInProcess, before: Any
    ) -> None:
        assert hub.services.purger.purge(before["id"], "operator", REASON).versions == 2

    def test_what_carries_it_stays_marked_with_it(self, hub: HubInProcess, before: Any) -> None:
        revoke(hub, before["id"])
        assert list(texts_carried(hub).values()) == [REVOKED_TEXT]

    def test_an_aggregate_of_what_is_in_force_has_it_for_what_carries_it(
        self, hub: HubInProcess, before: Any
    ) -> None:
        let_north_read(hub, "now", View(sources=(hub.collection("green").id,), active=True))
        revoke(hub, before["id"])
        assert definition_of(hub, "now")["definition"] == {"statement": REVOKED_TEXT}

    @pytest.mark.parametrize(("end", "text"), ENDS)
    def test_a_snapshot_has_it_without_its_text_for_what_carries_it(
        self, hub: HubInProcess, before: Any, end: End, text: str
    ) -> None:
        at = hub.store.commit(lambda txn: txn.pin_stamp(None))
        let_north_read(hub, "then", View(sources=(hub.collection("green").id,), at=at))
        etag = hub.ask("collections/then/objects/", "north").headers["ETag"]
        end(hub, before["id"])
        assert definition_of(hub, "then")["definition"] == {"statement": text}
        path = f"collections/then/objects/{before['id']}/"
        [left] = hub.ask(path, "north", query_string={"match[version]": "all"}).json["objects"]
        assert left["definition"] == {"statement": text}
        assert hub.ask(f"{path}versions/", "north").json["versions"] == [before["created"]]
        headers = {"If-None-Match": etag}
        assert hub.ask("collections/then/objects/", "north", headers=headers).status_code == 200

    @pytest.mark.parametrize("end", [withdraw, remove])
    def test_that_of_another_partner_stays_with_its_text(
        self, hub: HubInProcess, before: Any, end: End
    ) -> None:
        other = {"id": sdo("marking-definition")["id"], "object_marking_refs": [GREEN]}
        assert hub.verdicts(hub.push(statement(TEXT, **other), who="north")) == ["merged"]
        end(hub, before["id"])
        assert definition_of(hub)["definition"] == {"statement": TEXT}

    def test_its_partner_may_send_it_again_under_a_new_id(
        self, hub: HubInProcess, before: Any
    ) -> None:
        revoke(hub, before["id"])
        again = statement(TEXT, object_marking_refs=[GREEN])
        assert hub.verdicts(hub.push(again)) == ["refused"]
        again["id"] = sdo("marking-definition")["id"]
        sent = carrying(value="two.top") | {"object_marking_refs": [GREEN, again["id"]]}
        assert hub.verdicts(hub.push(again, sent)) == ["admitted", "admitted"]
        assert sorted(texts_carried(hub).values()) == [TEXT, REVOKED_TEXT]

    @pytest.mark.parametrize("end", [revoke, purge])
    @pytest.mark.parametrize("level", [None, GREEN])
    def test_what_is_sent_together_with_it_is_held(
        self, hub: HubInProcess, before: Any, end: End, level: str | None
    ) -> None:
        end(hub, before["id"])
        more = {"object_marking_refs": [level]} if level else {}
        newer = carrying() | {"modified": LATER}
        sent = statement(TEXT, **more), carrying(value="two.top"), newer
        status = hub.push(*sent)
        assert hub.verdicts(status) == ["refused", "held", "held"]
        assert (
            str(findings(status)).count("definition was refused, revoked, withdrawn or purged") == 2
        )
        assert len(texts_carried(hub)) == 1

    @pytest.mark.parametrize("end", [revoke, purge])
    def test_what_is_sent_with_it_in_another_batch_is_held(
        self, hub: HubInProcess, before: Any, end: End, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(admission, "BATCH", 1)
        end(hub, before["id"])
        left, ended = definition_of(hub), statement(PURGED_TEXT, id=sdo("marking-definition")["id"])
        marked = carrying(value="two.top") | {"object_marking_refs": [GREEN, left["id"]]}
        by_text = carrying(value="three.top") | {"object_marking_refs": [GREEN, ended["id"]]}
        granular = carrying(value="four.top") | {
            "object_marking_refs": [GREEN],
            "name": "Seen twice",
            "granular_markings": [{"marking_ref": before["id"], "selectors": ["name"]}],
        }
        own = statement(TEXT, object_marking_refs=[GREEN])
        granular["granular_markings"][0]["marking_ref"] = own["id"]
        mine = own, indicator("one.top"), carrying(value="five.top"), granular
        assert hub.verdicts(hub.push(*mine)) == ["refused", "admitted", "held", "held"]
        theirs = left, ended, marked, by_text
        status = hub.push(*theirs, who="north")
        assert hub.verdicts(status) == ["duplicate", "refused", "held", "held"]

    def test_what_is_published_already_and_unchanged_stays_a_duplicate(
        self, hub: HubInProcess
    ) -> None:
        sent = statement(TEXT, object_marking_refs=[GREEN]), carrying()
        hub.push(*sent)
        revoke(hub, definition_of(hub)["id"])
        seen = relationship(sent[1], "related-to", sent[1])
        status = hub.push(*sent, seen)
        assert hub.verdicts(status) == ["refused", "duplicate", "admitted"]
        assert hub.verdicts(hub.push(sent[1])) == ["duplicate"]
        [published] = hub.feed("green", "north", **{"match[type]": "indicator"})
        assert hub.verdicts(hub.push(published, who="north")) == ["duplicate"]

    def test_what_is_new_and_marked_with_it_is_held_also_when_it_comes_alone(
        self, hub: HubInProcess, before: Any
    ) -> None:
        revoke(hub, before["id"])
        status = hub.push(carrying(value="two.top"))
        assert hub.verdicts(status) == ["held"]
        assert "definition was refused, revoked, withdrawn or purged" in str(findings(status))

    def test_a_newer_version_is_held_and_says_that_the_former_stays(
        self, hub: HubInProcess
    ) -> None:
        sent = statement(TEXT, object_marking_refs=[GREEN]), carrying()
        hub.push(*sent)
        revoke(hub, definition_of(hub)["id"])
        status = hub.push(sent[0], sent[1] | {"modified": LATER, "description": "Seen again"})
        assert hub.verdicts(status) == ["refused", "held"]
        assert "stays published" in str(findings(status))
        again = statement(TEXT, object_marking_refs=[GREEN], id=sdo("marking-definition")["id"])
        marked = sent[1] | {"modified": LATER, "object_marking_refs": [GREEN, again["id"]]}
        assert hub.verdicts(hub.push(again, marked)) == ["admitted", "admitted"]

    def test_whether_another_partner_has_it_too_makes_no_difference(
        self, hub: HubInProcess
    ) -> None:
        hub.join(Partner("low", "Low Limited", max_tlp=Tlp.AMBER), reads=("clear", "green"))
        answers = []
        for n, others in enumerate((0, 1)):
            sent = statement(f"Terms {n}", id=sdo("marking-definition")["id"])
            sent["object_marking_refs"] = [AMBER]
            hub.push(sent, who="low")
            if others:
                hub.push(sent | {"id": sdo("marking-definition")["id"]}, who="north")
            hub.services.partner_data.withdraw("low", [sent["id"]], "operator", REASON)
            marked = indicator(f"n{n}.top", object_marking_refs=[AMBER, sent["id"]])
            answers.append(hub.verdicts(hub.push(sent, marked, who="low")))
        assert answers == [["refused", "held"]] * 2

    def test_without_a_level_it_does_not_come_back_by_another_level(
        self, hub: HubInProcess
    ) -> None:
        hub.push(statement(TEXT), carrying())
        revoke(hub, definition_of(hub)["id"])
        for level in (GREEN, AMBER, GREEN):
            status = hub.push(statement(TEXT), carrying(level, "two.top"))
            assert hub.verdicts(status) == ["refused", "held"]

    def test_a_reviewer_may_release_what_is_marked_with_it(
        self, hub: HubInProcess, before: Any
    ) -> None:
        revoke(hub, before["id"])
        sent = carrying(value="two.top")
        hub.push(statement(TEXT, object_marking_refs=[GREEN]), sent)
        [review] = hub.store.reviews.list_waiting_under("acme", {sent["id"]})
        hub.services.intake.reviewer.release(review, "jane@hub.example")
        assert list(texts_carried(hub).values()) == [REVOKED_TEXT, REVOKED_TEXT]

    def test_a_text_is_released_with_one_decision_under_the_same_id(
        self, hub: HubInProcess
    ) -> None:
        told = carrying() | {"description": "Reported by Jane Doe"}
        hub.push(statement(TEXT, object_marking_refs=[GREEN]), told)
        [before] = hub.feed("green", "north", **{"match[type]": "indicator"})
        revoke(hub, definition_of(hub)["id"])
        [review] = hub.store.reviews.list_waiting()
        hub.services.intake.reviewer.release(review, "jane@hub.example")
        assert hub.store.reviews.list_waiting() == []
        [now] = hub.feed("green", "north", **{"match[type]": "indicator"})
        assert now["id"] == before["id"] and now["description"] == "Reported by Jane Doe"
        assert not now.get("revoked")

    def test_a_newer_version_is_released_into_what_others_report_too(
        self, hub: HubInProcess, clock: ManualClock
    ) -> None:
        sent = statement(TEXT, object_marking_refs=[GREEN]), carrying()
        own_id = {"id": sdo("marking-definition")["id"]}
        theirs = {**carrying(), "object_marking_refs": [GREEN, own_id["id"]]}
        hub.push(*sent)
        clock.advance(hours=1)
        hub.push(sent[0] | own_id, theirs, who="north")
        revoke(hub, definition_of(hub)["id"])
        hub.push(sent[0], sent[1] | {"modified": LATER, "description": "Seen again"})
        [review] = hub.store.reviews.list_waiting()
        hub.services.intake.reviewer.release(review, "jane@hub.example")
        [now] = hub.feed("green", "north", **{"match[type]": "indicator"})
        assert now["description"] == "Seen again" and not now.get("revoked")

    def test_what_needs_it_at_another_level_waits_for_a_reviewer(self, hub: HubInProcess) -> None:
        """It leads nowhere there, and nothing will arrive."""
        hub.push(statement(TEXT), strict := carrying(AMBER))
        revoke(hub, definition_of(hub, "amber")["id"])
        for sent in ([carrying(value="two.top")], [statement(TEXT), carrying(value="three.top")]):
            status = hub.push(*sent)
            assert hub.verdicts(status)[-1] == "held"
            assert "definition was refused, revoked, withdrawn or purged" in str(findings(status))
        assert hub.verdicts(hub.push(strict)) == ["duplicate"]

    @pytest.mark.parametrize(("end", "text"), ENDS)
    def test_what_is_sent_with_what_is_left_of_it_is_held(
        self, hub: HubInProcess, before: Any, end: End, text: str
    ) -> None:
        end(hub, before["id"])
        left = definition_of(hub)
        marked = carrying(value="two.top") | {"object_marking_refs": [GREEN, left["id"]]}
        assert hub.verdicts(hub.push(left, marked, who="north")) == ["duplicate", "held"]
        assert "two.top" not in str(hub.feed("green", "north"))

    @pytest.mark.parametrize("text", [REVOKED_TEXT, PURGED_TEXT, " [Removed: revoked] "])
    def test_no_partner_sends_a_definition_that_says_that_it_has_ended(
        self, hub: HubInProcess, text: str
    ) -> None:
        status = hub.push(statement(text), carrying())
        assert hub.verdicts(status) == ["refused", "held"]

    def test_so_is_what_came_in_an_earlier_batch(
        self, hub: HubInProcess, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(admission, "BATCH", 1)
        status = hub.push(carrying(), statement(REVOKED_TEXT))
        assert hub.verdicts(status) == ["held", "refused"]

    def test_one_that_was_revoked_can_be_purged(self, hub: HubInProcess, before: Any) -> None:
        revoke(hub, before["id"])
        purge(hub, before["id"])
        assert definition_of(hub)["definition"] == {"statement": PURGED_TEXT}

    def test_one_without_a_level_is_withdrawn_at_every_level_at_which_it_is_published(
        self, hub: HubInProcess
    ) -> None:
        hub.push(statement(TEXT), carrying(AMBER, "strict.top"))
        hub.push(carrying())
        names = hub.ask("collections/amber/objects/", query_string={"limit": 1000}).text
        assert names.count(TEXT) == 2
        withdraw(hub, str(STATEMENT["id"]))
        left = hub.ask("collections/amber/objects/", query_string={"limit": 1000}).text
        assert TEXT not in left and left.count(REVOKED_TEXT) == 2

    @pytest.mark.parametrize("kind", ["statement", "acs"])
    def test_what_is_left_of_it_is_valid_stix(self, kind: str) -> None:
        sent = STATEMENT if kind == "statement" else acs()
        for left in (revoked_version(sent), purged_version(sent, Tlp.GREEN, sdo("identity")["id"])):
            assert schema_for(left).validator.is_valid(left), left
            assert "extensions" not in left


class TestMembersOfReports:
    """A report marked with a definition that ends, and its member, which has a level of its own."""

    @pytest.fixture
    def hub(self, hub: HubInProcess) -> HubInProcess:
        return HubInProcess(hub.store, more=ACS_POLICY, founded=True)

    def report(self, value: str) -> tuple[Any, Any]:
        member = indicator(value)
        more = {"name": value, "published": member["created"], "object_refs": [member["id"]]}
        return sdo("report", object_marking_refs=[GREEN, acs()["id"]], **more), member

    def marks(self, hub: HubInProcess) -> dict[str, str]:
        """The marking of each published indicator beside its level, by the indicator's id."""
        found = hub.feed("green", "north", **{"match[type]": "indicator"})
        return {each["id"]: each["object_marking_refs"][1] for each in found}

    @pytest.mark.parametrize(("end", "text"), ENDS[:-2] + ENDS[-1:])
    def test_a_member_does_not_lose_an_acs_marking_that_has_ended(
        self, hub: HubInProcess, end: End, text: str
    ) -> None:
        sent = self.report("one.top")
        assert hub.verdicts(hub.push(acs(), *sent)) == ["admitted"] * 3
        published = self.marks(hub)
        [definition] = published.values()
        end(hub, definition)
        assert definition_of(hub)["definition"] == {"statement": text}
        assert hub.verdicts(hub.push(*sent)) == ["duplicate", "duplicate"]
        assert hub.verdicts(hub.push(*self.report("two.top"))) == ["held", "held"]
        assert self.marks(hub) == published

    def test_what_is_left_of_the_definition_may_come_along(self, hub: HubInProcess) -> None:
        hub.push(acs(), *self.report("one.top"))
        [definition] = self.marks(hub).values()
        revoke(hub, definition)
        report, member = self.report("two.top")
        report["object_marking_refs"] = [GREEN, definition]
        status = hub.push(definition_of(hub), report, member, who="north")
        assert hub.verdicts(status) == ["duplicate", "held", "held"]


class TestAnotherLevel:
    """The partner sends the definition again, marked less or more strictly."""

    @pytest.mark.parametrize("first", [None, GREEN])
    def test_one_that_is_less_strict_now_keeps_its_text_for_what_carries_it(
        self, hub: HubInProcess, first: Any
    ) -> None:
        more = {"object_marking_refs": [first]} if first else {}
        hub.push(statement(TEXT, **more), carrying())
        hub.push(statement(TEXT, object_marking_refs=[CLEAR]))
        assert list(texts_carried(hub).values()) == [TEXT]

    @pytest.mark.parametrize("levels", [(GREEN, CLEAR, AMBER), (AMBER, GREEN, CLEAR, AMBER)])
    def test_one_that_is_stricter_now_ends_at_every_level_that_it_had(
        self, hub: HubInProcess, levels: Any
    ) -> None:
        for level in levels:
            status = hub.push(statement(TEXT, object_marking_refs=[level]), carrying())
        assert hub.verdicts(status)[0] == "admitted"
        assert self.texts(hub) == {REVOKED_TEXT}

    def test_one_that_was_stricter_for_what_carries_it_ends_where_it_was_less_strict(
        self, hub: HubInProcess
    ) -> None:
        hub.push(statement(TEXT, object_marking_refs=[GREEN]), carrying())
        hub.push(statement(TEXT), carrying(AMBER, "two.top"))
        assert self.texts(hub) == {TEXT}
        hub.push(statement(TEXT, object_marking_refs=[AMBER]))
        assert self.texts(hub) == {REVOKED_TEXT}

    def test_one_that_is_sent_as_it_was_is_a_duplicate(self, hub: HubInProcess) -> None:
        for level, verdict in ((AMBER, "admitted"), (AMBER, "duplicate"), (GREEN, "admitted")):
            sent = statement(TEXT, object_marking_refs=[level])
            assert hub.verdicts(hub.push(sent)) == [verdict]

    def texts(self, hub: HubInProcess) -> set[str]:
        """The statements in the feed green, the hub's own left out."""
        found = hub.ask("collections/green/objects/", "north", query_string={"limit": 1000}).json
        every = (o.get("definition", {}).get("statement") for o in found["objects"])
        return {each for each in every if each}
