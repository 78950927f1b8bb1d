"""Names of people's accounts in a text: behind a label, in logs, in directories.

Labels stand in `words/account_labels.txt`, words of sentences in `account_nouns.txt`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from tocsin.admission.detectors.attackers import ATTACKER, is_of_attacker
from tocsin.admission.detectors.placeholders import is_personal_account
from tocsin.admission.detectors.spans import Span
from tocsin.admission.detectors.text_search import contains_any
from tocsin.admission.detectors.urls import find_request_targets
from tocsin.admission.lazy_patterns import compile_lazily
from tocsin.admission.observables.domain_names import is_known_tld
from tocsin.admission.stix.mitre_attack import attack_names
from tocsin.admission.word_lists import load_alternation, load_words

ACCOUNT = "account name"

_NAME = r"(?P<name>[^\W_][\w.$-]{1,40}(?<![.-]))"
_LOGIN = r"(?:[^\W\d_](?:[\w-]{1,20}|[\w-]{0,20}\.[\w-]{2,30}))"
_DOMAIN = (
    r"(?:(?:(?!HK(?:LM|CU|U|EY)|NT\b|BUILTIN)[A-Z][\w.-]{0,20}"
    r"|[\w.-]{0,20}\[removed: [^\]]{1,40}\][\w.-]{0,20})\\{1,2})"
)
"""A Windows domain, or the mask in its place; hives of the registry look alike."""
_NOUN = load_alternation(__package__, "account_nouns")
_LABELLED = compile_lazily(
    rf"""(?<![\w&?;-]){load_alternation(__package__, "account_labels")}
      (?:["']?\ ?[:=][ \t]{{0,8}}["'<]?|["']>){_DOMAIN}?{_NAME}(?![\w:=@\\/(-]|\.\w)""",
    re.VERBOSE | re.IGNORECASE,
)
_IN_DOMAIN = compile_lazily(
    rf"(?:(?<![\w-])(?:accounts?|users?|benutzers?|konto|utilisateur|usuario|utente|as|/ru)\s{{1,2}}"
    rf"|/u(?:ser)?:)[\"']?{_DOMAIN}{_NAME}(?![\w\\/(]|\.\w)",
    re.IGNORECASE,
)
_LISTED = compile_lazily(
    rf"""(?<![\w&?;-]){load_alternation(__package__, "account_plurals")}\ ?[:=]\ ?
      (?P<list>{_LOGIN}(?:(?:\ ?[,;/]\ ?|,?\ (?:and|und|et|y|e|en|i|a|och|og)\ ){_LOGIN}){{0,40}})
      (?=[.)]?(?:[\s;]|\Z))(?!\ [\w(])""",
    re.VERBOSE | re.IGNORECASE,
)
_QUALIFIED = compile_lazily(
    r"(?<![\w\\/:.%$\]>*@-])(?P<domain>[A-Z][A-Z0-9-]{1,14})\\{1,2}"
    r"(?P<name>(?!u[\da-f]{4})[a-z][a-z0-9_-]{1,20}(?:\.[a-z][a-z-]{0,20})?)(?![\w\\/(*$-]|\.\w)"
)
"""`CORP\\jdoe` anywhere, but no escaped character (`ID\\u2019s`)."""
_ACTING = compile_lazily(
    rf"""(?<!\w){load_alternation(__package__, "account_nouns")}[ ]["'`]?
        (?P<name>[a-z][a-z0-9_-]{{2,20}}(?:\.[a-z][a-z-]{{0,20}})?)["'`]?[ ]
        (?:{load_alternation(__package__, "account_acts")}
          |{load_alternation(__package__, "person_acts")})(?!\w)""",
    re.VERBOSE | re.IGNORECASE,
)
"""`account jdoe was locked`: only a few acts are those of accounts and their holders."""
_IN_OUTPUT = compile_lazily(
    rf"""(?:
        \bwhoami(?:\ /\w{{2,6}})?\s{{0,3}}(?:->|:|=)?\s{{1,3}}[\w-]{{1,20}}\\
      | \bsudo(?:\[\d{{1,7}}\])?:\ {{1,4}}(?=[\w.-]{{1,40}}\ :\ )
      | \bnet1?\ user\ (?=\S{{2,40}}\ /do)
      | \buser\ <(?=[\w.-]{{1,40}}>\ ip)
      | "user"\s?:\s?\{{\s{{0,4}}"name"\s?:\s?"
      | \b(?:[ug]id=|groups=)\d{{1,7}}\((?=[\w.-]{{2,40}}\))
      | ^[>\ ]?(?=\S{{2,40}}\ {{2,30}}(?:rdp-tcp\#\d|console\ |pts/\d|tty\w?\d))
      | (?:\]|\b[\da-f.:]{{3,39}})\ -\ (?=[\w.-]{{2,40}}\ \[\d\d/[a-z]{{3}}/\d{{4}}:)
      | \[(?=[\w.-]{{2,40}}\]\ Peer\ Connection)
      | \bmysql(?:dump|admin)?\b[^\r\n|;]{{0,80}}?\ -u\ ?(?=\S{{2,40}}\ )
      | \bDB_USER["']\s?,\s?["']
      | \bmachine\ \S{{2,80}}\s{{1,8}}login\ (?=\S{{2,40}}\s{{1,8}}password)
      | \bAccount\ Domain:[ \t]{{1,8}}(?!NT\ |WORKGROUP|-|Window\ Manager|Font\ Driver)
      | \*\ Domain[ ]{{1,8}}:\ (?!\(null|WORKGROUP|NT\ )
    ){_NAME}""",
    re.VERBOSE | re.IGNORECASE | re.MULTILINE,
)
"""The outputs of whoami, id, sudo, net, quser, last, databases, proxies and firewalls, logs in JSON
and events of Windows; the domain of an account too."""
_PHRASE = compile_lazily(
    rf"""
      \({_NOUN}[ ]["'`]?(?P<name>[a-z][\w.-]{{2,20}})["'`]?\)
    | \b(?:last|current|primary|assigned|logged[ -](?:on|in))[ ]user[ ]["'`]?
        (?P<last>[a-z][\w.-]{{2,20}}(?<![.-]))(?![\w@\\/(=:-]|\.\w)
    | \b(?:using|via|with|by|of|as)[ ](?:the[ ])?["'`]?
        (?P<service>[a-z]{{2,12}}[._-][a-z\d][a-z\d._-]{{1,20}})["'`]?[ ]
        (?:service[ ]|domain[ ])?account\b
    | \b(?:kennung|anmeldename|benutzername)[ ]
        (?P<label>[a-z][\w.-]{{2,20}}(?<![.-]))(?=[,.;)\s]|\Z)
    | \b{load_alternation(__package__, "password_words")}[ ]
        (?:of|for|von|des|de|du|del|van|för|k)[ ](?:(?:(?:the|den|de)[ ])?{_NOUN}[ ])?["'`]?
        (?P<owner>[a-z][\w.-]{{2,20}})["'`]?[ ]
        (?:to|was|is|ist|war|auf|est|es|era|var|byl[oa]?)[ ]["'(]?(?=\S{{0,40}}\d)\S{{6}}
    | \bsession[ ]of[ ](?P<session>(?-i:[a-z][a-z\d._-]{{2,20}}))
        (?=[ ](?:(?:was|is)[ ])?(?:replayed|hijacked|stolen|taken)\b)""",
    re.VERBOSE | re.IGNORECASE,
)
"""`(user jdoe)`, `last user jdoe`, `using the svc_backup account`, `the password of jdoe was`."""
_BESIDE_NAME = compile_lazily(
    r"(?<![^\W\d_])[A-Z][\w'’-]{1,20} (?:[A-Z]\. )?(?P<surname>[A-Z][a-z][\w'’-]{1,20}) [(\[]"
    r"(?P<name>[a-z][a-z\d._]{2,20})[)\]]"
)
"""A login in brackets behind the name of which it has a part: `Jane Roe (jroe)`."""
_LETTERS_OF_NAME = 3
_PROMPT = compile_lazily(
    r"(?:^|[\s\[(])(?P<name>[a-z][\w.-]{1,30})@(?!kali\b)[\w-]{2,40}"
    r"(?:[: ](?:~|/)[^\s$#]{0,80})?\]?[$#] ",
    re.IGNORECASE | re.MULTILINE,
)
_NO_DOMAINS = frozenset(load_words(__package__, "domains_of_no_account"))
_OF_ATTACKERS = compile_lazily(
    rf"(?<!\w)(?:{ATTACKER}"
    r"|bots?|spam|telegram|twitter|github|creat\w*|add(?:s|ed))(?!\w)[^.:;\r\n]{0,30}\Z",
    re.IGNORECASE,
)
"""Words before a list of accounts that are an attacker's, or of a service on the internet."""
_IN_LOG = compile_lazily(
    rf"\b(?:(?:accepted|failed) [\w/-]{{1,30}} for(?= \S{{1,41}} from )"
    r"|session (?:opened|closed) for user|(?:disconnected from|authenticating|closed by) user"
    rf"|samaccountname)\s{{1,3}}{_NAME}(?![\w\\/(])",
    re.IGNORECASE,
)
_IN_DIRECTORY = compile_lazily(
    r"(?<!\w)(?:cn|uid)=(?P<name>[^,=\r\n]{2,60}),(?:(?:ou|cn)=[^,=\r\n]{1,60},){0,6}dc=",
    re.IGNORECASE,
)
_FURTHER_WORDS = compile_lazily(
    r"(?:[ ](?:van|von|de|der|den|del|di|da|[A-Z]\.))?(?:[ ][A-ZÀ-Þ][a-zà-ÿ'’-]{1,30}){1,2}"
    r"(?![\w:=])(?!\ ?[:=])"
    r"|,[ ][A-ZÀ-Þ][a-zà-ÿ'’-]{1,30}(?=[ ]{0,2}(?:[;|()\r\n]|\Z))"
    r"|(?P<lower>(?:[ ][^\W\d_][^\W\d_'’-]{1,30}){1,2})(?=[\"']?[ ]{0,2}(?:[,;|)\r\n]|\Z))",
)
"""Words with capitals, or any up to the end of the field."""
_NOT_NAMES = frozenset(
    (
        *load_words(__package__, "not_lower_names"),
        *("enabled", "disabled", "locked", "unlocked", "failed", "created", "deleted", "denied"),
        *("blocked", "allowed", "success", "successful", "unknown", "online", "offline", "active"),
        *("logged", "account", "accounts", "password", "login", "group", "domain", "host", "only"),
        *("context", "interaction", "execution", "profile", "mode", "agent", "rights", "session"),
    )
)
"""Words that stand behind the name of an account, and are not part of it."""
_NOT_LOGINS = _NOT_NAMES.union(load_words(__package__, "not_logins"))
_LOGGED_ON = compile_lazily(
    r"\b(?:logged|signed|logs|signs|logging|signing)[ -](?:on|in|into)(?: to [\w.-]{1,60})?"
    r" as (?:user )?"
    r"[\"']?(?P<name>[a-z]{1,20}[._][a-z]{2,30})(?![\w@\\/(-]|\.\w)",
    re.IGNORECASE,
)
_IN_SENTENCE = compile_lazily(
    rf"""(?<!\w){load_alternation(__package__, "account_nouns")}[ ]["'`(]?
        (?P<name>(?-i:[a-z]{{1,20}}\.[a-z]{{2,30}}|[A-Z][a-z]{{1,20}}\.[A-Z][a-z]{{1,30}})
          |(?:ext|adm|priv)-[a-z][a-z.]{{2,30}}(?<!\.))
        (?![\w@\\/(=-]|\.\w)""",
    re.VERBOSE | re.IGNORECASE,
)
"""A login that shows by its form what it is; without a label, other words may be anything."""
_LOGIN_FORM = compile_lazily(r"[A-Za-z]\.[A-Za-z]{2}|(?:[Ee]xt|[Aa]dm|[Pp]riv)-[A-Za-z]")
_may_hold_phrase = contains_any(
    *("(", " user ", " users ", "account", "kennung", "anmeldename", "benutzername", "pass", "pwd"),
    *("kennwort", "contrase", "clave", "wachtwoord", "senha", "heslo", "session of"),
)
_FILE = compile_lazily(
    r"exe|dll|sys|bat|cmd|ps1|vbs|js|jse|hta|txt|log|csv|json|xml|ya?ml|ini|cfg|conf|dat|db|bin|tmp"
    r"|docx?|xlsx?|pptx?|pdf|rtf|zip|rar|lnk|iso|img|msi|php|aspx?|jsp|html?|png|jpe?g|gif|elf|bak"
)
_DATABASE_USER = compile_lazily(
    r"(?<![\w?&])(?:uid|user ?id)\s?=\s?(?P<name>[^\s;\"'=]{2,64});\s?(?:pwd|password)\s?=",
    re.IGNORECASE,
)
_SECURITY_IDENTIFIER = compile_lazily(
    r"(?<![\w-])(?P<name>S-1-(?:5-21(?:-\d{1,10}){3}-\d{4,10}|12-1(?:-\d{1,10}){4}))(?![\w-])",
    re.IGNORECASE,
)
"""From 1000 on, the last number is a person's; every domain has the ones below.

S-1-12-1 is of Microsoft Entra ID, whose numbers tell nothing.
"""
_names_label = contains_any(
    *("user", "login", "logon", "account", "nutzer", "anmeldename", "utilisateur"),
    *("usuario", "utente", "gebruiker", "uporabnik", "usr", "upn", "acct"),
    *("kennung", "identifiant"),
)


def _may_hold_label(text: str) -> bool:
    return (":" in text or "=" in text or ">" in text) and _names_label(text)


_may_hold_list = contains_any(
    *("users", "logins", "usernames", "accounts", "mailboxes", "benutzer", "nutzer", "konten"),
    *("utilisateurs", "comptes", "identifiants", "usuarios", "cuentas", "buzones", "contas"),
    *("utenti", "caselle", "gebruikers", "konta", "brukere", "user list", "domain list"),
)
_may_name_account = contains_any(
    *("user", "account", "login", "mailbox", "nutzer", "anwender", "mitarb", "utilisat", "compte"),
    *("usuari", "cuenta", "utente", "gebruik", "medewerk", "kont", "conta", "bruk", "brug"),
)
_may_hold_output = contains_any(
    *("whoami", "sudo", "net user", "net1 user", "user <", '"user"', "uid=", "gid=", "groups="),
    *("rdp-tcp", "console ", "pts/", " tty", "] -", " - ", "peer connection", "mysql", "db_user"),
    *("machine ", "account domain", "* domain"),
)
_CONJUNCTIONS = frozenset(("and", "und", "et", "en", "och", "og"))
_LISTED_LOGIN = compile_lazily(_LOGIN)
_PATTERNS = (
    (_LABELLED, _may_hold_label),
    (_IN_DOMAIN, contains_any("\\")),
    (_QUALIFIED, contains_any("\\")),
    (_ACTING, _may_name_account),
    (_IN_OUTPUT, _may_hold_output),
    (_PROMPT, contains_any("$ ", "# ")),
    (_IN_LOG, contains_any("accepted ", "failed ", "session ", " user ", "samaccountname")),
    (_IN_DIRECTORY, contains_any("dc=")),
    (_SECURITY_IDENTIFIER, contains_any("s-1-5-21-", "s-1-12-1-")),
    (_LOGGED_ON, contains_any(" as ")),
    (_IN_SENTENCE, lambda text: _LOGIN_FORM.search(text) is not None),
    (_DATABASE_USER, contains_any("pwd", "password")),
)
"""Each pattern with a cheap question whether the text may match."""


_IN_TARGET = compile_lazily(
    r"[?&;](?:user(?:[_-]?(?:name|id))?|login(?:[_-]?name)?|logon|usr|uid|account|benutzer)"
    r"=(?P<name>[^&;#\s\[\]]{2,64})",
    re.IGNORECASE,
)
"""In the query of an HTTP request; in other URLs the attacker chose the name."""


def find_security_identifiers(text: str) -> Iterator[Span]:
    """Security identifiers of the people in a Windows domain or in Microsoft Entra ID."""
    for found in _SECURITY_IDENTIFIER.finditer(text):
        yield Span(*found.span("name"), ACCOUNT)


def find_account_names(text: str) -> Iterator[Span]:
    """Names of accounts, except those that every machine has."""
    for pattern, may_match in _PATTERNS:
        for found in pattern.finditer(text) if may_match(text) else ():
            end = found.end("name")
            if pattern is _LABELLED:
                end = _full_name_end(text, found)
                if end == found.end("name") and _begins_sentence(text, found):
                    continue
            if is_personal_account(found["name"]) and not _is_other(pattern, found):
                yield Span(found.start("name"), end, ACCOUNT)
    yield from _find_listed(text) if _may_hold_list(text) else ()
    yield from _find_in_phrases(text)
    yield from _find_in_targets(text)


def _is_other(pattern: re.Pattern[str], found: re.Match[str]) -> bool:
    """True if what matches is a word, a folder, a host or a file."""
    if pattern is _ACTING:
        name = found["name"].lower()
        return name in _NOT_LOGINS or name.endswith("ly")  # an adverb
    if pattern is _QUALIFIED and found["domain"].lower().rstrip("0123456789") in _NO_DOMAINS:
        return True
    return pattern in (_IN_SENTENCE, _QUALIFIED) and _is_host_or_file(found["name"])


def _find_in_phrases(text: str) -> Iterator[Span]:
    """Accounts in a few phrases, and beside the names of their holders."""
    for found in _PHRASE.finditer(text) if _may_hold_phrase(text) else ():
        group = found.lastgroup or 0
        name = found[group]
        is_other = name.lower() in _NOT_LOGINS or _is_host_or_file(name)
        if is_personal_account(name) and not is_other and not is_of_attacker(text, found.start()):
            yield Span(*found.span(group), ACCOUNT)
    for found in _BESIDE_NAME.finditer(text) if "(" in text or "[" in text else ():
        is_part = found["surname"][:_LETTERS_OF_NAME].lower() in found["name"]
        if is_part and found["name"] not in attack_names():
            yield Span(*found.span("name"), ACCOUNT)


def _find_listed(text: str) -> Iterator[Span]:
    """The accounts of a list: `Users: jdoe, kroe and m.smith`."""
    for found in _LISTED.finditer(text):
        if _OF_ATTACKERS.search(text, max(0, found.start() - 60), found.start()):
            continue
        for login in _LISTED_LOGIN.finditer(text, *found.span("list")):
            if login[0] not in _CONJUNCTIONS and is_personal_account(login[0]):
                yield Span(*login.span(), ACCOUNT)


def _find_in_targets(text: str) -> Iterator[Span]:
    for start, target in find_request_targets(text):
        for found in _IN_TARGET.finditer(target):
            if is_personal_account(found["name"]):
                yield Span(start + found.start("name"), start + found.end("name"), ACCOUNT)


def _full_name_end(text: str, found: re.Match[str]) -> int:
    """The end of the further words of a person's name: `User: Jane Doe`, `User: jane doe,`."""
    end = found.end("name")
    further = _FURTHER_WORDS.match(text, end)
    if further is None or not _NOT_NAMES.isdisjoint(further[0].lower().split()):
        return end
    if further["lower"] and ("\\" in found[0] or not found["name"].isalpha()):
        return end  # behind `ACME\jdoe` or `j.doe` stands no second name
    return further.end()


def _is_host_or_file(name: str) -> bool:
    """True if a name ends as a host or a file does: `user evil.com`, `account list.csv`."""
    end = name.lower().rpartition(".")[2]
    return "." in name and (is_known_tld(end) or _FILE.fullmatch(end) is not None)


def _begins_sentence(text: str, found: re.Match[str]) -> bool:
    """True if the word behind a label begins a sentence: `User: opens the file`."""
    following = text[found.end() : found.end() + 2]
    in_sentence = following[:1] == " " and following[1:].islower() and "=" not in found[0]
    return found["name"].isalpha() and in_sentence
