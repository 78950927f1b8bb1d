"""Free text: reports, advisories, plain lists, hosts files, Markdown and AsciiDoc.

Only values are taken, never the words around them: reports name people.  A
level of the Traffic Light Protocol that the text states holds for all of it.
"""

from collections.abc import Iterator, Sequence

from tocsin.admission.formats import Format, Reading
from tocsin.admission.formats._indicators import Collected, Remarks
from tocsin.admission.formats._levels import strictest
from tocsin.admission.formats._prose import in_line
from tocsin.admission.formats._written import decoded, textual
from tocsin.admission.model import Candidate
from tocsin.admission.recognise import recognise
from tocsin.admission.refang import refang

_ENDINGS = (".txt", ".text", ".md", ".adoc", ".lst", ".list", ".hosts")
_MARKUP = (".md", ".adoc", ".asciidoc")
"""Where a line that begins with `#` is a heading and no comment, and words have links."""
_SAMPLE = 400
_LONGEST_LINE = 65_536
_COMMENTS = ("#", "//", ";", "!")
_SINKS = frozenset(("0.0.0.0", "127.0.0.1", "::", "::1"))  # noqa: S104 - read, not bound to
_TRIM = " \t\ufeff\u200b\"'`<>,;|*-()[]{}"


def _claims(name: str, content: bytes) -> bool:
    return bool(content) and textual(name, content)


def _candidates(name: str, content: bytes, reading: Reading) -> Iterator[Candidate]:
    text = decoded(content)
    lines = text.split("\n")
    level, notes = strictest(enumerate(lines, 1))
    remarks = Remarks(tlp=level)
    collected = Collected(reading)
    markup = name.lower().endswith(_MARKUP)
    listing = not markup and _listing(lines)
    for number, line, before in _lines(lines, listing):
        for value in in_line(line, listing, before, markup):
            if value.pattern not in collected.places:
                collected.first(value, number)
                yield collected.candidate(value, remarks, notes)


def _lines(lines: Sequence[str], listing: bool) -> Iterator[tuple[int, str, str]]:
    """Lines worth a look: number, text, and what came before."""
    before = ""
    for number, line in enumerate(lines, 1):
        if listing:
            line = _without_comment(line)
        if line and not line.isspace():
            yield from ((number, part, before) for part in _portions(line))
            before = line[-40:]


def _portions(line: str) -> Iterator[str]:
    """A line in parts of bounded length, cut between words where there are any."""
    start = 0
    while len(line) - start > _LONGEST_LINE:
        cut = line.rfind(" ", start, start + _LONGEST_LINE)
        end = start + _LONGEST_LINE if cut <= start else cut
        yield line[start:end]
        start = end
    yield line[start:] if start else line


def _listing(lines: Sequence[str]) -> bool:
    """Whether the file is a list: most of its lines are one value, or an address and a host."""
    spread = lines[:: max(1, len(lines) // _SAMPLE)]
    sample = [line for line in spread if line.strip() and not line.lstrip().startswith(_COMMENTS)]
    return bool(sample) and sum(map(_single, sample)) * 10 >= len(sample) * 6


def _single(line: str) -> bool:
    words = line.split("#", 1)[0].split()
    if len(words) == 2 and words[0] in _SINKS:
        return True
    return 0 < len(words) <= 2 and recognise(refang(words[0].strip(_TRIM))) is not None


def _without_comment(line: str) -> str:
    """A line of a list without its comment, and without the address of a hosts file."""
    plain = line.lstrip(" \t\ufeff")
    if plain.startswith(_COMMENTS):
        return ""
    plain = plain.split(" #", 1)[0].split("\t#", 1)[0]
    words = plain.split(None, 1)
    return words[1] if len(words) == 2 and words[0] in _SINKS else plain


FORMAT = Format(
    name="text",
    sentence="free text: a report, a list, a hosts file, Markdown or AsciiDoc, defanged or not",
    extensions=_ENDINGS,
    claims=_claims,
    candidates=_candidates,
    rank=20,
)
