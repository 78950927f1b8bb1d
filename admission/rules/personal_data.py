"""Mask personal data in texts: contact data, numbers of persons, names, postal addresses.

The pattern of an indicator and the values of an observable stay: the phisher's address is
the threat.  The same address in the object's own texts stays too; every other one is
masked.  Names and postal addresses are only guessed, so a reviewer is asked.  An identity
that describes a person is held.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from itertools import chain

from phonenumbers import SUPPORTED_REGIONS

from tocsin.admission.detectors import bank_accounts
from tocsin.admission.detectors.accounts import find_account_names
from tocsin.admission.detectors.bank_accounts import (
    IBAN,
    find_bank_accounts,
    find_national_accounts,
)
from tocsin.admission.detectors.disguises import decode_text, encoded_texts
from tocsin.admission.detectors.email_addresses import (
    EMAIL,
    find_email_addresses,
    normalise_email_address,
)
from tocsin.admission.detectors.identity_documents import find_identity_documents
from tocsin.admission.detectors.labelled_numbers import (
    BIRTH_DATE,
    PERSON_NUMBER,
    PLATE,
    find_labelled_numbers,
)
from tocsin.admission.detectors.national_ids import NATIONAL_ID, find_national_ids
from tocsin.admission.detectors.partial_numbers import find_partial_numbers
from tocsin.admission.detectors.payment_cards import CARD, find_payment_cards
from tocsin.admission.detectors.person_names import (
    PERSON,
    find_names_beside,
    find_person_names,
    may_be_person,
)
from tocsin.admission.detectors.postal_addresses import POSTAL_ADDRESS, find_postal_addresses
from tocsin.admission.detectors.registry_values import (
    OWNERS,
    compares_registry_data,
    find_registry_data,
)
from tocsin.admission.detectors.spans import Span, SpanIndex, merge_overlapping_spans
from tocsin.admission.detectors.telephone_numbers import (
    TELEPHONE,
    find_extensions,
    find_telephone_numbers,
)
from tocsin.admission.detectors.text_search import count_digits, is_single_word
from tocsin.admission.detectors.us_social_security_numbers import (
    US_SSN,
    find_us_social_security_numbers,
)
from tocsin.admission.lazy_patterns import compile_lazily
from tocsin.admission.masking import (
    TEXT_MODES,
    VALUE_MODES,
    Removal,
    TextSearch,
    block_value,
    exclude_own_values,
    hold_or_refuse,
    mask_texts,
    mode_of_value,
    own_values,
    remove_properties,
)
from tocsin.admission.model import (
    Action,
    Candidate,
    Finding,
    Path,
    Rule,
    RuleContext,
    StixObject,
    Verdict,
)
from tocsin.admission.observables.values import extract_observables
from tocsin.admission.patterns.notations import rule_texts
from tocsin.admission.patterns.prose import find_prose

DEFAULTS: Mapping[str, object] = {
    # Each kind is replaced by a mask, or a reviewer is asked about the mask,
    # or the object is held or refused for it, or it is kept.
    "email": "replace",
    "telephone": "replace",
    "card": "replace",
    "iban": "replace",
    "us_ssn": "replace",
    "national_id": "replace",
    "postal_address": "ask",
    "person": "ask",
    "individuals": "hold",  # identities of persons
    "other_languages": "hold",  # the same in patterns that are not STIX, comments included
    "regions": ["US", "GB"],  # national telephone numbers recognised by format alone
}

KINDS = {
    "email": EMAIL,
    "telephone": TELEPHONE,
    "card": CARD,
    "iban": IBAN,
    "us_ssn": US_SSN,
    "national_id": NATIONAL_ID,
    "postal_address": POSTAL_ADDRESS,
    "person": PERSON,
}
"""The kind of span that each setting is about."""
MODES = {
    **dict.fromkeys(KINDS, TEXT_MODES),
    **dict.fromkeys(("individuals", "other_languages"), VALUE_MODES),
}
CHOICES = {"regions": tuple(sorted(SUPPORTED_REGIONS))}
_GUESSED: Mapping[str, Callable[[str], Iterable[Span]]] = {
    POSTAL_ADDRESS: find_postal_addresses,
    PERSON: find_person_names,
}
_ONE_PERSON = frozenset(
    (
        *("individual", "person", "human", "natural-person", "private-person", "people", "user"),
        *("employee", "man", "woman", "contact", "named-individual", "individual-person"),
    )
)
_MANY_OR_NONE = frozenset(
    (
        *("group", "organization", "organisation", "organizations", "organisations", "class"),
        *("system", "company", "corporation", "sector", "agency", "government", "team"),
    )
)
"""Classes of identities in the words that people use; STIX has five."""
_DESCRIBES_PERSON = "describes a person: send the organisation instead"
_MAY_DESCRIBE_PERSON = (
    "its identity_class does not say that it is an organisation, and its name may be a person's:"
    " state the class, or send the organisation instead"
)
_RULE = "personal_data"
_OF_OWNER = "matches on the name of the person to whom a machine belongs"
_IDENTIFYING: Mapping[str, Mapping[str, re.Pattern[str]]] = {
    "software": {
        **dict.fromkeys(("name", "vendor", "swid", "cpe"), compile_lazily(r"[A-Za-z]{0,80}")),
        "version": compile_lazily(r"[vV]?\d{1,20}(?:\.\d{1,20})+(?:[-+_~][A-Za-z0-9.]{1,40}){0,4}"),
    },
    "user-account": {"account_type": compile_lazily(r"[a-z]{1,40}(?:-[a-z]{1,40}){0,4}")},
    "x509-certificate": {
        "serial_number": compile_lazily(
            r"(?:0[xX])?[0-9A-Fa-f]{1,80}|[0-9A-Fa-f]{2}(?:[:-][0-9A-Fa-f]{2})*"
        )
    },
}
"""By type: properties in which nothing can be masked, since their values are part of the
observable's id, or say what it is.  Values of the form are what the property is for."""
_EXTENSION = compile_lazily(r"\.[A-Za-z]\w{0,5}\Z")
_NUMBERS = frozenset((CARD, IBAN, US_SSN, NATIONAL_ID))
_BESIDE_NAMES = _NUMBERS | {BIRTH_DATE, PERSON_NUMBER}
"""A name in the same sentence as one of these is that of the person whom it is about.

Beside a postal address, words with capitals are mostly further parts of it.
"""
_IN_MATCHED_TEXTS: Mapping[tuple[str, str], frozenset[str]] = {
    **dict.fromkeys((("email-message", "subject"), ("email-message", "body")), _NUMBERS | {EMAIL}),
    **dict.fromkeys(
        (("file", "name"), ("process", "command_line"), ("windows-registry-key", "data")), _NUMBERS
    ),
}
"""By the type and property that a pattern compares: the kinds for which it is held.

Not mailboxes in names of files, where ransomware puts its own, nor in commands.
"""
_ROUNDED_METRES = 10_000.0
"""The `precision` of coordinates with one decimal, about."""
_LONGEST_UNBROKEN = 40
"""Nothing looked for has more characters without a blank or a sign."""
_MOST_ROUNDS = 3
"""Further searches, for numbers beside those that were found."""
_FEWEST_DIGITS = 7
_SEVEN_DIGITS = compile_lazily(
    r"\d(?:(?:[ ().\-/]{0,3}\d){6}|\d{3}(?:[,\u00b7\u2022]|\r?\n[ \t>]{0,4})\d{4})"
)
"""Cards, social security and telephone numbers begin so; far cheaper than looking for each."""
_EMAIL_IN_PATTERN = compile_lazily(
    r"[\w.+-]{1,64}@[\w-]{1,63}\.[\w.-]{2,80}"
    r"|(?<![\\\w])\w(?:[\w+-]|\\{0,4}\.){0,64}(?:\\{0,4}@|\\x40|%40|\[@\]|\|40\|)[\w-]{1,63}"
    r"(?:\\{1,4}\.|\[\.\]|\\x2e|\|2e\||\.)[\w.\\-]{2,80}",
    re.IGNORECASE,
)
"""The second form is that of regular expressions and of octets in rules: `jane@bank\\.test`."""


