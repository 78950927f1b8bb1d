"""Names and domains of partners in a text: in any spelling, and with what they are part of.

A name that is part of a host name or a mailbox is found as the whole host name or mailbox:
to mask only the name in `jane.doe@acme-grid.example` would publish the rest.  Longer terms
go before shorter ones.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache
from typing import NamedTuple

from tocsin.admission.detectors.disguises import encoded_texts, fold_letters, fold_text, remove_tags
from tocsin.admission.lazy_patterns import compile_lazily
from tocsin.admission.observables.domain_names import PRIVATE_TLDS, is_known_tld
from tocsin.admission.stix.mitre_attack import attack_names
from tocsin.admission.word_lists import load_words

SUBMITTER = "submitter's name"
OWN_TERM = "victim's name, domain or network"
"""A term of the submitter's record, as masks and findings name it."""

_START, _END = r"(?<![^\W_])", r"(?![^\W_])"
_CASE_SENSITIVE_LENGTH = 3
"""Up to this many letters a term is found only in its own case: `IT` is a common word."""
_EMBEDDED_LENGTH = 8
"""From this length on a name of several words is found inside longer words too."""
_BETWEEN_WORDS = r"(?:[\s_.+*`~-]|%20|\\){0,6}"
"""Between two words of a name, as in texts, Markdown, host names, queries and paths."""
_PARTS_OF_WORD = compile_lazily(r"(?<=[^\W\d_][a-zß-öø-ÿ]{2})(?=[A-ZÀ-ÖØ-Þ][a-zß-öø-ÿ]{2})")
"""Between the parts of a name in camel case: `KestrelGrid`."""
_BETWEEN_PARTS = r"(?:[_.+*`~-]|%20|(?-i:\s(?=[A-ZÀ-ÖØ-Þ]))){0,3}"
"""Blanks only before a capital letter: `power grid` is not of PowerGrid."""
_LEGAL_FORM_AT_END = compile_lazily(
    r"[\s,]+(?:gmbh(?:\s?&\s?co\.?\s?kg)?|ggmbh|ag|kg|ohg|e\.?\s?v\.?|se|inc\.?|llc|ltd\.?|limited"
    r"|plc|s\.?a\.?s?\.?|sarl|s\.?r\.?l\.?|s\.?p\.?a\.?|b\.?v\.?|n\.?v\.?|ab|a/?s|aps|oyj?|asa"
    r"|sp\.\s?z\s?o\.?\s?o\.?|s\.?r\.?o\.?|kft\.?|zrt\.?|pty)\Z",
    re.IGNORECASE,
)
"""The end of a company's name that texts leave out."""
_ORDINARY_WORDS = frozenset(
    (*load_words(__package__, "not_person_names"), *load_words(__package__, "organisation_words"))
)
_ALPHANUMERICS = compile_lazily(r"[^\W_]+")
_MOST_LABELS = 20

_DOT = r"(?:\\{0,4}\.|\s{0,2}[\[({<]\s?(?:\.|dot|punkt|point)\s?[\])}>]?\s{0,2}|\s?\.[\])}]\s?)"
_TERM_DOT = rf"(?:{_DOT}|\s{{1,3}}dot\s{{1,3}}|\s\.\s?)"
"""A dot inside a given domain: also spoken, with blanks, or with half of its brackets."""
_AT = r"(?:@|%40|\s{0,2}[\[({<]\s?(?:at|@)\s?[\])}>]\s{0,2})"
_LABEL = r"[\w-]{1,63}"
_LABEL_BEHIND = compile_lazily(rf"{_DOT}(?P<label>{_LABEL})", re.IGNORECASE)
_REST_OF_LABEL = compile_lazily(r"[\w-]{0,63}")
_MAILBOX_BEHIND = compile_lazily(
    rf"[\w.+%'-]{{0,64}}{_AT}(?:{_LABEL}{_DOT}){{1,8}}{_LABEL}", re.IGNORECASE
)

