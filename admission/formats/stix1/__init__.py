"""STIX 1.x as XML, converted by the OASIS elevator in a bounded process for each document.

The only format that starts a process: see docs/decisions/0022.  Documents with a
document type or entity are refused before the elevator sees them, so it never
follows a file or address that one names.
"""

import importlib.util
import re
from collections.abc import Iterator
from functools import cache

from tocsin.admission.bounded_process import BoundedTask, Limits
from tocsin.admission.errors import Malformed, TooLarge, Unprocessable
from tocsin.admission.extraction.text_encoding import decode_text
from tocsin.admission.formats import Format, ReadOptions, stix
from tocsin.admission.model import Candidate
from tocsin.admission.timestamps import timestamp

_NAMESPACE = re.compile(rb"http://stix\.mitre\.org/stix-1")
_SAMPLE = 65_536
_LONGEST = 8_000_000
_DEEPEST = 200
_LIMITS = Limits(
    seconds=120.0,
    memory=1_500_000_000,
    answer=64_000_000,
    wall=300.0,
    file_octets=1_000_000,  # a library of the elevator writes tables when it is loaded
    requests=1,  # the elevator keeps its options and results in globals
)
_DECLARATION = re.compile(r"\s*<\?xml[^>]{0,200}\?>")
_TYPE_DECLARATION = re.compile(r"<!\s*(?:DOCTYPE|ENTITY|ELEMENT|ATTLIST|NOTATION)", re.IGNORECASE)
_TAG = re.compile(r"<(/?)[A-Za-z_][^<>]*?(/?)>")
_EXCEEDED = "the elevator ran out of time or memory: send smaller packages"
_MISSING = "STIX 1.x needs the elevator: install it with pip install 'tocsin[stix1]'"


def is_installed() -> bool:
    """True if the elevator is installed; it is an extra."""
    return importlib.util.find_spec("stix2elevator") is not None


def _accepts(name: str, content: bytes) -> bool:
    sample = content[:_SAMPLE].replace(b"\x00", b"")  # UTF-16 as well
    return sample.lstrip(b"\xef\xbb\xbf\xff\xfe \t\r\n")[:1] == b"<" and bool(
        _NAMESPACE.search(sample)
    )


def _read_file(name: str, content: bytes, options: ReadOptions) -> Iterator[Candidate]:
    if len(content) > _LONGEST:
        raise TooLarge(f"longer than {_LONGEST} octets: send the packages one by one")
    if not is_installed():
        raise Unprocessable(_MISSING)
    document = _DECLARATION.sub("", decode_text(content), count=1).strip()
    _check(document)
    return stix.FORMAT.read(name, _elevate(document, options.now), options)


def _check(document: str) -> None:
    if _TYPE_DECLARATION.search(document):
        raise Malformed("an XML document type or entity: leave it out, STIX needs none")
    depth = 0
    for tag in _TAG.finditer(document):
        depth += -1 if tag[1] else 0 if tag[2] else 1
        if depth > _DEEPEST:
            raise Malformed(f"nested deeper than {_DEEPEST} levels")


def _elevate(document: str, now: int) -> bytes:
    outcome = _elevator().run([f"{timestamp(now)}\n{document}".encode()])[0]
    if outcome.exceeded:
        raise Malformed(_EXCEEDED)
    if not outcome.content:
        raise Malformed("the elevator cannot read this as STIX 1.x: check it against its schemas")
    return outcome.content


@cache
def _elevator() -> BoundedTask:
    return BoundedTask("tocsin.admission.formats.stix1.elevate", _LIMITS)


FORMAT = Format(
    name="stix1",
    description="STIX 1.x as XML (needs tocsin[stix1])",
    extensions=(".xml",),
    accepts=_accepts,
    read=_read_file,
)
