"""The exclusion list, and the scopes under which anything was published.

The list is small and every submission needs it, so it is cached and only read
again when its revision has changed.  Scopes other than the plain TLP levels are
stored because public ids are derived from them: with all scopes known, every
object published for a value is found by its ids, without an index over values.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import replace

from tocsin.admission.errors import Malformed
from tocsin.admission.observables.domain_names import is_known_tld, parse_host_name
from tocsin.admission.observables.ioc_types import IocType, recognise_ioc
from tocsin.admission.observables.refang import refang
from tocsin.admission.observables.values import canonical_value
from tocsin.server.model import Exclusion
from tocsin.server.store.connection import Base, Document, Session
from tocsin.server.store.known_state import note_change

EXCLUSIONS_REVISION = "unwanted"  # as in the first databases
_HOSTS = frozenset(("domain-name", "ipv4-addr", "ipv6-addr"))


class Exclusions:
    """The exclusion list and the scopes; within a transaction it is `Transaction.exclusions`."""

    def __init__(self, base: Base, session: Session = None) -> None:
        """Read and write in `session`, if there is one."""
        self._base, self._session = base, session
        self._cached: tuple[int, tuple[Exclusion, ...]] = (-1, ())

    def list(self) -> tuple[Exclusion, ...]:
        """All exclusions, by value."""
        return self.list_with_revision()[1]

    def list_with_revision(self) -> tuple[int, tuple[Exclusion, ...]]:
        """The list's revision and everything on it."""
        state = self._base.hub_state.find_one({"_id": EXCLUSIONS_REVISION}, session=self._session)
        revision, cached = 0 if state is None else int(state["revision"]), self._cached
        if revision != cached[0]:
            documents = self._base.exclusions.find({}, session=self._session)
            found = map(_exclusion_from_document, documents)
            self._cached = cached = (revision, tuple(sorted(found, key=lambda each: each.value)))
        return cached

    def add(self, new: Exclusion) -> bool:
        """Add a value to the exclusion list; False if it is there already."""
        key = {"_id": _key(new.type, new.value)}
        if self._base.exclusions.find_one(key, session=self._session) is not None:
            return False
        self._base.exclusions.insert_one(_exclusion_to_document(new), session=self._session)
        self._increment_revision()
        return True

    def remove(self, kind: str, value: str) -> bool:
        """Remove a value from the exclusion list; False if it is not there."""
        key = {"_id": _key(kind, value)}
        deleted = self._base.exclusions.delete_one(key, session=self._session).deleted_count
        if deleted:
            self._increment_revision()
        return bool(deleted)

    def add_scope(self, scope: str) -> None:
        """Record a scope under which something is published, so that it can be found."""
        key = {"_id": _key("scope", scope)}
        if self._base.scopes.find_one(key, {"_id": 1}, session=self._session) is None:
            self._base.scopes.insert_one({**key, "scope": scope}, session=self._session)

    def scopes(self) -> Iterator[str]:
        """Every recorded scope."""
        for document in self._base.scopes.find({}, session=self._session):
            yield document["scope"]

    def _increment_revision(self) -> None:
        key, change = {"_id": EXCLUSIONS_REVISION}, {"$inc": {"revision": 1}}
        self._base.hub_state.update_one(key, change, upsert=True, session=self._session)
        if self._session is None:
            note_change(self._base)


def _key(kind: str, text: str) -> str:
    """A key of bounded length for a text of any length."""
    return hashlib.sha256(f"{kind}\n{text}".encode()).hexdigest()


def _exclusion_to_document(exclusion: Exclusion) -> Document:
    return {
        "_id": _key(exclusion.type, exclusion.value),
        "kind": exclusion.type,
        "property": exclusion.property,
        "value": exclusion.value,
        "reason": exclusion.reason,
        "since": exclusion.since,
    }


def _exclusion_from_document(document: Document) -> Exclusion:
    return Exclusion(
        type=document["kind"],
        property=document["property"],
        value=document["value"],
        reason=document["reason"],
        since=document["since"],
    )


_FIELDS: dict[IocType, tuple[str, str]] = {
    IocType.DOMAIN: ("domain-name", "value"),
    IocType.IPV4: ("ipv4-addr", "value"),
    IocType.IPV6: ("ipv6-addr", "value"),
    IocType.URL: ("url", "value"),
    IocType.EMAIL: ("email-addr", "value"),
    IocType.MD5: ("file", "hashes.'MD5'"),
    IocType.SHA1: ("file", "hashes.'SHA-1'"),
    IocType.SHA256: ("file", "hashes.'SHA-256'"),
    IocType.SHA512: ("file", "hashes.'SHA-512'"),
}


def parse_exclusion(text: str, reason: str, now: int) -> Exclusion:
    """Parse a value, in any spelling that admission accepts.

    Raises Malformed if it is not a host name, address, URL, e-mail address or hash.
    """
    plain = refang(text.strip())
    found = recognise_ioc(plain)
    if found is None:
        _, dot, tld = (parse_host_name(plain) or "").rpartition(".")
        if dot and not is_known_tld(tld):
            raise Malformed(f"{ascii(text[:80])}: the domain .{tld} is reserved or unknown")
        raise Malformed(
            f"{ascii(text[:80])} is not a domain, IP address, URL, e-mail address or hash"
        )
    kind, path = _FIELDS[found.kind]
    value = canonical_value(kind, path, plain) if found.kind is IocType.EMAIL else found.value
    return Exclusion(kind, path, value, reason, now)


def start_pages(about: Exclusion) -> list[Exclusion]:
    """The start pages of a domain or an address in their usual spellings; of other values none.

    For others, as with another port, see `warninglists.index.start_page_host`.
    """
    if about.type not in _HOSTS or "/" in about.value:  # a network has no start page
        return []
    host = f"[{about.value}]" if about.type == "ipv6-addr" else about.value
    urls = (f"{scheme}://{host}{path}" for scheme in ("http", "https") for path in ("", "/"))
    return [replace(about, type="url", property="value", value=url) for url in urls]
