"""Reports of a run: for people, as JSON, as JUnit's XML."""

from __future__ import annotations

import textwrap
from collections import Counter
from collections.abc import Iterable, Iterator
from itertools import groupby
from typing import Any
from xml.etree import ElementTree as Tree

from tocsin.conformance.http import Request, Response
from tocsin.conformance.model import Check, Failure, Outcome, Result
from tocsin.conformance.registry import SECTIONS

_HEADERS = (
    "content-type",
    "www-authenticate",
    "allow",
    "location",
    "retry-after",
    "x-taxii-date-added-first",
    "x-taxii-date-added-last",
)
"""The headers of an answer that are shown."""
_SHOWN = 300
"""Characters that are shown of a body."""
_COMPLAINTS = 2
"""Complaints of a check that are shown to people."""
_WIDTH = 110
_LONGEST_LINE = 200
"""Characters that are shown of a request line."""

_MARKS = {
    Outcome.PASSED: ("ok  ", "32"),
    Outcome.FAILED: ("FAIL", "1;31"),
    Outcome.WARNED: ("warn", "33"),
    Outcome.SKIPPED: ("skip", "2"),
}


def is_conformant(results: Iterable[Result], *, strict: bool) -> bool:
    """True if a server meets every MUST; with `strict`, every SHOULD as well."""
    wrong = {Outcome.FAILED, Outcome.WARNED} if strict else {Outcome.FAILED}
    return not any(each.outcome in wrong for each in results)


def format_text(results: list[Result], *, colour: bool) -> Iterator[str]:
    """The report, line by line."""
    yield "In brackets: the level, and the section of TAXII 2.1 (OASIS Standard, 10 June 2021)."
    for section, those in groupby(results, lambda each: each.check.number.split(".")[0]):
        yield ""
        yield _painted(f"{section} {SECTIONS[section]}", "1", colour)
        for each in those:
            yield from _result_lines(each, colour)
    yield ""
    yield from format_summary(results, colour=colour)


def _numbers(results: list[Result], outcome: Outcome) -> str:
    found = dict.fromkeys(each.check.number for each in results if each.outcome is outcome)
    return ", ".join(found)


def format_summary(results: list[Result], *, colour: bool) -> Iterator[str]:
    """The number of results of each kind, and the reasons for skipped checks."""
    count = Counter(each.outcome for each in results)
    counts = [
        (count[Outcome.PASSED], "passed", Outcome.PASSED),
        (count[Outcome.FAILED], "failed (a MUST is not kept)", Outcome.FAILED),
        (count[Outcome.WARNED], "warned (a SHOULD or a decision is not)", Outcome.WARNED),
        (count[Outcome.SKIPPED], "skipped", Outcome.SKIPPED),
    ]
    yield ", ".join(
        _painted(f"{n} {words}", _MARKS[o][1] if n else "", colour) for n, words, o in counts
    )
    for outcome in (Outcome.FAILED, Outcome.WARNED):
        if numbers := _numbers(results, outcome):
            yield f"  {outcome}: {numbers}"
    reasons = Counter(each.reason for each in results if each.outcome is Outcome.SKIPPED)
    for reason, times in reasons.most_common():
        yield f"  skipped {times}: {reason}"


def _result_lines(result: Result, colour: bool) -> Iterator[str]:
    mark, paint = _MARKS[result.outcome]
    check = result.check
    where = _painted(f"[{check.level}, {check.clause}]", "2", colour)
    why = f": skipped, {result.reason}" if result.outcome is Outcome.SKIPPED else ""
    yield f"  {_painted(mark, paint, colour)} {check.number:<6}{check.sentence}  {where}{why}"
    for each in result.complaints[:_COMPLAINTS]:
        yield from _complaint(each)
    if (rest := len(result.complaints) - _COMPLAINTS) > 0:
        yield f"              and {rest} more like this (--json has them)"


def _complaint(complaint: Failure) -> Iterator[str]:
    yield from _wrapped("expected", complaint.expected)
    if complaint.answer is not None:
        yield from _wrapped("asked", "; ".join(_short(complaint.answer.request)))
        yield from _wrapped("answer", _line(complaint.answer))
    yield ""


def _short(asked: Request) -> list[str]:
    line, *rest = asked.short_lines()
    if len(line) > _LONGEST_LINE:
        line = f"{line[: _LONGEST_LINE // 2]} … {line[-_LONGEST_LINE // 2 :]}"
    return [line, *rest]


