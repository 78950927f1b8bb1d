"""Whose a mailbox in a text is: the nearest words before it say so, or how it is written.

Of whoever was attacked, reports or answers questions a text names the mailbox as
of whoever attacked; a reader sees the difference by the words around it.
"""

import re

from tocsin.admission.extraction.decode import words

_LONGEST = 200
"""Characters before a mailbox in which its words stand."""
_SENTENCE = re.compile(r"(?<=[^\W_A-Z])[.!?]\s|[;|]\s")

_THEIRS = (
    r"users?|customers?|clients?|employees?|staff|colleagues?|victims?|recipients?|targets?"
    r"|contacts?|contacted|reach(?:able|ed)?|questions?|enquir(?:y|ies)|inquir(?:y|ies)|feedback"
    r"|(?:e-?)?mail (?:me|us|to|of)|write to|(?:send|report|notify|reply) to us|sent to"
    r"|(?:delivered|addressed|forwarded) to|mailbox of|account of|notified|informed|confirmed"
    r"|(?:reported|submitted|shared|prepared|written|opened|requested|exported) by|reporter"
    r"|analysts?|authors?|assignee|watchers?|maintainers?|maintained by|upn|userprincipalname"
    r"|comment=[\"']|remark"
    # German
    r"|nutzer(?:in)?s?|benutzer(?:in)?s?|anwender(?:in)?s?|kund(?:e|en|in)|mitarbeiter(?:in|s)?"
    r"|kolleg(?:e|en|in)|opfers?|betroffene?[nr]?|geschädigte[nr]?|empfänger(?:in)?s?|kontakt"
    r"|rückmeldung(?:en)?|rückfragen|fragen|ansprechpartner(?:in)?|melder(?:in)?|postfach"
    r"|(?:gemeldet|erstellt|verfasst) (?:von|durch)|(?:mail|gesendet|verschickt|versandt) an"
    # French
    r"|utilisat(?:eur|rice)s?|victimes?|destinataires?|contacter|joindre|écrire à|employée?s?"
    r"|(?:signalé|rédigé|transmis) par|envoyée?s? à|adressée?s? à"
    # Spanish, Portuguese
    r"|usuari[oa]s?|clientes?|víctimas?|destinatari[oa]s?|afectad[oa]s?|contact[oa]r?|consultas?"
    r"|dudas|elaborado por|(?:enviado|dirigido) a|emplead[oa]s?"
    r"|utilizador(?:es|as?)?|usuári[oa]s?|vítimas?|destinatári[oa]s?|contat[oa]r?|dúvidas"
    # Italian, Dutch, Polish
    r"|utent[ei]|client[ei]|vittim[ae]|destinatari[oe]?|contatt[oi]|segnalazioni|informazioni"
    r"|redatto da|inviat[oa] a|dipendent[ei]"
    r"|gebruikers?|klant(?:en)?|slachtoffers?|ontvangers?|vragen|opgesteld door|melder|mail naar"
    r"|użytkowni(?:k|ka|cy)|klient(?:a|ów)?|ofiar(?:a|y)|odbiorca|autor|zgłoszenia"
)
_THREATS = (
    r"(?:[a-z]{1,20}[-.]){0,2}(?:mail)?(?:from|senders?)|sent (?:by|via|through)|spoof\w{0,4}"
    r"|impersonat\w{1,4}|attackers?|actors?"
    r"|adversar(?:y|ies)|phish\w{0,4}|scam\w{0,4}|registrants?|registered|reply-to|return-path"
    r"|repl(?:y|ies) (?:go|goes|are|is|sent) to|exfil\w{0,9}|drops?|operators?|malicious"
    r"|fraud\w{0,5}"
    r"|extort\w{0,5}|ransom\w{0,4}|xmpp|jabber|indicators?|iocs?"
    r"|von|absenders?|angreifers?|täter|stammen|erpresser|registriert"
    r"|expédit(?:eur|rice)s?|provien(?:t|nent)|provenant|attaquants?|pirates?|frauduleu\w{1,4}"
    r"|remitentes?|atacantes?|procedentes?|remetentes?|enviadas? por|enviados? por|mittent[ei]"
    r"|attaccant[ei]|provenient[ei]|afzenders?|afkomstig|aanvallers?|nadawc[ay]|oszust\w{0,3}"
)
_THEIRS_BEFORE = re.compile(rf"(?<![\w@.-])(?:{_THEIRS})(?![\w@-])", re.IGNORECASE)
_THREAT_BEFORE = re.compile(rf"(?<![\w@.-])(?:{_THREATS})(?![\w@-])", re.IGNORECASE)
_AT = r"(?<=\w.)\s?(?:@|[aA][tT])\s?[\])}]"
_SAFE = re.compile(
    rf"\[{_AT}|\({_AT}|\{{{_AT}|@(?<=\w@)[\w-]{{1,63}}\s?[\[({{]\s?(?:\.|[dD][oO][tT])"
)
_MACHINES = re.compile(r"[\s>*-]{0,20}(?:message-id|in-reply-to|references)\s*:\s*<", re.IGNORECASE)
_DOT = r"\s?(?:\.|[dD][oO][tT])\s?[\])}]"
DEFANGED = re.compile(rf"h[xX][xX][pP]|H[xX][xX][pP]|\[{_DOT}|\({_DOT}|\{{{_DOT}|\[:(?://)?\]")
"""What somebody made safe to be read."""
_RANSOM = re.compile(
    r"\byour (?:files|data|documents|network)\b|\bdecrypt(?:ion|or)?\b", re.IGNORECASE
)

HEADINGS = words(
    "contact contacts contact-us contact-information point-of-contact authors about-the-author"
    " about-the-authors victims affected-organisations affected-organizations"
    " kontakt ansprechpartner betroffene opfer autoren victimes auteurs contacts contacto contactos"
    " víctimas afectados autores contatti contatto vittime autori vítimas slachtoffers kontakty"
)
"""Headings above the names of people and of whoever was attacked."""


def before(line: str, place: int) -> str:
    """What of a line's sentence stands before a mailbox at that place."""
    start = max(0, place - _LONGEST)
    return _SENTENCE.split(line[start:place])[-1]


def made_safe(text: str) -> bool:
    """Whether there is a mailbox that somebody made safe to be read."""
    return ("[" in text or "(" in text or "{" in text) and _SAFE.search(text) is not None


def ransom(text: str) -> bool:
    """Whether somebody extorts with a text; in it, `contact us` is an attacker's."""
    plain = text.lower()
    return ("decrypt" in plain or "your " in plain) and _RANSOM.search(text) is not None


def of_a_person(said: str) -> bool:
    """Whether words before a mailbox say that it is no attacker's; the nearest count."""
    return _last(_THEIRS_BEFORE, said) > _last(_THREAT_BEFORE, said)


def of_a_threat(said: str) -> bool:
    """Whether words before a mailbox say that an attacker uses it; the nearest count."""
    return _last(_THREAT_BEFORE, said) > _last(_THEIRS_BEFORE, said)


def of_a_machine(line: str) -> bool:
    """Whether what looks like mailboxes are the numbers of messages."""
    return _MACHINES.match(line) is not None


def _last(word: re.Pattern[str], said: str) -> int:
    return max((found.end() for found in word.finditer(said)), default=-1)
