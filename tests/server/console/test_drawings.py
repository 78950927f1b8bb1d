"""Pictures of an object: neighbours that do not lie on each other, and steps of confidence."""

from itertools import combinations

import pytest

from tocsin.admission.merge.statistics import ConfidenceSteps
from tocsin.server.console.drawings import MOST_NODES, draw_confidence, draw_graph, estimate_width
from tocsin.server.reports.object_report import Relation


def relations(count: int, kind: str = "indicates") -> list[Relation]:
    return [Relation(True, kind, f"malware--{number:03}") for number in range(count)]


@pytest.mark.parametrize("count", [1, 2, 7, 60])
def test_nodes_lie_inside_the_picture_and_apart(count: int) -> None:
    graph = draw_graph(relations(count))
    assert len(graph.nodes) == count
    for each in graph.nodes:
        assert 0 < each.x < graph.width and 20 < each.y < graph.height - 20
    for one, other in combinations(graph.nodes, 2):
        assert one.is_right != other.is_right or abs(one.y - other.y) >= 24


def test_more_neighbours_than_can_be_drawn_are_counted_by_type() -> None:
    more = [
        *relations(MOST_NODES),
        Relation(False, "x", "tool--1"),
        Relation(False, "x", "tool--2"),
    ]
    graph = draw_graph(more)
    assert (len(graph.nodes), graph.left_out) == (MOST_NODES, (("tool", 2),))


def test_each_kind_of_relation_has_its_name_and_direction() -> None:
    graph = draw_graph([*relations(3), Relation(False, "uses", "tool--1")])
    assert {(each.name, each.points_right) for each in graph.kinds} == {
        ("indicates", True),
        ("indicates", False),
        ("uses", True),
    }


@pytest.mark.parametrize("count", [1, 2, 7, 60])
def test_the_name_of_a_kind_does_not_reach_to_its_nodes(count: int) -> None:
    graph = draw_graph(relations(count, "dynamic-analysis-of"))
    half = 18 * estimate_width("dynamic-analysis-of →") / 2
    for kind in graph.kinds:
        side = [node for node in graph.nodes if node.is_right == (kind.x > graph.width // 2)]
        middle = side[len(side) // 2]
        assert abs(kind.x - middle.x) - half > 0


def test_a_name_that_fits_is_not_cut() -> None:
    for node in draw_graph(relations(7)).nodes:
        assert node.fit("QuietLoader of 2026-11-30", "malware · ") == "QuietLoader of 2026-11-30"
        assert node.fit("W" * 34, "malware · ").endswith("W…")


def test_bars_show_the_steps_and_the_coming_falls() -> None:
    steps = ConfidenceSteps(60, 50, 64, 60, 0, 2, 1, falls=tuple((n, 50 - n) for n in range(20)))
    bars = draw_confidence(steps)
    assert [each.value for each in bars[:6]] == [60, 50, 64, 60, 0, 50]
    assert [each.at is None for each in bars[:6]] == [True] * 5 + [False]
    assert len(bars) == 11 and len({each.y + each.height for each in bars}) == 1
    assert all(each.height > 0 for each in bars)
