"""The help of `tocsin-hub`: it fits 80 columns, and its examples work."""

import json
import re
import shlex
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import pytest
from support.certificates import make_authority
from support.medallion_files import collection, day, threat, write_data_file
from support.presence import present
from support.processes import HubProcess, indicators, run_command
from support.warning_lists import write_misp_lists, zip_folder

from tocsin.config.settings import HubSettings
from tocsin.server.cli.main import main, tocsin_hub
from tocsin.server.person import Person, Role
from tocsin.server.runtime import open_runtime

EVIL = "evil-portal.top"
NAMED = "acme-portal.top"


def commands(command: click.Command = tocsin_hub, path: Any = ()) -> Iterator[Any]:
    """Every command below one, with the words that call it."""
    yield path, command
    if isinstance(command, click.Group):
        for name in command.list_commands(click.Context(command)):
            yield from commands(
                present(command.get_command(click.Context(command), name)), (*path, name)
            )


COMMANDS = {" ".join(path): command for path, command in commands()}


def examples(command: click.Command) -> list[str]:
    """The example lines of a command's help, continued lines joined."""
    listed = (command.epilog or "").partition("Examples:\n")[2].partition("\n\n")[0]
    return re.findall(r"^ +(tocsin-hub .*)$", listed.replace("\\\n", ""), re.MULTILINE)


ALL = list(dict.fromkeys(line for command in COMMANDS.values() for line in examples(command)))
LASTING = [line for line in ALL if shlex.split(line)[1] in ("serve", "work", "compact")]


@pytest.mark.parametrize("words", COMMANDS)
def test_help_fits_80_columns_and_cuts_no_summary(
    words: Any, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    try:
        assert main([*words.split(), "--help"]) == 0
    except SystemExit as end:  # argparse in the conformance suite
        assert end.code == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line for line in lines if len(line) > 80] == []
    assert [line for line in lines if line.endswith("...") and "Usage:" not in line] == []


@pytest.mark.parametrize(
    "words", [w for w, c in COMMANDS.items() if any(each.name == "reason" for each in c.params)]
)
def test_an_option_for_a_reason_says_that_the_journal_keeps_it(words: str) -> None:
    [reason] = (each for each in COMMANDS[words].params if each.name == "reason")
    assert isinstance(reason, click.Option) and "in the journal" in (reason.help or "")


@pytest.mark.parametrize(
    "words", [w for w, c in COMMANDS.items() if not isinstance(c, click.Group)]
)
def test_every_command_but_conformance_has_an_example(words: Any) -> None:
    assert words == "conformance" or examples(COMMANDS[words])


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """A served hub with objects on EVIL and NAMED, two others and five held ones; its folder."""
    folder = tmp_path_factory.mktemp("examples")
    hub = HubProcess(folder / "data")
    hub.start()
    hub.join("city")
    evil, named, plain, other, *held = indicators(9)
    evil["pattern"] = f"[domain-name:value = '{EVIL}']"
    named["pattern"] = f"[domain-name:value = '{NAMED}']"
    for each in held:
        each["object_marking_refs"] = [f"marking-definition--{uuid.uuid4()}"]
    assert hub.post([evil, named, plain, other, *held]).status_code == 202
    ca = make_authority()
    write_data_file(folder, collection((day(1), threat(1))), root="trustgroup1")
    (folder / "acme.crt").write_text(ca.issue("acme").certificate)
    lists = write_misp_lists(folder / "misp-warninglists", {"google": ["search.example"]})
    zip_folder(lists, folder / "misp-warninglists-main.zip")
    yield hub, folder
    hub.kill()


def replace_placeholders(hub: HubProcess, words: list[str]) -> list[str]:
    """Put ids of this hub in the place of those that an example has."""
    if words[0] == "agreement" and words[1] in ("change", "end"):
        return [*words[:2], hub.command("agreement", "list")[-1]["agreement"], *words[3:]]
    return _replace_others(hub, words)


