"""Kinds of files that no format reads, and what to do about each.

By the first octets; the name counts only for text.  Nothing is parsed here.
"""

import re
from collections.abc import Mapping
from pathlib import PurePath

from tocsin.admission.extraction.text_encoding import decode_text
from tocsin.admission.lazy_patterns import compile_lazily

_IMAGE = "it is an image, and text in images is not read: type its values into a text or a table"
_ARCHIVE = "it is an archive: unpack it and send the files in it"
_PROGRAM = "it is a program: send its hashes, never the program itself"
_CAPTURE = "it is a recording of network traffic: send the hosts, addresses and URLs in it as text"
_MEDIA = "it is a sound or video file: send the indicators as text or CSV"
_DATABASE = "it is a database: export the table as CSV"
_TABLE = "it is a table that only programs read: export it as CSV"
_EVENT_LOG = "it is a Windows event log: export the events with indicators as CSV or text"
_MAILBOX = "it is a mailbox of Outlook: export the messages as .eml or .msg"
_NOTEBOOK = "it is a OneNote file: export it as PDF or .docx; of a malicious one, send its hashes"
_SHORTCUT = "it is a shortcut: send its hashes, and the hosts and URLs in it as text"
_DISK = "it is a disk image: send its hashes, and those of the files in it"
_CARD = "it is a contact card (vCard): personal data is not shared"
_CALENDAR = "it is a calendar, which names people: send the URLs and hosts in it as text"
_DIRECTORY = "it is an export of a directory (LDIF): personal data is not shared"
_ZEEK = (
    "it is a log of Zeek, which names machines of your network: send the attacker's addresses,"
    " hosts and URLs as text or CSV"
)
_LEASES = (
    "it lists leases of a DHCP server, which are machines of your network: send the attacker's"
    " addresses as text or CSV"
)
_VPN_STATUS = "it is the status of a VPN server, which names its users: personal data is not shared"
_ENCRYPTED = "it is an encrypted document: save it without a password"
_OLD_WORD = "it is a document of an old Word (.doc): save it as .docx or PDF"
_OLD_EXCEL = "it is a workbook of an old Excel (.xls): save it as .xlsx or CSV"
_OLD_OFFICE = "it is a file of an old Office program: save it as .docx, .xlsx or PDF"
_SLIDES = "it is a presentation: save it as PDF"
_BINARY_EXCEL = "it is a binary workbook (.xlsb): save it as .xlsx or CSV"
_OPEN_TEXT = "it is an OpenDocument text: save it as .docx or PDF"
_OPEN_TABLE = "it is an OpenDocument table: save it as .xlsx or CSV"
_RICH_TEXT = "it is rich text (RTF): save it as .docx or PDF"
_JSON_VALUE = compile_lazily(r'"[^"]*"|-?[0-9][0-9.eE+-]*|true|false')
_ONE_VALUE = (
    "it is JSON, but only one value, and no object or list: send STIX, or the values as text or CSV"
)
_JSON = (
    "it is JSON, but neither STIX nor MISP, and no list of indicators is in it: send STIX, or a "
    "table as CSV"
)
_XML = "it is XML, but neither STIX 1.x nor OpenIOC: export it as STIX, CSV or text"
_YAML = "it is YAML, but no Sigma rule is in it: send its values as text or CSV"
_NO_RULE = "its name says that it holds rules, but none is in it"
_NO_MAIL = "its name says that it is a mail, but it has no header fields: save the mail again"
_NOT_XML = "its name says that it is XML, but it is not: if it is text, name it .txt"
_NO_PAGE = "its name says that it is a web page, but it is not: if it is text, name it .txt"
_NOT_AS_NAMED = "its content is not what its name says: if it is text, name it .txt"
_AGAIN = "if it should hold something, export it again"
_EMPTY = f"the file is empty: {_AGAIN}"
_BLANK = f"the file has nothing but white space: {_AGAIN}"
_NOTHING_IN_JSON: Mapping[bytes, str] = {
    b"[]": f"it is an empty list of objects: {_AGAIN}",
    b"{}": f"it is an empty JSON object: {_AGAIN}",
    b'""': f"it is an empty JSON text: {_AGAIN}",
    b"null": f"it is JSON with nothing but null: {_AGAIN}",
    b'{"response":[]}': f"it is an answer of MISP without events: {_AGAIN}",
}
_MARKS = b"\0\xef\xbb\xbf\xff\xfe"
"""The octets of byte order marks, and those of UTF-16 between letters of ASCII."""
_NUL = "it has nothing but NUL octets, as a file that was not written to its end: copy it again"
_SEARCHED = 1_000_000

