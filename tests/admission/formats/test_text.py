"""Indicators in free text: reports, lists, hosts files."""

import time
from typing import Any

import pytest
from support.slowness import measure_slowness

from tocsin.admission import formats
from tocsin.admission.errors import Unprocessable
from tocsin.admission.extraction.indicators import note_wildcard
from tocsin.admission.markings.tlp import TLP_2_IDS
from tocsin.admission.model import Action, Tlp, Verdict
from tocsin.admission.observables.ioc_types import IocType, RecognisedIoc

NOW = 1_790_000_000_000_000
MD5, SHA256 = "e" * 32, "c" * 64


def read(text: Any, name: Any = "report.txt", tlp: Any = None) -> Any:
    content = text if isinstance(text, bytes) else text.encode()
    return list(formats.read(name, content, formats.ReadOptions(now=NOW, tlp=tlp)))


def values(text: Any, **how: Any) -> Any:
    """The values in the patterns."""
    return [each.object["pattern"].split(" = ")[1][1:-2] for each in read(text, **how)]


class TestWideCommas:
    """Chinese and Japanese texts have no blanks between values."""

    @pytest.mark.parametrize("comma", ["，", "、", "；"])
    @pytest.mark.parametrize("name", ["report.txt", "a.csv"])
    def test_they_part_values(self, comma: str, name: str) -> None:
        parted = ["198.51.100.7", "bad.com", "http://bad.net/a", "http://bad.org/b", "e" * 32]
        assert values(f"IOC\n{comma.join(parted)}\n", name=name) == parted

    def test_a_wide_full_stop_ends_a_url(self) -> None:
        assert values("恶意链接：http://bad.com/a、bad.net。\n通报：http://bad.org/b。\n") == [
            *("http://bad.com/a", "bad.net", "http://bad.org/b")
        ]

    def test_they_part_urls_of_a_list(self) -> None:
        urls = ["http://bad.com/a", "http://bad.net/b", "http://bad.org/c"]
        assert values(f"{urls[0]}，{urls[1]}\n{urls[2]}\n") == urls


class TestDefanged:
    @pytest.mark.parametrize(
        ("written", "value"),
        [
            ("evil[.]com", "evil.com"),
            ("evil [.] com", "evil.com"),
            ("evil(.)com", "evil.com"),
            ("evil{.}com", "evil.com"),
            ("evil[dot]com", "evil.com"),
            ("evil [DOT] com", "evil.com"),
            ("evil[.com", "evil.com"),
            ("evil\\.com", "evil.com"),
            ("198[.]51[.]100[.]7", "198.51.100.7"),
            ("198.51.100[.]7:443", "198.51.100.7"),
            ("2001[:]db8[:]5::9", "2001:db8:5::9"),
            ("hxxp://evil[.]com/a", "http://evil.com/a"),
            ("hXXps[:]//evil[.]com", "https://evil.com"),
            ("hxxps[://]evil[.]com/a", "https://evil.com/a"),
            ("h**p://evil.com/a", "http://evil.com/a"),
            ("meow://evil[.]com", "http://evil.com"),
            ("fxp://evil[.]com/a", "ftp://evil.com/a"),
            ("tcp://evil[.]com:443", "evil.com"),
            ("tcp://evil[.]com:443/gate", "evil.com"),
            ("udp://198.51.100.7/", "198.51.100.7"),
            ("evil[.]com/", "evil.com"),
            ("hxxp://www[.]evil.com]/a", "http://www.evil.com/a"),
            ("hxxp://a[.]evil(.)com/(a[.]b)", "http://a.evil.com/(a.b)"),
            ("evil\u3002com.", "evil.com"),
            ("joe[at]bad[.]com", "joe@bad.com"),
            ("joe at bad dot com", "joe@bad.com"),
            *(("joe<at>bad.com", "joe@bad.com"), ("joe[arroba]bad.com", "joe@bad.com")),
            *(("joe(ät)bad(punkt)com", "joe@bad.com"), ("joe (arroba) bad.com", "joe@bad.com")),
            *(("evil[punkt]com", "evil.com"), ("evil(punto)com", "evil.com")),
            *(("hxtp://evil.com/a", "http://evil.com/a"), ("htxps://evil.com", "https://evil.com")),
            *(("hxxp(s)://evil[.]com/a", "https://evil.com/a"), ("[http]://a.com", "http://a.com")),
            *(("http(s)://evil.com/a", "https://evil.com/a"), ("(hxxps)://a.com", "https://a.com")),
        ],
    )
    def test_a_defanged_value_is_refanged(self, written: str, value: str) -> None:
        assert values(f"They used {written} then.\n") == [value]

    @pytest.mark.parametrize(
        "written",
        [
            *("evil.com/", "198.51.100.7/", "evil.com:8080", "evil.com:8080/"),
            *("evil.com:53/udp", "198.51.100.7:53:tcp"),
        ],
    )
    def test_a_host_with_a_slash_or_a_port_is_the_host(self, written: str) -> None:
        host = written.rstrip("/").partition(":")[0]
        assert values(f"They used {written} then.\n") == [host]
        assert values(f"{written}\n") == [host]

    def test_ordinary_brackets_change_nothing(self) -> None:
        assert values("see f(x), a[0] and {y}.") == []


