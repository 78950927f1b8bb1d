"""In whose name something is published, and who may speak for it.

A partner whose consent has ended is not named again.  Everything published meanwhile stays
as it is.  But whenever the hub computes such an object anew, the contribution loses the
name, and so does the next version.

A reader takes a translation for the author's own words, and `duplicate-of` or
`revoked-by` for the author's word that the object is superseded; all of them are
published in the hub's name.  So they are taken from the partner that leads the object
alone, and end when another one leads.  Notes, opinions, reports and other relationships
are statements of their own.

Values only: the store is not known here.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, replace

from tocsin.admission.markings.acs import anonymise_definition, is_acs
from tocsin.admission.markings.granular import layers_of
from tocsin.admission.merge.identity import is_observable_type
from tocsin.admission.model import CONSENTS_TO_NAME, Contribution, Layer, StixObject, Submitter
from tocsin.admission.rules.anonymise_source import anonymise_object
from tocsin.admission.timestamps import DAY, HOUR, micros
from tocsin.server.model import LeaderStatement, Partner, PublicObject


def choose_end_of_authors(now: int) -> int:
    """The time, in µs since 1970 UTC, at which an identity that names its partner is to end.

    Between one hour and 25 hours after the report that showed it: at once, readers would see
    which report that was.
    """
    return now + HOUR + secrets.randbelow(DAY)


@dataclass(frozen=True, slots=True)
class Attribution:
    """The names of partners that may be published now."""

    partners: Callable[[], Iterable[Partner]]
    acs_custodian: str = ""
    """The hub's organisation in ACS, in whose name markings are published."""

    def remove_names(self, publics: Collection[PublicObject]) -> list[PublicObject]:
        """The same objects, without the names of partners whose consent has ended."""
        if not any(each.may_be_named for public in publics for each in public.contributions):
            return list(publics)
        known = {each.slug: each.submitter() for each in self.partners()}
        return [self._remove_names(public, known) for public in publics]

    def _remove_names(self, public: PublicObject, known: Mapping[str, Submitter]) -> PublicObject:
        left = tuple(self._remove_name(each, known) for each in public.contributions)
        return public if left == public.contributions else replace(public, contributions=left)

    def _remove_name(self, named: Contribution, known: Mapping[str, Submitter]) -> Contribution:
        submitter = known.get(named.partner)
        if not named.may_be_named or submitter is None or submitter.consent in CONSENTS_TO_NAME:
            return named

        def bare(layers: Iterable[Layer]) -> tuple[Layer, ...]:
            return tuple((level, self._anonymise(layer, submitter)) for level, layer in layers)

        return replace(
            named,
            object=self._anonymise(named.object, submitter),
            stricter_layers=bare(named.stricter_layers),
            unresolved_layers=bare(named.unresolved_layers),
            may_be_named=False,
        )

    def _anonymise(self, subject: StixObject, submitter: Submitter) -> StixObject:
        if not is_acs(subject):
            return anonymise_object(subject, submitter)
        marks = {name: subject[name] for name in ("object_marking_refs",) if name in subject}
        return anonymise_definition(subject, self.acs_custodian) | marks


def with_names_of(
    contribution: Contribution, named: Contribution, bare: Contribution
) -> Contribution:
    """A contribution with the names that it had, in layers that are as they were without them."""
    if contribution is bare:
        return named
    before = dict(layers_of(bare))
    with_names = dict(layers_of(named))
    (_, subject), *stricter = (
        (level, with_names[level] if layer == before.get(level) else layer)
        for level, layer in layers_of(contribution)
    )
    return replace(
        contribution,
        object=subject,
        stricter_layers=tuple(stricter),
        may_be_named=named.may_be_named,
    )


_ABOUT_THE_SOURCE = frozenset(("duplicate-of", "revoked-by"))
"""Types of relationships by which an author says that its object is superseded."""
_MAY_MAKE_SUCH = ("language-content--", "relationship--")
_SHARED = frozenset(("indicator", "relationship", "marking-definition"))
"""Types, apart from observables, whose public id does not follow from the partner's own id."""


def may_be_statement(public_id: str) -> bool:
    """True for the id of an object that can be such a statement."""
    return public_id.startswith(_MAY_MAKE_SUCH)


def find_subject(statement: StixObject) -> str:
    """The id of the object for whose author a statement speaks; empty if it does for none.

    An observable is a value and has no author, so only its texts, not its relations, have one.
    """
    if statement.get("type") == "language-content":
        return str(statement.get("object_ref", ""))
    source = str(statement.get("source_ref", ""))
    speaks = statement.get("relationship_type") in _ABOUT_THE_SOURCE
    return source if speaks and not is_observable_type(source.partition("--")[0]) else ""


def translates_version(translation: StixObject, version: str) -> bool:
    """True unless a translation names, to the millisecond, another version than this one.

    Without `object_modified` it is of whichever is the latest (STIX 2.1 section 7.1); an
    observable has no versions.
    """
    named = translation.get("object_modified")
    if translation.get("type") != "language-content" or not named or not version:
        return True
    return micros(named) // 1_000 == micros(version) // 1_000


def translated_properties(translation: StixObject) -> set[str]:
    """The properties of which it has a translation into any language."""
    return {name for texts in translation.get("contents", {}).values() for name in texts}


def can_be_shared(public_id: str) -> bool:
    """True if several partners can contribute to the object."""
    kind = public_id.partition("--")[0]
    return kind in _SHARED or is_observable_type(kind)


def with_statements(
    public: PublicObject, statement: str, partners: frozenset[str]
) -> PublicObject | None:
    """The object with the partners that make a statement about it; None if nothing changes."""
    kept = tuple(each for each in public.statements if each.id != statement)
    kept += tuple(LeaderStatement(partner, statement) for partner in sorted(partners))
    return None if set(kept) == set(public.statements) else replace(public, statements=kept)
