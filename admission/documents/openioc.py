"""OpenIOC 1.0 and 1.1: the tree of items, without the names of those who wrote it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from xml.parsers import expat

from tocsin.admission.documents import IocItem, OpenIoc
from tocsin.admission.documents.zipped_xml import make_parser
from tocsin.admission.errors import Malformed

_DEEPEST = 20
_MOST_ITEMS = 200_000
_LONGEST = 10_000
"""Characters of a value."""
_BROKEN = "it is not well-formed XML: export it again"
_NEGATIONS = {"isnot": "is", "containsnot": "contains"}
"""Conditions of OpenIOC 1.0 that are negated."""


@dataclass(slots=True)
class _Group:
    operator: str
    members: list[IocItem] = field(default_factory=list)


class _Reader:
    def __init__(self) -> None:
        self.groups = [_Group("OR")]
        self.texts = {"short_description": "", "authored_date": ""}
        self._item: dict[str, str] = {}
        self._in_item = False
        self._pieces: list[str] = []
        self._left = _MOST_ITEMS

    def start(self, name: str, attributes: Mapping[str, str]) -> None:
        """See `make_parser`."""
        self._pieces = []
        if name == "Indicator":
            if len(self.groups) > _DEEPEST:
                raise Malformed(
                    f"its groups are nested deeper than {_DEEPEST} levels: merge some of them"
                )
            self.groups.append(_Group(attributes.get("operator", "OR").upper()))
        elif name == "IndicatorItem":
            self._left -= 1
            if self._left < 0:
                raise Malformed(f"it has more than {_MOST_ITEMS} items: split it")
            self._in_item, self._item = True, {**attributes, "search": "", "content": ""}
        elif name == "Context" and self._in_item:
            self._item["search"] = attributes.get("search", "")

    def end(self, name: str) -> None:
        """See `make_parser`."""
        text = "".join(self._pieces).strip()[:_LONGEST]
        if name == "Indicator" and len(self.groups) > 1:
            group = self.groups.pop()
            self.groups[-1].members.append(IocItem(group.operator, group.members))
        elif name == "IndicatorItem":
            self.groups[-1].members.append(_make_item(self._item))
            self._in_item = False
        elif name == "Content" and self._in_item:
            self._item["content"] = text
        elif name in self.texts and not self._in_item:
            self.texts[name] = self.texts[name] or text[:200]
        self._pieces = []

    def text(self, data: str) -> None:
        """See `make_parser`."""
        self._pieces.append(data)


def _make_item(given: Mapping[str, str]) -> IocItem:
    condition = given.get("condition", "is").lower()
    negated = condition in _NEGATIONS or given.get("negate", "").lower() in ("true", "1")
    return IocItem(
        search=given["search"],
        condition=_NEGATIONS.get(condition, condition),
        content=given["content"],
        negated=negated,
    )


def read(content: bytes) -> OpenIoc:
    """The items of a file.  Raises Malformed."""
    reader = _Reader()
    parser = make_parser(reader.start, reader.end, reader.text)
    try:
        parser.Parse(content, True)
    except expat.ExpatError:
        raise Malformed(_BROKEN) from None
    except (LookupError, ValueError):  # an encoding that there is not
        raise Malformed(_BROKEN) from None
    return OpenIoc(
        title=reader.texts["short_description"],
        date=reader.texts["authored_date"],
        criteria=reader.groups[0].members,
    )
