"""First start of a hub: default collections, operator account and its key."""

from __future__ import annotations

import hashlib
import uuid
from pathlib import Path

from tocsin.admission.errors import Conflict
from tocsin.admission.model import Tlp
from tocsin.server.model import Account, Collection, CollectionKind
from tocsin.server.partners.administration import issue_key
from tocsin.server.person import Invitation, Role
from tocsin.server.publishing.publisher import Publisher
from tocsin.server.secrets import HubSecrets
from tocsin.server.services import HubServices
from tocsin.server.store import Store, Transaction
from tocsin.server.store.journal import OPERATOR

_FIRST = (
    (
        "inbox",
        CollectionKind.INBOX,
        "Inbox",
        "Write here; admission decides what becomes of it.",
        Tlp.AMBER,
    ),
    ("clear", CollectionKind.FEED, "TLP:CLEAR", "Everything that anybody may know.", Tlp.CLEAR),
    ("green", CollectionKind.FEED, "TLP:GREEN", "Up to TLP:GREEN, for the community.", Tlp.GREEN),
    (
        "amber",
        CollectionKind.FEED,
        "TLP:AMBER",
        "Up to TLP:AMBER, for those who need it.",
        Tlp.AMBER,
    ),
    (
        "scratch",
        CollectionKind.VERBATIM,
        "Scratch",
        "What is posted here is what is read.",
        Tlp.AMBER,
    ),
)


def create_default_collections(store: Store, publisher: Publisher, secrets: HubSecrets) -> None:
    """Create the missing default collections, and publish the hub's own objects.  Idempotent."""
    existing = {collection.alias for collection in store.feeds.collections()}
    for alias, kind, title, description, level in _FIRST:
        if alias not in existing:
            id = _collection_id(secrets, alias)
            ensure_collection(store, Collection(id, alias, kind, title, description, level))
    store.commit(publisher.publish_own_objects)


def ensure_collection(store: Store, collection: Collection) -> None:
    """Add a collection; no error if another process has just added the same one."""
    try:
        store.feeds.add(collection)
    except Conflict:
        if not any(c.id == collection.id for c in store.feeds.collections()):
            raise


def create_operator(store: Store) -> str | None:
    """Create the operator's account and return its new key; None if the account exists."""
    if store.accounts.find_account(OPERATOR) is not None:
        return None

    def work(txn: Transaction) -> str:
        txn.accounts.add_account(Account(OPERATOR, "", operator=True))
        txn.add_journal_entry("key.issue", OPERATOR, {"account": OPERATOR})
        return issue_key(txn, OPERATOR)

    return store.commit(work)


def invite_first_person(services: HubServices) -> str | None:
    """The secret of a link for the first person of the console; None if there are people."""
    if services.store.people.has_any():
        return None
    roles = frozenset({Role.OPERATOR, Role.REVIEWER, Role.AUDITOR})
    return services.people.invite(
        Invitation("", login="", name="", partner="", roles=roles, until=0, by=OPERATOR)
    )


def new_hub_lines(data: Path, database: str = "") -> tuple[str, str]:
    """The text that says that there was no hub before where one was named, perhaps mistyped.

    That is the data directory, or beside one with secrets, `database` of a MongoDB.
    """
    if database:
        return (
            f"tocsin-hub: the database {database!r} of the MongoDB had no hub; a new one is made.",
            "  If you meant another database, name it in the setting `database`.",
        )
    return (
        f"tocsin-hub: {data} had no hub; a new one was created there.",
        "  If you meant another hub, name its data directory with --data.",
    )


def first_start_lines(key: str, more: str = "") -> tuple[str, ...]:
    """The text that the first start prints, with the operator's key, which is shown once.

    `more` are options by which other commands find this hub.
    """
    return (
        f"operator account: {OPERATOR}  key: {key}",
        "  this key is shown only once; `tocsin-hub key issue operator` makes another",
        f"  next: tocsin-hub partner add acme --name 'ACME Corp' --read clear,green{more}",
    )


def _collection_id(secrets: HubSecrets, alias: str) -> str:
    """The same id in every process of a hub, in the form of a UUID version 4 (TAXII 2.1)."""
    digest = hashlib.blake2b(f"collection {alias}".encode(), key=secrets.namespace.bytes)
    return str(uuid.UUID(bytes=digest.digest()[:16], version=4))
