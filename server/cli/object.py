"""`tocsin-hub object`: published objects."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import accumulate
from typing import NamedTuple

import click

from tocsin.admission.errors import NotFound
from tocsin.admission.timestamps import micros, timestamp
from tocsin.config.command_line import format_examples
from tocsin.server.auth import may_read
from tocsin.server.cli.command import Answer, with_acting_hub, with_hub
from tocsin.server.model import Collection, CollectionKind, Entry, Query, VersionKeyword
from tocsin.server.purge import is_object_id
from tocsin.server.runtime import Runtime
from tocsin.server.store import Store
from tocsin.server.store.deliveries import HOUR, Delivery
from tocsin.server.store.exclusions import parse_exclusion
from tocsin.server.store.feeds.block_cache import FORGOTTEN

_MOST_VERSIONS = 10_000
"""Versions of one object that are looked for."""


@click.group("object")
def object_command() -> None:
    """Published objects."""


@object_command.command(
    "revoke",
    epilog=format_examples(
        "tocsin-hub object revoke indicator--2f6b1b5c-6d0f-4a63-8a4c-0d9f6f1f1b52 \\",
        '  --reason "the host was cleaned"',
        'tocsin-hub object revoke evil-portal.top --reason "a false alarm"',
    ),
)
@click.argument("names", nargs=-1, required=True, metavar="ID_OR_VALUE...")
@click.option("--reason", required=True, help="Recorded in the journal.")
@with_acting_hub
def _revoke(hub: Runtime, names: tuple[str, ...], reason: str) -> Iterator[Answer]:
    """Revoke published objects in every feed.

    Name them by public id, or by value (a domain, IP address, URL, e-mail address or file hash),
    which stands for all indicators on exactly that value.

    A revocation is final; a later report of the same makes a new object. To refuse later reports
    too, use `tocsin-hub exclusion add`.
    """
    return revoke_objects(hub, names, reason)


@object_command.command(
    "lead",
    epilog=format_examples(
        "tocsin-hub object lead indicator--2f6b1b5c-6d0f-4a63-8a4c-0d9f6f1f1b52 \\",
        "  --partner acme",
        "tocsin-hub object lead indicator--2f6b1b5c-6d0f-4a63-8a4c-0d9f6f1f1b52 \\",
        "  --automatic",
    ),
)
@click.argument("public_id", metavar="ID")
@click.option("--partner", help="The partner whose report leads from now on.")
@click.option("--automatic", is_flag=True, help="The most reliable source leads again.")
@with_acting_hub
def _lead(hub: Runtime, public_id: str, partner: str | None, automatic: bool) -> Answer:
    """Choose whose report of an object is published.

    The object takes name, description, labels and references from one partner: the most reliable,
    of equally reliable ones the first. The journal records who chose another one.
    """
    if automatic == bool(partner):
        raise click.UsageError("give either --partner or --automatic")
    hub.services.lifecycle.lead(public_id, partner or "", hub.actor)
    return {"public": public_id, "lead": partner or "automatic"}


@object_command.command(
    "received",
    epilog=format_examples(
        "tocsin-hub object received indicator--2f6b1b5c-6d0f-4a63-8a4c-0d9f6f1f1b52",
        "tocsin-hub object received evil-portal.top --json",
    ),
)
@click.argument("names", nargs=-1, required=True, metavar="ID_OR_VALUE...")
@with_hub
def _received(hub: Runtime, names: tuple[str, ...]) -> list[Answer]:
    """List the accounts that were served an object, and the hours.

    `possibly`: the page was filtered, an older version was replaced in that hour, or a hub died
    before it wrote what it had served; `why` says which. An account that is not listed was
    not served the object, unless a hub died longer ago than statuses are kept.
    """
    return find_receivers(hub, names)


@object_command.command(
    "purge",
    epilog=format_examples(
        "tocsin-hub object purge indicator--2f6b1b5c-6d0f-4a63-8a4c-0d9f6f1f1b52 \\",
        '  --reason "request for erasure 2026-17"',
        'tocsin-hub object purge acme-portal[.]top --reason "names a victim" --json',
    ),
)
@click.argument("names", nargs=-1, required=True, metavar="ID_OR_VALUE...")
@click.option("--reason", required=True, help="Recorded in the journal; name no content in it.")
@with_acting_hub
def _purge(hub: Runtime, names: tuple[str, ...], reason: str) -> Iterator[Answer]:
    """Delete the content of objects from everything that the hub keeps.

    Name them as for `object revoke`. Every version in every feed and collection goes, and so do
    the partners' copies, the submissions and reviews. A last version stays in the feeds, which
    says only that the object is revoked.

    It can be repeated, and a hub goes on with what was interrupted. docs/privacy.md says how long
    the database's own files keep what was deleted.
    """
    return purge_objects(hub, names, reason)


def _accounts_that_received(hub: Runtime, name: str) -> list[str]:
    """The accounts that were served an object, surely or possibly, while that can be told."""
    try:
        return sorted({str(row["account"]) for row in find_receivers(hub, [name])})
    except NotFound:
        return []


def purge_objects(hub: Runtime, names: Sequence[str], reason: str) -> Iterator[Answer]:
    """Purge objects by id or value; an answer for each name.

    Raises NotFound or Malformed before anything is purged if one of the names is of no use.
    """
    purger = hub.services.purger
    for name in names:
        purger.check(name)
    for name in names:
        purge = purger.purge if is_object_id(name) else purger.purge_value
        received = _accounts_that_received(hub, name)
        report = purge(name, hub.actor, reason)
        if report.versions:
            hub.services.exports.refresh(at_once=True)
            time.sleep(FORGOTTEN)  # until a running hub has it in memory no more
            hub.services.exports.refresh(at_once=True)  # what it still wrote from memory
        yield {
            "purged": list(report.ids),
            "versions": report.versions,
            "submissions": report.submissions,
            "reviews": report.reviews,
            "in_progress": report.in_progress,
            "received_by": received,
            "also_in": list(report.also_in),
        }


def revoke_objects(hub: Runtime, names: Iterable[str], reason: str) -> Iterator[Answer]:
    """Revoke public objects by id or value; a later report of the same makes new ones."""
    for name in names:
        if is_object_id(name):
            hub.services.lifecycle.revoke(name, hub.actor, reason)
            ids = [name]
        else:
            ids = hub.services.lifecycle.revoke_value(name, hub.actor, reason)
        yield from ({"public": public_id, "revoked": True} for public_id in ids)


def find_receivers(hub: Runtime, names: Iterable[str]) -> list[Answer]:
    """The accounts that were served objects, named by public id or value.

    Raises NotFound if nothing was published under a name.
    """
    answers: list[Answer] = []
    for name in names:
        ids = [name] if is_object_id(name) else _find_published(hub, name)
        rows = [row for id in ids for row in _receivers_of(hub, id)]
        if not rows and not any(_find_versions(hub, id) for id in ids):
            raise NotFound(f"nothing was published as {name!r}")
        answers += rows
    return answers


def _find_published(hub: Runtime, value: str) -> list[str]:
    return hub.services.lifecycle.find_published(parse_exclusion(value, "", 0))


@dataclass(slots=True)
class _Receipt:
    """How sure it is that an account was served an object, and in which hours."""

    received: str = "possibly"
    why: str = ""
    hours: list[int] = field(default_factory=list)

    def add(self, hour: int, doubt: str) -> None:
        """Count one hour; an hour without doubt goes before all with one."""
        if not doubt and self.received != "yes":
            self.received, self.why, self.hours = "yes", "", []
        if not doubt or self.received != "yes":
            self.why = self.why or doubt
            self.hours.append(hour)


class _Version(NamedTuple):
    """One entry of an object in a collection."""

    stamp: int
    replaced: int
    """The stamp of the entry after which pages have it no longer; 0: none.  Its own if it never
    was the latest version: an older one that was posted later."""


def _find_versions(hub: Runtime, id: str) -> dict[str, list[_Version]]:
    """An object's entries in each collection that holds it, in order, by collection id."""
    feeds = hub.services.store.feeds
    query = Query(
        limit=_MOST_VERSIONS,
        ids=frozenset({id}),
        specs=frozenset({"2.0", "2.1"}),
        keywords=frozenset({VersionKeyword.ALL}),
    )
    versions: dict[str, list[_Version]] = {}
    for collection in feeds.collections():
        if collection.view is None and collection.kind is not CollectionKind.INBOX:
            entries = feeds.page(collection.id, query, bodies=False).entries
            if entries:
                versions[collection.id] = _date_versions(entries)
    return versions


