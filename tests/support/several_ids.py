"""Objects reported under several ids."""

from typing import Any

from support.clock import LATER


def revoke(sent: Any) -> Any:
    """Build the revocation of an object."""
    return {**sent, "modified": LATER, "revoked": True}


def change_value(sent: Any, value: Any = "else.top") -> Any:
    return {**sent, "modified": LATER, "pattern": f"[domain-name:value = '{value}']"}


def visible_descriptions(hub: Any, feed: Any = "green") -> Any:
    """Return the description of each value in a feed; None if it is revoked."""
    found = {}
    for each in hub.feed(feed):
        value = each.get("value") or each["pattern"].split("'")[1]
        found[value] = None if each.get("revoked") else each.get("description", "")
    return found
