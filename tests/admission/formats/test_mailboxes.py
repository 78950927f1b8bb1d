"""Whose a mailbox in a text is: the words before it, and how the others are written."""

import pytest

from tocsin.admission import formats

NOW = 1_790_000_000_000_000


def values(text, name="report.txt"):
    """What stands between the quotes of the patterns."""
    found = formats.read(name, text.encode(), formats.ReadOptions(now=NOW))
    return [each.object["pattern"].split(" = ")[1][1:-2] for each in found]


class TestWordsBefore:
    @pytest.mark.parametrize(
        "words",
        [
            "the user is",
            "our customer Jane (",
            "that was sent to",
            "Betroffen ist die Kundin,",
            "Rückmeldungen bitte an das Postfach",
            "nous avons joint la victime :",
            "para consultas:",
            "dúvidas para",
            "segnalazioni a",
            "het slachtoffer,",
            "użytkownik",
            "requested by J. Doe, H. Roe (",
        ],
    )
    def test_those_of_people_keep_a_mailbox_and_its_domain_out(self, words):
        text = f"They used evil.com, {words} jane@lab.org then.\nIt stopped at vpn.lab.org.\n"
        assert values(text) == ["evil.com"]

    @pytest.mark.parametrize(
        "words",
        [
            "came from",
            "the customer got it from",
            "(envelope-from",
            'smtp.mailfrom="',
            "replies go to",
            "exfiltrated to the drop",
            "Absender war",
            "l'expéditeur est",
            "remitente:",
            "proveniente dal mittente",
            "afkomstig van",
        ],
    )
    def test_those_of_attackers_keep_it_in_and_the_nearest_count(self, words):
        assert values(f"Seen hxxp://evil[.]com/a; it {words} joe@bad.com then.\n") == [
            "http://evil.com/a",
            "joe@bad.com",
        ]

    def test_words_of_the_sentence_before_do_not_count(self):
        text = "We told our customer. It was joe@bad.com who wrote.\n"
        assert values(text) == ["joe@bad.com"]

    def test_whom_an_extortionist_tells_his_victims_to_write_to_is_an_attackers(self):
        text = "All your files are encrypted!\nTo restore them, contact us: joe@bad.com\n"
        assert values(text) == ["joe@bad.com"]


class TestWriting:
    def test_a_plain_mailbox_is_nobodys_where_hosts_are_made_safe(self):
        text = "It loads evil[.]com.\njoe@lab.org confirmed that www.lab.org was hit.\n"
        assert values(text) == ["evil.com"]

    @pytest.mark.parametrize("host", ["bad[.]com", "www.bad[.]com", "hxxps://bad.com/a"])
    def test_unless_it_is_at_a_host_that_is_made_safe_itself(self, host):
        assert "joe@bad.com" in values(f"It loads {host} here.\nHe is joe@bad.com, they say.\n")

    @pytest.mark.parametrize("line", ["joe@bad.com", "- `joe@bad.com`", "a | joe@bad.com, old | b"])
    def test_or_stands_alone_in_its_line_or_cell(self, line):
        assert "joe@bad.com" in values(f"It loads evil[.]com here.\nMailboxes\n{line}\n")

    @pytest.mark.parametrize("name", ["Message-ID", "> In-Reply-To", "- Message-Id", "References"])
    def test_the_number_of_a_message_is_no_mailbox(self, name):
        text = f"From: joe@bad.com\n{name}: <20260917.6B1C@mx.bad.com>\n"
        assert values(text) == ["joe@bad.com"]


class TestHeadings:
    @pytest.mark.parametrize(
        "heading",
        [
            "4. Contact",
            "## Contact",
            "Victimes",
            "3) Betroffene",
            "2.1 Vittime:",
            "Kontakt\n-------",
        ],
    )
    def test_below_one_of_people_nothing_is_the_attackers(self, heading):
        text = f"They used evil.com.\n\n{heading}\nCHU (dsi@chu.fr), www.chu.fr\n\nand evil.org\n"
        assert values(text) == ["evil.com", "evil.org"]

    def test_addresses_and_hashes_count_even_there(self):
        text = f"Victims\nLab (it@lab.org): 198.51.100.7, {'e' * 32}\n"
        assert values(text) == ["198.51.100.7", "e" * 32]
