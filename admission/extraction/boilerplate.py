"""What a text says of itself: who wrote it, whom to ask, what it refers to, whom it happened to.

Values in such lines are the writer's own, a reader's next page or a victim's,
so only those count that somebody made safe to be read, `evil[.]com`; and no
mailbox beside the name of somebody at all.
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from enum import Enum, auto
from functools import lru_cache
from itertools import chain

from tocsin.admission.extraction import mailboxes as _mailboxes
from tocsin.admission.extraction.decode import words
from tocsin.admission.extraction.prose import in_line
from tocsin.admission.observables.ioc_types import (
    HASH_TYPES,
    MAX_CHARACTERS,
    IocType,
    RecognisedIoc,
)
from tocsin.admission.observables.refang import join_spaced, refang


class Aside(Enum):
    """What a line is besides a place for values."""

    COMMENT = auto()
    PEOPLE = auto()  # who wrote the text, whom to ask, whom it happened to
    REFERENCE = auto()
    RULE = auto()  # of YARA
    SIGNATURE = auto()  # a rule of Snort or Suricata


_COMMENTS = ("#", "//", ";", "!")
_BULLET = r"[\s>#/;!*_+-]*+(?:\[?\d{1,3}[\].)]\s*+[*_]*+)?+"
_LABELLED = (
    r"authors?|reporters?|analysts?|maintainers?|contributors?|contacts?"
    r"|contact (?:us|person|point)|point of contact|phone|tel|telephone|credits?|feedback"
    r"|acknowledge?ments?|questions|to|cc|bcc|delivered-to|x-original-to|customers?|clients?"
    r"|victims?|recipients?|affected (?:users?|accounts?|organi[sz]ations?)"
    r"|upn|userprincipalname|watchers?|assignee|affected user|opened by|requested by"
    r"|autor(?:in|en|es)?|bearbeiter(?:in)?|melder(?:in)?|geschädigter?|nutzer(?:in)?|verfasser(?:in)?|ansprechpartner(?:in)?|kontakt|telefon|opfer|betroffene"
    r"|empf[äa]nger|auteurs?|destinataires?|victimes?|contacto|v[ií]ctimas?|destinatarios?"
    r"|afectad[oa]s?|autores|v[ií]timas?|destinat[áa]ri[oa]s?|contato|d[úu]vidas|telefone"
    r"|autor[ei]|contatt[oi]|vittim[ae]|destinatar[io]{1,2}|telefono|cell"
    r"|slachtoffers?|ontvangers?|vragen|melding|ofiar[ay]|odbiorca|zg[łl]oszenia|tel[ée]phone|an"
)
_SAID = (
    r"(?:prepared|written|authored|reported|analy[sz]ed|compiled|provided|maintained|published) by"
    r"|(?:for|any) (?:questions?|comments?|corrections?|feedback)|please (?:contact|send|forward)"
    r"|copyright|(?:erstellt|verfasst|gemeldet) (?:von|durch)|r[ée]dig[ée] par|signal[ée] par"
    r"|(?:redactado|elaborado|reportado) por|(?:redatto|segnalato|a cura) d[ai]|opgesteld door"
    r"|pour toute question|per informazioni|bei (?:rück)?fragen|rückmeldungen an"
)
_LABEL = re.compile(rf"{_BULLET}(?:{_LABELLED})[*_]*\s*[:=]", re.IGNORECASE)
_SENTENCE = re.compile(rf"{_BULLET}(?:feed )?(?:{_SAID})\b", re.IGNORECASE)
_CONTACT = re.compile(r"(?:^|[\s(])please contact\b", re.IGNORECASE)
_REFERRING = (
    r"references?|refs?|sources?|blog|read more|more info(?:rmation)?|see also"
    r"|(?:blog|full|original|public|our) ?(?:post|report|article|analysis)"
    r"|further (?:reading|information)|quellen?|referenz(?:en)?|siehe(?: auch)?"
    r"|weitere informationen|r[ée]f[ée]rences?|voir(?: aussi)?|en savoir plus"
    r"|referencias?|fuentes?|v[ée]ase|m[áa]s informaci[óo]n"
)
_REFERENCE = re.compile(rf"{_BULLET}(?:{_REFERRING})[*_]*\s*[:=]", re.IGNORECASE)
_POINTER = re.compile(
    r"\b(?:(?:information|details|analysis|report|article|more) (?:is |are )?(?:available |here )?"
    r"(?:at|on|in|from|here|via)|see):? {0,2}<?https?://[^\s\"<>]{1,2000}",
    re.IGNORECASE,
)
"""`more information at https://…` in the middle of a line."""
_REFERENCES = words(
    "references reference sources reporting bibliography credits acknowledgements acknowledgments"
    " quellen referenzen literatur références bibliographie referencias fuentes bibliografía"
    " further-reading external-references external-links external-analysis related-reading"
    " weiterführende-links"
)
"""Headings above what a text refers to."""
_HEADINGS = _REFERENCES | _mailboxes.HEADINGS
_RULED = re.compile(
    r"[#=*_\s]*(?:\d{1,2}(?:\.\d{1,2})?[.)]?\s)?([^\d./@,|()\[\]\"]{3,40}?)[#=*_:\s]*"
)
_HEADING = re.compile(r"\s*(?:#{1,6}|={1,6})\s+\S|\s*\S[^./@:]{0,60}:\s*$")
_UNDERLINE = re.compile(r"\s*([-=~^])\1{2,}\s*")
_YARA = re.compile(
    r"\s*(?:(?:private|global)\s+){0,2}rule\s+\w{1,200}\s*(?::[\w\s]{0,200})?\{?\s*$"
)
_LONGEST_RULE = 500
_HASH_OF_SAMPLE = re.compile(r"\s*\w{0,20}(?:hash|md5|sha|sample)\w{0,20}\s*=", re.IGNORECASE)
_SIGNATURE = re.compile(
    r"[\s#]*(?:alert|drop|reject\w{0,5}|pass|log|sdrop)\s+\w{1,20}\s+\S+\s+\S+\s+(?:->|<>)\s[^(]*\("
)
_CONTENT = re.compile(r'\bcontent\s*:\s*+(?:!\s*+)?"([^"]{1,2000})"')
_SENDER = re.compile(
    rf"{_BULLET}(?:from|(?:x-)?sender|reply-to|return-path|von|absender|de|exp[ée]diteur|remitente)"
    r"[*_`]*\s*[:|]",
    re.IGNORECASE,
)
_AFTER_HOST = re.compile(r"[/?#:]")
_FREE_MAIL = words(
    "gmail.com googlemail.com outlook.com hotmail.com live.com yahoo.com gmx.de gmx.net web.de"
    " protonmail.com proton.me mail.ru yandex.ru icloud.com aol.com qq.com 163.com t-online.de"
)
_NAMING = (None, Aside.PEOPLE, Aside.COMMENT)
_NOT_OF_HOSTS = re.compile(r"[^a-z0-9.-]+")
_CELLS = re.compile(r"[|\t]")
_PLAIN = frozenset((IocType.IPV4, IocType.IPV6, *HASH_TYPES.values()))


def asides(lines: Sequence[str], markup: bool) -> list[Aside | None]:
    """What each line is; in `markup` a line that begins with `#` is a heading."""
    found: list[Aside | None] = []
    referring = people = False
    rule_ends = _rules(lines)
    end = 0
    for number, line in enumerate(lines):
        end = max(end, rule_ends.get(number, 0))
        if _begins_section(lines, number):
            referring = _heading(line) in _REFERENCES
            people = _heading(line) in _mailboxes.HEADINGS
        elif people and not line.strip() and not _begins_section(lines, number - 1):
            people = False
        section = Aside.PEOPLE if people else Aside.REFERENCE if referring else None
        found.append(Aside.RULE if number < end else _aside(line, markup) or section)
    return found


def _aside(line: str, markup: bool) -> Aside | None:
    start = line[:400]
    if ("->" in start or "<>" in start) and _SIGNATURE.match(start):
        return Aside.SIGNATURE
    labelled = ":" in start or "=" in start
    if _of_people(start, labelled):
        return Aside.PEOPLE
    if not markup and line.lstrip(" \t\ufeff").startswith(_COMMENTS):
        return Aside.COMMENT
    return Aside.REFERENCE if labelled and _REFERENCE.match(start) else None


def _of_people(start: str, labelled: bool) -> bool:
    if (labelled and _LABEL.match(start)) or _SENTENCE.match(start):
        return True
    return "contact" in start.lower() and _CONTACT.search(start) is not None


def without_pointers(line: str) -> str:
    """A line without the URLs to which it sends its readers.

    >>> without_pointers("evil.com, see https://example.com/a for more")
    'evil.com,  for more'
    """
    return _POINTER.sub("", line) if "://" in line else line


def _begins_section(lines: Sequence[str], number: int) -> bool:
    line = lines[number]
    if len(line) > 80 or not line.strip():
        return False
    below = lines[number + 1] if number + 1 < len(lines) else ""
    if _HEADING.match(line) or _UNDERLINE.fullmatch(below):
        return True
    return _heading(line) in _HEADINGS


def _heading(line: str) -> str:
    found = _RULED.fullmatch(line)
    return "-".join(found[1].lower().split()) if found and len(line) <= 80 else ""


def _rules(lines: Sequence[str]) -> dict[int, int]:
    """Where rules of YARA begin, and the line after each."""
    found = {}
    for number, line in enumerate(lines):
        if "rule" in line[:40] and _YARA.match(line[:400]):
            end = _rule_end(lines, number)
            if end:
                found[number] = end
    return found


def _rule_end(lines: Sequence[str], start: int) -> int:
    condition = False
    for number in range(start + 1, min(len(lines), start + _LONGEST_RULE)):
        plain = lines[number].strip()
        if plain.startswith("condition"):
            condition = True
        if condition and (plain == "}" or plain.endswith(" }")):
            return number + 1
        if _YARA.match(lines[number][:400]):
            return 0
    return 0


def said_in(line: str, aside: Aside, markup: bool) -> Iterator[RecognisedIoc]:
    """The values of a line that count although it is an aside."""
    if aside is Aside.RULE:
        if _HASH_OF_SAMPLE.match(line[:80]):
            yield from (v for v in in_line(line, False) if v.kind in HASH_TYPES.values())
        return
    if aside is Aside.SIGNATURE:
        yield from in_line(line.partition("(")[0], False)
        for content in _CONTENT.findall(line):
            yield from (v for v in in_line(content, False) if v.kind is not IocType.EMAIL)
        return
    yield from _made_safe_in(line, aside, markup)


def _made_safe_in(line: str, aside: Aside, markup: bool) -> Iterator[RecognisedIoc]:
    safe = " ".join(word for word in join_spaced(line).split() if refang(word) is not word)
    if aside is Aside.COMMENT and not safe:
        return
    taken = {value.pattern for value in in_line(safe, False, "", markup)}
    for value in in_line(line, False, "", markup):
        if value.kind is IocType.EMAIL and aside is not Aside.REFERENCE:
            continue
        if value.pattern in taken or (value.kind in _PLAIN and aside is not Aside.COMMENT):
            yield value


@dataclass(frozen=True, slots=True)
class Bystanders:
    """Whose hosts and mailboxes a text names without making them safe, since they are no threat."""

    domains: frozenset[str]
    """Of the mailboxes beside the names of people, and in comments."""
    mailboxes: bool
    """Everybody with a mailbox that is written plainly, as others are made safe."""
    safe: frozenset[str]
    """The hosts that the text makes safe; if it does, everybody at a mailbox elsewhere."""
    ransom: bool
    """Nobody by the words before a mailbox: it is an attacker who writes."""

    def __contains__(self, said: tuple[RecognisedIoc, str]) -> bool:
        """Whether a value, said in a line, is theirs."""
        value, line = said
        if value.kind not in (IocType.DOMAIN, IocType.URL, IocType.EMAIL):
            return False
        if value.kind is IocType.EMAIL and self.theirs(value.value, line):
            return True
        host = value.value.partition("://")[2] or value.value.rpartition("@")[2]
        host = _AFTER_HOST.split(host, maxsplit=1)[0]
        if not any(_below(host, each) for each in self.domains):
            return False
        return host in _lower(line) and "hxxp" not in _lower(line)

    def theirs(self, address: str, line: str) -> bool:
        """Whether a mailbox in a line is no attacker's, by its writing and the words before it."""
        if _mailboxes.of_a_machine(line):
            return True
        place = _lower(line).find(address)
        if place < 0 or _SENDER.match(line):
            return False
        said = _mailboxes.before(line, place)
        if _mailboxes.of_a_person(said) and not self.ransom:
            return True
        if _mailboxes.of_a_threat(said):
            return False
        return self.mailboxes or (self._elsewhere(address) and not _alone(address, line))

    def _elsewhere(self, address: str) -> bool:
        domain = address.rpartition("@")[2]
        return bool(self.safe) and not any(
            _below(domain, each) or _below(each, domain) for each in self.safe
        )


