"""Web pages (tocsin.admission.formats.html)."""

import pytest
from support.reading import format_name, messages, read_file, values, values_read

from tocsin.admission.errors import Malformed
from tocsin.admission.markings.tlp import TLP_2_IDS
from tocsin.admission.model import Tlp


def page(body: str, head: str = "") -> str:
    return f"<!DOCTYPE html><html><head>{head}</head><body>{body}</body></html>"


class TestDetection:
    @pytest.mark.parametrize("name", ["a.html", "a.htm", "page", "a.txt"])
    def test_a_page_is_known_by_its_first_words(self, name: str) -> None:
        assert format_name(name, page("x")) == "html"

    def test_xhtml_is_a_page_and_other_xml_is_not(self) -> None:
        assert format_name("a", '<?xml version="1.0"?><html xmlns="x"/>') == "html"
        assert format_name("a", '<?xml version="1.0"?><other/>') == ""

    def test_a_fragment_is_a_page_if_its_name_says_so(self) -> None:
        assert (format_name("a.html", "<p>x"), format_name("a.bin", "<p>x")) == ("html", "text")


class TestReading:
    def test_the_text_of_a_page_is_read_as_a_report(self) -> None:
        assert values(read_file("a.html", page("<p>The host evil[.]com"))) == ["evil.com"]

    def test_a_value_that_tags_interrupt_is_read_whole(self) -> None:
        assert values(read_file("a.html", page("<p><b>ev</b>il<wbr>[.]<i>com</i>"))) == ["evil.com"]

    def test_targets_of_links_menus_scripts_and_comments_are_not_read(self) -> None:
        body = (
            "<nav>menu[.]com</nav><script>script[.]com</script><style>a{b:style[.]com}</style>"
            '<!-- comment[.]com --><p><a href="https://target.com/a">evil[.]com</a>'
        )
        assert values(read_file("a.html", page(body))) == ["evil.com"]

    def test_a_menu_that_never_ends_is_read(self) -> None:
        assert values(read_file("a.html", page("<nav>evil[.]com<p>x"))) == ["evil.com"]

    def test_links_below_a_heading_for_references_do_not_count(self) -> None:
        body = "<h2>References</h2><p>https://vendor.com/a</p><h2>IOCs</h2><p>evil[.]com"
        assert values(read_file("a.html", page(body))) == ["evil.com"]

    def test_a_row_of_a_table_is_one_line(self) -> None:
        digest = "44d88612fea8a8f36de82e1278abb02f"
        row = f"<table><tr><th>imphash</th><td>{digest}</td></tr></table>"
        assert values(read_file("a.html", page(row))) == []

    @pytest.mark.parametrize(
        "cell", ["a@lab.org<br>b@lab.org", "<p>A B &lt;a@lab.org&gt;</p><p>b@lab.org</p>"]
    )
    def test_all_mailboxes_in_a_cell_belong_to_its_column(self, cell: str) -> None:
        rows = f"<tr><th>From<th>To</tr><tr><td>joe@bad.com<td>{cell}</tr>"
        assert values(read_file("a.html", page(f"<table>{rows}</table>"))) == ["joe@bad.com"]
        rows = f"<tr><td>To</td><td>{cell}</td></tr><tr><td>From</td><td>joe@bad.com</td></tr>"
        assert values(read_file("a.html", page(f"<table>{rows}</table>"))) == ["joe@bad.com"]

    @pytest.mark.parametrize("subject", ["<p>Your parcel</p>", "<p>Pay</p><p>your bill now</p>"])
    def test_a_row_is_one_line_whatever_paragraphs_its_cells_have(self, subject: str) -> None:
        head = "<tr><th>Subject<th>From<th>Recipient</tr>"
        rows = f"<tr><td>{subject}<td><p>joe@bad.com</p><td><p>a@lab.org</p></tr>" * 2
        assert values_read(read_file("a.html", page(f"<table>{head}{rows}</table>"))) == [
            "joe@bad.com"
        ]

    @pytest.mark.parametrize("item", ["{}", "<p>{}</p>\n"])
    def test_all_items_below_a_heading_for_victims_are_victims(self, item: str) -> None:
        hosts = "".join(f"<li>{item.format(f'vpn{n}.lab.org')}</li>\n" for n in range(3))
        body = f"<h2>Affected systems</h2>\n<ul>{hosts}</ul>\n<h2>IOCs</h2><ul><li>evil.com</ul>"
        assert values(read_file("a.html", page(body))) == ["evil.com"]

    @pytest.mark.parametrize(
        "hidden",
        [
            '<span style="color: red; display: none">at <span>victim[.]com</span> too</span>',
            "<del>victim[.]com</del>",
        ],
    )
    def test_what_a_word_processor_does_not_show_is_not_read(self, hidden: str) -> None:
        assert values(read_file("a.html", page(f"<p>{hidden} evil[.]com"))) == ["evil.com"]

    @pytest.mark.parametrize(
        ("victims", "others"),
        [
            ("<h3>Victims</h3>bank1.com<br>bank2.com", "<h3>C2</h3>evil.com<br>evil.org"),
            ("<p>Victim: bank1.com</p><p>C2: evil.com</p>", "<p>C2: evil.org</p>"),
        ],
    )
    def test_cells_with_headings_or_labels_lay_out_a_page(self, victims: str, others: str) -> None:
        row = f"<table><tr><td>{victims}</td><td>{others}</td><td>x</td></tr></table>"
        assert values_read(read_file("a.html", page(row))) == ["evil.com", "evil.org"]

    def test_hidden_text_is_named(self) -> None:
        hidden, empty = (f"<span style='display:none'>{t}</span>" for t in ("x.org", " "))
        found = read_file("a.html", page(f"<p>{hidden} evil[.]com"))
        assert messages(found) == ["hidden text in the page is not read"]
        assert messages(read_file("a.html", page(f"<p>{empty} evil[.]com"))) == []

    def test_the_last_declaration_says_whether_text_is_shown(self) -> None:
        shown = "<span style='display:none; display: inline'>evil[.]com</span>"
        assert values(read_file("a.html", page(shown))) == ["evil.com"]

    def test_the_raised_number_of_a_note_is_no_part_of_a_value(self) -> None:
        assert values(read_file("a.html", page("<p>from 45.9.1.1<sup>2</sup>"))) == ["45.9.1.1"]

    def test_a_control_character_is_no_part_of_a_value(self) -> None:
        assert values(read_file("a.html", page("<p>from 45.9.1.1\x01"))) == ["45.9.1.1"]

    def test_paragraphs_in_a_cell_stay_lines(self) -> None:
        cell = "<p>References</p><p>https://blog.lab.org/a</p><p>Thanks to all</p>"
        table = f"<table><tr><td>{cell}</table>"
        assert values(read_file("a.html", page(f"evil[.]com{table}"))) == ["evil.com"]

    def test_a_definition_belongs_to_its_term(self) -> None:
        listed = "<dt>From<dd>joe@bad.com<dt>User account:</dt><dd>a@lab.org</dd><dd>b@lab.org</dd>"
        assert values_read(read_file("a.html", page(f"<dl>{listed}</dl>"))) == ["joe@bad.com"]

    def test_the_level_that_a_page_states_applies_and_no_line_is_named(self) -> None:
        (found,) = read_file("a.html", page("<p>TLP:AMBER<p>evil[.]com"))
        assert found.object and found.object["object_marking_refs"] == [TLP_2_IDS[Tlp.AMBER]]
        assert messages([found]) == [
            "TLP:AMBER is the strictest level in the file and applies to all of it"
        ]

    def test_the_declared_encoding_is_used(self) -> None:
        text = page("<p>\u0434\u043e\u043c[.]\u0440\u0444", '<meta charset="windows-1251">')
        assert values(read_file("a.html", text.encode("cp1251"))) == ["xn--d1aqf.xn--p1ai"]

    @pytest.mark.parametrize("name", ["utf-7", "rot13", "idna", "nosuch", "zip", "hex"])
    def test_an_odd_encoding_is_ignored(self, name: str) -> None:
        text = page("<p>evil[.]com", f'<meta charset="{name}">')
        assert values(read_file("a.html", text)) == ["evil.com"]


class TestHostile:
    @pytest.mark.slow
    def test_deep_nesting_costs_nothing(self) -> None:
        assert values(read_file("a.html", page("<div>" * 100_000 + "evil[.]com"))) == ["evil.com"]

    @pytest.mark.slow
    def test_a_tag_with_two_million_attributes_is_refused(self) -> None:
        with pytest.raises(Malformed, match="800 MB of memory"):
            read_file("a.html", page("<a " + "a=1 " * 2_000_000 + ">evil[.]com"))

    @pytest.mark.slow
    def test_text_beyond_the_limit_is_refused(self) -> None:
        with pytest.raises(Malformed, match="16 million characters"):
            read_file("a.html", page("evil " * 3_300_000))
