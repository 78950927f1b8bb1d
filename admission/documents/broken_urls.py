"""URLs that the end of a line broke, in the text of a PDF.

Lines of word processors keep the blank at which they were broken.  A line without one is the last
of its paragraph, or it is broken in the middle of a word.  Of other lines only a word alone may
be the rest of a URL that ends in the middle of its path.
"""

import re
from collections.abc import Sequence

from tocsin.admission.documents.broken_hashes import HASH_DIGITS, is_part_of_hash
from tocsin.admission.lazy_patterns import compile_lazily
from tocsin.admission.observables.domain_names import parse_known_host
from tocsin.admission.observables.refang import refang

_FEWEST_BLANKS = 2
"""Lines of a page that end with a blank, if the program that made it keeps them."""
_FULL = 0.85
"""The share of the longest line that a line would have with the next piece of its last word."""
_LEAST_WIDTH = 60
"""Characters of a line of text, as wide as a page."""
_SCHEME = compile_lazily(r"\w\[?:\]?//")
_URL = compile_lazily(r"[a-z]{2,10}://[^\s/?#]{1,300}[/?#:]?\S{0,2000}$", re.IGNORECASE)
_OPEN_ENDS = ("/", "?", "&", "=", "%", "_", "-")
_PIECE = compile_lazily(r"[^/?&-]*[/?&-]?")
"""The characters up to the next place at which a word may be broken."""
_REST = compile_lazily(r"[\w.~%+=&?#/:;,!()\[\]-]{1,2000}")
_ONLY_IN_URLS = compile_lazily(r"[/?=&%_#]")
_NO_REST = compile_lazily(
    r"[(\[]|#[a-z]\w*$|\d{1,3}\W?$|\d{1,4}([-/])\d{1,2}\1\d{1,4}$"
    r"|(?:md5|sha-?(?:1|256|512)|hash(?:es)?)[:=]",
    re.IGNORECASE,
)
"""Words of their own: after a bracket, a hashtag, a number, a date, a hash with its kind."""
_ALTERNATIVE = compile_lazily(r"[a-z]{1,12}/[a-z]{1,12}", re.IGNORECASE)
"""Two words of a sentence, as `and/or`."""
_SEPARATOR = compile_lazily(r"[,;:|]")
_INSIDE_PATH = compile_lazily(r"\w\.\w|\d")
_ADDRESS = compile_lazily(r"\d{1,3}(?:\.\d{1,3}){3}(?!\w)")
_END_OF_SENTENCE = ".,;:!)"
_LONG = 20
_LONGEST = 2_000
"""Characters in which the beginning of a URL must stand."""


def join_broken_urls(text: str) -> str:
    """The text of a page with URLs whole that the end of a line broke."""
    lines = text.split("\n")
    keeps_blanks = sum(line.endswith(" ") for line in lines) >= _FEWEST_BLANKS
    width = max(map(len, lines))
    may_be_alone = _is_broken_at_width(lines, width)
    joined, length = lines[:1], len(lines[0])
    for line in lines[1:]:
        piece = _find_rest(joined[-1], line)
        is_alone = may_be_alone and " " not in line.strip() and joined[-1].endswith(_OPEN_ENDS)
        if piece and (keeps_blanks or is_alone) and length + len(piece) >= _FULL * width:
            joined[-1] += line
        else:
            joined.append(line)
        length = len(line)
    return "\n".join(joined)


def _is_broken_at_width(lines: Sequence[str], width: int) -> bool:
    """True if lines end where the page does; not if only URLs of a list are as long as that."""
    others = max((len(line) for line in lines if not _SCHEME.search(line)), default=0)
    return width >= _LEAST_WIDTH or others >= _FULL * width


def _find_rest(above: str, line: str) -> str:
    """The first piece of the rest of a URL that may end the line above; else empty."""
    above = above[-_LONGEST:]
    if "://" not in refang(above) or above.endswith(" ") or not line.strip():
        return ""
    word, rest = refang(above.split()[-1]), line.split()[0]
    if not line.startswith(rest) or not _URL.search(word) or not _REST.fullmatch(rest):
        return ""
    plain = rest.rstrip(_END_OF_SENTENCE)
    if _is_value(refang(plain)) or _NO_REST.match(plain):
        return ""
    if not _is_of_url(plain, is_open=word.endswith(_OPEN_ENDS)):
        return ""
    found = _PIECE.match(rest)
    return found[0] if found else ""


def _is_value(word: str) -> bool:
    """True if a word is a value, or begins with one: `evil.org/x`, a hash before its name."""
    if "://" in word or _ADDRESS.match(word):
        return True
    first = _SEPARATOR.split(word, maxsplit=1)[0]
    is_hash = is_part_of_hash(first) and len(first) in HASH_DIGITS
    return is_hash or parse_known_host(first.partition("/")[0]) is not None


def _is_of_url(word: str, *, is_open: bool) -> bool:
    """True if a word is hardly one of a sentence; after an open end, a file's name is none."""
    if _ONLY_IN_URLS.search(word) or len(word) >= _LONG:
        return is_open or not _ALTERNATIVE.fullmatch(word)
    return is_open and _INSIDE_PATH.search(word) is not None
