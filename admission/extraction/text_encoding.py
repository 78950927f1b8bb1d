"""Bytes of a submitted file as text: byte order marks, UTF-8, UTF-16, Windows-1252."""

import codecs

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


def detect_encoding(content: bytes) -> str:
    """The encoding that a byte order mark announces, else UTF-8."""
    return next((name for mark, name in _MARKS if content.startswith(mark)), "utf-8")


def decode_text(content: bytes) -> str:
    """The text of a file: UTF-8, UTF-16 with a byte order mark, else Windows-1252.

    NULs are dropped, and lines end in a line feed only.
    """
    try:
        text = content.decode(detect_encoding(content))
    except UnicodeDecodeError:
        text = content.decode("cp1252", "replace")
    return text.replace("\0", "").replace("\r\n", "\n").replace("\r", "\n")


def normalise_json_bytes(content: bytes) -> bytes:
    """The bytes of a JSON file as UTF-8 without a byte order mark."""
    if detect_encoding(content) == "utf-16":
        return decode_text(content).encode("utf-8", "replace")
    return content.removeprefix(codecs.BOM_UTF8)


def is_plain_text(name: str, content: bytes) -> bool:
    """True if a file may be text written by people, not another format written by a program."""
    if name.lower().endswith(_OTHER_FORMATS) or content.startswith(_BINARY):
        return False
    sample = content[:_SAMPLE]
    if detect_encoding(content) == "utf-16":
        return True
    unprintable = len(sample) - len(sample.translate(None, _CONTROL))
    if unprintable * 20 > len(sample) or sample.count(0) * 4 > len(sample):
        return False
    start = sample.removeprefix(codecs.BOM_UTF8).lstrip()[:200].lower()
    return not start.startswith((b"<?xml", b"<!doctype", b"<html", b"<stix", b"<ioc", b"<svg"))
