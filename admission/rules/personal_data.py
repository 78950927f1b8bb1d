"""Personal data in text: addresses, telephones, cards, accounts, ids, names.

What an indicator matches on and what an observable is stays untouched: the
phisher's address is the threat.  The same address named in the object's own
text stays too; every other one is masked.  Names and postal addresses are
guessed, so an analyst is asked.  A person's identity is held.
"""

from __future__ import annotations

import re
from collections.abc import (
    Callable,
    Iterable,
    Mapping,
    Sequence,
)
from functools import lru_cache
from itertools import chain

from phonenumbers import SUPPORTED_REGIONS

from tocsin.admission.detectors import contact_data as personal
from tocsin.admission.detectors.national_ids import NATIONAL, national
from tocsin.admission.detectors.person_names import PERSON, persons
from tocsin.admission.detectors.postal_addresses import ADDRESS, postal
from tocsin.admission.detectors.terms import one_word
from tocsin.admission.masking import (
    TEXT,
    VALUE,
    Search,
    Span,
    Zones,
    masked,
    outside,
    own_values,
)
from tocsin.admission.model import (
    Action,
    Candidate,
    Finding,
    Rule,
    RuleContext,
    StixObject,
    Verdict,
)

DEFAULTS: Mapping[str, object] = {
    # Each kind is replaced by a mask, an analyst asked about the mask,
    # or the object held or refused for it, or it is kept.
    "email": "replace",
    "telephone": "replace",
    "card": "replace",
    "iban": "replace",
    "us_ssn": "replace",
    "national_id": "replace",
    "postal_address": "ask",
    "person": "ask",
    "individuals": "hold",  # identities of persons
    "other_languages": "hold",  # e-mail addresses in patterns that are not STIX
    "regions": ["US", "GB"],  # whose national telephone numbers are known by form alone
}

_KINDS = {
    "email": personal.EMAIL,
    "telephone": personal.PHONE,
    "card": personal.CARD,
    "iban": personal.IBAN,
    "us_ssn": personal.SSN,
    "national_id": NATIONAL,
    "postal_address": ADDRESS,
    "person": PERSON,
}
MODES = {
    **dict.fromkeys(_KINDS, TEXT),
    **dict.fromkeys(("individuals", "other_languages"), VALUE),
}
CHOICES = {"regions": tuple(sorted(SUPPORTED_REGIONS))}
_GUESSED: Mapping[str, Callable[[str], Iterable[Span]]] = {ADDRESS: postal, PERSON: persons}
_RULE = "personal_data"


_MAIL = re.compile(r"[\w.+-]{1,64}@[\w-]{1,63}\.[\w.-]{2,80}")


def prepared(around: RuleContext) -> Rule:
    """Takes personal data out of texts; holds a person's identity."""
    settings = {**DEFAULTS, **around.settings}
    modes = {what: str(settings[name]) for name, what in _KINDS.items()}
    kinds = frozenset(what for what, mode in modes.items() if mode != "keep")
    search = _finder(kinds, tuple(settings["regions"]))

    def apply(candidate: Candidate) -> Candidate:
        if candidate.object is None:
            return candidate
        candidate = _judged(candidate, candidate.object, settings)
        if candidate.verdict is Verdict.REFUSED:
            return candidate
        return masked(candidate, _RULE, search, modes, _not_own)

    return apply


@lru_cache(maxsize=64)
def _finder(kinds: frozenset[str], regions: tuple[str, ...]) -> Search:
    return Search(lambda text: _found(text, kinds, regions))


def _found(text: str, kinds: frozenset[str], regions: tuple[str, ...]) -> list[Span]:
    """Personal data in a text; what is an identity number by its word is no telephone or card."""
    if len(text) > personal.LONGEST and one_word(text):
        return []
    numbers = list(national(text)) if NATIONAL in kinds else []
    taken = Zones((span.start, span.end) for span in numbers)
    spans = [s for s in personal.found(text, kinds, regions) if not taken.touch(s.start, s.end)]
    guessed = (find(text) for what, find in _GUESSED.items() if what in kinds)
    return [*numbers, *spans, *chain.from_iterable(guessed)]


def _judged(candidate: Candidate, subject: StixObject, settings: Mapping[str, object]) -> Candidate:
    """Held or refused if it is about a person as a whole, or a pattern hides an address."""
    if subject.get("type") == "identity" and subject.get("identity_class") == "individual":
        mode, place = settings["individuals"], ""
        hold = "describes a person: an analyst decides; send the organisation instead"
        refuse = "describes a person: send the organisation instead"
    elif _in_other_language(subject):
        mode, place = settings["other_languages"], "pattern"
        hold = "holds an e-mail address: an analyst decides whether it is the threat's"
        refuse = "holds an e-mail address: send a STIX pattern instead"
    else:
        return candidate
    if mode == "refuse":
        return candidate.refuse(Finding("sanitise", _RULE, Action.REFUSED, refuse, place))
    if mode == "hold":
        return candidate.hold(Finding("sanitise", _RULE, Action.HELD, hold, place))
    return candidate


def _in_other_language(subject: StixObject) -> bool:
    """Whether a Snort, YARA or other pattern that is not STIX holds an e-mail address."""
    other = subject.get("type") == "indicator" and subject.get("pattern_type") != "stix"
    return other and _MAIL.search(str(subject.get("pattern"))) is not None


def _not_own(subject: StixObject, text: str, spans: Sequence[Span]) -> list[Span]:
    """The spans that are not what the object is about.

    An e-mail address must be the whole value: one in the query of a URL is
    likely to be a victim's.
    """
    addresses = {value.lower() for value in own_values(subject) if "@" in value}
    emails = [s for s in spans if s.what == personal.EMAIL]
    rest = [s for s in spans if s.what != personal.EMAIL]
    theirs = [s for s in emails if personal.plain(text[s.start : s.end]) not in addresses]
    return [*theirs, *outside(subject, text, rest)]
