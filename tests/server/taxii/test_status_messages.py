"""The `message` of an object in a status says truly what became of it."""

from __future__ import annotations

from typing import Any

import pytest
from support.hub import AMBER, GREEN, HubInProcess, details, indicator, relationship, sdo
from support.several_ids import revoke

from tocsin.admission.model import Verdict
from tocsin.server.model import Record
from tocsin.server.publishing.verdicts import STAYS, TABLE, Ruling, SpecialCase
from tocsin.server.taxii import resources

OLD, NEW = "2026-01-01T00:00:00.000Z", "2026-01-02T00:00:00.000Z"
SUCCESSES = {
    Verdict.ADMITTED: "published",
    Verdict.MERGED: "published, merged with an object that is published already",
    Verdict.DUPLICATE: "published already; nothing changed",
}


def found(
    action: str, message: str, path: str = "", rule: str = "r", stage: str = "sanitise"
) -> dict[str, str]:
    return {"stage": stage, "rule": rule, "path": path, "action": action, "message": message}


def message(verdict: str, *findings: dict[str, str]) -> str:
    return resources._message(Record(0, verdict, findings=findings))


def expected(ruling: Ruling) -> str:
    """The message of an object about which nothing was found but the ruling's own finding."""
    said = ""
    if ruling.finding is not None:
        said = f"{ruling.finding.path}: " * bool(ruling.finding.path) + ruling.finding.message
    if ruling.verdict in SUCCESSES:
        return said or SUCCESSES[ruling.verdict]
    if ruling.verdict is Verdict.REFUSED:
        return f"refused: {said}"
    waits = ruling.finding is not None and ruling.finding.rule == "references"
    return f"{'not published yet' if waits else 'waits for a reviewer'}: {said}"


@pytest.mark.parametrize(
    "ruling", [*(row.ruling for row in TABLE), *(case.ruling for case in SpecialCase)]
)
def test_the_finding_of_the_verdict_leads_the_message(ruling: Ruling) -> None:
    own = () if ruling.finding is None else (ruling.finding.as_json(),)
    routine = found("replaced", "rounded to whole seconds", "valid_from")
    assert message(ruling.verdict, routine, *own) == expected(ruling)


def said(hub: HubInProcess, *objects: Any) -> str:
    """The message about the last of the objects, which are sent together."""
    return str(details(hub.push(*objects))[-1]["message"])


def test_a_revocation_of_what_is_held_is_not_said_to_be_published(hub: HubInProcess) -> None:
    ends = sdo("malware", name="m", is_family=True), sdo("tool", name="t")
    link = relationship(ends[0], "uses", ends[1], modified=OLD)
    hub.push(link)
    assert said(hub, revoke(link)) == "what waited under this id will not be published"
    assert said(hub, revoke(link)) == "nothing of yours is published under this id"


def test_a_revocation_of_an_unknown_id_is_not_said_to_be_published(hub: HubInProcess) -> None:
    assert said(hub, revoke(indicator())) == "nothing of yours is published under this id"


def test_an_older_version_of_a_held_object_is_not_said_to_be_published(hub: HubInProcess) -> None:
    ends = sdo("malware", name="m", is_family=True), sdo("tool", name="t")
    link = relationship(ends[0], "uses", ends[1], created=OLD, modified=NEW)
    assert said(hub, link) == (
        f"not published yet: waits for objects that it references: {ends[0]['id']}, {ends[1]['id']}"
    )
    assert said(hub, link | {"modified": OLD}) == (
        "a newer version of this object is held already: it waits for its references"
    )


def test_a_stricter_version_is_said_to_take_the_place_of_the_one_before(hub: HubInProcess) -> None:
    report = indicator(created=OLD, modified=OLD, valid_from="2026-01-01T00:00:00.500Z")
    assert said(hub, report) == "published"
    stricter = report | {"modified": NEW, "object_marking_refs": [AMBER]}
    assert said(hub, stricter).startswith(
        "published: replaces your earlier report at TLP:GREEN by one at TLP:AMBER"
    )


def test_a_stricter_version_that_adds_nothing_is_not_said_to_change_nothing(
    hub: HubInProcess,
) -> None:
    report = indicator(created=OLD, modified=OLD, object_marking_refs=[GREEN])
    other = indicator(created=OLD, modified=NEW, object_marking_refs=[AMBER])
    hub.push(report, other)
    entry = details(hub.push(report | {"modified": NEW, "object_marking_refs": [AMBER]}))[-1]
    assert entry["x_tocsin_verdict"] == "duplicate"
    assert entry["message"].startswith("published already: ")
    assert "replaces your earlier report at TLP:GREEN" in entry["message"]
    assert "nothing changed" not in entry["message"]


