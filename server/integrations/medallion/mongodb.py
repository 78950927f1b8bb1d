"""medallion's MongoDB read: a database for each API root, and one for discovery.

Objects lie in `objects`, each with its collection and its manifest record in
hidden fields.  `created` and `modified` are seconds as floats; they are spelt
again as medallion spells them to its readers.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from typing import Any

from bson.codec_options import CodecOptions, DatetimeConversion
from pymongo import MongoClient
from pymongo.collection import Collection
from pymongo.errors import ConfigurationError, InvalidURI, PyMongoError
from pymongo.uri_parser import parse_uri

from tocsin.admission.errors import Malformed, Unavailable
from tocsin.admission.timestamps import micros, stix_time, timestamp
from tocsin.server.integrations.medallion.sources import (
    Item,
    Kept,
    LeftOut,
    Source,
    described,
)

Document = dict[str, Any]

_HIDDEN = ("_id", "_collection_id", "_manifest")
_PATIENCE = "serverSelectionTimeoutMS"
_PATIENCE_MS = 10_000
"""How long a server is looked for, unless the URI says otherwise."""
_PORTION = 200
"""Objects that are fetched at once."""
_CODEC: CodecOptions[Document] = CodecOptions(
    datetime_conversion=DatetimeConversion.DATETIME_MS,  # dates beyond year 9999 break nothing
    unicode_decode_error_handler="replace",
)


@contextmanager
def from_mongo(uri: str) -> Iterator[list[Source]]:
    """The collections in a medallion's MongoDB, which stays connected meanwhile.

    Raises Unavailable if it cannot be reached, Malformed if medallion was never there.
    """
    with _client(uri) as client:
        with _told():
            found = list(_sources(client))
        if not found:
            raise Malformed("no medallion has collections here: see its discovery_database")
        yield found


def _client(uri: str) -> MongoClient[Document]:
    try:
        patience = parse_uri(uri)["options"].get(_PATIENCE, _PATIENCE_MS / 1_000)
        options: Document = {_PATIENCE: round(patience * 1_000)}
        return MongoClient[Document](uri, appname="tocsin", **options)
    except (ConfigurationError, InvalidURI, ValueError) as error:
        raise Unavailable("not a usable mongodb:// URI of medallion's database") from error


@contextmanager
def _told() -> Iterator[None]:
    """What the driver raises, as a sentence about medallion's database."""
    try:
        yield
    except PyMongoError as error:
        brief = str(error).split(", Timeout:")[0][:300]
        raise Unavailable(f"cannot read the database of medallion: {brief}") from error


def _sources(client: MongoClient[Document]) -> Iterator[Source]:
    roots = client["discovery_database"]["api_root_info"].find({}, {"_name": 1})
    for name in sorted({str(root["_name"]) for root in roots if root.get("_name")}):
        base = client[name]
        objects = base.get_collection("objects", codec_options=_CODEC)
        for told in base["collections"].find({}).sort("_id", 1):
            yield replace(
                described(name, told),
                count=objects.count_documents({"_collection_id": told.get("id")}),
                objects=partial(_in_order, objects, told.get("id")),
            )


def _in_order(objects: Collection[Document], collection: object) -> Iterator[Item]:
    with _told():
        dates: list[tuple[int, object]] = []
        for each in objects.find({"_collection_id": collection}, {"id": 1, "_manifest": 1}):
            try:
                dates.append((_micros(_manifest(each).get("date_added")), each["_id"]))
            except Malformed as error:
                yield LeftOut(str(each.get("id", "")), f"date_added in its manifest: {error}")
        dates.sort(key=lambda date: date[0])  # equal dates stay as they were inserted
        for start in range(0, len(dates), _PORTION):
            portion = dates[start : start + _PORTION]
            fetched = objects.find({"_id": {"$in": [key for _, key in portion]}})
            documents = {document["_id"]: document for document in fetched}
            for added, key in portion:
                if key in documents:  # else medallion has deleted it meanwhile
                    yield _item(added, documents[key])


def _manifest(document: Document) -> Document:
    kept = document.get("_manifest")
    return kept if isinstance(kept, dict) else {}


def _item(added: int, document: Document) -> Item:
    shown = {name: value for name, value in document.items() if name not in _HIDDEN}
    id = str(document.get("id", ""))
    try:
        for name in ("created", "modified"):
            if isinstance(shown.get(name), float | int):
                shown[name] = _spelt(_micros(shown[name]))
        return Kept(added, id, json.dumps(shown, allow_nan=False).encode())
    except (Malformed, TypeError, ValueError, RecursionError) as error:
        return LeftOut(id, f"cannot be written as JSON: {error}")


def _spelt(instant: int) -> str:
    """Three decimals, or six where three do not suffice; as medallion answers."""
    return timestamp(instant) if instant % 1_000 else stix_time(instant)


def _micros(value: object) -> int:
    """An instant from medallion's seconds; hand-made databases have text as well.

    Raises Malformed if it is neither.
    """
    if isinstance(value, str):
        return micros(value)
    if not isinstance(value, float | int):
        raise Malformed("it is missing, or no number of seconds")
    try:
        instant = round(value * 1_000_000)
    except (ValueError, OverflowError) as error:
        raise Malformed("it is no instant") from error
    timestamp(instant)  # refuses what is outside the calendar
    return instant
