"""Non-interference: what an account may not see changes no answer to it."""

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any, NamedTuple

import pytest
from hypothesis import HealthCheck, given, settings
from support.examples import examples
from support.granular_markings import granular_markings
from support.hub import AMBER, GREEN, HubInProcess, Object, indicator, relationship, sdo
from support.random_histories import histories, histories_of_waiting
from support.statement_marking import STATEMENT
from support.two_worlds import (
    CHANGES,
    FEED_IS_ADDED,
    JOINS,
    SPACE,
    START,
    VALUES,
    WATCH,
    Act,
    Pair,
    World,
    guessed_ids,
    open_pair,
    say,
)

from tocsin.admission.errors import NotFound
from tocsin.admission.merge import statistics
from tocsin.admission.merge.identity import definition_key, observable_id, public_id
from tocsin.admission.model import Consent, Tlp
from tocsin.admission.timestamps import HOUR, stix_time
from tocsin.server.intake import review
from tocsin.server.intake.evaluate import Evaluator
from tocsin.server.model import Partner
from tocsin.server.partners.partner_data import PartnerData
from tocsin.server.publishing import (
    batch,
    held_by_references,
    public_objects,
    publisher,
    references,
    revocations,
)
from tocsin.server.reports import object_report, search
from tocsin.server.store.feeds.clock import MILLISECOND, HubClock, Windows


@pytest.fixture(scope="module")
def pair(engine_uri: str) -> Iterator[Pair]:
    with open_pair(engine_uri) as pair:
        yield pair


@pytest.mark.slow
@pytest.mark.long
@settings(
    max_examples=examples(4),  # 2,000 with $TOCSIN_TEST_EXAMPLES
    deadline=None,
    suppress_health_check=list(HealthCheck),
)
@given(history=histories())
def test_an_account_is_answered_the_same_whatever_it_may_not_see(
    pair: Pair, history: list[Act]
) -> None:
    assert not pair.differences(history)


@pytest.mark.slow
@pytest.mark.long
@settings(
    max_examples=examples(4),
    deadline=None,
    suppress_health_check=list(HealthCheck),
)
@given(history=histories_of_waiting())
def test_an_account_is_answered_the_same_whatever_it_may_not_see_of_what_waits(
    pair: Pair, history: list[Act]
) -> None:
    assert not pair.differences(history)


def report(value: str = "evil.top", number: Any = 1, mark: Any = AMBER, **more: Any) -> Object:
    """An indicator under a known id of its own, in a first version."""
    return indicator(value, seed=f"report {number}", object_marking_refs=[mark], **more)


def domain(mark: str, number: int = 1, **more: Any) -> Object:
    name = f"domain-name--{number:08}-1111-4111-8111-111111111111"
    common = {"type": "domain-name", "spec_version": "2.1", "object_marking_refs": [mark]}
    return {**common, "id": name, "value": "evil.top", **more}


def revoked(sent: Object) -> Object:
    return {**sent, "modified": "2026-02-01T00:00:00.000Z", "revoked": True}


def until(hours: float) -> str:
    return stix_time(START + round(hours * HOUR))


def seen(target: str, mark: str, number: int = 1) -> Object:
    id_ = f"sighting--{number:08}-1111-4111-8111-111111111111"
    return sdo("sighting", id=id_, sighting_of_ref=target, object_marking_refs=[mark])


def translation(target: str, mark: str, number: int) -> Object:
    id_ = f"language-content--{number:08}-1111-4111-8111-111111111111"
    more: Object = {"contents": {"de": {"name": "Seite"}}, "object_marking_refs": [mark]}
    return sdo("language-content", id=id_, object_ref=target, **more)


def grouping(*members: str) -> Object:
    more: Object = {
        "context": "unspecified",
        "object_refs": list(members),
        "object_marking_refs": [AMBER],
    }
    return sdo("grouping", id="grouping--11111111-1111-4111-8111-111111111111", **more)