# What stands before is read backwards, from right to left: the pattern begins at a known place.
_DOT_BACKWARDS = (
    r"(?:\.\\{0,4}|\s{0,2}[\])}>]\s?(?:\.|tod|tknup|tniop)\s?[\[({<]\s{0,2}|\s?\.[\[({]\s?)"
)
_LABELS_BEFORE = compile_lazily(
    rf"[\w-]{{0,63}}(?:(?:{_DOT_BACKWARDS}|\s{{1,3}}tod\s{{1,3}})[\w-]{{1,63}}){{0,40}}(?:\.\*)?",
    re.IGNORECASE,
)
_LOCAL_PART_BACKWARDS = (
    rf"(?:\"[^\"\r\n]{{1,64}}\"|(?:[\w.+%'=#&~!-]|(?!\.){_DOT_BACKWARDS}){{1,128}})"
)
_CAPITALISED = r"[\w.'’-]{0,30}[A-ZÀ-Þ](?=[ ,:;(\"\r\n]|\Z)"
_DISPLAY_NAME_BACKWARDS = (
    r"(?:[ ]?<[ ]?(?:\"[^\"\r\n<>]{1,80}\"|=\?[^?\r\n<>]{1,120}\?[BQbq]\?[\w-]{2,20}\?="
    rf"|{_CAPITALISED}(?:[ ,]{{1,2}}{_CAPITALISED}){{0,3}})?)?"
)
_MAILBOX_BEFORE = compile_lazily(
    r"(?:@|04%|\s{0,2}[\])}>]\s?(?:@|(?i:ta))\s?[\[({<]\s{0,2}|\)(?i:a)\(|\s(?i:-ta-)\s)"
    f"{_LOCAL_PART_BACKWARDS}{_DISPLAY_NAME_BACKWARDS}"
)
_BOUNCED_BEFORE = compile_lazily(r"[=%][\w.+'=%-]{1,128}")
"""`list+jane=acme.example@…` or `jane%acme.example@…`: the mailbox is inside another one."""
_SPACED_MAILBOX_BEFORE = compile_lazily(rf"[ ]@[ ]?{_LOCAL_PART_BACKWARDS}")
_SPOKEN_MAILBOX_BEFORE = compile_lazily(
    r"\s{1,3}(?i:ta)\s{1,3}(?:[\w.+-]|\s(?i:tod)\s(?=\w)){1,64}"
)
"""`jane @ acme.example`, and `jane at acme dot example`."""
_MAY_END_BEFORE_BLANK = frozenset("])}>@tT.-")
"""Ends of an @ or a dot that has a blank behind it: `[at] `, `-at- `, ` dot `."""
_ACCOUNT_BEHIND = compile_lazily(
    r"\\{1,2}(?![\w.$-]{1,40}\.(?:exe|dll|sys|ps1|bat|cmd|vbs|js|lnk|log|txt|ini|dat|msi)\b)"
    r"[^\W_][\w.$-]{0,39}[\w$](?![\w\\/])",
    re.IGNORECASE,
)
"""The rest of `ACME\\jdoe`, of which the name is the domain."""
_LONGEST_BEFORE = 512
"""Characters before a term that are read for the rest of its host name and mailbox."""
_PRIVATE_TLDS = PRIVATE_TLDS.union(
    ("intern", "intra", "private", "priv", "domain", "ad", "example", "test", "invalid")
)
"""Endings of host names inside networks and in documents."""

_SHORTEST_DISGUISED = 4
"""Names with fewer letters are not looked for with digits in them or glued: too many words do."""
_SHORTEST_SPELLED = 3
_SHORTEST_WITH_WILDCARD = 6
_BETWEEN_LETTERS = r"[\s._·•/|*~+-]{1,2}"
_WRITTEN_AS = {
    **{"a": "[a4@]", "b": "[b8]", "e": "[e3]", "g": "[g9]", "i": "[i1!]", "l": "[l1!]"},
    **{"m": "(?:m|rn)", "o": "[o0]", "s": "[s5$]", "t": "[t7]", "w": "(?:w|vv)", "z": "[z2]"},
}
"""Signs that are read as a letter."""
_COLLAPSE = str.maketrans(
    {
        **dict(zip("4@8391!057$2l", "aabegiiostszi", strict=True)),
        **dict.fromkeys(" \t\r\n\v\f._\\/*~+-·•|'\"`^,;:()[]{}<>"),
    }
)
_GLUED = "corp|inc|group|bank|vpn|mail|hq|net"
"""Words that are often glued to a company's name in the same case."""
_WITHOUT_UMLAUTS = str.maketrans(
    {"ä": "ae", "ö": "oe", "ü": "ue", "Ä": "Ae", "Ö": "Oe", "Ü": "Ue", "ß": "ss", "ø": "oe"}
)


