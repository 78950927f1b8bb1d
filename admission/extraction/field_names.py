"""Names of fields that hold mailboxes: of senders, of recipients, or of other people.

One vocabulary for the headings of tables, the labels of pasted mail heads, and the
keys of logs, events and queries, in many languages and scripts.
"""

import re
import unicodedata
from functools import lru_cache

from tocsin.admission.lazy_patterns import compile_lazily
from tocsin.admission.word_lists import load_alternation, load_words

_PACKAGE = "tocsin.admission.extraction"
_DETECTORS = "tocsin.admission.detectors"
_LONGEST = 80
"""Characters of a name that are read."""
_SHORTEST_SPLIT = 3
"""Characters of a name up to which it is one word."""
_MAIL = ("mail", "courriel", "correo", "posta", "почт", "メール", "邮", "郵", "메일", "بريد")
"""Parts of words for mailboxes."""
_SPLIT_MAIL = compile_lazily(r"\be mail\b")
_CAMEL_CASE = compile_lazily(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z]{2})")
"""The beginnings of words in `RemoteIP` and `IPAddress`."""
_LETTERS = str.maketrans({"ł": "l", "ø": "o", "đ": "d", "ı": "i", "æ": "ae", "œ": "oe"})
"""Letters that Unicode does not decompose."""
_LEFT_OUT = ("Mn", "Mc", "Me", "Cf")
"""Categories of characters: accents, and those that nobody sees, as soft hyphens."""
_COPIED = frozenset(("to", "cc", "bcc"))
_RECEIVING = ("recip", "rcpt", "receiver", "addressee")
"""Words, and beginnings of words, that name recipients beside any other words."""
_DESTINATIONS = frozenset(
    (
        *("dst", "dest", "destination", "target", "targets", "cible", "objetivo", "alvo"),
        *("bersaglio", "doelwit", "hedef", "цель", "目标"),
    )
)
"""Words of recipients only beside one for mailboxes; others are hosts."""
_PEOPLE_LABEL = compile_lazily(
    rf"[\s*_]*{load_alternation(_PACKAGE, 'people_labels')}[\s*_:]*", re.IGNORECASE
)


def _fold(text: str) -> str:
    """A text in lower case, without accents and invisible characters."""
    folded = text.casefold().translate(_LETTERS)
    if folded.isascii():
        return folded
    decomposed = unicodedata.normalize("NFKD", folded)
    return "".join(c for c in decomposed if unicodedata.category(c) not in _LEFT_OUT)


def _load(name: str) -> frozenset[str]:
    return frozenset(map(_fold, load_words(_PACKAGE, name)))


_RECIPIENTS = _load("recipient_words") | _load("recipient_phrases")
_PEOPLE = _RECIPIENTS | _load("person_words")
_SENDERS = _load("sender_names")
_BESIDE = _load("mailbox_words")
_VICTIMS = _load("victim_names")
AFFECTED_WORDS = _load("affected_words")
INFECTED_WORDS = _load("infected_words")
_VICTIM_OR_OWN = AFFECTED_WORDS | _load("victim_or_own_words")
_MACHINES = frozenset(map(_fold, load_words(_DETECTORS, "machine_words")))
COMPROMISED_WORDS = INFECTED_WORDS | _load("compromised_words")
_BOTS = INFECTED_WORDS | {"bot", "bots", "drone", "drones", "zombie", "zombies"}
_OF_BOTS = frozenset(("ip", "ips", "ipv4", "ipv6", "addr", "address", "addresses"))
_OF_BOTS |= {"host", "hosts", "hostname", "hostnames", "machine", "computer", "system", "device"}
_OF_BOTS |= {"fqdn", "domain", "domains"}
"""Words for infected machines; a `bot url` is where an attacker receives data."""
_ATTACKING = compile_lazily(r"compromi|kompromi|infec|infi[cz]|infet", re.IGNORECASE)
_OWN = compile_lazily(
    rf"(?<![\w-]){load_alternation(_DETECTORS, 'own_words')}\s((?:[^\W\d_][\w-]{{1,20}}\s){{0,2}}?"
    r"[^\W\d_][\w-]{1,20})(?:\s(?:is|was|ist|war|lautet|est|es|era|é|è|jest|je))?[\s:(\"'`*=\[]{1,4}$",
    re.IGNORECASE,
)
"""`our web proxy `, `Unsere öffentliche Adresse ist `."""
_USERS = _load("user_names")
_PLAIN_MACHINES = frozenset(("host", "hosts", "hostname", "host name", "fqdn", "rechner", "hote"))
_OF_EVENTS = _load("event_words")
_ONLY_OF_EVENTS = _load("infection_names") | _load("leak_site_names")
"""Whole names of fields beside victims."""
MALICIOUS_WORDS = _load("malicious_words")
ATTACKER_WORDS = _load("attacker_words") | MALICIOUS_WORDS
"""Words that say that a value is an attacker's."""
_JOINING = _load("joining_words")
"""Small words between those for victims and for machines: `IP de la víctima`."""
_UNSPACED_AFFECTED = tuple(each for each in _VICTIM_OR_OWN if each > "\u1100")
_UNSPACED_COMPROMISED = tuple(each for each in COMPROMISED_WORDS if each > "\u1100")
_UNSPACED_MACHINES = ("ip", *(each for each in _MACHINES if each > "\u1100"))
_OF_MAILBOXES = compile_lazily("|".join(map(_fold, _MAIL)))
_UNSPACED = "|".join(
    sorted(
        (each for each in _PEOPLE | _SENDERS | _BESIDE if each > "\u1100" and " " not in each),
        key=len,
        reverse=True,
    )
)
"""Words of scripts that put no spaces between words."""
_WORD = compile_lazily(rf"[a-z0-9]+|{_UNSPACED}|(?:(?!{_UNSPACED})[^\W_a-z0-9])+")


