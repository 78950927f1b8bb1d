"""Tables of indicators as partners keep them."""

import re
from typing import Any

import pytest
from support.presence import present

from tocsin.admission import formats
from tocsin.admission.errors import Unprocessable
from tocsin.admission.markings.tlp import TLP_2_IDS
from tocsin.admission.model import Tlp, Verdict

NOW = 1_790_000_000_000_000  # 2026-09-21
MD5, SHA1, SHA256 = "a" * 32, "b" * 40, "c" * 64
CERTIFICATE = f"[x509-certificate:hashes.'SHA-1' = '{SHA1}']"


def read(text: Any, name: Any = "table.csv", tlp: Any = None, columns: Any = None) -> Any:
    content = text if isinstance(text, bytes) else text.encode()
    options = formats.ReadOptions(now=NOW, tlp=tlp, columns=columns or {})
    return list(formats.read(name, content, options))


def subjects(text: Any, **how: Any) -> Any:
    return [each.object for each in read(text, **how) if each.object is not None]


def patterns(text: Any, **how: Any) -> Any:
    return [each["pattern"] for each in subjects(text, **how)]


def messages(candidate: Any) -> Any:
    return " ".join(finding.message for finding in candidate.findings)


def domain(name: Any) -> Any:
    return f"[domain-name:value = '{name}']"


class TestDetection:
    @pytest.mark.parametrize("name", ["a.csv", "A.CSV", "a.tsv"])
    def test_a_csv_file_name_is_accepted(self, name: str) -> None:
        assert present(formats.detect_format(name, b"evil.test\n")).name == "csv"

    def test_headings_make_a_table_whatever_the_file_name(self) -> None:
        assert (
            present(formats.detect_format("export", b"type,value\ndomain,evil.com\n")).name == "csv"
        )

    @pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
    def test_comma_semicolon_tab_and_bar_are_delimiters(self, delimiter: str) -> None:
        text = f"value{delimiter}note\nevil.com{delimiter}a, b\n"
        assert patterns(text) == [domain("evil.com")]

    @pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "cp1252"])
    def test_a_table_is_decoded_in_its_encoding(self, encoding: str) -> None:
        mark = b"\xff\xfe" if encoding == "utf-16-le" else b""
        text = "value,note\nevil.com,Büro\n".encode(encoding)
        (made,) = subjects(mark + text)
        assert (made["pattern"], made["description"]) == (domain("evil.com"), "Büro")

    @pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
    def test_line_feeds_and_carriage_returns_end_lines(self, end: str) -> None:
        assert patterns(end.join(["value,note", "evil.com,x", "evil.org,y"])) == [
            domain("evil.com"),
            domain("evil.org"),
        ]


