"""Find indicators in running text: where they begin and end, and what only looks like one.

Every line is cut into words of bounded length, each word into bounded pieces,
and each piece is tested once, so the time is linear in the text.
"""

import re
from collections.abc import Iterable, Iterator, Sequence

from tocsin.admission.extraction.field_names import holds_people, names_senders
from tocsin.admission.lazy_patterns import compile_lazily
from tocsin.admission.observables.domain_names import parse_known_host
from tocsin.admission.observables.ioc_types import (
    HASH_TYPES,
    MAX_CHARACTERS,
    SIGNS,
    TRANSPORTS,
    IocType,
    RecognisedIoc,
    may_be_ioc,
    recognise_ioc,
    recognise_without_scheme,
)
from tocsin.admission.observables.placeholders import (
    fill_placeholders,
    has_placeholder,
    may_have_placeholder,
)
from tocsin.admission.observables.refang import join_spaced, refang
from tocsin.admission.word_lists import load_words

_LONGEST_LINE = 65_536
_SCHEME = compile_lazily(r"(?:https?|ftps?|sftp|wss?|tcp|udp)://", re.IGNORECASE)
_WIDE_COMMAS = "\u3001\uff0c\uff1b"
"""Commas and the semicolon of Chinese and Japanese, which stand between values without blanks."""
_URL_END = compile_lazily(
    rf"[\s{_WIDE_COMMAS}\"<>`\u201c\u201d\u2018\u2019\u00ab\u00bb|^{{}}\\]"
    r"|\]\(|'(?![\w%])|[,;](?=https?:)",
    re.IGNORECASE,
)
_PARTS = compile_lazily(
    rf"[\s{_WIDE_COMMAS}\"'<>`\u201c\u201d\u2018\u2019\u00ab\u00bb\u2022\uff1a,;|^(){{}}]+"
)
_PIECES = compile_lazily(
    rf"[\s{_WIDE_COMMAS}\"'<>`\u201c\u201d\u2018\u2019\u00ab\u00bb\u2022\uff1a,;|^=(){{}}!?&]+"
)
_MARKS_IN_URLS = compile_lazily(r"[=!?&]")
"""Marks that part words in texts, and belong to paths and queries of URLs."""
_TRIM = (
    " \t\ufeff\u200b\"'`<>,;|*-\u2013\u2014\u2022()[]{}.:!?~\u201c\u201d\u2018\u2019\u00a0"
    f"\u3002{_WIDE_COMMAS}"
)
_PASSTHROUGH = compile_lazily(r"\+{1,3}")
"""Passthrough marks of AsciiDoc."""
_PASS_MACRO = compile_lazily(r"\bpass:[a-z,]{0,20}\[((?:[^\[\]]|\[[^\[\]]{0,20}\]){0,2000})\]")
_PASSED_THROUGH = (
    compile_lazily(r"\+\+\+((?:[^+]|\+(?!\+\+)){1,2000})\+\+\+"),
    compile_lazily(r"(?<![\w+])\+\+((?=\S)(?:[^+]|\+(?!\+)){1,2000}(?<=\S))\+\+(?![\w+])"),
    compile_lazily(r"(?<![\w+])\+((?=\S)[^+]{1,2000}(?<=\S))\+(?![\w+])"),
)
_AROUND_URLS = " \t\ufeff\u200b\"'`<>,;|\u2022\u201c\u201d\u2018\u2019\u00a0"
_CLOSING = {")": "(", "]": "["}
_BULLET = compile_lazily(r"\A\s*(?:[-*+\u2022]|\d{1,4}[.)])\s+")
_SHORTEST_HASH = min(HASH_TYPES)
_VALUE_SIGNS = frozenset(".:@")
"""Every value but a hash holds one of these."""
_NEAR = 40
"""Characters before a value in which a word may name its kind."""
_FIELD_OF_ATTACKER = compile_lazily(r"(?:source|url|dns|threat|file)(?:\.[a-z_]+){1,5}")
"""A field of an event (Elastic Common Schema) about its source or its content."""
_FILE_ENDINGS = frozenset(["py", "md", "sh", "so", "zip", "mov", "cab"])
"""Top-level domains that in a text are nearly always a file name extension."""
_PERHAPS_FILE_ENDINGS = frozenset(["pl", "rs", "ps", "app", "pub", "mk"])
"""Top-level domains that are one in short names only: `run.pl`, but not `shop.example.pl`."""
_COMMON_TLDS = frozenset(load_words("tocsin.admission.extraction", "common_tlds"))
_PACKAGES = ("com.", "org.", "net.", "android.", "java.", "jp.co.", "ru.", "cn.", "io.", "de.")
_NOT_HOSTS = frozenset(["asp.net", "ado.net", "vb.net", "node.js", "socket.io", "system.io"])
_OTHER_HASHES = compile_lazily(
    r"(?:imp(?:ort)?[ _-]?hash|ja3s?|jarm|authenti[ _-]?hash|v[ _-]?hash|thumb[ _-]?print"
    r"|ssdeep|tlsh|serial|rich[ _-]?(?:pe[ _-]?)?hash|icon[ _-]?hash)(?:es)?\W{0,12}$",
    re.IGNORECASE,
)
_VERSION = compile_lazily(r"(?:version|release|build|firmware|\bver|\bv)\W{0,4}$", re.IGNORECASE)
_CAPITAL_END = compile_lazily(r"\.(?:[A-Z][a-z]+|[A-Z]{2,})$")
_BRACKETS = compile_lazily(r"[\[\]]")
_HOST_WITH_ADDRESS = compile_lazily(r"([\w.-]{4,253})\[([0-9A-Fa-f.:]{7,45})\]\S{0,9}")
_KEYED_MAILBOX = compile_lazily(r"([a-z][\w.-]{0,40})=([^=@]{1,64})@")
_UNDERSCORED = compile_lazily(r"_.*_")


