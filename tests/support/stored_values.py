"""Reviews and public objects for the tests of the store."""

from dataclasses import replace

from tocsin.admission.model import Contribution, Tlp
from tocsin.server.model import PublicObject, Review, ReviewKind


def review(number: int = 1, partner: str = "acme", **changes: object) -> Review:
    """Build a review that waits."""
    kept = Review(
        f"review-{number}", ReviewKind.REDACTED, "submission", 0, partner, f"report--{number}",
        number, object=b"{}", rules=("person_names",), findings=({"rule": "person_names"},),
    )  # fmt: skip
    return replace(kept, **changes)  # type: ignore[arg-type]


def public(number: int = 1, *partners: str) -> PublicObject:
    """Build a public object to which these partners contributed."""
    contributions = tuple(
        Contribution(p, f"indicator--{number}", "v", 5, Tlp.GREEN, "green", {"n": [number, None]})
        for p in partners
    )
    return PublicObject(
        f"public--{number}", 1, 2, b"d" * 16, Tlp.AMBER_STRICT, "amber+strict", contributions
    )
