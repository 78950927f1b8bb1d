"""Lines in which a text speaks of itself: authors, contacts, victims, references, rules.

Values in such lines belong to the writer, the victim or another web page, so they
count only if the text defangs them (`evil[.]com`).  A mailbox beside a person's
name never counts.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from enum import Enum, auto
from functools import lru_cache
from itertools import chain, dropwhile, islice

from tocsin.admission.extraction import mailboxes
from tocsin.admission.extraction.field_names import (
    names_people,
    names_recipients,
    names_senders,
    names_victims,
    normalise_heading,
    says_own,
)
from tocsin.admission.extraction.places import Places
from tocsin.admission.extraction.prose import find_in_line
from tocsin.admission.lazy_patterns import compile_lazily
from tocsin.admission.observables.ioc_types import (
    HASH_TYPES,
    MAX_CHARACTERS,
    IocType,
    RecognisedIoc,
    recognise_ioc,
)
from tocsin.admission.observables.refang import join_spaced, refang
from tocsin.admission.word_lists import load_alternation, load_words


class LineRole(Enum):
    """The role of a line that is not an ordinary line of the text."""

    COMMENT = auto()
    PEOPLE = auto()  # names authors, contacts or victims
    VICTIMS = auto()  # names victims or their machines: addresses do not count either
    RECIPIENTS = auto()  # below a line that introduces recipients: only mailboxes do not count
    REFERENCE = auto()
    YARA_RULE = auto()
    IDS_RULE = auto()  # of Snort or Suricata


_ROLES: tuple[LineRole | None, ...] = (None, *LineRole)
_PACKAGE = "tocsin.admission.extraction"
_DETECTORS = "tocsin.admission.detectors"
_COMMENT_SIGNS = ("#", "//", ";", "!")
_BULLET = r"[\s>#/;!*_+-]*+(?:\[?\d{1,3}[\].)]\s*+[*_]*+)?+"
_PEOPLE_LABEL = compile_lazily(
    rf"{_BULLET}{load_alternation(_PACKAGE, 'people_labels')}[*_]*"
    r"\s*(?:[:\uff1a]|=(?!\S+\s+\w{1,20}=))",
    re.IGNORECASE,
)
_PEOPLE_LEAD = compile_lazily(
    rf"(?:^|[\s(-]){load_alternation(_PACKAGE, 'people_leads')}[*_\"'\s]{{0,4}}[:=-][\s*_-]*$",
    re.IGNORECASE,
)
_THEFT_LEAD = compile_lazily(
    rf"""{_BULLET}[*_]*(?:the\ )?(?:stolen|exfiltrated|harvested)\ (?:[\w-]{{1,20}}\ )?
      (?:data|credentials|passwords|logs|information|files|keystrokes|cookies|screenshots)
      (?:\ (?:is|are|was|were|being|then)){{0,2}}\ (?:sent|mailed|forwarded|delivered)\ to\b""",
    re.VERBOSE | re.IGNORECASE,
)
"""`Stolen data is sent to:`, which introduces mailboxes of an attacker."""
_PERSONAL_BLOCK = compile_lazily(
    r"\s*(?:BEGIN:(VCARD|VCALENDAR)\s*$|(?-i:dn):(?::|[^,]{1,400},\s?(?:dc|ou?|c)=))", re.IGNORECASE
)
"""The first line of a contact card, a calendar, or an entry of a directory (LDIF)."""
_PERSONAL_PROPERTY = compile_lazily(
    r"\s*(?:[\w-]{1,20}\.)?(?:attendee|organizer|contact|email|x-ms-olk-sender)(?:;[^\n]{0,2000})?:",
    re.IGNORECASE,
)
"""A property of a calendar that names people."""
_PEOPLE_PHRASE = compile_lazily(
    rf"{_BULLET}(?:feed )?{load_alternation(_PACKAGE, 'people_phrases')}\b", re.IGNORECASE
)
_PLEASE_CONTACT = compile_lazily(r"(?:^|[\s(])please contact\b", re.IGNORECASE)
_ALLOWED = compile_lazily(
    rf"(?:our |own |these )?(?:{load_alternation(_PACKAGE, 'allow_headings')})(?!\w)", re.IGNORECASE
)
_REFERENCE_LABEL = compile_lazily(
    rf"{_BULLET}{load_alternation(_PACKAGE, 'reference_labels')}[*_]*\s*[:\uff1a=]", re.IGNORECASE
)
_PLAIN_URL = r"<?https?://[\w.-]{1,253}(?![\w.\[({-])(?:[:/?#][^\s\"<>|\]]{0,2000})?"
"""A URL that is not defanged."""
_READ_MORE = compile_lazily(
    r"\b(?<!during )(?:(?:information|details|analysis|report|article|more) (?:is |are )?"
    r"(?:available |here )?(?:at|on|in|from|here|via)|see|siehe(?: auch)?|vgl\."
    r"|voir(?: aussi)?|v[ée]ase|consulte|vedi|zie(?: ook)?|zobacz|viz|см\.):? {0,2}" + _PLAIN_URL,
    re.IGNORECASE,
)
"""`more information at https://…` in the middle of a line."""
_ANALYSIS_PAGE = compile_lazily(
    rf"(?<![\w/])https?://{load_alternation(_PACKAGE, 'analysis_pages')}[^\s\"<>|\]]{{0,2000}}",
    re.IGNORECASE,
)
"""`https://www.virustotal.com/gui/file/…`, which is about a value and no indicator."""
_PUBLISHED_AT = compile_lazily(_PLAIN_URL, re.IGNORECASE)
_PUBLICATION = (
    r"(?:blog ?posts?|white ?papers?|reports?|articles?|write-?ups?|iocs?"
    r"|indicators(?: of compromise)?|(?:yara|sigma|snort) rules)\b"
)
_IS_AVAILABLE = (
    r"\b(?:(?:is|are|was|were) (?:now |also )?(?:available|published)"
    r"|can (?:also )?be (?:found|read))\b"
)
_ANNOUNCED = compile_lazily(
    rf"(?:\b{_PUBLICATION}(?:(?!\b(?:that|which|where|who)\b)[^.!?|;]){{0,120}}?{_IS_AVAILABLE}"
    rf"|{_IS_AVAILABLE} as an? {_PUBLICATION})[^.!?|;]{{0,60}}\b(?:at|on|in|via|from|here)\b:?\s*$",
    re.IGNORECASE,
)
"""A sentence that ends in `the blog post about X is available on Y at`."""
_MOST_AFTER = 100
_MOST_PLACES = 20
_MOST_BEFORE = 200
"""Characters before a URL that are looked at."""
_REFERENCE_HEADINGS = frozenset(load_words(_PACKAGE, "reference_headings"))
_RECIPIENT_HEADINGS = frozenset(load_words(_PACKAGE, "recipient_headings")) | {
    each.replace(" ", "-") for each in load_words(_PACKAGE, "recipient_phrases")
}
_HEADINGS = _REFERENCE_HEADINGS | mailboxes.PEOPLE_HEADINGS | _RECIPIENT_HEADINGS
_OTHER_LABEL = compile_lazily(r"\s*[\w.-]{1,30}\s?[:=]\s*\S")
_ENDS_OF_LEADS = (":", "=", "-", "*", "_")
_LONGEST_LEAD = 300
_LONGEST_TERM = 60
_DEFINITION = compile_lazily(r"\s{0,3}:\s+\S")
"""The definition of the term in the line above, in Markdown."""
_MOST_IN_ROWS = 3
"""`|` in a row of a label and a value."""
_LONGEST_PROPERTY = 2_000
_MOST_IDLE = 5
"""Lines without a mailbox at the beginning of a list of recipients."""
_CLOSINGS = frozenset(map(normalise_heading, load_words(_PACKAGE, "closings")))
_END_OF_CLOSING = compile_lazily("[,!.;。،]")
_BEGINNINGS_OF_CLOSINGS = frozenset(each.split()[0] for each in load_words(_PACKAGE, "closings"))
_LONGEST_CLOSING = 60
LONGEST_SIGNATURE = 12
"""Lines of a signature that are not blank."""
_MOST_BEFORE_QUOTE = 3
"""Lines of a quote, with those that say who wrote it."""
_BEFORE_CLOSING = 200
"""Lines before a closing that show if it is that of a ransom note."""
_LAST_OF_HEADINGS = frozenset(
    each.split("-", count)[-1] for each in _HEADINGS for count in range(each.count("-") + 1)
) | {
    each.split()[-1]
    for package, name in (
        (_PACKAGE, "victim_names"),
        (_PACKAGE, "affected_words"),
        (_PACKAGE, "victim_or_own_words"),
        (_DETECTORS, "machine_words"),
    )
    for each in load_words(package, name)
}
_AROUND_HEADINGS = "#=*_:" + "".join(c for c in map(chr, range(0x3001)) if c.isspace())
_HEADING_TEXT = compile_lazily(
    r"[#=*_\s]*(?:\d{1,2}(?:\.\d{1,2})?[.)]?\s)?([^\d./@,|()\[\]\"]{2,40}?)[#=*_:：\s]*"
)
_HEADING = compile_lazily(r"\s*(?:#{1,6}|={1,6})\s+\S|\s*\S[^./@:：]{0,60}[:：]\s*$")
_SIGNS_OF_HEADINGS = compile_lazily("[:：#=]")
_UNDERLINE_ENDS = ("-", "=", "~", "^", " ", "\t", "\r")
_UNDERLINE = compile_lazily(r"\s*([-=~^])\1{2,}\s*")
_YARA = compile_lazily(
    r"\s*(?:(?:private|global)\s+){0,2}rule\s+\w{1,200}\s*(?::[\w\s]{0,200})?(?:\{|$)"
)
_CONDITION = compile_lazily(r"(?:^|[\s{/\"])condition\s*:")
_LONGEST_RULE = 500
"""Lines of a YARA rule."""
_SAMPLE_HASH = compile_lazily(
    r"(?<![\w$])\w{0,20}(?:hash|md5|sha|sample)\w{0,20}\s*=\s*(\S{1,200})", re.IGNORECASE
)
_IDS_RULE = compile_lazily(
    r"[\s#]*(?:alert|drop|reject\w{0,5}|pass|log|sdrop)\s+\w{1,20}\s+\S+\s+\S+\s+(?:->|<>)\s[^(]*\("
)
_RULE_CONTENT = compile_lazily(r'\bcontent\s*:\s*+(?:!\s*+)?"([^"]{1,2000})"')
_LABEL = compile_lazily(rf"{_BULLET}([^:：=|@<>\t\"{{}}\[]{{1,40}})([:：|])")
"""`Reply-To:` at the beginning of a line."""
_LABEL_WITHOUT_COLON = compile_lazily(
    rf"{_BULLET}([^\W\d_][^:：=|@<>\t\"{{}}\[]{{2,38}}[^\W\d_])\s{{1,4}}[<`*]?[^\s@]{{1,64}}@\S{{1,253}}\s*"
)
"""`Reply to` and a mailbox that ends the line; shorter words, as `de`, are those of sentences."""
_MODIFIERS = compile_lazily(rf"{mailboxes.SIGMA_MODIFIERS}(?=:)")
_CREDENTIALS = compile_lazily(
    r"\s*(?:\d{1,6}[.)]\s)?(?:https?://\S{1,500}?[:;|\s]\s?)?"
    r"[^\s@:;|,/]{1,64}@[\w.-]{1,253}(\s?[:;|]\s?)([^\s:;|=]{4,64})\s*"
)
"""A mailbox and its password, perhaps with the page where it is entered."""
_PASSWORD = compile_lazily(r"(?=.*[a-z])(?=.*\d)(?::(?=\S)|(?!\W+[A-Za-z]+[-_.]?\d+$))")
"""A colon or another mark, and a word that is hardly anything but a password after it; behind
other marks, `Storm-0539` may name an attacker."""
_NEAR_CREDENTIALS = 5
_ADDRESSED = compile_lazily(r"\s*+(?:[^@:<>]{1,60}<)?[^\s@<>]{1,64}@")
_PLAIN_MAILBOX = compile_lazily(
    r"[\s`*_]*+(?:[^@:<>]{1,60}<)?(?:mailto:)?[\w.+'-]{1,64}@(?:[\w-]{1,63}\.)+\w", re.IGNORECASE
)
"""A mailbox that is not defanged, perhaps with a name before it."""
_AFTER_HOST = compile_lazily(r"[/?#:]")
_FREE_MAIL = frozenset(load_words(_PACKAGE, "free_mail_providers"))
_OF_PEOPLE = (LineRole.PEOPLE, LineRole.VICTIMS, LineRole.RECIPIENTS)
_MAY_NAME_MAILBOXES = (None, *_OF_PEOPLE, LineRole.COMMENT)
_NOT_IN_HOSTS = compile_lazily(r"[^a-z0-9.-]+")
_CELLS = compile_lazily(r"[|\t]")
_MOST_BEFORE_OWN = 80
_MOST_IN_HEAD = 8
"""Lines of the head of a mail with which a text begins."""
_BEFORE_SENDER = compile_lazily(
    r"(?:subject|date|sent|betreff|datum|gesendet|objet|envoyé|asunto|fecha|assunto|data|oggetto"
    r"|onderwerp|temat|předmět|тема|дата|件名|日時|主题|主旨|日期)\s?[:：]",
    re.IGNORECASE,
)
_OWNED_KINDS = frozenset((IocType.IPV4, IocType.IPV6, IocType.DOMAIN, IocType.URL))
_SEARCHED = 1_000
"""Lines that are searched together."""
_UNDEFANGED_KINDS = frozenset((IocType.IPV4, IocType.IPV6, *HASH_TYPES.values()))
"""Kinds that count in boilerplate although they are not defanged; of victims only hashes."""


def classify_lines(lines: Sequence[str], markup: bool) -> Sequence[LineRole | None]:
    """The role of each line; in `markup` a line that begins with `#` is a heading."""
    found = _Roles()
    section: LineRole | None = None
    people = _PeopleReader()
    rule_ends = _find_yara_rules(lines)
    end = 0
    in_ids = False
    term = ""
    signature = _SignatureReader(lines)
    for number, line in enumerate(lines):
        end = max(end, rule_ends.get(number, 0))
        heading = begins_section(lines, number)
        if heading:
            section = _role_below(_heading(line))
        elif section in _OF_PEOPLE and not line.strip() and not begins_section(lines, number - 1):
            section = None
        rule = number < end
        in_ids = mailboxes.holds_message_ids(line) or (in_ids and line[:1] in (" ", "\t"))
        folded = LineRole.REFERENCE if in_ids and line[:1] in (" ", "\t") else None
        if _DEFINITION.match(line):
            labelled = f"{term}{line.lstrip()}"
        else:
            labelled, term = line, line.strip()[:_LONGEST_TERM] or term
        private = signature.holds(number, heading) or are_credentials(lines, number)
        written_by = LineRole.PEOPLE if private else None
        usual = _classify_line(labelled, markup) or written_by or section
        role = LineRole.YARA_RULE if rule else folded or usual
        found.append(people.classify(line, role, heading))
    return found


def _role_below(heading: str) -> LineRole | None:
    """The role of the lines below a heading."""
    if names_victims(heading) or says_allowed(heading.replace("-", " ")):
        return LineRole.VICTIMS
    if heading in mailboxes.PEOPLE_HEADINGS:
        return LineRole.PEOPLE
    return LineRole.REFERENCE if heading in _REFERENCE_HEADINGS else None


def are_credentials(lines: Sequence[str], number: int) -> bool:
    """True if the line with that number, and one near it, have a mailbox and its password."""
    if not _find_password(lines[number]):
        return False
    near = lines[max(0, number - _NEAR_CREDENTIALS) : number + _NEAR_CREDENTIALS + 1]
    found = set(filter(None, map(_find_password, near)))
    return len(found) > 1 and any(map(_PASSWORD.match, found))


def _find_password(line: str) -> str:
    """The mark after a mailbox and what may be its password; empty if a line is another one."""
    found = _CREDENTIALS.fullmatch(line) if "@" in line else None
    return "".join(found.groups()) if found and recognise_ioc(refang(found[2])) is None else ""


class _SignatureReader:
    """Follows the signatures of those who wrote a text: below `-- ` or `Kind regards`."""

    def __init__(self, lines: Sequence[str]) -> None:
        self._lines = lines
        self._left = 0
        """Lines that the signature may still have."""

    def holds(self, number: int, heading: bool) -> bool:
        """True if the next line, with that number, is in a signature."""
        line = self._lines[number]
        if closes_text(line):
            before = self._lines[max(0, number - _BEFORE_CLOSING) : number]
            self._left = 0 if mailboxes.is_ransom_note("\n".join(before)) else LONGEST_SIGNATURE
            return False
        if self._left and (heading or _is_of_sender(line) or self._begins_quote(number)):
            self._left = 0
        inside = self._left > 0 and bool(line.strip())
        self._left -= inside
        return inside

    def _begins_quote(self, number: int) -> bool:
        """True for a quoted line, and for those before it: `On Monday, Joe <…> wrote:`."""
        line = self._lines[number].rstrip()
        if "@" in line and line.endswith((":", "\uff1a")):
            return True
        following = range(number, min(len(self._lines), number + _MOST_BEFORE_QUOTE))
        return any(self._lines[each].startswith(">") for each in following)


def closes_text(line: str) -> bool:
    """True for the line above the name of who wrote a text."""
    if line.startswith("--"):
        return line.rstrip("\r") == "-- "  # without the blank, programs separate results so
    phrase = _END_OF_CLOSING.split(line, maxsplit=1)[0].lower()
    if len(line) > _LONGEST_CLOSING or "@" in line or phrase.isspace() or not phrase:
        return False
    is_likely = phrase.split(None, 1)[0] in _BEGINNINGS_OF_CLOSINGS  # a quick test of many lines
    return is_likely and normalise_heading(phrase) in _CLOSINGS


class _PeopleReader:
    """Follows lists of recipients, contact cards and calendars through the lines of a text."""

    def __init__(self) -> None:
        self._block = ""
        """The kind of a card or calendar that has not ended; `DN` for an entry of a directory."""
        self._folded: LineRole = LineRole.PEOPLE
        """The role of the property that the next line may continue."""
        self._margin = -1
        """The indentation of the line that introduces people; negative outside of lists."""
        self._deeper_only = False
        self._idle = self._listed = 0
        """Lines since the last mailbox of the list, and lines with one."""

    def classify(self, line: str, role: LineRole | None, heading: bool) -> LineRole | None:
        """The role of the next line, which without people has that `role`."""
        block = None if self._block else _PERSONAL_BLOCK.match(line[:_LONGEST_PROPERTY])
        if block is not None:
            self._block = (block[1] or "dn").upper()
        if self._block:
            return self._classify_in_block(line)
        leads = introduces_people(line, heading)
        inside = not leads and self._is_in_list(line, heading)
        if leads or role in _OF_PEOPLE:
            self._margin, self._deeper_only = _indentation(line), not leads
            self._idle = self._listed = 0
        return LineRole.RECIPIENTS if inside and role in (None, LineRole.REFERENCE) else role

    def _classify_in_block(self, line: str) -> LineRole:
        if self._block != "VCALENDAR" or _PERSONAL_PROPERTY.match(line[:_LONGEST_PROPERTY]):
            self._folded = LineRole.PEOPLE
        elif not line.startswith((" ", "\t")):
            self._folded = LineRole.RECIPIENTS
        ended = not line.strip() if self._block == "DN" else f"END:{self._block}" in line.upper()
        self._block = "" if ended else self._block
        return self._folded

    def _is_in_list(self, line: str, heading: bool) -> bool:
        if self._margin >= 0 and (heading or self._ends_list(line)):
            self._margin = -1
        has_mailbox = "@" in line
        self._listed += has_mailbox
        self._idle = 0 if has_mailbox else self._idle + 1
        return self._margin >= 0

    def _ends_list(self, line: str) -> bool:
        if line.strip() and _indentation(line) > self._margin:
            return _is_of_sender(line)
        if self._deeper_only or _is_of_sender(line) or _OTHER_LABEL.match(line[:100]):
            return True
        if "@" in line or not line.strip():
            return False
        return self._idle >= (1 if self._listed else _MOST_IDLE)


def _indentation(line: str) -> int:
    return len(line) - len(line.lstrip())


def introduces_people(line: str, heading: bool) -> bool:
    """True if a line introduces a list of recipients; `heading` says that it is a heading."""
    if heading and is_recipient_heading(_heading(line)):
        return True
    lead = len(line) <= _LONGEST_LEAD and line.rstrip().endswith(_ENDS_OF_LEADS)
    return lead and _PEOPLE_LEAD.search(line) is not None and _THEFT_LEAD.match(line) is None


def is_recipient_heading(heading: str) -> bool:
    """True if the words of a heading, with `-` between them, introduce recipients."""
    return heading in _RECIPIENT_HEADINGS or names_recipients(heading.replace("-", " "))


def _is_of_sender(line: str) -> bool:
    """True for the line of a message that names its sender: `From: …`, or `From …` alone."""
    label = _LABEL.match(line) or _LABEL_WITHOUT_COLON.fullmatch(line)
    return label is not None and names_senders(label[1])


def _is_of_victims(line: str) -> bool:
    """True for a line, or a row with two cells, that names a victim or its machine."""
    label = _LABEL.match(line)
    if label is None or (label[2] == "|" and line.count("|") > _MOST_IN_ROWS):
        return False
    return names_victims(label[1]) or says_allowed(label[1].strip())


def says_allowed(words: str) -> bool:
    """True if a heading or label begins with words for values that are allowed."""
    return _ALLOWED.match(words) is not None


def _is_of_recipients(line: str) -> bool:
    """True for the line of a message that names its recipients, in any language: `To: …`."""
    line = _MODIFIERS.sub("", line, count=1)
    label = _LABEL.match(line)
    if label is None or label[2] == "|":
        return False
    answer = normalise_heading(label[1]) == "a"  # `A: Jane <jane@example.com>` or `Q: … A: …`
    if names_recipients(label[1]) or (answer and _ADDRESSED.match(line, label.end())):
        return True
    if not names_people(label[1]) or _PLAIN_MAILBOX.match(line, label.end()) is None:
        return False
    return not mailboxes.names_attackers(line[label.end() :])  # `User: … got mail from …`


class _Roles(Sequence[LineRole | None]):
    """Roles of lines, in one octet for each: a text may have millions of lines."""

    def __init__(self) -> None:
        self._octets = bytearray()

    def append(self, role: LineRole | None) -> None:
        self._octets.append(0 if role is None else role.value)

    def __len__(self) -> int:
        return len(self._octets)

    def __iter__(self) -> Iterator[LineRole | None]:
        return map(_ROLES.__getitem__, self._octets)

    def __getitem__(self, number: int) -> LineRole | None:  # type: ignore[override]  # no slices
        return _ROLES[self._octets[number]]


def _classify_line(line: str, markup: bool) -> LineRole | None:
    start = line[:400]
    if ("->" in start or "<>" in start) and _IDS_RULE.match(start):
        return LineRole.IDS_RULE
    labelled = ":" in start or "=" in start or "\uff1a" in start
    if _is_of_victims(start):
        return LineRole.VICTIMS
    if _names_people(start, labelled):
        return LineRole.PEOPLE
    if not markup and line.lstrip(" \t\ufeff").startswith(_COMMENT_SIGNS):
        return LineRole.COMMENT
    if labelled and _REFERENCE_LABEL.match(start):
        return LineRole.REFERENCE
    return LineRole.RECIPIENTS if _is_of_recipients(start) else None


def labels_people(words: str) -> bool:
    """True if words are a label before authors, contacts or victims: `Reported by`."""
    return _PEOPLE_LABEL.match(f"{words}:") is not None


def _names_people(start: str, labelled: bool) -> bool:
    if (labelled and _PEOPLE_LABEL.match(start)) or _PEOPLE_PHRASE.match(start):
        return True
    if ";" in start and labelled and _PERSONAL_PROPERTY.match(start):
        return True
    return "contact" in start.lower() and _PLEASE_CONTACT.search(start) is not None


def remove_read_more_links(line: str, before: str = "") -> str:
    """The line without URLs at which the reader finds more, and of pages with an analysis.

    `before` is the line before it.

    >>> remove_read_more_links("evil.com, see https://example.com/a for more")
    'evil.com,  for more'
    >>> remove_read_more_links("https://blog.example/a", "The report is available on our blog at")
    ''
    """
    if "://" not in line:
        return line
    kept, end = list[str](), 0
    line = _ANALYSIS_PAGE.sub("", _READ_MORE.sub("", line))
    for found in _PUBLISHED_AT.finditer(line):
        start = found.start()
        text = line[max(0, start - _MOST_BEFORE) : start]
        if start < _MOST_BEFORE:
            text = f"{before[-_MOST_BEFORE:]} {text}"
        if _ANNOUNCED.search(text):
            kept.append(line[end:start])
            end = found.end()
    return "".join((*kept, line[end:]))


def begins_section(lines: Sequence[str], number: int) -> bool:
    """True if the line with that number is a heading."""
    line = lines[number]
    if len(line) > 80 or not line or line.isspace():
        return False
    below = lines[number + 1] if number + 1 < len(lines) else ""
    if _SIGNS_OF_HEADINGS.search(line) and _HEADING.match(line):
        return True
    if below.endswith(_UNDERLINE_ENDS) and _UNDERLINE.fullmatch(below):
        return True
    if line.startswith("!") or not _ends_like_heading(line):
        return False  # `! Victim host` is above a column in MediaWiki
    heading = _heading(line)
    return heading in _HEADINGS or ("-" in heading and names_victims(heading))


def begins_people(lines: Sequence[str], number: int) -> bool:
    """True if the line with that number introduces authors, contacts, victims or recipients."""
    heading = begins_section(lines, number)
    words = _heading(lines[number])
    allowed = says_allowed(words.replace("-", " "))
    people = heading and not allowed and _role_below(words) in _OF_PEOPLE
    return people or introduces_people(lines[number], heading)


def _ends_like_heading(line: str) -> bool:
    """True if the last word of a line is that of a known heading; a quick test."""
    words = line.strip(_AROUND_HEADINGS).rsplit(None, 1)
    return bool(words) and words[-1].lower() in _LAST_OF_HEADINGS


def _heading(line: str) -> str:
    """The words of a heading in lower case with `-` between them; empty if it is not a heading."""
    found = _HEADING_TEXT.fullmatch(line)
    return "-".join(found[1].lower().split()) if found and len(line) <= 80 else ""


def _find_yara_rules(lines: Sequence[str]) -> dict[int, int]:
    """The first line of each YARA rule, and the line after its last."""
    found = {}
    for number, line in enumerate(lines):
        if "rule" in line[:40] and _YARA.match(line[:400]):
            end = _find_rule_end(lines, number)
            if end:
                found[number] = end
    return found


def _find_rule_end(lines: Sequence[str], start: int) -> int:
    """The line after a YARA rule; 0 if the rule does not end."""
    condition = False
    for number in range(start, min(len(lines), start + _LONGEST_RULE)):
        if number > start and _YARA.match(lines[number][:400]):
            return 0
        plain = lines[number].strip()
        condition = condition or _CONDITION.search(plain) is not None
        if condition and plain.endswith("}"):
            return number + 1
    return 0


def find_in_boilerplate(line: str, role: LineRole, markup: bool) -> Iterator[RecognisedIoc]:
    """The values of a line that count although the line is boilerplate."""
    if role is LineRole.YARA_RULE:
        for text in _SAMPLE_HASH.findall(line):
            yield from (v for v in find_in_line(text, False) if v.kind in HASH_TYPES.values())
        return
    if role is LineRole.RECIPIENTS:
        found = find_in_line(line, False, "", markup)
        yield from (value for value in found if value.kind is not IocType.EMAIL)
        return
    if role is LineRole.IDS_RULE:
        yield from find_in_line(line.partition("(")[0], False)
        for content in _RULE_CONTENT.findall(line):
            yield from (v for v in find_in_line(content, False) if v.kind is not IocType.EMAIL)
        return
    yield from _find_defanged(line, role, markup)


def _find_defanged(line: str, role: LineRole, markup: bool) -> Iterator[RecognisedIoc]:
    defanged = " ".join(word for word in join_spaced(line).split() if refang(word) is not word)
    if role is LineRole.COMMENT and not defanged:
        return
    patterns = {value.pattern for value in find_in_line(defanged, False, "", markup)}
    for value in find_in_line(line, False, "", markup):
        if value.kind is IocType.EMAIL and role is not LineRole.REFERENCE:
            continue
        plain = value.kind in _UNDEFANGED_KINDS and role is not LineRole.COMMENT
        plain = plain and (role is not LineRole.VICTIMS or value.kind in HASH_TYPES.values())
        if value.pattern in patterns or plain:
            yield value


class _Hosts:
    """The hosts of a text, of which there may be more than should be in memory."""

    def __init__(self) -> None:
        self._hosts, self._above = Places(), Places()

    def __bool__(self) -> bool:
        return len(self._hosts) > 0

    def __contains__(self, host: str) -> bool:
        return host in self._hosts

    def add(self, host: str) -> None:
        if self._hosts.find_or_add(host, 0) is None:
            for each in _with_parents(host):
                self._above.find_or_add(each, 0)

    def has_above_or_below(self, domain: str) -> bool:
        """True if one of the hosts is the domain, above it or below it."""
        return domain in self._above or any(each in self._hosts for each in _with_parents(domain))


def _with_parents(host: str) -> Iterator[str]:
    """A host and the domains above it.

    >>> list(_with_parents("c2.evil.com"))
    ['c2.evil.com', 'evil.com', 'com']
    """
    while host:
        yield host
        host = host.partition(".")[2]


@dataclass(frozen=True, slots=True)
class BystanderFilter:
    """Excludes the hosts and mailboxes of a text's authors, contacts and victims."""

    domains: frozenset[str]
    """Domains of the mailboxes next to names of people, and in comments."""
    defangs_mailboxes: bool
    """True if the text defangs mailboxes, so that one written plainly is a bystander's."""
    defanged_hosts: _Hosts
    """Hosts that the text defangs; if there are any, mailboxes elsewhere are bystanders'."""
    writer: str
    """The line that names the sender, if the text is a saved mail; else empty."""
    ransom_note: bool
    """True if the words before a mailbox never make it a bystander's: an attacker writes."""

    def excludes(self, value: RecognisedIoc, line: str, above: str = "") -> bool:
        """True if a value of a line belongs to a bystander; `above` is the end of the line before.

        The writer's own machines do too: `our web proxy 192.0.2.1`.
        """
        if value.kind in _OWNED_KINDS and _is_own(value, line, above):
            return True
        if value.kind not in (IocType.DOMAIN, IocType.URL, IocType.EMAIL):
            return False
        if value.kind is IocType.EMAIL and self.owns_mailbox(value.value, line):
            return True
        host = value.value.partition("://")[2] or value.value.rpartition("@")[2]
        host = _AFTER_HOST.split(host, maxsplit=1)[0]
        if self.domains.isdisjoint(_with_parents(host)):
            return False
        return host in _lower(line) and "hxxp" not in _lower(line)

    def owns_mailbox(self, address: str, line: str) -> bool:
        """True if a mailbox is a bystander's, by its writing and the words before it."""
        if mailboxes.holds_message_ids(line):
            return True
        if self.writer and line.strip() == self.writer and self._is_elsewhere(address):
            return True
        places = list(_find_places(address, line))
        if any(self._is_recipient(place, place + len(address), line) for place in places):
            return True
        if not places or _is_of_sender(line):
            return False
        words = mailboxes.words_before(line, places[0])
        if mailboxes.suggest_bystander(words) and not self.ransom_note:
            return True
        if mailboxes.suggest_attacker(words):
            return False
        if self.defangs_mailboxes:
            return True
        return self._is_elsewhere(address) and not _stands_alone(address, line)

    def _is_recipient(self, place: int, end: int, line: str) -> bool:
        start = mailboxes.find_list_start(line, place)
        return mailboxes.is_of_recipient(
            mailboxes.words_before(line, start), line[end : end + _MOST_AFTER]
        )

    def _is_elsewhere(self, address: str) -> bool:
        domain = address.rpartition("@")[2]
        return bool(self.defanged_hosts) and not self.defanged_hosts.has_above_or_below(domain)


