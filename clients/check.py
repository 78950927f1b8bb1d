"""The preview: run admission on files before anything is sent.

It is the hub's own admission, run on the partner's side, so that what must not be shared never
leaves it.  Knows no network.
"""

from __future__ import annotations

import uuid
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from tocsin.admission import Pipeline
from tocsin.admission.errors import Malformed, ShareError, Unavailable, Unprocessable
from tocsin.admission.extraction.indicators import IndicatorDetails, build_indicator
from tocsin.admission.formats import ReadOptions, detect_format, explain_unreadable, read
from tocsin.admission.markings.granular import join_layers
from tocsin.admission.merge.identity import is_observable_type
from tocsin.admission.model import (
    Candidate,
    Consent,
    StixObject,
    Submitter,
    Tlp,
    Verdict,
    Warninglists,
)
from tocsin.admission.policy import Policy
from tocsin.admission.timestamps import micros, stix_time
from tocsin.clients.check_processes import Advance, CheckProcesses, ExaminationAhead
from tocsin.config import ClientSettings

VERDICTS = (
    *("ready", "admitted", "merged", "duplicate", "held", "withheld", "refused"),
    *("pending", "unsent"),
)
"""The verdicts of an `ObjectResult`, in the order in which they are counted.

`ready` comes from the preview: fit to be sent.  `admitted` to `refused` are admission's verdicts,
but for `withheld`: the preview holds the object, so a push has not sent it.
`pending`: the hub has not decided.  `unsent`: the object did not reach the hub.
"""

_REMEDY = "; name its format with --as (report.txt)"
_NAMING_PROPERTIES = ("pattern", "value", "name", "key", "path")
"""Properties by which a person recognises an object; the first that exists is shown."""


@dataclass(frozen=True, slots=True)
class InputFile:
    """A file to be shared."""

    name: str
    """As the user gave it; every result names it."""
    content: bytes = field(repr=False)
    form: str = ""
    """A file name that shows the format if `name` does not: `report.txt`."""
    new_ids: bool = False
    """Give indicators whose id follows from their value random ids instead."""
    labels: tuple[str, ...] = ()
    """Labels to add to every object that can have some."""
    valid_for: int = 0
    """µs for which indicators without `valid_until` are valid from now on; 0: as the file says."""
    columns: Mapping[str, str] = field(default_factory=dict)
    """See ReadOptions.columns."""


@dataclass(frozen=True, slots=True)
class ObjectResult:
    """The verdict on one object of a file, with its findings."""

    file: str
    index: int
    source_id: str | None
    verdict: str
    """One of VERDICTS."""
    findings: tuple[Mapping[str, str], ...]
    object: StixObject | None = field(repr=False)
    """The object as it would be, or was, sent; None if it is not sent."""
    public_id: str = ""
    """The hub's id for it."""
    before: StixObject | None = field(default=None, repr=False)
    """The object as it was read; only on request."""
    held: StixObject | None = field(default=None, repr=False)
    """The object as it would be sent to an analyst, if the preview holds it; not in the JSON."""
    label: str = field(default="", repr=False)
    """Its pattern, value or name, for people; not part of the JSON."""

    def as_json(self) -> dict[str, Any]:
        """The result as `--json` prints it; `public_id` and `before` only if they are known."""
        result = {
            "file": self.file,
            "index": self.index,
            "source_id": self.source_id,
            "verdict": self.verdict,
            "findings": [dict(each) for each in self.findings],
            "object": self.object,
        }
        optional = {"public_id": self.public_id, "before": self.before}
        return result | {name: value for name, value in optional.items() if value}


@dataclass(frozen=True, slots=True)
class Preview:
    """A file's candidates with the verdicts that are known without a hub."""

    file: str
    candidates: tuple[Candidate, ...] = ()
    error: str = ""
    """Why the file as a whole could not be read; then there are no candidates."""
    originals: tuple[StixObject | None, ...] = field(default=(), repr=False)
    """The candidates' objects as they were read."""

    def results(self, *, before: bool = False) -> Iterator[ObjectResult]:
        """The result of each candidate; with `before`, including the object as it was read."""
        for position, candidate in enumerate(self.candidates):
            result = describe_candidate(self.file, candidate)
            if before and self.originals:
                result = replace(result, before=self.originals[position])
            yield result


class Checker:
    """Reads and examines the files of one partner."""

    def __init__(
        self, settings: ClientSettings, policy: Policy, lists: Warninglists, tlp: str = ""
    ) -> None:
        """`tlp` overrides the settings' level for objects without a TLP marking.

        Raises ValueError if a level or a consent is unknown.
        """
        self.submitter = describe_submitter(settings, tlp)
        self._pipeline = Pipeline(policy.for_preview(), self.submitter, lists)

    def preview(
        self,
        file: InputFile,
        now: int,
        processes: CheckProcesses | None = None,
        advance: Advance = lambda count: None,
    ) -> Preview:
        """Run admission on a file; `now` in µs since 1970 UTC.

        `processes` examine the candidates of a large file.  `advance` is called with the number
        of further candidates that are examined.
        """
        ahead = ExaminationAhead(processes, now, advance) if processes else None
        try:
            candidates: list[Candidate] = []
            for each in _read_candidates(file, now, self.submitter.default_tlp):
                candidates.append(each)
                if ahead:
                    ahead.add(each)
            examined = ahead.finish() if ahead else None
            if examined is None:
                examined = list(self._examine(candidates, now, advance))
        except (ShareError, Unavailable) as error:
            return Preview(file.name, error=str(error))
        originals = tuple(candidate.object for candidate in candidates)
        return Preview(file.name, tuple(examined), originals=originals)

    def _examine(
        self, candidates: Sequence[Candidate], now: int, advance: Advance
    ) -> Iterator[Candidate]:
        for each in self._pipeline.examine_each(candidates, now):
            advance(1)
            yield each


