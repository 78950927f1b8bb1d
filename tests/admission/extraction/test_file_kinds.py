"""Sentences about files that no format reads (tocsin.admission.extraction.file_kinds)."""

import pytest
from support.documents import docx, paragraph, zipped
from support.ole import compound_file

from tocsin.admission import formats
from tocsin.admission.errors import Unprocessable
from tocsin.admission.extraction.file_kinds import describe_kind

ODF = "application/vnd.oasis.opendocument."


def refusal(name: str, content: bytes) -> str:
    """The sentence with which a file is refused."""
    with pytest.raises(Unprocessable) as error:
        list(formats.read(name, content, formats.ReadOptions(now=0)))
    return str(error.value)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "the file is empty"),
        (
            bytes(20),
            "it has nothing but NUL octets, as a file that was not written to its end: "
            "copy it again",
        ),
        (b"\x89PNG\r\n\x1a\n", "an image"),
        (b"\xff\xd8\xff\xe0", "an image"),
        (b"RIFF1234WEBP", "an image"),
        (b"\0\0\0\x18ftypheic", "an image"),
        (b'<?xml version="1.0"?>\n<svg xmlns="x">', "an image"),
        (b"\0\0\0\x18ftypmp42", "a sound or video file"),
        (b"\x1f\x8b\x08\0", "an archive: unpack it"),
        (b"7z\xbc\xaf\x27\x1c", "an archive: unpack it"),
        (zipped({"iocs.csv": "evil.com"}), "an archive: unpack it"),
        (bytes(257) + b"ustar\0", "an archive: unpack it"),
        (zipped({"ppt/presentation.xml": "x"}), "a presentation: save it as PDF"),
        (zipped({"xl/workbook.bin": "x"}), "a binary workbook"),
        (b"PK\x03\x04" + bytes(26) + f"mimetype{ODF}text".encode(), "an OpenDocument text"),
        (b"PK\x03\x04" + bytes(26) + f"mimetype{ODF}spreadsheet".encode(), "an OpenDocument table"),
        (compound_file({"WordDocument": b"x"}), "an old Word (.doc): save it as .docx"),
        (compound_file({"Workbook": b"x"}), "an old Excel (.xls): save it as .xlsx"),
        (compound_file({"EncryptedPackage": b"x"}), "encrypted document: save it without a pass"),
        (compound_file({"other": b"x"}), "an old Office program"),
        (b"{\\rtf1 evil.com}", "rich text (RTF)"),
        (b"MZ\x90\0", "send its hashes, never the program itself"),
        (b"\x7fELF\x02", "send its hashes, never the program itself"),
        (b"\xd4\xc3\xb2\xa1", "a recording of network traffic"),
        (b"SQLite format 3\0", "a database"),
        (b"PAR1\x15\0", "a table that only programs read: export it as CSV"),
        (b"Obj\x01\x04", "a table that only programs read: export it as CSV"),
        (b"ElfFile\0\0", "a Windows event log: export the events"),
        (b"!BDN\0\0", "a mailbox of Outlook: export the messages as .eml or .msg"),
        (b"\xe4\x52\x5c\x7b\x8c\xd8\xa7\x4d", "a OneNote file: export it as PDF"),
        (b"L\0\0\0\x01\x14\x02\0", "a shortcut: send its hashes"),
        (b"\0asm\x01\0\0\0", "send its hashes, never the program itself"),
        (b"vhdxfile\0\0", "a disk image: send its hashes"),
        (bytes(32_769) + b"CD001\x01", "a disk image: send its hashes"),
        (b"BEGIN:VCARD\r\nEMAIL:jane@lab.org\r\n", "a contact card (vCard): personal data"),
        (b"BEGIN:VCALENDAR\nORGANIZER:mailto:jane@lab.org\n", "a calendar, which names people"),
        (b"# See dhcpd.leases(5)\na-b little;\n\nlease 81.2.3.4 {\n", "leases of a DHCP server"),
        (b"OpenVPN CLIENT LIST\nUpdated,2026\njane,81.2.3.4:1\n", "the status of a VPN server"),
        (b"dn: cn=Jane,dc=lab\nmail: jane@lab.org\n", "an export of a directory (LDIF)"),
        (b'{"a": 1}', "JSON, but neither STIX nor MISP"),
        (b"<a>evil.com</a>", "XML, but neither STIX 1.x nor OpenIOC"),
    ],
)
def test_a_file_that_no_format_reads_is_recognised_by_its_content(
    content: bytes, words: str
) -> None:
    assert words in refusal("file.bin" if content[:1] not in b"<{" else "a.json", content)


