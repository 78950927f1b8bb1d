"""`tocsin-hub agreement`: the written terms under which partners send and receive."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

import click

from tocsin.admission.model import Tlp
from tocsin.admission.timestamps import timestamp
from tocsin.config.command_line import ParsedValue, format_examples, with_options
from tocsin.server.agreements import serves, strictest_content
from tocsin.server.cli.collection import (
    format_audience,
    make_audience,
    parse_countries,
    parse_sectors,
)
from tocsin.server.cli.command import (
    AS_JSON,
    NOTHING_TO_CHANGE,
    REASON,
    SOME,
    TIME,
    TLP,
    Answer,
    join_lists,
    print_table,
    with_acting_hub,
    with_open_hub,
)
from tocsin.server.cli.settings import print_notice
from tocsin.server.model import Agreement, AgreementState, Collection, CollectionKind
from tocsin.server.partners.administration import Partners, find_by_prefix
from tocsin.server.partners.agreement_lifecycle import AgreementChange, find_current
from tocsin.server.runtime import Runtime

_agreement_options = with_options(
    click.option("--max-tlp", type=TLP, help="The strictest level that it may send and receive."),
    click.option(
        "--purpose",
        "purposes",
        multiple=True,
        metavar="TEXT",
        help="A purpose of the exchange; repeat it for further ones.",
    ),
    click.option(
        "--country",
        "countries",
        type=ParsedValue("LIST", parse_countries),
        multiple=True,
        help="Its data may go only to partners of these countries.",
    ),
    click.option(
        "--sector",
        "sectors",
        type=ParsedValue("LIST", parse_sectors),
        multiple=True,
        help="Its data may go only to partners of these sectors.",
    ),
    click.option("--from", "starts", type=TIME, help="When it begins: 2026-01-31, or a timestamp."),
    click.option(
        "--until",
        type=TIME,
        help="When it ends, in the same forms; from then on the partner neither sends nor receives "
        "under it.",
    ),
    click.option("--note", help="A text for the operators of this hub."),
)
_LISTED = "`tocsin-hub agreement list` shows the ids"
_INBOXES = (CollectionKind.INBOX, CollectionKind.VERBATIM)


@click.group("agreement")
def agreement_command() -> None:
    """Agreements: the terms under which partners send and receive."""


@agreement_command.command(
    "add",
    epilog=format_examples(
        "tocsin-hub agreement add acme --collection inbox,clear,green \\",
        '  --max-tlp green --purpose "defence of its own network" \\',
        "  --until 2027-12-31T12:00:00Z",
    ),
)
@click.argument("slug")
@click.option(
    "--collection",
    type=SOME,
    multiple=True,
    required=True,
    help="The collections that it may use.",
)
@_agreement_options
@with_acting_hub
def _add(hub: Runtime, slug: str, **options: Any) -> Answer:
    """Add an agreement with a partner.

    SLUG is its short name. From now on, also before the agreement begins, the partner has only the
    rights that its agreements give it: its accounts read and write what they may (`partner
    change`), as far as an agreement in force names the collection. A collection that may hold more
    than the highest level is not visible to it; a verbatim collection may hold TLP:AMBER+STRICT.

    Lists are separated by commas. Defaults: --max-tlp amber, --from now, no end.
    """
    starts = options["starts"]
    terms = Agreement(
        id="",
        partner=slug,
        collections=_find_collections(hub, join_lists(options["collection"])),
        starts=hub.services.agreements.now() if starts is None else starts,
        until=options["until"],
        max_tlp=Tlp.AMBER if options["max_tlp"] is None else options["max_tlp"],
        purposes=_purposes(options["purposes"]),
        audience=make_audience(options["countries"], options["sectors"]),
        note=options["note"] or "",
    )
    added = hub.services.agreements.add(terms, hub.actor)
    _warn_if_none_in_force(hub, slug)
    return format_agreement(hub, added)


@agreement_command.command(
    "list",
    epilog=format_examples(
        "tocsin-hub agreement list", "tocsin-hub agreement list --partner acme --json"
    ),
)
@click.option("--partner", "slug", metavar="SLUG", help="Only those with this partner.")
@AS_JSON
@with_open_hub
def _list(hub: Runtime, slug: str | None, as_json: bool) -> None:
    """List the agreements, those that have ended included."""
    found = list_agreements(hub, slug)
    if as_json:
        print(json.dumps(found))
    else:
        print_table([_row(each) for each in found])


@agreement_command.command(
    "change",
    epilog=format_examples(
        "tocsin-hub agreement change 6e8e --until 2028-12-31T12:00:00Z",
        "tocsin-hub agreement change 6e8e --collection inbox,clear --open-end",
    ),
)
@click.argument("id")
@click.option("--collection", type=SOME, multiple=True, help="The collections that it may use.")
@_agreement_options
@click.option("--open-end", is_flag=True, help="It has no end from now on.")
@click.option("--anywhere", is_flag=True, help="Its data may go to all partners from now on.")
@with_acting_hub
def _change(hub: Runtime, id: str, **options: Any) -> Answer:
    """Change what the options name, from the next request on.

    ID is what `agreement list` shows, or the first characters of it.

    A list takes the place of the whole former list; --country and --sector together take the place
    of both. The terms of an agreement that has ended stay as they are: add another one.
    """
    if options["open_end"] and options["until"] is not None:
        raise click.UsageError("--until and --open-end exclude each other")
    names = join_lists(options["collection"])
    audience = make_audience(options["countries"], options["sectors"])
    if options["anywhere"] and not audience.is_everybody:
        raise click.UsageError("--anywhere excludes --country and --sector")
    keeps = audience.is_everybody and not options["anywhere"]
    change = AgreementChange(
        collections=_find_collections(hub, names) if names else None,
        max_tlp=options["max_tlp"],
        audience=None if keeps else audience,
        purposes=_purposes(options["purposes"]) if options["purposes"] else None,
        starts=options["starts"],
        until=options["until"],
        is_open=options["open_end"],
        note=options["note"],
    )
    if change == AgreementChange():
        raise click.UsageError(NOTHING_TO_CHANGE)
    changed = hub.services.agreements.change(_find_id(hub, id), change, hub.actor)
    hub.services.agreements.work()
    _warn_if_none_in_force(hub, changed.partner)
    return format_agreement(hub, changed)


@agreement_command.command(
    "end", epilog=format_examples('tocsin-hub agreement end 6e8e --reason "not renewed"')
)
@click.argument("id")
@click.option("--reason", type=REASON, required=True, help="Recorded in the journal.")
@with_acting_hub
def _end(hub: Runtime, id: str, reason: str) -> Answer:
    """End an agreement now, for good.

    ID is what `agreement list` shows, or the first characters of it.

    For a later end, use --until of `agreement change`. Everything that the partner sent before
    stays published, unless the agreement bounded where it may go; `partner withdraw` withdraws it.
    """
    ended = hub.services.agreements.end(_find_id(hub, id), hub.actor, reason)
    hub.services.agreements.work()
    _warn_if_another_holds(hub, ended.partner)
    return format_agreement(hub, ended)


def _warn_if_another_holds(hub: Runtime, slug: str) -> None:
    """Say so if another agreement gives a partner rights, now or later."""
    now = hub.services.agreements.now()
    other = find_current(hub.services.store.agreements.list_of(slug), now)
    if other is None or other.state_at(now) is AgreementState.ENDED:
        return
    is_planned = other.state_at(now) is AgreementState.PLANNED
    when = f"again from {timestamp(other.starts)}" if is_planned else "all the same"
    print_notice(
        f"tocsin-hub: warning: {slug} reads and sends {when}, by another agreement.\n"
        f"  To end that too: tocsin-hub agreement end {other.id} --reason …"
    )


def _warn_if_none_in_force(hub: Runtime, slug: str) -> None:
    """Say so if a partner has no rights before its next agreement begins."""
    now = hub.services.agreements.now()
    current = find_current(hub.services.store.agreements.list_of(slug), now)
    if current is None or current.state_at(now) is not AgreementState.PLANNED:
        return
    begin = timestamp(current.starts)
    print_notice(
        f"tocsin-hub: warning: {slug} reads and sends nothing until {begin}: no agreement with it "
        f"is in force before.\n  If it is to go on until then, add another one: "
        f"tocsin-hub agreement add {slug} --collection … --until {begin}"
    )


def _find_id(hub: Runtime, prefix: str) -> str:
    """The id that begins with `prefix`.  Raises NotFound if there is none, or more than one."""
    ids = [each.id for each in hub.services.store.agreements.list_all()]
    return find_by_prefix(prefix, ids, f"there is no agreement {prefix!r}", _LISTED)


def list_agreements(hub: Runtime, slug: str | None = None) -> list[Answer]:
    """All agreements, or those with one partner.  NotFound if there is no such partner."""
    store = hub.services.store
    if slug is None:
        return [format_agreement(hub, each) for each in store.agreements.list_all()]
    store.accounts.require_partner(slug)
    return [format_agreement(hub, each) for each in store.agreements.list_of(slug)]


def format_agreement(hub: Runtime, agreement: Agreement) -> Answer:
    """An agreement as commands show it, with the collections that it lets the partner use now."""
    known = {each.id: each for each in hub.services.store.feeds.collections()}
    named = [known[id_] for id_ in agreement.collections if id_ in known]
    state = agreement.state_at(hub.services.agreements.now())
    used = named if state is AgreementState.IN_FORCE else []
    partner = hub.services.store.accounts.find_partner(agreement.partner)
    reads = (
        each
        for each in used
        if _may_be_read(each, agreement.max_tlp, known) and serves(each, partner, known)
    )
    return {
        "agreement": agreement.id,
        "partner": agreement.partner,
        "state": state.value,
        "from": timestamp(agreement.starts),
        "until": None if agreement.until is None else timestamp(agreement.until),
        "max_tlp": agreement.max_tlp.label,
        "collections": _aliases(named),
        "lets_read": _aliases(reads),
        "lets_write": _aliases(each for each in used if each.kind in _INBOXES),
        **format_audience(agreement.audience),
        "purposes": list(agreement.purposes),
        "note": agreement.note,
    }


def _find_collections(hub: Runtime, names: Iterable[str]) -> frozenset[str]:
    return Partners(hub.services.store).find_collection_ids(names)


def _may_be_read(collection: Collection, level: Tlp, known: Mapping[str, Collection]) -> bool:
    is_inbox = collection.kind is CollectionKind.INBOX
    return not is_inbox and strictest_content(collection, known) <= level


def _aliases(collections: Iterable[Collection]) -> list[str]:
    return sorted(each.alias or each.id for each in collections)


def _purposes(texts: Iterable[str]) -> tuple[str, ...]:
    return tuple(text for each in texts if (text := each.strip()))


def _row(agreement: Answer) -> dict[str, object]:
    collections: Any = agreement["collections"]
    return {
        "agreement": agreement["agreement"],
        "partner": agreement["partner"],
        "state": agreement["state"],
        "from": agreement["from"],
        "until": agreement["until"] or "-",
        "max_tlp": agreement["max_tlp"],
        "collections": ",".join(collections),
    }
