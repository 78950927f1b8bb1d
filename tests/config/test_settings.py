"""Settings: where they come from, and what a wrong one says."""

import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import asdict, fields
from support.paths import ROOT

from tocsin.admission.model import Consent, Tlp
from tocsin.config.conversion import ConfigError
from tocsin.config.loading import load_client, load_hub, policy_text
from tocsin.config.settings import CONSENTS, TLP_WORDS, ClientSettings, HubSettings

CONFIG = ROOT / "config"


def complaint(load: Any, path: Any = None, environ: Any = None, overrides: Any = None) -> str:
    with pytest.raises(ConfigError) as caught:
        load(path, environ or {}, overrides or {})
    return str(caught.value)


@pytest.fixture
def file(tmp_path: Path) -> Any:
    def write(text: str) -> Path:
        path = tmp_path / "settings.toml"
        path.write_text(text, encoding="utf-8")
        return path

    return write


class TestSources:
    def test_a_hub_needs_no_settings(self) -> None:
        assert load_hub(None, {}, {}) == HubSettings()

    def test_clients_need_no_settings(self) -> None:
        assert load_client(None, {}, {}) == ClientSettings()

    def test_the_file_goes_before_the_defaults(self, file: Any) -> None:
        assert load_hub(file("port = 1"), {}, {}).port == 1

    def test_the_environment_goes_before_the_file(self, file: Any) -> None:
        assert load_hub(file("port = 1"), {"TOCSIN_PORT": "2"}, {}).port == 2

    def test_the_command_line_goes_before_the_environment(self, file: Any) -> None:
        assert load_hub(file("port = 1"), {"TOCSIN_PORT": "2"}, {"port": 3}).port == 3

    @pytest.mark.parametrize("read", ["acme:s3cret\r", "\ufeffacme:s3cret\r\n"])
    def test_a_key_read_from_a_file_of_windows_is_the_key(self, read: str) -> None:
        assert load_client(None, {"TOCSIN_KEY": read}, {}).key == "acme:s3cret"
        assert load_client(None, {}, {"key": read}).key == "acme:s3cret"

    def test_what_the_command_line_leaves_out_changes_nothing(self, file: Any) -> None:
        assert load_hub(file("port = 1"), {}, {"port": None}).port == 1

    @pytest.mark.parametrize("raw", [False, "false", "FALSE"])
    def test_a_switch_is_turned_off_in_any_spelling(self, raw: bool | str) -> None:
        assert load_hub(None, {}, {"interop_filters": raw}).interop_filters is False

    def test_the_environment_may_name_the_file(self, file: Any) -> None:
        named = {"TOCSIN_HUB_CONFIG": str(file("port = 1"))}
        assert load_hub(None, named, {}).port == 1

    def test_the_users_own_client_file_is_found(self, tmp_path: Path) -> None:
        (tmp_path / "tocsin").mkdir()
        (tmp_path / "tocsin" / "client.toml").write_text('consent = "usg"')
        assert load_client(None, {"XDG_CONFIG_HOME": str(tmp_path)}, {}).consent == "usg"

    @pytest.mark.parametrize(
        ("make", "message"),
        [
            (lambda file: file.symlink_to("nosuch"), "leads to no file"),
            (lambda file: file.symlink_to(file), "cannot read "),
            (lambda file: file.mkdir(), "is not a file"),
            (os.mkfifo, "is not a file"),
        ],
    )
    def test_another_thing_in_the_place_of_the_users_own_file_is_an_error(
        self, tmp_path: Path, make: Any, message: str
    ) -> None:
        own = tmp_path / "tocsin" / "client.toml"
        own.parent.mkdir()
        make(own)
        shown = complaint(load_client, environ={"XDG_CONFIG_HOME": str(tmp_path)})
        assert str(own) in shown and message in shown

    @pytest.mark.parametrize("folder", ["nosuch", "afile"])
    def test_without_a_folder_of_settings_there_are_none(self, tmp_path: Path, folder: str) -> None:
        (tmp_path / "afile").touch()
        environ = {"XDG_CONFIG_HOME": str(tmp_path / folder)}
        assert load_client(None, environ, {}) == ClientSettings()

    def test_hub_and_clients_may_share_one_environment(self) -> None:
        both = {"TOCSIN_PORT": "2", "TOCSIN_URL": "https://hub.example/taxii2/"}
        assert load_hub(None, both, {}).port == 2
        assert load_client(None, both, {}).url == "https://hub.example/taxii2/"

    def test_variables_of_others_are_left_alone(self) -> None:
        assert load_hub(None, {"PORT": "many", "TOCSIN_TEST_MONGO": "x"}, {}) == HubSettings()

    def test_a_term_on_the_command_line_uncovers_none_of_the_files(self, file: Any) -> None:
        listed = file('terms = ["acme.example"]')
        more = load_client(listed, {"TOCSIN_TERMS": "acme.test, "}, {"terms": ["a.test"]})
        assert more.terms == ("acme.example", "acme.test", "a.test")

    def test_a_path_in_a_file_is_relative_to_the_file(self, file: Any) -> None:
        written = file('data = "here"\npolicy = "mine.toml"')
        settings = load_hub(written, {}, {})
        assert settings.data == written.parent / "here"
        assert settings.policy == written.parent / "mine.toml"

    def test_a_path_on_the_command_line_is_relative_to_the_working_directory(
        self, file: Any
    ) -> None:
        assert load_hub(file("port = 1"), {}, {"data": "here"}).data == Path("here")

    def test_schemes_do_not_add_up_so_that_the_last_word_may_be_the_narrower(
        self, file: Any
    ) -> None:
        both = file('schemes = ["basic", "bearer"]')
        assert load_hub(both, {"TOCSIN_SCHEMES": "Bearer"}, {}).schemes == {"bearer"}

    @pytest.mark.parametrize("raw", [True, "true", "True"])
    def test_discovery_may_be_made_public(self, raw: bool | str) -> None:
        assert load_hub(None, {}, {"public_discovery": raw}).public_discovery is True

    def test_an_empty_policy_is_the_shipped_one(self, file: Any) -> None:
        assert load_hub(file('policy = ""'), {}, {}).policy is None


