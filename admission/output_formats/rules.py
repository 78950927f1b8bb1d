"""Shared by the formats for Suricata and Snort: numbers and texts of rules."""

from collections.abc import Iterator
from typing import NamedTuple
from urllib.parse import urlsplit
from zlib import crc32

from tocsin.admission.output_formats import CurrentState
from tocsin.admission.output_formats.entries import single_line

_PLAIN = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-/=&%+~,")
_PLAIN_IN_MESSAGES = _PLAIN | frozenset(" ()")


class WebAddress(NamedTuple):
    """A URL as it is seen in an unencrypted request."""

    host: str
    port: str
    """`any` if the URL names none: rules then leave it to the engine to recognise HTTP."""
    target: str
    """Path and query."""
    indicator: str


class RuleNumbers:
    """The numbers of rules: they follow from a rule's text, so that they seldom change.

    Two texts with one number get the next free one, in the order in which they are asked for.
    """

    def __init__(self, first: int, span: int) -> None:
        """Numbers from `first` on, `span` of them."""
        self._first, self._span = first, span
        self._used: set[int] = set()

    def number(self, text: str) -> int:
        """The number of a rule, of which `text` is the subject."""
        wanted = crc32(text.encode()) % self._span
        while wanted in self._used:
            wanted = (wanted + 1) % self._span
        self._used.add(wanted)
        return self._first + wanted


def web_addresses(state: CurrentState) -> Iterator[WebAddress]:
    """The `http://` URLs: in others a sensor sees no path."""
    for each in state.values("url"):
        if each.value.startswith("http://"):
            parts = urlsplit(each.value)
            port = "any" if parts.port is None else str(parts.port)
            query = f"?{parts.query}" if parts.query else ""
            host = parts.hostname or ""
            yield WebAddress(host, port, (parts.path or "/") + query, each.indicator)


def content(text: str) -> str:
    """A text as the content of a rule: every sign with a meaning as a hexadecimal octet.

    >>> content('a;"b')
    'a|3b 22|b'
    """
    pieces, codes = [], []
    for octet in text.encode():
        sign = chr(octet)
        if sign not in _PLAIN:
            codes.append(f"{octet:02x}")
            continue
        if codes:
            pieces.append(f"|{' '.join(codes)}|")
            codes = []
        pieces.append(sign)
    return "".join(pieces) + (f"|{' '.join(codes)}|" if codes else "")


def message(feed: str, text: str) -> str:
    """The message of a rule, without a sign that has a meaning in rules."""
    name = "".join(c if c in _PLAIN or c == " " else "_" for c in single_line(feed, 60))
    plain = "".join(c if c in _PLAIN_IN_MESSAGES else "_" for c in single_line(text))
    return f"Tocsin {name}: {plain}"
