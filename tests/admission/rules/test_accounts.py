"""user_paths: user folders, account names, and keys of services in a text."""

import re
from typing import Any

import pytest
from support.rules import apply_rule, indicator, sanitise_description

from tocsin.admission.model import Verdict
from tocsin.admission.word_lists import load_words

RULE = "user_paths"
DETECTORS = "tocsin.admission.detectors"


class TestFolders:
    @pytest.mark.parametrize(
        "path",
        [
            r"D:\Profiles\jdoe\x.exe",
            r"E:\Home\jdoe\x.exe",
            r"\\fs01\home$\jdoe\a.docx",
            r"\\fs01.corp.test\profiles$\jdoe\a.docx",
            "/var/home/jdoe/.bashrc",
            "/c/Users/jdoe/x",
            "/cygdrive/c/Users/jdoe/x",
            "file://fs01/home/jdoe/x",
            "smb://fs01.corp.test/home/jdoe/x",
            "sftp://root@srv1:22/Users/jdoe/x",
            *("/home2/jdoe/public_html/x.php", "/mnt/home/jdoe/x", "/net/home/jdoe/x"),
            *("/exports/home/jdoe/x", "/vol/home/jdoe/x", "/proc/7/root/home/jdoe/x"),
            *("/System/Volumes/Data/Users/jdoe/x", "/private/home/jdoe/x"),
            *("/volume1/homes/jdoe/x", "/var/services/homes/jdoe/x"),
        ],
    )
    def test_users_folders_on_other_drives_and_mounts_are_masked(self, path: str) -> None:
        assert sanitise_description(RULE, path) == path.replace(
            "jdoe", "[removed: user name in a path]"
        )

    @pytest.mark.parametrize("folder", load_words(DETECTORS, "windows_home_roots"))
    def test_users_folders_are_masked_in_every_language_that_is_listed(self, folder: str) -> None:
        root = re.sub(r"\[(.)[^]]*\]", r"\1", folder).replace(r"\d", "1").title()
        after = sanitise_description(RULE, rf"in C:\{root}\jdoe\x.exe")
        assert after == rf"in C:\{root}\[removed: user name in a path]\x.exe"

    @pytest.mark.parametrize(
        "path",
        [
            r"C:\a\Mozilla\Firefox\Profiles\x1.default\y",
            r"\\fs01\share\jdoe",
            r"D:\Home\Public\x",
            *("GET /homes/for_sale/atlanta/", "https://evil.test/home2/jdoe", "/home/users/x.sh"),
            *("https://fs01.test/home/index/x", "ftp://evil.test/home/bot/x.sh"),
        ],
    )
    def test_folders_that_belong_to_nobody_stay(self, path: str) -> None:
        assert sanitise_description(RULE, path) == path

    @pytest.mark.parametrize(
        ("before", "after"),
        [
            ("/home/CORP/jdoe/.ssh/id_rsa", "/home/{}/{}/.ssh/id_rsa"),
            ("/home/CORP.EXAMPLE/jdoe", "/home/{}/{}"),
            ("/home/corp.example/jdoe/x.sh", "/home/{}/{}/x.sh"),
            ("/home/ad.bank.com/j.doe", "/home/{}/{}"),
            ("/home/local/CORP/jdoe/a", "/home/local/{}/{}/a"),
            ("/home/local/corp/jdoe/x.py", "/home/local/{}/{}/x.py"),
            ("/home/local/jdoe/x.py", "/home/local/{}/x.py"),
            (r"/home/CORP\jdoe/x", r"/home/{}\{}/x"),
            ("/Users/DOMAIN.LOCAL/jdoe/Library", "/Users/{}/{}/Library"),
            (r"\\fs01\home$\CORP\jdoe\a.docx", r"\\fs01\home$\{}\{}\a.docx"),
            (r"D:\\Profiles\\CORP\\jdoe\\Desktop", r"D:\\Profiles\\{}\\{}\\Desktop"),
            ("/home/JDOE/malware.sh", "/home/{}/malware.sh"),
            ("/home/JDOE/Downloads/x.exe", "/home/{}/Downloads/x.exe"),
            ("/home/jane.doe/campaign/x", "/home/{}/campaign/x"),
            ("/home/jane/CORP/x", "/home/{}/CORP/x"),
            ("/home/evil.com/shop/x.php", "/home/{}/shop/x.php"),
            ("/home/CORP/root/x", "/home/{}/root/x"),
            ("/home/CORP/$USER/x", "/home/{}/$USER/x"),
            ("/home/corp/jdoe/x", "/home/{}/{}/x"),
            ("/home/students/jdoe", "/home/{}/{}"),
            ("/home/users/jdoe/x", "/home/users/{}/x"),
            (r"\\fs01\home$\staff\jdoe\a.docx", r"\\fs01\home$\{}\{}\a.docx"),
            ("/home/office/Downloads/x.exe", "/home/{}/Downloads/x.exe"),
        ],
    )
    def test_the_user_name_below_the_folder_of_a_domain_is_masked_too(
        self, before: str, after: str
    ) -> None:
        masked = after.replace("{}", "[removed: user name in a path]")
        assert sanitise_description(RULE, f"seen in {before}, then") == f"seen in {masked}, then"

    @pytest.mark.parametrize(
        "path",
        [
            *("/home/www/html/x.php", "/home/user/malware.sh", "/home/user/CORP/x"),
            *("/home/local/bin/x", "/home/local/x.sh", "https://evil.test/home/CORP/jdoe/x"),
            *("/home/CORP/viktor/src/loader.pdb", "/home/%D/%U/x", "/home/USER/setup.py"),
        ],
    )
    def test_folders_that_only_look_like_those_of_a_domain_stay(self, path: str) -> None:
        assert sanitise_description(RULE, path) == path
        assert apply_rule(RULE, indicator(f"[file:name = '{path}']")).is_open

    def test_a_pattern_on_a_path_behind_a_domain_is_held_or_widened_for_both_names(self) -> None:
        subject = indicator("[file:name = '/home/local/CORP/jdoe/x.sh']")
        assert apply_rule(RULE, subject, secrets=["jdoe"]).verdict is Verdict.HELD
        widened = apply_rule(RULE, subject, {"value_users": "generalise"}).object["pattern"]
        assert widened == "[file:name LIKE '/home/local/%/%/x.sh']"

    @pytest.mark.slow
    @pytest.mark.parametrize("piece", ["/home/CORP", "/home/local/", "/home/A.B.C.D", "/CORP"])
    def test_searching_paths_with_many_domains_takes_linear_time(self, piece: str) -> None:
        apply_rule(RULE, indicator(description=f"/home/CORP/{piece * 20_000}"))

    def test_a_mask_behind_a_user_name_hides_it_from_no_rule(self) -> None:
        before = r"C:\Users\jdoe.[removed: submitter's name]\x.exe"
        masked = before.replace("jdoe", "[removed: user name in a path]")
        assert sanitise_description(RULE, before) == masked


