"""Phishing mails (tocsin.admission.formats.mail)."""

import base64
import hashlib
import struct
import tracemalloc
from email.message import EmailMessage
from typing import Any
from urllib.parse import quote

import pytest
from support.documents import mail
from support.ole import Entries, compound_file, octets_property, outlook_message, text_property
from support.reading import format_name, messages, patterns, read_file, refusals, values

from tocsin.admission.documents import Mail
from tocsin.admission.documents.bounded import read_document
from tocsin.admission.documents.rtf import decompress
from tocsin.admission.errors import Malformed
from tocsin.admission.formats.mail import find_failed_check

VICTIM = "jane.doe@acme.example"
CUT = "shared without the part of the link that names a recipient"


def read_mail(message: EmailMessage) -> list[Any]:
    return read_file("a.eml", message.as_bytes())


def link(url: str) -> str:
    return f'<html><a href="{url}">Your invoice</a></html>'


class TestDetection:
    def test_a_mail_is_known_by_its_name_or_by_the_fields_of_its_way(self) -> None:
        raw = mail("x").as_bytes()
        on_its_way = b"Received: from a\n\tby b; Mon\nReturn-Path: <a@b.com>\n" + raw
        assert format_name("a.eml", raw) == "mail"
        assert format_name("standard-input", on_its_way) == "mail"
        assert format_name("saved.txt", on_its_way) == "mail"
        other_fields = b"Received-SPF: Pass (a;\n b)\nReferences: <1@b.com>\n"
        assert format_name("saved.txt", other_fields + on_its_way) == "mail"

    def test_the_line_of_a_mailbox_file_before_the_fields_does_not_matter(self) -> None:
        raw = b"From a@b.com Fri Nov 20 10:01:02 2026\n" + mail("http://evil.com/a").as_bytes()
        assert format_name("a.eml", raw) == "mail"
        assert "http://evil.com/a" in values(read_file("a.eml", raw))

    def test_a_text_that_begins_like_a_mail_stays_a_text(self) -> None:
        raw = b"Received: from a\nReturn-Path: <a@b.com>\n\nevil[.]com"
        assert format_name("a.md", raw) == "text"
        assert format_name("a.txt", b"Received: from a\n\nevil[.]com") == "text"
        assert format_name("notes", b"Subject: hello\n\nevil[.]com") == "text"


