"""Read a text past the disguises that hide a name from a program but not from a person.

Letters of other scripts that look Latin, accents, invisible characters, markup and hyphens
inside a word are folded away (`fold_text`); base64 and hexadecimal runs are decoded
(`encoded_texts`).  Folding changes what harmless words look like, so it serves only to find
given names, never to guess what a text says.
"""

from __future__ import annotations

import base64
import binascii
import re
import unicodedata
from collections.abc import Iterator
from functools import lru_cache

from tocsin.admission.detectors.decoding import DecodedText

_LOOK_ALIKE = str.maketrans(
    # Cyrillic, capitals and small letters
    "АВЕЅІЈКМНОРСТУХҮԌԚԜӀавеѕіјкмнорстухүԁԛԝһӏ"
    # Greek
    "ΑΒΕΖΗΙΚΜΝΟΡΤΥΧϹϳαεικνορτυχϲ"
    # Armenian and Cherokee
    "օսոցհՕՍᎪᏟᎬᎷᎢᏀᎻᎫᏦᏞᏢᎡᏚᏴ"
    # dotless i and j, script and Latin letters that have no decomposition
    "ıȷɡɑɩʟʀᴀᴄᴇᴍᴏᴘᴋᴛᴜᴠᴡᴢɢʜɪɴ",
    "ABESIJKMHOPCTYXYGQWIabesijkmhopctyxydqwhi"
    "ABEZHIKMNOPTYXCjaeikvoptuxc"
    "ounghOUACEMTGHJKLPRSB"
    "ijgailracemopktuvwzghin",
)
_NAMED_LETTER = re.compile(
    r"(?:LATIN|NEGATIVE|CIRCLED|SQUARED|PARENTHESIZED|REGIONAL|FULLWIDTH)\b.*?\bLETTER "
    r"(?:SMALL CAPITAL )?([A-Z])(?: WITH .+)?"
)
"""The Unicode name of a letter that has no decomposition: `LATIN SMALL LETTER O WITH STROKE`."""
_INVISIBLE_CATEGORIES = ("Cf", "Mn", "Me")
_FILLERS = "\u115f\u1160\u3164\uffa0\u2800"
_TAG = (
    r"<[!/]?[a-z-][^<>]{0,80}>|\[/?(?:b|i|u|s|em|strong|color|size|font|url)(?:=[^\[\]]{0,30})?\]"
)
_TAGS = re.compile(_TAG, re.IGNORECASE)
_MARKUP = re.compile(
    rf"{_TAG}"
    r"|(?<=[^\W_])[*`~|^\"']{1,4}(?=[^\W_])|(?<=[^\W_])-[ \t]{0,4}\r?\n[ \t>]{0,8}(?=[^\W_])",
    re.IGNORECASE,
)
"""Tags, signs of emphasis between two letters, and hyphens at the end of a line."""
_MARKUP_SIGNS = frozenset("<[*`~|^\"'\n")
_BASE64 = re.compile(r"(?<![A-Za-z0-9+/_-])[A-Za-z0-9+/_-]{6,4096}={0,2}")
_HEX = re.compile(r"(?<![A-Za-z0-9])(?:0x)?((?:[2-7][0-9A-Fa-f]){4,512})(?![A-Za-z0-9])")
_URL_SAFE = str.maketrans("-_", "+/")
_ASCII_IN_BASE64 = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdef"
"""The first of each four base64 characters, if they encode ASCII."""


class _FoldTable(dict[int, str]):
    """For `str.translate`: the folded form of each character, worked out when first met."""

    def __missing__(self, code: int) -> str:
        folded = self[code] = _fold_character(chr(code))
        return folded


def _fold_character(character: str) -> str:
    if character.isascii():
        return character
    if unicodedata.category(character) in _INVISIBLE_CATEGORIES or character in _FILLERS:
        return ""
    parts = unicodedata.normalize("NFKD", character).translate(_LOOK_ALIKE)
    plain = "".join(part for part in parts if not unicodedata.combining(part))
    named = None if plain.isascii() else _NAMED_LETTER.fullmatch(unicodedata.name(character, ""))
    return named[1] if named else plain


_FOLDED = _FoldTable()


def fold_letters(text: str) -> str:
    """The text in plain Latin letters, as far as the eye sees them; markup stays.

    >>> fold_letters("\u0410\u0421ME K\u00f6ln")
    'ACME Koln'
    """
    return text if text.isascii() else text.translate(_FOLDED)


def remove_tags(text: str) -> str:
    """The text without the tags of HTML and BBCode."""
    return _TAGS.sub("", text) if "<" in text or "[" in text else text


def fold_text(text: str) -> DecodedText:
    """The text in plain Latin letters and without markup, with each character's place.

    >>> fold_text("ac<b>me</b>").original_span(0, 4)
    (0, 7)
    """
    letters: list[str] = []
    places: list[tuple[int, int]] = []
    for i, character in enumerate(text):
        for each in character if character < "\x80" else _FOLDED[ord(character)]:
            letters.append(each)
            places.append((i, i + 1))
    plain = "".join(letters)
    if _MARKUP_SIGNS.isdisjoint(plain):
        return DecodedText(plain, places)
    kept: list[tuple[int, int]] = []
    parts: list[str] = []
    at = 0
    for found in _MARKUP.finditer(plain):
        parts.append(plain[at : found.start()])
        kept += places[at : found.start()]
        at = found.end()
    return DecodedText("".join((*parts, plain[at:])), [*kept, *places[at:]])


@lru_cache(maxsize=16)  # rule after rule asks for the texts of one object
def encoded_texts(text: str) -> tuple[tuple[int, int, str], ...]:
    """Start, end and meaning of each run of base64 or hexadecimal digits that encodes text."""
    return tuple(_decode_runs(text))


def _decode_runs(text: str) -> Iterator[tuple[int, int, str]]:
    for found in _BASE64.finditer(text):
        run = found[0].rstrip("=")
        if run.islower():  # nearly every word
            continue
        # Every fourth character rules out nearly all words before anything is decoded.
        if len(run) % 4 != 1 and not run[::4].translate(_URL_SAFE).strip(_ASCII_IN_BASE64):
            meaning = _decode_base64(run)
            if meaning:
                yield *found.span(), meaning
    for found in _HEX.finditer(text):
        yield *found.span(), bytes.fromhex(found[1]).decode("ascii")


def _decode_base64(run: str) -> str:
    """The text that a run of base64 encodes in UTF-8 or UTF-16; empty if it encodes none."""
    try:
        raw = base64.b64decode(run.translate(_URL_SAFE) + "=" * (-len(run) % 4), validate=True)
        text = raw.replace(b"\0", b"").decode("utf-8")
    except (binascii.Error, UnicodeDecodeError):
        return ""
    return text if text.replace("\r", "").replace("\n", "").replace("\t", "").isprintable() else ""
