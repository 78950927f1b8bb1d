"""`tocsin-hub` in an installation that has only the clients."""

import subprocess
import sys
from typing import Any

import pytest

HIDING = """
import sys
from importlib.abc import MetaPathFinder

class Hidden(MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {hidden!r}:
            raise ModuleNotFoundError(name)

class NotInstalled:
    def find_spec(name, package=None):
        return None if name in {hidden!r} else importlib_find_spec(name, package)

import importlib.util
importlib_find_spec = importlib.util.find_spec
importlib.util.find_spec = NotInstalled.find_spec
sys.meta_path.insert(0, Hidden())
from tocsin.server.cli.main import main
sys.exit(main(sys.argv[1:]))
"""


@pytest.mark.slow
@pytest.mark.parametrize(
    "hidden",
    [
        ("flask", "werkzeug", "prometheus_client", "pymongo", "bson", "zstandard"),
        ("pymongo",),
        ("prometheus_client",),
    ],
)
@pytest.mark.parametrize("words", [["serve"], ["partner", "list"], ["--help"]])
def test_without_the_server_extra_the_command_to_install_it_is_named(
    hidden: Any, words: Any
) -> None:
    line = [sys.executable, "-c", HIDING.format(hidden=hidden), *words]
    ended = subprocess.run(line, capture_output=True, text=True, timeout=120, check=False)
    assert (ended.returncode, ended.stdout) == (3, "")
    assert "pip install 'tocsin[server]'" in ended.stderr
    assert "pip install 'tocsin[server,embedded]'" in ended.stderr
    assert hidden[0] in ended.stderr and "Traceback" not in ended.stderr


def test_importing_the_command_loads_neither_flask_nor_pymongo() -> None:
    code = "import sys, tocsin.server.cli.main; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert loaded.returncode == 0, loaded.stderr
    assert not {"flask", "werkzeug", "pymongo"} & set(loaded.stdout.split())
