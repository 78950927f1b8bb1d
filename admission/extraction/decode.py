"""What the formats share: bytes to text, and the refusal of a part of a file."""

import codecs

from tocsin.admission.model import (
    Action,
    Candidate,
    Finding,
    Verdict,
)

_SAMPLE = 16_384
_MARKS: tuple[tuple[bytes, str], ...] = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_BINARY = (b"PK\x03\x04", b"%PDF", b"\x7fELF", b"MZ", b"\x1f\x8b", b"\xfd7zXZ", b"BZh")
_CONTROL = bytes(set(range(32)) - set(b"\t\n\r\f\x0b\x1b\x00")) + b"\x7f"
_OTHER_FORMATS = tuple(
    f".{ending}"
    for ending in ("xml", "ioc", "stix", "html", "htm", "xhtml", "json", "jsonl", "ndjson", "yaml")
    + ("yml", "yar", "yara", "rules", "eml", "msg", "rtf", "svg")
)


def words(text: str) -> frozenset[str]:
    """The words of a text, each once."""
    return frozenset(text.split())


def encoding(content: bytes) -> str:
    """The encoding that a byte order mark announces, else UTF-8."""
    return next((name for mark, name in _MARKS if content.startswith(mark)), "utf-8")


def decoded(content: bytes) -> str:
    """The text of a file: UTF-8, UTF-16 with a byte order mark, else Windows' Latin.

    NULs are dropped, and lines end in a line feed only.
    """
    try:
        text = content.decode(encoding(content))
    except UnicodeDecodeError:
        text = content.decode("cp1252", "replace")
    return text.replace("\0", "").replace("\r\n", "\n").replace("\r", "\n")


def textual(name: str, content: bytes) -> bool:
    """Whether a file may be text that people wrote, not a program's file in another format."""
    if name.lower().endswith(_OTHER_FORMATS) or content.startswith(_BINARY):
        return False
    sample = content[:_SAMPLE]
    if encoding(content) == "utf-16":
        return True
    unprintable = len(sample) - len(sample.translate(None, _CONTROL))
    if unprintable * 20 > len(sample) or sample.count(0) * 4 > len(sample):
        return False
    start = sample.removeprefix(codecs.BOM_UTF8).lstrip()[:200].lower()
    return not start.startswith((b"<?xml", b"<!doctype", b"<html", b"<stix", b"<ioc", b"<svg"))


def refusal(index: int, message: str) -> Candidate:
    """A candidate for what could not be read; the message names the place and the remedy."""
    finding = Finding("validate", "format", Action.REFUSED, message)
    return Candidate(index=index, object=None, verdict=Verdict.REFUSED, findings=(finding,))
