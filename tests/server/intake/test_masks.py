"""Words that a reviewer takes out: found in any disguise, and only ever taken out."""

import pytest
from support.hub import indicator

from tocsin.admission.errors import Malformed
from tocsin.server.intake.masks import MOST_MASKS, find_words, mask_parts

MASK = "[removed: by a reviewer]"


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("Ask Jane now", "jane"),
        ("Ask Ja\u200bne now", "Jane"),
        ("Ask Ja\u00adn\u202ee now", "JANE"),
        ("Ask Jane\u00a0Doe now", "Jane Doe"),
        ("Ask J\u00dcRGEN now", "j\u00fcrgen"),
    ],
)
def test_a_word_is_found_however_it_is_disguised(text: str, word: str) -> None:
    subject = indicator(description=text)
    masked = mask_parts(subject, find_words(subject, [word]))
    assert masked["description"] == f"Ask {MASK} now"


def test_every_place_is_masked_and_nothing_else_is_changed() -> None:
    more = [{"source_name": "x", "description": "by Jane"}]
    subject = indicator(description="Jane, Jane", external_references=more, labels=["jane", "c2"])
    masked = mask_parts(subject, find_words(subject, ["Jane"]))
    assert masked["description"] == f"{MASK}, {MASK}"
    assert masked["external_references"][0]["description"] == f"by {MASK}"
    assert masked["labels"] == ["c2"], "a keyword goes as a whole"
    assert masked["pattern"] == subject["pattern"]


def test_patterns_are_not_masked() -> None:
    subject = indicator("jane.top")
    with pytest.raises(Malformed, match="no such word"):
        find_words(subject, ["jane.top"])


@pytest.mark.parametrize("word", ["", " ", "\u200b"])
def test_a_word_without_anything_to_see_is_refused(word: str) -> None:
    with pytest.raises(Malformed, match="no such word"):
        find_words(indicator(description="a text"), [word])


def test_too_many_places_are_refused() -> None:
    with pytest.raises(Malformed, match="at most"):
        find_words(indicator(description="a " * (MOST_MASKS + 1)), ["a"])
