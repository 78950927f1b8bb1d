"""Mailboxes in a text: the words before one decide whether it is an attacker's."""

import time
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

    @pytest.mark.parametrize(
        "sentence",
        [
            "The mail from {} went to jane@lab.org and bob@firm.net",
            "Die Mail von {} ging an jane@lab.org und bob@firm.net",
            "jane@lab.org hat am Montag eine Mail von {} erhalten",
            "Le message de {} a été reçu par jane@lab.org et bob@firm.net",
            "El correo de {} llegó a jane@lab.org y a bob@firm.net",
            "O e-mail de {} foi recebido por jane@lab.org e bob@firm.net",
            "La mail da {} è arrivata a jane@lab.org e bob@firm.net",
            "De mail van {} is ontvangen door jane@lab.org en bob@firm.net",
            "Wiadomość od {} otrzymał jane@lab.org oraz bob@firm.net",
            "E-mail od {} obdržel jane@lab.org a bob@firm.net",
            "Письмо от {} получил jane@lab.org, а также bob@firm.net",
            "{} adresinden gelen posta jane@lab.org ve bob@firm.net adreslerine ulaştı",
            "来自 {} 的邮件发送给 jane@lab.org 和 bob@firm.net",
            "{} からのメールが jane@lab.org と bob@firm.net に届きました",
            "{} 에서 보낸 메일을 jane@lab.org 및 bob@firm.net 이(가) 받았습니다",
            "Email dari {} diterima oleh jane@lab.org dan bob@firm.net",
            "الرسالة من {} وصلت إلى jane@lab.org و bob@firm.net",
        ],
    )
    def test_a_sentence_about_a_mail_names_its_sender_and_recipients(self, sentence: str) -> None:
        assert values(f"Note\n\n{sentence.format('joe@bad.com')}.\n") == ["joe@bad.com"]
        assert values(f"Note\n\n{sentence.format('joe[@]bad[.]com')}.\n") == ["joe@bad.com"]

    @pytest.mark.parametrize(
        "verb",
        [
            *("was then used to send", "was misused for", "has been compromised by"),
            *("was apparently hijacked", "was taken over by"),
        ],
    )
    def test_a_mailbox_that_was_taken_over_is_a_victims(self, verb: str) -> None:
        text = f"The mailbox jane@lab.org {verb} more mails; see joe@bad.com for them.\n"
        assert values(f"Note\n\n{text}") == ["joe@bad.com"]

    @pytest.mark.parametrize(
        "sentence",
        [
            "joe@bad.com was used to send them",
            "joe@bad.com was then used to register bad.net",
            "the attacker at joe@bad.com was then used to send it",
        ],
    )
    def test_a_mailbox_that_was_used_is_an_attackers(self, sentence: str) -> None:
        assert values(f"Note: {sentence}.\n")[0] == "joe@bad.com"

    def test_words_for_attackers_speak_of_the_first_mailbox_and_those_joined_to_it(self) -> None:
        text = "It came from joe@bad.com, jim@bad.com (old) and al@bad.net and hit jane@lab.org.\n"
        assert values(f"Seen with evil[.]com.\n\n{text}") == [
            *("evil.com", "joe@bad.com", "jim@bad.com", "al@bad.net")
        ]

    @pytest.mark.parametrize(
        "sentence",
        [
            "a reply went to joe@bad.com",
            "stolen credentials were sent to joe@bad.com",
            "mail from joe@bad.com was opened",
            "the attacker at joe@bad.com received it",
        ],
    )
    def test_a_sentence_about_an_attacker_keeps_the_mailbox(self, sentence: str) -> None:
        assert values(f"Note: {sentence}.\n") == ["joe@bad.com"]

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

    def test_only_hashes_below_a_victims_heading_are_indicators(self) -> None:
        text = f"Victims\nLab (it@lab.org): 198.51.100.7, {'e' * 32}\n"
        assert values(text) == ["e" * 32]


class TestSignatures:
    @pytest.mark.parametrize(
        "closing",
        [
            *("-- ", "Kind regards,", "Mit freundlichen Grüßen", "Cordialement,", "Saludos"),
            *("Best regards, Jane", "Cordiali saluti", "С уважением,", "敬具", "Trân trọng,"),
        ],
    )
    def test_the_mailbox_and_host_of_who_wrote_a_text_are_no_indicators(self, closing: str) -> None:
        name = "Jane Doe\nHead of IT\n\nLab | Tel. 1 | jane@lab.org\nwww.lab.org\n"
        text = f"We saw joe@bad.com and http://bad.com/a.\n\n{closing}\n{name}"
        assert values(text) == ["joe@bad.com", "http://bad.com/a"]

    @pytest.mark.parametrize(
        "after",
        [
            "IOCs:\nbad.com\n",
            "> see bad.com\n",
            "On Monday, Joe\n<joe@bad.com> wrote:\n> bad.com\n",
            "From: joe@bad.com\nbad.com\n",
            "bad[.]com",
        ],
    )
    def test_what_follows_a_signature_counts(self, after: str) -> None:
        text = f"We saw it.\n\nKind regards\nJane <jane@lab.org>\n\n{after}"
        assert values(text)[-1:] == ["bad.com"]

    def test_whom_a_ransom_note_tells_to_write_to_is_an_attacker(self) -> None:
        text = "Your files are encrypted.\nWrite to email: joe@bad.com\nPay.\n"
        assert values(text) == ["joe@bad.com"]

    def test_who_signs_a_ransom_note_is_an_attacker(self) -> None:
        text = "Your files are encrypted. Pay.\n\nBest regards\nThe team\njoe@bad.com\n"
        assert values(text) == ["joe@bad.com"]

    def test_two_hyphens_alone_separate_what_a_program_found(self) -> None:
        assert values("Found:\nit was bad.com\n--\nit was bad.net\n") == ["bad.com", "bad.net"]

    @pytest.mark.parametrize("line", ["Thanks to bad.com it works.", "Regards of joe@bad.com"])
    def test_a_sentence_is_no_closing(self, line: str) -> None:
        assert values(f"Note\n{line}\nThen bad.net came.\n")[-1] == "bad.net"