class TestHeadings:
    def test_a_value_heading_may_have_many_spellings(self) -> None:
        for heading in ["IOC", "Indicator Value", "domain_name", "C2 Domain", "Hostname"]:
            assert patterns(f"{heading},Reporter\nevil.com,someone.org\n") == [domain("evil.com")]

    def test_columns_about_victims_and_reporters_hold_no_indicators(self) -> None:
        text = "domain,registrar,imitated domain,reporter\nevil.com,good.com,acme.org,a@cert.org\n"
        assert patterns(text) == [domain("evil.com")]

    @pytest.mark.parametrize(
        "heading", ["ドメイン", "도메인", "不正ドメイン", "악성 도메인", "恶意域名"]
    )
    def test_headings_in_scripts_without_spaces_are_known(self, heading: str) -> None:
        assert patterns(f"{heading},x\nevil.com,good.com\n") == [domain("evil.com")]

    @pytest.mark.parametrize(
        "heading",
        [
            *("Impersonated domain", "Legit URL", "Organization domain", "Company"),
            *("domena ofiary", "домен жертвы", "被害ドメイン", "受害单位域名", "피해 도메인"),
        ],
    )
    def test_columns_of_victims_are_known_in_many_words(self, heading: str) -> None:
        assert patterns(f"{heading},C2 domain\nacme.org,evil.com\n") == [domain("evil.com")]

    @pytest.mark.parametrize("heading", ["Legitimate", "正規サイト", "Клиент"])
    def test_a_column_of_victims_is_left_out_beside_unknown_headings(self, heading: str) -> None:
        assert patterns(f"{heading},Typosquat\nacme.org,evil.com\n") == [domain("evil.com")]

    def test_titles_and_comments_may_precede_the_headings(self) -> None:
        text = "Indicators of the week\n\n# by hand\nvalue,note\nevil.com,x\n"
        assert patterns(text) == [domain("evil.com")]

    @pytest.mark.parametrize(
        "text",
        [
            'id,url,link,reporter\n"1","http://evil.com/a","https://feed.org/1","joe"\n',
            '"id","url","link","reporter"\n"1", "http://evil.com/a", "https://feed.org/1", "j,k"\n',
        ],
    )
    def test_the_last_line_of_a_comment_may_name_the_columns(self, text: str) -> None:
        comment = "# A feed\n# Updated: today\n# Terms: https://feed.org/terms\n#\n#\n#\n# "
        (made,) = subjects(comment + text)
        assert made["pattern"] == "[url:value = 'http://evil.com/a']"
        assert made["external_references"][0]["url"] == "https://feed.org/1"

    def test_a_sentence_in_a_comment_names_no_columns(self) -> None:
        text = "# domain, comment, reporter and more\nx,evil.com\ny,evil.org\n"
        assert patterns(text) == [domain("evil.com"), domain("evil.org")]

    def test_a_comment_that_names_columns_makes_any_file_a_table(self) -> None:
        text = "# made today\n#category|address|note\nbot|198.51.100.7|dest: evil.org\n"
        assert present(formats.detect_format("feed.txt", text.encode())).name == "csv"

    def test_a_markdown_table_is_read_as_text(self) -> None:
        text = "|IoC|Type|Note|\n|---|---|---|\n|evil[.]com|Domain||\n"
        assert present(formats.detect_format("a.md", f"# IoCs\n\n{text}".encode())).name == "text"

    @pytest.mark.parametrize(
        ("headings", "kind"),
        [
            ("Typ;Wert;Beschreibung;Datum;Gemeldet von;Quelle", "Domäne"),
            ("Type;Valeur;Commentaire;Date de découverte;Rapporteur;Source", "Nom de domaine"),
            ("Tipo;Indicador;Descripción;Fecha;Informante;Fuente", "Dominio"),
        ],
    )
    def test_headings_may_be_in_other_languages(self, headings: str, kind: str) -> None:
        row = f"{kind};evil[.]com;Büro;2.1.2024;joe@cert.org;https://cert.org/1\n"
        (made,) = subjects(f"{headings}\n{row}", name="a.csv")
        assert (made["pattern"], made["description"]) == (domain("evil.com"), "Büro")
        assert made["valid_from"] == "2024-01-02T00:00:00.000Z"
        assert "cert.org" not in str(made)

    @pytest.mark.parametrize("kind", ["cert_sha1", "x509-fingerprint-sha1", "Certificate SHA1"])
    def test_a_certificate_fingerprint_is_not_a_file_hash(self, kind: str) -> None:
        assert patterns(f"type,value\n{kind},{SHA1}\n") == [CERTIFICATE]

    @pytest.mark.parametrize(
        "heading", ["Certificate", "cert_sha1", "TLS certificate fingerprint", "Thumbprint"]
    )
    def test_a_column_may_hold_certificate_fingerprints(self, heading: str) -> None:
        colons = ":".join(re.findall("..", SHA1.upper()))
        table = f"SHA256,Package Name,{heading}\n{SHA256},com.topspy,{SHA1}\n,com.spy,{colons}\n"
        certificate, sample, again = read(table)
        assert certificate.object["pattern"] == again.object["pattern"] == CERTIFICATE
        assert sample.object["pattern"] == f"[file:hashes.'SHA-256' = '{SHA256}']"
        assert messages(again) == "line 3: duplicate of line 2"

    @pytest.mark.parametrize(
        "heading",
        ["Certificate serial", "Certificate subject", "Certificate name", "SSL", "Fingerprint"],
    )
    def test_serials_and_subjects_of_certificates_are_not_indicators(self, heading: str) -> None:
        assert patterns(f"domain,{heading}\nevil.com,{SHA1}\n") == [domain("evil.com")]

    def test_a_certificate_serial_is_not_read_as_an_md5_fingerprint(self) -> None:
        serial = " ".join(re.findall("..", MD5))
        (candidate,) = read(f"type,value\nCode-Signing Certificate,{serial}\n")
        assert candidate.verdict is Verdict.REFUSED
        (made,) = subjects(f"type,value\ncert md5,{serial}\n")
        assert made["pattern"] == f"[x509-certificate:hashes.'MD5' = '{MD5}']"

    def test_a_table_may_hold_nothing_but_certificates(self) -> None:
        assert patterns(f"Certificate,App\n{SHA1},TopSpy\n") == [CERTIFICATE]
        (candidate,) = read(f"type,value\nx509 serial,{SHA1}\n")
        assert candidate.verdict is Verdict.REFUSED

    def test_several_hash_columns_give_an_indicator_each(self) -> None:
        assert patterns(f"md5,sha1,sha256\n{MD5},{SHA1},{SHA256.upper()}\n") == [
            f"[file:hashes.'MD5' = '{MD5}']",
            f"[file:hashes.'SHA-1' = '{SHA1}']",
            f"[file:hashes.'SHA-256' = '{SHA256}']",
        ]

    def test_a_mislabelled_hash_is_read_by_its_length_with_a_finding(self) -> None:
        (candidate,) = read(f"type,value\nsha256,{MD5}\n")
        assert candidate.object["pattern"] == f"[file:hashes.'MD5' = '{MD5}']"
        assert "line 2: declared as sha256, but is a md5" in messages(candidate)

    def test_in_rows_of_paths_only_whole_urls_are_indicators(self) -> None:
        text = "type,value\nurl_path,hxxps://evil[.]com/a.apk\nurl_path,/a.com/b\nurl_path,a.zip\nfilename,b.zip\n"
        assert patterns(text) == ["[url:value = 'https://evil.com/a.apk']"]

    def test_a_single_heading_means_a_single_column(self) -> None:
        assert patterns("url\nhttp://evil.com/a,b;c|d\n") == [
            "[url:value = 'http://evil.com/a,b;c|d']"
        ]

    def test_a_cell_may_hold_several_values(self) -> None:
        text = "value\nevil.com evil.org|evil.net\n"
        assert patterns(text) == [domain("evil.com"), domain("evil.org"), domain("evil.net")]