def normalise_heading(heading: str) -> str:
    """The words of a heading in lower case, without punctuation and accents.

    >>> normalise_heading("Date_de Découverte:"), normalise_heading("收件人Email")
    ('date de decouverte', '收件人 email')
    """
    return _normalise(heading[:_LONGEST])


@lru_cache(maxsize=1024)  # a column of types repeats a few in thousands of rows
def _normalise(heading: str) -> str:
    return _SPLIT_MAIL.sub("email", " ".join(_WORD.findall(_fold(heading))))


def split_heading(heading: str) -> str:
    """The words of a heading, split at its capitals; `tO` is one word."""
    if len(heading.strip()) <= _SHORTEST_SPLIT:
        return normalise_heading(heading)
    return normalise_heading(_CAMEL_CASE.sub(" ", heading[:_LONGEST]))


@lru_cache(maxsize=1024)  # the members of JSON events repeat a few
def names_people(name: str) -> bool:
    """True if a field is that of mailboxes of recipients, or of other people.

    >>> names_people("email.to.address"), names_people("UserId"), names_people("Email to block")
    (True, True, False)
    """
    return not names_senders(name) and is_of_people(_without_id(split_heading(name)))


def is_of_people(heading: str) -> bool:
    """True if normalised words are only those of recipients or other people."""
    return _consists_of(heading, _PEOPLE)


@lru_cache(maxsize=1024)
def names_recipients(name: str) -> bool:
    """True if a label, or a type, says that mailboxes are those of recipients or victims.

    >>> names_recipients("Do"), names_recipients("Victim account"), names_recipients("Account")
    (True, True, False)
    """
    words = split_heading(name)
    if words == "a":  # an address record, an answer
        return False
    return _consists_of(words, _RECIPIENTS, _BESIDE | _PEOPLE)  # `Affected users`


@lru_cache(maxsize=1024)
def names_victims(name: str) -> bool:
    """True if a label or heading is that of victims, or of machines that are not an attacker's.

    >>> names_victims("Affected mail servers"), names_victims("Compromised sites")
    (True, False)
    >>> names_victims("IP pública de la víctima"), names_victims("被害組織のグローバルIP")
    (True, True)
    """
    heading = split_heading(name)
    words = frozenset(heading.split()) - _JOINING
    if heading in _VICTIMS:
        return True
    if not heading.isascii() and any(each in heading for each in _UNSPACED_AFFECTED):
        return any(each in heading for each in _UNSPACED_MACHINES)
    if not words <= _VICTIM_OR_OWN | _MACHINES:
        return False
    return bool(words & _VICTIM_OR_OWN and words & _MACHINES)


@lru_cache(maxsize=1024)  # a column of types repeats a few
def names_bots(name: str) -> bool:
    """True if a heading or type is that of infected machines.

    >>> names_bots("bot_ip"), names_bots("IP infectada"), names_bots("bot url")
    (True, True, False)
    """
    words = frozenset(split_heading(name).split()) - {"name"}
    return words <= _BOTS | _OF_BOTS and bool(words & _BOTS and words & _OF_BOTS)


def is_user(heading: str) -> bool:
    """True if a heading is that of the users of machines; a host beside it is theirs.

    >>> is_user("User name"), is_user("User-Agent"), is_user("Benutzer")
    (True, False, True)
    """
    return split_heading(heading) in _USERS


