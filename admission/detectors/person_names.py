"""Names of persons in a text, by the words around them.

No names are known, only titles (`Mrs`), words that announce a person (`reported by`,
`contact`), roles (`the user`), things (`laptop of`), labels of form fields (`Surname:`),
salutations, the recipients in the header of a message, the lines of a business card, and numbers
and mailboxes of persons nearby.  Other persons are not found.  A reviewer is asked about what is
found.  Malware, tools, actors, companies and teams are passed over.  The words stand in
`words/person_*.txt`, `salutations.txt`, `sentence_openers.txt`, `capitalised_words.txt` and
`not_person_names.txt`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence

from tocsin.admission.detectors.disguises import fold_letters
from tocsin.admission.detectors.national_ids import LABEL_WORDS
from tocsin.admission.detectors.spans import Span, SpanIndex
from tocsin.admission.detectors.text_search import contains_any
from tocsin.admission.lazy_patterns import compile_lazily
from tocsin.admission.stix.mitre_attack import attack_names
from tocsin.admission.word_lists import load_alternation, load_words

PERSON = "person's name"

_LETTERS_OF_EUROPE = [*map(chr, range(0xC0, 0x250)), *map(chr, range(0x1E00, 0x1F00))]
_UPPER = "A-ZΑ-ΩА-ЯЁІЇЄ" + "".join(filter(str.isupper, _LETTERS_OF_EUROPE))
_LOWER = "a-zα-ωά-ώа-яёіїє" + "".join(filter(str.islower, _LETTERS_OF_EUROPE))
_PARTICLE = r"(?:van|von|de|der|den|del|della|di|da|dos|du|la|le|bin|ibn|al|el|ter|zu)"
_WORD = (
    rf"(?:[{_UPPER}](?:['’][{_UPPER}])?[{_LOWER}]+(?:[-'’][{_UPPER}]?[{_LOWER}]{{2,}})?"
    r"|Mc[A-Z][a-z]+)"
)
_FURTHER_WORD = rf"(?:[ ](?:[{_UPPER}]\.[ ]?){{0,3}}(?:{_PARTICLE}[ ]){{0,2}}{_WORD})"
_TITLED = compile_lazily(
    rf"""\b(?:
        {load_alternation(__package__, "person_titles_dotted")}\.?[ ]
      | {load_alternation(__package__, "person_titles")}[ ]
    )(?:(?:Dr|Prof|Dipl|Ing|Mag|med|jur|phil|rer|nat|h\.c)\.(?:-[A-Z][a-z]{{1,8}}\.)?[ ]?){{0,4}}
    (?!(?:Dr|Prof|Dipl|Ing|Mag)\b)(?P<name>{_WORD}{_FURTHER_WORD}{{0,2}})""",
    re.VERBOSE,
)
_CUE = compile_lazily(
    rf"""\b(?i:{load_alternation(__package__, "person_cues")})[ \t\r\n:"'*_-]{{1,6}}""", re.VERBOSE
)
"""The name right behind must have two words."""
_REQUEST = compile_lazily(
    rf"""\b(?i:{load_alternation(__package__, "person_requests")})[ \t\r\n:"'*_-]{{1,6}}
        (?=[{_UPPER}])""",
    re.VERBOSE,
)
_CONTACT = compile_lazily(rf"\b(?i:contact(?:ed|ing|s)?)[ \t\r\n:\"'*_-]{{1,6}}(?=[{_UPPER}])")
_IN_CAPITALS = compile_lazily(
    r"(?<!\w)(?:CONTACT|ATTN|ATTENTION|REPORTED BY|REPORTER|EMPLOYEE|NAME|PATIENT)[ ]?:[ ]{0,4}"
    rf"(?P<name>[{_UPPER}][{_UPPER}'’-]{{1,25}},[ ]?"
    rf"[{_UPPER}][{_UPPER}'’-]{{1,25}}(?:[ ][{_UPPER}]\.?)?)"
    r"(?=[ ]{0,4}(?:[;|(<\r\n]|\Z))"
)
"""`CONTACT: DOE, JANE`."""
_FIELD = compile_lazily(
    r"""^[\W\d]{0,6}(?:authors?|reporters?|reported\ by|analysts?|creators?|researchers?)
        ["'*\ ]{0,3}[:=]["'*\ ]{0,4}""",
    re.IGNORECASE | re.MULTILINE | re.VERBOSE,
)
_LOWER_WORD = rf"[{_LOWER}][{_LOWER}'’-]{{1,20}}"
_LOWER_TITLED = compile_lazily(
    rf"""(?<![\w.@/-]){load_alternation(__package__, "person_titles_lower")}[ ]
        (?P<name>{_LOWER_WORD}(?:[ ]{_LOWER_WORD})?)(?!\w)""",
    re.VERBOSE,
)
_ANY_WORD = r"[^\W\d_][\w.'’-]{0,30}"
_PART_FIELD = compile_lazily(
    rf"""(?<![\w/&?]){load_alternation(__package__, "person_fields")}["'*_]{{0,3}}
        (?:[ ]?[:=][ \t]{{0,8}}|[ ](?:is|ist|est|es|è|é)[ ])["'*]{{0,3}}
        (?P<name>{_ANY_WORD}(?:[ ]{_ANY_WORD}){{0,2}}?)
        (?=["'*.]{{0,3}}[ \t]{{0,4}}(?:[,;|<&()?!\r\n]|\Z)
          |["'*]{{0,3}}[ ]{{1,4}}[\w ]{{2,16}}[:=])""",
    re.VERBOSE | re.IGNORECASE,
)
"""One word, with what may follow it up to the end of the field."""
_FULL_FIELD = compile_lazily(
    rf"""(?:^[\W\d]{{0,8}}|[.;|,][ ]?|[ ]{{2}})
        (?i:{load_alternation(__package__, "person_full_fields")})["'*_]{{0,3}}
        [ ]?[:=][ \t]{{0,8}}["'*]{{0,3}}
        (?P<name>{_WORD}{_FURTHER_WORD}{{1,3}})(?=["'*]{{0,3}}[ \t]{{0,4}}(?:[.,;|<(\r\n]|\Z))""",
    re.VERBOSE | re.MULTILINE,
)
_LOWER_FIELD = compile_lazily(
    rf"""^[\W\d]{{0,8}}(?:full\ )?name[ ]?[:=][ \t]{{0,8}}
        (?P<name>{_ANY_WORD}(?:[ ]{_ANY_WORD}){{1,3}})[ \t]{{0,8}}\r?\n\W{{0,8}}
        (?:address|street|phone|tel|mobile|e-?mail|dob|date\ of\ birth|ssn)\b""",
    re.VERBOSE | re.MULTILINE | re.IGNORECASE,
)
_SALUTATION = compile_lazily(
    rf"""^[\W]{{0,8}}(?i:{load_alternation(__package__, "salutations")})[ ]
        (?P<name>{_WORD}{_FURTHER_WORD}{{0,2}})[ ]?(?=[,!])""",
    re.VERBOSE | re.MULTILINE,
)
_RECIPIENTS = compile_lazily(
    r"^[\s>|*]{0,8}(?:to|cc|bcc|an|kopie|à|para|aan|komu)[ *]{0,3}:(?P<list>[^\r\n]{3,1000})",
    re.MULTILINE | re.IGNORECASE,
)
_DISPLAY_NAME = compile_lazily(
    rf"""(?:"(?P<quoted>[^"<>\[\]\r\n]{{2,60}})"|(?<!\w)'(?P<single>[^'<>\[\]\r\n]{{2,60}})'
       | (?P<name>{_WORD}(?:,?[ ](?:[{_UPPER}]\.[ ]?)?{_WORD}){{1,3}}))[ ]?<""",
    re.VERBOSE,
)
_CARD = compile_lazily(
    rf"""^[>?\s]{{0,8}}(?P<name>{_WORD}{_FURTHER_WORD}{{1,3}})[ \t]{{0,4}}\r?\n
        (?:[^\r\n]{{0,80}}\r?\n){{1,5}}?[>? \t]{{0,8}}
        (?:Apt\.|Suite|Mobile|Phone|Tel|Desk|Fax|E-?mail|[AFD]PO[ ]A[AEP])\b""",
    re.VERBOSE | re.MULTILINE,
)
"""A name on a line of its own, above an address or a telephone number."""
_LIVING = compile_lazily(
    rf"""(?<![\w])(?P<name>{_WORD}{_FURTHER_WORD}{{1,2}})[ ]
        (?:lives|lived|resides|was\ born|works\ (?:at|for|as)|can\ be\ reached|wohnt|habite
          |vive)\b""",
    re.VERBOSE,
)
_COLLEAGUE = compile_lazily(
    rf"""(?<!\w)(?i:{load_alternation(__package__, "own_words")}
          |my|mein(?:e[nmr]?)?|mon|ma|mi|mijn)[ ]
        (?i:{load_alternation(__package__, "person_colleagues")})[ ]
        (?P<name>{_WORD}{_FURTHER_WORD}{{0,2}})(?!\w)""",
    re.VERBOSE,
)
"""`our colleague Jane`: a first name alone."""
_ACTING = compile_lazily(
    rf"""(?<![\w.@/-])(?P<name>{_WORD}{_FURTHER_WORD}{{1,4}})(?=[ ]?
        (?i:{load_alternation(__package__, "person_acts")})\b)""",
    re.VERBOSE,
)
"""`Jane Roe clicked`, `Jane Roe's laptop`; the first words may be others."""
_TALK = compile_lazily(
    rf"""\b(?i:{load_alternation(__package__, "person_talks")})[ \t\r\n:"'*_-]{{1,6}}
        (?=[{_UPPER}])""",
    re.VERBOSE,
)
_BRACKETED = compile_lazily(
    rf"[(](?P<name>[{_UPPER}]\.(?:[ ]?[{_UPPER}]\.)?[ ]?{_WORD})(?=[,)])"
    r"(?!,[ ](?:\d|et[ ]al)|\)[ ]?(?:19|20)\d\d)"
)
"""`(J. Roe, payroll)`, but no reference to a publication."""
_SIGNATURE = compile_lazily(
    rf"""^[> \t]{{0,4}}(?P<name>{_WORD}{_FURTHER_WORD}{{1,2}})[ ]\|[ ]
        (?=[^\r\n]{{0,120}}(?:[tmfp](?:el)?[.:][ ]|@|\+\d|\[removed))""",
    re.VERBOSE | re.MULTILINE,
)
"""`Jane Roe | Analyst | t: +49 30 901820`."""
_APPOSITION = compile_lazily(
    rf"""\b(?i:{load_alternation(__package__, "person_roles")})[ ](?:at|in|of|from|der|du|de|del)[ ]
        [^,.;:\r\n]{{2,40}},[ ](?P<name>{_WORD}{_FURTHER_WORD}{{1,2}})(?=,)""",
    re.VERBOSE,
)
"""`the teller at branch 4, Jane Roe, called`."""
_TIME = r"\d{1,2}:\d\d(?::\d\d)?(?:[ ]?[AaPp][Mm])?"
_MESSAGES = (
    compile_lazily(
        rf"""^[ \t>|*-]{{0,8}}(?:\[[\d:./, -]{{4,24}}(?:[ ]?[AP]M)?\]|{_TIME})[ \t]{{1,4}}
          [*<]{{0,2}}(?P<name>{_WORD}{_FURTHER_WORD}{{1,2}})[*>]{{0,2}}
          [ ]?(?:\([^()]{{1,30}}\)[ ]?)?[:>]""",
        re.VERBOSE | re.MULTILINE,
    ),
    compile_lazily(
        rf"""^[ \t>|*-]{{0,8}}(?P<name>{_WORD}{_FURTHER_WORD}{{1,2}})[ \t]{{1,4}}[(\[]?{_TIME}[)\]]?
          [ \t]{{0,4}}(?:$|\r|[:-])""",
        re.VERBOSE | re.MULTILINE,
    ),
    compile_lazily(
        rf"""(?<![\w.@/-])(?P<name>{_WORD}{_FURTHER_WORD}{{1,2}})[ ]?
          (?:<[^<>\r\n]{{3,80}}>|\([^()\r\n]{{3,80}}\)|\[removed:[^\[\]]{{3,40}}\])?[ ]?
          {load_alternation(__package__, "writing_verbs")}[^\r\n:]{{0,40}}:""",
        re.VERBOSE,
    ),
)
"""The writer of a message or of a quoted mail: `[10:31] Jane Roe: ok`, `Jane Roe wrote:`."""
_TITLE_STARTS = (
    *("Mr", "Ms", "Mx", "Dr", "Prof", "Sr", "Mme", "Mlle", "Dott", "Ing", "Herr", "Frau", "Miss"),
    *("Monsieur", "Madame", "Señor", "Signor", "Hr", "Dhr", "Mevr", "Fr.", "M.", "Dña", "Mw"),
    *("Sig", "Pan", "pani"),
    *("paní", "fru", "Fru", "Meneer", "De heer", "signor", "sig.ra", "Doña"),
)
"""Each title of the lists begins with one of these; cheaper to look for than the pattern."""
_may_hold_cue = contains_any(
    *("reported by", "written by", "discovered by", "submitted by", "shared by", "investigated by"),
    *("provided by", "identified by", "observed by", "prepared by", "signed by", "sent by"),
    *("sent in by", "found by", "spotted by", "analysed by", "analyzed by", " von", " durch"),
    *(" par", " por", " da", " door", "our client", "my client", "colleague", "employee"),
    *("customer", "credit", "thanks", "behalf", "attention", "attn", "dear", "regards"),
    *("concern", "touch", "affect", "coinvol", "colpit", "interess", "betrok", "getrof", "poszk"),
    *("dotyczy", "schrieb", "affected", "impacted", "targeted", "involved"),
    *("sincerely", "my name", "name:", "name :", "name=", "name =", "contact", "author", "analyst"),
    *("reporter", "researcher", "creator"),
    *("patient", "recipient", "person", "kontakt", "victim", "opfer", "melder", "ansprechpartner"),
    *("kund", "autor", "auteur", "vittima", "utente", "slachtoffer", "verfass", "bearbeit"),
    *("owner", "assign", "request", "opened by", "created by", "handled by", "approver", "poc"),
    *("anrufer", "verantwort", "betroffene", "demandeu", "afectad", "solicitante"),
    *("richiedente", "segnalante", "users", "staff", "people", "members", "students", "teachers"),
    *("anwender", "nutzer", "kollegen", "empf", "utilisateurs", "salari", "destinat", "usuarios"),
    *("empleados", "utenti", "dipendenti", "gebruikers", "medewerkers", "ontvangers", "ytkownicy"),
    *("pracownicy", "bildiren", "ihbar"),
)
"""Each cue of the list in ASCII holds one of these."""
_may_hold_request = contains_any(
    *("contacte", "contactar", "please ", "kindly ", "speak ", "spoke", "wenden sie", "kontakt"),
    *("sprach mit", "contatt", "neem ", "name is", "ich hei", "appelle", "me llamo", "mi nombre"),
    *("mi chiamo", "meu nome", "mijn naam", "nazywam", "mit freundl", "cordial", "bien "),
    *("atentamente", "groet", "atenciosamente", "powa", "yours ", "ceo ", "cfo ", "cio ", "ciso "),
    *("coo ", "gesch", "buchhalter", "mitarbeiter", "kolleg", "employ", "emplead", "dipendente"),
    *("medewerker", "pracownik", "thanks", "cheers", "saludo", "pozdraw", "saluti", "pozdrav"),
    *("br\n", "br,", "mfg", "vg\n", "vg,", "lg\n", "lg,", "br\r", "vg\r", "lg\r"),
)
_may_hold_field = contains_any("author", "report", "analyst", "creator", "researcher")
_CAPITALS = rf"[{_UPPER}]{{3,}}(?:-[{_UPPER}]{{2,}})?"
_TWO_WORDS = (
    rf"(?P<name>{_WORD}{_FURTHER_WORD}{{1,2}}|{_WORD}[ ]{_CAPITALS}|{_CAPITALS}[ ]{_WORD}"
    rf"|[{_UPPER}]\.(?:[ -]?[{_UPPER}]\.){{0,2}}[ ]?(?:{_PARTICLE}[ ]){{0,2}}{_WORD})"
    r"(?!\w|’(?!s\b))"
)
"""Two words with capitals (one may be in capitals: `Jean DUPONT`), or initials and one."""
_FULL_NAME = compile_lazily(_TWO_WORDS)
_ITEM = compile_lazily(r"[^;,\r\n]+")
_ITEM_WITH_COMMA = compile_lazily(r"[^;\r\n]+")
_LISTED_NAME = compile_lazily(rf"[ \t*]*{_TWO_WORDS}[ \t*]*")
_SURNAME_FIRST = compile_lazily(rf"[ \t*]*(?P<name>{_WORD}(?:[ ]{_WORD})?,[ ]{_WORD})[ \t*]*")
"""As Outlook writes names; several have semicolons between them."""
_SURNAME_IN_FIELD = compile_lazily(
    rf"""(?:(?<=[:=][ ])|(?<=atient[ ])|(?<=tientin[ ])|(?<=aciente[ ]))
        (?P<name>(?:{_WORD}|{_CAPITALS})(?:[ ]{_WORD})?,[ ]
          (?:{_WORD}|{_CAPITALS})(?:[ ][{_UPPER}]\.)?)
        (?=[ \t]{{0,4}}(?:[;|(<\r\n]|\Z))""",
    re.VERBOSE,
)
_BEFORE_NAME = compile_lazily(
    rf"""(?<![\w.@/-])(?P<word>[^\W\d_]+(?:-[a-z]+)?)[,:]?[ \t]{{1,3}}["'*_(]{{0,3}}
        (?={_WORD},?[ ](?:[{_UPPER}]\.[ ]?)?[{_UPPER}{_LOWER}]|[{_UPPER}]\.[ ]?[{_UPPER}])""",
    re.VERBOSE,
)
"""Any word before what may be a name."""
_PAIR = compile_lazily(rf"(?<![\w.@/-]){_WORD}(?:{_FURTHER_WORD}){{1,5}}(?!\w)")
"""Two or more words with capitals, of which some may be no name."""
_NAME_WORDS = compile_lazily(rf"{_WORD}|[{_UPPER}]\.|{_PARTICLE}\b")
_NEAR = 300
"""Characters of a sentence before and after a number that are searched for the person."""
_SENTENCE_END = compile_lazily(r"\n|\. (?!\d)")
"""Not the end of `geb. 1.2.1980`."""
_ROLES = frozenset(load_words(__package__, "person_roles"))
_POSSESSION = compile_lazily(
    rf"(?<!\w)(?i:{load_alternation(__package__, 'person_possessions')})\Z"
)
_PREPOSITIONS = frozenset(
    (
        *("of", "to", "by", "von", "an", "durch", "de", "par", "à", "por", "a", "da", "di", "van"),
        "do",
    )
)
"""The last words of possessions."""
_LONGEST_POSSESSION = 40
_IN_TITLE = compile_lazily(r"\b([A-Z]\w*)[ ]\Z")
"""The word before a role with a capital that belongs to a title: `Device Manager`."""
_NEXT_NAME = compile_lazily(rf"(?:,[ ]|,?[ ](?:and|und|et|y|&)[ ]){_TWO_WORDS}")
_MOST_JOINED = 40
"""Names of one list; the word before them may stand in it again: `Contact A B and Contact C D`."""
_NOT_PERSON_NAMES = frozenset(load_words(__package__, "not_person_names"))
_NAMES_TOO = frozenset(
    (
        *("january", "february", "march", "april", "may", "june", "july", "august", "september"),
        *("october", "november", "december", "north", "south", "east", "west", "windows", "apple"),
        *("sir", "madam", "friend", "member", "account", "user", "customer", "colleague", "mobile"),
        *("colleagues", "customers", "everyone", "valued", "the", "this", "these", "that", "all"),
        *("new", "our", "your", "their", "those"),
    )
)
"""Words among `not_person_names` that may be parts of a person's name, or say nothing."""
_ORGANISATION_WORDS = (
    _NOT_PERSON_NAMES.union(load_words(__package__, "organisation_words")) - _NAMES_TOO
)
_CAPITALISED = _ORGANISATION_WORDS.union(
    load_words(__package__, "capitalised_words"), load_words(__package__, "vendors")
)
"""Words that stand with a capital in texts about attacks, and are not parts of names."""
_LETTERS = compile_lazily(r"[^\W\d_]+")
_NOT_BESIDE_NUMBERS = _CAPITALISED.union(
    LABEL_WORDS,
    load_words(__package__, "person_form_words"),
    load_words(__package__, "person_roles"),
    load_words(__package__, "sentence_openers"),
    _LETTERS.findall(" ".join(load_words(__package__, "identity_documents"))),
)
"""Words that stand with a capital beside numbers of people, or before what people do."""
_SHORTEST_NAME = 4
"""Letters of a name by itself; shorter ones are nearly all acronyms."""
_NOT_LOWER_NAMES = frozenset(load_words(__package__, "not_lower_names"))
_ARTICLES = frozenset(("mr", "mrs", "ms", "dr", "n/a", "none", "null", "unknown", "string", "text"))
_may_hold_part_field = contains_any(
    "name", "nom", "apellido", "naam", "imi", "nazwisko", "namn", "navn"
)
_may_hold_full_field = contains_any(
    *("name", "nom", "naam", "nazwisko", "namn", "navn", "nimi", "holder", "inhaber", "employee"),
    *("mitarbeiter", "titula", "intestatario"),
)
_may_hold_lower_title = contains_any(
    *("mr", "mister", "dr.", "prof.", "herr", "frau", "mme", "mlle", "monsieur", "madame", "se"),
    *("signor", "sra."),
)
_may_hold_act = contains_any(
    *("clicked", "opened ", "received ", "forwarded ", "enabled ", "called ", "phoned ", "rang "),
    *("told ", "replied ", "fell for", "entered ", "typed ", "gave ", "disclosed ", "reused "),
    *("changed ", "'s ", "s' ", " hat ", " habe ", "erhielt", "bekam", "startete", "klickte"),
    *(" a cli", " a ouv", " a saisi", " clic", " ha aperto", " ha ric", " ha ins", " ha scar"),
    *("abriu", "recebeu", "heeft", "had op ", "had de ", "had he", "opende", "klikn", "klickade"),
    *(" fick ", "klikl"),
)
_may_hold_talk = contains_any(
    *("poke", "talked", "chatted", "met ", "check", "confirm", "follow", "interview", "call"),
    *("meeting", "phone", "rang ", "mailed", "messaged", "brief", "informed", "notified"),
    *("asked ", "reached", "visited", "pinged", "contact", "hand", "escalat", "passed", "assign"),
    *("reported", "returned", "sent back", "approved", "requested", "performed", "conducted"),
    *("triaged", "verified", "reviewed", "closed", "acknowledg", "sprach", "telefon", "sproch"),
    *("abgestimmt", "ruf", "genehmigt", "gesichtet", "bearbeitet", "gemeldet", "appel"),
    *("entretien", "discut", "parl", "ouvert par", "habl", "llamada", "conversa", "con "),
    *("aprobado", "atendido", "gestionado", "gestito", "aperto", "door ", "rozm", "fal"),
    *("victim", "caller", "recipient", "addressee", "patient", "collea", "holder", "user "),
    *("melder", "opfer", "empf", "betroffene", "kolleg", "ansprech", "coll", "destinat", "clarant"),
    *("utilisat", "ctima", "usuari", "compa", "vittima", "referente", "utente", "slachtoffer"),
    *("gebruiker", "reporter"),
)
_may_hold_message = contains_any(
    *(":0", ":1", ":2", ":3", ":4", ":5", "wrote", "writes", "replied", "schrieb"),
    *("ha scritto", "schreef", "escreveu", "napsal", "skrev", "napisa", "scribi"),
)
_ANNOUNCEMENTS = (
    (_CUE, _may_hold_cue),
    (_CONTACT, contains_any("contact")),
    (_REQUEST, _may_hold_request),
    (_FIELD, _may_hold_field),
)
_FORMS: tuple[tuple[re.Pattern[str], Callable[[str], bool]], ...] = (
    (_TITLED, lambda text: any(title in text for title in _TITLE_STARTS)),
    (_FULL_FIELD, _may_hold_full_field),
    (_SALUTATION, contains_any(",", "!")),
    (_CARD, contains_any("apt.", "suite", "mobile", "phone", "tel", "desk", "fax", "mail", "po a")),
    (_IN_CAPITALS, contains_any("contact", "att", "report", "employee", "name", "patient")),
    (_COLLEAGUE, contains_any("ollea", "olleg", "oworker", "o-worker", "oleg", "mate")),
    (_LIVING, contains_any("live", "resid", "born", "works", "reached", "wohnt", "habite", "vive")),
)
"""Patterns that find a name by its capitals, each with a cheap question."""
_CAREFUL_FORMS: tuple[tuple[re.Pattern[str], Callable[[str], bool]], ...] = (
    *((message, _may_hold_message) for message in _MESSAGES),
    (_BRACKETED, lambda text: "(" in text and "." in text),
    (_SIGNATURE, contains_any("|")),
    (_APPOSITION, lambda text: text.count(",") > 1),
)
"""Further ones, of which no word may be a common one."""


