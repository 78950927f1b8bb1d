"""The hub's database, MongoDB: only this package and the import from medallion know its driver."""

from tocsin.server.store.availability import Availability, DiskSpace
from tocsin.server.store.connection import DATABASE_ERRORS, OutcomeUnknown, TransactionTooLarge
from tocsin.server.store.database import Clock, Store, wall_clock
from tocsin.server.store.feeds.writer import Publication
from tocsin.server.store.reviews import Overtaken
from tocsin.server.store.transaction import Snapshot, Transaction

__all__ = [
    "DATABASE_ERRORS",
    "Availability",
    "Clock",
    "DiskSpace",
    "OutcomeUnknown",
    "Overtaken",
    "Publication",
    "Snapshot",
    "Store",
    "Transaction",
    "TransactionTooLarge",
    "wall_clock",
]