def marked(value: str, number: int, *marks: str) -> Object:
    return {**report(value, number), "object_marking_refs": list(marks)}


DEFINITION: Object = {**STATEMENT, "object_marking_refs": [AMBER]}
STATEMENT_ID = public_id(
    "marking-definition", definition_key([(Tlp.AMBER, DEFINITION)], "amber", "north"), SPACE
)
"""The public id of the definition at AMBER."""
OWN_ID = report()["id"]
GREEN_ID, AMBER_ID = guessed_ids()[0], guessed_ids()[2]
"""Public ids of an indicator on the first value."""
DOMAIN_ID = observable_id({"type": "domain-name", "value": "evil.top"})
TWO_DOMAIN_ID = observable_id({"type": "domain-name", "value": "two.top"})
LATER: Object = {"modified": "2026-02-01T00:00:00.000Z"}
LATEST: Object = {"modified": "2026-03-01T00:00:00.000Z"}
MALWARE = sdo("malware", name="m", is_family=True, object_marking_refs=[AMBER])


def link(source: str, number: int = 1, **more: Any) -> Object:
    id_ = f"relationship--{number:08}-1111-4111-8111-111111111111"
    ends = {"id": id_, "object_marking_refs": [AMBER], **more}
    return relationship({"id": source}, "indicates", MALWARE, **ends)


def statement(number: int, **more: Any) -> Object:
    id_ = f"marking-definition--{number:08}-1111-4111-8111-111111111111"
    return {**DEFINITION, "id": id_, **more}


def end_definitions(world: World) -> None:
    """Withdraw the observer's marking definitions, as an operator does for it."""
    services = world.hub.services
    data = PartnerData(services.store, services.publisher, services.intake, services.lifecycle)
    names = [statement(number)["id"] for number in (1, 2)]
    with contextlib.suppress(NotFound):
        data.withdraw(WATCH, names, "operator", "why")


def in_part(text: str, value: str, number: int, day: int, **more: Any) -> Object:
    """A version at GREEN, of a day of February, with a description at AMBER."""
    marking = granular_markings(AMBER, "description")
    more = {"modified": february(day), "description": text, "granular_markings": marking, **more}
    return report(value, number, GREEN, **more)


def february(day: int) -> str:
    return f"2026-02-{day:02}T00:00:00.000Z"


def seen_in_part(text: str, number: int, hours: float, **more: Any) -> Object:
    """A sighting at GREEN, that many hours after the begin, with a description at AMBER."""
    marking = granular_markings(AMBER, "description")
    more = {"modified": until(hours), "description": text, "granular_markings": marking, **more}
    return {**seen(GREEN_ID, GREEN, number), **more}


def in_members(name: str, *members: str) -> Object:
    """A grouping at GREEN, of which the last member is a part at AMBER."""
    marking = granular_markings(AMBER, f"object_refs.[{len(members) - 1}]")
    return {**grouping(*members), **IN_GREEN, "name": name, "granular_markings": marking}


def members(*ids: str) -> Object:
    """A grouping at GREEN."""
    return {**grouping(*ids), **IN_GREEN}


def reverse(sent: Object) -> Object:
    """The same with its properties in another order."""
    return dict(reversed(sent.items()))


def opinion(*ids: str) -> Object:
    """An opinion at GREEN on these objects."""
    id_ = "opinion--11111111-1111-4111-8111-111111111111"
    more: Object = {"opinion": "agree", "object_refs": list(ids), "object_marking_refs": [GREEN]}
    return sdo("opinion", id=id_, **more)


def wait(hours: int) -> Act:
    return Act(lambda world: None, f"{hours} hours pass", hours=hours)


def end_consent(world: World) -> None:
    accounts = world.hub.store.accounts
    partner = accounts.find_partner("open")
    assert partner is not None
    accounts.update_partner(replace(partner, consent=Consent.NONE))


CONSENT_ENDS = Act(end_consent, "a partner shall not be named any more")
IDENTITY = sdo(
    "identity",
    id="identity--11111111-1111-4111-8111-111111111111",
    name="Open Limited",
    identity_class="organization",
)


