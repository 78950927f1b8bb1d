"""`tocsin-hub partner`: organisations that share, and the rights of their accounts."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, replace
from itertools import chain
from pathlib import Path
from typing import Any

import click

from tocsin.admission.errors import NotFound
from tocsin.admission.merge.confidence import parse_reliability
from tocsin.admission.model import Consent, Tlp, Verdict
from tocsin.admission.timestamps import timestamp
from tocsin.config.command_line import ParsedValue, format_examples, with_options
from tocsin.server.cli.command import (
    AS_JSON,
    LIST,
    NOTHING_TO_CHANGE,
    PAST_TIME,
    REASON,
    SHORT_NAME,
    SHORT_NAME_OR_NONE,
    TLP,
    Answer,
    join_lists,
    print_table,
    with_acting_hub,
    with_hub,
    with_new_hub,
    with_open_hub,
)
from tocsin.server.cli.key import credential_of, show_key_once
from tocsin.server.cli.new_file import NEW_FILE, new_file, write_to_disk
from tocsin.server.cli.settings import print_notice
from tocsin.server.model import Account, Agreement, AgreementState, MarkingScheme, Partner
from tocsin.server.partners.administration import (
    PartnerChange,
    Partners,
    describe_account,
)
from tocsin.server.partners.agreement_lifecycle import find_current
from tocsin.server.partners.countries import parse_country
from tocsin.server.partners.names import find_short_terms
from tocsin.server.runtime import Runtime
from tocsin.server.store.agreements import group_by_partner

_SETTLED = tuple(verdict for verdict in Verdict if verdict is not Verdict.OPEN)
_DAY_LENGTH = len("2026-01-31")
_partner_options = with_options(
    click.option(
        "--country",
        type=ParsedValue("CODE", parse_country),
        help="ISO 3166-1 code or English name, for instance US.",
    ),
    click.option("--sector", type=LIST, multiple=True, help="Its sectors."),
    click.option(
        "--term",
        type=LIST,
        multiple=True,
        help="Its domains, products, networks: masked in what it submits.",
    ),
    click.option("--read", type=LIST, multiple=True, help="All collections that it may read."),
    click.option("--write", type=LIST, multiple=True, help="All collections that it may write to."),
    click.option("--max-tlp", type=TLP, help="The strictest level that it may submit."),
    click.option(
        "--consent",
        type=click.Choice([consent.value for consent in Consent]),
        help="Who may learn its name.",
    ),
    click.option(
        "--reliability",
        type=ParsedValue("GRADE", parse_reliability),
        help="How reliable its reports have been: A to F (Admiralty code), or 0 to 100.",
    ),
    click.option(
        "--group",
        type=SHORT_NAME_OR_NONE,
        help="Partners of one group count as one source; empty: it has none.",
    ),
    click.option(
        "--marking",
        type=click.Choice([marking.value for marking in MarkingScheme]),
        help="Show it TLP 1.0 (tlp1) if its tool knows no other; AMBER+STRICT becomes RED.",
    ),
    click.option(
        "--mask-everywhere/--mask-own",
        default=None,
        help="Mask its terms in the reports of others too: they can see the masks.",
    ),
)


@click.group("partner")
def partner_command() -> None:
    """Organisations that share, and the rights of their accounts."""


@partner_command.command(
    "add",
    short_help="Add a partner with an account and a key.",
    epilog=format_examples(
        'tocsin-hub partner add acme --name "ACME Corp" --term acme.example',
        'tocsin-hub partner add north --name "North Hospital" --country US \\',
        "  --sector healthcare --read clear,green,amber --max-tlp green --json",
    ),
)
@click.argument("slug", type=SHORT_NAME)
@click.option(
    "--name",
    "names",
    required=True,
    multiple=True,
    help="What it is called; repeat it for further names.",
)
@_partner_options
@with_new_hub
def _add(hub: Runtime, slug: str, **options: Any) -> Answer:
    """Add a partner with an account and a key, which is shown only once.

    SLUG is its short name: lower-case letters, digits and hyphens, and no word of everyday texts,
    because it is masked in what the partner submits.

    Lists are separated by commas. Defaults: --read clear,green --write inbox --max-tlp amber
    --consent none --reliability 50.
    """
    first, *others = options["names"]
    partner = Partner(
        slug, name=first, terms=(*others, *join_lists(options["term"])), **_partner_fields(options)
    )
    partner = replace(partner, default_tlp=min(partner.max_tlp, Tlp.AMBER))
    reads, writes = _rights(options, "read"), _rights(options, "write")
    added = add_partner(
        hub,
        partner,
        ("clear", "green") if reads is None else reads,
        ("inbox",) if writes is None else writes,
        MarkingScheme(options["marking"] or MarkingScheme.TLP2),
    )
    return show_key_once(added, f"{slug} was added, but its key could not be shown")


@partner_command.command(
    "change",
    epilog=format_examples(
        "tocsin-hub partner change acme --read clear,green,amber --reliability B",
        "tocsin-hub partner change acme --disable",
    ),
)
@click.argument("slug")
@click.option("--name", "names", multiple=True, help="What it is called.")
@_partner_options
@click.option("--disable", is_flag=True, help="Lock its account out.")
@click.option("--enable", is_flag=True, help="Let it in again.")
@with_acting_hub
def _change(hub: Runtime, slug: str, disable: bool, enable: bool, **options: Any) -> Answer:
    """Change what the options name, from the next request on.

    --read, --write, --term and --sector replace the whole former list: name what is to stay too.
    `tocsin-hub partner show SLUG` shows the collections. Objects published before stay as they
    are.
    """
    if disable and enable:
        raise click.UsageError("--disable and --enable exclude each other")
    fields = _partner_fields(options)
    names, terms = options["names"], _rights(options, "term")
    if names:
        fields["name"] = names[0]
    if terms is not None:
        fields["terms"] = (*names[1:], *terms)
    elif len(names) > 1:
        raise click.UsageError(
            "the first --name is the name, further ones are terms, and terms are replaced as a"
            f" whole: repeat all of them with --term (`tocsin-hub partner show {slug}` lists them)"
        )
    marking = MarkingScheme(options["marking"]) if options["marking"] else None
    rights = _rights(options, "read"), _rights(options, "write")
    change = PartnerChange(fields, *rights, disable if disable or enable else None, marking)
    if change == PartnerChange():
        raise click.UsageError(NOTHING_TO_CHANGE)
    return change_partner(hub, slug, change)


@partner_command.command(
    "withdraw",
    epilog=format_examples(
        'tocsin-hub partner withdraw acme --all --reason "left the community"',
    ),
)
@click.argument("slug")
@click.option("--id", "ids", multiple=True, metavar="ID", help="An id of its own, or a public id.")
@click.option("--value", "values", multiple=True, help="A domain, address, URL or hash.")
@click.option("--all", "everything", is_flag=True, help="Everything that it sent.")
@click.option("--reason", type=REASON, required=True, help="Recorded in the journal.")
@with_acting_hub
def _withdraw(  # noqa: PLR0913
    hub: Runtime,
    slug: str,
    ids: tuple[str, ...],
    values: tuple[str, ...],
    everything: bool,
    reason: str,
) -> Answer:
    """Withdraw what a partner sent, observables included.

    Objects that nobody else reported are revoked; the rest is computed without the partner.
    It cannot send withdrawn objects again under the same ids. Objects that are still in its
    queue are not withdrawn: use --disable of `partner change` first. Objects in verbatim
    collections stay: delete them over TAXII, or use `object purge`.
    """
    names = (*ids, *values)
    if everything == bool(names):
        raise click.UsageError("name what to withdraw with --id or --value, or give --all alone")
    return withdraw(hub, slug, None if everything else names, reason)


@partner_command.command(
    "remove",
    short_help="Remove a partner and all that is held about it.",
    epilog=format_examples('tocsin-hub partner remove north --reason "left the community"'),
)
@click.argument("slug")
@click.option("--reason", type=REASON, required=True, help="Recorded in the journal.")
@with_acting_hub
def _remove(hub: Runtime, slug: str, reason: str) -> Answer:
    """Remove a partner: its access, what it contributed, and all that is held about it.

    If it is interrupted, run it again. Export what is held first, if the partner wants it. Objects
    in verbatim collections stay, and belong to its short name.
    """
    found = hub.services.partner_data.remove(slug, hub.actor, reason)
    return {"partner": slug, "removed": True, **asdict(found)}


@partner_command.command(
    "export",
    short_help="Write all that is held about a partner into a file.",
    epilog=format_examples("tocsin-hub partner export acme --output acme.jsonl"),
)
@click.argument("slug")
@click.option(
    "--output",
    type=NEW_FILE,
    required=True,
    help="A new file, readable only by you.",
)
@with_acting_hub
def _export(hub: Runtime, slug: str, output: Path) -> Answer:
    """Write all that is held about a partner into a file, one JSON object a line.

    Its record, accounts, people, submissions with what became of each object, contributions,
    reviews and journal entries; no keys and passwords.
    """
    return export_partner(hub, slug, output)


@partner_command.command(
    "list",
    short_help="List partners and the rights of their accounts.",
    epilog=format_examples("tocsin-hub partner list", "tocsin-hub partner list --json"),
)
@AS_JSON
@with_open_hub
def _list(hub: Runtime, as_json: bool) -> None:
    """List partners and what their accounts may read and write, a line for each account.

    A partner whose agreement has ended reads and writes nothing, whatever its accounts may.
    """
    partners = list_partners(hub)
    if as_json:
        print(json.dumps(partners))
    else:
        print_table([row for partner in partners for row in _rows(partner)])


@partner_command.command("show", epilog=format_examples("tocsin-hub partner show acme"))
@click.argument("slug")
@with_hub
def _show(hub: Runtime, slug: str) -> Answer:
    """Show all settings of a partner and its accounts."""
    for partner in list_partners(hub):
        if partner["partner"] == slug:
            return partner
    raise NotFound(f"there is no partner {slug}: `tocsin-hub partner list` shows them")


@partner_command.command(
    "submissions",
    short_help="List what a partner sent and what became of it.",
    epilog=format_examples(
        "tocsin-hub partner submissions acme",
        "tocsin-hub partner submissions acme --since 30d --json",
    ),
)
@click.argument("slug")
@click.option(
    "--since",
    type=PAST_TIME,
    default=0,
    help="Only submissions from this time on: 12h (ago), 2026-01-31, or a timestamp.",
)
@click.option(
    "--limit",
    type=click.IntRange(1, 10_000),
    default=100,
    show_default=True,
    help="Submissions at most.",
)
@with_hub
def _submissions(hub: Runtime, slug: str, since: int, limit: int) -> list[Answer]:
    """List what a partner sent and what became of it, the newest last.

    The numbers are of its objects, by verdict.
    """
    return list_submissions(hub, slug, since, limit)


def list_submissions(hub: Runtime, slug: str, since: int, limit: int) -> list[Answer]:
    """The latest submissions of a partner from `since` (µs) on, with counts by verdict."""
    store, aliases = hub.services.store, _aliases(hub)
    store.accounts.require_partner(slug)
    found = store.submissions.list_of_partner(slug, limit)  # those of its people, too
    latest = [each for each in reversed(found) if each.received >= since]
    return [
        {
            "submission": each.id,
            "received": timestamp(each.received),
            "account": each.account,
            "collection": aliases.get(each.collection, each.collection),
            "objects": each.total,
            "pending": each.total - each.settled,
            **{verdict.value: each.counts.get(verdict, 0) for verdict in _SETTLED},
        }
        for each in latest
    ]


def _partner_fields(options: Mapping[str, Any]) -> dict[str, Any]:
    """Those fields of `Partner` that were given, but name and terms."""
    names = ("country", "max_tlp", "reliability", "group", "mask_everywhere")
    fields = {name: options[name] for name in names}
    if options["consent"] is not None:
        fields["consent"] = Consent(options["consent"])
    if options["sector"]:
        fields["sectors"] = join_lists(options["sector"])
    return {name: value for name, value in fields.items() if value is not None}


def _rights(options: Mapping[str, Any], name: str) -> tuple[str, ...] | None:
    """The values of a list option; None if it was not given."""
    return join_lists(options[name]) if options[name] else None


def add_partner(
    hub: Runtime,
    partner: Partner,
    reads: Iterable[str],
    writes: Iterable[str],
    marking: MarkingScheme = MarkingScheme.TLP2,
) -> Answer:
    """Add a partner with one account of its name and a key, which the answer holds.

    `reads` and `writes` are ids or aliases of collections.
    """
    change = PartnerChange(reads=reads, writes=writes, marking=marking)
    key = Partners(hub.services.store).add(partner, change, hub.actor)
    _warn_of_short_terms(partner)
    answer: Answer = {"account": key.account, "key": key.secret}
    return {"partner": partner.slug, **answer, **credential_of(hub, answer)}


def change_partner(hub: Runtime, slug: str, change: PartnerChange) -> Answer:
    """Change a partner and its account, from the next request on.

    Objects published before stay as they are.
    """
    changed = Partners(hub.services.store).change(slug, change, hub.actor)
    if change.fields.keys() & {"name", "terms"}:
        _warn_of_short_terms(changed)
    accounts = hub.services.store.accounts.list_accounts(slug)
    agreements = hub.services.store.agreements.list_of(slug)
    return _format_partner(changed, accounts, _aliases(hub), _format_agreement(hub, agreements))


def _warn_of_short_terms(partner: Partner) -> None:
    for term in find_short_terms(partner):
        print_notice(
            f"tocsin-hub: warning: {term!r} is masked wherever it stands in what {partner.slug} "
            "submits: choose longer names and terms"
        )


def withdraw(hub: Runtime, slug: str, names: Sequence[str] | None, reason: str) -> Answer:
    """Withdraw what a partner sent under these ids or values, or all if None."""
    if names is None:
        found = hub.services.partner_data.withdraw_all(slug, hub.actor, reason)
    else:
        found = hub.services.partner_data.withdraw(slug, names, hub.actor, reason)
    return {"partner": slug, **asdict(found)}


def export_partner(hub: Runtime, slug: str, output: Path) -> Answer:
    """Write all that is held about a partner into a new file.

    Raises NotFound if there is no such partner, Conflict if the file exists.  It has its name only
    once it is complete and the journal says who wrote it.
    """
    lines = hub.services.partner_data.export(slug)
    first = next(lines)  # an unknown partner leaves no file
    count = 0
    with new_file(output) as file:
        for line in chain([first], lines):
            file.write(json.dumps(line, ensure_ascii=False).encode() + b"\n")
            count += 1
        write_to_disk(file)  # else the journal may name a file for which the disk has no room
        entry = {"partner": slug, "lines": count}
        hub.services.store.commit(
            lambda txn: txn.add_journal_entry("partner.export", hub.actor, entry)
        )
    return {"partner": slug, "file": str(output), "lines": count}


def list_partners(hub: Runtime) -> list[Answer]:
    """Every partner with the rights of its accounts."""
    people, aliases = hub.services.store.accounts, _aliases(hub)
    accounts = people.list_accounts()
    agreements = group_by_partner(hub.services.store.agreements.list_all())
    return [
        _format_partner(
            partner,
            [a for a in accounts if a.partner == partner.slug],
            aliases,
            _format_agreement(hub, agreements.get(partner.slug, ())),
        )
        for partner in people.list_partners()
    ]


def _rows(partner: Answer) -> Iterator[dict[str, object]]:
    """The lines of a partner in the list."""
    accounts: Any = partner["accounts"]
    for account in accounts or [{"account": "-", "read": [], "write": [], "disabled": False}]:
        yield {
            "partner": partner["partner"],
            "account": account["account"] + (" (disabled)" if account["disabled"] else ""),
            "reads": ",".join(account["read"]) or "-",
            "writes": ",".join(account["write"]) or "-",
            "agreement": _shorten_agreement(partner["agreement"]),
            "name": partner["name"],
        }


def _aliases(hub: Runtime) -> dict[str, str]:
    return Partners(hub.services.store).aliases()


def _format_agreement(hub: Runtime, agreements: Iterable[Agreement]) -> Answer | None:
    """The agreement that says until when a partner has rights; None if it has no agreement."""
    now = hub.services.agreements.now()
    found = find_current(agreements, now)
    if found is None:
        return None
    return {
        "agreement": found.id,
        "state": found.state_at(now).value,
        "from": timestamp(found.starts),
        "until": None if found.until is None else timestamp(found.until),
    }


def _shorten_agreement(agreement: Any) -> str:
    """State and day of a partner's agreement, for a table."""
    if agreement is None:
        return "-"
    state, is_planned = agreement["state"], agreement["state"] == AgreementState.PLANNED
    moment = agreement["from"] if is_planned else agreement["until"]
    words = {AgreementState.PLANNED: " from", AgreementState.IN_FORCE: " until"}
    return state if moment is None else f"{state}{words.get(state, '')} {moment[:_DAY_LENGTH]}"


def _format_partner(
    partner: Partner,
    accounts: Iterable[Account],
    aliases: Mapping[str, str],
    agreement: Answer | None,
) -> Answer:
    return {
        "partner": partner.slug,
        "name": partner.name,
        "terms": list(partner.terms),
        "country": partner.country,
        "sectors": list(partner.sectors),
        "max_tlp": partner.max_tlp.label,
        "consent": partner.consent.value,
        "reliability": partner.reliability,
        "group": partner.group,
        "mask_everywhere": partner.mask_everywhere,
        "agreement": agreement,
        "accounts": [describe_account(account, aliases) for account in accounts],
    }
