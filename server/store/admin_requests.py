"""Acts of administration that wait for a second operator."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field

from tocsin.server.store.connection import Base, Document, Session

MOST = 100
"""Requests that wait at the same time."""


@dataclass(frozen=True, slots=True)
class AdminRequest:
    """A form that one operator has sent and another one has to confirm."""

    id: str
    path: str
    """Path of the form, below the root of the console."""
    form: Mapping[str, Sequence[str]]
    """Its fields, without the token."""
    text: str
    """Its effect, in a sentence."""
    by: str
    """Id of the person."""
    login: str
    at: int
    """µs since 1970 UTC."""
    before: Mapping[str, Sequence[str]] = field(default_factory=dict)
    """The fields as they were when it was asked for; empty for something new."""
    partner: str = ""
    """Short name of the partner with which the request ends; empty: it is about none."""

    @property
    def journal_text(self) -> str:
        """Its effect for the journal, where the mailbox of somebody who was not invited stays out.

        A confirmed invitation has an entry of its own, with the mailbox.
        """
        mailbox = "".join(self.form.get("mailbox", ()))
        return self.text.replace(f"Invite {mailbox.strip()} ", "Invite a person ")


class AdminRequests:
    """The requests; within a transaction they are `Transaction.admin_requests`."""

    def __init__(self, base: Base, session: Session = None) -> None:
        """Read and write in `session`, if there is one."""
        self._requests, self._session = base.admin_requests, session

    def add(self, request: AdminRequest) -> None:
        """Store a request."""
        document = asdict(request)
        document["_id"] = document.pop("id")
        for name in ("form", "before"):
            document[name] = [[key, list(values)] for key, values in document[name].items()]
        self._requests.insert_one(document, session=self._session)

    def list(self) -> list[AdminRequest]:
        """All that wait, the oldest first."""
        found = map(_from_document, self._requests.find({}, session=self._session))
        return sorted(found, key=lambda each: each.at)

    def find(self, id: str) -> AdminRequest | None:
        """A request, or None."""
        document = self._requests.find_one({"_id": id}, session=self._session)
        return None if document is None else _from_document(document)

    def remove(self, id: str) -> bool:
        """Delete a request; False if there is none."""
        return bool(self._requests.delete_one({"_id": id}, session=self._session).deleted_count)


def _from_document(document: Document) -> AdminRequest:
    form, before = (
        {key: tuple(values) for key, values in document.get(name, ())}  # an older one has no before
        for name in ("form", "before")
    )
    rest = {k: v for k, v in document.items() if k not in ("_id", "form", "before")}
    return AdminRequest(id=document["_id"], form=form, before=before, **rest)
