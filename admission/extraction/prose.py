"""Indicators in running text: where they begin and end, and what only looks like one.

Every line is cut into words of bounded length, each word into bounded pieces,
and each piece is looked at once, so the time is linear in the text.
"""

import re
from collections.abc import Iterator, Sequence

from tocsin.admission.extraction.decode import words
from tocsin.admission.observables.ioc_types import (
    MAX_CHARACTERS,
    IocType,
    RecognisedIoc,
    may_be_ioc,
    recognise_ioc,
)
from tocsin.admission.observables.refang import join_spaced, refang

_SCHEME = re.compile(r"(?:https?|ftps?|sftp|wss?|tcp|udp)://", re.IGNORECASE)
_URL_END = re.compile(
    r"[\s\"<>`\u201c\u201d\u2018\u2019\u00ab\u00bb|^{}\\]|\]\(|'(?![\w%])|[,;](?=https?:)",
    re.IGNORECASE,
)
_PARTS = re.compile(r"[\s\"'<>`\u201c\u201d\u2018\u2019\u00ab\u00bb\u2022,;|^(){}]+")
_PIECES = re.compile(r"[\s\"'<>`\u201c\u201d\u2018\u2019\u00ab\u00bb\u2022,;|^=(){}!?&]+")
_TRIM = (
    " \t\ufeff\u200b\"'`<>,;|*-\u2013\u2014\u2022()[]{}.:!?~\u201c\u201d\u2018\u2019\u00a0"
    "\u3001\u3002\uff0c"
)
_PASSED = re.compile(r"\+{1,3}")
"""Around what AsciiDoc is to pass through as it is."""
_AROUND_URLS = " \t\ufeff\u200b\"'`<>,;|\u2022\u201c\u201d\u2018\u2019\u00a0"
_CLOSING = {")": "(", "]": "["}
_BULLET = re.compile(r"\A\s*(?:[-*+\u2022]|\d{1,4}[.)])\s+")
_VALUED = frozenset(".:@")
"""One of these stands in every value but hashes."""
_NEAR = 40
"""Characters before a value in which what it is may be said."""
_FILE_ENDINGS = words("py md sh so zip mov cab")
"""Top-level domains that in a text are nearly always the ending of a file's name."""
_PERHAPS_FILE_ENDINGS = words("pl rs ps app pub mk")
"""Likewise, but of longer names a host's: `run.pl` is a script, `shop.example.pl` is not."""
_COMMON = words(
    "com net org info biz edu gov mil int ru cn de uk fr nl eu jp kr ua pl us in br it xyz top"
    " online site club shop icu live vip onion co io me cc tk ml ga cf gq su ir pw ws"
)
_PACKAGES = ("com.", "org.", "net.", "android.", "java.", "jp.co.", "ru.", "cn.", "io.", "de.")
_NOT_HOSTS = words("asp.net ado.net vb.net node.js socket.io system.io")
_OTHER_HASHES = re.compile(
    r"(?:imp(?:ort)?[ _-]?hash|ja3s?|jarm|authenti[ _-]?hash|v[ _-]?hash|thumb[ _-]?print"
    r"|ssdeep|tlsh|serial|rich[ _-]?(?:pe[ _-]?)?hash|icon[ _-]?hash)(?:es)?\W{0,12}$",
    re.IGNORECASE,
)
_VERSION = re.compile(r"(?:version|release|build|firmware|\bver|\bv)\W{0,4}$", re.IGNORECASE)
_CAPITAL_END = re.compile(r"\.(?:[A-Z][a-z]+|[A-Z]{2,})$")
_CALL = re.compile(r"\.\w+\($")
_BRACKETS = re.compile(r"[\[\]]")
_UNDERSCORED = re.compile(r"_.*_")


def in_line(
    line: str, listing: bool, before: str = "", markup: bool = False
) -> Iterator[RecognisedIoc]:
    """The values in one line of text, in its order.

    In a `listing`, what stands alone on its line is taken at its word, even if
    it could as well be the name of a file.  `before` is what precedes the line.
    In `markup`, the live targets of words are for its readers.
    """
    plain = join_spaced(line)
    if not may_be_ioc(plain):
        return
    bare = _unbulleted(plain).strip(_TRIM)
    alone = bool(bare) and " " not in bare and "\t" not in bare
    found = _alone(bare, listing, plain) if alone else None
    if found is not None and (listing or _is_meant(found, bare, before)):
        yield found
        return
    words = plain.split()
    for number, word in enumerate(words):
        if _may_hold(word):
            yield from _in_word(word, _end(before, words, number), markup)


