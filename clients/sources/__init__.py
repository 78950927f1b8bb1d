"""Sources that `tocsin collect` reads.  One module here is one kind, found by looking.

A source gives documents: files in any format that the clients read, each with the memory that is
to be kept once the document was submitted.  So a run that breaks off is repeated from where it
was, and nothing is lost.  A source keeps no state of its own.
"""

from __future__ import annotations

import importlib
import pkgutil
import re
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Annotated, Any, Literal, get_args, get_origin
from urllib.parse import urlsplit

import msgspec
from msgspec import Meta, Struct, inspect

from tocsin.admission.errors import Malformed
from tocsin.clients.downloads import Access
from tocsin.clients.tls import TlsFiles
from tocsin.config.settings import ConsentWord, TlpWord

Memory = Mapping[str, str]
"""Memory of earlier runs of a source."""

_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 7 * 86_400}
_DURATION = re.compile(r"([1-9][0-9]{0,5})([smhdw])")
_VALUES: Mapping[type, str] = {
    inspect.StrType: "a text in quotation marks",
    inspect.BoolType: "true or false",
    inspect.VarTupleType: 'a list of texts, like ["phishing"]',
}
"""Descriptions of valid values by their type."""
_NAME = r"^[a-z0-9][a-z0-9_-]{0,63}$"


@dataclass(frozen=True, slots=True)
class Document:
    """A file that a source gives."""

    name: str
    """A file name, which shows the format."""
    content: bytes = field(repr=False)
    memory: Memory = field(default_factory=dict)
    """Entries to keep once it was submitted; they replace entries of the same names."""
    skipped: str = ""
    """Why it was not read, for the operator; then it has no content."""
    is_whole: bool = False
    """True if the source has this document only: if it cannot be read, the source has failed."""


class Source(Struct, kw_only=True, frozen=True, forbid_unknown_fields=True, tag_field="kind"):
    """The settings that sources of every kind have."""

    name: Annotated[str, Meta(pattern=_NAME)]
    """Short name, in lower case; the file of its memory has this name."""
    every: str = "1h"
    """Interval from run to run: 15m, 1h, 1d."""
    to: str = "inbox"
    """The hub's collection that it is submitted to: id, alias or title."""
    tlp: TlpWord | None = None
    """The level of objects without a TLP marking; without it, `default_tlp` of the client."""
    consent: ConsentWord | None = None
    """Audience that may learn our name; without it, `consent` of the client."""
    labels: tuple[str, ...] = ()
    """Labels for every object."""
    valid_for: str = ""
    """Validity of indicators without an end, from the time when they are read: 30d."""
    form: str = msgspec.field(default="", name="as")
    """A file name that shows the format, where the document's own does not: list.csv."""
    send_held: bool = False
    """Submit what the preview holds too; the hub holds only what its own rules hold."""
    longest_run: str = "10m"
    """A run that takes longer is stopped, and tried again later."""
    enabled: bool = True

    def documents(self, memory: Memory) -> Iterator[Document]:
        """Yield the documents that are new since the run that left `memory`.

        Raises a ShareError if the source cannot be read.
        """
        raise NotImplementedError

    def place(self) -> str:
        """The place that is read; the memory of one says nothing about another.

        Empty if the memory itself names what its entries are about.
        """
        return ""

    def check(self) -> None:
        """Raises Malformed if a setting is wrong that its type does not rule out."""
        parse_duration_seconds(self.every, "every")
        parse_duration_seconds(self.longest_run, "longest_run")
        if self.valid_for:
            parse_duration_seconds(self.valid_for, "valid_for")

    def check_place(self) -> None:
        """Raises Malformed if this machine lacks the place to read; it may come later."""


class RemoteSource(Source, kw_only=True, frozen=True, forbid_unknown_fields=True):
    """The settings of a source on another machine."""

    url: str
    credential_file: Path | None = None
    """A file with `user:password`, or with a token; it should be readable by its owner only."""
    header: str = ""
    """The header that takes the credential as it is, such as X-Api-Key."""
    cert: Path | None = None
    """A client certificate with its private key, in PEM."""
    ca: Path | None = None
    """The CA of the server's certificate, in PEM."""
    allow_private: bool = False
    """Read from an address in our own network."""
    max_length: Annotated[int, Meta(ge=1024, le=1 << 31)] = 128 * 1024 * 1024
    """The longest response, in octets after decompression."""

    def check(self) -> None:
        """See Source."""
        super().check()
        if not re.match(r"https?://[^/\s]+", self.url):
            raise Malformed("url: must begin with https:// or http:// and name a host")
        if "@" in urlsplit(self.url).netloc:
            raise Malformed("url: holds a user name; write user:password into credential_file")
        if self.header and self.credential_file is None:
            raise Malformed("header: has no effect without credential_file; set that too")
        self.access()

    def credential(self) -> str:
        """The credential, or an empty string.  Raises Malformed if its file cannot be read."""
        if self.credential_file is None:
            return ""
        try:
            text = self.credential_file.read_text().strip()
        except (OSError, UnicodeDecodeError) as error:
            raise Malformed(
                f"credential_file: {self.credential_file} cannot be read; name a text file with "
                "user:password or a token"
            ) from error
        if "\n" in text or not text.isprintable():
            raise Malformed(f"credential_file: {self.credential_file} must have one line")
        return text

    def access(self) -> Access:
        """Credential and bounds for reading it."""
        tls = self.tls()
        tls.check()
        return Access(self.credential(), self.header, self.allow_private, self.max_length, tls)

    def tls(self) -> TlsFiles:
        """Certificate and CA of the source."""
        return TlsFiles(self.url, cert=self.cert, ca=self.ca)


