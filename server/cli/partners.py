"""`tocsin-hub partner`: its words, and what they ask of the desk."""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Sequence
from typing import Any

from tocsin.admission.errors import Malformed
from tocsin.admission.merge.confidence import NEUTRAL, parse_reliability
from tocsin.admission.model import Consent, Tlp
from tocsin.server.cli import operations
from tocsin.server.countries import country
from tocsin.server.model import Partner
from tocsin.server.runtime import Runtime

_SEVERAL = ("sector", "term", "read", "write")
"""Options of several values."""


class NameAnywhere(argparse.ArgumentParser):
    """Takes the short name from behind an option of several values as well.

    `--term one two acme` would leave argparse without a short name: the option
    takes all that follows.
    """

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> tuple[Any, list[str]]:
        """See argparse."""
        options, rest = super().parse_known_args(args, namespace)
        if getattr(options, "slug", "") is None:
            options.slug = self._swallowed(options)
        return options, rest

    def _swallowed(self, options: argparse.Namespace) -> str:
        """The last word of the one option that was given several."""
        several = [
            given for name in _SEVERAL for given in getattr(options, name) or () if len(given) > 1
        ]
        if len(several) != 1:
            self.error(f"which partner? give its short name first: {self.prog} acme …")
        return str(several[0].pop())


def add(hub: Runtime, options: argparse.Namespace) -> operations.Answer:
    """See desk.add_partner."""
    partner = Partner(
        slug=options.slug,
        name=options.name[0],
        country=options.country,
        sectors=words(*options.sector),
        terms=(*options.name[1:], *words(*options.term)),
        consent=Consent(options.consent),
        max_tlp=options.max_tlp,
        default_tlp=min(options.max_tlp, Tlp.AMBER),
        reliability=options.reliability,
        group=options.group,
    )
    reads = ("clear", "green") if options.read is None else words(*options.read)
    writes = ("inbox",) if options.write is None else words(*options.write)
    return operations.add_partner(hub, partner, reads, writes)


def change(hub: Runtime, options: argparse.Namespace) -> operations.Answer:
    """See desk.change_partner."""
    names, terms = options.name or [], _given(options.term)
    about: dict[str, object] = {
        "name": names[0] if names else None,
        "country": options.country,
        "sectors": _given(options.sector),
        "terms": None if terms is None else (*names[1:], *terms),
        "consent": None if options.consent is None else Consent(options.consent),
        "max_tlp": options.max_tlp,
        "reliability": options.reliability,
        "group": options.group,
    }
    if len(names) > 1 and terms is None:
        raise Malformed("further names are terms: give all of its terms with --term as well")
    wanted = operations.Change(
        about={name: value for name, value in about.items() if value is not None},
        reads=_given(options.read),
        writes=_given(options.write),
        disabled=options.disabled,
    )
    return operations.change_partner(hub, options.slug, wanted)


def listed(hub: Runtime, options: argparse.Namespace) -> list[operations.Answer]:
    """See desk.partners."""
    return operations.partners(hub)


def options_of_add(command: argparse.ArgumentParser) -> None:
    """What `partner add` takes."""
    _slug(command, "--name NAME [options]", "short, no everyday word: small letters, digits, -")
    command.add_argument(
        "--name", required=True, action="append", help="what the partner is called; all its names"
    )
    _about(command)
    command.set_defaults(
        **{"country": "", "sector": [], "term": [], "consent": "none", "group": ""},
        **{"max_tlp": Tlp.AMBER, "reliability": NEUTRAL},
    )


def options_of_change(command: argparse.ArgumentParser) -> None:
    """What `partner change` takes."""
    _slug(command, "[options]", "its short name")
    command.add_argument("--name", action="append", help="what the partner is called")
    _about(command)
    for name, const, text in (
        ("--disable", True, "let it in no more"),
        ("--enable", False, "again"),
    ):
        command.add_argument(name, dest="disabled", action="store_const", const=const, help=text)


def words(*lists: Iterable[str]) -> tuple[str, ...]:
    """Words given one by one or joined by commas."""
    found = (word.strip() for given in lists for each in given for word in each.split(","))
    return tuple(word for word in found if word)


def tlp(word: str) -> Tlp:
    """An option's TLP level."""
    try:
        return Tlp.of(word)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from error


def _given(lists: Sequence[Iterable[str]] | None) -> tuple[str, ...] | None:
    return None if lists is None else words(*lists)


def _slug(command: argparse.ArgumentParser, rest: str, text: str) -> None:
    # argparse would show it last, behind options that take all that follows
    command.usage = f"%(prog)s SLUG {rest}"
    command.add_argument("slug", nargs="?", metavar="SLUG", help=text)


def _about(command: argparse.ArgumentParser) -> None:
    texts = {
        "sector": "what it does",
        "term": "own domains, products, networks: kept out of what is shared",
        "read": "collections; clear,green for a new partner",
        "write": "collections; inbox for a new partner",
    }
    command.add_argument("--country", type=_country, help="ISO 3166-1 alpha-2: US, not USA")
    for name in _SEVERAL:
        several = f"{texts[name]}; one by one or by comma"
        command.add_argument(f"--{name}", action="append", nargs="+", help=several)
    command.add_argument("--max-tlp", type=tlp, help="the strictest it may send; amber at first")
    command.add_argument(
        "--consent",
        choices=[c.value for c in Consent],
        help="who may learn its name; none at first",
    )
    command.add_argument(
        "--reliability",
        type=_reliability,
        help="how far it has proved right: A to F of the Admiralty code, or 0 to 100; 50 at first",
    )
    command.add_argument("--group", help="partners of one group count as one source")


def _country(text: str) -> str:
    try:
        return country(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from error


def _reliability(text: str) -> int:
    try:
        return parse_reliability(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from error
