"""Reader of medallion's MongoDB: one database for each API root, and one for discovery.

`objects` holds the objects, each with its collection and its manifest record in hidden fields.
`created` and `modified` are seconds as floats; they are written as medallion writes them to its
readers.
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
    SkippedObject,
    SourceCollection,
    StoredVersion,
    describe_collection,
)

Document = dict[str, Any]

_HIDDEN = ("_id", "_collection_id", "_manifest")
_TIMEOUT = "serverSelectionTimeoutMS"
_DEFAULT_TIMEOUT_MS = 10_000
"""Time to find a server, unless the URI sets another."""
_BATCH = 200
"""Objects per request."""
_CODEC: CodecOptions[Document] = CodecOptions(
    datetime_conversion=DatetimeConversion.DATETIME_MS,  # accepts years beyond 9999
    unicode_decode_error_handler="replace",
)


@contextmanager
def open_mongodb(uri: str) -> Iterator[list[SourceCollection]]:
    """The collections in medallion's MongoDB; it stays connected during the block.

    Raises Unavailable if it cannot be reached, Malformed if medallion never used it.
    """
    with _client(uri) as client:
        with _driver_errors():
            found = list(_sources(client))
        if not found:
            raise Malformed(
                "no collections of medallion in this MongoDB; check its discovery_database"
            )
        yield found


def _client(uri: str) -> MongoClient[Document]:
    try:
        timeout = parse_uri(uri)["options"].get(_TIMEOUT, _DEFAULT_TIMEOUT_MS / 1_000)
        options: Document = {_TIMEOUT: round(timeout * 1_000)}
        return MongoClient[Document](uri, appname="tocsin", **options)
    except (ConfigurationError, InvalidURI, ValueError) as error:
        raise Unavailable("not a usable mongodb:// URI of medallion's database") from error


@contextmanager
def _driver_errors() -> Iterator[None]:
    """Turn the driver's exceptions into Unavailable, with a message about medallion's database."""
    try:
        yield
    except PyMongoError as error:
        brief = str(error).split(", Timeout:")[0][:300]
        raise Unavailable(f"cannot read the database of medallion: {brief}") from error


def _sources(client: MongoClient[Document]) -> Iterator[SourceCollection]:
    roots = client["discovery_database"]["api_root_info"].find({}, {"_name": 1})
    for name in sorted({str(root["_name"]) for root in roots if root.get("_name")}):
        base = client[name]
        objects = base.get_collection("objects", codec_options=_CODEC)
        for described in base["collections"].find({}).sort("_id", 1):
            yield replace(
                describe_collection(name, described),
                count=objects.count_documents({"_collection_id": described.get("id")}),
                objects=partial(_by_date_added, objects, described.get("id")),
            )


def _by_date_added(objects: Collection[Document], collection: object) -> Iterator[Item]:
    with _driver_errors():
        dates: list[tuple[int, object]] = []
        for each in objects.find({"_collection_id": collection}, {"id": 1, "_manifest": 1}):
            try:
                dates.append((_micros(_manifest(each).get("date_added")), each["_id"]))
            except Malformed as error:
                yield SkippedObject(str(each.get("id", "")), f"date_added in its manifest: {error}")
        dates.sort(key=lambda date: date[0])  # equal dates stay in the order of insertion
        for start in range(0, len(dates), _BATCH):
            batch = dates[start : start + _BATCH]
            fetched = objects.find({"_id": {"$in": [key for _, key in batch]}})
            documents = {document["_id"]: document for document in fetched}
            for added, key in batch:
                if key in documents:  # else medallion has deleted it since
                    yield _item(added, documents[key])


def _manifest(document: Document) -> Document:
    manifest = document.get("_manifest")
    return manifest if isinstance(manifest, dict) else {}


def _item(added: int, document: Document) -> Item:
    visible = {name: value for name, value in document.items() if name not in _HIDDEN}
    id = str(document.get("id", ""))
    try:
        for name in ("created", "modified"):
            if isinstance(visible.get(name), float | int):
                visible[name] = _format_instant(_micros(visible[name]))
        return StoredVersion(added, id, json.dumps(visible, allow_nan=False).encode())
    except (Malformed, TypeError, ValueError, RecursionError) as error:
        return SkippedObject(id, f"cannot be written as JSON: {error}")


def _format_instant(instant: int) -> str:
    """As medallion writes it: three decimals, or six if three do not suffice."""
    return timestamp(instant) if instant % 1_000 else stix_time(instant)


def _micros(value: object) -> int:
    """µs since 1970 UTC, from medallion's seconds or from a timestamp.

    Raises Malformed if it is neither.
    """
    if isinstance(value, str):
        return micros(value)
    if not isinstance(value, float | int):
        raise Malformed("it is missing or not a number of seconds")
    try:
        instant = round(value * 1_000_000)
    except (ValueError, OverflowError) as error:
        raise Malformed("it is not a date") from error
    timestamp(instant)  # raises Malformed outside the years 1 to 9999
    return instant
