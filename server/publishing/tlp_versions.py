"""The versions of a public object: one for each level at which it says something else.

A feed gets a new version only if what it may see is new, so that nobody learns
from a version that something changed where he may not look.  A fuller copy is
never older than a less strict one: who reads both keeps the fuller one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from tocsin.admission.markings.granular import layer_at
from tocsin.admission.merge.content import object_digest
from tocsin.admission.model import Layer, StixObject, Tlp
from tocsin.server.model import PublicObject, TlpVersion

MILLISECOND = 1_000
"""`modified` has three decimals, so a later version is at least so much later."""
_FIGURES = ("confidence",)
"""What changes with time and company; whether that is news is decided elsewhere."""


@dataclass(frozen=True, slots=True)
class Fresh:
    """A copy with what it says."""

    of: TlpVersion
    content: StixObject
    author: str
    changed: bool
    """Whether it says something that feeds of its level do not hold yet."""


def aged(
    before: PublicObject | None, layers: Sequence[Layer], author: str, now: int
) -> list[Fresh]:
    """The copies that the layers make, with their versions, the least strict first."""
    base = layers[0][0]
    kept = {copy.level for copy in before.tlp_versions} if before else set()
    fresh: list[Fresh] = []
    for level in sorted({level for level, _ in layers} | {each for each in kept if each > base}):
        content = layer_at(layers, level)
        value = object_digest({**content, "created_by_ref": author}, _FIGURES)
        held = _held(before, level)
        below = fresh[-1] if fresh else None
        changed = held is None or held.digest != value or (below is not None and below.changed)
        modified = held.modified if held and not changed else _later(held, below, now)
        fresh.append(Fresh(TlpVersion(level, modified, value), content, author, changed))
    return fresh


def again(copies: Sequence[Fresh], now: int) -> list[Fresh]:
    """The copies in later versions, though only what the hub itself says of them is new."""
    later: list[Fresh] = []
    for copy in copies:
        modified = _later(copy.of, later[-1] if later else None, now)
        later.append(replace(copy, of=copy.of._replace(modified=modified), changed=True))
    return later


def also(copy: Fresh, waiting: Sequence[Fresh]) -> Fresh:
    """The copy, changed if the one that it takes the place of was so and is not written yet."""
    former = copy_for(waiting, copy.of.level)
    return replace(copy, changed=copy.changed or (former is not None and former.changed))


def copy_for(copies: Sequence[Fresh], level: Tlp) -> Fresh | None:
    """What a feed of this level may have; None if nothing."""
    return next((copy for copy in reversed(copies) if copy.of.level <= level), None)


def _held(before: PublicObject | None, level: Tlp) -> TlpVersion | None:
    """What feeds of a level hold now."""
    if before is None or before.tlp > level:
        return None
    own = TlpVersion(before.tlp, before.modified, before.digest)
    return max((copy for copy in (own, *before.tlp_versions) if copy.level <= level), key=_by_level)


def _by_level(copy: TlpVersion) -> Tlp:
    return copy.level


def _later(held: TlpVersion | None, below: Fresh | None, now: int) -> int:
    times = [now]
    times += [held.modified + MILLISECOND] if held else []
    times += [below.of.modified + MILLISECOND] if below else []
    return max(times)
