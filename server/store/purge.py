"""Find and delete the content of purged objects, wherever the database keeps it.

Nothing is indexed by content, so a purge reads whole collections: the ids of partners, the
statuses and, where a value is named, bodies, reviews and feeds.  It runs rarely, and only when an
operator asks for it.

A document in `purges` lists what is purged until everything is done, so that a purge goes on
after a crash.  It is deleted at the end: it holds what must be forgotten.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Sequence
from contextlib import suppress

import orjson
from pymongo.client_session import ClientSession

from tocsin.server.model import Purge
from tocsin.server.store.connection import Base, Document, chunk_keys
from tocsin.server.store.feeds.blocks import decompress_batch, entry_body
from tocsin.server.store.feeds.id_index import MAX_KEYS
from tocsin.server.store.submissions import put_body

REMOVED = "[removed: purged]"
_DEFANGED = re.compile(r"hxxp|meow(?=s?:)|[\[({] ?(?:\.|dot|:|://|@|at) ?[\])}]")
_FANGS = {"hxxp": "http", "meow": "http", "dot": ".", "at": "@"}


class Purges:
    """Unfinished purges, and where the content of purged objects is."""

    def __init__(self, base: Base) -> None:
        """`base` is the hub's database."""
        self._base = base

    def unfinished(self) -> list[Purge]:
        """Purges that have begun and not ended, by id."""
        return [_purge_from_document(each) for each in self._base.purges.find({}).sort("_id")]

    def end(self, purge: Purge) -> None:
        """Forget what was purged; nothing happens if that was done before."""
        self._base.purges.delete_one({"_id": purge.public_id})

    def find_sources(self, public_ids: Collection[str]) -> set[tuple[str, str]]:
        """The partners' own ids of public objects, each with its partner."""
        found: set[tuple[str, str]] = set()
        for each in self._base.sources.find({}, {"partner": 1, "sources": 1, "publics": 1}):
            pairs = zip(each["sources"], each["publics"], strict=True)
            found |= {(each["partner"], own) for own, public in pairs if public in public_ids}
        return found

    def find_submissions(self, purge: Purge) -> set[str]:
        """The submissions in which a purged object, or one of the values, was sent."""
        own = {source for _, source in purge.sources}
        found = {
            batch["submission"]
            for batch in self._base.verdicts.find({})
            if any(
                r["public_id"] == purge.public_id
                or r["source_id"] in own
                or _mentions(r, purge.values)
                for r in batch["records"]
            )
        }
        if purge.values:
            found |= {id for id, body in self._bodies() if is_mentioned(body, purge.values)}
        return found

    def find_reviews(self, purge: Purge) -> list[str]:
        """The reviews of a purged object, or of one that names one of the values."""
        found: list[str] = []
        for each in self._base.reviews.find({}):
            own = (each["partner"], each["source_id"]) in purge.sources
            if own or is_mentioned(each["object"], purge.values) or _mentions(each, purge.values):
                found.append(each["_id"])
        return found

    def find_mentions(self, values: Sequence[str]) -> list[str]:
        """The ids of objects in any feed or collection whose content names one of the values."""
        found: set[str] = set()
        for batch in self._base.runs.find({}, {"body": 1, "zstd": 1, "ends": 1, "ids": 1}):
            plain = decompress_batch(batch)
            bodies = ((id, entry_body(plain, i)) for i, id in enumerate(plain["ids"]))
            found |= {id for id, body in bodies if id and is_mentioned(body, values)}
        return sorted(found)

    def _bodies(self) -> Iterator[tuple[str, bytes]]:
        for each in self._base.submissions.find({}, {"pieces": 1}):
            names = [f"{each['_id']}/{i}" for i in range(each["pieces"])]
            pieces: dict[str, bytes] = {}
            for chunk in chunk_keys(names, MAX_KEYS):
                for piece in self._base.raws.find({"_id": {"$in": list(chunk)}}):
                    pieces[piece["_id"]] = piece["raw"]
            yield each["_id"], b"".join(pieces.get(name, b"") for name in names)


def is_mentioned(body: bytes, values: Sequence[str]) -> bool:
    """True if JSON names one of the values as a whole, in any case, escaped or defanged."""
    if not values or not body:
        return False
    with suppress(orjson.JSONDecodeError):  # with lone surrogates it is searched as it is
        body = orjson.dumps(orjson.loads(body))
    text = body.decode(errors="replace").lower()
    plain = _DEFANGED.sub(_refang, text)
    wanted = "|".join(re.escape(value.lower()) for value in values)
    whole = re.compile(rf"(?<![\w.-])(?:{wanted})(?![\w-]|\.\w)")
    return any(whole.search(each) for each in (text, plain))


def _refang(found: re.Match[str]) -> str:
    text = found[0].strip("[](){} ")
    return _FANGS.get(text, text)


def put_purge(base: Base, session: ClientSession, purge: Purge) -> None:
    """See `Transaction.put_purge`."""
    document = _purge_to_document(purge)
    base.purges.replace_one({"_id": purge.public_id}, document, upsert=True, session=session)


def purge_submission(
    base: Base, session: ClientSession, submission: str, body: bytes, values: Sequence[str]
) -> None:
    """See `Transaction.purge_submission`."""
    put_body(base, session, submission, body)
    for batch in list(base.verdicts.find({"submission": submission}, session=session)):
        records = [{**r, "findings": _redact(r["findings"], values)} for r in batch["records"]]
        if records != batch["records"]:
            change = {"$set": {"records": records}}
            base.verdicts.update_one({"_id": batch["_id"]}, change, session=session)


def purge_review(base: Base, session: ClientSession, review_id: str, values: Sequence[str]) -> None:
    """See `Transaction.purge_review`."""
    document = base.reviews.find_one({"_id": review_id}, session=session)
    if document is not None:
        state = "rejected" if document["state"] == "waiting" else document["state"]
        findings = _redact(document["findings"], values)
        change = {"object": b"", "findings": findings, "state": state, "waits_for": []}
        changes = {"$set": change, "$unset": {"day": ""}}
        base.reviews.update_one({"_id": review_id}, changes, session=session)


def _mentions(document: Document, values: Sequence[str]) -> bool:
    found = document["findings"] if values else ()
    return any(is_mentioned(orjson.dumps(each), values) for each in found)


def _redact(findings: Sequence[Document], values: Sequence[str]) -> list[Document]:
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
        "begun": purge.begun,
    }


def _purge_from_document(document: Document) -> Purge:
    return Purge(
        public_id=document["_id"],
        sources=frozenset((partner, source) for partner, source in document["sources"]),
        values=tuple(document["values"]),
        leaves_version=document["left"],
        begun=document["begun"],
    )