class TestProse:
    def test_only_values_are_found_in_their_order(self) -> None:
        text = (
            "The actor (evil.com, 198.51.100.7) sent mail from joe@bad.com.\n"
            f"It loads hxxp://evil.org/a.php?x=1. SHA256: {SHA256}; see README.md and node.js.\n"
        )
        assert values(text) == [
            "evil.com",
            "198.51.100.7",
            "joe@bad.com",
            "http://evil.org/a.php?x=1",
            SHA256,
        ]

    @pytest.mark.parametrize(
        "text",
        [
            "at 12:30:45 on 00:11:22:33:44:55",
            "version 1.2.3.4.5 and 999.1.1.1",
            "version 1.2.3.4, then v 4.3.2.1",
            '"DATversion": "4.4.0.26"',
            "build=4.4.0.26",
            "run setup.py, then main.rs",
            "run config.sh and run.pl",
            "open Reader.app",
            "It was done.In the end",
            f"imphash: {MD5}",
            f"|Thumbprint (SHA-1)|`{MD5}`",
            f"icon_hash={MD5}",
            f"JA3 {MD5}",
            "class com.android.vending.billing",
        ],
    )
    def test_words_that_look_like_values_are_not_indicators(self, text: str) -> None:
        assert values(text + " as they say\n") == []

    @pytest.mark.parametrize("host", ["cuddly-lamp.vercel.app", "www.bank.pl", "ksiegarnia24.pl"])
    def test_a_long_host_below_a_file_extension_tld_is_an_indicator(self, host: str) -> None:
        assert values(f"They hid behind {host} for weeks\n") == [host]

    @pytest.mark.parametrize(
        ("written", "value"),
        [
            ("例子.中国", "xn--fsqu00a.xn--fiqs8s"),
            ("Пример.рф", "xn--e1afmkfd.xn--p1ai"),
            ("пример.рф:8080", "xn--e1afmkfd.xn--p1ai"),
            ("*.пример.рф", "xn--e1afmkfd.xn--p1ai"),
            ("pay_in.münchen.de", "pay_in.xn--mnchen-3ya.de"),
            ("http://münchen.de:8080/a", "http://xn--mnchen-3ya.de:8080/a"),
        ],
    )
    def test_a_host_name_in_any_script_is_an_indicator(self, written: str, value: str) -> None:
        assert values(f"They used {written} today\n") == [value]
        assert values(f"evil-update.top\n{written}\n", name="iocs.txt")[1:] == [value]

    def test_a_full_stop_without_its_space_makes_no_host_name_in_any_script(self) -> None:
        assert values("Он уехал.Москва велика, г.москва\n") == []

    @pytest.mark.parametrize(
        ("written", "url"),
        [
            ("(http://evil.com/a)", "http://evil.com/a"),
            ("<http://evil.com/a>,", "http://evil.com/a"),
            ("[here](http://evil.com/a)", "http://evil.com/a"),
            ("http://evil.com/a_(b)", "http://evil.com/a_(b)"),
            ('"http://evil.com/a".', "http://evil.com/a"),
            ("`+http://evil.com/a.php+`", "http://evil.com/a.php"),
            ("++https://evil.com/a++", "https://evil.com/a"),
            ("http://evil.com/c++", "http://evil.com/c++"),
            ("hxxp://evil[.]com/a[the panel]", "http://evil.com/a"),
            ("http://evil.com/a?b[]=1", "http://evil.com/a?b[]=1"),
        ],
    )
    def test_a_url_ends_where_its_sentence_or_markup_closes_it(
        self, written: str, url: str
    ) -> None:
        assert values(f"Loads {written} then") == [url]

    @pytest.mark.parametrize(
        ("written", "url"),
        [
            ("evil[.]com/a.php?b=1&c=d", "http://evil.com/a.php?b=1&c=d"),
            ("198.51.100.7:81/a?b", "http://198.51.100.7:81/a?b"),
            ("(evil.com/a?b=c).", "http://evil.com/a?b=c"),
            ("evil[.]com/a.php?", "http://evil.com/a.php"),
            ('src="evil.com/a?b=c"', "http://evil.com/a?b=c"),
            ("evil.com/login=1", "http://evil.com/login=1"),
            ("evil[.]com/a=b/c", "http://evil.com/a=b/c"),
            ("evil.com/a!b&c/d.php", "http://evil.com/a!b&c/d.php"),
            ("evil.com?id=4", "http://evil.com?id=4"),
            ("c2=evil.com/a=b", "http://evil.com/a=b"),
        ],
    )
    def test_a_url_without_its_scheme_keeps_its_query(self, written: str, url: str) -> None:
        assert values(f"Loads {written} then") == [url]

    @pytest.mark.parametrize(
        ("written", "url"),
        [
            ("evil.com:443/gate", "https://evil.com/gate"),
            ("198.51.100.7:443/a?b=c", "https://198.51.100.7/a?b=c"),
            ("evil.com:80/gate", "http://evil.com/gate"),
            ("evil.com:8443/gate", "http://evil.com:8443/gate"),
        ],
    )
    def test_a_url_without_its_scheme_is_https_at_port_443(self, written: str, url: str) -> None:
        assert values(f"Loads {written} then") == [url]

    def test_the_host_alone_is_found_before_a_word_with_an_equals_sign(self) -> None:
        assert values("host=evil.com, mode=a/b") == ["evil.com"]

    def test_a_file_name_beside_a_defanged_value_is_not_a_host(self) -> None:
        assert values("see magnet[:]?xt=urn[:]btih&dn=setup-1.7.zip there\n") == []

    def test_words_around_the_values_are_never_shared(self) -> None:
        (candidate,) = read("Jane Doe of ACME reports evil[.]com to us\n")
        assert "Jane" not in str(candidate.object)

    def test_a_repeated_value_is_one_candidate(self) -> None:
        assert values("evil[.]com and EVIL.COM and evil[.]com\n") == ["evil.com"]

    def test_a_text_without_values_has_no_candidates(self) -> None:
        assert read("Nothing to see here.\n") == []


