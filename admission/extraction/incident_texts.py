"""Texts about an incident, in which a value may be a victim's or the writer's own.

A ticket, a chat or a mail to those who were attacked names both sides.  There a value is taken
for an attacker's only if it is defanged, or if words beside it, or above a list of them, say so.
"""

import re
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice
from typing import NamedTuple

from tocsin.admission.detectors.ip_addresses import is_private_address, mentions_private
from tocsin.admission.extraction import mailboxes
from tocsin.admission.extraction.field_names import is_user, names_senders, names_victims
from tocsin.admission.extraction.log_lines import remove_own_ends
from tocsin.admission.extraction.prose import find_in_line
from tocsin.admission.extraction.references_and_contacts import LineRole, closes_text
from tocsin.admission.lazy_patterns import compile_lazily
from tocsin.admission.observables.ioc_types import HASH_TYPES, IocType, RecognisedIoc
from tocsin.admission.observables.refang import refang
from tocsin.admission.word_lists import load_alternation, load_words

_PACKAGE = "tocsin.admission.extraction"
_DETECTORS = "tocsin.admission.detectors"
_SHARED_LISTS = ("own_words", "machine_words")
"""Lists of the detectors, which use them too."""
_MOST_LINES = 2_000
"""Lines of a text that a person may have written about an incident; longer ones are logs."""
_MOST_VALUES = 2_000
"""Different values of such a text."""
_LONGEST_LINE = 2_000
_MOST_AROUND = 300
"""Characters before a value, and after it, in which its sentence stands."""
_LONGEST_MACHINE = 30
"""Characters of words for a machine after `our`."""
_MOST_ABOVE = 30
"""Lines above a value in which the heading of its list is looked for."""
_MOST_PLACES = 50
"""Places of one value that are looked at."""
_MOST_IN_LINE = 20
"""Places in one line."""
_MOST_SEARCHED = 200_000
"""Characters around all values of a text in which words are looked for; further values are held."""
_MOST_IN_HEAD = 6
"""Lines of the head of a mail with which a text begins."""
_OF_PEOPLE = (LineRole.PEOPLE, LineRole.RECIPIENTS)
_HASHES = frozenset(HASH_TYPES.values())
_SPACED_LETTER = r"[\0-\u10ff](?<=\w)"
"""A regular expression of a letter; scripts from U+1100 on have no spaces between words."""


def _words(*names: str) -> re.Pattern[str]:
    """The entries of word lists."""
    entries = "|".join(
        load_alternation(_DETECTORS if each in _SHARED_LISTS else _PACKAGE, each) for each in names
    )
    return compile_lazily(rf"(?<!{_SPACED_LETTER})(?i:{entries})(?!{_SPACED_LETTER})")


