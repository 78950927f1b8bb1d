"""Marking definitions that come before or after what carries them, or alone."""

import itertools
from typing import Any

import pytest
from support.hub import (
    AMBER,
    GREEN,
    HubInProcess,
    details,
    indicator,
    relationship,
    sdo,
)
from support.statement_marking import STATEMENT
from support.stix_objects import LATER

from tocsin.server.model import Partner

pytestmark = pytest.mark.slow


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