@lru_cache(maxsize=4096)  # the members of JSON events repeat a few
def names_event(name: str) -> bool:
    """True if a field is one of events, or of lists of people or machines.

    The values beside it may be anybody's.

    >>> names_event("User name"), names_event("src_ip"), names_event("malware")
    (True, True, False)
    """
    if is_user(name) or names_recipients(name) or names_victims(name):
        return True
    heading = split_heading(name)
    return heading in _ONLY_OF_EVENTS or not _OF_EVENTS.isdisjoint(heading.split())


def names_attacker(name: str) -> bool:
    """True if a field is that of an attacker's values.

    >>> names_attacker("C2 IP"), names_attacker("phishing_url"), names_attacker("remote_ip")
    (True, True, False)
    """
    return not ATTACKER_WORDS.isdisjoint(split_heading(name).split())


def is_machine(heading: str) -> bool:
    """True if a heading is that of machines, and says nothing about whose they are."""
    return split_heading(heading) in _PLAIN_MACHINES


def says_own(words: str) -> bool:
    """True if words before a value say that it is the writer's own machine or address.

    >>> says_own("Our public address is "), says_own("our analysis of the server ")
    (True, False)
    """
    found = _OWN.search(words)
    return found is not None and frozenset(_normalise(found[1]).split()) <= _MACHINES


def says_victim(cell: str) -> bool:
    """True if a cell beside a value says nothing but that this is a victim's.

    A compromised or infected machine may be one that attacks.

    >>> says_victim("Betroffener Server"), says_victim("compromised server")
    (True, False)
    """
    return names_victims(cell) and _ATTACKING.search(cell) is None


@lru_cache(maxsize=1024)  # a column of categories repeats a few
def says_compromised(label: str) -> bool:
    """True if a label says nothing but that a site or machine was broken into, or is a victim's.

    >>> says_compromised("Compromised legitimate website"), says_compromised("compromised, c2")
    (True, False)
    """
    words = frozenset(split_heading(label).split()) - _JOINING
    if words & COMPROMISED_WORDS and words <= COMPROMISED_WORDS | _VICTIM_OR_OWN | _MACHINES:
        return True
    return names_victims(label) or any(each in label for each in _UNSPACED_COMPROMISED)


@lru_cache(maxsize=1024)
def names_senders(name: str) -> bool:
    """True if a field is that of mailboxes of senders, or to which an attacker forwards mail.

    >>> names_senders("P1Sender"), names_senders("Reply-To"), names_senders("ForwardTo")
    (True, True, True)
    """
    words = split_heading(name).split()
    if "name" in words:
        return False
    if " ".join(words) in _SENDERS:
        return True
    while len(words) > 1 and words[-1] in _BESIDE:
        words.pop()
    while len(words) > 1 and words[0] in _BESIDE:
        del words[0]
    heading = " ".join(words)
    return heading in _SENDERS or _consists_of(heading, _SENDERS)


@lru_cache(maxsize=1024)
def names_mailboxes(name: str) -> bool:
    """True if a field is that of mailboxes, and does not say whose.

    >>> names_mailboxes("E-Mail address"), names_mailboxes("Sender email")
    (True, False)
    """
    heading = split_heading(name)
    return _OF_MAILBOXES.search(heading) is not None and _BESIDE.issuperset(heading.split())


@lru_cache(maxsize=1024)
def holds_people(name: str) -> bool:
    """True if a field is that of people when its value is a mailbox, as `dst` or `orig_to_addr`.

    With another value it may be that of a host.
    """
    if names_senders(name):
        return False
    heading = split_heading(name)
    words = _without_id(heading).split()
    if heading in _PEOPLE or _consists_of(" ".join(words), _PEOPLE | _DESTINATIONS):
        return True
    if _PEOPLE_LABEL.fullmatch(name[:_LONGEST]):
        return True
    while len(words) > 1 and words[-1] in _BESIDE:
        words.pop()
    return bool(words) and (words[-1] in _COPIED or words[-1].startswith(_RECEIVING))


def _without_id(heading: str) -> str:
    return " ".join(word for word in heading.split() if word != "id")


def _consists_of(heading: str, known: frozenset[str], beside: frozenset[str] = _BESIDE) -> bool:
    """True if one of the words is known, and all others may stand `beside` it.

    Without another set, these only say that the values are mailboxes.
    """
    if heading in known:
        return True
    plain = frozenset(word for word in heading.split() if not word.isdigit())
    if known >= _RECIPIENTS and any(map(_OF_MAILBOXES.search, plain)):
        known |= _DESTINATIONS
    return bool(plain & known) and plain <= known | beside
