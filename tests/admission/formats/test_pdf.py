"""Reports as PDF (tocsin.admission.formats.pdf)."""

import hashlib
import io
import time
import zlib

import pytest
from pypdf import PdfReader, PdfWriter
from pypdf.errors import DependencyError
from pypdf.generic import (
    ArrayObject,
    DictionaryObject,
    FloatObject,
    NameObject,
    StreamObject,
)
from support.documents import pdf, pdf_of_streams
from support.reading import format_name, messages, read_file, values, values_read

from tocsin.admission.documents import pdf as documents_pdf
from tocsin.admission.documents.broken_hashes import join_broken_hashes
from tocsin.admission.documents.pdf import read as read_pdf
from tocsin.admission.errors import Malformed

SHA256 = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
MD5 = "44d88612fea8a8f36de82e1278abb02f"


def encrypted(password: str, algorithm: str) -> bytes:
    writer = PdfWriter(clone_from=PdfReader(io.BytesIO(pdf(["evil[.]com"]))))
    writer.encrypt(password, "owner", algorithm=algorithm)
    made = io.BytesIO()
    writer.write(made)
    return made.getvalue()


class TestReading:
    def test_a_pdf_is_known_by_its_first_octets(self) -> None:
        assert format_name("report", pdf(["x"])) == "pdf"
        assert format_name("a.pdf", b"\n\n" + pdf(["x"])) == "pdf"

    def test_the_text_of_all_pages_is_read_as_a_report(self) -> None:
        assert values(read_file("a.pdf", pdf(["evil[.]com"], ["hxxp://evil[.]org/a"]))) == [
            "evil.com",
            "http://evil.org/a",
        ]

    @pytest.mark.parametrize("width", [33, 40, 50, 60, 63])
    def test_a_hash_that_a_column_broke_is_whole(self, width: int) -> None:
        lines = ["Samples", SHA256[:width], SHA256[width:], "end"]
        assert values(read_file("a.pdf", pdf(lines))) == [SHA256]

    def test_a_hash_in_three_parts_is_whole(self) -> None:
        lines = [SHA256[:24], SHA256[24:48], SHA256[48:]]
        lines += [SHA256[::-1][:24], SHA256[::-1][24:48], SHA256[::-1][48:]]
        assert values(read_file("a.pdf", pdf(lines))) == [SHA256, SHA256[::-1]]

    def test_a_short_word_below_a_hash_is_no_part_of_it(self) -> None:
        assert values(read_file("a.pdf", pdf([MD5, "deadbeef"]))) == [MD5]

    def test_hashes_that_break_at_different_places_are_whole(self) -> None:
        digests = [hashlib.sha256(bytes([n])).hexdigest() for n in range(40)]
        breaks = [(30 + n % 4, 60 + n % 3) for n in range(40)]
        lines = [
            part
            for digest, (first, second) in zip(digests, breaks, strict=True)
            for part in (digest[:first], digest[first:second], digest[second:])
        ]
        assert values(read_file("a.pdf", pdf(lines[:50], lines[50:]))) == digests

    @pytest.mark.parametrize("lines", ["a" * 20 + "\nx\n", "a" * 20 + "\n", "a" * 64 + "\n"])
    @pytest.mark.slow
    def test_hashes_are_joined_in_linear_time(self, lines: str) -> None:
        started = time.thread_time()
        join_broken_hashes(lines * 100_000)
        assert time.thread_time() - started < 5

    def test_two_hashes_below_each_other_stay_two(self) -> None:
        assert values(read_file("a.pdf", pdf([MD5, MD5[::-1]]))) == [MD5, MD5[::-1]]

    def test_pages_without_text_are_named(self) -> None:
        found = read_file("a.pdf", pdf(["evil[.]com"], [], []))
        assert messages(found) == ["pages without text, perhaps pictures of it: 2, 3"]

    def test_pages_of_which_tables_are_not_read_are_named(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(documents_pdf, "MOST_PAGES_WITH_TABLES", 1)
        found = read_pdf(pdf(["evil[.]com"], ["no value"], ["evil[.]org"]))
        assert found.notes == ["pages of which tables are read as sentences: 3"]

    def test_a_pdf_of_pictures_is_refused_with_a_remedy(self) -> None:
        with pytest.raises(
            Malformed, match=r"its pages may be pictures: run it through text recog"
        ):
            read_file("a.pdf", pdf([], []))

    def test_files_in_a_pdf_are_named(self) -> None:
        writer = PdfWriter(clone_from=PdfReader(io.BytesIO(pdf(["evil[.]com"]))))
        writer.add_attachment("iocs.csv", b"evil.org")
        made = io.BytesIO()
        writer.write(made)
        found = read_file("a.pdf", made.getvalue())
        assert messages(found) == ["files attached to the PDF are not read: 1"]


def shown(*pieces: tuple[float, float, float, str]) -> bytes:
    """A PDF with these pieces of text: size, place from the left and from below."""
    return pdf_of_streams(
        "".join(
            f"BT /F1 {size} Tf 1 0 0 1 {left} {height} Tm ({text}) Tj ET\n"
            for size, left, height, text in pieces
        ).encode()
    )


class TestForms:
    @staticmethod
    def in_a_form(stream: bytes) -> bytes:
        """A PDF that draws all of its text as a form in a form."""
        writer = PdfWriter(clone_from=PdfReader(io.BytesIO(pdf_of_streams(b"/Outer Do"))))
        page = writer.pages[0]
        resources = page["/Resources"].get_object()
        assert isinstance(resources, DictionaryObject)
        for name, content in (("/Inner", stream), ("/Outer", b"/Inner Do")):
            form = StreamObject()
            form.set_data(content)
            form.update(
                {
                    NameObject("/Type"): NameObject("/XObject"),
                    NameObject("/Subtype"): NameObject("/Form"),
                    NameObject("/BBox"): ArrayObject(map(FloatObject, (0, 0, 595, 842))),
                    NameObject("/Resources"): resources.clone(writer),
                }
            )
            resources[NameObject("/XObject")] = DictionaryObject(
                {NameObject(name): writer._add_object(form)}
            )
        made = io.BytesIO()
        writer.write(made)
        return made.getvalue()

    def test_a_table_in_one_is_read_as_a_table(self) -> None:
        rows = [("Subject", "From", "To"), ("Pay your bill", "s@evil.top", "v@x.org")]
        cells = "".join(
            f"BT /F1 8 Tf 1 0 0 1 {left} {700 - 14 * number} Tm ({cell}) Tj ET\n"
            for number, row in enumerate(rows)
            for left, cell in zip((40, 200, 400), row, strict=True)
        )
        assert values_read(read_file("a.pdf", self.in_a_form(cells.encode()))) == ["s@evil.top"]

    def test_one_that_draws_itself_ends(self) -> None:
        looped = self.in_a_form(b"BT /F1 8 Tf 40 700 Td (45.9.1.1) Tj ET /Outer Do /Inner Do")
        assert values(read_file("a.pdf", looped)) == ["45.9.1.1"]


class TestNotes:
    @pytest.mark.parametrize("note", ["2", "12", "[2]", "*"])
    def test_the_raised_number_of_a_note_is_no_part_of_a_value(self, note: str) -> None:
        found = shown((10, 40, 700, "from 45.9.1.1"), (6, 96, 704, note), (10, 110, 700, ", too"))
        assert values(read_file("a.pdf", found)) == ["45.9.1.1"]

    def test_it_is_none_in_a_table(self) -> None:
        rows = [(10, 40, 700, "Type"), (10, 200, 700, "Value"), (10, 40, 680, "ip")]
        rows += [(10, 200, 680, "45.9.1.1"), (6, 230, 684, "2"), (10, 40, 660, "ip")]
        found = shown(*rows, (10, 200, 660, "45.9.1.12"))
        assert values(read_file("a.pdf", found)) == ["45.9.1.1", "45.9.1.12"]

    def test_a_smaller_part_that_is_not_raised_belongs_to_its_value(self) -> None:
        found = shown((10, 40, 700, "from 45.9.1.1"), (8, 96, 700, "2"))
        assert values(read_file("a.pdf", found)) == ["45.9.1.12"]


class TestBrokenUrls:
    KEPT = ("They led to the page of ", "a bank that they had built ")
    """Lines that end with the blank at which a word processor broke them."""

    @pytest.mark.parametrize(
        ("first", "rest"),
        [
            ("https://evil.com/common/oauth2/", "authorize?client=1"),
            ("hxxps://evil[.]com/some/long/path", "/file.bin?x=1"),
            ("http://evil.com/some/long/page.php?", "id=1."),
            ("http://evil.com/some/long/folder/", "Setup_2026.exe, too"),
        ],
    )
    def test_one_that_the_end_of_a_line_broke_is_whole(self, first: str, rest: str) -> None:
        found = values(read_file("a.pdf", pdf([*self.KEPT, f"at {first}", rest])))
        begin = first.replace("hxxp", "http").replace("[.]", ".")
        assert found == [begin + rest.split()[0].rstrip(".,")]

    @pytest.mark.parametrize(
        "below",
        [
            *(
                "http://evil.org/a",
                "evil.org",
                "45.9.1.1",
                "Contact: soc",
                "and then",
                "\x95 next/x",
            ),
            *("It was open.", MD5, f"{MD5},dropper", f"MD5={MD5}", "evil[.]org/path"),
            *("and/or others ", "(TCP/443)", "#phishing", "12/05/2026 more "),
        ],
    )
    def test_one_that_ends_its_paragraph_is_whole(self, below: str) -> None:
        lines = [*self.KEPT, "at https://evil.com/some/long/page", below]
        assert values(read_file("a.pdf", pdf(lines)))[0] == "https://evil.com/some/long/page"

    def test_a_line_with_room_for_more_ends_its_paragraph(self) -> None:
        lines = [*self.KEPT, "http://evil.com/", "a/b.php was never there"]
        assert values(read_file("a.pdf", pdf(lines)))[0] == "http://evil.com/"

    @pytest.mark.parametrize(("below", "joins"), [("a/b.php", True), ("a/b.php was gone", False)])
    def test_without_blanks_at_the_ends_of_lines_only_a_word_alone_is_a_rest(
        self, below: str, joins: bool
    ) -> None:
        lines = ["They led to the page of", "at https://evil.com/common/", below]
        url = "https://evil.com/common/"
        assert values(read_file("a.pdf", pdf(lines)))[0] == (url + below if joins else url)

    def test_a_list_of_short_ones_and_labels_is_no_text_as_wide_as_the_page(self) -> None:
        labels = ("C2", "APT28", "2026.01.02", "HTTP/1.1", "12")
        urls = [f"http://evil{number}.com/gate/" for number in range(len(labels))]
        lines = [line for pair in zip(urls, labels, strict=True) for line in pair]
        assert values(read_file("a.pdf", pdf(lines))) == urls

    def test_a_page_number_below_is_no_rest(self) -> None:
        lines = ["They led to the page of", "at https://evil.com/common/", "12"]
        assert values(read_file("a.pdf", pdf(lines))) == ["https://evil.com/common/"]

    def test_a_path_may_begin_with_a_hash(self) -> None:
        lines = [*self.KEPT, "at http://evil.com/some/long/folder/", f"{MD5}/x"]
        assert values(read_file("a.pdf", pdf(lines))) == [
            f"http://evil.com/some/long/folder/{MD5}/x"
        ]

    def test_a_mailbox_that_broke_before_its_host_is_no_other_host(self) -> None:
        lines = ["The victims were jane.name", "@lab.org and others, and bad.com too"]
        assert values_read(read_file("a.pdf", pdf(lines))) == ["bad.com"]

    def test_a_hash_in_a_sentence_is_whole(self) -> None:
        lines = [f"the file {SHA256[:40]}", f"{SHA256[40:]}, and more"]
        assert values(read_file("a.pdf", pdf(lines))) == [SHA256]


class TestEncrypted:
    @pytest.mark.parametrize("algorithm", ["RC4-128", "AES-256"])
    def test_a_pdf_that_opens_without_a_password_is_read(self, algorithm: str) -> None:
        assert values(read_file("a.pdf", encrypted("", algorithm))) == ["evil.com"]

    @pytest.mark.parametrize("algorithm", ["RC4-128", "AES-256"])
    def test_a_pdf_with_a_password_is_refused_with_a_remedy(self, algorithm: str) -> None:
        with pytest.raises(Malformed, match="the PDF is encrypted: save it without a password"):
            read_file("a.pdf", encrypted("secret", algorithm))

    @pytest.mark.parametrize("call", ["__init__", "decrypt"])
    def test_without_the_library_for_aes_the_refusal_names_the_command(
        self, monkeypatch: pytest.MonkeyPatch, call: str
    ) -> None:
        def fail(*arguments: object, **options: object) -> None:
            raise DependencyError("cryptography is required")

        content = encrypted("", "AES-256")
        monkeypatch.setattr(PdfReader, call, fail)
        with pytest.raises(Malformed, match=r"pip install 'tocsin\[documents\]'"):
            read_pdf(content)


class TestHostile:
    def test_a_broken_pdf_is_refused(self) -> None:
        with pytest.raises(Malformed, match="damaged"):
            read_file("a.pdf", b"%PDF-1.7\nnothing")

    @pytest.mark.slow
    def test_a_megabyte_that_unpacks_to_a_gigabyte_is_refused(self) -> None:
        packer = zlib.compressobj(9)
        packed = b"".join(packer.compress(bytes(1_000_000)) for _ in range(1_000))
        packed += packer.flush()
        whole = pdf_of_streams(b"")
        begin, end = whole.index(b"<</Length"), whole.index(b"\nendstream")
        head = f"<</Length {len(packed)}/Filter/FlateDecode>>stream\n".encode()
        with pytest.raises(Malformed, match="no page of the PDF can be read"):
            read_file("a.pdf", whole[:begin] + head + packed + whole[end:])

    def test_pages_that_contain_themselves_are_refused(self) -> None:
        looped = pdf(["evil[.]com"]).replace(b"/Kids[4 0 R]", b"/Kids[2 0 R]")
        with pytest.raises(Malformed):
            read_file("a.pdf", looped)
