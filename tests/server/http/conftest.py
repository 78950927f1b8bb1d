"""Fixtures of the tests of the hub's own HTTP server."""

from collections.abc import Iterator
from contextlib import closing

import pytest
from support.socket_peers import Peer, serve_hub


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    """The port of a hub in memory."""
    with serve_hub() as port:
        yield port


@pytest.fixture
def peer(port: int) -> Iterator[Peer]:
    """A connection to that port."""
    with closing(Peer(port)) as peer:
        yield peer
