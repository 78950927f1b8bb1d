"""Submissions: stored before they are evaluated, with the progress of the evaluation.

A short body is stored in the submission's document, so one write takes a submission of a few
objects; a longer one is stored before it, in pieces.  Only a purge changes it.  The verdicts are
stored in the batches in which they were reached.  A worker leases a submission for a limited
time; when the lease has expired, another one may take it.
An attempt is counted before it begins, and the count ends with the next batch that
is settled: so it is known after a crash how often a submission ended its worker.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from itertools import chain
from typing import NamedTuple

from pymongo import UpdateOne
from pymongo.client_session import ClientSession
from pymongo.errors import DuplicateKeyError

from tocsin.admission.errors import Conflict, NotFound, Unavailable
from tocsin.admission.timestamps import DAY
from tocsin.server.model import OpenSubmission, Record, Submission
from tocsin.server.store.commits import Writes
from tocsin.server.store.connection import Base, Document, Session, bounded, chunk_keys, time_limit
from tocsin.server.store.statistics import note_decision, tally_fields

FREE: Document = {"lease": 0, "owner": ""}
"""The lease of a submission or task that is free."""
_SECOND = 1_000_000


def lease_end(now: int, seconds: int) -> int:
    """The end of a lease that is given now, in µs."""
    return now + seconds * _SECOND


def is_free(document: Document, now: int, seconds: int) -> bool:
    """True if no lease is running, where leases last `seconds`.

    A lease that ends later than a new one could is ignored: the clock was stepped back since it
    was given, and its owner may have died.
    """
    return not now < document["lease"] <= lease_end(now, 2 * seconds)


_PIECE_OCTETS = 8_000_000
_SHORT_BODY = 16_384
"""Octets of a body that is stored in the submission's document."""
_WITHOUT_BODY: Document = {"body": 0}
_MAX_KEYS = 100
_MOST_LISTED = 20_000
_READS = 5
REMOVED_PERSON = "removed person"
"""The sender of submissions whose person was removed; no account has a name with a space."""
_RENAMED_AT_ONCE = 200
_OPEN_FIELDS = ("account", "partner", "received", "large", "lane", "after", "attempts", "queued")
_NOT_ASIDE: Document = {"aside": "", "aside_at": ""}
_NO_SUCH = "there is no such submission"