def _wrapped(name: str, words: str) -> list[str]:
    long = words if len(words) <= 600 else words[:600] + " …"
    lines = textwrap.wrap(long, _WIDTH, break_on_hyphens=False) or [""]
    return [f"              {name if not n else '':<9} {line}" for n, line in enumerate(lines)]


def _line(answer: Response) -> str:
    headers = "; ".join(f"{name}: {value}" for name, value in _telling(answer))
    return f"{answer.status}; {headers}; {_body(answer) or '(no body)'}"


def _telling(answer: Response) -> list[tuple[str, str]]:
    return [pair for pair in answer.headers if pair[0].lower() in _HEADERS]


def _body(answer: Response) -> str:
    whole = answer.body[: 4 * _SHOWN].decode("utf-8", "replace")
    shown = "".join(each if each.isprintable() else " " for each in whole)
    return shown if len(shown) <= _SHOWN else shown[:_SHOWN] + "…"


def _painted(words: str, paint: str, colour: bool) -> str:
    return f"\x1b[{paint}m{words}\x1b[0m" if colour and paint else words


def format_json(results: list[Result], url: str, left: list[str]) -> dict[str, Any]:
    """The report as JSON."""
    return {
        "url": url,
        "counts": dict(Counter(str(each.outcome) for each in results)),
        "results": [_as_json(each) for each in results],
        "left_behind": left,
    }


def _as_json(result: Result) -> dict[str, Any]:
    entry: dict[str, Any] = {
        **check_as_json(result.check),
        "outcome": str(result.outcome),
        "seconds": round(result.seconds, 3),
    }
    if result.outcome is Outcome.SKIPPED:
        entry["reason"] = result.reason
    if result.complaints:
        entry["complaints"] = [_complaint_as_json(each) for each in result.complaints]
    return entry


def _complaint_as_json(complaint: Failure) -> dict[str, Any]:
    entry: dict[str, Any] = {"expected": complaint.expected}
    if (answer := complaint.answer) is not None:
        entry["request"] = answer.request.lines()
        entry["status"] = answer.status
        entry["headers"] = dict(_telling(answer))
        entry["body"] = _body(answer)
    return entry


def check_as_json(check: Check) -> dict[str, Any]:
    """A check as `--list --json` has it."""
    return {
        "number": check.number,
        "also": list(check.also),
        "taxii_section": check.clause,
        "level": str(check.level),
        "sentence": check.sentence,
    }


def format_junit(results: list[Result]) -> bytes:
    """The report as JUnit's XML: warnings are reported, and do not count as failures."""
    count = Counter(each.outcome for each in results)
    suite = Tree.Element(
        "testsuite",
        name="TAXII 2.1 conformance",
        tests=str(len(results)),
        failures=str(count[Outcome.FAILED]),
        errors="0",
        skipped=str(count[Outcome.SKIPPED]),
    )
    for each in results:
        suite.append(_case(each))
    return bytes(Tree.tostring(suite, encoding="utf-8", xml_declaration=True))


def _case(result: Result) -> Tree.Element:
    section = result.check.number.split(".")[0]
    case = Tree.Element(
        "testcase",
        classname=f"{section} {SECTIONS[section]}",
        name=f"{result.check.name} [{result.check.level}]",
        time=f"{result.seconds:.3f}",
    )
    text = "\n".join(line for each in result.complaints for line in _complaint(each))
    if result.outcome is Outcome.SKIPPED:
        Tree.SubElement(case, "skipped", message=result.reason)
    elif result.outcome is Outcome.FAILED:
        failure = Tree.SubElement(case, "failure", message=_fit(result.complaints[0].expected))
        failure.text = _fit(text)
    elif result.outcome is Outcome.WARNED:
        Tree.SubElement(case, "system-out").text = _fit(f"warning ({result.check.level})\n{text}")
    return case


def _fit(words: str) -> str:
    """Without the characters that XML has no way to write."""
    return "".join(each for each in words if each >= " " or each in "\n\t")


def list_checks(checks: Iterable[Check]) -> Iterator[str]:
    """The checks that a run would make."""
    for each in checks:
        also = f" (also {', '.join(each.also)})" if each.also else ""
        yield f"{each.number:<6}{each.level:<9} {each.sentence}  [{each.clause}]{also}"
