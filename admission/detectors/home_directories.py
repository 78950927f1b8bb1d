r"""User names in paths: `C:\Users\jane\…`, `/home/jane`, `\\fs01\home$\jane`, `/home/CORP/jane`.

Paths are found as in a log, in JSON or in a regular expression, so several
backslashes count as one.  Folders of Windows stand in `words/windows_home_roots.txt`, those that
are named after nobody in `words/folders_in_homes.txt`.  Possessive quantifiers (`{1,8}+`) keep a
run of backslashes from being tried in every length.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from tocsin.admission.detectors.placeholders import is_personal_account
from tocsin.admission.detectors.spans import Span
from tocsin.admission.detectors.text_search import contains_any
from tocsin.admission.lazy_patterns import compile_lazily
from tocsin.admission.word_lists import load_alternation

USER_IN_PATH = "user name in a path"

_NAME = r"""(?P<name>[^\\/:*?"<>|'`,;()\r\n\t ]{1,64}
    (?:(?:\ [^\\/:*?"<>|'`,;()\r\n\t ]{1,30}){1,2}(?=\\|(?<=\w)/))?)"""
_WINDOWS = compile_lazily(
    rf"""(?:\\{{1,8}}+|(?<![a-z])[a-z]:[\\/]{{1,8}}+)
    {load_alternation(__package__, "windows_home_roots")}
    (?:\\{{1,8}}+|(?<=\w)/(?!/)){_NAME}""",
    re.VERBOSE | re.IGNORECASE,
)
_SHARE = compile_lazily(
    rf"""(?:(?<![a-z])[d-z]:|(?<![\w\\])\\{{2,8}}[\w.-]{{1,63}})[\\/]{{1,8}}+
        (?:homes?|profiles?|users?|userdata|home(?:dir|folder|drive)s?|redirect\w{{0,10}})\$?(?:\\{{1,8}}+|/){_NAME}""",
    re.VERBOSE | re.IGNORECASE,
)
"""On another drive or machine, where people's folders are moved to."""
_UNIX = compile_lazily(
    rf"""(?:(?<![\w.\-~/@\]){{}}])|(?<=file://)
          |\b(?:file|smb|sftp|scp|ssh|nfs|afp)://[\w.@:\[\]-]{{1,100}})
        /(?:(?:exports?|usr|var(?:/services)?|nfs|net|data|srv|mnt|media|private|vol(?:ume\d{{0,3}})?
            |System/Volumes/Data|proc/\w{{1,10}}/root|(?:mnt/|cygdrive/|host_mnt/)?\w)/)?
        (?:home\d{{0,2}}|Users|(?<=/volume\d/)homes|(?<=/var/services/)homes)/{_NAME}""",
    re.VERBOSE,
)
"""Also where the folders are mounted, and on machines of many: `/home2/jane/public_html`."""
_DOMAIN = compile_lazily(
    r"""(?-i:[A-Z][A-Z\d-]{1,14}|[A-Z\d-]{1,63}(?:\.[A-Z\d-]{1,63}){1,6})  # CORP, CORP.EXAMPLE
      |(?:ad|corp|hq|intern|internal|intra|intranet|office)(?:\.[\w-]{1,63}){0,6}
      |[\w-]{1,63}(?:\.[\w-]{1,63}){0,6}
        \.(?:ad|corp|domain|example|home|internal|intra|intranet|lan|local|localdomain|test)""",
    re.VERBOSE | re.IGNORECASE,
)
"""A folder between `/home` and people's folders, of a domain: `/home/CORP/jane`."""
_GROUP = compile_lazily(
    r"employees|faculty|mitarbeiter|people|personnel|staff|students?|users", re.IGNORECASE
)
"""A folder between `/home` and people's folders, of a group of people: `/home/staff/jane`."""
_BELOW = compile_lazily(r"(?:\\{1,8}|/)(?P<name>[^\W_][\w.@+$-]{0,63})(?=[\\/]|[^\w%*\[({]|$)")
"""The next folder; no variable and no wildcard."""
_NAMED_AFTER_NOBODY = compile_lazily(
    rf"""{load_alternation(__package__, "folders_in_homes")}
      |.*\.(?:7z|apk|app|bak|bat|bin|bz2|c|cfg|cmd|conf|cpp|csv|dat|db|deb|dll|dmg|docx?|elf|exe|gz
        |h|html?|img|ini|iso|jar|jpe?g|js|json|key|lnk|log|md|msi|out|pdf|pem|php|pkg|pl|png|pptx?
        |ps1|py|pyc|rar|rb|rpm|rs|run|sh|so|sql|sys|tar|tgz|tmp|txt|vbs|xlsx?|xml|xz|ya?ml|zip)""",
    re.VERBOSE | re.IGNORECASE,
)
"""A usual folder, or a file."""
_MAIL_AND_TILDE = compile_lazily(
    r"""(?<![\w.\-~/@])(?:/var/(?:spool/)?mail/(?P<mail>[a-z][\w.-]{1,40}\w)(?![\w/])
      |~(?P<tilde>[a-z][\w.-]{1,40})/(?=\.\w|(?:bin|Desktop|Documents|Downloads|mail|public_html|tmp)\b))""",
    re.VERBOSE,
)
"""`/var/mail/jane`, `~jane/.ssh`."""
_SHAREPOINT = compile_lazily(
    r"(?:/|%2f)personal(?:/|%2f)(?P<name>[a-z0-9-]{1,40}(?:(?:_|%5f)[a-z0-9-]{1,40}){1,7}"
    r"(?:_|%5f)[a-z]{2,15})(?=/|%2f|[^\w%.-]|$)",
    re.IGNORECASE,
)
"""A person's site, named after their mailbox: `/personal/jane_doe_bank_com/`."""
_DEBUG_FILE = compile_lazily(
    r"""(?:[\\/]{1,8}(?:(?!\.\w{1,5}\s)[^\\/"'<>|:;,*?\r\n]){1,60}){0,16}
        [\\/]{1,8}[^\s\\/"'<>|:;,]{1,80}\.pdb\b""",
    re.VERBOSE | re.IGNORECASE,
)
"""The rest of a path to a `.pdb` file; folders may have blanks, the file has none."""
_MAY_HAVE_DOMAINS = (_SHARE, _UNIX)
_may_hold_path = contains_any(
    *("home", "profile", "redirect", "user", "documents", "docume~", "dokumente", "benutzer"),
    *("utili", "usuari", "utenti", "gebruikers", "bruk", "brug", "notendur", "korisnici"),
    *("uporabniki", "vartotojai", "kasutajad", "documenti", "documentos", "personal", "mail/", "~"),
)
"""Texts with other letters than those of ASCII are always searched."""
_MASK_START = "[removed"
"""Begins the mask of an earlier rule: `jdoe.[removed: submitter's name]`."""


def find_user_names_in_paths(text: str) -> Iterator[Span]:
    """Names of people's folders; a path to a `.pdb` file is passed over.

    Such a path names the author of a program, usually the attacker.
    """
    if not _may_hold_path(text):
        return
    for pattern in (_WINDOWS, _SHARE, _UNIX, _SHAREPOINT):
        for found in pattern.finditer(text):
            yield from _find_in_path(text, pattern, found)
    for found in _MAIL_AND_TILDE.finditer(text):
        if is_personal_account(found[found.lastgroup or 0]):
            yield Span(*found.span(found.lastgroup or 0), USER_IN_PATH)


def _find_in_path(text: str, pattern: re.Pattern[str], found: re.Match[str]) -> Iterator[Span]:
    """The names in one path, of which the match of a pattern is the beginning."""
    if pattern is _UNIX and found["name"] == "local":  # `/home/local/CORP/jane`
        yield from _find_below(text, found, in_domain=True)
        return
    name = found["name"].partition(_MASK_START)[0].rstrip(" ._-")
    is_personal = is_personal_account(name)
    if _DEBUG_FILE.match(text, found.end()):
        return
    if is_personal:
        yield Span(found.start("name"), found.start("name") + len(name), USER_IN_PATH)
    if pattern in _MAY_HAVE_DOMAINS and (
        (is_personal and _DOMAIN.fullmatch(name)) or _GROUP.fullmatch(name)
    ):
        yield from _find_below(text, found, in_domain=False)


def _find_below(text: str, above: re.Match[str], *, in_domain: bool) -> Iterator[Span]:
    """The folder of a person below another one; below `local`, that of a domain comes first."""
    found = _BELOW.match(text, above.end())
    if found is None or _DEBUG_FILE.match(text, found.end()):
        return
    name = found["name"].rstrip("._-")
    if not is_personal_account(name) or _NAMED_AFTER_NOBODY.fullmatch(name):
        return
    yield Span(found.start("name"), found.start("name") + len(name), USER_IN_PATH)
    if in_domain:
        yield from _find_below(text, found, in_domain=False)
