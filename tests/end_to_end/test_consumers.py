"""The products that partners own receive every object of a feed, in the way in which they poll."""

from collections.abc import Iterator
from typing import Any

import pytest
from support.consumers import CONSUMERS, Consumer, IntelMq, run_rounds
from support.processes import HubProcess

pytestmark = pytest.mark.slow

ROUNDS = (2_500, 1, 400)
"""Indicators that are published before each poll."""


@pytest.fixture(scope="module")
def consumers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Consumer]]:
    hub = HubProcess(tmp_path_factory.mktemp("consumers") / "data")
    hub.start()
    hub.join()
    found, everything = run_rounds(hub, ROUNDS)
    yield {each.name: each for each in (*found, everything)}
    hub.kill()


@pytest.mark.parametrize("kind", [each for each in CONSUMERS if each is not IntelMq])
def test_every_object_reaches_it(consumers: Any, kind: type[Consumer]) -> None:
    everything = consumers["everything"].received
    assert len(everything) == sum(ROUNDS)
    assert consumers[kind.name].received.keys() == everything.keys()


def test_a_consumer_that_reads_no_further_page_receives_one_page_a_poll(consumers: Any) -> None:
    """Why docs/connect says to raise `page_default` for it."""
    assert 0 < len(consumers[IntelMq.name].received) < len(consumers["everything"].received)
    assert consumers[IntelMq.name].requests == len(ROUNDS)
