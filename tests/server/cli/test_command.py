"""Results of the commands of `tocsin-hub`, printed for people."""

import errno
import os
import sys
import uuid
from collections.abc import Callable
from io import StringIO
from pathlib import Path
from threading import Event
from typing import ClassVar

import click
import pytest
from pymongo.errors import AutoReconnect
from support.hub import HubInProcess

from tocsin.admission.errors import Unavailable
from tocsin.config.conversion import ConfigError
from tocsin.config.settings import HubSettings
from tocsin.server.cli.command import (
    Answer,
    print_result,
    print_table,
    print_wrapped,
    with_open_hub,
)
from tocsin.server.cli.main import main
from tocsin.server.cli.settings import with_settings
from tocsin.server.runtime import Runtime
from tocsin.server.secrets import load_secrets
from tocsin.server.serving import serve
from tocsin.server.store import Store


def test_a_record_is_printed_for_people_and_not_as_json(capsys: pytest.CaptureFixture[str]) -> None:
    accounts = [
        {"account": "acme", "read": ["clear", "green"], "disabled": False},
        {"account": "north", "read": [], "disabled": True},
    ]
    record: Answer = {"partner": "acme", "group": "", "accounts": accounts, "until": None}
    print_result(record | {"terms": {"tlp": "green"}, "sectors": ()}, as_json=False)
    lines = capsys.readouterr().out.splitlines()
    assert lines == [
        "partner: acme",
        "group: -",
        "accounts:",
        "  - account: acme",
        "    read: clear, green",
        "    disabled: no",
        "  - account: north",
        "    read: -",
        "    disabled: yes",
        "until: -",
        "terms:",
        "    tlp: green",
        "sectors: -",
    ]


def test_no_value_and_no_name_reaches_the_terminal_as_it_is(
    capsys: pytest.CaptureFixture[str],
) -> None:
    code = "\x1b[2J\nx"
    record: Answer = {code: code, "in": {code: [code]}, "list": [{code: code}], "odd": [{}, code]}
    print_result(record | {"pairs": ({"x": 1}, {}), "both": [1, {"z": code}]}, as_json=False)
    out = capsys.readouterr().out
    assert "\x1b" not in out and "\nx" not in out
    assert "pairs:\n  - x: 1\n  - -\nboth: 1, {" in out


def test_a_long_list_is_shown_in_part(capsys: pytest.CaptureFixture[str]) -> None:
    print_result({"left_out": [{"id": n} for n in range(50)]}, as_json=False)
    lines = capsys.readouterr().out.splitlines()
    assert lines[1] == "  - id: 0" and len(lines) == 22
    assert lines[-1] == "  … and 30 more: --json shows all"


