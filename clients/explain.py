"""What each stage of admission did to an object, and what the object became.

For analysts who want to know why: `tocsin check --explain` and `--diff`.
"""

import difflib
import json
from collections.abc import Iterator, Mapping

from rich.console import Console
from rich.text import Text

from tocsin.admission.model import StixObject
from tocsin.clients.check import Line
from tocsin.clients.render import printable

_STAGES: dict[str, str] = {
    "validate": "a STIX 2.1 object that can be taken, as it was sent",
    "normalise": "spelt as it was sent",
    "identify": "new to the hub as far as can be told here",
    "sanitise": "no rule had anything to remove or to ask",
}
"""Each stage in order, with what it says if it found nothing to say."""
_CLOSED = ("refused", "held")
_COLOURS = {"+": "green", "-": "red", "@": "cyan"}


def stages(line: Line) -> Iterator[tuple[str, list[Mapping[str, str]]]]:
    """The stages that looked at the object, each with its findings, in order.

    A stage that closed the object is the last; a duplicate is seen before any other looks.
    """
    found = {name: [f for f in line.findings if f.get("stage") == name] for name in _STAGES}
    telling = [name for name in _STAGES if found[name]]
    if line.verdict == "duplicate":
        yield from ((name, found[name]) for name in telling)
        return
    for name in _STAGES:
        yield name, found[name]
        if line.verdict in _CLOSED and name == telling[-1]:
            return


def show_stages(screen: Console, line: Line) -> None:
    """Under an object's verdict, a paragraph for each stage: rule, action, place, advice."""
    for stage, found in stages(line):
        screen.print(Text(f"    {stage:10} {'' if found else _STAGES[stage]}".rstrip()))
        for each in found:
            place = f" at {each['path']}" if each.get("path") else ""
            head = f"{each.get('rule', '')}: {each.get('action', '')}{place}"
            screen.print(Text(f"      - {printable(head)}"))
            screen.print(Text(f"        {printable(each.get('message', ''))}"))


def show_difference(screen: Console, line: Line) -> None:
    """Before and after as a unified diff of the JSON; a word if nothing would be shared."""
    if line.object is None:
        screen.print(Text(f"    nothing of it is shared: {line.verdict}"))
        return
    rows = list(difflib.unified_diff(_rows(line.before), _rows(line.object), "before", "after"))
    if not rows:
        screen.print(Text("    shared as it is"))
    for row in rows:
        text = printable(row.rstrip("\n"))
        screen.print(Text(f"    {text}", style=_COLOURS.get(text[:1], "")))


def _rows(subject: StixObject | None) -> list[str]:
    if subject is None:
        return []
    return json.dumps(subject, indent=2, sort_keys=True, ensure_ascii=False).splitlines()
