"""All contributions to one public object fit into one document of the database."""

from __future__ import annotations

import uuid

import pytest
from support.clock import LATER, ManualClock
from support.hub import HubInProcess, Object, indicator

from tocsin.admission.model import Contribution
from tocsin.server.model import Partner
from tocsin.server.publishing import public_objects

pytestmark = pytest.mark.slow

PARTNERS = tuple(f"member-{n}" for n in range(6))


@pytest.fixture
def many(hub: HubInProcess) -> HubInProcess:
    for slug in PARTNERS:
        hub.join(Partner(slug, slug.title()))
    return hub


def large(number: int, octets: int, **more: object) -> Object:
    """An indicator on one value with a description of this length."""
    text = f"Report {number}. " + "Lorem ipsum dolor sit amet. " * (octets // 28)
    return indicator("evil.top", description=text[:octets], **more)


def the_indicator(hub: HubInProcess) -> Object:
    (found,) = (each for each in hub.feed("green") if each["type"] == "indicator")
    return found


def kept(hub: HubInProcess) -> tuple[Contribution, ...]:
    """The contributions to it, as they are stored."""
    stored = hub.store.read(lambda known: known.public_objects([the_indicator(hub)["id"]]))
    (public,) = stored.values()
    return public.contributions


def partners(hub: HubInProcess) -> set[str]:
    return {each.partner for each in kept(hub)}


@pytest.mark.long
def test_six_partners_with_three_ids_and_the_longest_texts_are_kept(many: HubInProcess) -> None:
    for n, slug in enumerate(PARTNERS):
        status = many.push(*(large(3 * n + i, 975_000) for i in range(3)), who=slug)
        assert set(many.verdicts(status)) <= {"admitted", "merged", "duplicate"}
    assert partners(many) == set(PARTNERS)
    assert len(the_indicator(many)["description"]) > 970_000
    assert many.verdicts(many.push(large(99, 975_000), who="acme")) == ["merged"]


class TestWhatIsLeftOut:
    @pytest.fixture(autouse=True)
    def room(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(public_objects, "MOST_OCTETS_OF_ALL", 10_000)

    def test_the_leading_text_stays_and_everybody_counts(self, many: HubInProcess) -> None:
        for n, slug in enumerate(PARTNERS):
            many.push(large(n, 6_000), who=slug)
        assert the_indicator(many)["description"].startswith("Report 0.")
        assert partners(many) == set(PARTNERS)

    def test_the_weakest_is_shortened_first(
        self, many: HubInProcess, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(public_objects, "MOST_OCTETS_OF_ALL", 12_000)
        many.join(Partner("weak", "Weak", reliability=10))
        many.push(large(1, 4_000), who="member-0")
        many.push(large(2, 4_000), who="weak")
        many.push(large(3, 4_000), who="member-1")
        assert {each.partner for each in kept(many) if each.removed} == {"weak"}

    def test_a_shortened_report_that_is_sent_again_is_a_duplicate(
        self, many: HubInProcess, clock: ManualClock
    ) -> None:
        reports = {slug: large(n, 6_000) for n, slug in enumerate(PARTNERS)}
        for slug, sent in reports.items():
            many.push(sent, who=slug)
        for slug, sent in reports.items():
            assert many.verdicts(many.push(sent, who=slug)) == ["duplicate"]
        clock.advance(hours=1)
        changed = {**reports["member-5"], "description": "Other. " * 900}
        assert many.verdicts(many.push(changed, who="member-5")) == ["refused"]

    def test_a_shortened_text_is_there_again_when_it_is_sent_again(
        self, many: HubInProcess
    ) -> None:
        first, second = large(0, 6_000), large(1, 6_000)
        many.push(first, who="member-0")
        many.push(second, who="member-1")
        many.push({**first, "revoked": True, "modified": LATER}, who="member-0")
        assert "description" not in the_indicator(many)
        many.push(second, who="member-1")
        assert the_indicator(many)["description"] == second["description"]

    def test_further_ids_are_forgotten_where_shortening_is_not_enough(
        self, many: HubInProcess, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(public_objects, "MOST_OCTETS_OF_ALL", 6_000)
        for n, slug in enumerate(PARTNERS[:4]):
            ids = (f"indicator--{uuid.uuid4()}" for _ in range(5))
            many.push(*(large(n, 1_000, id=id_) for id_ in ids), who=slug)
        assert partners(many) == set(PARTNERS[:4])
        assert len(kept(many)) < 20