def may_be_person(name: str) -> bool:
    """True unless the name of an identity shows that it is an organisation or an attacker's.

    Nothing proves a person, so every other name counts as a person's.

    >>> may_be_person("Jane Roe"), may_be_person("Roe Industries GmbH")
    (True, False)
    """
    words = [word.casefold() for word in re.findall(r"[^\W\d_]+", name)]
    if not _ORGANISATION_WORDS.isdisjoint(words) or name.strip().casefold() in attack_names():
        return False
    short = name.isascii() and not any(map(str.isdigit, name))
    return not short or sum(map(len, words)) >= _SHORTEST_NAME


def find_person_names(text: str) -> Iterator[Span]:
    """Names with a title, behind words that announce a person, in forms and in headers."""
    if " " not in text and ":" not in text and "=" not in text:  # every match has one
        return
    for pattern, may_hold in _FORMS:
        for found in pattern.finditer(text) if may_hold(text) else ():
            if _is_person_name(found["name"]):
                yield Span(*found.span("name"), PERSON)
    yield from _find_announced(text)
    yield from _find_behind_roles(text)
    yield from _find_before_acts(text)
    yield from _find_in_talks(text)
    yield from _find_in_lower_case(text)
    yield from _find_recipients(text)


def find_names_beside(text: str, numbers: Sequence[Span], mailboxes: Sequence[Span]) -> list[Span]:
    """Names in a sentence with a number or date of a person, or that a mailbox of the text has too.

    `Jane Roe's SSN is …`, `Jane Roe (jane.roe@bank.test)`.
    """
    if not numbers and not mailboxes:
        return []
    names = [name for pair in _PAIR.finditer(text) for name in _without_form_words(text, pair)]
    if not names:
        return []
    sentences = SpanIndex(_sentence(text, number) for number in numbers)
    logins = {_letters(text[each.start : each.end].partition("@")[0]) for each in mailboxes}
    return [
        name
        for name in names
        if sentences.overlaps(name.start, name.end)
        or not logins.isdisjoint(_as_logins(text[name.start : name.end]))
    ]