def parse_duration_seconds(text: str, name: str = "") -> int:
    """Seconds of a duration.  Raises Malformed.

    >>> parse_duration_seconds("15m")
    900
    """
    found = _DURATION.fullmatch(text)
    if found is None:
        where = f"{name}: " if name else ""
        raise Malformed(f"{where}{text!r} is not a duration; give one like 15m, 1h or 30d")
    return int(found[1]) * _UNITS[found[2]]


@cache
def kinds() -> Mapping[str, type[Source]]:
    """The kinds of sources by name."""
    names = sorted(found.name for found in pkgutil.iter_modules(__path__))
    modules = [importlib.import_module(f"{__name__}.{name}") for name in names]
    found = [module.SOURCE for module in modules if hasattr(module, "SOURCE")]
    return {str(each.__struct_config__.tag): each for each in found}


def load_sources(path: Path) -> tuple[Source, ...]:
    """The sources of a file, in its order; relative paths start at its folder.

    Raises Malformed, with the source and the setting that is wrong.
    """
    try:
        document = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise Malformed(f"{path}: cannot be read: {error.strerror}") from error
    except (UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise Malformed(f"{path}: not valid TOML: {error}") from error
    entries = document.pop("source", [])
    if document or not isinstance(entries, list) or not entries:
        raise Malformed(f"{path}: must consist of [[source]] tables, each with kind and name")
    found = tuple(_read_source(path, number, each) for number, each in enumerate(entries, 1))
    names = [each.name for each in found]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise Malformed(f"{path}: two sources have the name {twice[0]}; give each its own")
    return found


def _read_source(path: Path, number: int, entry: Any) -> Source:
    name = entry.get("name", "") if isinstance(entry, dict) else ""
    where = f"{path}: source {number}{f' ({name})' if isinstance(name, str) and name else ''}"
    if not isinstance(entry, dict):
        raise Malformed(f"{where}: must be a table: begin it with [[source]]")
    kind = kinds().get(str(entry.get("kind")))
    if kind is None:
        raise Malformed(f"{where}: kind must be one of {', '.join(kinds())}")
    try:
        _check_entry(entry, kind)
        source: Source = msgspec.convert(entry, kind, dec_hook=_make_path)
        source = _place_files(source, path.parent)
        source.check()
    except Malformed as error:
        raise Malformed(f"{where}: {error}") from error
    return source


def _check_entry(entry: Mapping[str, Any], kind: type[Source]) -> None:
    """Raise Malformed, with the valid choices, for the first setting that is wrong or missing."""
    known = {each.encode_name: each for each in msgspec.structs.fields(kind)}
    for name, value in entry.items():
        if name == "kind":
            continue
        if name not in known:
            raise Malformed(
                f"{name}: unknown setting; known are {', '.join(sorted({'kind', *known}))}"
            )
        try:
            msgspec.convert(value, known[name].type, dec_hook=_make_path)
        except msgspec.ValidationError as error:
            raise Malformed(f"{name}: must be {_describe(known[name].type)}") from error
    if missing := [name for name, each in known.items() if each.required and name not in entry]:
        raise Malformed(f"{missing[0]}: is missing; a source of this kind needs it")


def _describe(annotation: Any) -> str:
    """Describe a valid value of this type: `must be …`."""
    for each in (annotation, *get_args(annotation)):
        if get_origin(each) is Literal:  # msgspec would sort the words
            return f"one of {', '.join(get_args(each))}"
    match inspect.type_info(annotation):
        case inspect.StrType(pattern=str()):
            return "1 to 64 lower-case letters, digits, _ or -, beginning with a letter or digit"
        case inspect.IntType(ge=low, le=high):
            return f"a whole number from {low} to {high}"
        case kind:
            return _VALUES.get(type(kind), "a path in quotation marks")


def _make_path(kind: type, value: object) -> Path:
    if kind is Path and isinstance(value, str) and value:
        return Path(value)
    raise ValueError("must be a path")


def _place_files(source: Source, folder: Path) -> Source:
    """The source with its paths relative to the folder of the file that names it."""
    paths = {
        name: folder / value
        for name in source.__struct_fields__
        if isinstance(value := getattr(source, name), Path)
    }
    return msgspec.structs.replace(source, **paths)
