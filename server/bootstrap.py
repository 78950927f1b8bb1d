"""What a hub has from its first start: its collections, and later its operator."""

from __future__ import annotations

import hashlib
import secrets
import uuid

from tocsin.admission.errors import Conflict
from tocsin.admission.model import Tlp
from tocsin.server.model import Account, Collection, CollectionKind
from tocsin.server.publishing.publisher import Publisher
from tocsin.server.secrets import HubSecrets
from tocsin.server.store import Store, Transaction

OPERATOR = "operator"
"""The name of the operator's account."""

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


def create_default_collections(store: Store, publisher: Publisher, seal: HubSecrets) -> None:
    """Collections, and in the feeds what every reader needs.  Harmless when they are there."""
    there = {collection.alias for collection in store.feeds.collections()}
    for alias, kind, title, description, level in _FIRST:
        if alias not in there:
            name = _uuid4(seal, alias)
            ensure_collection(store, Collection(name, alias, kind, title, description, level))
    store.commit(publisher.publish_own_objects)


def ensure_collection(store: Store, collection: Collection) -> None:
    """A collection, unless another process was quicker with the same one."""
    try:
        store.feeds.add(collection)
    except Conflict:
        if not any(c.id == collection.id for c in store.feeds.collections()):
            raise


def create_operator(store: Store) -> str | None:
    """The operator's account with a new key; None if there is one already."""
    if store.accounts.find_account(OPERATOR) is not None:
        return None

    def work(txn: Transaction) -> str:
        txn.accounts.add_account(Account(OPERATOR, "", operator=True))
        return issue_key(txn, OPERATOR)

    return store.commit(work)


def issue_key(txn: Transaction, account: str) -> str:
    """A new key of an account, 256 bits; only its SHA-256 is kept."""
    secret = secrets.token_urlsafe(32)
    txn.accounts.add_key(account, hashlib.sha256(secret.encode()).hexdigest())
    return secret


def _uuid4(seal: HubSecrets, alias: str) -> str:
    """The same for every process of a hub, and shaped as TAXII wants it: version 4."""
    digest = hashlib.blake2b(f"collection {alias}".encode(), key=seal.namespace.bytes)
    return str(uuid.UUID(bytes=digest.digest()[:16], version=4))