def _find_announced(text: str) -> Iterator[Span]:
    """Names of two words right behind words that announce a person."""
    for announcement, may_hold in _ANNOUNCEMENTS:
        for found in announcement.finditer(text) if may_hold(text) else ():
            yield from _read_names(text, found.end())


def _find_behind_roles(text: str) -> Iterator[Span]:
    """Names behind the role of a person, or a thing of theirs: `the user Jane Roe`.

    Both stand before many other words, so no part of the name may be a word of the language.
    """
    for found in _BEFORE_NAME.finditer(text):
        if not _announces(text, found):
            continue
        for name in _read_names(text, found.end()):
            if _has_common_word(text[name.start : name.end]):
                break
            yield name


def _find_in_talks(text: str) -> Iterator[Span]:
    """Names of those with whom the writer talked, who wrote what is quoted, or in brackets."""
    for found in _TALK.finditer(text) if _may_hold_talk(text) else ():
        for name in _read_names(text, found.end()):
            if _has_common_word(text[name.start : name.end]):
                break
            yield name
    for pattern, may_hold in _CAREFUL_FORMS:
        for found in pattern.finditer(text) if may_hold(text) else ():
            if _is_person_name(found["name"]) and not _has_common_word(found["name"]):
                yield Span(*found.span("name"), PERSON)