class TestReading:
    def test_sender_links_and_hashes_of_files_become_indicators(self) -> None:
        message = mail(
            "See http://bad-mailer.com/a now",
            page=link("https://evil.com/pay?x=1"),
            files={"invoice.exe": b"MZ evil"},
            Reply_To="boss@bad-mailer.org",
        )
        assert patterns(read_mail(message)) == [
            "[email-addr:value = 'evil@bad-mailer.com']",
            "[email-addr:value = 'boss@bad-mailer.org']",
            "[url:value = 'https://evil.com/pay?x=1']",
            "[url:value = 'http://bad-mailer.com/a']",
            f"[file:hashes.'SHA-256' = '{hashlib.sha256(b'MZ evil').hexdigest()}']",
        ]

    def test_words_subject_names_of_files_and_pictures_are_not_shared(self) -> None:
        message = mail(
            "Dear Jane, call bystander.com or write to clerk@bystander.com",
            Subject="Jane Doe of ACME",
            files={"jane-doe.pdf": b"%PDF"},
        )
        message.add_attachment(b"picture", "image", "png", disposition="inline", cid="<a>")
        shown = str([each.object for each in read_mail(message)])
        assert len(read_mail(message)) == 2
        assert all(word not in shown for word in ("bystander", "ane", "ACME"))

    def test_encoded_fields_and_texts_are_decoded(self) -> None:
        raw = (
            b"From: =?utf-8?q?B=C3=B6ss?= <evil@bad-mailer.com>\nTo: x@acme.example\n"
            b"Content-Type: text/html; charset=utf-16-le\nContent-Transfer-Encoding: base64\n\n"
        ) + base64.b64encode(link("https://evil.com/a").encode("utf-16-le"))
        assert values(read_file("a.eml", raw)) == ["evil@bad-mailer.com", "https://evil.com/a"]

    def test_a_sender_that_fails_the_checks_is_forged_and_not_shared(self) -> None:
        results = "mx.acme.example; spf=pass; dkim=none; dmarc=fail header.from=bank.com"
        message = mail("http://evil.com/a", From="info@bank.com", Authentication_Results=results)
        found = read_mail(message)
        assert values(found) == ["http://evil.com/a"]
        assert messages(found) == ["the sender is forged (dmarc=fail) and not shared"]

    @pytest.mark.parametrize("results", ["spf=pass; dmarc=fail", "spf=none"])
    def test_the_mailbox_to_which_a_mail_returns_is_shared(self, results: str) -> None:
        message = mail("x", From="info@bank.com", Authentication_Results=results)
        message["Return-Path"] = "<joe@bad.com>"
        assert values(read_mail(message))[-1] == "joe@bad.com"

    @pytest.mark.parametrize(
        ("returned", "results"),
        [
            ("joe@bad.com", "spf=fail; dkim=pass"),
            ("joe@bad.com", "spf=softfail"),
            ("SRS0=a1=b2=bad.com=joe@relay.example", "spf=pass"),
            ("bounces-al=other.example@bad.com", "spf=pass"),
            (VICTIM, "spf=pass"),
            ("", "spf=pass"),
        ],
    )
    def test_one_that_is_forged_or_names_a_recipient_is_not(
        self, returned: str, results: str
    ) -> None:
        message = mail("http://evil.com/a", From="info@bank.com", Authentication_Results=results)
        message["Return-Path"] = f"<{returned}>"
        assert values(read_mail(message))[-1] == "http://evil.com/a"
        assert "bad.com" not in str([each.object for each in read_mail(message)])

    def test_checks_of_any_length_take_hardly_any_memory(self) -> None:
        results = "dmarc=fail" + " spf=pass" * 1_000_000
        tracemalloc.start()
        assert find_failed_check(results) == "dmarc=fail"
        assert tracemalloc.get_traced_memory()[1] < 2_000_000
        tracemalloc.stop()

    def test_a_mail_without_anything_to_share_is_refused(self) -> None:
        assert refusals(read_mail(mail("hello", From="nobody"))) == [
            "no sender, link or attached file to share was found in the mail"
        ]

    @pytest.mark.parametrize(
        "text", ["https://evil.com/a and https://evil.com/b 9.8.7.6", "9.8.7.6"]
    )
    def test_a_mail_that_is_saved_as_a_text_says_that_its_words_are_not_read(
        self, text: str
    ) -> None:
        on_its_way = b"Return-Path: <a@b.com>\nReceived: from a by b; Mon\n"
        raw = on_its_way + mail(text, From="nobody").as_bytes()
        for name in ("saved.txt", "saved.log"):
            found = messages(read_file(name, raw))
            assert [each.startswith("read as a mail:") for each in found].count(True) == 1
        assert "read as a mail" not in str(messages(read_file("saved.eml", raw)))

    def test_a_report_that_is_saved_as_a_text_is_read(self) -> None:
        on_its_way = b"Return-Path: <a@b.com>\nReceived: from a by b; Mon\n"
        found = read_file(
            "saved.txt", on_its_way + mail("We saw evil[.]com", From="nobody").as_bytes()
        )
        assert values(found) == ["evil.com"] and "read as a mail" not in str(messages(found))

    def test_links_of_a_report_that_name_a_recipient_are_cut_and_that_is_said(self) -> None:
        report = "TLP:GREEN\nhxxps://evil-bills[.]top/pay?u=" + VICTIM + " and 198[.]51[.]99[.]7"
        found = read_mail(mail(report))
        assert patterns(found)[0] == "[url:value = 'https://evil-bills.top/pay']"
        assert CUT in messages(found) and VICTIM not in str(found)
        marked = [each.object["object_marking_refs"] for each in found if each.object]
        assert marked[0] == marked[1]
        assert "its sender is not shared" in str(messages(found))

    def test_what_is_left_out_of_a_report_is_said(self) -> None:
        text = "We saw clerk[.]bad-host[.]com and evil[.]com"
        found = read_mail(mail(text, From="clerk@acme-corp.com"))
        assert values(found) == ["evil.com"]
        said = str(messages(found))
        assert "that name a recipient" in said and "its sender is not shared" in said

    def test_a_mail_with_defanged_values_is_a_report_and_not_an_attack(self) -> None:
        message = mail("We saw evil[.]com, see https://cert.example.org/1\n-- \nJane", From=VICTIM)
        found = read_mail(message)
        assert values(found) == ["evil.com"]
        assert messages(found) == [
            "the mail defangs values: it is read as a report, and its sender is not shared"
        ]

    def test_the_attack_is_the_attached_mail_and_who_passed_it_on_is_a_recipient(self) -> None:
        inner = mail("http://evil.com/?u=clerk and http://acme-corp.com/a")
        outer = mail("look: http://good.com/", From="clerk@acme-corp.com", To="soc@cert.com")
        outer.add_attachment(inner)
        found = read_mail(outer)
        assert values(found) == ["evil@bad-mailer.com", "http://evil.com/"]
        assert CUT in messages(found)
        note = "a mail that carries others is taken for a report of them: only those are read"
        assert note in messages(found)

    def test_an_attached_mail_that_was_encoded_as_a_whole_is_read(self) -> None:
        inner = mail("http://evil.com/a").as_bytes()
        outer = (
            b"From: clerk@acme-corp.com\nTo: soc@cert.com\nMIME-Version: 1.0\n"
            b"Content-Type: multipart/mixed; boundary=B\n\n--B\n\nlook\n--B\n"
            b"Content-Type: message/rfc822; name=a.eml\nContent-Transfer-Encoding: base64\n\n"
        )
        found = read_file("a.eml", outer + base64.encodebytes(inner) + b"--B--\n")
        assert values(found) == ["evil@bad-mailer.com", "http://evil.com/a"]

    @pytest.mark.parametrize("blanks", range(19_970, 20_001, 6))
    def test_a_link_far_behind_in_a_long_line_is_whole(self, blanks: int) -> None:
        raw = f"From: a@bad-mailer.com\nTo: {VICTIM}\n\n{' ' * blanks}http://evil.com/login\n"
        found = read_file("a.eml", raw.encode())
        assert values(found) == ["a@bad-mailer.com", "http://evil.com/login"]

    @pytest.mark.parametrize("name", ["phish.eml", "phish.msg"])
    def test_a_saved_mail_that_is_attached_as_a_file_is_the_attack(self, name: str) -> None:
        saved = {
            "phish.eml": mail("http://evil.com/a").as_bytes(),
            "phish.msg": compound_file(
                outlook_message(
                    {
                        **text_property("5D01", "evil@bad-mailer.com"),
                        **text_property("1000", "http://evil.com/a"),
                    }
                )
            ),
        }
        outer = mail("look", From="clerk@acme-corp.com", files={name: saved[name]})
        assert values(read_mail(outer)) == ["evil@bad-mailer.com", "http://evil.com/a"]

    def test_signatures_and_invitations_are_no_files(self) -> None:
        message = mail("x")
        message.add_attachment(b"sign", "application", "pkcs7-signature", filename="smime.p7s")
        message.add_attachment("BEGIN:VCALENDAR", "calendar", filename="invite.ics")
        assert values(read_mail(message)) == ["evil@bad-mailer.com"]

    @pytest.mark.parametrize(
        "subject",
        [
            *("Fwd: Invoice", "WG: Rechnung", "FW:Invoice", "TR : x", "[EXTERNAL] Fwd[2]: x"),
            *("RE: FW: x", "AW: WG: x", "ODP: PD: x", "İLT: x", "ΠΡΘ: x", "Předáno: x"),
            *("转发：x", "転送: x", "전달: x", "إعادة توجيه: x", "Chuyển tiếp: x", "Пересылка: x"),
        ],
    )
    def test_who_forwards_a_mail_is_not_shared(self, subject: str) -> None:
        found = read_mail(mail("http://evil.com/a", Subject=subject))
        assert values(found) == ["http://evil.com/a"]
        assert "who forwarded the mail is not shared: attach the mail itself" in messages(found)
        raw = f"From: jane@lab.org\nTo: a@b.org\nSubject: {subject}\n\nhttp://evil.com/a\n"
        assert values(read_file("a.eml", raw.encode())) == ["http://evil.com/a"]

    @pytest.mark.parametrize(
        "text",
        [
            "See below.\n\n---------- Forwarded message ---------\nFrom: Bad\n",
            "-------- Message transféré --------\n",
            "> *From:* Bad <bad@evil.com>\n> *Sent:* Monday\n> *To:* Jane\n",
            "Von: bad@evil.com\nGesendet: Montag\nAn: Jane\nBetreff: x\n",
            "发件人：bad@evil.com\n收件人：Jane\n",
        ],
    )
    def test_a_mail_that_quotes_another_one_is_forwarded(self, text: str) -> None:
        found = read_mail(mail(f"{text}\nhttp://evil.com/a", Subject="Phishing?"))
        assert values(found) == ["http://evil.com/a"]

    @pytest.mark.parametrize("text", ["From: Acme\nTo: Jane\nSum: 5\n", "forwarded message\n"])
    def test_other_texts_do_not_make_a_mail_a_forwarded_one(self, text: str) -> None:
        found = read_mail(mail(text, Subject="Part I: Wire transfer"))
        assert values(found) == ["evil@bad-mailer.com"]


