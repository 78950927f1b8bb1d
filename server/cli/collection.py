"""`tocsin-hub collection`: inboxes, feeds, verbatim collections, aggregates and snapshots.

Readers of an aggregate or a snapshot see through it what its sources hold, whether or not they may
read the sources. So an inbox, whose content nobody has judged, cannot be a source, and the
operator sets the limit (`--max-tlp`).
"""

from __future__ import annotations

import re
import uuid
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import click

from tocsin.admission.errors import Malformed, NotFound
from tocsin.admission.markings.audience import EVERYBODY, Audience
from tocsin.admission.model import Tlp
from tocsin.admission.policy import SLUG
from tocsin.admission.timestamps import timestamp
from tocsin.config.command_line import ParsedValue, format_examples
from tocsin.server.bootstrap import ensure_collection
from tocsin.server.cli.command import (
    LIST,
    PAST_TIME,
    SHORT_NAME,
    TLP,
    Answer,
    join_lists,
    split_list,
    with_hub,
    with_new_hub,
)
from tocsin.server.model import Collection, CollectionKind, View
from tocsin.server.partners.countries import parse_country
from tocsin.server.partners.names import check_slug
from tocsin.server.runtime import Runtime
from tocsin.server.store import Store, Transaction

_LONGEST_TITLE = 200
_TYPE = re.compile(r"[a-z][a-z0-9-]{1,248}[a-z0-9]")
_SOURCES_OF = {
    CollectionKind.AGGREGATE: (CollectionKind.FEED, CollectionKind.VERBATIM),
    CollectionKind.SNAPSHOT: (
        CollectionKind.FEED,
        CollectionKind.VERBATIM,
        CollectionKind.AGGREGATE,
    ),
}
"""Kinds of collections that a view of this kind may show."""
_OPTIONS_OF = {
    CollectionKind.AGGREGATE: {"--source", "--type", "--active-only", "--max-tlp"},
    CollectionKind.SNAPSHOT: {"--source", "--at"},
    CollectionKind.FEED: {"--max-tlp", "--country", "--sector"},
}
"""Options that these kinds have; the others have none."""


@click.group("collection")
def collection_command() -> None:
    """Collections: inboxes, feeds, verbatim, aggregates, snapshots."""


@collection_command.command("list", epilog=format_examples("tocsin-hub collection list --json"))
@with_hub
def _list(hub: Runtime) -> list[Answer]:
    """List the collections with their ids, aliases and definitions."""
    return list_collections(hub)


@collection_command.command(
    "add",
    epilog=format_examples(
        "tocsin-hub collection add ics --kind feed --max-tlp green \\",
        '  --title "Industrial control"',
        "tocsin-hub collection add iocs --kind aggregate \\",
        "  --source clear,scratch --max-tlp green --type indicator --active-only",
        "tocsin-hub collection add october --kind snapshot --source green \\",
        "  --at 2025-11-01T00:00:00Z",
    ),
)
@click.argument("alias", type=SHORT_NAME)
@click.option("--kind", required=True, type=click.Choice([kind.value for kind in CollectionKind]))
@click.option("--title", default="", help="The title that readers see.")
@click.option(
    "--max-tlp",
    type=TLP,
    help="Feed, aggregate: the strictest level in it (feed: amber); red: everything.",
)
@click.option(
    "--source",
    type=LIST,
    multiple=True,
    help="Aggregate, snapshot: the collections that it shows.",
)
@click.option("--type", "types", type=LIST, multiple=True, help="Aggregate: only these STIX types.")
@click.option("--active-only", is_flag=True, help="Aggregate: nothing revoked or expired.")
@click.option(
    "--country",
    "countries",
    type=ParsedValue("LIST", lambda text: parse_countries(text)),
    multiple=True,
    help="Feed: only partners of these countries may read it.",
)
@click.option(
    "--sector",
    "sectors",
    type=ParsedValue("LIST", lambda text: parse_sectors(text)),
    multiple=True,
    help="Feed: only partners of these sectors may read it.",
)
@click.option(
    "--at",
    type=PAST_TIME,
    help="Snapshot: the moment that it shows: 12h (ago), 2026-01-31, or a timestamp (now).",
)
@with_new_hub
def _add(hub: Runtime, alias: str, kind: str, **options: Any) -> Answer:
    """Add a collection.

    ALIAS is its short name: lower-case letters, digits and hyphens. Lists are separated by
    commas. A feed receives what is published from now on.
    """
    spec = CollectionSpec(
        sources=join_lists(options["source"]),
        types=frozenset(join_lists(options["types"])),
        max_tlp=options["max_tlp"],
        active=options["active_only"],
        at=options["at"],
        audience=make_audience(options["countries"], options["sectors"]),
    )
    new = Collection(str(uuid.uuid4()), alias, CollectionKind(kind), options["title"] or alias)
    return add_collection(hub, define_collection(hub.services.store, new, spec))