def remove_placeholders(line: str, markup: bool = False) -> tuple[str, int]:
    """A line without addresses that have a placeholder in brackets, and the number of these.

    >>> remove_placeholders("from http://evil.com/<user_id> or evil.org")
    ('from or evil.org', 1)
    """
    if not may_have_placeholder(line):
        return line, 0
    words = line.split()
    kept = [word for word in words if not _is_address_with_placeholder(word, markup)]
    return (" ".join(kept), len(words) - len(kept)) if len(kept) < len(words) else (line, 0)


def _is_address_with_placeholder(word: str, markup: bool) -> bool:
    if len(word) > MAX_CHARACTERS or not may_have_placeholder(word):
        return False
    clear = refang(word)
    if not has_placeholder(clear, markup):
        return False
    return next(find_in_line(fill_placeholders(clear), False), None) is not None


def remove_passthrough(line: str) -> str:
    """A line of AsciiDoc without the marks around text that is passed through as it is.

    >>> remove_passthrough("`+evil.com+`, ++a.com++, evil+++.+++org, pass:[b.com]")
    '`evil.com`, a.com, evil.org, b.com'
    """
    if "pass:" in line:
        line = _PASS_MACRO.sub(r"\1", line)
    if "+" in line:
        for marks in _PASSED_THROUGH:
            line = marks.sub(r"\1", line)
    return line


def split_line(line: str) -> Iterable[str]:
    """A line in parts of bounded length, cut between words where there are any."""
    return (line,) if len(line) <= _LONGEST_LINE else _cut(line)


def _cut(line: str) -> Iterator[str]:
    start = 0
    while len(line) - start > _LONGEST_LINE:
        cut = line.rfind(" ", start, start + _LONGEST_LINE)
        end = start + _LONGEST_LINE if cut <= start else cut
        yield line[start:end]
        start = end
    yield line[start:]


def may_hold_values(line: str) -> bool:
    """True if a line of text may hold a value, defanged or not; a quick test."""
    return may_be_ioc(line) or " dot " in line