class TestRecipients:
    @pytest.mark.parametrize(
        "field",
        ["To", "Cc", "Bcc", "Delivered-To", "X-Original-To", "Resent-To", "Envelope-To"]
        + ["X-MS-Exchange-Organization-OriginalEnvelopeRecipients"],
    )
    def test_no_recipient_of_any_field_is_shared(self, field: str) -> None:
        message = mail(f"http://evil.com/{VICTIM}", From=VICTIM, To="list@lists.example")
        del message[field]
        message[field] = f"Jane <{VICTIM}>"
        found = read_mail(message)
        assert values(found) == ["evil.com"]
        assert "jane" not in str([each.object for each in found])

    def test_a_server_says_for_whom_it_received_the_mail(self) -> None:
        received = f"from a by b with SMTP id 1 for <{VICTIM}>; Mon, 1 Jan 2024 00:00:00 +0000"
        message = mail("http://evil.com/a/jane.doe", To="undisclosed:;", Received=received)
        assert values(read_mail(message))[1:] == ["evil.com"]

    @pytest.mark.parametrize(
        "named",
        [
            VICTIM,
            quote(VICTIM, safe=""),
            quote(quote(VICTIM, safe=""), safe=""),
            VICTIM.upper(),
            VICTIM.encode().hex(),
            base64.b64encode(VICTIM.encode()).decode(),
            base64.urlsafe_b64encode(VICTIM.encode()).decode().rstrip("="),
            base64.b64encode(base64.b64encode(VICTIM.encode())).decode(),
            VICTIM.replace("@", "_at_"),
            "jane.doe",
            "someone.else@other.example",
            quote("al@other.example", safe=""),
            hashlib.md5(VICTIM.encode()).hexdigest(),
            hashlib.sha256(VICTIM.encode()).hexdigest().upper(),
            "Jane%20Doe",
            "Doe,+Jane",
            "first/jane/last/doe",
            base64.b64encode(b"jane doe@").decode(),
        ],
    )
    @pytest.mark.parametrize("place", ["?email={}", "#{}", "?a=1&b={}&c=2"])
    def test_a_link_that_names_a_recipient_is_cut(self, named: str, place: str) -> None:
        page = link("https://evil.com/login" + place.format(named))
        message = mail("x", page=page, To=f"Jane Doe <{VICTIM}>")
        found = read_mail(message)
        assert values(found) == ["evil@bad-mailer.com", "https://evil.com/login"]
        assert messages(found) == [CUT]

    def test_the_host_is_shared_of_a_link_whose_path_names_a_recipient(self) -> None:
        found = read_mail(mail(f"https://evil.com/u/{VICTIM.encode().hex()}/a"))
        assert patterns(found)[1:] == ["[domain-name:value = 'evil.com']"]

    def test_senders_and_links_of_the_own_organisation_are_not_shared(self) -> None:
        found = read_mail(
            mail("https://www.acme-corp.com/a", From="ceo@it.acme-corp.com", To="x@acme-corp.com")
        )
        assert values(found) == []
        assert "a sender of the recipient's own organisation is not shared" in refusals(found)[0]
        assert "links to the recipient's own organisation are left out" in refusals(found)[0]

    def test_the_own_organisation_has_the_whole_domain_of_a_recipient(self) -> None:
        found = read_mail(
            mail(
                "https://www.acme-corp.co.uk/a http://evil.co.uk/a",
                From="ceo@acme-corp.co.uk",
                To="x@mail.acme-corp.co.uk",
            )
        )
        assert values(found) == ["http://evil.co.uk/a"]

    def test_a_sender_that_names_the_recipient_is_not_shared(self) -> None:
        sender = "bounce-jane.doe=acme.example@bad-mailer.com"
        found = read_mail(mail("http://evil.com/a", From=sender))
        assert values(found) == ["http://evil.com/a"]

    def test_links_that_mail_filters_rewrote_are_restored(self) -> None:
        safe = "https://eur01.safelinks.protection.outlook.com/?url="
        safe += quote("https://evil.com/a?b=c", safe="") + f"&data=05%7C01%7C{VICTIM}%7C"
        second = "https://urldefense.proofpoint.com/v2/url?u=https-3A__evil.org_a&d=Dw&r=jane"
        third = "https://urldefense.com/v3/__https://evil.net/a__;!!abc!def$"
        page = "".join(map(link, (safe, second, third)))
        found = read_mail(mail("x", page=page))
        assert values(found)[1:] == [
            "https://evil.com/a?b=c",
            "https://evil.org/a",
            "https://evil.net/a",
        ]

    def test_a_rewritten_link_that_cannot_be_read_is_left_out(self) -> None:
        found = read_mail(mail("https://urldefense.com/v3/__https://evil.net/*a__;Kw!!abc!def$"))
        assert len(values(found)) == 1
        assert "a mail filter rewrote" in messages(found)[0]


