"""Tables that programs export: camel-case headings, STIX patterns, logs of local machines."""

import re
from typing import Any

import pytest

from tocsin.admission import formats
from tocsin.admission.markings.tlp import TLP_2_IDS
from tocsin.admission.model import Tlp, Verdict

NOW = 1_790_000_000_000_000
SHA256 = "c" * 64


def read_candidates(text: Any) -> Any:
    return list(formats.read("export.csv", text.encode(), formats.ReadOptions(now=NOW)))


def values(text: Any) -> Any:
    """The values in the patterns, without refusals."""
    made = (each.object for each in read_candidates(text) if each.object is not None)
    return [each["pattern"].split(" = ")[1][1:-2] for each in made]


class TestHeadings:
    @pytest.mark.parametrize(
        "heading",
        ["RemoteIP", "IPAddress", "SenderIPv4", "DestinationIp", "IndicatorValue", "dest_ip"],
    )
    def test_camel_case_headings_are_split_into_words(self, heading: str) -> None:
        assert values(f"When,{heading},Other\nnow,198.51.100.7,198.51.100.8\n") == ["198.51.100.7"]

    def test_types_may_be_in_camel_case(self) -> None:
        text = (
            "IndicatorType,IndicatorValue,Title\n"
            f"FileSha256,{SHA256},a\nCertificateThumbprint,{'a' * 40},b\n"
        )
        sample, certificate = (each.object["pattern"] for each in read_candidates(text))
        assert sample == f"[file:hashes.'SHA-256' = '{SHA256}']"
        assert certificate == f"[x509-certificate:hashes.'SHA-1' = '{'a' * 40}']"

    @pytest.mark.parametrize(
        "heading",
        [
            "LocalIP",
            "ClientIP",
            "DeviceIP",
            "RecipientEmailAddress",
            "AssignedToEmail",
            "InternalIp",
        ],
    )
    def test_a_table_with_local_machines_or_recipients_is_refused(self, heading: str) -> None:
        value = "jane@acme.org" if "mail" in heading.lower() else "198.51.100.8"
        (refused,) = read_candidates(f"{heading},RemoteUrl\n{value},evil.com\n")
        assert refused.verdict is Verdict.REFUSED and refused.excerpt == ""
        assert f"the column '{heading}' says that this may be about people" in str(refused.findings)

    @pytest.mark.parametrize(
        "heading",
        [
            *("email.to.address", "email.cc.address", "To: (Address)", "BCC: (Address)"),
            *("An: (Adresse)", "\u00c0: (Adresse)", "Para: (Correo)", "A: (Indirizzo)"),
            *("ToAddress", "emailTo", "mail_to", "Email To", "to_addresses", "cc_address", "CC"),
            *("toRecipients.0.emailAddress.address", "Users email", "Mailbox address"),
            *("dest_email", "Destination mail", "envelope.rcpts", "Caller email"),
            *("email sent to", "rcpt_to_address", "Attendee email", "Account email"),
        ],
    )
    def test_a_table_with_recipients_is_refused(self, heading: str) -> None:
        text = f"{heading},url\njane@acme.org,http://evil.com/a\n"
        assert values(text) == []
        options = formats.ReadOptions(now=NOW, columns={"url": "url"})
        (candidate,) = formats.read("export.csv", text.encode(), options)
        assert "http://evil.com/a" in str(candidate.object)

    @pytest.mark.parametrize(
        "heading",
        [
            *("ip to block", "resolves to ip", "Email to block", "domain to sinkhole", "CC domain"),
            *("From: (Address)", "email.from.address", "Reply-To address", "IP a bloquear"),
        ],
    )
    def test_to_beside_other_words_is_no_recipient(self, heading: str) -> None:
        value = "joe@bad.com" if re.search("(?i)mail|address", heading) else "evil.com"
        value = "198.51.100.7" if re.search(r"(?i)\bip\b", heading) else value
        assert values(f"{heading},note\n{value},x\n") == [value]

    @pytest.mark.parametrize(
        "table",
        [
            "Sender,Recipient,Subject\njoe@bad.com,jane@acme.org,Pay\n",
            "Message trace\n\nFrom;To;Subject\njoe@bad.com;jane@acme.org;Pay\n",
            "SenderAddress,RecipientAddress,FromName,ToIP\njoe@bad.com,jane@acme.org,J,192.0.2.8\n",
            "From (Envelope),From (Header),To\njoe@bad.com,Joe <joe@bad.com>,jane@acme.org\n",
            "Sender,Recipients,Click IP\njoe@bad.com,jane@acme.org,192.0.2.8\n",
        ],
    )
    def test_a_list_of_messages_with_their_recipients_is_refused(self, table: str) -> None:
        assert values(table) == []

    @pytest.mark.parametrize("headings", ["Sender,Subject", "From,Subject", "Absender,Betreff"])
    def test_of_a_list_without_them_the_senders_are_indicators(self, headings: str) -> None:
        assert values(f"{headings}\njoe@bad.com,Pay\n") == ["joe@bad.com"]

    @pytest.mark.parametrize("heading", ["Link", "Links", "Source IP"])
    def test_beside_senders_a_link_or_source_is_that_of_the_message(self, heading: str) -> None:
        value = "198.51.100.7" if heading == "Source IP" else "http://bad.com/a"
        assert values(f"From,{heading}\njoe@bad.com,{value}\n") == ["joe@bad.com", value]

    @pytest.mark.parametrize("heading", ["Victim", "Reporter", "User"])
    def test_beside_victims_and_others_a_link_is_a_reference(self, heading: str) -> None:
        assert values(f"{heading},Link\nAcme,http://news.org/a\n") == []

    @pytest.mark.parametrize(
        ("source", "destination"),
        [
            ("Source IP", "Destination IP"),
            ("source.ip", "destination.ip"),
            ("SourceIP", "DestinationIP"),
            ("Source IP Address", "Destination IP Address"),
            *(("src_ip", "dest_ip"), ("srcIp", "dstIp"), ("src_addr", "dst_addr")),
            *(("srcip", "dstip"), ("sourceip", "destinationip")),
        ],
    )
    def test_a_list_of_connections_is_refused(self, source: str, destination: str) -> None:
        text = f"Time,{source},{destination}\n2026-01-31,198.51.100.7,203.0.113.9\n"
        (refused,) = read_candidates(text)
        assert f"'{destination}'" in refused.findings[0].message

    def test_a_source_of_a_report_is_no_end_of_connections(self) -> None:
        assert values("Destination IP,Source\n198.51.100.7,our sensors\n") == ["198.51.100.7"]

    def test_an_export_of_wireshark_is_refused(self) -> None:
        text = "No.,Time,Source,Destination,Protocol\n1,0.1,198.51.100.7,203.0.113.9,TCP\n"
        assert values(text) == []

    def test_a_destination_without_a_source_is_an_indicator(self) -> None:
        assert values("Destination IP,Destination Port,Family\n198.51.100.7,443,x\n") == [
            "198.51.100.7"
        ]

    def test_a_source_without_a_destination_is_an_indicator(self) -> None:
        assert values("src_ip,attempts\n198.51.100.7,12\n") == ["198.51.100.7"]

    @pytest.mark.parametrize(
        "table",
        [
            "timestamp,severity,ip,port,hostname,tag,asn,naics\n"
            "2026-01-31,high,198.51.100.7,443,a.acme.org,exchange,64496,522110\n",
            "timestamp,src_ip,src_hostname,src_naics,dst_ip,family\n"
            "2026-01-31,198.51.100.7,a.acme.org,522110,203.0.113.9,avalanche\n",
        ],
    )
    def test_machines_in_a_report_to_their_network_are_no_indicators(self, table: str) -> None:
        (refused,) = read_candidates(table)
        assert refused.verdict is Verdict.REFUSED
        assert "this may be about people or machines" in refused.findings[0].message

    def test_of_a_report_to_a_network_the_attackers_machines_are_indicators(self) -> None:
        text = "timestamp,ip,hostname,url,cc_ip,cc_dns,naics\n"
        text += "2026-01-31,198.51.100.7,a.acme.org,/in.php,203.0.113.9,evil.com,522110\n"
        assert values(text) == ["203.0.113.9", "evil.com"]

    @pytest.mark.parametrize(
        "table",
        [
            "email,password,url,ip\njane@acme.org,Summer26!,https://login.acme.org/,198.51.100.7\n",
            "URL;Benutzer;Passwort\nhttps://login.acme.org/;jane;Summer26!\n",
            "host,login,contraseña\nlogin.acme.org,jane,Summer26!\n",
        ],
    )
    def test_stolen_accounts_and_their_pages_are_no_indicators(self, table: str) -> None:
        assert values(table) == []

    def test_the_password_of_an_archive_is_not_that_of_an_account(self) -> None:
        text = f"sha256,sender email,password\n{SHA256},joe@bad.com,infected\n"
        assert values(text) == [SHA256, "joe@bad.com"]

    def test_data_is_the_date_of_a_message(self) -> None:
        text = "Data;Mittente;Oggetto\n2026-01-31;joe@bad.com;Pagamento\n"
        (found,) = read_candidates(text)
        assert "joe@bad.com" in found.object["pattern"]
        assert found.object["valid_from"] == "2026-01-31T00:00:00.000Z"
        assert values("Data,Reporter\nevil.com,Jane\n") == ["evil.com"]

    @pytest.mark.parametrize("heading", ["UserId", "UserIds", "User ID", "Customer ID"])
    def test_an_export_of_an_audit_log_has_no_indicators(self, heading: str) -> None:
        text = f"RecordId,CreationDate,{heading},AuditData\n1,2026-01-31,jane@acme.org,x\n"
        assert values(text) == []
        assert "unknown headings" not in str(read_candidates(text)[0].findings)

    @pytest.mark.parametrize("heading", ["To address", "Recipients", "Attendee", "User", "Opfer"])
    def test_a_table_of_people_only_has_no_indicators(self, heading: str) -> None:
        assert values(f"{heading},Subject\njane@acme.org,Pay\n") == []

    @pytest.mark.parametrize("kind", ["email-dst", "recipient", "Email To", "victim"])
    def test_a_row_whose_type_is_that_of_recipients_is_refused(self, kind: str) -> None:
        assert values(f"type,value\n{kind},jane@acme.org\nemail-src,joe@bad.com\n") == [
            "joe@bad.com"
        ]

    @pytest.mark.parametrize("kind", ["Mailbox", "account", "User", "UserId"])
    def test_a_mailbox_whose_type_is_that_of_people_is_refused(self, kind: str) -> None:
        text = f"Entity Type,Entity Value\n{kind},jane@acme.org\nMail sender,joe@bad.com\n"
        assert values(text) == ["joe@bad.com"]

    def test_an_account_in_a_list_of_indicators_is_an_attackers(self) -> None:
        text = "indicator,Data,Notes\naccount,joe@bad.com,abused account\nuser,jane@acme.org,x\n"
        assert values(text) == ["joe@bad.com"]

    def test_a_host_of_the_type_account_or_a_is_an_indicator(self) -> None:
        text = "type,value\naccount,https://bad.com/@joe\nA,198.51.100.7\n"
        assert values(text) == ["https://bad.com/@joe", "198.51.100.7"]

    @pytest.mark.parametrize("heading", ["Role", "comment", "category", "Rolle"])
    @pytest.mark.parametrize("cell", ["Recipient", "victim", "victim mailbox", "Empf\u00e4nger"])
    def test_a_value_beside_a_word_for_recipients_is_refused(self, heading: str, cell: str) -> None:
        text = f"Indicator,{heading}\njane@acme.org,{cell}\njoe@bad.com,Sender\n"
        assert values(text) == ["joe@bad.com"]

    @pytest.mark.parametrize(
        "cell", ["wrote to a victim", "delivered", "targeted", "ZA", "TO", "account", "attacker"]
    )
    def test_other_cells_say_nothing_about_recipients(self, cell: str) -> None:
        assert values(f"Indicator,comment\njoe@bad.com,{cell}\n") == ["joe@bad.com"]

    def test_a_list_of_first_and_last_names_is_one_of_people_whatever_else_it_has(self) -> None:
        assert (
            values("First Name,Last Name,Email,URL\nJane,Doe,jane@acme.org,http://acme.org\n") == []
        )

    def test_a_list_of_messages_is_a_table_under_any_name(self) -> None:
        text = b"From,To,Subject\njoe@bad.com,jane@acme.org,Pay\n"
        (refused,) = formats.read("mails.log", text, formats.ReadOptions(now=NOW))
        assert "the column 'To' says" in refused.findings[0].message