class TestRenamed:
    OLD = (
        ("max_answer_length", "max_response_length", 70_000),
        ("answer_timeout", "response_timeout", 7.0),
    )

    @pytest.mark.parametrize(("old", "new", "value"), OLD)
    def test_an_old_name_works_and_the_warning_has_the_new_one(
        self, file: Any, old: str, new: str, value: float, caplog: pytest.LogCaptureFixture
    ) -> None:
        written = file(f"{old} = {value}")
        assert getattr(load_client(written, {}, {}), new) == value
        assert f"{old} is deprecated ({written}); use {new}" in caplog.text

    @pytest.mark.parametrize(("old", "new", "value"), OLD)
    def test_the_old_name_of_a_variable_works_and_does_not_disturb_the_hub(
        self, old: str, new: str, value: float
    ) -> None:
        environ = {f"TOCSIN_{old.upper()}": str(value)}
        assert getattr(load_client(None, environ, {}), new) == value
        assert load_hub(None, environ, {}) == HubSettings()

    def test_an_old_name_in_the_file_gives_way_to_the_new_one_in_the_environment(
        self, file: Any
    ) -> None:
        environ = {"TOCSIN_RESPONSE_TIMEOUT": "8"}
        assert load_client(file("answer_timeout = 7"), environ, {}).response_timeout == 8

    def test_a_setting_of_the_clients_is_unknown_to_the_hub_under_its_old_name_too(
        self, file: Any
    ) -> None:
        assert "answer_timeout: unknown" in complaint(load_hub, file("answer_timeout = 7"))