_BLOCKED = _words("blocked_words")
_ATTACK = _words("attack_words", "blocked_words")
_CONNECTION = _words("connection_words")
_ORIGIN = _words("origin_words")
_WAY = _words("words_for_ways")
_OWN_SIDE = _words("words_of_own_side")
_OWNERS = _words("own_words", "your_words")
_MACHINE = _words("machine_words")
_IS = r"(?:is|was|are|were|ist|war|sind|lautet|est|était|es|era|é|è|jest|je|är)"
_BEFORE_OWN = compile_lazily(
    rf"(?:\s[^\W\d_][\w-]{{1,20}}){{0,3}}(?:\s{_IS})?[\s:(\"'`*=\[]{{0,4}}", re.IGNORECASE
)
"""The words between `our` and its value."""
_SENTENCE_END = compile_lazily(r"(?:(?<=[^\W_A-Z])|(?<=[)\]\"'»”%]))[.!?;]\s|[。！？；]")
_VALUE = compile_lazily(
    r"(?:h(?:tt|xx)ps?|ftp)://[^\s<>\"]+|[^\s<>(),;@]{1,64}@[\w.-]+"
    r"|(?<![\w.])\d{1,3}(?:\.\d{1,3}){3}(?::\d{1,5})?(?![\w])"
    r"|(?<![\w.@-])(?:[a-z0-9-]{1,63}\.){1,8}[a-z]{2,18}(?![\w-])",
    re.IGNORECASE | re.ASCII,
)
"""A possible value, in a line that is not defanged any more."""
_AFTER_TOKEN = compile_lazily(r"(?::\d{1,5})?[.,:;!?)\]}'\"*`]*$")
_JOINED = compile_lazily(
    rf"[\s,;/&|•*+-]*(?:{load_alternation(_PACKAGE, 'conjunctions')}\s)?[\s(<\"'`]*", re.IGNORECASE
)
"""Between two values of which a sentence says the same."""
_SAID_OF_IT = compile_lazily(
    rf"[\w:/]{{0,8}}[\s`*]*(?:[(\[=–—-]|,?\s?{_IS}\b|[はが은는이가是])([^()]{{0,60}})",
    re.IGNORECASE,
)
"""The words that speak of the value before them: `(C2)`, ` is a scanner`."""
_LABEL = compile_lazily(r"[\s>*•-]{0,20}([^\W\d][^:：=|@]{1,28})[:：=]\s*")
_LIST_ITEM = compile_lazily(r"[\s>#*+•|\d.)(\[\]`-]*")
_ARROW = compile_lazily(r"[-=~]{1,3}>|→|⇒|➜")
_CONJUNCTIONS = frozenset(load_words(_PACKAGE, "conjunctions"))
_GAP = compile_lazily(r"\S(?: {2,}|\t)\S")
"""Between the cells of a table that are lined up."""
_BETWEEN_CELLS = compile_lazily(r" {2,}|\t|\|")
_EXTORTION = compile_lazily(r"(?i)crypt(?:ed|ion|or)?\b|ransom|bitcoin")
"""Words of extortion texts; notices about an attack say `your network` too."""
_HIDDEN_SERVICE = compile_lazily(r"\.onion(?![\w.-])")
_WORD = compile_lazily(r"[^\W\d_]{2,}")
_FEWEST_WORDS = 5
"""Words of a line that is a part of a sentence."""


class _Phrase(NamedTuple):
    """A match in some words; false if there is none."""

    end: int
    length: int

    def __bool__(self) -> bool:
        return self.length > 0


_NONE = _Phrase(0, 0)


def tells_of_incident(lines: Sequence[str], roles: Sequence[LineRole | None]) -> bool:
    """True if a text names machines or people of its writer, or of those who were attacked.

    So does one that is signed, or that says `our server` or `your address`, or that has a private
    address beside a word.
    """
    if len(lines) > _MOST_LINES:
        return False
    return any(_names_own_side(*each) for each in zip(lines, roles, strict=True))


def _names_own_side(line: str, role: LineRole | None) -> bool:
    if not line or line.isspace():
        return False
    if role is LineRole.VICTIMS or (role in _OF_PEOPLE and "@" in line):
        return True
    start = line[:_LONGEST_LINE]
    if closes_text(line) or _names_own_machine(start) or remove_own_ends(start)[1]:
        return True
    label = _LABEL.match(start)
    if label and (is_user(label[1]) or names_victims(label[1])):
        return True
    words = [w for w in _WORD.findall(_VALUE.sub(" ", start)) if w.lower() not in _CONJUNCTIONS]
    if words and mentions_private(start):
        return True
    return "@" in start and len(words) >= _FEWEST_WORDS and _names_somebody(start)


def _names_own_machine(line: str) -> bool:
    """True for `our server`, and not for `our research`."""
    ends = (owner.end() for owner in _OWNERS.finditer(line))
    return any(_MACHINE.search(line[end : end + _LONGEST_MACHINE]) for end in ends)