class Submissions:
    """Every submission that was ever received."""

    def __init__(self, base: Base, clock: Callable[[], int]) -> None:
        """`clock` returns µs since 1970 UTC; leases expire by it."""
        self._base, self._clock = base, clock

    @bounded()
    def receive(
        self,
        submission: Submission,
        *,
        owner: str | None = None,
        seconds: int = 0,
        digests: bytes = b"",
    ) -> None:
        """Store a submission; when this returns it is in the journal of a majority.

        With an `owner` it is leased to that one for `seconds`, else it is queued.  `digests` are
        those of its ids, kept until it is settled.  Raises Conflict if there is a submission with
        this id.
        """
        stored, pieces = _split_body(submission.id, submission.raw)
        lease = {"lease": self._until(seconds), "owner": owner} if owner else FREE
        document = _submission_to_document(submission) | stored | lease
        document |= {"digests": digests, "queued": owner is None, "attempts": int(bool(owner))}
        if pieces:
            self._base.submission_bodies.bulk_write(list(map(_insert_if_missing, pieces)))
        try:
            self._base.submissions.insert_one(document)
        except DuplicateKeyError as error:
            if self._base.submissions.find_one({"_id": submission.id}) != document:
                raise Conflict("a submission with this id has been received before") from error
            # Ours: the database went down after the write and before the acknowledgement.

    @time_limit()
    def find(self, id: str, *, raw: bool = True) -> Submission | None:
        """The submission, or None; with `raw=False` its bytes are left out."""
        return find_submission(self._base, None, id, raw=raw)

    def forget_person(self, login: str) -> None:
        """Replace the mailbox of a person who was removed in the submissions that they sent."""
        change = {"$set": {"account": REMOVED_PERSON}}
        wanted = {"account": login}, {"_id": 1}
        while found := list(self._base.submissions.find(*wanted).limit(_RENAMED_AT_ONCE)):
            ids = [each["_id"] for each in found]
            self._base.submissions.update_many({"_id": {"$in": ids}}, change)

    @time_limit()
    def list_of_partner(
        self, partner: str, limit: int, before: tuple[int, str] | None = None
    ) -> list[Submission]:
        """The submissions of a partner without their bytes, the newest first.

        `before`: only those after this one in that order, by when it was received and its id.
        """
        wanted: list[Document] = [{"partner": partner}]
        if before is not None:
            received, id_ = before
            wanted = [
                {"partner": partner, "received": received, "_id": {"$lt": id_}},
                {"partner": partner, "received": {"$lt": received}},
            ]
        found: list[Submission] = []
        for each in wanted:  # two look-ups, each in the order of the index
            documents = self._base.submissions.find(each, _WITHOUT_BODY)
            documents = documents.sort([("received", -1), ("_id", -1)])
            found += map(_submission_from_document, documents.limit(limit - len(found)))
            if len(found) == limit:
                break
        return found

    @time_limit()
    def list_newer_of_partner(
        self, partner: str, limit: int, after: tuple[int, str]
    ) -> list[Submission]:
        """The submissions of a partner that came next after this one, the newest first."""
        received, id_ = after
        wanted: list[Document] = [
            {"partner": partner, "received": received, "_id": {"$gt": id_}},
            {"partner": partner, "received": {"$gt": received}},
        ]
        found: list[Submission] = []
        for each in wanted:
            documents = self._base.submissions.find(each, _WITHOUT_BODY)
            documents = documents.sort([("received", 1), ("_id", 1)])
            found += map(_submission_from_document, documents.limit(limit - len(found)))
            if len(found) == limit:
                break
        return found[::-1]

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
        records = chain.from_iterable(map(read_records, batches))
        return sorted(map(_record_from_document, records), key=lambda record: record.index)

    @time_limit()
    def page_of_records(self, id: str, start: int, stop: int) -> list[Record]:
        """The records with these indexes that have a verdict, by index; reads no others."""
        heads = self._base.verdicts.find({"submission": id}, _SPAN)
        ids = [each["_id"] for each in heads if _may_hold(each, start, stop)]
        records: list[Record] = []
        for chunk in chunk_keys(ids, _MAX_KEYS):
            for batch in self._base.verdicts.find({"_id": {"$in": list(chunk)}}):
                records += map(_record_from_document, read_records(batch))
        wanted = (each for each in records if start <= each.index < stop)
        return sorted(wanted, key=lambda record: record.index)

    @time_limit()
    def list_unsettled(self, id: str) -> list[int]:
        """The indexes of the objects of a submission that have no verdict, in order."""
        document = self._base.submissions.find_one({"_id": id}, {"total": 1})
        batches = self._base.verdicts.find({"submission": id}, {"records.index": 1})
        settled = {each["index"] for batch in batches for each in batch["records"]}
        every = range(document["total"] if document else 0)
        return [index for index in every if index not in settled]

    @time_limit()
    def list_open(self, seconds: int) -> list[OpenSubmission]:
        """The submissions that are not settled, the oldest first, where leases last `seconds`.

        At most 20,000 of them.
        """
        fields = dict.fromkeys((*_OPEN_FIELDS, "lease"), 1)
        oldest = self._base.submissions.find({"open": True}, fields).sort("received")
        found = oldest.limit(_MOST_LISTED)
        now = self._clock()
        return [_open_from_document(each, now, seconds) for each in found]

    @time_limit()
    def find_open(self, id: str, seconds: int) -> OpenSubmission | None:
        """See `list_open`: one submission, None if it is settled or set aside."""
        fields = dict.fromkeys((*_OPEN_FIELDS, "lease"), 1)
        found = self._base.submissions.find_one({"_id": id, "open": True}, fields)
        return None if found is None else _open_from_document(found, self._clock(), seconds)

    @time_limit()
    def list_open_of(self, partner: str, seconds: int) -> list[OpenSubmission]:
        """The submissions of a partner that are not settled, the oldest first, with digests."""
        fields = dict.fromkeys((*_OPEN_FIELDS, "lease", "digests"), 1)
        found = self._base.submissions.find({"partner": partner, "open": True}, fields)
        now = self._clock()
        listed = [_open_from_document(each, now, seconds) for each in found]
        return sorted(listed, key=lambda each: each.received)

    @time_limit()
    def list_set_aside(self) -> list[Submission]:
        """The submissions that wait for the operator, without their bytes, the oldest first."""
        found = self._base.submissions.find({"aside": True}, _WITHOUT_BODY)
        listed = [_submission_from_document(each) for each in found]
        return sorted(listed, key=lambda each: each.received)

    @time_limit()
    def measure_queue(self, most: int) -> tuple[int, int | None]:
        """Count the submissions that are not settled; also the time of receipt of the oldest (µs).

        Those that requests are evaluating count too.  It counts up to `most`, and is None if
        there is none.
        """
        oldest = self._base.submissions.find({"open": True}, {"_id": 0, "received": 1})
        found = [each["received"] for each in oldest.sort("received").limit(most)]
        return len(found), found[0] if found else None

    @time_limit()
    def count_set_aside(self, most: int) -> int:
        """Count the submissions that wait for the operator, up to `most`."""
        return sum(1 for _ in self._base.submissions.find({"aside": True}, {"_id": 1}).limit(most))

    @bounded()
    def lease(self, chosen: OpenSubmission, owner: str, seconds: int) -> Submission | None:
        """Lease a submission as it was listed; None if another worker was faster.

        This begins an attempt.
        """
        lease = {"lease": self._until(seconds), "owner": owner}
        change: Document = {"$set": lease, "$inc": {"attempts": 1}}
        key = {"_id": chosen.id, "lease": chosen.lease, "open": True}
        if not self._base.submissions.update_one(key, change).matched_count:
            return None
        return self.find(chosen.id)

    @bounded()
    def renew(self, id: str, owner: str, seconds: int, *, attempts: int) -> bool:
        """Extend a lease to `seconds` from now; False if it has another owner.

        `attempts`: the new number of attempts without progress.
        """
        change = {"$set": {"lease": self._until(seconds), "attempts": attempts}}
        found = self._base.submissions.update_one({"_id": id, "owner": owner}, change)
        return found.matched_count > 0

    @bounded()
    def count_attempts(self, chosen: OpenSubmission, attempts: int) -> bool:
        """Set the attempts of a submission as it was listed; False if it was leased since."""
        key = {"_id": chosen.id, "lease": chosen.lease, "open": True}
        change = {"$set": {"attempts": attempts}}
        return self._base.submissions.update_one(key, change).matched_count > 0

    @bounded()
    def renew_all(self, ids: Sequence[str], owner: str, seconds: int) -> None:
        """Extend the leases of these submissions that are the owner's to `seconds` from now."""
        change = {"$set": {"lease": self._until(seconds)}}
        self._base.submissions.update_many({"_id": {"$in": list(ids)}, "owner": owner}, change)

    @bounded()
    def release(self, id: str, owner: str, *, attempts: int | None = None) -> None:
        """End a lease; nothing happens if it has another owner.

        `attempts`: the new number of attempts without progress, if it changes.
        """
        change: Document = {"$set": FREE if attempts is None else FREE | {"attempts": attempts}}
        self._base.submissions.update_one({"_id": id, "owner": owner}, change)

    def release_all(self) -> None:
        """End every lease; only while no other process is running."""
        self._base.submissions.update_many({"open": True}, {"$set": FREE})

    def release_owner(self, owner: str) -> None:
        """End the leases of a process that has ended."""
        for document in list(self._base.submissions.find({"open": True}, {"owner": 1})):
            if document.get("owner") == owner:
                self.release(document["_id"], owner)

    def _until(self, seconds: int) -> int:
        return lease_end(self._clock(), seconds)