class TestMailLogs:
    @pytest.mark.parametrize(
        "line",
        [
            "Nov 2 10:00:00 m postfix/lmtp[1]: 4F1: to=<jane@lab.org>, relay=dovecot[private/lmtp]",
            "Nov 2 10:00:00 m postfix/smtp[1]: 4F1: to=<j@lab.org>, orig_to=<jane@lab.org>, dsn=2",
            "Nov 2 mx1 smtpd[1]: RCPT from h: 550 5.1.1 <jane@lab.org>: Recipient address rejected",
            "2026-11-02 10:00:00 1tAbCd-00000001abc-2xyZ => jane@lab.org R=dns H=mx.lab.org",
            "Nov 2 h sendmail[1]: k1: to=<al@a.org>,<jane@lab.org>, ctladdr=<jim@lab.org> (1/1)",
            "mod=mail cmd=env_rcpt r=1 value=jane@lab.org verified=",
            "acc=C1|Rcpt=jane@lab.org|RcptActType=Jnl",
            "CEF:0|x|y|1|1|mail|5|duser=jane@lab.org act=x",
            "dovecot: lmtp(jane@lab.org): saved mail to INBOX",
            "<jane@lab.org>... User unknown",
            "by mx.lab.org with ESMTPS id abc for jane@lab.org; Mon, 2 Nov 2026",
            "X-Failed-Recipients: jane@lab.org",
            "Your message to jane@lab.org couldn't be delivered.",
            "{'to': ['al@a.org', 'jane@lab.org']}",
            "toRecipients=jane@lab.org",
            "mail from joe@bad.com to jane@lab.org, subject x",
            "joe@bad.com -> jane@lab.org",
            "jane@lab.org received it",
            "To address: jane@lab.org",
            "[RCPT] jane@lab.org",
            "<event><to>jane@lab.org</to></event>",
            'From: "Support" <joe@bad.com> To: Al <al@a.org>, Jane Doe <jane@lab.org>',
            "It was sent to Al (al@a.org), Bob (bob@b.org) and Jane (jane@lab.org) in May",
            "h spamd[1]: spamd: identified spam (9.1/5.0) for jane@lab.org:1001 in 1.0 seconds",
            "h qmail: starting delivery 1: msg 1 to remote jane@lab.org",
            "h qmail: starting delivery 1: msg 1 to local lab.org-jane@lab.org",
            "h mimedefang.pl[1]: MDLOG,4F1,spam,9,x,<joe@bad.com>,<jane@lab.org>,Pay",
            "CEF:0|x|y|1|1|mail|5|suser=joe@bad.com cs1=jane@lab.org cs1Label=Recipients msg=x",
            "LEEF:2.0|x|y|1|x|usrName=jane@lab.org",
            "act=x suid=jane@lab.org accountName=al@a.org",
            "(Barracuda) RECV joe@bad.com jane@lab.org - 2 59 spam",
            "(Barracuda) SCAN ENC joe@bad.com jane@lab.org - 2 62 spam",
            "(Barracuda) SCAN - joe@bad.com jane@lab.org - 2 62 spam",
            "LOGIN authentication failed: authentication failure, sasl_username=jane@lab.org",
            "dovecot: auth-worker: sql(jane@lab.org,<x1>): Password mismatch",
            "dovecot: auth: passwd-file(jane@lab.org,<x1>): unknown user",
            "INFO [S-1] [name=al@a.org;aname=jane@lab.org;mid=1;] imap - authentication successful"
            " for account jane@lab.org",
            "security - error=authentication failed for [jane@lab.org], invalid password;",
            "h exim[1]: login authenticator failed: 535 Incorrect (set_id=jane@lab.org)",
            '<Data Name="RecipientAddress">jane@lab.org</Data>',
            "<Data Name='TargetUserName'>jane@lab.org</Data>",
            '{"message-headers":[["From","joe@bad.com"],["To","jane@lab.org"]]}',
            "RecipientAddress|endswith: 'jane@lab.org'",
            "RecipientAddress|contains|all:\n  - 'jane@lab.org'",
            "by mx.lab.org with ESMTP id 1\n  for jane@lab.org;\n  Mon, 2 Nov 2026",
            "by mx.lab.org with ESMTP id 1 for\n  <jane@lab.org>; Mon, 2 Nov 2026",
            "spamd: processing message <1@bad.com> for jane@lab.org:1001",
            "Received by jane@lab.org",
            "Mail landed in jane@lab.org",
            "h exim[1]: F=<joe@bad.com> rejected RCPT <jane@lab.org>: relay not permitted",
            "h sm-mta[1]: ruleset=check_rcpt, arg1=<jane@lab.org>, reject=550",
            "250 jane@lab.org ... Recipient ok",
            "joe@bad.com wrote to jane@lab.org",
            "Who received it: jane@lab.org",
            "Dear jane@lab.org,",
            "Identity: jane@lab.org",
            "TargetUserOrGroupName: jane@lab.org",
            '"primaryAddress": "jane@lab.org",',
        ],
    )
    def test_a_recipient_is_no_indicator(self, line: str) -> None:
        assert set(values(f"Log:\n{line}\n")) <= {"joe@bad.com"}

    @pytest.mark.parametrize(
        "line",
        [
            "Organization   : lab.onmicrosoft.com",
            '{"Workload":"Exchange","OrganizationName":"lab.onmicrosoft.com","From":"joe@bad.com"}',
            "TenantDomain=lab.onmicrosoft.com",
        ],
    )
    def test_the_tenant_in_a_log_is_no_indicator_and_others_are(self, line: str) -> None:
        text = f"Log:\n{line}\nFrom: joe@bad.com\nURL: https://bad.onmicrosoft.com/a\n"
        assert values(text) == ["joe@bad.com", "https://bad.onmicrosoft.com/a"]
        assert values("Log:\nOrganization: bad.onmicrosoft[.]com\n") == ["bad.onmicrosoft.com"]

    @pytest.mark.parametrize(
        "line",
        [
            "Jan  1 10:00:02 ns1.lab.org named[12]: client 198.51.100.7: query: bad.com IN A",
            "<13>Jan 12 10:00:02 fw.lab.org kernel: DROP 198.51.100.7 bad.com",
            "<34>1 2026-01-01T10:00:00Z fw.lab.org app - ID47 - to 198.51.100.7 at bad.com",
            "2026-01-01T10:00:00.123+01:00 px.lab.org squid: GET 198.51.100.7 bad.com",
        ],
    )
    def test_the_machine_that_wrote_a_log_is_no_indicator(self, line: str) -> None:
        assert values(f"Log of the night:\n{line}\n") == ["198.51.100.7", "bad.com"]

    @pytest.mark.parametrize(
        "line", ["Jan 12 10:00:02 bad.com seen: twice", "2026-01-01T10:00:00Z bad.com C2: yes"]
    )
    def test_a_host_behind_a_time_that_no_program_logged_is_an_indicator(self, line: str) -> None:
        assert values(f"Log of the night:\n{line}\n") == ["bad.com"]

    def test_recipients_are_none_in_a_ransom_note_either(self) -> None:
        assert values("Your files, see the log.\nx: to=<jane@lab.org>\nfrom=<joe@bad.com>\n") == [
            "joe@bad.com"
        ]

    def test_a_long_list_of_recipients_is_one_to_its_end(self) -> None:
        listed = ",".join(f"<j{n}@l{n}.org>" for n in range(50))
        assert values(f"x: to={listed}, size=1\n") == []

    def test_a_sender_is_an_indicator_and_a_message_id_is_not(self) -> None:
        text = (
            "Nov 2 mx1 postfix/cleanup[1]: 4F1: message-id=<20261102.1@bad.net>\n"
            "Nov 2 mx1 postfix/qmgr[1]: 4F1: from=<joe@bad.com>, size=123, nrcpt=2\n"
            "Nov 2 mx1 smtpd[1]: 450 4.1.8 <jim@bad.org>: Sender address rejected\n"
            'sender="jo@bad.com" recipient="jane@lab.org" sender_address=ann@bad.com\n'
        )
        assert values(text) == ["joe@bad.com", "jim@bad.org", "jo@bad.com", "ann@bad.com"]

    @pytest.mark.parametrize(
        "label",
        [
            *("Reply-To", "Return-Path", "reply_to_address", "From", "Reply to", "Forward to"),
            *("Antwort an", "Répondre à", "Svar till", "Odpowiedź do", "الرد إلى", "Trả lời đến"),
        ],
    )
    def test_a_mailbox_for_replies_is_a_senders(self, label: str) -> None:
        assert values(f"Header:\n- {label}: joe@bad.com\n") == ["joe@bad.com"]

    @pytest.mark.parametrize("label", ["Reply to", "Отговор до", "Ответить", "回复至", "返信先"])
    def test_a_mailbox_for_replies_is_a_senders_below_recipients(self, label: str) -> None:
        text = f"Link: hxxp://bad[.]net/a\nTo: jane@lab.org\n{label}: joe@bad.com\n"
        assert values(text) == ["http://bad.net/a", "joe@bad.com"]

    @pytest.mark.parametrize(
        "line", ["Reply to joe@bad.com", "- Antwort an <joe@bad.com>", "asks all to reply to {}"]
    )
    def test_a_mailbox_for_replies_is_a_senders_without_a_colon(self, line: str) -> None:
        text = f"Link: hxxp://bad[.]net/a\n{line.format('joe@bad.com')}\n"
        assert values(text) == ["http://bad.net/a", "joe@bad.com"]

    @pytest.mark.parametrize("line", ["Please reply to jane@lab.org", "We ask you to reply to {}"])
    def test_who_wants_replies_to_a_text_is_none(self, line: str) -> None:
        text = f"Link: hxxp://bad[.]net/a\n{line.format('jane@lab.org')}\n"
        assert values(text) == ["http://bad.net/a"]

    def test_a_bar_ends_a_message_id(self) -> None:
        assert values("Log:\nMsgId=1@bad.net|Sender=joe@bad.com|Rcpt=jane@lab.org\n") == [
            "joe@bad.com"
        ]

    def test_of_a_message_that_exim_takes_only_the_sender_is_an_indicator(self) -> None:
        start = "2026-11-02 10:00:00 1tAbCd-00000001abc-2xyZ <= joe@bad.com H=mx.bad.net"
        line = f'{start} id=1.2@bad.org T="Pay for it" for jane@lab.org bob@firm.net'
        assert values(f"Log\n{line}\n") == ["joe@bad.com", "mx.bad.net"]

    def test_the_server_of_a_recipient_is_none_and_that_of_a_sender_is(self) -> None:
        text = (
            "x: to=<jane@lab.org>, relay=mx.isp.net[192.0.2.5]:25, delay=1\n"
            "y: from=<joe@bad.com>, relay=mx.bad.net [198.51.100.7]\n"
        )
        assert values(text) == ["joe@bad.com", "mx.bad.net", "198.51.100.7"]