_RTF = b"{\\rtf"
_SIGNATURES: Mapping[bytes, str] = {
    **dict.fromkeys((b"\x89PNG", b"\xff\xd8\xff", b"GIF8", b"BM", b"II*\x00", b"MM\x00*"), _IMAGE),
    **dict.fromkeys((b"\x00\x00\x01\x00", b"8BPS"), _IMAGE),
    **dict.fromkeys((b"\x1f\x8b", b"BZh", b"\xfd7zXZ", b"7z\xbc\xaf\x27\x1c", b"Rar!"), _ARCHIVE),
    **dict.fromkeys((b"\x28\xb5\x2f\xfd", b"\x04\x22\x4d\x18", b"MSCF", b"PK\x05\x06"), _ARCHIVE),
    **dict.fromkeys(
        (b"\x7fELF", b"MZ", b"\xcf\xfa\xed\xfe", b"\xca\xfe\xba\xbe", b"dex\n", b"\x00asm"),
        _PROGRAM,
    ),
    **dict.fromkeys((b"\xd4\xc3\xb2\xa1", b"\xa1\xb2\xc3\xd4", b"\x0a\x0d\x0d\x0a"), _CAPTURE),
    **dict.fromkeys((b"OggS", b"ID3", b"\x1aE\xdf\xa3"), _MEDIA),
    b"SQLite format 3": _DATABASE,
    **dict.fromkeys((b"PAR1", b"Obj\x01"), _TABLE),
    b"ElfFile\x00": _EVENT_LOG,
    b"!BDN": _MAILBOX,
    b"\xe4\x52\x5c\x7b\x8c\xd8\xa7\x4d": _NOTEBOOK,
    b"L\x00\x00\x00\x01\x14\x02\x00": _SHORTCUT,
    **dict.fromkeys((b"vhdxfile", b"conectix"), _DISK),
    _RTF: _RICH_TEXT,
}
_CONTROL = re.compile(rb"[\x00-\x08\x0e-\x1a\x1c-\x1f]")
"""A text can begin like a signature; the signature counts only with one of these."""
_HEAD = 1_024
_ISO_VOLUME = 32_769
"""The octet at which the name of the standard stands in an image of a CD or DVD (ECMA-119)."""
_RIFF = {b"WEBP": _IMAGE, b"WAVE": _MEDIA, b"AVI ": _MEDIA}
_OLE = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
_OLE_PARTS = (
    ("EncryptedPackage", _ENCRYPTED),
    ("WordDocument", _OLD_WORD),
    ("Workbook", _OLD_EXCEL),
    ("Book", _OLD_EXCEL),
    ("PowerPoint Document", _SLIDES),
)
_ZIP_PARTS = (
    (b"ppt/presentation", _SLIDES),
    (b"xl/workbook.bin", _BINARY_EXCEL),
    (b"mimetypeapplication/vnd.oasis.opendocument.text", _OPEN_TEXT),
    (b"mimetypeapplication/vnd.oasis.opendocument.spreadsheet", _OPEN_TABLE),
    (b"mimetypeapplication/vnd.oasis.opendocument.presentation", _SLIDES),
)
_BY_ENDING: dict[str, str] = {
    **dict.fromkeys((".yml", ".yaml", ".sigma"), _YAML),
    **dict.fromkeys((".yar", ".yara", ".rules", ".snort", ".suricata"), _NO_RULE),
    **dict.fromkeys((".json", ".jsonl", ".ndjson"), _JSON),
    **dict.fromkeys((".xml", ".stix", ".ioc"), _NOT_XML),
    **dict.fromkeys((".html", ".htm", ".xhtml"), _NO_PAGE),
    **dict.fromkeys((".pdf", ".docx", ".xlsx", ".rtf", ".svg"), _NOT_AS_NAMED),
    **dict.fromkeys((".eml", ".msg"), _NO_MAIL),
}
_PERSONAL = (
    (compile_lazily(r"BEGIN:VCARD\s", re.IGNORECASE), _CARD),
    (compile_lazily(r"BEGIN:VCALENDAR\s", re.IGNORECASE), _CALENDAR),
    (compile_lazily(r"#separator [^\n]*\n(?:#[^\n]*\n)*?#fields\t[^\n]*\bid\.orig_h\b"), _ZEEK),
    (compile_lazily(r"(?:#[^\n]*\s+|[a-z-]+ [^\n{};]*;\s+)*lease [\d.]+ \{"), _LEASES),
    (compile_lazily(r"OpenVPN CLIENT LIST\s|TITLE[,\t]OpenVPN"), _VPN_STATUS),
    (compile_lazily(r"(?:version: 1\s+)?dn:(?::|[^\n]*,\s?(?:dc|ou?|c)=)"), _DIRECTORY),
)
_SVG = compile_lazily(r"<svg[\s>]")


