"""Word documents (tocsin.admission.formats.docx)."""

import pytest
from support.documents import docx, paragraph, table, zipped
from support.reading import format_name, messages, read_file, values

from tocsin.admission.errors import Malformed

MD5 = "44d88612fea8a8f36de82e1278abb02f"


class TestReading:
    def test_a_document_is_known_by_its_parts(self) -> None:
        assert format_name("anything", docx(paragraph("x"))) == "docx"

    def test_the_text_is_read_as_a_report(self) -> None:
        assert values(read_file("a.docx", docx(paragraph("The host evil[.]com")))) == ["evil.com"]

    def test_a_value_in_several_runs_is_read_whole(self) -> None:
        runs = "".join(f"<w:r><w:t>{part}</w:t></w:r>" for part in ("evil", "[.]", "com"))
        assert values(read_file("a.docx", docx(f"<w:p>{runs}</w:p>"))) == ["evil.com"]

    def test_a_row_of_a_table_is_one_line(self) -> None:
        assert values(read_file("a.docx", docx(table([["Imphash", MD5]])))) == []
        assert values(read_file("a.docx", docx(table([["MD5", MD5]])))) == [MD5]

    def test_headings_divide_the_text(self) -> None:
        body = paragraph("References", "Heading1") + paragraph("https://vendor.com/a")
        body += paragraph("Indicators", "Heading1") + paragraph("evil[.]com")
        assert values(read_file("a.docx", docx(body))) == ["evil.com"]

    def test_headers_and_notes_are_read(self) -> None:
        parts = {"header1": paragraph("TLP:AMBER"), "footnotes": paragraph("evil[.]org")}
        found = read_file("a.docx", docx(paragraph("evil[.]com"), **parts))
        assert values(found) == ["evil.com", "evil.org"]
        assert messages(found)[0].startswith("TLP:AMBER is the strictest level")

    def test_deleted_and_moved_text_and_targets_of_links_are_not_read(self) -> None:
        body = (
            "<w:p><w:del><w:r><w:delText>deleted[.]com</w:delText></w:r></w:del>"
            "<w:moveFrom><w:r><w:t>moved[.]com</w:t></w:r></w:moveFrom>"
            '<w:r><w:instrText>HYPERLINK "http://target[.]com"</w:instrText></w:r>'
            "<w:ins><w:r><w:t>evil[.]com</w:t></w:r></w:ins></w:p>"
        )
        assert values(read_file("a.docx", docx(body))) == ["evil.com"]

    def test_comments_are_named_and_not_read(self) -> None:
        comment = f"<w:comment>{paragraph('ask jane[.]com')}</w:comment>"
        found = read_file("a.docx", docx(paragraph("evil[.]com"), comments=comment))
        assert values(found) == ["evil.com"]
        assert messages(found) == ["comments in the document are not read"]


class TestHiddenText:
    @pytest.mark.parametrize(
        "properties",
        [
            "<w:r><w:rPr><w:vanish/></w:rPr>",
            '<w:pPr><w:pStyle w:val="Below"/></w:pPr><w:r>',
            '<w:r><w:rPr><w:rStyle w:val="Secret"/></w:rPr>',
        ],
    )
    def test_it_is_named_and_not_read(self, properties: str) -> None:
        hidden = f"<w:p>{properties}<w:t>victim[.]com</w:t></w:r></w:p>"
        styles = (
            '<w:style w:styleId="Secret"><w:rPr><w:vanish/></w:rPr></w:style>'
            '<w:style w:styleId="Below"><w:basedOn w:val="Secret"/></w:style>'
        )
        found = read_file("a.docx", docx(hidden + paragraph("evil[.]com"), styles=styles))
        assert values(found) == ["evil.com"]
        assert messages(found) == ["hidden text in the document is not read"]

    @pytest.mark.parametrize(
        "properties",
        [
            '<w:rPr><w:vanish w:val="0"/></w:rPr>',
            "<w:rPr><w:rPrChange><w:rPr><w:vanish/></w:rPr></w:rPrChange></w:rPr>",
        ],
    )
    def test_text_that_is_shown_again_is_read(self, properties: str) -> None:
        body = f"<w:p><w:r>{properties}<w:t>evil[.]com</w:t></w:r></w:p>"
        assert values(read_file("a.docx", docx(body))) == ["evil.com"]

    def test_a_hidden_mark_of_a_paragraph_hides_no_box_in_it(self) -> None:
        mark = "<w:pPr><w:rPr><w:vanish/></w:rPr></w:pPr>"
        box = f"<w:txbxContent><w:p>{mark}<w:r><w:t>evil[.]com</w:t></w:r></w:p></w:txbxContent>"
        body = f"<w:p><w:r><w:t>evil[.]org</w:t></w:r><w:r>{box}</w:r></w:p>"
        assert values(read_file("a.docx", docx(body))) == ["evil.org", "evil.com"]


