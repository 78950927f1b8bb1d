"""A mailbox, to which people forward suspicious messages."""

from __future__ import annotations

import imaplib
import re
import socket
import ssl
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Annotated, Any

from msgspec import Meta

from tocsin.admission.errors import Malformed, Unavailable
from tocsin.clients.bounds import ResponseRefused
from tocsin.clients.public_addresses import find_public_addresses
from tocsin.clients.sources import Document, Memory, Source

_SIZE = re.compile(rb"RFC822\.SIZE (\d{1,12})")
_FOLDER = re.compile(r'[^"\\\r\n\0]{1,200}')
_FOR_NOW = re.compile(rb"\[(?:UNAVAILABLE|INUSE|LIMIT|THROTTLED)\b", re.IGNORECASE)
"""The beginning of a refusal that passes (RFC 5530 section 3)."""
_SECONDS = 60.0
"""Seconds for each answer of the server."""
_MAX_ANSWER = 4 * 1024 * 1024
"""Octets of the answer to a command, without those of a message."""
_LINE_COST = 200
"""Octets that a line counts in addition, since its object in memory takes that."""
_HIGHEST_UID = 2**32 - 1


class ImapSource(Source, kw_only=True, frozen=True, forbid_unknown_fields=True, tag="imap"):
    """The messages of a folder that came since the last run.  None is changed or marked as read."""

    host: str
    user: str
    password_file: Path
    """A file with the password; it should be readable by its owner only."""
    port: Annotated[int, Meta(ge=1, le=65_535)] = 993
    folder: str = "INBOX"
    ca: Path | None = None
    """The CA of the server's certificate, in PEM."""
    allow_private: bool = False
    """Read from an address in our own network."""
    max_length: Annotated[int, Meta(ge=1024, le=1 << 31)] = 32 * 1024 * 1024
    """The longest message, in octets; longer ones are left out."""

    def check(self) -> None:
        """See Source."""
        super().check()
        if not _FOLDER.fullmatch(self.folder):
            raise Malformed("folder: holds a quotation mark, a backslash or a control character")
        self._password()

    def place(self) -> str:
        """See Source; mailboxes may have the same UIDVALIDITY by chance."""
        return f"{self.user} {self.host}:{self.port} {self.folder}"

    def documents(self, memory: Memory) -> Iterator[Document]:
        """See Source; one document is one message."""
        with self._connect() as mailbox:
            validity = _select(mailbox, self.folder)
            is_same = memory.get("validity") == validity
            last = int(memory.get("last", "0")) if is_same else 0
            for uid in _list_messages(mailbox, last):
                kept = {"validity": validity, "last": str(uid)}
                message = _read_message(mailbox, uid, self.max_length)
                reason = (
                    f"longer than max_length ({self.max_length} octets), refused by the server, or "
                    "deleted meanwhile"
                )
                yield Document(f"message-{uid}.eml", message, kept, "" if message else reason)

    def _password(self) -> str:
        try:
            return self.password_file.read_text().strip()
        except (OSError, UnicodeDecodeError) as error:
            raise Malformed(
                f"password_file: {self.password_file} cannot be read; name a text file"
            ) from error

    @contextmanager
    def _connect(self) -> Iterator[_Mailbox]:
        context = ssl.create_default_context(cafile=str(self.ca) if self.ca else None)
        password = self._password()
        try:
            found = [self.host]
            if not self.allow_private:
                found = find_public_addresses(self.host, self.port)
            with _Mailbox(self.host, self.port, found, context) as mailbox:
                mailbox.login(self.user, password)
                yield mailbox
        except imaplib.IMAP4.error as error:
            reason = _shorten(error, password)
            raise Unavailable(
                f"{self.host} refuses the login or the folder: {reason}; check the source"
            ) from error
        except OSError as error:
            reason = _shorten(error, password)
            raise Unavailable(f"{self.host} cannot be read: {reason}") from error
        except ValueError as error:
            raise Unavailable(f"{self.host} did not answer in IMAP; check host and port") from error


