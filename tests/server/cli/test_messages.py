"""Messages of `tocsin-hub` to operators who are new to it, or mistaken."""

import socket
import subprocess
from pathlib import Path

import pytest
from support.medallion_files import collection, write_data_file
from support.processes import BIN, make_data, run_command

from tocsin.server.cli.command import print_table

pytestmark = pytest.mark.slow


def test_a_list_of_what_is_in_the_wrong_folder_makes_no_hub_there(alone: None) -> None:
    code, out, message = run_command("partner", "list")
    assert (code, out) == (1, "")
    assert "there is no hub in tocsin-data: name its data directory with --data" in message
    assert not Path("tocsin-data").exists()


def test_a_dry_run_makes_no_hub(alone: None, tmp_path: Path) -> None:
    file = write_data_file(tmp_path, collection())
    code, out, message = run_command("import", "medallion", str(file), "--dry-run")
    assert (code, out) == (1, "")
    assert "there is no hub in tocsin-data" in message
    assert not Path("tocsin-data").exists()


def test_a_command_that_adds_something_says_that_it_created_a_hub(alone: None) -> None:
    code, _, message = run_command("partner", "add", "acme", "--name", "ACME")
    assert code == 0
    assert "tocsin-data had no hub; a new one was created there" in message
    assert run_command("partner", "list", "--json")[0] == 0
    assert run_command("journal", "list", "--json")[0] == 0


def test_an_empty_list_is_said_to_be_empty(alone: None) -> None:
    make_data(Path("tocsin-data"))
    assert run_command("partner", "list") == (0, "", "tocsin-hub: the list is empty\n")
    assert run_command("partner", "list", "--json") == (0, "[]\n", "")


def test_partners_are_listed_in_columns_a_line_for_each_account(alone: None) -> None:
    for slug in ("acme", "north-shore"):
        code, _, message = run_command("partner", "add", slug, "--name", f"{slug} Limited")
        assert code == 0, message
    code, out, message = run_command("partner", "list")
    assert code == 0, message
    head, *lines = out.splitlines()
    assert head.split() == ["PARTNER", "ACCOUNT", "READS", "WRITES", "AGREEMENT", "NAME"]
    assert [line.split()[:4] for line in lines] == [
        [slug, slug, "clear,green", "inbox"] for slug in ("acme", "north-shore")
    ]
    assert {line.index("clear,green") for line in lines} == {head.index("READS")}
    assert "reliability: " in run_command("partner", "show", "acme")[1]
    code, _, message = run_command("partner", "show", "nobody")
    assert (code, "`tocsin-hub partner list` shows them" in message) == (1, True)


def test_a_table_sends_no_control_character_to_the_terminal(
    capsys: pytest.CaptureFixture[str],
) -> None:
    print_table([{"name": "a\x1b[2Jb"}])
    head, line = capsys.readouterr().out.splitlines()
    assert head == "NAME"
    assert line.isprintable()
    assert (line[0], line[-1]) == ("a", "b")


def test_a_notice_for_which_the_disk_has_no_room_stops_nobody(alone: None) -> None:
    make_data(Path("tocsin-data"))
    with Path("/dev/full").open("wb") as full:
        command: list[str | Path] = [BIN / "tocsin-hub", "partner", "list", "--json"]
        done = subprocess.run(command, stdout=subprocess.PIPE, stderr=full)
    assert (done.returncode, done.stdout) == (0, b"[]\n")


def test_adding_a_partner_twice_points_to_partner_change(alone: None) -> None:
    make_data(Path("tocsin-data"))
    run_command("partner", "add", "acme", "--name", "ACME")
    code, _, message = run_command("partner", "add", "acme", "--name", "ACME")
    assert (code, "`partner change` changes it" in message) == (1, True)


def test_a_data_directory_that_is_a_file_is_a_wrong_setting(alone: None, tmp_path: Path) -> None:
    (tmp_path / "afile").touch()
    for words in (("list",), ("add", "acme", "--name", "ACME")):
        code, _, message = run_command("partner", *words, "--data", "afile")
        assert (code, "data: afile is not a directory" in message) == (2, True)


@pytest.mark.parametrize("host", ["127.0.0.1", "nosuch.invalid"])
def test_an_address_that_is_in_use_or_unknown_is_named(alone: None, host: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = str(other.getsockname()[1])
        make_data(Path("tocsin-data"))
        line: list[str | Path] = [BIN / "tocsin-hub", "serve", "--port", port, "--host", host]
        ended = subprocess.run(line, capture_output=True, text=True, timeout=60, check=False)
        code, message = ended.returncode, ended.stderr
    last = message.splitlines()[-1]
    assert code == 2
    assert last.startswith(f"tocsin-hub: cannot listen at {host}:{port}: ")
    assert last.endswith("; choose another --port or --host")


def test_the_version_can_be_asked_for(alone: None) -> None:
    code, out, _ = run_command("--version")
    assert (code, out.split()[0]) == (0, "tocsin-hub")


@pytest.mark.parametrize(
    "words", [("serve", "--port", "0"), ("partner", "add", "a", "--name", "A")]
)
def test_a_wrong_policy_leaves_nothing_in_a_new_directory(
    alone: None, monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...]
) -> None:
    Path("policy.toml").write_text("[sanitise]\n")
    monkeypatch.setenv("TOCSIN_POLICY", "policy.toml")
    code, _, message = run_command(*words)
    assert code == 2 and "policy" in message
    assert not Path("tocsin-data").exists()
