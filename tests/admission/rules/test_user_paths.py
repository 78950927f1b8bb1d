"""user_paths: names and secrets in paths and URLs."""

import base64
import time
from typing import Any

import pytest
from support.rules import apply_rule, indicator, rule_context, sanitise_description
from support.slowness import measure_slowness

from tocsin.admission.detectors.credentials import find_password_hashes
from tocsin.admission.model import Action, Candidate, Verdict
from tocsin.admission.rules import build_rule

RULE = "user_paths"
LM = "aad3b435b51404eeaad3b435b51404ee"
HASHES = [
    f"jdoe:1001:{LM}:31d6cfe0d16ae931b73c59d7e0c089c0:::",
    f"CORP.LOCAL\\jdoe:500:{LM.upper()}:31D6CFE0D16AE931B73C59D7E0C089C0:::",
    f"jdoe:1001:NO PASSWORD*********************:{LM}:::",
    "root:$6$saltsalt$aBcDeFgHiJkLmNoPqRsTuVwXyZ012345./:19000:0:99999:7:::",
    "jdoe:$y$j9T$abcdefgh$aBcDeFgHiJkLmNoPqRsTuVwXyZ:19000:0:99999:7:::",
    f"jdoe::CORP:1122334455667788:{LM}:0101000000000000aabbccdd",
]
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
            ("AUTHORIZATION: BEARER abcdef0123456789abc", "AUTHORIZATION: BEARER [removed: token]"),
        ],
    )
    def test_secrets_in_urls_are_masked(self, before: str, after: str) -> None:
        assert sanitise_description(RULE, before) == after

    @pytest.mark.parametrize("line", HASHES)
    def test_an_account_with_its_password_hash_is_masked(self, line: str) -> None:
        masked = sanitise_description(RULE, f"dumped:\n{line}\nand more")
        assert masked.startswith("dumped:\n[removed: account with its password hash]")
        assert masked.endswith("\nand more") and "jdoe" not in masked
        subject = indicator(f"[file:name LIKE '%{line}%']".replace("\\", "\\\\"))
        assert apply_rule(RULE, subject, secrets=["jdoe"]).verdict is Verdict.HELD
        assert apply_rule(RULE, subject, {"value_credentials": "keep"}).is_open

    @pytest.mark.parametrize(
        "text",
        [
            f"a:7:{LM}:x and {LM}:{LM}",
            "2001:db8::1 and std::string::size",
            "root:x:0:0:root:/root:/bin/sh",
            "a webshell with $2y$10$abcdefghijklmnopqrstuv",
            "echo a:$1$abcdefgh$abcdefgh",
        ],
    )
    def test_what_looks_like_a_password_hash_stays(self, text: str) -> None:
        assert sanitise_description(RULE, text) == text

    @pytest.mark.parametrize(
        "piece", [":", "a:", ":7:", ":$6$", ":$6$aaaaaaaa:", "::a:", f":7:{LM}"]
    )
    def test_searching_hostile_hashes_takes_linear_time(self, piece: str) -> None:
        text = piece * (200_000 // len(piece))
        began = time.process_time()
        list(find_password_hashes(text))
        assert time.process_time() - began < 1 * measure_slowness()

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

    @pytest.mark.slow
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
            "[url:value = 'https://evil.test/jane@example.or.jp/']",
            "[url:value = 'https://www.bank.co.jpkacpzn@evil.test/']",
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


def url_indicator(url: str, **more: Any) -> Any:
    return indicator(f"[url:value = '{url}']", **more)


class TestMailboxesInUrls:
    @pytest.mark.parametrize(
        ("before", "after"),
        [
            ("https://evil.test/in?to=jane@bank.com", "https://evil.test/in?to="),
            ("https://evil.test/in?to=test.jane@bank.com&a=1", "https://evil.test/in?to=&a=1"),
            ("https://evil.test/in?a=1&to=jane%40bank.com", "https://evil.test/in?a=1&to="),
            ("https://evil.test/in?to=jane%2540bank.com", "https://evil.test/in?to="),
            ("https://evil.test/in?to=jane%252540bank.com", "https://evil.test/in?to="),
            ("https://evil.test/in?to=jane%2Edoe%40bank%2Ecom", "https://evil.test/in?to="),
            (
                "https://evil.test/in?to=%6A%61%6E@%62%61nk%2Ecom&a=1",
                "https://evil.test/in?to=&a=1",
            ),
            ("https://evil.test/in?to=jane@b\u00fccher.de", "https://evil.test/in?to="),
            ("https://evil.test/in?to=jane@bank.xn--p1ai", "https://evil.test/in?to="),
            ("https://evil.test/in?jane@bank.com", "https://evil.test/in"),
            ("https://evil.test/#jane@bank.com", "https://evil.test/"),
            (
                "https://evil.test/a#/in?to=mailto:jane@bank.com",
                "https://evil.test/a#/in?to=mailto:",
            ),
            ("https://evil.test/a?b=1#jane@bank.com", "https://evil.test/a?b=1"),
            (f"https://evil.test/#{HIDDEN}", "https://evil.test/"),
            (f"https://evil.test/in?to={HIDDEN}%3D&a=1", "https://evil.test/in?to=&a=1"),
            (f"https://evil.test/in?id={b'jane.doe@bank.com'.hex()}", "https://evil.test/in?id="),
            (
                "https://evil.test/?r=https%3A%2F%2Fx.test%2F%3Fto%3Djane%40bank.com",
                "https://evil.test/?r=https%3A%2F%2Fx.test%2F%3Fto%3D",
            ),
            ("https://evil.test/in?to=REDACTED@bank.com", "https://evil.test/in?to="),
            ("https://evil.test/in?to=jane@bank.example", "https://evil.test/in?to="),
        ],
    )
    def test_a_mailbox_in_a_parameter_is_cut_out_of_the_url_and_a_finding_says_so(
        self, before: str, after: str
    ) -> None:
        candidate = apply_rule(RULE, url_indicator(before), secrets=["jane", "bank"])
        assert candidate.is_open
        assert candidate.object["pattern"] == f"[url:value = '{after}']"
        [finding] = candidate.findings
        assert (finding.action, finding.path) == (Action.REPLACED, "pattern")
        assert "without the e-mail address" in finding.message

    @pytest.mark.parametrize(
        "url",
        [
            "https://evil.test/jane@bank.com/in",
            f"https://evil.test/in/{HIDDEN}",
            "https://jane%40bank.com@evil.test/",
            "https://evil.test/jane@bank.com/?to=jane@bank.com",
            "https://evil.test/?jane@bank.com",
            "https://evil.test/in?jane@bank.com=1",
            "https://evil.test/in?d=05%7C01%7Cjane@bank.com%7Cab",
            "https://evil.test/in?to=Jane%20Doe%20jane@bank.com",
            f"https://evil.test/in?r={base64.b64encode(b'http://x.test/?to=jane@bank.com').decode()}",
            "https://evil.test/in?to=jane@bank.com&name=jane",
            "https://evil.test/in?to=jane@bank.com&logo=bank.com",
            "evil.test/in?to=jane@bank.com",
            "evil.test/in?to=jane@bank.com&r=http://x.test/a",
            "https://evil.test/jane%2Edoe%40bank%2Ecom/in",
            "https://evil.test/in?r=http%253A%252F%252Fx.test%252F%253Fto%253Djane%252540bank.com",
            "https://evil.test/in?to=jane\uff20bank.com&name=jane",
            "https://evil.test/in?q=hello jane@bank.com",
            'https://evil.test/in?to="jane@bank.com"',
            "https://evil.test/in?to=<jane@bank.com>",
            f"https://evil.test/{'p' * 5_000}?to=jane@bank.com",
            f"https://evil.test/in?{'&'.join(f'to={n}jane@bank.com' for n in range(60))}",
            "https://evil.test/in?to=bounce+jane=bank.com@mailer.com",
        ],
    )
    def test_a_url_that_would_be_another_or_still_name_somebody_is_held_unchanged(
        self, url: str
    ) -> None:
        candidate = apply_rule(RULE, url_indicator(url), secrets=["jane", "bank"])
        assert candidate.verdict is Verdict.HELD
        assert candidate.object["pattern"] == f"[url:value = '{url}']"

    @pytest.mark.parametrize(
        "pattern",
        [
            "[url:value != 'https://evil.test/in?to=jane@bank.com']",
            "[url:value LIKE 'https://evil.test/in?to=jane@bank.com%']",
            "[url:value LIKE '%to=jane@bank.com%']",
            r"[url:value MATCHES '^https://evil\\.test/in\\?to=jane@bank\\.com']",
            "[network-traffic:extensions.'http-request-ext'.request_value = '/i?t=j@bank.com']",
        ],
    )
    def test_a_mailbox_in_another_comparison_is_held(self, pattern: str) -> None:
        assert apply_rule(RULE, indicator(pattern)).verdict is Verdict.HELD

    def test_of_several_urls_only_those_with_a_mailbox_are_cut(self) -> None:
        urls = "('https://b.test/', 'https://evil.test/in?to=jane@bank.com')"
        candidate = apply_rule(RULE, indicator(f"[url:value IN {urls}]"))
        assert candidate.object["pattern"] == (
            "[url:value IN ('https://b.test/', 'https://evil.test/in?to=')]"
        )

    def test_the_mailbox_is_masked_in_the_name_too(self) -> None:
        url = "https://evil.test/in?to=jane@bank.com"
        candidate = apply_rule(RULE, url_indicator(url, name=url))
        assert "jane" not in str(candidate.object)

    def test_an_observable_is_held_because_its_id_follows_from_its_value(self) -> None:
        subject = {"type": "url", "value": "https://evil.test/in?to=jane@bank.com"}
        assert apply_rule(RULE, subject).verdict is Verdict.HELD

    def test_reports_that_differ_in_the_victim_only_have_the_same_key(self) -> None:
        keys = {
            build_rule(RULE, rule_context())(
                Candidate(0, url_indicator(f"https://evil.test/in?to={victim}"), key=victim)
            ).key
            for victim in ("jane@bank.com", "joe@mill.com")
        }
        assert len(keys) == 1

    def test_the_policy_may_hold_or_keep_it(self) -> None:
        subject = url_indicator("https://evil.test/in?to=jane@bank.com")
        assert apply_rule(RULE, subject, {"value_emails": "hold"}).verdict is Verdict.HELD
        assert apply_rule(RULE, subject, {"value_emails": "keep"}).object == subject

    @pytest.mark.parametrize(
        "piece", ["a@b.", "YWJj", "61", "&a=", "j@a.de&", "/aaaaaaaaaaaa", "%2540", "a%40b."]
    )
    def test_searching_a_hostile_url_takes_linear_time(self, piece: str) -> None:
        apply_rule(RULE, url_indicator(f"http://x.test/?{piece * 800}"))
        apply_rule(RULE, indicator(description=f"http://x.test/{piece * 20_000}"))


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
