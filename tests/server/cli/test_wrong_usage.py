"""A command line that cannot be followed: exit code 2 and a reason, before a hub is opened."""

from pathlib import Path

import pytest
from support.processes import run_command

from tocsin.admission.errors import Malformed
from tocsin.server.store.exclusions import parse_exclusion


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
        (("partner", "export", "acme", "--output", "-"), "must be a file"),
        (("backup", "-"), "must be a file"),
        (("backup", "no-such-folder/"), "the folder does not exist: create it first"),
        (("journal", "list", "--since", "yesterday"), "write it like 2026-01-31 or 2026-01-31T00"),
        (("partner", "submissions", "acme", "--since", "1x"), "or 12h, 30d or 8w for a time ago"),
        (("agreement", "change", "6e8e", "--until", "30d"), "write it like 2026-01-31 or"),
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


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("evil.example", "'evil.example': the domain .example is reserved or unknown"),
        ("evil", "'evil' is not a domain, IP address, URL, e-mail address or hash"),
        ("a..com", "'a..com' is not a domain, IP address, URL, e-mail address or hash"),
    ],
)
def test_a_value_below_no_public_domain_is_said_to_be_so(value: str, message: str) -> None:
    with pytest.raises(Malformed) as found:
        parse_exclusion(value, "", 0)
    assert str(found.value) == message