class TestWidth:
    def test_a_table_of_very_many_headings_is_refused_at_once(self) -> None:
        text = "\n".join(",".join(f"{begin}{n}" for n in range(3_000)) for begin in "cd")
        with pytest.raises(Unprocessable, match="more than 2,000 columns"):
            list(formats.read("a.csv", text.encode(), formats.ReadOptions(now=0)))

    def test_very_many_values_in_a_line_are_read(self) -> None:
        text = ",".join(f"45.9.{n // 250}.{n % 250 + 1}" for n in range(3_000))
        read = list(formats.read("a.csv", text.encode(), formats.ReadOptions(now=0)))
        assert len(read) == 3_000


class TestWithoutHeadings:
    def test_every_cell_that_is_an_indicator_as_a_whole_counts(self) -> None:
        text = "hxxps[://]evil[.]com/a?b=1,foo,198[.]51[.]100[.]7\nbob@bad.com,x,see good.com now\n"
        assert patterns(text) == [
            "[url:value = 'https://evil.com/a?b=1']",
            "[ipv4-addr:value = '198.51.100.7']",
            "[email-addr:value = 'bob@bad.com']",
        ]

    def test_without_headings_a_row_with_only_a_value_of_a_victim_is_refused(self) -> None:
        first, second, third = read(
            "compromised server,acme.org\nC2,evil.com\nvictim,joe@acme.org\n"
        )
        assert first.verdict is third.verdict is Verdict.REFUSED
        assert "line 1: describes people or victims, which are never shared" in messages(first)
        assert "line 3" in messages(third) and "joe" not in messages(third)
        assert (second.object or {})["pattern"] == domain("evil.com")

    @pytest.mark.parametrize(
        "row",
        [
            *("mail.acme.org,victim", "mail.acme.org,Opfer,2026-01-01", "joe@acme.org,recipient"),
            "mail.acme.org,victim,",
        ],
    )
    def test_without_headings_a_value_before_a_word_for_victims_is_none(self, row: str) -> None:
        _, found = read(f"evil.com,C2\n{row}\n")
        assert found.verdict is Verdict.REFUSED and "victims" in messages(found)

    @pytest.mark.parametrize("row", ["evil.net,compromised server", "evil.net,victim,joe@acme.org"])
    def test_without_headings_other_values_before_one_stay(self, row: str) -> None:
        _, found = read(f"evil.com,C2\n{row}\n")
        assert (found.object or {})["pattern"] == domain("evil.net")

    def test_without_headings_a_note_says_which_row_has_a_value_of_a_victim_too(self) -> None:
        _, found = read("C2,evil.net\nvictim,mail.acme.org,evil.com\n")
        assert (found.object or {})["pattern"] == domain("evil.com")
        said = 'line 2: the value beside "victim" is left out: victims and people are never shared'
        assert said in messages(found) and "acme" not in messages(found)

    def test_without_headings_links_beside_a_type_column_are_not_indicators(self) -> None:
        row = "2024-01-02 10:00:00,domain,{},#tag,https://x.com/someone/1\n"
        assert patterns(row.format("evil.com") + row.format("evil.org")) == [
            domain("evil.com"),
            domain("evil.org"),
        ]


