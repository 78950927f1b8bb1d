"""MongoDB: the only place that knows its driver (feeds.md)."""

from tocsin.server.store.connection import OUTAGES
from tocsin.server.store.store import Clock, Store, wall_clock
from tocsin.server.store.txn import Txn

__all__ = ["OUTAGES", "Clock", "Store", "Txn", "wall_clock"]