class TestHostsWithAddresses:
    @pytest.mark.parametrize(
        ("host", "address"),
        [("mail.evil.com", "198.51.100.7"), ("evil.com", "2a00:1450:4001:80b::200e")],
    )
    @pytest.mark.parametrize("after", ["", ":25", "."])
    def test_both_are_indicators(self, host: str, address: str, after: str) -> None:
        text = f"Log:\nx postfix/smtpd[12]: connect from {host}[{address}]{after}\n"
        assert values(text) == [host, address]

    @pytest.mark.parametrize(
        "words", ["connect to {}:25: Connection refused", "(host {} said: 550"]
    )
    def test_those_to_which_postfix_delivers_are_none(self, words: str) -> None:
        line = "Nov 2 m postfix/smtp[1]: 4F1: " + words.format("mx.lab.org[198.51.100.7]")
        assert values(f"Log:\n{line}\nfrom mx.evil.com[198.51.100.9]\n") == [
            *("mx.evil.com", "198.51.100.9")
        ]


class TestFieldsOfEvents:
    def test_sources_contents_and_senders_after_a_field_are_indicators(self) -> None:
        text = "source.ip:198.51.100.7 AND url.domain:evil.com OR email.from.address:joe@bad.com\n"
        assert values(f"Query\n{text}") == ["198.51.100.7", "evil.com", "joe@bad.com"]

    @pytest.mark.parametrize("field", ["host.name:mx.lab.org", "user.email:jane@lab.org"])
    def test_those_of_machines_and_people_are_none(self, field: str) -> None:
        assert values(f"Query\nurl.domain:evil.com AND {field}\n") == ["evil.com"]


class TestPlaceholders:
    @pytest.mark.parametrize(
        "written",
        [
            "http://[victim].evil.com/",
            "hxxp://<victim>.evil[.]com/a",
            "http://evil.com/<user_id>/a",
            "http://evil.com/{guid}",
            "http://evil.com/{0}/{1}",
            "http://evil.com/?id=[victim]",
            "evil.com/<id>",
            "{random}.evil.com",
        ],
    )
    @pytest.mark.parametrize("name", ["report.txt", "report.md"])
    def test_an_address_with_a_placeholder_is_refused(self, written: str, name: str) -> None:
        (refused,) = read(f"It asks {written} for tasks.\n", name=name)
        assert refused.verdict is Verdict.REFUSED
        assert "line 1" in refused.findings[0].message
        assert "placeholder" in refused.findings[0].message

    def test_an_address_with_a_placeholder_in_a_list_is_refused_alone(self) -> None:
        lines = "http://evil.com/a\nhttp://evil.com/<id>\nevil.org\n"
        assert [each.verdict for each in read(lines)] == [
            Verdict.OPEN,
            Verdict.REFUSED,
            Verdict.OPEN,
        ]

    @pytest.mark.parametrize(
        "url",
        [
            "http://evil.com/{8A69D345-D564-463C-AFF1-A69D9E530F96}/a",
            "http://evil.com/a?b[]=1&c[name]=2",
            "http://evil.com/[PDF]2025.zip",
            "http://[2001:db8::1]/a",
        ],
    )
    def test_brackets_of_the_address_itself_are_not_placeholders(self, url: str) -> None:
        assert values(url + "\n") == [url]

    def test_tags_of_html_are_not_placeholders(self) -> None:
        assert values("asks http://evil.com/a<br>then <b>evil.org</b>\n") == [
            "http://evil.com/a",
            "evil.org",
        ]


