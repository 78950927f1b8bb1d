"""Texts as they are shown: hostile characters visibly, values defanged, times in UTC
and in the zone that the reader has chosen.

Every text of a partner's passes `shown` or `value`; nothing of it can act in a page.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from markupsafe import Markup, escape

from tocsin.admission.descriptions import count
from tocsin.admission.model import Tlp
from tocsin.admission.stix.object_titles import single_value

LONGEST = 2_000
"""Characters of a text that are shown at first."""
_HIDDEN = frozenset({"Cc", "Cf", "Co", "Cn", "Cs", "Zl", "Zp"})
_NAMES = {
    0x0A: "LF", 0x0D: "CR", 0x09: "TAB", 0x00: "NUL", 0xAD: "SHY", 0xA0: "NBSP",
    0x200B: "ZWSP", 0x200C: "ZWNJ", 0x200D: "ZWJ", 0x200E: "LRM", 0x200F: "RLM",
    0x202A: "LRE", 0x202B: "RLE", 0x202C: "PDF", 0x202D: "LRO", 0x202E: "RLO",
    0x2028: "LS", 0x2029: "PS", 0x2060: "WJ", 0x2066: "LRI", 0x2067: "RLI",
    0x2068: "FSI", 0x2069: "PDI", 0xFEFF: "BOM", 0x3000: "IDSP",
}  # fmt: skip
_DOT = re.compile(r"(?<=[\w-])(?!(?<=T\d\d:\d\d:\d\d)\.\d+Z)\.(?=[\w-])")
"""A dot within a name or an address, but not that of a time."""
_AFTER_AT = re.compile(r"@[\w.-]+")
_MOST_MARKS = 3
_LONG_SPAN = 60
_UNITS = ((86_400, "d"), (3_600, "h"), (60, "min"), (1, "s"))
_SECOND = 1_000_000
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_LETTERS_WITHOUT_INK = frozenset({0x034F, 0x115F, 0x1160, 0x17B4, 0x17B5, 0x2800, 0x3164, 0xFFA0})
"""Letters and signs by their category, of which nothing is seen."""


def shown(text: object, most: int = LONGEST) -> Markup:
    """Prose as HTML; direction by its content, so that Arabic and Hebrew stay readable."""
    return Markup('<bdi dir="auto">{}</bdi>').format(_visible(str(text), most, has_lines=True))


def value(text: object, most: int = LONGEST) -> Markup:
    """A value, pattern or name as HTML: defanged, and always from left to right."""
    return Markup('<code class="value">{}</code>').format(_visible(defang(str(text)), most))


def short_title(text: object, most: int = LONGEST) -> Markup:
    """A title as `value`.

    It may have been cut before, so the number of characters left out is unknown.
    """
    inner = _visible(defang(str(text)), most, counts=False)
    return Markup('<code class="value">{}</code>').format(inner)


def defang(text: str) -> str:
    """Write a value so that nothing makes a link of it.

    >>> defang("http://evil.test/a.b?c=d@e.test")
    'hxxp://evil[.]test/a.b?c=d[@]e[.]test'
    >>> defang("until: 2026-11-29T12:15:16.792640Z")
    'until: 2026-11-29T12:15:16.792640Z'
    """
    text = re.sub(r"\b(h)tt(ps?)(?=:)", r"\1xx\2", text, flags=re.IGNORECASE)
    head, slashes, rest = text.partition("://")
    if not slashes:
        return _DOT.sub("[.]", text).replace("@", "[@]")
    host, slash, path = rest.partition("/")
    path = _AFTER_AT.sub(lambda found: _DOT.sub("[.]", found[0]), path)
    return f"{head}{slashes}{_DOT.sub('[.]', host)}{slash}{path}".replace("@", "[@]")


def label(text: object, most: int = 40) -> str:
    """A value as plain text for pictures: defanged, hidden characters by name, cut.

    >>> label("evil.test\\u202egpj", 14)
    'evil[.]test[RLO]gpj'
    """
    pieces, marks = list[str](), 0
    for character in defang(str(text)[:most]):
        marks = marks + 1 if unicodedata.category(character).startswith("M") else 0
        is_plain = marks <= _MOST_MARKS and not _is_hidden(character)
        pieces.append(character if is_plain else f"[{_short_name(character)}]")
    return "".join(pieces) + ("…" if len(str(text)) > most else "")


def _visible(text: str, most: int, *, has_lines: bool = False, counts: bool = True) -> Markup:
    """HTML of a text in which no character is invisible or changes the order of others.

    `has_lines`: line feeds begin a new line.  `counts`: how many characters are left out
    is shown.
    """
    pieces, marks = [], 0
    for character in text[:most]:
        marks = marks + 1 if unicodedata.category(character).startswith("M") else 0
        if character == "\n" and has_lines:
            pieces.append(Markup("<br>"))
        elif marks > _MOST_MARKS or _is_hidden(character):
            pieces.append(_chip(character))
        else:
            pieces.append(escape(character))
    if (left := len(text) - most) > 0:
        note = f"… {left:,} more characters" if counts else "…"
        pieces.append(Markup('<span class="more">{}</span>').format(note))
    return Markup("").join(pieces)


def _is_hidden(character: str) -> bool:
    if character == " ":
        return False
    code = ord(character)
    is_selector = 0xFE00 <= code <= 0xFE0F or 0xE0100 <= code <= 0xE01EF
    is_inkless = is_selector or code in _LETTERS_WITHOUT_INK
    category = unicodedata.category(character)
    return category in _HIDDEN or category == "Zs" or is_inkless


def _chip(character: str) -> Markup:
    short = _short_name(character)
    name = unicodedata.name(character, short)
    return Markup('<span class="chip" title="{}">{}</span>').format(name, short)


def _short_name(character: str) -> str:
    code = ord(character)
    return _NAMES.get(code, f"U+{code:04X}")


def parts(
    pieces: Iterable[tuple[str, str]], *, is_value: bool = False, is_literal: bool = False
) -> Markup:
    """A text in pieces, each with its kind, as HTML: as `shown`, or as `value`.

    `is_literal`: a value of which nothing can make a link, as a time; it is not defanged.

    `mark`: words in question; `mask`: what stands in the place of something; `gap`: what the hub
    says of a part that is left out; empty: all else.
    """
    shapes = {
        "": Markup("{}"),
        "mark": Markup('<mark tabindex="-1">{}</mark>'),
        "mask": Markup('<ins><span class="off">added: </span>{}</ins>'),
        "gap": Markup('<span class="more">{}</span>'),
    }
    inner = Markup("").join(
        shapes[kind].format(
            _visible(
                defang(text) if is_value and not is_literal else text,
                len(text) * 3,
                has_lines=not is_value,
            )
        )
        for kind, text in pieces
    )
    if is_value:
        return Markup('<code class="value">{}</code>').format(inner)
    return Markup('<bdi dir="auto">{}</bdi>').format(inner)


def tlp(level: object) -> Markup:
    """The chip of a TLP level, from its label or the level itself."""
    label = level.label if isinstance(level, Tlp) else str(level)
    word = label.lower().replace("+", "-")
    return Markup('<span class="tlp tlp-{}">TLP:{}</span>').format(word, label.upper())


def time(micros: int | None, *, seconds: bool = False, zone: ZoneInfo | None = None) -> Markup:
    """A time in UTC, and in a zone in brackets; `micros` since 1970, None for none."""
    if micros is None:
        return Markup("–")
    moment, clock = _moment(micros), "%H:%M:%S" if seconds else "%H:%M"
    text = f"{moment.day} {moment:%b %Y {clock}} UTC"
    shown = Markup('<time datetime="{}">{}</time>').format(moment.isoformat(), text)
    return shown + _in_zone(zone, clock, moment)


def find_zone(name: str) -> ZoneInfo | None:
    """The time zone of a name; None if there is none, or not on this machine any more."""
    try:
        return ZoneInfo(name) if name else None
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return None


def _in_zone(zone: ZoneInfo | None, clock: str, *moments: datetime) -> Markup:
    """One time or the two ends of a span in a zone, in brackets, with the day if it is another."""
    try:
        local = [each.astimezone(zone) for each in moments] if zone else []
    except OverflowError:  # past the last day of the year 9999 there
        local = []
    if not local:
        return Markup("")
    first = local[0]
    day = "" if first.date() == moments[0].date() else f"{first.day} {first:%b} "
    clocks = "–".join(f"{each:{clock}}" for each in local)
    return Markup(' <span class="zone">({}{} {})</span>').format(day, clocks, first.tzname())


def _moment(micros: int) -> datetime:
    """A time exactly: as a fraction of seconds, the last of the year 9999 would be rounded up."""
    return _EPOCH + timedelta(microseconds=micros)


def short_day(micros: int) -> str:
    """The day of a time in UTC, short, for charts.

    >>> short_day(0)
    '1 Jan 70'
    """
    moment = _moment(micros)
    return f"{moment.day} {moment:%b %y}"


def age(micros: int, now: int) -> str:
    """A span of time in words.

    >>> age(0, 4_380 * 1_000_000)
    '1 h 13 min'
    """
    seconds = max(0, now - micros) // _SECOND
    parts: list[str] = []
    for length, unit in _UNITS:
        number, seconds = divmod(seconds, length)
        if number or (parts and unit != "s"):
            parts.append(f"{number} {unit}")
        if len(parts) == 2:  # noqa: PLR2004
            break
    return " ".join(part for part in parts if not part.startswith("0 ")) or "0 s"


def hour(micros: int | None, *, zone: ZoneInfo | None = None) -> Markup:
    """The hour that begins at a time, where no more is known: 27 Nov 2026 11–12 h UTC.

    In a zone in brackets behind.
    """
    if micros is None:
        return Markup("–")
    moment = datetime.fromtimestamp(micros / _SECOND, UTC)
    text = f"{moment.day} {moment:%b %Y} {moment.hour}–{moment.hour + 1} h UTC"
    shown = Markup('<time datetime="{}">{}</time>').format(f"{moment:%Y-%m-%dT%HZ}", text)
    return shown + _in_zone(zone, "%H:%M", moment, moment + timedelta(hours=1))


def day(micros: int) -> str:
    """The day of a time: 27 Nov 2026."""
    moment = _moment(micros)
    return f"{moment.day} {moment:%b %Y}"


def span(micros: float) -> str:
    """A short span of time.

    >>> span(420_000), span(2_100_000), span(150_000_000)
    ('0.42 s', '2.1 s', '2 min 30 s')
    """
    seconds = micros / _SECOND
    if seconds >= _LONG_SPAN:
        return age(0, int(micros))
    return f"{seconds:.2f} s" if seconds < 1 else f"{seconds:.1f} s"


def number(value: int) -> str:
    """A number with its thousands apart: 41,203."""
    return f"{value:,}"


FILTERS: dict[str, Callable[..., object]] = {
    "shown": shown, "value": value, "short_title": short_title, "defang": defang, "tlp": tlp,
    "time": time, "age": age, "count": count, "number": number, "day": day, "hour": hour,
    "span": span, "label": label, "single_value": single_value, "short_day": short_day,
    "parts": parts,
}  # fmt: skip
