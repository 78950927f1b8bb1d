"""How a rule treats what it finds, when the operator chooses by kind."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

TEXT = ("replace", "ask", "hold", "refuse", "keep")
"""For something in a text: masked, masked with a question to an analyst, and so on."""
VALUE = ("hold", "refuse", "keep")
"""For something in what an indicator matches on, which is never masked."""
PROPERTY = ("strip", "ask", "hold", "refuse", "keep")
"""For a whole property."""

_DECIDED = frozenset(("ask", "hold"))


def released(
    settings: Mapping[str, object], modes: Mapping[str, Sequence[str]]
) -> dict[str, object]:
    """The settings after an analyst said yes: what was asked or held for is kept.

    What the rule takes out without asking, and what it refuses, it still does.
    """
    return {
        name: "keep" if name in modes and value in _DECIDED else value
        for name, value in settings.items()
    }