def test_an_older_version_at_another_level_is_not_said_to_be_about_something_else(
    hub: HubInProcess,
) -> None:
    report = indicator(created=OLD, modified=NEW, object_marking_refs=[AMBER])
    hub.push(report)
    assert said(hub, report | {"modified": OLD, "object_marking_refs": [GREEN]}) == (
        "a newer version of it is here already, about something else or at another level"
    )


@pytest.mark.parametrize("missing", [1, 2])
def test_references_to_what_may_still_arrive_are_not_said_to_be_hidden(
    hub: HubInProcess, missing: int
) -> None:
    """The same is said of what has not arrived and of what its readers may not see."""
    names = [sdo("malware", name=f"m{n}", is_family=True) for n in range(missing + 1)]
    stricter = names[1] | {"object_marking_refs": [AMBER]}
    refs = [each["id"] for each in names]
    report = sdo("report", name="r", published=OLD, object_refs=refs)
    alone = said(hub, names[0], report)
    beside = said(hub, names[0], stricter, report | {"id": sdo("report")["id"], "name": "s"})
    one, many = "1 of its references leads to an object that is", "2 of its references lead to"
    head = one if missing == 1 else f"{many} objects that are"
    assert alone == beside == f"published: object_refs: {head} not here yet, or not for its readers"


def test_the_hub_itself_in_place_of_an_author_is_said(hub: HubInProcess) -> None:
    author = sdo("identity", name="Acme Corporation", identity_class="organization")
    sent = indicator(created_by_ref=author["id"])
    first, second = details(hub.push(author, sent))
    assert first["message"] == "replaced by the hub's own identity: the submitter is not named"
    assert second["message"] == "published"


def test_what_a_reviewer_must_see_is_said_once() -> None:
    held = found("held", "held for review: contains a value", "pattern")
    assert message("held", held) == "waits for a reviewer: pattern: contains a value"


def test_an_object_that_waits_for_a_reviewer_too_says_so() -> None:
    reasons = found("held", "a term"), found("held", "waits for objects: x", rule="references")
    assert message("held", *reasons) == "waits for a reviewer: a term; waits for objects: x"


@pytest.mark.parametrize(("verdict", "head"), [("held", "waits for a reviewer"), ("refused",) * 2])
def test_the_version_that_stays_published_is_said_as_long_as_it_does(
    verdict: str, head: str
) -> None:
    stays = found("noted", STAYS, stage="merge", rule="versions")
    assert message(verdict, found(verdict, "why"), stays) == f"{head}: why; {STAYS}"
    assert message("admitted", found("held", "why"), stays) == "published"


def test_places_stand_in_front_of_their_message() -> None:
    short = found("refused", "must have at least 1 item", "object_refs")
    late = found("refused", "lies in the future", "created")
    again = found("refused", "lies in the future", "modified")
    assert message("refused", short, late, again) == (
        "refused: object_refs: must have at least 1 item; created, modified: lies in the future"
    )


def test_of_many_places_some_are_named() -> None:
    many = [found("stripped", "removed", f"labels[{n}]") for n in range(9)]
    assert message("admitted", *many) == "published: labels[0], labels[1], labels[2], …: removed"


@pytest.mark.parametrize(
    ("stage", "rule", "shown"),
    [
        ("publish", "marking", True),
        ("normalise", "marking", True),
        ("review", "reviewer", True),
        ("validate", "unknown_types", False),
        ("sanitise", "benign", False),
    ],
)
def test_notes_on_where_it_is_published_are_said(stage: str, rule: str, shown: bool) -> None:  # noqa: FBT001
    note = found("noted", "a note", stage=stage, rule=rule)
    assert message("admitted", note) == ("published: a note" if shown else "published")


def test_notes_on_where_it_is_published_precede_the_changes_of_its_content() -> None:
    changes = [found("stripped", f"removed: {n}") for n in range(100)]
    note = found("noted", "replaces your earlier report", stage="merge", rule="marking")
    head = "published: replaces your earlier report; removed: 0; removed: 1; "
    assert message("admitted", *changes, note).startswith(head)
