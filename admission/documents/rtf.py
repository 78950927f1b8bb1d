"""The rich text of Outlook's messages: its compression (MS-OXRTFCP) and its links."""

import re
import struct

from tocsin.admission.documents import LONGEST_TEXT
from tocsin.admission.errors import Malformed
from tocsin.admission.lazy_patterns import compile_lazily

_DICTIONARY = (
    b"{\\rtf1\\ansi\\mac\\deff0\\deftab720{\\fonttbl;}{\\f0\\fnil \\froman \\fswiss \\fmodern "
    b"\\fscript \\fdecor MS Sans SerifSymbolArialTimes New RomanCourier{\\colortbl\\red0\\green0"
    b"\\blue0\r\n\\par \\pard\\plain\\f0\\fs20\\b\\i\\u\\tab\\tx"
)
_COMPRESSED, _PLAIN = 0x75465A4C, 0x414C454D
_WINDOW = 4096
_LINK = compile_lazily(
    r"(?:HYPERLINK\s{1,9}\"?|href\s{0,9}=\s{0,9}(?:\"|'(?!\w\w)|\\'22|\\'27|3D\"))"
    r"((?:https?|ftp)://[^\s\"{}<>]{4,4000}?)(?=[\s\"{}<>]|\\'2[27]|$)",
    re.IGNORECASE,
)
_ESCAPED = compile_lazily(r"\\'([0-9a-fA-F]{2})")
_CONTROL = compile_lazily(r"\\(?:par|line)\b ?|\\[a-z]{1,32}-?\d{0,10} ?|[{}]")
_BROKEN = "the text of the mail is damaged: save it again, preferably as .eml"


def decompress(packed: bytes) -> str:
    """The RTF that Outlook compressed.  Raises Malformed."""
    if len(packed) < 16:
        raise Malformed(_BROKEN)
    _, size, kind, _ = struct.unpack("<4I", packed[:16])
    if size > LONGEST_TEXT:
        raise Malformed(f"the text of the mail is longer than {LONGEST_TEXT} octets")
    if kind == _PLAIN:
        return packed[16 : 16 + size].decode("cp1252", "replace")
    if kind != _COMPRESSED:
        raise Malformed(_BROKEN)
    return _expand(packed, size).decode("cp1252", "replace")


def _expand(packed: bytes, size: int) -> bytes:
    made = bytearray(_DICTIONARY)
    start = len(made)
    place = 16
    while place < len(packed) and len(made) - start < size:
        control = packed[place]
        place += 1
        for bit in range(8):
            if place >= len(packed):
                break
            if not control >> bit & 1:
                made.append(packed[place])
                place += 1
                continue
            offset, length = _reference(packed, place)
            place += 2
            distance = (len(made) - offset) % _WINDOW
            if distance == 0:
                return bytes(made[start : start + size])  # the mark of the end
            if distance > len(made):
                raise Malformed(_BROKEN)
            for _ in range(length):
                made.append(made[-distance])
    return bytes(made[start : start + size])


def _reference(packed: bytes, place: int) -> tuple[int, int]:
    """The place in the window and the number of octets that are repeated."""
    pair = int.from_bytes(packed[place : place + 2], "big")
    return pair >> 4, (pair & 15) + 2


def find_rtf_links(rich: str) -> list[str]:
    """The targets of links, those of a page in HTML that the RTF encloses included."""
    found = (_unescape(each) for each in _LINK.findall(rich))
    return list(dict.fromkeys(found))


def strip_rtf(rich: str) -> str:
    """The words of RTF, roughly: enough to find out if they are a report."""
    plain = _CONTROL.sub(lambda found: "\n" if found[0][:4] in ("\\par", "\\lin") else "", rich)
    return _unescape(plain)


def _unescape(text: str) -> str:
    plain = _ESCAPED.sub(lambda found: bytes.fromhex(found[1]).decode("cp1252", "replace"), text)
    return plain.replace("&amp;", "&").replace("\\_", "-").replace("\\~", " ")
