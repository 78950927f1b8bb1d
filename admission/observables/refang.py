"""Refang: undo the changes that make addresses not clickable.

`hxxps[://]evil[.]com` is `https://evil.com`.  Every expression here is bounded,
so that the time grows with the length of the text and with nothing else.
"""

import re

from tocsin.admission.lazy_patterns import compile_lazily

_SPACED = compile_lazily(r"(?:\[[ \t]?\.[ \t]?\]|\([ \t]?\.[ \t]?\)|\{[ \t]?\.[ \t]?\})[ \t]{0,2}")
AT_WORDS = "at|ät|aet|arroba|chiocciola|klammeraffe|kukac|małpa|собака|zavináč"
"""Words in brackets for an @, in several languages, as an alternation."""
DOT_WORDS = "dot|kropka|point|ponto|punkt|punto|точка"
"""Words in brackets for a dot; most are in sentences too, so blanks around them are not joined."""
_SPACED_WORD = compile_lazily(
    rf"[\[({{<][ \t]?(dot|{AT_WORDS}|@)[ \t]?[\])}}>][ \t]{{0,2}}", re.IGNORECASE
)
"""Both begin with a bracket, so that all other characters are passed over at once."""
_SPOKEN = compile_lazily(
    r"(?<![\w.+-])([a-z0-9._+-]{1,64}) at ([a-z0-9-]{1,63}(?: dot [a-z0-9-]{1,63}){1,6})\b",
    re.IGNORECASE,
)
_HTTP = r"(?:h[x*+]{1,3}p|h(?:tx|xt)p|meow)"
_SCHEME = compile_lazily(
    rf"(?<![A-Za-z]){_HTTP}(s|\(s\)|)(?=[:\[({{])|(?<![A-Za-z])http(\(s\))(?=[:\[({{])"
    rf"|[\[(](?:http|{_HTTP})(s?)[\])](?=[:\[({{])",
    re.IGNORECASE,
)
"""A defanged scheme: `hxxp(s)://`, of which `https` is the likelier, or `[http]://`."""
_FTP = compile_lazily(r"(?<![A-Za-z])fxp(s?)(?=[:\[({])", re.IGNORECASE)
_SIMPLE: tuple[tuple[re.Pattern[str], str], ...] = (
    (compile_lazily(r"\[:/{1,2}\]|\(:/{1,2}\)|\{:/{1,2}\}"), "://"),
    (compile_lazily(r"\[:\]|\(:\)|\{:\}"), ":"),
    (compile_lazily(r"\[/\]|\(/\)"), "/"),
    (
        compile_lazily(
            r"\[[.,]\]|\(\.\)|\{\.\}|<\.>|(?<=\w)\\\.(?=\w)"
            rf"|[\[({{<](?:{DOT_WORDS})[\])}}>]",
            re.IGNORECASE,
        ),
        ".",
    ),
    (compile_lazily(rf"[\[({{<](?:{AT_WORDS}|@)[\])}}>]", re.IGNORECASE), "@"),
    (compile_lazily(r"(?<=\w)\[\.(?=\w)|(?<=\w)\.\](?=\w)"), "."),
)
_HALF_CLOSED = compile_lazily(r"\.([A-Za-z]{2,24})\](?=$|[/:,;])")
_SUSPECT = compile_lazily(
    r"\[[.,:/@dDaA]|\([.:/@dDaA]|\{[.:@dDaA]|<\.>|\\\.|\.\]"
    rf"|[\[({{<](?i:{AT_WORDS}|{DOT_WORDS})[\])}}>]"
    r"|[hH]..[pP](?:\(|s?[\])])|[hH][tT][xX]"
    r"|h[xX*+]|H[xX*+]|m[eE][oO][wW]|M[eE][oO][wW]|f[xX][pP]|F[xX][pP]"
)
"""Each alternative begins with one character, so that all others are passed over at once."""
_PULLED_APART = compile_lazily(rf"[\[({{<][ \t]?(?:[.@]|(?i:dot|{AT_WORDS}))[ \t]?[\])}}>]")


def join_spaced(line: str) -> str:
    """Remove the spaces inside defanged values of a line.

    >>> join_spaced("evil [.] com and joe [at] evil [dot] com")
    'evil[.]com and joe[@]evil[.]com'
    >>> join_spaced("write to joe at evil dot com")
    'write to joe@evil.com'
    """
    bracketed = "[" in line or "(" in line or "{" in line or "<" in line
    if bracketed and _PULLED_APART.search(line):
        line = _join_around(_SPACED, line)
        line = _join_around(_SPACED_WORD, line)
    if " at " in line and " dot " in line:
        line = _SPOKEN.sub(_replace_spelled_out, line)
    return line


def refang(word: str) -> str:
    """A word as it would be clicked on; the same object if there is nothing to undo.

    >>> refang("hxxps[://]evil[.]com/a"), refang("evil[.com"), refang("plain.com")
    ('https://evil.com/a', 'evil.com', 'plain.com')
    """
    if not _SUSPECT.search(word):
        return word
    plain = word.replace("[.]", ".")
    if plain.startswith(("hxxp://", "hxxps://")):
        plain = "http" + plain[4:]
    if "]" not in plain and not _SUSPECT.search(plain):  # nothing else was done to it
        return plain
    plain = _SCHEME.sub(_replace_scheme, word)
    plain = _FTP.sub(r"ftp\1", plain)
    for form, meaning in _SIMPLE:
        plain = form.sub(meaning, plain)
    if "[" in word and "[" not in plain:
        plain = _HALF_CLOSED.sub(r".\1", plain)
    return word if plain == word else plain


def _replace_scheme(found: re.Match[str]) -> str:
    return "https" if any(found.groups()) else "http"


def _join_around(marks: re.Pattern[str], line: str) -> str:
    """The line with these marks in short form, without two spaces before each."""
    parts: list[str] = []
    at = 0
    for found in marks.finditer(line):
        before = line[at : found.start()]
        kept = before.rstrip(" \t")
        parts += (before[: max(len(kept), len(before) - 2)], _shorten_mark(found))
        at = found.end()
    return "".join((*parts, line[at:])) if parts else line


def _shorten_mark(found: re.Match[str]) -> str:
    word = found[1].lower() if found.re.groups else "dot"
    return "[.]" if word == "dot" else "[@]"


def _replace_spelled_out(found: re.Match[str]) -> str:
    return found[1] + "@" + found[2].replace(" dot ", ".").replace(" DOT ", ".")