class TestQueries:
    @pytest.mark.parametrize(
        "query",
        [
            'where RecipientEmailAddress == "jane@lab.org" and SenderFromAddress == "joe@bad.com"',
            'where Recipient in~ ("al@a.org", "jane@lab.org") | where Sender has "joe@bad.com"',
            'where AccountUpn =~ "jane@lab.org"',
            'index=mail recipient IN ("al@a.org","jane@lab.org") sender IN ("joe@bad.com")',
            "WHERE recipient_address LIKE 'jane@lab.org' AND sender='joe@bad.com'",
            "Get-MessageTrace -RecipientAddress jane@lab.org -SenderAddress joe@bad.com",
            "Search-Mailbox -Identity jane@lab.org",
            "New-Search -ExchangeLocation jane@lab.org -ContentMatchQuery From:joe@bad.com",
            'WHERE sender == "joe@bad.com" AND MV_CONTAINS(email.cc.address, "jane@lab.org")',
        ],
    )
    def test_the_people_that_a_query_names_are_no_indicators(self, query: str) -> None:
        found = ["joe@bad.com"] if "joe" in query else []
        assert values(f"Hunt\n{query}\n") == found


class TestPastedHeads:
    @pytest.mark.parametrize(
        ("sender", "to", "cc"),
        [
            *(("Od", "Do", "DW"), ("Från", "Till", "Kopia"), ("Fra", "Til", "Kopi")),
            *(("Od", "Komu", "Kopie"), ("От", "Кому", "Копия"), ("Від", "Кому", "Копія")),
            *(("Από", "Προς", "Κοιν."), ("Kimden", "Kime", "Bilgi"), ("مِن", "إلى", "نسخة")),
            *(("Feladó", "Címzett", "Másolatot kap"), ("보낸 사람", "받는 사람", "참조")),
            *(("发件人", "收件人", "抄送"), ("Lähettäjä", "Vastaanottaja", "Kopio")),
            *(("מאת", "אל", "עותק"), ("De", "Para", "Cc"), ("Da", "A", "Cc"), ("De ", "À ", "Cc ")),
        ],
    )
    def test_only_the_sender_is_an_indicator(self, sender: str, to: str, cc: str) -> None:
        text = (
            f"{sender}: Joe <joe@bad.com>\n{to}: Jane <jane@lab.org>;\n bob@firm.net\n"
            f"\nx\n{cc}: ann@other.org\n"
        )
        assert values(text) == ["joe@bad.com"]

    def test_a_list_with_wide_commas_is_one(self) -> None:
        text = "邮件由 joe@bad.com，jim@bad.com 发送给 jane@lab.org、bob@lab.org，al@a.org。\n"
        assert values(f"通报\n{text}") == ["joe@bad.com", "jim@bad.com"]
        assert values("通报\nx to=jane@lab.org、bob@lab.org；al@a.org\n") == []

    def test_a_colon_of_full_width_is_one(self) -> None:
        text = "发件人：joe@bad.com\n收件人：张三 <jane@lab.org>\n"
        assert values(text) == ["joe@bad.com"]

    @pytest.mark.parametrize(
        "label",
        [
            *("On behalf of", "tO", "Reci\u00adpient", "Notify", "Gemeldet durch", "Empfaenger"),
            *(
                "Déclarant",
                *("Към", "Як", "Ск", "Явно копие"),
                "Cci",
                "Solicitante",
                "CCO",
                "Colaborador afetado",
                "P.c.",
                "Richiedente",
            ),
            *("Aanvrager", "Poszkodowany", "Do wiadomości", "Oběť", "Mağdur", "Жертва", "Заявник"),
            *(
                "المبلغ",
                "المرسل إليه",
                "密件抄送",
                "报告人",
                "担当者",
                "숨은 참조",
                "Nạn nhân",
                "Korban",
            ),
        ],
    )
    def test_the_mailbox_after_a_label_of_people_is_none(self, label: str) -> None:
        text = f"Note\n\n{label}: jane@lab.org\nURL: http://bad.com/a\n"
        assert values(text) == ["http://bad.com/a"]
        table = f"| From | {label} |\n|---|---|\n| joe@bad.com | jane@lab.org |\n"
        assert values(table, "a.md") == ["joe@bad.com"]
        assert values(f"| {label} | jane@lab.org |\n| From | joe@bad.com |\n", "a.md") == [
            "joe@bad.com"
        ]

    def test_a_definition_in_markdown_belongs_to_its_term(self) -> None:
        text = "End user\n: jane@lab.org\n: al@a.org\n\nC2\n: bad.com\n\nFrom\n: joe@bad.com\n"
        assert values(text, "a.md") == ["bad.com", "joe@bad.com"]

    def test_a_sender_behind_a_label_of_people_is_an_indicator(self) -> None:
        text = "Note\n\nUser: jane@lab.org got it from joe@bad.com\n"
        assert values(text) == ["joe@bad.com"]

    @pytest.mark.parametrize("label", ["C2 mailbox", "Drop account", "Attacker contact"])
    def test_the_mailbox_after_a_label_of_attackers_is_an_indicator(self, label: str) -> None:
        assert values(f"| {label} | joe@bad.com |\n| To | jane@lab.org |\n", "a.md") == [
            "joe@bad.com"
        ]

    def test_hosts_behind_such_a_label_are_indicators(self) -> None:
        assert values("We ask you:\nDo: block evil.com now\n") == ["evil.com"]