class TestExternalIds:
    CVE, OTHER = "CVE-2021-44228", "CVE-2020-0601"

    @staticmethod
    def ids(text: str, name: str = "report.txt") -> dict[str, list[str]]:
        """The ids of each value."""
        found = {}
        for each in read(text, name=name):
            if each.object is not None:
                refs = each.object.get("external_references", [])
                found[each.object["name"]] = [ref["external_id"] for ref in refs]
        return found

    def test_ids_in_a_paragraph_describe_each_of_its_values(self) -> None:
        text = f"They used {self.CVE} at\nevil.com and T1059.001 on evil.org.\n\nThen evil.net.\n"
        both = [self.CVE, "T1059.001"]
        assert self.ids(text) == {"evil.com": both, "evil.org": both, "evil.net": []}

    def test_references_name_the_catalogue(self) -> None:
        (candidate,) = read(f"evil.com uses {self.CVE} and T1059.001\n")
        assert candidate.object["external_references"] == [
            {"source_name": "cve", "external_id": self.CVE},
            {
                "source_name": "mitre-attack",
                "external_id": "T1059.001",
                "url": "https://attack.mitre.org/techniques/T1059/001",
            },
        ]

    @pytest.mark.parametrize(
        ("link", "id"),
        [
            ("https://attack.mitre.org/techniques/T1059", "T1059"),
            ("hxxps://attack[.]mitre[.]org/techniques/T1059/001/", "T1059.001"),
            ("[APT29](https://attack.mitre.org/groups/G0016)", "G0016"),
            ("https://nvd.nist.gov/vuln/detail/CVE-2021-44228", "CVE-2021-44228"),
            ("https://www.cve.org/CVERecord?id=CVE-2021-44228", "CVE-2021-44228"),
        ],
    )
    @pytest.mark.parametrize("name", ["report.txt", "report.md"])
    def test_a_link_to_a_catalogue_is_a_reference(self, link: str, id: str, name: str) -> None:
        assert self.ids(f"evil.com does that. See {link} for more.\n", name) == {"evil.com": [id]}

    def test_items_and_rows_keep_their_ids(self) -> None:
        items = f"* evil.com ({self.CVE})\n* evil.org ({self.OTHER})\n"
        rows = f"| evil.com | {self.CVE} |\n| evil.org | {self.OTHER} |\n"
        wanted = {"evil.com": [self.CVE], "evil.org": [self.OTHER]}
        assert self.ids(items) == self.ids(rows, "report.md") == wanted

    def test_a_line_below_a_table_does_not_belong_to_its_last_row(self) -> None:
        text = "| T1056 | Input |\n| T1074 | Data Staged |\nevil.com\nevil.org then\n"
        assert self.ids(text, "report.md") == {"evil.com": [], "evil.org": []}

    def test_ids_of_a_heading_describe_its_section(self) -> None:
        text = f"## Exploiting {self.CVE}\n\nFrom evil.com.\n\n## Later\n\nThen evil.org.\n"
        assert self.ids(text, "report.md") == {"evil.com": [self.CVE], "evil.org": []}

    def test_a_comment_of_a_list_is_a_heading(self) -> None:
        text = f"# {self.CVE}\nevil.com\nevil.org # {self.OTHER}\n# others\nevil.net\n"
        assert self.ids(text) == {
            "evil.com": [self.CVE],
            "evil.org": [self.OTHER, self.CVE],
            "evil.net": [],
        }

    def test_a_value_has_the_ids_beside_each_of_its_occurrences(self) -> None:
        text = f"First evil.com.\n\nThen evil.com used {self.CVE}.\n"
        assert self.ids(text) == {"evil.com": [self.CVE]}

    def test_ids_beside_no_value_are_named_in_a_finding(self) -> None:
        first, last = read(f"They use T1566.\n\n{self.CVE}\n\nevil.com\n\nand evil.org\n")
        assert first.findings == ()
        (finding,) = last.findings
        assert finding.action is Action.NOTED
        assert "T1566" in finding.message and self.CVE in finding.message

    def test_a_text_with_nothing_but_ids_says_why_nothing_is_shared(self) -> None:
        (refused,) = read(f"They use {self.CVE}.\n")
        assert refused.verdict is Verdict.REFUSED and self.CVE in refused.findings[0].message

    def test_an_indicator_has_20_ids_and_a_finding_names_the_others(self) -> None:
        text = "evil.com " + " ".join(f"CVE-2021-{number}" for number in range(1000, 1030))
        (candidate,) = read(text)
        assert len(candidate.object["external_references"]) == 20
        assert "CVE-2021-1020" in candidate.findings[0].message

    @pytest.mark.slow
    def test_many_ids_and_values_in_one_paragraph_take_little_time(self) -> None:
        text = "".join(f"a CVE-2021-{n:05d} b evil{n}.com\n" for n in range(4000))
        assert len(read(text)) == 4000

    def test_an_id_alone_on_its_line_describes_no_neighbour(self) -> None:
        assert self.ids(f"Seen today\nevil.com\n{self.CVE}\nevil.org\n") == {
            "evil.com": [],
            "evil.org": [],
        }

    @pytest.mark.parametrize(
        "url", ["http://evil.com/CVE-2021-44228.jar", "http://evil.com/2021/CVE-2021-44228"]
    )
    def test_an_id_within_an_address_stays_there(self, url: str) -> None:
        assert self.ids(f"loads {url} then\n") == {url: []}

    @pytest.mark.parametrize("word", ["T1000", "S1234", "MST1059", "T1059x", "attack.mitre.org.ru"])
    def test_other_words_are_not_ids(self, word: str) -> None:
        assert self.ids(f"evil.com and {word} there\n")["evil.com"] == []


