"""Column mappings: the kinds that the user gives to columns of tables, and profiles of them.

A profile is a TOML file with a table `columns`: a heading, or a column's number from 1, and
the column's kind.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path

import msgspec

from tocsin.admission.errors import Malformed
from tocsin.admission.formats.csv.columns import COLUMN_KINDS

_LONGEST_PROFILE = 100_000
_KINDS = ", ".join(COLUMN_KINDS)
_HEAD = "# How tocsin reads the columns of a table: tocsin check FILE --map THIS_FILE\n[columns]\n"


class _Profile(msgspec.Struct, forbid_unknown_fields=True):
    columns: dict[str, str]


def read_column_maps(values: Iterable[str]) -> dict[str, str]:
    """The kind of each column that the values name: `COLUMN=KIND`, or the path of a profile.

    Raises Malformed if one of them cannot be read.
    """
    found: dict[str, str] = {}
    for value in values:
        column, equals, kind = value.rpartition("=")
        found |= {column.strip(): kind.strip().lower()} if equals else _read_profile(Path(value))
    for column, kind in found.items():
        if kind not in COLUMN_KINDS:
            raise Malformed(f"{ascii(kind[:40])} is not a kind of column; use one of: {_KINDS}")
        if not column:
            raise Malformed("a column's heading or number is missing before the =")
    return found


def write_profile(file: Path, columns: Mapping[str, str]) -> None:
    """Write a profile.  Raises OSError."""
    # TOML has no pairs of escapes for the characters that JSON writes with two.
    names = ((json.dumps(name, ensure_ascii=False), kind) for name, kind in columns.items())
    lines = (f"{name} = {json.dumps(kind)}\n" for name, kind in names)
    file.write_text(_HEAD + "".join(lines), encoding="utf-8", errors="replace")


def _read_profile(file: Path) -> dict[str, str]:
    try:
        with file.open("rb") as content:
            raw = content.read(_LONGEST_PROFILE)
        return msgspec.toml.decode(raw, type=_Profile).columns
    except OSError as error:
        message = f"{file}: cannot be read: {error.strerror}; write COLUMN=KIND, or name a file"
        raise Malformed(f"{message} that --save-map wrote") from error
    except (msgspec.DecodeError, ValueError) as error:
        raise Malformed(f"{file}: not a file that --save-map wrote: {error}") from error
