"""What the columns of a partner's table mean, by their headings or by their cells."""

import re
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum, auto
from functools import cached_property, lru_cache

from tocsin.admission.extraction.decode import words
from tocsin.admission.observables.ioc_types import recognise_ioc
from tocsin.admission.observables.refang import refang


class Role(Enum):
    """What a column is for."""

    TYPE = auto()  # says what kind of value the row holds
    VALUE = auto()  # holds the value, or several
    KIND = auto()  # holds values of the kind that its heading names
    CERTIFICATE = auto()  # holds fingerprints of certificates
    NAME = auto()
    NOTE = auto()
    TLP = auto()
    CONFIDENCE = auto()
    TAGS = auto()
    CLASS = auto()  # malicious, phishing, benign …
    SEEN = auto()
    UNTIL = auto()
    REFERENCE = auto()
    DETECT = auto()  # MISP: whether it is for detection at all
    OTHER = auto()  # nothing that is shared: who reported it, what a tool counted

    __hash__ = object.__hash__  # a member is one object; every row asks by it


_EXACT: Mapping[Role, str] = {
    Role.TYPE: "type|kind|indicator type|ioc type|entity type|observable type|data type"
    "|indicator kind|value type|type of indicator|ioc kind|attribute type"
    "|typ|art|indikatortyp|type d indicateur|type d ioc|tipo|tipo de indicador|tipo de ioc"
    "|tipo di indicatore",
    Role.VALUE: "value|indicator|indicators|ioc|iocs|data|observable|observables|indicator value"
    "|ioc value|pattern|stix pattern|network indicator|network indicators|artifact|entity"
    "|indicator of compromise"
    "|indicators of compromise|value s|attribute value"
    "|wert|indikator|indikatoren|valeur|indicateur|indicateurs|valor|indicador|indicadores"
    "|valore|indicatore|indicatori",
    Role.NAME: "name|title|indicator name",
    Role.NOTE: "description|desc|note|notes|comment|comments|context|details|remark|remarks"
    "|beschreibung|bemerkung|bemerkungen|anmerkung|kommentar|kontext|commentaire|commentaires"
    "|remarque|remarques|contexte|descripcion|comentario|comentarios|contexto|descricao"
    "|descrizione|commento|contesto",
    Role.TLP: "tlp|tlp level|tlp marking|tlp label|tlp colour|tlp color|traffic light protocol"
    "|marking|markings",
    Role.CONFIDENCE: "confidence|confidence level|confidence score",
    Role.TAGS: "tag|tags|label|labels|malware|malware family|family|threat|associated malware"
    "|campaign|threat name|keywords",
    Role.CLASS: "classification|threat type|category|threat category|verdict|indicator types",
    Role.SEEN: "first seen|date|date added|added|detected date|date detected|timestamp|created"
    "|first observed|date first seen|observed|reported|first seen utc|dateadded|firstseen"
    "|first seen date|detection date|date reported|valid from"
    "|datum|zuerst gesehen|erstmals gesehen|date de decouverte|date de detection|fecha"
    "|fecha de deteccion",
    Role.UNTIL: "valid until|expires|expiration|expiry|expiration date|expiry date|expires at",
    Role.REFERENCE: "reference|references|ref|refs|report|report url|source url|url of report"
    "|reference url|reference urls|link|permalink|article|blog|blog url|external reference"
    "|external references|report link|reference link"
    "|referenz|referenzen|referencia|referencias|riferimento|riferimenti",
    Role.DETECT: "to ids",
}
_ROLES: Mapping[str, Role] = {
    heading: role for role, headings in _EXACT.items() for heading in headings.split("|")
}
_OF_KIND = words(
    "domain domains fqdn fqdns host hosts hostname hostnames ip ips ipv4 ipv6 address addresses"
    " url urls uri uris email emails mail mails courriel correo sha256 sha1 md5 sha512"
    " sha hash hashes filehash c2 c2s cnc cc c2server ioc iocs indicator"
    " indicators observable domainname ipaddress"
    " domane domanen domaine domaines dominio dominios domini adresse adressen adresses direccion"
    " direcciones indirizzo indirizzi hashwert hashwerte prufsumme empreinte empreintes condensat"
    " huella huellas"
)
_NOT_OF_KIND = words(
    "use type count number asn port country source victim victims target targets internal user"
    " author certificate cert thumbprint imphash import ssdeep tlsh pe authentihash vhash ja3"
    " ja3s jarm size date time status registrar registrant owner reporter reported get post"
    " reference report description note notes name id method path registry score rank city"
    " submitter recipient analyst contact customer local client referrer referer assigned owner"
    " employee creator created updated submitted device machine computer endpoint sensor upn"
    " receiver initiating parent"
    " opfer kunde melder gemeldet empfanger benutzer ziel quelle victime victimes auteur cible"
    " destinataire utilisateur victima victimas cliente autor destinatario usuario objetivo fuente"
    " vittima utente fonte intern interne interna interno"
)
_HOLDING = frozenset((Role.VALUE, Role.KIND))
_CERTIFICATES = words("certificate certificates cert certs x509 thumbprint thumbprints")
_OF_CERTIFICATES = _CERTIFICATES | words(
    "code signing signer tls ssl hash hashes fingerprint fingerprints md5 sha sha1 sha256"
)
"""Of what else a heading may consist that speaks of fingerprints of certificates."""
_PERSONAL = words(
    "name firstname lastname surname forename fullname phone telephone mobile birthday department"
    " vorname nachname telefon abteilung nom prenom nombre apellido apellidos telefono nome cognome"
)
_KIND_WORDS = words(
    "domain hostname host fqdn ip ipv4 ipv6 ipaddress ipv4-addr ipv6-addr domain-name url uri"
    " email email-addr emailaddress sha256 sha-256 sha1 sha-1 md5 sha512 sha-512 hash file"
    " filehash filename file_path file_path_name ip-dst ip-src email-src cve"
)
_HASHES = re.compile(r"sha ?(256|512|1)\b")
_WORD = re.compile(r"[a-z0-9]+")
_CAPITAL = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z]{2})")
"""Where a word begins in `RemoteIP` and `IPAddress`."""
_MAILBOX = re.compile(r"mail|courriel|correo")
_SPLIT_MAIL = re.compile(r"\be mail\b")
_TAG = re.compile(r"#\w{1,60}(?:\s+#\w{1,60})*")
_MANY = 2000
_DIRECTION = re.compile(r"\b(?:src|dst|dest|source|destination|remote) ?(?:ip|host|address|port)\b")
_LOGGING = frozenset(("host", "hostname", "host name"))


