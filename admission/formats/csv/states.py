"""Columns, and members of records, that say that a value is not to be shared.

It is allowed, harmless or a false positive, no longer in use, or the writer's own.  Products name
and spell such columns in many ways, so words are compared and not whole headings.
"""

from functools import lru_cache

from tocsin.admission.extraction.field_names import split_heading
from tocsin.admission.formats.csv.columns import Role, name_columns

_HARMLESS = frozenset(
    (
        *("benign", "harmless", "legit", "legitimate", "trusted", "knowngood", "notmalicious"),
        *("nonmalicious", "falsepositive", "falsepos", "fp"),
        *("allowlist", "allowlisted", "whitelist", "whitelisted", "safelist", "safelisted"),
    )
)
"""Words, without spaces, for what is no indicator, whoever says so."""
CLEARED = _HARMLESS | {
    *("allow", "allowed", "permit", "permitted", "exclude", "excluded", "exempt", "exempted"),
    *("ignore", "ignored"),
}
"""Words for harmless values; of a connection in a log, the last ones say another thing."""
ENDED = frozenset(("inactive", "notactive", "expired", "deleted", "revoked", "retired")) | {
    *("disabled", "deactivated", "withdrawn", "obsolete"),
}
"""Words for what was an indicator."""
OF_INDICATORS = CLEARED | ENDED | {"clean", "good", "safe"}
"""States of an indicator; elsewhere, the last ones may be those of a machine."""
_NEEDED_FALSE = CLEARED | ENDED | {"removed", "internal", "own", "owned", "victim"}
"""Headings of columns that must not be true."""
_NEEDED_TRUE = frozenset(("indicator", "active", "enabled", "malicious"))
"""Headings of columns that must not be false."""
_TRUE = frozenset(("true", "1", "yes", "y", "on"))
_FALSE = frozenset(("false", "0", "no", "n", "off"))
_OF_INDICATOR = frozenset(("ioc", "indicator"))
_SMALL = _OF_INDICATOR | {"is", "was", "has", "been", "marked", "as"}
"""Words beside those of a state in a heading."""
_STATE_WORDS = frozenset(
    (
        *("status", "state", "verdict", "disposition", "resolution", "classification"),
        *("determination", "reputation", "maliciousness", "decision"),
    )
)
"""Words in the headings of columns whose texts are states."""
_STATE_NAMES = frozenset(
    ("action", "actions", "rule action", "policy", "mode", "access", "list", "list type")
) | {"category"}
"""Headings of such columns that are not more than that; an action for phones is not one for all."""
_MOST_NAMES = 4000
"""Headings that are remembered."""
LONGEST_STATE = 40
"""Characters of a state, and of a heading in a message."""


def names_state(heading: str) -> bool:
    """True if a column may say that a value is not to be shared."""
    plain = _name_flag(heading)
    return plain in _NEEDED_FALSE or plain in _NEEDED_TRUE or _has_states(heading)


def explain_state(heading: str, text: str, states: frozenset[str] = OF_INDICATORS) -> str:
    """Why a value is not shared beside such a text in a column; empty if it may be.

    `states`: the words that count as a state of the value.
    """
    text = text.strip().lower()
    if len(text) > LONGEST_STATE:
        return ""
    plain = _name_flag(heading)
    says_so = (
        (text in _TRUE and plain in _NEEDED_FALSE)
        or (text in _FALSE and plain in _NEEDED_TRUE)
        or (_has_states(heading) and _join_words(text) in states)
    )
    return _explain(heading, text) if says_so else ""


def explain_harmless(heading: str, text: str) -> str:
    """The same where rows may be events of a log: only if the text cannot mean another thing."""
    text = text.strip().lower()
    if len(text) > LONGEST_STATE:
        return ""
    is_flag = text in _TRUE and _name_flag(heading) in _HARMLESS
    is_state = _has_states(heading) and _join_words(text) in _HARMLESS
    return _explain(heading, text) if is_flag or is_state else ""


def _explain(heading: str, text: str) -> str:
    return f"not an indicator, since its {ascii(heading[:LONGEST_STATE])} is {ascii(text)[1:-1]}"


@lru_cache(maxsize=_MOST_NAMES)
def _name_flag(heading: str) -> str:
    """The words of a heading without small ones, and without spaces; `indicator` of `is_ioc`."""
    words = split_heading(heading).split()
    plain = "".join(word for word in words if word not in _SMALL)
    return plain or ("" if _OF_INDICATOR.isdisjoint(words) else "indicator")


@lru_cache(maxsize=_MOST_NAMES)
def _has_states(heading: str) -> bool:
    plain = split_heading(heading)
    if plain in _STATE_NAMES or not _STATE_WORDS.isdisjoint(plain.split()):
        return True
    return name_columns([heading]).roles[0] in (Role.TAGS, Role.CLASSIFICATION)


@lru_cache(maxsize=256)  # the rows of a table repeat a few states
def _join_words(text: str) -> str:
    return split_heading(text).replace(" ", "")
