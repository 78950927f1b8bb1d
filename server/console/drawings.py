"""Geometry of the pictures of an object: its neighbours, and how its confidence came about.

Numbers only; the templates write them as attributes of SVG.  Pure.
"""

from __future__ import annotations

import math
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate, groupby

from tocsin.admission.merge.statistics import ConfidenceSteps
from tocsin.server.reports.object_report import Relation

MOST_NODES = 60
GRAPH_WIDTH = 1_160
_ROW = 26
"""Distance of neighbouring nodes on one side, so that no two labels touch."""
_RADIUS_X, _LEAST_RADIUS_Y, _MARGIN = 220, 90, 40
_MOST_OF_KIND = 19
"""Characters of the name of a kind that are shown, with which it lies on no node."""
_ARROW = 1.6
"""Ems of the arrow and the space beside the name of a kind."""
_KIND_AT = 0.64
"""Position of the name of a kind, between the centre (0) and its nodes (1), if it is short."""
_BESIDE_NODE = 14
"""Distance of a label from the middle of its node."""
_LARGE, _SMALL = 18, 12
"""Sizes of letters, as in console.css: where the picture is drawn smaller, and elsewhere."""
_NARROW, _WIDE = frozenset("fijlrtI.,:;!|'`()[]/\\- "), frozenset("mwMW@%…")
_MOST_FALLS = 6
CHART_WIDTH = 720
_LEFT, _TOP, _BOTTOM, _STEP_HEIGHT = 36, 24, 44, 132


@dataclass(frozen=True, slots=True)
class Node:
    """A neighbour."""

    relation: Relation
    x: int
    y: int
    is_right: bool
    """Its label stands on its right side."""

    @property
    def type(self) -> str:
        """The STIX type of the neighbour."""
        return self.relation.id.partition("--")[0]

    @property
    def label_x(self) -> int:
        """The end of its label that is beside the node."""
        return self.x + (_BESIDE_NODE if self.is_right else -_BESIDE_NODE)

    def fit(self, name: str, type_: str) -> str:
        """The name, cut so that it ends within the picture, also after a type in small letters."""
        room = GRAPH_WIDTH - self.label_x if self.is_right else self.label_x
        return cut_to_width(name, min(room / _LARGE, room / _SMALL - estimate_width(type_)))


@dataclass(frozen=True, slots=True)
class KindLabel:
    """The name of a kind of relation, beside its first nodes."""

    name: str
    points_right: bool
    """The relation leads from the left to the right."""
    x: int
    y: int


@dataclass(frozen=True, slots=True)
class Graph:
    """The neighbours of an object, on an ellipse around it, by kind of relation."""

    width: int
    height: int
    nodes: tuple[Node, ...]
    kinds: tuple[KindLabel, ...]
    left_out: tuple[tuple[str, int], ...] = ()
    """The types of the neighbours that are not drawn, with their numbers."""
    most_of_kind: int = _MOST_OF_KIND

    @property
    def centre(self) -> tuple[int, int]:
        """The place of the object itself."""
        return self.width // 2, self.height // 2


