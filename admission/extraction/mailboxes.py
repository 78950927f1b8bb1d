"""Tell an attacker's mailbox in a text from a bystander's.

Reports name the mailboxes of victims, reporters and contacts as well as those of
attackers.  The nearest words before the mailbox decide, or how it is written.
"""

import re
from collections.abc import Mapping
from functools import lru_cache

from tocsin.admission.extraction.field_names import (
    holds_people,
    names_people,
    names_senders,
)
from tocsin.admission.lazy_patterns import compile_lazily
from tocsin.admission.word_lists import load_alternation, load_words

_PACKAGE = "tocsin.admission.extraction"
_LONGEST = 200
"""Characters before a mailbox in which its words stand."""
_SENTENCE = compile_lazily(r"(?<=[^\W_A-Z])[.!?]\s|[;|]\s")
_BYSTANDER_WORDS = compile_lazily(
    rf"(?<![\w@.-]){load_alternation(_PACKAGE, 'words_before_bystander_mailboxes')}(?![\w@-])",
    re.IGNORECASE,
)
_UNSPACED_BYSTANDER_WORDS = compile_lazily(
    load_alternation(_PACKAGE, "unspaced_words_before_bystander_mailboxes")
)
"""Words that make a mailbox behind them a bystander's, in scripts without spaces between words."""
_ATTACKER_WORDS = compile_lazily(
    rf"(?<![\w@.-]){load_alternation(_PACKAGE, 'words_before_attacker_mailboxes')}(?![\w@-])",
    re.IGNORECASE,
)
_RECIPIENT_FIELDS = compile_lazily(
    rf"(?<![\w@.-]){load_alternation(_PACKAGE, 'recipient_fields')}(?![\w@-])", re.IGNORECASE
)
SIGMA_MODIFIERS = r"(?:\|(?:contains|startswith|endswith|all|re|cased)){1,3}"
"""A regular expression of what Sigma has after a field: `To|contains|all:`."""
_FIELDS = compile_lazily(
    r"(?:\"(?:name|key)\"\s?:\s?\"([^\"@]{1,40})\"\s?,\s?\"value\"\s?:"
    r"|(?<!\S)-([a-z]{2,40})\s"
    r"|<\w{1,20}\s+name=[\"']([\w.-]{1,60})[\"'][^<>]{0,80}>"
    r"|\[\s?\"([\w-]{1,40})\"\s?,\s?(?=\")"
    r"|\(\s?([\w.]{1,60})\s?,\s?(?=[\"'])"
    r"|<(?:\w{1,20}:)?([\w.-]{1,40})(?:\s[^<>]{0,80})?>"
    r"|(?<![\w@.-])([\w.-]{1,60})"
    rf"(?:{SIGMA_MODIFIERS}|[\"')\]]{{0,2}})\s{{0,4}}"
    r"(?:[!=]?[:=]=?~?|：|\b(?:-?eq|equals)\s"
    r"|\b!?(?:in~?|has(?:_any|_cs)?|i?like|r?like|contains(?:_cs)?|startswith|matches(?: regex)?)"
    r"\s{0,4}[(\[\"']))",
    re.IGNORECASE,
)
"""Fields of logs, headers, events, options and queries: `to=`, `"to":`, `-To `, `<to>`, `to in (`,
`["To", "`, `MV_CONTAINS(to, "`, `to|contains:`; in `{"Name": "To", "Value": …}` and
`<Data Name="To">` the name is the field."""
_LONGEST_FIELD, _MOST_WORDS = 40, 3
"""Characters and words before the last one of a field's name."""
_OTHER_FIELDS = ("a", "no")
"""Names of tags and of numbers, although they are words of heads of mails."""
_EXFILTRATION = compile_lazily(r"\bexfil\w{0,9}\W{1,6}\{[^{}]*$", re.IGNORECASE)
"""The beginning of the part of a stealer's configuration that says where its loot goes."""
_AFTER_RECIPIENT = compile_lazily(
    r"[>\"']{0,2}(?:\s?(?:\.\.\.|:)\s?(?:recipient|user unknown|unknown user|no such|mailbox"
    r"|relay access denied|host \S{1,255} said)|;\s(?:mon|tue|wed|thu|fri|sat|sun)\b)",
    re.IGNORECASE,
)
_AFTER_SENDER = compile_lazily(r"[>\"']{0,2}(?:\.\.\.|:)\s?sender\b", re.IGNORECASE)
"""Words of a mail server's reply after the mailbox that it is about, and the time of `Received`."""
_AND = load_alternation(_PACKAGE, "conjunctions")
_ANY_MAILBOX = (
    r"[^\s,;、，；:=|<>\"'()\[\]{}@]{1,64}"
    r"(?:@|\s?[\[({]\s?(?:@|at)\s?[\])}]\s?)[\w\[(](?:[\w.\[\](){}-]{0,252}[\w\])}])?"
)
"""A mailbox, defanged or not."""
_MAILBOX = compile_lazily(_ANY_MAILBOX, re.IGNORECASE)
_JOINED = compile_lazily(
    rf"[>\"')\]\s]{{0,6}}(?:\([^()@]{{1,30}}\)\s)?\(?"
    rf"(?:[,;、，；/&+]|\b{_AND}\b|(?<=\s)|{_AND}\s?)"
    r"\s{0,4}(?:(?:\"[^\"@]{0,60}\"|[A-Z][^<>()@:,;\"]{0,60})\s{0,4}(?=[<(]))?[\s<\"'(\[]{0,6}",
    re.IGNORECASE,
)
"""Between two mailboxes of which a sentence says the same."""
_AFTER_PERSON = compile_lazily(
    rf"[>\"')]{{0,2}}(?:\s?(?:\b{_AND}\b|{_AND}|,)\s?{_ANY_MAILBOX})?(?:\s\([^()@]{{1,40}}\))?"
    rf"\s?{load_alternation(_PACKAGE, 'words_after_recipients')}",
    re.IGNORECASE,
)
"""Verbs of sentences about somebody who received a mail."""
_ADDRESS = compile_lazily(r"[^\s,;、，；:=|<>\"'()\[\]{}@]{1,64}@[\w.-]{1,253}")
_BETWEEN_LISTED = compile_lazily(
    r"[>\"')\]\s]{0,6}[,;、，；]\s{0,4}"
    r"(?:(?:\"[^\"@]{0,60}\"|[A-Z][^<>()@:,;\"]{0,60})\s{0,4}(?=[<(]))?"
    r"[\s<\"'(\[]{0,6}"
)
"""Between two mailboxes of one list, which may have names."""
_MESSAGE_ID_NAMES = load_alternation(_PACKAGE, "message_id_names")
_MESSAGE_ID = compile_lazily(
    rf"(?<![\w@.?&-])(?:{_MESSAGE_ID_NAMES}[\"'\s]{{0,20}}[:=：|\t]\s{{0,4}}[\"']?<?"
    r"|(?:in-reply-to|references)\s?[:=]\s?<|id=|mid=<)[^\s<>,;\"'|]{1,250}@[^\s<>,;\"'|\[]{1,250}",
    re.IGNORECASE,
)
_PROCESSED = compile_lazily(r"\b((?:processing|checking) message )<[^<>@]{1,250}@[^<>]{1,250}>")
"""The message id in a line of SpamAssassin's log."""
_RELAY_OF_RECIPIENT = compile_lazily(
    r"(?<=\bto=<)([^>]{0,320}>.{0,400}?\s)relay=[^\s,]{1,400}(?: \[[^\]\s]{2,50}\])?"
)
_SERVER_OF_RECIPIENT = compile_lazily(
    r"(\bpostfix/(?:\w{1,20}/)?[sl]mtp\[\d{1,10}\]: .{0,500}?\b(?:connect to|host) )"
    r"[\w.-]{1,253}\[[^\]\s]{2,50}\]"
)
"""The server of a recipient in a line of Postfix about an error."""
_EXIM = (
    r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\S{0,4}(?: [+-]\d{4})?(?: \[\d+\])?"
    r" \w{6}-\w{4,11}(?:-\w{2,4})? "
)
"""The time and the id with which a line of Exim's log begins."""
_EXIM_DELIVERY = compile_lazily(rf"({_EXIM})(?:[=-]>|>>|\*[*>]|==) .*")
_EXIM_ARRIVAL = compile_lazily(rf"{_EXIM}<= ")
_MIMEDEFANG = compile_lazily(r"(\bMDLOG,(?:[^,]{0,200},){4}<[^>]{0,320}>),.*")
"""Its log names the sender, then the recipient."""
_CEF_LABEL = compile_lazily(r"\b(c\w{1,6}\d)Label=([^=|]{1,60}?)(?=\s\w+=|\s*$|\|)")
_MOST_LABELS = 20
_PROGRAM = compile_lazily(r"(?<!\S)[\w./-]{1,60}\.(?:pl|py|sh)\[\d{1,10}\]:")
"""A program that wrote a line of a log, with its process."""
_TENANT = compile_lazily(
    r"(\b(?:organi[sz]ation|tenant)[_ ]?(?:name|domain|id)?[\"']?\s{0,30}[:=]\s{0,4}[\"']?)"
    r"[\w-]{1,64}\.onmicrosoft\.com\b",
    re.IGNORECASE,
)
"""The name of the victim's own tenant in a log of Microsoft 365."""
_ISO_TIME = r"\d{4}-\d\d-\d\dT[\d:.]{8,16}(?:Z|[+-]\d\d:?\d\d)"
_LOGGING_HOST = compile_lazily(
    rf"\A(<\d{{1,3}}>1 {_ISO_TIME} (?=\S{{1,253}} \S{{1,60}} )"
    r"|(?:<\d{1,3}>)?"
    rf"(?:[A-Z][a-z]{{2}} [ \d]\d (?:\d{{4}} )?\d\d:\d\d:\d\d|{_ISO_TIME}) "
    r"(?=\S{1,253} (?:[\w./-]{1,60}\[\d{1,10}\]"
    rf"|{load_alternation(_PACKAGE, 'logging_programs')}):))[\w.-]{{1,253}}",
    re.IGNORECASE,
)
"""The machine that wrote a line of syslog (RFC 3164, RFC 5424): `Jan  1 10:00:02 ns1 named[7]:`.

An entry of a list may begin with a time too, so the program is known, or its process is named."""
_HOSTS_OF_VICTIMS = (
    ("tp[", _SERVER_OF_RECIPIENT),
    (".onmicrosoft.", _TENANT),
    (":", _LOGGING_HOST),
)
"""Hosts that are removed from lines of logs, but not what stands before them: a sign of each."""
_NOT_OF_SENDERS = (
    ("MDLOG,", _MIMEDEFANG, r"\1"),
    ("[", _PROGRAM, ""),
    ("relay=", _RELAY_OF_RECIPIENT, r"\1"),
    (" message <", _PROCESSED, r"\1"),
)
"""Parts that are removed from lines of logs: a sign, the pattern, and the text that stays."""
_AT = r"(?<=\w.)\s?(?:@|[aA][tT])\s?[\])}]"
_DEFANGED_MAILBOX = compile_lazily(
    rf"\[{_AT}|\({_AT}|\{{{_AT}|@(?<=\w@)[\w-]{{1,63}}\s?[\[({{]\s?(?:\.|[dD][oO][tT])"
)
_MESSAGE_IDS = compile_lazily(
    r"[\s>*-]{0,20}(?:message-id|in-reply-to|references)\s*:\s*<", re.IGNORECASE
)
_DOT = r"\s?(?:\.|[dD][oO][tT])\s?[\])}]"
DEFANGED = compile_lazily(rf"h[xX][xX][pP]|H[xX][xX][pP]|\[{_DOT}|\({_DOT}|\{{{_DOT}|\[:(?://)?\]")
"""Signs of a defanged value in a line."""
_RANSOM = compile_lazily(
    r"\byour (?:files|data|documents|network)\b|\bdecrypt(?:ion|or)?\b", re.IGNORECASE
)
PEOPLE_HEADINGS = frozenset(load_words(_PACKAGE, "people_headings"))
"""Headings above the names of authors, contacts and victims."""