def _find_before_acts(text: str) -> Iterator[Span]:
    """Names in front of what people do at a desk, or of a thing that is theirs."""
    for found in _ACTING.finditer(text) if _may_hold_act(text) else ():
        for name in _without_form_words(text, found):
            if name.end == found.end("name"):
                yield name


def _announces(text: str, found: re.Match[str]) -> bool:
    """True if the word is a role, or the end of a thing of somebody's."""
    word, start = found["word"], found.start()
    if word.lower() in _ROLES:
        title = _IN_TITLE.search(text, max(0, start - 30), start) if word.istitle() else None
        return title is None or title[1].lower() in _NAMES_TOO
    if word.lower() not in _PREPOSITIONS:
        return False
    start = max(0, start - _LONGEST_POSSESSION)
    return _POSSESSION.search(text, start, found.end("word")) is not None


def _has_common_word(name: str) -> bool:
    """True if a word of the name is as common as `Remote` or `Bank`."""
    return not _CAPITALISED.isdisjoint(map(str.lower, _LETTERS.findall(name)))


def _without_form_words(text: str, pair: re.Match[str]) -> Iterator[Span]:
    """The stretches of two or more words of a pair that are no words of forms and organisations."""
    kept: list[re.Match[str]] = []
    for word in (*_NAME_WORDS.finditer(text, *pair.span()), None):
        if word is not None and word[0].lower() not in _NOT_BESIDE_NUMBERS:
            kept.append(word)
            continue
        if len(kept) > 1 and not _is_attack_name(text[kept[0].start() : kept[-1].end()]):
            yield Span(kept[0].start(), kept[-1].end(), PERSON)
        kept = []


