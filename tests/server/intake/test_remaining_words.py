"""Words to be masked are found wherever they would be published all the same."""

import base64
from typing import Any

import pytest
from support.hub import indicator

from tocsin.server.intake.remaining_words import RemainingWords

MAILBOX = "nuno.faria@lisbon.example"


def place(subject: dict[str, Any], word: str, *, fixed: bool = False) -> str:
    return RemainingWords(subject, subject).find(word, fixed=fixed)


@pytest.mark.parametrize(
    "value",
    [
        MAILBOX,
        MAILBOX.upper(),
        MAILBOX.replace("@", "%40"),
        MAILBOX.replace("@", "%2540"),
        MAILBOX.replace(".", "[.]"),
        MAILBOX.replace("a", "\u0430"),
        MAILBOX.replace("o", "o\u200b"),
        base64.b64encode(MAILBOX.encode()).decode(),
        "".join(f"%{ord(c):02x}" for c in MAILBOX),
    ],
)
def test_a_mailbox_is_found_in_a_pattern_however_it_is_written(value: str) -> None:
    subject = indicator(pattern=f"[url:value = 'https://x.club/p?u={value}']")
    for word in (MAILBOX, "nuno.faria at lisbon dot example", "Nuno.Faria%40lisbon.example"):
        assert place(subject, word) == place(subject, word, fixed=True) == "pattern"


@pytest.mark.parametrize(
    ("more", "found"),
    [
        ({"x_seen": {"by": ["?q=jane+doe"]}}, "x_seen.by[0]"),
        ({"x_jane_doe": "seen"}, "the name of a property"),
        ({"x_seen": {"jane-doe": 1}}, "the name of a property"),
        ({"pattern": "[file:name = 'c:\\\\jane\\'doe']"}, "pattern"),
    ],
)
def test_a_name_is_found_in_any_property(more: dict[str, Any], found: str) -> None:
    assert place(indicator(**more), "Jane Doe") == found


def test_a_number_is_found_as_digits() -> None:
    assert place(indicator(x_call=442079460958), "+44 20 7946 0958") == "x_call"


def test_a_short_word_is_not_found_inside_a_longer_one() -> None:
    assert place(indicator("annual-report.top"), "Ann") == ""
    assert place(indicator("ann-report.top"), "Ann") == "pattern"


def test_a_mask_of_the_hub_is_left_out_and_one_that_was_sent_is_not() -> None:
    masked = indicator(description="by [removed: by a reviewer]")
    assert RemainingWords(indicator(), masked).find("a reviewer") == ""
    assert RemainingWords(masked, masked).find("a reviewer") == "description"


def test_texts_are_left_out_where_only_fixed_places_count() -> None:
    subject = indicator(description="by Jane Doe")
    assert place(subject, "Jane Doe") == "description"
    assert place(subject, "Jane Doe", fixed=True) == ""


def test_a_word_without_letters_is_found_only_as_it_is() -> None:
    assert place(indicator(), "@@") == "" and place(indicator(), "\u200b") == ""
