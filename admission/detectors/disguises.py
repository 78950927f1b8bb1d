r"""Read a text past its disguises, in two ways.

`decode_text` undoes what programs write: `jane%40bank.test`, `jane&#64;bank.test` and
`jane\u0040bank.test` become `jane@bank.test`; full-width letters and the digits of all scripts
become plain, invisible characters go.  It joins what tags or line breaks separate at an @ and
behind a hyphen, and reads quoted-printable and the encoded words of mail headers.  It does not
decode other base64, or text that was encoded twice.

`fold_text` and `encoded_texts` undo what hides a name from a program but not from a person.
Letters of other scripts that look Latin, accents, invisible characters, markup and hyphens
inside a word are folded away; base64 and hexadecimal runs are decoded.  Folding changes what
harmless words look like, so it serves only to find given names, never to guess what a text says.

Each decoded character keeps its place in the original text, so that a finding in the decoded
text can be masked in the original.
"""

from __future__ import annotations

import base64
import binascii
import html
import re
import unicodedata
from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache
from typing import NamedTuple

from tocsin.admission.lazy_patterns import compile_lazily

_TAG_AT_SIGN = r"(?:</?[a-z][^<>]{0,80}>)"
_ESCAPED = compile_lazily(
    # Each begins with one sign, which makes the search fast.
    r"%(?P<percent>[2-7][0-9a-f])|\\u00(?P<json>[2-7][0-9a-f])|\\x(?P<hex>[2-7][0-9a-f])"
    r"|&(?P<entity>\#0{0,20}\d{2,6}|\#x0{0,20}[0-9a-f]{2,5}|commat|period|colon|sol|bsol|plus"
    r"|nbsp|NonBreakingSpace|e[nm]sp|thinsp|hairsp|numsp|puncsp|Tab|NewLine"
    r"|hyphen|dash|lowbar|num|equals|shy|zwj|zwnj|lrm|rlm|ZeroWidthSpace|NoBreak);"
    r"|=(?<=[\w.+-]=)(?P<quoted>(?-i:40|2E|2D|5F|3D))(?=\w)"  # quoted-printable
    r"|=\?[\w-]{2,20}\?b\?(?P<word>[a-z0-9+/]{4,400}={0,2})\?="  # RFC 2047
    rf"|@(?<=[\w>]@)(?P<at>{_TAG_AT_SIGN}{{1,4}}|[ \t]{{0,4}}\r?\n[ \t>]{{0,8}})(?=\w)"
    r"|,(?<=[\w-],)(?P<component>\s?dc=)(?=\w)"  # LDAP
    r"|\((?<=[\w-]\()(?P<length>\d{1,2}\))(?=[\w-]{1,63}\()"  # the debug log of Windows DNS
    # What is left out: soft line breaks, line breaks and tags behind a hyphen, tags before an @.
    r"|=(?<=[^\s=]=)\r?\n(?=[\w.@-])"
    r"|\n(?<=\w-\n)[ \t>]{0,8}(?=\w)|\r\n(?<=\w-\r\n)[ \t>]{0,8}(?=\w)"
    rf"|<(?<=\w<)/?[a-z][^<>]{{0,80}}>{_TAG_AT_SIGN}{{0,3}}(?=@)"
    rf"|<(?<=\w-<)/?[a-z][^<>]{{0,80}}>{_TAG_AT_SIGN}{{0,3}}(?:\r?\n[ \t>]{{0,8}})?(?=\w)",
    re.IGNORECASE,
)
_SIGNS = {"at": "@", "component": ".", "length": "."}
"""The sign that stands for a longer spelling of it, by group."""
_JOINT = compile_lazily(
    r"[_:=-](?:(?<=[\d\s(]_)|(?<=_)(?:(?=[\d@+\s)./])|\Z)|(?<=\A_)"
    r"|(?<=[a-z]-)(?=\d{6})|(?<=[a-z][g-z][:=]|[g-z][a-z][:=])(?=[+(\d]))",
    re.IGNORECASE,
)
"""A sign that joins a number to a word: `log_10.1.2.3`, `SSN:078-05-1121`."""
_LIKE_ASCII = {**dict.fromkeys("\u2010\u2011\u2012\u2013\u2014\u2212", "-"), "\u3002": "."}
"""Characters that readers take for ASCII ones, though NFKC does not map them."""

