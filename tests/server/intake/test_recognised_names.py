"""A hub with the recogniser asks a reviewer, whose decision is final.  Needs the extra."""

from typing import Any

import pytest
from support.hub import HUB_SECRETS, HubInProcess, indicator, sdo
from support.rules import TEXT_FOR_THE_RECOGNISER

from tocsin.admission.recogniser.recogniser import is_installed
from tocsin.config.settings import HubSettings
from tocsin.server.cli.review import decide_review, show_review
from tocsin.server.runtime import Runtime

pytestmark = pytest.mark.skipif(not is_installed(), reason="tocsin-names is not installed")

TEXT = TEXT_FOR_THE_RECOGNISER
MASKED = TEXT.replace("Zelda Miller", "[removed: person's name]")


def opened(hub: HubInProcess) -> Runtime:
    return Runtime(HubSettings(), HUB_SECRETS, hub.services, "operator:jane")


def waiting(hub: HubInProcess) -> list[str]:
    return [review.id for review in hub.store.reviews.list_waiting()]


def report() -> dict[str, object]:
    return sdo("malware", name="Bazel", is_family=True, description=TEXT)


def texts(hub: HubInProcess) -> list[object]:
    return [each["description"] for each in hub.feed("green")]


def test_an_object_waits_with_its_words_marked(hub: HubInProcess) -> None:
    hub.push(report())
    assert texts(hub) == []
    marks: Any = show_review(opened(hub), waiting(hub)[0])["marked"]
    assert {mark["rule"] for mark in marks} == {"recognised_names"}
    assert {word["text"] for mark in marks for word in mark["words"]} == {"Zelda Miller"}


@pytest.mark.parametrize(("without_text", "text"), [(False, TEXT), (True, MASKED)])
def test_a_released_object_is_published_and_not_asked_about_again(
    hub: HubInProcess, without_text: bool, text: str
) -> None:
    hub.push(report())
    decide_review(opened(hub), waiting(hub)[0], release=True, reason="", without_text=without_text)
    assert (texts(hub), waiting(hub)) == ([text], [])


def test_an_indicator_is_published_at_once_and_its_text_when_it_is_released(
    hub: HubInProcess,
) -> None:
    hub.push(indicator(description=TEXT))
    assert texts(hub) == [MASKED]
    decide_review(opened(hub), waiting(hub)[0], release=True, reason="")
    assert (texts(hub)[-1], waiting(hub)) == (TEXT, [])


def test_a_text_that_a_rule_asked_about_is_not_asked_about_once_more(hub: HubInProcess) -> None:
    text = "Reported by Zelda Miller on Monday."
    hub.push(indicator(description=text))
    decide_review(opened(hub), waiting(hub)[0], release=True, reason="")
    assert (texts(hub)[-1], waiting(hub)) == (text, [])