class TestFieldsOfEvents:
    @pytest.mark.parametrize(
        "heading",
        [
            *(
                "host.name",
                "user.email",
                "user.id",
                "agent.id",
                "event.id",
                "kibana.alert.rule.name",
            ),
            *("process.name", "recipient.email", "headers.to", "envelope.to"),
        ],
    )
    def test_a_field_that_could_be_a_host_is_a_heading(self, heading: str) -> None:
        text = f"{heading},To,From\nws1.acme.org,jane@acme.org,joe@bad.com\n"
        assert values(text) == []
        assert f'1 "{heading}" = ignored' in str(read_candidates(text)[0].findings)
        assert values(f"{heading},@timestamp,x\njane@acme.org,2026-01-01,1\n") == []

    @pytest.mark.parametrize("heading", ["@timestamp", "event.action", "winlog.event_id"])
    def test_a_table_with_a_field_that_all_logs_have_is_refused(self, heading: str) -> None:
        assert values(f"{heading},url.domain\n7,evil.com\n") == []

    def test_fields_that_could_be_hosts_are_headings_above_other_cells(self) -> None:
        text = "time.observed,ioc.ip,ioc.geolocation.cc,feed.name\n"
        text += "2026-01-31T00:00:00,198.51.100.7,DE,emotet\n"
        assert values(text) == ["198.51.100.7"]

    def test_rows_of_hosts_alone_have_no_headings(self) -> None:
        text = "evil.com,win.lumma,bad.org,cn.x\nevil.net,win.lumma,bad.net,cn.x\n"
        assert values(text)[:2] == ["evil.com", "bad.org"]

    def test_a_host_above_hosts_is_none(self) -> None:
        assert values("bad.id,domain,x\nevil.com,domain,y\n") == ["bad.id", "evil.com"]


