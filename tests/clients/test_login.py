"""`tocsin login` and `tocsin logout`, and the credential in two settings or in the keyring."""

import stat
import subprocess
import sys
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from support.taxii_servers import KEY, Medallion
from support.terminal import run_on_terminal

from tocsin.clients.credentials import KeyringError, load_secret, read_credential, write_settings
from tocsin.clients.files import UnusableFile
from tocsin.config.settings import ClientSettings

Run = Callable[..., Any]
ACCOUNT, _, SECRET = KEY.partition(":")
NO_NAMES = ("Enter for none): ", "\n")
"""The answer to the question for the organisation's names."""
LOGIN = [sys.executable, "-m", "tocsin.clients", "login"]
FAKE_KEYRING = """
import json, pathlib
FILE = pathlib.Path(__file__).with_name("ring.json")
def _all():
    return json.loads(FILE.read_text()) if FILE.exists() else {}
def set_password(service, user, secret):
    FILE.write_text(json.dumps(_all() | {f"{service}|{user}": secret}))
def get_password(service, user):
    return _all().get(f"{service}|{user}")
def delete_password(service, user):
    FILE.write_text(json.dumps({k: v for k, v in _all().items() if k != f"{service}|{user}"}))
class _Keyring:
    priority = float(pathlib.Path(__file__).with_name("priority").read_text())
def get_keyring():
    return _Keyring
"""


@pytest.fixture
def url(partner: Medallion, monkeypatch: pytest.MonkeyPatch) -> str:
    """The URL of a server, while no variable names it."""
    monkeypatch.delenv("TOCSIN_URL")
    monkeypatch.delenv("TOCSIN_KEY")
    return partner.url


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "config" / "tocsin" / "client.toml"


def login(*words: str, stdin: str = SECRET) -> tuple[int, str]:
    """Run `tocsin login` without a terminal; returns the exit code and standard error."""
    ran = subprocess.run([*LOGIN, *words], input=stdin, capture_output=True, text=True)
    return ran.returncode, ran.stderr


