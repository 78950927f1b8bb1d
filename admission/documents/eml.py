"""A message as mail programs save it (RFC 5322, MIME), read by the standard library.

Only the fields below are decoded, since a message may have hundreds of thousands.
"""

import binascii
import hashlib
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from email import policy
from email.header import decode_header, make_header
from email.message import Message
from email.parser import BytesParser
from email.utils import getaddresses

from tocsin.admission.documents import LONGEST_TEXT, Mail
from tocsin.admission.documents.html import decode, text_of
from tocsin.admission.documents.html_links import find_links
from tocsin.admission.errors import Malformed
from tocsin.admission.lazy_patterns import compile_lazily

SENDER_FIELDS = ("from", "sender", "reply-to")
RECIPIENT_FIELDS = (
    *("to", "cc", "bcc", "apparently-to", "delivered-to", "x-delivered-to", "x-original-to"),
    *("envelope-to", "x-envelope-to", "x-rcpt-to", "x-forwarded-to", "x-forwarded-for"),
    *("resent-to", "resent-cc", "resent-bcc", "disposition-notification-to", "x-apparently-to"),
    *("x-ms-exchange-organization-originalenveloperecipients", "original-recipient"),
    *("x-resolved-to", "x-ms-exchange-crosstenant-originalenveloperecipients", "errors-to"),
)
_SIGNATURES = (
    *("application/pkcs7-signature", "application/x-pkcs7-signature", "application/pkcs7-mime"),
    *("application/x-pkcs7-mime", "application/pgp-signature", "application/pgp-encrypted"),
    *("application/pgp-keys", "text/calendar", "text/rfc822-headers"),
)
"""Parts that mail programs add: their hashes are of no use."""
_MESSAGE_NAME = "message.eml"
_MOST_BOUNDARIES = 300
_MOST_FIELDS = 20_000
_MOST_PARTS = 1_000
_DEEPEST = 10
"""Messages within messages."""
NESTED_MESSAGES = (
    "messages are attached to messages more than {} times: save the innermost one as a file of its"
    " own"
)
_LONGEST_FIELD = 100_000
ReadAttached = Callable[[str, bytes], Mail | None]
"""Reads a file with a name that may itself be a saved message; None if it is none."""
_MAILBOX = compile_lazily(r"[^\s@<>,;:\"()\[\]]{1,64}@[^\s@<>,;:\"()\[\]]{1,255}")
_FORGED = compile_lazily(r"\bspf=(?:soft)?fail\b", re.IGNORECASE)
_FOR = compile_lazily(r"\bfor\s+<?([^\s@<>;]{1,64}@[^\s@<>;]{1,255}?)>?[\s;]", re.IGNORECASE)


def read_message(content: bytes, read_attached: ReadAttached) -> Mail:
    """The message in a file.  Raises Malformed."""
    if content.lower().count(b"boundary=") > _MOST_BOUNDARIES:
        raise Malformed(f"it has more than {_MOST_BOUNDARIES} nested parts: attach fewer messages")
    parser: BytesParser[Message] = BytesParser(policy=policy.compat32)
    return _Reader(read_attached).read(parser.parsebytes(content.lstrip(b"\r\n")), 0)


class _Reader:
    """Reads a message, and those that it carries as parts."""

    def __init__(self, read_attached: ReadAttached) -> None:
        self._read_attached = read_attached

    def read(self, message: Message, depth: int) -> Mail:
        """Raises Malformed."""
        if depth > _DEEPEST:
            raise Malformed(NESTED_MESSAGES.format(_DEEPEST))
        if len(message.keys()) > _MOST_FIELDS:
            raise Malformed(f"it has more than {_MOST_FIELDS} header fields: delete some of them")
        content = Contents()
        for part in _walk(message):
            if part.get_content_type() == "message/rfc822":
                self._add_messages(part, content, depth)
            else:
                self._add_part(part, content)
        return Mail(
            senders=_senders(message),
            recipients=_recipients(message),
            names=names_in(_values(message, RECIPIENT_FIELDS)),
            checks=_field(message, "authentication-results"),
            subject=_field(message, "subject"),
            text=content.text,
            links=content.links,
            attachments=content.files,
            pictures=content.pictures,
            attached=content.attached,
            reports_abuse=_reports_abuse(message),
        )

    def _add_messages(self, part: Message, content: "Contents", depth: int) -> None:
        """Add the messages in a part, also one that was encoded as a whole."""
        for each in _messages_in(part):
            encoded = _decode_message(part, each)
            if encoded:
                content.add_file(_MESSAGE_NAME, encoded, self._read_attached)
            else:
                content.attached.append(self.read(each, depth + 1))

    def _add_part(self, part: Message, content: "Contents") -> None:
        """Add a part that is neither a message nor a container."""
        if _is_shown_picture(part):
            content.add_picture(_payload(part))
        elif _is_file(part):
            content.add_file(part.get_filename() or "", _payload(part), self._read_attached)
        elif part.get_content_type() == "text/html":
            content.add_page(decode(_payload(part)))
        elif part.get_content_maintype() == "text":
            content.texts.append(_decode_text(part))