class TestAccounts:
    @pytest.mark.parametrize(
        ("before", "after"),
        [
            ("User: Jane Doe", "User: {}"),
            ("User: jane doe, host: x", "User: {}, host: x"),
            ("Benutzer: Jane von Doe.", "Benutzer: {}."),
            ("Username: jdoe Password: none", "Username: {} Password: none"),
            ("usuario: lucía ferrer", "usuario: {}"),
            ("User: opens the file", "User: opens the file"),
            ("Login: jdoe disabled", "Login: jdoe disabled"),
        ],
    )
    def test_the_further_words_of_a_name_behind_a_label_are_masked_too(
        self, before: str, after: str
    ) -> None:
        assert sanitise_description(RULE, before) == after.replace("{}", "[removed: account name]")

    @pytest.mark.parametrize(
        "text",
        [
            "user: jdoe",
            "Account Name:\t\tjdoe\r\n\tAccount Domain:\t\tWORKGROUP",
            "User Name:\tBANK\\jdoe",
            "username=jdoe from the box",
            "account [removed: submitter's name]BANK\\jdoe",
            "as my[removed: submitter's name]\\jdoe",
            "Account Name:  ACME\\jdoe, ID 4624",
            "Benutzername: jdoe.",
            "utilisateur : j.doe clique",
            "the account ACME\\jdoe logged on",
            "runas /user:[removed: submitter's name]\\jdoe cmd",
            "sAMAccountName jdoe",
            "src_user=jdoe",
            "user.name: jdoe",
            "user=<jdoe>, method=PLAIN",
            '<Data Name="TargetUserName">jdoe</Data>',
            "Failed password for jdoe from 198.51.100.7 port 22",
            "Disconnected from user jdoe 198.51.100.7 port 22",
            "UPN: jdoe",
            "Accepted publickey for jdoe from 198.51.100.7 port 22",
            "session opened for user jdoe by (uid=0)",
            "CN=jdoe,OU=Staff,DC=corp,DC=test",
        ],
    )
    def test_an_account_name_beside_its_label_or_in_a_log_is_masked(self, text: str) -> None:
        name = "j.doe" if "j.doe" in text else "jdoe"
        assert sanitise_description(RULE, text) == text.replace(name, "[removed: account name]")

    @pytest.mark.parametrize(
        ("text", "name"),
        [
            ("User j.doe clicked the link", "j.doe"),
            ("the account Jane.Doe was used", "Jane.Doe"),
            ("Gebruiker jane.doe heeft geklikt", "jane.doe"),
            ("the VPN account ext-doe with a stolen code", "ext-doe"),
            ("L'utente j.doe ha aperto", "j.doe"),
        ],
    )
    def test_a_login_that_shows_by_its_form_is_masked_in_a_sentence(
        self, text: str, name: str
    ) -> None:
        assert sanitise_description(RULE, text) == text.replace(name, "[removed: account name]")

    @pytest.mark.parametrize(
        "text",
        [
            *("user evil.top was seen", "account list.csv", "login page.html", "user index.php,"),
            *("user agent and account manager", "the account svc_update"),
            "it reached login admin-panel and users admin_panel of evil.top",
            "Telegram user ID: 5512345678",
            "user id = 4711",
            *("user Net.WebClient", "users a.b.c", "user j.doe@", "account j.doe(x)"),
        ],
    )
    def test_hosts_files_and_other_words_behind_such_a_noun_stay(self, text: str) -> None:
        assert sanitise_description(RULE, text) == text

    @pytest.mark.parametrize(
        ("text", "names"),
        [
            ("Users: jdoe, kroe and m.smith", ["jdoe", "kroe", "m.smith"]),
            ("Betroffene Konten: jdoe; kroe", ["jdoe", "kroe"]),
            (r"run by CORP\jdoe on it", ["jdoe"]),
            (r"whoami -> corp\jdoe", ["jdoe"]),
            ("Account jdoe was locked", ["jdoe"]),
            ("Benutzer jdoe hat sich von dort angemeldet", ["jdoe"]),
            ("le compte jdoe a été utilisé", ["jdoe"]),
            ("sudo: jdoe : TTY=pts/0", ["jdoe"]),
            ('{"user":{"name":"jdoe","domain":"CORP"}}', ["jdoe"]),
            ("User <jdoe> IP <45.9.70.7> closed", ["jdoe"]),
            ("jdoe@web-7:~$ curl x", ["jdoe"]),
        ],
    )
    def test_accounts_in_lists_outputs_and_before_what_happens_to_them_are_masked(
        self, text: str, names: list[str]
    ) -> None:
        after = text
        for name in names:
            after = after.replace(name, "[removed: account name]", 1)
        assert sanitise_description(RULE, text) == after

    @pytest.mark.parametrize(
        "text",
        [
            "Malicious accounts: jdoe, kroe",
            "The attackers' accounts: jdoe, kroe",
            "users are locked out, and the account was disabled",
            "shows users currently logged into it",
            r"a victim ID\n and dev ID\u2019s",
            "Accounts: admin, root, test",
            "Users: open the attachment, and enable macros",
            r"SOFTWARE\microsoft and TEMP\payload, CORP\agent.exe",
            "the user account was locked and the user then logged in",
            "root@kali:~# nmap",
        ],
    )
    def test_what_only_looks_like_such_an_account_stays(self, text: str) -> None:
        assert sanitise_description(RULE, text) == text

    def test_a_persons_security_identifier_is_masked(self) -> None:
        domain = "S-1-5-21-3623811015-3361044348-30300820"
        assert (
            sanitise_description(RULE, f"run as {domain}-1013") == "run as [removed: account name]"
        )
        assert sanitise_description(RULE, f"run as {domain}-500") == f"run as {domain}-500"

    @pytest.mark.parametrize(
        "text",
        [
            "user: admin",
            "Account: SYSTEM",
            "Account Name:\t\tANONYMOUS LOGON",
            "Account Name:\t\tDWM-1\r\n\tAccount Domain:\t\tWindow Manager",
            "User:\topens the file",
            "login: required for all",
            "User: Mozilla/5.0",
            "https://evil.test/?user=ab12cd34",
            "HKLM\\Software as HKCU\\Software",
            "Accepted password for SSH users",
            "Failed password for invalid user oracle from 198.51.100.7 port 22",
            "CN=evil.test,O=Evil,C=US",
        ],
    )
    def test_shared_accounts_and_placeholders_stay(self, text: str) -> None:
        assert sanitise_description(RULE, text) == text

    def test_the_setting_for_users_is_theirs(self) -> None:
        assert sanitise_description(RULE, "user: jdoe", {"users": "keep"}) == "user: jdoe"

    def test_what_an_indicator_matches_on_is_no_text(self) -> None:
        pattern = "[process:command_line = 'net user: jdoe']"
        assert apply_rule(RULE, indicator(pattern)).is_open

    @pytest.mark.parametrize(
        "subject",
        [
            indicator(
                "[windows-registry-key:key = 'HKEY_USERS\\\\S-1-5-21-1-2-3-1001\\\\Software']"
            ),
            indicator("[user-account:user_id = 'S-1-5-21-1-2-3-1013']"),
            {"type": "windows-registry-key", "key": "HKEY_USERS\\s-1-5-21-1-2-3-1013\\Software"},
            {"type": "user-account", "user_id": "S-1-5-21-1-2-3-1013"},
        ],
    )
    def test_what_is_about_a_persons_security_identifier_is_held(self, subject: Any) -> None:
        assert apply_rule(RULE, subject, secrets=["1013"]).verdict is Verdict.HELD

    @pytest.mark.parametrize("end", ["S-1-5-21-1-2-3-500", "S-1-5-18", "S-1-5-21-\\\\d+"])
    def test_identifiers_of_every_machine_and_classes_of_them_pass(self, end: str) -> None:
        pattern = f"[windows-registry-key:key MATCHES 'HKEY_USERS\\\\{end}']"
        assert apply_rule(RULE, indicator(pattern)).is_open

    @pytest.mark.parametrize(
        ("target", "masked"),
        [
            (
                "/a.php?user=jdoe&password=hunter2&token=af31c0",
                "/a.php?user=[removed: account name]&password=[removed: token]"
                "&token=[removed: token]",
            ),
            ("GET /x?sid=af31c0 HTTP/1.1", "GET /x?sid=[removed: token] HTTP/1.1"),
            ("/x?user=admin&page=2", "/x?user=admin&page=2"),
            ("/x?id=7", "/x?id=7"),
        ],
    )
    def test_accounts_and_secrets_in_the_target_of_a_request_are_masked(
        self, target: str, masked: str
    ) -> None:
        request = {"http-request-ext": {"request_method": "get", "request_value": target}}
        traffic = {"type": "network-traffic", "extensions": request}
        found = apply_rule(RULE, traffic, secrets=["jdoe", "hunter2", "af31c0"]).object
        assert found["extensions"]["http-request-ext"]["request_value"] == masked

    @pytest.mark.parametrize(
        "subject",
        [
            indicator("[user-account:credential = 'hunter2']"),
            indicator("[process:creator_user_ref.credential LIKE 'hunter%']"),
            indicator("[user-account:display_name = 'Jane Roe']"),
            indicator("[process:creator_user_ref.display_name = 'Jane Roe']"),
            indicator("[email-addr:belongs_to_ref.display_name = 'Jane Roe']"),
            indicator("[email-message:from_ref.belongs_to_ref.display_name = 'Jane Roe']"),
            indicator("[user-account:account_login = 'jane.doe@evil-bank.com']"),
            indicator(
                "[x509-certificate:subject = 'CN=Jane Roe, emailAddress=jane@evil-bank.com']"
            ),
            indicator(
                "[x509-certificate:x509_v3_extensions.subject_alternative_name"
                " = 'email:jane.doe@evil-bank.com']"
            ),
            {"type": "user-account", "account_login": "jane.doe@evil-bank.com"},
        ],
    )
    def test_what_is_about_a_password_or_somebodys_mailbox_is_held(self, subject: Any) -> None:
        secrets = ["hunter", "jane.doe", "Jane"]
        assert apply_rule(RULE, subject, secrets=secrets).verdict is Verdict.HELD

    def test_an_account_that_is_no_mailbox_passes(self) -> None:
        assert apply_rule(RULE, {"type": "user-account", "account_login": "jdoe"}).is_open


