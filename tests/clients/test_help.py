"""The help of `tocsin`: 80 columns, and examples that run."""

import json
import re
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
import pytest
from support.paths import ROOT
from support.taxii_servers import KEY, Medallion, indicator

from tocsin.clients.cli.main import main, tocsin

CONTEXT = click.Context(tocsin)
COMMANDS = {
    "": tocsin,
    **{
        name: command
        for name in tocsin.list_commands(CONTEXT)
        if (command := tocsin.get_command(CONTEXT, name))
    },
}


def example_lines(command: click.Command) -> list[str]:
    """The example lines of a command's help."""
    listed = (command.epilog or "").partition("Examples:\n")[2].partition("\n\n")[0]
    return re.findall(r"^ +(.*tocsin .*)$", listed, re.MULTILINE)


UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
EXPECTED = (
    r"tocsin: (this server does not list submissions; these are the pushes from this computer"
    r"|\w+ at \S+ works|saved in \S+|next: write your organisation's names .*"
    r"|the variable TOCSIN_KEY takes precedence over that file.*"
    r"|no secret is kept in \S+|the variable TOCSIN_KEY still holds one; unset it"
    r"|this computer has no keyring that can be used; the secret is in the file)\n"
)
"""Messages on standard error that are no errors."""

EXAMPLES = list(
    dict.fromkeys(line for command in COMMANDS.values() for line in example_lines(command))
)
FOLLOW_EXAMPLES = [line for line in EXAMPLES if "--follow" in line]
SERVICE_EXAMPLES = [line for line in EXAMPLES if "--metrics" in line]
WATCH_EXAMPLES = [line for line in EXAMPLES if "--watch" in line]
ENDLESS = (*FOLLOW_EXAMPLES, *SERVICE_EXAMPLES, *WATCH_EXAMPLES)


@pytest.mark.parametrize("name", COMMANDS)
def test_help_fits_80_columns_and_has_examples(
    name: Any, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    assert main([*name.split(), "--help"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line for line in lines if len(line) > 80] == []
    assert any(f"  tocsin {name}".rstrip() in line for line in lines)


def test_version_prints_the_program_and_its_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--version"]) == 0
    assert re.fullmatch(r"tocsin \d+\.\d+\.\d+.*\n", capsys.readouterr().out)


@pytest.fixture
def example_files(partner: Medallion, monkeypatch: pytest.MonkeyPatch) -> None:
    """Create the files and collections that the examples name, on a medallion server."""
    for collection, title in zip(
        partner.backend.data["partner"]["collections"], ("green", "inbox"), strict=True
    ):
        collection |= {"title": title, "can_read": True, "can_write": title == "inbox"}
    partner.add(indicator(0))
    bundle = {"type": "bundle", "id": indicator(1)["id"].replace("indicator", "bundle")}
    Path("bundle.json").write_text(json.dumps(bundle | {"objects": [indicator(1)]}))
    for name in ("report.txt", "iocs"):
        Path(name).write_text("evil-portal.top\n")
    Path("iocs.csv").write_text("domain\nevil-portal.top\n")
    Path("in").mkdir()
    Path("sources.toml").write_text('[[source]]\nkind="directory"\nname="urlhaus"\npath="in"\n')


@pytest.mark.slow
@pytest.mark.parametrize("line", [line for line in EXAMPLES if line not in ENDLESS])
def test_each_example_of_the_help_runs_without_error(
    line: Any, example_files: Any, tocsin: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    source, _, command = line.rpartition(" | ")
    words = shlex.split(command.partition(" > ")[0])[1:]
    if "--url" in words:
        del words[words.index("--url") :]
    if words[0] in ("status", "sent", "receipts", "sighting", "lookup"):
        _, lines, _ = tocsin("push", "report.txt", "--to", "inbox", "--json")
        words = [json.loads(lines[-1])["status"]["id"] if UUID.fullmatch(w) else w for w in words]
    if words[0] == "login":
        account, _, secret = KEY.partition(":")
        monkeypatch.setenv("TOCSIN_ACCOUNT", account)
        monkeypatch.setenv("PYTHON_KEYRING_BACKEND", "keyring.backends.fail.Keyring")
        Path("secret.txt").write_text(secret)
        words, source = [account if w == "acme" else w for w in words], "cat secret.txt"
    with Path(source.removeprefix("cat ") or "/dev/null").open() as stream:
        monkeypatch.setattr("sys.stdin", stream)
        code, _, stderr = tocsin(*words)
    assert (code, re.sub(EXPECTED, "", stderr)) == (0, "")


@pytest.mark.slow
@pytest.mark.parametrize("line", FOLLOW_EXAMPLES)
def test_each_follow_example_of_the_help_runs_until_interrupted(
    line: Any, example_files: Any
) -> None:
    command = [sys.executable, "-m", "tocsin.clients", *shlex.split(line)[1:]]
    with subprocess.Popen(command, stderr=subprocess.PIPE) as running:
        deadline = time.monotonic() + 60
        while not (Path("all.jsonl").exists() and Path("all.jsonl").read_bytes()):
            assert time.monotonic() < deadline and running.poll() is None
            time.sleep(0.05)
        running.send_signal(signal.SIGINT)
        running.communicate(timeout=30)
    assert running.returncode == 130


@pytest.mark.parametrize("line", SERVICE_EXAMPLES)
@pytest.mark.slow
def test_each_service_example_of_the_help_runs_until_it_is_stopped(
    line: Any, example_files: Any
) -> None:
    command = [sys.executable, "-m", "tocsin.clients", *shlex.split(line)[1:]]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as running:
        assert running.stdout is not None
        assert b"urlhaus: done" in running.stdout.readline()
        running.send_signal(signal.SIGTERM)
        assert running.wait(timeout=30) == 0


@pytest.mark.parametrize("line", WATCH_EXAMPLES)
@pytest.mark.slow
def test_each_watch_example_of_the_help_sends_a_file_until_interrupted(
    line: Any, example_files: Any
) -> None:
    Path("outgoing").mkdir()
    Path("outgoing", "report.txt").write_text("evil-portal.top\n")
    command = [sys.executable, "-m", "tocsin.clients", *shlex.split(line)[1:]]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE) as running:
        deadline = time.monotonic() + 60
        while not Path("outgoing", "sent", "report.txt").exists():
            assert time.monotonic() < deadline and running.poll() is None
            time.sleep(0.05)
        running.send_signal(signal.SIGINT)
        running.communicate(timeout=30)
    assert running.returncode == 130


def test_the_help_and_the_table_of_the_documentation_have_the_same_exit_codes() -> None:
    table = (ROOT / "docs" / "connect.md").read_text().partition("| code | meaning |")[2]
    documented = re.findall("^[|] ([0-9]+) [|]", table.partition("\n\n")[0], re.MULTILINE)
    listed = (tocsin.epilog or "").partition("Exit codes:")[2]
    assert documented == re.findall("^  ([0-9]+)  ", listed, re.MULTILINE)
    assert "143" in documented


@pytest.mark.parametrize("name", ["check", "withdraw", "sighting"])
def test_the_help_of_a_command_that_can_succeed_in_part_lists_its_exit_codes(name: str) -> None:
    command = tocsin.get_command(click.Context(tocsin), name)
    listed = ((command.help if command else None) or "").partition("Exit codes:")[2]
    assert re.findall("^ +([0-9])  ", listed, re.MULTILINE)[-1] == "4"
