"""Ask a reviewer about persons and postal addresses that a recogniser sees in texts.

The recogniser is an extra (see `admission/recogniser/`).  Without it this rule does nothing,
unless the policy says that the hub has it: then it notes that the hub asks it too.  It runs
behind the rules that mask, so it sees their masks and not what they removed.  Values that an
object is about stay, and so do its own names: an actor may be called like a person.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence

from tocsin.admission.detectors.person_names import PERSON
from tocsin.admission.detectors.postal_addresses import POSTAL_ADDRESS
from tocsin.admission.detectors.spans import Span
from tocsin.admission.masking import (
    NOTE,
    QUESTION_MODES,
    FilterSpans,
    ObjectText,
    TextSearch,
    exclude_own_values,
    mask_texts,
)
from tocsin.admission.model import (
    Action,
    Candidate,
    Finding,
    Rule,
    RuleContext,
    StixObject,
    format_path,
)
from tocsin.admission.recogniser.passages import find_passages
from tocsin.admission.recogniser.recogniser import ReadPassage, is_installed, read_passage
from tocsin.admission.stix.schemas import schema_for

DEFAULTS: Mapping[str, object] = {
    "persons": "hold",
    "addresses": "hold",
    "indicators": "ask",  # in place of hold for what machines act upon, so that it is not late
    "expected": False,  # the hub must have the recogniser, and previews say that it asks it
    "characters": 200_000,  # read of the texts of one submission
}
MODES = dict.fromkeys(("persons", "addresses", "indicators"), QUESTION_MODES)
RELEASED_WITH = ("personal_data",)
"""Behind its mask was nothing to see."""
KINDS = {"persons": PERSON, "addresses": POSTAL_ADDRESS}
"""The kind of span that each setting is about."""

_RULE = "recognised_names"
_PER_PASSAGE = 100
"""Characters that a passage costs on top of its length; measured: a short one takes half as long
as a long one."""
_SEEN = "the recogniser sees a {} in this text: a reviewer of the hub may be asked"
_EXPECTED = "the hub also asks a recogniser of names about the texts of this object"
_UNREAD = (
    "the recogniser of names did not read all texts of this object, because the submission has"
    " more text than it reads"
)
_NAMED_TYPES = frozenset(
    (
        *("attack-pattern", "campaign", "course-of-action", "identity", "infrastructure"),
        *("intrusion-set", "location", "malware", "threat-actor", "tool", "vulnerability"),
        *("email-addr", "user-account"),
    )
)
"""Types whose names are what is shared.  `personal_data` holds the identities of persons."""
_OWN_NAMES = ("name", "aliases", "display_name")
_CITATIONS = "external_references"
_ACTED_UPON = frozenset(("indicator", "sighting", "observed-data"))
"""With the observables: types for which the setting `indicators` says what is done."""


def build_rule(context: RuleContext, read: ReadPassage | None = None) -> Rule:
    """Ask about what a recogniser takes for persons and addresses; `read` replaces the extra's."""
    settings = {**DEFAULTS, **context.settings}
    modes = {what: str(settings[name]) for name, what in KINDS.items()}
    if set(modes.values()) == {"keep"}:
        return _pass
    if read is None and not is_installed():
        return _note_expected if settings["expected"] else _pass
    urgent = str(settings["indicators"])
    modes_acted_upon = {what: urgent if m == "hold" else m for what, m in modes.items()}
    reader = _Reader(read or read_passage, context.submitter.partner, int(settings["characters"]))
    search = _Search(reader.find)

    def apply(candidate: Candidate) -> Candidate:
        if candidate.object is None:
            return candidate
        reader.begin()
        chosen = modes_acted_upon if _is_acted_upon(candidate.object) else modes
        return _ask(candidate, search, chosen).with_findings(*reader.findings())

    return apply


def _ask(candidate: Candidate, search: TextSearch, modes: Mapping[str, str]) -> Candidate:
    """The candidate with what is found noted, masked, held or kept, by kind."""
    noted = [what for what, mode in modes.items() if mode == NOTE]
    asked = [what for what, mode in modes.items() if mode not in (NOTE, "keep")]
    if noted and candidate.object is not None:
        notes = _find_notes(candidate.object, search, _only(noted))
        candidate = candidate.with_findings(*notes)
    return mask_texts(candidate, _RULE, search, modes, _only(asked)) if asked else candidate