class TestPictures:
    """A mail with a picture that its text shows and one that is attached."""

    SHOWN, ATTACHED = b"shown" * 1_000, b"attached" * 1_000
    """They are so long that a compound file does not pad them."""

    def message(self) -> bytes:
        made = mail("x", page='<img src="cid:a">')
        made.add_attachment(self.SHOWN, "image", "png", disposition="inline", cid="<a>")
        made.add_attachment(self.ATTACHED, "image", "png", filename="b.png")
        return made.as_bytes()

    def outlook(self) -> bytes:
        picture = text_property("370E", "image/png")
        shown = {**octets_property("3701", self.SHOWN), **picture, **text_property("3712", "a")}
        entries: Entries = {
            **text_property("5D01", "evil@bad-mailer.com"),
            **octets_property("1013", b'<img src="cid:a">'),
            "__attach_version1.0_#00000000": shown,
            "__attach_version1.0_#00000001": {**octets_property("3701", self.ATTACHED), **picture},
        }
        return compound_file(outlook_message(entries))

    @pytest.mark.parametrize("name", ["a.eml", "a.msg"])
    def test_one_that_is_attached_is_shared_and_one_that_the_text_shows_is_not(
        self, name: str
    ) -> None:
        raw = self.message() if name == "a.eml" else self.outlook()
        digest = hashlib.sha256(self.ATTACHED).hexdigest()
        assert values(read_file(name, raw)) == ["evil@bad-mailer.com", digest]

    @pytest.mark.parametrize("name", ["a.eml", "a.msg"])
    def test_the_reader_reports_both(self, name: str) -> None:
        raw = self.message() if name == "a.eml" else self.outlook()
        found = read_document("mail", raw, Mail)
        assert found.pictures == [hashlib.sha256(self.SHOWN).hexdigest()]
        assert found.attachments == [hashlib.sha256(self.ATTACHED).hexdigest()]


