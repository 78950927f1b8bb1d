"""`tocsin-hub object`: published objects."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field

import click

from tocsin.admission.errors import NotFound
from tocsin.admission.timestamps import timestamp
from tocsin.config.command_line import format_examples
from tocsin.server.auth import may_read
from tocsin.server.cli.command import Answer, with_acting_hub, with_hub
from tocsin.server.model import Collection, CollectionKind, Query, VersionKeyword
from tocsin.server.runtime import Runtime
from tocsin.server.store import Store
from tocsin.server.store.deliveries import HOUR, Delivery

_OBJECT_ID = re.compile("[a-z][a-z0-9-]*--[A-Za-z0-9-]+")
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
def _revoke(hub: Runtime, names: tuple[str, ...], reason: str) -> list[Answer]:
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
    not served the object.
    """
    return find_receivers(hub, names)


def revoke_objects(hub: Runtime, names: Iterable[str], reason: str) -> list[Answer]:
    """Revoke public objects by id or value; a later report of the same makes new ones."""
    answers: list[Answer] = []
    for name in names:
        if _OBJECT_ID.fullmatch(name):
            hub.services.lifecycle.revoke(name, hub.actor, reason)
            ids = [name]
        else:
            ids = hub.services.lifecycle.revoke_value(name, hub.actor, reason)
        answers += ({"public": public_id, "revoked": True} for public_id in ids)
    return answers


def find_receivers(hub: Runtime, names: Iterable[str]) -> list[Answer]:
    """The accounts that were served objects, named by public id or value.

    Raises NotFound if nothing was published under a name.
    """
    answers: list[Answer] = []
    for name in names:
        ids = [name] if _OBJECT_ID.fullmatch(name) else hub.services.lifecycle.find_published(name)
        rows = [row for id in ids for row in _receivers_of(hub, id)]
        if not rows and not any(_find_versions(hub, id) for id in ids):
            raise NotFound(f"nothing was published as {name!r}")
        answers += rows
    return answers


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


def _find_versions(hub: Runtime, id: str) -> dict[str, list[int]]:
    """The stamps of an object's versions in each collection that holds it, by collection id."""
    feeds = hub.services.store.feeds
    query = Query(
        limit=_MOST_VERSIONS,
        ids=frozenset({id}),
        specs=frozenset({"2.0", "2.1"}),
        keywords=frozenset({VersionKeyword.ALL}),
    )
    stamps: dict[str, list[int]] = {}
    for collection in feeds.collections():
        if collection.view is None and collection.kind is not CollectionKind.INBOX:
            entries = feeds.page(collection.id, query, bodies=False).entries
            if entries:
                stamps[collection.id] = sorted(entry.stamp for entry in entries)
    return stamps


def _receivers_of(hub: Runtime, id: str) -> Iterable[Answer]:
    """A row for each account and collection through which the object was served, or may have."""
    store, versions = hub.services.store, _find_versions(hub, id)
    partners = {each.name: each for each in store.accounts.list_accounts()}
    for collection in store.feeds.collections():
        sources = collection.view.sources if collection.view else (collection.id,)
        stamps = [versions[source] for source in sources if source in versions]
        if not stamps:
            continue
        receipts = _find_receipts(store, collection, stamps)
        readers = [name for name, each in partners.items() if may_read(each, collection)]
        _add_gaps(store, receipts, readers, min(each[0] for each in stamps))
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
    store: Store, collection: Collection, stamps: Iterable[list[int]]
) -> dict[str, _Receipt]:
    """By account; `stamps` are those of the object's versions in each source."""
    spans = [(s, after) for each in stamps for s, after in zip(each, [*each[1:], 0], strict=True)]
    receipts: dict[str, _Receipt] = {}
    for delivery in store.deliveries.of_collection(collection.id, min(s for s, _ in spans)):
        doubts = [doubt for span in spans if (doubt := _doubt(delivery, *span)) is not None]
        if doubts:
            receipt = receipts.setdefault(delivery.account, _Receipt())
            receipt.add(delivery.hour, min(doubts))  # the empty one first
    return receipts


def _doubt(delivery: Delivery, stamp: int, replaced: int) -> str | None:
    """Why it is not sure that an hour's pages had a version; empty: it is; None: they had not.

    `replaced` is the stamp of the next version, which takes its place on a page; 0: none.
    """
    if any(start <= stamp <= end for start, end in delivery.exact):
        sure = not replaced or delivery.hour + HOUR <= replaced
        return "" if sure else "a later version may have been served instead"
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
