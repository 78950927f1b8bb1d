"""The hub's start and end."""

import os

import pytest
from support.hub import HUB_SECRETS, HubInProcess, indicator

from tocsin.config.settings import HubSettings
from tocsin.server import runtime
from tocsin.server.store import Store


def test_a_feed_and_the_queue_of_reviews_are_read_before_the_first_request(store: Store) -> None:
    hub = HubInProcess(store)
    hub.push(indicator(description="Reported by Jane Doe, who saw it"))
    assert store.review_queue._revision is None
    runtime._read_ahead(runtime.Runtime(hub.settings, HUB_SECRETS, hub.services))
    assert len(store.review_queue._sorted) == 1
    assert hub.services.monitor.check()["feeds"]


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="this system has no affinity")
def test_a_hub_that_may_use_one_processor_answers_in_its_first_process() -> None:
    usual = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(usual)})
    try:
        assert runtime._count_answering(HubSettings()) == 0
    finally:
        os.sched_setaffinity(0, usual)
