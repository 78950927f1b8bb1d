"""Patterns that are compiled at their first use behave as compiled ones, and all compile."""

import copy
import re
import subprocess
import sys

import pytest

from tocsin.admission.lazy_patterns import compile_lazily

_COLLECT = """
import gc, importlib, pkgutil, re
from tocsin import admission
from tocsin.admission.lazy_patterns import _LazyPattern
def collect():
    return [found for found in gc.get_objects() if type(found) is _LazyPattern]
"""


def test_a_lazy_pattern_is_compiled_once_and_answers_as_a_compiled_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    compiled: list[str] = []
    real = re.compile

    def count(pattern: str, flags: int = 0) -> re.Pattern[str]:
        compiled.append(pattern)
        return real(pattern, flags)

    monkeypatch.setattr(re, "compile", count)
    lazy = compile_lazily(r"(?P<name>a+)b", re.IGNORECASE)
    assert compiled == [] and lazy.pattern == r"(?P<name>a+)b"
    assert [match["name"] for match in lazy.finditer("AAb ab")] == ["AA", "a"]
    assert lazy.sub("-", "xAb") == "x-" and lazy.fullmatch("ab") is not None
    assert lazy.groups == 1 and lazy.flags & re.IGNORECASE
    assert compiled == [r"(?P<name>a+)b"]


def test_a_copy_of_a_lazy_pattern_answers_as_it() -> None:
    assert copy.deepcopy(compile_lazily("a+")).match("aa") is not None


def test_a_wrong_pattern_is_an_error_at_its_first_use() -> None:
    wrong = compile_lazily("(")
    with pytest.raises(re.error):
        wrong.search("a")


def _run(program: str) -> str:
    run = subprocess.run(
        [sys.executable, "-c", _COLLECT + program], capture_output=True, text=True, check=True
    )
    return run.stdout.strip()


def test_every_pattern_of_admission_compiles() -> None:
    program = (
        "for module in pkgutil.walk_packages(admission.__path__, 'tocsin.admission.'):\n"
        "    importlib.import_module(module.name)\n"
        "for pattern in collect():\n"
        "    re.compile(pattern.pattern, pattern._flags)\n"
        "print(len(collect()))\n"
    )
    assert int(_run(program)) > 500


def test_importing_admission_compiles_few_of_its_patterns() -> None:
    program = (
        "import tocsin.admission.pipeline, tocsin.admission.extraction.prose\n"
        "print(len(collect()), sum(pattern._compiled is not None for pattern in collect()))\n"
    )
    total, compiled = map(int, _run(program).split())
    assert total > 100 and compiled < 10