def _date_versions(entries: Sequence[Entry]) -> list[_Version]:
    dated: list[_Version] = []
    replaced = 0
    keys = [(entry.spec, micros(entry.version)) for entry in entries]
    newest = list(accumulate(keys, max))
    for entry, key, newest_then in zip(entries[::-1], keys[::-1], newest[::-1], strict=True):
        passed_over = key < newest_then
        dated.append(_Version(entry.stamp, entry.stamp if passed_over else replaced))
        replaced = replaced if passed_over else entry.stamp
    return dated[::-1]


def _receivers_of(hub: Runtime, id: str) -> Iterable[Answer]:
    """A row for each account and collection through which the object was served, or may have."""
    store, versions = hub.services.store, _find_versions(hub, id)
    partners = {each.name: each for each in store.accounts.list_accounts()}
    for collection in store.feeds.collections():
        sources = collection.view.sources if collection.view else (collection.id,)
        held = [each for source in sources for each in versions.get(source, ())]
        if not held:
            continue
        receipts = _find_receipts(store, collection, held)
        readers = [name for name, each in partners.items() if may_read(each, collection)]
        _add_gaps(store, receipts, readers, min(each.stamp for each in held))
        for account, receipt in sorted(receipts.items()):
            known = partners.get(account)
            yield {
                "object": id,
                "account": account,
                "partner": known.partner if known else "",
                "collection": collection.alias or collection.id,
                "received": receipt.received,
                "first": timestamp(min(receipt.hours)),
                "last": timestamp(max(receipt.hours)),
                "why": receipt.why,
            }


