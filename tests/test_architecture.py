"""The walls of the house: who may know whom, and what is shipped.

Every check takes a tree and answers with complaints, each naming the place, so
the second half of the file can show on a small wrong house that it can fail.
"""

import ast
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from support.layers import LAYERS, PACKAGES
from support.paths import ROOT
from support.syntax import statements

ALONE = {"tocsin.server"}
"""Packages that hold other packages and have no code of their own."""
UNITS = {each for line in LAYERS for each in line} | ALONE | {"tocsin.config", "tocsin.conformance"}

OPEN_TO_CONFIG = {
    "tocsin.config",
    "tocsin.server.cli",
    "tocsin.server.answering",
    "tocsin.server.runtime",
    "tocsin.server.serving",
    "tocsin.server.worker",
    "tocsin.server.http",
    "tocsin.server.app",
    "tocsin.server.services",
    "tocsin.server.examination",
    "tocsin.server.urls",
    "tocsin.server.integrations",
    "tocsin.clients",
    "tocsin.clients.cli",
}
WITH_FLASK = {
    "tocsin.server.taxii",
    "tocsin.server.console",
    "tocsin.server.export",
    "tocsin.server.app",
}
LIVES_IN = {
    "fido2": {"tocsin.server.partners"},
    "flask": WITH_FLASK,
    "werkzeug": WITH_FLASK,
    "zstandard": {"tocsin.server.taxii", "tocsin.server.store"},
    "prometheus_client": {"tocsin.server.processes", "tocsin.server.monitoring"},
    "pymongo": {"tocsin.server.store", "tocsin.server.integrations"},
    "bson": {"tocsin.server.store", "tocsin.server.integrations"},
    "requests": {"tocsin.clients", "tocsin.server.console", "tocsin.server.notices"},
    "taxii2client": {"tocsin.clients"},
    "urllib3": {"tocsin.clients"},
}
"""The units that may import what others make."""

Modules = dict[str, Path]


def modules(root: Path) -> Modules:
    """Every module of the house by its name."""
    found = {}
    for path in sorted(each for package in PACKAGES for each in (root / package).rglob("*.py")):
        steps = path.relative_to(root).with_suffix("").parts
        found[".".join(("tocsin", *steps)).removesuffix(".__init__")] = path
    return found


Import = ast.Import | ast.ImportFrom


def imports_of(path: Path) -> tuple[tuple[Import, bool], ...]:
    """The import statements of a module; for each, True if it is inside a function."""
    return _find_imports(path.read_text(encoding="utf-8"))


@cache
def _find_imports(text: str) -> tuple[tuple[Import, bool], ...]:
    every = list(statements(ast.parse(text)))
    functions = (f for f in every if isinstance(f, ast.FunctionDef | ast.AsyncFunctionDef))
    hidden = {id(each) for function in functions for each in statements(function)}
    return tuple((each, id(each) in hidden) for each in every if isinstance(each, Import))


def unit(module: str) -> str | None:
    """The entry of LAYERS that a module belongs to, the closest one."""
    if module in UNITS:
        return module
    above = module
    while above := above.rpartition(".")[0]:
        if above in UNITS - ALONE:
            return above
    return None


def imports(path: Path, known: Modules) -> Iterator[tuple[int, str]]:
    """(line, module) of every import; a name imported from a package counts as its module."""
    for node, _ in imports_of(path):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, each.name) for each in node.names)
        elif node.module:
            inner = [f"{node.module}.{each.name}" for each in node.names]
            yield from ((node.lineno, each if each in known else node.module) for each in inner)


def may_import(importer: str, imported: str) -> bool:
    """True if one unit may import from another."""
    if importer == imported:
        return True
    if imported == "tocsin.config":
        return importer in OPEN_TO_CONFIG
    if (importer, imported) == ("tocsin.server.cli", "tocsin.conformance"):
        return True
    if {importer.split(".")[1], imported.split(".")[1]} == {"server", "clients"}:
        return False
    height = {each: n for n, line in enumerate(LAYERS) for each in line}
    return importer in height and imported in height and height[importer] < height[imported]


