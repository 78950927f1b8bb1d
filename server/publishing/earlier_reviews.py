"""Earlier reviews of what a partner sends again unchanged: no reviewer is asked twice.

Many tools send the same objects every hour.  While one waits, a repeat of it is a duplicate; once
a reviewer has decided, the decision holds for repeats as well, as long as it is kept.
"""

from __future__ import annotations

from collections.abc import Collection, Set
from dataclasses import dataclass

from tocsin.admission.merge.content import object_digest
from tocsin.admission.model import Candidate, Contribution
from tocsin.admission.stix.ijson import parse_object
from tocsin.server.model import ReviewKind, ReviewOutcome
from tocsin.server.publishing.verdicts import OwnState
from tocsin.server.store import Transaction

_DATES = ("created", "modified", "valid_from")
"""Properties that a tool may set anew each time; a reviewer is asked about the rest."""

_NO_REVIEW = OwnState.NONE, ""


@dataclass(frozen=True, slots=True)
class SentBy:
    """How something was sent: the same object, sent in another way, is another question."""

    partner: str
    account: str
    collection: str
    """Collection id: levels and readers depend on it."""
    is_anonymous: bool


@dataclass(slots=True)
class EarlierReviews:
    """The reviews of what a partner sent before; read when something has to be asked."""

    txn: Transaction
    sent_by: SentBy
    ids: Set[str]
    """The partner's own ids that are asked about."""
    _found: list[ReviewOutcome] | None = None

    def digest(self, candidate: Candidate) -> bytes:
        """16 octets, equal for what is sent again unchanged, apart from its dates."""
        sent = candidate.original or candidate.object or {}
        if candidate.raw:
            sent = parse_object(candidate.raw)
        by = [self.sent_by.account, self.sent_by.collection, self.sent_by.is_anonymous]
        content = {name: value for name, value in sent.items() if name not in _DATES}
        return object_digest({"by": by, "content": content})

    def find_waiting(self, digest: bytes) -> str:
        """The submission in which it waits already; empty if it does not."""
        waiting = (each for each in self._alike(digest) if each.state == "waiting")
        return next((e.submission for e in waiting if e.kind is ReviewKind.HELD), "")

    def find_decision(
        self, digest: bytes, rules: Collection[str], published: Contribution | None
    ) -> tuple[OwnState, str]:
        """RELEASED or REJECTED if a reviewer decided on it, with the submission; else NONE.

        `rules` ask now; `published` is the partner's contribution under the id.
        """
        decided = [each for each in self._alike(digest) if each.state != "waiting"]
        if not decided:
            return _NO_REVIEW
        latest = max(decided, key=lambda each: each.decided_at)
        if latest.state == "rejected":
            is_refused = latest.kind is ReviewKind.HELD
            return (OwnState.REJECTED, latest.submission) if is_refused else _NO_REVIEW
        is_in_force = published is not None and published.received <= latest.decided_at
        if is_in_force and latest.rules >= set(rules):
            return OwnState.RELEASED, latest.submission
        return _NO_REVIEW

    def _alike(self, digest: bytes) -> list[ReviewOutcome]:
        if self._found is None:
            self._found = self.txn.reviews.list_outcomes_under(self.sent_by.partner, self.ids)
        return [each for each in self._found if each.digest == digest]