class TestWrong:
    def test_an_unknown_setting_in_the_file_is_named_with_the_known_ones(self, file: Any) -> None:
        message = complaint(load_hub, file("prot = 1"))
        assert "prot: unknown setting" in message and "port" in message

    def test_an_unknown_variable_is_named(self) -> None:
        assert "$TOCSIN_PROT" in complaint(load_hub, environ={"TOCSIN_PROT": "1"})

    def test_an_unknown_option_is_named(self) -> None:
        assert "prot" in complaint(load_hub, overrides={"prot": 1})

    @pytest.mark.parametrize("raw", [-1, 65536, "many", "", 1.5, True, "٣", [1]])
    def test_a_wrong_port_says_what_would_be_right(self, raw: Any) -> None:
        message = complaint(load_hub, overrides={"port": raw})
        assert message.startswith("port: must be a whole number from 0 to 65535, but --port says")

    @pytest.mark.parametrize(
        ("name", "raw"),
        [
            ("threads", 0),
            ("max_content_length", 10),
            ("inline_objects", -1),
            ("title", " "),
            ("host", ""),
            ("contact", 7),
            ("data", ""),
            ("log_level", "loud"),
            ("database", "a/b"),
            ("schemes", "basic,digest"),
            ("schemes", ""),
            ("schemes", 7),
            ("public_discovery", "perhaps"),
            ("public_discovery", 1),
            ("interop_filters", "maybe"),
            ("interop_filters", 1),
        ],
    )
    def test_every_wrong_setting_of_the_hub_is_named(self, name: str, raw: int | str) -> None:
        assert complaint(load_hub, overrides={name: raw}).startswith(f"{name}: must be ")

    @pytest.mark.parametrize(
        ("name", "raw"),
        [
            ("url", "ftp://hub.example"),
            ("consent", "some"),
            ("default_tlp", "pink"),
            ("timeout", "0"),
            ("timeout", "nan"),
            ("timeout", True),
            ("terms", 7),
            ("names", [7]),
        ],
    )
    def test_every_wrong_setting_of_the_clients_is_named(self, name: str, raw: Any) -> None:
        assert complaint(load_client, overrides={name: raw}).startswith(f"{name}: must be ")

    def test_the_source_of_a_wrong_setting_is_named(self, file: Any) -> None:
        wrong = file('port = "many"')
        assert str(wrong) in complaint(load_hub, wrong)
        assert "$TOCSIN_PORT" in complaint(load_hub, environ={"TOCSIN_PORT": "many"})

    @pytest.mark.parametrize(
        ("text", "message"),
        [
            ("prot = 1", ("prot: unknown setting", "page_cap, page_default, policy, port")),
            ("[hub]\nport = 1", ("hub: unknown setting", "page_cap, page_default, policy, port")),
            ('log_level = "loud"', ("log_level", "debug, info, warning, error", "'loud'")),
            ("data = 7", ("data", "a path", "7")),
            ('schemes = "digest"', ("schemes", "basic, bearer, certificate", "'digest'")),
            ("port = x", ("not TOML", "line 1")),
            ("port = 1\nport = 2", ("not TOML", "line 2")),
        ],
    )
    def test_a_mistake_in_a_file_names_file_key_and_what_is_right(
        self, file: Any, text: str, message: Any
    ) -> None:
        wrong = file(f"{text}\n")
        shown = complaint(load_hub, wrong)
        assert [each for each in (str(wrong), *message) if each not in shown] == []

    @pytest.mark.parametrize("load", [load_hub, load_client])
    def test_a_file_that_cannot_be_read_is_named_with_the_reason(
        self, load: Any, tmp_path: Path
    ) -> None:
        assert f"{tmp_path}: Is a directory" in complaint(load, tmp_path)
        assert f"{tmp_path / 'x'}: No such file" in complaint(load, tmp_path / "x")

    def test_a_default_page_longer_than_the_longest_is_wrong(self) -> None:
        assert "page_cap" in complaint(load_hub, overrides={"page_default": 50, "page_cap": 10})

    @pytest.mark.parametrize(
        ("name", "value"),
        [
            ("database", "other"),
            ("tls_key", "x.pem"),
            ("tls_client_ca", "x.pem"),
            ("oidc_issuer", "https://id.example"),
            ("oidc_client_id", "tocsin"),
            ("smtp_host", "mail.example"),
            ("smtp_port", "465"),
            ("smtp_tls", "none"),
            ("smtp_user", "tocsin"),
            ("mail_from", "hub@hub.example"),
        ],
    )
    def test_a_setting_that_has_no_effect_without_another_is_wrong(
        self, name: str, value: str
    ) -> None:
        message = complaint(load_hub, overrides={name: value})
        assert message.startswith(f"{name}: has no effect without ")

    @pytest.mark.parametrize("name", ["four_eyes", "require_second_factor", "forwarded_for"])
    def test_a_setting_of_the_console_without_it_is_wrong(self, name: str) -> None:
        message = complaint(load_hub, overrides={name: "true", "console": "false"})
        assert message.startswith(f"{name}: has no effect without console")
        assert getattr(load_hub(None, {}, {name: "true"}), name)

    def test_a_default_that_is_written_down_needs_nothing(self) -> None:
        given = {"database": "tocsin", "smtp_port": "587", "smtp_tls": "starttls"}
        assert load_hub(None, {}, given) == HubSettings()

    @pytest.mark.parametrize("port", ["65536", "99999", "70000", "123456"])
    def test_a_port_of_the_metrics_that_does_not_exist_is_wrong(self, port: str) -> None:
        given = {"metrics_address": f"127.0.0.1:{port}"}
        assert "metrics_address: must be" in complaint(load_hub, overrides=given)

    @pytest.mark.parametrize("port", ["0", "80", "9464", "59999", "65535"])
    def test_every_port_of_the_metrics_that_exists_is_taken(self, port: str) -> None:
        given = {"metrics_address": f"[::1]:{port}"}
        assert load_hub(None, {}, given).metrics_address == f"[::1]:{port}"

    def test_data_that_is_a_file_is_wrong(self, file: Any) -> None:
        assert "is not a directory" in complaint(load_hub, overrides={"data": str(file(""))})

    def test_a_file_that_begins_with_a_byte_order_mark_is_read(self, file: Any) -> None:
        marked = file("")
        marked.write_bytes(b"\xef\xbb\xbfport = 9000\n")
        assert load_hub(marked, {}, {}).port == 9000
        assert policy_text(marked).startswith("port")

    def test_certificates_alone_without_their_authorities_are_wrong(self) -> None:
        assert "tls_client_ca" in complaint(load_hub, overrides={"schemes": "certificate"})

    def test_a_file_that_is_not_there_is_named(self, tmp_path: Path) -> None:
        assert "absent.toml" in complaint(load_hub, tmp_path / "absent.toml")

    def test_a_file_that_is_not_toml_is_named_with_the_line(self, file: Any) -> None:
        assert "line 1" in complaint(load_hub, file("port: 1"))

    def test_a_file_that_is_not_text_is_named(self, tmp_path: Path) -> None:
        (tmp_path / "settings.toml").write_bytes(b"\xff\xfe")
        assert "not UTF-8" in complaint(load_hub, tmp_path / "settings.toml")


