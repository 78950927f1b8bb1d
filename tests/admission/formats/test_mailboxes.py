"""Mailboxes in a text: the words before one decide whether it is an attacker's."""

from typing import Any

import pytest
from support.presence import present

from tocsin.admission import formats

NOW = 1_790_000_000_000_000


def values(text: Any, name: Any = "report.txt") -> Any:
    """The values in the patterns."""
    found = formats.read(name, text.encode(), formats.ReadOptions(now=NOW))
    return [present(each.object)["pattern"].split(" = ")[1][1:-2] for each in found]


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
    def test_words_for_bystanders_exclude_a_mailbox_and_its_domain(self, words: str) -> None:
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
    def test_words_for_attackers_keep_a_mailbox_and_the_nearest_words_count(
        self, words: str
    ) -> None:
        assert values(f"Seen hxxp://evil[.]com/a; it {words} joe@bad.com then.\n") == [
            "http://evil.com/a",
            "joe@bad.com",
        ]

    def test_words_of_the_previous_sentence_do_not_count(self) -> None:
        text = "We told our customer. It was joe@bad.com who wrote.\n"
        assert values(text) == ["joe@bad.com"]

    def test_the_contact_mailbox_of_a_ransom_note_is_an_indicator(self) -> None:
        text = "All your files are encrypted!\nTo restore them, contact us: joe@bad.com\n"
        assert values(text) == ["joe@bad.com"]


class TestDefangedTexts:
    def test_a_plain_mailbox_is_excluded_where_hosts_are_defanged(self) -> None:
        text = "It loads evil[.]com.\njoe@lab.org confirmed that www.lab.org was hit.\n"
        assert values(text) == ["evil.com"]

    @pytest.mark.parametrize("host", ["bad[.]com", "www.bad[.]com", "hxxps://bad.com/a"])
    def test_a_plain_mailbox_at_a_defanged_host_is_an_indicator(self, host: str) -> None:
        assert "joe@bad.com" in values(f"It loads {host} here.\nHe is joe@bad.com, they say.\n")

    @pytest.mark.parametrize("line", ["joe@bad.com", "- `joe@bad.com`", "a | joe@bad.com, old | b"])
    def test_a_plain_mailbox_alone_in_its_line_or_cell_is_an_indicator(self, line: str) -> None:
        assert "joe@bad.com" in values(f"It loads evil[.]com here.\nMailboxes\n{line}\n")

    @pytest.mark.parametrize("name", ["Message-ID", "> In-Reply-To", "- Message-Id", "References"])
    def test_a_message_id_is_not_a_mailbox(self, name: str) -> None:
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
    def test_values_below_a_contact_or_victim_heading_are_excluded(self, heading: str) -> None:
        text = f"They used evil.com.\n\n{heading}\nCHU (dsi@chu.fr), www.chu.fr\n\nand evil.org\n"
        assert values(text) == ["evil.com", "evil.org"]

    def test_addresses_and_hashes_below_a_victims_heading_are_indicators(self) -> None:
        text = f"Victims\nLab (it@lab.org): 198.51.100.7, {'e' * 32}\n"
        assert values(text) == ["198.51.100.7", "e" * 32]
