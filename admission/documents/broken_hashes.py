"""Hashes that the width of a line or of a column broke into several words."""

from collections.abc import Sequence
from itertools import groupby, takewhile

from tocsin.admission.lazy_patterns import compile_lazily

HASH_DIGITS = (32, 40, 64, 128)
"""The numbers of digits of MD5, SHA-1, SHA-256 and SHA-512."""
_HEX = compile_lazily(r"[0-9A-Fa-f]{1,127}")
_OF_HASH = compile_lazily(r"[0-9A-Fa-f]{1,128}")
_DIGITS = {"md5": 32, "1": 40, "256": 64, "512": 128}
_KIND = compile_lazily(r"\b(?:sha-?)?(md5|(?<=sha)1|(?<=sha-)1|256|512)\b")
_SHORTEST_PART = 16
"""Digits of the shortest beginning of a hash that is taken for one."""
_AFTER_HASH = ",.;:)"
_MOST_LEADING = 2


def join_broken_hashes(text: str) -> str:
    """The text with hashes whole that the width of a column broke.

    >>> join_broken_hashes("44d88612fea8a8f36de8\\n2e1278abb02f")
    '44d88612fea8a8f36de82e1278abb02f'
    """
    lines = text.split("\n")
    joined: list[str] = []
    number = 0
    while number < len(lines):
        run = _find_run(lines, number)
        parts = group_parts([len(word) for word in run])
        if not parts:
            joined += lines[number : number + max(1, len(run) - 1)]
            number += max(1, len(run) - 1)
        for count in parts:
            joined.append("".join(map(str.strip, lines[number : number + count])))
            number += count
    return "\n".join(joined)


def _find_run(lines: list[str], number: int) -> list[str]:
    """The hexadecimal words that end the line, fill those below it, and begin the last of them."""
    run: list[str] = []
    for place in range(number, len(lines)):
        words = lines[place].split()
        word = words[0] if run and words else (words or [""])[-1]
        if run and len(words) > 1:
            word = word.rstrip(_AFTER_HASH)  # in a sentence
        if not _HEX.fullmatch(word) or (not run and len(word) < _SHORTEST_PART):
            break
        run.append(word)
        if len(run) > 1 and len(words) > 1:
            break
    return run


def join_words(text: str, kinds: Sequence[str] = ()) -> str:
    """The text of a cell with hashes whole of which the parts follow each other.

    The first of the texts `kinds` that names one kind of hash decides on their length.

    >>> join_words("of 44d88612fea8a8f36de8 2e1278abb02f")
    'of 44d88612fea8a8f36de82e1278abb02f'
    """
    joined: list[str] = []
    digits = next(filter(None, map(find_digits, kinds)), 0) if " " in text else 0
    for is_hex, run in groupby(text.split(" "), is_part_of_hash):
        words = list(run)
        lengths = list(map(len, words)) if is_hex else []
        place = 0
        for count in _group(lengths, digits) if digits else _group_any(lengths):
            joined.append("".join(words[place : place + count]))
            place += count
        joined += words[place:]
    return " ".join(joined)


def is_part_of_hash(word: str) -> bool:
    """True if a word has only hexadecimal digits, and not too many for a hash."""
    return _OF_HASH.fullmatch(word) is not None


def find_digits(text: str) -> int:
    """The number of digits of the hashes that a text names; 0 if it names none or several kinds."""
    named = set(_KIND.findall(text.lower()))
    return _DIGITS[named.pop()] if len(named) == 1 else 0


def is_rest_of_hash(text: str, word: str, heading: str) -> bool:
    """True if a word completes the hash that ends a cell, and is none by itself.

    That may look like another one: SHA-256 that is broken after 40 digits, like SHA-1.  If the
    `heading` names the kind, it says which words are parts.
    """
    lengths = _lengths_at_end(text)
    if digits := find_digits(heading):
        return 0 < sum(lengths) % digits <= digits - len(word)
    if len(word) in HASH_DIGITS:
        return False
    last = lengths[-1] if lengths else 0
    is_of_last = last in HASH_DIGITS and last + len(word) in HASH_DIGITS
    return _is_begun(lengths) or (is_of_last and len(word) >= _SHORTEST_PART)


def _lengths_at_end(text: str) -> list[int]:
    """The lengths of the last words of a cell that may be parts of hashes."""
    return list(map(len, takewhile(is_part_of_hash, reversed(text.split(" ")))))[::-1]


def _is_begun(lengths: list[int]) -> bool:
    """True if the last words of a cell are a hash that must go on elsewhere."""
    if not lengths or lengths[0] < _SHORTEST_PART or all(map(HASH_DIGITS.__contains__, lengths)):
        return False
    return sum(_group_any(lengths)) < len(lengths)


def _group_any(lengths: list[int]) -> list[int]:
    """The numbers of parts of each hash, rather all of several parts than only some."""
    for size in () if all(map(HASH_DIGITS.__contains__, lengths)) else HASH_DIGITS:
        groups = _group(lengths, size)
        if sum(groups) == len(lengths) and min(groups, default=0) > 1:
            return groups
    return group_parts(lengths) or _group_sizes(lengths)


def group_parts(lengths: list[int]) -> list[int]:
    """The number of lines of each hash in a run; empty if the parts do not fit any size.

    All hashes of a run have the same size, the smallest that fits.  Words that are hashes by
    themselves are not parts, unless others in the run are.  The run may begin with parts whose
    beginning stands on the page before.
    """
    if all(length in HASH_DIGITS for length in lengths):
        return []
    for start in range(min(_MOST_LEADING, len(lengths)) + 1):
        for size in HASH_DIGITS:
            if groups := _group(lengths[start:], size):
                return [1] * start + groups
    return []


def _group(lengths: list[int], size: int) -> list[int]:
    """The numbers of parts that add up to `size` again and again; empty if they do not.

    The last parts may be too few: the rest stands on the next page.
    """
    groups: list[int] = []
    total = count = whole = 0
    for length in lengths:
        total, count = total + length, count + 1
        if total > size or (total < size and length < _SHORTEST_PART):
            break
        if total == size:
            if whole and count == 2 and length < _SHORTEST_PART:
                break  # a hash, and a short word that follows it
            groups.append(count)
            total = count = whole = 0
        else:
            whole += length in HASH_DIGITS
    complete = total <= size and sum(groups) + count == len(lengths)
    return groups if complete and any(each > 1 for each in groups) else []


def _group_sizes(lengths: Sequence[int]) -> list[int]:
    """The numbers of parts of hashes of several sizes; empty if something is left."""
    groups: list[int] = []
    total = count = 0
    for length in lengths:
        total, count = total + length, count + 1
        if total in HASH_DIGITS:
            groups.append(count)
            total = count = 0
        elif length < _SHORTEST_PART:
            return []
    return [] if count else groups
