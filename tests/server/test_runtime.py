"""The hub's start and end."""

from support.hub import HUB_SECRETS, HubInProcess, indicator

from tocsin.server import runtime
from tocsin.server.store import Store


def test_a_feed_and_the_queue_of_reviews_are_read_before_the_first_request(store: Store) -> None:
    hub = HubInProcess(store)
    hub.push(indicator(description="Reported by Jane Doe, who saw it"))
    assert store.review_queue._revision is None
    runtime._read_ahead(runtime.Runtime(hub.settings, HUB_SECRETS, hub.services))
    assert len(store.review_queue._sorted) == 1
    assert hub.services.monitor.check()["feeds"]
