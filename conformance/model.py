"""Checks and their outcomes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import StrEnum

from tocsin.conformance.http import Response
from tocsin.conformance.server import Server


class Level(StrEnum):
    """The weight of a check."""

    MUST = "MUST"  # the standard demands it                          -> a failure
    SHOULD = "SHOULD"  # the standard recommends it                   -> a warning
    DECISION = "decision"  # the standard leaves it open; our reading -> a warning


class Outcome(StrEnum):
    """The outcome of a check."""

    PASSED = "passed"
    FAILED = "failed"
    WARNED = "warned"  # not kept, but not a MUST
    SKIPPED = "skipped"  # could not be made; the reason is given


@dataclass(frozen=True, slots=True)
class Failure:
    """One expectation that was not met."""

    expected: str
    answer: Response | None
    """The server's response; None if there was none."""


Looked = Iterator[Failure | None]
"""The results that a check yields: for each expectation a failure, or None if it was met."""


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that is promised, and how to see whether it is kept."""

    number: str
    """Section and row of the list that the report goes by: `16.3`."""
    clause: str
    """The source: a section of the OASIS Standard, or an RFC."""
    level: Level
    sentence: str
    look: Callable[[Server], Looked]
    also: tuple[str, ...] = ()
    """Other numbers that it answers."""
    risk: int = 0
    """Checks that a weak server may not survive come last, the riskiest at the very end."""

    @property
    def name(self) -> str:
        """Number and sentence."""
        return f"{self.number} {self.sentence}"

    def answers(self, only: str) -> bool:
        """True if a number, or a section's number, selects this check."""
        return any(
            each == only or each.startswith(f"{only}.") for each in (self.number, *self.also)
        )


@dataclass(frozen=True, slots=True)
class Result:
    """A check that was made."""

    check: Check
    outcome: Outcome
    seconds: float
    complaints: tuple[Failure, ...] = ()
    reason: str = ""
    """Why it was skipped."""


def check(
    number: str, clause: str, level: Level, *also: str, risk: int = 0
) -> Callable[[Callable[[Server], Looked]], Check]:
    """Decorator that makes a function a check.

    The first line of its docstring is the requirement.
    """

    def decorate(look: Callable[[Server], Looked]) -> Check:
        sentence = (look.__doc__ or look.__name__).splitlines()[0].removesuffix(".")
        return Check(number, clause, level, sentence, look, also, risk)

    return decorate


def expect(met: bool, expected: str, answer: Response | None) -> Failure | None:
    """A complaint unless the expectation is met."""
    return None if met else Failure(expected, answer)