def _names_somebody(line: str) -> bool:
    """True if a line has a mailbox that is not defanged."""
    if mailboxes.holds_message_ids(line):
        return False
    found = find_in_line(mailboxes.remove_log_fields(line), False)
    return any(each.kind is IocType.EMAIL and each.value in line.lower() for each in found)


def find_doubtful(
    lines: Sequence[str], found: Sequence[tuple[int, RecognisedIoc]]
) -> frozenset[RecognisedIoc]:
    """The values of a text about an incident of which nothing says that they are an attacker's.

    `found`: all its values, each with the number of a line from 0.
    """
    values = dict.fromkeys(value for _, value in found)
    if len(values) > _MOST_VALUES:
        return frozenset()
    text = _IncidentText(lines, [refang(each[:_LONGEST_LINE]).lower() for each in lines])
    places = text.index()
    for number, value in found:
        if number not in (lines_of := places[value.value.lower()]):
            lines_of.append(number)
    whole = "\n".join(lines)
    is_note = mailboxes.is_ransom_note(whole) and _EXTORTION.search(whole) is not None
    judged = {each: text.judge(each, places[each.value.lower()]) for each in values}
    return frozenset(
        each
        for each, is_attackers in judged.items()
        if not is_attackers and not (is_note and each.kind is IocType.EMAIL)
    )


@dataclass(slots=True)
class _IncidentText:
    lines: Sequence[str]
    clear: Sequence[str]
    """The lines in lower case, with values that are not defanged any more."""
    left: int = _MOST_SEARCHED
    """Characters that may still be searched."""

    def index(self) -> defaultdict[str, list[int]]:
        """The numbers of the lines in which what may be a value stands."""
        places = defaultdict[str, list[int]](list)
        for number, line in enumerate(self.clear):
            for token in _VALUE.findall(line):
                numbers = places[_AFTER_TOKEN.sub("", token)]
                if len(numbers) < _MOST_PLACES and number not in numbers[-1:]:
                    numbers.append(number)
        return places

    def judge(self, value: RecognisedIoc, numbers: Sequence[int]) -> bool:
        """True if a line with a value says that it is an attacker's, and none that it is not.

        Hashes, hidden services, and private addresses, which a rule refuses, are never doubtful.
        """
        if (
            value.kind in _HASHES
            or is_private_address(value.value)
            or _HIDDEN_SERVICE.search(value.value)
        ):
            return True
        found = [self._judge_in(value, number) for number in numbers]
        return True in found and None not in found

    def _judge_in(self, value: RecognisedIoc, number: int) -> bool | None:
        """True if a line says that a value in it is an attacker's, or defangs it.

        None if it says that it is somebody else's.
        """
        text = value.value.lower()
        places = re.finditer(rf"(?<![\w.-]){re.escape(text)}(?!\w|[.-]\w)", self.clear[number])
        if text not in self.lines[number].lower():
            return next(places, None) is not None
        found = {
            self._judge_at(value, number, *each.span()) for each in islice(places, _MOST_IN_LINE)
        }
        return None if None in found else True in found

    def _judge_at(self, value: RecognisedIoc, number: int, place: int, end: int) -> bool | None:
        """True if the words around one place of a value say so of it; None as `_judge_in`."""
        line = self.clear[number]
        label = _LABEL.fullmatch(line, 0, place)
        if label and _ATTACK.search(label[1]):
            return True
        before = line[max(0, place - _MOST_AROUND) : place]
        after = line[end : end + _MOST_AROUND]
        self.left -= len(before) + len(after)
        if self.left < 0:
            return None
        if line.count("|") > 1 or _GAP.search(before) or _GAP.search(after):
            # a row, of which other cells speak of it
            near, after = _BETWEEN_CELLS.sub(" | ", _VALUE.sub(" | ", f"{before} | {after}")), ""
        else:
            near, after = self._words_before(number, before), _say_of_it(after)
        said = _judge_words(near, after)
        if said is False and value.kind is IocType.EMAIL:
            said = self._judge_mailbox(number, near)
        if said is False and _LIST_ITEM.fullmatch(near):
            return self._is_listed(number)
        return said

    def _judge_mailbox(self, number: int, words: str) -> bool | None:
        """True if the words before a mailbox say that it is an attacker's.

        None if they say that it is a recipient's or the like.
        """
        if mailboxes.suggest_bystander(words):
            return None
        return mailboxes.suggest_attacker(words) and not self._is_of_writer(number)

    def _words_before(self, number: int, before: str) -> str:
        """The words of the sentence before a value, without others and what is said of these."""
        sentence = _SENTENCE_END.split(f"{self._text_above(number)} {before}")[-1]
        end = len(sentence)
        for found in reversed(list(_VALUE.finditer(sentence))):
            if _JOINED.fullmatch(sentence, found.end(), end) is None:
                return _ARROW.split(sentence[found.end() :])[-1]
            end = found.start()
        return _ARROW.split(sentence)[-1]

    def _text_above(self, number: int) -> str:
        """The end of the line above, if the sentence goes on."""
        above = self.clear[number - 1].rstrip() if number else ""
        return "" if above.endswith((".", "!", "?", ":", "|")) else above[-_MOST_AROUND:]

    def _is_of_writer(self, number: int) -> bool:
        """True for the sender of a text that begins as a mail."""
        label = _LABEL.match(self.lines[number])
        if label is None or not names_senders(label[1]):
            return False
        return sum(1 for line in self.lines[:number] if line.strip()) < _MOST_IN_HEAD

    def _is_listed(self, number: int) -> bool:
        """True if the line above a list says that it is of an attacker's values."""
        for above in range(number - 1, max(-1, number - _MOST_ABOVE), -1):
            line = self.clear[above][:_MOST_AROUND]
            if line.strip() and _VALUE.search(line) is None:
                heading = f"{self._text_above(above)} {line}"
                return _ATTACK.search(heading) is not None and not _last_own(heading)
        return False


