"""Partners, their accounts, and the keys that authenticate an account.

Only the SHA-256 of a key is stored, so that a reader of the database cannot use
it; for a client certificate, the fingerprint that `auth.py` computes.
"""

from __future__ import annotations

from pymongo.collection import Collection as Documents
from pymongo.errors import DuplicateKeyError

from tocsin.admission.errors import Conflict, NotFound
from tocsin.admission.merge.confidence import NEUTRAL
from tocsin.admission.model import Consent, Tlp
from tocsin.server.model import Account, Credential, MarkingScheme, Partner
from tocsin.server.store.configuration import increment_configuration_revision
from tocsin.server.store.connection import Base, Document, Session, time_limit
from tocsin.server.store.known_state import note_change

PARTNERS_REVISION = "partners"
"""Key of the document with the number of changes of partners."""
_NO_PARTNER = "there is no partner {}; `tocsin-hub partner list` shows them"


def raise_partners_revision(base: Base, session: Session = None) -> None:
    """Say that partners, their accounts or agreements have changed: evaluations begin anew."""
    change = {"$inc": {"revision": 1}}
    base.hub_state.update_one({"_id": PARTNERS_REVISION}, change, upsert=True, session=session)
    if session is None:
        note_change(base)


class Accounts:
    """Partners, accounts and keys; within a transaction they are `Transaction.accounts`."""

    def __init__(self, base: Base, session: Session = None) -> None:
        """Read and write in `session`, if there is one."""
        self._partners, self._accounts, self._keys = base.partners, base.accounts, base.keys
        self._revisions = base.hub_state
        self._base, self._session = base, session

    def add_partner(self, partner: Partner) -> None:
        """Store a new partner; Conflict if its slug is taken."""
        conflict = f"there is a partner {partner.slug} already; `partner change` changes it"
        self._add(self._partners, _partner_to_document(partner), conflict)
        self._raise_revision()
        increment_configuration_revision(self._base, self._session)

    def update_partner(self, partner: Partner) -> None:
        """Replace the partner with this slug; NotFound if there is none."""
        not_found = _NO_PARTNER.format(repr(partner.slug))
        self._update(self._partners, _partner_to_document(partner), not_found)
        self._raise_revision()
        increment_configuration_revision(self._base, self._session)

    def remove_partner(self, slug: str) -> None:
        """Delete a partner's record; nothing happens if there is none."""
        self._raise_revision()  # before it too, should this end in between
        self._partners.delete_one({"_id": slug}, session=self._session)
        self._raise_revision()
        increment_configuration_revision(self._base, self._session)

    def partners_revision(self) -> int:
        """A number that grows with every change of a partner, its accounts or its agreements."""
        document = self._revisions.find_one({"_id": PARTNERS_REVISION}, session=self._session)
        return 0 if document is None else int(document["revision"])

    def find_partner(self, slug: str) -> Partner | None:
        """The partner with this slug, or None."""
        document = self._partners.find_one({"_id": slug}, session=self._session)
        return None if document is None else _partner_from_document(document)

    def require_partner(self, slug: str) -> Partner:
        """The partner with this slug; NotFound if there is none."""
        found = self.find_partner(slug)
        if found is None:
            raise NotFound(_NO_PARTNER.format(repr(slug)))
        return found

    def list_partners(self) -> list[Partner]:
        """All partners, by slug."""
        found = self._partners.find({}, session=self._session)
        return sorted(map(_partner_from_document, found), key=lambda partner: partner.slug)

    def add_account(self, account: Account) -> None:
        """Store a new account; Conflict if its name is taken."""
        conflict = f"there is an account {account.name} already"
        self._add(self._accounts, _account_to_document(account), conflict)

    def update_account(self, account: Account) -> None:
        """Replace the account with this name; NotFound if there is none."""
        not_found = f"there is no account {account.name}"
        self._update(self._accounts, _account_to_document(account), not_found)
        self._raise_revision()  # what is being evaluated must look at it again
        increment_configuration_revision(self._base, self._session)

    def find_account(self, name: str) -> Account | None:
        """The account with this name, or None."""
        document = self._accounts.find_one({"_id": name}, session=self._session)
        return None if document is None else _account_from_document(document)

    def list_accounts(self, partner: str | None = None) -> list[Account]:
        """All accounts, by name; of one partner if one is named."""
        query = {} if partner is None else {"partner": partner}
        found = self._accounts.find(query, session=self._session)
        return sorted(map(_account_from_document, found), key=lambda account: account.name)

    def add_key(self, account: str, digest: str, added: int = 0, expires: int = 0) -> None:
        """Add a key to an account; `digest` is the hex SHA-256 of the secret.

        `added`: the time, in µs; 0: it is not known.  `expires`: see `Credential`.
        Raises NotFound if there is no such account, Conflict if the key is in use.
        """
        if self.find_account(account) is None:
            raise NotFound(f"there is no account {account}")
        times = {"added": added, "expires": expires}
        document = {"_id": digest, "account": account} | {n: t for n, t in times.items() if t}
        self._add(self._keys, document, "this key is in use already")

    @time_limit()
    def find_account_by_credential(self, digest: str) -> Account | None:
        """The account of a credential, disabled or not; None if there is none."""
        key = self._keys.find_one({"_id": digest}, session=self._session)
        return None if key is None else self.find_account(key["account"])

    def list_credentials(self, account: str) -> list[Credential]:
        """An account's keys and certificates, in the order in which they were added."""
        found = self._keys.find({"account": account}, session=self._session)
        return sorted(map(_credential_from_document, found), key=lambda e: (e.added, e.id))

    def list_expiring(self, before: int) -> list[Credential]:
        """The certificates of all accounts that expire before a time, in µs; the first one first.

        They stay until they are revoked.
        """
        every = map(_credential_from_document, self._keys.find({}, session=self._session))
        found = (each for each in every if 0 < each.expires < before)
        return sorted(found, key=lambda each: (each.expires, each.id))

    def list_keys(self, account: str) -> list[str]:
        """The digests of an account's keys, in order."""
        return sorted(each.id for each in self.list_credentials(account))

    def revoke_key(self, digest: str) -> None:
        """Delete a key; NotFound if there is no such key."""
        if not self._keys.delete_one({"_id": digest}, session=self._session).deleted_count:
            raise NotFound("there is no such key")
        increment_configuration_revision(self._base, self._session)

    def _raise_revision(self) -> None:
        raise_partners_revision(self._base, self._session)

    def _add(self, documents: Documents[Document], document: Document, message: str) -> None:
        try:
            documents.insert_one(document, session=self._session)
        except DuplicateKeyError as error:
            raise Conflict(message) from error

    def _update(self, documents: Documents[Document], document: Document, message: str) -> None:
        key = {"_id": document["_id"]}
        if not documents.replace_one(key, document, session=self._session).matched_count:
            raise NotFound(message)