def homeless(root: Path) -> list[str]:
    """Modules without a layer."""
    return [f"{name}: has no line in LAYERS" for name in modules(root) if unit(name) is None]


def trespasses(root: Path) -> list[str]:
    """Imports from above, from a neighbour, from another stack, from outside where not allowed."""
    known, wrong = modules(root), []
    for name, path in known.items():
        for line, imported in imports(path, known):
            top = imported.partition(".")[0]
            inner, home = unit(imported), unit(name)
            if top == "tocsin" and home and not (inner and may_import(home, inner)):
                wrong.append(f"{name}:{line} imports {imported}")
            if top in LIVES_IN and home not in LIVES_IN[top]:
                wrong.append(f"{name}:{line} imports {imported}")
    return wrong


def circles(root: Path) -> list[str]:
    """Modules that come to know themselves through those they import."""
    known = modules(root)
    knows = {
        name: {each for _, each in imports(path, known) if each in known}
        for name, path in known.items()
    }

    def reachable(start: str) -> set[str]:
        seen: set[str] = set()
        waiting = [start]
        while waiting:
            fresh = knows[waiting.pop()] - seen
            seen |= fresh
            waiting.extend(fresh)
        return seen

    return [f"{name}: knows itself in a circle" for name in known if name in reachable(name)]


def hidden_imports(root: Path) -> list[str]:
    """Imports inside functions (each hides a knot) and relative ones."""
    wrong = set()
    for name, path in modules(root).items():
        for node, is_inside_function in imports_of(path):
            if isinstance(node, ast.ImportFrom) and node.level:
                wrong.add(f"{name}:{node.lineno} imports relatively")
            if is_inside_function:
                wrong.add(f"{name}:{node.lineno} imports inside a function")
    return sorted(wrong)


def unshipped(root: Path) -> list[str]:
    """The wheel lacks these: packages, folders without __init__.py, files beside modules."""
    settings = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))
    listed = settings["tool"]["setuptools"]["packages"]
    globs = settings["tool"]["setuptools"].get("package-data", {})
    wrong = []
    for folder in sorted({path.parent for path in modules(root).values()}):
        package = ".".join(("tocsin", *folder.relative_to(root).parts))
        if not (folder / "__init__.py").exists():
            wrong.append(f"{package}: has no __init__.py")
        if package not in listed:
            wrong.append(f"{package}: not among the packages of pyproject.toml")
    here = {".".join(("tocsin", *p.relative_to(root).parts)) for p in root.glob("*/**/")}
    wrong += [f"{each}: in pyproject.toml, but no folder" for each in sorted({*listed} - here)]
    return wrong + [f"{file}: no package ships it" for file in _left_out(root, globs)]


def _left_out(root: Path, globs: dict[str, list[str]]) -> list[Path]:
    shipped = {
        path
        for package, patterns in globs.items()
        for pattern in patterns
        for path in root.joinpath(*package.split(".")[1:]).glob(pattern)
    }
    beside = {
        each for package in PACKAGES for each in (root / package).rglob("*") if each.is_file()
    }
    return sorted(p.relative_to(root) for p in beside - shipped if p.suffix not in {".py", ".pyc"})


def compiled_at_import(root: Path) -> list[str]:
    """Constant patterns of admission that are compiled at import, not by `compile_lazily`."""
    return [
        f"{name}:{node.lineno} compiles a pattern at import"
        for name, path in modules(root).items()
        if name.startswith("tocsin.admission")
        for statement in ast.parse(path.read_text(encoding="utf-8")).body
        if isinstance(statement, ast.Assign | ast.AnnAssign)
        for node in ast.walk(statement)
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "re.compile"
        if not any(isinstance(getattr(part, "value", ""), bytes) for part in ast.walk(node))
    ]


CHECKS = (homeless, trespasses, circles, hidden_imports, unshipped, compiled_at_import)


