"""States of feeds, and the files of a format as texts."""

from __future__ import annotations

import io
import json
import sqlite3
import uuid
import weakref
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any

from tocsin.admission.output_formats import output_formats
from tocsin.admission.timestamps import micros
from tocsin.mirror.render import render, write_serial
from tocsin.mirror.state import StateFile

NOW = micros("2026-06-01T00:00:00Z")
TLP_GREEN = "marking-definition--bab4a63c-aed9-4cf5-a766-dfca5abac2bb"
Object = dict[str, Any]


def listing(pattern: str, number: int = 0, **more: Any) -> Object:
    """An indicator with a pattern; the same number gives the same id."""
    seed = f"{number}" if number else pattern
    return {
        "type": "indicator",
        "spec_version": "2.1",
        "id": f"indicator--{uuid.uuid5(uuid.NAMESPACE_DNS, seed)}",
        "created": "2026-01-01T00:00:00.000Z",
        "modified": "2026-01-01T00:00:00.000Z",
        "pattern": pattern,
        "pattern_type": "stix",
        "valid_from": "2026-01-01T00:00:00Z",
        "object_marking_refs": [TLP_GREEN],
        **more,
    }


def encode(*objects: Object) -> list[bytes]:
    """Objects as a server sends them."""
    return [json.dumps(each).encode() for each in objects]


def opened_state(path: Path, *, alone: bool) -> StateFile:
    """A state that is closed when the test has no more use for it."""
    state = StateFile(path, alone=alone)
    weakref.finalize(state, _close, state._base)
    return state


def _close(base: sqlite3.Connection) -> None:
    """Close a database, unless another thread collects what is left of a state."""
    with suppress(sqlite3.ProgrammingError):  # only the thread that opened it may close it
        base.close()


def damage_pages(path: Path) -> None:
    """Overwrite every page of a closed state but the first, which has its version and schema."""
    content = path.read_bytes()
    size = int.from_bytes(content[16:18])  # of a page
    path.write_bytes(content[:size] + b"\xa5" * (len(content) - size))


def filled_state(folder: Path, objects: Iterable[Object]) -> StateFile:
    """A state that has these objects."""
    state = opened_state(folder / f"{uuid.uuid4()}.sqlite", alone=False)
    with state.changing():
        state.apply("feed", encode(*objects), "")
    return state


def files_of(
    state: StateFile, format: str, now: int = NOW, least_confidence: int = 0, feed: str = "green"
) -> dict[str, str]:
    """The files that a format makes of a state, by name."""
    files = {}
    with state.reading():
        for file in output_formats()[format].write(state.snapshot(feed, now, least_confidence)):
            stream = io.BytesIO()
            rendered = render(file, stream)
            write_serial(stream, rendered, 0, now)
            files[file.name] = stream.getvalue().decode()
    return files


def write_files(folder: Path, files: dict[str, str]) -> None:
    """Write files into a new folder."""
    folder.mkdir()
    for name, text in files.items():
        (folder / name).write_text(text)