class TestFieldsAlone:
    def test_a_tag_of_a_page_is_no_field(self) -> None:
        assert values('It is <a href="x">joe@bad.com</a> who asks\n') == ["joe@bad.com"]

    def test_the_mailbox_of_a_sender_is_an_indicator_without_its_key(self) -> None:
        text = "sender=joe@bad.com\nattacker=jim@bad.net\nfrom_addr=jo@bad.org\n"
        assert values(text) == ["joe@bad.com", "jim@bad.net", "jo@bad.org"]

    @pytest.mark.parametrize("key", ["accountName", "usrName", "suid", "login", "recipient"])
    def test_that_of_a_person_is_none_even_in_a_list(self, key: str) -> None:
        assert values(f"{key}=jane@lab.org\n") == []
        assert values(f"joe@bad.com\njim@bad.net\njo@bad.org\n{key}=jane@lab.org\n") == [
            *("joe@bad.com", "jim@bad.net", "jo@bad.org")
        ]

    def test_the_address_of_a_mailing_list_stays_whole(self) -> None:
        assert values("evil.net\nnews-a=evil.com@bad.com\n") == [
            *("evil.net", "news-a=evil.com@bad.com")
        ]


class TestMessageIds:
    @pytest.mark.parametrize(
        "field",
        [
            *("InternetMessageId: ", '"internetMessageId": "', '"email.message_id": "'),
            *('"headerMessageId":"', "References: <1@bad.com>\n ", "In-Reply-To: <1@a.net>\n\t"),
            *("MessageId        : ", "| Message-ID | ", "Message ID\t", "Nachrichten-ID: "),
            *("ID de message : ", "邮件ID：", "spamd: processing message ", "spamd: result: mid="),
        ],
    )
    def test_they_are_no_mailboxes(self, field: str) -> None:
        assert values(f"The mail\n{field}<20260917.6B1C@mx.bad.com>\nwas from joe@bad.com\n") == [
            "joe@bad.com"
        ]