class TestPassthrough:
    @pytest.mark.parametrize(
        "written",
        [
            "+evil.com+",
            "`+evil.com+`",
            "++evil.com++",
            "+++evil.com+++",
            "evil+++.+++com",
            "evil+++[.]+++com",
            "pass:[evil.com]",
            "pass:c[evil[.]com]",
        ],
    )
    def test_text_that_asciidoc_passes_through_is_read(self, written: str) -> None:
        assert values(f"They used {written} then.\n", name="report.adoc") == ["evil.com"]

    def test_in_other_texts_a_plus_is_a_plus(self) -> None:
        assert values("in C++ and joe+a@evil.com, joe+b@evil.com\n") == [
            "joe+a@evil.com",
            "joe+b@evil.com",
        ]


class TestMarkup:
    @pytest.mark.parametrize(
        "written",
        ["[our blog](https://example.com/a)", "https://example.com/a[our blog]"],
    )
    @pytest.mark.parametrize("name", ["report.md", "README.adoc"])
    def test_the_target_of_a_link_is_a_reference(self, written: str, name: str) -> None:
        assert values(f"They told of it in {written} first.\n", name=name) == []

    @pytest.mark.parametrize(
        "written",
        [
            "[the panel](hxxp://evil[.]com/a)",
            "[http://evil.com/a](http://evil.com/a)",
            "<http://evil.com/a>",
            "http://evil.com/a[]",
            "(http://evil.com/a)",
        ],
    )
    def test_a_defanged_or_visible_link_target_is_an_indicator(self, written: str) -> None:
        assert values(f"Loads {written} then\n", name="report.md") == ["http://evil.com/a"]

    def test_in_a_plain_text_every_url_counts(self) -> None:
        assert values("Loads [here](http://evil.com/a) then\n") == ["http://evil.com/a"]