@dataclass(frozen=True)
class Columns:
    """The columns of a table: their roles, by number.

    Without slots, since it remembers where they are: every row asks.
    """

    roles: tuple[Role, ...]
    headed: bool
    """Whether the table says so itself; otherwise it was guessed from the cells."""
    people: bool = False
    """Whether it is a list of people: mailboxes beside names or telephones, and nothing else."""

    def of(self, role: Role) -> tuple[int, ...]:
        """The numbers of the columns with a role."""
        return self._places.get(role, ())

    @cached_property
    def _places(self) -> Mapping[Role, tuple[int, ...]]:
        every = tuple(enumerate(self.roles))
        return {role: tuple(n for n, each in every if each is role) for role in set(self.roles)}

    @cached_property
    def holding(self) -> tuple[int, ...]:
        """The numbers of the columns that hold indicators."""
        return tuple(n for n, each in enumerate(self.roles) if each in _HOLDING)


def headed(cells: Sequence[str]) -> Columns | None:
    """What a heading row says; None if it is no heading row."""
    if len(cells) > _MANY or any(recognise_ioc(refang(cell.strip())) for cell in cells):
        return None
    roles = [_role(cell) for cell in cells]
    if Role.TYPE not in roles and Role.VALUE in roles and _also(cells, roles, "data", "value"):
        roles[roles.index(Role.VALUE)] = (
            Role.TYPE
        )  # `Indicator,Data,Note`: what comes first is the type
    if any(map(_DIRECTION.search, map(plain, cells))):  # a log: what is called host wrote it
        ours = (plain(cell) in _LOGGING for cell in cells)
        roles = [Role.OTHER if own else role for own, role in zip(ours, roles, strict=True)]
    if not {*_HOLDING, Role.CERTIFICATE} & set(roles):
        return None
    return Columns(tuple(roles), headed=True, people=_of_people(cells, roles))


