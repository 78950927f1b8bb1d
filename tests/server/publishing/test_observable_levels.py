"""An observable has one id at every level; readers of each level get what leads of all they see."""

from typing import Any

import pytest
from support.clock import ManualClock
from support.hub import AMBER, CLEAR, GREEN, HubInProcess, Object, sdo

from tocsin.server.model import Partner
from tocsin.server.publishing import public_objects

HASHES = {"SHA-256": "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"}
REAL = {"issuer": "CN=Evil C2 CA", "subject": "CN=c2.evil.top"}
DEFACED = {"issuer": "CN=harmless, do not block"}
COMPARED = ("issuer", "subject", "object_marking_refs", "granular_markings")


def certificate(level: str, **more: Any) -> Object:
    return {
        **{"type": "x509-certificate", "spec_version": "2.1", "hashes": HASHES},
        **{"id": "x509-certificate--0ea4f2ad-9b5e-5a0c-8d65-9e4a0b5d6a3c"},
        **{"object_marking_refs": [level], **more},
    }


def read(hub: HubInProcess, feed: str) -> Object:
    """The certificate as the feed has it now; empty if it has none."""
    found = [each for each in hub.feed(feed, "north") if each["type"] == "x509-certificate"]
    return {name: each[name] for each in found[-1:] for name in COMPARED if name in each}


def test_a_less_strict_report_takes_nothing_from_readers_of_a_stricter_level(
    hub: HubInProcess, clock: ManualClock
) -> None:
    hub.push(certificate(GREEN, **REAL), who="north")
    before = read(hub, "green")
    assert before == {**REAL, "object_marking_refs": [GREEN]}
    clock.advance(hours=1)
    hub.push(certificate(CLEAR, **DEFACED), who="acme")
    assert read(hub, "clear") == {**DEFACED, "object_marking_refs": [CLEAR]}
    assert read(hub, "green") == before


def test_one_from_a_partner_that_may_not_read_the_stricter_level_neither(
    hub: HubInProcess, clock: ManualClock
) -> None:
    hub.join(Partner("south", "South Corporation"), reads=("clear", "green"))
    hub.push(certificate(AMBER, **REAL), who="north")
    clock.advance(hours=1)
    hub.push(certificate(GREEN), who="south")
    assert read(hub, "green") == {"object_marking_refs": [GREEN]}
    assert read(hub, "amber") == {**REAL, "object_marking_refs": [AMBER]}


def test_the_first_report_leads_at_a_stricter_level_too(
    hub: HubInProcess, clock: ManualClock
) -> None:
    hub.push(certificate(CLEAR, **REAL), who="north")
    clock.advance(hours=1)
    hub.push(certificate(AMBER, **DEFACED), who="acme")
    for feed in ("clear", "green", "amber"):
        assert read(hub, feed) == {**REAL, "object_marking_refs": [CLEAR]}


def test_the_less_strict_report_is_left_when_the_stricter_one_ends(
    hub: HubInProcess, clock: ManualClock
) -> None:
    hub.push(certificate(AMBER, **REAL), who="north")
    clock.advance(hours=1)
    hub.push(certificate(GREEN, **DEFACED), who="acme")
    assert read(hub, "amber") == {**REAL, "object_marking_refs": [AMBER]}
    clock.advance(hours=1)
    hub.push(certificate(GREEN, **DEFACED), who="north")
    assert read(hub, "amber") == {**DEFACED, "object_marking_refs": [GREEN]}


def test_a_part_that_its_sender_marks_more_strictly_is_marked_at_that_level_alone(
    hub: HubInProcess, clock: ManualClock
) -> None:
    marked = [{"marking_ref": AMBER, "selectors": ["subject"]}]
    hub.push(certificate(GREEN, **REAL, granular_markings=marked), who="north")
    clock.advance(hours=1)
    hub.push(certificate(CLEAR, **DEFACED), who="acme")
    assert read(hub, "clear") == {**DEFACED, "object_marking_refs": [CLEAR]}
    assert read(hub, "green") == {"issuer": REAL["issuer"], "object_marking_refs": [GREEN]}
    whole = {**REAL, "object_marking_refs": [GREEN], "granular_markings": marked}
    assert read(hub, "amber") == whole


def test_reports_of_a_less_strict_level_do_not_empty_what_leads_at_a_stricter_one(
    hub: HubInProcess, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(public_objects, "MOST_OCTETS_OF_ALL", 10_000)
    long = {"issuer": "CN=Evil C2 CA, " * 200}
    hub.join(Partner("good", "Good", reliability=90))
    hub.push(certificate(AMBER, **long), who="good")
    hub.join(Partner("west", "West"))
    for slug in ("acme", "north", "west"):
        clock.advance(hours=1)
        hub.push(certificate(CLEAR, issuer="CN=harmless, " * 300), who=slug)
    assert read(hub, "amber")["issuer"].strip() == long["issuer"].strip()


class TestTranslations:
    def test_of_the_partner_that_leads_at_their_level_stay(
        self, hub: HubInProcess, clock: ManualClock
    ) -> None:
        hub.push(certificate(GREEN, **REAL), who="north")
        assert hub.verdicts(hub.push(translation("fr", GREEN), who="north")) == ["admitted"]
        clock.advance(hours=1)
        hub.push(certificate(CLEAR, **DEFACED), who="acme")
        assert list_languages(hub, "green") == ["fr"]
        assert hub.verdicts(hub.push(translation("de", CLEAR), who="acme")) == ["admitted"]
        assert list_languages(hub, "green") == ["de", "fr"]

    def test_at_a_less_strict_level_than_their_partner_leads_are_refused_and_end(
        self, hub: HubInProcess, clock: ManualClock
    ) -> None:
        hub.push(certificate(CLEAR, **REAL), translation("fr", CLEAR), who="north")
        clock.advance(hours=1)
        hub.push(certificate(CLEAR, **DEFACED), who="acme")
        assert list_languages(hub, "clear") == ["fr"]
        hub.push(certificate(GREEN, **REAL), who="north")  # in place of the less strict report
        assert list_languages(hub, "clear") == []
        assert hub.verdicts(hub.push(translation("es", CLEAR), who="north")) == ["refused"]
        assert hub.verdicts(hub.push(translation("it", GREEN), who="north")) == ["admitted"]


def translation(language: str, level: str) -> Object:
    contents = {language: {"subject": "texte"}}
    return sdo(
        "language-content",
        object_ref=certificate(level)["id"],
        contents=contents,
        object_marking_refs=[level],
    )


def list_languages(hub: HubInProcess, feed: str) -> list[str]:
    found = [each for each in hub.feed(feed, "north") if each["type"] == "language-content"]
    return sorted(name for each in found if not each.get("revoked") for name in each["contents"])