class TestLists:
    @pytest.mark.parametrize(
        "url", ["http://evil.com/a~~", "http://evil.com/a-", "ftp://evil.com/"]
    )
    def test_a_url_keeps_its_last_character(self, url: str) -> None:
        assert values(f"{url}\nhttp://evil.org/\n") == [url, "http://evil.org/"]

    def test_comments_in_a_list_are_skipped(self) -> None:
        text = "# evil.net\n! evil.info\n; evil.biz\nevil.com\nevil.org # since May\n"
        assert values(text) == ["evil.com", "evil.org"]

    def test_markdown_headings_are_not_comments(self) -> None:
        text = "# Samples at 198.51.100.7\n\nevil.com\nevil.org\n"
        assert values(text, name="report.md") == ["198.51.100.7", "evil.com", "evil.org"]

    def test_lines_of_unusual_spaces_are_skipped(self) -> None:
        assert values("evil.com\n\x0b\n\ufeff\nevil.org\n") == ["evil.com", "evil.org"]

    def test_a_word_alone_on_a_line_of_a_list_is_a_value(self) -> None:
        assert values("evil.com\nevil.org\nsetup.zip\n") == ["evil.com", "evil.org", "setup.zip"]

    def test_the_sink_address_of_a_hosts_file_is_not_an_indicator(self) -> None:
        text = "127.0.0.1\tevil.com\n0.0.0.0 evil.org # c\n::1 evil.net\n"
        assert values(text) == ["evil.com", "evil.org", "evil.net"]

    def test_a_line_of_a_hosts_file_may_name_several_hosts(self) -> None:
        text = "# by joe@lab.org\n127.0.0.1 localhost\n0.0.0.0 evil.com www.evil.com # see a.org\n"
        assert values(text) == ["evil.com", "www.evil.com"]

    def test_a_browser_list_is_read_without_exceptions_and_element_rules(self) -> None:
        text = (
            "[Adblock Plus 2.0]\n! Homepage: https://lab.org/a\n||evil.com^\n||evil.org^$document\n"
            "||evil.net/a/b.html$doc\n@@||good.com^\n||shop.com^$popup,domain=a.com|b.com\n"
            "good.org##.banner\n/^evil[0-9].com/\n"
        )
        assert values(text) == ["evil.com", "evil.org", "http://evil.net/a/b.html"]

    @pytest.mark.parametrize(
        "line",
        [
            "address=/evil.com/0.0.0.0",
            "server=/evil.com/",
            'local-zone: "evil.com" always_nxdomain',
            "evil.com CNAME . ; see https://lab.org/evil.com",
            "*.evil.com 300 IN CNAME rpz-drop.",
        ],
    )
    def test_a_resolver_list_is_read(self, line: str) -> None:
        assert values(f"# by joe@lab.org\n{line}\n") == ["evil.com"]

    @pytest.mark.parametrize(
        "line",
        [
            "good.com CNAME rpz-passthru.",
            "*.good.com 300 IN CNAME rpz-passthru. ; ours",
            "server=/corp.good.com/10.0.0.53",
            'local-zone: "good.com" transparent',
            'local-zone: "good.com." always_transparent',
            "jane@good.com  OK",
        ],
    )
    def test_exceptions_of_a_resolver_or_mail_list_are_not_indicators(self, line: str) -> None:
        assert values(f"evil.com CNAME .\n{line}\n") == ["evil.com"]
        assert values(f"{line}\n{line}\nevil.com CNAME .\n") == ["evil.com"]

    def test_a_line_for_a_resolver_may_name_several_hosts(self) -> None:
        text = "address=/evil.com/evil.org/0.0.0.0\nserver=/evil.net/#\n"
        assert values(text) == ["evil.com", "evil.org", "evil.net"]

    @pytest.mark.parametrize("own", ["10.5.0.20", "192.168.2.3", "172.20.1.1", "fd12:34::5"])
    def test_a_name_beside_a_private_address_is_not_an_indicator(self, own: str) -> None:
        text = f"{own} sap.corp.com sap\n0.0.0.0 evil.com\n0.0.0.0 evil.org\n"
        assert values(text) == [own, "evil.com", "evil.org"]

    def test_records_of_the_zone_itself_are_not_indicators(self) -> None:
        text = (
            "$TTL 30\n@ SOA rpz.lab.org. joe.lab.org. 1 2 3 4 5\n NS localhost.\n; by joe@lab.org\n"
            "evil.com CNAME . ; seen\nevil.org CNAME .\n"
        )
        assert values(text) == ["evil.com", "evil.org"]

    HEAD = "$TTL 60\n$ORIGIN rpz.lab.org.\n@ IN SOA ns.lab.org. joe.lab.org. 1 2 3 4 5\n"
    HEAD += "  IN NS ns.lab.org.\n"

    def test_the_actions_of_a_policy_zone_are_not_indicators(self) -> None:
        text = f"{self.HEAD}evil.com CNAME .\nevil.org IN CNAME garden.lab.org.\n"
        text += "evil.net A 81.2.3.4\nevil.biz TXT lab.org\n"
        assert values(text) == ["evil.com", "evil.org", "evil.net", "evil.biz"]

    def test_the_exceptions_and_clients_of_a_policy_zone_are_not_indicators(self) -> None:
        text = f"{self.HEAD}good.com CNAME rpz-passthru.\n24.0.3.2.81.rpz-client-ip CNAME .\n"
        assert values(f"{text}evil.com CNAME .\n") == ["evil.com"]

    def test_the_triggers_of_a_policy_zone_may_be_addresses_and_name_servers(self) -> None:
        text = f"{self.HEAD}32.9.70.9.45.rpz-ip CNAME .\n24.0.70.9.45.rpz-ip CNAME .\n"
        text += "ns1.evil.com.rpz-nsdname CNAME .\n"
        assert values(text) == ["45.9.70.9", "45.9.70.0/24", "ns1.evil.com"]

    def test_a_transferred_policy_zone_is_read_without_its_own_name(self) -> None:
        text = (
            "rpz.lab.org. 60 IN SOA ns.lab.org. joe.lab.org. 1 2 3 4 5\n"
            "rpz.lab.org. 60 IN NS ns.lab.org.\n"
            "evil.com.rpz.lab.org. 60 IN CNAME .\n*.evil.org.rpz.lab.org. 60 IN CNAME .\n"
        )
        assert values(text) == ["evil.com", "evil.org"]

    def test_bullets_are_dropped(self) -> None:
        assert values("- evil[.]com\n* evil[.]org\n1. evil[.]net\n") == [
            "evil.com",
            "evil.org",
            "evil.net",
        ]

    @pytest.mark.parametrize("line", ["198.51.100.7 - 5", "198.51.100.7 - -", "198.51.100.7 * 5"])
    def test_a_dash_after_a_value_is_not_a_bullet(self, line: str) -> None:
        assert values(f"{line}\n{line}\n") == ["198.51.100.7"]


class TestNames:
    """Names of lists of values that are allowed."""

    @pytest.mark.parametrize("name", ["whitelist.txt", "exclusions.lst", "false positives.txt"])
    def test_a_list_named_so_is_refused(self, name: str) -> None:
        with pytest.raises(Unprocessable, match="that of a list of allowed values"):
            read("evil.com\nevil.org\n", name=name)

    @pytest.mark.parametrize("name", ["white-snake-iocs.txt", "trustwave.txt", "blocklist.txt"])
    def test_another_list_is_read(self, name: str) -> None:
        assert values("evil.com\nevil.org\n", name=name) == ["evil.com", "evil.org"]

    def test_a_report_named_so_is_read(self) -> None:
        text = "The whitelist of the dropper has a gap: it contacts http://evil.com/a.\n"
        assert values(text, name="whitelist.txt") == ["http://evil.com/a"]


class TestEncoding:
    @pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "cp1252"])
    def test_a_text_is_decoded_in_its_encoding(self, encoding: str) -> None:
        assert values("Über evil[.]com und bücher.de\n".encode(encoding)) == [
            "evil.com",
            "xn--bcher-kva.de",
        ]