class Progress(NamedTuple):
    """How far a submission is settled."""

    settled: int
    """Number of records that are settled."""
    total: int
    """Number of all its records."""


class SubmissionWriter:
    """Changes submissions in a transaction; `Transaction.settle` adds verdicts."""

    def __init__(self, base: Base, session: ClientSession, now: int) -> None:
        """`now` is the time of the transaction."""
        self._base, self._submissions, self._verdicts = base, base.submissions, base.verdicts
        self._session, self._now = session, now

    def find(self, id: str) -> Submission | None:
        """The submission with its body, or None."""
        return find_submission(self._base, self._session, id)

    def is_leased(self, id: str, seconds: int) -> bool:
        """True if a worker has a submission in hand, where leases last `seconds`."""
        document = self._submissions.find_one({"_id": id}, {"lease": 1}, session=self._session)
        return document is not None and not is_free(document, self._now, seconds)

    def set_aside(self, chosen: OpenSubmission) -> bool:
        """Take a submission out of the queue until an operator decides; False if it was leased."""
        key = {"_id": chosen.id, "lease": chosen.lease, "open": True}
        change = {"$set": FREE | {"open": False, "aside": True, "aside_at": self._now}}
        return self._change(key, change)

    def readmit(self, id: str) -> None:
        """Put a submission that was set aside back into the queue; NotFound if it was not."""
        state = FREE | {"open": True, "attempts": 0, "queued": True}
        if not self._change({"_id": id, "aside": True}, {"$set": state, "$unset": _NOT_ASIDE}):
            raise NotFound(f"no submission {id} is set aside")

    def replace_record(self, id: str, record: Record) -> None:
        """Replace one settled record after a review, and adjust the counts.

        Raises NotFound if it has not been settled.
        """
        document = _find_submission(self._base, self._session, id)
        batch, at = self._find_batch(id, record.index)
        records = read_records(batch)
        changes = Counter({record.verdict: 1})
        before = records[at]["verdict"]
        changes.subtract([before])
        records[at] = _record_to_document(record)
        change: Document = {"$set": record_fields(records)}
        if record.verdict != before:
            noted = note_decision(record, self._now)
            change = noted | {"$set": change["$set"] | noted["$set"]}
        self._verdicts.update_one({"_id": batch["_id"]}, change, session=self._session)
        counts = _add_counts(document["counts"], changes)
        self._change({"_id": id}, {"$set": {"counts": counts}})

    def _find_batch(self, id: str, index: int) -> tuple[Document, int]:
        """The batch that holds the record with an index, and its place there; else NotFound."""
        heads = self._verdicts.find({"submission": id}, _SPAN, session=self._session)
        ids = [each["_id"] for each in heads if _may_hold(each, index, index + 1)]
        if len(ids) > 1:  # their indexes overlap
            found = self._verdicts.find(
                {"_id": {"$in": ids}}, {"records.index": 1}, session=self._session
            )
            ids = [b["_id"] for b in found if any(r["index"] == index for r in b["records"])]
        batch = self._verdicts.find_one({"_id": ids[0]}, session=self._session) if ids else None
        indexes = [each["index"] for each in batch["records"]] if batch else []
        if batch is None or index not in indexes:
            raise NotFound("this record of the submission has not been settled")
        return batch, indexes.index(index)

    def forget_body(self, id: str, again: int) -> bool:
        """Delete the body of a settled submission; True if it was deleted.

        An undecided one is from now on found by the day `again`, in days since 1970.
        """
        document = self._find_state(id)
        if document is None:
            return False
        if _is_undecided(document):
            self._change({"_id": id}, {"$set": {"body_day": again}})
            return False
        put_body(self._base, self._session, id, b"")
        self._change({"_id": id}, {"$unset": {"body_day": "", "refused_day": ""}})
        return True

    def forget(self, id: str, again: int) -> bool:
        """Delete a submission with its records; True if it was deleted.

        If it is undecided, or one of them is held, it is found by the day `again`.
        """
        document = self._find_state(id)
        if document is None:
            return False
        if _is_undecided(document) or document["counts"].get("held"):
            self._change({"_id": id}, {"$set": {"day": again}})
            return False
        self.delete(id)
        return True

    def delete(self, id: str) -> None:
        """Delete a submission with its body and records, whatever its state."""
        put_body(self._base, self._session, id, b"")
        batches = self._verdicts.find({"submission": id}, {"_id": 1}, session=self._session)
        for chunk in chunk_keys([batch["_id"] for batch in batches], _MAX_KEYS):
            self._verdicts.delete_many({"_id": {"$in": list(chunk)}}, session=self._session)
        self._submissions.delete_one({"_id": id}, session=self._session)

    def _find_state(self, id: str) -> Document | None:
        """The fields of a submission that tell if it may be forgotten."""
        fields = {"open": 1, "aside": 1, "counts": 1}
        return self._submissions.find_one({"_id": id}, fields, session=self._session)

    def _change(self, key: Document, change: Document) -> bool:
        return self._submissions.update_one(key, change, session=self._session).matched_count > 0