class TestUnknownHeadings:
    TEXT = "Afzendr,Ontvngr,Link\njoe@bad.com,jane@acme.org,http://bad.com/a\n"

    def test_mailboxes_below_them_are_no_indicators(self) -> None:
        assert values(self.TEXT) == ["http://bad.com/a"]

    def test_other_indicators_beside_and_below_mailboxes_are_read(self) -> None:
        text = "Wer,Ws\njane@acme.org,http://bad.com/a\nbad.org,joe@bad.com\n"
        assert values(text) == ["http://bad.com/a", "bad.org"]

    def test_notes_say_so_and_how_to_read_them(self) -> None:
        (found,) = read_candidates(self.TEXT)
        notes = " ".join(each.message for each in found.findings)
        assert (
            "unknown headings: every cell that is an indicator as a whole, but no mailbox" in notes
        )
        ignored = 'column 1 "Afzendr" is ignored, but holds 1 mailbox, perhaps of recipients (--map'
        assert ignored in notes

    def test_a_table_with_nothing_else_is_refused_with_the_same_note(self) -> None:
        (found, _) = read_candidates("Afzendr,Ontvngr\njoe@bad.com,jane@acme.org\n")
        assert found.verdict is Verdict.REFUSED
        assert 'column 1 "Afzendr" is ignored' in found.findings[0].message

    def test_they_are_read_as_the_user_says(self) -> None:
        options = formats.ReadOptions(now=NOW, columns={"Afzendr": "email"})
        (found,) = formats.read("export.csv", self.TEXT.encode(), options)
        assert "joe@bad.com" in str(found.object)


class TestTags:
    def test_a_column_of_threats_that_holds_links_holds_indicators(self) -> None:
        text = "Threat,Sender\nhttps://evil.com/acme,joe@bad.com\n"
        assert values(text) == ["https://evil.com/acme", "joe@bad.com"]
        assert "labels" not in read_candidates(text)[0].object

    @pytest.mark.parametrize(
        "tag", ["hxxps://evil[.]com/acme,a", "jane@acme.org", "198.51.100.7", "2001:db8::1"]
    )
    def test_a_value_is_not_a_label(self, tag: str) -> None:
        text = f'domain,tags\nevil.com,"{tag}"\nevil.org,win.lumma\nevil.net,rat\n'
        first, second, _ = (each.object for each in read_candidates(text))
        assert "labels" not in first
        assert second["labels"] == ["win.lumma"]


