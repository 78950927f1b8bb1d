"""The options of `tocsin-hub partner`: their order does not matter, countries are those of ISO."""

from typing import Any

import pytest

from tocsin.config.command_line import run_command
from tocsin.server.cli import partner
from tocsin.server.cli.command import join_lists
from tocsin.server.cli.deprecated import modernise
from tocsin.server.partners.countries import parse_country

NAME = ("--name", "ACME Corp")


def understood(*given: str) -> Any:
    """The values that click reads from a command line; the command is not run."""
    (_, action, *words), _ = modernise(["partner", *given])
    command = partner.partner_command.commands[action]
    return command.make_context(action, words).params


def values(options: Any, name: Any) -> Any:
    return join_lists(options[name])


def complaint(capsys: Any, *given: str) -> str:
    (_, *words), _ = modernise(["partner", *given])
    assert run_command(partner.partner_command, "tocsin-hub partner", words, {}) == 2
    return str(capsys.readouterr().err)


class TestOrder:
    @pytest.mark.parametrize(
        "given",
        [
            "acme --term acme.example other.example",
            "acme --term acme.example --term other.example",
            "acme --term acme.example,other.example",
            "--term acme.example other.example acme",
            "--term acme.example,other.example acme",
            "--term acme.example --term other.example acme",
            "--sector energy --term acme.example other.example acme",
            "--term acme.example other.example acme --sector energy",
        ],
    )
    def test_terms_may_stand_before_the_short_name_or_behind_it(self, given: str) -> None:
        options = understood("add", *NAME, *given.split())
        assert options["slug"] == "acme"
        assert values(options, "term") == ("acme.example", "other.example")

    @pytest.mark.parametrize("option", ["--sector", "--read", "--write"])
    @pytest.mark.parametrize("given", ["{0} one two acme", "{0} one,two acme", "acme {0} one two"])
    def test_a_list_option_may_stand_before_the_short_name_or_behind_it(
        self, option: str, given: str
    ) -> None:
        options = understood("change", *given.format(option).split())
        assert options["slug"] == "acme"
        assert values(options, option[2:]) == ("one", "two")

    @pytest.mark.parametrize("given", ["", "--term one", "--term one two --sector three four"])
    def test_without_a_short_name_nothing_is_guessed(
        self, given: str, capsys: pytest.CaptureFixture[str]
    ) -> None:
        assert "Missing argument 'SLUG'" in complaint(capsys, "add", *NAME, *given.split())

    def test_no_rights_at_all_can_be_given(self) -> None:
        options = understood("add", "acme", *NAME, "--write", "")
        assert options["write"] and values(options, "write") == ()


class TestCountry:
    @pytest.mark.parametrize(
        ("written", "code"),
        [
            *(("US", "US"), ("us", "US"), (" Us ", "US"), ("USA", "US")),
            *(("deu", "DE"), ("germany", "DE"), ("UK", "GB"), ("U.K.", "GB")),
        ],
    )
    def test_a_country_is_named_by_code_or_name(self, written: str, code: str) -> None:
        assert understood("add", "acme", *NAME, "--country", written)["country"] == code

    @pytest.mark.parametrize("command", ["add", "change"])
    def test_a_part_of_a_name_is_wrong_usage_and_the_probable_codes_are_named(
        self, command: str, capsys: pytest.CaptureFixture[str]
    ) -> None:
        said = complaint(capsys, command, "acme", *NAME, "--country", "korea")
        assert "not the ISO 3166-1 code or English name of a country" in " ".join(said.split())
        expected = "; did you mean KP (North Korea) or KR (South Korea)?"
        assert expected in " ".join(said.split())

    @pytest.mark.parametrize("written", ["XK", "AN", "ZZ", "EU", "land", "..", "1"])
    def test_a_text_that_fits_no_country_gets_no_suggestion(self, written: str) -> None:
        with pytest.raises(ValueError, match="use a code, for instance US"):
            parse_country(written)

    def test_the_codes_are_those_of_the_standard(self) -> None:
        iso = pytest.importorskip("pycountry").countries
        assert {parse_country(each.alpha_2) for each in iso} == {each.alpha_2 for each in iso}
        assert len(iso) == 249