class TestOutlook:
    def test_sender_links_and_hashes_of_files_become_indicators(self) -> None:
        data = b"MZ" * 4096
        found = read_file(
            "a.msg",
            compound_file(
                outlook_message(
                    {
                        **text_property("0037", "Invoice"),
                        **text_property("5D01", "evil@bad-mailer.com"),
                        **text_property("0C1F", "/O=EXCHANGE/CN=JANE"),
                        **octets_property(
                            "1013",
                            (
                                link("https://evil.com/?jane.doe")
                                + link("https://evil.org/a?n=roe.bob")
                            ).encode(),
                        ),
                        "__recip_version1.0_#00000000": {
                            **text_property("39FE", VICTIM),
                            **text_property("3001", "Bob Roe"),
                        },
                        "__attach_version1.0_#00000000": {**octets_property("3701", data)},
                    }
                )
            ),
        )
        assert format_name("a.msg", compound_file(outlook_message({}))) == "mail"
        assert values(found) == [
            "evil@bad-mailer.com",
            "https://evil.com/",
            "https://evil.org/a",
            hashlib.sha256(data).hexdigest(),
        ]

    def test_the_attack_is_the_attached_mail(self) -> None:
        inner = {**text_property("5D01", "evil@bad-mailer.com")}
        inner |= text_property("1000", "http://evil.com/a http://acme.example/b")
        attached = {"__substg1.0_3701000D": outlook_message(inner)}
        outer: Entries = {
            **text_property("5D01", VICTIM),
            "__attach_version1.0_#00000000": attached,
        }
        found = read_file("a.msg", compound_file(outlook_message(outer)))
        assert values(found) == ["evil@bad-mailer.com", "http://evil.com/a"]

    def test_a_mail_that_is_attached_as_a_file_is_the_attack(self) -> None:
        saved = mail("http://evil.com/a " + "x" * 5_000).as_bytes()
        part = {**octets_property("3701", saved), **text_property("3707", "phish.eml")}
        outer: Entries = {
            **text_property("5D01", VICTIM),
            "__attach_version1.0_#00000000": part,
        }
        found = read_file("a.msg", compound_file(outlook_message(outer)))
        assert values(found) == ["evil@bad-mailer.com", "http://evil.com/a"]

    def test_fields_of_its_way_name_recipients_and_forgery(self) -> None:
        fields = f"Received: from a by b\r\n for <{VICTIM}>; Mon\r\nReply-To: boss@evil.org\r\n"
        fields += "Authentication-Results: mx; dmarc=fail\r\nFrom: a@bank.com\r\n"
        fields += "Return-Path: <joe@bad.com>\r\n"
        entries = {**text_property("007D", fields), **text_property("5D01", "a@bank.com")}
        entries |= text_property("1000", f"http://evil.com/?{VICTIM}")
        found = read_file("a.msg", compound_file(outlook_message(entries)))
        assert values(found) == ["boss@evil.org", "joe@bad.com", "http://evil.com/"]

    def test_links_in_rich_text_are_read(self) -> None:
        rich = b'{\\rtf1 {\\field{\\*\\fldinst HYPERLINK "https://evil.com/a?b=1"}} '
        rich += b'{\\*\\htmltag64 <a href="https://evil.org/b">}Invoice\\par}'
        packed = struct.pack("<4I", len(rich) + 12, len(rich), 0x414C454D, 0) + rich
        found = read_file("a.msg", compound_file(outlook_message(octets_property("1009", packed))))
        assert values(found) == ["https://evil.com/a?b=1", "https://evil.org/b"]

    def test_compressed_rich_text_is_expanded(self) -> None:
        packed = bytes.fromhex(
            "2d0000002b0000004c5a4675f1c5c7a703000a0072637067313235423 20af32068656c090020627705b0"
            "6c647d0a800fa0".replace(" ", "")
        )
        assert decompress(packed) == "{\\rtf1\\ansi\\ansicpg1252\\pard hello world}\r\n"

    def test_a_compound_file_that_is_no_mail_is_refused_with_its_kind(self) -> None:
        assert format_name("a.msg", compound_file({"WordDocument": b"x"})) == ""

    @pytest.mark.parametrize("size", [600, 1_500, 3_000])
    def test_a_part_of_a_file_is_refused(self, size: int) -> None:
        whole = compound_file(outlook_message(text_property("5D01", "evil@bad-mailer.com")))
        cut = whole[:size] + "__properties_version1.0".encode("utf-16-le")
        with pytest.raises(Malformed, match="damaged|not a mail"):
            read_file("a.msg", cut)


