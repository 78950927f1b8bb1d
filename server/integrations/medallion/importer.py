"""Moving in from medallion: its collections become verbatim collections of the hub.

Everything goes in by way of `deposit`, in the order in which medallion added
it, one transaction for some hundreds of objects.  What is here already changes
nothing, so an import that was killed is simply run again.  Neither statuses
nor users come along.
"""

from __future__ import annotations

import hashlib
import re
import sys
import uuid
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
)

from tocsin.admission.errors import Conflict, Malformed, NotFound
from tocsin.admission.model import Verdict
from tocsin.admission.timestamps import micros, timestamp
from tocsin.server.bootstrap import ensure_collection
from tocsin.server.intake.passthrough import deposited, posting
from tocsin.server.integrations.medallion.mongodb import from_mongo
from tocsin.server.integrations.medallion.sources import (
    Kept,
    LeftOut,
    Source,
    from_file,
)
from tocsin.server.model import (
    Collection,
    CollectionKind,
    Query,
    Record,
    VersionKeyword,
)
from tocsin.server.runtime import Runtime
from tocsin.server.secrets import HubSecrets
from tocsin.server.store import Transaction
from tocsin.server.store.feeds.blocks import LARGEST_OBJECT

NOTICE = (
    "medallion's users and passwords are not imported: make accounts with `tocsin-hub partner add`",
    "statuses are not imported",
)
"""What an operator must know besides."""

Answer = dict[str, object]

_BATCH = 500
_BATCH_OCTETS = 4_000_000
_ALIAS = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?")


@dataclass(frozen=True, slots=True)
class Wish:
    """What of a medallion is wanted, and how."""

    roots: frozenset[str] = frozenset()
    """API roots by name; empty: all."""
    collections: frozenset[str] = frozenset()
    """Collections by id, alias or title; empty: all."""
    prefix: str = ""
    """What the aliases here begin with; empty: medallion's own aliases."""
    cursor: int | None = None
    """An `added_after` of medallion's whose counterpart here is asked for."""
    dry: bool = False
    """Nothing is written."""


def medallion(place: str) -> AbstractContextManager[Sequence[Source]]:
    """The collections of a data file or a MongoDB, whichever `place` names.

    Raises Malformed or Unavailable, with a sentence.
    """
    if place.startswith(("mongodb://", "mongodb+srv://")):
        return from_mongo(place)
    return nullcontext(from_file(Path(place)))


def take_over(hub: Runtime, sources: Sequence[Source], wish: Wish) -> list[Answer]:
    """Take collections over; an answer for each.

    Raises NotFound if there is nothing of what is wished for, Conflict if a collection's id
    belongs to an inbox or a feed here.
    """
    named = zip(sources, _ids(sources, hub.secrets), strict=True)
    wanted = [(source, id) for source, id in named if _wished(source, wish)]
    if not wanted:
        known = ", ".join(sorted({f"{each.root}: {each.title or each.id}" for each in sources}))
        raise NotFound(f"medallion has no such collection; it has {known}")
    with _bar() as bar:
        return [_taken(hub, source, id, wish, bar) for source, id in wanted]


def _bar() -> Progress:
    """A progress bar on standard error; nothing at all unless that is a terminal."""
    columns = (TextColumn("{task.description}", markup=False), BarColumn(), MofNCompleteColumn())
    hidden = not sys.stderr.isatty()
    return Progress(*columns, console=Console(stderr=True), transient=True, disable=hidden)


def _wished(source: Source, wish: Wish) -> bool:
    names = {source.id, source.alias, source.title} - {""}
    return (not wish.roots or source.root in wish.roots) and (
        not wish.collections or bool(names & wish.collections)
    )


def _ids(sources: Iterable[Source], seal: HubSecrets) -> Iterator[str]:
    """The id of each here: its own if TAXII allows it and no other root has it too."""
    seen: set[str] = set()
    for source in sources:
        yield source.id if _is_uuid4(source.id) and source.id not in seen else _minted(source, seal)
        seen.add(source.id)


def _is_uuid4(text: str) -> bool:
    try:
        found = uuid.UUID(text)
    except ValueError:
        return False
    return str(found) == text and found.version == 4


def _minted(source: Source, seal: HubSecrets) -> str:
    """A UUID version 4 that is the same at every import."""
    words = f"medallion {len(source.root)} {source.root} {source.id}".encode()
    digest = hashlib.blake2b(words, key=seal.namespace.bytes).digest()
    return str(uuid.UUID(bytes=digest[:16], version=4))


def _taken(hub: Runtime, source: Source, id: str, wish: Wish, bar: Progress) -> Answer:
    known = {collection.id: collection for collection in hub.services.store.feeds.collections()}
    here = known.get(id) or _made(source, id, wish, known.values())
    if here.kind is not CollectionKind.VERBATIM:
        raise Conflict(f"{id} is the id of the {here.kind.value} {here.alias!r} of this hub")
    if id not in known and not wish.dry:
        ensure_collection(hub.services.store, here)
    task = bar.add_task(f"{source.root}: {source.title or source.id}"[:40], total=source.count)
    tally = _Tally(wish.cursor)
    for batch in _batches(source, tally):
        tally.count(batch, _written(hub, here, batch, dry=wish.dry))
        bar.update(task, completed=tally.found)
    return _described(source, here, tally) | _cursors(hub, here, tally, wish)


def _made(source: Source, id: str, wish: Wish, others: Iterable[Collection]) -> Collection:
    taken = {name for other in others for name in (other.id, other.alias)}
    alias = _alias(source, wish.prefix)
    title = source.title or source.id or id
    free = alias if alias not in taken else ""
    return Collection(id, free, CollectionKind.VERBATIM, title, source.description)


