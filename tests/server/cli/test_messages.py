"""What `tocsin-hub` says to whoever is new to it, or mistaken."""

import socket
import subprocess

import pytest
from support.processes import BIN


def ran(*words: str) -> tuple[int, str, str]:
    """Runs a command; its exit code, its answer and what it said."""
    line = [BIN / "tocsin-hub", *words]
    ended = subprocess.run(line, capture_output=True, text=True, timeout=60, check=False)
    assert "Traceback" not in ended.stderr
    return ended.returncode, ended.stdout, ended.stderr


def test_a_command_in_the_wrong_folder_says_that_it_began_a_new_hub(alone):
    code, out, said = ran("partner", "list")
    assert (code, out) == (0, "")
    assert "tocsin-data had no hub; a new one was created there" in said
    assert said.endswith("tocsin-hub: the list is empty\n")
    assert ran("partner", "list", "--json") == (0, "[]\n", "")


def test_what_is_there_already_can_be_changed(alone):
    ran("partner", "add", "acme", "--name", "ACME")
    code, _, said = ran("partner", "add", "acme", "--name", "ACME")
    assert (code, "`partner change` changes it" in said) == (1, True)


def test_a_data_directory_that_cannot_be_is_1(alone, tmp_path):
    (tmp_path / "afile").touch()
    code, _, said = ran("partner", "list", "--data", "afile")
    assert (code, "name another --data" in said) == (1, True)


@pytest.mark.parametrize("host", ["127.0.0.1", "nosuch.invalid"])
def test_an_address_that_cannot_be_listened_at_is_named(alone, host):
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = str(other.getsockname()[1])
        code, _, said = ran("serve", "--port", port, "--host", host)
    last = said.splitlines()[-1]
    assert code == 2
    assert last.startswith(f"tocsin-hub: cannot listen at {host}:{port}: ")
    assert last.endswith("; choose another --port or --host") and "cheroot" not in last


def test_a_time_without_hours_is_told_what_one_looks_like(alone):
    code, _, said = ran("collection", "add", "x", "--kind", "snapshot", "--at", "2026-01-01")
    assert (code, "write it like 2026-01-31T00:00:00Z" in said) == (2, True)


def test_the_version_can_be_asked_for(alone):
    code, out, _ = ran("--version")
    assert (code, out.split()[0]) == (0, "tocsin-hub")
