"""MongoDB: the only package that knows its driver (feeds.md)."""

from tocsin.server.store.connection import OUTAGES
from tocsin.server.store.database import Clock, Store, wall_clock
from tocsin.server.store.transaction import Snapshot, Transaction

__all__ = ["OUTAGES", "Clock", "Snapshot", "Store", "Transaction", "wall_clock"]