def find_in_line(
    line: str, listing: bool, before: str = "", markup: bool = False
) -> Iterator[RecognisedIoc]:
    """The values in one line of text, in its order.

    In a `listing`, a word alone on its line is a value even if it could be a file name.
    `before` is the text that precedes the line.  In `markup`, targets of links that are
    not defanged are references, not values.
    """
    plain = join_spaced(line)
    if not may_be_ioc(plain):
        return
    bare = _strip_bullet(plain).strip(_TRIM)
    alone = bool(bare) and " " not in bare and "\t" not in bare
    alone = alone and (bare.isascii() or not any(map(bare.__contains__, _WIDE_COMMAS)))
    found = _recognise_whole_line(bare, listing, plain) if alone else None
    if found is not None and not _has_key(found) and (listing or _is_value(found, bare, before)):
        yield found
        return
    words = plain.split()
    for number, word in enumerate(words):
        if len(word) < _SHORTEST_HASH and SIGNS.isdisjoint(word):
            continue  # most words; as `may_be_ioc` says, without a call
        if _may_hold_value(word):
            yield from _find_in_word(word, _words_before(before, words, number), markup)


def _strip_bullet(line: str) -> str:
    bullet = _BULLET.match(line)
    return line[bullet.end() :] if bullet else line


def _may_hold_value(word: str) -> bool:
    """True if a word is long enough for a hash, or has the signs of another value within it."""
    if not may_be_ioc(word) or not 4 <= len(word) <= MAX_CHARACTERS * 4:
        return False
    return len(word) >= 32 or not word.isascii() or may_be_ioc(word.rstrip(".,"))


