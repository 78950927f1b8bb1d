"""Objects with granular markings for tests."""

from support.hub import (
    sdo,
)


def marks(level, *selectors):
    return [{"marking_ref": level, "selectors": list(selectors)}]


def malware(**more):
    return sdo("malware", is_family=True, **more)


def out(hub, feed, kind="malware"):
    """The newest version of the objects of a type."""
    return [each for each in hub.feed(feed) if each["type"] == kind]
