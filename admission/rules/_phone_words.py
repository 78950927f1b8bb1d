"""The words that people write beside a telephone number, in the languages of partners.

A strong word makes any number beside it a telephone's; a weak one only a number
that is written in groups as telephone numbers are.
"""

from __future__ import annotations

import re

_STRONG = (
    r"(?:tele)?phon(?:es?|ed|ing)|(?:tele)?fax\w{0,7}|tel|mobiles?|mob|cell|cellphone|whatsapp|sms"
    r"|hotline|helpline|voicemail"
    # German
    r"|telefon(?!ica\b)\w{0,12}|fon|fernsprecher|festnetz\w{0,7}|(?:dienst|firmen|privat)?handy\w{0,7}|natel"
    r"|mobil(?:nummer|nr|telefon\w{0,7}|funk\w{0,7})?|rufnummer|rufnr|durchwahl"
    # French, Spanish, Italian, Portuguese
    r"|t[ée]l|t[ée]l[ée]phon\w{1,7}|t[ée]l[ée]copie|gsm|tel[eé]f[oó]n(?!ica\b)\w{1,6}|tl[fm]|tfno?"
    r"|m[oó]vil|cel|celular|cellulare|telem[oó]vel|fone"
    # Dutch, Finnish, Polish
    r"|telefoon\w{0,8}|mobiel|puh|(?:matka)?puhelin\w{0,7}|kom[oó]rk\w{1,6}"
    # Cyrillic, Greek, Hebrew, Arabic
    r"|тел|телефон\w{0,4}|моб|мобильн\w{1,4}|мобільн\w{1,4}|τηλ|τηλ[εέ]φων\w{1,3}|κινητ[οό]"
    r"|טלפון|נייד|هاتف|جوال|موبايل"
)
_WITHOUT_BLANKS = "電話|电话|手机|手機|携帯|연락처|전화번호|휴대폰|핸드폰"
_WEAK = (
    r"call(?:s|ed|ing|er)?|dial(?:led|ing)?|reach|contact|desk|office|home|direct|text|ring|rang"
    r"|messages?|landline|extension|ph"
    # German, French
    r"|anruf\w{0,4}|anzurufen|angerufen|rückruf|zurückrufen|erreichbar|kontakt"
    r"|joignable|joindre|appel(?:er|ez|[ée]e?)?|contacter|portable|fixe|standard"
    # Spanish, Italian, Portuguese
    r"|llam(?:ar|e|[oó]|adas?)|contactar|contacto|fijo|chiam(?:are|at[oaie]|a|i)|recapito|contatto"
    r"|fisso|ligar|ligue|ligou|contato"
    # Dutch, Scandinavian, Polish, Turkish, Russian
    r"|bellen|gebeld|bereikbaar|ringa|ringde|ringte|zadzwo[nń]\w{0,4}|dzwoni[cć]|kom|cep"
    r"|позвон\w{1,6}|звон\w{1,6}|дзвон\w{1,6}"
)

STRONG = re.compile(rf"\b(?:{_STRONG})\b|{_WITHOUT_BLANKS}", re.IGNORECASE)
WEAK = re.compile(rf"\b(?:{_WEAK})\b", re.IGNORECASE)
SIGNED = re.compile(r"(?:^|[\s|,;/·•])[TMPF](?:[.:]|\s?\|)?\s{1,2}\(?\Z")
"""In a signature: `T 0641 9327`, `M: 0171 4432190`; right before the number."""
