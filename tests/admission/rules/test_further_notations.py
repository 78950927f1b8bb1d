"""Forms of personal data, secrets and addresses that are seldom, and what looks alike."""

import time

import pytest
from support.rules import apply_rule, indicator, sanitise_description

from tocsin.admission.model import Verdict


def masked(kind: str) -> str:
    return f"[removed: {kind}]"


class TestPersonalData:
    @pytest.mark.parametrize(
        "address",
        [
            *("jane(a)bank.com", "jane<at>bank.com", "jane <at> bank.com", "jane -at- bank.com"),
            *('"jane roe"@bank.com', "jane.roe@[45.155.205.9]"),
        ],
    )
    def test_an_e_mail_address_is_masked(self, address: str) -> None:
        found = sanitise_description("personal_data", f"sent to {address} today")
        assert found == f"sent to {masked('e-mail address')} today"

    @pytest.mark.parametrize(
        ("text", "secret", "kind"),
        [
            ("DOB: 1980-03-12", "1980-03-12", "date of birth"),
            ("born 12.03.1980 in Bern", "12.03.1980", "date of birth"),
            ("Date of birth 3 March 1980", "3 March 1980", "date of birth"),
            ("geboren am 12.03.1980", "12.03.1980", "date of birth"),
            ("né le 12/03/1980", "12/03/1980", "date of birth"),
            ("patient MRN 12345678", "12345678", "patient's number"),
            ("MRN: 12345678", "12345678", "patient's number"),
            ("Patienten-ID: 12345678", "12345678", "patient's number"),
            ("CONTACT: ROE, JANE", "ROE, JANE", "person's name"),
        ],
    )
    def test_what_a_word_announces_is_masked(self, text: str, secret: str, kind: str) -> None:
        found = sanitise_description("personal_data", text)
        assert found == text.replace(secret, masked(kind))

    @pytest.mark.parametrize(
        "text",
        [
            *("see (a) evil.com and (b) evil.net", "look-at-this.com", "the botnet born in 2019"),
            *("first seen 1980-03-12", "<attack>", "patient zero 4711", "dobler 1980-03-12"),
            *("CONTACT: SECURITY TEAM", "VICTIM: BANKS, HOSPITALS AND SCHOOLS", "born 2019-13"),
        ],
    )
    def test_other_texts_stay(self, text: str) -> None:
        assert sanitise_description("personal_data", text) == text

    def test_dates_of_birth_have_the_mode_of_identity_numbers(self) -> None:
        subject = indicator(description="DOB: 1980-03-12")
        held = apply_rule("personal_data", subject, {"national_id": "hold"})
        assert held.verdict is Verdict.HELD
        assert apply_rule("personal_data", subject, {"national_id": "keep"}).object == subject


class TestUserPaths:
    @pytest.mark.parametrize(
        ("text", "secret", "kind"),
        [
            ("logged on as jane.roe", "jane.roe", "account name"),
            ("signed in to vpn01 as user jane_roe, then", "jane_roe", "account name"),
            ("curl -u jane:pw1 https://a.test", "jane:pw1", "token"),
            ("curl -s --user 'jane:pw1' x", "jane:pw1", "token"),
            (r"psexec \\srv -u CORP\x -p pw1 cmd", "pw1", "token"),
            ("aws_secret_access_key=" + "a1B2" * 10, "a1B2" * 10, "token"),
            ("spool in /var/mail/janeroe", "janeroe", "user name in a path"),
            ("read ~janeroe/.ssh/id_rsa", "janeroe", "user name in a path"),
        ],
    )
    def test_accounts_and_secrets_are_masked(self, text: str, secret: str, kind: str) -> None:
        found = sanitise_description("user_paths", text)
        assert secret not in found and masked(kind) in found

    def test_the_login_of_a_database_is_masked(self) -> None:
        found = sanitise_description("user_paths", "Server=db;Uid=jane;Pwd=pw1;")
        assert found == f"Server=db;Uid={masked('account name')};Pwd={masked('token')};"

    @pytest.mark.parametrize(
        "text",
        [
            *("logged on as administrator", "it logs in as svchost", "curl -u admin http://a.test"),
            *("~/.ssh/id_rsa", "http://evil.test/~site/bin/x", "about ~half/two", "/var/mail/root"),
            *("uid=0(root) gid=0(root)", "logged in as svc_backup.exe"),
        ],
    )
    def test_other_texts_stay(self, text: str) -> None:
        assert sanitise_description("user_paths", text) == text


class TestPrivateAddresses:
    @pytest.mark.parametrize(
        ("text", "secret"),
        [
            ("at http://167772161/x", "167772161"),
            ("at http://0x0a000001/x", "0x0a000001"),
            ("asked for 4.3.2.10.in-addr.arpa", "4.3.2.10"),
            ("moved to ip-10-1-2-5.ec2.internal.", "10-1-2-5"),
            ("moved to ip-172-16-2-5", "172-16-2-5"),
        ],
    )
    def test_a_disguised_address_is_masked(self, text: str, secret: str) -> None:
        found = sanitise_description("private_addresses", text)
        assert secret not in found and masked("private address") in found

    @pytest.mark.parametrize(
        "text",
        [
            *("at http://3232235/x", "at http://134744072/", "8.8.8.8.in-addr.arpa", "0x0a000001"),
            *("ip-45-1-2-5.evil.test", "zip-10-1-2-5", "call 167772161"),
        ],
    )
    def test_other_texts_stay(self, text: str) -> None:
        assert sanitise_description("private_addresses", text) == text

    def test_an_indicator_on_one_is_refused(self) -> None:
        judged = apply_rule("private_addresses", indicator("[url:value = 'http://167772161/x']"))
        assert judged.verdict is Verdict.REFUSED


@pytest.mark.parametrize("rule", ["personal_data", "user_paths", "private_addresses"])
@pytest.mark.parametrize(
    "piece",
    [
        *("curl ", "psexec -u ", "uid=a;", '"a', "a@[", "born 1.", "~a", "/var/mail/a", "ip-1-"),
        *("1.1.1.1.in-addr", "://1", "logged on as a.", "CONTACT: A", "aws_secret_access_key=a"),
    ],
)
def test_searching_hostile_texts_takes_linear_time(rule: str, piece: str) -> None:
    began = time.process_time()
    sanitise_description(rule, piece * (60_000 // len(piece)))
    assert time.process_time() - began < 5