def named(sent: Object) -> Object:
    return {**sent, "created_by_ref": IDENTITY["id"]}


END_DEFINITIONS = Act(end_definitions, "the observer's definitions are withdrawn")
FIRST_MARKING = {"object_marking_refs": [AMBER, statement(1)["id"]]}
SECOND_MARKING = {"object_marking_refs": [AMBER, statement(2)["id"]]}
TWO_ID = report(number=2)["id"]
GREEN_AND_OWN = report(number=3)["id"], OWN_ID
IN_GREEN: Object = {"object_marking_refs": [GREEN]}
TERM = "seen at vpn.quiet.example"
ATTACKS: dict[str, list[Act]] = {
    "revoke and send again at a level that it cannot read": [
        say("north", report(number=9)),
        say(WATCH, report()),
        say(WATCH, revoked(report())),
        say(WATCH, report(number=2)),
    ],
    "send what others have revoked": [
        say("north", report(number=9)),
        say("north", revoked(report(number=9))),
        say(WATCH, report()),
        say(WATCH, report(number=2, description="more")),
        say(WATCH, seen(OWN_ID, AMBER)),
    ],
    "take an observable back and send it again": [
        say("north", domain(AMBER, 9)),
        say(WATCH, domain(GREEN)),
        say(WATCH, domain(GREEN, 2, defanged=True)),
        say(WATCH, domain(GREEN, value="else.top"), domain(GREEN, 2, value="else.top")),
        say(WATCH, domain(GREEN, 3)),
        say(WATCH, domain(GREEN, 3, defanged=True)),
    ],
    "see that another partner reported an observable before at a stricter level": [
        say("acme", domain(AMBER, 9, defanged=True)),
        say(WATCH, domain(GREEN)),
        say("acme", domain(GREEN, 3, defanged=True)),
    ],
    "see that what a grouping lists was stricter before": [
        say("north", domain(AMBER, 9)),
        say("open", {**grouping(DOMAIN_ID), "object_marking_refs": [GREEN]}),
        say("open", domain(GREEN, 2)),
    ],
    "see that what a relationship leads from was stricter before": [
        say("north", domain(AMBER, 9)),
        say("open", domain(AMBER, 2)),
        say(
            "open",
            malware := sdo("malware", name="m", is_family=True, object_marking_refs=[GREEN]),
            relationship({"id": DOMAIN_ID}, "related-to", malware, object_marking_refs=[GREEN]),
            relationship(domain(AMBER, 2), "related-to", malware, object_marking_refs=[GREEN]),
        ),
        say("open", domain(GREEN, 2)),
    ],
    "let two versions wait, one of them for what others may report": [
        say(WATCH, seen(AMBER_ID, GREEN)),
        say(
            WATCH,
            {**seen("indicator--" + "1" * 8 + "-1111-4111-8111-111111111111", GREEN), **LATER},
        ),
        say("north", report(VALUES[0])),
    ],
    "count what strict objects are published with one's own": [
        say("north", report(number=8), grouping(report(number=8)["id"], GREEN_ID)),
        say(WATCH, report(VALUES[0], mark=GREEN)),
        FEED_IS_ADDED,
        say(WATCH, report("two.top", 2, GREEN), report("three.top", 3, AMBER)),
    ],
    "count what strict objects waited for one's own": [
        say("north", seen(GREEN_ID, AMBER)),
        say("acme", seen(GREEN_ID, GREEN)),
        say(WATCH, report(VALUES[0], mark=GREEN)),
    ],
    "post the names of members": [
        JOINS,
        say(
            WATCH,
            report("vpn.quiet.example", 1, GREEN),
            report("evil.top", 2, GREEN, description=TERM),
        ),
    ],
    "guess ids of others": [
        say("north", report(VALUES[0], 9)),
        say(WATCH, seen(report(number=9)["id"], GREEN)),
        say(WATCH, seen(AMBER_ID, GREEN, 2), grouping(AMBER_ID)),
        say(WATCH, report(number=9, mark=GREEN), {**report("two.top", mark=GREEN), "id": AMBER_ID}),
    ],
    "wait for what others extend": [
        say("north", report(number=9, valid_until=until(90))),
        say(WATCH, report(valid_until=until(2))),
        say(WATCH, report(valid_until=until(2)), hours=4),
        say(WATCH, report(number=2, valid_until=until(40)), seen(OWN_ID, AMBER)),
        say(WATCH, revoked(report())),
    ],
    "outlive what others end": [
        say("north", report(number=9, valid_until=until(2))),
        say(WATCH, report()),
        say(WATCH, report(), seen(OWN_ID, AMBER), hours=4),
        say(WATCH, revoked(report())),
    ],
    "see that something strict is about one's own": [
        say(WATCH, report(VALUES[0], mark=GREEN, confidence=60)),
        say("acme", report(VALUES[0], 4, GREEN, confidence=50)),
        say("north", seen(GREEN_ID, AMBER), report(VALUES[0], 9), hours=1),
        CHANGES,
        say(WATCH, report(VALUES[0], 2, GREEN, confidence=70)),
    ],
    "mark with the definitions of others": [
        say(WATCH, marked("one.top", 1, GREEN, STATEMENT_ID)),
        say("north", DEFINITION, marked("two.top", 9, AMBER, DEFINITION["id"])),
        say(
            WATCH,
            marked("three.top", 3, GREEN, STATEMENT_ID),
            marked("four.top", 4, AMBER, STATEMENT_ID),
            marked("five.top", 5, AMBER, DEFINITION["id"]),
        ),
        say(WATCH, {**DEFINITION, "id": STATEMENT_ID, "object_marking_refs": [GREEN]}),
    ],
    "translate what others may lead": [
        say(
            "north",
            report(number=9, name="of others"),
            translation(report(number=9)["id"], AMBER, 9),
        ),
        say(WATCH, report(), translation(OWN_ID, AMBER, 1)),
        say(WATCH, report(VALUES[0], 2, GREEN), translation(report(number=2)["id"], GREEN, 2)),
        say("north", report(VALUES[0], 8, AMBER), translation(GREEN_ID, AMBER, 8), hours=1),
        say(WATCH, translation(GREEN_ID, GREEN, 3), translation(AMBER_ID, AMBER, 4)),
        say(WATCH, revoked(translation(OWN_ID, AMBER, 1)), revoked(report())),
    ],
    "refer to what was revoked and sent again": [
        say("north", report(number=9)),
        say(WATCH, report(), MALWARE, grouping(OWN_ID), link(OWN_ID)),
        say(WATCH, revoked(report())),
        say(WATCH, report(number=2), grouping(TWO_ID), link(TWO_ID, 2)),
        say(WATCH, grouping(TWO_ID), link(TWO_ID, 2), link(TWO_ID)),
        say(WATCH, link(TWO_ID, 3, description="else"), link(TWO_ID, 2, description="else")),
        say(WATCH, {**grouping(TWO_ID), **LATER}, {**link(TWO_ID, 2), **LATER}),
        say(WATCH, {**grouping(TWO_ID, OWN_ID), **LATEST}, grouping(TWO_ID)),
    ],
    "list what was revoked and sent again beside what all read": [
        say("north", report(number=9)),
        say(WATCH, report("two.top", 3, GREEN), report(), {**grouping(*GREEN_AND_OWN), **IN_GREEN}),
        say(WATCH, revoked(report())),
        say(WATCH, report(number=2), {**grouping(GREEN_AND_OWN[0], TWO_ID), **IN_GREEN, **LATER}),
        say(WATCH, {**grouping(GREEN_AND_OWN[0], TWO_ID), **IN_GREEN, **LATER}),
    ],
    "refer to what has expired under one of two ids": [
        say("north", report(number=9)),
        say(WATCH, report(valid_until=until(1)), MALWARE),
        say(WATCH, report(number=2), hours=3),
        say(WATCH, grouping(OWN_ID), link(OWN_ID)),
    ],
    "let a version wait for what has expired": [
        say("north", report(number=9)),
        say(WATCH, report(valid_until=until(2)), MALWARE, grouping(OWN_ID), link(OWN_ID)),
        say(WATCH, {**grouping(OWN_ID), **LATER}, link(OWN_ID, **LATER), hours=4),
        say(
            WATCH,
            report(valid_until=until(40), **LATER),
            {**grouping(OWN_ID), **LATEST},
            link(OWN_ID, **LATEST),
        ),
        say(WATCH, link(OWN_ID, **LATER, description="else")),
    ],
    "mark with what was withdrawn and sent again": [
        say("north", statement(9), marked("nine.top", 9, AMBER, statement(9)["id"])),
        say(WATCH, statement(1), marked("one.top", 1, AMBER, statement(1)["id"])),
        END_DEFINITIONS,
        say(WATCH, statement(2), marked("one.top", 1, AMBER, statement(2)["id"])),
        say(WATCH, {**marked("one.top", 1, AMBER, statement(2)["id"]), **LATER}),
        say(WATCH, {**marked("one.top", 1, AMBER, statement(1)["id"]), **LATEST}),
        say(WATCH, marked("one.top", 1, AMBER, statement(1)["id"])),
        say(WATCH, marked("two.top", 2, AMBER, statement(2)["id"])),
        say(WATCH, marked("two.top", 3, AMBER, statement(2)["id"])),
    ],
    "mark observables with what was withdrawn": [
        say("north", statement(9), marked("nine.top", 9, AMBER, statement(9)["id"])),
        say(WATCH, statement(1), {**domain(AMBER), **FIRST_MARKING}),
        END_DEFINITIONS,
        say(WATCH, statement(2), {**domain(AMBER), **SECOND_MARKING}),
        say(WATCH, {**domain(AMBER), **FIRST_MARKING}),
    ],
    "see by an indicator that a part of it has changed": [
        say("acme", in_part("a", "one.top", 1, 1), in_part("a", "two.top", 2, 1, confidence=80)),
        say("acme", in_part("b", "one.top", 1, 2, valid_from=february(2))),
        say("acme", in_part("b", "two.top", 2, 2, confidence=80), hours=10),
        say("acme", in_part("a", "three.top", 3, 1), report("three.top", 4, GREEN, name="four")),
        say("acme", report("three.top", 4, GREEN, name="four", modified=february(3))),
        say("acme", in_part("b", "three.top", 3, 4)),
        wait(22 * 24 + 8),  # the confidence falls by the last report
        wait(5),
        wait(10),
    ],
    "see by its figures that a part of an indicator has changed": [
        say("acme", in_part("a", VALUES[0], 1, 1)),
        say(WATCH, report(VALUES[0], mark=GREEN)),
        say("acme", in_part("b", VALUES[0], 1, 2), seen(GREEN_ID, GREEN)),
    ],
    "see by its figures that a part of a sighting has changed": [
        say(WATCH, report(VALUES[0], mark=GREEN)),
        say("acme", seen_in_part("a", 1, 0.1)),
        say("acme", seen_in_part("a", 2, 0.2, count=0)),
        say("acme", seen_in_part("b", 1, 0.3), hours=2),
        say(WATCH, report(VALUES[0], 2, GREEN), hours=2),
    ],
    "see by its translation that a part of an indicator has changed": [
        say(
            "acme",
            in_part("a", VALUES[0], 1, 1, name="page"),
            {**translation(OWN_ID, GREEN, 1), "object_modified": february(1)},
        ),
        say("acme", in_part("b", VALUES[0], 1, 2, name="page")),
        say(
            "acme",
            {
                **translation(OWN_ID, GREEN, 1),
                **{"contents": {"de": {"name": "Neu"}}, "object_modified": february(1), **LATEST},
            },
        ),
    ],
    "see by the order of what waited that one has a stricter part": [
        say(WATCH, seen(GREEN_ID, AMBER)),
        say("acme", seen_in_part("a", 2, 0)),
        say("acme", report(VALUES[0], mark=GREEN)),
    ],
    "see by the date of what waited that an older version has a stricter part": [
        say(
            "acme",
            {
                **opinion(GREEN_ID, report(number=8)["id"]),
                "granular_markings": granular_markings(AMBER, "object_refs.[1]"),
            },
        ),
        say("acme", {**opinion(GREEN_ID), **LATER}),
        say(WATCH, report(VALUES[0], mark=GREEN)),
    ],
    "see that what a part refers to stands for something else": [
        say("open", domain(GREEN)),
        say("acme", report(number=8)),
        say("acme", in_members("one", report(number=7)["id"], DOMAIN_ID, report(number=8)["id"])),
        say("open", domain(GREEN, value="else.top")),
        say("acme", report("else.top", 8, **LATER)),
    ],
    "see by what has gone that a stricter object came": [
        say("open", domain(GREEN), domain(GREEN, 2, value="two.top")),
        say("acme", members(TWO_DOMAIN_ID, DOMAIN_ID, report(number=8)["id"])),
        say("open", domain(GREEN, value="else.top")),
        say("acme", report("else.top", 8)),
    ],
    "see by what has gone that somebody reported a stricter object": [
        say("open", domain(GREEN), domain(GREEN, 2, value="two.top")),
        say("acme", members(TWO_DOMAIN_ID, DOMAIN_ID, AMBER_ID)),
        say("open", domain(GREEN, value="else.top")),
        say("north", report(VALUES[0], 9)),
    ],
    "see by the time of its figures that a part of an indicator has changed": [
        say("acme", in_part("a", VALUES[0], 1, 1)),
        say("open", report(VALUES[0], 2, GREEN)),
        say("acme", in_part("b", VALUES[0], 1, 2), hours=1),
    ],
    "see by a name that is gone that a part of a grouping is complete": [
        say("open", IDENTITY, domain(GREEN), named(in_members("one", DOMAIN_ID, OWN_ID))),
        CONSENT_ENDS,
        say("open", report()),
        say("open", named(in_members("one", DOMAIN_ID, OWN_ID))),
    ],
    "see by a name that is gone that a part is complete with the next report": [
        say("open", IDENTITY, domain(GREEN), named(in_members("one", DOMAIN_ID, OWN_ID))),
        CONSENT_ENDS,
        say("open", report(), named(in_members("one", DOMAIN_ID, OWN_ID))),
    ],
    "see by the order of properties that a part was sent again": [
        say("acme", domain(GREEN), in_members("one", DOMAIN_ID, TWO_ID, OWN_ID)),
        say("acme", reverse(in_members("one", DOMAIN_ID, TWO_ID, report(number=8)["id"]))),
        say("acme", report("two.top", 2, GREEN)),
    ],
    "send another version of what others have": [
        say("north", report(number=9, description="of others")),
        say(WATCH, report(description="one")),
        say(WATCH, report(number=2, description="of others")),
        say(WATCH, report(number=3, description="three")),
    ],
}


