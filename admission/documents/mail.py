"""A message in a file, as mail programs (.eml) or Outlook (.msg) save it, with those it carries."""

import re

from tocsin.admission.documents import Mail, eml, msg
from tocsin.admission.errors import Malformed

_DEEPEST = 10
_OLE = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
_OUTLOOK = "__properties_version1.0".encode("utf-16-le")
_FIELDS = re.compile(
    rb"\s{0,9}(?:[!-9;-~]{1,80}:[^\n]{0,2000}\n(?:[ \t][^\n]{0,2000}\n){0,200}){3}"
)


def read(content: bytes) -> Mail:
    """The message in a file.  Raises Malformed."""
    return _read(content, 0)


def _read(content: bytes, depth: int) -> Mail:
    """A message that is attached to `depth` others."""
    if depth > _DEEPEST:
        raise Malformed(eml.NESTED_MESSAGES.format(_DEEPEST))

    def read_attached(name: str, inner: bytes) -> Mail | None:
        return _read(inner, depth + 1) if _is_mail(name, inner) else None

    if content.startswith(_OLE):
        return msg.read_message(content, read_attached)
    return eml.read_message(content, read_attached)


def _is_mail(name: str, content: bytes) -> bool:
    """True if an attached file is itself a saved message."""
    if content.startswith(_OLE):
        return _OUTLOOK in content
    return name.lower().endswith(".eml") and _FIELDS.match(content) is not None
