"""Objects with granular markings for tests."""

from typing import Any

from support.hub import sdo


def granular_markings(level: Any, *selectors: Any) -> Any:
    """Build the `granular_markings` of an object with one marking."""
    return [{"marking_ref": level, "selectors": list(selectors)}]


def malware(**more: Any) -> Any:
    return sdo("malware", is_family=True, **more)


def newest_objects(hub: Any, feed: Any, kind: Any = "malware") -> Any:
    """Return the newest version of each object of one type in a feed."""
    return [each for each in hub.feed(feed) if each["type"] == kind]