def _partner_to_document(partner: Partner) -> Document:
    return {
        "_id": partner.slug,
        "name": partner.name,
        "country": partner.country,
        "sectors": list(partner.sectors),
        "terms": list(partner.terms),
        "consent": partner.consent.value,
        "max_tlp": partner.max_tlp.label,
        "default_tlp": partner.default_tlp.label,
        "reliability": partner.reliability,
        "group": partner.group,
        "mask_everywhere": partner.mask_everywhere,
    }


def _partner_from_document(document: Document) -> Partner:
    return Partner(
        slug=document["_id"],
        name=document["name"],
        country=document["country"],
        sectors=tuple(document["sectors"]),
        terms=tuple(document["terms"]),
        consent=Consent(document["consent"]),
        max_tlp=Tlp.parse(document["max_tlp"]),
        default_tlp=Tlp.parse(document["default_tlp"]),
        reliability=document.get("reliability", NEUTRAL),  # missing in older documents
        group=document.get("group", ""),
        mask_everywhere=document.get("mask_everywhere", False),
    )


def _credential_from_document(document: Document) -> Credential:
    return Credential(
        account=document["account"],
        id=document["_id"],
        added=document.get("added", 0),
        expires=document.get("expires", 0),  # missing in older documents, and of keys
    )


def _account_to_document(account: Account) -> Document:
    return {
        "_id": account.name,
        "partner": account.partner,
        "reads": sorted(account.reads),
        "writes": sorted(account.writes),
        "operator": account.operator,
        "disabled": account.disabled,
        "marking": account.marking.value,
    }


def _account_from_document(document: Document) -> Account:
    return Account(
        name=document["_id"],
        partner=document["partner"],
        reads=frozenset(document["reads"]),
        writes=frozenset(document["writes"]),
        operator=document["operator"],
        disabled=document["disabled"],
        marking=MarkingScheme(
            document.get("marking", MarkingScheme.TLP2)
        ),  # missing in older documents
    )
