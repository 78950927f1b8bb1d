"""The hub's start and end."""

from support.hub import HUB_SECRETS, HubInProcess, indicator

from tocsin.server import serving
from tocsin.server.runtime import Runtime
from tocsin.server.store import Store


def test_a_feed_and_the_queue_of_reviews_are_read_before_the_first_request(store: Store) -> None:
    hub = HubInProcess(store)
    hub.push(indicator(description="Reported by Jane Doe, who saw it"))
    assert store.review_queue._revision is None
    serving._read_ahead(Runtime(hub.settings, HUB_SECRETS, hub.services))
    assert len(store.review_queue._sorted) == 1
    assert hub.services.monitor.check()["feeds"]