def build_rule(context: RuleContext) -> Rule:
    """Mask personal data in texts; hold the identity of a person."""
    settings = {**DEFAULTS, **context.settings}
    modes = {what: str(settings[name]) for name, what in KINDS.items()}
    kinds = frozenset(what for what, mode in modes.items() if mode != "keep")
    modes |= dict.fromkeys((BIRTH_DATE, PERSON_NUMBER, PLATE), modes[NATIONAL_ID])
    search = _text_search(kinds, tuple(settings["regions"]))

    def apply(candidate: Candidate) -> Candidate:
        subject = candidate.object
        if subject is None:
            return candidate
        candidate = _check_object(candidate, subject, settings)
        candidate = _check_owner(candidate, subject, settings)
        candidate = _check_identifying(candidate, subject, search, modes, settings)
        candidate = _check_prose(candidate, settings, search)
        candidate = _check_properties(candidate, settings)
        if candidate.verdict is Verdict.REFUSED:
            return candidate
        return mask_texts(candidate, _RULE, search, modes, _exclude_own)

    return apply


@lru_cache(maxsize=64)
def _text_search(kinds: frozenset[str], regions: tuple[str, ...]) -> TextSearch:
    return TextSearch(
        lambda text: find_personal_data(text, kinds, regions),
        spares=lambda text: not any(find_email_addresses(text)),  # see `_exclude_own`
    )


