r"""Passwords on the command lines of programs that log in: `net use … S3cret /user:CORP\jane`.

Attackers' tools that log in with stolen accounts are among them.  Other programs are not known
here: those that pack archives, and malware with switches of its own, have passwords that belong
to attackers.  Commands are found as in a log, in JSON or in a pattern,
so several backslashes count as one, and those before a quotation mark belong to it.

Possessive quantifiers (`++`) keep the patterns from trying the same stretch in several ways: a
partner may send a megabyte of backslashes and blanks behind `net use`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import zip_longest
from typing import NamedTuple

from tocsin.admission.detectors.placeholders import PLACEHOLDER
from tocsin.admission.detectors.spans import Span
from tocsin.admission.detectors.text_search import contains_any
from tocsin.admission.lazy_patterns import compile_lazily
from tocsin.admission.observables.domain_names import is_known_tld
from tocsin.admission.word_lists import load_alternation

COMMAND_PASSWORD = "password in a command"  # noqa: S105  the words for it, no secret

_LONGEST_COMMAND = 600
"""Characters behind the name of a program that belong to its command."""
_END = compile_lazily(r"(?<![\\^])\r|(?<![\\^\r])\n|;\s|\s(?:\|\|?|&&?)\s")
"""The end of a command in a text or a script; a line may be continued (`\\`, `^`)."""
_NOT_PASSWORD = compile_lazily(load_alternation(__package__, "not_passwords"), re.IGNORECASE)
_AROUND = "`.,;:)]"
"""Characters of the text around a command, behind its last argument."""
_QUOTES = "\"'\u2018\u2019\u201c\u201d"
_QUOTE = rf"(?:\\{{0,4}}[{_QUOTES}])"
_BARE = rf"(?![`=,;)\]}}/-])[^\s{_QUOTES}]{{1,128}}+(?=[\s{_QUOTES}]|$)"
_PASSWORD = rf"""(?:
    \\{{0,4}}"(?P<quoted>(?![\s,;)\]}}/-])[^"\r\n]{{1,128}}+)"
  | {_QUOTE}?(?P<bare>{_BARE})
)"""
"""With the backslashes before a closing quotation mark, which `_span` leaves out."""
_LOGIN = (
    rf"""{_QUOTE}?(?P<login>(?!(?i:anonymous|ftp):)[^\s:"']{{1,64}}+:(?P<bare>(?!//){_BARE}))"""
)
"""`user:password`, which is masked as a whole."""
_USER = r"""(?:\\{0,4}"[^"\r\n]{1,80}+"|(?!\w{1,8}://)[^\s"&|]{1,80}+(?<![,;]))"""
_SHARE = r"""(?:\\{0,4}"\\{2,8}+[^"\r\n]{1,200}+"|'?(?:\\{2,8}+|https?://)[^\s"']{1,200}+'?)"""
_ARGUMENT = rf"""(?:\\{{0,4}}"[^"\r\n]{{0,200}}+"|'[^'\r\n]{{0,200}}+'|[^\s{_QUOTES}])++"""


class _Program(NamedTuple):
    """A program that logs in somewhere."""

    word: str
    """A part of its name, in lower-case ASCII: a quick test."""
    name: re.Pattern[str]
    arguments: tuple[re.Pattern[str], ...]
    """The places of a password in its command; those of several may be the same."""
    directly: bool
    """True if they match from its name on, so that options of others are not taken for its own."""


def _program(word: str, name: str, *arguments: str, directly: bool = False) -> _Program:
    return _Program(
        word,
        compile_lazily(rf"(?<![\w.@-])(?:{name})(?![\w.-])", re.IGNORECASE),
        tuple(compile_lazily(each, re.VERBOSE) for each in arguments),
        directly,
    )


_BEFORE_USER = rf"\s{_SHARE}\s++{_PASSWORD}{_QUOTE}?(?:\s++/\w++:\w++){{0,3}}\s++/(?i:u(?:ser)?):"
_BEHIND_USER = rf"/(?i:u(?:ser)?):{_USER}\s++(?:{_SHARE}\s++)?+(?![a-zA-Z]:\s)"
_IS_LAST = rf"(?=`?{_QUOTE}?\s*+(?:$|/\w|[\"'\])]))"
_LOOKS_RANDOM = rf"(?=[^\s{_QUOTES}]{{0,128}}[\d!@\#$&*?])"
"""So that no further word of a sentence is a password: `/user:CORP\\jane and then …`."""
_USER_THEN = rf"""\s[-/](?i:u)\s++{_USER}(?:\s++[-/](?!(?i:p)\s)\w{{1,12}}+(?!\S)){{0,4}}
    \s++[-/](?i:p)\s++"""
_USER_THEN_PASSWORD = f"{_USER_THEN}{_PASSWORD}"
_WITHOUT_USER = rf"""\s{_SHARE}(?<![,;:.)])\s++{_QUOTE}?
    (?!\S{{0,128}}\.(?i:[a-z]{{2,4}}|ps1)\b|(?i:CVE)-)
    (?=[^\s{_QUOTES}\\/:<>|%&]{{5,128}}(?:[\s\\{_QUOTES}]|$))
    (?=\S{{0,128}}[A-Za-z])(?=\S{{0,128}}[\d!@\#$?])(?P<bare>\w{_BARE})
    (?=`?{_QUOTE}?\s*+(?:$|/(?i:persistent|savecred|global|transport)|["'\])]))"""
"""Behind a share without `/user:`, where a plain word would belong to a sentence."""
_OF_IMPACKET = (
    r"psexec|wmiexec|smbexec|atexec|dcomexec|secretsdump|smbclient|lookupsid|samrdump|rpcdump|reg"
    r"|services|netview|mssqlclient|getuserspns|getnpusers|getadusers|getst|gettgt|ticketer"
    r"|addcomputer|goldenpac|findDelegation|tstool|rbcd|dacledit|owneredit"
)
_TARGET = rf"""(?:\s++-\S{{1,80}}+(?:\s++(?!-)[^\s@]{{1,80}}+(?!\S))?+){{0,16}}+
    \s++{_QUOTE}?(?:[\w.-]{{1,64}}(?:/|\\{{1,8}}))?
    (?P<login>[\w.$-]{{1,64}}:(?P<bare>[^\s:/{_QUOTES}][^\s{_QUOTES}]{{0,127}}))@(?=[\w\[{{<$%])"""
"""`CORP/jane:S3cret@fs01`; the last @ ends the password."""
_NO_FILE = r"(?!\S{1,128}\.(?i:txt|lst|list|csv)\b)"
"""So that a list of passwords to try is none: `-p rockyou.txt`."""
_LOGON_VALUE = rf"{_QUOTE}?(?i:(?:Alt)?DefaultPassword){_QUOTE}?"
"""The value in the registry with which Windows logs a user on by itself."""
_RUN_BY_TASK = r"""\s/(?i:tr)\s++(?:\\{0,4}"[^"\r\n]*+"|'[^'\r\n]*+')"""
"""The command that a task runs, which is passed over: `/tr "a.exe /u x /p 443"`."""
_OPTIONS = rf"""{_QUOTE}?(?:\s++(?!-){_ARGUMENT})?+
    (?:\s++(?!-p\S|--password=)-{_ARGUMENT}(?:\s++(?!-){_ARGUMENT})?+){{0,24}}+"""
"""Options with their values, behind at most one argument; a sentence has more words."""
_PROGRAMS = (
    *(
        _program(
            word,
            r"net1?(?:\.exe)?(?:\\{0,4}[\"'])?\s+use",
            _BEFORE_USER,
            _WITHOUT_USER,
            rf"{_BEHIND_USER}{_PASSWORD}{_IS_LAST}",
            rf"{_BEHIND_USER}{_LOOKS_RANDOM}{_PASSWORD}",
        )
        for word in (" use", "\tuse")
    ),
    *(
        _program(
            word,
            rf"{word}(?:-?(?:dump|admin|import|check|show|slap|binlog)|sh)?(?:\.exe)?",
            rf"{_OPTIONS}\s++(?:-p|--password=)(?!\s){_PASSWORD}",
            directly=True,
        )
        for word in ("mysql", "mariadb")
    ),
    _program(
        "sshpass",
        "sshpass",
        rf"{_QUOTE}?(?:\s++-(?:[vhV]++(?!\S)|P\s?\S{{1,64}}+)){{0,3}}+\s++-p\s?{_PASSWORD}",
        directly=True,
    ),
    _program(
        "wget", r"wget2?(?:\.exe)?", rf"\s--(?:http-|ftp-|proxy-)?passw(?:or)?d[=\s]{_PASSWORD}"
    ),
    _program("curl", r"curl(?:\.exe)?", rf"\s(?:-\w{{0,5}}[uU]\s?|--(?:proxy-)?user[=\s]){_LOGIN}"),
    *(
        _program(
            word,
            rf"{word}\w{{0,3}}(?:\.exe)?",
            _USER_THEN_PASSWORD,
            rf"\s[-/](?i:p)\s++{_PASSWORD}{_QUOTE}?\s++[-/](?i:u)\s",
        )
        for word in ("psexec", "paexec")
    ),
    _program(
        "schtasks",
        r"schtasks(?:\.exe)?",
        rf"{_RUN_BY_TASK}|\s/(?i:rp)\s++{_PASSWORD}",
        rf"{_RUN_BY_TASK}|{_USER_THEN_PASSWORD}",
        rf"{_RUN_BY_TASK}|\s/(?i:p)\s++{_PASSWORD}{_QUOTE}?\s++/(?i:u)\s",
    ),
    _program(
        "wmic",
        r"wmic(?:\.exe)?",
        rf"\s/(?i:user):{_USER}(?:\s++/\w++:\S{{1,80}}+){{0,3}}\s++/(?i:password):{_PASSWORD}",
        rf"\s/(?i:password):{_PASSWORD}{_QUOTE}?(?:\s++/\w++:\S{{1,80}}+){{0,3}}\s++/(?i:user):",
    ),
    _program("cmdkey", r"cmdkey(?:\.exe)?", rf"\s[-/](?i:pass(?:word)?):{_PASSWORD}"),
    _program(
        "password=",
        r"sc(?:\.exe)?\s+(?:\\{2,8}\S{1,64}\s+)?(?:create|config)",
        rf"\s(?i:password)=\s*+{_PASSWORD}",
    ),
    _program(
        "defaultpassword",
        r"reg(?:\.exe)?\s+add",
        rf"\s/(?i:v)\s++{_LOGON_VALUE}(?:\s++/(?!(?i:d)\s)\w++(?:\s++(?!/){_ARGUMENT})?+){{0,4}}+"
        rf"\s++/(?i:d)\s++{_PASSWORD}",
        rf"\s/(?i:d)\s++{_PASSWORD}{_QUOTE}?(?:\s++/(?!(?i:v)\s)\w++(?:\s++(?!/){_ARGUMENT})?+){{0,4}}+"
        rf"\s++/(?i:v)\s++{_LOGON_VALUE}",
    ),
    _program(
        "defaultpassword",
        r"(?:set|new)-itemproperty",
        rf"\s{_LOGON_VALUE}(?:\s++-(?!(?i:val))\w++(?:\s++(?!-){_ARGUMENT})?+){{0,4}}+"
        rf"\s++(?:-(?i:value)\s++)?{_PASSWORD}",
    ),
    _program(" -pw", r"(?:plink|pscp|psftp|putty|kitty)(?:\.exe)?", rf"\s-pw\s++{_PASSWORD}"),
    *(
        _program(word, word, rf"\s(?:-U\s?|--user[=\s]){_QUOTE}?[^\s\"'%]{{1,64}}+%{_PASSWORD}")
        for word in ("smbclient", "rpcclient", "winexe")
    ),
    _program(".py", rf"(?:{_OF_IMPACKET})\.py", _TARGET, directly=True),
    _program("impacket-", rf"impacket-(?:{_OF_IMPACKET})", _TARGET, directly=True),
    *(
        _program(each, each, f"{_USER_THEN}{_NO_FILE}{_PASSWORD}")
        for each in ("crackmapexec", "netexec", "nxc", "evil-winrm")
    ),
    _program("sqlcmd", r"(?:sqlcmd|osql|bcp)(?:\.exe)?", rf"\s-P\s?{_PASSWORD}"),
    _program("redis-cli", "redis-cli", rf"\s(?:-a|--pass)\s++{_PASSWORD}"),
    _program(
        "convertto-securestring",
        "convertto-securestring",
        rf"\s(?:-(?i:string)\s++|-(?i:asplaintext|force)\s++){{0,3}}{_PASSWORD}",
        directly=True,
    ),
    _program("freerdp", r"(?:[xw]l?|sdl-)freerdp3?(?:\.exe)?", rf"\s{_QUOTE}?/p:{_PASSWORD}"),
)
_VARIABLE = compile_lazily(
    rf"""(?<!\w)(?:(?i:PGPASSWORD|MYSQL_PWD|RSYNC_PASSWORD)|SSHPASS){_QUOTE}?\s?
    (?:=|:(?=\s?(?:\\{{0,4}}["']|{_LOOKS_RANDOM})))\s?{_PASSWORD}""",
    re.VERBOSE,
)
"""Variables of the environment from which programs take a password, set before their command.

Behind a colon, a plain word may explain one: `PGPASSWORD: variable`.
"""
_HOST_AND_PORT = compile_lazily(
    r"(?:\d{1,3}(?:\.\d{1,3}){3}|(?:[\w-]{1,63}\.){1,8}(?P<tld>[a-z]{2,24})):\d{2,5}", re.IGNORECASE
)
_VARIABLES = ("pgpassword", "mysql_pwd", "sshpass", "rsync_password")
may_hold_command_password = contains_any(*{each.word for each in _PROGRAMS}, *_VARIABLES)
"""A cheap question whether a text may have such a password."""


def find_command_passwords(text: str) -> Iterator[Span]:
    """Passwords in commands, with the user if both are one argument (`curl -u jane:S3cret`)."""
    if not may_hold_command_password(text):
        return
    lower = text.lower()  # names of programs have ASCII letters only, also in other texts
    for program in _PROGRAMS:
        if program.word not in lower:
            continue
        commands = [*program.name.finditer(text)]
        for command, following in zip_longest(commands, commands[1:]):
            end = following.start() if following else len(text)  # so that no part is read twice
            yield from _find_in_command(text, command.end(), end, program)
    if any(word in lower for word in _VARIABLES):
        yield from filter(None, map(_span, _VARIABLE.finditer(text)))


def _find_in_command(text: str, start: int, end: int, program: _Program) -> Iterator[Span]:
    end = min(end, start + _LONGEST_COMMAND)
    found = _END.search(text, start, end)
    end = found.start() if found else end
    for arguments in program.arguments:
        if program.directly:
            first = arguments.match(text, start, end)
            matches = iter([first] if first else [])
        else:
            matches = arguments.finditer(text, start, end)
        yield from filter(None, map(_span, matches))


def _span(found: re.Match[str]) -> Span | None:
    """The span of a password; None if it is a placeholder or a word of a sentence."""
    groups = found.re.groupindex
    name = "quoted" if "quoted" in groups and found["quoted"] else "bare"
    password = found[name] or ""
    if name == "quoted" or found.string[found.end(name) : found.end(name) + 1] in _QUOTES:
        password = password.rstrip("\\")
    if name == "bare":
        password = password.rstrip(_AROUND)
    if not password or PLACEHOLDER.match(password) or _NOT_PASSWORD.fullmatch(password):
        return None
    start, end = found.start(name), found.start(name) + len(password)
    if "login" in groups:
        start = found.start("login")
        login = found.string[start:end]
        if PLACEHOLDER.match(login) or _is_host_and_port(login):
            return None
    return Span(start, end, COMMAND_PASSWORD)


def _is_host_and_port(login: str) -> bool:
    """True for `evil.com:8080`, a server that stands where a login should."""
    found = _HOST_AND_PORT.fullmatch(login)
    return found is not None and (found["tld"] is None or is_known_tld(found["tld"]))
