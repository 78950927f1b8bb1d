"""Read a document in a bounded process, and turn its text into candidates."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from functools import cache
from typing import TypeVar

import msgspec

from tocsin.admission.bounded_process import BoundedTask, Exceeded, Limits, is_supported
from tocsin.admission.documents import Document, DocumentText, Refusal
from tocsin.admission.errors import Malformed, TooLarge, Unprocessable
from tocsin.admission.extraction.indicators import refused_candidate
from tocsin.admission.formats import ReadOptions, text
from tocsin.admission.lazy_patterns import compile_lazily
from tocsin.admission.model import Action, Candidate, Finding, Verdict

LONGEST_FILE = 64_000_000
"""Octets of the longest document that is read."""

LIMITS = Limits(seconds=30.0, memory=800_000_000, answer=64_000_000, wall=180.0)
"""Limits for one document: about ten times what the largest real ones need."""

_ADVICE = "split it, or send its indicators as CSV"
_EXCEEDED = {
    Exceeded.TIME: f"reading it takes more than {LIMITS.seconds:g} s of processor time: {_ADVICE}",
    Exceeded.MEMORY: f"reading it takes more than {LIMITS.memory // 1_000_000} MB of memory:"
    f" {_ADVICE}",
    Exceeded.CRASH: "it cannot be read: save it again, or send its indicators as CSV",
}
_UNSUPPORTED = (
    "documents are read only where a process can be limited (Linux, macOS): "
    "send the indicators as CSV or text"
)
_OWN_RULES = ("format", "columns")
"""Rules of the findings that formats make."""
_LINE = compile_lazily(r"^line \d+: | on line \d+")


_D = TypeVar("_D", bound=Document)


def read_document(kind: str, content: bytes, result: type[_D]) -> _D:
    """The document in a file, read by the module `kind` of `tocsin.admission.documents`.

    Raises Malformed, TooLarge or Unprocessable with a sentence for the submitter, and Unavailable
    if the system is too busy.
    """
    if len(content) > LONGEST_FILE:
        raise TooLarge(f"longer than {LONGEST_FILE // 1_000_000} MB: {_ADVICE}")
    if not is_supported():
        raise Unprocessable(_UNSUPPORTED)
    outcome = _task(kind).run([content])[0]
    if outcome.exceeded:
        raise Malformed(_EXCEEDED[outcome.exceeded])
    found: _D | Refusal = msgspec.json.decode(outcome.content, type=result | Refusal)
    if isinstance(found, Refusal):
        raise Malformed(found.reason)
    return found


@cache
def _task(kind: str) -> BoundedTask:
    return BoundedTask(f"tocsin.admission.documents:{kind}", LIMITS)


def reader_of_text(kind: str) -> Callable[[str, bytes, ReadOptions], Iterator[Candidate]]:
    """The function `read` of a format whose documents are read as text; see `read_document`."""
    return lambda _, content, options: read_text_of(
        read_document(kind, content, DocumentText), options
    )


def read_text_of(document: DocumentText, options: ReadOptions) -> Iterator[Candidate]:
    """The candidates of a document's text, read as Markdown."""
    found = text.FORMAT.read("document.md", document.text.encode(), options)
    return with_notes(map(without_lines, found), document.notes)


def without_lines(candidate: Candidate) -> Candidate:
    """The candidate without numbers of lines, which nobody can see in a document."""
    return rewrite_messages(candidate, lambda message: _LINE.sub("", message))


def rewrite_messages(candidate: Candidate, rewrite: Callable[[str], str]) -> Candidate:
    """The candidate with other messages in the findings of its format."""
    findings = tuple(
        each._replace(message=rewrite(each.message)) if each.rule in _OWN_RULES else each
        for each in candidate.findings
    )
    return candidate if findings == candidate.findings else replace(candidate, findings=findings)


def with_notes(candidates: Iterable[Candidate], notes: Sequence[str]) -> Iterator[Candidate]:
    """The candidates, the first with notes about parts of the file that were not read.

    Without any candidate, one refused candidate has the notes, which may be the reason.
    """
    first = True
    for candidate in candidates:
        if first and notes:
            noted = (Finding("validate", "format", Action.NOTED, each) for each in notes)
            candidate = candidate.with_findings(*noted)
        first = False
        yield candidate
    if first and notes:
        yield refused_candidate(0, f"no indicator found; {'; '.join(notes)}")


def join_parts(parts: Iterable[tuple[str, Iterable[Candidate]]]) -> Iterator[Candidate]:
    """The candidates of a file's parts, numbered through; each part has its name for people.

    An indicator that an earlier part has already is a duplicate.
    """
    index = 0
    seen: dict[str, str] = {}
    for part, candidates in parts:
        for candidate in candidates:
            before = seen.setdefault(candidate.source_id or f"#{index}", part)
            if before != part and candidate.is_open:
                message = f"{part}: duplicate of one in {before}"
                noted = Finding("validate", "format", Action.NOTED, message)
                candidate = replace(candidate.with_findings(noted), verdict=Verdict.DUPLICATE)
            yield replace(candidate, index=index)
            index += 1