class TestRecipientsInEvents:
    @pytest.mark.parametrize(
        "event",
        [
            '{"email": {"to": {"address": ["jane@lab.org"]}, "from": {"address": "joe@bad.com"}}}',
            '{"recipient": {"email": "jane@lab.org"}, "sender": {"email": "joe@bad.com"}}',
            '{"toRecipients": [{"emailAddress": {"name": "A", "address": "al@a.org"}},'
            ' {"emailAddress": {"name": "J", "address": "jane@lab.org"}}], "from": "joe@bad.com"}',
            'Nov 2 app: {"fromAddress": "joe@bad.com", "to": ["Jane <jane@lab.org>"]}',
            '{\n "to": [\n  {"address":\n "jane@lab.org"}\n ],\n "replyTo": "joe@bad.com"\n}',
            '{"userPrincipalName": "jane@lab.org", "ip": "x"}\n{"email": "joe@bad.com"}',
            '{"to": ["jane@lab.org"],\n"replyTo": [{"emailAddress": {"address": "joe@bad.com"}}]}',
            '{"recipientEmailAddress": "j@lab.org", "p1Sender": {"emailAddress": "joe@bad.com"}}',
            '{"UserId":"j@lab.org","Parameters":[{"Name":"ForwardTo","Value":"joe@bad.com"},'
            '{"Name":"Identity","Value":"jane@lab.org"}]}',
            '{"a": {"exfil": {"host": "x", "smtp_to": "joe@bad.com"}}, "to": "jane@lab.org"}',
            '{\n"exfil": {\n"smtp_to": "joe@bad.com"\n},\n"to": [\n"jane@lab.org"\n]\n}',
            '{"sender": "joe@bad.com", "related": {"user": ["jane@lab.org", "joe@bad.com"]}}',
            '{"related.user": ["jane@lab.org", "joe@bad.com"],\n"email.from": "joe@bad.com"}',
            '{"from": {"address": ["joe@bad.com"]},\n"related":'
            ' {\n"user": ["joe@bad.com", "j@lab.org"]}}',
            '{"_raw": "{\\"sender\\":\\"joe@bad.com\\",'
            '\\"users\\":[\\"al@a.org\\",\\"jane@lab.org\\"]}"}',
            '{"to": "\\"Jane, Doe\\" <jane@lab.org>", "from": "\\"Joe\\" <joe@bad.com>"}',
            '{"from"\n:\n"joe@bad.com",\n"to"\n:\n["al@a.org",\n"jane@lab.org"]}',
            'Event: {\n"from"\n  : "joe@bad.com",\n"to"\n  : "jane@lab.org"\n}',
            'x {\n"a"\n:\n{\n"to"\n:\n"jane@lab.org"\n}\n,\n"from"\n:\n"joe@bad.com"\n}',
            '"to":\n  "jane@lab.org",\n"from":\n  "joe@bad.com"',
            '{\n"messagesDelivered": [\n{\n"recipient":\n"j@lab.org",\n"ip":\n"joe@bad.com"\n}]}',
        ],
    )
    def test_they_are_no_indicators_and_others_are(self, event: str) -> None:
        assert values(f"{event}\n", "events.log") == ["joe@bad.com"]

    def test_related_mailboxes_that_are_not_of_users_are_indicators(self) -> None:
        text = '{"value": "evil.com", "related": ["joe@bad.com"], "user": "jane@lab.org"}\n'
        assert values(text, "events.log") == ["evil.com", "joe@bad.com"]

    @pytest.mark.parametrize("related", ['"x"', '{"user": "j@lab.org"}'])
    def test_a_person_after_related_users_is_one(self, related: str) -> None:
        people = '"a": {"b": {"user": "jane@lab.org"}}, "sender": "jane@lab.org"'
        assert values(f'{{"related": {related}, {people}}}\n', "events.log") == []

    def test_a_sender_who_receives_elsewhere_is_none(self) -> None:
        text = '{"sender": "jane@lab.org", "to": "j@lab.org"}\n{"to": "jane@lab.org"}\n'
        assert values(text, "events.log") == []