class TestRowsThatAreNotShared:
    @pytest.mark.parametrize(
        "note", ["Betroffener Server", "victim VPN gateway", "our NAT address", "被害端末"]
    )
    def test_a_value_whose_comment_names_a_victims_machine_is_refused(self, note: str) -> None:
        text = f"ip,comment\n198.51.100.7,{note}\n203.0.113.9,C2\n"
        assert values(text) == ["203.0.113.9"]

    @pytest.mark.parametrize("note", ["Empfängerin", "destinataria", "odbiorczyni"])
    def test_a_mailbox_whose_comment_names_a_recipient_is_refused(self, note: str) -> None:
        text = f"IOC,comment\njane@acme.org,{note}\njoe@bad.com,Absender\n"
        assert values(text) == ["joe@bad.com"]

    @pytest.mark.parametrize("note", ["compromised server", "infected host"])
    def test_a_compromised_machine_in_a_comment_may_attack(self, note: str) -> None:
        assert values(f"ip,comment\n198.51.100.7,{note}\n") == ["198.51.100.7"]

    @pytest.mark.parametrize(
        ("heading", "cell"),
        [
            *(("is_target", "1"), ("target", "yes"), ("Opfer", "ja"), ("est cible", "oui")),
            *(("Es víctima", "sí"), ("жертва", "да"), ("被害者", "はい"), ("affected", "TRUE")),
        ],
    )
    def test_a_value_that_is_marked_as_a_victims_is_refused(self, heading: str, cell: str) -> None:
        text = f"indicator,type,{heading}\n81.2.3.4,ip,{cell}\n45.9.70.7,ip,no\n"
        assert values(text) == ["45.9.70.7"]

    @pytest.mark.parametrize("cell", ["Banks", "1", "Microsoft"])
    def test_a_target_that_is_named_or_counted_refuses_no_row(self, cell: str) -> None:
        assert values(f"indicator,type,target\n45.9.70.7,ip,{cell}\n") == ["45.9.70.7"]

    @pytest.mark.parametrize(
        ("heading", "cell"),
        [
            *(("category", "compromised site"), ("type", "compromised host"), ("tags", "hacked")),
            *(("tags", '"compromised, victim"'), ("Kategorie", "kompromittierte Webseite")),
            *(("categoría", "sitio web comprometido"), ("类型", "被黑网站")),
            *(("compromised", "yes"), ("infectado", "sí"), ("gehackt", "ja")),
        ],
    )
    def test_a_site_that_was_hacked_is_held(self, heading: str, cell: str) -> None:
        held, other = read_candidates(f"domain,{heading}\nwerft.de,{cell}\nevil-update.top,c2\n")
        assert held.verdict is Verdict.HELD and other.is_open
        assert "share it if it serves an attacker" in str(held.findings)

    def test_of_hacked_sites_the_pages_and_files_are_an_attackers(self) -> None:
        rows = f"http://werft.de/a.exe,compromised site\n{SHA256},compromised site\n"
        first, second = read_candidates(f"indicator,category\n{rows}")
        assert first.is_open and second.is_open
        (held,) = read_candidates("url,category\nhttp://werft.de/,compromised site\n")
        assert held.verdict is Verdict.HELD

    @pytest.mark.parametrize("beside", ['x,"compromised, emotet"', "malicious,compromised"])
    def test_a_hacked_site_that_is_said_to_attack_is_read(self, beside: str) -> None:
        (found,) = read_candidates(f"domain,verdict,tags\nwerft.de,{beside}\n")
        assert found.is_open

    @pytest.mark.parametrize("kind", ["compromised_email", "stolen account", "Leaked credentials"])
    def test_a_stolen_account_is_not_an_indicator(self, kind: str) -> None:
        text = f"itype,value\n{kind},jane@acme.org\nphish_email,joe@bad.com\n"
        assert values(text) == ["joe@bad.com"]

    @pytest.mark.parametrize(
        ("heading", "cell"),
        [
            *(("status", "falsepos"), ("Disposition", "False Positive")),
            *(("verdict", "false-positive"), ("verdict", "benign"), ("Reputation", "Known good")),
            *(("whitelisted", "TRUE"), ("is_false_positive", "1"), ("tags", "phishing; fp")),
            *(("Status", "Confirmed false positive"), ("classification", "BenignPositive")),
            *(("tags", "status:false-positive"), ("comment", "False positive"), ("result", "fp")),
            ("tags", "phishing; credential theft; since 2026-01-01; whitelisted"),
            *(("Bewertung", "harmlos"), ("Statut", "faux positif"), ("Estado", "Falso positivo")),
            *(("Falsch positiv?", "ja"), ("in_allowlist", "x"), ("status", "Closed - Benign")),
        ],
    )
    @pytest.mark.parametrize("typed", [True, False])
    def test_a_harmless_value_is_not_an_indicator(
        self, heading: str, cell: str, typed: bool
    ) -> None:
        kind, name = ("domain", "value") if typed else ("1", "domain")
        text = f"type,{name},{heading}\n{kind},good.org,{cell}\n{kind},evil.com,\n"
        assert values(text) == ["evil.com"]
        refused = read_candidates(text)[0]
        assert f"not an indicator, since its '{heading}' is" in str(refused.findings)
        assert refused.excerpt == "good.org"

    @pytest.mark.parametrize(
        ("heading", "cell"),
        [
            *(("status", "inactive"), ("State", "Expired"), ("status", "clean")),
            *(("active", "false"), ("internal", "yes"), ("category", "ignored")),
        ],
    )
    def test_a_value_that_has_ended_or_is_the_writers_own_is_not_an_indicator(
        self, heading: str, cell: str
    ) -> None:
        assert values(f"type,value,{heading}\ndomain,good.org,{cell}\n") == []
        beside = values(f"n,domain,{heading}\n1,good.org,{cell}\n2,evil.com,\n")
        assert beside == ([] if heading == "internal" else ["evil.com"])

    @pytest.mark.parametrize(
        ("heading", "cell"),
        [
            *(("detections", "0"), ("VT detection", "0|76"), ("positives", "0 / 72")),
            *(("abuseConfidenceScore", "0"), ("verdict", "clean"), ("Verdict", "safe")),
        ],
    )
    def test_a_value_that_nobody_calls_malicious_is_not_an_indicator(
        self, heading: str, cell: str
    ) -> None:
        text = f"ip,note,{heading}\n198.51.100.7,x,{cell}\n203.0.113.9,x,7\n"
        assert values(text) == ["203.0.113.9"]

    @pytest.mark.parametrize(
        ("heading", "cell"),
        [
            *(("", "0"), ("as", "0"), ("is", "no"), ("status", "offline"), ("internal", "no")),
            *(("active", "true"), ("is_ioc", "1"), ("status code", "200")),
            *(("description", "a benign page, abused"), ("status", "not a false positive")),
            *(("tags", "legit; abused"), ("tags", "good")),
            *(("tags", 'false-positive:risk="low"'), ("note", "expired")),
            *(("process_status", "deleted"), ("takedown_status", "inactive")),
            *(("av_verdict", "clean"), ("Block Status", "Allowed"), ("harmless", "1")),
        ],
    )
    def test_other_cells_refuse_no_indicator(self, heading: str, cell: str) -> None:
        assert values(f"type,value,{heading}\ndomain,evil.com,{cell}\n") == ["evil.com"]

    @pytest.mark.parametrize(
        "text",
        [
            "value,itype,status\nevil.top,mal_domain,Inactive (expired)\n",
            "ioc_type,ioc_value,active\nip:port,203.0.114.8:443,nein\n",
            "URL Address,Type,Status\nhttp://evil.top/a,URL Address,inaktiv\n",
            "indicator,status\nevil.top,revoked\n",
            "entity_type,value,revoked\nIndicator,evil.top,true\n",
            "IOC Value,revoked\nevil.top,true\n",
            "Indicador,Tipo,Estado\nevil.top,dominio,caducado\n",
            "Valeur,Type,Statut\nevil.top,domaine,expiré\n",
            "Wert,Typ,Status\nevil.top,Domäne,gelöscht\n",
            "type,value,active\ndomain,evil.top,inactive\n",
            "type,value,expiration_status\ndomain,evil.top,expired\n",
            "type,value,verdict,status\ndomain,evil.top,malicious,false positive\n",
        ],
    )
    def test_a_row_of_an_indicator_that_has_ended_is_refused(self, text: str) -> None:
        assert values(text) == []
        assert "not an indicator, since" in str(read_candidates(text)[0].findings)

    @pytest.mark.parametrize("other", ["action,allow", "av_verdict,benign", "Block Status,Allowed"])
    def test_a_verdict_counts_more_than_other_columns(self, other: str) -> None:
        name, cell = other.split(",")
        text = f"type,value,{name},verdict\ndomain,evil.top,{cell},"
        assert values(f"{text}malicious\n") == ["evil.top"]
        assert values(f"{text}unknown\n") == ([] if name != "Block Status" else ["evil.top"])

    def test_the_note_on_the_columns_names_those_that_may_refuse_a_row(self) -> None:
        text = "type,value,status,seen by\ndomain,evil.top,active,x\n"
        said = '3 "status" = state (may refuse a row), 4 "seen by" = ignored'
        assert said in read_candidates(text)[0].findings[0].message
        options = formats.ReadOptions(now=NOW, columns={"status": "ignored"})
        (candidate,) = formats.read("export.csv", text.encode(), options)
        assert '3 "status" = ignored' in candidate.findings[0].message

    def test_a_column_that_the_user_maps_to_ignored_refuses_no_indicator(self) -> None:
        text = "type,value,status\ndomain,evil.com,inactive\n"
        options = formats.ReadOptions(now=NOW, columns={"status": "ignored"})
        (candidate,) = formats.read("export.csv", text.encode(), options)
        assert candidate.object is not None

    @pytest.mark.parametrize("action", ["Allowed", "allow", "whitelist"])
    def test_an_indicator_that_a_product_lets_pass_is_not_shared(self, action: str) -> None:
        text = "IndicatorType,IndicatorValue,Action\n"
        text += f"DomainName,good.org,{action}\nFileSha256,{SHA256},Block\n"
        assert values(text) == [SHA256]

    @pytest.mark.parametrize("name", ["allowlist.csv", "false_positives.csv", "Whitelist.tsv"])
    def test_a_file_whose_name_says_that_it_is_allowed_is_refused(self, name: str) -> None:
        text = b"type,value\ndomain,evil.com\n"
        (refused,) = formats.read(name, text, formats.ReadOptions(now=NOW))
        assert "that of a list of allowed values" in refused.findings[0].message
        options = formats.ReadOptions(now=NOW, columns={"value": "value"})
        (candidate,) = formats.read(name, text, options)
        assert candidate.object is not None

    @pytest.mark.parametrize(
        "name",
        [
            *("victims.csv", "2026-11_infected_hosts.csv", "our-servers.tsv", "Opfer Mai.csv"),
            "ip_infectada.csv",
        ],
    )
    def test_a_file_whose_name_is_that_of_victims_is_refused(self, name: str) -> None:
        text = b"type,value\ndomain,evil.com\n"
        (refused,) = formats.read(name, text, formats.ReadOptions(now=NOW))
        assert "a list of victims, people or machines of yours" in refused.findings[0].message
        options = formats.ReadOptions(now=NOW, columns={"value": "value"})
        (candidate,) = formats.read(name, text, options)
        assert candidate.object is not None

    @pytest.mark.parametrize("name", ["victims_iocs.csv", "sensor-7.csv", "victimless.csv"])
    def test_another_file_is_read(self, name: str) -> None:
        (candidate,) = formats.read(
            name, b"type,value\ndomain,evil.com\n", formats.ReadOptions(now=NOW)
        )
        assert candidate.object is not None


