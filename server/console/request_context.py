"""The state of one request: the person, the session and the rights."""

from __future__ import annotations

import secrets
import time
from collections.abc import Sequence
from dataclasses import dataclass, field

import flask

from tocsin.server import auth
from tocsin.server.agreements import narrow_account
from tocsin.server.console.services import ConsoleServices
from tocsin.server.model import Account, Collection
from tocsin.server.person import Person, Role, Session
from tocsin.server.store.admin_requests import AdminRequest


@dataclass(slots=True)
class RequestContext:
    """One request; without a session, `person` and `session` are None."""

    id: str = field(default_factory=lambda: secrets.token_hex(8))
    """For the log and the page of an error."""
    started: float = field(default_factory=time.monotonic)
    person: Person | None = None
    session: Session | None = None
    account: Account | None = None
    """The rights with which the person reads and writes."""
    collections: Sequence[Collection] = ()
    """All collections of the hub, the feeds by level."""

    confirmed: AdminRequest | None = None
    """The request that is carried out, in the name of `person`."""
    confirmer: Person | None = None
    """The second operator who confirmed it, and for whom the page is drawn."""

    @property
    def reader(self) -> Person | None:
        """The person for whom the page is drawn; None without a session."""
        return self.confirmer or self.person

    @property
    def who(self) -> Person:
        """The person who is signed in; only pages of their own are served without one."""
        if self.person is None:
            raise RuntimeError("a page was reached without a session")
        return self.person

    @property
    def own_session(self) -> Session:
        """The session of the person."""
        if self.session is None:
            raise RuntimeError("a page was reached without a session")
        return self.session

    @property
    def rights(self) -> Account:
        """The rights of the person, as an account has them."""
        if self.account is None:
            raise RuntimeError("a page was reached without a session")
        return self.account

    def readable(self) -> list[Collection]:
        """The collections whose objects the person may read, by id."""
        return [each for each in self.collections if auth.may_read(self.rights, each)]

    def writable(self) -> list[Collection]:
        """The collections to which the person may submit, by id."""
        if not self.who.has(Role.ANALYST, Role.OPERATOR):
            return []
        return [each for each in self.collections if auth.may_write(self.rights, each)]


def context() -> RequestContext:
    """The state of the current request."""
    if "request_context" not in flask.g:
        flask.g.request_context = RequestContext()
    found: RequestContext = flask.g.request_context
    return found


def rights_of(person: Person, services: ConsoleServices) -> Account:
    """The rights of a person: for a partner's, those of all accounts of the partner together.

    The partner's agreements bound them now, as they bound an account.  The hub's own people read
    what an operator's account reads.
    """
    if person.is_of_hub:
        return auth.rights_of(person, ())
    accounts = services.store.accounts.list_accounts(person.partner)
    return _narrow(auth.rights_of(person, accounts), services)


def rights_of_partner(slug: str, services: ConsoleServices) -> Account:
    """The rights of all accounts of a partner together, bounded by its agreements now."""
    accounts = services.store.accounts.list_accounts(slug)
    return _narrow(auth.join_rights("", slug, accounts), services)


def _narrow(account: Account, services: ConsoleServices) -> Account:
    state, required = services.store.feeds.look(), services.settings.require_agreements
    return narrow_account(account, state, services.clock(), required=required)
