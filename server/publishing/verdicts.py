"""The verdict on a candidate, by one table; docs/merging.md prints the same one.

A row names the state of the public object that the candidate would join, and the
state of what the partner itself published before under the candidate's id.  The
first row that fits decides.  `publisher.py` finds the states and carries the
action out.  Candidates that admission refused or held do not come here.

Values only: no object, partner or database is known here.
"""

from __future__ import annotations

from enum import StrEnum
from typing import NamedTuple

from tocsin.admission.model import Action, Finding, Verdict


class PublicState(StrEnum):
    """The public object that a candidate would join."""

    ABSENT = "not published"
    OWN = "published, from this partner alone"
    SHARED = "published, from other partners too"
    HIDDEN = "stricter than the partner may read"
    EXPIRED = "expired"
    REVOKED = "revoked"
    UNTAKEN = "stricter than any feed takes"
    INCOMPLETE = "needs objects that have not arrived"
    RAISED_ABOVE_EARLIER = "raised by its references above its earlier version"
    STRICTER_OBSERVABLES = "references observables that are stricter so far"
    HUBS_OWN = "the hub's own object"
    HUBS_COPY = "the hub's own object under another id"
    NOT_THE_HUBS = "claims to be the hub's own, is unknown"
    ANOTHERS = "translates or replaces what another partner says"
    CROWDED = "has as many translations as it may"


class OwnState(StrEnum):
    """The partner's own earlier contribution under the candidate's id."""

    NONE = "nothing"
    OLDER = "an older version"
    SAME = "the same"
    NEWER = "a newer version"
    NEWER_HELD = "a newer version, which is held"
    REPEATED = "this version, just sent or asked about"
    CONFLICTING = "this version with other content"
    UNCHANGED = "nothing or older, adds nothing"
    SYNONYM = "the same under another of its ids"
    ELSEWHERE = "a newer version about something else"
    AS_WIDE = "a marking definition seen as widely"
    REVOKED = "revoked before"
    WITHDRAWN = "something; the candidate revokes it"
    NOTHING_TO_WITHDRAW = "nothing; the candidate revokes it"
    WITHDRAWN_OFTEN = "nothing; it withdrew all its reports of it several times"


class Effect(StrEnum):
    """The change that a verdict makes beyond the submission's record."""

    NONE = "none"
    REMEMBER = "remember the id"  # the partner's id stands for the public object
    CONFIRM = "confirm"  # and the day on which it was last reported moves on
    JOIN = "join"  # the contribution joins, in place of what the id stood for
    WITHDRAW = "withdraw"  # the contribution ends; with the last one the object is revoked


class Row(NamedTuple):
    """One line of the table."""

    public: tuple[PublicState, ...]
    """Any of these; empty: whatever the object is."""
    own: tuple[OwnState, ...]
    """Any of these; empty: whatever the partner published."""
    verdict: Verdict
    effect: Effect
    finding: Finding | None = None
    """The message to the submitter."""

    def fits(self, public: PublicState, own: OwnState) -> bool:
        """True if the row decides on these states."""
        return (not self.public or public in self.public) and (not self.own or own in self.own)


WITHDRAWN = "your contribution is withdrawn"
"""The message of a revocation that took effect."""
WITHDRAWALS = "withdrawals"
"""The rule that holds what a partner withdrew several times; a reviewer may waive it."""


def _noted(rule: str, message: str) -> Finding:
    return Finding("merge", rule, Action.NOTED, message)


def _refused(rule: str, message: str) -> Finding:
    return Finding("merge", rule, Action.REFUSED, message)


def _held(rule: str, message: str) -> Finding:
    return Finding("publish", rule, Action.HELD, message)


_ECHO = _noted("echo", "the hub's own object; it corroborates nothing")
_ID_REVOKED = _refused(
    "versions", "this id was revoked and cannot be used again; send it under a new id"
)
_P, _O, _V, _E = PublicState, OwnState, Verdict, Effect