class TestLogin:
    @pytest.mark.slow
    def test_after_a_login_commands_need_neither_url_nor_key(
        self, tocsin: Run, url: str, file: Path
    ) -> None:
        code, stderr = login("--url", url, "--account", ACCOUNT, "--no-keyring")
        assert (code, "works" in stderr) == (0, True), stderr
        assert tocsin("collections", "--json")[0] == 0

    @pytest.mark.slow
    def test_says_that_the_organisation_s_names_are_missing_until_they_are_set(
        self, url: str, file: Path
    ) -> None:
        words = ("--url", url, "--account", ACCOUNT, "--no-keyring")
        assert "next: write your organisation's names" in login(*words)[1]
        with file.open("a") as stream:
            stream.write('names = ["ACME Corp"]\n')
        assert "organisation's names" not in login(*words)[1]

    @pytest.mark.slow
    def test_the_file_and_its_folder_are_for_their_owner_only(self, url: str, file: Path) -> None:
        login("--url", url, "--account", ACCOUNT, "--no-keyring")
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
        assert stat.S_IMODE(file.parent.stat().st_mode) == 0o700

    @pytest.mark.slow
    def test_other_lines_of_the_file_stay_and_an_old_key_goes(self, url: str, file: Path) -> None:
        file.parent.mkdir(parents=True)
        file.write_text('# mine\nterms = ["acme.example"]\nkey = "old:key"\nurl = "https://old/"\n')
        file.chmod(0o644)
        assert login("--url", url, "--account", ACCOUNT, "--no-keyring")[0] == 0
        text = file.read_text()
        assert text.startswith('# mine\nterms = ["acme.example"]\n')
        assert tomllib.loads(text) == {
            **{"terms": ["acme.example"], "url": url, "account": ACCOUNT, "secret": SECRET}
        }
        assert stat.S_IMODE(file.stat().st_mode) == 0o600

    @pytest.mark.slow
    def test_a_whole_key_may_be_given_as_the_account(self, url: str, file: Path) -> None:
        assert login("--url", url, "--account", KEY, "--no-keyring", stdin="")[0] == 0
        assert tomllib.loads(file.read_text())["secret"] == SECRET

    @pytest.mark.slow
    def test_a_wrong_secret_is_not_kept(self, url: str, file: Path) -> None:
        code, stderr = login("--url", url, "--account", ACCOUNT, "--no-keyring", stdin="wrong")
        assert (code, file.exists(), "wrong" in stderr) == (3, False, False)

    @pytest.mark.slow
    @pytest.mark.parametrize(
        ("words", "stdin"),
        [
            (("--account", ACCOUNT), ""),
            (("--account", ACCOUNT), "two words"),
            (("--account", "two words"), SECRET),
            ((), SECRET),
        ],
    )
    def test_missing_and_impossible_values_are_wrong_usage(
        self, url: str, file: Path, words: tuple[str, ...], stdin: str
    ) -> None:
        code, stderr = login("--url", url, "--no-keyring", *words, stdin=stdin)
        assert (code, file.exists(), "Traceback" in stderr) == (2, False, False)

    @pytest.mark.slow
    def test_on_a_terminal_it_asks_and_does_not_show_the_secret(self, url: str, file: Path) -> None:
        questions = ("URL of the hub: ", "Account: ", "Secret (not shown): ")
        texts = (f"{url}\n", f"{ACCOUNT}\n", f"{SECRET}\n")
        answers = [*zip(questions, texts, strict=True), NO_NAMES]
        code, written = run_on_terminal([*LOGIN, "--no-keyring"], 80, 60, answers=answers)
        assert code == 0, written
        after_prompt = written.partition("Secret (not shown)")[2]
        assert SECRET not in after_prompt
        assert tomllib.loads(file.read_text())["account"] == ACCOUNT

    @pytest.mark.slow
    def test_on_a_terminal_it_asks_for_names_and_domains_and_keeps_them(
        self, tocsin: Run, url: str, file: Path
    ) -> None:
        answers = [
            ("Secret (not shown): ", f"{SECRET}\n"),
            ("Enter for none): ", "ACME Corp, ACME\n"),
            ("(likewise): ", "acme.example\n"),
        ]
        command = [*LOGIN, "--no-keyring", "--url", url, "--account", ACCOUNT]
        code, written = run_on_terminal(command, 80, 60, answers=answers)
        assert code == 0, written
        kept = tomllib.loads(file.read_text())
        assert (kept["names"], kept["terms"]) == (["ACME Corp", "ACME"], ["acme.example"])
        Path("a.txt").write_text("evil-portal.top of ACME Corp\n")
        assert tocsin("check", "a.txt")[0] == 0

    @pytest.mark.slow
    def test_terms_of_the_file_are_not_asked_for_and_stay(self, url: str, file: Path) -> None:
        write_settings(file, {"terms": ["acme.example"]})
        answers = [
            ("Secret (not shown): ", f"{SECRET}\n"),
            ("Enter for none): ", "ACME Corp\n"),
        ]
        command = [*LOGIN, "--no-keyring", "--url", url, "--account", ACCOUNT]
        code, written = run_on_terminal(command, 80, 60, answers=answers)
        assert code == 0, written
        kept = tomllib.loads(file.read_text())
        assert (kept["names"], kept["terms"]) == (["ACME Corp"], ["acme.example"])

    @pytest.mark.slow
    def test_the_url_of_the_file_is_only_offered(self, url: str, file: Path) -> None:
        file.parent.mkdir(parents=True)
        file.write_text(f'url = "https://old.invalid/"\naccount = "{ACCOUNT}"\n')
        answers = [
            ("URL of the hub [https://old.invalid/]: ", f"{url}\n"),
            (f"Account [{ACCOUNT}]: ", "\n"),
            ("Secret (not shown): ", f"{SECRET}\n"),
            NO_NAMES,
        ]
        code, written = run_on_terminal([*LOGIN, "--no-keyring"], 80, 60, answers=answers)
        assert code == 0, written
        assert tomllib.loads(file.read_text())["url"] == url

    @pytest.mark.slow
    def test_a_url_of_the_environment_is_not_asked_for(
        self, url: str, file: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("TOCSIN_URL", url)
        answers = [("Account: ", f"{ACCOUNT}\n"), ("Secret (not shown): ", f"{SECRET}\n"), NO_NAMES]
        code, written = run_on_terminal([*LOGIN, "--no-keyring"], 80, 60, answers=answers)
        assert (code, "URL of the hub" in written) == (0, False), written

    @pytest.mark.slow
    def test_a_link_in_place_of_the_file_is_not_written_through(
        self, url: str, file: Path, tmp_path: Path
    ) -> None:
        file.parent.mkdir(parents=True)
        (tmp_path / "target").write_text("")
        file.symlink_to(tmp_path / "target")
        code, stderr = login("--url", url, "--account", ACCOUNT, "--no-keyring")
        assert (code, "symbolic link" in stderr, (tmp_path / "target").read_text()) == (2, True, "")


class TestKeyring:
    @pytest.fixture(autouse=True)
    def installed(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """A package `keyring` that keeps secrets in a file."""
        (tmp_path / "site").mkdir()
        (tmp_path / "site" / "keyring.py").write_text(FAKE_KEYRING)
        (tmp_path / "site" / "priority").write_text("1")
        monkeypatch.setenv("PYTHONPATH", str(tmp_path / "site"))

    @pytest.mark.slow
    def test_the_secret_goes_into_the_keyring_and_not_into_the_file(
        self, url: str, file: Path, tmp_path: Path
    ) -> None:
        assert login("--url", url, "--account", ACCOUNT)[0] == 0
        assert SECRET not in file.read_text()
        assert SECRET in (tmp_path / "site" / "ring.json").read_text()
        command = [sys.executable, "-m", "tocsin.clients", "collections", "--json"]
        assert subprocess.run(command, capture_output=True).returncode == 0

    @pytest.mark.slow
    def test_logout_removes_the_secret_from_the_keyring(
        self, tocsin: Run, url: str, file: Path, tmp_path: Path
    ) -> None:
        assert login("--url", url, "--account", ACCOUNT)[0] == 0
        ran = subprocess.run([*LOGIN[:-1], "logout"], capture_output=True, text=True)
        assert ran.returncode == 0 and "removed from the keyring" in ran.stderr
        assert SECRET not in (tmp_path / "site" / "ring.json").read_text()
        assert "keyring" not in tomllib.loads(file.read_text())

    @pytest.mark.slow
    def test_where_the_package_finds_no_keyring_the_secret_goes_into_the_file(
        self, url: str, file: Path, tmp_path: Path
    ) -> None:
        (tmp_path / "site" / "priority").write_text("0")  # that of a package without a keyring
        assert login("--url", url, "--account", ACCOUNT)[0] == 0
        assert tomllib.loads(file.read_text())["secret"] == SECRET
        assert not (tmp_path / "site" / "ring.json").exists()

    @pytest.mark.slow
    def test_a_secret_that_is_not_in_the_keyring_is_an_error_with_advice(
        self, url: str, file: Path
    ) -> None:
        file.parent.mkdir(parents=True)
        file.write_text(f'url = "{url}"\naccount = "{ACCOUNT}"\nkeyring = true\n')
        command = [sys.executable, "-m", "tocsin.clients", "collections"]
        ran = subprocess.run(command, capture_output=True, text=True)
        assert (ran.returncode, "store it with `tocsin login`" in ran.stderr) == (1, True)


class TestLogout:
    @pytest.fixture(autouse=True)
    def logged_in(self, url: str, file: Path) -> None:
        write_settings(
            file, {"url": url, "account": ACCOUNT, "secret": SECRET, "names": "ACME Corp"}
        )

    def test_the_secret_goes_and_the_other_lines_stay(
        self, tocsin: Run, url: str, file: Path
    ) -> None:
        code, _, stderr = tocsin("logout")
        assert (code, SECRET in stderr) == (0, False)
        assert f"removed from {file}" in stderr.replace("\n", " ")
        left = {"url": url, "account": ACCOUNT, "names": "ACME Corp"}
        assert tomllib.loads(file.read_text()) == left
        assert stat.S_IMODE(file.stat().st_mode) == 0o600

    def test_a_second_time_says_that_nothing_is_kept(self, tocsin: Run, file: Path) -> None:
        tocsin("logout")
        before = file.read_bytes()
        code, _, stderr = tocsin("logout")
        assert (code, "no secret is kept" in stderr) == (0, True)
        assert file.read_bytes() == before

    def test_without_a_file_none_is_made(self, tocsin: Run, file: Path) -> None:
        file.unlink()
        assert tocsin("logout")[0] == 0
        assert not file.exists()

    def test_a_secret_elsewhere_is_named(
        self, tocsin: Run, file: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("TOCSIN_KEY", "acme:other")
        stderr = tocsin("logout")[2]
        assert "variable TOCSIN_KEY still holds one" in stderr and "acme:other" not in stderr

    def test_a_keyring_that_cannot_be_used_leaves_the_file_as_it_is(
        self, tocsin: Run, file: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("tocsin.clients.credentials._is_installed", lambda: False)
        write_settings(file, {"secret": None, "keyring": True})
        before = file.read_bytes()
        code, _, stderr = tocsin("logout")
        assert (code, "still in the keyring" in stderr) == (1, True)
        assert file.read_bytes() == before


class TestUnusableKeyring:
    @pytest.fixture(autouse=True)
    def unusable(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """A package `keyring` whose keyring cannot be opened."""
        (tmp_path / "site").mkdir()
        broken = (
            "class _Keyring:\n    priority = 1\n"
            "get_keyring = _Keyring\n"
            "def set_password(*_):\n    raise RuntimeError('It is locked. Unlock it.')\n"
        )
        (tmp_path / "site" / "keyring.py").write_text(broken)
        monkeypatch.setenv("PYTHONPATH", str(tmp_path / "site"))

    @pytest.mark.slow
    def test_the_secret_goes_into_the_file_and_a_message_says_so(
        self, url: str, file: Path
    ) -> None:
        code, stderr = login("--url", url, "--account", ACCOUNT)
        assert (code, "keyring" in stderr) == (0, True), stderr
        assert tomllib.loads(file.read_text())["secret"] == SECRET

    @pytest.mark.slow
    def test_a_keyring_that_was_asked_for_is_an_error_and_nothing_is_saved(
        self, url: str, file: Path
    ) -> None:
        code, stderr = login("--url", url, "--account", ACCOUNT, "--keyring")
        assert (code, file.exists(), "(It is locked)" in stderr) == (1, False, True)


class TestSettings:
    @pytest.mark.parametrize(
        ("settings", "expected"),
        [
            (ClientSettings(account="acme", secret="s"), "acme:s"),
            (ClientSettings(secret="s"), "s"),
            (ClientSettings(account="acme"), ""),
            (ClientSettings(key="north:k", account="acme", secret="s"), "north:k"),
            (ClientSettings(), ""),
        ],
    )
    def test_account_and_secret_make_a_credential_unless_there_is_a_key(
        self, settings: ClientSettings, expected: str
    ) -> None:
        assert read_credential(settings) == expected

    def test_without_the_package_the_keyring_names_the_extra(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setitem(sys.modules, "keyring", None)
        with pytest.raises(KeyringError, match="tocsin\\[keyring\\]"):
            load_secret("https://hub.example/", "acme")

    def test_a_new_value_replaces_every_line_of_its_name(self, tmp_path: Path) -> None:
        file = tmp_path / "client.toml"
        file.write_text('url = "a"\n#url = "b"\n')
        write_settings(file, {"url": 'say "c"\\', "keyring": True, "key": None})
        assert tomllib.loads(file.read_text()) == {"url": 'say "c"\\', "keyring": True}
        assert '#url = "b"' in file.read_text()

    def test_a_mark_that_an_editor_begins_the_file_with_hides_no_setting(
        self, tmp_path: Path
    ) -> None:
        file = tmp_path / "client.toml"
        file.write_text('url = "a"\nterms = ["acme"]\n', encoding="utf-8-sig")
        write_settings(file, {"url": "b"})
        assert tomllib.loads(file.read_text("utf-8-sig")) == {"url": "b", "terms": ["acme"]}

    def test_a_character_beyond_16_bits_is_kept(self, tmp_path: Path) -> None:
        file = tmp_path / "client.toml"
        write_settings(file, {"ca": "/etc/\N{SNOWMAN}\N{GRINNING FACE}.pem"})
        assert tomllib.loads(file.read_text()) == {"ca": "/etc/\N{SNOWMAN}\N{GRINNING FACE}.pem"}

    @pytest.mark.parametrize(
        "content",
        [
            b'"url" = "a"\n',
            b'terms = """\nurl = 1\n"""\n',
            b"url = '''\na'''\n",
            b'url = "a\n',
            b'# caf\xe9\nurl = "a"\n',
        ],
    )
    def test_a_file_whose_lines_cannot_be_replaced_is_left_as_it_is(
        self, tmp_path: Path, content: bytes
    ) -> None:
        file = tmp_path / "client.toml"
        file.write_bytes(content)
        with pytest.raises(UnusableFile, match="left as it is"):
            write_settings(file, {"url": "b"})
        assert file.read_bytes() == content
