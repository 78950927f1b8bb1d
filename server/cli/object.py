"""`tocsin-hub object`: published objects."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping, Sequence

import click

from tocsin.admission.descriptions import count
from tocsin.admission.errors import NotFound
from tocsin.admission.timestamps import timestamp
from tocsin.config.command_line import format_examples, print_on_stderr
from tocsin.config.stdio import PARTLY
from tocsin.server.cli.command import REASON, Answer, act_on_each, with_acting_hub, with_hub
from tocsin.server.lifecycle.purge import PurgeReport, is_object_id
from tocsin.server.reports.receivers import ReceivedBy, Receiver, split_receivers
from tocsin.server.runtime import Runtime
from tocsin.server.store.feeds.block_cache import FORGOTTEN

_MOST_NAMED = 10
"""Ids that a message names; `also_in` has all."""


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
@click.option("--reason", type=REASON, required=True, help="Recorded in the journal.")
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
@click.option("--partner", metavar="SLUG", help="The partner whose report leads from now on.")
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
    short_help="Delete the content of objects everywhere.",
    epilog=format_examples(
        "tocsin-hub object purge indicator--2f6b1b5c-6d0f-4a63-8a4c-0d9f6f1f1b52 \\",
        '  --reason "request for erasure 2026-17"',
        "tocsin-hub object purge 'acme-portal[.]top' --reason 'names a victim' --json",
    ),
)
@click.argument("names", nargs=-1, required=True, metavar="ID_OR_VALUE...")
@click.option(
    "--reason", type=REASON, required=True, help="Recorded in the journal; name no content in it."
)
@with_acting_hub
def _purge(hub: Runtime, names: tuple[str, ...], reason: str) -> Iterator[Answer]:
    """Delete the content of objects from everything that the hub keeps.

    Name them as for `object revoke`. Every version in every feed and collection goes, and so do
    the partners' copies, the submissions and reviews. A last version stays in the feeds, which
    says only that the object is revoked.

    The exit code is 1 if nothing was deleted for one of the values; the others are purged all
    the same. It is 4 if other objects still name a value: standard error has their ids. With an
    unknown id or a value of no known kind, nothing is purged.

    It can be repeated, and a hub goes on with what was interrupted. docs/retention.md says how long
    the database's own files keep what was deleted.
    """
    return purge_objects(hub, names, reason)


def _accounts_that_received(hub: Runtime, name: str) -> ReceivedBy:
    """The accounts that were served what is purged, or possibly were, while that is known."""
    receivers, ids = hub.services.receivers, hub.services.purger.find_targets(name)
    every = (each for id in ids for each in receivers.find(id, receivers.find_versions(id)))
    return split_receivers(every)


def purge_objects(hub: Runtime, names: Sequence[str], reason: str) -> Iterator[Answer]:
    """Purge objects by id or value; an answer for each name.

    Raises NotFound or Malformed before anything is purged if one of the names is of no use.  Only
    a search of everything that is kept says that a value is nowhere: such values are named once
    all others are purged, as `act_on_each` does.
    """
    for name in names:
        hub.services.purger.check(name)
    reports: dict[str, PurgeReport] = {}
    try:
        yield from act_on_each(names, lambda name: _purge_object(hub, name, reason, reports))
    finally:
        left = list(_describe_what_is_left(reports))
        for each in left:
            print_on_stderr(f"tocsin-hub: {each}")
    if left:
        raise click.exceptions.Exit(PARTLY)


def _describe_what_is_left(reports: Mapping[str, PurgeReport]) -> Iterator[str]:
    """A sentence for each value that was purged, but that other objects still name."""
    purged = {id for each in reports.values() for id in each.ids}
    for name, report in reports.items():
        ids = [id for id in report.also_in if id not in purged]
        if ids and report.found_anything:
            more = f" and {count(len(ids) - _MOST_NAMED, 'other')}" if ids[_MOST_NAMED:] else ""
            named = ", ".join(ids[:_MOST_NAMED]) + more
            yield f"{name!r} is still published in {named}: purge these ids too"


def _purge_object(
    hub: Runtime, name: str, reason: str, reports: dict[str, PurgeReport]
) -> Iterator[Answer]:
    """The answer about one name, whose report is added; then NotFound for a value nowhere."""
    purger = hub.services.purger
    purge = purger.purge if is_object_id(name) else purger.purge_value
    received = _accounts_that_received(hub, name)
    report = reports[name] = purge(name, hub.actor, reason)
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
        "received_by": received.certain,
        "possibly_received_by": received.possible,
        "also_in": list(report.also_in),
    }
    if not report.found_anything and not is_object_id(name):
        raise NotFound(_describe_nothing(name, report))


def _describe_nothing(value: str, report: PurgeReport) -> str:
    if report.also_in:
        why = "only other objects name it, see also_in; purge them by their ids if they should go"
    else:
        why = "the hub keeps nothing with this value; check how it is written"
    return f"nothing was purged for {value!r}: {why}"


def revoke_objects(hub: Runtime, names: Sequence[str], reason: str) -> Iterator[Answer]:
    """Revoke public objects by id or value; a later report of the same makes new ones."""

    def revoke(name: str) -> list[Answer]:
        if is_object_id(name):
            hub.services.lifecycle.revoke(name, hub.actor, reason)
            ids = [name]
        else:
            ids = hub.services.lifecycle.revoke_value(name, hub.actor, reason)
        return [{"public": public_id, "revoked": True} for public_id in ids]

    return act_on_each(names, revoke)


def find_receivers(hub: Runtime, names: Iterable[str]) -> list[Answer]:
    """The accounts that were served objects, named by public id or value.

    Raises NotFound if nothing was published under a name.
    """
    return [_format_receiver(each) for each in hub.services.receivers.find_by_names(names)]


def _format_receiver(receiver: Receiver) -> Answer:
    return {
        "object": receiver.object,
        "account": receiver.account,
        "partner": receiver.partner,
        "collection": receiver.collection.alias or receiver.collection.id,
        "received": "yes" if receiver.certain else "possibly",
        "first": timestamp(receiver.first),
        "last": timestamp(receiver.last),
        "why": receiver.why,
    }