def _of_people(cells: Sequence[str], roles: Sequence[Role]) -> bool:
    said = [plain(cell) for cell in cells]
    holding = [each for each, role in zip(said, roles, strict=True) if role in _HOLDING]
    if not all(_MAILBOX.search(each) for each in holding):
        return False
    return any(_PERSONAL.intersection(each.split()) for each in said)


def guessed(rows: Sequence[Sequence[str]]) -> Columns:
    """What the columns of a table without headings are, by a sample of its rows.

    Every cell may be an indicator, unless one column names the kinds: then the
    values stand in one other column, and links elsewhere are references.
    """
    width = min(max((len(row) for row in rows), default=0), _MANY)
    by_column = [[row[n].strip() for row in rows if n < len(row)] for n in range(width)]
    kinds = next((n for n, cells in enumerate(by_column) if _mostly_kinds(cells)), None)
    if kinds is None:
        return Columns((), headed=False)
    shares = [_share_recognised(cells) if n != kinds else 0.0 for n, cells in enumerate(by_column)]
    value = _nearest_value(kinds, shares)
    if value is None:
        return Columns((), headed=False)
    roles = [_role_of_cells(cells) for cells in by_column]
    roles[kinds], roles[value] = Role.TYPE, Role.VALUE
    return Columns(tuple(roles), headed=False)


def _also(cells: Sequence[str], roles: Sequence[Role], *headings: str) -> bool:
    first = roles.index(Role.VALUE)
    return any(plain(cell) in headings for cell in cells[first + 1 :])


def plain(heading: str) -> str:
    """The words of a heading, without the signs, accents and cases that people vary.

    >>> plain("Date_de Découverte:")
    'date de decouverte'
    """
    return _plain(heading[:80])


@lru_cache(maxsize=1024)  # a column of kinds says the same in thousands of rows
def _plain(heading: str) -> str:
    parted = unicodedata.normalize("NFKD", heading.lstrip("\ufeff").casefold())
    said = " ".join(_WORD.findall("".join(c for c in parted if not unicodedata.combining(c))))
    return _SPLIT_MAIL.sub("email", said)


def _role(heading: str) -> Role:
    """What a heading means as it is written, or else with its capitals as beginnings of words."""
    role = _role_of(plain(heading))
    return role if role is not Role.OTHER else _role_of(plain(_CAPITAL.sub(" ", heading[:80])))


def _role_of(said_as: str) -> Role:
    if said_as in _ROLES:
        return _ROLES[said_as]
    said = set(_HASHES.sub(r"sha\1", said_as).split())
    if len(said) > 6:
        return Role.OTHER
    if said & _CERTIFICATES and said <= _OF_CERTIFICATES:
        return Role.CERTIFICATE
    if said & _OF_KIND and not (said - {"name"}) & _NOT_OF_KIND:
        file_name = "name" in said and not said & {"domain", "host", "dns"}
        return Role.OTHER if file_name else Role.KIND
    return Role.OTHER


def _mostly_kinds(cells: Sequence[str]) -> bool:
    filled = [cell.lower().replace(" ", "") for cell in cells if cell]
    return bool(filled) and sum(cell in _KIND_WORDS for cell in filled) * 10 >= len(filled) * 7


def _share_recognised(cells: Sequence[str]) -> float:
    filled = [cell for cell in cells if cell]
    return sum(recognise_ioc(refang(cell)) is not None for cell in filled) / max(len(cells), 1)


def _nearest_value(kinds: int, shares: Sequence[float]) -> int | None:
    full = [n for n, share in enumerate(shares) if share >= 0.3]
    return min(full, key=lambda n: (abs(n - kinds), -shares[n]), default=None)


def _role_of_cells(cells: Sequence[str]) -> Role:
    filled = [cell for cell in cells if cell]
    if filled and all(_TAG.fullmatch(cell) for cell in filled):
        return Role.TAGS
    if filled and all(cell[:4].isdigit() and cell[4:5] in "-/" for cell in filled):
        return Role.SEEN
    return Role.OTHER
