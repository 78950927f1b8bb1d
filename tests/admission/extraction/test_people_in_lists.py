"""Victims, recipients and authors in lists of values."""

import time
import tracemalloc
from itertools import chain, repeat

import pytest
from support.slowness import measure_slowness

from tocsin.admission.extraction.people_in_lists import find_people_in_list
from tocsin.admission.formats import ReadOptions, read
from tocsin.admission.model import Tlp

LIST = "".join(f"evil-{word}.top\n" for word in ("one", "two", "three", "four", "five", "six"))
VICTIM, MAILBOX = "srv.victim-bank.com", "jane@victim-bank.com"


def patterns_in(text: str) -> str:
    """The patterns of all indicators in a list."""
    found = read("list.txt", text.encode(), ReadOptions(now=1_790_000_000_000_000, tlp=Tlp.GREEN))
    return " ".join(str((each.object or {}).get("pattern")) for each in found)


class TestLists:
    @pytest.mark.parametrize(
        "part",
        [
            *(f"Victim: {VICTIM}", f"Affected server: {VICTIM}", f"Impersonated domain: {VICTIM}"),
            *(f"Victims\n{VICTIM}", f"Victims:\n\n{VICTIM}", f"# Victims\n{VICTIM}\n{VICTIM}x"),
            *(f"## Affected systems\n{VICTIM}", f"4. Opfer\n{VICTIM}", f"[victims]\n{VICTIM}"),
            *(f"{VICTIM} # victim", f"{VICTIM} (victim)", f"{VICTIM},Opfer", f"victim {VICTIM}"),
            *(f"4. Contact\n{MAILBOX}", f"Contact: {MAILBOX}", f"Reported by: {MAILBOX}"),
            *(f"# Recipients\n{MAILBOX}", f"Recipients:\n{MAILBOX}", f"-- \nJane\n{MAILBOX}"),
            *(f"The mail was sent to:\n{MAILBOX}", f"Kind regards\n\nJane Doe\n{MAILBOX}"),
        ],
    )
    @pytest.mark.parametrize("order", ["{list}\n{part}\n", "{part}\n\n{list}"])
    def test_victims_and_people_in_a_list_are_no_indicators(self, order: str, part: str) -> None:
        found = patterns_in(order.format(list=LIST, part=part))
        assert "victim-bank" not in found
        assert all(each in found for each in LIST.split())

    def test_a_note_says_in_which_lines_values_were_left_out_and_quotes_none(self) -> None:
        text = f"{LIST}# Victims\n{VICTIM}\n\n# Recipients\n{MAILBOX}\n".encode()
        *_, last = read("list.txt", text, ReadOptions(now=1_790_000_000_000_000, tlp=Tlp.GREEN))
        [said] = [each.message for each in last.findings if "victims" in each.message]
        assert said.endswith("values are left out, lines 8, 11") and "bank" not in said

    @pytest.mark.parametrize(
        "part",
        [
            *("Compromised hosts\nevil-seven.top", "# Infected systems\nevil-seven.top"),
            *("# Authors\nevil-seven.top", "evil-seven.top # victims were mailed from it"),
            *("# Contact: me@list.test\nevil-seven.top", "# Victims\n\nx.test\n\nevil-seven.top"),
            *(
                "# Victims\nx.test\n# C2\nevil-seven.top",
                "Victims\nx.test\nDomains\nevil-seven.top",
            ),
            "Victims\nevil-seven[.]top",
            *("Regards,\nJane\n\n# Kit\na@evil-seven.top", "Regards\nSenders:\na@evil-seven.top"),
            "Stolen data is sent to:\na@evil-seven.top",
        ],
    )
    def test_everything_else_in_it_stays(self, part: str) -> None:
        assert "evil-seven.top" in patterns_in(f"{LIST}\n{part}\n")

    def test_mailboxes_without_such_words_stay(self) -> None:
        text = "Mailboxes\n\nd@evil.top:587\n# Senders\na@evil.top\n\nEmails\nb@evil.top\n"
        assert list(find_people_in_list([*text.splitlines(), "c@evil.top # phisher"])) == []

    @pytest.mark.slow
    def test_a_section_of_many_lines_takes_an_octet_for_each(self) -> None:
        tracemalloc.start()
        try:
            people = find_people_in_list(chain(["# Victims"], repeat("srv.bank.com", 100_000)))
            size, _ = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
        assert size < 500_000 and sum(1 for _ in people) == 100_000

    @pytest.mark.parametrize("piece", ["a", "a ", ".,", "# ", "a.", "/", "a/(", "a: ", "victim "])
    def test_long_lines_are_searched_in_linear_time(self, piece: str) -> None:
        began = time.process_time()
        find_people_in_list([piece * (400_000 // len(piece)), *[piece * 90] * 1_000])
        assert time.process_time() - began < 2 * measure_slowness()


SENDERS = "".join(f"invoice@evil-{word}.top\n" for word in ("one", "two", "three", "four"))


class TestContacts:
    """A mailbox below a heading such as `# Contact` is one of a person to ask."""

    @pytest.mark.parametrize(
        "heading",
        [
            *("# Contact", "# Contact:", "## Contacts", "# Contact person", "# Contact us at"),
            *("# Provided by", "# Shared by:", "# Questions to", "# Questions?", "Questions to:"),
            *("# For questions and feedback", "# Please report false positives to", "! Contact"),
            *(
                "# Questions or corrections to the team",
                "# Please contact",
                "# Any inquiry to the team",
                "# Contact e-mail",
                "// Contact",
                "; Author",
            ),
            *("# Maintained by", "Maintainer", "# List owner", "# Abuse contact", "# Thanks to"),
            *("# Rückfragen an", "# Kontaktdaten", "# Pour toute question", "# Preguntas a"),
            *("# Per informazioni", "# Vragen aan", "# Dúvidas", "#\n# Contact\n#"),
            *("// Contact", "##############\n#  Contact   #\n##############"),
        ],
    )
    @pytest.mark.parametrize("order", ["{senders}\n{part}\n", "{part}\n\n{senders}"])
    def test_the_mailbox_below_it_is_left_out_and_the_list_stays_whole(
        self, order: str, heading: str
    ) -> None:
        found = patterns_in(order.format(senders=SENDERS, part=f"{heading}\n{MAILBOX}"))
        assert MAILBOX not in found
        assert all(each in found for each in SENDERS.split())

    @pytest.mark.parametrize("heading", ["# Reported by", "# Submitted by:", "# Reporter"])
    def test_the_mailbox_of_who_reported_the_list_is_left_out_below_it(self, heading: str) -> None:
        found = patterns_in(f"{SENDERS}\n{heading}\n{MAILBOX}\n")
        assert MAILBOX not in found and all(each in found for each in SENDERS.split())

    def test_a_note_says_in_which_line_it_was_left_out(self) -> None:
        text = f"{SENDERS}\n# Questions to\n{MAILBOX}\n".encode()
        *_, last = read("list.txt", text, ReadOptions(now=1_790_000_000_000_000, tlp=Tlp.GREEN))
        assert [each.message for each in last.findings if "people" in each.message] == [
            "victims and people are never shared: values are left out, line 7"
        ]

    @pytest.mark.parametrize(
        "heading",
        [
            *("# Phishing senders", "# Senders reported by customers", "# Reported senders"),
            *("# Reported as spam", "# Mails reported by users", "# Reported by CERT Bank"),
            *("# Contact: soc@cert.test", "# Maintainer: CERT Bank", "# Contact\n# Senders"),
            *("# Questions to\n# soc@cert.test", "# Contact addresses in ransom notes"),
            *("# Contact of the extortionist", "# Ransom contact", "# C2 contact", "# Source"),
            *("# Authors of the malware", "# Registrants", "# Mailboxes", "# Contact form spam"),
            *("# Support scam", "Contact: soc@cert.test", "# Contact\n\nsoc@cert.test\n"),
            *("# Contact form phishing", "# Contacts used by the actor", "# Contact emails"),
            *("# Contact email addresses", "# Inquiry", "# Your enquiry", "# Your questions"),
            "# Questions to\nsoc@cert.test\n#",
        ],
    )
    def test_a_list_of_senders_below_other_headings_stays_whole(self, heading: str) -> None:
        found = patterns_in(f"{heading}\n{SENDERS}")
        assert all(each in found for each in SENDERS.split())

    def test_hosts_below_such_a_heading_stay(self) -> None:
        assert "evil-seven.top" in patterns_in(f"{SENDERS}\n# Questions to\nevil-seven.top\n")
