"""Boilerplate in a text: authors, references, victims and rules are not indicators."""

import time
from typing import Any

import pytest
from support.slowness import measure_slowness

from tocsin.admission import formats

NOW = 1_790_000_000_000_000
MD5, SHA256 = "e" * 32, "c" * 64


def values(text: Any, name: Any = "report.txt") -> Any:
    """The values in the patterns."""
    found = formats.read(name, text.encode(), formats.ReadOptions(now=NOW))
    subjects = [each.object for each in found if each.object is not None]
    return [subject["pattern"].split(" = ")[1][1:-2] for subject in subjects]


class TestComments:
    @pytest.mark.parametrize("sign", ["#", "##", ";", "//", "!"])
    def test_values_in_comments_of_a_feed_are_not_indicators(self, sign: str) -> None:
        text = (
            f"{sign} Feed by Jane Doe, jane@lab.org // http://lab.org\n"
            f"{sign} Mail: jane [at] lab [dot] org, licence: https://lab.org/l.txt, 198.51.100.9\n"
            "bot evil.com,seen yesterday by two\nbot evil.net,seen today\nbot evil.biz,seen\n"
        )
        assert values(text) == ["evil.com", "evil.net", "evil.biz"]

    def test_a_defanged_value_in_a_comment_is_an_indicator(self) -> None:
        assert values("# about evil[.]com and good.org\nNo more was seen of it.\n") == ["evil.com"]

    def test_markdown_headings_are_not_comments(self) -> None:
        assert values("# evil.com\n\nNo more was seen.\n", "report.md") == ["evil.com"]