def words_before(line: str, place: int) -> str:
    """The part of the sentence before the mailbox that begins at `place`."""
    start = max(0, place - _LONGEST)
    return _SENTENCE.split(line[start:place])[-1]


def find_list_start(line: str, place: int) -> int:
    """The place of the first mailbox of the list in which the one at `place` is."""
    return _list_starts(line).get(place, place)


@lru_cache(maxsize=2)  # called for every mailbox of the same line
def _list_starts(line: str) -> Mapping[int, int]:
    found = dict[int, int]()
    start = end = 0
    for address in _ADDRESS.finditer(line):
        listed = end and _BETWEEN_LISTED.fullmatch(line, end, address.start())
        start = start if listed else address.start()
        found[address.start()] = start
        end = address.end()
    return found


def _remove_labelled_fields(line: str) -> str:
    """`cs1=jane@example.com cs1Label=Recipients` (CEF) without the mailbox."""
    for number, label in _CEF_LABEL.findall(line)[:_MOST_LABELS]:
        if names_people(label):
            line = re.sub(rf"(?<!\w){number}=[^=|]*(?=\s\w+=|$|\|)", "", line)
    return line


def _remove_recipients_of_exim(line: str) -> str:
    line = _EXIM_DELIVERY.sub(r"\1", line)
    if _EXIM_ARRIVAL.match(line):  # its recipients are last
        line = line.rpartition(" for ")[0] or line
    return line


