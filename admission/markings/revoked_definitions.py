"""Marking definitions that have ended: of a revoked or purged one, only that is left.

Its former content is gone, and with it its kind: it may have been of ACS, or a statement.
"""

from collections.abc import Mapping

from tocsin.admission.model import StixObject

REVOKED_TEXT = "[removed: revoked]"
"""Stands where STIX requires a text of a revoked object."""
PURGED_TEXT = "[removed: purged]"
"""Stands where STIX requires a text of a purged object."""


def is_ended_definition(subject: StixObject) -> bool:
    """True if it is what is left of a revoked or purged marking definition."""
    content = subject.get("definition")
    if subject.get("type") != "marking-definition" or not isinstance(content, Mapping):
        return False
    return str(content.get("statement")).strip().casefold() in (REVOKED_TEXT, PURGED_TEXT)