class TestPeople:
    @pytest.mark.parametrize(
        "line",
        [
            "Author: Jane Doe <jane@lab.org>",
            "**Contact:** jane@lab.org, https://www.lab.org/soc",
            "- Analyst: jane[at]lab[.]org",
            "Prepared by Jane Doe (jane@lab.org)",
            "For questions write to jane@lab.org",
            "To report more, please contact jane@lab.org",
            "Victim: Lab Ltd (lab.org), jane@lab.org",
            "To: jane@lab.org",
            "Ansprechpartnerin: jane@lab.org",
            "Rédigé par Jane Doe, jane@lab.org",
            "Víctima: jane@lab.org",
            *("Publisher: www.lab.org", "Herausgeber: www.lab.org", "Éditeur: www.lab.org"),
            *("发布单位：www.lab.org", "発行元：www.lab.org", "발행처: www.lab.org"),
            *("Kunde: www.lab.org", "Klient: www.lab.org", "Заказчик: www.lab.org"),
            *("顧客：www.lab.org", "客户：www.lab.org", "Cliente: www.lab.org"),
            *("Organisation: www.lab.org", "Prepared for: www.lab.org"),
        ],
    )
    def test_authors_contacts_and_victims_are_not_indicators(self, line: str) -> None:
        assert values(f"They used evil.com then.\n{line}\nAnd evil.org later.\n") == [
            "evil.com",
            "evil.org",
        ]

    @pytest.mark.parametrize(
        "label",
        [
            *(
                "Received by",
                "Victim host",
                "Victim's IP",
                "Affected server",
                "Compromised server",
                "Victim",
            ),
            *("Internal host", "Our mail server", "RecipientDomain", "Impersonated domain"),
            *("Legitimate site", "Betroffener Server", "Serveur touché", "Servidor afectado"),
        ],
    )
    def test_a_machine_of_a_victim_is_no_indicator(self, label: str) -> None:
        for value in ("srv1.acme.org", "198.51.100.7"):
            assert values(f"Note\n\n{label}: {value}\nURL: http://bad.com/a\n") == [
                "http://bad.com/a"
            ]
            assert values(f"| {label} | {value} |\n| C2 | bad.com |\n") == ["bad.com"]

    @pytest.mark.parametrize("note", ["Betroffener Server", "victim VPN gateway", "Opfer"])
    def test_a_row_that_ends_with_a_word_for_victims_holds_no_indicator(self, note: str) -> None:
        text = "| Type | Value | Note |\n|---|---|---|\n| IP | 203.0.113.9 | C2 |\n"
        assert values(f"{text}| IP | 198.51.100.7 | {note} |\n") == ["203.0.113.9"]
        assert len(values(f"{text}| IP | 198.51.100[.]7 | {note} |\n")) == 2
        assert len(values(f"{text}| IP | 198.51.100.7 | compromised server |\n")) == 2

    @pytest.mark.parametrize(
        "head",
        [
            "Von: CERT Nord <cert@nord.org>\nAn: it@acme.org\nBetreff: Warnung",
            "De : CERT Nord <cert@nord.org>\nÀ : it@acme.org\nObjet : Alerte",
            "Betreff: Warnung\nDatum: 31.01.2026\nVon: cert@nord.org\nAn: it@acme.org",
            "Od: cert@nord.org\nDo: it@acme.org\nTemat: Alert",
            "差出人: cert@nord.org\n宛先: it@acme.org\n件名: 注意",
        ],
    )
    def test_the_writer_of_a_mail_with_defanged_values_is_no_indicator(self, head: str) -> None:
        text = f"{head}\n\nIt loads bad[.]com then, see portal.nord.org for it.\n"
        assert values(text) == ["bad.com"]

    def test_the_sender_of_a_mail_at_a_defanged_host_is_an_indicator(self) -> None:
        text = "Von: Joe <joe@bad.com>\nAn: it@acme.org\n\nClick hxxp://www.bad[.]com/a then\n"
        assert values(text) == ["joe@bad.com", "http://www.bad.com/a"]
        plain = "Von: Joe <joe@bad.com>\nAn: it@acme.org\n\nClick http://evil.com/a then\n"
        assert values(plain) == ["joe@bad.com", "http://evil.com/a"]

    def test_a_host_beside_its_user_in_a_table_is_no_indicator(self) -> None:
        text = "| Time | Host | User | Event |\n|---|---|---|---|\n"
        text += "| 08:41 | pc.acme.org | jane | visited `hxxps://bad[.]com/a` |\n"
        assert values(text) == ["https://bad.com/a"]
        assert values("| Host | Note |\n|---|---|\n| bad.com | C2 |\n") == ["bad.com"]

    def test_a_label_of_people_and_its_value_are_no_headings_of_the_rows_below(self) -> None:
        text = "| Received by | mx1.acme.org |\n| Reported by | jane@acme.org |\n| A | evil.com |\n"
        assert values(text) == ["evil.com"]

    @pytest.mark.parametrize("heading", ["## Affected systems", "Impacted hosts:", "Victims"])
    def test_machines_listed_below_a_heading_of_victims_are_no_indicators(
        self, heading: str
    ) -> None:
        text = f"{heading}\n\n- srv1.acme.org\n- 198.51.100.7\n\n## C2\n\n- bad.com\n"
        assert values(text) == ["bad.com"]

    @pytest.mark.parametrize(
        "label",
        [
            *("IP pública de la víctima", "Adres IP poszkodowanego", "Zainfekowany komputer"),
            *("Napadený server", "IP adresa oběti", "Máquina da vítima", "Poste compromis"),
            *("Пострадавший узел", "Адрес жертвы", "被害端末", "被害組織のグローバルIP"),
            *(
                "受害服务器",
                "Öffentliche Adresse des Opfers",
                "Victim VPN gateway",
                "Our NAT address",
            ),
        ],
    )
    def test_a_victims_machine_is_no_indicator_in_many_languages(self, label: str) -> None:
        assert values(f"C2: bad.com\n{label}: srv.acme.org (198.51.100.7)\n") == ["bad.com"]

    @pytest.mark.parametrize(
        "sentence",
        [
            "Our web proxy 198.51.100.7 logged it",
            "Unsere öffentliche Adresse ist 198.51.100.7.",
            "It went through our\nVPN gateway (198.51.100.7) then",
            "seen at notre serveur mail.acme.org then",
        ],
    )
    def test_the_writers_own_machines_in_sentences_are_no_indicators(self, sentence: str) -> None:
        assert values(f"It loads bad.com from there.\n{sentence}\n") == ["bad.com"]

    @pytest.mark.parametrize(
        "sentence",
        [
            "Our analysis of the server 198.51.100.7 goes on",
            "our users contacted the host 198.51.100.7 then",
            "Our proxy 198.51.100[.]7 then",
        ],
    )
    def test_a_machine_of_an_attacker_in_our_sentences_is_an_indicator(self, sentence: str) -> None:
        assert values(f"{sentence}\n") == ["198.51.100.7"]

    @pytest.mark.parametrize("label", ["Target host", "Server", "Compromised sites", "Domain"])
    def test_a_machine_of_an_attacker_is_an_indicator(self, label: str) -> None:
        assert values(f"Note\n\n{label}: bad.com, 198.51.100.7\n") == ["bad.com", "198.51.100.7"]

    def test_hosts_in_a_victims_domain_count_only_if_defanged(self) -> None:
        text = (
            "Victim: joe@acme.org\nThe mail to jane@acme.org led to vpn.acme.org,\n"
            "see www.acme.org/a, and from there to\nvpn.acme[.]org and evil.com.\n"
        )
        assert values(text) == ["vpn.acme.org", "evil.com"]

    def test_a_plain_mailbox_among_defanged_ones_is_not_an_indicator(self) -> None:
        text = "It came from joe@bad[.]com and bob[@]bad.com\nto our customer jane@acme.org then.\n"
        assert values(text) == ["joe@bad.com", "bob@bad.com"]
        assert values(text + "From: ann@bad.net\n")[2:] == ["ann@bad.net"]
        assert values("It came from joe@bad.com,\nnot from evil[.]com\n")[0] == "joe@bad.com"

    def test_the_domain_of_a_free_mail_provider_is_not_excluded(self) -> None:
        text = "Author: joe@mail.ru\nIt loads http://cloud.mail.ru/a then\n"
        assert values(text) == ["http://cloud.mail.ru/a"]

    @pytest.mark.parametrize(
        "line",
        ["It sends all to joe@bad.com then", "Victims are led to evil.com", "E-mail: joe@bad.com"],
    )
    def test_lines_about_attackers_are_not_boilerplate(self, line: str) -> None:
        assert len(values(line + "\n")) == 1

    def test_addresses_and_hashes_in_lines_about_people_are_indicators(self) -> None:
        assert values(f"Reporter: jane@lab.org saw 198.51.100.7 and {MD5}\n") == [
            "198.51.100.7",
            MD5,
        ]