def _is_undecided(document: Document) -> bool:
    """True if a submission waits for a worker or for the operator."""
    return bool(document["open"] or document.get("aside"))


_SPAN: Document = {"first": 1, "n": 1, "lowest": 1, "highest": 1}
"""The fields of a batch that say which indexes its records may have."""


def _span(settled: int, indexes: Sequence[int]) -> Document:
    """These fields, where `settled` records were settled before."""
    span: Document = {"first": settled, "n": len(indexes)}
    if list(indexes) != list(range(settled, settled + len(indexes))):
        span |= {"lowest": min(indexes), "highest": max(indexes)}
    return span


def _may_hold(batch: Document, start: int, stop: int) -> bool:
    """True if a batch may hold a record with one of these indexes."""
    first: int = batch["first"]
    lowest: int = batch.get("lowest", first)
    highest: int = batch.get("highest", first + batch["n"] - 1)
    return lowest < stop and highest >= start


def find_submission(
    base: Base, session: Session, id: str, *, raw: bool = True
) -> Submission | None:
    """See `Submissions.find`."""
    fields = None if raw else _WITHOUT_BODY
    for _ in range(_READS):
        document = base.submissions.find_one({"_id": id}, fields, session=session)
        if document is None:
            return None
        body = find_body(base, session, document) if raw else b""
        if body is not None:
            return _submission_from_document(document, body)
    raise Unavailable("the body of a submission changes again and again; try again in a moment")