def _words_before(before: str, words: Sequence[str], number: int) -> str:
    """The last characters before the word with that number."""
    if not number:
        return before
    near = words[max(0, number - _NEAR // 2) : number]  # a word takes two characters at least
    return " ".join((before, *near))[-_NEAR:]


def _recognise_whole_line(bare: str, listing: bool, line: str) -> RecognisedIoc | None:
    """The value that fills its line; in running text, URLs are cut out of their words instead."""
    if "://" not in (clear := refang(bare)):
        return recognise_ioc(clear)
    if not listing:
        return None
    whole = _strip_bullet(line).strip(_AROUND_URLS)
    return recognise_ioc(_strip_closing(refang(whole)))


def _has_key(found: RecognisedIoc) -> bool:
    """True for `sender=joe@evil.com`, not for the address of a list, `joe=lab.org@evil.com`."""
    keyed = _KEYED_MAILBOX.match(found.value) if found.kind is IocType.EMAIL else None
    if keyed is None:
        return False
    known = names_senders(keyed[1]) or holds_people(keyed[1])
    return known or parse_known_host(keyed[2]) is None


def _is_value(found: RecognisedIoc, bare: str, before: str) -> bool:
    """True if a word that fills a line of running text is a value."""
    if found.kind is IocType.DOMAIN:
        return _is_plausible_host(bare, refang(bare), True)
    return not _is_other_hash(found, before)


def _find_in_word(word: str, before: str, markup: bool) -> Iterator[RecognisedIoc]:
    clear = refang(word)
    original = frozenset(_PIECES.split(word)) if clear is not word else None
    position = 0
    for found in _SCHEME.finditer(clear) if "://" in clear else ():
        if found.start() < position:
            continue
        yield from _find_in_parts(clear[position : found.start()], original, before)
        url, position = _cut_url(clear, found.start())
        recognised = recognise_ioc(url)
        if recognised is not None and not (markup and _is_link(word, found.start(), url)):
            yield recognised
    yield from _find_in_parts(clear[position:], original, before)


def _cut_url(text: str, start: int) -> tuple[str, int]:
    """The URL that begins at `start` and its end, without closing marks of sentence or markup."""
    stop = _URL_END.search(text, start + 6)
    end = stop.start() if stop else len(text)
    url = text[start : min(end, start + MAX_CHARACTERS)]
    label = url.partition("?")[0].find("[", url.find("://") + 4)
    if label > 0:  # `https://example.com/a[words]` in AsciiDoc: paths have no bracket
        url, end = url[:label], start + label
    passed = _PASSTHROUGH.match(text[max(0, start - 3) : start][::-1])
    if passed and url.endswith(passed[0]):
        url = url[: -len(passed[0])]
    return _strip_closing(url), end


def _is_link(word: str, start: int, url: str) -> bool:
    """True if a URL is the target of a link, and so a reference.

    `[words](https://…)` in Markdown, `https://…[words]` in AsciiDoc.  Defanged URLs are not.
    """
    if not word.startswith(url, start):
        return False
    end = start + len(url)
    if word.startswith("[", end):
        return not word.startswith("[]", end)
    return word.endswith("](", 0, start)


def _strip_closing(url: str) -> str:
    """The URL without marks at its end that belong to the sentence around it."""
    surplus = {mark: url.count(mark) - url.count(_CLOSING[mark]) for mark in _CLOSING}
    end = len(url)
    while end and url[end - 1] in ".,;:!?'\"*_)]}>\u3002":
        mark = url[end - 1]
        if mark in surplus:
            if surplus[mark] <= 0:
                break
            surplus[mark] -= 1
        end -= 1
    return url[:end]


def _find_in_parts(
    text: str, original: frozenset[str] | None, before: str
) -> Iterator[RecognisedIoc]:
    """The values between separators; `original`: the pieces as written, if defanged."""
    if len(text) < 4:
        return
    last = before
    has_marks = _MARKS_IN_URLS.search(text) is not None
    for part in _PARTS.split(text) if has_marks else (text,):
        rest, found = _split_url(part, original) if has_marks else (part, None)
        if found is not None:
            yield found
        for piece in _split_pieces(rest):
            if 4 <= len(piece) <= MAX_CHARACTERS:
                defanged = original is not None and piece not in original
                found = _recognise_piece(piece, defanged)
                if found is not None and not any(_is_otherwise(found, b) for b in {before, last}):
                    yield found
            last = piece or last


def _split_pieces(text: str) -> Iterator[str]:
    """The text between separators; a host with its address, `evil.com[198.51.100.7]`, is two."""
    for piece in _PIECES.split(text):
        beside = _HOST_WITH_ADDRESS.fullmatch(piece) if piece.count("[") == 1 else None
        yield from beside.groups() if beside else (piece,)


def _split_url(part: str, original: frozenset[str] | None) -> tuple[str, RecognisedIoc | None]:
    """The text before a URL without scheme, and the URL: `evil.com/path?a=b`, `evil.com/a=b`.

    Without its query, it would be another page.
    """
    path = part.find("/")
    if path < 0:
        path = part.find("?")
        if "=" not in part[path:]:
            return part, None
    if path < 4 or len(part) > MAX_CHARACTERS or not _MARKS_IN_URLS.search(part, path):
        return part, None
    start = max(part.rfind(mark, 0, path) for mark in "=!?&") + 1
    address = _strip_closing(part[start:].strip(_TRIM))
    place = _MARKS_IN_URLS.split(address, maxsplit=1)[0]
    path_begins = place if "/" in place else place + "/"
    defanged = original is not None and place not in original
    if _recognise_without_scheme(path_begins, defanged) is None:
        return part, None
    return part[:start], recognise_without_scheme(address)


def _recognise_piece(piece: str, defanged: bool) -> RecognisedIoc | None:
    if len(piece) < 32 and _VALUE_SIGNS.isdisjoint(piece):
        return None
    bare = piece.strip(_TRIM)
    if "_" in bare and _UNDERSCORED.fullmatch(bare):
        bare = bare.strip("_")
    if len(bare) < 4:
        return None
    if bare.count(":") == 2 and bare.rpartition(":")[2].lower() in TRANSPORTS:
        bare = bare.rpartition(":")[0]
    found = recognise_ioc(piece) or (recognise_ioc(bare) if bare != piece else None)
    found = found or _recognise_after_colon(bare) or _recognise_beside_bracket(piece)
    if found is not None:
        if (
            found.kind is IocType.DOMAIN
            and not defanged
            and not _is_plausible_host(bare, bare, False)
        ):
            return None
        if found.kind is IocType.IPV6 and not _is_plausible_ipv6(found.value):
            return None
        return found
    return _recognise_without_scheme(bare, defanged)


def _recognise_after_colon(bare: str) -> RecognisedIoc | None:
    """The value after a label, `domain:evil.com`, `source.ip:198.51.100.7`; not a host's port.

    Of a field of an event that may name its victim, only mailboxes of senders are values.
    """
    label, colon, rest = bare.partition(":")
    if not colon or "." not in rest:
        return None
    if label.isalnum() or _FIELD_OF_ATTACKER.fullmatch(label) or names_senders(label):
        return recognise_ioc(rest.strip(_TRIM))
    return None


def _recognise_beside_bracket(piece: str) -> RecognisedIoc | None:
    for part in _BRACKETS.split(piece)[:4] if "[" in piece or "]" in piece else ():
        found = recognise_ioc(part.strip(_TRIM))
        if found is not None:
            return found
    return None


def _recognise_without_scheme(bare: str, defanged: bool) -> RecognisedIoc | None:
    """`evil.com/path`, which browsers read as http; of `evil.com/` the host."""
    name, slash, rest = bare.partition("/")
    if not slash or "\\" in bare or "." not in name:
        return None
    host = recognise_ioc(name)
    if host is None or host.kind not in (IocType.DOMAIN, IocType.IPV4) or "/" in host.value:
        return None
    if host.kind is IocType.IPV4 and not defanged and rest.isdigit():
        return None
    if host.kind is IocType.DOMAIN and not defanged and not _is_plausible_host(name, name, False):
        return None
    return recognise_without_scheme(bare)


def _is_plausible_host(word: str, clear: str, alone: bool) -> bool:
    """True if a word with a known top-level domain is a host, not a file, package or typo."""
    if clear is not word and clear != word:
        return True
    bare = clear.strip(_TRIM).removeprefix("*.")
    lower = bare.lower()
    labels = lower.split(":")[0].split(".")
    if lower in _NOT_HOSTS or _looks_like_file_name(labels):
        return False
    if lower.startswith(_PACKAGES) and (len(labels) > 3 or labels[-1] not in _COMMON_TLDS):
        return False
    if labels[-1] in _COMMON_TLDS and not alone:
        return not _lacks_space(bare)
    return not _lacks_space(bare) and (alone or not _looks_like_code(bare, labels))


def _looks_like_file_name(labels: list[str]) -> bool:
    if labels[0] == "www":
        return False
    if labels[-1] in _PERHAPS_FILE_ENDINGS:
        return len(labels) == 2 and len(labels[0]) < 10
    return labels[-1] in _FILE_ENDINGS


def _lacks_space(bare: str) -> bool:
    """True for `done.In` and `Agent.AE`: a full stop without its space, or a malware name."""
    found = _CAPITAL_END.search(bare)
    return found is not None and not bare.isupper() and found[0] not in (".Com", ".Net", ".Org")


def _looks_like_code(bare: str, labels: list[str]) -> bool:
    name = bare.partition(":")[0]
    if len(labels) > 1 and not labels[-1].isascii():
        end = name.rpartition(".")[2]  # perhaps the next sentence: `слово.Москва`
        return end != end.lower() or len(labels[-2]) == 1
    return not name.islower() or (len(labels) == 2 and (labels[0].isdigit() or len(labels[0]) == 1))


def _is_plausible_ipv6(value: str) -> bool:
    address = value.partition("/")[0]
    return address.count(":") >= 3 or (len(address) >= 6 and any(c.isdigit() for c in address))


def _is_other_hash(found: RecognisedIoc, before: str) -> bool:
    """True if the word before a hash says that it is not the hash of a file."""
    if found.kind not in (IocType.MD5, IocType.SHA1) or not before:
        return False
    return _OTHER_HASHES.search(before) is not None


def _is_otherwise(found: RecognisedIoc, before: str) -> bool:
    """True if the word before it calls it another kind of hash, or a program's version."""
    if found.kind is IocType.IPV4:
        return _VERSION.search(before) is not None
    return _is_other_hash(found, before)
