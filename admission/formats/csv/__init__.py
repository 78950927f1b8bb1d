"""Tables: CSV, TSV and their like, with headings or without.

With headings, only columns that are known contribute.  Without, every cell
counts that is an indicator as a whole, and nothing else does: neither the
reporter's handle nor a link to where something was reported.
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain, islice

from tocsin.admission.extraction.dates import instant
from tocsin.admission.extraction.decode import (
    decoded,
    refusal,
    textual,
    words,
)
from tocsin.admission.extraction.indicators import Collected, Remarks
from tocsin.admission.extraction.tlp_words import levels, strictest
from tocsin.admission.extraction.vocabulary import (
    Fingerprint,
    fingerprint,
    of_certificates,
    read_as,
    types_of,
    untaken,
    without_types,
)
from tocsin.admission.formats import Format, ReadOptions
from tocsin.admission.formats.csv.columns import (
    Columns,
    Role,
    guessed,
    headed,
    plain,
)
from tocsin.admission.formats.csv.rows import (
    DELIMITERS,
    NONE,
    Row,
    delimiter,
    rows,
)
from tocsin.admission.formats.misp.attributes import private
from tocsin.admission.model import (
    Action,
    Candidate,
    Finding,
    Tlp,
)
from tocsin.admission.observables.extract import extract_observables
from tocsin.admission.observables.ioc_types import (
    HASH_TYPES,
    IocType,
    RecognisedIoc,
    may_be_ioc,
    recognise_ioc,
)
from tocsin.admission.observables.refang import join_spaced, refang

_ENDINGS = (".csv", ".tsv")
_COMMENTS = ("#", "//")
_SAMPLE = 200
_LONGEST_START = 65_536
_MOST_TITLES = 5
"""Lines that may stand above the headings."""
_MARKUP_ROW = re.compile(r"\s*\|.*\|\s*$")
_TRIM = " \t\n\u00a0\ufeff\u200b\"'`<>,;|"
_LONGEST_NOTE = 2000
_MOST_LABELS = 20
_PARTS = re.compile(r"[\s,;|]+")
_BOUND = re.compile(r"(?<=\S)\|(?=\S)")
"""Between the parts of a value of MISP: `filename|sha256`; a file's name may have blanks."""
_LABELS = re.compile(r"[,;|#\n]+")
_OVERFULL = "more cells than headings: put cells that hold the delimiter in quotes"
_SHORTEST_HASH = min(HASH_TYPES)
_NOTHING = frozenset(("", "-", "--", "n/a", "na", "none", "null", "nil", "unknown", "tbd", "?"))
_META = frozenset(("description", "comment", "note", "title", "reference", "source", "report"))
_PATHS = frozenset(("urlpath", "path"))
_Value = RecognisedIoc | Fingerprint
_HOSTS = words("domain domains domainname hostname host fqdn domane domaine nomdedomaine dominio")
_REFUSED_BY_MISP = frozenset(("0", "false", "no"))
_DECLARED: dict[str, IocType] = {
    **dict.fromkeys(("md5", "filehashmd5"), IocType.MD5),
    **dict.fromkeys(("sha1", "filehashsha1"), IocType.SHA1),
    **dict.fromkeys(("sha256", "filehashsha256"), IocType.SHA256),
    **dict.fromkeys(("sha512", "filehashsha512"), IocType.SHA512),
}
_WORDS = {"low": 15, "medium": 50, "moderate": 50, "med": 50, "high": 85, "certain": 95}
"""Confidence in words (STIX 2.1 appendix A, none/low/medium/high)."""


def _accepts(name: str, content: bytes) -> bool:
    if not textual(name, content):
        return False
    if name.lower().endswith(_ENDINGS):
        return True
    start = decoded(content[:8192]).split("\n")[:-1] or [decoded(content[:8192])]
    first = next(filter(_says_something, start), "")
    if _MARKUP_ROW.match(first):
        return False  # a table of Markdown, whose text is read
    above = [line for line in start if line.startswith("#")]
    return any(_heads(line, first, each) for line in (first, *above) for each in DELIMITERS)