_INVISIBLE_CATEGORIES = ("Cf", "Mn")
"""Joiners, directions, tags, variation selectors, and combining accents."""
_FILLERS = "\u115f\u1160\u3164\uffa0"
"""Letters without a glyph."""
_FOLDED_CATEGORIES = (*_INVISIBLE_CATEGORIES, "Me")
_FOLDED_FILLERS = f"{_FILLERS}\u2800"
"""Folding also drops enclosing marks and the blank of Braille."""
_WITHOUT_CASE = "Lo"
"""Letters of scripts without capitals; none of them looks like a Latin one."""
_UNASSIGNED_CATEGORIES = ("Cn", "Co")
"""Characters without a meaning, which stay as they are: nine of ten in Unicode."""
_LONGEST_CACHED = 200
"""Length up to which decoded texts are cached: labels and phrases recur."""


class DecodedText(NamedTuple):
    """A decoded text with the place of each character in the original."""

    text: str
    starts: Sequence[int]
    """For each character, its start in the original text."""
    ends: Sequence[int]
    """For each character, its end in the original text."""

    def original_span(self, start: int, end: int) -> tuple[int, int]:
        """The stretch of the original that a stretch of the decoded text stands for.

        >>> [decoded] = decode_text("a%40b")
        >>> decoded.original_span(1, 2)
        (1, 4)
        """
        return self.starts[start], self.ends[max(start, end - 1)]


def decode_text(text: str) -> tuple[DecodedText, ...]:
    """The ways to read a text that differ from how it is written; none for most texts.

    First decoded, then decoded with numbers separated from the words they are joined to.
    """
    return _decode_cached(text) if len(text) <= _LONGEST_CACHED else tuple(_decode(text))


@lru_cache(maxsize=4096)
def _decode_cached(text: str) -> tuple[DecodedText, ...]:
    return tuple(_decode(text))


def _decode(text: str) -> Iterator[DecodedText]:
    escaped = _may_be_escaped(text) and _ESCAPED.search(text)
    if text.isascii() and not escaped and not _JOINT.search(text):
        return
    parts: list[str] = []
    starts: list[int] = []
    ends: list[int] = []
    at = 0
    for found in _ESCAPED.finditer(text) if escaped else ():
        parts.append(_append_plain(text, (at, found.start()), starts, ends))
        at = found.end()
        unescaped = _unescape(found)
        parts.append(unescaped)
        starts += [found.start()] * len(unescaped)
        ends += [at] * len(unescaped)
    parts.append(_append_plain(text, (at, len(text)), starts, ends))
    decoded = "".join(parts)
    separated = _JOINT.sub(" ", decoded)
    if decoded != text:
        yield DecodedText(decoded, starts, ends)
    if separated != decoded:
        yield DecodedText(separated, starts, ends)


def _may_be_escaped(text: str) -> bool:
    """False for most texts: they have none of the signs."""
    if "%" in text or "\\" in text or "&" in text or "=" in text:
        return True
    if "@" in text and ("<" in text or "\n" in text):
        return True
    return "-\n" in text or "-\r\n" in text or "-<" in text or "(0)" in text


def _append_plain(text: str, place: tuple[int, int], starts: list[int], ends: list[int]) -> str:
    """A stretch of the text in plain characters, whose places are appended."""
    start, end = place
    part = text[start:end]
    plain = part if part.isascii() else part.translate(_PLAIN)
    if len(plain) == len(part):  # none is left out, and none becomes several
        starts += range(start, end)
        ends += range(start + 1, end + 1)
    else:
        kept = [i for i, character in enumerate(part, start) if _PLAIN[ord(character)]]
        starts += kept
        ends += [i + 1 for i in kept]
    return plain


def _unescape(found: re.Match[str]) -> str:
    """The characters that an escape stands for; a blank if it stands for no single one."""
    kind = found.lastgroup
    if kind is None:
        return ""
    if kind in _SIGNS:
        return _SIGNS[kind]
    if kind == "word":
        return _decode_base64(found["word"].rstrip("=")) or " "
    if kind == "entity":
        decoded = html.unescape(found[0])
        return _PLAIN[ord(decoded)] if len(decoded) == 1 else " "
    return chr(int(found[kind], 16))