def _find_receipts(
    store: Store, collection: Collection, versions: Sequence[_Version]
) -> dict[str, _Receipt]:
    """The accounts that were served a version through a collection, or may have been."""
    earliest = min(each.stamp for each in versions)
    receipts: dict[str, _Receipt] = {}
    for delivery in store.deliveries.of_collection(collection.id, earliest):
        doubts = [doubt for each in versions if (doubt := _doubt(delivery, each)) is not None]
        if doubts:
            receipt = receipts.setdefault(delivery.account, _Receipt())
            receipt.add(delivery.hour, min(doubts))  # the empty one first
    return receipts


def _doubt(delivery: Delivery, version: _Version) -> str | None:
    """Why it is not sure that an hour's pages had a version; empty: it is; None: they had not."""
    stamp, replaced = version
    if any(start <= stamp <= end for start, end in delivery.exact):
        sure = not replaced or delivery.hour + HOUR <= replaced
        return "" if sure else "another version may have been served instead"
    if any(start <= stamp <= end for start, end in delivery.filtered):
        return "the page was filtered"
    return None


def _add_gaps(
    store: Store, receipts: dict[str, _Receipt], readers: Iterable[str], published: int
) -> None:
    """Add the readers that may have been served it by a hub that died."""
    gaps = [gap for gap in store.deliveries.gaps() if published <= gap.end]
    for account in readers if gaps else ():
        if account not in receipts:
            doubt = "a hub died before it wrote what it had served"
            receipts[account] = _Receipt(why=doubt, hours=[gap.start for gap in gaps])
