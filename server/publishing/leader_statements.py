"""Statements that only the partner that leads an object may make about it.

A reader takes a translation for the author's own words, and `duplicate-of` or
`revoked-by` for the author's word that the object is superseded; all of them are
published in the hub's name.  So they are taken from the leading partner alone, and
end when another one leads.  Notes, opinions, reports and other relationships are
statements of their own.

Values only: the store is not known here.
"""

from __future__ import annotations

from dataclasses import replace

from tocsin.admission.merge.identity import is_observable_type
from tocsin.admission.model import StixObject
from tocsin.server.model import LeaderStatement, PublicObject

MOST_STATEMENTS = 100
"""Statements about one public object that are published at a time."""
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