@pytest.mark.parametrize("name", ["a.json", "a.txt", "a.csv", "-", "a.eml"])
@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "the file is empty"),
        (" \n\t\r\n", "the file has nothing but white space"),
        ("\n" * 5_000, "the file has nothing but white space"),
        ("[]", "it is an empty list of objects"),
        (" [ \n ]\n", "it is an empty list of objects"),
        ("{ }", "it is an empty JSON object"),
        ('""', "it is an empty JSON text"),
        ("null\n", "it is JSON with nothing but null"),
        ('{"response": []}', "it is an answer of MISP without events"),
    ],
)
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_a_file_that_holds_nothing_is_refused_by_what_it_holds_under_any_name(
    name: str, text: str, words: str, encoding: str
) -> None:
    sentence = refusal(name, text.encode(encoding))
    assert sentence == f"{words}: if it should hold something, export it again"


@pytest.mark.parametrize("text", ["0", "-1.5e3\n", '"evil"', "true"])
def test_a_single_value_in_json_is_named_as_such(text: str) -> None:
    assert "only one value, and no object or list" in refusal("a.json", text.encode())


@pytest.mark.parametrize("text", ["\n" * 5_000 + "evil.com", "[]\nevil.com", "null\nevil.com"])
def test_a_text_that_begins_with_nothing_is_read(text: str) -> None:
    options = formats.ReadOptions(now=0)
    assert any(each.object for each in formats.read("a.txt", text.encode(), options))


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("a.yml", "YAML, but no Sigma rule"),
        ("a.yar", "rules, but none is in it"),
        ("a.rules", "rules, but none is in it"),
        ("a.xml", "says that it is XML, but it is not"),
        ("a.ioc", "says that it is XML, but it is not"),
        ("a.html", "says that it is a web page, but it is not"),
        ("a.eml", "says that it is a mail"),
    ],
)
def test_a_text_that_is_not_what_its_name_says_is_refused_with_a_remedy(
    name: str, words: str
) -> None:
    assert words in refusal(name, b"evil.com is bad")


def test_a_file_of_unknown_kind_is_refused_with_the_names_of_the_formats() -> None:
    sentence = refusal("file", bytes(range(1, 256)) * 8)
    assert sentence.startswith("no format reads this file. Formats: csv, docx, html, list")
    assert len(sentence) < 250


@pytest.mark.parametrize("name", ["a.docx", "a.bin", "a.txt"])
def test_a_file_that_a_format_reads_is_not_refused(name: str) -> None:
    content = docx(paragraph("evil[.]com"))
    assert formats.detect_format(name, content) is not None


@pytest.mark.parametrize("word", ["BMW", "MZ", "PAR1", "GIFTS", "Rar!", "ID3", "OggS", "RIFF"])
def test_a_text_that_begins_like_another_kind_of_file_is_read(word: str) -> None:
    content = f"{word} \u2013 evil[.]com".encode()
    found = formats.detect_format("a.txt", content)
    assert (found is not None and found.name == "text") or word == "MZ"  # text refuses programs


def test_a_sentence_is_found_in_linear_time() -> None:
    assert describe_kind("a", b"<" + b"<svg" * 1_000_000)
