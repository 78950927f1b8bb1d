"""Telephone numbers: by their international prefix, nearby words, or a country's plan.

The words stand in `words/telephone_strong.txt` (they make any number beside them a
telephone number), `telephone_unspaced.txt` (the same in scripts without blanks) and
`telephone_weak.txt` (only a number written in groups as telephone numbers are).
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from phonenumbers import COUNTRY_CODE_TO_REGION_CODE, NumberParseException, is_valid_number, parse

from tocsin.admission.detectors.spans import Span
from tocsin.admission.detectors.technical_values import find_technical_values
from tocsin.admission.detectors.text_search import contains_any, has_word_near
from tocsin.admission.lazy_patterns import compile_lazily
from tocsin.admission.word_lists import load_alternation

TELEPHONE = "telephone number"

_STRONG_WORD = compile_lazily(
    rf"\b{load_alternation(__package__, 'telephone_strong')}\b"
    rf"|{load_alternation(__package__, 'telephone_unspaced')}",
    re.IGNORECASE,
)
_WEAK_WORD = compile_lazily(
    rf"\b{load_alternation(__package__, 'telephone_weak')}\b", re.IGNORECASE
)
_SIGNATURE_LABEL = compile_lazily(r"(?:^|[\s|,;/·•])[TMPF](?:[.:]|\s?\|)?\s{1,2}\(?\Z")
"""In a signature, right before the number: `T 0641 9327`, `M: 0171 4432190`."""
_LONGEST_LABEL = 32
_NUMBER = compile_lazily(
    r"""[+(\d](?<![\w.:/@=\#$%&+-].)(?<!\d,.)(?:(?<=\+)\s?\d|(?<=\()\+?\d|(?<=\d))
        [\d() .\-/]{4,22}\d
        (?:\s?(?:x|ext\.?|extension)\s?\d{1,5})?(?![\w%@\\]|[.:,]\d)""",
    re.VERBOSE | re.IGNORECASE,
)
_DATE_OR_IPV4 = compile_lazily(
    r"(?:19|20)\d\d[-/. ]?[01]?\d[-/. ]?[0-3]?\d|\d{1,3}(?:\.\d{1,3}){3}"
)
"""The commonest other numbers; this is cheaper than looking for technical values."""
_JOINED = compile_lazily(
    r"\s?[,;/|]?\s?(?:(?:or|and|oder|und|bzw\.|ou|et|o|y|e|of|en|lub|nebo|eller|och)\s)?",
    re.IGNORECASE,
)
"""Between two telephone numbers."""
_SHORT = compile_lazily(
    r"""(?<![\w.-])(?:ext(?:ension|n)?\.?|durchwahl|dw\.?|nebenstelle|apparat|int(?:erno|\.)|anexo|ramal
          |toestel|doorkiesnummer|anknytning|wewn\.?|wewnętrzny|linka|lokalnummer|dahili)
        (?:\ (?:is|ist|est|no\.?|nr\.?))?\s?[:=]?\s{1,2}
        (?P<number>\d{3,6})(?![\w-]|[.,:/]\w|\ \d)""",
    re.VERBOSE | re.IGNORECASE,
)
_may_hold_short = contains_any(
    *("ext", "durchwahl", "dw", "nebenstelle", "apparat", "int", "anexo", "ramal", "toestel"),
    *("doorkies", "anknytning", "wewn", "linka", "lokalnummer", "dahili"),
)
_ON = compile_lazily(r"(?<!\w)(?:on|unter|au|al|no|op|via)\s\Z", re.IGNORECASE)
"""`spoke to her on 086 412 7734`."""
_EXTENSION = compile_lazily(r"\s?(?:x|ext)", re.IGNORECASE)
_DUTCH_MOBILE = compile_lazily(r"06[- ]\d{8}")
"""A form that hardly anything else has, unlike other numbers in two groups."""
_FEWEST_DIGITS, _MOST_DIGITS = 7, 16
_LONGEST_GROUP = 8
_DOTTED_GROUPS = ((3, 3, 4), (1, 3, 3, 4), (2, 2, 2, 2, 2))
"""Lengths of the groups of numbers that are written with dots (North America, France)."""


def find_telephone_numbers(text: str, regions: tuple[str, ...]) -> Iterator[Span]:
    """Telephone numbers of any country.

    `regions` are countries (ISO 3166 alpha-2) whose national numbers are recognised by
    their form alone.
    """
    last_end = -1
    for found in _NUMBER.finditer(text):
        start, end = found.span()
        number = _EXTENSION.split(found[0])[0]
        digits = sum(c.isdigit() for c in number)
        if not _FEWEST_DIGITS <= digits <= _MOST_DIGITS or _DATE_OR_IPV4.fullmatch(number):
            continue
        if find_technical_values(text).overlaps(start, end):
            continue
        follows = last_end >= 0 and _JOINED.fullmatch(text, last_end, start) is not None
        is_rest = follows and text[last_end:start] == " "  # of `+49 8541 229931 / 0171 2345678`
        if (
            is_rest
            or (follows and _is_national(number))
            or _is_telephone_number(text, number, (start, end), regions)
        ):
            last_end = end
            yield Span(start, end, TELEPHONE)


def find_extensions(text: str) -> Iterator[Span]:
    """Extensions of a telephone by themselves: `ext. 4711`."""
    for found in _SHORT.finditer(text) if _may_hold_short(text) else ():
        yield Span(*found.span("number"), TELEPHONE)


def _is_telephone_number(
    text: str, number: str, place: tuple[int, int], regions: tuple[str, ...]
) -> bool:
    groups = re.findall(r"\d+", number)
    if number.startswith("+") or (number.startswith("00") and len(groups) > 1):
        return _has_country_code("".join(groups).removeprefix("00"))
    if has_word_near(_STRONG_WORD, text, *place) or _DUTCH_MOBILE.fullmatch(number):
        return True
    if not _is_grouped(number, [len(group) for group in groups]):
        return False
    before = text[max(0, place[0] - _LONGEST_LABEL) : place[0]]
    if _SIGNATURE_LABEL.search(before):
        return True
    if number[0] == "0" and len(groups) > 2 and _ON.search(before):
        return True
    return has_word_near(_WEAK_WORD, text, *place) or _is_valid_in(number, groups, regions)


def _is_national(number: str) -> bool:
    """True if digits are grouped as in a telephone number that begins with 0."""
    return number[0] == "0" and _is_grouped(number, list(map(len, re.findall(r"\d+", number))))


def _is_grouped(number: str, lengths: list[int]) -> bool:
    """True if digits are grouped as in a telephone number, not a version or a list."""
    if len(lengths) < 2 or max(lengths) > _LONGEST_GROUP or number.count("/") > 1:
        return False
    return "." not in number or tuple(lengths) in _DOTTED_GROUPS


def _has_country_code(digits: str) -> bool:
    return len(digits) >= 8 and any(
        int(digits[:length]) in COUNTRY_CODE_TO_REGION_CODE for length in (1, 2, 3)
    )


def _is_valid_in(number: str, groups: list[str], regions: tuple[str, ...]) -> bool:
    """True if a grouped number fits a region's plan; pairs of digits alone are not enough."""
    if len(groups) < 3 and not number.startswith(("0", "(")):
        return False
    if max(map(len, groups)) < 3:
        return False
    for region in regions:
        try:
            if is_valid_number(parse(number, region)):
                return True
        except NumberParseException:
            continue
    return False