class TestHostile:
    @pytest.mark.parametrize(
        ("raw", "reason"),
        [
            (
                b"From: a@b.com\n"
                + b"".join(
                    b'Content-Type: multipart/mixed; boundary="b%d"\n\n--b%d\n' % (n, n)
                    for n in range(20_000)
                ),
                "more than 300 nested parts",
            ),
            (b"From: a@b.com\n" + b"X-A: =?utf-8?q?a?=\n" * 30_000 + b"\nx", "20000 header fields"),
            (
                b'From: a@b.com\nContent-Type: multipart/mixed; boundary="b"\n\n'
                + b"--b\n\nx\n" * 2_000,
                "more than 1000 parts",
            ),
            (b"From: a@b.com\nContent-Type: message/rfc822\n\n" * 60, "attached to messages"),
        ],
    )
    def test_a_hostile_mail_is_refused(self, raw: bytes, reason: str) -> None:
        with pytest.raises(Malformed, match=reason):
            read_file("a.eml", raw)

    def test_a_sender_in_endless_comments_is_not_read(self) -> None:
        """Python 3.13 reads no sender there, earlier ones give up."""
        try:
            read = read_file("a.eml", b"From: " + b"(" * 300_000 + b"\n\nx")
        except Malformed as error:
            assert "nested too deeply" in str(error)
        else:
            assert not values(read) and "no sender" in "".join(refusals(read))

    @pytest.mark.parametrize("coding", ["utf-7", "nosuch", "unicode_escape", "\u00e9", "hex"])
    def test_an_odd_encoding_is_no_failure(self, coding: str) -> None:
        raw = f"From: evil@bad-mailer.com\nContent-Type: text/plain; charset={coding}\n\nx"
        assert values(read_file("a.eml", raw)) == ["evil@bad-mailer.com"]


