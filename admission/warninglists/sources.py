"""Warning lists as MISP publishes them, compiled into one file that a hub loads.

MISP's repository misp-warninglists has a folder for each list, `lists/NAME/list.json`.  A
folder with these folders or a zip file of them is read; only lists that count are.
"""

from __future__ import annotations

import lzma
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path, PurePosixPath

import msgspec

from tocsin.admission.errors import Malformed
from tocsin.admission.warninglists.index import ListContent, ListDocument
from tocsin.admission.warninglists.lists import LIST_REACH

_LONGEST_LIST = 64 * 1024 * 1024
_LONGEST_TITLE = 200
_MOST_ENTRIES = 1_000_000
_MOST_FILES = 10_000
_FILE_NAME = "list.json"


class _MispList(msgspec.Struct):
    name: str
    entries: list[str] = msgspec.field(name="list")
    version: int = 0
    type: str = ""


def read_misp_lists(path: Path) -> ListDocument:
    """The lists that count in a folder or zip file.

    Raises Malformed if there are none, or one cannot be read; then nothing should be replaced.
    """
    if not path.exists():
        raise Malformed(f"{path}: no such file or directory")
    try:
        find = _find_in_zip if path.is_file() else _find_in_folder
        lists = {name: _parse_list(name, read()) for name, read in find(path) if name in LIST_REACH}
    except (OSError, zipfile.BadZipFile, RuntimeError) as error:
        raise Malformed(f"the lists cannot be read: {error}") from error
    if not lists:
        raise Malformed(
            f"{path}: contains none of the warning lists that the hub uses: give a folder or zip"
            " file of MISP's misp-warninglists, with lists/NAME/list.json"
        )
    newest = max(each.version for each in lists.values())
    return ListDocument(f"{path.name}, newest list {newest}", lists)


def compile_lists(document: ListDocument) -> bytes:
    """The lists as the content of one file, for `load_warning_lists`."""
    return lzma.compress(msgspec.json.encode(document), preset=6)


def _find_in_folder(path: Path) -> Iterator[tuple[str, Callable[[], bytes]]]:
    """The name of each list and a function that reads its file."""
    for folder in (path, path / "lists"):
        for file in sorted(folder.glob(f"*/{_FILE_NAME}")):
            if file.stat().st_size > _LONGEST_LIST:
                raise Malformed(f"{file.parent.name}: longer than {_LONGEST_LIST} octets")
            yield file.parent.name, file.read_bytes


def _find_in_zip(path: Path) -> Iterator[tuple[str, Callable[[], bytes]]]:
    with zipfile.ZipFile(path) as archive:
        members = archive.infolist()
        if len(members) > _MOST_FILES:
            raise Malformed(f"the zip file has over {_MOST_FILES} members")
        for member in members:
            place = PurePosixPath(member.filename)
            if place.name != _FILE_NAME or not place.parent.name:
                continue
            if member.file_size > _LONGEST_LIST:
                raise Malformed(f"{place.parent.name}: longer than {_LONGEST_LIST} octets")
            yield place.parent.name, lambda member=member: archive.read(member)  # type: ignore[misc]


def _parse_list(name: str, raw: bytes) -> ListContent:
    try:
        found = msgspec.json.decode(raw, type=_MispList)
    except msgspec.DecodeError as error:
        raise Malformed(f"{name}: not a warning list of MISP: {error}") from error
    if found.type == "regex":
        raise Malformed(f"{name}: a list of expressions, which are not applied")
    if len(found.entries) > _MOST_ENTRIES:
        raise Malformed(f"{name}: over {_MOST_ENTRIES} entries")
    return ListContent(found.name[:_LONGEST_TITLE], found.entries, found.version)
