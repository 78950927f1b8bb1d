"""The optional match filters of the interoperability document, as they are spelt in a URL.

TAXII 2.1 Interoperability Test Document 1.0, section 3.13.2.  What each field
means is decided in `facets.py`; here only how many and what is refused.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from tocsin.admission.errors import Malformed
from tocsin.server.facets import FIELDS, wanted
from tocsin.server.model import Wanted

MAX_FILTERS = 10
"""Filters of this kind in one request."""
MAX_VALUE = 4_096
"""Characters of one value."""

NAMES = {f"match[{field}]": field for field in FIELDS}
"""The parameters."""


def understood(
    given: Mapping[str, str], listed: Callable[[str, str], list[str]]
) -> tuple[Wanted, ...]:
    """What is asked, in order of the fields; `listed` divides a parameter's values.

    Raises Malformed, naming the parameter.
    """
    own = sorted(name for name in given if name in NAMES)
    if len(own) > MAX_FILTERS:
        raise Malformed(f"{own[MAX_FILTERS]}: more than {MAX_FILTERS} filters; ask for less")
    return tuple(_understood(name, listed(name, given[name])) for name in own)


def _understood(name: str, values: list[str]) -> Wanted:
    if any(len(value) > MAX_VALUE for value in values):
        raise Malformed(f"{name}: a value is longer than {MAX_VALUE:,} characters")
    try:
        return wanted(NAMES[name], values)
    except Malformed as error:
        raise Malformed(f"{name}: {error}") from error
