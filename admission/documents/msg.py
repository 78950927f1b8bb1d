"""A message as Outlook saves it (.msg, MS-OXMSG), read with olefile."""

import io
import re
import struct

import olefile

from tocsin.admission.documents import Mail
from tocsin.admission.documents.eml import (
    NESTED_MESSAGES,
    RECIPIENT_FIELDS,
    SENDER_FIELDS,
    Contents,
    ReadAttached,
    mailboxes_in,
    names_in,
    return_paths,
)
from tocsin.admission.documents.html import decode
from tocsin.admission.documents.rtf import decompress, find_rtf_links, strip_rtf
from tocsin.admission.errors import Malformed
from tocsin.admission.lazy_patterns import compile_lazily

_BROKEN = "the mail is damaged: save it again, preferably as .eml"
_NOT_A_MAIL = "it is not a mail that Outlook saved: save it as .eml"
_SUBJECT, _HEADERS, _BODY, _HTML, _RTF = "0037", "007D", "1000", "1013", "1009"
_SENDERS = ("5D01", "5D02", "0C1F", "0065", "0050")
"""SMTP addresses of the sender and of those on whose behalf, and other addresses of theirs."""
_RECIPIENTS = ("39FE", "3003", "3001", "5FF6")
_DISPLAYED_RECIPIENTS = ("0E04", "0E03", "0E02", "0076", "0040", "0E50", "3FF9")
_NAME = "3001"
_DATA, _MIME, _CONTENT_ID, _FILE_NAME = "3701", "370E", "3712", "3707"
_TEXT_TYPES = ("001F", "001E")
_BINARY = "0102"
_EMBEDDED = "__substg1.0_3701000D"
_DEEPEST = 10
_MOST_ENTRIES = 20_000
_FIELD = compile_lazily(r"^([\w-]{1,80}):[ \t]*((?:.*(?:\n[ \t].*)*))", re.MULTILINE)
_FOR = compile_lazily(r"\bfor\s+<?([^\s<>;]{3,320})")
_EXCEPTIONS = (OSError, struct.error, ValueError, IndexError, KeyError, TypeError, AttributeError)
"""Errors of olefile at files that are not what they seem."""

Folder = tuple[str, ...]


class _Storage:
    """The properties of one message, attachment or recipient."""

    def __init__(self, file: olefile.OleFileIO, folder: Folder) -> None:
        self.file, self.folder = file, folder

    def text(self, tag: str) -> str:
        """A property of characters; empty if there is none."""
        for kind in _TEXT_TYPES:
            raw = self._stream(f"__substg1.0_{tag}{kind}")
            if raw is not None:
                return raw.decode("utf-16-le" if kind == "001F" else "cp1252", "replace").strip(
                    "\0"
                )
        return ""

    def octets(self, tag: str) -> bytes | None:
        """A binary property; None if there is none."""
        return self._stream(f"__substg1.0_{tag}{_BINARY}")

    def _stream(self, name: str) -> bytes | None:
        path = [*self.folder, name]
        if not self.file.exists(path) or self.file.get_type(path) != olefile.STGTY_STREAM:
            return None
        with self.file.openstream(path) as stream:
            content: bytes = stream.read()
        return content

    def below(self, prefix: str) -> list["_Storage"]:
        """The storages in it whose name begins so."""
        depth = len(self.folder)
        names = {
            entry[depth]
            for entry in self.file.listdir(streams=True, storages=True)
            if tuple(entry[:depth]) == self.folder
            and len(entry) > depth
            and entry[depth].startswith(prefix)
        }
        return [_Storage(self.file, (*self.folder, name)) for name in sorted(names)]