def is_name_with_wildcard(word: str, terms: tuple[str, ...]) -> bool:
    """True if a word is a name in which `_`, `?` or `.` stands in the place of one letter.

    >>> is_name_with_wildcard("nordw_nd", ("Nordwind",))
    True
    """
    if len(word) < _SHORTEST_WITH_WILDCARD:
        return False
    before, behind = re.split(r"[_.?]", word.lower(), maxsplit=1)
    return any(
        len(name) == len(word) and name.startswith(before) and name.endswith(behind)
        for name in _joined_names(terms)
    )


@lru_cache(maxsize=1024)
def _joined_names(terms: tuple[str, ...]) -> frozenset[str]:
    """The names in lower case without separators."""
    names = (each for each in _spellings(terms) if not is_domain_term(each))
    return frozenset("".join(_split_words(each)).lower() for each in names)


class TermMatcher:
    """Finds any of some terms, with the whole host name or mailbox that they are part of.

    `ACME Corp` is found as `acme-corp` and `ACMECorp`, `acme.example` as `acme[.]example`.
    Names are also found spelled out (`A.C.M.E.`), glued to other words (`AcmeVPN`) and with
    digits for letters (`4cm3`), and everything past the disguises of `detectors.disguises`.

    With `embedded`, for values: a domain is found inside a longer name too
    (`notacme.example`), and so are longer names of several words (`myacmecorpvpn`); spelled
    and glued names and digits are not, for values are full of such words.
    """

    def __init__(self, terms: tuple[str, ...], embedded: bool = False) -> None:
        plain = list(dict.fromkeys(_spellings(terms)))
        folded = list(dict.fromkeys(map(fold_letters, plain)))
        self._embedded = embedded
        self._longest_parts = set(map(_longest_part, plain))
        self._collapsed = dict.fromkeys(map(_collapsed_words, folded))
        self._patterns = _term_patterns(plain, embedded)
        self._folded = _term_patterns(folded, embedded)
        self._disguised: list[_Terms] = []
        self._glued: list[_Terms] = []
        if not embedded:
            names = [term for term in folded if not is_domain_term(term)]
            disguised = _disguised_patterns(names)
            self._disguised = [*_compile(disguised, re.IGNORECASE, is_domain=False)]
            self._glued = [*_compile(_glued_patterns(names), 0, is_domain=False)]

    def find(self, text: str) -> list[tuple[int, int]]:
        """Start and end of each place in the text, in no order; places may overlap."""
        if not self._patterns:
            return []
        places: list[tuple[int, int]] = []
        plain = set(_find(self._patterns, text)) if self._may_hold_term(text) else set()
        if self._may_hold_disguised(text):
            folded = fold_text(text)
            found = set(_find(self._disguised, folded.text))
            for glued in self._glued:
                found.update(_find_glued(glued.pattern, folded.text))
            if folded.text == text:
                plain |= found
            else:
                found.update(_find(self._folded, folded.text))
                places += (folded.original_span(*each) for each in _widen(folded.text, found))
        places += _widen(text, plain)
        for start, end, meaning in encoded_texts(text):
            if any(each.pattern.search(meaning) for each in self._patterns):
                places.append((start, end))
        return places

    def _may_hold_term(self, text: str) -> bool:
        """False for most texts: substrings tell that far sooner than the patterns."""
        if not text.isascii():  # other characters have more cases than lower() knows
            return True
        lower = text.lower()
        for part in self._longest_parts:  # noqa: SIM110  any() takes twice the time
            if part in lower:
                return True
        return False

    def _may_hold_disguised(self, text: str) -> bool:
        if self._embedded and text.isascii():
            return False
        collapsed = _collapse(remove_tags(fold_letters(text)))
        for longest, others in self._collapsed:  # noqa: SIM110
            if longest in collapsed and all(word in collapsed for word in others):
                return True
        return False


