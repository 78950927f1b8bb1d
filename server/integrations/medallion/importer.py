"""Import from medallion: its collections become verbatim collections of the hub.

Objects are stored by `intake.verbatim`, in the order in which medallion added them, with one
transaction for some hundreds of objects.  Objects that are here already stay unchanged, so an
interrupted import is simply repeated.  Statuses and users are not imported.
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
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

from tocsin.admission.errors import Conflict, Malformed, NotFound
from tocsin.admission.model import Verdict
from tocsin.admission.timestamps import micros, timestamp
from tocsin.server.bootstrap import ensure_collection
from tocsin.server.intake.verbatim import Depositor, deposited, outcome_record, posting
from tocsin.server.integrations.medallion.mongodb import open_mongodb
from tocsin.server.integrations.medallion.sources import (
    SkippedObject,
    SourceCollection,
    StoredVersion,
    read_data_file,
)
from tocsin.server.model import (
    Collection,
    CollectionKind,
    PublishOutcome,
    Query,
    Record,
    VersionKeyword,
)
from tocsin.server.secrets import HubSecrets
from tocsin.server.store import Store, Transaction
from tocsin.server.store.feeds.blocks import MAX_OBJECT_OCTETS

NOTICE = (
    "medallion's users and passwords are not imported: create accounts with "
    "`tocsin-hub partner add`",
    "statuses are not imported",
)
"""Tasks that the import leaves to the operator."""

Report = dict[str, object]

_BATCH = 500
_BATCH_OCTETS = 4_000_000
_ALIAS = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?")


@dataclass(frozen=True, slots=True)
class ImportOptions:
    """The source of an import and its settings."""

    roots: frozenset[str] = frozenset()
    """API roots by name; empty: all."""
    collections: frozenset[str] = frozenset()
    """Collections by id, alias or title; empty: all."""
    prefix: str = ""
    """Prefix of the aliases here; empty: medallion's own aliases."""
    partner: str = ""
    """The partner that the objects belong to; empty: the operator."""
    cursor: int | None = None
    """An `added_after` at medallion, in µs since 1970 UTC, to be translated."""
    dry_run: bool = False
    """Write nothing."""


@dataclass(frozen=True, slots=True)
class Destination:
    """The hub that takes the objects in, and who lets it."""

    store: Store
    secrets: HubSecrets
    actor: str


def open_source(location: str) -> AbstractContextManager[Sequence[SourceCollection]]:
    """The collections of a data file (by path) or of a MongoDB (by URI).

    Raises Malformed or Unavailable, with a message for the operator.
    """
    if location.startswith(("mongodb://", "mongodb+srv://")):
        return open_mongodb(location)
    return nullcontext(read_data_file(Path(location)))


def import_collections(
    hub: Destination, sources: Sequence[SourceCollection], options: ImportOptions
) -> list[Report]:
    """Import the selected collections; one report for each.

    Raises NotFound if none is selected or there is no such partner, Conflict if a collection's id
    belongs to an inbox or a feed here.
    """
    named = zip(sources, _ids(sources, hub.secrets), strict=True)
    selected = [(source, id) for source, id in named if _is_selected(source, options)]
    if not selected:
        known = ", ".join(sorted({f"{each.root}: {each.title or each.id}" for each in sources}))
        raise NotFound(f"medallion has no such collection; choose from {known}")
    if options.partner and hub.store.accounts.find_partner(options.partner) is None:
        raise NotFound(f"there is no partner {options.partner}")
    planned = _plan(hub, selected, options)
    with _progress_bar() as bar:
        return [_import_collection(hub, source, here, options, bar) for source, here in planned]


def _plan(
    hub: Destination, selected: Iterable[tuple[SourceCollection, str]], options: ImportOptions
) -> list[tuple[SourceCollection, Collection]]:
    """The collection here of each source, known or new; no two have the same alias."""
    known = {collection.id: collection for collection in hub.store.feeds.collections()}
    planned = []
    for source, id in selected:
        here = known.get(id) or _new_collection(source, id, options, known.values())
        if here.kind is not CollectionKind.VERBATIM:
            raise Conflict(f"{id} is the id of the {here.kind.value} {here.alias!r} of this hub")
        known[id] = here
        planned.append((source, here))
    return planned


def _progress_bar() -> Progress:
    """A progress bar on standard error, hidden unless that is a terminal."""
    columns = (TextColumn("{task.description}", markup=False), BarColumn(), MofNCompleteColumn())
    hidden = not sys.stderr.isatty()
    return Progress(*columns, console=Console(stderr=True), transient=True, disable=hidden)


