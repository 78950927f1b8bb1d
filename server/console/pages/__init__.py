"""The pages of the console, one module for each subject."""

from __future__ import annotations

from tocsin.server.console.pages import (
    admin,
    agreements,
    manual,
    me,
    objects,
    oidc,
    overview,
    partner,
    requests,
    review,
    search,
    second_factors,
    share,
    sign_in,
    submissions,
)
from tocsin.server.console.registry import Pages
from tocsin.server.console.services import ConsoleServices

_SUBJECTS = (
    *(share, submissions, review, search, objects, overview, partner, admin, agreements),
    *(requests, manual, sign_in, me, second_factors, oidc),
)


def register_pages(pages: Pages, services: ConsoleServices) -> None:
    """Register all pages; the bar has their links in this order."""
    for subject in _SUBJECTS:
        subject.register(pages, services)
