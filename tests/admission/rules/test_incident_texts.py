"""Texts about incidents: each form in which they name people and the writer's own machines.

In each text, what has to be masked stands in ‹ ›, and everything else has to stay.
"""

import re

import pytest
from support.rules import sanitise_description

RULES = ("user_paths", "private_addresses", "personal_data")
_MASK = re.compile(r"\[removed: [^\]]+\]")
_MARKED = re.compile(r"‹([^›]*)›")


def mask_all(text: str) -> str:
    for rule in RULES:
        text = sanitise_description(rule, text)
    return _MASK.sub("‹›", text)


def check(text: str) -> None:
    assert mask_all(_MARKED.sub(r"\1", text)) == _MARKED.sub("‹›", text)


class TestPasswords:
    @pytest.mark.parametrize(
        "text",
        [
            "The password of the mailbox was ‹Sommer24!›, they said.",
            "Passwort lautete ‹Winter2025›.",
            "mot de passe est ‹Paris75013›",
            "hasło było ‹Zima2024›",
            "The temporary password for the VPN is '‹Tr0ub4dor›'.",
            "wifi key: ‹Kaffee4all›",
            "She used the passphrase ‹correct-h0rse-staple› there.",
            "Login on file, password ‹Herbst24›, was reused.",
            "It was sold as ‹jane.roe@bank.test›:‹Sommer24›",
            "define('DB_PASSWORD', '‹s3cr3t!›');",
            "MAIL_PASSWORD=‹s3cr3t!›",
            "export SMTP2_DB_PASSWD='‹Tr0ub4dor›'",
            "machine ftp.bank.test login ‹jroe› password ‹geheim›",
            "Kennung ‹jroe›, Kennwort: ‹Winter2025›",
        ],
    )
    def test_a_stated_password_is_masked(self, text: str) -> None:
        check(text)

    @pytest.mark.parametrize(
        "text",
        [
            "The archive's password is infected2024.",
            "the zip attachment (password: Rechnung24) holds the dropper",
            "The hard-coded password is K3yOfRat99.",
            "the malware's password was hunter2024",
            "password: /etc/shadow2",
            "Pass the correct length to _asn1_get_length9 here.",
            "first pass at porting to python3 is done",
            "password hashing was moved to SHA-256",
            "password: %PASSWORD1%",
            "password was reset to the default",
            "user: admin password: admin123",
            "MAIL_PASSWORD=$SECRET1",
            "the dropper has DB_PASSWORD=hunter2024",
        ],
    )
    def test_passwords_of_archives_and_programs_and_other_words_stay(self, text: str) -> None:
        check(text)


class TestCodes:
    @pytest.mark.parametrize(
        "text",
        [
            "He read out the TAN ‹482 913› to them.",
            "The verification code was ‹482913›.",
            "CVV ‹737›",
            "kod BLIK ‹482913›",
            "TOTP secret: ‹jbswy3dpehpk3pxp›",
            "BitLocker ‹111111-222222-333333-444444-555555-666666-777777-888888›",
        ],
    )
    def test_a_code_that_opens_a_door_is_masked(self, text: str) -> None:
        check(text)

    @pytest.mark.parametrize(
        "text",
        [
            "exit code 1234",
            "the attacker's PIN is 1234",
            "error code: 80070",
            "pin 1.2345 of the board",
            "CVE-2024-12345",
        ],
    )
    def test_other_codes_stay(self, text: str) -> None:
        check(text)


