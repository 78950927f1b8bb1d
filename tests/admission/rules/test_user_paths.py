"""user_paths: names and secrets in paths and URLs."""

import base64
from typing import Any

import pytest
from support.rules import apply_rule, indicator, sanitise_description

from tocsin.admission.model import Action, Verdict

RULE = "user_paths"
HIDDEN = base64.b64encode(b"jane.doe@bank.com").decode()


class TestInTexts:
    @pytest.mark.parametrize(
        ("before", "after"),
        [
            (r"C:\Users\jdoe\x.exe", r"C:\Users\{}\x.exe"),
            (r"c:\\users\\jdoe\\x.exe", r"c:\\users\\{}\\x.exe"),
            (r"C:/Users/jdoe/x", "C:/Users/{}/x"),
            (r"C:\Users\Jane Doe\Desktop", r"C:\Users\{}\Desktop"),
            (r"C:\Documents and Settings\jdoe", r"C:\Documents and Settings\{}"),
            (r"D:\Benutzer\jdoe\x", r"D:\Benutzer\{}\x"),
            (r"\\srv01\Users\jdoe\x", r"\\srv01\Users\{}\x"),
            ("/home/jdoe/.ssh/id_rsa", "/home/{}/.ssh/id_rsa"),
            ("/Users/jdoe/Library", "/Users/{}/Library"),
            ("file:///home/jdoe/x", "file:///home/{}/x"),
            ("https://x.test/personal/j_doe_bank_com/a", "https://x.test/personal/{}/a"),
            (
                "https://x.test/?u=%2Fpersonal%2Fj%5Fdoe%5Fbank%5Fcom%2Fa",
                "https://x.test/?u=%2Fpersonal%2F{}%2Fa",
            ),
        ],
    )
    def test_a_user_name_in_a_path_is_masked_and_the_path_stays(
        self, before: str, after: str
    ) -> None:
        mask = "[removed: user name in a path]"
        assert sanitise_description(RULE, f"at {before}, seen") == f"at {after.format(mask)}, seen"

    @pytest.mark.parametrize(
        "path",
        [
            *(r"C:\Users\Public\x", r"C:\Users\%USERNAME%\x", r"C:\Users\<name>\x"),
            *(r"C:\Users\Administrator\x", r"C:\Users\All Users\x", r"C:\Users\*\x"),
            *(r"%USERPROFILE%\x", r"\\server\share\x", "/home/user/x", "/home/$USER/x"),
            *("https://evil.test/personal/loans/a", "https://evil.test/personal/a_b"),
            *("https://evil.test/home/index.html", "POST /users/list", r"C:\Users\[^\\]+\\x"),
        ],
    )
    def test_placeholder_names_and_other_paths_stay(self, path: Any) -> None:
        assert sanitise_description(RULE, path) == path

    def test_the_user_name_in_a_path_to_a_debugging_file_stays(self) -> None:
        path = r"C:\Users\viktor\Visual Studio 2015\loader\Release\loader.pdb"
        assert sanitise_description(RULE, path) == path

    @pytest.mark.parametrize(
        ("before", "after"),
        [
            (
                "http://jane:hunter2@evil.test/x",
                "http://[removed: credentials in a URL]evil.test/x",
            ),
            (
                "hxxp://jane:hunter2@evil[.]test",
                "hxxp://[removed: credentials in a URL]evil[.]test",
            ),
            ("https://evil.test/?sid=af31&a=1", "https://evil.test/?sid=[removed: token]&a=1"),
            ("https://evil.test/?a=1&password=q", "https://evil.test/?a=1&password=q"),
            (
                "https://evil.test/?a=1&password=qwe",
                "https://evil.test/?a=1&password=[removed: token]",
            ),
            (
                "https://evil.test/?to=jane%40bank.com",
                "https://evil.test/?to=[removed: e-mail address in a URL]",
            ),
            (
                f"https://evil.test/#{HIDDEN}",
                "https://evil.test/#[removed: e-mail address in a URL]",
            ),
            ("Authorization: Bearer abcdef0123456789abc", "Authorization: Bearer [removed: token]"),
        ],
    )
    def test_secrets_in_urls_are_masked(self, before: str, after: str) -> None:
        assert sanitise_description(RULE, before) == after

    def test_a_json_web_token_is_masked_anywhere(self) -> None:
        token = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJqYW5lIn0.c2lnbmF0dXJl"
        assert sanitise_description(RULE, f"sent {token} back") == "sent [removed: token] back"

    @pytest.mark.parametrize(
        "text",
        ["https://cdn.test/npm/vue@2.6.14/vue.js", "https://evil.test:8443/a?b=c", "key=value"],
    )
    def test_urls_without_secrets_stay(self, text: str) -> None:
        assert sanitise_description(RULE, text) == text

    def test_a_url_that_is_itself_the_indicator_keeps_its_token(self) -> None:
        url = "https://evil.test/?token=af31"
        subject = indicator(f"[url:value = '{url}']", name=url)
        assert apply_rule(RULE, subject).object == subject

    @pytest.mark.parametrize(
        "piece", ["C:\\Users\\", "/home/", "http://a:", "?key=", "eyJ", "a@b."]
    )
    def test_searching_hostile_paths_takes_linear_time(self, piece: str) -> None:
        apply_rule(RULE, indicator(description=f"http://x/{piece * 20_000} /home/"))