class TestDefanged:
    @pytest.mark.parametrize(
        ("written", "pattern"),
        [
            ("evil[.]com", domain("evil.com")),
            ("evil[dot]com", domain("evil.com")),
            ("evil(.)com", domain("evil.com")),
            ("EVIL.com.", domain("evil.com")),
            ("hxxp[:]//evil[.]com/A", "[url:value = 'http://evil.com/A']"),
            ("198.51.100[.]7:8080", "[ipv4-addr:value = '198.51.100.7']"),
            ("198.51.100.9/24", "[ipv4-addr:value = '198.51.100.0/24']"),
            ("2001[:]db8::1", "[ipv6-addr:value = '2001:db8::1']"),
            ("joe[at]bad[.]com", "[email-addr:value = 'joe@bad.com']"),
        ],
    )
    def test_a_defanged_cell_is_refanged(self, written: str, pattern: Any) -> None:
        assert patterns(f"value,note\n{written},x\n") == [pattern]


class TestDetails:
    def test_all_details_of_a_row_are_kept(self) -> None:
        (made,) = subjects(
            "value,confidence,tags,classification,description,first seen,valid until,reference\n"
            'evil.com,85%,"emotet, loader",malware,Seen twice,2024-01-02,2030-01-01,'
            "https://report.example/1\n"
        )
        assert (made["confidence"], made["labels"]) == (85, ["emotet", "loader", "malware"])
        assert made["indicator_types"] == ["malicious-activity"]
        assert made["description"] == "Seen twice"
        assert made["valid_until"] == "2030-01-01T00:00:00.000Z"
        assert made["external_references"][0]["url"] == "https://report.example/1"

    @pytest.mark.parametrize(
        ("written", "read_as"),
        [
            ("2024-01-02", "2024-01-02T00:00:00.000Z"),
            ("2024-01-02 03:04:05", "2024-01-02T03:04:05.000Z"),
            ("2024-01-02T03:04:05+01:00", "2024-01-02T02:04:05.000Z"),
            ("2 Jan 2024", "2024-01-02T00:00:00.000Z"),
            ("January 2, 2024", "2024-01-02T00:00:00.000Z"),
        ],
    )
    def test_the_date_of_a_row_is_that_of_its_indicator(self, written: str, read_as: str) -> None:
        (made,) = subjects(f'value,first_seen\nevil.com,"{written}"\n')
        assert {made["created"], made["modified"], made["valid_from"]} == {read_as}

    @pytest.mark.parametrize("written", ["10/11/18", "2024-02-30", "2999-01-01", "soon", "-"])
    def test_an_ambiguous_date_is_ignored(self, written: str) -> None:
        (made,) = subjects(f"value,date\nevil.com,{written}\n")
        assert made["created"] == "2026-09-21T14:13:20.000Z"

    def test_reading_a_row_twice_gives_the_same_object(self) -> None:
        text = "value,date\nevil.com,2024-01-02\n"
        later = formats.ReadOptions(now=NOW + 1_000_000)
        (again,) = formats.read("b.csv", text.encode(), later)
        assert again.object == subjects(text)[0]


