"""MISP events in a hub: resent, sent by another partner in another format, posted directly."""

from typing import Any

import pytest
from support.hub import HubInProcess, findings
from support.misp_events import attribute, event, read, uuid

from tocsin.admission.merge.sources import group_by_origin
from tocsin.admission.model import Contribution, Tlp
from tocsin.server.store import Store


@pytest.fixture
def hub(store: Store) -> HubInProcess:
    return HubInProcess(store)


def objects(content: Any, **how: Any) -> Any:
    return [each.object for each in read(content, **how) if each.is_open]


def twice(number: Any, words: Any, stamp: Any) -> Any:
    """The same value under another attribute, in an event of its own."""
    content = event(attribute(number=number, comment=words, timestamp=stamp))
    content["Event"]["uuid"] = uuid(900 + number)
    return objects(content)


def contribution_of(partner: Any, subject: Any) -> Any:
    """The hub's record of a partner's indicator."""
    return Contribution(partner, subject["id"], "", 1, Tlp.GREEN, "green", subject)


class TestSendingAgain:
    def test_every_object_of_a_resent_event_is_a_duplicate(self, hub: HubInProcess) -> None:
        sightings = [{"type": "0", "date_sighting": "1771000000"}]
        sent = objects(
            event(
                attribute(comment="first", Sighting=sightings),
                attribute(number=2, comment="second"),
                attribute("vulnerability", "CVE-2021-44228", 3),
            )
        )
        hub.push(*sent)
        assert set(hub.verdicts(hub.push(*sent))) == {"duplicate"}

    @pytest.mark.parametrize("stamps", [("1770000000", "1770000000"), ("1770000000", "1760000000")])
    def test_two_events_on_one_value_do_not_overwrite_each_other(
        self, hub: HubInProcess, stamps: Any
    ) -> None:
        one, other = (twice(n, f"event {n}", stamp) for n, stamp in enumerate(stamps, 1))
        hub.push(*one), hub.push(*other)
        settled = hub.feed("green")
        assert set(hub.verdicts(hub.push(*one)) + hub.verdicts(hub.push(*other))) == {"duplicate"}
        assert hub.feed("green") == settled

    def test_the_newest_of_two_events_counts_in_any_order(self, hub: HubInProcess) -> None:
        old, new = twice(1, "old", "1760000000"), twice(2, "new", "1770000000")
        hub.push(*new), hub.push(*old)
        texts = [each["description"] for each in hub.feed("green") if "description" in each]
        assert texts == ["new"]

    def test_two_reports_list_the_same_indicator(self, hub: HubInProcess) -> None:
        hub.push(*twice(1, "old", "1760000000")), hub.push(*twice(2, "new", "1770000000"))
        reports = [each for each in hub.feed("green") if each["type"] == "report"]
        (one,) = {ref for each in reports for ref in each["object_refs"]}
        assert len(reports) == 2 and one in {each["id"] for each in hub.feed("green")}


class TestOtherPartners:
    def test_another_partners_table_gives_the_same_indicator(self, hub: HubInProcess) -> None:
        hub.push(*objects(event(attribute())))
        table = objects(b"value\nevil.com\n", name="a.csv")
        assert hub.verdicts(hub.push(*table, who="north")) == ["merged"]

    def test_an_event_that_another_partner_sent_too_does_not_show_in_the_count(self) -> None:
        """Else a guessed event id would tell who else has the event."""
        theirs = objects(event(attribute()))
        contributions = [
            contribution_of("acme", objects(event(attribute()))[0]),
            contribution_of("north", theirs[0]),
        ]
        assert len(group_by_origin(contributions)) == 2

    def test_distribution_to_this_community_is_not_in_a_wider_feed(self, hub: HubInProcess) -> None:
        hub.push(*objects(event(attribute(), distribution="1"), tlp=Tlp.CLEAR))
        assert hub.feed("clear") == hub.feed("green") == []
        assert {each["type"] for each in hub.feed("amber")} == {"indicator", "report"}

    def test_a_misp_sighting_refers_to_the_published_indicator(self, hub: HubInProcess) -> None:
        sightings = [{"type": "0", "date_sighting": "1771000000"}]
        hub.push(*objects(event(attribute(Sighting=sightings))))
        kinds = [each["type"] for each in hub.feed("green")]
        assert sorted(kinds) == ["indicator", "report", "sighting"]


class TestPostedToTheHub:
    def test_a_posted_misp_event_is_refused_with_the_remedy(self, hub: HubInProcess) -> None:
        (good,) = objects(b"value\nevil.com\n", name="a.csv")
        status = hub.push(event(attribute()), good)
        assert hub.verdicts(status) == ["refused", "admitted"]
        assert "tocsin push" in findings(status)[0]["message"]