def _plain(character: str) -> str:
    """The ASCII form of a character, else the character; empty if it is invisible."""
    if character.isascii():
        return character
    if unicodedata.category(character) in _INVISIBLE_CATEGORIES or character in _FILLERS:
        return ""
    digit = unicodedata.decimal(character, None)
    if digit is not None:
        return str(digit)
    decoded = _LIKE_ASCII.get(character) or unicodedata.normalize("NFKC", character)
    return decoded if len(decoded) == 1 and decoded.isascii() else character


class _CharacterTable(dict[int, str]):
    """For `str.translate`: the form of each character, worked out when first met.

    Unassigned characters are not kept: a text may have a million of them.
    """

    def __init__(self, form: Callable[[str], str]) -> None:
        super().__init__()
        self._form = form
        self.uneven: set[str] = set()
        """The characters met so far whose form is none or several."""

    def __missing__(self, code: int) -> str:
        character = chr(code)
        if unicodedata.category(character) in _UNASSIGNED_CATEGORIES:
            return character
        form = self[code] = self._form(character)
        if len(form) != 1:
            self.uneven.add(character)
        return form


_PLAIN = _CharacterTable(_plain)


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
_NAMED_LETTER = compile_lazily(
    r"(?:LATIN|NEGATIVE|CIRCLED|SQUARED|PARENTHESIZED|REGIONAL|FULLWIDTH)\b.*?\bLETTER "
    r"(?:SMALL CAPITAL )?([A-Z])(?: WITH .+)?"
)
"""The Unicode name of a letter that has no decomposition: `LATIN SMALL LETTER O WITH STROKE`."""
_TAG = (
    r"<[!/]?[a-z-][^<>]{0,80}>|\[/?(?:b|i|u|s|em|strong|color|size|font|url)(?:=[^\[\]]{0,30})?\]"
)
_TAGS = compile_lazily(_TAG, re.IGNORECASE)
_MARKUP = compile_lazily(
    rf"{_TAG}"
    r"|(?<=[^\W_])[*`~|^\"']{1,4}(?=[^\W_])|(?<=[^\W_])-[ \t]{0,4}\r?\n[ \t>]{0,8}(?=[^\W_])",
    re.IGNORECASE,
)
"""Tags, signs of emphasis between two letters, and hyphens at the end of a line."""
_MARKUP_SIGNS = frozenset("<[*`~|^\"'\n")
_BASE64 = compile_lazily(r"(?<![A-Za-z0-9+/_-])[A-Za-z0-9+/_-]{6,4096}={0,2}")
_WRAPPED_BASE64 = compile_lazily(
    r"(?<![A-Za-z0-9+/_-])(?:[A-Za-z0-9+/_-]{4}){2,1024}"
    r"(?:\r?\n[ \t>]{0,8}(?:[A-Za-z0-9+/_-]{4}){1,1024}(?![A-Za-z0-9+/_-])){0,64}"
    r"\r?\n[ \t>]{0,8}[A-Za-z0-9+/_-]{2,4096}={0,2}(?![A-Za-z0-9+/_-])"
)
"""Base64 over several lines: all but the last have whole groups of four."""
_MAY_BE_WRAPPED = compile_lazily(
    r"\n(?<=[A-Za-z0-9+/_-]{7}[A-Za-z0-9+/_\r-]\n)[ \t>]{0,8}[A-Za-z0-9+/_-]{2}"
)
"""Begins with the end of the line, which makes the search fast."""
_LINE_BREAK = compile_lazily(r"[\r\n\t >]+")
_ASCII_RUN = re.compile(rb"[\x20-\x7e]{6,}")
_SHORTEST_BINARY = 16
"""Base64 characters from which on text is looked for among octets that are none."""
_BYTE_ORDER_MARKS = (b"\xff\xfe", b"\xfe\xff", b"\xef\xbb\xbf")
_HEX = compile_lazily(
    r"(?<![A-Za-z0-9])(?:0x)?((?:[2-7][0-9A-Fa-f]){4,512}|(?:[2-7][0-9A-Fa-f]00){4,512}"
    r"|(?:00[2-7][0-9A-Fa-f]){4,512}"
    r"|[2-7][0-9A-Fa-f](?:\s{1,2}(?:00\s)?[2-7][0-9A-Fa-f](?![A-Za-z0-9])){3,511})(?![A-Za-z0-9])"
)
"""Printable octets, also in UTF-16, or with a blank between them."""
_URL_SAFE = str.maketrans("-_", "+/")
_ASCII_IN_BASE64 = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdef"
"""The first of each four base64 characters, if they encode ASCII."""