class TestTlpLevelAndDate:
    @pytest.mark.parametrize(
        ("text", "level"),
        [
            ("TLP:AMBER\nevil[.]com", Tlp.AMBER),
            ("evil[.]com\nTLP: Amber+Strict", Tlp.AMBER_STRICT),
            ("TLP AMBER\nevil[.]com", Tlp.AMBER),
            ("TLP:CLEAR, in part TLP:RED\nevil[.]com", Tlp.RED),
            ("# TLP:WHITE\nevil.com\n", Tlp.CLEAR),
        ],
    )
    def test_the_strictest_tlp_level_of_the_text_applies_to_all(
        self, text: str, level: Any
    ) -> None:
        (candidate,) = read(text, tlp=Tlp.GREEN)
        assert candidate.object["object_marking_refs"] == [TLP_2_IDS[level]]
        assert f"TLP:{level.label.upper()}" in candidate.findings[0].message

    def test_the_default_level_applies_to_texts_without_one(self) -> None:
        (candidate,) = read("evil[.]com", tlp=Tlp.GREEN)
        assert candidate.object["object_marking_refs"] == [TLP_2_IDS[Tlp.GREEN]]

    def test_the_id_is_derived_from_the_value_and_the_date_is_now(self) -> None:
        (one,), (other,) = read("evil[.]com"), read("so: EVIL.com\n", name="b.md")
        assert one.source_id == other.source_id
        assert one.object["created"] == "2026-09-21T14:13:20.000Z"


class TestNotAccepted:
    @pytest.mark.parametrize(
        ("name", "content"),
        [
            ("a.xml", b'<?xml version="1.0"?><a>evil.com</a>'),
            ("a.txt", b"<stix:STIX_Package>evil.com</stix:STIX_Package>"),
            ("a.txt", b"MZ\x90\0\3 evil.com"),
            ("a.csv", b"PK\x03\x04evil.com"),
            ("a.gz", b"\x1f\x8b\x08\0"),
            ("noise", bytes(range(256)) * 8),
            ("nothing.txt", b""),
            ("rule.yar", b"evil.com"),
            ("other.json", b'{"a": 1}'),
        ],
    )
    def test_files_of_other_programs_are_not_accepted(self, name: str, content: Any) -> None:
        assert formats.detect_format(name, content) is None