class TestTables:
    def test_a_table_in_a_cell_has_its_own_headings(self) -> None:
        inner = table([["Sender", "Recipient"], ["joe@bad.com", "jane@lab.org"]])
        cells = f"<w:tc>{paragraph('Mails')}</w:tc><w:tc>{paragraph('Two:')}{inner}<w:p/></w:tc>"
        found = read_file("a.docx", docx(f"<w:tbl><w:tr>{cells}</w:tr></w:tbl>"))
        assert values(found) == ["joe@bad.com"]

    def test_a_cell_around_a_whole_text_keeps_its_lines(self) -> None:
        lines = ["Affected systems", "vpn.lab.org", "Indicators:", "evil.com"]
        frame = "".join(paragraph(line) for line in lines)
        body = f"<w:tbl><w:tr><w:tc>{frame}</w:tc></w:tr></w:tbl>"
        assert values(read_file("a.docx", docx(body))) == ["evil.com"]

    def test_all_paragraphs_of_a_cell_are_of_its_column(self) -> None:
        rows = "".join(
            f"<w:tr>{''.join(f'<w:tc>{each}</w:tc>' for each in cells)}</w:tr>"
            for cells in (
                [paragraph("Sender"), paragraph("Recipient")],
                [paragraph("joe@bad.com"), paragraph("jane@lab.org") + paragraph("al@lab.org")],
            )
        )
        assert values(read_file("a.docx", docx(f"<w:tbl>{rows}</w:tbl>"))) == ["joe@bad.com"]


class TestSigns:
    @pytest.mark.parametrize(
        "text", ["ev\u00adil.com", "evil.\u200bcom", "\u200fevil.com", "evil.com\u2060"]
    )
    def test_a_sign_that_nobody_sees_is_no_part_of_a_value(self, text: str) -> None:
        assert values(read_file("a.docx", docx(paragraph(f"the host {text} here")))) == ["evil.com"]

    def test_a_hyphen_that_does_not_break_is_one(self) -> None:
        assert values(read_file("a.docx", docx(paragraph("host bad\u2011evil.com")))) == [
            "bad-evil.com"
        ]

    def test_the_raised_number_of_a_note_is_no_part_of_a_value(self) -> None:
        raised = '<w:r><w:rPr><w:vertAlign w:val="superscript"/></w:rPr><w:t>2</w:t></w:r>'
        body = f"<w:p><w:r><w:t>from 45.9.1.1</w:t></w:r>{raised}</w:p>"
        assert values(read_file("a.docx", docx(body))) == ["45.9.1.1"]

    def test_a_raised_value_in_several_runs_is_read_whole(self) -> None:
        raised = '<w:r><w:rPr><w:vertAlign w:val="superscript"/></w:rPr><w:t>{}</w:t></w:r>'
        body = f"<w:p>{raised.format('45.9.1')}{raised.format('.12')}</w:p>"
        assert values(read_file("a.docx", docx(body))) == ["45.9.1.12"]


class TestHostile:
    @pytest.mark.slow
    def test_a_document_that_unpacks_to_much_text_is_refused(self) -> None:
        bomb = docx(paragraph("A" * 20_000_000))
        assert len(bomb) < 30_000
        with pytest.raises(Malformed, match="16 million characters"):
            read_file("a.docx", bomb)

    def test_an_entity_is_refused(self) -> None:
        text = '<!DOCTYPE a [<!ENTITY b "evil[.]com">]><w:document xmlns:w="x">&b;</w:document>'
        with pytest.raises(Malformed, match="document type"):
            read_file("a.docx", zipped({"word/document.xml": text}))

    def test_deep_nesting_is_refused(self) -> None:
        with pytest.raises(Malformed, match="nested deeper than 200"):
            read_file("a.docx", docx("<w:x>" * 300 + "</w:x>" * 300))

    @pytest.mark.parametrize("size", [40, 200, 350])
    def test_a_part_of_a_file_is_refused(self, size: int) -> None:
        with pytest.raises(Malformed, match="damaged"):
            read_file("a.docx", docx(paragraph("evil[.]com"))[:size] + b"word/document.xml")

    def test_an_encrypted_archive_is_refused_with_a_remedy(self) -> None:
        made = bytearray(docx(paragraph("evil[.]com")))
        place = made.index(b"PK\x01\x02")
        made[place + 8] |= 1
        with pytest.raises(Malformed, match="encrypted: save it without a password"):
            read_file("a.docx", bytes(made))