def find_body(base: Base, session: Session, submission: Document) -> bytes | None:
    """The body of a submission, whose document has `body` or `pieces`.

    None if a piece is missing, because the body was replaced meanwhile.
    """
    if short := submission.get("body"):
        return bytes(short)
    names = piece_ids(submission["_id"], submission["pieces"])
    found: dict[str, bytes] = {}
    for chunk in chunk_keys(names, _MAX_KEYS):
        for piece in base.submission_bodies.find({"_id": {"$in": list(chunk)}}, session=session):
            found[piece["_id"]] = piece["raw"]
    return b"".join(found[name] for name in names) if len(found) == len(names) else None


def _submission_from_document(document: Document, body: bytes = b"") -> Submission:
    return Submission(
        id=document["_id"],
        account=document["account"],
        partner=document["partner"],
        collection=document["collection"],
        received=document["received"],
        total=document["total"],
        raw=body,
        settled=document["settled"],
        counts=document["counts"],
        withdrawn=document.get("withdrawn", 0),  # missing in older documents
        is_large=document.get("large", False),  # missing in older documents
        lane=document.get("lane", ""),
        after=tuple(document.get("after", ())),
        set_aside=document.get("aside_at", 0),
        anonymous=document.get("anonymous", False),
    )


def settle(  # noqa: PLR0913
    base: Base,
    session: ClientSession,
    writes: Writes,
    submission: str,
    records: Sequence[Record],
    progress: Progress,
    now: int,
) -> None:
    """See `Transaction.settle`; `now` is in µs since 1970 UTC."""
    if not records:
        return
    start, total = progress
    settled = start + len(records)
    if settled > total:
        raise Conflict(f"this submission has only {total} records")
    counts = Counter(record.verdict for record in records)
    state: Document = {"settled": settled, "open": settled < total, "attempts": 0}
    state["tallied"] = True
    sums = {f"counts.{verdict}": n for verdict, n in counts.items()}
    if withdrawn := sum(each.is_withdrawal and each.verdict == "admitted" for each in records):
        sums["withdrawn"] = withdrawn
    change: Document = {"$inc": sums}
    if settled == total:
        state |= FREE
        change["$unset"] = _NOT_ASIDE | {"digests": ""}
        if _is_refused(base, session, submission, start, counts):
            change["$unset"] |= {"body_day": ""}
            state["refused_day"] = now // DAY
    change["$set"] = state
    key = {"_id": submission, "settled": start}
    writes.update("submissions", key, change, _unexpected(base, session, submission))
    batch = {
        "_id": f"{submission}/{start}",
        "submission": submission,
        **_span(start, [each.index for each in records]),
        **record_fields([_record_to_document(record) for record in records]),
        **tally_fields(records, now),
    }
    writes.insert("verdicts", [batch])


def _unexpected(base: Base, session: ClientSession, submission: str) -> Callable[[], Exception]:
    """Makes the error that a submission is not as far as it was taken to be."""

    def make() -> Exception:
        document = base.submissions.find_one({"_id": submission}, {"settled": 1}, session=session)
        if document is None:
            return NotFound(_NO_SUCH)
        return Conflict(
            f"the next record of this submission to be settled is {document['settled']}"
        )

    return make


def _is_refused(
    base: Base, session: ClientSession, submission: str, start: int, counts: Mapping[str, int]
) -> bool:
    """True if nothing of a submission was taken, given the verdicts of its last records."""
    if counts.keys() != {"refused"}:
        return False
    before = _find_submission(base, session, submission)["counts"] if start else {}
    return not before.keys() - {"refused"}