@dataclass(frozen=True, slots=True)
class CollectionSpec:
    """The operator's options for a new collection, apart from its name, kind and title."""

    sources: tuple[str, ...] = ()
    """Ids or aliases."""
    types: frozenset[str] = frozenset()
    """STIX types; empty: all."""
    max_tlp: Tlp | None = None
    active: bool = False
    """Leave out what is revoked or expired."""
    at: int | None = None
    """µs since 1970 UTC; None: now."""
    audience: Audience = EVERYBODY


def define_collection(store: Store, new: Collection, spec: CollectionSpec) -> Collection:
    """The collection with its level or view as specified; it is not added yet.

    Raises Malformed if its kind does not have what the specification names, NotFound for an
    unknown source.
    """
    _check_spec(new.kind, spec)
    known = store.feeds.collections()
    sources = [_find_source(known, name, new.kind) for name in dict.fromkeys(spec.sources)]
    if new.kind is CollectionKind.AGGREGATE:
        ids = tuple(dict.fromkeys(source.id for source in sources))
        return replace(new, view=View(ids, spec.types, _limit(spec, sources), spec.active))
    if new.kind is CollectionKind.SNAPSHOT:
        (source,) = sources
        at = store.commit(lambda txn: txn.pin_stamp(spec.at))
        view = replace(source.view or View((source.id,)), at=at)
        return replace(new, view=view, description=f"As it was at {timestamp(at)}.")
    new = replace(new, audience=spec.audience)
    return new if spec.max_tlp is None else replace(new, max_tlp=spec.max_tlp)


def _limit(spec: CollectionSpec, sources: Iterable[Collection]) -> Tlp | None:
    """The strictest level that an aggregate shows; None: everything.

    Raises Malformed if it is not stated and a source holds what no rule has looked at.
    """
    verbatim = [each.alias or each.id for each in sources if each.kind is CollectionKind.VERBATIM]
    if verbatim and spec.max_tlp is None:
        raise Malformed(
            f"--max-tlp is missing: {verbatim[0]} holds what was posted, of any level or without "
            "one; name the strictest level to be shown, or red to show everything"
        )
    return None if spec.max_tlp is Tlp.RED else spec.max_tlp


def add_collection(hub: Runtime, collection: Collection) -> Answer:
    """Add a collection; a feed receives what is published from now on."""
    check_slug(collection.alias)
    _check_title(collection.title)
    ensure_collection(hub.services.store, collection)
    answer = _format_collection(collection, hub.services.store.feeds.collections())

    def work(txn: Transaction) -> None:
        hub.services.publisher.publish_own_objects(txn)
        entry = {name: value for name, value in answer.items() if name not in ("id", "title")}
        txn.add_journal_entry("collection.add", hub.actor, entry)

    hub.services.store.commit(work)
    return answer


def _check_title(title: str) -> None:
    if not title.isprintable() or len(title) > _LONGEST_TITLE:
        raise Malformed(
            f"--title must be one line of at most {_LONGEST_TITLE} printable characters"
        )


