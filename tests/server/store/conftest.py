"""Fixtures for tests of the store: one that is reached through a proxy, where commands fail."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from support.wire_proxy import WireProxy, wire_proxy

from tocsin.server.model import Collection, CollectionKind
from tocsin.server.store import Store


@pytest.fixture
def proxy(engine_uri: str) -> Iterator[WireProxy]:
    """A proxy in front of the database."""
    with wire_proxy(engine_uri) as proxy:
        yield proxy


@pytest.fixture
def far(store: Store, proxy: WireProxy) -> Iterator[Store]:
    """The test's store, behind the proxy, with one empty feed."""
    store.feeds.add(Collection("green", "green", CollectionKind.FEED, "Green"))
    far = Store.connect(proxy.uri, name=store._base.name)
    yield far
    far.close()