term_matcher = lru_cache(maxsize=1024)(TermMatcher)
"""The matcher for some terms, compiled once."""


class _Place(NamedTuple):
    """A place where a term stands, before it is widened."""

    start: int
    end: int
    is_domain: bool


class _Terms(NamedTuple):
    """One pattern for several terms."""

    pattern: re.Pattern[str]
    is_domain: bool


def _spellings(terms: Iterable[str]) -> Iterator[str]:
    """The terms that can be found, each with its other spellings.

    An internationalised domain is also written in ASCII, a German name without umlauts.
    """
    for term in terms:
        plain = term.strip(" .")
        if not _ALPHANUMERICS.search(plain):
            continue
        yield plain
        if short := _without_legal_form(plain):
            yield short
        if is_domain_term(plain):
            yield from _domain_spellings(plain)
        elif not plain.isascii():
            yield plain.translate(_WITHOUT_UMLAUTS)


def _without_legal_form(name: str) -> str:
    """A company's name without its legal form; empty if what is left is too common.

    One word is (`Delta` of Delta AG), and so are words of the language (`Internet Security`).
    """
    found = _LEGAL_FORM_AT_END.search(name)
    words = _split_words(name[: found.start()]) if found else []
    if len(words) < 2 or _ORDINARY_WORDS.issuperset(map(str.lower, words)):
        return ""
    return name[: found.start()] if found else ""


def is_domain_term(term: str) -> bool:
    """True for a domain name, and for nothing with blanks in it: `acme.example`."""
    return "." in term and not any(map(str.isspace, term))


def _domain_spellings(domain: str) -> Iterator[str]:
    for spell in (_to_ascii, _to_unicode):
        try:
            yield ".".join(spell(label) for label in domain.lower().split("."))
        except (UnicodeError, ValueError):  # no domain: found only as it is written
            return


def _to_ascii(label: str) -> str:
    return label if label.isascii() else "xn--" + label.encode("punycode").decode("ascii")


def _to_unicode(label: str) -> str:
    return label[4:].encode("ascii").decode("punycode") if label.startswith("xn--") else label


def _term_patterns(terms: Sequence[str], embedded: bool) -> list[_Terms]:
    """A pattern for the domains, and one for the other terms."""
    return [
        terms_pattern
        for is_domain in (True, False)
        for terms_pattern in _compile(
            [_term_pattern(t, embedded) for t in terms if is_domain_term(t) is is_domain],
            re.IGNORECASE,
            is_domain=is_domain,
        )
    ]


def _compile(patterns: Iterable[str], flags: int, *, is_domain: bool) -> Iterator[_Terms]:
    """One pattern of them all, longer ones first; none for none."""
    parts = sorted(dict.fromkeys(patterns), key=len, reverse=True)
    if parts:
        yield _Terms(re.compile("|".join(parts), flags), is_domain)


def _term_pattern(term: str, embedded: bool) -> str:
    if is_domain_term(term):
        pattern = re.escape(term).replace(r"\.", _TERM_DOT)
        may_follow_letters = embedded and len(term) > _CASE_SENSITIVE_LENGTH
        return f"{'' if may_follow_letters else _START}{pattern}{_END}"
    words = [
        _BETWEEN_PARTS.join(map(re.escape, _PARTS_OF_WORD.split(word))).replace(r"\.", _DOT)
        for word in _split_words(term)
    ]
    pattern = _BETWEEN_WORDS.join(words)
    if len(term) <= _CASE_SENSITIVE_LENGTH:
        pattern = f"(?-i:{pattern})"
    if embedded and len(words) > 1 and len(term) >= _EMBEDDED_LENGTH:
        return pattern
    return f"{_START}{pattern}{_END}"


