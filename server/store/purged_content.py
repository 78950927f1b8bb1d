"""Find and delete the content of purged objects, wherever the database keeps it.

Nothing is indexed by content, so a purge reads whole collections: the ids of partners, the
statuses and, where a value is named, bodies, reviews and feeds.  It runs rarely, and only when an
operator asks for it.

A document in `purges` lists what is purged until everything is done, so that a purge goes on
after a crash.  It is deleted at the end: it holds what must be forgotten.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Collection, Iterator, Sequence

import orjson

from tocsin.server.model import OPERATOR_SLUG, ActState, Purge, PurgeRequest
from tocsin.server.store.connection import Base, Document, Session
from tocsin.server.store.feeds.blocks import decompress_batch, entry_body
from tocsin.server.store.review_acts import NO_ANSWER
from tocsin.server.store.submissions import find_body, put_body, read_records, record_fields

REMOVED = "[removed: purged]"
_ESCAPE = re.compile(r"\\(u[0-9a-fA-F]{4}|.)", re.DOTALL)
"""An escape sequence of JSON (RFC 8259 section 7)."""
_BLANKS = "bfnrt"
_IDNA_LABEL = re.compile(r"xn--[a-z0-9-]+")
_DEFANGED = re.compile(r"hxxp|meow(?=s?:)|[\[({] ?(?:\.|dot|:|://|@|at) ?[\])}]")
_FANGS = {"hxxp": "http", "meow": "http", "dot": ".", "at": "@"}


class Purges:
    """Unfinished purges; within a transaction they are `Transaction.purges`.

    Also where the content of purged objects is.
    """

    def __init__(self, base: Base, session: Session = None) -> None:
        """Read and write in `session`, if there is one."""
        self._base, self._purges, self._requests = base, base.purges, base.purge_requests
        self._session = session

    def unfinished(self) -> list[Purge]:
        """Purges that have begun and not ended, by id."""
        found = self._purges.find({}, session=self._session).sort("_id")
        return list(map(_purge_from_document, found))

    def find(self, public_id: str) -> Purge | None:
        """The purge of an object that has begun and not ended; None if there is none."""
        found = self._purges.find_one({"_id": public_id}, session=self._session)
        return None if found is None else _purge_from_document(found)

    def put(self, purge: Purge) -> Purge:
        """Store what a purge has still to delete, with what an earlier one left; both as one."""
        before = self.find(purge.public_id)
        united = purge if before is None else before.unite(purge)
        key, document = {"_id": purge.public_id}, _purge_to_document(united)
        self._purges.replace_one(key, document, upsert=True, session=self._session)
        return united

    def end(self, purge: Purge) -> None:
        """Forget what was purged, unless there is more to delete since it was read.

        Withdrawn decisions keep no reason that names it.
        """
        self.delete_withdrawn_reasons(values=purge.values)
        stored = self.find(purge.public_id)
        if stored is not None and (stored.sources, stored.values) == (purge.sources, purge.values):
            self._purges.delete_one({"_id": purge.public_id}, session=self._session)

    def find_request(self, public_id: str) -> PurgeRequest | None:
        """The request to purge an object that waits for a second operator; None: there is none."""
        found = self._requests.find_one({"_id": public_id}, session=self._session)
        return None if found is None else _request_from_document(found)

    def put_request(self, request: PurgeRequest) -> None:
        """Store a request to purge an object, in place of an earlier one."""
        key = {"_id": request.public_id}
        document = {**key, "who": request.who, "reason": request.reason, "asked": request.asked}
        self._requests.replace_one(key, document, upsert=True, session=self._session)

    def remove_request(self, public_id: str) -> None:
        """Forget the request to purge an object, if there is one."""
        self._requests.delete_one({"_id": public_id}, session=self._session)

    def list_requests(self) -> list[PurgeRequest]:
        """The requests that wait for a second operator, the oldest first."""
        found = self._requests.find({}, session=self._session)
        return sorted(map(_request_from_document, found), key=lambda each: each.asked)

    def claim(self, purge: Purge, now: int) -> bool:
        """Take an unfinished purge over; False if it was ended, renewed or taken meanwhile."""
        key, change = {"_id": purge.public_id, "begun": purge.begun}, {"$set": {"begun": now}}
        return self._purges.update_one(key, change, session=self._session).matched_count > 0

    def renew(self, purge: Purge, now: int) -> None:
        """Show other workers that a purge goes on."""
        key, change = {"_id": purge.public_id}, {"$set": {"begun": now}}
        self._purges.update_one(key, change, session=self._session)

    def find_sources(self, public_ids: Collection[str]) -> set[tuple[str, str]]:
        """The partners' own ids of public objects, each with its partner."""
        found: set[tuple[str, str]] = set()
        fields = {"partner": 1, "sources": 1, "publics": 1}
        for each in self._base.public_ids.find({}, fields, session=self._session):
            pairs = zip(each["sources"], each["publics"], strict=True)
            found |= {(each["partner"], own) for own, public in pairs if public in public_ids}
        return found

    def find_submissions(self, purge: Purge, beat: Callable[[], None]) -> set[str]:
        """The submissions in which a purged object was settled, or one of the values was sent.

        `beat` is called again and again.  For those that are not settled yet: `undecided_bodies`.
        """
        own = {source for _, source in purge.sources}
        found: set[str] = set()
        for batch in self._base.verdicts.find({}, session=self._session):
            beat()
            records, submission = read_records(batch), batch["submission"]
            sent = {each["source_id"] for each in records} & own
            if any(
                r["public_id"] == purge.public_id or _mentions(r, purge.values) for r in records
            ) or not sent.isdisjoint(self._own_ids(submission, purge) if sent else ()):
                found.add(submission)
        if purge.values:
            for submission, _, body in self._bodies({}):
                beat()
                if is_mentioned(body, purge.values):
                    found.add(submission)
        return found

    def undecided_bodies(self) -> Iterator[tuple[str, str, bytes]]:
        """Submissions that are not settled or were set aside: the id, partner and body of each."""
        for state in ("open", "aside"):
            yield from self._bodies({state: True})

    def find_reviews(self, purge: Purge) -> list[str]:
        """The reviews of a purged object, or of one that names one of the values."""
        found: list[str] = []
        for each in self._base.reviews.find({}, session=self._session):
            own = (each["partner"], each["source_id"]) in purge.sources
            if own or is_mentioned(each["object"], purge.values) or _mentions(each, purge.values):
                found.append(each["_id"])
        return found

    def find_mentions(self, values: Sequence[str]) -> list[str]:
        """The ids of objects in any feed or collection whose content names one of the values."""
        found: set[str] = set()
        fields = {"body": 1, "zstd": 1, "ends": 1, "ids": 1}
        for batch in self._base.entry_batches.find({}, fields, session=self._session):
            plain = decompress_batch(batch)
            bodies = ((id, entry_body(plain, i)) for i, id in enumerate(plain["ids"]))
            found |= {id for id, body in bodies if id and is_mentioned(body, values)}
        return sorted(found)

    def redact_submission(self, submission: str, body: bytes | None, values: Sequence[str]) -> bool:
        """Replace a submission's body, unless it is None, and findings that name a value.

        True if there were such findings.
        """
        base, session, is_named = self._base, self._session, False
        if body is not None:
            put_body(base, session, submission, body)
        for batch in list(base.verdicts.find({"submission": submission}, session=session)):
            before = read_records(batch)
            records = [{**r, "findings": redact(r["findings"], values)} for r in before]
            if records != before:
                is_named = True
                change = {"$set": record_fields(records)}
                base.verdicts.update_one({"_id": batch["_id"]}, change, session=session)
        return is_named

    def delete_withdrawn_reasons(self, review: str = "", values: Sequence[str] = ()) -> None:
        """Delete reason and masks of withdrawn decisions on a review, or that name a value."""
        withdrawn = {"state": ActState.WITHDRAWN.value}
        found = self._base.review_acts.find(
            withdrawn, {"reviews": 1, "reason": 1}, session=self._session
        )
        ids = [
            each["_id"]
            for each in found
            if review in each["reviews"] or is_mentioned(orjson.dumps(each["reason"]), values)
        ]
        if ids:
            key, change = {"_id": {"$in": ids}}, {"$set": NO_ANSWER}
            self._base.review_acts.update_many(key, change, session=self._session)

    def _own_ids(self, submission: str, purge: Purge) -> set[str]:
        """The ids that the partner of a submission had for what is purged."""
        key, session = {"_id": submission}, self._session
        found = self._base.submissions.find_one(key, {"partner": 1}, session=session)
        sender = (found["partner"] or OPERATOR_SLUG) if found else None
        return {source for partner, source in purge.sources if partner == sender}

    def _bodies(self, query: Document) -> Iterator[tuple[str, str, bytes]]:
        fields = {"body": 1, "pieces": 1, "partner": 1}
        for each in self._base.submissions.find(query, fields, session=self._session):
            body = find_body(self._base, self._session, each)
            yield each["_id"], each["partner"] or OPERATOR_SLUG, body or b""