def remove_log_fields(line: str) -> str:
    """The line of a mail server's log without message ids, servers of recipients, and tenants.

    >>> remove_log_fields("to=<j@lab.org>, relay=mx.lab.org[192.0.2.1]:25, msgid=<1@a.org>")
    'to=<j@lab.org>, , >'
    """
    for sign, pattern in _HOSTS_OF_VICTIMS:
        if sign in line:
            line = pattern.sub(r"\1", line)
    if "@" not in line:
        return line
    if line[:4].isdigit():
        line = _remove_recipients_of_exim(line)
    if "Label=" in line:
        line = _remove_labelled_fields(line)
    for sign, pattern, kept in _NOT_OF_SENDERS:
        if sign in line:
            line = pattern.sub(kept, line)
    return _MESSAGE_ID.sub("", line)


@lru_cache(maxsize=512)  # asked for each place of a mailbox, each time that the line names it
def is_of_recipient(words: str, after: str) -> bool:
    """True if the field before a mailbox, or what comes `after` it, makes it a recipient's."""
    if _AFTER_SENDER.match(after):
        return False
    if _AFTER_RECIPIENT.match(after):
        return True
    if _AFTER_PERSON.match(after) and not suggest_attacker(words):
        return True
    of_people, of_senders = _find_fields(words)
    people = max(of_people, _last_end(_RECIPIENT_FIELDS, words))
    return people > max(of_senders, _last_end(_ATTACKER_WORDS, words))