def _sentence(text: str, span: Span) -> tuple[int, int]:
    """The sentence around a span, as far as that is near."""
    start = max(0, span.start - _NEAR)
    for end in _SENTENCE_END.finditer(text, start, span.start + 1):
        start = end.end()
    found = _SENTENCE_END.search(text, span.end, span.end + _NEAR)
    return start, found.start() if found else span.end + _NEAR


def _as_logins(name: str) -> set[str]:
    """A name as mailboxes have it: both words in either order, or one of them as an initial."""
    words = [_letters(word) for word in _LETTERS.findall(name)]
    first, last = words[0], words[-1]
    return {first + last, last + first, first[:1] + last, first + last[:1], last + first[:1]}


def _letters(text: str) -> str:
    """The letters of a text in lower case, without accents."""
    return "".join(_LETTERS.findall(fold_letters(text))).lower()


def _find_in_lower_case(text: str) -> Iterator[Span]:
    """Names behind cues that are so clear that the name needs no capitals."""
    for found in _PART_FIELD.finditer(text) if _may_hold_part_field(text) else ():
        if _ARTICLES.isdisjoint(found["name"].lower().split()) and _is_person_name(found["name"]):
            yield Span(*found.span("name"), PERSON)
    for found in _LOWER_FIELD.finditer(text) if _may_hold_full_field(text) else ():
        if _is_person_name(found["name"]):
            yield Span(*found.span("name"), PERSON)
    for found in _LOWER_TITLED.finditer(text) if _may_hold_lower_title(text) else ():
        first, _, second = found["name"].partition(" ")
        if first in _NOT_LOWER_NAMES or not _is_person_name(first):
            continue
        end = found.end("name") if second else found.start("name") + len(first)
        if second in _NOT_LOWER_NAMES or second in _NOT_PERSON_NAMES:
            end = found.start("name") + len(first)
        yield Span(found.start("name"), end, PERSON)


