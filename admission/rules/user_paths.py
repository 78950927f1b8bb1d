r"""Names and secrets in paths and URLs.

`C:\Users\jane\…` names a person, `?email=` often the victim, and a session id
opens a door.  In texts they are masked.  What an indicator matches on is never
changed silently: a pattern or an observable that names somebody waits, or the
pattern is made to match everybody's folder if the policy says `generalise`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import lru_cache

from tocsin.admission.detectors import paths as paths
from tocsin.admission.masking import (
    TEXT,
    VALUE,
    WIDEN,
    WIDER,
    Search,
    Span,
    generalised,
    masked,
    outside,
)
from tocsin.admission.model import (
    Action,
    Candidate,
    Finding,
    Rule,
    RuleContext,
    Verdict,
    format_path,
)
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
    "value_emails": "hold",
}
_WIDER = (WIDER, *VALUE)
MODES = {
    **dict.fromkeys(("users", "credentials", "tokens", "emails"), TEXT),
    **dict.fromkeys(("value_users", "value_credentials", "value_tokens", "value_emails"), _WIDER),
}

_RULE = "user_paths"
_KINDS: dict[str, tuple[str, Callable[[str], Iterable[Span]]]] = {
    "users": (paths.USER, paths.users),
    "credentials": (paths.CREDENTIALS, paths.credentials),
    "tokens": (paths.TOKEN, paths.tokens),
    "emails": (paths.EMAIL, paths.emails),
}

_QUOTED = {"users": paths.accounts, "tokens": paths.secrets}
"""What is looked for in texts besides, under the same setting."""


def prepared(around: RuleContext) -> Rule:
    """Masks names and secrets; holds what is itself about one."""
    settings = {**DEFAULTS, **around.settings}
    modes = {what: str(settings[name]) for name, (what, _) in _KINDS.items()}
    modes[paths.ACCOUNT] = modes[paths.USER]
    graver = [(name, str(settings[f"value_{name}"])) for name in _KINDS]
    search = _finder(tuple(name for name in _KINDS if settings[name] != "keep"))

    def apply(candidate: Candidate) -> Candidate:
        if candidate.object is None:
            return candidate
        if any(_may_hold(value) for _, value in matched_values(candidate.object)):
            for name, mode in graver:
                candidate = _values(candidate, name, mode)
                if candidate.verdict is Verdict.REFUSED:
                    return candidate
        return masked(candidate, _RULE, search, modes, outside)

    return apply


@lru_cache(maxsize=64)
def _finder(names: tuple[str, ...]) -> Search:
    quoted = [_QUOTED[name] for name in names if name in _QUOTED]

    def found(text: str) -> list[Span]:
        may = names if _may_hold(text) else ()
        spans = [span for name in may for span in _KINDS[name][1](text)]
        return [*spans, *(span for find in quoted for span in find(text))]

    return Search(found)


def _may_hold(text: str) -> bool:
    """Whether there is a path, a URL or a token in it."""
    return "/" in text or "\\" in text or "eyJ" in text or "earer" in text.lower()


def _values(candidate: Candidate, name: str, mode: str) -> Candidate:
    """The candidate held or refused, or its pattern generalised, for one kind of thing."""
    if candidate.object is None or mode == "keep":
        return candidate
    what, find = _KINDS[name]

    def search(value: str) -> list[Span]:
        return list(find(value)) if _may_hold(value) else []

    for path, value in matched_values(candidate.object):
        if not search(value):
            continue
        if mode in (WIDER, WIDEN) and path == ("pattern",) and _stix(candidate):
            wider = generalised(value, search)
            if wider is not None:
                note = f"{what}: the pattern now matches any, {_ANY}"
                finding = Finding("sanitise", _RULE, Action.REPLACED, note, "pattern")
                return candidate.with_object({**candidate.object, "pattern": wider}, finding)
        if mode != WIDEN:
            return _judged(candidate, what, format_path(path), refused=mode == "refuse")
    return candidate


_ANY = "`%` with LIKE stands in its place"


def _stix(candidate: Candidate) -> bool:
    subject = candidate.object or {}
    return bool(subject.get("pattern_type", "stix") == "stix")


def _judged(candidate: Candidate, what: str, place: str, *, refused: bool) -> Candidate:
    if refused:
        message = f"{what}: leave it out or put a variable such as %USERPROFILE% in its place"
        return candidate.refuse(Finding("sanitise", _RULE, Action.REFUSED, message, place))
    message = f"{what}: an analyst decides whether it is the threat's or a victim's"
    return candidate.hold(Finding("sanitise", _RULE, Action.HELD, message, place))