def describe_submitter(settings: ClientSettings, tlp: str = "") -> Submitter:
    """The partner as the preview knows it; `tlp` overrides the default level of the settings.

    Raises ValueError if a level or a consent is unknown.
    """
    return Submitter(
        partner=settings.partner,
        names=settings.names,
        terms=settings.terms,
        consent=Consent(settings.consent),
        default_tlp=Tlp.parse(tlp or settings.default_tlp),
        max_tlp=Tlp.AMBER_STRICT,  # only the hub knows the agreed limit
    )


def read_unexamined(file: InputFile, now: int, tlp: Tlp) -> Preview:
    """The objects of a file as they are, for a collection that keeps them unchanged.

    `now` in µs since 1970 UTC.
    """
    try:
        return Preview(file.name, tuple(_read_candidates(file, now, tlp)))
    except ShareError as error:
        return Preview(file.name, error=str(error))


def _read_candidates(file: InputFile, now: int, tlp: Tlp) -> Iterator[Candidate]:
    """The candidates of a file, with what the user adds to all of them.

    Raises ShareError if no format reads it.
    """
    name = file.form or file.name
    if detect_format(name, file.content) is None:
        raise Unprocessable(explain_unreadable(name, file.content, _REMEDY))
    options = ReadOptions(now=now, tlp=tlp, columns=file.columns)
    for candidate in read(name, file.content, options):
        if file.new_ids:
            candidate = _renew_id(candidate)
        yield _complete(candidate, file, now) if file.labels or file.valid_for else candidate


_UNLABELLED = ("marking-definition", "bundle")
"""Types to which no label is added, as to observables."""


def _complete(candidate: Candidate, file: InputFile, now: int) -> Candidate:
    """The candidate with the labels and the end that the user gave for the whole file.

    That makes it a new version, so `modified` moves to `now`.
    """
    subject = candidate.object
    if subject is None or not isinstance(subject.get("type"), str):
        return candidate
    added = _missing_labels(subject, file.labels) | _missing_end(subject, file.valid_for, now)
    if not added:
        return candidate
    if "modified" in subject and subject["modified"] != stix_time(now):
        added["modified"] = stix_time(max(now, _parse_micros(subject["modified"], 0) + 1000))
    version = added.get("modified", candidate.source_version)
    return replace(candidate, object={**subject, **added}, source_version=version)


def _missing_labels(subject: StixObject, labels: tuple[str, ...]) -> dict[str, Any]:
    kind, present = subject["type"], subject.get("labels", [])
    if kind in _UNLABELLED or is_observable_type(kind) or not isinstance(present, list):
        return {}
    missing = [label for label in dict.fromkeys(labels) if label not in present]
    return {"labels": [*present, *missing]} if missing else {}


def _missing_end(subject: StixObject, valid_for: int, now: int) -> dict[str, Any]:
    if not valid_for or subject["type"] != "indicator" or "valid_until" in subject:
        return {}
    begin = max(now, _parse_micros(subject.get("valid_from"), now))
    return {"valid_until": stix_time(begin + valid_for)}


def _parse_micros(text: object, otherwise: int) -> int:
    try:
        return micros(str(text))
    except Malformed:
        return otherwise


@dataclass(frozen=True, slots=True)
class _Value:
    value: str
    pattern: str


def _renew_id(candidate: Candidate) -> Candidate:
    """The candidate under a random id, if its id follows from its value."""
    subject = candidate.object or {}
    value = _Value("", str(subject.get("pattern")))
    derived = build_indicator(value, IndicatorDetails(), ReadOptions(now=0))["id"]
    if subject.get("id") != derived:
        return candidate
    id = f"indicator--{uuid.uuid4()}"
    return replace(candidate, object={**subject, "id": id}, source_id=id)


def describe_candidate(file: str, candidate: Candidate) -> ObjectResult:
    """The result of a candidate after admission; open candidates are ready to be sent."""
    return ObjectResult(
        file=file,
        index=candidate.index,
        source_id=candidate.source_id,
        verdict="ready" if candidate.is_open else candidate.verdict.value,
        findings=tuple(each.as_json() for each in candidate.findings),
        object=join_layers(candidate) if candidate.is_open else None,
        held=join_layers(candidate) if candidate.verdict is Verdict.HELD else None,
        label=find_label(candidate.object or {}),
    )


def find_label(subject: StixObject) -> str:
    """The property by which a person recognises an object; empty if it has none."""
    values = (subject.get(name) for name in _NAMING_PROPERTIES)
    return next((value for value in values if isinstance(value, str) and value), "")


def count_verdicts(results: Iterable[ObjectResult], always: Iterable[str] = ()) -> dict[str, int]:
    """The number of results in all and of each verdict; those in `always` even if zero."""
    found = Counter(each.verdict for each in results)
    required = set(always)
    counts = {word: found[word] for word in VERDICTS if found[word] or word in required}
    return {"received": found.total()} | counts
