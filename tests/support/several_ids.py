"""Objects reported under several ids for tests."""

from support.clock import (
    LATER,
)


def revoked(sent):
    return {**sent, "modified": LATER, "revoked": True}


def moved(sent, value="else.top"):
    return {**sent, "modified": LATER, "pattern": f"[domain-name:value = '{value}']"}


def shown(hub, feed="green"):
    """What a feed says of each value, and None of what is revoked."""
    found = {}
    for each in hub.feed(feed):
        value = each.get("value") or each["pattern"].split("'")[1]
        found[value] = None if each.get("revoked") else each.get("description", "")
    return found
