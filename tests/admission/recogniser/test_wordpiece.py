"""Words are cut as the model's own library cuts them."""

import pytest

from tocsin.admission.recogniser.wordpiece import read_vocabulary, split_pieces

WORDS = ["[UNK]", "jane", "mill", "##er", "##s", "'", "strasse", "中", "-", "a"]
VOCABULARY = read_vocabulary(f"{word}\n" for word in WORDS)


def pieces(text: str) -> list[tuple[str, str]]:
    """Each piece of the vocabulary with the part of the text that it stands for."""
    return [(WORDS[p.id], text[p.start : p.end]) for p in split_pieces(text, VOCABULARY)]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Jane Millers", [("jane", "Jane"), ("mill", "Mill"), ("##er", "er"), ("##s", "s")]),
        ("JÄNE", [("jane", "JÄNE")]),
        ("ja\u0301ne", [("jane", "ja\u0301ne")]),
        ("Jane's", [("jane", "Jane"), ("'", "'"), ("[UNK]", "s")]),
        ("a-a", [("a", "a"), ("-", "-"), ("a", "a")]),
        ("中a", [("中", "中"), ("a", "a")]),
        ("Millx", [("[UNK]", "Millx")]),
        ("ja\u200bne", [("jane", "ja\u200bne")]),
        ("\x00 \t\n", []),
        ("a" * 101, [("[UNK]", "a" * 101)]),
    ],
)
def test_the_pieces_of_a_text_and_their_places(text: str, expected: object) -> None:
    assert pieces(text) == expected