def _alias(source: Source, prefix: str) -> str:
    """The alias it would have; empty if there is none that a URL could hold."""
    if not prefix:
        return source.alias if _ALIAS.fullmatch(source.alias) else ""
    words = re.sub(r"[^a-z0-9]+", "-", (source.alias or source.title).lower()).strip("-")
    wanted = f"{prefix}-{words}"[:63].strip("-")
    if not _ALIAS.fullmatch(wanted):
        raise Malformed(f"--into {prefix!r}: use small letters, digits and hyphens")
    return wanted


@dataclass(slots=True)
class _Tally:
    """How far one collection has come."""

    cursor: int | None
    found: int = 0
    counts: Counter[str] = field(default_factory=Counter)
    left_out: list[LeftOut] = field(default_factory=list)
    dates: tuple[int, int] | None = None
    """Of the first and the last object, as medallion had them."""
    last: Record | None = None
    """The last one that is here now."""
    before: Record | None = None
    """The last one here that medallion added before `cursor`."""

    def leave_out(self, item: LeftOut) -> None:
        self.found += 1
        self.left_out.append(item)

    def count(self, batch: Sequence[Kept], records: Sequence[Record]) -> None:
        for kept, record in zip(batch, records, strict=True):
            if record.verdict == Verdict.REFUSED:
                self.leave_out(LeftOut(kept.id, record.findings[-1]["message"]))
                continue
            self.found += 1
            self.counts[record.verdict] += 1
            self.dates = (self.dates or (kept.added, 0))[0], kept.added
            self.last = record
            if self.cursor is not None and kept.added < self.cursor:
                self.before = record


def _batches(source: Source, tally: _Tally) -> Iterator[list[Kept]]:
    """What can be taken, in portions for one transaction each."""
    batch: list[Kept] = []
    octets = 0
    for item in source.objects():
        if isinstance(item, LeftOut):
            tally.leave_out(item)
        elif len(item.body) > LARGEST_OBJECT:
            tally.leave_out(LeftOut(item.id, f"longer than {LARGEST_OBJECT:,} octets"))
        else:
            batch.append(item)
            octets += len(item.body)
        if len(batch) >= _BATCH or octets > _BATCH_OCTETS:
            yield batch
            batch, octets = [], 0
    if batch:
        yield batch


def _written(
    hub: Runtime, collection: Collection, batch: Sequence[Kept], *, dry: bool
) -> list[Record]:
    """What becomes of each."""
    if dry:
        return [_judged(index, kept.body) for index, kept in enumerate(batch)]
    objects = [(index, kept.body) for index, kept in enumerate(batch)]

    def work(txn: Transaction) -> list[Record]:
        records = deposited(txn, collection, objects)
        counts = Counter(record.verdict for record in records)
        if counts[Verdict.ADMITTED]:
            txn.add_journal_entry("import", "operator", {"collection": collection.id, **counts})
        return records

    return hub.services.store.commit(work)


def _judged(index: int, body: bytes) -> Record:
    """What would become of an object that is not here yet."""
    try:
        one = posting(body)
    except Malformed as error:
        return Record(index, Verdict.REFUSED.value, findings=({"message": str(error)},))
    return Record(index, Verdict.ADMITTED.value, one.id, one.version)


def _described(source: Source, here: Collection, tally: _Tally) -> Answer:
    told: Answer = {"collection": here.id, "alias": here.alias, "title": here.title}
    told["root"] = source.root
    if here.id != source.id:
        told["formerly"] = source.id
    if source.alias and here.alias != source.alias:
        told["former_alias"] = source.alias
    told["found"] = tally.found
    told["added"] = tally.counts[Verdict.ADMITTED]
    told["known"] = tally.counts[Verdict.DUPLICATE]
    told["left_out"] = [item._asdict() for item in tally.left_out]
    if tally.dates:
        told["date_added"] = [timestamp(date) for date in tally.dates]
    return told | {"rights": _rights(source, here.id)}


def _rights(source: Source, id: str) -> str:
    """medallion's flags hold for all its users alike; here each partner has its own."""
    flags = [f"--{word} {id}" for word in _flags(source)]
    if not flags:
        return "nobody could read or write it"
    return f"every user could {' and '.join(_flags(source))} it; grant it by {' '.join(flags)}"


def _flags(source: Source) -> list[str]:
    return ["read"] * source.can_read + ["write"] * source.can_write


def _cursors(hub: Runtime, here: Collection, tally: _Tally, wish: Wish) -> Answer:
    """Where pollers go on; nothing where they begin at the beginning."""
    if wish.dry:
        return {}
    found = {"cursor": _date_added(hub, here, tally.last)}
    if wish.cursor is not None:
        found["cursor_for"] = _date_added(hub, here, tally.before)
    return {name: stamp for name, stamp in found.items() if stamp}


def _date_added(hub: Runtime, here: Collection, record: Record | None) -> str:
    """When the hub added an object version; empty if it is not here."""
    if record is None:
        return ""
    versions = frozenset({micros(record.version)}) if record.version else frozenset()
    query = Query(
        ids=frozenset({record.source_id}),
        specs=frozenset({"2.0", "2.1"}),
        keywords=frozenset() if versions else frozenset({VersionKeyword.ALL}),
        versions=versions,
    )
    entries = hub.services.store.feeds.page(here.id, query, bodies=False).entries
    return timestamp(entries[0].stamp) if entries else ""