class TestHostile:
    @pytest.mark.parametrize(
        "unit",
        ["a", ".", "@", "[", "a.", "1.", ":", "http://", "evil.com/", "a at b dot ", "[.]"]
        + ["http://" + ")" * 4000 + " ", "++http://", "x" + " " * 60_000 + "y\n"],
    )
    @pytest.mark.slow
    def test_much_repeated_text_is_read(self, unit: Any) -> None:
        assert len(read(unit * (300_000 // len(unit)))) <= 1

    @pytest.mark.slow
    def test_a_value_after_a_very_long_word_is_found(self) -> None:
        assert values("x" * 5_000_000 + " evil[.]com\n") == ["evil.com"]

    def test_nuls_are_dropped(self) -> None:
        assert values("ev\0il[.]com is\0 bad\n") == ["evil.com"]


MISTYPED = ["1.2.3.456", "a" * 62, "evil-typo.tpo", "http//broken.top/x"]


class TestLinesWithoutAnIndicator:
    def notes(self, text: str, name: str = "iocs.txt") -> list[str]:
        return [finding.message for each in read(text, name) for finding in each.findings]

    @pytest.mark.parametrize("others", [["45.134.26.0/24"], [f"evil{n}.top" for n in range(20)]])
    def test_mistyped_lines_of_a_list_are_noted_by_number(self, others: list[str]) -> None:
        text = "\n".join(["good-bad.top", *MISTYPED, *others])
        assert self.notes(text) == ["4 lines hold no indicator: lines 2, 3, 4, 5"]

    def test_a_list_of_nothing_but_mistyped_lines_is_refused_with_their_numbers(self) -> None:
        (candidate,) = read("\n".join(["# Domains", *MISTYPED]), "iocs.txt")
        assert candidate.verdict is Verdict.REFUSED
        (finding,) = candidate.findings
        assert finding.message == (
            "no indicator found; 4 lines hold no indicator: lines 2, 3, 4, 5"
        )

    def test_of_many_lines_the_first_ten_are_named(self) -> None:
        text = "\n".join(["evil.top"] * 20 + ["evil.tpo"] * 12)
        (note,) = self.notes(text)
        assert (
            note
            == "12 lines hold no indicator: lines "
            + "".join(f"{number}, " for number in range(21, 31))
            + "…"
        )

    @pytest.mark.parametrize(
        "line", ["", "# evil.tpo", "Domains:", "@@||good.top^", "CVE-2024-3400", "All is well."]
    )
    def test_lines_that_need_no_indicator_are_not_noted(self, line: str) -> None:
        notes = self.notes(f"evil.top\nbad.top\n{line}\nworse.top")
        assert not any("no indicator:" in each for each in notes)

    def test_words_of_running_text_are_not_noted(self) -> None:
        assert self.notes("The actor uses evil.top for all of it.\nBeware.\nIt is bad.") == []

    def test_a_wildcard_that_is_left_out_is_noted(self) -> None:
        (note,) = self.notes("*[.]evil[.]top")
        assert note.startswith("`*.` is left out") and values("*.evil.top") == ["evil.top"]


@pytest.mark.parametrize("name", ["report.txt", "list.csv"])
def test_a_wildcard_among_many_values_is_said_of_its_own_domain_alone(name: str) -> None:
    line = "*.first.top " + " ".join(f"host{number}.evil.top" for number in range(100))
    noted = [
        candidate.object["pattern"]
        for candidate in read(f"value\n{line}\n" if name == "list.csv" else line, name=name)
        if any(each.message.startswith("`*.` is left out") for each in candidate.findings)
    ]
    assert noted == ["[domain-name:value = 'first.top']"]


def test_a_line_is_searched_for_wildcards_once_for_all_its_values() -> None:
    line = "*.first.top " + " ".join(f"host{number}.evil.top" for number in range(3_000))
    value = RecognisedIoc(IocType.DOMAIN, "last.top")
    began = time.process_time()
    assert not any(list(note_wildcard(value, line)) for _ in range(20_000))
    assert time.process_time() - began < 2 * measure_slowness()


class TestFilesOfOnesOwn:
    """Lists and configurations that name their writer's machines."""

    HOSTS = [f"{each}.lab.org" for each in ("www", "vpn", "mail", "wiki", "db3", "x1", "x2", "x3")]

    def test_a_zone_is_refused_and_a_policy_zone_is_read(self) -> None:
        head = "$ORIGIN lab.org.\n@ IN SOA ns1.lab.org. admin.lab.org. (1 2 3 4 5)\n"
        with pytest.raises(Unprocessable, match="a zone of a DNS server"):
            values(head + "www IN A 81.2.3.4\nmail.lab.org. IN A 81.2.3.5\n", name="db.lab.org")
        assert values(f"{head}evil.top CNAME .\nbad.top CNAME .\n", name="db.rpz") == [
            "evil.top",
            "bad.top",
        ]

    @pytest.mark.parametrize("name", ["allowlist.txt", "victims.txt", "infected_hosts_mai.txt"])
    def test_a_list_whose_name_allows_or_is_that_of_victims_is_refused(self, name: str) -> None:
        with pytest.raises(Unprocessable, match="the name of the file is that of a list of"):
            values("81.2.3.4\n81.2.3.5\n", name=name)
        sentence = "The attacker's server 81.2.3.4 was seen. It answered from the same network."
        assert values(sentence, name=name) == ["81.2.3.4"]

    @pytest.mark.parametrize(
        "title",
        ["# Permit list of ACL 114 - do not block", "; Allowed", "# Whitelist", "# Our safelist"],
    )
    def test_a_list_with_a_title_that_allows_is_refused(self, title: str) -> None:
        with pytest.raises(Unprocessable, match="its first line says"):
            values(f"{title}\n81.2.3.4\n81.2.3.5\n", name="acl.txt")

    @pytest.mark.parametrize(
        "title", ["# Permitted use: research", "# Allowed by the authors: any use", "# Blocked"]
    )
    def test_a_list_with_another_title_is_read(self, title: str) -> None:
        assert values(f"{title}\n81.2.3.4\n81.2.3.5\n", name="acl.txt") == ["81.2.3.4", "81.2.3.5"]

    def test_a_part_of_a_list_that_is_allowed_is_left_out(self) -> None:
        text = "# Blocked\nevil.top\nbad.top\nworse.top\n\n# Do not block\nlab.org\n"
        assert values(text, name="hosts.txt") == ["evil.top", "bad.top", "worse.top"]

    def test_names_with_an_address_in_a_hosts_file_are_left_out(self) -> None:
        text = "127.0.0.1 localhost\n81.2.3.4 gw.lab.org gw\n0.0.0.0 evil.top\n0.0.0.0 bad.top\n"
        assert values(text, name="hosts") == ["evil.top", "bad.top"]
        found = read(text, name="hosts")
        assert "of your network are left out, line 2" in str(found[-1].findings)
        assert values("45.9.70.7 evil.top\n45.9.70.8 bad.top\n", name="c2.txt") == [
            "45.9.70.7",
            "evil.top",
            "45.9.70.8",
            "bad.top",
        ]

    def test_hosts_of_one_organisation_are_held(self) -> None:
        found = read("\n".join(self.HOSTS), name="hosts.txt")
        assert {each.verdict for each in found} == {Verdict.HELD}
        assert "of one domain" in found[0].findings[-1].message

    @pytest.mark.parametrize(
        ("hosts", "name"),
        [
            (HOSTS, "hosts_iocs.txt"),
            (HOSTS[:7], "hosts.txt"),
            ([f"x{each}.lab.org" for each in HOSTS], "hosts.txt"),
            ([*HOSTS[:6], "evil.top", "bad.top"], "hosts.txt"),
        ],
    )
    def test_other_hosts_are_not_held(self, hosts: list[str], name: str) -> None:
        assert not any(each.verdict is Verdict.HELD for each in read("\n".join(hosts), name=name))