def parse_countries(text: str) -> tuple[str, ...]:
    """The codes of a list of countries; ValueError if one is unknown."""
    return tuple(parse_country(each) for each in split_list(text))


def parse_sectors(text: str) -> tuple[str, ...]:
    """The words of a list of sectors; ValueError if one cannot be a sector."""
    words = tuple(each.lower() for each in split_list(text))
    for word in words:
        if not SLUG.fullmatch(word):
            raise ValueError(f"{ascii(word[:40])} must be lower-case letters, digits or hyphens")
    return words


def make_audience(
    countries: Iterable[tuple[str, ...]], sectors: Iterable[tuple[str, ...]]
) -> Audience:
    """The audience that options name; without any, everybody."""
    codes, words = frozenset(join_lists(countries)), frozenset(join_lists(sectors))
    return Audience(codes or None, words or None)


def format_audience(audience: Audience) -> Answer:
    """An audience as commands show it; None: all."""
    both = {"countries": audience.countries, "sectors": audience.sectors}
    return {name: None if each is None else sorted(each) for name, each in both.items()}


def list_collections(hub: Runtime) -> list[Answer]:
    """Every collection with its definition."""
    known = hub.services.store.feeds.collections()
    return [_format_collection(collection, known) for collection in known]


def _check_spec(kind: CollectionKind, spec: CollectionSpec) -> None:
    """Raise Malformed if something is specified that this kind does not have."""
    given = {
        "--source": bool(spec.sources),
        "--type": bool(spec.types),
        "--active-only": spec.active,
        "--max-tlp": spec.max_tlp is not None,
        "--at": spec.at is not None,
        "--country": spec.audience.countries is not None,
        "--sector": spec.audience.sectors is not None,
    }
    for option in given:
        if given[option] and option not in _OPTIONS_OF.get(kind, ()):
            raise Malformed(f"{option} cannot be used with --kind {kind.value}")
    if kind is CollectionKind.AGGREGATE and not spec.sources:
        raise Malformed("--source is missing; name the collections that the aggregate shows")
    if kind is CollectionKind.SNAPSHOT and len(set(spec.sources)) != 1:
        raise Malformed("--source must name exactly one collection, of which the snapshot is taken")
    for type in spec.types:
        if not _TYPE.fullmatch(type):
            raise Malformed(f"--type: {ascii(type[:40])} is not a STIX type")


def _find_source(known: Sequence[Collection], name: str, kind: CollectionKind) -> Collection:
    """The collection of this id or alias.

    Raises NotFound, or Malformed if a view of this kind cannot show it.
    """
    for collection in known:
        if name in (collection.id, collection.alias):
            if collection.kind not in _SOURCES_OF.get(kind, ()):
                kinds = " or ".join(each.value for each in _SOURCES_OF.get(kind, ()))
                raise Malformed(
                    f"--source {name}: the kind is {collection.kind.value}, but it must be {kinds}"
                )
            return collection
    raise NotFound(
        f"there is no collection {name!r}; `tocsin-hub collection list` shows the collections"
    )


def _format_collection(collection: Collection, known: Iterable[Collection]) -> Answer:
    answer: Answer = {
        "id": collection.id,
        "alias": collection.alias,
        "kind": collection.kind.value,
        "title": collection.title,
        "max_tlp": collection.max_tlp.label if collection.kind is CollectionKind.FEED else None,
    }
    if not collection.audience.is_everybody:
        answer |= format_audience(collection.audience)
    return answer if collection.view is None else answer | _format_view(collection.view, known)


def _format_view(view: View, known: Iterable[Collection]) -> Answer:
    names = {collection.id: collection.alias or collection.id for collection in known}
    return {
        "sources": [names.get(source, source) for source in view.sources],
        "types": sorted(view.types),
        "max_tlp": None if view.max_tlp is None else view.max_tlp.label,
        "active_only": view.active,
        "at": None if view.at is None else timestamp(view.at),
    }