def _find_recipients(text: str) -> Iterator[Span]:
    """The names in front of the addresses to which a message went, and those without any."""
    for line in _RECIPIENTS.finditer(text) if ":" in text else ():
        if "<" not in line["list"]:
            yield from _read_list(text, *line.span("list"))
            continue
        for found in _DISPLAY_NAME.finditer(text, *line.span("list")):
            group = found.lastgroup or "name"
            if _is_person_name(found[group]):
                yield Span(*found.span(group), PERSON)


def _read_list(text: str, start: int, end: int) -> Iterator[Span]:
    """The names of a list that has nothing else: `Jane Roe; John Doe`, `Roe, Jane; Doe, John`."""
    is_one = _SURNAME_FIRST.fullmatch(text, start, end) is not None
    form = _ITEM_WITH_COMMA if is_one or ";" in text[start:end] else _ITEM
    items = [item for item in form.finditer(text, start, end) if item[0].strip()]
    found = [
        _LISTED_NAME.fullmatch(text, *item.span()) or _SURNAME_FIRST.fullmatch(text, *item.span())
        for item in items
    ]
    names = [each for each in found if each is not None]
    if len(names) < len(items):
        return
    for each in names:
        if _is_person_name(each["name"]) and not _has_common_word(each["name"]):
            yield Span(*each.span("name"), PERSON)


def _read_names(text: str, start: int) -> Iterator[Span]:
    """One name, or several joined by commas or `and`; `Roe, Jane` to the end of a field."""
    found = _SURNAME_IN_FIELD.match(text, start)
    if found is not None and _is_person_name(found["name"].replace(",", "")):
        if not _has_common_word(found["name"]):
            yield Span(*found.span("name"), PERSON)
        return
    found = _FULL_NAME.match(text, start)
    for _ in range(_MOST_JOINED):
        if found is None or not _is_person_name(found["name"]):
            break
        yield Span(*found.span("name"), PERSON)
        found = _NEXT_NAME.match(text, found.end())


def _is_person_name(name: str) -> bool:
    """False if a word of the name shows that it is not a person's, or if ATT&CK knows it."""
    words = name.lower().split()
    if not _NOT_PERSON_NAMES.isdisjoint(words) or _is_attack_name(name):
        return False
    is_shouted = any(len(word) > 2 and word.isupper() for word in name.split())
    return not is_shouted or _CAPITALISED.isdisjoint(words)


def _is_attack_name(name: str) -> bool:
    """True for the name of malware, an actor or a tool, also with a blank in it."""
    words = name.lower().split()
    return " ".join(words) in attack_names() or "".join(words) in attack_names()