class TestTlpLevels:
    def test_each_row_has_its_own_tlp_level(self) -> None:
        made = subjects("value,tlp\nevil.com,TLP:GREEN\nevil.org,amber+strict\nevil.net,\n")
        marks = [each.get("object_marking_refs") for each in made]
        assert marks == [[TLP_2_IDS[Tlp.GREEN]], [TLP_2_IDS[Tlp.AMBER_STRICT]], None]

    def test_the_default_level_applies_to_rows_without_one(self) -> None:
        made = subjects("value,tlp\nevil.com,green\nevil.org,\n", tlp=Tlp.CLEAR)
        marks = [each["object_marking_refs"] for each in made]
        assert marks == [[TLP_2_IDS[Tlp.GREEN]], [TLP_2_IDS[Tlp.CLEAR]]]

    @pytest.mark.parametrize(
        "text",
        [
            "# TLP:AMBER\nvalue,note\nevil.com,x\n",
            "Shared as TLP AMBER,\nvalue,note\nevil.com,x\n",
            "value,note\nevil.com,x\n# tlp: amber\n",
            "value,tags\nevil.com,tlp:amber\n",
            "value,note,tlp\nevil.com,only for TLP:AMBER,green\n",
            "evil.com,TLP:AMBER\n",
        ],
    )
    def test_the_strictest_of_row_and_file_level_counts(self, text: str) -> None:
        (made,) = subjects(text, tlp=Tlp.CLEAR)
        assert made["object_marking_refs"] == [TLP_2_IDS[Tlp.AMBER]]

    def test_an_unknown_tlp_level_refuses_the_row(self) -> None:
        first, second = read("value,tlp\nevil.com,purple\nevil.org,green\n")
        assert (first.verdict, second.verdict) == (Verdict.REFUSED, Verdict.OPEN)
        assert "line 2: not a TLP level: 'purple'" in messages(first)

    def test_a_tlp_cell_that_may_be_shifted_refuses_the_row(self) -> None:
        (candidate,) = read("value,note,tlp\nevil.com,one, two,red\n")
        assert candidate.verdict is Verdict.REFUSED
        assert "line 2: more cells than headings" in messages(candidate)


