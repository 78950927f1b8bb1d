r"""Mask user names, account names and secrets in paths, URLs, commands and texts.

`C:\Users\jane\…` names a person, `?email=` nearly always the victim, and a session id lets
its holder in.  In texts they are masked.  The value that an indicator matches on is never changed
silently: a pattern or an observable that names somebody is held, or the pattern is
widened to everybody's folder if the policy says `generalise`.  A URL loses an e-mail
address that is a parameter, because phishers write the next victim's into its place.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import cache, lru_cache

from tocsin.admission.detectors.accounts import (
    ACCOUNT,
    find_account_names,
    find_security_identifiers,
)
from tocsin.admission.detectors.command_passwords import (
    COMMAND_PASSWORD,
    find_command_passwords,
    may_hold_command_password,
)
from tocsin.admission.detectors.credentials import (
    PASSWORD_HASH,
    TOKEN,
    URL_CREDENTIALS,
    find_keys,
    find_password_hashes,
    find_tokens,
    find_url_credentials,
    may_hold_password_hash,
)
from tocsin.admission.detectors.home_directories import USER_IN_PATH, find_user_names_in_paths
from tocsin.admission.detectors.spans import Span, SpanIndex
from tocsin.admission.detectors.terms import SUBMITTER, TermMatcher, term_matcher
from tocsin.admission.detectors.url_mailboxes import (
    EMAIL_IN_URL,
    cut_mailboxes,
    find_email_addresses_in_urls,
    find_mailboxes,
    has_mailbox,
)
from tocsin.admission.lazy_patterns import compile_lazily
from tocsin.admission.masking import (
    CUT,
    CUT_OR_KEEP,
    GENERALISE,
    GENERALISE_OR_KEEP,
    TEXT_MODES,
    VALUE_MODES,
    TextSearch,
    exclude_own_values,
    hold_or_refuse,
    mask_texts,
)
from tocsin.admission.merge.identity import indicator_key
from tocsin.admission.model import (
    CONSENTS_TO_NAME,
    Action,
    Candidate,
    Finding,
    Observable,
    Path,
    Rule,
    RuleContext,
    StixObject,
    Verdict,
    format_path,
)
from tocsin.admission.observables.values import extract_observables
from tocsin.admission.patterns.generalise import cut_urls, generalise_pattern
from tocsin.admission.patterns.notations import rule_texts
from tocsin.admission.stix.free_text import matched_values

DEFAULTS: Mapping[str, object] = {
    "users": "replace",  # in texts: names of people in paths
    "credentials": "replace",
    "tokens": "replace",
    "emails": "replace",
    # In patterns and observables:
    "value_users": "hold",  # or generalise, refuse, keep
    "value_credentials": "hold",
    "value_tokens": "keep",  # nearly always the attacker's, and what tells one page from another
    "value_emails": "cut",  # or generalise, hold, refuse, keep
}
MODES = {
    **dict.fromkeys(("users", "credentials", "tokens", "emails"), TEXT_MODES),
    **dict.fromkeys(
        ("value_users", "value_credentials", "value_tokens"), (GENERALISE, *VALUE_MODES)
    ),
    "value_emails": (CUT, GENERALISE, *VALUE_MODES),
}

_CUT_OUT = (
    "shared without the e-mail address in the query or fragment of the URL,"
    " which is most often the victim's"
)
Find = Callable[[str], Iterable[Span]]
_RULE = "user_paths"
_KINDS: Mapping[str, tuple[str, Find]] = {
    "users": (USER_IN_PATH, find_user_names_in_paths),
    "credentials": (URL_CREDENTIALS, find_url_credentials),
    "tokens": (TOKEN, find_tokens),
    "emails": (EMAIL_IN_URL, find_email_addresses_in_urls),
}
"""By setting: the kind of span and its detector, in texts and in values."""
_FURTHER: Mapping[str, Find] = {
    "credentials": lambda text: (*find_command_passwords(text), *find_password_hashes(text))
}
"""By setting: a further detector for texts and values."""
_ONLY_IN_TEXTS: Mapping[str, Find] = {"users": find_account_names, "tokens": find_keys}
"""By setting: a further detector for texts."""
_ONLY_IN_VALUES: Mapping[str, Find] = {"users": find_security_identifiers}
"""By setting: a further detector for patterns and observables."""
_MAILBOX = compile_lazily(r"[\w.+-]{1,64}@[\w-]{1,63}(?:\.[\w-]{1,63}){1,8}")
_KEEPING = ("keep", GENERALISE_OR_KEEP, CUT_OR_KEEP)
"""Modes in which a value that cannot be changed stays as it is."""
_HIDDEN = compile_lazily("[\u00ad\u200b-\u200f\u202a-\u202e\u2060-\u2069\ufeff]")
"""Characters that are not seen, and may split the name of a folder."""
_TO_ACCOUNTS = ("user_ref", "belongs_to_ref")
"""References that lead to an account: of a process or registry key, of a mailbox."""
_WITH_MAILBOX: Mapping[str, str] = {
    **dict.fromkeys(("account_login", "user_id"), "account named by an e-mail address"),
    **dict.fromkeys(
        ("subject", "issuer", "subject_alternative_name", "issuer_alternative_name"),
        "e-mail address in a certificate",
    ),
}
"""Properties of accounts and certificates that may have an e-mail address, and what it is then."""


def build_rule(context: RuleContext) -> Rule:
    """Mask names and secrets in texts; hold objects whose value contains one."""
    settings = {**DEFAULTS, **context.settings}
    modes = {what: str(settings[name]) for name, (what, _) in _KINDS.items()}
    modes[ACCOUNT] = modes[USER_IN_PATH]
    modes |= dict.fromkeys((COMMAND_PASSWORD, PASSWORD_HASH), modes[URL_CREDENTIALS])
    value_modes = [(name, str(settings[f"value_{name}"])) for name in _KINDS]
    kinds = tuple(name for name in _KINDS if settings[name] != "keep")
    anonymous = context.submitter.consent not in CONSENTS_TO_NAME
    search = _text_search(kinds, context.submitter.names_and_slug if anonymous else ())

    def apply(candidate: Candidate) -> Candidate:
        if candidate.object is None:
            return candidate
        if any(_may_match_value(value) for _, value in _matched_values(candidate.object)):
            if settings["value_emails"] in (CUT, CUT_OR_KEEP):
                candidate = _cut_emails(candidate)
            for name, mode in value_modes:
                candidate = _check_values(candidate, name, mode)
                if candidate.verdict is Verdict.REFUSED:
                    return candidate
        candidate = _check_by_property(candidate, settings)
        if candidate.verdict is Verdict.REFUSED or candidate.object is None:
            return candidate
        return mask_texts(candidate, _RULE, search, modes, exclude_own_values)

    return apply


@lru_cache(maxsize=64)
def _text_search(kinds: tuple[str, ...], own_names: tuple[str, ...]) -> TextSearch:
    further = [each[kind] for kind in kinds for each in (_ONLY_IN_TEXTS, _FURTHER) if kind in each]
    matcher = term_matcher(own_names)

    def find(text: str) -> list[Span]:
        possible = kinds if _may_match(text) else ()
        spans = [span for kind in possible for span in _KINDS[kind][1](text)]
        spans += [span for find_more in further for span in find_more(text)]
        return [*spans, *_find_cut_names(text, spans, matcher)] if spans else spans

    return TextSearch(find, spares=lambda _: True)  # see `exclude_own_values`


def _find_cut_names(text: str, spans: Sequence[Span], own_names: TermMatcher) -> Iterator[Span]:
    """The submitter's names of which the spans have a part: no rule would find the rest."""
    masked = SpanIndex((span.start, span.end) for span in spans)
    for start, end in own_names.find(text):
        if masked.overlaps(start, end) and not masked.contains(start, end):
            yield Span(start, end, SUBMITTER)


