"""How `tocsin` and `tocsin-hub` begin."""

import subprocess
import sys
import tomllib

import pytest
from support.paths import ROOT

SCRIPTS = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["scripts"]
SCRIPT = """
import os, signal, sys
from importlib import import_module

signal.signal(signal.SIGINT, {handler})

class Interrupting:
    def find_spec(name, path=None, target=None):
        if name == "{name}":
            os.kill(os.getpid(), signal.SIGINT)

sys.meta_path.insert(0, Interrupting)
sys.exit(import_module("{module}").{function}())
"""


def _run(
    program: str, *words: str, name: str, handler: str = "signal.default_int_handler"
) -> subprocess.CompletedProcess[str]:
    """The program as it is installed, with SIGINT when it imports the module `name`."""
    module, _, function = SCRIPTS[program].partition(":")
    script = SCRIPT.format(name=name, module=module, function=function, handler=handler)
    line = [sys.executable, "-c", script, *words]
    return subprocess.run(line, capture_output=True, text=True, timeout=120, check=False)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("program", "name"),
    [
        ("tocsin", "tocsin.clients.cli.main"),
        ("tocsin", "click"),
        ("tocsin", "tocsin.config.conversion"),
        ("tocsin-hub", "tocsin.server.cli.main"),
        ("tocsin-hub", "click"),
        ("tocsin-hub", "argon2"),  # it is only looked for, to see if the extra is installed
    ],
)
def test_an_interrupt_while_a_program_loads_its_modules_ends_it_in_silence(
    program: str, name: str
) -> None:
    done = _run(program, "--version", name=name)
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("program", "command", "name"),
    [
        ("tocsin", "check", "tocsin.clients.cli.check"),
        ("tocsin", "check", "tocsin.admission.pipeline"),
        ("tocsin-hub", "partner", "tocsin.server.cli.partner"),
        ("tocsin-hub", "partner", "tocsin.server.runtime"),
    ],
)
def test_an_interrupt_while_a_command_is_loaded_ends_it_in_one_line(
    program: str, command: str, name: str
) -> None:
    done = _run(program, command, "--help", name=name)
    assert (done.returncode, done.stdout) == (130, "")
    assert done.stderr == f"{program}: interrupted\n"


def test_an_interrupt_is_not_lost_where_an_exception_would_be() -> None:
    in_callback = """
class Doomed:
    def __del__(self):
        os.kill(os.getpid(), signal.SIGINT)
        for _ in range(10): pass

class InCallback:
    def find_spec(name, path=None, target=None):
        if name == "tocsin.clients.cli.check":
            Doomed()

sys.meta_path.insert(0, InCallback)
"""
    script = SCRIPT.replace("sys.exit", in_callback.replace("{", "{{") + "sys.exit")
    module, _, function = SCRIPTS["tocsin"].partition(":")
    default = "signal.default_int_handler"
    code = script.format(name="-", module=module, function=function, handler=default)
    line = [sys.executable, "-c", code, "check", "--help"]
    done = subprocess.run(line, capture_output=True, text=True, timeout=120, check=False)
    assert (done.returncode, done.stderr) == (130, "tocsin: interrupted\n")


@pytest.mark.slow
def test_a_program_that_is_to_ignore_interrupts_ignores_them_from_the_beginning() -> None:
    for name in ("click", "tocsin.clients.cli.check"):
        done = _run("tocsin", "check", "--help", name=name, handler="signal.SIG_IGN")
        assert (done.returncode, done.stderr) == (0, "")