class TestAListOfRecords:
    RECORDS: ClassVar[list[Answer]] = [
        {"alias": "inbox", "types": [], "kind": "inbox"},
        {"alias": "urgent", "types": [], "kind": "aggregate", "sources": ["clear", "green"]},
    ]

    def test_is_a_table_without_empty_columns_where_it_fits_the_terminal(
        self, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("COLUMNS", "33")
        print_result(self.RECORDS, as_json=False)
        assert capsys.readouterr().out.splitlines() == [
            "ALIAS   KIND       SOURCES",
            "inbox   inbox      -",
            "urgent  aggregate  clear, green",
        ]

    def test_is_a_line_for_each_value_on_a_narrower_terminal(
        self, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("COLUMNS", "30")
        print_result(self.RECORDS, as_json=False)
        assert capsys.readouterr().out.startswith("alias: inbox\ntypes: -\nkind: inbox\n\nalias: ")

    def test_with_records_in_them_is_a_line_for_each_value(
        self, capsys: pytest.CaptureFixture[str]
    ) -> None:
        print_result([{"alias": "a", "keys": [{"id": "1"}]}], as_json=False)
        assert capsys.readouterr().out == "alias: a\nkeys:\n  - id: 1\n\n"


class _Screen(StringIO):
    def isatty(self) -> bool:
        return True


class TestOnATerminalOf40Columns:
    def printed(self, print_it: Callable[[], None]) -> str:
        screen = _Screen()
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("COLUMNS", "40")
            patch.setattr(sys, "stdout", screen)
            print_it()
        return screen.getvalue()

    def test_a_table_that_is_wider_is_a_line_for_each_value(self) -> None:
        row = {"partner": "acme", "reads": "amber,clear,green,scratch", "name": "ACME Corp"}
        expected = "partner: acme\nreads: amber,clear,green,scratch\nname: ACME Corp\n\n"
        assert self.printed(lambda: print_table([row])) == expected

    def test_a_wide_character_takes_two_columns(self) -> None:
        rows: list[Answer] = [{"name": "香港", "slug": "hk"}, {"name": "acme", "slug": "a"}]
        written = self.printed(lambda: print_table(rows))
        assert written == "NAME  SLUG\n香港  hk\nacme  a\n"

    def test_a_long_line_goes_on_below_itself(self) -> None:
        line = "1  2026-01-31  operator:jane  admit  held=30"
        written = self.printed(lambda: print_wrapped([line, "2  short"], "   "))
        assert written == "1  2026-01-31  operator:jane  admit\n   held=30\n2  short\n"

    def test_a_table_that_fits_is_one(self) -> None:
        written = self.printed(lambda: print_table([{"partner": "acme", "name": "ACME"}]))
        assert written == "PARTNER  NAME\nacme     ACME\n"

    def test_a_finding_is_printed_in_lines_of_whole_words_and_a_command_in_one(self) -> None:
        finding = {"message": "the pattern matches nearly everything: add a value"}
        use = "export TOCSIN_URL=https://hub.example/ TOCSIN_KEY=acme:secret"
        record: Answer = {"use": use, "findings": [finding]}
        assert self.printed(lambda: print_result(record, as_json=False)).splitlines() == [
            f"use: {use}",
            "findings:",
            "  - message: the pattern matches nearly",
            "      everything: add a value",
        ]


@pytest.mark.parametrize(
    ("owner", "advice"),
    [
        (None, "let this user write to data, and to what is in it"),
        (65_534, "data belongs to nobody: run this command as that user"),
        (54_321, "data belongs to uid 54321: run this command as that user"),
    ],
)
def test_a_data_directory_of_another_user_is_answered_with_its_owner(
    alone: None, owner: int | None, advice: str
) -> None:
    if owner is not None and os.geteuid():
        pytest.skip("only root gives a folder away")
    Path("data").mkdir()
    os.chown("data", -1 if owner is None else owner, -1)

    @click.command()
    @with_settings
    def command(settings: HubSettings) -> None:
        raise PermissionError(errno.EACCES, "Permission denied", str(settings.data / "hub.lock"))

    with pytest.raises(Unavailable) as raised:
        command.main(["--data", "data"], standalone_mode=False)
    assert str(raised.value) == f"data/hub.lock: Permission denied; {advice}"


def test_an_error_about_another_file_is_no_question_of_the_data_directory(alone: None) -> None:
    @click.command()
    @with_settings
    def command(settings: HubSettings) -> None:
        raise PermissionError(errno.EACCES, "Permission denied", "elsewhere.tar")

    with pytest.raises(PermissionError):
        command.main(["--data", "data"], standalone_mode=False)


def test_a_command_whose_database_goes_away_says_so(
    store: Store, engine_uri: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    @click.command()
    @with_open_hub
    def lose(hub: Runtime) -> None:
        raise AutoReconnect("connection closed")

    HubInProcess(store)
    monkeypatch.setenv("TOCSIN_DATABASE", store._base.name)
    load_secrets(tmp_path)
    words = ["--mongo-uri", engine_uri, "--data", str(tmp_path)]
    with pytest.raises(Unavailable, match="the database does not answer any more"):
        lose.main(words, standalone_mode=False)


class TestADatabaseWithoutAHubBesideExistingSecrets:
    @pytest.fixture
    def place(self, engine_uri: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
        """The options that name it."""
        monkeypatch.setenv("TOCSIN_DATABASE", f"mistyped_{uuid.uuid4().hex}")
        load_secrets(tmp_path / "data")
        return ["--mongo-uri", engine_uri, "--data", str(tmp_path / "data")]

    def test_stays_as_it_is_if_a_command_expects_a_hub(
        self, place: list[str], capsys: pytest.CaptureFixture[str]
    ) -> None:
        for _ in range(2):
            assert main(["partner", "list", *place]) == 1
            assert "has no hub: the setting `database` may be mistyped" in capsys.readouterr().err

    def test_is_named_if_a_command_makes_a_hub_there(
        self, place: list[str], capsys: pytest.CaptureFixture[str]
    ) -> None:
        for said in (True, False):
            main(["partner", "add", "acme", "--name", "ACME", *place])
            message = capsys.readouterr().err
            assert ("of the MongoDB had no hub; a new one is made" in message) is said

    @pytest.mark.slow
    def test_is_named_at_the_first_start_of_a_hub(self, place: list[str], tmp_path: Path) -> None:
        name = os.environ["TOCSIN_DATABASE"]
        settings = HubSettings(
            data=tmp_path / "data",
            mongo_uri=place[1],
            database=name,
            port=0,
            answering_processes=0,
        )
        starts: list[list[str]] = [[], []]
        for lines in starts:
            with pytest.raises(ConfigError, match="cannot write"):
                serve(settings, tmp_path / "missing" / "ready", lines.append, stop=Event())
        said = [any(f"{name!r} of the MongoDB had no hub" in each for each in s) for s in starts]
        assert said == [True, False]