def _is_own(value: RecognisedIoc, line: str, above: str) -> bool:
    """True if the words before each place of a plain value say that it is the writer's own."""
    places = list(_find_places(value.value.lower(), line))
    text = f"{above} {line}"
    ends = [place + len(above) + 1 for place in places]
    return bool(ends) and all(says_own(text[max(0, e - _MOST_BEFORE_OWN) : e]) for e in ends)


def _find_places(address: str, line: str) -> Iterator[int]:
    text, place = _lower(line), -len(address)
    for _ in range(_MOST_PLACES):
        place = text.find(address, place + len(address))
        if place < 0:
            return
        yield place


@lru_cache(maxsize=2)  # called for every value of the same line
def _lower(line: str) -> str:
    return line.lower()


def _stands_alone(address: str, line: str) -> bool:
    """True if the line is the mailbox and nothing else, or a table cell begins with it."""
    cells = [cell.strip(" \t`*-<>\u2022").lower() for cell in _CELLS.split(line)]
    return cells[0] == address or any(cell.startswith(address) for cell in cells[1:])


def find_bystanders(lines: Sequence[str], roles: Sequence[LineRole | None]) -> BystanderFilter:
    """The bystanders of a text, given the roles of its lines."""
    hosts, defangs_mailboxes, ransom_note = _Hosts(), False, False
    ordinary = (line for line, role in zip(lines, roles, strict=True) if line and role is None)
    while portion := list(islice(ordinary, _SEARCHED)):
        text = "\0".join(portion)  # one search for many lines; NUL matches no space between words
        if mailboxes.DEFANGED.search(text):
            for host in _find_defanged_hosts(portion):
                hosts.add(host)
        defangs_mailboxes = defangs_mailboxes or mailboxes.has_defanged_mailbox(text)
        ransom_note = ransom_note or mailboxes.is_ransom_note(text)
    writer = _find_writer(lines)
    known = BystanderFilter(frozenset(), defangs_mailboxes, hosts, writer, ransom_note)
    people: set[str] = set()
    attacked: set[str] = set()
    attackers: set[str] = set()
    for line, role in zip(lines, roles, strict=True):
        for address in _find_mailboxes(line) if "@" in line and role in _MAY_NAME_MAILBOXES else ():
            domain = address.partition("@")[2]
            if role is not None:
                people.add(domain)
            else:
                bystander = known.owns_mailbox(address, line[:1000])
                (attacked if bystander else attackers).add(domain)
    domains = people | (attacked - attackers)
    domains = {each for each in domains - _FREE_MAIL if each not in hosts}
    return replace(known, domains=frozenset(domains))


def _find_writer(lines: Sequence[str]) -> str:
    """The line of a sender with which a text begins, if one of recipients is near it.

    Such a text is a mail that was saved without its other fields.  Only its date and its
    subject may be above the sender.
    """
    head = [line.strip() for line in islice(filter(str.strip, lines), _MOST_IN_HEAD)]
    below = dropwhile(_BEFORE_SENDER.match, head)
    sender = next(below, "")
    return sender if _is_of_sender(sender) and any(map(_is_of_recipients, below)) else ""


def _find_mailboxes(line: str) -> Iterator[str]:
    if not mailboxes.holds_message_ids(line):
        found = find_in_line(mailboxes.remove_log_fields(line[:1000]), False)
        yield from (value.value for value in found if value.kind is IocType.EMAIL)


def _find_defanged_hosts(lines: Iterable[str]) -> Iterator[str]:
    defanged = filter(mailboxes.DEFANGED.search, lines)
    for word in chain.from_iterable(join_spaced(line).split() for line in defanged):
        if len(word) <= MAX_CHARACTERS and (clear := refang(word)) is not word:
            parts = _NOT_IN_HOSTS.split(clear.lower())
            yield from (part.strip(".-") for part in parts if "." in part)
