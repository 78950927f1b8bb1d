"""The file of a backup: what is written is read, and nothing else is."""

import io
import random
import subprocess
import tarfile
from pathlib import Path
from typing import Any

import bson
import pytest

from tocsin.admission.errors import Malformed
from tocsin.server.store.archive import (
    FORMAT,
    ArchiveReader,
    ArchiveWriter,
    Manifest,
    split_documents,
)

DOCUMENTS = [{"_id": number, "text": "x" * number} for number in range(40)]


def manifest(**documents: int) -> Manifest:
    """A manifest with these numbers of documents."""
    numbers = {"created": 1, "schema": 1, "stamp": 2, "journal": 3}
    return Manifest(**numbers, program="0", epoch="", journal_hash="0", documents=documents)


def encode(*documents: dict[str, Any]) -> bytes:
    """Documents as BSON, one after the other."""
    return b"".join(bson.encode(each) for each in documents)


def build_archive() -> bytes:
    """A small backup."""
    file = io.BytesIO()
    writer = ArchiveWriter(file)
    writer.begin(b"{}")
    writer.add("entry_batches", encode(*DOCUMENTS[:30]))
    writer.add("entry_batches", encode(*DOCUMENTS[30:]))
    writer.add("heads", encode({"_id": "a"}))
    writer.finish(manifest(entry_batches=40, heads=1, journal=0))
    return file.getvalue()


ARCHIVE = build_archive()


def read(octets: bytes) -> ArchiveReader:
    """A reader of these octets, which has checked them."""
    reader = ArchiveReader(io.BytesIO(octets), "x.tar")
    reader.check()
    return reader


def members(octets: bytes) -> list[tuple[tarfile.TarInfo, bytes]]:
    """The members of an archive, as tar reads them."""
    with tarfile.open(fileobj=io.BytesIO(octets)) as archive:
        return [
            (each, file.read() if (file := archive.extractfile(each)) else b"") for each in archive
        ]


def rebuild(changed: list[tuple[tarfile.TarInfo, bytes]]) -> bytes:
    """An archive with these members, without fill at its end."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.USTAR_FORMAT) as archive:
        for each, octets in changed:
            archive.addfile(each, io.BytesIO(octets))
        end = archive.offset
    return out.getvalue()[:end] + bytes(1024)


def test_the_documents_that_were_written_are_read_in_order() -> None:
    reader = read(ARCHIVE)
    parts = list(reader.parts())
    found = [
        bson.decode(each)
        for part in parts
        if part.collection == "entry_batches"
        for each in part.documents
    ]
    assert [part.collection for part in parts] == ["entry_batches", "entry_batches", "heads"]
    assert found == DOCUMENTS
    assert reader.secrets == b"{}"
    assert reader.manifest == manifest(entry_batches=40, heads=1, journal=0)


def test_common_tools_read_it_and_verify_its_checksums(tmp_path: Path) -> None:
    (tmp_path / "x.tar").write_bytes(ARCHIVE)
    subprocess.run(["tar", "xf", "x.tar"], cwd=tmp_path, check=True)
    done = subprocess.run(["sha256sum", "-c", "SHA256SUMS"], cwd=tmp_path, check=True)
    assert done.returncode == 0
    assert (tmp_path / "database/entry_batches/000001.bson.zst").exists()


def test_an_archive_that_is_cut_off_anywhere_is_refused() -> None:
    for length in range(0, len(ARCHIVE), 97):
        with pytest.raises(Malformed, match="x.tar is (incomplete|not a backup|damaged)"):
            read(ARCHIVE[:length])
    with pytest.raises(Malformed, match="incomplete"):
        read(ARCHIVE[:-1])


@pytest.mark.slow
def test_a_changed_bit_is_noticed_wherever_it_is() -> None:
    choice = random.Random(7)
    for place in [
        *range(0, len(ARCHIVE), 61),
        *(choice.randrange(len(ARCHIVE)) for _ in range(99)),
    ]:
        damaged = bytearray(ARCHIVE)
        damaged[place] ^= 1 << choice.randrange(8)
        with pytest.raises(Malformed):
            read(bytes(damaged))


@pytest.mark.parametrize("more", [b"\0", b"x" * 512, ARCHIVE])
def test_octets_behind_its_end_are_refused(more: bytes) -> None:
    with pytest.raises(Malformed, match="damaged at its end"):
        read(ARCHIVE + more)


def test_an_unchanged_rebuilt_archive_is_read() -> None:
    assert rebuild(members(ARCHIVE)) == ARCHIVE


@pytest.mark.parametrize(
    "change",
    [
        {"name": "/etc/passwd"},
        {"name": "../secrets.json"},
        {"name": "database/../runs/000000.bson.zst"},
        {"name": "database/entry_batches/000007.bson.zst"},
        {"type": tarfile.SYMTYPE, "linkname": "/etc/passwd"},
        {"type": tarfile.LNKTYPE, "linkname": "secrets.json"},
        {"type": tarfile.CHRTYPE},
        {"mode": 0o4755},
        {"uname": "root"},
        {"mtime": 1},
    ],
)
def test_a_member_of_another_name_or_kind_is_refused(change: dict[str, object]) -> None:
    changed = members(ARCHIVE)
    for name, value in change.items():
        setattr(changed[2][0], name, value)
    with pytest.raises(Malformed, match="damaged|incomplete"):
        read(rebuild(changed))


@pytest.mark.parametrize(
    "order", [[0, 1, 3, 2, 4, 5, 6], [0, 1, 2, 2, 4, 5, 6], [0, 1, 2, 4, 5, 6]]
)
def test_members_that_are_missing_or_out_of_order_are_refused(order: str) -> None:
    before = members(ARCHIVE)
    with pytest.raises(Malformed, match="damaged"):
        read(rebuild([before[int(each)] for each in order]))


def test_another_version_of_the_format_is_named() -> None:
    newer = members(ARCHIVE)
    octets = newer[0][1].replace(str(FORMAT).encode(), b"9")
    newer[0] = newer[0][0], octets
    with pytest.raises(Malformed, match="format 9; this program reads format 1"):
        read(rebuild(newer))


@pytest.mark.parametrize("octets", [b"", b"hello", bytes(1024), b"x" * 5_000])
def test_what_is_no_backup_is_refused(octets: bytes) -> None:
    with pytest.raises(Malformed):
        read(octets)


def test_a_manifest_with_other_numbers_is_refused() -> None:
    file = io.BytesIO()
    writer = ArchiveWriter(file)
    writer.begin(b"{}")
    writer.add("entry_batches", encode({"_id": 1}))
    writer.finish(manifest(entry_batches=2))
    with pytest.raises(Malformed, match="number of its documents"):
        read(file.getvalue())


@pytest.mark.parametrize("octets", [encode({"no": "id"}), b"\5\0\0", encode({"_id": 1})[:-1], b""])
def test_documents_that_are_none_are_refused(octets: bytes) -> None:
    file = io.BytesIO()
    writer = ArchiveWriter(file)
    writer.begin(b"{}")
    writer.add("entry_batches", octets)
    writer.finish(manifest(entry_batches=1))
    with pytest.raises(Malformed, match="damaged at database/entry_batches/000000.bson.zst"):
        read(file.getvalue())


def test_documents_are_split_where_they_end() -> None:
    assert [bson.decode(each) for each in split_documents(encode(*DOCUMENTS))] == DOCUMENTS
