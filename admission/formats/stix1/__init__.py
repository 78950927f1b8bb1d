"""STIX 1.x as XML, converted by the OASIS elevator in a bounded process for each document.

Why in a process: see docs/decisions/0046.  Documents with a
document type or entity are refused before the elevator sees them, so it never
follows a file or address that one names.
"""

import importlib.util
import logging
import re
from collections.abc import Iterator
from functools import cache

import msgspec

from tocsin.admission.bounded_process import BoundedTask, Exceeded, Limits
from tocsin.admission.errors import Malformed, TooLarge, Unprocessable
from tocsin.admission.extraction.indicators import refused_candidate
from tocsin.admission.extraction.text_encoding import decode_text
from tocsin.admission.formats import Format, ReadOptions, stix
from tocsin.admission.lazy_patterns import compile_lazily
from tocsin.admission.model import Candidate
from tocsin.admission.timestamps import timestamp

log = logging.getLogger(__name__)

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
_DECLARATION = compile_lazily(r"\s*<\?xml[^>]{0,200}\?>")
_TYPE_DECLARATION = compile_lazily(
    r"<!\s*(?:DOCTYPE|ENTITY|ELEMENT|ATTLIST|NOTATION)", re.IGNORECASE
)
_MARKUP = compile_lazily(
    r"<(?:(?P<skipped>!--|!\[CDATA\[|\?)|(?P<end>/?)[^\s<>!?/]"
    r"(?:[^<>\"']++|\"[^\"<]*+\"|'[^'<]*+')*+>)"
)
"""A tag, or the beginning of what is skipped.  Attributes may hold `>` but not `<`, so each
attempt ends at the next `<`; the possessive repetitions never go back."""
_ENDS = {"!--": "-->", "![CDATA[": "]]>", "?": "?>"}
_EXCEEDED = "the elevator ran out of time or memory: send smaller packages"
_FAILED = "the elevator failed at this document: check it against its schemas"
_UNREADABLE = "the elevator cannot read this as STIX 1.x: check it against its schemas"
_LONGEST_ID = 100
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
    if _TYPE_DECLARATION.search(document):
        raise Malformed("an XML document type or entity: leave it out, STIX needs none")
    _check_depth(document)
    elevated = _elevate(document, options.now)
    return _read_elevated(name, elevated, options)


def _check_depth(document: str) -> None:
    depth = at = 0
    while markup := _MARKUP.search(document, at):
        at = markup.end()
        if skipped := markup["skipped"]:
            at = document.find(_ENDS[skipped], at)
            if at < 0:
                return  # not well-formed: no parser reads on
        elif markup["end"]:
            depth -= 1
        elif not markup[0].endswith("/>"):
            depth += 1
            if depth > _DEEPEST:
                raise Malformed(f"nested deeper than {_DEEPEST} levels")


class _Elevated(msgspec.Struct):
    """The elevator's answer: see `elevate.prepare`."""

    bundle: msgspec.Raw
    failed: list[str]
    errors: list[str]


def _elevate(document: str, now: int) -> _Elevated:
    outcome = _elevator().run([f"{timestamp(now)}\n{document}".encode()])[0]
    if outcome.exceeded:
        raise Malformed(_FAILED if outcome.exceeded is Exceeded.CRASH else _EXCEEDED)
    return msgspec.json.decode(outcome.content, type=_Elevated)


def _read_elevated(name: str, elevated: _Elevated, options: ReadOptions) -> Iterator[Candidate]:
    """The objects of the packages, then a refused candidate for each that was not converted."""
    for error in elevated.errors:
        log.info("the elevator cannot convert a package: %s", ascii(error))
    index = 0
    for candidate in stix.FORMAT.read(name, bytes(elevated.bundle), options):
        yield candidate
        index += 1
    if not index and elevated.failed:
        raise Malformed(_UNREADABLE)
    for number, package in enumerate(elevated.failed, index):
        shown = ascii(package[:_LONGEST_ID])[1:-1]
        yield refused_candidate(
            number, f"the package {shown} cannot be converted: check it against its schemas"
        )


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