def _heads(line: str, first: str, delimiter: str) -> bool:
    """Whether a line names the columns of a table that begins with `first`."""
    if delimiter not in first or line.count(delimiter) != first.count(delimiter):
        return False
    columns = headed(line.split(delimiter))
    return columns is not None and _several(columns)


def _several(columns: Columns) -> bool:
    return sum(role is not Role.OTHER for role in columns.roles) >= 2


def _read_file(name: str, content: bytes, reading: ReadOptions) -> Iterator[Candidate]:
    text = decoded(content)
    ending = name.lower()[-4:]
    found = rows(text, _separator(text, ending))
    sample = list(islice(found, _SAMPLE))
    start, columns = _layout(sample)
    level, notes = strictest(_around(text, sample, start))
    table = _Table(columns, Collected(reading), level, notes)
    for row in chain(sample[start:], found):
        if not row.blank:
            yield from table.candidates(row)


def _separator(text: str, ending: str) -> str:
    """The delimiter; none if the first line is one heading, so that URLs stay whole."""
    lines = (line for line in text[:_LONGEST_START].split("\n") if _says_something(line))
    first = next(lines, "")
    single = headed((first,)) is not None and not any(each in first for each in DELIMITERS)
    return NONE if single else delimiter(text, ending)


def _says_something(line: str) -> bool:
    return bool(line.strip()) and not line.startswith("#")


def _around(text: str, sample: list[Row], start: int) -> Iterator[tuple[int, str]]:
    """The lines that speak of the whole table: titles above it, and comments."""
    top = sample[start].line if 0 < start < len(sample) else _first_value(sample)
    for number, line in enumerate(text.split("\n"), 1):
        if number < top or line.lstrip('\ufeff \t"').startswith(_COMMENTS):
            yield number, line


def _first_value(sample: list[Row]) -> int:
    """The line of the first row in which an indicator stands."""
    return next((row.line for row in sample if any(map(_is_value, row.cells[:50]))), 0)


def _is_value(cell: str) -> bool:
    return may_be_ioc(cell) and recognise_ioc(refang(cell.strip(_TRIM))) is not None


def _layout(sample: list[Row]) -> tuple[int, Columns]:
    """Where the table's rows begin in the sample, and what its columns are."""
    titles = 0
    width = next((len(row.cells) for row in sample if not row.blank), 0)
    for number, row in enumerate(sample):
        columns = headed(row.cells) if any(row.cells) else None
        if row.comment:  # feeds name their columns in the last line of a comment
            if columns is not None and len(row.cells) == width and _several(columns):
                return number + 1, columns
            continue
        if columns is not None and (titles == 0 or _several(columns)):
            return number + 1, columns
        if any(map(_is_value, row.cells[:50])):
            break
        titles += any(row.cells)
        if titles == _MOST_TITLES:
            break
    return 0, guessed([row.cells for row in sample if not row.blank])


