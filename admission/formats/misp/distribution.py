"""The TLP level up to which a part of a MISP event may be shared.

TLP tags, levels in comments and the distribution all bind; the strictest counts.
Nothing is ever shared more widely than MISP would.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from tocsin.admission.errors import Malformed
from tocsin.admission.extraction.tlp_words import find_tlp_levels
from tocsin.admission.formats.misp.tags import is_tlp_tag, parse_tags, parse_tlp_tag
from tocsin.admission.model import StixObject, Tlp

_WIDEST: Mapping[str, Tlp | None] = {"1": Tlp.AMBER, "2": Tlp.GREEN, "3": None, "5": None, "": None}
"""The widest level of a distribution: this community, connected ones, all, as the event."""
_NOT_SHARED: Mapping[str, str] = {
    "0": "distribution 0 restricts it to your organisation: choose another to share it",
    "4": "distribution 4 restricts it to a sharing group of MISP: choose another to share it",
}


def refuse_distribution(part: StixObject) -> str:
    """Why the distribution of a part forbids sharing it at all; empty if it does not."""
    return _NOT_SHARED.get(_parse_distribution(part), "")


@dataclass(frozen=True, slots=True)
class SharingLimits:
    """The limits that an event, object or attribute sets on its sharing."""

    levels: tuple[Tlp, ...]
    """The levels that its tags and the words of its comment state."""
    widest: Tlp | None
    """The widest level that its distribution allows; None for any."""


def parse_sharing_limits(part: StixObject) -> SharingLimits:
    """The limits of a part.

    Raises Malformed if a tag or the distribution cannot be read.
    """
    found = tuple(parse_tlp_tag(name) for name, _ in parse_tags(part) if is_tlp_tag(name))
    found += tuple(find_tlp_levels(str(part.get("comment", ""))))
    return SharingLimits(found, _WIDEST.get(_parse_distribution(part)))


def strictest_level(parts: Iterable[SharingLimits], default: Tlp | None) -> Tlp | None:
    """The level of a part, by its limits and those of its object and event."""
    levels: list[Tlp] = []
    distributions: list[Tlp] = []
    for part in parts:
        levels += part.levels
        if part.widest is not None:
            distributions.append(part.widest)
    if not levels and default is not None:
        levels.append(default)
    if not levels and distributions:
        distributions.append(Tlp.AMBER)  # no level is stated: the cautious one
    return max((*levels, *distributions), default=None)


def _parse_distribution(part: StixObject) -> str:
    """The distribution as a digit; empty if there is none.

    Raises Malformed for anything else.
    """
    value = part.get("distribution")
    if value is None or value == "":
        return ""
    word = str(value) if isinstance(value, str | int) else "none"
    if word not in _WIDEST and word not in _NOT_SHARED:
        raise Malformed("not a distribution of MISP: use 0 to 5")
    return word
