"""Data files in medallion's format, and a hub to import them into."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tocsin.config.settings import HubSettings
from tocsin.server.integrations.medallion.importer import (
    Destination,
    ImportOptions,
    import_collections,
    open_source,
)
from tocsin.server.model import Collection, Entry, Query, VersionKeyword
from tocsin.server.runtime import Runtime, open_runtime

FEED = "91a7b528-80eb-42ed-a74d-c6fbd5a26116"
EVERY = Query(
    limit=100_000, keywords=frozenset({VersionKeyword.ALL}), specs=frozenset({"2.0", "2.1"})
)

Object = dict[str, Any]


def day(number: int) -> str:
    """Build a date_added."""
    return f"2020-06-{number:02}T10:00:00.000000Z"


def threat(number: int, at: int = 1, **more: Any) -> Object:
    """Build a malware object in version `at`."""
    return {
        "type": "malware",
        "spec_version": "2.1",
        "id": f"malware--{uuid.UUID(int=number, version=4)}",
        "created": "2019-01-01T00:00:00.000Z",
        "modified": f"2019-01-{at:02}T00:00:00.000Z",
        "name": f"No. {number}",
        "is_family": False,
        **more,
    }


def record(subject: Object, added: str) -> Object:
    """Build the record of an object in medallion's manifest."""
    version = subject.get("modified") or subject.get("created") or subject.get("_date_added")
    spec = subject.get("spec_version", "2.0") if "created" in subject else "2.1"
    media = f"application/stix+json;version={spec}"
    named = {"id": subject["id"]} if "id" in subject else {}
    return {**named, "date_added": added, "version": version, "media_type": media}


def collection(*added: tuple[str, Object], id: str = FEED, **more: Any) -> Object:
    """Build a collection from objects and the dates on which they were added."""
    return {
        "id": id,
        "title": "High value",
        "can_read": True,
        "can_write": False,
        "media_types": ["application/stix+json;version=2.1"],
        "manifest": [record(subject, date) for date, subject in added],
        "objects": [subject for _, subject in added],
        **more,
    }


def write_data_file(
    folder: Path, *collections: Object, root: str = "trust", **roots: list[Object]
) -> Path:
    """Write a data file; further API roots by name."""
    content: Object = {"/discovery": {"title": "Some TAXII Server"}}
    for name, listed in {root: list(collections), **roots}.items():
        information = {"title": name, "versions": [], "max_content_length": 9000}
        content[name] = {"information": information, "status": [], "collections": listed}
    path = folder / "data.json"
    path.write_text(json.dumps(content), "utf-8")
    return path


class ImportTarget:
    """A hub opened as by a command, and the id of the collection to look at."""

    def __init__(self, hub: Runtime, feed: str = FEED) -> None:
        self.hub = hub
        self.feed = feed
        self.feeds = hub.services.store.feeds

    def run_import(self, source: Path | str, **options: Any) -> list[Object]:
        """Import; return one result per collection."""
        fields: dict[str, Any] = {
            k: frozenset(v) if isinstance(v, set) else v for k, v in options.items()
        }
        destination = Destination(self.hub.services.store, self.hub.secrets, self.hub.actor)
        with open_source(str(source)) as sources:
            return import_collections(destination, sources, ImportOptions(**fields))

    def own_collection(self, *added: tuple[str, Object], **more: Any) -> Object:
        """Build a `collection` with this target's id."""
        return collection(*added, **{"id": self.feed} | more)

    def collection(self) -> Collection:
        return next(c for c in self.feeds.collections() if c.id == self.feed)

    def entries(self) -> tuple[Entry, ...]:
        """Return all entries of the collection, in order."""
        return self.feeds.page(self.feed, EVERY).entries

    def bodies(self) -> list[Object]:
        return [json.loads(entry.body) for entry in self.entries()]

    def journal_length(self) -> int:
        """Return the length of the journal."""
        last = self.hub.services.store.journal.last_entry()
        return last.sequence if last else 0


@contextmanager
def open_import_target(uri: str, folder: Path) -> Iterator[ImportTarget]:
    """Open a new hub on a database server."""
    name = f"test_{uuid.uuid4().hex}"
    with open_runtime(HubSettings(data=folder, mongo_uri=uri, database=name), print) as hub:
        yield ImportTarget(hub)
