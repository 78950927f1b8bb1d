"""The report of a comparison: medians of several runs, a table and pictures."""

import importlib.util
import json
import sys
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pytest
from support.paths import ROOT


@pytest.fixture(scope="module")
def report() -> Any:
    spec = importlib.util.spec_from_file_location("report", ROOT / "bench/report.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["report"] = module
    spec.loader.exec_module(module)
    return module


def result(milliseconds: float, ratio: float, met: bool) -> dict[str, Any]:
    page = {"row": "page <1>, ms", "key": "page1000 start", "tocsin": milliseconds, "budget": "≤ 3"}
    one = {"row": "commands", "key": "db page", "tocsin": 1.0, "budget": "≤ 2", "met": True}
    return {
        "rows": [
            page | {"opentaxii": 30.0, "ratio": ratio, "met": met},
            one | {"opentaxii": None, "ratio": None},
        ],
        "n": 4_000,
        "load": [[0.5, 0.4, 0.3], [1.5, 1.0, 0.5]],
        "wrong": [],
    }


RUNS = [(2.0, 15.0, True), (9.0, 3.3, False), (2.5, 0.5, True)]


def test_the_medians_of_the_runs_count(report: Any) -> None:
    page, one = report.combine([result(*each) for each in RUNS])
    assert (page.tocsin, page.ratio, page.met) == (2.5, 3.3, True)
    assert (one.tocsin, one.opentaxii, one.ratio) == (1.0, None, None)


@pytest.mark.parametrize(("ratio", "kind"), [(15.0, "better"), (0.5, "worse")])
def test_a_picture_shows_what_is_better_and_what_is_worse(
    report: Any, ratio: float, kind: str
) -> None:
    figures = report.combine([result(2.0, ratio, met=True)])
    picture = ET.fromstring(report.draw_ratios("Polling & <more>", figures))  # noqa: S314  (ours)
    bars = [each for each in picture if each.tag.endswith("rect")]
    assert [bar.get("class") for bar in bars] == [kind]
    assert all(float(bar.get("width", "0")) > 0 for bar in bars)


def test_the_page_names_every_figure_and_what_was_missed(report: Any, tmp_path: Path) -> None:
    report.write_report([json.loads(json.dumps(result(9.0, 3.3, met=False)))], tmp_path)
    page = (tmp_path / "index.md").read_text()
    assert "| page <1>, ms | 9 | 30 | 3.30 × | ≤ 3 | **missed** |" in page
    assert "load 0.5 to 1.5" in page
    assert (tmp_path / "reads.svg").exists() and not (tmp_path / "writes.svg").exists()
