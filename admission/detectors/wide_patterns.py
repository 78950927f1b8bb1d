"""STIX patterns that match nearly everything, or what is known to be harmless or private.

A pattern is as wide as its widest alternative, and an alternative is wide if none of its
comparisons restricts it: it has only negations, comparisons of order, EXISTS, and LIKE or MATCHES
with little literal text.  LIKE and MATCHES are also tried on invented values, which no selective
expression matches, and on hosts and addresses that are harmless or private.

Regular expressions are hostile input: they run in an engine of linear time with a bounded size.
An expression that it cannot read is judged by its literal text alone, or not trusted where hosts
are compared.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from functools import lru_cache
from math import prod
from typing import NamedTuple

import jsonschema_rs

from tocsin.admission.detectors.ip_addresses import is_private_address
from tocsin.admission.errors import Malformed
from tocsin.admission.lazy_patterns import compile_lazily
from tocsin.admission.model import Observable
from tocsin.admission.observables.domain_names import is_public_suffix
from tocsin.admission.observables.values import HOST, referred_kind
from tocsin.admission.patterns.grammar import (
    Comparison,
    Node,
    Observation,
    Qualified,
    parse_pattern,
)


class Width(NamedTuple):
    """The reason for which a pattern is too wide."""

    sample: str = ""
    """The harmless or private value that it matches; empty if it matches nearly everything."""
    readable: bool = True
    """False if the engine cannot tell how wide it is."""


_WORDS_OF_WIDE = ("LIKE", "MATCHES", "EXISTS", "NOT", "!=", "<", ">")
"""No pattern without one of them is wide."""
_LONGEST_REMEMBERED = 4096
_LEAST_LITERALS_OF_HOSTS = 4
_LEAST_LITERALS = 3
_MAX_EXPRESSIONS = 128
"""Expressions of a pattern that are tried; further ones are like those that cannot be read."""
_LONGEST_COUNTED = 2_048
"""The literal text of longer expressions is not counted; they are tried all the same."""
_MAX_REPEATED = 2_000
_MAX_SIZE = 1 << 17
_MAX_SIZE_OF_CHARACTER = 128
"""Octets that the engine may use for an expression, and for each of its characters in addition."""

_HOST_KINDS = frozenset(("domain-name", "url", "ipv4-addr", "ipv6-addr", "email-addr"))
_INVENTED = "xk7qd2wz-mblo41-u9tyve3xk7qd2wzmblo41u9tyve3.q7w"
_INVENTED_TEXTS = (
    *("Xk7qd2wz-mblo41_u9 (tyve3).q7w", "xkqdwzmbloutyvexkqdwzmbloutyvexkqdwz", "4821907735162098"),
    *("3f9c0b7e5d1a48264c8e0f7b9d2a6153", "3f9c0b7e5d1a48264c8e0f7b9d2a61533f9c0b7e"),
    "3f9c0b7e5d1a48264c8e0f7b9d2a61533f9c0b7e5d1a48264c8e0f7b9d2a6153",
)
_NAMES = (
    *("google.com", "www.google.com", "mail.google.com", "google.co.uk", "google.de", "gmail.com"),
    *("youtube.com", "www.youtube.com", "facebook.com", "www.facebook.com", "instagram.com"),
    *("microsoft.com", "www.microsoft.com", "login.microsoftonline.com", "office.com", "live.com"),
    *("outlook.office365.com", "windowsupdate.com", "www.bing.com", "apple.com", "www.apple.com"),
    *("icloud.com", "amazon.com", "www.amazon.com", "cloudflare.com", "akamai.net", "github.com"),
    *("raw.githubusercontent.com", "wikipedia.org", "en.wikipedia.org", "mozilla.org", "yahoo.com"),
    *("linkedin.com", "www.linkedin.com", "paypal.com", "netflix.com", "twitter.com", "x.com"),
    *("dropbox.com", "adobe.com", "zoom.us", "yandex.ru", "baidu.com", "ocsp.digicert.com"),
)
_ADDRESSES = (
    *("8.8.8.8", "8.8.4.4", "1.1.1.1", "1.0.0.1", "9.9.9.9", "208.67.222.222", "17.253.144.10"),
    *("10.0.0.1", "127.0.0.1", "192.168.0.1", "192.168.1.1", "172.16.0.1", "172.20.10.1"),
    *("172.31.255.254", "169.254.169.254", "100.64.0.1", "0.1.1.1", "224.0.0.1", "255.255.255.255"),
)
_ADDRESSES_V6 = (
    *("2001:4860:4860::8888", "2606:4700:4700::1111", "2620:fe::fe", "2001:db8::1"),
    *("::1", "fe80::1", "fd00::1", "ff02::1"),
)
_SAMPLES = {
    "domain-name": _NAMES,
    "ipv4-addr": _ADDRESSES,
    "ipv6-addr": _ADDRESSES_V6,
    "url": tuple(
        f"{scheme}://{host}/"
        for host in (*_NAMES, "localhost", *_ADDRESSES)
        for scheme in ("https", "http")
    ),
    "email-addr": ("jane@gmail.com", "jane@outlook.com", "jane@yahoo.com", "jane@icloud.com"),
    HOST: (*_NAMES, *_ADDRESSES, *_ADDRESSES_V6),
}
"""By kind of value: well-known harmless ones, and private addresses."""


def find_width(pattern: str) -> Width | None:
    """The reason for which a STIX pattern is too wide; None if each alternative is restricted.

    None also for a pattern that cannot be parsed.

    >>> find_width("[domain-name:value LIKE '%.top']"), find_width("[file:name = 'a.exe']")
    (Width(sample='', readable=True), None)
    """
    if not any(word in pattern for word in _WORDS_OF_WIDE):
        return None
    return _remembered(pattern) if len(pattern) <= _LONGEST_REMEMBERED else _find(pattern)


def _find(pattern: str) -> Width | None:
    try:
        tree = parse_pattern(pattern)
    except Malformed:
        return None
    return _Judge().width(tree)


_remembered = lru_cache(maxsize=1024)(_find)


_ADDRESSES_LIKE = compile_lazily(r"((?:[0-9]{1,3}\.){1,3})%+")
_ADDRESSES_MATCHED = compile_lazily(r"\^((?:[0-9]{1,3}\\\.){1,3})(?:\.[*+]\$?)?")
_MATCHES_ONE = compile_lazily(r"\^((?:[\w:/@=&~ -]|\\[./?+-]|\.)+)\$")


def simplify(observable: Observable) -> Observable:
    """LIKE or MATCHES as the equality or the network that it comes to; any other as it is.

    >>> simplify(Observable("ipv4-addr", "value", "8.8.8.%", "LIKE"))[2:4]
    ('8.8.8.0/24', 'ISSUBSET')
    """
    if observable.operator not in ("LIKE", "MATCHES"):
        return observable
    value = observable.value
    is_like = observable.operator == "LIKE"
    found = (_ADDRESSES_LIKE if is_like else _ADDRESSES_MATCHED).fullmatch(value)
    if found is not None:
        numbers = re.findall("[0-9]+", found[1])
        network = ".".join([*numbers, "0", "0", "0"][:4]) + f"/{8 * len(numbers)}"
        return observable._replace(value=network, operator="ISSUBSET")
    found = None if is_like else _MATCHES_ONE.fullmatch(value)
    if found is None:
        return observable
    return observable._replace(value=found[1].replace("\\", ""), operator="=")


class _Judge:
    """Judges the comparisons of one pattern, and tries only some of its expressions."""

    def __init__(self) -> None:
        self._left = _MAX_EXPRESSIONS

    def width(self, node: Node) -> Width | None:
        """The width of a part of the pattern; None if each of its alternatives is restricted."""
        if isinstance(node, Comparison):
            return self._width_of_comparison(node)
        if isinstance(node, Observation):
            return self.width(node.test)
        if isinstance(node, Qualified):
            return self.width(node.part)
        widths = map(self.width, node.parts)
        if node.word == "OR":
            return next((each for each in widths if each is not None), None)
        return self._width_of_all(widths)

    def _width_of_all(self, widths: Iterable[Width | None]) -> Width | None:
        """The width of parts that all must match: the first that restricts ends the search."""
        found = []
        for each in widths:
            if each is None:
                return None
            found.append(each)
        return max(found)

    def _width_of_comparison(self, test: Comparison) -> Width | None:
        if test.operator in ("LIKE", "MATCHES") and not test.negated:
            self._left -= 1
            return _width_of_expression(test, tried=self._left >= 0)
        if test.operator in ("=", "IN", "ISSUBSET", "ISSUPERSET"):
            return Width() if test.negated else None
        return None if test.negated and test.operator == "!=" else Width()


def _width_of_expression(test: Comparison, *, tried: bool) -> Width | None:
    """The width of LIKE and MATCHES."""
    text, kind = test.values[0].text, _kind_of_value(test)
    expression = _as_expression(text) if test.operator == "LIKE" else _in_one_dialect(text)
    least = _LEAST_LITERALS_OF_HOSTS if kind else _LEAST_LITERALS
    if len(expression) <= _LONGEST_COUNTED and _least_literals(expression) < least:
        return Width()
    validator = _compile(expression) if tried else None
    if validator is None:
        return Width(readable=False) if kind else None
    if any(map(validator.is_valid, _invented(kind, expression))):
        return Width()
    samples = (*_SAMPLES.get(kind, ()), *_private_samples(kind, expression))
    sample = next(filter(validator.is_valid, samples), None)
    return None if sample is None else Width(sample)


def _kind_of_value(test: Comparison) -> str:
    """The kind of value by which samples are found; empty if there are none for it."""
    kind = referred_kind(test.kind, test.path)
    if kind is None:
        return test.kind if test.path == "value" and test.kind in _HOST_KINDS else ""
    return kind


def _as_expression(text: str) -> str:
    """LIKE as a regular expression."""
    escaped = re.sub(r"[^\w%]", lambda found: f"\\x{{{ord(found[0]):x}}}", text)
    body = re.sub("%+", lambda _: ".*", escaped).replace("_", ".")
    return f"^{body}$".replace("^.*", "", 1) if body.startswith(".*") else f"^{body}$"


_LOOK_AROUND = compile_lazily(r"\(\?<?[=!](?:[^()\\]|\\.){0,500}+\)", re.DOTALL)
_ENDS = {r"\A": "^", r"\Z": "$", r"\z": "$", r"\G": "", r"\K": "", r"\Q": "", r"\E": ""}
_ESCAPE = compile_lazily(r"\\(?:[AZzGKQE]|.)", re.DOTALL)


def _in_one_dialect(text: str) -> str:
    """A regular expression (PCRE) as the engine reads it; it may match more.

    Look-around without further groups is left out.
    """
    plain = _LOOK_AROUND.sub("", text) if "(?" in text else text
    return _ESCAPE.sub(lambda found: _ENDS.get(found[0], found[0]), plain).replace("(?>", "(?:")


_TOKEN = compile_lazily(
    r"""(?P<open>\((?:\?(?:[A-Za-z-]*:|P?<\w+>|'\w+'|(?=[A-Za-z-]+\))|<?[=!]))?)
      | (?P<close>\)) | (?P<either>\|)
      | (?P<count>[*?+]\??|\{\d{1,9}(?:,\d{0,9})?\}\??)
      | (?P<nothing>[\^$.]|\\[bBDSWAZzGK])
      | (?P<literal>\\x\{[0-9A-Fa-f]+\}|\\x[0-9A-Fa-f]{2}|\\.|\[\^?\]?(?:[^\]\\]|\\.)*+\]?|.)""",
    re.VERBOSE | re.DOTALL,
)


def _least_literals(expression: str) -> int:
    """Minimum number of literal characters and classes that an expression needs to match."""
    levels: list[list[int]] = [[0]]  # the alternatives of each open group
    last = 0  # of the latest piece
    for token in _TOKEN.finditer(expression):
        match token.lastgroup:
            case "open":
                levels.append([0])
            case "either":
                levels[-1].append(0)
            case "count":
                again = last * (_least_count(token[0]) - 1)
                levels[-1][-1] = min(levels[-1][-1] + again, _MAX_REPEATED)
                last = 0
            case _:
                last = _literals_of(token, levels)
                levels[-1][-1] += last
    return min(levels[-1])


def _literals_of(token: re.Match[str], levels: list[list[int]]) -> int:
    """The literal characters of a token that stands by itself, or of the group that it closes."""
    if token.lastgroup == "close":
        return min(levels.pop()) if len(levels) > 1 else 0
    return int(token.lastgroup == "literal")


def _least_count(quantifier: str) -> int:
    digits = re.match(r"\{(\d+)", quantifier)
    return min(int(digits[1]), _MAX_REPEATED) if digits else int(quantifier[0] == "+")


_COUNT = compile_lazily(r"\{(\d+)(?:,(\d*))?\}")


def _compile(expression: str) -> jsonschema_rs.Draft202012Validator | None:
    """A test for texts, in any case; None if the engine does not read the expression."""
    counts = (int((high or low)[:9]) for low, high in _COUNT.findall(expression))
    if prod(max(each, 1) for each in counts) > _MAX_REPEATED:
        return None
    size = _MAX_SIZE + _MAX_SIZE_OF_CHARACTER * len(expression)
    options = jsonschema_rs.RegexOptions(size_limit=size, dfa_size_limit=size)
    try:
        return jsonschema_rs.Draft202012Validator(
            {"pattern": f"(?is){expression}"}, pattern_options=options
        )
    except (jsonschema_rs.ValidationError, ValueError):
        return None


_WORD = compile_lazily(r"[a-z]{2,24}(?:\\?\.[a-z]{2,24}|\\x\{2e\}[a-z]{2,24})?", re.IGNORECASE)
_MAX_SUFFIXES = 8


def _invented(kind: str, expression: str) -> Iterator[str]:
    """Values that are nobody's, below each public suffix in an expression too."""
    if kind in ("", "ipv4-addr", "ipv6-addr"):
        yield from () if kind else _INVENTED_TEXTS
        return
    words = _WORD.findall(expression[:1024])
    names = [re.sub(r"\\x\{2e\}|\\\.", ".", each).lower() for each in words]
    suffixes = [each for each in dict.fromkeys(names) if is_public_suffix(each)][:_MAX_SUFFIXES]
    for name in (_INVENTED, *(f"{_INVENTED}.{suffix}" for suffix in suffixes)):
        if kind == "url":
            yield f"http://{name}/{_INVENTED}"
            yield f"https://{name}/"
        else:
            yield f"{_INVENTED}@{name}" if kind in ("email-addr", "mailbox") else name


_NUMBERS = compile_lazily(r"\^\(?((?:\d{1,3}(?:\\?\.|\\x\{2e\})){1,3})")


def _private_samples(kind: str, expression: str) -> Iterator[str]:
    """An address that begins with the numbers with which an expression does, if it is private."""
    found = _NUMBERS.match(expression) if kind in ("ipv4-addr", HOST) else None
    if found is None:
        return
    numbers = re.findall(r"\d+", found[1].replace(r"\x{2e}", "."))
    address = ".".join([*numbers, "1", "1", "1"][:4])
    if is_private_address(address):
        yield address
