"""What is settled in one transaction, and what became of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from tocsin.admission.model import NAMED, Candidate, Contribution, Tlp
from tocsin.server.minting import Minted
from tocsin.server.model import Arrivals, Partner, Record, Review


@dataclass(frozen=True, slots=True)
class Grounds:
    """What the hub went by in examining, and may be decided otherwise before it has settled."""

    partner: Partner | None
    """As it was known; None: not at all, as the operator is."""
    unwanted: int
    """The revision of the hub's own warning list."""


class Outdated(Exception):
    """Something was decided since it was examined; nothing of it may be settled so."""


@dataclass(frozen=True, slots=True)
class Batch:
    """A slice of one submission, examined."""

    submission: str
    partner: Partner
    """As it wants to be known in this submission."""
    candidates: tuple[Candidate, ...]
    minted: Mapping[str, Minted]
    """Of the whole submission."""
    authors: frozenset[str]
    """Identities that give way to the hub's own."""
    received: int
    now: int
    grounds: Grounds
    waived: frozenset[str] = frozenset()
    """Rules that an analyst has overruled."""
    refused: frozenset[str] = frozenset()
    """Source ids of the whole submission that were refused."""
    unmarked: frozenset[str] = frozenset()
    """Source ids of marking definitions that say no level of their own."""
    sees: Tlp = Tlp.CLEAR
    """The strictest level that the submitter may read; what is stricter is not there for it."""
    defined: frozenset[str] = frozenset()
    """Marking definitions that the partner sent before and that were at hand."""
    earlier: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """By what they are about: source ids of the sightings and opinions that earlier batches of the
    submission have settled, when there was nothing yet that could hear them."""

    def said(self, candidate: Candidate, version: str) -> Contribution:
        """What the partner says with one of its objects."""
        return Contribution(
            partner=self.partner.slug,
            source_id=str(candidate.source_id),
            version=version,
            received=self.received,
            tlp=candidate.level,
            scope=candidate.scope,
            object=candidate.object or {},
            raw=candidate.raw,
            reliability=self.partner.reliability,
            group=self.partner.group,
            named=self.partner.consent in NAMED,
            unmarked=candidate.source_id in self.unmarked,
        )


def revoked(source: str) -> str:
    """Under this it is kept beside a partner's ids that one of them was revoked."""
    return f"revoked {source}"


@dataclass(frozen=True, slots=True)
class Settled:
    """What became of a batch."""

    records: tuple[Record, ...]
    reviews: tuple[Review, ...]
    arrivals: Arrivals
    """What others may have waited for."""
    after: str = ""
    """Where the next portion begins of what is to be completed, if there is one."""
    revoked: frozenset[str] = frozenset()
    """Ids that the partner revoked: nobody need decide any more what waits under them."""
