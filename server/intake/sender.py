"""The sender of a submission: an account, or a person who shared in the console."""

from __future__ import annotations

from tocsin.server import auth
from tocsin.server.model import Account
from tocsin.server.store.accounts import Accounts
from tocsin.server.store.people import People


def find_sender(accounts: Accounts, people: People, name: str) -> Account | None:
    """The account of this name, or the person who signs in with it, with the rights they have now.

    None if there is neither.
    """
    account = accounts.find_account(name)
    if account is not None:
        return account
    person = people.find_by_login(name)
    if person is None:
        return None
    own = () if person.is_of_hub else accounts.list_accounts(person.partner)
    return auth.rights_of(person, own)


def may_send(accounts: Accounts, people: People, name: str) -> bool:
    """True if the sender of a submission is still there and not disabled."""
    found = find_sender(accounts, people, name)
    return found is not None and not found.disabled
