"""Submissions that end their worker again and again: out of the queue until the operator decides.

They keep their bodies meanwhile.  `tocsin-hub submission` retries or drops them.
"""

from __future__ import annotations

import logging
from collections.abc import Callable

from tocsin.admission.errors import NotFound
from tocsin.admission.model import Action, Finding, Verdict
from tocsin.admission.timestamps import DAY
from tocsin.server.auth import name_in_log
from tocsin.server.examination.examiner import parse_candidates
from tocsin.server.intake.evaluate import split_envelope
from tocsin.server.model import OpenSubmission, Record
from tocsin.server.store import Store, Transaction

log = logging.getLogger(__name__)

MOST_ATTEMPTS = 3
"""Attempts without progress after which a submission is set aside.

One may be counted when it is read ahead and one when its turn begins, so two accidents in a row
would set an innocent one aside.
"""

_DROPPED_AT_ONCE = 5_000
"""Records in one document."""


class SetAside:
    """The submissions that were set aside."""

    def __init__(self, store: Store, clock: Callable[[], int]) -> None:
        """`clock` returns µs since 1970 UTC."""
        self._store, self._clock = store, clock

    def add(self, chosen: OpenSubmission) -> bool:
        """Take a submission out of the queue; False if another worker has it."""

        def write(txn: Transaction) -> bool:
            done = txn.submissions.set_aside(chosen)
            if done:
                details = {"submission": chosen.id, "attempts": chosen.attempts}
                txn.add_journal_entry("submission.set_aside", chosen.account, details)
            return done

        done = self._store.commit(write)
        if done:
            log.error(
                "submission=%s account=%s is set aside after %d attempts without progress: "
                "`tocsin-hub submission list` shows it, `retry` or `drop` decides",
                chosen.id,
                name_in_log(self._store, chosen.account),
                chosen.attempts,
            )
        return done

    def retry(self, id: str, who: str) -> None:
        """Put a submission that was set aside back into the queue; NotFound if it was not."""

        def write(txn: Transaction) -> None:
            txn.submissions.readmit(id)
            txn.add_journal_entry("submission.retry", who, {"submission": id})

        self._store.commit(write)

    def drop(self, id: str, who: str, reason: str) -> int:
        """Refuse what is left of a submission that was set aside; how many objects.

        Its body is deleted.  Raises NotFound if it was not set aside.
        """
        submission = self._store.submissions.find(id)
        if submission is None or not submission.set_aside:
            raise NotFound(f"no submission {id} is set aside")
        message = "could not be examined, and was dropped by the operator"
        fault = Finding(
            "validate", "fault", Action.REFUSED, f"{message}: {reason}" if reason else message
        )
        every = parse_candidates(split_envelope(submission.raw))
        unsettled = self._store.submissions.list_unsettled(id)
        records = [
            Record(
                index=each.index,
                verdict=Verdict.REFUSED.value,
                source_id=(each.source_id or "")[:300],
                version=(each.source_version or "")[:64],
                findings=(fault.as_json(),),
            )
            for each in (every[index] for index in unsettled)
        ]

        def write(txn: Transaction) -> None:
            for start in range(0, len(records), _DROPPED_AT_ONCE):
                part = records[start : start + _DROPPED_AT_ONCE]
                settled = submission.settled + start
                txn.settle(id, part, total=submission.total, settled=settled)
            details = {"submission": id, "objects": len(records), "reason": reason}
            txn.submissions.forget_body(id, self._clock() // DAY)
            txn.add_journal_entry("submission.drop", who, details)

        self._store.commit(write)
        return len(records)