class _Mailbox(imaplib.IMAP4_SSL):
    """A mailbox over TLS, with a bound on what the server answers to a command."""

    def __init__(
        self, host: str, port: int, addresses: Sequence[str], context: ssl.SSLContext
    ) -> None:
        """`addresses`: those of the host that were checked; no other is connected to."""
        self._addresses, self._context, self._left = addresses, context, _MAX_ANSWER
        super().__init__(host, port, ssl_context=context, timeout=_SECONDS)

    def __exit__(self, *_: object) -> None:
        """Log out, and close the connection even if the server does not let us."""
        try:
            self.allow(0)
            self.logout()
        except (imaplib.IMAP4.error, OSError, ResponseRefused, ValueError):
            with suppress(OSError):
                self.shutdown()

    def allow(self, octets: int) -> None:
        """Accept `octets`, and those of its frame, in the answer to the next command."""
        self._left = octets + _MAX_ANSWER
        self.untagged_responses.clear()

    def _create_socket(self, timeout: float | None) -> ssl.SSLSocket:
        failure = OSError("no address")
        for address in self._addresses:
            try:
                plain = socket.create_connection((address, self.port), timeout)
            except OSError as error:
                failure = error
            else:
                return self._context.wrap_socket(plain, server_hostname=self.host)
        raise failure

    def read(self, size: int) -> bytes:
        """See imaplib; `size` is what the server says."""
        self._take(size)
        return super().read(size)

    def readline(self) -> bytes:
        """See imaplib."""
        line = super().readline()
        self._take(len(line) + _LINE_COST)
        return line

    def _take(self, octets: int) -> None:
        self._left -= octets
        if self._left < 0:
            raise ResponseRefused(
                f"{self.host} sent more data than was asked for; tell its operator, or name a "
                "folder with fewer messages"
            )


def _shorten(error: Exception, password: str) -> str:
    """The words of a server, which may repeat the password."""
    said = error.args[0] if error.args else ""
    text = said.decode("utf-8", "replace") if isinstance(said, bytes) else str(error)
    return ascii(text.replace(password, "…"))[1:-1][:200]


def _select(mailbox: imaplib.IMAP4, folder: str) -> str:
    """Open a folder for reading; its UIDVALIDITY (RFC 3501 section 2.3.1.1)."""
    answer, _ = mailbox.select(f'"{folder}"', readonly=True)
    if answer != "OK":
        raise Unavailable(f"the mailbox has no folder {folder}")
    _, values = mailbox.response("UIDVALIDITY")
    first = values[0] if values else None
    return first.decode("ascii", "replace") if isinstance(first, bytes) else ""


def _list_messages(mailbox: imaplib.IMAP4, last: int) -> list[int]:
    """The UIDs after `last`, in order.  `n:*` always finds the last message.

    Raises Unavailable if the server does not say.
    """
    answer, found = mailbox.uid("SEARCH", f"UID {last + 1}:*")
    if answer != "OK":
        raise Unavailable("the mailbox cannot be searched; the server refuses it")
    uids = [int(each) for each in (found[0] or b"").split() if each.isdigit() and len(each) < 11]
    return sorted(uid for uid in uids if last < uid <= _HIGHEST_UID)


def _read_message(mailbox: _Mailbox, uid: int, max_length: int) -> bytes:
    """A message; empty if it is too long, was deleted, or the server refuses it for good.

    Raises Unavailable if the server says that it is not given now.
    """
    mailbox.allow(0)
    answer = _fetch(mailbox, uid, "(RFC822.SIZE)")
    size = _SIZE.search(answer[0]) if answer and isinstance(answer[0], bytes) else None
    if size is None or int(size[1]) > max_length:
        return b""
    mailbox.allow(max_length)
    parts = _fetch(mailbox, uid, "(BODY.PEEK[])")
    with suppress(StopIteration):
        message = bytes(next(each[1] for each in parts if isinstance(each, tuple)))
        return message if len(message) <= max_length else b""
    return b""


def _fetch(mailbox: _Mailbox, uid: int, what: str) -> list[Any]:
    answer, parts = mailbox.uid("FETCH", str(uid), what)
    if answer == "OK":
        return parts
    reason = b" ".join(each for each in parts if isinstance(each, bytes))
    if _FOR_NOW.match(reason):
        raise Unavailable(f"the server refuses message {uid} for now; the next run tries again")
    return []


SOURCE = ImapSource