@pytest.mark.parametrize("check", CHECKS)
def test_the_house_stands(check: Any) -> None:
    assert check(ROOT) == []


def test_the_clients_load_neither_flask_nor_pymongo() -> None:
    code = "import sys, tocsin.clients.cli.push, tocsin.clients.cli.poll; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert loaded.returncode == 0, loaded.stderr
    assert not {"flask", "werkzeug", "pymongo", "tocsin.server"} & set(loaded.stdout.split())


@pytest.mark.parametrize("name", ["match_filters", "value_terms"])
def test_the_terms_of_the_index_know_nothing_of_the_database(name: str) -> None:
    house = modules(ROOT)
    imported = {each for _, each in imports(house[f"tocsin.server.store.{name}"], house)}
    known = ("tocsin.admission.", "tocsin.server.model", "tocsin.server.store.match_filters")
    ours = {each for each in imported if each.startswith("tocsin.")}
    assert ours and all(each.startswith(known) for each in ours)
    assert not {"pymongo", "bson"} & {each.partition(".")[0] for each in imported}


def test_the_engine_is_started_before_the_hub_is_imported() -> None:
    code = "import sys, tocsin.server.cli.serve; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert loaded.returncode == 0, loaded.stderr
    assert "tocsin.server.store.embedded" in loaded.stdout.split()
    late = {"flask", "tocsin.server.runtime", "tocsin.server.serving", "tocsin.server.app"}
    assert not late & set(loaded.stdout.split())


def test_commands_beside_a_hub_load_nothing_that_answers_requests() -> None:
    groups = [f"tocsin.server.cli.{path.stem}" for path in ROOT.glob("server/cli/[a-z]*.py")]
    code = f"import sys, {', '.join(sorted(groups))}; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert loaded.returncode == 0, loaded.stderr
    found = set(loaded.stdout.split())
    assert "tocsin.server.services" in found
    assert not {"flask", "jinja2", "requests", "tocsin.server.serving"} & found


@pytest.fixture
def house(tmp_path: Path) -> Any:
    """Builds a small house from {path: text}; folders get an __init__.py and are shipped."""

    def build(files: dict[str, str], packages: tuple[str, ...] | None = None) -> Path:
        for name, text in files.items():
            (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / name).write_text(text, encoding="utf-8")
        folders = {path.parent for path in modules(tmp_path).values()}
        for folder in folders if packages is None else ():
            (folder / "__init__.py").touch()
        names = [".".join(("tocsin", *f.relative_to(tmp_path).parts)) for f in folders]
        listed = sorted(names) if packages is None else list(packages)
        (tmp_path / "pyproject.toml").write_text(f"[tool.setuptools]\npackages = {listed!r}\n")
        return tmp_path

    return build


