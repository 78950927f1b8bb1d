"""Tell an attacker's mailbox in a text from a bystander's.

Reports name the mailboxes of victims, reporters and contacts as well as those of
attackers.  The nearest words before the mailbox decide, or how it is written.
"""

import re

from tocsin.admission.word_lists import load_alternation, load_words

_PACKAGE = "tocsin.admission.extraction"
_LONGEST = 200
"""Characters before a mailbox in which its words stand."""
_SENTENCE = re.compile(r"(?<=[^\W_A-Z])[.!?]\s|[;|]\s")
_BYSTANDER_WORDS = re.compile(
    rf"(?<![\w@.-]){load_alternation(_PACKAGE, 'words_before_bystander_mailboxes')}(?![\w@-])",
    re.IGNORECASE,
)
_ATTACKER_WORDS = re.compile(
    rf"(?<![\w@.-]){load_alternation(_PACKAGE, 'words_before_attacker_mailboxes')}(?![\w@-])",
    re.IGNORECASE,
)
_AT = r"(?<=\w.)\s?(?:@|[aA][tT])\s?[\])}]"
_DEFANGED_MAILBOX = re.compile(
    rf"\[{_AT}|\({_AT}|\{{{_AT}|@(?<=\w@)[\w-]{{1,63}}\s?[\[({{]\s?(?:\.|[dD][oO][tT])"
)
_MESSAGE_IDS = re.compile(
    r"[\s>*-]{0,20}(?:message-id|in-reply-to|references)\s*:\s*<", re.IGNORECASE
)
_DOT = r"\s?(?:\.|[dD][oO][tT])\s?[\])}]"
DEFANGED = re.compile(rf"h[xX][xX][pP]|H[xX][xX][pP]|\[{_DOT}|\({_DOT}|\{{{_DOT}|\[:(?://)?\]")
"""Signs of a defanged value in a line."""
_RANSOM = re.compile(
    r"\byour (?:files|data|documents|network)\b|\bdecrypt(?:ion|or)?\b", re.IGNORECASE
)
PEOPLE_HEADINGS = frozenset(load_words(_PACKAGE, "people_headings"))
"""Headings above the names of authors, contacts and victims."""


def words_before(line: str, place: int) -> str:
    """The part of the sentence before the mailbox that begins at `place`."""
    start = max(0, place - _LONGEST)
    return _SENTENCE.split(line[start:place])[-1]


def has_defanged_mailbox(text: str) -> bool:
    """True if the text defangs a mailbox."""
    bracketed = "[" in text or "(" in text or "{" in text
    return bracketed and _DEFANGED_MAILBOX.search(text) is not None


def is_ransom_note(text: str) -> bool:
    """True if the text extorts its reader; then `contact us` introduces an attacker's mailbox."""
    plain = text.lower()
    return ("decrypt" in plain or "your " in plain) and _RANSOM.search(text) is not None


def suggest_bystander(words: str) -> bool:
    """True if the words before a mailbox say that it is not an attacker's; the nearest count."""
    return _last_end(_BYSTANDER_WORDS, words) > _last_end(_ATTACKER_WORDS, words)


def suggest_attacker(words: str) -> bool:
    """True if the words before a mailbox say that an attacker uses it; the nearest count."""
    return _last_end(_ATTACKER_WORDS, words) > _last_end(_BYSTANDER_WORDS, words)


def holds_message_ids(line: str) -> bool:
    """True if what looks like mailboxes in the line are message ids."""
    return _MESSAGE_IDS.match(line) is not None


def _last_end(pattern: re.Pattern[str], words: str) -> int:
    return max((found.end() for found in pattern.finditer(words)), default=-1)