class TestTablesOfEvents:
    """Tables of events, people or machines, whose values may be anybody's."""

    @pytest.mark.parametrize(
        "headings",
        [
            *(
                "IP;Kundennummer",
                "ip,bot_id",
                "domain,victim_org",
                "IP,Rechnername",
                "ip,DeviceName",
            ),
            *(
                "s-ip,c-ip",
                "domain,Inhaber",
                "ip,lease",
                "ip,CVSS",
                "ip,hwid",
                "ip,client",
                "Adresse IP;Client",
            ),
            *(
                "ip,caller_id",
                "domain,Auto-Renew",
                "url,visits",
                "target_ip,port",
                "ip,target host",
            ),
            *(
                "domain,TTL",
                "ip;Cognome",
                "ip,Requester",
                "ip,Имя,Инвентарный номер",
                "Public IP,Username",
                "ip,Utilisateur",
                "ip,Пользователь",
                "ip,用户",
            ),
        ],
    )
    def test_are_refused(self, headings: str) -> None:
        mark = ";" if ";" in headings else ","
        value = "evil.com" if "domain" in headings.lower() else "198.51.100.7"
        value = "http://evil.com/a" if "url" in headings else value
        (refused,) = read_candidates(f"{headings}\n{value}{mark}x\n")
        assert "this may be about people or machines of yours" in refused.findings[0].message

    @pytest.mark.parametrize("headings", ["sha256,Version", "sha256,Publisher", "domain,Issuer"])
    def test_inventories_are_refused_unless_a_heading_names_a_threat(self, headings: str) -> None:
        value = SHA256 if "sha256" in headings else "evil.com"
        assert values(f"{headings}\n{value},x\n") == []
        assert values(f"{headings},Malware family\n{value},x,y\n") == [value]

    def test_hashes_in_a_file_of_samples_are_no_inventory(self) -> None:
        options = formats.ReadOptions(now=NOW)
        for text, read in (
            (f"sha256,Version\n{SHA256},9\n", True),
            ("ip,Version\n81.2.3.4,9\n", False),
        ):
            (found,) = formats.read("malware-samples.csv", text.encode(), options)
            assert (found.object is not None) is read

    @pytest.mark.parametrize(
        "text",
        [
            "ip,DeviceName\n198.51.100.7,PC-7\n",
            "IP\tBenutzer\n198.51.100.7\tjane\n203.0.113.9\tjim\n",
            "time,proto,src,dst\n1,tcp,198.51.100.7,203.0.113.9\n2,tcp,198.51.100.7,203.0.113.9\n",
            "id,actor.name,client.ip_address,client.geo.country\n1,jane,198.51.100.7,DE\n",
        ],
    )
    def test_are_refused_in_a_text_too(self, text: str) -> None:
        found = list(formats.read("pasted.txt", text.encode(), formats.ReadOptions(now=NOW)))
        assert found and all(each.verdict is Verdict.REFUSED for each in found)
        assert "this may be about people" in str(found[0].findings)

    @pytest.mark.parametrize(
        "text",
        [
            "Please block the domain, our users saw it\nhttp://evil.com/a\n",
            "Dear all, our users saw this domain, please block it\nIt is evil.com, old, too\n",
            "Victims, users and hosts, see below:\n\nevil.com\n",
        ],
    )
    def test_sentences_with_commas_are_none(self, text: str) -> None:
        (found,) = formats.read("pasted.txt", text.encode(), formats.ReadOptions(now=NOW))
        assert "evil.com" in str(found.object)

    def test_have_one_refusal_for_all_rows_but_those_that_name_a_type(self) -> None:
        rows = "".join(f"198.51.100.{n},PC-{n}\n" for n in range(1_000))
        (refused,) = read_candidates(f"ip,DeviceName\n{rows}")
        assert refused.findings[0].message.startswith("line 2 and 999 others: the column")
        typed = "User,type,value\nx,,evil.com\nx,domain,evil.net\nx,,evil.org\n"
        read, refused = read_candidates(typed)
        assert "evil.net" in str(read.object)
        assert refused.findings[0].message.startswith("line 2 and 1 other: the column 'User'")

    def test_all_their_columns_are_named_at_once(self) -> None:
        message = read_candidates("ip,User,Device\n198.51.100.7,jane,PC-7\n")[0].findings[0].message
        assert "the columns 'User', 'Device' say that this may be about people" in message
        assert message.endswith("(--map 'User=ignored' --map 'Device=ignored')")
        message = read_candidates("ip,Benutzer:,用户\n198.51.100.7,x,y\n")[0].findings[0].message
        assert message.endswith("(--map 2=ignored --map 3=ignored)")

    @pytest.mark.parametrize(
        "headings",
        [
            *("ip,reason,alert_id", "domain,Reported by", "url,Impersonated brand"),
            *("Source IP,Exploited CVE", "IP,JARM,Server", "sha256,Compile time,Version"),
            "Host,User Agent,Watermark",
        ],
    )
    def test_other_columns_beside_indicators_refuse_none(self, headings: str) -> None:
        name = headings.split(",")[0]
        value = {"domain": "evil.com", "url": "http://evil.com/a", "sha256": SHA256}.get(name)
        cells = [value or "198.51.100.7"] + ["x"] * headings.count(",")
        assert values(f"{headings}\n{','.join(cells)}\n") == [cells[0]]

    def test_a_row_that_names_a_type_of_ones_own_is_refused(self) -> None:
        assert values("identifier,asset_type,bounty\nshop.acme.org,domain,x\n") == []

    def test_columns_that_call_their_values_an_attackers_are_read(self) -> None:
        text = "User,C2 IP,Domain\njane,198.51.100.7,acme.org\n"
        assert values(text) == ["198.51.100.7"]
        assert '3 "Domain" = ignored' in str(read_candidates(text)[0].findings)

    @pytest.mark.parametrize(
        "headings",
        [
            *("bot ip,malware", "bot_ip,country", "IP infectée,malware", "IP infectada,malware"),
            *("zombie ip,family", "IP infetto,malware", "ip,infection", "infección,ip"),
            *("drone ip,family", "IP infette,malware", "infiziertes Domain,malware"),
        ],
    )
    def test_those_of_infected_machines_are_refused(self, headings: str) -> None:
        cells = ["81.2.3.4", "x"] if headings != "infección,ip" else ["x", "81.2.3.4"]
        (refused,) = read_candidates(f"{headings}\n{','.join(cells)}\n")
        assert "this may be about people or machines of yours" in refused.findings[0].message

    @pytest.mark.parametrize(
        "headings",
        [
            *("IP-Adresse;Gerätename", "Hostname;Inventarnummer", "IP;Besitzer", "IP;Appareil"),
            *("IP-Adresse;Standort;Seriennummer", "Adresse IP;Emplacement;Numéro de série"),
            *("IP;Ubicación;Modelo", "IP;Location;Serial number", "ip;管理者", "IP;Eigenaar"),
        ],
    )
    def test_inventories_in_other_languages_are_refused(self, headings: str) -> None:
        cells = ["mail.werft.de" if "Host" in headings else "81.2.3.4"]
        cells += ["x"] * headings.count(";")
        (refused,) = read_candidates(f"{headings}\n{';'.join(cells)}\n")
        assert "this may be about people or machines of yours" in refused.findings[0].message

    @pytest.mark.parametrize("headings", ["IP;Standort;Notiz", "IP;Location;Modell;Malware"])
    def test_where_an_address_is_makes_no_inventory(self, headings: str) -> None:
        cells = ["45.9.70.7"] + ["x"] * headings.count(";")
        assert values(f"{headings}\n{';'.join(cells)}\n") == ["45.9.70.7"]

    @pytest.mark.parametrize(
        "headings",
        [
            "timestamp,severity,ip,protocol,port,hostname,tag,asn,geo,region,city",
            "timestamp,ip,port,protocol,tag,hostname,asn,geo,naics",
            "timestamp,ip,asn,geo,region,city,hostname",
        ],
    )
    def test_reports_to_the_owner_of_a_network_are_refused(self, headings: str) -> None:
        cells = ["81.2.3.4" if each == "ip" else "x" for each in headings.split(",")]
        (refused,) = read_candidates(f"{headings}\n{','.join(cells)}\n")
        assert "'geo'" in refused.findings[0].message

    @pytest.mark.parametrize("headings", ["ip,asn,geo", "ip,asn,country,city,tag"])
    def test_where_an_attacker_s_network_is_makes_no_such_report(self, headings: str) -> None:
        cells = ["45.9.70.7", *("x" for _ in range(headings.count(",")))]
        assert values(f"{headings}\n{','.join(cells)}\n") == ["45.9.70.7"]

    def test_public_addresses_of_ones_own_and_of_a_honeypot_are_left_out(self) -> None:
        assert values("IOC;Öffentliche IP\nevil-update.top;81.2.3.4\n") == ["evil-update.top"]
        assert values("t-pot_ip_ext,type,src_ip\n81.2.3.4,Cowrie,45.9.70.7\n") == ["45.9.70.7"]

    def test_address_objects_of_a_firewall_are_refused(self) -> None:
        rows = "Mail,IP Netmask,81.2.3.4/32\nEDI,FQDN,edi.werft.de\n"
        text = f"Name,Type,Address\n{rows}"
        (refused,) = read_candidates(text)
        assert "line 2 and 1 other: the types are those of address objects" in str(refused.findings)
        found = formats.read("iocs.csv", text.encode(), formats.ReadOptions(now=NOW))
        assert all(each.is_open for each in found)

    @pytest.mark.parametrize(
        "headings",
        [
            *("website,group_name,post_title,discovered", "domain,group_name,discovered"),
            *("Website,Company,Ransomware", "website,Unternehmen,Gruppe", "domain,gang,post title"),
        ],
    )
    def test_those_of_leak_sites_are_refused(self, headings: str) -> None:
        cells = ["www.werft-nord.de"] + ["x"] * headings.count(",")
        (refused,) = read_candidates(f"{headings}\n{','.join(cells)}\n")
        assert "this may be about people or machines of yours" in refused.findings[0].message

    @pytest.mark.parametrize("headings", ["domain,group,discovered", "domain,Ransomware,website"])
    def test_domains_of_a_group_are_read(self, headings: str) -> None:
        assert values(f"{headings}\nevil-update.top,x,y\n") == ["evil-update.top"]

    def test_the_way_of_an_infection_and_the_url_of_a_bot_are_an_attackers(self) -> None:
        assert values("domain,infection vector\nevil-update.top,mail\n") == ["evil-update.top"]
        assert values("bot url,family\nhttp://evil.top/a,x\n") == ["http://evil.top/a"]

    @pytest.mark.parametrize(
        ("headings", "row", "read"),
        [
            ("ip,hostname,cc_ip", "81.2.3.4,dsl.werft.de,45.9.70.7", ["45.9.70.7"]),
            ("ip,cc_dns,malware", "81.2.3.4,evil-update.top,x", ["evil-update.top"]),
            ("Source IP,C&C IP", "81.2.3.4,45.9.70.7", ["45.9.70.7"]),
            ("hostname,c2_domain,x", "www.werft.de,evil-update.top,", ["evil-update.top"]),
            ("C2 domain,IP", "evil-update.top,45.9.70.7", ["evil-update.top", "45.9.70.7"]),
        ],
    )
    def test_what_a_server_controls_is_a_victims(
        self, headings: str, row: str, read: list[str]
    ) -> None:
        assert values(f"{headings}\n{row}\n") == read

    def test_a_row_of_the_type_of_an_infected_machine_is_refused(self) -> None:
        rows = "bot ip,81.2.3.4\nVictim IP,81.2.3.5\nIP infectée,81.2.3.6\ndrone_host,81.2.3.7\n"
        assert values(f"type,value\n{rows}ip,45.9.70.7\n") == ["45.9.70.7"]

    def test_a_column_that_the_user_maps_to_ignored_does_not_make_them(self) -> None:
        text = b"User,RemoteIP\njane,198.51.100.7\n"
        assert "(--map 'User=ignored')" in str(read_candidates(text.decode())[0].findings)
        options = formats.ReadOptions(now=NOW, columns={"User": "ignored"})
        (candidate,) = formats.read("export.csv", text, options)
        assert "198.51.100.7" in str(candidate.object)

    def test_only_the_columns_that_the_user_maps_are_read(self) -> None:
        text = b"User,RemoteIP,Domain\njane,198.51.100.7,acme.org\n"
        options = formats.ReadOptions(now=NOW, columns={"RemoteIP": "ip"})
        (candidate,) = formats.read("export.csv", text, options)
        assert "198.51.100.7" in str(candidate.object)

    def test_a_row_that_names_a_type_of_indicators_is_read(self) -> None:
        text = "Date,User,Type,Value\n2026-01-31,jane,domain,evil.com\n2026-01-31,jane,x,bad.com\n"
        assert values(text) == ["evil.com"]

    @pytest.mark.parametrize("headings", ["domain,reporter", "domain,first_seen", "ip,port"])
    def test_others_are_read(self, headings: str) -> None:
        value = "evil.com" if "domain" in headings else "198.51.100.7"
        assert values(f"{headings}\n{value},x\n") == [value]