class TestTablesInTexts:
    @pytest.mark.parametrize(
        ("table", "name"),
        [
            ("| From | To |\n|---|---|\n| joe@bad.com | jane@lab.org |\n", "a.md"),
            ("A table:\n\nSubject, To, From\nPay, jane@lab.org, joe@bad.com\n", "a.txt"),
            ("| Recipient | jane@lab.org |\n| Sender | joe@bad.com |\n", "a.md"),
            ("Sender       Recipient     Subject\njoe@bad.com  jane@lab.org  Pay\n", "a.txt"),
            ("Sender    To\n------    --\njoe@bad.com  jane@lab.org\n", "a.txt"),
            ("Sender  To\njoe@bad.com  al@a.org\njim@bad.com jane@lab.org\n", "a.txt"),
            ("Sender Recipient Subject\njoe@bad.com jane@lab.org Pay\n", "a.txt"),
            ("h2. Mails\n||From||To||\n|joe@bad.com|jane@lab.org|\n", "a.txt"),
            ("|From|To|x|\n|---|---|---|\n|joe@bad.com|jane@lab.org|a \\| b|\n", "a.md"),
            ("От    Кому\njoe@bad.com    jane@lab.org\n", "a.txt"),
            ("| From | Victim host |\n|---|---|\n| joe@bad.com | srv1.lab.org |\n", "a.md"),
            (
                "+--+--+\n|To|Cc|\n+==+==+\n|a@a.org|b@a.org|\n+--+--+\n|a@b.org|b@b.org|\n"
                "+--+--+\n\njoe@bad.com\n",
                "a.txt",
            ),
            (
                "┌──┬──┐\n│To│IP│\n├──┼──┤\n│a@a.org│-│\n│a@b.org│-│\n└──┴──┘\njoe@bad.com\n",
                "a.txt",
            ),
            ("Report\n\n│ To │ jane@lab.org │\n│ From │ joe@bad.com │\n", "a.txt"),
            (
                "{| class=a\n! From !! To\n|-\n| joe@bad.com || a@a.org\n|-\n| - || b@a.org\n|}\n",
                "a.txt",
            ),
        ],
    )
    def test_a_column_or_row_of_recipients_holds_no_mailboxes(self, table: str, name: str) -> None:
        assert values(table, name) == ["joe@bad.com"]

    @pytest.mark.parametrize(
        "table",
        [
            "From & To \\\\ \\hline\njoe@bad.com & jane@lab.org \\\\\n - & bob@lab.org \\\\\n",
            "\\textbf{From} & \\textbf{To}\\\\\n\\midrule\njoe@bad.com & jane@lab.org\\\\\n"
            "\\cline{1-2}\n- & bob@lab.org\\\\\n\\end{tabular}\n",
            "To & jane@lab.org \\\\\nFrom & joe@bad.com \\\\\n",
            "From & To \\\\ joe@bad.com & jane@lab.org \\\\ - & bob@lab.org \\\\\n",
            "Seen & Victim host \\\\ \\hline\njoe@bad.com & srv1.lab.org \\\\\n",
        ],
    )
    def test_a_table_in_latex_is_one(self, table: str) -> None:
        text = f"\\begin{{tabular}}{{|l|l|}}\n{table}\\end{{tabular}}\nIt was bad.net.\n"
        assert values(text) == ["joe@bad.com", "bad.net"]

    @pytest.mark.parametrize(
        "table",
        [
            "! From\n! To\n|-\n| joe@bad.com\n| jane@lab.org\n|-\n| -\n| bob@lab.org\n",
            "|-\n! scope=col | From\n! scope=col | To\n|-\n| joe@bad.com || jane@lab.org\n",
            "! From !! To\n|-\n| joe@bad.com\n| style=x | jane@lab.org\n",
            "! To\n| jane@lab.org\n|-\n! Subject\n| Pay\n|-\n! From\n| joe@bad.com\n",
            "|+ Mails\n! From\n! Victim host\n|-\n| joe@bad.com\n| srv1.lab.org\n",
            "! To\n! From\n|-\n| a@lab.org\n| jim@bad.com\n| more\n|-\n| -\n| joe@bad.com\n",
        ],
    )
    @pytest.mark.parametrize("start", ["", "Report\n\n"])
    def test_a_table_of_mediawiki_with_a_cell_in_a_line_is_one(
        self, table: str, start: str
    ) -> None:
        text = f'{start}{{| class="wikitable"\n{table}|}}\nIt was bad.net.\n'
        assert values(text) == ["joe@bad.com", "bad.net"]

    @pytest.mark.parametrize(
        "table",
        [
            "|===\n|From |To\n\n|joe@bad.com\n|jane@lab.org\n\n|-\n|bob@lab.org\n|===\n",
            "|===\n|From\n|To\n\n|joe@bad.com\n|jane@lab.org\n|-\n|bob@lab.org\n|===\n",
            '[cols="1,2"]\n|===\n|From\n|To\n|joe@bad.com\n|jane@lab.org\n|===\n',
            "[cols=3*]\n|===\n|To\n|A\n|From\n|jane@lab.org\n|x\n|joe@bad.com\n|===\n",
            "|===\n|To\n|jane@lab.org\n|From\n|joe@bad.com\n|===\n",
            "|===\n|From |To\n\n|joe@bad.com |jane@lab.org\n|- |bob@lab.org\n|===\n",
        ],
    )
    @pytest.mark.parametrize("name", ["a.adoc", "a.txt"])
    def test_a_table_of_asciidoc_with_a_cell_in_a_line_is_one(self, table: str, name: str) -> None:
        assert values(f"{table}It was bad.net.\n", name) == ["joe@bad.com", "bad.net"]

    def test_a_table_without_people_keeps_all_its_values(self) -> None:
        text = "{|\n! IOC\n! Used by\n|-\n| bad.com\n| joe@bad.com\n|}\n"
        assert values(text) == ["bad.com", "joe@bad.com"]
        text = "|===\n|IOC |Used by\n\n|bad.com\n|joe@bad.com\n|===\n"
        assert values(text, "a.adoc") == ["bad.com", "joe@bad.com"]

    @pytest.mark.slow
    def test_tables_that_never_end_are_read_quickly(self) -> None:
        start = time.process_time()
        assert values("{|\n" * 20_000 + "|===\n|x\n" * 20_000 + "It was joe@bad.com\n") == [
            "joe@bad.com"
        ]
        assert time.process_time() - start < 10

    def test_a_sentence_is_no_line_of_headings(self) -> None:
        text = "Mail went from these to users\njoe@bad.com jim@bad.net\nand went  on.\n"
        assert values(text) == ["joe@bad.com", "jim@bad.net"]

    def test_a_page_is_read_likewise(self) -> None:
        cells = "<tr><th>To<th>From</tr><tr><td>jane@lab.org<td>joe@bad.com</tr>"
        assert values(f"<html><table>{cells}</table></html>", "a.html") == ["joe@bad.com"]

    def test_a_row_with_more_cells_than_headings_holds_no_mailboxes(self) -> None:
        text = "| Subject | From | To |\n| Pay | joe@bad.com | al@a.org |\n"
        assert values(f"{text}| a | b | jim@bad.com | jane@lab.org |\n", "a.md") == ["joe@bad.com"]


