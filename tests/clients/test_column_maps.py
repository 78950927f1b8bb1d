"""Columns of tables that the user maps, and profiles that keep the mapping."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tocsin.admission.errors import Malformed
from tocsin.clients.column_maps import read_column_maps, write_profile
from tocsin.config import stdio

pytestmark = pytest.mark.usefixtures("alone")

TABLE = "Wat,Foo\nbad1.example.org,a loader\n"


def patterns(lines: list[str]) -> list[str]:
    return [each["object"]["pattern"] for each in map(json.loads, lines) if each.get("object")]


class TestMappings:
    def test_a_value_names_a_column_and_its_kind(self) -> None:
        maps = read_column_maps(["Host = Domain", "2=name", "a=b=url"])
        assert maps == {"Host": "domain", "2": "name", "a=b": "url"}

    def test_a_written_profile_is_read_unchanged(self, tmp_path: Path) -> None:
        columns = {"Host": "domain", 'odd "name" = ü': "name", "\N{FIRE} IOC": "value", "3": "tlp"}
        write_profile(tmp_path / "feed.toml", columns)
        assert read_column_maps([str(tmp_path / "feed.toml")]) == columns

    def test_a_mapping_overrides_the_profile_before_it(self, tmp_path: Path) -> None:
        write_profile(tmp_path / "feed.toml", {"Host": "domain", "x": "name"})
        maps = read_column_maps([str(tmp_path / "feed.toml"), "x=ignored"])
        assert maps == {"Host": "domain", "x": "ignored"}

    @pytest.mark.parametrize(
        ("value", "message"),
        [
            ("Host=hots", "'hots' is not a kind of column; use one of: value, type"),
            ("=domain", "heading or number is missing"),
            ("none.toml", "none.toml: cannot be read"),
        ],
    )
    def test_a_mapping_that_cannot_be_used_is_refused(self, value: str, message: str) -> None:
        with pytest.raises(Malformed, match=message):
            read_column_maps([value])

    @pytest.mark.parametrize("text", ["junk", "[columns]\na = 1\n", "[colums]\na = 'name'\n", "\0"])
    def test_a_file_that_is_not_a_profile_is_refused(self, text: str, tmp_path: Path) -> None:
        (tmp_path / "feed.toml").write_text(text)
        with pytest.raises(Malformed, match="not a file that --save-map wrote"):
            read_column_maps([str(tmp_path / "feed.toml")])


class TestCommand:
    def test_check_shows_how_the_columns_are_read_and_takes_a_mapping(
        self, tocsin: Callable[..., Any]
    ) -> None:
        Path("a.csv").write_text(TABLE)
        _, lines, _ = tocsin("check", "a.csv", "--map", "Wat=domain", "--map", "Foo=name", "--json")
        assert patterns(lines) == ["[domain-name:value = 'bad1.example.org']"]
        assert 'columns read as (--map COLUMN=KIND changes one): 1 \\"Wat\\" = domain' in lines[0]

    def test_a_saved_mapping_is_used_again(self, tocsin: Callable[..., Any]) -> None:
        Path("a.csv").write_text(TABLE)
        tocsin("check", "a.csv", "--map", "Wat=domain", "--save-map", "a.toml")
        _, lines, _ = tocsin("check", "a.csv", "--map", "a.toml", "--json")
        assert patterns(lines) == ["[domain-name:value = 'bad1.example.org']"]

    def test_a_saved_mapping_is_not_replaced_by_none(self, tocsin: Callable[..., Any]) -> None:
        Path("a.csv").write_text(TABLE)
        tocsin("check", "a.csv", "--map", "Wat=domain", "--save-map", "a.toml")
        saved = Path("a.toml").read_text()
        code, _, errors = tocsin("check", "a.csv", "--save-map", "a.toml")
        assert (code, "--save-map needs --map" in errors) == (2, True)
        assert Path("a.toml").read_text() == saved

    def test_a_mapping_of_a_column_that_a_table_lacks_fails_that_file_alone(
        self, tocsin: Callable[..., Any]
    ) -> None:
        Path("a.csv").write_text(TABLE)
        Path("b.csv").write_text("Other,Foo\nbad2.example.org,x\n")
        code, lines, errors = tocsin("check", "a.csv", "b.csv", "--map", "Wat=domain", "--json")
        assert code == stdio.PARTLY
        assert patterns(lines) == ["[domain-name:value = 'bad1.example.org']"]
        assert "the table has no column 'Wat'" in str(errors)

    def test_a_mapping_of_a_file_without_a_table_is_said_to_have_no_effect(
        self, tocsin: Callable[..., Any]
    ) -> None:
        Path("a.csv").write_text(TABLE)
        Path("iocs.txt").write_text("evil-portal.top\nbad-portal.top\n")
        code, _, errors = tocsin("check", "a.csv", "iocs.txt", "--map", "Wat=domain")
        assert code == 0
        assert errors == "tocsin: iocs.txt has no table: --map has no effect on it\n"

    @pytest.mark.parametrize("words", [("--map", "Wat=x"), ("--map", "a=name", "--save-map", "/")])
    def test_wrong_mappings_exit_with_2(self, words: Any, tocsin: Callable[..., Any]) -> None:
        Path("a.csv").write_text(TABLE)
        code, _, errors = tocsin("check", "a.csv", *words)
        assert code == 2 and "map" in str(errors)