def _longest_part(term: str) -> str:
    """The longest run of letters and digits that every spelling of a term has, in lower case."""
    parts = [term] if is_domain_term(term) else _split_parts(term)
    runs: list[str] = [run for part in parts for run in _ALPHANUMERICS.findall(part)]
    return max(runs, key=len).lower()


def _split_words(name: str) -> list[str]:
    return [word for word in re.split(r"[\s_-]+", name) if word]


def _split_parts(name: str) -> list[str]:
    """The words of a name, those in camel case apart."""
    return [part for word in _split_words(name) for part in _PARTS_OF_WORD.split(word)]


def _disguised_patterns(names: Iterable[str]) -> Iterator[str]:
    """Names spelled letter by letter, and with digits for letters."""
    for name in names:
        words = _split_words(name)
        letters = sum(map(len, words))
        if letters >= _SHORTEST_SPELLED:
            spelled = [_BETWEEN_LETTERS.join(map(re.escape, word)) for word in words]
            either = [f"(?:{s}|{re.escape(w)})" for s, w in zip(spelled, words, strict=True)]
            pattern = _BETWEEN_WORDS.join(either)
            if letters < _SHORTEST_DISGUISED:
                pattern = f"(?-i:{pattern})"
            yield f"{_START}{pattern}{_END}"
        if letters >= _SHORTEST_DISGUISED:
            read = ["".join(_WRITTEN_AS.get(c.lower(), re.escape(c)) for c in w) for w in words]
            yield f"{_START}{_BETWEEN_WORDS.join(read)}{_END}"


def _glued_patterns(names: Iterable[str]) -> Iterator[str]:
    """Names next to other words without a sign between: `AcmeVPN`, `MyACME`, `ACMECorpVPN`."""
    for name in names:
        words = _split_parts(name)
        joined = re.escape("".join(words))
        if len(joined) < _SHORTEST_DISGUISED or not joined.isascii():
            continue
        titles = {_join_title(_split_words(name)), _join_title(words)}
        lower, upper = joined.lower(), joined.upper()
        before, behind = rf"(?:{_START}|(?<=[a-z0-9]))", rf"\d{{1,4}}{_END}|{_END}"
        yield rf"{before}(?:{'|'.join(sorted(titles))})(?=[A-Z]|{behind})"
        yield rf"{before}(?:{upper})(?=[a-z]|(?:{_GLUED.upper()}){_END}|{behind})"
        yield rf"{_START}(?:{lower})(?=[A-Z]|(?:{_GLUED}){_END}|\d{{1,4}}{_END})"
        if len(words) > 1:  # `acmeCorpVPN`
            camel = re.escape(words[0].lower()) + _join_title(words[1:])
            yield rf"{_START}(?:{camel})(?=[A-Z]|{behind})"
        if joined not in (*titles, lower, upper):  # `ACMECorp`
            start = before if joined[0].isupper() else _START
            yield rf"{start}(?:{joined})(?={'[a-z]' if joined[-1].isupper() else '[A-Z]'}|{behind})"


def _join_title(words: Iterable[str]) -> str:
    """The words in camel case: `AcmeCorp`."""
    return "".join(re.escape(word[:1].upper() + word[1:].lower()) for word in words)


def _collapse(text: str) -> str:
    """The text without separators and with letters for digits, for a quick question.

    `m` becomes `rn`, never the reverse: without blanks `for n…` holds an `rn` that is no `m`.
    """
    return text.lower().translate(_COLLAPSE).replace("m", "rn").replace("w", "vv")


def _collapsed_words(term: str) -> tuple[str, tuple[str, ...]]:
    """The longest word of a term and the others, as `_collapse` leaves them in a text.

    Words and labels one by one: `%20` and a spoken dot between them are not collapsed.
    """
    words = filter(None, map(_collapse, re.split(r"[\s_.-]+", term)))
    longest, *others = sorted(words, key=len, reverse=True) or [""]
    return longest, tuple(others)


