"""The real model, where the extra is installed."""

import time

import pytest

from tocsin.admission.detectors.person_names import PERSON
from tocsin.admission.detectors.postal_addresses import POSTAL_ADDRESS
from tocsin.admission.recogniser.recogniser import check_installation, find_recognised, is_installed

pytestmark = pytest.mark.skipif(not is_installed(), reason="tocsin-names is not installed")


def found(text: str) -> list[tuple[str, str]]:
    return [(text[span.start : span.end], span.what) for span in find_recognised(text)]


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("Yesterday Jane Miller told us about the mail.", "Jane Miller"),
        ("Am Montag rief Jürgen Brandt aus Bremen an.", "Jürgen Brandt"),
        ("Le lendemain, Élodie Ménard a ouvert la pièce jointe.", "Élodie Ménard"),
    ],
)
def test_a_person_is_seen_without_a_cue(text: str, name: str) -> None:
    assert found(text) == [(name, PERSON)]


def test_an_address_is_seen() -> None:
    text = "She lives at 12 Garden Street, Springfield, IL 62701 with him."
    assert (found(text)[0][1], found(text)[0][0][:16]) == (POSTAL_ADDRESS, "12 Garden Street")


@pytest.mark.parametrize(
    "text",
    [
        "Emotet drops Cobalt Strike, and Wizard Spider sells access to Kaseya servers.",
        "The loader contacts Turla's server on port 443 and injects into Explorer.",
        "Mimikatz and Agent Tesla were found on a Citrix gateway in Ukraine.",
    ],
)
def test_prose_about_malware_is_left_alone(text: str) -> None:
    assert found(text) == []


def test_a_text_of_signs_costs_nothing() -> None:
    found("Jane Miller called us.")  # starts its process
    began = time.monotonic()
    assert found("(" * 100_000) == []
    assert time.monotonic() - began < 5


def test_a_text_longer_than_the_model_takes_is_read_in_parts() -> None:
    text = "He 中文漢字 " * 2_000 + "Then Jane Miller called us."
    assert ("Jane Miller", PERSON) in found(text)


def test_it_can_be_checked() -> None:
    check_installation()