class TestLogs:
    def test_the_external_address_of_a_customer_of_umbrella_is_not_an_indicator(self) -> None:
        text = "Timestamp,Policy Identity,Internal IP,External IP,Action,Domain\n"
        text += "2026-01-01 00:00:00,Site,10.0.0.1,203.0.114.8,Allowed,evil.top\n"
        assert values(text) == []

    @pytest.mark.parametrize("host", ["host", "hostname", "Host Name"])
    @pytest.mark.parametrize("other", ["dest_ip", "Destination address", "remote_ip"])
    def test_the_host_column_of_a_log_is_not_an_indicator(self, host: str, other: str) -> None:
        text = f"_time,{host},{other},url\n1,px.acme.org,198.51.100.7,http://evil.com/a\n"
        assert "px.acme.org" not in values(text)

    @pytest.mark.parametrize("user", ["User", "Username", "Benutzer", "user_name"])
    def test_a_table_with_users_is_refused(self, user: str) -> None:
        text = f"Hostname,{user},SHA256\npc.acme.org,jane,{SHA256}\n"
        assert values(text) == []

    def test_the_host_column_of_a_list_is_an_indicator(self) -> None:
        assert values("host,ip\nevil.com,198.51.100.7\n") == ["evil.com", "198.51.100.7"]