def _unbulleted(line: str) -> str:
    bullet = _BULLET.match(line)
    return line[bullet.end() :] if bullet else line


def _may_hold(word: str) -> bool:
    """Whether a word is long enough for a hash, or has the signs of another value within it."""
    if not may_be_ioc(word) or not 4 <= len(word) <= MAX_CHARACTERS * 4:
        return False
    return len(word) >= 32 or not word.isascii() or may_be_ioc(word.rstrip(".,"))


def _end(before: str, words: Sequence[str], number: int) -> str:
    """The last characters before the word of that number."""
    if not number:
        return before
    near = words[max(0, number - _NEAR // 2) : number]  # each has a sign at least, and a blank
    return " ".join((before, *near))[-_NEAR:]


def _alone(bare: str, listing: bool, line: str) -> RecognisedIoc | None:
    """What fills its line; in a text, URLs are cut out of their words instead."""
    if "://" not in (clear := refang(bare)):
        return recognise_ioc(clear)
    if not listing:
        return None
    whole = _unbulleted(line).strip(_AROUND_URLS)
    return recognise_ioc(_closed(refang(whole)))


def _is_meant(found: RecognisedIoc, bare: str, before: str) -> bool:
    """Whether what stands alone on a line of a text is a value."""
    if found.kind is IocType.DOMAIN:
        return _plausible(bare, refang(bare), True)
    return not _other_hash(found, before)


def _in_word(word: str, before: str, markup: bool) -> Iterator[RecognisedIoc]:
    clear = refang(word)
    written = frozenset(_PIECES.split(word)) if clear is not word else None
    position = 0
    for found in _SCHEME.finditer(clear) if "://" in clear else ():
        if found.start() < position:
            continue
        yield from _in_pieces(clear[position : found.start()], written, before)
        url, position = _url_at(clear, found.start())
        recognised = recognise_ioc(url)
        if recognised is not None and not (markup and _is_link(word, found.start(), url)):
            yield recognised
    yield from _in_pieces(clear[position:], written, before)


def _url_at(text: str, start: int) -> tuple[str, int]:
    """The URL that begins here, without what closes the sentence or the markup around it."""
    stop = _URL_END.search(text, start + 6)
    end = stop.start() if stop else len(text)
    url = text[start : min(end, start + MAX_CHARACTERS)]
    label = url.partition("?")[0].find("[", url.find("://") + 4)
    if label > 0:  # `https://example.com/a[words]` of AsciiDoc: no path has a bracket
        url, end = url[:label], start + label
    passed = _PASSED.match(text[max(0, start - 3) : start][::-1])
    if passed and url.endswith(passed[0]):
        url = url[: -len(passed[0])]
    return _closed(url), end


def _is_link(word: str, start: int, url: str) -> bool:
    """Whether a URL is a reference: the target of words of their own that can be clicked on.

    `[words](https://…)` in Markdown, `https://…[words]` in AsciiDoc.  What is defanged is not.
    """
    if not word.startswith(url, start):
        return False
    end = start + len(url)
    if word.startswith("[", end):
        return not word.startswith("[]", end)
    return word.endswith("](", 0, start)


def _closed(url: str) -> str:
    """A URL without the marks at its end that belong to the sentence around it."""
    surplus = {mark: url.count(mark) - url.count(_CLOSING[mark]) for mark in _CLOSING}
    end = len(url)
    while end and url[end - 1] in ".,;:!?'\"*_)]}>":
        mark = url[end - 1]
        if mark in surplus:
            if surplus[mark] <= 0:
                break
            surplus[mark] -= 1
        end -= 1
    return url[:end]


def _in_pieces(text: str, written: frozenset[str] | None, before: str) -> Iterator[RecognisedIoc]:
    """The values between signs; `written` are the pieces as they stood, if some were defanged."""
    if len(text) < 4:
        return
    for part in _PARTS.split(text) if "?" in text else (text,):
        found = _with_query(part, written) if "?" in part else None
        if found is not None:
            yield found
            continue
        last = before
        for piece in _PIECES.split(part):
            if 4 <= len(piece) <= MAX_CHARACTERS:
                defanged = written is not None and piece not in written
                found = _in_piece(piece, defanged, before)
                if found is not None and not any(_means_else(found, b) for b in {before, last}):
                    yield found
            last = piece or last


def _with_query(part: str, written: frozenset[str] | None) -> RecognisedIoc | None:
    """`evil.com/path?a=b`, whole: without its query it is another page."""
    path, _, query = part.strip(_TRIM).partition("?")
    if not query or "/" not in path or not 4 <= len(part) <= MAX_CHARACTERS:
        return None
    defanged = written is not None and not any(path.endswith(each) for each in written if each)
    found = _without_scheme(path, defanged)
    return None if found is None else recognise_ioc(f"http://{_closed(path + '?' + query)}")


def _in_piece(piece: str, defanged: bool, before: str) -> RecognisedIoc | None:
    if len(piece) < 32 and _VALUED.isdisjoint(piece):
        return None
    bare = piece.strip(_TRIM)
    if "_" in bare and _UNDERSCORED.fullmatch(bare):
        bare = bare.strip("_")
    if len(bare) < 4:
        return None
    found = recognise_ioc(piece) or (recognise_ioc(bare) if bare != piece else None)
    found = found or _after_colon(bare) or _beside_bracket(piece)
    if found is not None:
        if found.kind is IocType.DOMAIN and not defanged and not _plausible(bare, bare, False):
            return None
        if found.kind is IocType.IPV6 and not _like_ipv6(found.value):
            return None
        return found
    return _without_scheme(bare, defanged)


def _after_colon(bare: str) -> RecognisedIoc | None:
    """`domain:evil.com`, but not the port of a host."""
    label, colon, rest = bare.partition(":")
    return recognise_ioc(rest.strip(_TRIM)) if colon and label.isalnum() and "." in rest else None


def _beside_bracket(piece: str) -> RecognisedIoc | None:
    for part in _BRACKETS.split(piece)[:4] if "[" in piece or "]" in piece else ():
        found = recognise_ioc(part.strip(_TRIM))
        if found is not None:
            return found
    return None


def _without_scheme(bare: str, defanged: bool) -> RecognisedIoc | None:
    """`evil.com/path`: browsers read it as http."""
    name, slash, rest = bare.partition("/")
    if not slash or not rest or "\\" in bare or "." not in name:
        return None
    host = recognise_ioc(name)
    if host is None or host.kind not in (IocType.DOMAIN, IocType.IPV4) or "/" in host.value:
        return None
    if host.kind is IocType.IPV4 and not defanged and rest.isdigit():
        return None
    if host.kind is IocType.DOMAIN and not defanged and not _plausible(name, name, False):
        return None
    return recognise_ioc("http://" + bare)


def _plausible(word: str, clear: str, alone: bool) -> bool:
    """Whether something with a known ending is a host name rather than a name in a text."""
    if clear is not word and clear != word:
        return True
    bare = clear.strip(_TRIM).removeprefix("*.")
    lower = bare.lower()
    labels = lower.split(":")[0].split(".")
    if lower in _NOT_HOSTS or _like_a_file(labels):
        return False
    if lower.startswith(_PACKAGES) and (len(labels) > 3 or labels[-1] not in _COMMON):
        return False
    if labels[-1] in _COMMON and not alone:
        return not _misspelt(bare)
    return not _misspelt(bare) and (alone or not _camel(bare, labels))


def _like_a_file(labels: list[str]) -> bool:
    if labels[0] == "www":
        return False
    if labels[-1] in _PERHAPS_FILE_ENDINGS:
        return len(labels) == 2 and len(labels[0]) < 10
    return labels[-1] in _FILE_ENDINGS


def _misspelt(bare: str) -> bool:
    """`done.In` and `Agent.AE`: a sentence without its space, or the name of malware."""
    found = _CAPITAL_END.search(bare)
    return found is not None and not bare.isupper() and found[0] not in (".Com", ".Net", ".Org")


def _camel(bare: str, labels: list[str]) -> bool:
    name = bare.partition(":")[0]
    return not name.islower() or (len(labels) == 2 and (labels[0].isdigit() or len(labels[0]) == 1))


def _like_ipv6(value: str) -> bool:
    address = value.partition("/")[0]
    return address.count(":") >= 3 or (len(address) >= 6 and any(c.isdigit() for c in address))


def _other_hash(found: RecognisedIoc, before: str) -> bool:
    """A hash of something else than a file, as the word before it says."""
    if found.kind not in (IocType.MD5, IocType.SHA1) or not before:
        return False
    return _OTHER_HASHES.search(before) is not None


def _means_else(found: RecognisedIoc, before: str) -> bool:
    """What the word before it calls a hash of something else, or the version of a program."""
    if found.kind is IocType.IPV4:
        return _VERSION.search(before) is not None
    return _other_hash(found, before)