class TestMadeByPrograms:
    """Settings of the clients that a program makes itself."""

    @pytest.mark.parametrize("name", ["terms", "names"])
    @pytest.mark.parametrize("given", ["a.example, b", ["a.example", "b"], ("a.example", "b ")])
    def test_texts_and_lists_are_taken_as_in_a_file(self, name: str, given: Any) -> None:
        settings: Any = ClientSettings
        assert getattr(settings(**{name: given}), name) == ("a.example", "b")

    def test_a_single_term_is_one_term(self) -> None:
        settings: Any = ClientSettings
        assert settings(terms="acme.example") == ClientSettings(terms=("acme.example",))

    def test_a_path_may_be_text(self) -> None:
        settings: Any = ClientSettings
        assert settings(policy="p.toml").policy == Path("p.toml")

    @pytest.mark.parametrize(
        ("name", "raw"),
        [
            ("terms", 7),
            ("terms", [7]),
            ("terms", None),
            ("default_tlp", "pink"),
            ("consent", "all"),
            ("policy", 7),
            ("timeout", 0),
            ("keyring", "perhaps"),
        ],
    )
    def test_a_wrong_value_is_named(self, name: str, raw: Any) -> None:
        with pytest.raises(ConfigError, match=f"^{name}: must be .* but ClientSettings says"):
            ClientSettings(**{name: raw})

    def test_a_wrong_key_is_not_shown(self) -> None:
        with pytest.raises(ConfigError, match="^key: must be .* says something else$"):
            ClientSettings(key="acme: hunter2")


