"""The file of a backup: written and read from its begin to its end, a few megabytes at a time.

It is a tar archive, so an operator can look into it with common tools.  Its members, in order:

| member                        | content                                                |
|-------------------------------|--------------------------------------------------------|
| format.json                   | the version of this format                             |
| secrets.json                  | the hub's secrets, as in the data directory            |
| database/heads/000000.bson.zst| documents of a collection, as many as make about 4 MB  |
| manifest.json                 | what was backed up, from when, and how many documents  |
| SHA256SUMS                    | a line for each member before, as `sha256sum` takes it |

Nothing is extracted from an archive: a member is its octets.  The reader computes
the head that the writer gives a member of such a name and length, and takes no other:
so links, devices, other paths and changed bits are refused by one comparison.  Knows
no database.
"""

from __future__ import annotations

import hashlib
import re
import tarfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import BinaryIO

import bson
import msgspec
import zstandard
from bson.errors import InvalidBSON

from tocsin.admission.errors import Malformed

FORMAT = 1
"""The version of the format that is written, and the only one that is read."""
PART_OCTETS = 4_000_000
"""Octets of documents after which a member is closed."""
_MAX_PART_OCTETS = PART_OCTETS + (17 << 20)
"""A last document may be as long as the database takes it."""
_MAX_MEMBER_OCTETS = _MAX_PART_OCTETS + (1 << 20)
_BLOCK = 512
_END = bytes(2 * _BLOCK)
_LEVEL = 3
_HEAD, _SECRETS, _MANIFEST, _SUMS = "format.json", "secrets.json", "manifest.json", "SHA256SUMS"
_PART = re.compile(r"database/([a-z_]{1,32})/([0-9]{6})\.bson\.zst")
_SHORTEST = 5
"""Octets of an empty document."""


class Manifest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The manifest of a backup."""

    created: int
    """The moment of which it is, in µs since 1970 UTC by the clock of the machine."""
    program: str
    """The version of Tocsin that wrote it."""
    schema: int
    """The version of the database's schema."""
    stamp: int
    """The hub's clock: nothing that the backup holds is stamped later."""
    epoch: str
    """The epoch of the page tokens that were valid then."""
    journal: int
    """The number of the journal's last entry."""
    journal_hash: str
    """The hash of that entry."""
    documents: dict[str, int]
    """The number of documents of each collection."""


class _Format(msgspec.Struct, frozen=True):
    tocsin_backup: int


@dataclass(frozen=True, slots=True)
class ArchivePart:
    """Some documents of one collection, each as its BSON."""

    collection: str
    documents: tuple[bytes, ...]


@dataclass(slots=True)
class ArchiveWriter:
    """Writes a backup; it is complete only after `finish`."""

    file: BinaryIO
    _sums: list[str] = field(default_factory=list)
    _parts: dict[str, int] = field(default_factory=dict)
    _digest: hashlib._Hash = field(default_factory=hashlib.sha256)
    octets: int = 0
    """Octets written so far."""

    def begin(self, secrets: bytes) -> None:
        """Write what comes first."""
        self._add(_HEAD, msgspec.json.encode(_Format(FORMAT)))
        self._add(_SECRETS, secrets)

    def add(self, collection: str, documents: bytes) -> None:
        """Write documents of a collection, given as their BSON one after the other."""
        number = self._parts.get(collection, 0)
        self._parts[collection] = number + 1
        name = f"database/{collection}/{number:06}.bson.zst"
        self._add(name, zstandard.ZstdCompressor(_LEVEL).compress(documents))

    def finish(self, manifest: Manifest) -> str:
        """Write the manifest and the end; the SHA-256 of the file, in hexadecimal."""
        self._add(_MANIFEST, msgspec.json.encode(manifest))
        self._add(_SUMS, "".join(self._sums).encode())
        self._write(_END)
        return self._digest.hexdigest()

    def _add(self, name: str, octets: bytes) -> None:
        if len(octets) > _MAX_MEMBER_OCTETS:
            raise ValueError(f"{name} is too long for an archive")
        self._write(_tar_head(name, len(octets)))
        self._write(octets)
        self._write(bytes(-len(octets) % _BLOCK))
        self._sums.append(_sum_line(name, octets))

    def _write(self, octets: bytes) -> None:
        self.file.write(octets)
        self._digest.update(octets)
        self.octets += len(octets)


