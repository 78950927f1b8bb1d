"""STIX 1.x as XML, by the OASIS elevator in a process of its own.

The only format that leaves this process: see docs/decisions/0022.  Nothing
that a document type could bring along gets that far, no entity, no file, no
address: a declaration of one is refused here.
"""

import importlib.util
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from tocsin.admission.errors import Malformed, TooLarge, Unprocessable
from tocsin.admission.extraction.decode import decoded
from tocsin.admission.formats import Format, ReadOptions, stix
from tocsin.admission.model import Candidate
from tocsin.admission.timestamps import timestamp

_PROGRAM = Path(__file__).with_name("elevate.py")
_NAMESPACE = re.compile(rb"http://stix\.mitre\.org/stix-1")
_SAMPLE = 65_536
_LONGEST = 8_000_000
_LONGEST_ANSWER = 64_000_000
_DEEPEST = 200
_SECONDS = 300
_DECLARATION = re.compile(r"\s*<\?xml[^>]{0,200}\?>")
_FOREIGN = re.compile(r"<!\s*(?:DOCTYPE|ENTITY|ELEMENT|ATTLIST|NOTATION)", re.IGNORECASE)
_TAG = re.compile(r"<(/?)[A-Za-z_][^<>]*?(/?)>")
_ENDLESS = "the elevator did not come to an end: send smaller packages"
_MISSING = "STIX 1.x needs the elevator: install it with pip install 'tocsin[stix1]'"


def installed() -> bool:
    """Whether the elevator is there: it is an extra."""
    return importlib.util.find_spec("stix2elevator") is not None


def _accepts(name: str, content: bytes) -> bool:
    sample = content[:_SAMPLE].replace(b"\x00", b"")  # UTF-16 as well
    return sample.lstrip(b"\xef\xbb\xbf\xff\xfe \t\r\n")[:1] == b"<" and bool(
        _NAMESPACE.search(sample)
    )


def _read_file(name: str, content: bytes, reading: ReadOptions) -> Iterator[Candidate]:
    if len(content) > _LONGEST:
        raise TooLarge(f"longer than {_LONGEST} octets: send the packages one by one")
    if not installed():
        raise Unprocessable(_MISSING)
    document = _DECLARATION.sub("", decoded(content), count=1).strip()
    _check(document)
    return stix.FORMAT.read(name, _elevated(document, reading.now), reading)


def _check(document: str) -> None:
    if _FOREIGN.search(document):
        raise Malformed("an XML document type or entity: leave it out, STIX needs none")
    depth = 0
    for tag in _TAG.finditer(document):
        depth += -1 if tag[1] else 0 if tag[2] else 1
        if depth > _DEEPEST:
            raise Malformed(f"nested deeper than {_DEEPEST} levels")


def _elevated(document: str, now: int) -> bytes:
    moment = timestamp(now)
    command = [sys.executable, "-I", str(_PROGRAM), moment]
    try:
        with tempfile.TemporaryDirectory(prefix="tocsin-") as home:
            told = subprocess.run(  # noqa: S603  (our own program, no shell)
                command,
                input=document.encode(),
                capture_output=True,
                timeout=_SECONDS,
                env={"HOME": home},  # a library of the elevator's keeps tables there
            )
    except subprocess.TimeoutExpired:
        raise Malformed(_ENDLESS) from None
    if told.returncode < 0:  # ended by one of its limits
        raise Malformed(_ENDLESS)
    if told.returncode or not told.stdout or len(told.stdout) > _LONGEST_ANSWER:
        raise Malformed("the elevator cannot read this as STIX 1.x: check it against its schemas")
    return told.stdout


FORMAT = Format(
    name="stix1",
    description="STIX 1.x as XML (needs tocsin[stix1])",
    extensions=(".xml",),
    accepts=_accepts,
    read=_read_file,
)