class TestKnownTables:
    """Exports of well-known sources with columns that mean another thing there."""

    def test_the_fingerprints_of_sslbl_are_those_of_certificates(self) -> None:
        text = f"# Listingdate,SHA1,Listingreason\n2026-01-31 10:00:00,{'a' * 40},Dridex C&C\n"
        (found,) = read_candidates(text)
        assert found.object["pattern"].startswith("[x509-certificate:hashes.'SHA-1'")

    def test_the_domain_of_the_provider_in_abuseipdb_is_not_an_indicator(self) -> None:
        text = "IP,ISP,Usage Type,Domain\n198.51.100.7,ACME,Data Center,acme.org\n"
        assert values(text) == ["198.51.100.7"]

    def test_the_summary_of_threatconnect_is_the_value(self) -> None:
        text = "type,summary,rating,ownerName\nHost,evil.com,4,Community\n"
        assert values(text) == ["evil.com"]

    def test_the_addresses_of_crowdsec_have_a_scope(self) -> None:
        text = "id,source,ip,reason,alert_id\n7,crowdsec,Ip:198.51.100.7,ssh-bf,9\n"
        assert values(text) == ["198.51.100.7"]

    def test_the_detail_pages_of_phishtank_are_references(self) -> None:
        text = "phish_id,url,phish_detail_url\n7,http://evil.com/a,http://phishtank.com/7\n"
        (found,) = read_candidates(text)
        assert found.object["external_references"][0]["url"] == "http://phishtank.com/7"


class TestExpiry:
    def test_a_row_that_has_expired_says_so(self) -> None:
        (refused,) = read_candidates("domain,expires\nevil.com,2026-01-31\n")
        assert "its date of expiry has passed" in refused.findings[0].message

    def test_one_that_was_valid_before_is_read(self) -> None:
        assert values("domain,valid_from,expires\nevil.com,2025-01-31,2026-01-31\n") == ["evil.com"]


class TestCells:
    @pytest.mark.parametrize(
        ("pattern", "found"),
        [
            ("[domain-name:value = 'evil.com']", ["evil.com"]),
            (f"[file:hashes.'SHA-256' = '{SHA256}' OR file:name = 'a.exe']", [SHA256]),
            (
                "[ipv4-addr:value = '198.51.100.7'] OR [url:value = 'http://evil.com/a']",
                ["198.51.100.7", "http://evil.com/a"],
            ),
        ],
    )
    def test_a_pattern_gives_its_values(self, pattern: str, found: Any) -> None:
        assert values(f'name;pattern;pattern_type\nx;"{pattern}";stix\n') == found

    @pytest.mark.parametrize(
        "pattern",
        [
            "[domain-name:value = 'evil.com' AND url:value = 'http://evil.com/a']",
            "[domain-name:value != 'evil.com']",
            "[x509-certificate:hashes.'SHA-1' = '" + "a" * 40 + "']",
            "[email-message:to_refs[*].value = 'jane@acme.org']",
            "[domain-name:value = 'evil.com'",
        ],
    )
    def test_a_pattern_that_is_not_a_list_of_values_is_refused(self, pattern: str) -> None:
        (candidate,) = read_candidates(f'name;pattern\nx;"{pattern}"\n')
        assert candidate.verdict is Verdict.REFUSED

    def test_a_hash_may_follow_its_file_name(self) -> None:
        assert values(f"type,value\nfilename|sha256,a.js|{SHA256}\n") == [SHA256]
        assert values(f"type,value\nfilename|sha256,a b.js|{SHA256}\n") == [SHA256]

    def test_without_headings_an_unrelated_mailbox_is_not_an_indicator(self) -> None:
        text = "evil.com,x,jane@acme.org\nbad.org,x,joe@bad.org\nann@bad.net,x,y\n"
        assert values(text) == ["evil.com", "bad.org", "joe@bad.org", "ann@bad.net"]


