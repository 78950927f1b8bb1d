"""Fixtures of the tests of the TAXII endpoints."""

import pytest
from support.taxii_hub import TaxiiHub, filled_hub


@pytest.fixture
def taxii() -> TaxiiHub:
    """A hub in memory whose collections have objects."""
    return filled_hub()