class TestInPatternsAndObservables:
    @pytest.mark.parametrize(
        "pattern",
        [
            r"[file:name = 'C:\\Users\\jdoe\\x.exe']",
            r"[directory:path = 'C:\\Users\\jdoe']",
            "[process:command_line LIKE '%/home/jdoe/x%']",
            "[url:value = 'https://evil.test/?to=jane@bank.com']",
            "[url:value = 'https://evil.test/?to=test.jane@bank.com']",
            f"[url:value = 'https://evil.test/#{HIDDEN}']",
            "[url:value = 'ftp://jane:hunter2@evil.test/']",
            "[url:value = 'https://bank-my.sharepoint.test/personal/jane_bank_com/a.zip']",
        ],
    )
    def test_a_pattern_that_names_a_user_is_held_unchanged(self, pattern: str) -> None:
        candidate = apply_rule(RULE, indicator(pattern), secrets=["jdoe", "jane"])
        assert candidate.verdict is Verdict.HELD
        assert candidate.object["pattern"] == pattern

    @pytest.mark.parametrize(
        "pattern",
        [
            r"[file:name = 'C:\\Users\\Public\\x.exe']",
            r"[directory:path = '%USERPROFILE%\\x']",
            "[url:value = 'https://evil.test/?token=4ac98b2d&email=']",
            "[url:value = 'https://evil.test/?to=REDACTED@bank.com']",
            "[url:value = 'https://evil.test/?to=jane@example.or.jp']",
            r"[file:name = 'C:\\Users\\viktor\\loader.pdb']",
        ],
    )
    def test_a_pattern_that_names_no_user_passes(self, pattern: str) -> None:
        assert apply_rule(RULE, indicator(pattern)).findings == ()

    def test_an_observable_that_names_a_user_is_held(self) -> None:
        folder = {"type": "directory", "path": r"C:\Users\jdoe\AppData"}
        assert apply_rule(RULE, folder).verdict is Verdict.HELD

    @pytest.mark.parametrize("hidden", ["\u202e", "\u200b", "\u2066", "\u00ad"])
    def test_hidden_characters_do_not_hide_the_name_of_a_user(self, hidden: str) -> None:
        path = f"C:\\Us{hidden}ers\\{hidden}jdoe\\x.exe"
        assert apply_rule("user_paths", {"type": "file", "name": path}).verdict is Verdict.HELD

    def test_a_pattern_in_another_language_that_names_a_user_is_held(self) -> None:
        subject = {**indicator(r'strings: $a = "C:\\Users\\jdoe\\x"'), "pattern_type": "yara"}
        assert apply_rule(RULE, subject).verdict is Verdict.HELD
        generalise = {"value_users": "generalise"}
        assert apply_rule(RULE, subject, generalise).verdict is Verdict.HELD

    def test_a_pattern_that_names_a_user_may_be_refused_or_kept(self) -> None:
        subject = indicator(r"[file:name = 'C:\\Users\\jdoe\\x.exe']")
        assert apply_rule(RULE, subject, {"value_users": "refuse"}).verdict is Verdict.REFUSED
        assert apply_rule(RULE, subject, {"value_users": "keep"}).object == subject


class TestGeneralise:
    SETTINGS = {"value_users": "generalise", "value_emails": "generalise"}

    @pytest.mark.parametrize(
        ("before", "after_"),
        [
            (
                r"[file:name = 'C:\\Users\\jdoe\\x.exe']",
                r"[file:name LIKE 'C:\\Users\\%\\x.exe']",
            ),
            (
                r"[file:name IN ('/home/jdoe/a', '/tmp/a') AND file:size > 3]",
                "[(file:name = '/tmp/a' OR file:name LIKE '/home/%/a') AND file:size > 3]",
            ),
            (
                "[url:value = 'https://evil.test/?to=jane@bank.com']",
                "[url:value LIKE 'https://evil.test/?to=%']",
            ),
        ],
    )
    def test_a_generalised_pattern_matches_every_users_folder(
        self, before: str, after_: str
    ) -> None:
        candidate = apply_rule(RULE, indicator(before), self.SETTINGS)
        assert candidate.is_open
        assert candidate.object["pattern"] == after_
        assert candidate.findings[0].action is Action.REPLACED

    @pytest.mark.parametrize(
        "pattern",
        [
            "[file:name != '/home/jdoe/a']",
            "[file:name MATCHES '^/home/jdoe/']",
            "[file:name NOT IN ('/home/jdoe/a', 'b')]",
        ],
    )
    def test_a_pattern_that_cannot_be_widened_is_held(self, pattern: str) -> None:
        candidate = apply_rule(RULE, indicator(pattern), self.SETTINGS)
        assert candidate.verdict is Verdict.HELD
        assert candidate.object["pattern"] == pattern

    def test_the_old_pattern_in_the_text_is_masked_too(self) -> None:
        subject = indicator("[file:name = '/home/jdoe/a']", name="/home/jdoe/a")
        assert "jdoe" not in apply_rule(RULE, subject, self.SETTINGS).object["name"]
