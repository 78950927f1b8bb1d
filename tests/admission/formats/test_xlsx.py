"""Excel workbooks (tocsin.admission.formats.xlsx)."""

import pytest
from support.documents import cell, rows, xlsx, zipped
from support.reading import format_name, messages, read_file, refusals, values

from tocsin.admission.errors import Malformed
from tocsin.admission.formats import ReadOptions, read
from tocsin.admission.markings.tlp import TLP_2_IDS
from tocsin.admission.model import Tlp, Verdict

HEADINGS = ("Indicator", "Type", "First seen", "TLP")


class TestReading:
    def test_a_workbook_is_known_by_its_parts(self) -> None:
        assert format_name("anything", xlsx({"S": rows(["x"])})) == "xlsx"

    def test_a_sheet_with_headings_is_read_as_a_table(self) -> None:
        sheet = rows(HEADINGS, ["evil[.]com", "domain", "2024-01-02", "amber"])
        (found,) = read_file("a.xlsx", xlsx({"IOCs": sheet}))
        assert found.object
        assert found.object["pattern"] == "[domain-name:value = 'evil.com']"
        assert found.object["valid_from"].startswith("2024-01-02")
        assert found.object["object_marking_refs"] == [TLP_2_IDS[Tlp.AMBER]]

    def test_every_sheet_is_a_table_of_its_own(self) -> None:
        first, second = rows(["Domain"], ["evil.com"]), rows(["evil.org", "x"])
        found = read_file("a.xlsx", xlsx({"A": first, "B": second}))
        assert values(found) == ["evil.com", "evil.org"]
        assert [each.index for each in found] == [0, 1]

    def test_a_value_of_an_earlier_sheet_is_a_duplicate(self) -> None:
        found = read_file("a.xlsx", xlsx({"A": rows(["evil.com"]), "B": rows(["evil.com"])}))
        assert [each.verdict for each in found] == [Verdict.OPEN, Verdict.DUPLICATE]
        assert messages(found)[-1] == "sheet 'B': duplicate of one in sheet 'A'"

    def test_the_reading_of_the_columns_is_shown_for_each_sheet(self) -> None:
        found = read_file("a.xlsx", xlsx({"A": rows(["Domain"], ["evil.com"])}))
        (message,) = messages(found)
        assert message.startswith("sheet 'A': columns read as")

    def test_columns_are_mapped_by_heading_or_by_their_number_in_excel(self) -> None:
        sheets = {"A": rows(["", "Odd", "x"], ["", "evil.com", "y"])}
        for column in ("Odd", "2"):
            options = ReadOptions(now=0, columns={column: "domain"})
            found = list(read("a.xlsx", xlsx(sheets), options))
            assert values(found) == ["evil.com"]

    def test_a_sheet_without_a_mapped_column_is_refused_alone(self) -> None:
        sheets = {"A": rows(["Odd"], ["evil.com"]), "B": rows(["Notes"], ["nothing"])}
        found = list(read("a.xlsx", xlsx(sheets), ReadOptions(now=0, columns={"Odd": "domain"})))
        assert values(found) == ["evil.com"]
        assert refusals(found)[0].startswith("sheet 'B': the table has no column 'Odd'")

    def test_messages_name_the_sheet_and_the_row(self) -> None:
        sheet = rows(HEADINGS[:2], ["evil.com", "domain"]) + f'<row r="9">{cell("A9", "x")}</row>'
        (message,) = refusals(read_file("a.xlsx", xlsx({"My IOCs": sheet})))
        assert message.startswith("sheet 'My IOCs', row 9: no indicator found")

    def test_shared_strings_are_read_without_their_pronunciation(self) -> None:
        strings = "<sst><si><r><t>evil</t></r><r><t>.com</t></r><rPh><t>x</t></rPh></si></sst>"
        sheet = '<row r="1"><c r="A1" t="s"><v>0</v></c></row>'
        found = read_file("a.xlsx", xlsx({"S": sheet}, others={"xl/sharedStrings.xml": strings}))
        assert values(found) == ["evil.com"]

    @pytest.mark.parametrize("style", [0, 1])
    def test_numbers_that_are_shown_as_dates_are_dates(self, style: int) -> None:
        styles = (
            '<styleSheet><numFmts><numFmt numFmtId="164" formatCode="yyyy\\-mm\\-dd"/></numFmts>'
            '<cellStyleXfs><xf numFmtId="0"/></cellStyleXfs>'
            '<cellXfs><xf numFmtId="14"/><xf numFmtId="164"/></cellXfs></styleSheet>'
        )
        dated = f'<row r="2">{cell("A2", "evil.com")}{cell("B2", 45293.5, style)}</row>'
        sheet = rows(["Domain", "First seen"]) + dated
        (found,) = read_file("a.xlsx", xlsx({"S": sheet}, others={"xl/styles.xml": styles}))
        assert found.object and found.object["valid_from"] == "2024-01-02T12:00:00.000Z"

    def test_hidden_sheets_and_rows_are_named_and_not_read(self) -> None:
        sheet = rows(["evil.com"]) + f'<row r="2" hidden="1">{cell("A2", "inner.org")}</row>'
        sheets = {"A": sheet, "Victims": rows(["victim.org"])}
        found = read_file("a.xlsx", xlsx(sheets, hidden=["Victims"]))
        assert values(found) == ["evil.com"]
        assert messages(found)[1:] == [
            "hidden rows of the sheet 'A' are not read: 1",
            "the hidden sheet 'Victims' is not read: unhide it to send it",
        ]

    def test_a_workbook_with_only_hidden_sheets_is_refused(self) -> None:
        (message,) = refusals(read_file("a.xlsx", xlsx({"A": rows(["evil.com"])}, hidden=["A"])))
        assert message.startswith("no indicator found; the hidden sheet 'A'")

    def test_breaks_and_quotes_in_cells_do_not_end_them(self) -> None:
        sheet = rows(["Domain", "Note"], ["evil.com", 'say "hi"\n\tthere'], ["evil.org", '"'])
        found = read_file("a.xlsx", xlsx({"S": sheet}))
        assert values(found) == ["evil.com", "evil.org"]
        assert found[0].object and found[0].object["description"] == 'say "hi" there'

    def test_a_formula_without_a_result_is_named(self) -> None:
        formula = (
            '<row r="2"><c r="A2" t="str"><f>A1</f><v>evil.org</v></c><c r="B2"><f>A1</f></c></row>'
        )
        found = read_file("a.xlsx", xlsx({"S": rows(["evil.com"]) + formula}))
        assert values(found) == ["evil.com", "evil.org"]
        assert messages(found)[-1] == (
            "formulas of the sheet 'S' have no result: 1; "
            "open the file in a spreadsheet program and save it"
        )

    def test_signs_that_excel_writes_as_numbers_and_that_nobody_sees_are_none(self) -> None:
        sheet = rows(
            ["Domain"], ["evil.com_x000D_"], ["ev\u00adil.org"], ["\u200bbad\u2011evil.com"]
        )
        assert values(read_file("a.xlsx", xlsx({"S": sheet}))) == [
            "evil.com",
            "evil.org",
            "bad-evil.com",
        ]


