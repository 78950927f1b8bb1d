"""Where people's names and secrets stand in paths and URLs.

Written as in a log, in JSON or as a regular expression, so that several
backslashes count as one; defanged URLs are URLs.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Iterator
from functools import lru_cache
from itertools import chain
from urllib.parse import unquote

from tocsin.admission.detectors.accounts import accounts as named_accounts
from tocsin.admission.detectors.credentials import secrets as quoted_secrets
from tocsin.admission.detectors.terms import DOT, among
from tocsin.admission.masking import Span
from tocsin.admission.observables.domain_names import is_known_tld

USER = "user name in a path"
ACCOUNT = "account name"
CREDENTIALS = "credentials in a URL"
TOKEN = "token"  # noqa: S105  the word for it, no secret
EMAIL = "e-mail address in a URL"

_FOLDERS = (
    r"users|documents\ and\ settings|documents%20and%20settings|docume~\d"
    r"|dokumente\ und\ einstellungen|benutzer|utilisateurs|usuarios|usu[áa]rios|utenti|gebruikers"
)
_NAME = r"""(?P<name>[^\\/:*?"<>|'`,;()\r\n\t ]{1,64}
    (?:(?:\ [^\\/:*?"<>|'`,;()\r\n\t ]{1,30}){1,2}(?=\\|(?<=\w)/))?)"""
_WINDOWS = re.compile(
    rf"""(?:\\{{1,8}}|(?<![a-z])[a-z]:[\\/]{{1,8}})(?:{_FOLDERS})(?:\\{{1,8}}|(?<=\w)/(?!/)){_NAME}""",
    re.VERBOSE | re.IGNORECASE,
)
_SHARE = re.compile(
    rf"""(?:(?<![a-z])[d-z]:|(?<![\w\\])\\{{2,8}}[\w.-]{{1,63}})[\\/]{{1,8}}
        (?:homes?|profiles?|users?|userdata|home(?:dir|folder|drive)s?|redirect\w{{0,10}})\$?(?:\\{{1,8}}|/){_NAME}""",
    re.VERBOSE | re.IGNORECASE,
)
"""On another drive or machine, where folders of people are moved to."""
_UNIX = re.compile(
    rf"""(?:(?<![\w.\-~/@\]){{}}])|(?<=file://))
        /(?:(?:export|usr|var|nfs|data|srv|(?:mnt/|cygdrive/|host_mnt/)?\w)/)?(?:home|Users)/{_NAME}""",
    re.VERBOSE,
)
_SITE = re.compile(
    r"(?:/|%2f)personal(?:/|%2f)(?P<name>[a-z0-9-]{1,40}(?:(?:_|%5f)[a-z0-9-]{1,40}){1,7}"
    r"(?:_|%5f)[a-z]{2,15})(?=/|%2f|[^\w%.-]|$)",
    re.IGNORECASE,
)
"""Of somebody in SharePoint, by his mailbox: `/personal/jane_doe_bank_com/`."""
_may_lead_home = among(
    *("home", "profile", "redirect", "user", "documents", "docume~", "dokumente", "benutzer"),
    *("utilisateurs", "usuarios", "utenti", "gebruikers", "personal"),
)

_REMOVED = "[removed"
"""With which the mask of an earlier rule begins: `jdoe.[removed: submitter's name]`."""
_NOBODYS = re.compile(
    r"""(?: all\ users | public | shared | default(?:user|apppool)?\d* | default\ user | guest
      | local\ ?service | network\ ?service | systemprofile | system | root | nobody
      | administrat(?:or|eur|ore) | administrador | system\.?administrator | (?:local|domain)?admin
      | owner | user(?:name|s)?[a-z\d]?\d{0,3} | your[-_ ]?name | name | me | test\w? | tester
      | (?:current|your|victim|the|some|my)[-_ ]?user(?:[-_ ]?name)? | victim | analyst
      | malware | sandbox | vagrant | ubuntu | debian | centos | kali | pi | ec2-user | azureuser
      | www-data | www | nginx | apache | tomcat | git | jenkins | oracle | postgres | mysql
      | hadoop | ftp(?:user)? | backup | daemon | lost\+found | x+ | \.{1,3}
      | redacted | removed )[.,!]?""",
    re.VERBOSE | re.IGNORECASE,
)
"""Accounts that every machine has, and names that stand for any."""
_PLACEHOLDER = re.compile(r"[%<\[{$*?.(&#^+\\~]|.*[\[\]*{}]")
"""A variable, a wildcard, a piece of a regular expression, a mask, or a hidden folder."""

_URL = re.compile(
    r"""\b[a-z][a-z0-9+.-]{1,12}(?:|\[)(?::|\[:\]|:\])(?://|\\/\\/)[^\s<>"'`]{3,4096}""", re.I
)
_USERINFO = re.compile(r"(?<=//)(([^\s/?#@:]{1,128}:[^\s/?#@]{1,256}?)(?:@|\[@\]))")
_PARAMETER = re.compile(
    r"""[?&;\#](?:amp;)?
    (?:[\w.-]{0,20}(?:token|secret|signature|credential|password)
      | (?:php)?sess(?:ion)?[_-]?(?:id|key)? | s?sid | jsessionid | aspsessionid\w*
      | (?:api|access|auth|secret|private)?[_-]?key | apikey
      | auth(?:orization)? | password | passwort | passwd | passphrase | pass | pwd
      | sig | jwt | otp | code_verifier | ticket | magic(?:link)? | invit(?:e|ation) | passcode
      | kennwort | saml(?:response|request|art) | contrase[ñn]a | senha | mdp | wachtwoord
      | (?:code|nonce|hash|link|reset|confirm(?:ation)?|verify)(?==(?=[a-z_-]{0,40}\d)[\w-]{10}))
    =(?P<value>[^&;\#\s"'<>\[\]]{2,2048})""",
    re.VERBOSE | re.IGNORECASE,
)
_STEP = re.compile(
    r"/(?:[\w-]{0,20}(?:reset|verif\w{1,8}|confirm|invite|magic|activate|unsubscribe))[\w-]{0,20}/"
    r"(?P<value>(?=[a-z_-]{0,60}\d)[\w-]{16,512})(?![\w.-])",
    re.IGNORECASE,
)
"""What lets somebody in who has the link: `/reset-password/…`."""
_may_step = among("reset", "verif", "confirm", "invite", "magic", "activate", "unsubscribe")
_JWT = re.compile(r"(?<![\w-])eyJ[\w-]{6,4096}\.eyJ[\w-]{2,8192}\.[\w-]{8,2048}(?![\w-])")
_BEARER = re.compile(r"\bbearer\s+(?P<value>[\w~+/.-]{16,2048}=*)", re.IGNORECASE)

_may_bear = among("bearer")

_MAIL = re.compile(
    rf"(?<![^\W_])([\w.+-]{{1,64}})(?:@|%40|\[@\]|\[at\])((?:[a-z0-9-]{{1,63}}{DOT}){{1,6}}[a-z][a-z-]{{1,23}})(?![\w.-]*@)",
    re.IGNORECASE,
)
_OF_NOBODY = re.compile(
    r"(?:.*[._-])?(?:redacted|removed|anonymi[sz]ed)(?:[._-].*)?"
    r"|x{2,}|a{3,}|e?mail|user(?:name)?|victim|test|someone|name",
    re.IGNORECASE,
)
_EXAMPLE = re.compile(
    r"(?:.*[.])?(?:example(?:[.][a-z]{2,3}){0,2}|test|invalid|localhost)|v?\d[\d.]*(?:[.-].*)?",
    re.IGNORECASE,
)
"""A domain kept for examples; or the version of a package (`vue@2.6.14.min.js`)."""
_may_mail = among("@", "%40", "[at]")
_CODED = re.compile(r"[A-Za-z0-9+/_-]{12,200}={0,2}")
_FANGS = re.compile(r"[\[\](){}\\]")


def users(text: str) -> Iterator[Span]:
    """People's names in paths to their folders; names that stand for anybody are none."""
    if not _may_lead_home(text):
        return
    for path in (_WINDOWS, _SHARE, _UNIX, _SITE):
        for found in path.finditer(text):
            name = found["name"].partition(_REMOVED)[0].rstrip(" ._-")
            if _somebody(name) and not _built(text, found.end()):
                yield Span(found.start("name"), found.start("name") + len(name), USER)


def accounts(text: str) -> Iterator[Span]:
    """Names of accounts beside their labels, in logs and directories."""
    for start, end, name in named_accounts(text):
        if _somebody(name):
            yield Span(start, end, ACCOUNT)


def secrets(text: str) -> Iterator[Span]:
    """Passwords and keys that a text quotes."""
    for start, end in quoted_secrets(text):
        if not _PLACEHOLDER.match(text, start, end):
            yield Span(start, end, TOKEN)


def credentials(text: str) -> Iterator[Span]:
    """`user:password@` of a URL."""
    for start, url in _urls(text) if "@" in text else ():
        host = url.find("//") + 2
        end = min((at for at in map(url[host:].find, "/?#") if at >= 0), default=len(url) - host)
        found = _USERINFO.search(url[: host + end])
        if found and not _PLACEHOLDER.match(found[2]):
            yield Span(start + found.start(1), start + found.end(1), CREDENTIALS)


def tokens(text: str) -> Iterator[Span]:
    """Session ids, keys and passwords in queries; JSON web tokens and bearer tokens anywhere."""
    for start, url in _urls(text):
        steps = _STEP.finditer(url) if _may_step(url) else ()
        for found in chain(_PARAMETER.finditer(url) if "=" in url else (), steps):
            if not _PLACEHOLDER.match(found["value"]):
                yield Span(start + found.start("value"), start + found.end("value"), TOKEN)
    if "eyJ" in text:
        for found in _JWT.finditer(text):
            yield Span(*found.span(), TOKEN)
    if _may_bear(text):
        for found in _BEARER.finditer(text):
            yield Span(*found.span("value"), TOKEN)


def emails(text: str) -> Iterator[Span]:
    """E-mail addresses behind the host of a URL, in base64 as well."""
    for start, url in _urls(text):
        host = url.find("//") + 2
        path = min((at for at in (url.find(mark, host) for mark in "/?#") if at >= 0), default=-1)
        if path < 0:
            continue
        for found in _MAIL.finditer(url, path) if _may_mail(url) else ():
            if not _nobodys_mail(found[1], found[2]):
                yield Span(start + found.start(), start + found.end(), EMAIL)
        for found in _CODED.finditer(url, path):
            if _hides_a_mail(found[0]):
                yield Span(start + found.start(), start + found.end(), EMAIL)


@lru_cache(maxsize=4)  # each kind of thing is looked for in the same text
def _urls(text: str) -> tuple[tuple[int, str], ...]:
    if "/" not in text:
        return ()
    return tuple((found.start(), found[0]) for found in _URL.finditer(text))


def _somebody(name: str) -> bool:
    plain = unquote(name).strip()
    return bool(plain) and not (_NOBODYS.fullmatch(plain) or _PLACEHOLDER.match(plain))


def _built(text: str, end: int) -> bool:
    """Whether a path is one of a debugging file: its user built the program."""
    return _PDB.match(text, end) is not None


_PDB = re.compile(
    r"""(?:[\\/]{1,8}(?:(?!\.\w{1,5}\s)[^\\/"'<>|:;,*?\r\n]){1,60}){0,16}
        [\\/]{1,8}[^\s\\/"'<>|:;,]{1,80}\.pdb\b""",
    re.VERBOSE | re.IGNORECASE,
)
"""The rest of such a path: folders may have blanks, the file has none."""


def _nobodys_mail(local: str, domain: str) -> bool:
    plain = _FANGS.sub("", domain).lower()
    if _OF_NOBODY.fullmatch(local) or _EXAMPLE.fullmatch(plain):
        return True
    return not is_known_tld(plain.rpartition(".")[2])


def _hides_a_mail(coded: str) -> bool:
    bare = coded.rstrip("=").translate(_URL_SAFE)
    if len(bare) % 4 == 1 or bare[::4].strip(_BEGINS_ASCII):
        return False
    try:
        text = base64.b64decode(bare + "=" * (-len(bare) % 4), validate=True).decode("ascii")
    except (binascii.Error, UnicodeDecodeError):
        return False
    found = _MAIL.fullmatch(text.strip())
    return found is not None and not _nobodys_mail(found[1], found[2])


_URL_SAFE = str.maketrans("-_", "+/")
_BEGINS_ASCII = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdef"
"""In base64 the first of four characters that stand for ASCII."""