class TestStolenCredentials:
    @pytest.mark.parametrize(
        "lines",
        [
            "{}:hunter2\n{}:12345\n",
            "{}:dragon\n{}:Summer2024!\n",
            "{} : Pa55word\n{} : dragon\n",
            "1. {}|p4ssw0rd\n2. {}|12345\n",
            "{};Summer2024!\n{};hunter2\n",
            "https://vpn.lab.org/login:{}:hunter2\nhttps://vpn.lab.org/login:{}:12345\n",
        ],
    )
    @pytest.mark.parametrize("start", ["", "The attacker of bad.com had these:\n\n"])
    def test_mailboxes_and_pages_beside_passwords_are_none(self, lines: str, start: str) -> None:
        text = f"{start}{lines.format('jane@lab.org', 'bob@firm.net')}"
        assert values(text) == (["bad.com"] if start else [])

    @pytest.mark.parametrize(
        "lines",
        [
            "joe@bad.com : sender\njim@bad.net : drop\n",
            "joe@bad.com:587\njim@bad.net:465\n",
            "joe@bad.com | Storm-0539\njim@bad.net | APT28\n",
            f"joe@bad.com|{'ab1' * 10}ff\njim@bad.net|c2s1.bad.org\n",
            "joe@bad.com;2026-01-31\njim@bad.net;2026-02-01\n",
        ],
    )
    def test_mailboxes_beside_other_words_are_indicators(self, lines: str) -> None:
        assert {"joe@bad.com", "jim@bad.net"} <= set(values(f"Mailboxes\n\n{lines}"))