class TestReportsOfAbuse:
    @pytest.mark.parametrize("field", ["X-XARF: PLAIN", "X-ARF: Yes"])
    def test_a_report_of_abuse_is_refused_since_its_sender_reports(self, field: str) -> None:
        raw = f"{field}\nFrom: cert@nord.org\nTo: abuse@lab.org\nSubject: a\n\nhttp://bad.com/a\n"
        (refused,) = read_file("a.eml", raw.encode())
        assert refused.object is None
        assert "send the addresses and URLs" in refused.findings[0].message

    def test_of_a_feedback_report_the_message_is_read_that_it_carries(self) -> None:
        raw = (
            "From: abuse@nord.org\nTo: abuse@lab.org\nMIME-Version: 1.0\n"
            'Content-Type: multipart/report; report-type=feedback-report; boundary="b"\n\n'
            "--b\nContent-Type: message/feedback-report\n\nFeedback-Type: abuse\n"
            "Original-Rcpt-To: jane@acme.org\n\n--b\nContent-Type: message/rfc822\n\n"
            "From: joe@bad.com\nTo: jane@acme.org\n\nhttp://bad.com/a\n--b--\n"
        )
        assert values(read_file("a.eml", raw.encode())) == ["joe@bad.com", "http://bad.com/a"]

    def test_a_feedback_report_without_the_message_is_refused(self) -> None:
        raw = (
            "From: abuse@nord.org\nTo: abuse@lab.org\nMIME-Version: 1.0\n"
            'Content-Type: multipart/report; report-type=feedback-report; boundary="b"\n\n'
            "--b\nContent-Type: message/feedback-report\n\nFeedback-Type: abuse\n\n--b--\n"
        )
        (refused,) = read_file("a.eml", raw.encode())
        assert refused.object is None
        assert "send the addresses and URLs" in refused.findings[0].message
