"""Old commands and spellings of `tocsin-hub` keep working and name the new ones."""

import pytest

from tocsin.server.cli.deprecated import modernise
from tocsin.server.cli.main import main


@pytest.mark.parametrize(
    ("old", "new", "note"),
    [
        (
            "benign add cdn.example.com --reason x",
            "exclusion add cdn.example.com --reason x",
            "`benign add` is deprecated; use `exclusion add`",
        ),
        (
            "public revoke indicator--x --reason x",
            "object revoke indicator--x --reason x",
            "`public revoke` is deprecated; use `object revoke`",
        ),
        ("benign --help", "exclusion --help", "`benign` is deprecated; use `exclusion`"),
        (
            "partner add acme --name A --term one two",
            "partner add acme --name A --term one --term two",
            "`--term one two` is deprecated; use `--term one,two`",
        ),
        (
            "partner change --json --read clear green acme",
            "partner change acme --json --read clear --read green",
            "`--read clear green` is deprecated; use `--read clear,green`",
        ),
    ],
)
def test_an_old_command_line_is_translated_with_a_note(old: str, new: str, note: str) -> None:
    assert modernise(old.split()) == (new.split(), [note])


@pytest.mark.parametrize(
    "line",
    [
        "partner add acme --name ACME --term one,two --json",
        "partner add --term one acme --name ACME",
        "partner change acme --disable",
        "review list",
        "public list",
        "",
    ],
)
def test_a_current_command_line_is_left_alone(line: str) -> None:
    assert modernise(line.split()) == (line.split(), [])


def test_old_names_are_hidden_from_help_and_noted_on_standard_error(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["--help"]) == 0
    assert "benign" not in capsys.readouterr().out
    assert main(["benign", "--help"]) == 0
    out, err = capsys.readouterr()
    assert "tocsin-hub exclusion" in out
    assert err == "tocsin-hub: `benign` is deprecated; use `exclusion`\n"
