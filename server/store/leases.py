"""Work that one worker has in hand for a while, and that is free again when that is over."""

from __future__ import annotations

from tocsin.server.store.feeds.blocks import Document

FREE: Document = {"lease": 0, "owner": ""}
"""What nobody has in hand."""
_SECOND = 1_000_000


def lease_end(now: int, seconds: int) -> int:
    """When a lease ends that is given now."""
    return now + seconds * _SECOND


def is_free(document: Document, now: int, seconds: int) -> bool:
    """Whether nobody has it in hand, where leases are given for so many seconds.

    A lease that ends much later than any that is given now does not count: the clock has
    stepped back since, and its owner may be dead for long before it ends.
    """
    return not now < document["lease"] <= lease_end(now, 2 * seconds)
