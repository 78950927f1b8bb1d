"""The preview: what admission makes of files, before anything is sent.

The same admission as in the hub, run at the partner's own place, so that what
must not be shared never leaves it.  Knows no network.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from tocsin.admission import Pipeline
from tocsin.admission.errors import ShareError
from tocsin.admission.formats import (
    ReadOptions,
    describe_formats,
    detect_format,
    read,
)
from tocsin.admission.markings.granular import join_layers
from tocsin.admission.model import (
    Candidate,
    Consent,
    StixObject,
    Submitter,
    Tlp,
    Warninglists,
)
from tocsin.admission.policy import Policy
from tocsin.config import ClientSettings

WORDS = ("ready", "admitted", "merged", "duplicate", "held", "refused", "pending", "unsent")
"""The verdicts of a `Line`, in the order of a table.

`ready` is check's word for what would be offered to a hub; `admitted` to
`refused` are admission's; `pending` is not settled yet in the hub, `unsent`
did not reach it.
"""


_TELLING = ("pattern", "value", "name", "key", "path")
"""Properties by one of which a person knows an object."""


@dataclass(frozen=True, slots=True)
class File:
    """A file to be shared."""

    name: str
    """As the user gave it; names it in every line."""
    content: bytes = field(repr=False)
    form: str = ""
    """A name that says what format it has, where `name` does not: `report.txt`."""


@dataclass(frozen=True, slots=True)
class Line:
    """What became of one object of a file."""

    file: str
    index: int
    source_id: str | None
    verdict: str
    """One of WORDS."""
    findings: tuple[Mapping[str, str], ...]
    object: StixObject | None = field(repr=False)
    """What would be, or was, sent; None where nothing is."""
    public_id: str = ""
    """The hub's id for it."""
    before: StixObject | None = field(default=None, repr=False)
    """As it was read; kept where somebody wants to compare."""
    about: str = field(default="", repr=False)
    """What a person knows it by: its pattern, value or name; nothing for programs."""

    def as_json(self) -> dict[str, Any]:
        """The line as `--json` prints it; `public_id` and `before` only where there is one."""
        line = {
            "file": self.file,
            "index": self.index,
            "source_id": self.source_id,
            "verdict": self.verdict,
            "findings": [dict(each) for each in self.findings],
            "object": self.object,
        }
        more = {"public_id": self.public_id, "before": self.before}
        return line | {name: value for name, value in more.items() if value}


@dataclass(frozen=True, slots=True)
class Preview:
    """Everything about one file that can be said without a hub."""

    file: str
    candidates: tuple[Candidate, ...] = ()
    error: str = ""
    """Why the file as a whole could not be read; then there are no candidates."""
    read: tuple[StixObject | None, ...] = field(default=(), repr=False)
    """The candidates' objects as they were read."""

    def lines(self, *, before: bool = False) -> Iterator[Line]:
        """A line for each candidate; on request with what it was before."""
        for at, candidate in enumerate(self.candidates):
            told = line(self.file, candidate)
            yield replace(told, before=self.read[at]) if before and self.read else told


class Checker:
    """Reads and examines files for one partner."""

    def __init__(
        self, settings: ClientSettings, policy: Policy, lists: Warninglists, tlp: str = ""
    ) -> None:
        """`tlp` goes before the settings' level for what carries no mark.

        Raises ValueError if a level or a consent is none.
        """
        self._tlp = Tlp.parse(tlp or settings.default_tlp)
        submitter = Submitter(
            partner=settings.partner,
            names=settings.names,
            terms=settings.terms,
            consent=Consent(settings.consent),
            default_tlp=self._tlp,
            max_tlp=Tlp.AMBER_STRICT,  # the agreement's limit is the hub's to know
        )
        self._examiner = Pipeline(policy, submitter, lists)

    def preview(self, file: File, now: int) -> Preview:
        """What admission makes of a file; `now` in µs since 1970 UTC."""
        name = file.form or file.name
        try:
            if detect_format(name, file.content) is None:
                return Preview(file.name, error=_unclaimed())
            candidates = list(read(name, file.content, ReadOptions(now=now, tlp=self._tlp)))
        except ShareError as error:
            return Preview(file.name, error=str(error))
        sent = tuple(candidate.object for candidate in candidates)
        return Preview(file.name, tuple(self._examiner.examine(candidates, now)), read=sent)


def _unclaimed() -> str:
    remedy = "name its format with --as (report.txt)"
    return f"no format reads this file; {remedy}. Readable are: {describe_formats()}"


def line(file: str, candidate: Candidate) -> Line:
    """The line that says what admission made of a candidate."""
    return Line(
        file=file,
        index=candidate.index,
        source_id=candidate.source_id,
        verdict="ready" if candidate.is_open else candidate.verdict.value,
        findings=tuple(each.as_json() for each in candidate.findings),
        object=join_layers(candidate) if candidate.is_open else None,
        about=_about(candidate.object or {}),
    )


def _about(subject: StixObject) -> str:
    told = (subject.get(name) for name in _TELLING)
    return next((each for each in told if isinstance(each, str) and each), "")


def unexamined(file: File, now: int, tlp: Tlp) -> Preview:
    """The objects of a file as they are, for a collection that keeps them so."""
    name = file.form or file.name
    try:
        if detect_format(name, file.content) is None:
            return Preview(file.name, error=_unclaimed())
        candidates = tuple(read(name, file.content, ReadOptions(now=now, tlp=tlp)))
    except ShareError as error:
        return Preview(file.name, error=str(error))
    return Preview(file.name, candidates)


def counted(lines: Iterable[Line], always: Iterable[str] = ()) -> dict[str, int]:
    """How many lines there are in all and of each verdict; the words in `always` even if none."""
    found = Counter(each.verdict for each in lines)
    wanted = set(always)
    told = {word: found[word] for word in WORDS if found[word] or word in wanted}
    return {"received": found.total()} | told