class TestVictims:
    @pytest.mark.parametrize("name", ["Victims", "2. Affected hosts (3)", "Recipients"])
    def test_a_sheet_of_them_is_named_and_not_read(self, name: str) -> None:
        sheets = {
            "IOCs": rows(["evil.com"]),
            name: rows(["Host", "IP"], ["vpn.lab.org", "45.9.1.1"]),
        }
        found = read_file("a.xlsx", xlsx(sheets))
        assert values(found) == ["evil.com"]
        assert messages(found)[-1] == (
            f"the sheet {name!a} is not read, for it is about victims: rename it to send it"
        )

    @pytest.mark.parametrize("name", ["Whitelist", "3. Exclusions"])
    def test_a_sheet_of_allowed_values_is_named_and_not_read(self, name: str) -> None:
        sheets = {"IOCs": rows(["evil.com"]), name: rows(["Domain"], ["lab.org"])}
        found = read_file("a.xlsx", xlsx(sheets))
        assert values(found) == ["evil.com"]
        assert f"the sheet {name!a} is not read, for it is named as a list" in messages(found)[-1]

    def test_a_workbook_of_allowed_values_is_refused(self) -> None:
        found = read_file("allowlist.xlsx", xlsx({"S": rows(["Domain"], ["lab.org"])}))
        assert values(found) == [] and "list of allowed values" in str(messages(found))

    def test_rows_below_a_title_of_them_are_named_and_not_read(self) -> None:
        sheet = rows(
            *(["Attackers"], ["IP", "Domain"], ["45.9.1.1", "evil.com"], []),
            *(["Victims"], ["Host", "IP"], ["vpn.lab.org", "45.9.2.2"], []),
            *(["Tools"], ["IP", "Domain"], ["45.9.1.2", "evil.org"]),
        )
        found = read_file("a.xlsx", xlsx({"S": sheet}))
        assert values(found) == ["45.9.1.1", "evil.com", "45.9.1.2", "evil.org"]
        assert (
            "rows of the sheet 'S' below a title of victims are not read: 2, from row 5 on"
            in messages(found)
        )

    @pytest.mark.parametrize("blank", [[], [[]]])
    @pytest.mark.parametrize("title", ["Recipients", "Victims:", "3.1. Affected hosts:"])
    def test_a_list_below_a_title_of_them_is_not_read(
        self, title: str, blank: list[list[str]]
    ) -> None:
        sheet = rows(["evil.com"], [title], *blank, ["jane@lab.org"], ["al@lab.org"])
        assert values(read_file("a.xlsx", xlsx({"S": sheet}))) == ["evil.com"]

    @pytest.mark.parametrize(
        "below",
        [
            (["Acme Corporation"], ["acme.org"], ["City Hospital"], ["lab.org"]),
            (["Domain"], ["acme.org"]),
            (["acme.org"], [], ["lab.org"]),
        ],
    )
    def test_names_and_blank_rows_end_no_list_of_them(self, below: tuple[list[str], ...]) -> None:
        sheet = rows(["Victims"], *below, [], ["C2"], ["evil.com"])
        assert values(read_file("a.xlsx", xlsx({"S": sheet}))) == ["evil.com"]

    def test_headings_below_a_title_of_them_are_part_of_it(self) -> None:
        sheet = rows(["IOCs"], ["evil.com"], ["Victims"], ["Domain"], ["lab.org"])
        assert values(read_file("a.xlsx", xlsx({"S": sheet}))) == ["evil.com"]

    @pytest.mark.parametrize("title", ["C2", "C2 servers:"])
    def test_a_title_below_them_ends_them(self, title: str) -> None:
        sheet = rows(["IOCs"], ["evil.com"], ["Victims"], ["lab.org"], [title], ["evil.org"])
        assert values(read_file("a.xlsx", xlsx({"S": sheet}))) == ["evil.com", "evil.org"]

    def test_a_remark_in_another_column_is_no_title(self) -> None:
        sheet = rows(["Domain", "Status"], ["evil.com", "C2"], ["", "victim"], ["evil.org", "C2"])
        assert values(read_file("a.xlsx", xlsx({"S": sheet}))) == ["evil.com", "evil.org"]

    def test_a_table_below_another_has_its_own_headings(self) -> None:
        sheet = rows(
            *(["TLP:AMBER"], [], ["IP", "Domain"], ["45.9.1.1", "evil.com"], []),
            *(["Sender", "Subject"], ["joe@bad.com", "Pay"]),
        )
        found = read_file("a.xlsx", xlsx({"S": sheet}))
        assert values(found) == ["45.9.1.1", "evil.com", "joe@bad.com"]
        markings = [each.object["object_marking_refs"] for each in found if each.object]
        assert markings == [[TLP_2_IDS[Tlp.AMBER]]] * 3

    def test_a_value_above_the_first_table_belongs_to_no_other(self) -> None:
        sheet = rows(
            *(["https://evil.com/report"], ["Domain", "Note"], ["evil.com", "x"], []),
            *(["Sender", "Subject"], ["joe@bad.com", "Pay"]),
        )
        found = values(read_file("a.xlsx", xlsx({"S": sheet})))
        assert found == ["https://evil.com/report", "evil.com", "joe@bad.com"]

    def test_a_label_beside_a_cell_says_whose_it_is(self) -> None:
        labels = [["Case", "114"], ["C2", "evil.com"], ["Victim IP", "45.9.2.2"]]
        labels += [["Affected host", "vpn.lab.org"], ["Sent to", "jane@lab.org"]]
        assert values(read_file("a.xlsx", xlsx({"S": rows(*labels)}))) == ["evil.com"]

    @pytest.mark.parametrize(("heading", "senders"), [("IOC", ["joe@bad.com"]), ("What", [])])
    def test_a_column_of_numbers_makes_its_headings_no_comment(
        self, heading: str, senders: list[str]
    ) -> None:
        sheet = rows(["#", heading, "Who got it"], [1, "joe@bad.com", "jane@lab.org"])
        assert values(read_file("a.xlsx", xlsx({"S": sheet}))) == senders

    def test_groups_of_columns_are_no_headings(self) -> None:
        sheet = rows(
            ["Mail", "", "Web"], ["Sender mail", "Subject", "URL"], ["", "Pay", "bad.com/a"]
        )
        assert values(read_file("a.xlsx", xlsx({"S": sheet}))) == ["http://bad.com/a"]