@lru_cache(maxsize=4)  # asked several times for the same mailbox
def _find_fields(words: str) -> tuple[int, int]:
    """The ends of the last fields of people and of senders; negative if there is none."""
    of_people = of_senders = -1
    for field in _FIELDS.finditer(words):
        name = next(filter(None, field.groups()))
        if name.lower() in _OTHER_FIELDS:
            continue
        if names_senders(name) or _is_of_replies(words[: field.start()], name):
            of_senders = field.end()
        elif holds_people(name):
            of_people = field.end()
    return (-1, of_people) if _EXFILTRATION.search(words) else (of_people, of_senders)


def _is_of_replies(words: str, name: str) -> bool:
    """True if the last word of a field, with those before it, says who gets replies: `Reply to`."""
    before = words[-_LONGEST_FIELD:].split()[-_MOST_WORDS:]
    return any(names_senders(" ".join((*before[n:], name))) for n in range(len(before)))


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
    return _end_of_bystanders(words) > _end_of_attackers(words)


def suggest_attacker(words: str) -> bool:
    """True if the words before a mailbox say that an attacker uses it; the nearest count."""
    attackers = _end_of_attackers(words)
    return attackers >= 0 and attackers >= _end_of_bystanders(words)


def names_attackers(text: str) -> bool:
    """True if a text has a word for attackers, or a field of senders."""
    return _ATTACKER_WORDS.search(text) is not None or _find_fields(text)[1] >= 0


def holds_message_ids(line: str) -> bool:
    """True if what looks like mailboxes in the line are message ids."""
    return _MESSAGE_IDS.match(line) is not None


@lru_cache(maxsize=4)  # asked several times for the same mailbox
def _end_of_attackers(words: str) -> int:
    """The end of the last word for attackers or field of senders; negative if there is none.

    It speaks of the first mailbox after it, and of those that are joined to that.
    """
    end = max(_last_end(_ATTACKER_WORDS, words), _find_fields(words)[1])
    return end if end >= _find_start(words) else -1


@lru_cache(maxsize=4)  # asked several times for the same mailbox
def _end_of_bystanders(words: str) -> int:
    return max(_last_end(_BYSTANDER_WORDS, words), _last_end(_UNSPACED_BYSTANDER_WORDS, words))


def _find_start(words: str) -> int:
    """The end of the last mailbox that is not joined to the one after these words."""
    before = len(words)
    for found in reversed(list(_MAILBOX.finditer(words))):
        if _JOINED.fullmatch(words, found.end(), before) is None:
            return found.end()
        before = found.start()
    return 0


def _last_end(pattern: re.Pattern[str], words: str) -> int:
    return max((found.end() for found in pattern.finditer(words)), default=-1)