class TestBrokenRows:
    def test_a_row_without_an_indicator_is_refused_with_its_line(self) -> None:
        verdicts = read("domain,note\nevil.com,a\nnothing here,b\nevil.org,c\n")
        assert [each.verdict.value for each in verdicts] == ["open", "refused", "open"]
        assert [each.index for each in verdicts] == [0, 1, 2]
        assert messages(verdicts[1]).startswith("line 3: no indicator")

    def test_a_quote_that_is_never_closed_does_not_swallow_the_rest(self) -> None:
        first, second = read('value,note\n"evil.com,x\nevil.org,y\n')
        assert first.object["pattern"] == domain("evil.com")
        assert "line 2: a quote is never closed" in messages(first)
        assert second.object["pattern"] == domain("evil.org")

    def test_a_quote_closed_in_the_next_row_does_not_join_the_rows(self) -> None:
        text = 'value,note\nevil.com,"one\nevil.org,"two\nevil.net,"three\nevil.biz,"four\n'
        made = subjects(text)
        assert [each["pattern"] for each in made] == [
            domain(f"evil.{end}") for end in ("com", "org", "net", "biz")
        ]
        assert not any("evil" in each["description"] for each in made)

    def test_quotes_in_the_middle_of_cells_are_plain_characters(self) -> None:
        text = 'value,note\nevil.com,a "b\nevil.org,c" d\nevil.net,"e\nf"\n'
        made = subjects(text)
        assert [each["pattern"] for each in made] == [
            domain("evil.com"),
            domain("evil.org"),
            domain("evil.net"),
        ]
        assert made[2]["description"] == "e\nf"

    def test_unsupported_types_are_refused_by_name(self) -> None:
        (candidate,) = read("type,value\nregistry key,HKLM\\evil.com\n")
        assert candidate.verdict is Verdict.REFUSED
        assert "line 2: values of this type (registrykey) are not supported" in messages(candidate)

    def test_rows_of_a_misp_csv_export_follow_the_rules_for_events(self) -> None:
        shared, undetected, victim, registrant = read(
            "uuid,type,value,to_ids,date\n1,domain,evil.com,1,20240102\n2,url,http://good.org/,0,\n"
            "3,target-email,joe@acme.org,1,\n4,whois-registrant-email,joe@bad.com,1,\n"
        )
        assert shared.object["created"] == "2024-01-02T00:00:00.000Z"
        assert "to_ids is not set" in messages(undetected)
        assert victim.verdict is registrant.verdict is Verdict.REFUSED
        assert "never shared" in messages(victim) and "joe" not in messages(registrant)

    @pytest.mark.parametrize(
        "headings", ["Name,E-Mail,Phone", "first name,last name,email", "Vorname,Mail,Abteilung"]
    )
    def test_a_list_of_people_is_refused_row_by_row(self, headings: str) -> None:
        (candidate,) = read(f"{headings}\nJane,jane@acme.org,Doe\n")
        assert candidate.verdict is Verdict.REFUSED
        assert "people" in messages(candidate) and "jane" not in messages(candidate)

    def test_mailboxes_are_indicators_if_the_heading_says_whose_they_are(self) -> None:
        assert len(patterns("sender email,note\njoe@bad.com,sends invoices\n")) == 1
        (refused,) = read("email,note\njoe@bad.com,sends invoices\n")
        assert "the column 'email' does not say whose mailboxes it holds" in messages(refused)

    def test_comments_and_blank_rows_are_skipped(self) -> None:
        assert patterns("value,note\n# evil.org\n\n,,\n// evil.net\nevil.com,x\n") == [
            domain("evil.com")
        ]

    def test_a_repeated_value_is_a_duplicate_that_names_both_lines(self) -> None:
        first, second = read("value,note\nevil.com,a\nEVIL[.]com,b\n")
        assert (first.verdict, second.verdict) == (Verdict.OPEN, Verdict.DUPLICATE)
        assert messages(second) == "line 3: duplicate of line 2"