def read_message(content: bytes, read_attached: ReadAttached) -> Mail:
    """The message in a file.  Raises Malformed."""
    try:
        with olefile.OleFileIO(io.BytesIO(content)) as file:
            if not file.exists("__properties_version1.0"):
                raise Malformed(_NOT_A_MAIL)
            if len(file.listdir(streams=True, storages=True)) > _MOST_ENTRIES:
                raise Malformed(f"it has more than {_MOST_ENTRIES} entries: attach fewer files")
            return _read_storage(_Storage(file, ()), 0, read_attached)
    except _EXCEPTIONS:
        raise Malformed(_BROKEN) from None


def _read_storage(message: _Storage, depth: int, read_attached: ReadAttached) -> Mail:
    if depth > _DEEPEST:
        raise Malformed(NESTED_MESSAGES.format(_DEEPEST))
    fields = _parse_fields(message.text(_HEADERS))
    content = Contents()
    _read_body(message, content)
    for part in message.below("__attach_version1.0_"):
        for inner in part.below(_EMBEDDED):
            content.attached.append(_read_storage(inner, depth + 1, read_attached))
        data = part.octets(_DATA)
        if data is not None and _is_shown_picture(part):
            content.add_picture(data)
        elif data is not None:
            content.add_file(part.text(_FILE_NAME), data, read_attached)
    return Mail(
        senders=_senders(message, fields),
        recipients=_recipients(message, fields),
        names=_names(message, fields),
        checks=" ".join(fields.get("authentication-results", [])[:1]),
        subject=message.text(_SUBJECT),
        text=content.text,
        links=content.links,
        attachments=content.files,
        pictures=content.pictures,
        attached=content.attached,
    )


def _parse_fields(headers: str) -> dict[str, list[str]]:
    """The header fields that the message had on its way, by name in lower case."""
    found: dict[str, list[str]] = {}
    for name, value in _FIELD.findall(headers.replace("\r\n", "\n")):
        found.setdefault(name.lower(), []).append(value)
    return found


def _senders(message: _Storage, fields: dict[str, list[str]]) -> list[str]:
    named = [message.text(tag) for tag in _SENDERS]
    named += [value for name in SENDER_FIELDS for value in fields.get(name, ())]
    checks = " ".join(fields.get("authentication-results", [])[:1])
    returned = return_paths(fields.get("return-path", []), checks)
    return list(dict.fromkeys((*mailboxes_in(named), *returned)))


def _recipients(message: _Storage, fields: dict[str, list[str]]) -> list[str]:
    named = [message.text(tag) for tag in _DISPLAYED_RECIPIENTS]
    for each in message.below("__recip_version1.0_"):
        named += [each.text(tag) for tag in _RECIPIENTS]
    named += [value for name in RECIPIENT_FIELDS for value in fields.get(name, ())]
    named += [f"<{each}>" for value in fields.get("received", ()) for each in _FOR.findall(value)]
    return mailboxes_in(named)


def _names(message: _Storage, fields: dict[str, list[str]]) -> list[str]:
    """The names of those who received the message."""
    shown = [name for tag in _DISPLAYED_RECIPIENTS for name in message.text(tag).split(";")]
    shown += [each.text(_NAME) for each in message.below("__recip_version1.0_")]
    in_fields = [value for name in RECIPIENT_FIELDS for value in fields.get(name, ())]
    return list(dict.fromkeys(filter(None, (*map(str.strip, shown), *names_in(in_fields)))))


def _read_body(message: _Storage, content: Contents) -> None:
    """Add the words of a message, and the targets of its links."""
    raw = message.octets(_HTML)
    page = decode(raw) if raw else message.text(_HTML)
    packed, plain = message.octets(_RTF), message.text(_BODY)
    if page:
        content.add_page(page)
    elif packed:
        rich = decompress(packed)
        content.texts.append(plain or strip_rtf(rich))
        content.links += find_rtf_links(rich)
    else:
        content.texts.append(plain)


def _is_shown_picture(part: _Storage) -> bool:
    """True for a picture that the text shows."""
    return bool(part.text(_CONTENT_ID)) and part.text(_MIME).lower().startswith("image/")