def _is_selected(source: SourceCollection, options: ImportOptions) -> bool:
    names = {source.id, source.alias, source.title} - {""}
    return (not options.roots or source.root in options.roots) and (
        not options.collections or bool(names & options.collections)
    )


def _ids(sources: Iterable[SourceCollection], secrets: HubSecrets) -> Iterator[str]:
    """The id of each collection here: its own if TAXII allows it and no other root uses it."""
    seen: set[str] = set()
    for source in sources:
        yield (
            source.id
            if _is_uuid4(source.id) and source.id not in seen
            else _derived_id(source, secrets)
        )
        seen.add(source.id)


def _is_uuid4(text: str) -> bool:
    try:
        found = uuid.UUID(text)
    except ValueError:
        return False
    return str(found) == text and found.version == 4


def _derived_id(source: SourceCollection, secrets: HubSecrets) -> str:
    """A UUID version 4 that is the same in every import."""
    name = f"medallion {len(source.root)} {source.root} {source.id}".encode()
    digest = hashlib.blake2b(name, key=secrets.namespace.bytes).digest()
    return str(uuid.UUID(bytes=digest[:16], version=4))


def _import_collection(
    hub: Destination,
    source: SourceCollection,
    here: Collection,
    options: ImportOptions,
    bar: Progress,
) -> Report:
    if not options.dry_run and not _exists(hub, here):
        ensure_collection(hub.store, here)
    task = bar.add_task(f"{source.root}: {source.title or source.id}"[:40], total=source.count)
    tally = _Tally(options.cursor)
    for batch in _split_batches(source, tally):
        tally.count(batch, _store_batch(hub, here, batch, options))
        bar.update(task, completed=tally.found)
    return _report(source, here, tally) | _cursors(hub, here, tally, options)


def _exists(hub: Destination, collection: Collection) -> bool:
    return any(each.id == collection.id for each in hub.store.feeds.collections())


def _new_collection(
    source: SourceCollection, id: str, options: ImportOptions, others: Iterable[Collection]
) -> Collection:
    taken = {name for other in others for name in (other.id, other.alias)}
    alias = _alias(source, options.prefix)
    title = source.title or source.id or id
    free = alias if alias not in taken else ""
    return Collection(id, free, CollectionKind.VERBATIM, title, source.description)


def _alias(source: SourceCollection, prefix: str) -> str:
    """The alias to use here; empty if medallion's is not a valid one."""
    if not prefix:
        return source.alias if _ALIAS.fullmatch(source.alias) else ""
    words = re.sub(r"[^a-z0-9]+", "-", (source.alias or source.title).lower()).strip("-")
    alias = f"{prefix}-{words}"[:63].strip("-")
    if not _ALIAS.fullmatch(alias):
        raise Malformed(f"--into {prefix!r}: use lower-case letters, digits and hyphens")
    return alias


@dataclass(slots=True)
class _Tally:
    """Progress of one collection."""

    cursor: int | None
    found: int = 0
    counts: Counter[str] = field(default_factory=Counter)
    skipped: list[SkippedObject] = field(default_factory=list)
    dates: tuple[int, int] | None = None
    """`date_added` of the first and the last object at medallion."""
    last: Record | None = None
    """The last object that is here now."""
    before: Record | None = None
    """The last object here that medallion added before `cursor`."""

    def skip(self, item: SkippedObject) -> None:
        self.found += 1
        self.skipped.append(item)

    def count(self, batch: Sequence[StoredVersion], records: Sequence[Record]) -> None:
        for stored, record in zip(batch, records, strict=True):
            if record.verdict == Verdict.REFUSED:
                self.skip(SkippedObject(stored.id, record.findings[-1]["message"]))
                continue
            self.found += 1
            self.counts[record.verdict] += 1
            self.dates = (self.dates or (stored.added, 0))[0], stored.added
            self.last = record
            if self.cursor is not None and stored.added < self.cursor:
                self.before = record


def _split_batches(source: SourceCollection, tally: _Tally) -> Iterator[list[StoredVersion]]:
    """The objects to import, in batches for one transaction each; the others are tallied."""
    batch: list[StoredVersion] = []
    octets = 0
    for item in source.objects():
        if isinstance(item, SkippedObject):
            tally.skip(item)
        elif len(item.body) > MAX_OBJECT_OCTETS:
            tally.skip(SkippedObject(item.id, f"longer than {MAX_OBJECT_OCTETS:,} octets"))
        else:
            batch.append(item)
            octets += len(item.body)
        if len(batch) >= _BATCH or octets > _BATCH_OCTETS:
            yield batch
            batch, octets = [], 0
    if batch:
        yield batch