class ArchiveReader:
    """Reads a backup from a file that can be read several times."""

    def __init__(self, file: BinaryIO, name: str) -> None:
        """`name` stands for the file in messages."""
        self._file, self._name = file, name
        self.secrets = b""
        """The hub's secrets; read by `check` and `parts`."""
        self.sha256 = ""
        """The digest of the whole file; known at the end of `check` and `parts`."""
        self.octets = 0

    def check(self) -> Manifest:
        """Read everything, and compare it with the manifest and the checksums.

        Raises Malformed, with a sentence, unless the backup is whole and unchanged.
        """
        for _ in self.parts():
            pass
        return self.manifest

    def parts(self) -> Iterator[ArchivePart]:
        """The documents, in the order of the file.

        They can be believed only after the last one.  Raises Malformed as `check` does.
        """
        counts: dict[str, int] = {}
        numbers: dict[str, int] = {}
        members = self._members()
        self._check_format(members)
        self.secrets = self._take(members, _SECRETS)
        for name, octets in members:
            found = _PART.fullmatch(name)
            if found is None:
                self._end(name, octets, members, counts)
                return
            collection, number = found[1], int(found[2])
            if number != numbers.get(collection, 0):
                raise self._damaged(name)
            numbers[collection] = number + 1
            part = ArchivePart(collection, self._documents(name, octets))
            counts[collection] = counts.get(collection, 0) + len(part.documents)
            yield part
        raise self._incomplete()

    def _end(
        self,
        name: str,
        octets: bytes,
        members: Iterator[tuple[str, bytes]],
        counts: Mapping[str, int],
    ) -> None:
        """Read from the manifest on."""
        if name != _MANIFEST:
            raise self._damaged(name)
        sums = "".join(self._sums).encode()
        if self._take(members, _SUMS) != sums:
            raise self._damaged(_SUMS)
        if next(members, None) is not None:
            raise self._damaged("its end")
        try:
            self.manifest = msgspec.json.decode(octets, type=Manifest)
        except msgspec.DecodeError as error:
            raise self._damaged(_MANIFEST) from error
        if {name: count for name, count in self.manifest.documents.items() if count} != counts:
            raise self._damaged("the number of its documents")

    def _check_format(self, members: Iterator[tuple[str, bytes]]) -> None:
        try:
            version = msgspec.json.decode(self._take(members, _HEAD), type=_Format).tocsin_backup
        except (Malformed, msgspec.DecodeError) as error:
            raise Malformed(f"{self._name} is not a backup that tocsin-hub wrote") from error
        if version != FORMAT:
            raise Malformed(
                f"{self._name} is a backup of format {version}; this program reads format {FORMAT}:"
                " use the version of tocsin-hub that wrote it"
            )

    def _take(self, members: Iterator[tuple[str, bytes]], wanted: str) -> bytes:
        """The next member, which must have this name."""
        name, octets = next(members, ("", b""))
        if not name:
            raise self._incomplete()
        if name != wanted:
            raise self._damaged(name)
        return octets

    def _members(self) -> Iterator[tuple[str, bytes]]:
        """Name and octets of each member up to the end of the archive."""
        self._file.seek(0)
        self._sums: list[str] = []
        self._digest = hashlib.sha256()
        self.octets = 0
        while (head := self._read(_BLOCK)) != bytes(_BLOCK):
            name, length = self._parse_head(head)
            octets = self._read(length)
            if self._read(-length % _BLOCK).strip(b"\0"):
                raise self._damaged(name)
            self._sums.append(_sum_line(name, octets))
            yield name, octets
        if self._read(_BLOCK).strip(b"\0") or self._file.read(1):
            raise self._damaged("its end")
        self.sha256 = self._digest.hexdigest()

    def _parse_head(self, head: bytes) -> tuple[str, int]:
        try:
            found = tarfile.TarInfo.frombuf(head, "ascii", "strict")
        except (tarfile.HeaderError, ValueError) as error:
            raise self._damaged("a member's head") from error
        name, length = found.name, found.size
        known = name in (_HEAD, _SECRETS, _MANIFEST, _SUMS) or _PART.fullmatch(name)
        if not known or not 0 <= length <= _MAX_MEMBER_OCTETS or _tar_head(name, length) != head:
            raise self._damaged(ascii(name[:80]))
        return name, length

    def _read(self, count: int) -> bytes:
        octets = self._file.read(count)
        if len(octets) < count:
            raise self._incomplete()
        self._digest.update(octets)
        self.octets += count
        return octets

    def _documents(self, name: str, octets: bytes) -> tuple[bytes, ...]:
        try:
            if not 0 <= zstandard.frame_content_size(octets) <= _MAX_PART_OCTETS:
                raise self._damaged(name)
            raw = zstandard.ZstdDecompressor().decompress(octets, allow_extra_data=False)
            documents = tuple(split_documents(raw))
            if not documents or any("_id" not in bson.decode(each) for each in documents):
                raise self._damaged(name)
        except (zstandard.ZstdError, InvalidBSON) as error:
            raise self._damaged(name) from error
        return documents

    def _incomplete(self) -> Malformed:
        return Malformed(
            f"{self._name} is incomplete: it was cut off, or is still being written; "
            "use another backup"
        )

    def _damaged(self, place: str) -> Malformed:
        return Malformed(f"{self._name} is damaged at {place}: use another backup")


def split_documents(raw: bytes) -> Iterator[bytes]:
    """The documents that stand one after the other.  Raises InvalidBSON if they do not."""
    begin = 0
    while begin < len(raw):
        length = int.from_bytes(raw[begin : begin + 4], "little")
        if not _SHORTEST <= length <= len(raw) - begin:
            raise InvalidBSON("a document is cut off")
        yield raw[begin : begin + length]
        begin += length


def _tar_head(name: str, length: int) -> bytes:
    head = tarfile.TarInfo(name)
    head.size, head.mode = length, 0o600
    return head.tobuf(tarfile.USTAR_FORMAT, "ascii", "strict")


def _sum_line(name: str, octets: bytes) -> str:
    return f"{hashlib.sha256(octets).hexdigest()}  {name}\n"
