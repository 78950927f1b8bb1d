"""The memory of a process: freed memory is not kept for each thread."""

import os
import platform
import subprocess
import sys
from pathlib import Path

import pytest

from tocsin.server.processes import memory

if platform.libc_ver()[0] != "glibc":
    pytest.skip("only glibc's malloc has arenas", allow_module_level=True)

COUNT = """
import ctypes, sys, threading
from tocsin.server.cli import serve

class Stop(Exception):
    pass

def begin(*args):
    at_once = threading.Barrier(16)
    def work():
        at_once.wait()
        held.append(libc.malloc(5000))
        at_once.wait()
    held = []
    threads = [threading.Thread(target=work) for _ in range(16)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    file = libc.fopen(sys.argv[1].encode(), b"w")
    libc.malloc_info(0, ctypes.c_void_p(file))
    libc.fclose(ctypes.c_void_p(file))
    raise Stop

libc = ctypes.CDLL(None)
libc.fopen.restype = ctypes.c_void_p
serve.Engine.begin = begin
serve.import_module = begin
try:
    serve.tocsin_command(sys.argv[2:], standalone_mode=False)
except Stop:
    pass
"""


def count_arenas(file: Path, *command: str, **variables: str) -> int:
    """The arenas that 16 threads of a hub get which begins to run a command."""
    program = COUNT.replace("tocsin_command", f"{command[0]}_command")
    usual = {name: text for name, text in os.environ.items() if name != memory.ARENA_VARIABLE}
    subprocess.run(
        [sys.executable, "-c", program, str(file), *command[1:]],
        env=usual | variables,
        check=True,
        timeout=60,
    )
    return file.read_text().count("<heap nr=")


@pytest.mark.slow
@pytest.mark.parametrize("command", [("serve",), ("work", "--mongo-uri", "mongodb://127.0.0.1/")])
def test_the_first_process_of_a_hub_has_two_arenas(
    tmp_path: Path, command: tuple[str, ...]
) -> None:
    place = ("--data", str(tmp_path / "data"))
    assert count_arenas(tmp_path / "info.xml", *command, *place) == memory.ARENA_MAX


@pytest.mark.slow
def test_the_variable_of_the_operator_counts(tmp_path: Path) -> None:
    place = ("--data", str(tmp_path / "data"))
    assert count_arenas(tmp_path / "info.xml", "serve", *place, MALLOC_ARENA_MAX="5") == 5


def test_with_another_c_library_nothing_is_done(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(memory.ARENA_VARIABLE, raising=False)
    monkeypatch.setattr("ctypes.CDLL", lambda name: object())
    memory.limit_arenas()