@dataclass(slots=True)
class Contents:
    """The content of a message."""

    texts: list[str] = field(default_factory=list)
    links: list[str] = field(default_factory=list)
    files: list[str] = field(default_factory=list)
    """SHA-256 of each."""
    pictures: list[str] = field(default_factory=list)
    """SHA-256 of each that the text shows."""
    attached: list[Mail] = field(default_factory=list)

    @property
    def text(self) -> str:
        """Its words."""
        return "\n".join(self.texts)[:LONGEST_TEXT]

    def add_page(self, page: str) -> None:
        """Add a text in HTML, and its links."""
        self.links += find_links(page)
        self.texts.append(text_of(page))

    def add_file(self, name: str, content: bytes, read_attached: ReadAttached) -> None:
        """Add an attached file, or the message in it."""
        mail = read_attached(name, content)
        if mail is not None:
            self.attached.append(mail)
        else:
            self.files.append(hashlib.sha256(content).hexdigest())

    def add_picture(self, content: bytes) -> None:
        """Add a picture that the text shows."""
        self.pictures.append(hashlib.sha256(content).hexdigest())


def _walk(message: Message) -> Iterator[Message]:
    """The parts of a message that are not containers; messages in it are not entered."""
    waiting, count = [message], 0
    while waiting:
        part = waiting.pop()
        count += 1
        if count > _MOST_PARTS:
            raise Malformed(f"it has more than {_MOST_PARTS} parts: attach fewer files")
        if part.get_content_maintype() == "multipart" and part.is_multipart():
            waiting += [each for each in part.get_payload() if isinstance(each, Message)][::-1]
        else:
            yield part


def _messages_in(part: Message) -> list[Message]:
    inside = part.get_payload()
    return [each for each in inside if isinstance(each, Message)] if part.is_multipart() else []


def _decode_message(part: Message, message: Message) -> bytes:
    """The octets of a message that is in base64, which MIME forbids and some programs write.

    Empty for others: the parser has read them already.
    """
    encoding = str(part.get("content-transfer-encoding", "")).strip().lower()
    if encoding != "base64" or message.keys():
        return b""
    message["Content-Transfer-Encoding"] = encoding
    return _payload(message)


def _is_shown_picture(part: Message) -> bool:
    """True for a picture that the text shows."""
    is_attached = part.get_content_disposition() == "attachment"
    return part.get_content_maintype() == "image" and not is_attached


def _is_file(part: Message) -> bool:
    """True for a file, and no text of the message; signatures are none."""
    if part.get_content_type() in _SIGNATURES:
        return False
    if part.get_content_disposition() == "attachment":
        return True
    named = part.get_filename() is not None
    return named or part.get_content_maintype() not in ("text", "multipart", "message")


def _payload(part: Message) -> bytes:
    """The octets of a part without its transfer encoding."""
    try:
        found = part.get_payload(decode=True)
    except (ValueError, LookupError, binascii.Error):
        return b""
    return found if isinstance(found, bytes) else b""


def _decode_text(part: Message) -> str:
    raw = _payload(part)
    try:
        return raw.decode(part.get_content_charset("utf-8"), "replace")
    except (LookupError, ValueError):
        return raw.decode("utf-8", "replace")


def _reports_abuse(message: Message) -> bool:
    """True for an X-ARF report, and for a feedback report of RFC 5965."""
    kind = str(message.get_param("report-type", "")).lower()
    return "x-xarf" in message or "x-arf" in message or kind == "feedback-report"


def _field(message: Message, name: str) -> str:
    """The first field of that name, decoded."""
    return next(iter(_values(message, (name,))), "")


def _decode_field(value: str) -> str:
    octets = value[:_LONGEST_FIELD].encode("utf-8", "surrogateescape")
    value = octets.decode("utf-8", "replace")  # RFC 6532: fields in UTF-8 without any encoding
    try:
        return str(make_header(decode_header(value))) if "=?" in value else value
    except (ValueError, LookupError, UnicodeError, binascii.Error):
        return value


def _mailboxes(message: Message, names: tuple[str, ...]) -> list[str]:
    """The mailboxes in fields, in the order of the fields' names."""
    found: list[str] = []
    for name in names:
        found += mailboxes_in(_values(message, (name,)))
    return list(dict.fromkeys(found))


def _values(message: Message, names: tuple[str, ...]) -> list[str]:
    """The decoded values of the fields with these names."""
    return [_decode_field(text) for key, text in message.raw_items() if key.lower() in names]


def names_in(values: list[str]) -> list[str]:
    """The names of people in the values of address fields."""
    return list(dict.fromkeys(name for name, _ in getaddresses(values) if name))


def mailboxes_in(values: list[str]) -> list[str]:
    """The mailboxes in the values of address fields; a display name may hold one too."""
    parsed = (address for _, address in getaddresses(values) if "@" in address)
    everything = [*parsed, *(each for value in values for each in _MAILBOX.findall(value))]
    return list(dict.fromkeys(each.strip("'<>.").lower() for each in everything))


def _senders(message: Message) -> list[str]:
    checks = _field(message, "authentication-results")
    returned = return_paths(_values(message, ("return-path",)), checks)
    return list(dict.fromkeys((*_mailboxes(message, SENDER_FIELDS), *returned)))


def return_paths(values: list[str], checks: str) -> list[str]:
    """The mailboxes in the values of `Return-Path`, unless the checks of SPF say they are forged.

    One with `=` names a recipient, or a server on the way rewrote it (VERP, SRS, BATV).
    """
    forged = _FORGED.search(checks[:_LONGEST_FIELD])
    return [] if forged else [each for each in mailboxes_in(values) if "=" not in each]


def _recipients(message: Message) -> list[str]:
    """Everybody who was addressed, and for whom servers say that they received it."""
    found = _mailboxes(message, RECIPIENT_FIELDS)
    for key, value in message.items():
        if key.lower() == "received":
            found += (each.lower() for each in _FOR.findall(f"{value} "))
    return list(dict.fromkeys(found))
