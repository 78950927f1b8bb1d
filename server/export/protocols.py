"""Interfaces that the exports need from the rest of the hub."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from tocsin.server.export.files import FeedFiles
from tocsin.server.model import Account, Collection, DeliveryRecorder, FeedHead


class ExportRequest(Protocol):
    """Context of the present request once it is authenticated."""

    @property
    def account(self) -> Account:
        """The account that asks."""
        ...

    @property
    def collections(self) -> Sequence[Collection]:
        """All collections."""
        ...

    def head(self, collection: Collection) -> FeedHead:
        """The head of the collection in the request's path."""
        ...

    def note(self, collection: Collection) -> None:
        """Note the collection for the log."""
        ...

    def check_rights(self, collection: Collection) -> None:
        """Raises as at the beginning, if an agreement has ended since then."""
        ...


@dataclass(frozen=True, slots=True)
class ExportServices:
    """The hub's services, as the exports use them."""

    authenticate: Callable[[], ExportRequest]
    """Identifies the account and counts the request, as for TAXII; raises what that raises."""
    files: FeedFiles
    deliveries: DeliveryRecorder