def is_mentioned(body: bytes, values: Sequence[str]) -> bool:
    """True if JSON names one of the values as a whole.

    In any case, escaped, defanged, in other forms of the same letters; of an internationalised
    domain in Unicode, too.
    """
    if not values or not body:
        return False
    text = _fold(_unescape(body.decode(errors="replace")))
    wanted = "|".join(_any_spelling(_fold(value)) for value in values)
    whole = re.compile(rf"(?<![\w.-])(?:{wanted})(?![\w-]|\.\w)")
    return any(whole.search(each) for each in (text, _DEFANGED.sub(_refang, text)))


def _unescape(text: str) -> str:
    """JSON as it is read, lone surrogates included, at which parsers fail."""
    if "\\" not in text:
        return text
    plain = _ESCAPE.sub(_unescape_one, text)
    return plain.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def _unescape_one(found: re.Match[str]) -> str:
    code = found[1]
    if len(code) > 1:
        return chr(int(code[1:], 16))
    return " " if code in _BLANKS else code


def _fold(text: str) -> str:
    """Small letters, in their usual forms."""
    folded = unicodedata.normalize("NFKC", text).lower()
    return unicodedata.normalize("NFKC", folded).replace("\u3002", ".")


def _any_spelling(value: str) -> str:
    """A regular expression for a value, each of its IDNA labels in ASCII or in Unicode."""
    parts: list[str] = []
    at = 0
    for label in _IDNA_LABEL.finditer(value):
        parts += [re.escape(value[at : label.start()]), _label_spellings(label[0])]
        at = label.end()
    return "".join([*parts, re.escape(value[at:])])


