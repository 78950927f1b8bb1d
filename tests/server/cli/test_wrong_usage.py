"""A command line that cannot be followed: exit code 2 and a reason, before a hub is opened."""

from pathlib import Path

import pytest
from support.processes import run_command


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (("partner", "add", "ACME", "--name", "ACME"), "lower-case letters"),
        (("partner", "add", "", "--name", "ACME"), "lower-case letters"),
        (("partner", "add", "a", "--name", "A", "--group", "A B"), "lower-case letters"),
        (("collection", "add", "X", "--kind", "feed"), "lower-case letters"),
        (("agreement", "add", "acme", "--collection", ","), "at least one value"),
        (("agreement", "change", "6e8e", "--collection", ""), "at least one value"),
        (("agreement", "end", "6e8e", "--reason", " "), "must not be empty"),
        (("partner", "withdraw", "acme", "--all", "--reason", ""), "must not be empty"),
        (("partner", "remove", "acme", "--reason", ""), "must not be empty"),
        (("object", "revoke", "evil-portal.top", "--reason", ""), "must not be empty"),
        (("object", "purge", "evil-portal.top", "--reason", "\t"), "must not be empty"),
        (("person", "invite", "x", "--role", "operator"), "enter a mailbox"),
    ],
)
def test_a_value_that_cannot_be_is_wrong_usage(
    alone: None, line: tuple[str, ...], message: str
) -> None:
    code, out, stderr = run_command(*line)
    assert (code, out, message in stderr) == (2, "", True), stderr
    assert not Path("tocsin-data").exists()


def test_a_command_that_resembles_an_unknown_one_is_named(alone: None) -> None:
    code, _, stderr = run_command("partnr", "list")
    assert (code, "No such command 'partnr'. Did you mean 'partner'?" in stderr) == (2, True), (
        stderr
    )