def _may_match(text: str) -> bool:
    """True if there may be a path, a URL, a token or an identifier; most texts have none."""
    if "/" in text or "\\" in text or "eyJ" in text or "-1-5-21-" in text:
        return True
    return "earer" in text.lower()


def _may_match_value(text: str) -> bool:
    """True if there may be one of these, a password in a command, or the hash of one."""
    return _may_match(text) or may_hold_command_password(text) or may_hold_password_hash(text)


def _check_by_property(candidate: Candidate, settings: Mapping[str, object]) -> Candidate:
    """Hold or refuse what matches on a password, or on an account by a person's name or mailbox."""
    assert candidate.object is not None  # noqa: S101
    for each in extract_observables(candidate.object):
        last = each.property.rpartition(".")[2]
        setting, what = _judge_by_property(each, last)
        mode = str(settings[setting]) if setting else "keep"
        if mode in _KEEPING:
            continue
        path = "pattern" if candidate.object.get("type") == "indicator" else last
        return _block(candidate, what, mode, path)
    return candidate


def _judge_by_property(each: Observable, last: str) -> tuple[str, str]:
    """Setting and kind of what a property says by its meaning; `last` is the end of its path."""
    if last == "credential":
        return "value_credentials", "password of an account"
    if each.kind == "url" and has_mailbox(each.value):
        return "value_emails", EMAIL_IN_URL
    if last in _WITH_MAILBOX and each.kind != "email-message" and _MAILBOX.search(each.value):
        return "value_emails", _WITH_MAILBOX[last]
    of_account = each.kind == "user-account" or any(r in each.property for r in _TO_ACCOUNTS)
    if last == "display_name" and of_account:
        return "value_users", "name of the owner of an account"
    return "", ""