def _replace_others(hub: HubProcess, words: list[str]) -> list[str]:
    if "/srv/tocsin" in words:
        words = [str(hub.data) if word == "/srv/tocsin" else word for word in words]
    if words[0] == "restore":
        (hub.data.parent / "journal.jsonl").write_text(run_command("journal", "export")[1])
        new = str(hub.data.parent / f"restored-{uuid.uuid4()}")
        return [new if word.startswith("/srv/") else word for word in words]
    if words[:2] == ["key", "revoke"]:
        keys = [each["id"] for each in hub.command("key", "list", "acme") if each["kind"] == "key"]
        return [*words[:3], keys[0][:12]]
    if words[0] == "review" and words[1] != "list":
        return [*words[:2], choose_review(hub, words[1]), *words[3:]]
    if words[0] == "person" and words[1] not in ("invite", "list"):
        let_sign_in(hub, words[2])
    if words[0] == "submission" and words[1] != "list":
        return [*words[:2], set_aside_new(hub), *words[3:]]
    if words[0] == "object" and words[2].startswith("indicator--"):
        found = [each for each in hub.walk("green") if "pattern" in each]
        plain = [o["id"] for o in found if EVIL not in o["pattern"] and NAMED not in o["pattern"]]
        sender = ["city" if word == "acme" else word for word in words[3:]]
        return [*words[:2], plain[-1 if words[1] == "purge" else 0], *sender]
    return words


def choose_review(hub: HubProcess, command: str) -> str:
    """Id of a review that the command can do something with."""
    review = str(hub.command("review", "list")[0]["review"])
    if command == "forget":
        hub.command("review", "reject", review)
    return review


def let_sign_in(hub: HubProcess, mailbox: str) -> None:
    """Add a person of `acme` if there is none with this mailbox."""
    with open_runtime(HubSettings(data=hub.data), print) as runtime:
        if runtime.services.store.people.find_by_login(mailbox) is None:
            roles = frozenset({Role.ANALYST})
            person = Person(uuid.uuid4().hex, mailbox, "Jane", "acme", roles)
            runtime.services.store.people.add(person)


def set_aside_new(hub: HubProcess) -> str:
    """Set a new submission aside; return its id."""
    settings = HubSettings(data=hub.data, inline_objects=0)
    with open_runtime(settings, print) as runtime:
        store, intake = runtime.services.store, runtime.services.intake
        inbox = next(each for each in store.feeds.collections() if each.alias == "inbox")
        city = present(store.accounts.find_account("city"))
        while True:  # the hub that runs may be faster
            one = json.dumps(indicators(1)[0]).encode()
            posted = intake.receive(city, inbox, [one], b'{"objects": [' + one + b"]}").submission
            for listed in store.submissions.list_open(60):
                if listed.id == posted.id and intake.set_aside.add(listed):
                    return posted.id


@pytest.mark.slow
def test_examples_run(
    prepared: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    hub, folder = prepared
    monkeypatch.chdir(folder)
    monkeypatch.setenv("TOCSIN_DATA", str(hub.data))
    failed = []
    for line in (line for line in ALL if line not in LASTING):
        words = replace_placeholders(hub, shlex.split(line)[1:])
        capsys.readouterr()
        if main(words) != 0:
            failed.append((line, capsys.readouterr().err))
    assert failed == []


_SERVING = [line for line in LASTING if " serve" in line]


@pytest.mark.parametrize(
    "line", [_SERVING[0], *(pytest.param(line, marks=pytest.mark.slow) for line in _SERVING[1:])]
)
def test_examples_of_serve_start_a_hub(
    line: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    holder = make_authority().server()
    (tmp_path / "hub.pem").write_text(holder.certificate)
    (tmp_path / "hub.key").write_text(holder.key)
    (tmp_path / "hub.key").chmod(0o600)
    (tmp_path / "hub.toml").touch()
    words = shlex.split(line)[1:]
    hub = HubProcess(tmp_path / "data", program=(HubProcess.program[0], *words))
    try:
        hub.start()
    finally:
        if hub.process:
            hub.kill()
