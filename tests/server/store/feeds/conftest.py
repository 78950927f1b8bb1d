"""Fixtures of the tests of feeds: two empty ones."""

from collections.abc import Callable

import pytest
from support.feed_postings import Feed


@pytest.fixture
def one(new: Callable[[], Feed]) -> Feed:
    """An empty feed."""
    return new()


@pytest.fixture
def other(new: Callable[[], Feed]) -> Feed:
    """Another empty feed."""
    return new()