@dataclass(frozen=True, slots=True)
class _Table:
    columns: Columns
    collected: Collected
    level: Tlp | None
    """What the file states around its rows; the strictest."""
    notes: tuple[Finding, ...]
    """A word about that."""

    def candidates(self, row: Row) -> Iterator[Candidate]:
        declared = self._declared(row)
        if declared in _META:
            return
        unwanted = self._unwanted(row)
        if unwanted:
            yield refusal(self.collected.numbered(), f"line {row.line}: {unwanted}")
            return
        found = tuple(self._found(row, declared))
        if found:
            yield from self._made(dict.fromkeys(found), row, declared)
        elif row.broken or self.columns.headed:
            message = f"line {row.line}: {_why_nothing(row, declared)}"
            yield refusal(self.collected.numbered(), message)

    def _made(self, found: Iterable[_Value], row: Row, declared: str) -> Iterator[Candidate]:
        remarks = self._remarks(row)
        if isinstance(remarks, str):
            yield refusal(self.collected.numbered(), f"line {row.line}: {remarks}")
            return
        for value in found:
            yield self._candidate(value, row, remarks, declared)

    def _declared(self, row: Row) -> str:
        (kind,) = self._texts(row, Role.TYPE)[:1] or ("",)
        return plain(kind).replace(" ", "")

    def _unwanted(self, row: Row) -> str:
        """Why a row is not for us: a person's, or one that MISP would not detect by."""
        if self.columns.people:
            return "a list of people is never shared"
        detects = map(str.lower, self._texts(row, Role.DETECT))
        if _REFUSED_BY_MISP.intersection(detects):
            return "without to_ids it is no indicator"
        if any(map(private, (kind.lower() for kind in self._texts(row, Role.TYPE)[:1]))):
            return "tells of people or of who was attacked, which is never shared"
        return ""

    def _found(self, row: Row, declared: str) -> Iterator[_Value]:
        certificates = self._texts(row, Role.CERTIFICATE)
        if of_certificates(declared):
            certificates += self._texts(row, Role.VALUE)
        fingerprints = (fingerprint(cell, md5="md5" in declared) for cell in certificates)
        yield from (each for each in fingerprints if each)
        if untaken(declared):
            cells = self._texts(row, Role.VALUE) if declared in _PATHS else ()
            yield from chain.from_iterable(map(_url, cells))
            return
        if not self.columns.roles:
            found = list(chain.from_iterable(map(_whole, filter(may_be_ioc, row.cells))))
            yield from (value for value in found if not _beside(value, found))
            return
        for number in self.columns.holding:
            if number < len(row.cells):
                yield from _held(row.cells[number], declared)

    def _candidate(self, value: _Value, row: Row, remarks: Remarks, declared: str) -> Candidate:
        findings = (*self.notes, *_remarked(value, declared, row))
        if self._overfull(row):
            said = f"line {row.line}: {_OVERFULL}"
            findings += (Finding("validate", "format", Action.NOTED, said),)
        return self.collected.placed(value, remarks, ("line", row.line), findings)

    def _texts(self, row: Row, role: Role) -> list[str]:
        numbers = self.columns.of(role)
        if not numbers:
            return []
        cells = (row.cells[n].strip() for n in numbers if n < len(row.cells))
        return [cell for cell in cells if cell.lower() not in _NOTHING]

    def _levels(self, row: Row) -> Iterator[Tlp]:
        """Every level that is stated for a row: by the file, its column, and in its texts."""
        if self.level is not None:
            yield self.level
        yield from map(Tlp.parse, self._texts(row, Role.TLP))
        yield from levels("\n".join(row.cells))

    def _overfull(self, row: Row) -> bool:
        """Whether a row has more cells than there are headings, so that they may have moved."""
        headings = len(self.columns.roles)
        if not self.columns.headed or len(row.cells) <= headings:
            return False
        return any(map(str.strip, row.cells[headings:]))

    def _remarks(self, row: Row) -> Remarks | str:
        """What the row says besides its values, or why that cannot be understood."""
        if self._overfull(row) and self.columns.of(Role.TLP):
            return _OVERFULL
        try:
            tlp = max(self._levels(row), default=None)
        except ValueError as error:
            return str(error)
        if not self.columns.roles:
            return Remarks(tlp=tlp)
        now = self.collected.reading.now
        classes = self._texts(row, Role.CLASS)
        dates = [instant(cell, now) for cell in self._texts(row, Role.SEEN)]
        ends = [instant(cell, 2**62) for cell in self._texts(row, Role.UNTIL)]
        labels = _labels(self._texts(row, Role.TAGS) + classes)
        return Remarks(
            seen=next((date for date in dates if date is not None), None),
            until=next((end for end in ends if end is not None), None),
            name=next(iter(self._texts(row, Role.NAME)), "")[:200],
            description="\n".join(self._texts(row, Role.NOTE))[:_LONGEST_NOTE],
            tlp=tlp,
            confidence=_confidence(self._texts(row, Role.CONFIDENCE)),
            types=types_of(labels),
            labels=without_types(labels),
            references=tuple(_links(self._texts(row, Role.REFERENCE))),
        )


def _whole(cell: str) -> Iterator[RecognisedIoc]:
    """The indicator that a cell is; or a hash with which it begins."""
    whole = cell.strip(_TRIM)
    found = recognise_ioc(refang(whole))
    if found is None and len(whole) > _SHORTEST_HASH:
        first = whole.split(None, 1)[0]
        found = recognise_ioc(first) if len(first) in HASH_TYPES else None
    if found is not None:
        yield found


