"""XML in a zip archive, as Office writes it, read as a stream within a budget of octets."""

import io
import zipfile
import zlib
from collections.abc import Callable, Mapping
from xml.parsers import expat

from tocsin.admission.errors import Malformed

BUDGET = 200_000_000
"""Octets to which the parts of one file may unpack."""
DEEPEST = 200
_PIECE = 65_536
_MOST_PARTS = 20_000
_DAMAGED = "the file is damaged: open it and save it again"
_LOCKED = "the file is encrypted: save it without a password"
_TOO_LARGE = f"it unpacks to more than {BUDGET // 1_000_000} MB: split it, or send CSV"
_BROKEN = (
    *(zipfile.BadZipFile, zlib.error, expat.ExpatError),
    *(EOFError, LookupError, NotImplementedError, OSError, ValueError),
)
"""Errors at files that are cut or changed, or name an encoding that there is not."""

Start = Callable[[str, Mapping[str, str]], None]
End = Callable[[str], None]
Text = Callable[[str], None]


class Archive:
    """The parts of a file; together they share one budget."""

    def __init__(self, content: bytes) -> None:
        """Raises Malformed if it is not a zip archive, or an encrypted one."""
        try:
            self._zip = zipfile.ZipFile(io.BytesIO(content))
            parts = self._zip.infolist()
        except _BROKEN:
            raise Malformed(_DAMAGED) from None
        if len(parts) > _MOST_PARTS:
            raise Malformed(f"the file has more than {_MOST_PARTS} parts: save it again")
        if any(part.flag_bits & 1 for part in parts):
            raise Malformed(_LOCKED)
        self.names = {part.filename for part in parts}
        self._left = BUDGET

    def parse(self, name: str, start: Start, end: End, text: Text) -> None:
        """Parse a part; nothing happens if there is none.  Raises Malformed."""
        if name not in self.names:
            return
        parser = make_parser(start, end, text)
        try:
            with self._zip.open(name) as stream:
                while piece := stream.read(_PIECE):
                    self._left -= len(piece)
                    if self._left < 0:
                        raise Malformed(_TOO_LARGE)
                    parser.Parse(piece, False)
            parser.Parse(b"", True)
        except _BROKEN:
            raise Malformed(_DAMAGED) from None


def make_parser(start: Start, end: End, text: Text) -> expat.XMLParserType:
    """A parser that refuses document types, and so entities, and depth.

    It calls with the names of elements and attributes without their namespaces.
    """
    parser = expat.ParserCreate(namespace_separator=" ")
    parser.buffer_text = True
    depth = 0

    def begin(name: str, attributes: dict[str, str]) -> None:
        nonlocal depth
        depth += 1
        if depth > DEEPEST:
            raise Malformed(f"its elements are nested deeper than {DEEPEST} levels")
        start(_local(name), {_local(key): value for key, value in attributes.items()})

    def finish(name: str) -> None:
        nonlocal depth
        depth -= 1
        end(_local(name))

    def refuse(*details: object) -> None:
        raise Malformed("it has an XML document type: save it without one")

    parser.StartElementHandler = begin
    parser.EndElementHandler = finish
    parser.CharacterDataHandler = text
    parser.StartDoctypeDeclHandler = refuse
    return parser


def _local(name: str) -> str:
    return name.rpartition(" ")[2]


def ignore(*details: object) -> None:
    """A handler that does nothing."""