class TestReferences:
    @pytest.mark.parametrize(
        "line",
        [
            "Reference: https://lab.org/a",
            "* Source: https://lab.org/a",
            "Our report: https://lab.org/a",
            "More technical information at <https://lab.org/a>",
            "The details are in https://lab.org/a",
            "Siehe: https://lab.org/a",
            "(see https://lab.org/a)",
            *("Advisory: https://lab.org/a", "Report: https://lab.org/a"),
            *("Ticket: https://jira.lab.org/a", "Fonti: https://lab.org/a"),
            *("Źródło: https://lab.org/a", "Источник: https://lab.org/a"),
            *("Bron: https://lab.org/a", "Kaynak: https://lab.org/a", "Zdroj: https://lab.org/a"),
            *("参考链接：https://lab.org/a", "出典：https://lab.org/a", "출처: https://lab.org/a"),
        ],
    )
    def test_links_to_further_reading_are_not_indicators(self, line: str) -> None:
        assert values(f"It is evil.com.\n{line}\n", "report.md") == ["evil.com"]

    @pytest.mark.parametrize(
        "line",
        [
            "IOCs for this can also be found at our repository here: https://lab.org/a",
            "Siehe https://lab.org/a.",
            "Details siehe auch https://lab.org/a",
            "Voir https://lab.org/a pour les détails",
            "Véase https://lab.org/a",
            "Więcej: zobacz https://lab.org/a",
            "Подробнее см. https://lab.org/a",
        ],
    )
    def test_links_to_further_reading_are_known_in_other_languages(self, line: str) -> None:
        assert values(f"It is evil.com then.\n{line}\n") == ["evil.com"]

    @pytest.mark.parametrize(
        "page",
        [
            f"https://www.virustotal.com/gui/file/{SHA256}",
            "https://app.any.run/tasks/0c1a2b3c-1111-4222-8333-944455556666",
            "https://urlscan.io/result/0c1a2b3c-1111-4222-8333-944455556666/",
            *("https://tria.ge/260131-abcdef", "https://www.abuseipdb.com/check/45.9.70.9"),
        ],
    )
    def test_a_page_with_an_analysis_is_not_an_indicator(self, page: str) -> None:
        assert values(f"It is evil.com then.\nSandbox: {page}\n- {page}\n") == ["evil.com"]

    def test_other_pages_of_such_a_service_are_indicators(self) -> None:
        assert values("It loads https://urlscan.io.evil.com/result/a then\n") == [
            "https://urlscan.io.evil.com/result/a"
        ]

    def test_other_values_beside_a_further_reading_link_are_indicators(self) -> None:
        text = "evil.com was seen, see https://lab.org/a, with http://evil.org/a\n"
        assert values(text) == ["evil.com", "http://evil.org/a"]

    @pytest.mark.parametrize(
        "heading",
        [
            "References",
            "## Further reading",
            "== Quellen",
            "References:",
            "**Références**",
            "Sources\n-----",
        ],
    )
    def test_links_below_a_references_heading_are_not_indicators(self, heading: str) -> None:
        text = (
            f"It is evil.com.\n\n{heading}\n\n[1] https://lab.org/a\n[2] lab.org/b hxxp://evil[.]net/a\n"
            "\n## Hosts\nevil.org\n"
        )
        assert values(text, "report.md") == ["evil.com", "http://evil.net/a", "evil.org"]

    @pytest.mark.parametrize(
        "line",
        [
            "C2: https://evil.com/a",
            "It loads https://evil.com/a in a thread",
            "Links: https://evil.com/a",
        ],
    )
    def test_urls_after_other_labels_are_indicators(self, line: str) -> None:
        assert values(line + "\n") == ["https://evil.com/a"]