class TestHostile:
    def test_cells_at_the_far_ends_cost_nothing(self) -> None:
        far = f'<row r="1">{cell("A1", "evil.com")}</row>'
        far += f'<row r="1048576">{cell("XFD1048576", "evil.org")}</row>'
        assert values(read_file("a.xlsx", xlsx({"S": far}))) == ["evil.com", "evil.org"]

    @pytest.mark.parametrize("number", ["99999999999999999999", "-1", "x", "\u0663"])
    def test_a_row_that_cannot_be_is_counted_on(self, number: str) -> None:
        sheet = f'<row r="{number}"><c t="inlineStr"><is><t>evil.com</t></is></c></row>'
        assert values(read_file("a.xlsx", xlsx({"S": sheet}))) == ["evil.com"]

    def test_a_string_that_is_used_again_and_again_is_refused(self) -> None:
        strings = f"<sst><si><t>{'A' * 30_000}</t></si></sst>"
        sheet = "".join(
            f'<row r="{n}"><c r="A{n}" t="s"><v>0</v></c></row>' for n in range(1, 1_000)
        )
        with pytest.raises(Malformed, match="16 million characters"):
            read_file("a.xlsx", xlsx({"S": sheet}, others={"xl/sharedStrings.xml": strings}))

    @pytest.mark.slow
    def test_a_wide_and_long_sheet_is_refused(self) -> None:
        wide = "".join(
            f'<row r="{n}">{cell(f"A{chr(65 + n % 26)}{n}", 1)}</row>' for n in range(1, 400_000)
        )
        with pytest.raises(Malformed, match="more than 10000000 cells"):
            read_file("a.xlsx", xlsx({"S": wide}))

    def test_a_workbook_without_sheets_is_refused(self) -> None:
        with pytest.raises(Malformed, match="no sheet"):
            read_file("a.xlsx", zipped({"xl/workbook.xml": "<workbook/>"}))