def _find(patterns: Iterable[_Terms], text: str) -> Iterator[_Place]:
    for pattern, is_domain in patterns:
        for found in pattern.finditer(text):
            yield _Place(*found.span(), is_domain)


def _find_glued(pattern: re.Pattern[str], text: str) -> Iterator[_Place]:
    """As `_find`, without names of malware and actors: `RedDelta` is not of Delta Bank."""
    for found in pattern.finditer(text):
        start, end = found.span()
        before = _REST_OF_LABEL.match(text[max(0, start - 32) : start][::-1])
        behind = _REST_OF_LABEL.match(text, start)
        word = (before[0][::-1] if before else "") + (behind[0] if behind else "")
        if word.lower() not in attack_names():
            yield _Place(start, end, is_domain=False)


def _widen(text: str, places: Iterable[_Place]) -> list[tuple[int, int]]:
    """The places with the whole host name or mailbox that each is part of, in order.

    Each part of the text is read a bounded number of times, however many terms stand in it.
    """
    widened: list[tuple[int, int]] = []
    last_end = no_host_until = 0
    for start, end, is_domain in sorted(places, key=lambda place: (place.start, -place.end)):
        if end <= last_end:
            continue
        is_host, new_end = is_domain, end
        if not is_domain and text[end : end + 3].strip()[:1] and end >= no_host_until:
            mailbox = _MAILBOX_BEHIND.match(text, end)
            new_end, read = (mailbox.end(), end) if mailbox else _host_end(text, end)
            is_host = new_end > end
            no_host_until = end if is_host else read
        earliest = max(last_end, start - _LONGEST_BEFORE)
        new_start = _start_before(text, earliest, (start, end), is_host)
        bounced = _BOUNCED_BEFORE.match(text[earliest:new_start][::-1])
        if bounced and (mailbox := _MAILBOX_BEHIND.match(text, end)):
            new_start, new_end = new_start - bounced.end(), mailbox.end()
        new_end = _account_end(text, new_start, new_end)
        widened.append((new_start, new_end))
        last_end = new_end
    return widened


def _account_end(text: str, start: int, end: int) -> int:
    """The end of the account of which a place is the domain; in a path there is none."""
    if text[end : end + 1] != "\\" or text[max(0, start - 1) : start] in ("\\", "/"):
        return end
    account = _ACCOUNT_BEHIND.match(text, end)
    return account.end() if account else end


def _start_before(text: str, earliest: int, place: tuple[int, int], is_host: bool) -> int:  # noqa: FBT001
    """The start of the labels and the mailbox before a place."""
    start, end = place
    last = text[max(earliest, start - 4) : start].rstrip()[-1:]
    if not last or not (start and text[start - 1] == last) and last not in _MAY_END_BEFORE_BLANK:
        return start
    before = text[earliest:start][::-1]
    labels = _LABELS_BEFORE.match(before)
    if labels and (is_host or not before[:1].isalnum() and before[:1] not in ("-", "_")):
        start -= labels.end()
        before = before[labels.end() :]
    mailbox = _MAILBOX_BEFORE.match(before)
    if mailbox is None and is_host:
        spoken = " dot " in text[place[0] : end].lower()
        mailbox = (_SPOKEN_MAILBOX_BEFORE if spoken else _SPACED_MAILBOX_BEFORE).match(before)
    return start - mailbox.end() if mailbox else start


def _host_end(text: str, end: int) -> tuple[int, int]:
    """The end of the host name whose labels begin before `end`, and how far was read.

    The first is `end` if no label is a top-level domain.
    """
    rest = _REST_OF_LABEL.match(text, end)
    place = rest.end() if rest else end
    last = end
    for _ in range(_MOST_LABELS):
        label = _LABEL_BEHIND.match(text, place)
        if label is None:
            break
        place = label.end()
        name = label["label"].lower()
        if name in _PRIVATE_TLDS or is_known_tld(name):
            last = place
    return last, place
