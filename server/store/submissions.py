"""Submissions: stored before they are evaluated, with the progress of the evaluation.

The raw bytes are stored separately, in pieces, and never changed; the verdicts
are stored in the batches in which they were reached.  A worker leases a
submission for a limited time; when the lease has expired, another one may take it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import (
    Callable,
    Iterator,
    Mapping,
    Sequence,
)
from itertools import chain

from pymongo import UpdateOne
from pymongo.client_session import ClientSession
from pymongo.errors import DuplicateKeyError

from tocsin.admission.errors import Conflict, NotFound
from tocsin.admission.timestamps import DAY
from tocsin.server.model import Record, Submission
from tocsin.server.store.connection import Base, Document, chunk_keys, time_limit

FREE: Document = {"lease": 0, "owner": ""}
"""The lease of a submission or task that is free."""
_SECOND = 1_000_000


def lease_end(now: int, seconds: int) -> int:
    """When a lease ends that is given now."""
    return now + seconds * _SECOND


def is_free(document: Document, now: int, seconds: int) -> bool:
    """True if no lease is running, where leases last `seconds`.

    A lease that ends later than a new one could is ignored: the clock was stepped back since it
    was given, and its owner may have died.
    """
    return not now < document["lease"] <= lease_end(now, 2 * seconds)


_PIECE_OCTETS = 8_000_000
_MAX_KEYS = 100
_NO_SUCH = "there is no such submission"


class Submissions:
    """Every submission that was ever received."""

    def __init__(self, base: Base, clock: Callable[[], int]) -> None:
        """`clock` returns µs since 1970 UTC; leases expire by it."""
        self._base, self._clock = base, clock

    def receive(
        self, submission: Submission, *, owner: str | None = None, seconds: int = 0
    ) -> None:
        """Store a submission; when this returns it is in the journal of a majority.

        With an `owner` it is leased to that one for `seconds`.  Raises Conflict if there is a
        submission with this id.
        """
        pieces = list(_pieces(submission))
        lease = {"lease": self._until(seconds), "owner": owner} if owner else FREE
        document = _submission_to_document(submission, len(pieces)) | lease
        if pieces:
            self._base.raws.bulk_write(pieces)
        try:
            self._base.submissions.insert_one(document)
        except DuplicateKeyError as error:
            if self._base.submissions.find_one({"_id": submission.id}) != document:
                raise Conflict("a submission with this id has been received before") from error
            # Ours: the database went down after the write and before the acknowledgement.

    @time_limit()
    def find(self, id: str, *, raw: bool = True) -> Submission | None:
        """The submission, or None; with `raw=False` its bytes are left out."""
        document = self._base.submissions.find_one({"_id": id})
        return None if document is None else self._submission(document, raw=raw)

    def list_latest(self, account: str, limit: int) -> list[Submission]:
        """The latest submissions of an account without their bytes, the newest first."""
        found = self._base.submissions.find({"account": account}).sort("received", -1)
        return [self._submission(document, raw=False) for document in found.limit(limit)]

    def require(self, id: str) -> Submission:
        """The submission without its bytes; NotFound if there is none."""
        found = self.find(id, raw=False)
        if found is None:
            raise NotFound(f"there is no submission {id}")
        return found

    @time_limit()
    def records(self, id: str) -> list[Record]:
        """The records that have a verdict, by index."""
        batches = self._base.verdicts.find({"submission": id})
        records = chain.from_iterable(batch["records"] for batch in batches)
        return sorted(map(_record_from_document, records), key=lambda record: record.index)

    def lease(self, owner: str, seconds: int) -> Submission | None:
        """Lease the oldest free submission that is not settled; None if there is none."""
        now, submissions = self._clock(), self._base.submissions
        change = {"$set": {"lease": lease_end(now, seconds), "owner": owner}}
        for found in submissions.find({"open": True}, {"lease": 1}).sort("received"):
            key = {"_id": found["_id"], "lease": found["lease"]}
            if is_free(found, now, seconds) and submissions.update_one(key, change).matched_count:
                leased = submissions.find_one({"_id": found["_id"]})
                return None if leased is None else self._submission(leased, raw=True)
        return None

    def renew(self, id: str, owner: str, seconds: int) -> bool:
        """Extend a lease to `seconds` from now; False if it has another owner."""
        change = {"$set": {"lease": self._until(seconds)}}
        found = self._base.submissions.update_one({"_id": id, "owner": owner}, change)
        return found.matched_count > 0

    def release(self, id: str, owner: str) -> None:
        """End a lease; nothing happens if it has another owner."""
        self._base.submissions.update_one({"_id": id, "owner": owner}, {"$set": FREE})

    def release_all(self) -> None:
        """End every lease; only while no other process is running."""
        self._base.submissions.update_many({"open": True}, {"$set": FREE})

    def _until(self, seconds: int) -> int:
        return lease_end(self._clock(), seconds)

    def _submission(self, document: Document, *, raw: bool) -> Submission:
        names = [_piece_id(document["_id"], i) for i in range(document["pieces"])] if raw else []
        pieces = {
            piece["_id"]: piece["raw"] for piece in self._base.raws.find({"_id": {"$in": names}})
        }
        return Submission(
            id=document["_id"],
            account=document["account"],
            partner=document["partner"],
            collection=document["collection"],
            received=document["received"],
            total=document["total"],
            raw=b"".join(pieces[name] for name in names),
            settled=document["settled"],
            counts=document["counts"],
        )


def settle(
    base: Base,
    session: ClientSession,
    submission: str,
    records: Sequence[Record],
    total: int | None = None,
) -> None:
    """See `Transaction.settle`."""
    if not records:
        return
    if total is None:
        total = int(_find_submission(base, session, submission)["total"])
    start, settled = records[0].index, records[0].index + len(records)
    if [record.index for record in records] != list(range(start, settled)):
        raise Conflict("records are settled in order, without gaps")
    if settled > total:
        raise Conflict(f"this submission has only {total} records")
    counts = Counter(record.verdict for record in records)
    state: Document = {"settled": settled, "open": settled < total}
    if settled == total:
        state |= FREE
    change = {"$set": state, "$inc": {f"counts.{verdict}": n for verdict, n in counts.items()}}
    if settled == total and _is_refused(base, session, submission, start, counts):
        change["$rename"] = {"body_day": "refused_day"}
    key = {"_id": submission, "settled": start}
    if not base.submissions.update_one(key, change, session=session).matched_count:
        document = _find_submission(base, session, submission)
        raise Conflict(f"the next record of this submission to be settled is {document['settled']}")
    batch = {
        "_id": f"{submission}/{start}",
        "submission": submission,
        "first": start,
        "n": len(records),
        "records": [_record_to_document(record) for record in records],
    }
    base.verdicts.insert_one(batch, session=session)


def _is_refused(
    base: Base, session: ClientSession, submission: str, start: int, counts: Mapping[str, int]
) -> bool:
    """True if nothing of a submission was taken, given the verdicts of its last records."""
    if counts.keys() != {"refused"}:
        return False
    before = _find_submission(base, session, submission)["counts"] if start else {}
    return not before.keys() - {"refused"}


def replace_record(base: Base, session: ClientSession, submission: str, record: Record) -> None:
    """See `Transaction.replace_record`."""
    document = _find_submission(base, session, submission)
    batches = base.verdicts.find({"submission": submission}, {"first": 1, "n": 1}, session=session)
    batch_ids = [b["_id"] for b in batches if b["first"] <= record.index < b["first"] + b["n"]]
    batch = base.verdicts.find_one({"_id": batch_ids[0]}, session=session) if batch_ids else None
    if batch is None:
        raise NotFound("this record of the submission has not been settled")
    records, at = batch["records"], record.index - batch["first"]
    changes = Counter({record.verdict: 1})
    changes.subtract([records[at]["verdict"]])
    records[at] = _record_to_document(record)
    base.verdicts.update_one({"_id": batch["_id"]}, {"$set": {"records": records}}, session=session)
    change = {"$set": {"counts": _add_counts(document["counts"], changes)}}
    base.submissions.update_one({"_id": submission}, change, session=session)


def put_body(base: Base, session: ClientSession, submission: str, body: bytes) -> None:
    """Replace the body of a submission; with an empty one nothing of it is kept."""
    document = base.submissions.find_one({"_id": submission}, {"pieces": 1}, session=session)
    if document is None:
        return
    old = [_piece_id(submission, i) for i in range(document["pieces"])]
    for chunk in chunk_keys(old, _MAX_KEYS):
        base.raws.delete_many({"_id": {"$in": list(chunk)}}, session=session)
    starts = range(0, len(body), _PIECE_OCTETS)
    pieces = [
        {"_id": _piece_id(submission, i), "raw": body[start : start + _PIECE_OCTETS]}
        for i, start in enumerate(starts)
    ]
    if pieces:
        base.raws.insert_many(pieces, session=session)
    change = {"$set": {"pieces": len(pieces)}}
    base.submissions.update_one({"_id": submission}, change, session=session)


def _find_submission(base: Base, session: ClientSession, submission: str) -> Document:
    document = base.submissions.find_one({"_id": submission}, session=session)
    if document is None:
        raise NotFound(_NO_SUCH)
    return document


def _add_counts(counts: Mapping[str, int], more: Mapping[str, int]) -> dict[str, int]:
    verdicts = sorted({*counts, *more})
    total = {verdict: counts.get(verdict, 0) + more.get(verdict, 0) for verdict in verdicts}
    return {verdict: count for verdict, count in total.items() if count}


def _pieces(submission: Submission) -> Iterator[UpdateOne]:
    """Yield writes of the raw bytes in pieces, which do nothing if the pieces exist."""
    for i, start in enumerate(range(0, len(submission.raw), _PIECE_OCTETS)):
        piece = {"raw": submission.raw[start : start + _PIECE_OCTETS]}
        key = {"_id": _piece_id(submission.id, i)}
        yield UpdateOne(key, {"$setOnInsert": piece}, upsert=True)


def _piece_id(submission: str, number: int) -> str:
    return f"{submission}/{number}"


def _submission_to_document(submission: Submission, pieces: int) -> Document:
    return {
        "_id": submission.id,
        "account": submission.account,
        "partner": submission.partner,
        "collection": submission.collection,
        "received": submission.received,
        "total": submission.total,
        "pieces": pieces,
        "settled": submission.settled,
        "counts": dict(submission.counts),
        "open": submission.settled < submission.total,
        "day": submission.received // DAY,
    } | ({"body_day": submission.received // DAY} if pieces else {})


def _record_to_document(record: Record) -> Document:
    return {
        "index": record.index,
        "verdict": record.verdict,
        "source_id": record.source_id,
        "version": record.version,
        "public_id": record.public_id,
        "findings": [dict(finding) for finding in record.findings],
    }


def _record_from_document(document: Document) -> Record:
    return Record(
        index=document["index"],
        verdict=document["verdict"],
        source_id=document["source_id"],
        version=document["version"],
        public_id=document["public_id"],
        findings=tuple(document["findings"]),
    )
