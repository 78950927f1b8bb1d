"""An object that no feed of the hub takes is refused at once, and never called complete."""

from typing import Any

import pytest
from support.clock import LATER
from support.hub import GREEN, HubInProcess, details, indicator, sdo
from support.stix_objects import TIME

from tocsin.admission.model import Tlp
from tocsin.server.model import Collection, CollectionKind, Partner

STRICT = "marking-definition--939a9414-2ddd-4d32-a0cd-375ea402b003"


@pytest.fixture
def hub(hub: HubInProcess) -> HubInProcess:
    """A hub with a partner that may send up to TLP:AMBER+STRICT."""
    hub.join(Partner("strict", "Strict Limited", max_tlp=Tlp.AMBER_STRICT))
    return hub


def push(hub: HubInProcess, *objects: Any) -> Any:
    """Send objects as that partner does."""
    return hub.push(*objects, who="strict")


def test_an_object_that_no_feed_takes_is_refused_with_the_reason(hub: HubInProcess) -> None:
    status = push(hub, indicator(object_marking_refs=[STRICT]))
    assert (status["status"], status["failure_count"]) == ("complete", 1)
    assert "no feed of this hub takes" in details(status)[0]["message"]
    assert hub.store._base.public_objects.find_one({"tlp": "amber+strict"}) is None


def test_it_is_taken_as_soon_as_a_feed_takes_it(hub: HubInProcess) -> None:
    feed = Collection("f" * 8, "strict", CollectionKind.FEED, "Strict", "", Tlp.AMBER_STRICT)
    hub.store.feeds.add(feed)
    assert hub.verdicts(push(hub, indicator(object_marking_refs=[STRICT]))) == ["admitted"]


def test_a_report_leaves_it_out_and_does_not_wait(hub: HubInProcess) -> None:
    members = indicator(object_marking_refs=[STRICT]), indicator("two.top")
    names = [each["id"] for each in members]
    status = push(hub, *members, sdo("report", name="r", published=TIME, object_refs=names))
    assert hub.verdicts(status) == ["refused", "admitted", "admitted"]
    (report,) = [each for each in hub.feed("green") if each["type"] == "report"]
    assert len(report["object_refs"]) == 1


def test_the_submitter_learns_that_its_earlier_version_stays(hub: HubInProcess) -> None:
    sent = indicator(object_marking_refs=[GREEN])
    push(hub, sent)
    status = push(hub, {**sent, "object_marking_refs": [STRICT], "modified": LATER})
    assert "stays published" in str(details(status)[0]["x_tocsin_findings"])
    assert "revoked" not in hub.feed("green")[0]
