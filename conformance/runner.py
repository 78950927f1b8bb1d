"""Makes the checks, one after the other, and keeps going whatever a server does."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable

from tocsin.conformance.client import SkipCheck, Unexpected
from tocsin.conformance.http import Unreachable
from tocsin.conformance.model import Check, Failure, Level, Outcome, Result
from tocsin.conformance.server import Server

_MOST = 20
"""Complaints that a check is heard to the end for."""
_NOTHING = "there was nothing here to look at"
_AWAY = "the server no longer answers"

Watch = Callable[[Result], None]


def run_checks(subject: Server, checks: Iterable[Check], watch: Watch) -> list[Result]:
    """The result of each check in their order, given to `watch` as it comes."""
    results, away = [], False
    wanted = list(checks)
    for each in sorted(wanted, key=lambda check: check.risk):
        if each.risk and not away and subject.posted:
            subject.delete_posted()  # while the server is still well
        result = (
            Result(each, Outcome.SKIPPED, 0.0, reason=_AWAY) if away else run_check(subject, each)
        )
        away = away or (_cut_off(result) and not _answers(subject))
        results.append(result)
        watch(result)
    return sorted(results, key=lambda result: wanted.index(result.check))


def run_check(subject: Server, check: Check) -> Result:
    """The result of one check."""
    began = time.monotonic()
    complaints: list[Failure] = []
    looked, reason = 0, ""
    try:
        for complaint in check.look(subject):
            looked += 1
            complaints += [complaint] if complaint else []
            if len(complaints) >= _MOST:
                break
    except SkipCheck as skip:
        reason = str(skip)
    except Unexpected as unmet:
        complaints.append(Failure(unmet.expected, unmet.answer))
    except Unreachable as error:
        complaints.append(Failure(f"an answer, not {error}", None))
    except Exception as error:  # whatever an answer does to one check, the others are made
        message = f"an answer that can be read, not one with a {type(error).__name__}: {error}"
        complaints.append(Failure(message[:300], None))
    if not looked and not complaints:
        reason = reason or _NOTHING
    outcome = _outcome(check, complaints, skipped=bool(reason) and not looked)
    return Result(check, outcome, time.monotonic() - began, tuple(complaints), reason)


def _outcome(check: Check, complaints: list[Failure], *, skipped: bool) -> Outcome:
    if complaints:
        return Outcome.FAILED if check.level is Level.MUST else Outcome.WARNED
    return Outcome.SKIPPED if skipped else Outcome.PASSED


def _cut_off(result: Result) -> bool:
    return any(each.answer is None for each in result.complaints)


def _answers(subject: Server) -> bool:
    try:
        subject.get(subject.options.discovery)
    except Unreachable:
        return False
    return True