class TestTheChecksCanFail:
    def test_a_house_in_order_has_no_complaint(self, house: Any) -> None:
        root = house(
            {
                "server/cli/main.py": "from tocsin.config import loading\nimport tocsin.server.app",
                "server/app.py": "import flask\nfrom tocsin.server.taxii.routes import door",
                "server/taxii/routes.py": "from tocsin.server.intake.intake import receive",
                "server/intake/intake.py": "from tocsin.server.store.feeds.reader import publish",
                "server/store/feeds/reader.py": "import pymongo\nfrom tocsin.server import secrets",
                "server/secrets.py": "from tocsin.admission.errors import Malformed",
                "server/model.py": "from tocsin.admission.model import Tlp",
                "clients/http.py": "import requests\nfrom tocsin.admission import examine",
                "admission/rules/benign.py": "from tocsin.admission.warninglists.index import hits",
                "admission/warninglists/index.py": "from tocsin.admission.model import Hit",
                "admission/model.py": "from tocsin.admission.errors import Malformed",
                "admission/errors.py": "",
                "config/__init__.py": "import tomllib",
            }
        )
        assert [complaint for check in CHECKS for complaint in check(root)] == []

    @pytest.mark.parametrize("file", ["server/extra.py", "server/extra/deep.py"])
    def test_a_module_without_a_layer_is_named(self, house: Any, file: str) -> None:
        assert "tocsin.server.extra" in homeless(house({file: ""}))[0]

    @pytest.mark.parametrize(
        ("file", "line"),
        [
            ("server/store/feeds/reader.py", "from tocsin.server.intake.intake import receive"),
            ("server/store/feeds/reader.py", "from tocsin.server import auth"),
            ("server/taxii/routes.py", "import tocsin.server.console.routes"),
            ("server/intake/intake.py", "from tocsin.config.settings import HubSettings"),
            ("server/model.py", "from tocsin.clients.push import push"),
            ("server/__init__.py", "from tocsin.server.app import create_app"),
            ("conformance/http.py", "from tocsin.server.model import Account"),
            ("conformance/http.py", "from tocsin.admission.timestamps import micros"),
            ("clients/push.py", "from tocsin.server.model import Account"),
            ("clients/push.py", "import flask"),
            ("clients/push.py", "from pymongo import MongoClient"),
            ("server/intake/intake.py", "from pymongo.errors import PyMongoError"),
            ("server/auth.py", "from flask import request"),
            ("server/intake/intake.py", "import requests"),
            ("admission/stix/validate.py", "from tocsin.server.model import Partner"),
            ("admission/stix/validate.py", "from tocsin.config.loading import policy_text"),
            ("server/publishing/publisher.py", "from tocsin.server.lifecycle import purge"),
            ("config/__init__.py", "from tocsin.admission.model import Tlp"),
        ],
    )
    def test_a_forbidden_import_is_named(self, house: Any, file: str, line: str) -> None:
        root = house(
            {**dict.fromkeys(("server/auth.py", "server/lifecycle/purge.py"), ""), file: line}
        )
        (complaint,) = trespasses(root)
        module = file.removesuffix(".py").removesuffix("/__init__").replace("/", ".")
        assert complaint.startswith(f"tocsin.{module}:1 imports ")

    def test_modules_that_know_each_other_are_named(self, house: Any) -> None:
        root = house(
            {
                "admission/patterns/canonical.py": "from tocsin.admission.stix import ijson",
                "admission/stix/ijson.py": "from tocsin.admission.patterns import canonical",
            }
        )
        assert [each.split(":")[0] for each in circles(root)] == [
            "tocsin.admission.patterns.canonical",
            "tocsin.admission.stix.ijson",
        ]

    @pytest.mark.parametrize(
        "text", ["def f():\n    import json", "class A:\n    async def f(self):\n        import os"]
    )
    def test_an_import_inside_a_function_is_named(self, house: Any, text: str) -> None:
        (complaint,) = hidden_imports(house({"server/intake/intake.py": text}))
        assert "tocsin.server.intake.intake" in complaint and "inside a function" in complaint

    def test_a_relative_import_is_named(self, house: Any) -> None:
        (complaint,) = hidden_imports(house({"server/intake/intake.py": "from . import model"}))
        assert complaint == "tocsin.server.intake.intake:1 imports relatively"

    def test_a_package_that_is_not_listed_is_named(self, house: Any) -> None:
        root = house({"server/store/__init__.py": "", "server/__init__.py": ""}, ("tocsin.server",))
        assert unshipped(root) == ["tocsin.server.store: not among the packages of pyproject.toml"]

    def test_a_folder_without_an_init_is_named(self, house: Any) -> None:
        root = house({"server/model.py": ""}, ("tocsin.server",))
        assert unshipped(root) == ["tocsin.server: has no __init__.py"]

    def test_a_listed_package_that_is_not_there_is_named(self, house: Any) -> None:
        root = house({"server/__init__.py": ""}, ("tocsin.server", "tocsin.server.console"))
        assert unshipped(root) == ["tocsin.server.console: in pyproject.toml, but no folder"]

    def test_a_file_that_no_package_ships_is_named(self, house: Any) -> None:
        root = house({"server/model.py": "", "server/store/schema.json": "{}"})
        assert unshipped(root) == ["server/store/schema.json: no package ships it"]