def draw_graph(relations: Sequence[Relation]) -> Graph:
    """Place the neighbours, which are sorted by kind, on both sides of the object.

    The first half is on the right from the top, the others on the left.  Their distance from top
    to bottom is even, so that labels never lie on each other.
    """
    drawn, rest = relations[:MOST_NODES], relations[MOST_NODES:]
    on_right = (len(drawn) + 1) // 2
    rows = max(on_right, 1)
    radius_y = max(_LEAST_RADIUS_Y, _ROW * rows / 2)
    height = round(2 * (radius_y + _MARGIN))
    nodes: list[Node] = []
    for index, each in enumerate(drawn):
        is_right = index < on_right
        row = index if is_right else len(drawn) - 1 - index
        total = on_right if is_right else len(drawn) - on_right
        y = radius_y * (2 * (row + 0.5) / total - 1)
        x = _RADIUS_X * math.sqrt(max(0.0, 1 - (y / (radius_y + _MARGIN)) ** 2))
        at = GRAPH_WIDTH // 2 + round(x if is_right else -x)
        nodes.append(Node(each, at, height // 2 + round(y), is_right))
    kinds = [_label(kind, list(group), height) for kind, group in groupby(nodes, _side)]
    types = sorted(each.id.partition("--")[0] for each in rest)
    left_out = tuple((name, len(list(group))) for name, group in groupby(types))
    return Graph(GRAPH_WIDTH, height, tuple(nodes), tuple(kinds), left_out)


def estimate_width(text: str) -> float:
    """The width of a text in a proportional font with wide letters, in ems."""
    return sum(map(_estimate_letter, text))


def _estimate_letter(letter: str) -> float:
    base = unicodedata.normalize("NFD", letter)[0]
    if unicodedata.category(base) in ("Mn", "Me"):
        return 0
    if not base.isascii():
        return 1.15 if base.isupper() else 0.95 if base.islower() else 1
    if base in _NARROW:
        return 0.41
    return 1 if base in _WIDE else 0.8 if base.isupper() else 0.64


def cut_to_width(text: str, ems: float) -> str:
    """The beginning of a text that fits into this width, with an ellipsis if some is left out.

    >>> cut_to_width("WWWWWWWW", 5), cut_to_width("ill.", 5)
    ('WWWW…', 'ill.')
    """
    if estimate_width(text) <= ems:
        return text
    widths = accumulate(map(_estimate_letter, text), initial=_estimate_letter("…"))
    return text[: max(sum(width <= ems for width in widths) - 1, 0)].rstrip("…") + "…"


def _side(node: Node) -> tuple[bool, bool, str]:
    return node.is_right, node.relation.outgoing, node.relation.kind


def _label(kind: tuple[bool, bool, str], nodes: Sequence[Node], height: int) -> KindLabel:
    is_right, outgoing, name = kind
    middle = nodes[len(nodes) // 2]
    distance = abs(middle.x - GRAPH_WIDTH // 2)
    width = _LARGE * (estimate_width(name[:_MOST_OF_KIND]) + _ARROW)
    x = min(distance * _KIND_AT, max(distance - _BESIDE_NODE - width / 2, 0))  # not on the node
    y = height // 2 + (middle.y - height // 2) * _KIND_AT
    at = GRAPH_WIDTH // 2 + round(x if is_right else -x)
    return KindLabel(name, is_right == outgoing, at, round(y) + 4)


@dataclass(frozen=True, slots=True)
class Bar:
    """A step of the confidence."""

    name: str
    why: str
    value: int
    at: int | None
    """Time of the step, in µs since 1970 UTC; None: it was taken already."""
    x: int
    y: int
    height: int
    width: int


def draw_confidence(steps: ConfidenceSteps) -> list[Bar]:
    """The bars from what was stated to now, and then the coming falls by age."""
    values = [
        ("stated", "the highest that a report states", steps.stated, None),
        ("weighed", "by the reliability of its source", steps.weighed, None),
        ("sources", f"independent sources: {steps.sources}", steps.corroborated, None),
        ("aged", "by the time since the last report or sighting", steps.aged, None),
        ("now", f"after false alarms: {steps.false_positives}", steps.now, None),
        *(("then", "if nothing else happens", left, at) for at, left in steps.falls[:_MOST_FALLS]),
    ]
    slot = (CHART_WIDTH - _LEFT) // max(len(values), 8)
    return [
        Bar(
            name,
            why,
            value,
            at,
            x=_LEFT + number * slot,
            y=_TOP + _STEP_HEIGHT - _height(value),
            height=_height(value),
            width=slot - 12,
        )
        for number, (name, why, value, at) in enumerate(values)
    ]


def _height(value: int) -> int:
    return max(1, round(value / 100 * _STEP_HEIGHT))