def _judge_words(before: str, after: str) -> bool | None:
    """True if words around a value say that it is an attacker's, None if somebody else's."""
    own, attack = _last_own(before), max(_last(_ATTACK, before), _last_destination(before))
    if attack and _WAY.search(before, attack.end):
        attack = _NONE
    if own > attack or _last_own(after):
        return None
    return bool(attack) or _ATTACK.search(after) is not None


def _say_of_it(after: str) -> str:
    """The words in a sentence after a value, and those joined to it, that speak of it."""
    sentence = _SENTENCE_END.split(after, maxsplit=1)[0]
    start = 0
    for other in _VALUE.finditer(sentence):
        if _JOINED.fullmatch(sentence, start, other.start()) is None:
            sentence = sentence[: other.start()]
            break
        start = other.end()
    if found := _SAID_OF_IT.match(sentence, start):
        return found[1]
    return " ".join(_BLOCKED.findall(sentence, start))


def _last_own(words: str) -> _Phrase:
    """The last words for a victim's or the writer's machine, or for one that is to be allowed."""
    last = _last(_OWN_SIDE, words)
    for owner in _OWNERS.finditer(words):
        machine = _MACHINE.search(words[: owner.end() + _LONGEST_MACHINE], owner.end())
        if machine or _BEFORE_OWN.fullmatch(words, owner.end()):
            end = machine.end() if machine else len(words)
            last = max(last, _Phrase(end, end - owner.start()))
    return last


def _last_destination(words: str) -> _Phrase:
    """The last word that says that something went to the value after the words."""
    last = _last(_CONNECTION, words)
    return _NONE if _ORIGIN.search(words, last.end) else last


def _last(pattern: re.Pattern[str], words: str) -> _Phrase:
    """The last match of a pattern; of two that end at the same place, the longer one is greater."""
    return max(
        (_Phrase(m.end(), m.end() - m.start()) for m in pattern.finditer(words)), default=_NONE
    )
