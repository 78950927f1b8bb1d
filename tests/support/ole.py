"""Compound files (OLE) made by hand, as Outlook's .msg and old Office files are."""

import struct
from collections.abc import Mapping
from dataclasses import dataclass, field

_SECTOR = 512
_FREE, _END, _FAT = 0xFFFFFFFF, 0xFFFFFFFE, 0xFFFFFFFD
_STORAGE, _STREAM, _ROOT = 1, 2, 5
_SMALLEST = 4096
"""Octets below which a stream would be kept in another place; shorter ones are padded."""

Entries = Mapping[str, "bytes | Entries"]


@dataclass
class _Entry:
    name: str
    kind: int
    content: bytes = b""
    children: list[int] = field(default_factory=list)
    start: int = 0
    child: int = _FREE
    right: int = _FREE


def compound_file(entries: Entries) -> bytes:
    """A compound file of these storages and streams; streams are padded with NULs to 4 KB."""
    listed = [_Entry("Root Entry", _ROOT)]
    _list_entries(entries, listed, 0)
    sectors: list[bytes] = []
    table: list[int] = []
    for entry in listed:
        for children in (entry.children,):
            for first, second in zip(children, children[1:], strict=False):
                listed[first].right = second
            entry.child = children[0] if children else _FREE
        entry.start = _append(entry.content, sectors, table) if entry.kind == _STREAM else 0
    directory = b"".join(map(_format_entry, listed))
    directory_start = _append(directory, sectors, table)
    return _format_file(sectors, table, directory_start)


def _list_entries(entries: Entries, listed: list[_Entry], parent: int) -> None:
    for name, content in sorted(entries.items(), key=lambda each: (len(each[0]), each[0].upper())):
        listed[parent].children.append(len(listed))
        if isinstance(content, bytes):
            listed.append(_Entry(name, _STREAM, content.ljust(_SMALLEST, b"\0")))
        else:
            listed.append(_Entry(name, _STORAGE))
            _list_entries(content, listed, len(listed) - 1)


def _append(content: bytes, sectors: list[bytes], table: list[int]) -> int:
    start = len(sectors)
    for place in range(0, len(content), _SECTOR):
        sectors.append(content[place : place + _SECTOR].ljust(_SECTOR, b"\0"))
        table.append(len(sectors))
    table[-1] = _END
    return start


def _format_entry(entry: _Entry) -> bytes:
    name = entry.name.encode("utf-16-le")
    return struct.pack(
        "<64sHBB3I16sI8s8sIQ",
        name,
        len(name) + 2,
        entry.kind,
        1,
        *(_FREE, entry.right, entry.child),
        b"",
        0,
        b"",
        b"",
        entry.start,
        len(entry.content),
    )


def _format_file(sectors: list[bytes], table: list[int], directory: int) -> bytes:
    fat_sectors = 1
    while (len(sectors) + fat_sectors) * 4 > fat_sectors * _SECTOR:
        fat_sectors += 1
    first = len(sectors)
    table = table + [_FAT] * fat_sectors
    table += [_FREE] * (fat_sectors * _SECTOR // 4 - len(table))
    listed = list(range(first, first + fat_sectors))
    header = struct.pack(
        "<8s16sHHHHH6sIIIIIIIIII",
        b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1",
        b"",
        0x3E,
        3,
        0xFFFE,
        9,
        6,
        b"",
        0,
        fat_sectors,
        directory,
        0,
        _SMALLEST,
        _END,
        0,
        _END,
        0,
        listed[0],
    )
    header += struct.pack(f"<{fat_sectors - 1}I", *listed[1:])
    header = header.ljust(_SECTOR, b"\xff")
    return header + b"".join(sectors) + struct.pack(f"<{len(table)}I", *table)


def outlook_message(entries: Entries) -> Entries:
    """The storages and streams of a message with these properties: `{"0037": "Subject"}`."""
    return {"__properties_version1.0": b"\0" * 32, **entries}


def text_property(tag: str, value: str) -> dict[str, bytes]:
    """A property of characters."""
    return {f"__substg1.0_{tag}001F": value.encode("utf-16-le")}


def octets_property(tag: str, value: bytes) -> dict[str, bytes]:
    """A binary property."""
    return {f"__substg1.0_{tag}0102": value}
