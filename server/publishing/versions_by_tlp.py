"""The versions of a public object: one for each TLP level at which it says something else.

A feed gets a new version only if what its readers may see is new, so that nobody
learns from a version that something changed where they may not look.  A fuller
version is never older than a less strict one: who reads both keeps the fuller one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from tocsin.admission.markings.granular import layer_at
from tocsin.admission.merge.content import object_digest
from tocsin.admission.model import Layer, StixObject, Tlp
from tocsin.server.model import PublicObject, TlpVersion

MILLISECOND = 1_000
"""µs between two versions at least, as `modified` has three decimals."""
_FIGURES = ("confidence",)
"""Properties that change with time and contributions; `public_objects` decides on a version."""


@dataclass(frozen=True, slots=True)
class NextVersion:
    """A version with its content, as a transaction will publish it."""

    of: TlpVersion
    content: StixObject
    author: str
    changed: bool
    """It says something that the feeds of its level do not hold yet."""


def next_versions(
    before: PublicObject | None,
    layers: Sequence[Layer],
    author: str,
    now: int,
    news_from: Tlp = Tlp.CLEAR,
) -> list[NextVersion]:
    """One version for each layer, and for each level published before; the least strict first.

    Feeds below `news_from` keep the version that they hold, also if another is due there.
    """
    base = layers[0][0]
    published = {version.level for version in before.tlp_versions} if before else set()
    levels = {level for level, _ in layers} | {level for level in published if level > base}
    found: list[NextVersion] = []
    for level in sorted(levels):
        content = layer_at(layers, level)
        value = object_digest({**content, "created_by_ref": author}, _FIGURES)
        held = _held(before, level)
        below = found[-1] if found else None
        if held is not None and level < news_from:
            of = TlpVersion(level, held.modified, held.digest)
            found.append(NextVersion(of, content, author, changed=False))
            continue
        changed = held is None or held.digest != value or (below is not None and below.changed)
        modified = held.modified if held and not changed else _next_modified(held, below, now)
        found.append(NextVersion(TlpVersion(level, modified, value), content, author, changed))
    return found


def renew_versions(versions: Sequence[NextVersion], now: int) -> list[NextVersion]:
    """The same at a later time, though only the hub's own figures are new."""
    later: list[NextVersion] = []
    for version in versions:
        modified = _next_modified(version.of, later[-1] if later else None, now)
        later.append(replace(version, of=version.of._replace(modified=modified), changed=True))
    return later


def replace_pending(version: NextVersion, pending: Sequence[NextVersion]) -> NextVersion:
    """The version, changed also if the one that it takes the place of is changed and unwritten."""
    former = version_for(pending, version.of.level)
    if version.changed or former is None or not former.changed:
        return version
    return replace(version, changed=True)


def version_for(versions: Sequence[NextVersion], level: Tlp) -> NextVersion | None:
    """The version that a feed of this level may have; None if there is none."""
    return next((each for each in reversed(versions) if each.of.level <= level), None)


def _held(before: PublicObject | None, level: Tlp) -> TlpVersion | None:
    """The version that feeds of a level hold now."""
    if before is None or before.tlp > level:
        return None
    own = TlpVersion(before.tlp, before.modified, before.digest)
    return max((each for each in (own, *before.tlp_versions) if each.level <= level), key=_by_level)


def _by_level(version: TlpVersion) -> Tlp:
    return version.level


def _next_modified(held: TlpVersion | None, below: NextVersion | None, now: int) -> int:
    times = [now]
    times += [held.modified + MILLISECOND] if held else []
    times += [below.of.modified + MILLISECOND] if below else []
    return max(times)