def _store_batch(
    hub: Destination, collection: Collection, batch: Sequence[StoredVersion], options: ImportOptions
) -> list[Record]:
    """Store a batch, or only try to in a dry run; the record of each object."""
    if options.dry_run and not _exists(hub, collection):
        seen: dict[tuple[str, str, int], bytes] = {}
        return [_dry_record(index, stored.body, seen) for index, stored in enumerate(batch)]
    objects = [(index, stored.body) for index, stored in enumerate(batch)]

    def work(txn: Transaction) -> list[Record]:
        records = deposited(txn, collection, objects, Depositor(options.partner))
        if options.dry_run:
            raise _Undone(records)
        counts = Counter(record.verdict for record in records)
        if counts[Verdict.ADMITTED]:
            txn.add_journal_entry("import", hub.actor, {"collection": collection.id, **counts})
        return records

    try:
        return hub.store.commit(work)
    except _Undone as undone:
        return undone.records


class _Undone(Exception):
    """Ends the transaction of a dry run, so that nothing of it is kept."""

    def __init__(self, records: list[Record]) -> None:
        super().__init__()
        self.records = records


def _dry_record(index: int, body: bytes, seen: dict[tuple[str, str, int], bytes]) -> Record:
    """The record that an object would get in a new collection.

    `seen` are the digests of the versions before it in its batch; it is added.
    """
    try:
        one = posting(body)
    except Malformed as error:
        return Record(index, Verdict.REFUSED.value, findings=({"message": str(error)},))
    version = (one.id, one.spec, micros(one.version) if one.version else 0)
    outcome = PublishOutcome.STORED
    if version in seen:
        is_known = seen[version] == one.digest
        outcome = PublishOutcome.KNOWN if is_known else PublishOutcome.CONFLICT
    seen.setdefault(version, one.digest)
    return outcome_record(index, one, outcome, one.version)


def _report(source: SourceCollection, here: Collection, tally: _Tally) -> Report:
    report: Report = {"collection": here.id, "alias": here.alias, "title": here.title}
    report["root"] = source.root
    if here.id != source.id:
        report["formerly"] = source.id
    if source.alias and here.alias != source.alias:
        report["former_alias"] = source.alias
    report["found"] = tally.found
    report["added"] = tally.counts[Verdict.ADMITTED]
    report["known"] = tally.counts[Verdict.DUPLICATE]
    report["left_out"] = [item._asdict() for item in tally.skipped]
    if tally.dates:
        report["date_added"] = [timestamp(date) for date in tally.dates]
    return report | {"rights": _rights(source, here.id)}


def _rights(source: SourceCollection, id: str) -> str:
    """The rights that all users of medallion had; here each account has rights of its own."""
    flags = [f"--{word} {id}" for word in _right_names(source)]
    if not flags:
        return "nobody could read or write it"
    return (
        f"every user could {' and '.join(_right_names(source))} it; to grant that to a partner, "
        f"add the id to its lists: `tocsin-hub partner change SLUG {' '.join(flags)}` alone would "
        "replace them, so name the collections that it has now too"
    )


def _right_names(source: SourceCollection) -> list[str]:
    return ["read"] * source.can_read + ["write"] * source.can_write


def _cursors(hub: Destination, here: Collection, tally: _Tally, options: ImportOptions) -> Report:
    """The time from which pollers continue; empty if they start at the beginning."""
    if options.dry_run:
        return {}
    found = {"cursor": _date_added(hub, here, tally.last)}
    if options.cursor is not None:
        found["cursor_for"] = _date_added(hub, here, tally.before)
    return {name: stamp for name, stamp in found.items() if stamp}


def _date_added(hub: Destination, here: Collection, record: Record | None) -> str:
    """The date_added of an object version in the hub; empty if it is not here."""
    if record is None:
        return ""
    versions = frozenset({micros(record.version)}) if record.version else frozenset()
    query = Query(
        ids=frozenset({record.source_id}),
        specs=frozenset({"2.0", "2.1"}),
        keywords=frozenset() if versions else frozenset({VersionKeyword.ALL}),
        versions=versions,
    )
    entries = hub.store.feeds.page(here.id, query, bodies=False).entries
    return timestamp(entries[0].stamp) if entries else ""