def find_personal_data(text: str, kinds: frozenset[str], regions: tuple[str, ...]) -> list[Span]:
    """Personal data of the kinds (values of `KINDS`) in a text.

    A number that a word marks as an identity number is not a telephone, card or account.
    """
    if len(text) > _LONGEST_UNBROKEN and is_single_word(text):
        return []
    ids: list[Span] = []
    if NATIONAL_ID in kinds:
        ids = [
            *find_identity_documents(text),
            *find_national_ids(text),
            *find_labelled_numbers(text),
        ]
    taken = SpanIndex((span.start, span.end) for span in ids)
    contacts = _find_every_contact(_cover(text, ids) if ids else text, kinds, regions)
    rest = [span for span in contacts if not taken.overlaps(span.start, span.end)]
    guessed = (find(text) for what, find in _GUESSED.items() if what in kinds)
    spans = [*ids, *rest, *chain.from_iterable(guessed)]
    if PERSON in kinds:
        numbers = [span for span in spans if span.what in _BESIDE_NAMES]
        mailboxes = [span for span in spans if span.what == EMAIL]
        spans += find_names_beside(text, numbers, mailboxes)
    return spans


def _find_every_contact(text: str, kinds: frozenset[str], regions: tuple[str, ...]) -> list[Span]:
    """Contact data and numbers, also one right behind another, as `536-22-8726 4111 1111 …`."""
    found = new = _find_contact_data(text, kinds, regions)
    for _ in range(_MOST_ROUNDS):
        numbers = [span for span in new if span.what in _NUMBERS or span.what == TELEPHONE]
        if not numbers:
            break
        text = _cover(text, numbers)
        new = [s for s in _find_contact_data(text, kinds, regions) if s.what != EMAIL]
        found = [*found, *new]
    return found


def _cover(text: str, spans: Iterable[Span]) -> str:
    """The text with something as long as each span in its place, with the words of a mask."""
    parts, end = [], 0
    for span in merge_overlapping_spans(spans):
        length = span.end - span.start - 2
        parts += [text[end : span.start], "[", span.what[:length].ljust(length, "x"), "]"]
        end = span.end
    return "".join([*parts, text[end:]])


def _find_contact_data(text: str, kinds: frozenset[str], regions: tuple[str, ...]) -> list[Span]:
    spans: list[Span] = []
    if EMAIL in kinds:
        spans += find_email_addresses(text)
    spans += [span for span in find_partial_numbers(text) if span.what in kinds]
    digits = count_digits(text)  # once for all: most texts have too few for any number
    if IBAN in kinds and digits >= bank_accounts.FEWEST_DIGITS:
        spans += find_bank_accounts(text)
    if digits:
        spans += [
            s for s in (*find_national_accounts(text), *find_extensions(text)) if s.what in kinds
        ]
    if digits >= _FEWEST_DIGITS and _SEVEN_DIGITS.search(text):
        spans += _find_numbers(text, kinds)
        if TELEPHONE in kinds:
            taken = SpanIndex((span.start, span.end) for span in spans)
            telephones = find_telephone_numbers(text, regions)
            spans += [s for s in telephones if not taken.overlaps(s.start, s.end)]
    return spans


def _find_numbers(text: str, kinds: frozenset[str]) -> Iterator[Span]:
    if CARD in kinds:
        yield from find_payment_cards(text)
    if US_SSN in kinds:
        yield from find_us_social_security_numbers(text)


