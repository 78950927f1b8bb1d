"""Names and values in a text that are placeholders, so not private.

Variables, wildcards, masks of earlier rules, and the accounts that every machine has
(`words/default_accounts.txt`).
"""

from __future__ import annotations

import re
from urllib.parse import unquote

from tocsin.admission.lazy_patterns import compile_lazily
from tocsin.admission.word_lists import load_alternation

PLACEHOLDER = compile_lazily(r"[%<\[{$*?.(&#^+\\~]|.*[\[\]*{}]")
"""Matches at the start of a variable, a wildcard, a regular expression, a mask, a dot file."""
_SHARED_ACCOUNT = compile_lazily(
    rf"{load_alternation(__package__, 'default_accounts')}[.,!]?", re.IGNORECASE
)


def is_personal_account(name: str) -> bool:
    """True if the name of an account or of a home directory may be a person's."""
    plain = unquote(name).strip()
    return bool(plain) and not (_SHARED_ACCOUNT.fullmatch(plain) or PLACEHOLDER.match(plain))