class TestOtherLanguagesAndFields:
    @pytest.mark.parametrize(
        "headings",
        [
            *("От,Кому,Тема", "差出人,宛先,件名", "发件人,收件人,主题", "보낸 사람,받는 사람,제목"),
            *("Από,Προς,Θέμα", "من,إلى,الموضوع", "מאת,אל,נושא", "Från,Till,Ämne", "Fra,Til,Emne"),
            *("Odesílatel,Komu,Předmět", "Kimden,Kime,Konu", "De la,Către,Subiect"),
            *("sender,addressee_email,Subject", "sender,targeted_email,Subject"),
            *("sender,destination_address,Subject", "P1Sender,AccountUpn,Subject"),
        ],
    )
    def test_a_list_of_messages_is_refused_and_without_their_recipients_read(
        self, headings: str
    ) -> None:
        sender, recipient, subject = headings.split(",")
        text = f"{headings}\njoe@bad.com,jane@lab.org,x\n"
        assert values(text) == []
        assert f"the column {recipient!a} says" in read_candidates(text)[0].findings[0].message
        assert values(f"{sender},{subject}\njoe@bad.com,x\n") == ["joe@bad.com"]

    def test_every_column_of_senders_is_read(self) -> None:
        text = "SenderFromAddress,SenderIPv4,P1Sender\n"
        assert values(f"{text}joe@bad.com,198.51.100.7,jim@bad.com\n") == [
            *("joe@bad.com", "198.51.100.7", "jim@bad.com")
        ]

    def test_a_column_of_destinations_holds_hosts_but_no_mailboxes(self) -> None:
        text = "destination_address\n198.51.100.7\njane@lab.org\n"
        assert values(text) == ["198.51.100.7"]

    @pytest.mark.parametrize(
        "headings", ["IP地址,类型", "URL链接,备注", "指标,备注", "恶意域名,备注"]
    )
    def test_indicators_below_headings_in_other_scripts_are_read(self, headings: str) -> None:
        assert values(f"{headings}\nhttp://bad.com/a,C2\n") == ["http://bad.com/a"]


class TestZeek:
    HEADINGS = "indicator\tindicator_type\tmeta.source\tmeta.desc\tmeta.url\tmeta.whitelist"

    def read(self, *rows: str) -> Any:
        text = "\n".join((f"#fields\t{self.HEADINGS}", *rows, ""))
        return list(formats.read("intel.dat", text.encode(), formats.ReadOptions(now=NOW)))

    def test_its_file_of_indicators_is_a_table_whose_headings_begin_a_cell_later(self) -> None:
        found = self.read(
            "45.9.70.7\tIntel::ADDR\tACME\tphish kit\thttps://blog.evil-update.top/a\tF",
            "evil-update.top/a\tIntel::URL\tACME\t-\t-\t-",
            f"{'a' * 40}\tIntel::CERT_HASH\tACME\t-\t-\t-",
        )
        assert [each.object["pattern"] for each in found] == [
            "[ipv4-addr:value = '45.9.70.7']",
            "[url:value = 'http://evil-update.top/a']",
            f"[x509-certificate:hashes.'SHA-1' = '{'a' * 40}']",
        ]
        first = found[0].object
        assert first["description"] == "phish kit" and "ACME" not in str(found[0].object)
        assert [each["url"] for each in first["external_references"]] == [
            "https://blog.evil-update.top/a"
        ]

    @pytest.mark.parametrize(
        "row",
        [
            "bad-update.top\tIntel::DOMAIN\tACME\t-\t-\tT",
            "j.doe@evil-update.top\tIntel::USER_NAME\tACME\t-\t-\t-",
            "invoice.zip\tIntel::FILE_NAME\tACME\t-\t-\t-",
            f"{'b' * 32}\tIntel::PUBKEY_HASH\tACME\t-\t-\t-",
        ],
    )
    def test_what_is_allowed_a_user_or_no_value_is_refused(self, row: str) -> None:
        (refused,) = self.read(row)
        assert refused.verdict is Verdict.REFUSED


class TestTheHive:
    HEADINGS = "dataType,data,ioc,sighted,tlp,tags"

    @pytest.mark.parametrize(
        ("number", "name"),
        [("0", "clear"), ("1", "green"), ("2", "amber"), ("3", "red"), ("4", "red")],
    )
    def test_numbers_of_levels_are_read(self, number: str, name: str) -> None:
        (found,) = read_candidates(f"{self.HEADINGS}\nip,45.9.70.7,true,true,{number},c2\n")
        assert found.object["object_marking_refs"] == [TLP_2_IDS[Tlp.parse(name)]]

    def test_only_what_is_called_an_indicator_is_read(self) -> None:
        text = f"{self.HEADINGS}\nip,45.9.70.7,true,true,2,\nip,81.2.3.4,false,true,2,\n"
        assert values(text) == ["45.9.70.7"]

    def test_numbers_of_levels_in_other_tables_are_refused(self) -> None:
        (refused,) = read_candidates("type,value,tlp\nip,45.9.70.7,2\n")
        assert "not a TLP level: '2'" in str(refused.findings)


class TestThreatConnect:
    HEADINGS = "Owner,Type,Summary,Rating,Confidence,Date Added,Description"

    def test_the_list_of_an_indicator_is_no_owner_of_machines(self) -> None:
        text = (
            f"{self.HEADINGS}\n"
            "ACME Sharing,Address,45.9.70.7,5.0,90,2025-03-10T06:02:58Z,\n"
            f"ACME Sharing,File,{'d' * 32} : {'a' * 40} : {SHA256},4.0,90,2025-03-10,\n"
        )
        assert values(text) == ["45.9.70.7", "d" * 32, "a" * 40, SHA256]
        assert "ACME" not in str([each.object for each in read_candidates(text)])

    def test_an_owner_in_another_table_is_one_of_machines(self) -> None:
        text = "Owner,Type,Address,Rating\nJ. Doe,Server,45.9.70.7,high\n"
        assert values(text) == []
        text = "Owner,Type,Summary,Rating\nJ. Doe,Address,45.9.70.7,high\n"
        assert values(text) == []

    def test_a_private_indicator_is_refused(self) -> None:
        text = "ownerName,type,summary,rating,confidence,privateFlag\nACME,Address,45.9.70.7,5,90,"
        assert values(f"{text}false\n") == ["45.9.70.7"]
        assert values(f"{text}true\n") == []


class TestHeadingsInOtherLanguages:
    @pytest.mark.parametrize(
        "heading",
        [
            *("Endereço malicioso", "Enlace malicioso", "Lien malveillant", "Złośliwy adres"),
            *("Schädlicher Link", "Вредоносный адрес", "Serveur de commande", "Malicious link"),
            *("Servidor de mando y control", "Kötü amaçlı alan adı"),
        ],
    )
    def test_a_word_for_malicious_makes_links_and_addresses_values(self, heading: str) -> None:
        assert values(f"{heading},SHA256\n45.9.70.7,{SHA256}\n") == ["45.9.70.7", SHA256]

    @pytest.mark.parametrize(
        "heading", ["Endereço", "Endereço do cliente", "Lien", "Malware link", "Link to malicious"]
    )
    def test_other_links_and_addresses_are_not_read(self, heading: str) -> None:
        text = f"Domain,{heading}\nevil-update.top,https://blog.example-update.top/a\n"
        assert "https://blog.example-update.top/a" not in values(text)


class TestCheckPoint:
    HEADINGS = "UNIQ-NAME,VALUE,TYPE,CONFIDENCE,PRODUCT"

    def test_senders_are_read_and_recipients_are_not(self) -> None:
        text = (
            f"{self.HEADINGS}\na,scan@evil-update.top,Mail-from,high,AV\n"
            "b,jane@acme-update.top,Mail-to,high,AV\n"
        )
        assert values(text) == ["scan@evil-update.top"]
