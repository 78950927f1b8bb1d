"""The hub answers as medallion 3.0.0 does, but for the differences that are meant and documented.

`bench/differential.py` asks more.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from support.differential import Pair, compare
from support.differential_questions import FULL, OBJECTS, Question, questions
from support.medallion_differences import ALLOWED
from support.medallion_files import open_import_target, threat
from support.paths import ROOT

pytestmark = pytest.mark.slow

PAGE = ROOT / "docs" / "medallion.md"


@pytest.fixture(scope="module")
def home(engine_uri: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    with open_import_target(engine_uri, tmp_path_factory.mktemp("home")) as home:
        yield home


@pytest.fixture(scope="module")
def report(home: Any, tmp_path_factory: pytest.TempPathFactory) -> Any:
    return compare(Pair(home, tmp_path_factory.mktemp("peer")), questions(400), ALLOWED)


def test_answers_differ_only_as_documented(report: Any) -> None:
    assert report.asked >= 400
    assert [str(each)[:600] for each in report.unexpected] == []


def test_every_documented_difference_occurs(report: Any) -> None:
    assert [name for name, times in report.allowed.items() if not times] == []


def test_the_documentation_lists_every_difference_word_for_word() -> None:
    text = " ".join(PAGE.read_text("utf-8").split())
    assert [rule.reason for rule in ALLOWED if rule.reason not in text] == []


class TestTheComparisonCanFail:
    def test_an_object_that_only_one_server_has_is_found(
        self, engine_uri: str, tmp_path: Path
    ) -> None:
        with open_import_target(engine_uri, tmp_path / "hub") as other:
            pair = Pair(other, tmp_path)
            store = other.hub.services.store
            store.commit(lambda txn: txn.remove(FULL, threat(7)["id"]))
            found = compare(pair, [Question(OBJECTS, (("limit", "20"),), walk="next")], ALLOWED)
        (difference,) = found.unexpected
        assert (difference.aspect, difference.apart) == ("objects", {threat(7)["id"]})

    def test_a_rule_that_covers_nothing_is_found(self, engine_uri: str, tmp_path: Path) -> None:
        with open_import_target(engine_uri, tmp_path / "hub") as other:
            found = compare(Pair(other, tmp_path), [Question("/taxii2/")], ALLOWED)
        assert set(found.allowed.values()) == {0}
