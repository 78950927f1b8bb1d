"""The words of `tocsin-hub partner`: their order does not matter, and countries are ISO's."""

import pytest

from tocsin.server.cli.commands import parser
from tocsin.server.cli.partners import words
from tocsin.server.countries import country

NAME = ("--name", "ACME Corp")


def understood(*given: str):
    return parser().parse_args(["partner", *given])


def complaint(capsys, *given: str) -> str:
    with pytest.raises(SystemExit) as ended:
        understood(*given)
    assert ended.value.code == 2
    return capsys.readouterr().err


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
    def test_terms_may_stand_before_the_short_name_or_behind_it(self, given):
        options = understood("add", *NAME, *given.split())
        assert options.slug == "acme"
        assert words(*options.term) == ("acme.example", "other.example")

    @pytest.mark.parametrize("option", ["--sector", "--read", "--write"])
    @pytest.mark.parametrize("given", ["{0} one two acme", "{0} one,two acme", "acme {0} one two"])
    def test_so_may_every_option_of_several_values(self, option, given):
        options = understood("change", *given.format(option).split())
        assert options.slug == "acme"
        assert words(*getattr(options, option[2:])) == ("one", "two")

    @pytest.mark.parametrize("given", ["", "--term one", "--term one two --sector three four"])
    def test_without_a_short_name_nothing_is_guessed(self, given, capsys):
        assert "give its short name first" in complaint(capsys, "add", *NAME, *given.split())

    def test_no_rights_at_all_can_be_given(self):
        assert words(*understood("add", "acme", *NAME, "--write", "").write) == ()


class TestCountry:
    @pytest.mark.parametrize("code", ["US", "us", " Us "])
    def test_is_an_alpha_2_code_in_capitals(self, code):
        assert understood("add", "acme", *NAME, "--country", code).country == "US"

    @pytest.mark.parametrize("command", ["add", "change"])
    @pytest.mark.parametrize(
        ("written", "meant"),
        [
            ("USA", "US (United States of America)"),
            ("deu", "DE (Germany)"),
            ("germany", "DE (Germany)"),
            ("UK", "GB (United Kingdom)"),
            ("U.K.", "GB (United Kingdom)"),
            ("korea", "KP (North Korea) or KR (South Korea)"),
        ],
    )
    def test_anything_else_is_wrong_usage_with_what_seems_to_be_meant(
        self, command, written, meant, capsys
    ):
        said = complaint(capsys, command, "acme", *NAME, "--country", written)
        assert "no ISO 3166-1 alpha-2 code" in said and f"; {meant} seems to be meant" in said

    @pytest.mark.parametrize("written", ["XK", "AN", "ZZ", "EU", "land", "..", "1"])
    def test_what_means_none_is_not_guessed_at(self, written):
        with pytest.raises(ValueError, match="two letters, for instance US"):
            country(written)

    def test_the_codes_are_those_of_the_standard(self):
        iso = pytest.importorskip("pycountry").countries
        assert {country(each.alpha_2) for each in iso} == {each.alpha_2 for each in iso}
        assert len(iso) == 249