@pytest.mark.slow
class TestHostile:
    @pytest.mark.parametrize("formula", ["=cmd|' /C calc'!A0", "@SUM(1)", "+1+1", "-2+3"])
    def test_spreadsheet_formulas_are_refused(self, formula: str) -> None:
        (candidate,) = read(f"value,note\n{formula},x\n")
        assert candidate.verdict is Verdict.REFUSED

    def test_nuls_are_dropped(self) -> None:
        assert patterns("value,note\nevil\0.com,\0x\n") == [domain("evil.com")]

    def test_a_hundred_thousand_columns_are_read(self) -> None:
        wide = ",".join(["x"] * 100_000)
        assert patterns(f"evil.com,{wide}\n{wide},evil.org\n") == [
            domain("evil.com"),
            domain("evil.org"),
        ]

    @pytest.mark.parametrize("unit", ['"', ",", '"\n', '"a"\n"', "\n,", "\r;", "a", "["])
    def test_much_of_one_character_gives_nothing(self, unit: str) -> None:
        assert subjects(unit * (300_000 // len(unit))) == []

    def test_an_overlong_cell_is_refused(self) -> None:
        (candidate,) = read("value,note\n" + "x" * 200_000 + ".com,y\n")
        assert candidate.verdict is Verdict.REFUSED


class TestExternalIds:
    def test_ids_in_a_row_describe_its_indicator(self) -> None:
        first, second = read("ip,note,cve\n192.0.2.1,by T1059.001,CVE-2021-44228\n192.0.2.2,,\n")
        refs = first.object["external_references"]
        assert {each["external_id"] for each in refs} == {"CVE-2021-44228", "T1059.001"}
        assert "external_references" not in second.object

    def test_a_link_to_a_catalogue_is_not_an_indicator(self) -> None:
        (candidate,) = read("evil.com,https://attack.mitre.org/techniques/T1059\n")
        assert candidate.object["name"] == "evil.com"
        (reference,) = candidate.object["external_references"]
        assert reference["external_id"] == "T1059"

    def test_a_link_in_a_reference_column_is_one_reference(self) -> None:
        (candidate,) = read("ip,reference\n192.0.2.1,https://attack.mitre.org/techniques/T1059\n")
        assert len(candidate.object["external_references"]) == 1

    def test_a_row_with_nothing_but_ids_is_refused_with_them(self) -> None:
        _, refused = read("ip,cve\n192.0.2.1,\n,CVE-2021-44228\n")
        assert refused.verdict is Verdict.REFUSED
        assert "CVE-2021-44228" in refused.findings[0].message

    def test_without_headings_ids_beside_no_indicator_are_named_in_a_finding(self) -> None:
        (candidate,) = read("192.0.2.1,a\nT1566,b\n")
        assert "T1566" in candidate.findings[-1].message


class TestPlaceholders:
    @pytest.mark.parametrize("heading", ["url,note\n", ""])
    def test_an_address_with_a_placeholder_is_refused(self, heading: str) -> None:
        (refused,) = read(f"{heading}http://evil.com/<id>,x\n")
        assert refused.verdict is Verdict.REFUSED
        assert "placeholder" in refused.findings[0].message


class TestHosts:
    @pytest.mark.parametrize("heading", ["ioc,note\n", ""])
    @pytest.mark.parametrize(
        "written", ["evil.com/", "evil.com:8080", "evil.com:8080/", "evil.com:53/udp"]
    )
    def test_a_host_with_a_slash_or_a_port_is_the_host(self, written: str, heading: str) -> None:
        assert patterns(f"{heading}{written},x\n") == [domain("evil.com")]

    @pytest.mark.parametrize("heading", ["ioc,note\n", ""])
    def test_a_url_without_its_scheme_is_https_at_port_443(self, heading: str) -> None:
        (candidate,) = read(f"{heading}evil.com:443/a,x\n")
        assert candidate.object["name"] == "https://evil.com/a"


class TestColumns:
    def test_the_first_candidate_says_how_the_columns_are_read(self) -> None:
        first, second = read("ip,seen by\n192.0.2.1,me\n192.0.2.2,me\n")
        assert '1 "ip" = value, 2 "seen by" = ignored' in first.findings[0].message
        assert second.findings == ()

    def test_a_mapping_names_a_column_that_the_headings_do_not(self) -> None:
        (candidate,) = read("Wat,Foo\n192.0.2.1,x\n", columns={"wat": "value", "Foo": "name"})
        assert candidate.object["pattern"] == "[ipv4-addr:value = '192.0.2.1']"
        assert candidate.object["name"] == "x"

    def test_a_mapping_overrides_the_guess(self) -> None:
        (candidate,) = read(
            "ip,other\n192.0.2.1,evil.com\n", columns={"ip": "ignored", "other": "value"}
        )
        assert candidate.object["name"] == "evil.com"

    def test_a_mapping_may_give_numbers_in_a_table_without_headings(self) -> None:
        (candidate,) = read("192.0.2.1,evil.com\n", columns={"2": "value"})
        assert candidate.object["name"] == "evil.com"

    def test_a_column_mapped_to_a_host_takes_any_top_level_domain(self) -> None:
        (candidate,) = read("Wat,Foo\nc2.evil-internal,x\n", columns={"Wat": "domain"})
        assert candidate.object["name"] == "c2.evil-internal"

    @pytest.mark.parametrize("text", ["ip,x\n192.0.2.1,y\n", "192.0.2.1,y\n"])
    def test_a_mapping_of_a_column_that_the_table_lacks_is_refused(self, text: str) -> None:
        with pytest.raises(Unprocessable, match="no column 'what'"):
            read(text, columns={"what": "value"})

    def test_a_cut_description_has_a_finding(self) -> None:
        (candidate,) = read(f"ip,note\n192.0.2.1,{'x' * 3000}\n")
        assert len(candidate.object["description"]) == 2000
        assert any("2000 characters" in each.message for each in candidate.findings)


class TestLosses:
    def test_a_refused_row_has_the_text_of_its_cell(self) -> None:
        long = "not-a-value-" * 10
        text = f"note,domain\na,evil.tpo\nb,{long}\nc,evil.top\n"
        refused = [each for each in read(text) if each.verdict is Verdict.REFUSED]
        assert [each.excerpt for each in refused] == ["evil.tpo", long[:60]]

    def test_a_list_of_people_is_refused_without_its_text(self) -> None:
        candidates = read("name,first name,email\nDoe,Jo,jo.doe@bank.example.net\n")
        assert {(each.verdict, each.excerpt) for each in candidates} == {(Verdict.REFUSED, "")}

    def test_an_unknown_column_full_of_indicators_is_noted_with_their_number(self) -> None:
        rows = "".join(f"evil{n}.top,198.51.100.{n},x\n" for n in range(250))
        last = read(f"domain,Gegenstellen,color\n{rows}")[-1]
        assert 'column 2 "Gegenstellen" is ignored, but holds 250 indicators' in messages(last)

    @pytest.mark.parametrize("heading", ["LocalIP", "victim host", "Reporter"])
    def test_nobody_is_advised_to_share_a_column_of_victims_or_people(self, heading: str) -> None:
        for each in read(f"domain,{heading}\nevil.top,198.51.100.7\n"):
            assert "but holds" not in messages(each)

    def test_nobody_is_told_of_a_column_that_the_user_ignores(self) -> None:
        text, columns = "domain,Gegenstellen\nevil.top,198.51.100.7\n", {"Gegenstellen": "ignored"}
        options = formats.ReadOptions(now=NOW, tlp=None, columns=columns)
        for each in formats.read("a.csv", text.encode(), options):
            assert "but holds" not in messages(each)

    def test_a_wildcard_that_is_left_out_is_noted(self) -> None:
        assert "`*.` is left out" in messages(read("domain\n*.evil.top\n")[0])
        assert "`*.`" not in messages(read("domain,note\nevil.top,*.good.top\n")[0])

    @pytest.mark.parametrize(
        ("heading", "cell"),
        [
            *(("confidence", cell) for cell in ("hoch", "950")),
            *(("first seen", cell) for cell in ("gestern", "10/11/18", "2199-01-01")),
            ("valid until", "2026-99-99"),
        ],
    )
    def test_a_cell_that_cannot_be_read_is_noted(self, heading: str, cell: str) -> None:
        (candidate,) = read(f"domain,{heading}\nevil.top,{cell}\n")
        assert f"{cell!r} is left out: give a" in messages(candidate)