def _check_object(
    candidate: Candidate, subject: StixObject, settings: Mapping[str, object]
) -> Candidate:
    """Hold or refuse a person's identity, and a pattern that is not STIX with an address in it."""
    person = _describes_person(subject)
    if person is not False:
        mode = str(settings["individuals"])
        message = _DESCRIBES_PERSON if person else _MAY_DESCRIBE_PERSON
        if mode == "hold":
            message = f"held for review: {message}"
        return hold_or_refuse(candidate, _RULE, mode, message)
    if _is_other_pattern_with_email(subject):
        mode = str(settings["other_languages"])
        message = "the pattern contains an e-mail address: send a STIX pattern instead"
        if mode == "hold":
            message = (
                "held for review: the pattern contains an e-mail address;"
                " a reviewer of the hub decides whether it is the threat's"
            )
        return hold_or_refuse(candidate, _RULE, mode, message, "pattern")
    return candidate


def _describes_person(subject: StixObject) -> bool | None:
    """True for the identity of a person, however its class is spelled; None if it may be one."""
    if subject.get("type") != "identity":
        return False
    kind = str(subject.get("identity_class", "")).strip().casefold().replace(" ", "-")
    if kind in _MANY_OR_NONE:
        return False
    if kind.rstrip("s") in _ONE_PERSON:
        return True
    return None if may_be_person(str(subject.get("name", ""))) else False


def _is_other_pattern_with_email(subject: StixObject) -> bool:
    """True for a Snort, YARA or other pattern that is not STIX and holds an e-mail address."""
    if subject.get("type") != "indicator" or subject.get("pattern_type") == "stix":
        return False
    pattern = str(subject.get("pattern"))
    return any(map(_EMAIL_IN_PATTERN.search, rule_texts(pattern)))


def _check_properties(candidate: Candidate, settings: Mapping[str, object]) -> Candidate:
    """Remove properties that by their own meaning name a person or a place; round coordinates."""
    subject = candidate.object
    if subject is None or subject.get("type") not in _BY_PROPERTY:
        return candidate
    removals = [
        Removal(path, "strip" if (mode := str(settings[setting])) == "replace" else mode, reason)
        for path, setting, reason in _BY_PROPERTY[subject["type"]](subject)
    ]
    candidate = remove_properties(candidate, _RULE, removals) if removals else candidate
    if subject["type"] == "location" and candidate.verdict is not Verdict.REFUSED:
        return _round_coordinates(candidate, str(settings["postal_address"]))
    return candidate


def _addresses_of_location(subject: StixObject) -> Iterator[tuple[Path, str, str]]:
    for name in ("street_address", "postal_code"):
        if name in subject:
            yield (name,), "postal_address", "says where somebody lives or works"


def _names_of_account(subject: StixObject) -> Iterator[tuple[Path, str, str]]:
    if "display_name" in subject:
        yield ("display_name",), "person", "is mostly the name of a person"


def _authors_of_statement(subject: StixObject) -> Iterator[tuple[Path, str, str]]:
    """The authors of a statement.  A submitter that may be named does not consent for them."""
    authors = subject.get("authors")
    if isinstance(authors, list) and any(may_be_person(str(each)) for each in authors):
        yield ("authors",), "person", "names the people who wrote it"


def _owners_of_machine(subject: StixObject) -> Iterator[tuple[Path, str, str]]:
    for path in find_registry_data(subject, OWNERS):
        yield path, "person", "says to whom the machine belongs"


def _check_owner(
    candidate: Candidate, subject: StixObject, settings: Mapping[str, object]
) -> Candidate:
    """Hold or refuse a pattern on the owner or a user of a machine, as the registry names them."""
    if not compares_registry_data(subject, OWNERS):
        return candidate
    mode = mode_of_value(settings["person"], settings)
    return block_value(candidate, _RULE, mode, _OF_OWNER, "pattern")


def _check_identifying(
    candidate: Candidate,
    subject: StixObject,
    search: TextSearch,
    modes: Mapping[str, str],
    settings: Mapping[str, object],
) -> Candidate:
    """Hold or refuse an object with personal data in a value that is part of an id."""
    if candidate.verdict is Verdict.REFUSED:
        return candidate
    found = {
        (path, span.what)
        for path, value in _find_identifying(subject)
        for reading in (value, *(decoded.text for decoded in decode_text(value)))
        for span in (*search(reading), *find_account_names(reading))
    }
    found |= {("pattern", what) for what in _find_in_matched_texts(subject, modes)}
    for path, what in sorted(found):
        mode = mode_of_value(modes.get(what, modes[PERSON]), settings)
        candidate = block_value(candidate, _RULE, mode, f"contains {what}", path)
        if candidate.verdict is Verdict.REFUSED:
            break
    return candidate