TABLE: tuple[Row, ...] = (
    Row((_P.HUBS_OWN,), (), _V.DUPLICATE, _E.NONE, _ECHO),
    Row((), (_O.WITHDRAWN,), _V.ADMITTED, _E.WITHDRAW, _noted("revoked", WITHDRAWN)),
    Row(
        (),
        (_O.NOTHING_TO_WITHDRAW,),
        _V.DUPLICATE,
        _E.REMEMBER,
        _noted("revoked", "nothing of yours is published under this id"),
    ),
    Row(
        (),
        (_O.NEWER_HELD,),
        _V.DUPLICATE,
        _E.NONE,
        _noted(
            "versions",
            "a newer version of this object is held already: it waits for its references",
        ),
    ),
    Row(
        (_P.UNTAKEN,),
        (),
        _V.REFUSED,
        _E.NONE,
        _refused(
            "marking",
            "no feed of this hub takes an object that is marked so strictly: "
            "mark it lower if you may",
        ),
    ),
    Row(
        (_P.INCOMPLETE,),
        (),
        _V.HELD,
        _E.NONE,
        _held("references", "waits for objects that it references: "),
    ),
    Row(
        (_P.RAISED_ABOVE_EARLIER,),
        (),
        _V.HELD,
        _E.NONE,
        _held(
            "references",
            "your earlier version stays published: this version references objects that are "
            "marked more strictly; to publish it, mark it as strictly as they are: ",
        ),
    ),
    Row(
        (_P.STRICTER_OBSERVABLES,),
        (),
        _V.HELD,
        _E.NONE,
        _held(
            "references",
            "it waits until the observables that it references are published at the level of "
            "its own marking; to publish it now, send it again with their marking: ",
        ),
    ),
    Row((_P.HUBS_COPY,), (), _V.DUPLICATE, _E.REMEMBER, _ECHO),
    Row(
        (_P.NOT_THE_HUBS,),
        (),
        _V.REFUSED,
        _E.NONE,
        _refused(
            "echo",
            "it says that this hub made it, but the hub has no such object: send it as your own",
        ),
    ),
    Row(
        (_P.ANOTHERS,),
        (),
        _V.REFUSED,
        _E.NONE,
        _refused(
            "statements",
            "only the partner whose report is published there, and that may read it, can "
            "translate it or say that it is superseded: send a note or an opinion",
        ),
    ),
    Row(
        (_P.CROWDED,),
        (),
        _V.REFUSED,
        _E.NONE,
        _refused("statements", "it has 100 translations already: withdraw one first"),
    ),
    Row((), (_O.REVOKED,), _V.REFUSED, _E.NONE, _ID_REVOKED),
    Row(
        (_P.EXPIRED,),
        (),
        _V.DUPLICATE,
        _E.NONE,
        _noted("expired", "it has expired here already: send a later valid_until"),
    ),
    Row((_P.REVOKED,), (), _V.REFUSED, _E.NONE, _ID_REVOKED),
    Row(
        (),
        (_O.WITHDRAWN_OFTEN,),
        _V.HELD,
        _E.NONE,
        _held(
            WITHDRAWALS,
            "you withdrew all your reports of it several times today:"
            " a reviewer of the hub must look at it",
        ),
    ),
    Row((), (_O.AS_WIDE,), _V.DUPLICATE, _E.NONE),
    Row(
        (),
        (_O.ELSEWHERE,),
        _V.DUPLICATE,
        _E.NONE,
        _noted("versions", "a newer version of it is here already, about something else"),
    ),
    Row((), (_O.SAME,), _V.DUPLICATE, _E.CONFIRM),
    Row(
        (),
        (_O.NEWER,),
        _V.DUPLICATE,
        _E.REMEMBER,
        _noted("versions", "a newer version of it is here already"),
    ),
    Row(
        (),
        (_O.REPEATED,),
        _V.DUPLICATE,
        _E.REMEMBER,
        _noted("versions", "this version of it is here already"),
    ),
    Row(
        (),
        (_O.CONFLICTING,),
        _V.REFUSED,
        _E.REMEMBER,
        _refused("versions", "this version is here with other content; raise `modified`"),
    ),
    Row((), (_O.SYNONYM,), _V.DUPLICATE, _E.JOIN),
    Row((_P.SHARED,), (), _V.MERGED, _E.JOIN),
    Row((_P.OWN,), (_O.UNCHANGED,), _V.DUPLICATE, _E.JOIN),
    Row((), (), _V.ADMITTED, _E.JOIN),
)
"""Every verdict of merging, the first row that fits first."""


def find_row(public: PublicState, own: OwnState = OwnState.NONE) -> Row:
    """The row that decides."""
    return next(row for row in TABLE if row.fits(public, own))