class TestSecrets:
    @pytest.mark.parametrize(
        ("load", "name", "raw"),
        [
            (load_hub, "mongo_uri", "postgres://u:hunter2@db"),
            (load_hub, "mongo_uri", "mongodb://u:hunter2 @db"),
            (load_client, "key", "hunter2 and more"),
        ],
    )
    def test_a_wrong_secret_is_named_but_not_shown(self, load: Any, name: str, raw: str) -> None:
        message = complaint(load, overrides={name: raw})
        assert message.startswith(f"{name}: must be ") and "hunter2" not in message

    def test_printed_settings_show_no_secret(self) -> None:
        uri = "mongodb://u:hunter2@db/?replicaSet=rs0"
        assert "hunter2" not in repr(load_hub(None, {"TOCSIN_MONGO_URI": uri}, {}))
        assert "hunter2" not in repr(load_client(None, {"TOCSIN_KEY": "acme:hunter2"}, {}))


def described(file: str) -> dict[str, object]:
    """The settings that a shipped file lists in its `#name = value` lines."""
    text = (CONFIG / file).read_text(encoding="utf-8")
    return tomllib.loads("\n".join(re.findall(r"^#(\w+ = .*)$", text, re.MULTILINE)))


FILES = [("hub.toml", HubSettings, load_hub), ("client.toml", ClientSettings, load_client)]


class TestShippedFiles:
    @pytest.mark.parametrize(("file", "settings", "load"), FILES)
    def test_list_every_setting_in_order(self, file: Any, settings: Any, load: Any) -> None:
        assert list(described(file)) == [each.name for each in fields(settings)]

    @pytest.mark.parametrize(("file", "settings", "load"), FILES)
    def test_show_the_true_defaults(self, file: Any, settings: Any, load: Any) -> None:
        assert asdict(load(None, {}, described(file))) == asdict(settings())

    @pytest.mark.parametrize(("file", "settings", "load"), FILES)
    def test_change_nothing_as_shipped(self, file: Any, settings: Any, load: Any) -> None:
        assert load(CONFIG / file, {}, {}) == settings()

    @pytest.mark.parametrize(("file", "settings", "load"), FILES)
    def test_explain_every_setting(self, file: Any, settings: Any, load: Any) -> None:
        lines = (CONFIG / file).read_text(encoding="utf-8").splitlines()
        for name in described(file):
            place = next(n for n, line in enumerate(lines) if line.startswith(f"#{name} ="))
            assert lines[place - 1].startswith("# ") and lines[place - 1].endswith("."), name


class TestWords:
    def test_tlp_levels_are_those_of_admission(self) -> None:
        assert tuple(level.label for level in Tlp) == TLP_WORDS

    def test_consents_are_those_of_admission(self) -> None:
        assert tuple(consent.value for consent in Consent) == CONSENTS


class TestPolicy:
    def test_one_is_shipped(self) -> None:
        assert "rules" in tomllib.loads(policy_text())["sanitise"]

    def test_the_operators_own_goes_before_it(self, tmp_path: Path) -> None:
        (tmp_path / "mine.toml").write_text("# mine")
        assert policy_text(tmp_path / "mine.toml") == "# mine"

    def test_one_that_is_not_there_is_named(self, tmp_path: Path) -> None:
        with pytest.raises(ConfigError, match=r"policy: cannot read .*mine\.toml"):
            policy_text(tmp_path / "mine.toml")


def test_reading_settings_loads_nothing_but_msgspec() -> None:
    code = "import sys; before = set(sys.modules); import tocsin.config.loading; "
    code += "print(*{name.split('.')[0] for name in set(sys.modules) - before})"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert set(loaded.stdout.split()) - sys.stdlib_module_names <= {
        *("tocsin", "msgspec", "typing_extensions")
    }