class TestRules:
    YARA = f"""rule Loader : a b
{{
    meta:
        author = "Jane Doe <jane@lab.org>"
        reference = "https://lab.org/a"
        hash1 = "{SHA256}"
    strings:
        $a = "System.Net" wide
        $b = "crypto.io by joe@tools.org"
        $c = {{ 6a 00 }}
    condition:
        uint16(0) == 0x5a4d and any of them
}}
"""

    @pytest.mark.parametrize("name", ["report.md", "report.txt"])
    def test_only_sample_hashes_in_a_yara_rule_are_indicators(self, name: str) -> None:
        text = f"It is evil.com.\n\n```yara\n{self.YARA}```\n\nAnd evil.org.\n"
        assert values(text, name) == ["evil.com", SHA256, "evil.org"]

    @pytest.mark.parametrize("gap", [" ", "\n"])
    def test_a_yara_rule_may_begin_or_end_in_the_line_of_its_name(self, gap: str) -> None:
        rule = f'rule Loader {{ meta: sha = "{SHA256}" strings: $a = "a.io"{gap}condition: $a}}'
        assert values(f"It is evil.com.\n\n{rule}\n\nAnd evil.org.\n") == [
            *("evil.com", SHA256),
            "evil.org",
        ]

    def test_a_yara_rule_that_never_ends_hides_nothing(self) -> None:
        assert values("The first\nrule Loader {\nis evil.com and\n" * 3) == ["evil.com"]

    def test_only_addresses_and_content_of_a_suricata_rule_are_indicators(self) -> None:
        text = (
            'alert dns any any -> 198.51.100.7 any (msg:"By jane@lab.org"; dns.query; http.host; '
            'content:"evil.com"; content:"joe@acme.org"; reference:url,lab.org/a; sid:1;)\n'
        )
        assert values(text) == ["198.51.100.7", "evil.com"]


class TestAnnouncedPublications:
    @pytest.mark.parametrize(
        "text",
        [
            "The blog post on Loader's end is available on OurLab at\nhttps://lab.example.org/a-b\n",
            "The full report is also available at https://lab.example.org/report.pdf.",
            "A white paper was published on our site, with more detail, at\n<https://lab.example.org>",
            "Details: this article can be found here https://lab.example.org/x",
            "A summary is also available as a blog post on OurLab at\nhttps://lab.example.org/s.",
        ],
    )
    def test_a_publication_that_a_sentence_announces_is_not_an_indicator(self, text: str) -> None:
        assert values(f"Loader\n\n{text}\n\nIt calls evil-portal.top at night.") == [
            "evil-portal.top"
        ]

    @pytest.mark.parametrize(
        "text",
        [
            "The next stage was available at\nhttp://evil-portal.top/x.exe",
            "We wrote a report. The next stage was found at http://evil-portal.top/x.exe",
            "The report says that the next stage is available at http://evil-portal.top/x.exe",
            "Details of cards are posted via http://evil-portal.top/x.exe",
            "The web shell was found during analysis at http://evil-portal.top/x.exe",
            "The following URLs were found in the analysis at:\nhttp://evil-portal.top/x.exe",
            "The report is available at hxxp://evil-portal.top/x.exe",
            "The report is available at http://evil-portal[.]top/x.exe",
            "The report is available at\n\nhttp://evil-portal.top/x.exe",
        ],
    )
    def test_any_other_url_is_one(self, text: str) -> None:
        assert values(text) == ["http://evil-portal.top/x.exe"]


@pytest.mark.slow
class TestHostile:
    @pytest.mark.parametrize(
        "unit",
        [
            "rule a {\n",
            "#",
            "Author: ",
            "References\n",
            "alert a b c -> (",
            "see https://",
            "a.com/?",
            "report available at https://a.com ",
            "report available at\nhttps://a.com\n",
            "||",
            " \t|\n",
            "*" * 79 + "\n",
            "alert tcp a b -> c d (content:" + " " * 60_000 + "\n",
            "http://" + "a" * 150_000,
        ],
    )
    def test_much_repeated_boilerplate_is_read(self, unit: str) -> None:
        assert len(values(unit * (300_000 // len(unit)))) <= 1


@pytest.mark.slow
def test_many_hosts_and_mailboxes_are_compared_in_linear_time() -> None:
    text = "".join(
        f"It was at c{n}[.]bad{n}[.]top, and x{n}@mail{n}.top too.\n" for n in range(8_000)
    )
    began = time.process_time()
    assert len(values(text)) == 8_000
    assert time.process_time() - began < 10 * measure_slowness()