@pytest.mark.slow
@pytest.mark.parametrize("name", ATTACKS)
def test_no_attack_shows_what_is_hidden(pair: Pair, name: str) -> None:
    assert not pair.differences(ATTACKS[name])


def green_grouping(version: int, member: str) -> Object:
    times = {"created": "2026-01-01T00:00:00Z", "modified": f"2026-01-0{version}T00:00:00Z"}
    return {**grouping(member), **times, "object_marking_refs": [GREEN]}


OLDER = green_grouping(2, guessed_ids()[5])
"""About an indicator on the second value, which somebody reports at GREEN."""
NEWER = green_grouping(3, AMBER_ID)
SECRET = say("north", report("one-portal.top", 9))
MEMBER = say("acme", report("two-portal.top", 3, GREEN))
ORDERS: dict[str, list[Act]] = {
    "the newer version first": [say("open", NEWER), say("open", OLDER), SECRET, MEMBER],
    "the older version first": [say("open", OLDER), say("open", NEWER), SECRET, MEMBER],
    "all strict objects are there": [SECRET, say("open", NEWER), say("open", OLDER), MEMBER],
    "the older version waits": [SECRET, say("open", OLDER), say("open", NEWER), MEMBER],
    "the older version is published": [MEMBER, say("open", OLDER), SECRET, say("open", NEWER)],
    "the strict object is last": [MEMBER, say("open", OLDER), say("open", NEWER), SECRET],
    "what both need is there": [MEMBER, SECRET, say("open", NEWER), say("open", OLDER)],
    "in one submission": [SECRET, MEMBER, say("open", NEWER, OLDER)],
    "in one submission, the older version first": [SECRET, MEMBER, say("open", OLDER, NEWER)],
    "in one submission that waits": [say("open", OLDER, NEWER), SECRET, MEMBER],
}


