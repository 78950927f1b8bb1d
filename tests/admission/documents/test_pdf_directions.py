"""Words of PDFs in Arabic and Hebrew script (tocsin.admission.documents.pdf_directions)."""

import pytest

from tocsin.admission.documents.pdf_directions import in_reading_order
from tocsin.admission.extraction.field_names import holds_people

RECIPIENT = "\u0627\u0644\u0645\u0633\u062a\u0644\u0645"
"""Arabic for the recipient."""
SHALOM = "\u05e9\u05dc\u05d5\u05dd"


@pytest.mark.parametrize("word", [RECIPIENT, SHALOM, f"{RECIPIENT} {RECIPIENT}"])
def test_words_are_read_in_their_order_whichever_the_page_has(word: str) -> None:
    page = "| s@evil.top | {} | C2 |"
    assert in_reading_order(page.format(word)) == page.format(word)
    assert in_reading_order(page.format(word[::-1])) == page.format(word)


def test_the_heading_of_recipients_is_known_on_a_page_that_has_it_reversed() -> None:
    assert holds_people(in_reading_order(RECIPIENT[::-1]))


def test_forms_of_letters_are_letters() -> None:
    assert in_reading_order("\ufe8d\ufedf\ufee4") == "\u0627\u0644\u0645"


@pytest.mark.parametrize("text", ["evil.com", "", "caf\u00e9", "\u0627\u0644"])
def test_other_text_stays_as_it_is(text: str) -> None:
    assert in_reading_order(text) == text