def describe_kind(name: str, content: bytes) -> str:
    """A sentence about a file that no format accepts; empty if its kind is unknown."""
    if content and not content.strip(b"\0"):
        return _NUL
    return (
        describe_empty(content)
        or _describe_container(content)
        or describe_binary(content)
        or _describe_text(name, content)
    )


def describe_empty(content: bytes) -> str:
    """A sentence about a file that holds nothing, also as JSON; empty for any other.

    >>> describe_empty(b" [ ]"), describe_empty(b"[{}]")
    ('it is an empty list of objects: if it should hold something, export it again', '')
    """
    if len(content) > _HEAD and content[:_HEAD].translate(None, _MARKS).strip():  # nearly always
        return ""
    letters = content.translate(None, _MARKS)
    if not letters.strip():
        return _BLANK if letters else _EMPTY
    return _NOTHING_IN_JSON.get(b"".join(letters.split()), "")


def _describe_container(content: bytes) -> str:
    if content.startswith(_OLE):
        parts = ((part.encode("utf-16-le"), text) for part, text in _OLE_PARTS)
        return next((text for part, text in parts if part in content), _OLD_OFFICE)
    if content.startswith(b"PK\x03\x04"):
        return next((text for part, text in _ZIP_PARTS if part in content), _ARCHIVE)
    return ""


def describe_binary(content: bytes) -> str:
    """A sentence about a file that holds no text by its first octets; empty for any other.

    >>> describe_binary(b"GIFT CARDS ARE BAIT"), describe_binary(b"GIF89a\\x01\\x00")
    ('', 'it is an image, and text in images is not read: type its values into a text or a table')
    """
    start, found = next(
        (each for each in _SIGNATURES.items() if content.startswith(each[0])), (b"", "")
    )
    if found and (start == _RTF or not start.isascii() or _CONTROL.search(content[:_HEAD])):
        return found
    if content.startswith(b"RIFF") and content[8:12] in _RIFF:
        return _RIFF[content[8:12]]
    if content[4:8] == b"ftyp":
        return _IMAGE if content[8:11] in (b"hei", b"avi", b"mif") else _MEDIA
    if content[_ISO_VOLUME : _ISO_VOLUME + 5] == b"CD001":
        return _DISK
    return _ARCHIVE if content[257:262] == b"ustar" else ""


def describe_personal(content: bytes) -> str:
    """A sentence about a text of people, or of machines of one's own, by its first lines.

    Empty for any other.

    >>> describe_personal(b"BEGIN:VCARD\\nFN:Jane Doe")
    'it is a contact card (vCard): personal data is not shared'
    """
    start = decode_text(content[:_HEAD]).lstrip("\ufeff \t\n")
    return next((text for begin, text in _PERSONAL if begin.match(start)), "")


def _describe_text(name: str, content: bytes) -> str:
    if kind := describe_personal(content):
        return kind
    start = decode_text(content[:_SEARCHED]).lstrip("\ufeff \t\n")
    if start.startswith("<"):
        return _IMAGE if _SVG.search(start[:2_000]) else _XML
    if start.startswith(("{", "[")):
        return _JSON
    kind = _BY_ENDING.get(PurePath(name.lower()).suffix, "")
    return _ONE_VALUE if kind == _JSON and _JSON_VALUE.fullmatch(start.rstrip()) else kind
