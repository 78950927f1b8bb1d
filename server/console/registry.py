"""Registers pages, with the roles that may open them."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from functools import wraps
from typing import Any

import flask
from flask.typing import ResponseReturnValue

from tocsin.admission.errors import NotFound
from tocsin.server.console.request_context import context
from tocsin.server.console.services import ROOT
from tocsin.server.person import Person, Role

View = Callable[..., ResponseReturnValue]
EVERYBODY = frozenset(Role)
"""All who are signed in."""


@dataclass(frozen=True, slots=True)
class BarLink:
    """A link in the bar at the top."""

    title: str
    path: str
    key: str
    """The letter that goes there, after `g`."""
    roles: frozenset[Role]
    count: Callable[[], int] | None = None
    """The number of things that wait there, shown beside the link."""


@dataclass(frozen=True, slots=True)
class Pages:
    """The pages of an application."""

    app: flask.Flask
    public: set[str]
    long: set[str]
    """Endpoints that take documents."""
    links: list[BarLink] = field(default_factory=list)

    def add(
        self, rule: str, view: View, roles: Collection[Role], methods: Collection[str] = ("GET",)
    ) -> None:
        """Serve a page to people with one of these roles; for others it does not exist.

        `rule` is below the root of the console.
        """

        @wraps(view)
        def guarded(**values: Any) -> ResponseReturnValue:
            if not context().who.has(*roles):
                raise NotFound("there is no such page")
            return view(**values)

        self.app.add_url_rule(rule, _endpoint(rule, methods), guarded, methods=list(methods))

    def take_long(self, *rules: str) -> None:
        """Let the forms of these pages be as long as any request; others are short."""
        self.long.update(_endpoint(rule, ("POST",)) for rule in rules)

    def add_public(self, rule: str, view: View, methods: Collection[str] = ("GET",)) -> None:
        """Serve a page without a session too."""
        endpoint = _endpoint(rule, methods)
        self.public.add(endpoint)
        self.app.add_url_rule(rule, endpoint, view, methods=list(methods))

    def link(
        self,
        title: str,
        path: str,
        key: str,
        roles: Collection[Role],
        count: Callable[[], int] | None = None,
    ) -> None:
        """Show a link in the bar, with the number of what waits there."""
        self.links.append(BarLink(title, f"{ROOT}{path}", key, frozenset(roles), count))

    def bar(self, person: Person) -> list[BarLink]:
        """The links that a person sees."""
        return [each for each in self.links if person.has(*each.roles)]


def _endpoint(rule: str, methods: Collection[str]) -> str:
    return f"{'-'.join(sorted(methods))} {rule.replace('.', '_')}"
