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

from pymongo.client_session import ClientSession

from tocsin.admission.errors import Malformed
from tocsin.admission.observables.domain_names import is_known_tld, parse_host_name
from tocsin.admission.observables.ioc_types import IocType, recognise_ioc
from tocsin.admission.observables.refang import refang
from tocsin.admission.observables.values import canonical_value
from tocsin.server.model import Exclusion
from tocsin.server.store.connection import Base, Document

REVISION = "unwanted"  # as in the first databases
_HOSTS = frozenset(("domain-name", "ipv4-addr", "ipv6-addr"))


class Exclusions:
    """The exclusion list, for reading; a `Transaction` changes it."""

    def __init__(self, base: Base) -> None:
        """`base` is the hub's database."""
        self._base = base
        self._cached: tuple[int, tuple[Exclusion, ...]] = (-1, ())

    def list(self) -> tuple[Exclusion, ...]:
        """All exclusions, by value."""
        return self.list_with_revision()[1]

    def list_with_revision(self) -> tuple[int, tuple[Exclusion, ...]]:
        """The list's revision and everything on it."""
        revision, cached = _revision(self._base), self._cached
        if revision != cached[0]:
            found = sorted(
                map(_exclusion_from_document, self._base.exclusions.find({})),
                key=lambda each: each.value,
            )
            self._cached = cached = (revision, tuple(found))
        return cached


def _revision(base: Base) -> int:
    document = base.hub_state.find_one({"_id": REVISION})
    return 0 if document is None else int(document["revision"])


def add_exclusion(base: Base, session: ClientSession, new: Exclusion) -> bool:
    """See `Transaction.add_exclusion`."""
    name = _key(new.type, new.value)
    if base.exclusions.find_one({"_id": name}, session=session) is not None:
        return False
    base.exclusions.insert_one(_exclusion_to_document(new), session=session)
    _increment_revision(base, session)
    return True


def remove_exclusion(base: Base, session: ClientSession, kind: str, value: str) -> bool:
    """See `Transaction.remove_exclusion`."""
    deleted = base.exclusions.delete_one({"_id": _key(kind, value)}, session=session).deleted_count
    if deleted:
        _increment_revision(base, session)
    return bool(deleted)


def add_scope(base: Base, session: ClientSession, scope: str) -> None:
    """See `Transaction.add_scope`."""
    name = _key("scope", scope)
    if base.scopes.find_one({"_id": name}, {"_id": 1}, session=session) is None:
        base.scopes.insert_one({"_id": name, "scope": scope}, session=session)


def scopes(base: Base, session: ClientSession) -> Iterator[str]:
    """See `Transaction.scopes`."""
    for document in base.scopes.find({}, session=session):
        yield document["scope"]


def _increment_revision(base: Base, session: ClientSession) -> None:
    key = {"_id": REVISION}
    base.hub_state.update_one(key, {"$inc": {"revision": 1}}, upsert=True, session=session)


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
