"""Credentials in a text: passwords, session ids and keys in URLs and requests, keys of services.

Many passwords in texts about attacks belong to attackers, for their archives and programs: they
stay where words near them say so (`words/words_for_other_passwords.txt`, `attacker_words.txt`).
Those on command lines are found by `command_passwords`.  Parameters of URLs stand in
`words/secret_parameters.txt`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import chain

from tocsin.admission.detectors.attackers import ATTACKER, is_of_attacker
from tocsin.admission.detectors.placeholders import PLACEHOLDER, is_personal_account
from tocsin.admission.detectors.spans import Span
from tocsin.admission.detectors.text_search import contains_any
from tocsin.admission.detectors.urls import find_request_targets, find_urls, path_start
from tocsin.admission.lazy_patterns import compile_lazily
from tocsin.admission.word_lists import load_alternation

URL_CREDENTIALS = "credentials in a URL"
PASSWORD_HASH = "account with its password hash"  # noqa: S105  the words for it, no secret
TOKEN = "token"  # noqa: S105  the word for it, no secret

_USERINFO = compile_lazily(r"(?<=//)(([^\s/?#@:]{1,128}:[^\s/?#@]{1,256}?)(?:@|\[@\]))")
_PARAMETER = compile_lazily(
    rf"""[?&;\#](?:amp;)?{load_alternation(__package__, "secret_parameters")}
    =(?P<value>[^&;\#\s"'<>\[\]]{{2,2048}})""",
    re.VERBOSE | re.IGNORECASE,
)
_LOGIN_LINK = compile_lazily(
    r"/(?:[\w-]{0,20}(?:reset|verif\w{1,8}|confirm|invite|magic|activate|unsubscribe))[\w-]{0,20}/"
    r"(?P<value>(?=[a-z_-]{0,60}\d)[\w-]{16,512})(?![\w.-])",
    re.IGNORECASE,
)
"""A link that lets its holder in: `/reset-password/…`."""
_may_hold_login_link = contains_any(
    *("reset", "verif", "confirm", "invite", "magic", "activate", "unsubscribe")
)
_JWT = compile_lazily(r"(?<![\w-])eyJ[\w-]{6,4096}\.eyJ[\w-]{2,8192}\.[\w-]{8,2048}(?![\w-])")
_BEARER = compile_lazily(r"\bbearer\s+(?P<value>[\w~+/.-]{16,2048}=*)", re.IGNORECASE)
_may_hold_bearer = contains_any("bearer")

_SERVICE_KEY = compile_lazily(
    r"""(?<![\w/+-])(?:
        (?:AKIA|ASIA)[0-9A-Z]{16}                     # Amazon
      | gh[pousr]_\w{20,255} | github_pat_\w{20,255} | glpat-[\w-]{20,60}
      | xox[abeoprs]-[\w-]{10,250} | AIza[\w-]{35} | ya29\.[\w-]{20,1000}
      | [sr]k_(?:live|test)_\w{16,250} | sk-(?:ant-|proj-)?[\w-]{20,250}
      | hvs\.[\w-]{20,250} | dop_v1_\w{40,80} | glsa_\w{20,80} | shp(?:at|ss|ca)_\w{20,80}
      | dckr_pat_[\w-]{20,60} | pypi-AgE[\w-]{40,250}
      | npm_\w{36} | hf_\w{30,60} | SG\.[\w-]{16,64}\.[\w-]{16,64}
    )(?![\w-])""",
    re.VERBOSE,
)
_may_hold_service_key = contains_any(
    *("akia", "asia", "ghp_", "gho_", "ghu_", "ghs_", "ghr_", "github_pat_", "glpat-", "xox"),
    *("hvs.", "dop_v1_", "glsa_", "shpat_", "shpss_", "shpca_", "dckr_pat_", "pypi-age"),
    *("aiza", "ya29.", "k_live_", "k_test_", "sk-", "npm_", "hf_", "sg."),
)
_SLACK_WEBHOOK = compile_lazily(
    r"hooks\.slack\.com/services/(?P<hook>[\w/-]{20,120})", re.IGNORECASE
)
_PRIVATE_KEY = compile_lazily(r"-----BEGIN [A-Z ]{0,30}PRIVATE KEY-----[\w+/=\s:,.-]{0,16384}")
_REQUEST_HEADER = compile_lazily(
    r"""(?<![\w-])(?:
        (?:proxy-)?authorization["']?\ ?:\ ?["']?(?:basic|token|digest|apikey|negotiate|ntlm)\ {1,4}
          (?P<credentials>[^\s"'<>]{6,4096})
      | x-(?:api|auth)-(?:key|token)["']?\ ?[:=]\ ?["']?(?P<key>[^\s"'<>]{6,4096})
      | (?:jsessionid|phpsessid|asp\.net_sessionid|aspsessionid\w{0,12}|nsc_(?:aaac|tmas|user)|dsid
          |mrhsession|svpncookie|webvpn|connect\.sid|laravel_session|wordpress_logged_in_\w{1,40}
          |estsauth(?:persistent)?|rtfa|fedauth)
        ["']?\ ?[:=]\ ?["']?(?P<cookie>[\w%.+/=-]{12,4096})
    )""",
    re.VERBOSE | re.IGNORECASE,
)
_NAMED_KEY = compile_lazily(
    r"""(?<![\w&?-])(?:[a-z]{2,12}[_ -]){0,2}(?:api[_ -]?(?:key|token|secret)
          |(?:access|auth|refresh|bearer)[_ -]?token|client[_ -]?secret
          |secret[_ -]?(?:access[_ -]?)?key|session[_ -](?:id|token))
        ["']?(?:\s?[:=]|\s(?:is|was|ist|war))\s{0,2}["']?
        (?P<key>(?=[^\s"']{0,60}\d)(?=[^\s"']{0,60}[a-z])[\w+/.~=-]{12,512})(?![\w(])""",
    re.VERBOSE | re.IGNORECASE,
)
"""`api_key=…` outside a URL; it may be that of malware, which the sentence says then."""
_may_hold_named_key = contains_any("api", "token", "secret", "session")
_CONNECTION_LOGIN = compile_lazily(
    r"""\b(?:uid|user\ ?id|username)\s?=\s?[^\s;"']{1,64};\s?(?:pwd|password)\s?=\s?
        (?P<pwd>[^;\s"']{1,128})
      | \b(?:account|sharedaccess)key=(?P<azure>[\w+/]{40,100}={0,2})
      | \baws_secret_access_key["']?\s?[:=]\s?["']?(?P<aws>[\w/+]{40})(?![\w/+])""",
    re.VERBOSE | re.IGNORECASE,
)
"""Logins in strings by which a program connects to a database, and in files of settings."""
_may_hold_connection_login = contains_any(
    "pwd", "password", "aws_secret", "accountkey", "accesskey"
)
_PASSWORD = load_alternation(__package__, "password_words")
_LOGIN = compile_lazily(
    rf"""(?<![\w&?-]){load_alternation(__package__, "account_labels")}["']?\s?[:=]\s?["']?
        (?P<login>\[removed:[ ][^\]]{{1,40}}\]|[^\s"',;&|@]{{2,64}})["']?
        (?:[\s,;&|*]{{1,8}}|\s{{0,4}}\r?\n[ \t*]{{0,8}}domain[^\r\n]{{0,60}}\r?\n[ \t*]{{0,8}})
        {_PASSWORD}["']?\s?[:=]\s?["']?(?P<password>[^\s"'&;,]{{3,128}})""",
    re.VERBOSE | re.IGNORECASE,
)
"""A password behind the login to which it belongs: its account is masked too."""
_IS = (
    r"(?:is|was|to|ist|war|lautete?|est|était|es|era|è|é|foi|auf|byl[oa]?|było|to|var|är|on|были?)"
)
_VALUE = (
    r"(?P<password>(?![/\\])(?=[^\s\"']{0,40}\d)"
    r"(?=[^\s\"']{0,40}[^\W\d_])[^\s\"',;<>|()]{6,40}(?<![.:?]))"
)
"""A password has a digit here, a word of the sentence has none."""
_SOMEBODYS_PASSWORD = compile_lazily(
    rf"""(?<!\w)(?:his|her|their|my|user['’]s|victim['’]s|ihr|sein|mein|son|leur|mon|mi|sua?|haar
          |zijn|jej|jego)\s
        (?:\w{{3,12}}\s)?{_PASSWORD}(?:\s{_IS}|\s?[:=(])?\s?["'(]?{_VALUE}""",
    re.VERBOSE | re.IGNORECASE,
)
"""`her password Sommer24`."""
_STATED_PASSWORD = compile_lazily(
    rf"""(?<![\w&?/.-]){_PASSWORD}(?:\s[^\s:=.;,"']{{1,24}}){{0,4}}?
        (?:["']?\s?[:=]\s?|\s{_IS}\s)["'(]?{_VALUE}
    | (?<![\w&?/.-]){_PASSWORD}\s
        (?:(?=["'])|(?<=passphrase[ ])|(?=[^\s"',;]{{0,40}}[!$%^*\#?+]))["']?
        {_VALUE.replace("password", "direct")}
    | (?:,|\band|\bwith|/)\s{_PASSWORD}\s(?=[^\s"',;]{{0,40}}(?-i:[A-Z]))
        {_VALUE.replace("password", "listed")}(?=[,.;)\s]|\Z)
    | (?<![\w.+-])[\w.+-]{{2,40}}@[\w-]{{1,40}}(?:\.[\w-]{{1,40}}){{1,4}}
        (?:\s[/|]\s|:|\|)(?![^\s]{{0,40}}/)
        {_VALUE.replace("password", "combined")}
    | (?<![\w&?/.$-])(?-i:[A-Z][A-Z\d]{{1,20}}(?:_[A-Z\d]{{1,20}}){{0,3}}
        _(?:PASSWORD|PASSWD|PASS|PWD)\b)\s?=\s?["']?{_VALUE.replace("password", "variable")}
    | DB_PASSWORD["']\s?,\s?["'](?P<setting>[^"']{{3,64}})
    | \bmachine\s\S{{2,80}}\s{{1,8}}login\s\S{{2,40}}\s{{1,8}}password\s(?P<netrc>\S{{3,64}})""",
    re.VERBOSE | re.IGNORECASE,
)
"""`the password of jdoe was Sommer24`, `jane@bank.test:Sommer24`, and files of settings."""
_SETTINGS = ("setting", "netrc")
_MASK = compile_lazily(r"[%<{$*&~]|\\|.*\[removed:|.*[\[\]{}]")
"""A variable, a regular expression or a mask; within a password, `*` is a sign like others."""
_OF_NOBODY = compile_lazily(
    rf"(?<!\w)(?:{ATTACKER}|{load_alternation(__package__, 'words_for_other_passwords')})(?!\w)",
    re.IGNORECASE,
)
_WORDS_BEFORE = 200
"""Characters before a password that are searched for such words."""
_TECHNICAL = compile_lazily(
    r"(?:sha|md|aes|rc|utf|base|cve|ntlm|office|win(?:dows)?|pbkdf|v|ver)[-_]?\d[\w.-]*|[\da-f]{16,}"
    r"|https?:.*|[a-z]{1,12}://.*|(?:\d{1,3}\.){3}\d.*|[\w-]+(?:\.[\w-]+)*\.[a-z]{2,6}(?:[:/].*)?"
    r"|\d+(?:st|nd|rd|th|bit|char\w*|kb|mb|px|min|x)?|\[.*",
    re.IGNORECASE,
)
"""Digests, versions, addresses and hosts."""
_CODE = compile_lazily(
    r"""(?<![\w-])(?:(?:cvv2?|cvc2?|security\ code|kartenprüfnummer)|(?-i:m?TAN|OTP|PIN|SMS-TAN)
          |(?:mfa|2fa|otp|sms|pin|one[ -]time|verification|authenticator)[ -](?:code|pin|passcode)
          |(?:verifizierungs|bestätigungs|sms)-?code|code\ (?:sms|de\ vérification)|kod\ blik)
        (?:\ (?:is|was|ist|war|est|était|number|of\ the\ card))?\s?[:=]?\s?["'(]?
        (?P<code>\d{3}[ -]\d{3}|\d{3,8})(?![\w-]|[.,]\d)
    | (?<![\w-])(?P<recovery>\d{6}(?:-\d{6}){7})(?![\w-])
    | (?:totp|otp|2fa|mfa|authenticator)[ -]?(?:seed|secret|key)(?:\ (?:is|was))?\s?[:=]?\s["'(]?
        (?P<seed>[a-z2-7]{12,64})(?!\w)""",
    re.VERBOSE | re.IGNORECASE,
)
"""Codes that open a door once, or a disk (BitLocker)."""
_may_hold_code = contains_any(
    *("cvv", "cvc", "security code", "tan", "otp", "pin", "code", "mfa", "2fa", "kartenpr"),
    *("blik", "authenticator", "-"),
)
_NOT_PASSWORD = compile_lazily(
    rf"{load_alternation(__package__, 'not_passwords')}|infected\d*|malware|virus|n/a",
    re.IGNORECASE,
)
_may_hold_login = contains_any(
    *("pass", "pwd", "pw:", "pw ", "pw=", "kennwort", "mdp", "contrase", "clave", "wachtwoord"),
    *("senha", "haslo", "heslo", "adgangskode", "salasana", "jelszo", "parola", "parole", "psk"),
    *("shared key", "fi key", "lan key"),
)
_may_hold_request_header = contains_any(
    *("authorization", "x-api-", "x-auth-", "sessid", "session", "nsc_", "dsid", "mrhs", "cookie"),
    *("webvpn", "connect.sid", "logged_in", "estsauth", "rtfa", "fedauth"),
)

_HASHES = compile_lazily(
    r""":(?:
        \d{1,10}:(?:[0-9a-f]{32}|NO\ PASSWORD\*{1,30}):[0-9a-f]{32}:::            # pwdump
      | \$[\w.-]{1,8}\$[\w./$=,-]{8,256}(?=:\d{0,6}:\d{0,6}:\d{0,6}:)          # /etc/shadow
      | :[^\s:]{0,64}:(?:[0-9a-f]{16}:[0-9a-f]{32}:[0-9a-f]{20,4096}           # NTLMv2
          |[0-9a-f]{48}:[0-9a-f]{48}:[0-9a-f]{16})
    )""",
    re.VERBOSE | re.IGNORECASE,
)
"""The rest of a line behind an account."""
_OTHER_HASHES = compile_lazily(
    r"""(?P<ticket>\$krb5(?:tgs|asrep|pa)\$[^\s"'<>]{20,8192})
      | \b(?:ntlm(?:[ -]?hash)?|(?:nt|lm)[ -]?hash)["']?\s{0,12}[:=]\s{0,2}["']?
          (?P<hash>[0-9a-f]{32}(?::[0-9a-f]{32})?)(?!\w)""",
    re.VERBOSE | re.IGNORECASE,
)
"""Kerberos tickets whose key is a password, and hashes of passwords by themselves."""
_ACCOUNT_BACKWARDS = compile_lazily(r"[^\s:\\/\"'`<>]{1,64}(?:[\\/]{1,4}[^\s:\\/\"'`<>]{1,64})?")
_HASH_SIGNS = ("$krb5", "ntlm", "nt hash", "nt-hash", "nthash", "lm hash", "lm-hash", "lmhash")
may_hold_password_hash = contains_any("::", ":$", *_HASH_SIGNS)
"""A cheap question whether a text may have the hash of a password."""
_may_hold_other_hash = contains_any(*_HASH_SIGNS)


_KEYS = (
    (_SERVICE_KEY, _may_hold_service_key),
    (_SLACK_WEBHOOK, contains_any("slack")),
    (_PRIVATE_KEY, contains_any("private key")),
    (_CONNECTION_LOGIN, _may_hold_connection_login),
    (_REQUEST_HEADER, _may_hold_request_header),
)
"""Each pattern with a cheap question; a named group of it is what is masked, else the whole."""


def find_password_hashes(text: str) -> Iterator[Span]:
    """Accounts with the hashes of their passwords, as tools dump them, and hashes alone."""
    for found in _HASHES.finditer(text) if may_hold_password_hash(text) else ():
        before = text[max(0, found.start() - 132) : found.start()][::-1]
        account = _ACCOUNT_BACKWARDS.match(before)
        if account is not None:
            yield Span(found.start() - account.end(), found.end(), PASSWORD_HASH)
    for found in _OTHER_HASHES.finditer(text) if _may_hold_other_hash(text) else ():
        yield Span(*found.span(found.lastgroup or 0), PASSWORD_HASH)


def find_url_credentials(text: str) -> Iterator[Span]:
    """`user:password@` of a URL."""
    for start, url in find_urls(text) if "@" in text else ():
        path = path_start(url)
        found = _USERINFO.search(url if path < 0 else url[:path])
        if found and not PLACEHOLDER.match(found[2]):
            yield Span(start + found.start(1), start + found.end(1), URL_CREDENTIALS)


def find_tokens(text: str) -> Iterator[Span]:
    """Session ids, keys and passwords in URLs; JSON web tokens and bearer tokens anywhere."""
    for start, url in (*find_urls(text), *find_request_targets(text)):
        links = _LOGIN_LINK.finditer(url) if _may_hold_login_link(url) else ()
        for found in chain(_PARAMETER.finditer(url) if "=" in url else (), links):
            if not PLACEHOLDER.match(found["value"]):
                yield Span(start + found.start("value"), start + found.end("value"), TOKEN)
    if "eyJ" in text:
        for found in _JWT.finditer(text):
            yield Span(*found.span(), TOKEN)
    if _may_hold_bearer(text):
        for found in _BEARER.finditer(text):
            yield Span(*found.span("value"), TOKEN)


def find_keys(text: str) -> Iterator[Span]:
    """Keys of well-known services, private keys, and credentials in headers of requests."""
    for start, end in (*_find_keys(text), *_find_named_keys(text)):
        if not PLACEHOLDER.match(text, start, end):
            yield Span(start, end, TOKEN)
    for start, end in _find_stated(text):
        yield Span(start, end, TOKEN)


def _find_named_keys(text: str) -> Iterator[tuple[int, int]]:
    for found in _NAMED_KEY.finditer(text) if _may_hold_named_key(text) else ():
        if not is_of_attacker(text, found.start("key")):
            yield found.span("key")


def _find_keys(text: str) -> Iterator[tuple[int, int]]:
    for pattern, may_match in _KEYS:
        for found in pattern.finditer(text) if may_match(text) else ():
            yield found.span(found.lastgroup or 0)
    for found in _LOGIN.finditer(text) if _may_hold_login(text) else ():
        login, password = found["login"], found["password"]
        if _NOT_PASSWORD.fullmatch(password):
            continue
        if login.startswith("[removed:") or is_personal_account(login):
            yield found.span("password")
    for found in _SOMEBODYS_PASSWORD.finditer(text) if _may_hold_login(text) else ():
        if not _NOT_PASSWORD.fullmatch(found["password"]):
            yield found.span("password")


def _find_stated(text: str) -> Iterator[tuple[int, int]]:
    """Passwords behind the word for them, and codes, unless words near them say whose they are."""
    is_searched = _may_hold_login(text) or "@" in text
    shared = {
        found.start("password")
        for found in (_LOGIN.finditer(text) if is_searched else ())
        if not is_personal_account(found["login"])
    }
    for found in _STATED_PASSWORD.finditer(text) if is_searched else ():
        group = found.lastgroup or 0
        before = text[max(0, found.start(group) - _WORDS_BEFORE) : found.start(group)]
        value = found[group]
        is_word = _NOT_PASSWORD.fullmatch(value) or _TECHNICAL.fullmatch(value)
        if is_word or _MASK.match(value) or found.start(group) in shared:
            continue
        if group in _SETTINGS or not _OF_NOBODY.search(before):
            yield found.span(group)
    for found in _CODE.finditer(text) if _may_hold_code(text) else ():
        if not is_of_attacker(text, found.start()):
            yield found.span(found.lastgroup or 0)
