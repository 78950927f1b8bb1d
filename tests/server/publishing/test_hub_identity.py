"""The hub's own identity."""

from support.hub import CLEAR, HubInProcess


def test_an_object_of_each_feed_carries_the_level_that_every_feed_defines(
    hub: HubInProcess,
) -> None:
    """Some readers tag a whole file with each level that it defines and no object carries."""
    for feed in ("clear", "green", "amber"):
        objects = hub.ask(f"collections/{feed}/objects/", "north").json["objects"]
        (identity,) = [each for each in objects if each["id"] == hub.identity]
        assert identity["object_marking_refs"] == [CLEAR]
        assert CLEAR in [each["id"] for each in objects]