@pytest.mark.slow
@pytest.mark.parametrize("order", ORDERS)
def test_two_versions_of_a_grouping_do_not_show_that_a_strict_member_exists(
    pair: Pair, order: str
) -> None:
    assert not pair.differences(ORDERS[order])


def test_the_terms_of_a_partner_that_asks_are_masked_in_the_reports_of_others(
    hub: HubInProcess,
) -> None:
    seen_there = {"name": "seen at vpn.quiet.example"}
    hub.join(Partner("quiet", "Quiet Limited", terms=("quiet.example",)))
    hub.push(report(mark=GREEN, **seen_there))
    assert hub.feed("green")[0]["name"] == seen_there["name"]
    partner = Partner("quiet", "Quiet Limited", terms=("quiet.example",), mask_everywhere=True)
    hub.store.accounts.update_partner(partner)
    hub.push(report("two.top", 2, GREEN, **seen_there), report("x.quiet.example", 3, GREEN))
    names = [each["name"] for each in hub.feed("green") if "two.top" in each["pattern"]]
    assert names == ["seen at [removed: victim's name, domain or network]"]
    assert len(hub.feed("green")) == 2  # an indicator about a term waits for a reviewer


def test_the_objects_of_a_submission_are_not_published_in_its_order(hub: HubInProcess) -> None:
    sent = [report(f"host{n}.evil.top", n, GREEN) for n in range(12)]
    hub.push(*sent)
    patterns = [each["pattern"] for each in hub.feed("green")]
    assert sorted(patterns) == sorted(each["pattern"] for each in sent)
    assert patterns != [each["pattern"] for each in sent]


