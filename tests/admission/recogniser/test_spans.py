"""From the model's figures to persons and addresses."""

import pytest

from tocsin.admission.recogniser.spans import Reading, find_spans


def person(text: str, words: str, likely: float = 0.9) -> list[Reading]:
    """Readings that take these words for a person."""
    starts = [(text.index(word), word) for word in words.split()]
    return [Reading(at, at + len(word), likely, 0.0, 0.0) for at, word in starts]


def address(text: str, words: str, street: float = 0.9) -> list[Reading]:
    starts = [(text.index(word), word) for word in words.split()]
    return [Reading(at, at + len(word), 0.0, 0.9, street) for at, word in starts]


def found(text: str, readings: list[Reading]) -> list[str]:
    return [text[span.start : span.end] for span in find_spans(text, readings)]


@pytest.mark.parametrize(
    ("text", "words", "name"),
    [
        ("Then Jane Miller left", "Jane Miller", "Jane Miller"),
        ("Then Jane Q. Miller left", "Jane Q Miller", "Jane Q. Miller"),
        ("Then Jane O'Neill left", "Jane O Neill", "Jane O'Neill"),
        ("Then Jane left", "Jane left", "Jane"),
        ("Then Ronald McDonald left", "Ronald McDonald", "Ronald McDonald"),
        ("Jane's laptop", "Jane", "Jane's"),
        ("Jane Miller!", "Jane Miller", "Jane Miller"),
    ],
)
def test_neighbouring_words_are_one_name(text: str, words: str, name: str) -> None:
    assert found(text, person(text, words)) == [name]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("then jane miller left", "jane miller"),
        ("Cobalt Strike was used", "Strike"),
        ("Turla's server", "Turla"),
        ("Wizard Spider sells it", "Wizard Spider"),
        ("It calls DllMain twice", "DllMain"),
        ("The IANA list", "IANA"),
        ("Kaspersky Lab wrote", "Kaspersky"),
        ("The Malware Domains", "Domains"),
        ("Mutex TxFdff$Jo", "Jo"),
        ("Unverschämt", "Un"),
    ],
)
def test_other_words_are_no_names(text: str, words: str) -> None:
    assert found(text, person(text, words)) == []


def test_a_single_word_must_be_more_likely_than_a_full_name() -> None:
    text = "Then Jane Miller left"
    assert found(text, person(text, "Jane Miller", 0.6)) == ["Jane Miller"]
    assert found(text, person(text, "Miller", 0.6)) == []


def test_an_address_has_a_street_and_a_number() -> None:
    text = "lives at Rosenweg 12, 28195 Bremen now"
    assert found(text, address(text, "Rosenweg 12 28195 Bremen")) == ["Rosenweg 12, 28195 Bremen"]
    assert found(text, address(text, "28195 Bremen", street=0.0)) == []
    assert found(text, address(text, "Rosenweg")) == []


def test_a_port_is_no_address() -> None:
    text = "It listens on Port 443 here"
    assert found(text, address(text, "Port 443")) == []
