"""The hub's start and end."""

from support.hub import HUB_SECRETS, HubInProcess, default_admission, indicator

from tocsin.server import runtime
from tocsin.server.store import Store


def test_the_queue_of_reviews_is_read_before_the_first_request(store: Store) -> None:
    hub = HubInProcess(store)
    hub.push(indicator(description="Reported by Jane Doe, who saw it"))
    assert store.review_queue._revision is None
    policy = default_admission().policy
    runtime._read_reviews(runtime.Runtime(hub.settings, HUB_SECRETS, hub.services, policy))
    assert len(store.review_queue._sorted) == 1
