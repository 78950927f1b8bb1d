"""Tables of PDFs: who received a mail, and values that a column broke."""

import hashlib
from collections.abc import Sequence
from itertools import accumulate, pairwise

import pytest
from support.documents import pdf_of_tables
from support.reading import read_file, values

from tocsin.admission.documents import pdf_tables
from tocsin.admission.documents.pdf import join_after_hyphens
from tocsin.admission.documents.pdf_tables import VALUE_SIGN, read_tables

MD5 = "44d88612fea8a8f36de82e1278abb02f"
COLUMNS = (40, 110, 240, 380, 450)
HEADINGS = ("Date", "From", "To", "Source IP", "Link")


def found(*pages: Sequence[Sequence[str]], columns: Sequence[int] = COLUMNS) -> list[str]:
    """The values in a PDF with these pages, in their order."""
    return values(read_file("a.pdf", pdf_of_tables(*pages, columns=columns)))


def row(number: int) -> tuple[str, ...]:
    """A row with a sender, a recipient, an address and a link."""
    return (
        f"2026-11-{number + 10}",
        f"s{number}@evil-{number}.top",
        f"anna{number}@city-hospital.org",
        f"45.9.148.{number}",
        f"http://pay{number}.top/x",
    )


def of_row(number: int) -> set[str]:
    """The values of such a row that are an attacker's."""
    _, sender, _, address, link = row(number)
    return {sender, address, link}


