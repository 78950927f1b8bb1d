"""What merging and publishing say to the submitter about one object."""

from __future__ import annotations

from collections import Counter

from tocsin.admission.model import Action, Finding
from tocsin.admission.references import Rewriting

MOST = 20
"""Findings of one kind that a person is shown."""

ECHO = Finding("merge", "echo", Action.NOTED, "the hub's own object; it corroborates nothing")
"""Of what came back."""


def note(rule: str, message: str) -> Finding:
    """Merging saw something and changed nothing."""
    return Finding("merge", rule, Action.NOTED, message)


def dropped(rewriting: Rewriting) -> list[Finding]:
    """One finding for each property, however many references it lost."""
    lost = Counter(str(path[0]) for path, _ in rewriting.dropped)
    return [
        Finding(
            "publish",
            "references",
            Action.STRIPPED,
            f"{count} of its references lead to what its readers cannot see",
            name,
        )
        for name, count in sorted(lost.items())[:MOST]
    ]


def telling(findings: tuple[Finding, ...]) -> tuple[Finding, ...]:
    """As many as a person can read; the last ones give the reason for the verdict."""
    most = 2 * MOST
    return findings if len(findings) <= most else findings[:MOST] + findings[-MOST:]
