"""How a rule treats what it finds, when the operator chooses by kind."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

TEXT = ("replace", "ask", "hold", "refuse", "keep")
"""For something in a text: masked, masked with a question to an analyst, and so on."""
VALUE = ("hold", "refuse", "keep")
"""For something in what an indicator matches on, which is never masked."""
PROPERTY = ("strip", "ask", "hold", "refuse", "keep")
"""For a whole property."""

WIDER = "generalise"
"""For a value: a pattern is widened; held where that would be another pattern."""
WIDEN = "widen"
"""The same once an analyst said yes: what cannot be widened is kept.  No operator writes it."""

DECIDED = "decided"
"""A setting that no operator writes: a rule without modes refuses still, and holds no more."""

_AFTER_YES: Mapping[object, str] = {"ask": "keep", "hold": "keep", WIDER: WIDEN}


def released(
    settings: Mapping[str, object], modes: Mapping[str, Sequence[str]]
) -> dict[str, object]:
    """The settings after an analyst said yes: what was asked or held for is kept.

    What the rule takes out without asking, and what it refuses, it still does.
    """
    after = {
        name: _AFTER_YES.get(value, value) if name in modes else value
        for name, value in settings.items()
    }
    return {**after, DECIDED: True}