class TestListsOfPeople:
    @pytest.mark.parametrize(
        "lead",
        [
            "The phishing mail was sent to:",
            "Recipients",
            "Delivery has failed to these recipients or groups:\n\nJane Doe",
            "The following address(es) failed:",
            "Betroffene Nutzer:",
            "Betroffene Empfa\u0308nger:",
            "Users who clicked:",
            "Compromised accounts",
            "Usuarios afectados:",
            "受害者：",
            "To: Al <al@a.org>,",
        ],
    )
    def test_a_line_that_introduces_recipients_excludes_those_below_it(self, lead: str) -> None:
        text = f"{lead}\n  jane@lab.org\n  Bob <bob@firm.net>\n\nSenders:\n- joe@bad.com\n"
        assert values(text) == ["joe@bad.com"]

    def test_it_excludes_a_list_that_is_the_whole_text(self) -> None:
        assert values("Recipients:\njane@lab.org\nbob@lab.org\nann@firm.net\n") == []

    def test_hosts_below_it_are_indicators(self) -> None:
        assert values("The data was sent to:\n- evil.com\n- evil.net\n") == ["evil.com", "evil.net"]

    @pytest.mark.parametrize(
        ("lead", "found"),
        [
            ("Stolen credentials are then sent to:", ["joe@bad.com"]),
            ("The exfiltrated data was forwarded to:", ["joe@bad.com"]),
            ("Mails with stolen data were sent to:", []),
        ],
    )
    def test_those_that_received_stolen_data_are_indicators(
        self, lead: str, found: list[str]
    ) -> None:
        assert values(f"{lead}\njoe@bad.com\n") == found

    def test_the_members_after_it_are_ordinary_ones(self) -> None:
        text = "to:\n  - jane@lab.org\nfrom: joe@bad.com\nurl: http://bad.com/a\n"
        assert values(f"Mail\n{text}") == ["joe@bad.com", "http://bad.com/a"]

    @pytest.mark.parametrize(
        "block",
        [
            "ATTENDEE;CN=Bob;PARTSTAT=NEEDS-ACTION:mailto:jane@lab.org",
            "Organizer: jane@lab.org",
            "EMAIL;TYPE=work:jane@lab.org",
            "BEGIN:VCARD\nFN:Jane\nEMAIL:jane@lab.org\nEND:VCARD",
            "BEGIN:VCALENDAR\nATTENDEE;X=1:mailto:jane@s\n ub.lab.org\nX:j@lab.org\nEND:VCALENDAR",
            "dn: cn=Jane,dc=lab,dc=org\nmail: jane@lab.org\n",
        ],
    )
    def test_people_in_cards_calendars_and_directories_are_no_indicators(self, block: str) -> None:
        assert values(f"Seen.\n{block}\njoe@bad.com sent it\n") == ["joe@bad.com"]
