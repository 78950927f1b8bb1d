"""Events of MISP in a hub: sent again, sent by others in other formats, sent as they are."""

import pytest
from support.hub import HubInProcess, findings
from support.misp_events import (
    attribute,
    event,
    read,
    uuid,
)

from tocsin.admission.merge.sources import group_by_origin
from tocsin.admission.model import Contribution, Tlp
from tocsin.server.store import Store


@pytest.fixture
def hub(store: Store) -> HubInProcess:
    return HubInProcess(store)


def objects(told, **how):
    return [each.object for each in read(told, **how) if each.is_open]


def twice(number, words, stamp):
    """The same value under another attribute, in an event of its own."""
    told = event(attribute(number=number, comment=words, timestamp=stamp))
    told["Event"]["uuid"] = uuid(900 + number)
    return objects(told)


def spoken(partner, subject):
    """What is remembered of a partner's indicator."""
    return Contribution(partner, subject["id"], "", 1, Tlp.GREEN, "green", subject)


class TestSendingAgain:
    def test_all_of_an_event_is_known_the_second_time(self, hub):
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
    def test_two_events_on_one_value_take_no_turns(self, hub, stamps):
        one, other = (twice(n, f"event {n}", stamp) for n, stamp in enumerate(stamps, 1))
        hub.push(*one), hub.push(*other)
        settled = hub.feed("green")
        assert set(hub.verdicts(hub.push(*one)) + hub.verdicts(hub.push(*other))) == {"duplicate"}
        assert hub.feed("green") == settled

    def test_the_newest_counts_in_whichever_order_they_come(self, hub):
        old, new = twice(1, "old", "1760000000"), twice(2, "new", "1770000000")
        hub.push(*new), hub.push(*old)
        texts = [each["description"] for each in hub.feed("green") if "description" in each]
        assert texts == ["new"]

    def test_both_reports_list_the_one_indicator(self, hub):
        hub.push(*twice(1, "old", "1760000000")), hub.push(*twice(2, "new", "1770000000"))
        reports = [each for each in hub.feed("green") if each["type"] == "report"]
        (one,) = {ref for each in reports for ref in each["object_refs"]}
        assert len(reports) == 2 and one in {each["id"] for each in hub.feed("green")}


class TestOthers:
    def test_what_another_partner_sends_as_a_table_is_the_same_indicator(self, hub):
        hub.push(*objects(event(attribute())))
        table = objects(b"value\nevil.com\n", name="a.csv")
        assert hub.verdicts(hub.push(*table, who="north")) == ["merged"]

    @pytest.mark.parametrize(("number", "sources"), [(1, 1), (2, 2)])
    def test_who_forwards_an_event_corroborates_nothing_but_who_wrote_his_own_does(
        self, number, sources
    ):
        theirs = objects(event(attribute(number=number)))
        said = [spoken("acme", objects(event(attribute()))[0]), spoken("north", theirs[0])]
        assert len(group_by_origin(said)) == sources

    def test_what_misp_keeps_in_its_community_is_in_no_wider_feed(self, hub):
        hub.push(*objects(event(attribute(), distribution="1"), tlp=Tlp.CLEAR))
        assert hub.feed("clear") == hub.feed("green") == []
        assert {each["type"] for each in hub.feed("amber")} == {"indicator", "report"}

    def test_a_sighting_counts_for_the_indicator(self, hub):
        sightings = [{"type": "0", "date_sighting": "1771000000"}]
        hub.push(*objects(event(attribute(Sighting=sightings))))
        kinds = [each["type"] for each in hub.feed("green")]
        assert sorted(kinds) == ["indicator", "report", "sighting"]


class TestPostedAsItIs:
    def test_an_event_is_refused_with_a_word_on_how_to_send_it_and_costs_no_neighbour(self, hub):
        (good,) = objects(b"value\nevil.com\n", name="a.csv")
        status = hub.push(event(attribute()), good)
        assert hub.verdicts(status) == ["refused", "admitted"]
        assert "tocsin push" in findings(status)[0]["message"]