class TestRecipients:
    def test_of_a_table_no_recipient_is_found_but_every_sender(self) -> None:
        page = [["Mails in November"], [], HEADINGS, *map(row, range(6)), [], ["The end."]]
        assert set(found(page)) == set().union(*map(of_row, range(6)))

    def test_a_table_goes_on_with_the_next_page_without_headings(self) -> None:
        first = [["Mails"], [], HEADINGS, *map(row, range(30)), [], ["page 1"]]
        second = [["Mails"], *map(row, range(30, 50)), [], ["page 2"]]
        assert set(found(first, second)) == set().union(*map(of_row, range(50)))

    def test_after_a_page_of_sentences_rows_have_no_headings(self) -> None:
        first = [HEADINGS, *map(row, range(3)), [], *([f"Sentence {n}."] for n in range(4))]
        second = [("x", "y@evil-9.top", "z@evil-8.top")]
        assert {"y@evil-9.top", "z@evil-8.top"} <= set(found(first, second))

    def test_a_line_above_with_fewer_cells_is_no_headings(self) -> None:
        page = [("CERT report", "", "", "November"), HEADINGS, *map(row, range(3))]
        assert set(found(page)) == set().union(*map(of_row, range(3)))

    def test_rows_apart_belong_to_the_table(self) -> None:
        spaced = [line for number in range(4) for line in (row(number), ())]
        assert set(found([HEADINGS, (), *spaced])) == set().union(*map(of_row, range(4)))

    def test_a_line_is_searched_once_for_all_headings_above_it(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        searched: list[str] = []

        class Counting:
            def search(self, line: str) -> object:
                searched.append(line)
                return VALUE_SIGN.search(line)

        monkeypatch.setattr(pdf_tables, "VALUE_SIGN", Counting())
        lines = [f"word{n}   {f'45.9.1.{n}' if n % 10 == 9 else 'words'}   x" for n in range(200)]
        read_tables("\n".join(lines))
        assert len(searched) <= 2 * len(lines)

    def test_a_page_without_a_table_stays_as_it_is(self) -> None:
        assert read_tables("Contact  us\nsoc@city-hospital.org, or by telephone") is None

    def test_bars_in_cells_are_no_delimiters(self) -> None:
        page = [HEADINGS, ("a|b", *row(1)[1:])]
        assert set(found(page)) == of_row(1)


class TestEnds:
    LEFT = (40, 44, 170, 300)
    """The text below the table begins to the left of its first column."""

    def test_a_line_to_the_left_of_the_rows_ends_a_table(self) -> None:
        rows = [("", f"s{n}@evil-{n}.top", f"v{n}@x.org", "45.9.148.1") for n in range(3)]
        page = [("", "From", "To", "Source IP"), *rows, ("45.9.70.9",), ("a@evil.top",)]
        assert set(found(page, columns=self.LEFT)) == {
            *(f"s{n}@evil-{n}.top" for n in range(3)),
            *("45.9.148.1", "45.9.70.9", "a@evil.top"),
        }

    def test_a_footer_in_columns_does_not_come_between_pages(self) -> None:
        first = [HEADINGS, *map(row, range(3)), ("2026-11-", "s@evil-", "v@city-", "45.9.1.1", "")]
        first += [(), (), (), ("TLP:GREEN", "Page 1")]
        second = [("SOC", "", "Peter"), (), HEADINGS, ("12", "mail.top", "hospital.org", "", "")]
        second += map(row, range(3, 6))
        assert set(found(first, second)) == {
            *set().union(*map(of_row, range(6))),
            *("s@evil-mail.top", "45.9.1.1"),
        }


class TestBrokenValues:
    @pytest.mark.parametrize("headings", [[HEADINGS], []])
    def test_a_value_that_goes_on_with_the_next_page_is_whole(
        self, headings: list[Sequence[str]]
    ) -> None:
        first = [HEADINGS, *map(row, range(3)), (*row(3)[:4], "http://bad.top/index.php?")]
        second = [*headings, ("", "", "", "", "id=10"), *map(row, range(4, 8))]
        assert "http://bad.top/index.php?id=10" in found(first, second)
        assert "http://bad.top/index.php" not in found(first, second)

    def test_a_value_that_is_wider_than_others_is_in_its_column(self) -> None:
        rows = [(f"a{n}", f"s{n}@evil-{n}.top", f"v{n}@x.org") for n in range(40)]
        long = ("b", "http://evil.top/aaaaaaaaaaaaaaaaaaaaaaaa/", "v@x.org")
        page = [("Name", "From", "To"), *rows, long, ("", "rest.php", "")]
        assert "http://evil.top/aaaaaaaaaaaaaaaaaaaaaaaa/rest.php" in found(
            page, columns=(40, 90, 280)
        )

    def test_what_columns_broke_is_whole(self) -> None:
        rows = [
            HEADINGS,
            ("2026-11-", "ceo@paynow-", "anna.meier@city-", "45.9.148.1", "http://jobs-"),
            ("12", "secure.top", "hospital.org", "", "offer.top/apply"),
        ]
        assert set(found(rows)) == {
            "ceo@paynow-secure.top",
            "45.9.148.1",
            "http://jobs-offer.top/apply",
        }

    def test_a_url_and_a_mailbox_that_broke_anywhere_are_whole(self) -> None:
        rows = [
            HEADINGS,
            ("2026-11-12", "sender@evil-m", "victim@c", "", "http://bad-site0.t"),
            ("00:12", "ail0.top", "ity-hospital.org", "45.9.148.1", "op/login/index."),
            ("", "", "", "", "php?id=0"),
        ]
        assert set(found(rows)) == {
            "sender@evil-mail0.top",
            "45.9.148.1",
            "http://bad-site0.top/login/index.php?id=0",
        }

    def test_the_parts_of_a_value_may_stand_around_the_middle_of_the_row(self) -> None:
        rows = [
            HEADINGS,
            ("", "", "", "", "http://bad-site0.top/logi"),
            ("2026-11-12", "s@evil-mail.top", "v@city-hospital.org", "45.9.148.1", ""),
            ("", "", "", "", "n.php?id=0"),
        ]
        assert set(found(rows)) == {
            "s@evil-mail.top",
            "45.9.148.1",
            "http://bad-site0.top/login.php?id=0",
        }

    def test_a_mailbox_that_broke_before_its_host_is_whole(self) -> None:
        rows = [("2026-11-12", "s.name", "victim.name", "45.9.148.1", "")]
        rows += [("", "@evil.top", "@x.org", "", "")]
        assert set(found([HEADINGS, *rows, row(1)])) == {"s.name@evil.top", "45.9.148.1"} | of_row(
            1
        )

    @pytest.mark.parametrize(
        ("cell", "below", "value"),
        [
            ("45.80.148[.]1", "19:8080", "45.80.148.119"),
            ("45.33.24[.]14", "5", "45.33.24.145"),
            ("37.120.233[.]", "89", "37.120.233.89"),
            ("185.244.129[", ".]79:63047", "185.244.129.79"),
            ("lab.symantecsafe[.", "]org", "lab.symantecsafe.org"),
            ("lab.symantecsafe", "[.]org", "lab.symantecsafe.org"),
        ],
    )
    def test_an_address_or_a_defanged_host_is_whole(
        self, cell: str, below: str, value: str
    ) -> None:
        page = [("Value", "Seen", "Note"), (cell, "2022-", "C&C"), (below, "09-12", "server"), ()]
        page += [("146.70.86[.]61", "2021-", "Tunnel"), ("", "11-27", "")]
        assert found(page, columns=(40, 140, 240)) == [value, "146.70.86.61"]

    @pytest.mark.parametrize("below", ["45.9.1.2", "300", "next", "12 hosts"])
    def test_an_address_does_not_go_on_with_another_cell(self, below: str) -> None:
        page = [("Value", "Note"), ("45.9.148.1", "a"), (below, "b"), ("45.9.148.22", "c")]
        assert found(page, columns=(40, 240))[0] == "45.9.148.1"

    def test_rows_of_several_lines_are_counted_once(self) -> None:
        page = [("From", "Note"), ("45.9.1.1", "a word"), *(("", "and another"),) * 8]
        page += [("45.9.1.", ""), ("12", "b")]
        assert found(page, columns=(40, 240)) == ["45.9.1.1", "45.9.1.12"]

    @pytest.mark.parametrize("below", ["N/A", "evil-2.top", "http://evil-3.top/aaaaa", "-"])
    def test_the_next_value_of_a_column_is_no_rest(self, below: str) -> None:
        rows = [HEADINGS, row(1), (*row(2)[:4], below)]
        assert row(1)[4] in found(rows)

    def test_a_defanged_mailbox_is_whole_before_a_word(self) -> None:
        rows = [HEADINGS, ("a", "s@evil[.]top", "b@x.org"), ("b", "unknown", "c@x.org")]
        assert found(rows) == ["s@evil.top"]

    def test_versions_in_rows_that_follow_each_other_are_no_address(self) -> None:
        hashes = [hashlib.md5(bytes([number])).hexdigest() for number in range(24)]
        versions = ("3.2.1", "3.5", "3.9.4", "4.4") * 6
        rows = [("MD5", "Version"), *zip(hashes, versions, strict=True)]
        assert found(rows, columns=(40, 300)) == hashes
        numbers = [str(number) for number in range(1, 25)]
        numbered = [("No", "Version", "MD5"), *zip(numbers, versions, hashes, strict=True)]
        assert found(numbered, columns=(40, 100, 300)) == hashes

    def test_versions_in_the_first_column_are_no_address(self) -> None:
        hashes = [hashlib.md5(bytes([number])).hexdigest() for number in range(6)]
        rows = [("Version", "MD5"), *zip(("3.2.14", "3.5", "4.0.11") * 2, hashes, strict=True)]
        assert found(rows, columns=(40, 300)) == hashes

    def test_a_host_below_a_url_with_an_address_is_no_rest(self) -> None:
        rows = [("Indicator", "Note"), ("http://45.9.1.1/05x10.exe", "a server")]
        rows += [("", "of them"), ("evil-web[.]app", "b"), ("http://45.9.1.2/x", "c")]
        assert found(rows, columns=(40, 300)) == [
            *("http://45.9.1.1/05x10.exe", "evil-web.app", "http://45.9.1.2/x"),
        ]

    def test_the_lines_of_a_cell_are_no_headings(self) -> None:
        rows = [
            ("SHA-1", "Component", "", "Certificate"),
            (MD5, "loader", "", "admin@ultimate-sup.top"),
            ("", "x64", "", "valid from 2015 to"),
            (MD5[::-1], "loader", "", "admin@ultimate-sup.top"),
        ]
        assert "admin@ultimate-sup.top" in found(rows, columns=(40, 240, 300, 360))

    def test_a_url_does_not_go_on_with_a_hash_below(self) -> None:
        rows = [
            ("Type", "Value"),
            ("url", "http://evil-1.top/index"),
            ("md5", MD5),
            ("ip", "45.9.1.2"),
        ]
        assert found(rows) == ["http://evil-1.top/index", MD5, "45.9.1.2"]

    def test_a_hash_in_a_column_is_whole(self) -> None:
        digest = MD5
        rows = [
            ("Hash", "From", "To"),
            (digest[:20], "s@evil.top", "v@x.org"),
            (digest[20:],),
        ]
        assert set(found(rows, columns=(40, 240, 400))) == {digest, "s@evil.top"}


class TestBrokenHashes:
    SHA256 = hashlib.sha256(b"x").hexdigest()
    SHA512 = hashlib.sha512(b"x").hexdigest()

    @staticmethod
    def broken(digest: str, *widths: int) -> list[str]:
        ends = list(accumulate(widths))
        return [digest[one:two] for one, two in pairwise((0, *ends, len(digest)))]

    @pytest.mark.parametrize("widths", [(31, 32, 33), (32, 32, 32), (31, 33, 31), (64,), (20, 20)])
    def test_one_of_which_a_part_is_as_long_as_another_hash_is_whole(
        self, widths: Sequence[int]
    ) -> None:
        first, *rest = self.broken(self.SHA512, *widths)
        page = [("Type", "Value", "Note"), ("sha512", first, "a")]
        page += [*(("", part, "") for part in rest), ("ip", "45.9.1.1", "b")]
        assert found(page, columns=(40, 90, 480)) == [self.SHA512, "45.9.1.1"]

    def test_one_that_is_broken_after_the_digits_of_another_kind_is_whole(self) -> None:
        url = "http://evil-1.top/a/long/path/of/folders"
        rows = [("SHA-256", "Link", "Note")]
        for text in ("one", "two", "three"):
            value = hashlib.sha256(text.encode()).hexdigest()
            rows += [(value[:40], f"{url}/", "a"), (value[40:], f"{text}.php", "server")]
        assert {*found(rows, columns=(40, 260, 480))} == {
            *(hashlib.sha256(text.encode()).hexdigest() for text in ("one", "two", "three")),
            *(f"{url}/{text}.php" for text in ("one", "two", "three")),
        }

    def test_halves_of_one_that_look_like_another_kind_begin_no_rows(self) -> None:
        rows, hashes = [("SHA-256", "Recipient", "MD5")], list[str]()
        for text in ("one", "two", "three"):
            sha, md5 = (hashlib.new(kind, text.encode()).hexdigest() for kind in ("sha256", "md5"))
            rows += [(sha[:32], "anna@city-", md5[:16]), (sha[32:], "hospital.org", md5[16:])]
            hashes += [sha, md5]
        assert found(rows, columns=(40, 260, 400)) == hashes

    def test_a_row_with_several_has_each_whole(self) -> None:
        digests = (MD5, self.SHA256)
        rows = [("a.exe", *(each[:31] for each in digests)), ("", MD5[31:], self.SHA256[31:63])]
        rows += [("", "", self.SHA256[63:]), ("b.exe", MD5[::-1][:31], self.SHA256[::-1][:31])]
        rows += [("", MD5[::-1][31:], self.SHA256[::-1][31:])]
        page = [("File", "MD5", "SHA256"), *rows]
        whole = {*digests, *(each[::-1] for each in digests)}
        assert set(found(page, columns=(40, 90, 300))) == whole

    def test_hashes_of_several_kinds_in_a_cell_are_whole(self) -> None:
        sha1 = hashlib.sha1(b"x").hexdigest()
        parts = [MD5, sha1[:38], sha1[38:], self.SHA256[:38], self.SHA256[38:]]
        page = [("File", "Hashes"), *zip(("a.exe", "", "", "", ""), parts, strict=True)]
        assert found(page, columns=(40, 90)) == [MD5, sha1, self.SHA256]

    def test_the_parts_may_stand_around_the_middle_of_the_row(self) -> None:
        parts = self.broken(self.SHA256, 20, 20, 19)
        page = [("Type", "Value"), ("ip", "45.9.1.1")]
        page += zip(("", "sha256", "", ""), parts, strict=True)
        assert found([*page, ("ip", "45.9.1.2")], columns=(40, 90)) == [
            "45.9.1.1",
            self.SHA256,
            "45.9.1.2",
        ]

    def test_one_that_goes_on_with_the_next_page_is_whole(self) -> None:
        first, *rest = self.broken(self.SHA256, 20, 20)
        pages = [("Type", "Value"), ("ip", "45.9.1.1"), ("sha256", first)]
        second = [("Type", "Value"), *(("", part) for part in rest), ("md5", MD5)]
        assert found(pages, second, columns=(40, 90)) == ["45.9.1.1", self.SHA256, MD5]


class TestHyphens:
    @pytest.mark.parametrize(
        "text",
        [
            "http://paynow- secure.top/x",
            "http://evil.top/some-\nlong-path/x.php",
            "hxxp://paynow-\nsecure[.]top",
            "anna.meier@city- hospital.org",
            "john-\nsmith@evil.top",
            "paynow-\nsecure.top",
            "a-\nb-\nc.top",
            "http://evil.top/a?id=0-\n0ff1&to=http%3a%2f%2fevil-\nwrap.top%2f",
            "PAYNOW-\nSECURE.TOP",
        ],
    )
    def test_a_value_goes_on_after_a_hyphen(self, text: str) -> None:
        assert join_after_hyphens(f"x {text}, y") == f"x {''.join(text.split())}, y"

    @pytest.mark.parametrize(
        "text",
        [
            "domain- evil.top",
            "Reporter- anna@city-hospital.org",
            "C2- evil.top",
            "evil.top- bad.top",
            '"ba7ff018- hagaipipko[.]net',
            "ba7ff018-a64a- hagaipipko[.]net",
            "10.0.0.1- 10.0.0.9",
            "a multi-\nstage loader",
            "see - evil.top",
            "paynow-\n\n\nsecure.top",
        ],
    )
    def test_other_hyphens_join_nothing(self, text: str) -> None:
        assert join_after_hyphens(text) == text

    @pytest.mark.slow
    def test_many_hyphens_cost_no_more_than_their_number(self) -> None:
        assert len(join_after_hyphens("ab- " * 300_000 + "c.top")) > 300_000