def _fold_character(character: str) -> str:
    if character.isascii():
        return character
    category = unicodedata.category(character)
    if category in _FOLDED_CATEGORIES or character in _FOLDED_FILLERS:
        return ""
    decomposed = unicodedata.normalize("NFKD", character)
    if decomposed == character and category == _WITHOUT_CASE:
        return character
    parts = decomposed.translate(_LOOK_ALIKE)
    plain = "".join(part for part in parts if not unicodedata.combining(part))
    named = None if plain.isascii() else _NAMED_LETTER.fullmatch(unicodedata.name(character, ""))
    return named[1] if named else plain


_FOLDED = _CharacterTable(_fold_character)


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
    folded = _fold_characters(text)
    plain, starts, ends = folded
    if _MARKUP_SIGNS.isdisjoint(plain):
        return folded
    parts: list[str] = []
    kept_starts: list[int] = []
    kept_ends: list[int] = []
    at = 0
    markup = (found.span() for found in _MARKUP.finditer(plain))
    for start, end in (*markup, (len(plain), len(plain))):
        parts.append(plain[at:start])
        kept_starts += starts[at:start]
        kept_ends += ends[at:start]
        at = end
    return DecodedText("".join(parts), kept_starts, kept_ends)


def _fold_characters(text: str) -> DecodedText:
    folded = fold_letters(text)  # now each character has been met
    if text.isascii() or _FOLDED.uneven.isdisjoint(text):
        return DecodedText(folded, range(len(text)), range(1, len(text) + 1))
    starts = [i for i, each in enumerate(text) for _ in _FOLDED.get(ord(each), each)]
    return DecodedText(folded, starts, [i + 1 for i in starts])


@lru_cache(maxsize=16)  # rule after rule asks for the texts of one object
def encoded_texts(text: str) -> tuple[tuple[int, int, str], ...]:
    """Start, end and meaning of each run of base64 or hexadecimal digits that encodes text."""
    return tuple(_decode_runs(text))


def _decode_runs(text: str) -> Iterator[tuple[int, int, str]]:
    for found in _BASE64.finditer(text):
        run = found[0].rstrip("=")
        if run.islower():  # nearly every word
            continue
        if meaning := _read_run(run):
            yield *found.span(), meaning
    for found in _WRAPPED_BASE64.finditer(text) if _MAY_BE_WRAPPED.search(text) else ():
        run = _LINE_BREAK.sub("", found[0].rstrip("="))
        if not run.islower() and (meaning := _read_run(run)):
            yield *found.span(), meaning
    for found in _HEX.finditer(text):
        yield *found.span(), bytes.fromhex(found[1]).replace(b"\0", b"").decode("ascii")


def _read_run(run: str) -> str:
    """The text that a run of base64 encodes, or the pieces of text among other octets."""
    if len(run) % 4 == 1:
        return ""
    # Every fourth character rules out nearly all words before anything is decoded.
    if not run[::4].translate(_URL_SAFE).strip(_ASCII_IN_BASE64):
        meaning = _decode_base64(run)
        if meaning:
            return meaning
    if len(run) < _SHORTEST_BINARY:
        return ""
    raw = _decode_octets(run).replace(b"\0", b"")
    return b"\n".join(_ASCII_RUN.findall(raw)).decode("ascii")


def _decode_base64(run: str) -> str:
    """The text that a run of base64 encodes in UTF-8 or UTF-16; empty if it encodes none."""
    raw = _decode_octets(run)
    for mark in _BYTE_ORDER_MARKS:
        raw = raw.removeprefix(mark)
    try:
        text = raw.replace(b"\0", b"").decode("utf-8")
    except UnicodeDecodeError:
        return ""
    return text if text.replace("\r", "").replace("\n", "").replace("\t", "").isprintable() else ""


def _decode_octets(run: str) -> bytes:
    """The octets that a run of base64 encodes; none if it is no base64."""
    try:
        return base64.b64decode(run.translate(_URL_SAFE) + "=" * (-len(run) % 4), validate=True)
    except binascii.Error:
        return b""
