"""Personal data in text: e-mail addresses, telephones, cards, accounts, SSNs.

What an indicator matches on and what an observable is stays untouched: the
phisher's address is the threat.  The same address named in the object's own
text stays too; every other one is masked.  A person's identity is held.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache

from tocsin.admission.model import Action, Candidate, Finding, StixObject, Surroundings
from tocsin.admission.rules import _personal as personal
from tocsin.admission.rules._masking import Span, masked, outside, own_values

DEFAULTS: Mapping[str, object] = {
    # Each kind is replaced by a mask, or the object held or refused for it, or it is kept.
    "email": "replace",
    "telephone": "replace",
    "card": "replace",
    "iban": "replace",
    "us_ssn": "replace",
    "regions": ["US", "GB"],  # whose national telephone numbers are known by form alone
}

_KINDS = {
    "email": personal.EMAIL,
    "telephone": personal.PHONE,
    "card": personal.CARD,
    "iban": personal.IBAN,
    "us_ssn": personal.SSN,
}
_RULE = "personal_data"


_MAIL = re.compile(r"[\w.+-]{1,64}@[\w-]{1,63}\.[\w.-]{2,80}")


def apply(candidate: Candidate, around: Surroundings) -> Candidate:
    """The candidate without personal data in its texts; a person's identity waits."""
    subject = candidate.object
    if subject is None:
        return candidate
    if subject.get("type") == "identity" and subject.get("identity_class") == "individual":
        message = "describes a person: an analyst decides; send the organisation instead"
        return candidate.held(Finding("sanitise", _RULE, Action.HELD, message))
    if _in_other_language(subject):
        message = "holds an e-mail address: an analyst decides whether it is the threat's"
        return candidate.held(Finding("sanitise", _RULE, Action.HELD, message, "pattern"))
    settings = {**DEFAULTS, **around.settings}
    modes = {what: str(settings[name]) for name, what in _KINDS.items()}
    kinds = _looked_for(tuple(modes.items()))
    regions = tuple(settings["regions"])
    own = own_values(subject)

    def search(text: str) -> list[Span]:
        spans = personal.found(text, kinds, regions)
        return _not_own(own, text, spans) if spans else spans

    return masked(candidate, _RULE, search, modes)


def _in_other_language(subject: StixObject) -> bool:
    """Whether a Snort, YARA or other pattern that is not STIX holds an e-mail address."""
    other = subject.get("type") == "indicator" and subject.get("pattern_type") != "stix"
    return other and _MAIL.search(str(subject.get("pattern"))) is not None


@lru_cache(maxsize=64)
def _looked_for(modes: tuple[tuple[str, str], ...]) -> frozenset[str]:
    return frozenset(what for what, mode in modes if mode != "keep")


def _not_own(own: tuple[str, ...], text: str, spans: list[Span]) -> list[Span]:
    """The spans that are not what the object is about.

    An e-mail address must be the whole value: one in the query of a URL is
    likely to be a victim's.
    """
    addresses = {value.lower() for value in own if "@" in value}
    emails = [s for s in spans if s.what == personal.EMAIL]
    rest = [s for s in spans if s.what != personal.EMAIL]
    theirs = [s for s in emails if personal.plain(text[s.start : s.end]) not in addresses]
    return theirs + outside(own, text, rest)
