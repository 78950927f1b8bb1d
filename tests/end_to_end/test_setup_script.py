"""scripts/setup on a new machine, and the lock file."""

import os
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest
from support.paths import ROOT
from support.presence import present

LOCK = (ROOT / "requirements.lock").read_text(encoding="utf-8")
TOOLS = ("bash", "cat", "cksum", "dirname", "env", "ln", "mkdir")


@pytest.fixture
def machine(tmp_path: Path) -> Any:
    """Create a folder with a copy of the script, and only the tools that it requires."""
    (tmp_path / "scripts").mkdir()
    (tmp_path / "bin").mkdir()
    shutil.copy(ROOT / "scripts" / "setup", tmp_path / "scripts")
    for name in ("requirements.lock", "pyproject.toml"):
        (tmp_path / name).touch()
    for tool in TOOLS:
        (tmp_path / "bin" / tool).symlink_to(present(shutil.which(tool)))
    return tmp_path


def python(machine: Path, name: str, body: str) -> Path:
    script = machine / "bin" / name
    script.write_text(f"#!{shutil.which('bash')}\n{body}\n")
    script.chmod(0o755)
    return script


def setup(machine: Path, **environ: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [machine / "scripts" / "setup"],
        env={"PATH": str(machine / "bin"), **environ},
        capture_output=True,
        text=True,
    )


WITHOUT_ENSUREPIP = f"""exec {sys.executable} -c 'import sys
sys.modules["ensurepip"] = None
exec(sys.argv[1])' "$2\""""
"""A Python without ensurepip, as Debian packages it."""


class TestSetup:
    def test_without_a_python_the_required_version_is_named(self, machine: Any) -> None:
        result = setup(machine)
        assert result.returncode == 1
        assert "Python 3.11 or newer was not found" in result.stderr

    @pytest.mark.slow
    def test_for_a_python_without_venv_the_missing_package_is_named(self, machine: Any) -> None:
        python(machine, "python3", WITHOUT_ENSUREPIP)
        result = setup(machine)
        major, minor = sys.version_info[:2]
        assert result.returncode == 1
        assert f"apt install python{major}.{minor}-venv" in result.stderr

    def test_a_python_that_is_too_old_is_refused_by_name(self, machine: Any) -> None:
        old = python(machine, "python3", "exit 1")
        result = setup(machine, PYTHON=str(old))
        assert result.returncode == 1
        assert f"PYTHON={old} is not Python 3.11 or newer" in result.stderr

    @pytest.mark.slow
    def test_the_next_python_is_used_if_the_first_is_unusable(self, machine: Any) -> None:
        python(machine, "python3", "exit 1")
        python(machine, "python3.11", f'[ "$2" = venv ] && exit 7; exec {sys.executable} "$@"')
        result = setup(machine)
        assert "creating .venv with Python" in result.stdout
        assert result.returncode == 7

    def test_the_links_for_mypy_point_to_the_packages(self, machine: Any) -> None:
        (machine / "server").mkdir()
        setup(machine)
        assert (machine / ".typing" / "tocsin" / "server").resolve() == machine / "server"


class TestLock:
    def test_every_package_has_a_hash(self) -> None:
        packages = re.findall(r"^[a-z0-9].*$", LOCK, re.MULTILINE)
        assert packages and all(re.search(r"==\S+ .*\\$", each) for each in packages)

    def test_no_package_index_is_named(self) -> None:
        assert not re.search(r"://|--(extra-)?index-url|--find-links", LOCK)

    def test_every_requirement_of_pyproject_is_locked(self) -> None:
        project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
        extras = project["optional-dependencies"].values()
        requirements = [*project["dependencies"], *(each for extra in extras for each in extra)]
        names = {re.split(r"[^\w-]", each)[0].lower() for each in requirements}
        names -= {"tocsin-names"}  # our own, built by scripts/build-names
        locked = set(re.findall(r"^([a-z0-9-]+)==", LOCK, re.MULTILINE))
        assert names - locked == set()


@pytest.mark.parametrize(
    "script", [".ci/run", *(f"scripts/{n}" for n in ("setup", "test", "lint"))]
)
def test_the_scripts_are_executable_and_stop_at_the_first_error(script: Any) -> None:
    path = ROOT / script
    assert os.access(path, os.X_OK)
    assert "set -euo pipefail" in path.read_text(encoding="utf-8")