def test_fractions_of_seconds_in_the_validity_of_anonymous_reports_are_rounded(
    hub: HubInProcess,
) -> None:
    times = {"valid_from": "2026-01-01T00:00:00.123456Z", "valid_until": "2099-01-01T00:00:00.5Z"}
    hub.join(Partner("open", "Open Limited", consent=Consent.EVERYONE))
    hub.push(report(mark=GREEN, **times))
    [public] = hub.feed("green")
    assert public["valid_from"] == "2026-01-01T00:00:00.000Z"
    assert public["valid_until"] == "2099-01-01T00:00:01.000Z"
    assert hub.verdicts(hub.push(report(mark=GREEN, **times))) == ["duplicate"]
    hub.push(report("named.top", 2, GREEN, **times), who="open")
    [named] = [each for each in hub.feed("green") if "named" in each["pattern"]]
    assert "123" in named["valid_from"]


def always(answer: Any) -> Callable[..., Any]:
    return lambda *_, **__: answer


def count_all_feeds(whole: Callable[..., Windows]) -> Callable[..., Windows]:
    """Stamps as with one counter for all feeds: what is hidden moves them."""

    def open_windows(clock: HubClock, numbers: Any, after: int = 0) -> Windows:
        windows = whole(clock, numbers, after)
        return replace(windows, base=windows.base + len(numbers) * MILLISECOND)

    return open_windows