def _find_in_matched_texts(subject: StixObject, modes: Mapping[str, str]) -> Iterator[str]:
    """The kinds of personal data in the texts that a pattern compares."""
    for each in extract_observables(subject) if subject.get("type") == "indicator" else ():
        kinds = _IN_MATCHED_TEXTS.get((each.kind, each.property.rpartition(".")[2]))
        if kinds is None:
            continue
        value = each.value.replace("%", " ") if each.operator == "LIKE" else each.value
        if each.kind == "file":
            value = _EXTENSION.sub("", value)  # before a dot and letters, no number is found
        decoded = (reading.text for reading in decode_text(value))
        encoded = (meaning for _, _, meaning in encoded_texts(value))
        wanted = frozenset(kind for kind in kinds if modes[kind] != "keep")
        for reading in (value, *decoded, *encoded):
            yield from (span.what for span in find_personal_data(reading, wanted, ()))


def _find_identifying(subject: StixObject) -> Iterator[tuple[str, str]]:
    """Path and value of what makes up ids, in an observable or a pattern, if it is not plain."""
    kind = str(subject.get("type"))
    if kind == "indicator":
        compared = extract_observables(subject)
        values = [("pattern", o.kind, o.property, o.value) for o in compared]
    else:
        names = _IDENTIFYING.get(kind, {})
        values = [(name, kind, name, str(subject[name])) for name in names if name in subject]
    for path, of_type, name, value in values:
        form = _IDENTIFYING.get(of_type, {}).get(name)
        if form is not None and not form.fullmatch(value):
            yield path, value


_BY_PROPERTY: Mapping[str, Callable[[StixObject], Iterator[tuple[Path, str, str]]]] = {
    "location": _addresses_of_location,
    "note": _authors_of_statement,
    "opinion": _authors_of_statement,
    "user-account": _names_of_account,
    "windows-registry-key": _owners_of_machine,
}
"""By type: path, setting and reason of what is to be removed."""


def _round_coordinates(candidate: Candidate, mode: str) -> Candidate:
    """The location with coordinates rounded to about ten kilometres; held or refused by mode."""
    subject = candidate.object or {}
    exact = {name: subject[name] for name in ("latitude", "longitude") if _is_exact(subject, name)}
    if not exact or mode == "keep":
        return candidate
    message = "the coordinates show a place of less than ten kilometres"
    if mode in ("hold", "refuse"):
        return hold_or_refuse(candidate, _RULE, mode, message, next(iter(exact)))
    rounded = {name: round(value, 1) for name, value in exact.items()}
    if subject.get("precision", _ROUNDED_METRES) < _ROUNDED_METRES:
        rounded["precision"] = _ROUNDED_METRES
    findings = [
        Finding("sanitise", _RULE, Action.REPLACED, "rounded to about ten kilometres", name)
        for name in exact
    ]
    return candidate.with_object({**subject, **rounded}, *findings)


def _is_exact(subject: StixObject, name: str) -> bool:
    value = subject.get(name)
    return isinstance(value, float) and round(value, 1) != value


def _check_prose(
    candidate: Candidate, settings: Mapping[str, object], search: TextSearch
) -> Candidate:
    """Hold or refuse a rule of another language whose comments or metadata tell of a person."""
    subject = candidate.object
    mode = str(settings["other_languages"])
    if subject is None or subject.get("type") != "indicator" or mode == "keep":
        return candidate
    language = subject.get("pattern_type", "stix")
    if language == "stix" or candidate.verdict is Verdict.REFUSED:
        return candidate
    kinds: set[str] = set()
    for text in find_prose(language, str(subject.get("pattern"))):
        kinds.update(span.what for span in search(text))
        kinds.update(span.what for span in find_account_names(text))
    if not kinds:
        return candidate
    what = ", ".join(sorted(kinds))
    message = f"comments or metadata of the pattern contain personal data ({what}): remove them"
    if mode == "hold":
        message = f"held for review: {message} to have it published at once"
    return hold_or_refuse(candidate, _RULE, mode, message, "pattern")


def _exclude_own(subject: StixObject, text: str, spans: Sequence[Span]) -> list[Span]:
    """The spans that are not what the object is about.

    An e-mail address must be the whole value: one in the query of a URL is
    likely to be a victim's.
    """
    own = {value.lower() for value in own_values(subject) if "@" in value}
    emails = [s for s in spans if s.what == EMAIL]
    rest = [s for s in spans if s.what != EMAIL]
    others = [s for s in emails if normalise_email_address(text[s.start : s.end]) not in own]
    return [*others, *exclude_own_values(subject, text, rest)]