class TestKeys:
    @pytest.mark.parametrize(
        ("text", "secret"),
        [
            ("https://b.test/r?code=af31c09d7e11", "af31c09d7e11"),
            ("https://b.test/r?ticket=ST-af31", "ST-af31"),
            ("https://b.test/r?X-Amz-Signature=af31c09d", "af31c09d"),
            ("https://b.test/r?client_secret=af31c09d", "af31c09d"),
            ("https://b.test/reset-password/af31c09d7e11af31c09d7e11", "af31c09d7e11af31c09d7e11"),
            ("key AKIAIOSFODNN7ABCDEFG leaked", "AKIAIOSFODNN7ABCDEFG"),
            (
                "ghp_16C7e42F292c6912E7710c838347Ae178B4a",
                "ghp_16C7e42F292c6912E7710c838347Ae178B4a",
            ),
            (
                "hooks.slack.com/services/T02AB3CD4/B02AB3CD5/AbCdEfGh",
                "T02AB3CD4/B02AB3CD5/AbCdEfGh",
            ),
            ("Authorization: Basic dXNlcjpwYXNz", "dXNlcjpwYXNz"),
            ('-H "X-Api-Key: af31c09d7e11"', "af31c09d7e11"),
            ("AccountKey=" + "af31" * 11 + "==;Endpoint", "af31" * 11 + "=="),
            ("dckr_pat_af31c09d7e11af31c09d7e11", "dckr_pat_af31c09d7e11af31c09d7e11"),
            ("user: [removed: account name] password: Sommer24!", "Sommer24!"),
            ("* Username : [removed: x]\n * Domain : A\n * Password : Sommer24!", "Sommer24!"),
            ("Cookie: a=b; JSESSIONID=AF31C09D7E11AF31; path=/", "AF31C09D7E11AF31"),
            ("the user entered her password Sommer24! there", "Sommer24!"),
            ("NSC_AAAC=af31c09d7e11af31c0 was replayed", "af31c09d7e11af31c0"),
            ("found api_key=8fa9b1c2d3e4f5a6 in a repo", "8fa9b1c2d3e4f5a6"),
            ("our client secret is Ab3~kkdd882919", "Ab3~kkdd882919"),
        ],
    )
    def test_what_opens_a_door_is_masked(self, text: str, secret: str) -> None:
        assert sanitise_description(RULE, text) == text.replace(secret, "[removed: token]")

    @pytest.mark.parametrize(
        "text",
        [
            "https://b.test/r?code=US",
            "https://b.test/verify/step2.php",
            "the archive's password: infected",
            "user: admin password: admin123",
            "SMTP username: logs@evil.top Password: hunter2",
            "task-AKIA",
            "Cookie: SESSIONID=AF31C09D7E11AF31",
            "PHPSESSID=1 is fixed",
            "the C2 needs api_key=8fa9b1c2d3e4f5a6",
            "api_key=[0-9a-f]{16} is looked for",
            "access token: none",
        ],
    )
    def test_what_opens_none_stays(self, text: str) -> None:
        assert sanitise_description(RULE, text) == text