class TestAccounts:
    @pytest.mark.parametrize(
        "text",
        [
            "uid=1003(‹jroe›) gid=1003(‹jroe›) groups=1003(‹jroe›)",
            " ‹jroe›     rdp-tcp#4    2  Active",
            "GET by 45.9.70.7 - ‹jroe› [12/Nov/2026:10:00:00 +0000]",
            "mysqldump -h db -u ‹jroe› bank",
            "Account Name:\t\t‹jroe›\r\n\tAccount Domain:\t\t‹BANK›",
            "the ticket (user ‹jroe›) was closed",
            "last user ‹jroe› at noon",
            "It ran via the ‹svc_backup› account that night.",
            "The password of ‹jroe› was ‹Sommer24›.",
            "the session of ‹jroe› was replayed",
            "Accounts: Jane Roe (‹jroe›)",
            "DB_USER', '‹jroe›'",
            "Kullanıcı adı: ‹jroe›",
        ],
    )
    def test_a_login_in_a_phrase_or_an_output_is_masked(self, text: str) -> None:
        masked = mask_all(_MARKED.sub(r"\1", text))
        for login in _MARKED.findall(text):
            assert login not in masked

    @pytest.mark.parametrize(
        "text",
        [
            "Attack Pattern (mitre-attack-pattern)",
            "Branded Vulnerability (branded-vulnerability)",
            "all primary user journeys end here",
            "uid=0(root) gid=0(root)",
            "Account Domain:\t\tNT AUTHORITY",
            "Fancy Bear (apt28)",
            "the session of yesterday was long",
        ],
    )
    def test_other_words_in_such_places_stay(self, text: str) -> None:
        check(text)


class TestMachines:
    @pytest.mark.parametrize(
        "text",
        [
            "first seen on PC ‹COM-TRIB-09› at noon",
            "the beacon of ‹JANE-PC› stopped",
            "logged on from ‹Janes-iPhone›",
            "device_name: ‹nb-117.bank.test›",
            "from 10.2.3.4 (‹web01.bank.test›)",
            "the host ‹srv1.corp.bank.com› answered",
            "they scanned our VPN ‹vpn.bank.com› first",
            "copied to file://‹fs01›/share",
        ],
    )
    def test_a_name_of_an_own_machine_is_masked(self, text: str) -> None:
        masked = mask_all(_MARKED.sub(r"\1", text))
        for name in _MARKED.findall(text):
            assert name not in masked

    @pytest.mark.parametrize(
        "text",
        [
            "anti-sandbox: it checks for JOHN-PC",
            "the host of CVE-2024-1234 and MS17-010",
            "host APT-C-36",
            "a.internal.evil.top",
            "WIN-PC and USER-PC are common names",
            "their C2 was at srv1.corp.evil.com",
        ],
    )
    def test_names_that_malware_or_attackers_use_stay(self, text: str) -> None:
        check(text)


class TestPersonsAndNumbers:
    @pytest.mark.parametrize(
        "text",
        [
            "It was opened (‹J. Roe›, payroll) at noon.",
            "‹Jane Roe› | Analyst | t: ‹+49 30 901820›",
            "The teller at branch 4, ‹Jane Roe›, called.",
            "the patient ‹Novotna, Jana› (44)",
            "ext. ‹4711›",
            "I spoke to her on ‹086 412 7734›.",
            "sort code ‹20-00-00› account ‹55779911›",
            "BLZ ‹37040044›",
            "Kennzeichen ‹B-MW 4711›",
            "Emirates ID ‹784-1990-1234567-6›",
            "RFC ‹GODE561231GR8›",
            "case file ‹2026/4711›",
            "PNR ‹X7K2P9›",
            "coordinates of the phone were ‹52.51627, 13.37769›",
        ],
    )
    def test_what_names_a_person_is_masked(self, text: str) -> None:
        masked = mask_all(_MARKED.sub(r"\1", text))
        for value in _MARKED.findall(text):
            assert value not in masked

    @pytest.mark.parametrize(
        "text",
        [
            "as shown (J. Roe, 2019) and (J. Roe et al.)",
            "badge: 2026-12-07",
            "text 4711 of the report",
            "ext. 4",
            "see RFC 5322 and case 4",
            "Windows XP | Analyst | tools",
            "routing was changed in 2024",
        ],
    )
    def test_other_numbers_and_names_stay(self, text: str) -> None:
        check(text)


class TestTime:
    @pytest.mark.parametrize(
        "piece",
        [
            *("password a ", "pass is ", "a@b.test:", "a.", "A-A1", "- a ", "our server "),
            *("(A. ", "Aa Aa | ", "user a ", "uid=1(", "rdp-tcp ", "account number 1-", "1-1-"),
            *(
                "file://a",
                "10.0.0.1 (a.",
                "case file a/",
                "coordinates of ",
                "pin code ",
                "Aa Aa (",
            ),
        ],
    )
    def test_searching_takes_linear_time(self, piece: str) -> None:
        assert len(mask_all(piece * (60_000 // len(piece)))) > 1
