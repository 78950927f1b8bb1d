"""Known faults of other servers are found from outside, by their numbers."""

import json
import subprocess
import sys
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from support.paths import ROOT
from support.presence import present

pytestmark = pytest.mark.slow

BENCH = ROOT / "bench"
HUB = Path(sys.executable).with_name("tocsin-hub")

KNOWN = {
    "objects of one POST are lost to who follows by added_after": "17.8",
    "the same next twice gives two pages": "17.10",
    "an object whose version is no date makes every read fail": "12.14",
    "a malformed added_after or version breaks the server": "16.1",
    "Accept without version is not acceptable": "2.2",
    "wildcards in Accept are not acceptable": "2.5",
    "quality and lists in Accept are not understood": "2.8",
    "Content-Type without version is unsupported": "2.9",
    "a parameter given twice is not noticed": "16.2",
    "a match field given twice is not noticed": "16.6",
    "DELETE leaves the older versions": "14.5",
    "of a refused envelope the first objects stay": "12.7",
    "anybody reads anybody's status": "3.13",
    "another account moves one's next": "17.7",
    "refusals of the framework are in HTML": "4.5",
    "a body in chunks is refused": "7.6",
}
"""Defects of medallion 3.0.0, and the checks that must see them."""


def bench_peers() -> ModuleType:
    """The bench's module by its file, so that no test finds the bench's modules by their names."""
    spec = spec_from_file_location("bench_peers", BENCH / "peers.py")
    found = sys.modules[present(spec).name] = module_from_spec(present(spec))
    present(present(spec).loader).exec_module(found)
    return found


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    with bench_peers().medallion(sys.executable, tmp_path_factory.mktemp("medallion")) as peer:
        line = [HUB, "conformance", *peer.arguments(), "--json"]
        result = subprocess.run(line, capture_output=True, timeout=300)
    assert (result.returncode, result.stderr) == (1, b"")
    found: dict[str, Any] = json.loads(result.stdout)
    return found


def outcomes(report: dict[str, Any], number: str) -> set[str]:
    return {each["outcome"] for each in report["results"] if each["number"] == number}


@pytest.mark.parametrize("defect", KNOWN)
def test_a_known_defect_of_medallion_is_found(report: dict[str, Any], defect: Any) -> None:
    assert outcomes(report, KNOWN[defect]) & {"failed", "warned"}


@pytest.mark.parametrize("number", ["6.1", "7.2", "9.3", "12.1", "13.5", "16.16", "17.2", "18.1"])
def test_what_medallion_does_right_is_not_blamed(report: dict[str, Any], number: str) -> None:
    assert outcomes(report, number) == {"passed"}


def test_a_complaint_has_the_request_the_answer_and_what_was_expected(
    report: dict[str, Any],
) -> None:
    entry = next(each for each in report["results"] if each["number"] == "16.1")
    first = entry["complaints"][0]
    assert first["expected"] == "400 for added_after=yesterday"
    assert first["request"][0].startswith("GET /peer/collections/")
    assert (first["status"], first["headers"]["Content-Type"][:9]) == (500, "text/html")
    assert "Internal Server Error" in first["body"]


def test_no_credential_is_in_a_report(report: dict[str, Any]) -> None:
    text = json.dumps(report, ensure_ascii=False)
    assert "let-me-in" not in text
    assert "Authorization: …" in text
    assert "Authorization: Basic" not in text