def see_everything(whole: Callable[..., Any]) -> Callable[..., Any]:
    """The state of a public object with contributions that the submitter may not see."""

    def public_state(task: Any, *rest: Any) -> Any:
        return whole(replace(task, batch=replace(task.batch, sees=Tlp.RED)), *rest)

    return public_state


def mask_all_terms(whole: Callable[..., Any]) -> Callable[..., Any]:
    def submitter(self: Evaluator, partner: Any, partners: Any, candidates: Any) -> Any:
        every = [replace(each, mask_everywhere=True) for each in partners]
        return whole(self, partner, every, candidates)

    return submitter


class Mutation(NamedTuple):
    """A rule to break, and an attack to which the broken rule shows what is hidden."""

    place: object
    attribute: str
    mutate: Callable[[Any], Any]
    """The value that takes the attribute's place."""
    attack: str


MUTATIONS: dict[str, Mutation] = {
    "ids of hidden objects are shown": Mutation(
        publisher,
        "_without_hidden_id",
        always(lambda _, decision: decision),
        "revoke and send again at a level that it cannot read",
    ),
    "one counter stamps all feeds": Mutation(
        HubClock,
        "open",
        count_all_feeds,
        "count what strict objects are published with one's own",
    ),
    "verdicts count hidden reports": Mutation(
        publisher,
        "public_state",
        see_everything,
        "revoke and send again at a level that it cannot read",
    ),
    "an observable gets another id once it was revoked": Mutation(
        revocations,
        "_keeps_its_id",
        always(always(False)),
        "take an observable back and send it again",
    ),
    "a hidden sighting makes a version due": Mutation(
        public_objects,
        "select_visible",
        always(lambda every, _: list(every)),
        "see that something strict is about one's own",
    ),
    "a hidden sighting counts": Mutation(
        statistics,
        "select_visible",
        always(lambda every, _: list(every)),
        "see that something strict is about one's own",
    ),
    "a search looks into every collection": Mutation(
        search,
        "readable_collections",
        always(lambda _, collections: [c for c in collections if c.alias != "inbox"]),
        "revoke and send again at a level that it cannot read",
    ),
    "a report on an object shows who sighted it": Mutation(
        object_report,
        "_assessments",
        always(lambda _, public: public.assessments),
        "see that something strict is about one's own",
    ),
    "a version of which only a stricter part is new counts for everybody": Mutation(
        public_objects,
        "keep_unchanged",
        always(lambda new, _: new),
        "see by its figures that a part of a sighting has changed",
    ),
    "hidden ids can be referenced": Mutation(
        references,
        "is_visible",
        always(always(True)),
        "guess ids of others",
    ),
    "hidden definitions count as known": Mutation(
        references,
        "is_visible",
        always(always(True)),
        "mark with the definitions of others",
    ),
    "the terms of all partners are masked": Mutation(
        Evaluator,
        "_submitter",
        mask_all_terms,
        "post the names of members",
    ),
    "hidden reports keep an expired one alive": Mutation(
        batch,
        "is_valid",
        always(always(True)),
        "wait for what others extend",
    ),
    "hidden reports end another one": Mutation(
        public_objects,
        "is_valid",
        always(always(False)),
        "outlive what others end",
    ),
    "what refers to a stricter observable is raised": Mutation(
        held_by_references,
        "_find_stricter_observables",
        always(always(())),
        "see that what a grouping lists was stricter before",
    ),
    "what waited is published in the order in which it came": Mutation(
        review,
        "_level",
        always(always(0)),
        "count what strict objects waited for one's own",
    ),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", MUTATIONS)
def test_a_hub_that_breaks_one_rule_shows_what_is_hidden(
    pair: Pair, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    place, attribute, mutate, attack = MUTATIONS[name]
    monkeypatch.setattr(place, attribute, mutate(getattr(place, attribute)))
    assert pair.differ(ATTACKS[attack])