class _Search(TextSearch):
    """Leaves out references to publications, whose authors are named by all who cite them."""

    __slots__ = ()

    def find_in_object(self, subject: StixObject) -> list[tuple[ObjectText, Sequence[Span]]]:
        """See TextSearch.find_in_object."""
        if _CITATIONS in subject:
            subject = {name: value for name, value in subject.items() if name != _CITATIONS}
        return super().find_in_object(subject)


class _Reader:
    """Reads the texts of one submission, up to a number of characters.

    Texts that come again in the submission are free.  Those remembered from others are not, so that
    a result depends on the submission alone.
    """

    def __init__(self, read: ReadPassage, owner: str, most: int) -> None:
        self._read = read
        self._owner = owner
        self._left = most
        self._known: set[bytes] = set()
        self._unread = False

    def begin(self) -> None:
        """Begin with another object."""
        self._unread = False

    def findings(self) -> tuple[Finding, ...]:
        """A note, if a text of the object was not read."""
        return (Finding("sanitise", _RULE, Action.NOTED, _UNREAD),) if self._unread else ()

    def find(self, text: str) -> Iterator[Span]:
        """The persons and addresses in a text."""
        if " " not in text:
            return
        for start, passage in find_passages(text):
            if self._may_read(passage):
                for span in self._read(passage, self._owner):
                    yield Span(start + span.start, start + span.end, span.what)

    def _may_read(self, passage: str) -> bool:
        key = hashlib.sha256(passage.encode("utf-8", "replace")).digest()[:16]
        if key in self._known:
            return True
        cost = len(passage) + _PER_PASSAGE
        if cost > self._left:
            self._unread = True
            return False
        self._left -= cost
        self._known.add(key)
        return True


def _pass(candidate: Candidate) -> Candidate:
    return candidate


def _note_expected(candidate: Candidate) -> Candidate:
    """The candidate with a note, if the recogniser would read one of its texts."""
    is_read: list[Span] = []

    def find(text: str) -> Iterable[Span]:
        if not is_read and " " in text:
            is_read.extend(Span(start, start, "") for start, _ in find_passages(text))
        return ()

    if candidate.object is not None:
        _Search(find).find_in_object(candidate.object)
    note = Finding("sanitise", _RULE, Action.NOTED, _EXPECTED)
    return candidate.with_findings(note) if is_read else candidate


def _find_notes(subject: StixObject, search: TextSearch, only: FilterSpans) -> Iterator[Finding]:
    """A note for each text in which the recogniser sees something."""
    for (path, text, is_name, _), spans in search.find_in_object(subject):
        reported = path[:-1] if is_name else path  # a finding must not repeat the name
        for what in sorted({span.what for span in only(subject, text, spans)}):
            message = _SEEN.format(what)
            yield Finding("sanitise", _RULE, Action.NOTED, message, format_path(reported))


def _only(kinds: Collection[str]) -> FilterSpans:
    """Leaves the spans of these kinds that are neither a value nor a name of the object."""

    def leave(subject: StixObject, text: str, spans: Sequence[Span]) -> Sequence[Span]:
        wanted = [span for span in spans if span.what in kinds]
        names = _own_names(subject) if wanted else ()
        others = [
            span
            for span in wanted
            if not any(text[span.start : span.end].casefold() in name for name in names)
        ]
        return exclude_own_values(subject, text, others)

    return leave


def _is_acted_upon(subject: StixObject) -> bool:
    return subject.get("type") in _ACTED_UPON or schema_for(subject).observable


def _own_names(subject: StixObject) -> list[str]:
    if subject.get("type") not in _NAMED_TYPES:
        return []
    found: list[object] = []
    for name in _OWN_NAMES:
        value = subject.get(name)
        found += value if isinstance(value, list) else [value]
    return [each.casefold() for each in found if isinstance(each, str)]