def _beside(value: RecognisedIoc, row: Sequence[RecognisedIoc]) -> bool:
    """Whether it is somebody's mailbox beside an indicator with which it has nothing in common."""
    if value.kind is not IocType.EMAIL:
        return False
    others = [each.value for each in row if each.kind is not IocType.EMAIL]
    domain = value.value.rpartition("@")[2]
    return bool(others) and not any(
        domain in each or domain.endswith("." + each) for each in others
    )


def _url(cell: str) -> Iterator[RecognisedIoc]:
    """The URL that a cell is, whatever else the row calls it."""
    found = recognise_ioc(refang(cell.strip(_TRIM)))
    if found is not None and found.kind is IocType.URL:
        yield found


def _held(cell: str, declared: str) -> Iterator[RecognisedIoc]:
    """The indicators in a cell of a column that is there to hold them."""
    whole = refang(join_spaced(cell.strip(_TRIM)))
    found = read_as(whole, host=declared in _HOSTS)
    if found is not None:
        yield found
        return
    if cell.startswith("["):
        yield from _of_pattern(cell)
        return
    for bound in _BOUND.split(cell.strip(_TRIM)):
        yield from _listed(bound)


def _listed(cell: str) -> Iterator[RecognisedIoc]:
    """The indicators in a cell that begins with one."""
    for number, part in enumerate(_PARTS.split(cell.strip(_TRIM))):
        found = recognise_ioc(refang(part.strip(_TRIM)))
        if found is not None:
            yield found
        elif number == 0:
            return


def _of_pattern(cell: str) -> Iterator[RecognisedIoc]:
    """The values of a STIX pattern that matches any of them; none if it says more than that."""
    if re.search(r"\b(?:AND|FOLLOWEDBY|NOT|LIKE|MATCHES|WITHIN|REPEATS|START)\b", cell):
        return
    for each in extract_observables({"type": "indicator", "pattern": cell, "pattern_type": "stix"}):
        found = recognise_ioc(each.value) if each.operator == "=" else None
        if found is not None and found.pattern.startswith(f"[{each.kind}:{each.property} "):
            yield found


def _remarked(value: _Value, declared: str, row: Row) -> Iterator[Finding]:
    expected = _DECLARED.get(declared)
    if expected and isinstance(value, RecognisedIoc) and expected is not value.kind:
        said = (
            f"line {row.line}: called {expected.value}, but is a {value.kind.value}; read as such"
        )
        yield Finding("validate", "format", Action.REPAIRED, said, "pattern")
    if row.broken:
        said = f"line {row.line}: a quote is never closed; read without regard to quotes"
        yield Finding("validate", "format", Action.NOTED, said)


def _why_nothing(row: Row, declared: str) -> str:
    if row.broken:
        return "a quote is never closed and no indicator can be read: close or remove the quote"
    if untaken(declared):
        return f"rows of this kind ({declared}) are not taken: send them as STIX"
    return "no indicator where one should be: give a host, address, URL, e-mail address or hash"


def _labels(cells: list[str]) -> list[str]:
    parts = (part.strip().lower() for cell in cells for part in _LABELS.split(cell))
    return list(dict.fromkeys(part[:100] for part in parts if part not in _NOTHING))[:_MOST_LABELS]


def _confidence(cells: list[str]) -> int | None:
    for cell in cells:
        said = cell.lower().rstrip("% ")
        if said in _WORDS:
            return _WORDS[said]
        if said.isascii() and said.isdigit() and int(said[:4]) <= 100:
            return int(said[:4])
    return None


def _links(cells: list[str]) -> Iterator[str]:
    for cell in cells:
        for part in cell.split():
            if part.lower().startswith(("http://", "https://")) and len(part) <= _LONGEST_NOTE:
                yield part


FORMAT = Format(
    name="csv",
    description="a table (CSV, TSV) with or without headings, defanged or not",
    extensions=_ENDINGS,
    accepts=_accepts,
    read=_read_file,
    rank=10,
)