def put_body(base: Base, session: Session, submission: str, body: bytes) -> None:
    """Replace the body of a submission; with an empty one nothing of it is kept."""
    document = base.submissions.find_one({"_id": submission}, {"pieces": 1}, session=session)
    if document is None:
        return
    old = piece_ids(submission, document["pieces"])
    for chunk in chunk_keys(old, _MAX_KEYS):
        base.submission_bodies.delete_many({"_id": {"$in": list(chunk)}}, session=session)
    stored, pieces = _split_body(submission, body)
    if pieces:
        base.submission_bodies.insert_many(pieces, session=session)
    # The counter makes it a change in any case: a worker that leases it meanwhile reads it anew.
    change = {"$set": {"pieces": 0, "body": b""} | stored, "$inc": {"edits": 1}}
    base.submissions.update_one({"_id": submission}, change, session=session)


def _find_submission(base: Base, session: ClientSession, submission: str) -> Document:
    document = base.submissions.find_one({"_id": submission}, _WITHOUT_BODY, session=session)
    if document is None:
        raise NotFound(_NO_SUCH)
    return document


def _add_counts(counts: Mapping[str, int], more: Mapping[str, int]) -> dict[str, int]:
    verdicts = sorted({*counts, *more})
    total = {verdict: counts.get(verdict, 0) + more.get(verdict, 0) for verdict in verdicts}
    return {verdict: count for verdict, count in total.items() if count}


def _split_body(id: str, body: bytes) -> tuple[Document, list[Document]]:
    """The fields of the submission's document for a body, and the pieces of a long one."""
    if len(body) <= _SHORT_BODY:
        return {"pieces": 0, "body": body}, []
    pieces: list[Document] = [
        {"_id": _piece_id(id, i), "raw": body[start : start + _PIECE_OCTETS]}
        for i, start in enumerate(range(0, len(body), _PIECE_OCTETS))
    ]
    return {"pieces": len(pieces)}, pieces


def _insert_if_missing(piece: Document) -> UpdateOne:
    return UpdateOne({"_id": piece["_id"]}, {"$setOnInsert": {"raw": piece["raw"]}}, upsert=True)


def piece_ids(submission: str, pieces: int) -> list[str]:
    """The keys of the pieces of a body."""
    return [_piece_id(submission, i) for i in range(pieces)]


def _piece_id(submission: str, number: int) -> str:
    return f"{submission}/{number}"


def _submission_to_document(submission: Submission) -> Document:
    return {
        "_id": submission.id,
        "account": submission.account,
        "partner": submission.partner,
        "collection": submission.collection,
        "received": submission.received,
        "total": submission.total,
        "settled": submission.settled,
        "counts": dict(submission.counts),
        "open": submission.settled < submission.total,
        "day": submission.received // DAY,
        "large": submission.is_large,
        "lane": submission.lane,
        "after": list(submission.after),
        "anonymous": submission.anonymous,
    } | ({"body_day": submission.received // DAY} if submission.raw else {})


def _open_from_document(document: Document, now: int, seconds: int) -> OpenSubmission:
    """The document; older ones lack most fields, and depend on all others of their partner."""
    return OpenSubmission(
        id=document["_id"],
        account=document["account"],
        partner=document["partner"],
        received=document["received"],
        is_large=document.get("large", True),
        lane=document.get("lane", ""),
        after=tuple(document.get("after", ())),
        attempts=document.get("attempts", 0),
        lease=document["lease"],
        is_free=is_free(document, now, seconds),
        is_queued=document.get("queued", True),
        digests=document.get("digests"),
    )


def record_fields(records: Sequence[Document]) -> Document:
    """The fields of a batch that hold its records: each finding once, named by its place."""
    numbers: dict[tuple[tuple[str, str], ...], int] = {}
    stored = [
        {
            **record,
            "findings": [
                numbers.setdefault(tuple(finding.items()), len(numbers))
                for finding in record["findings"]
            ],
        }
        for record in records
    ]
    return {"records": stored, "findings": [dict(finding) for finding in numbers]}


def read_records(batch: Document) -> list[Document]:
    """The records of a batch, each with its findings."""
    every: Sequence[Document] | None = batch.get("findings")
    if every is None:  # a batch of an earlier version
        return list(batch["records"])
    return [
        {**record, "findings": [every[number] for number in record["findings"]]}
        for record in batch["records"]
    ]


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
