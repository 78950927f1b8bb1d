"""Objects reported under several ids for tests."""

from typing import Any

from support.clock import (
    LATER,
)


def revoked(sent: Any) -> Any:
    return {**sent, "modified": LATER, "revoked": True}


def moved(sent: Any, value: Any = "else.top") -> Any:
    return {**sent, "modified": LATER, "pattern": f"[domain-name:value = '{value}']"}


def shown(hub: Any, feed: Any = "green") -> Any:
    """What a feed says of each value, and None of what is revoked."""
    found = {}
    for each in hub.feed(feed):
        value = each.get("value") or each["pattern"].split("'")[1]
        found[value] = None if each.get("revoked") else each.get("description", "")
    return found
