"""A mailbox, to which people forward suspicious messages."""

from __future__ import annotations

import imaplib
import re
import ssl
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Annotated

from msgspec import Meta

from tocsin.admission.errors import Malformed, Unavailable
from tocsin.clients.bounds import check_public_host
from tocsin.clients.sources import Document, Memory, Source

_SIZE = re.compile(rb"RFC822\.SIZE (\d{1,12})")
_FOLDER = re.compile(r'[^"\\\r\n\0]{1,200}')
_SECONDS = 60.0
"""For each answer of the server."""


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

    def documents(self, memory: Memory) -> Iterator[Document]:
        """See Source; one document is one message."""
        with self._connect() as mailbox:
            validity = _select(mailbox, self.folder)
            is_same = memory.get("validity") == validity
            last = int(memory.get("last", "0")) if is_same else 0
            for uid in _list_messages(mailbox, last):
                kept = {"validity": validity, "last": str(uid)}
                message = _read_message(mailbox, uid, self.max_length)
                reason = f"longer than max_length ({self.max_length} octets), or deleted meanwhile"
                yield Document(f"message-{uid}.eml", message, kept, "" if message else reason)

    def _password(self) -> str:
        try:
            return self.password_file.read_text().strip()
        except (OSError, UnicodeDecodeError) as error:
            raise Malformed(f"password_file: {self.password_file} cannot be read") from error

    @contextmanager
    def _connect(self) -> Iterator[imaplib.IMAP4]:
        if not self.allow_private:
            check_public_host(self.host, self.port)
        context = ssl.create_default_context(cafile=str(self.ca) if self.ca else None)
        try:
            with imaplib.IMAP4_SSL(
                self.host, self.port, ssl_context=context, timeout=_SECONDS
            ) as mailbox:
                mailbox.login(self.user, self._password())
                yield mailbox
        except imaplib.IMAP4.error as error:
            raise Unavailable(f"{self.host} refuses: {_shorten(error)}") from error
        except OSError as error:
            raise Unavailable(f"{self.host} cannot be read: {_shorten(error)}") from error


def _shorten(error: Exception) -> str:
    return ascii(str(error))[1:-1][:200]


def _select(mailbox: imaplib.IMAP4, folder: str) -> str:
    """Open a folder for reading; its UIDVALIDITY (RFC 3501 section 2.3.1.1)."""
    answer, _ = mailbox.select(f'"{folder}"', readonly=True)
    if answer != "OK":
        raise Unavailable(f"the mailbox has no folder {folder}")
    _, values = mailbox.response("UIDVALIDITY")
    first = values[0] if values else None
    return first.decode("ascii", "replace") if isinstance(first, bytes) else ""


def _list_messages(mailbox: imaplib.IMAP4, last: int) -> list[int]:
    """The UIDs after `last`, in order.  `n:*` always finds the last message."""
    _, found = mailbox.uid("SEARCH", f"UID {last + 1}:*")
    uids = [int(each) for each in (found[0] or b"").split() if each.isdigit()]
    return sorted(uid for uid in uids if uid > last)


def _read_message(mailbox: imaplib.IMAP4, uid: int, max_length: int) -> bytes:
    """A message; empty if it is too long or is no longer there."""
    _, answer = mailbox.uid("FETCH", str(uid), "(RFC822.SIZE)")
    size = _SIZE.search(answer[0]) if answer and isinstance(answer[0], bytes) else None
    if size is None or int(size[1]) > max_length:
        return b""
    _, parts = mailbox.uid("FETCH", str(uid), "(BODY.PEEK[])")
    with suppress(StopIteration):
        return bytes(next(each[1] for each in parts if isinstance(each, tuple)))
    return b""


SOURCE = ImapSource
