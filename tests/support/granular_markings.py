"""Objects with granular markings for tests."""

from typing import Any

from support.hub import (
    sdo,
)


def marks(level: Any, *selectors: Any) -> Any:
    return [{"marking_ref": level, "selectors": list(selectors)}]


def malware(**more: Any) -> Any:
    return sdo("malware", is_family=True, **more)


def out(hub: Any, feed: Any, kind: Any = "malware") -> Any:
    """The newest version of the objects of a type."""
    return [each for each in hub.feed(feed) if each["type"] == kind]