def _label_spellings(label: str) -> str:
    try:
        decoded = label.removeprefix("xn--").encode("ascii").decode("punycode")
    except UnicodeError:
        return re.escape(label)
    return f"(?:{re.escape(label)}|{re.escape(_fold(decoded))})"


def _refang(found: re.Match[str]) -> str:
    text = found[0].strip("[](){} ")
    return _FANGS.get(text, text)


def _request_from_document(found: Document) -> PurgeRequest:
    return PurgeRequest(found["_id"], found["who"], found["reason"], found["asked"])


def _mentions(document: Document, values: Sequence[str]) -> bool:
    found = document["findings"] if values else ()
    return any(is_mentioned(orjson.dumps(each), values) for each in found)


def redact(findings: Sequence[Document], values: Sequence[str]) -> list[Document]:
    """The findings, with a mask in place of a text that names one of the values."""
    return [
        {**each, "message": REMOVED, "path": ""}
        if is_mentioned(orjson.dumps(each), values)
        else each
        for each in findings
    ]


def _purge_to_document(purge: Purge) -> Document:
    return {
        "_id": purge.public_id,
        "sources": [list(pair) for pair in sorted(purge.sources)],
        "values": list(purge.values),
        "left": purge.leaves_version,
        "replaced": purge.replaced,
        "begun": purge.begun,
    }


def _purge_from_document(document: Document) -> Purge:
    return Purge(
        public_id=document["_id"],
        sources=frozenset((partner, source) for partner, source in document["sources"]),
        values=tuple(document["values"]),
        leaves_version=document["left"],
        replaced=document.get("replaced", 0),
        begun=document["begun"],
    )