@lru_cache(maxsize=2)  # asked for every value of the same line
def _lower(line: str) -> str:
    return line.lower()


def _below(host: str, domain: str) -> bool:
    return host == domain or host.endswith("." + domain)


def _alone(address: str, line: str) -> bool:
    """Whether a line is the mailbox and nothing else, or a cell of a table begins with it."""
    cells = [cell.strip(" \t`*-<>\u2022").lower() for cell in _CELLS.split(line)]
    return cells[0] == address or any(cell.startswith(address) for cell in cells[1:])


def bystanders(lines: Sequence[str], kinds: Sequence[Aside | None]) -> Bystanders:
    """Those of a text, given what its lines are."""
    reported = [line for line, aside in zip(lines, kinds, strict=True) if line and aside is None]
    text = "\0".join(reported)  # searched at once; no blank, so nothing spans two lines
    safe = frozenset(_made_safe(reported) if _mailboxes.DEFANGED.search(text) else ())
    known = Bystanders(frozenset(), _mailboxes.made_safe(text), safe, _mailboxes.ransom(text))
    people: set[str] = set()
    attacked: set[str] = set()
    attackers: set[str] = set()
    for line, aside in zip(lines, kinds, strict=True):
        for address in _mailboxes_in(line) if "@" in line and aside in _NAMING else ():
            if aside is not None:
                people.add(address.partition("@")[2])
            else:
                theirs = known.theirs(address, line[:1000])
                (attacked if theirs else attackers).add(address.partition("@")[2])
    domains = people | (attacked - attackers)
    return replace(known, domains=frozenset(domains - _FREE_MAIL - safe))


def _mailboxes_in(line: str) -> Iterator[str]:
    if not _mailboxes.of_a_machine(line):
        yield from (v.value for v in in_line(line[:1000], False) if v.kind is IocType.EMAIL)


def _made_safe(lines: Iterable[str]) -> Iterator[str]:
    """The hosts in lines that are defanged."""
    defanged = filter(_mailboxes.DEFANGED.search, lines)
    for word in chain.from_iterable(join_spaced(line).split() for line in defanged):
        if len(word) <= MAX_CHARACTERS and (clear := refang(word)) is not word:
            parts = _NOT_OF_HOSTS.split(clear.lower())
            yield from (part.strip(".-") for part in parts if "." in part)