def _cut_emails(candidate: Candidate) -> Candidate:
    """The indicator without e-mail addresses in the parameters of its URLs, if it can be.

    Reports that differ in the victim only have the same key afterwards.
    """
    subject = candidate.object or {}
    old = subject.get("pattern")
    if not (isinstance(old, str) and _is_stix_pattern(candidate) and find_mailboxes(old)):
        return candidate
    new = cut_urls(old, cut_mailboxes)
    if new is None or new == old:
        return candidate
    finding = Finding("sanitise", _RULE, Action.REPLACED, _CUT_OUT, "pattern")
    changed = candidate.with_object({**subject, "pattern": new}, finding)
    return (
        changed.with_key(indicator_key("stix", new, candidate.scope)) if candidate.key else changed
    )


@cache
def _value_search(name: str) -> Callable[[str], list[Span]]:
    """Finds one kind of thing in a pattern or an observable, by its setting."""
    further = (each[name] for each in (_ONLY_IN_VALUES, _FURTHER) if name in each)
    finders = [_KINDS[name][1], *further]

    def search(value: str) -> list[Span]:
        if not _may_match_value(value):
            return []
        return [span for find in finders for span in find(value)]

    return search


def _matched_values(subject: StixObject) -> Iterator[tuple[Path, str]]:
    """The values that an object matches on, and those of rules with their octets as text."""
    for path, value in matched_values(subject):
        is_rule = path == ("pattern",) and subject.get("pattern_type", "stix") != "stix"
        yield from ((path, each) for each in (rule_texts(value) if is_rule else (value,)))


def _check_values(candidate: Candidate, name: str, mode: str) -> Candidate:
    """Hold, refuse or generalise what matches on one kind of thing."""
    if candidate.object is None or mode == "keep":
        return candidate
    search = _value_search(name)
    for path, value in _matched_values(candidate.object):
        spans = search(value) or ([] if value.isascii() else search(_HIDDEN.sub("", value)))
        if not spans:
            continue
        what = spans[0].what
        may_widen = mode in (GENERALISE, GENERALISE_OR_KEEP)
        if may_widen and path == ("pattern",) and _is_stix_pattern(candidate):
            widened = generalise_pattern(value, search)
            if widened is not None:
                message = f"{what}: the pattern now matches any, with LIKE and `%` in its place"
                finding = Finding("sanitise", _RULE, Action.REPLACED, message, "pattern")
                return candidate.with_object({**candidate.object, "pattern": widened}, finding)
        if mode not in _KEEPING:
            return _block(candidate, what, mode, format_path(path))
    return candidate


def _is_stix_pattern(candidate: Candidate) -> bool:
    subject = candidate.object or {}
    return bool(subject.get("pattern_type", "stix") == "stix")


def _block(candidate: Candidate, what: str, mode: str, path: str) -> Candidate:
    if mode == "refuse":
        message = f"{what}: leave it out or put a variable such as %USERPROFILE% in its place"
        return hold_or_refuse(candidate, _RULE, "refuse", message, path)
    message = (
        f"held for review: {what};"
        " a reviewer of the hub decides whether it is the threat's or a victim's"
    )
    if any((f.rule, f.path, f.message) == (_RULE, path, message) for f in candidate.findings):
        return candidate  # found by its spelling and by its property
    return hold_or_refuse(candidate, _RULE, "hold", message, path)
