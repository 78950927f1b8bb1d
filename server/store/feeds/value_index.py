"""The index of values: `value_terms` of each entry, added to the filter index in the background.

Nothing on the path of a submission waits for it.  The terms lie in further documents of
the filter index, so packing merges them with the others, and what is removed or purged
loses them in the same transaction.  A search looks at the entries behind the cursor, which are few,
one by one.

One step indexes a part of one block.  Like the packer it writes the feed's head in its
transaction, so that nothing can be removed meanwhile that it is about to index, and it
yields to other writers.
"""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import orjson
from pymongo.client_session import ClientSession

from tocsin.server.processes.shared_folder import CommitLock
from tocsin.server.store.configuration import ONLY_FEEDS
from tocsin.server.store.connection import Base, Client, Document, try_transaction
from tocsin.server.store.feeds.blocks import BLOCK_SIZE, block_number, decompress_batch, entry_body
from tocsin.server.store.feeds.filter_index import TermEntries, build_filter_documents
from tocsin.server.store.value_terms import value_terms

log = logging.getLogger(__name__)

INDEX_PAUSE_SECONDS = 1.0
"""Seconds between two looks for values to index."""
INDEX_REST = 30
"""While something is published, indexing rests for this multiple of its last step's time."""
INDEX_LONGEST_REST_SECONDS = 10.0
"""The longest rest."""
INDEX_WAIT_SECONDS = 15.0
"""Seconds after which fewer values than `FEWEST` are indexed, too."""
MOST_AT_ONCE = 500
"""Entries that one step indexes; commits of this process wait for the step's transaction."""
FEWEST = 64
"""Entries that are indexed together, unless they have waited long."""
_CURSOR = "values "


@dataclass(frozen=True, slots=True)
class _Part:
    """Entries of one block that are to be indexed."""

    feed: str
    start: int
    """The position of the first of them."""
    end: int
    """The position of the last of them."""
    head: Document


class ValueIndexer:
    """Indexes values, one step at a time; any number of processes may do it at once."""

    def __init__(self, client: Client, base: Base, lock: CommitLock) -> None:
        """`lock` is the store's commit lock."""
        self._client, self._base, self._lock = client, base, lock
        self._steps = 0
        self._writes = 0
        self.is_busy = False
        """True if something was published between the last two looks, by whatever process."""

    def index_next(self, *, fewest: int = FEWEST) -> bool:
        """Index the next entries of one feed; False if none has `fewest` of them.

        Nothing happens if another writer changes the feed at the same moment.
        """
        due = list(self._due(fewest))
        if not due:
            return False
        self._steps += 1
        part = due[self._steps % len(due)]
        documents = self._documents(part)
        with self._lock:
            self._try(part, documents)
        return True

    def indexed(self, feeds: Sequence[str]) -> dict[str, int]:
        """The position up to which each of these feeds is indexed."""
        keys = [_CURSOR + feed for feed in feeds]
        found = self._base.hub_state.find({"_id": {"$in": keys}})
        cursors = {each["_id"].removeprefix(_CURSOR): int(each["position"]) for each in found}
        return {feed: cursors.get(feed, 0) for feed in feeds}

    def _due(self, fewest: int) -> Iterator[_Part]:
        fields = {"position": 1, "packs": 1, "removals": 1, "writes": 1}
        heads = {each["_id"]: each for each in self._base.heads.find(ONLY_FEEDS, fields)}
        writes = sum(int(head.get("writes", 0)) for head in heads.values())
        self.is_busy, self._writes = writes != self._writes, writes
        for feed, done in self.indexed(list(heads)).items():
            last = int(heads[feed]["position"])
            if last - done >= max(fewest, 1):
                border = (block_number(done + 1) + 1) * BLOCK_SIZE
                yield _Part(feed, done + 1, min(last, border, done + MOST_AT_ONCE), heads[feed])

    def _documents(self, part: _Part) -> list[Document]:
        """The documents of the entries, as they are now."""
        wanted = {"feed": part.feed, "block": block_number(part.start)}
        fields = {"first": 1, "n": 1, "ends": 1, "body": 1, "zstd": 1, "gone": 1}
        documents: list[Document] = []
        for batch in self._base.entry_batches.find(wanted, fields):
            places = range(
                max(part.start - batch["first"], 0), min(part.end - batch["first"] + 1, batch["n"])
            )
            by_term = _terms_of(decompress_batch(batch), places) if places else {}
            for each in build_filter_documents(part.feed, batch["first"], by_term):
                documents.append({**each, "_id": f"{each['_id']}/values/{part.start}"})
        return documents

    def _try(self, part: _Part, documents: Sequence[Document]) -> None:
        """Write the documents, unless the feed was packed or something removed meanwhile."""

        def index(session: ClientSession) -> None:
            if self._is_as_read(part, session):
                self._write(part, documents, session)

        try_transaction(self._client, index, f"indexing values of {part.feed}", log)

    def _is_as_read(self, part: _Part, session: ClientSession) -> bool:
        head = self._base.heads.find_one({"_id": part.feed}, session=session) or {}
        cursor = self._base.hub_state.find_one({"_id": _CURSOR + part.feed}, session=session)
        names = ("packs", "removals")
        same = all(head.get(name, 0) == part.head.get(name, 0) for name in names)
        return same and (0 if cursor is None else cursor["position"]) == part.start - 1

    def _write(self, part: _Part, documents: Sequence[Document], session: ClientSession) -> None:
        if documents:
            self._base.filter_index.insert_many(documents, session=session)
        self._base.hub_state.update_one(
            {"_id": _CURSOR + part.feed},
            {"$set": {"position": part.end}},
            upsert=True,
            session=session,
        )
        # So that concurrent writers notice, as for packing.
        self._base.heads.update_one({"_id": part.feed}, {"$inc": {"indexed": 1}}, session=session)


def _terms_of(batch: Document, places: range) -> Mapping[str, TermEntries]:
    """The terms of some entries of a batch, by their places in the block."""
    by_term: defaultdict[str, TermEntries] = defaultdict(TermEntries)
    gone = frozenset(batch["gone"])
    before = (batch["first"] - 1) % BLOCK_SIZE
    for i in places:
        body = b"" if i in gone else entry_body(batch, i)
        for term in value_terms(orjson.loads(body)) if body else ():
            by_term[term].add(before + i)
    return by_term
