"""Rights by agreement: the collections a partner may use, up to which level, passed on to whom.

`partners/agreement_lifecycle.py` adds, changes and ends agreements.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import reduce
from typing import Protocol

from tocsin.admission.markings.audience import EVERYBODY, Audience
from tocsin.admission.model import Tlp
from tocsin.server.model import (
    Account,
    Agreement,
    AgreementState,
    Collection,
    CollectionKind,
    Partner,
)


class AgreementLookup(Protocol):
    """Collections, partners and agreements at one moment."""

    @property
    def collections(self) -> Sequence[Collection]:
        """All of them, in any order."""
        ...

    def find_partner(self, slug: str) -> Partner | None:
        """The partner with this slug, or None."""
        ...

    def agreements_of(self, partner: str) -> Sequence[Agreement]:
        """The partner's agreements, whether in force or not."""
        ...


@dataclass(frozen=True, slots=True)
class PartnerAgreements:
    """The agreements of one partner at one moment."""

    agreements: Sequence[Agreement]
    """All of the partner's, whether in force or not."""
    now: int
    """µs since 1970 UTC."""
    required: bool = False
    """A partner without any agreement has no rights, either."""
    partner: Partner | None = None
    """The partner; None: it is of no country and no sector."""

    @property
    def is_bound(self) -> bool:
        """True if the partner has only the rights that agreements give it."""
        return self.required or bool(self.agreements)

    @property
    def in_force(self) -> list[Agreement]:
        """The agreements that are in force."""
        state = AgreementState.IN_FORCE
        return [each for each in self.agreements if each.state_at(self.now) is state]

    @property
    def until(self) -> int | None:
        """Time at which the next of those in force ends and rights must be decided again."""
        return min((each.until for each in self.in_force if each.until is not None), default=None)

    def highest_tlp(self, collection: str) -> Tlp | None:
        """The strictest level that may be sent to a collection (its id); None: nothing may."""
        if not self.is_bound:
            return Tlp.RED
        levels = [each.max_tlp for each in self.in_force if collection in each.collections]
        return max(levels, default=None)

    def narrow(self, account: Account, collections: Iterable[Collection]) -> Account:
        """The partner's account with the rights that it has now.  Operators are not bound.

        It reads only collections that an agreement names, that hold nothing above its highest
        level, and that serve the partner.  With no agreement in force it has no rights at all.
        """
        if account.operator:
            return account
        known = {each.id: each for each in collections}
        account = self._without_unserved(account, known)
        if not self.is_bound:
            return account
        if not self.in_force:
            nothing = frozenset[str]()
            return replace(account, reads=nothing, writes=nothing, has_agreement=False)
        mine = (account.reads | account.writes) & known.keys()
        levels = {id_: level for id_ in mine if (level := self.highest_tlp(id_)) is not None}
        within = {id_ for id_ in levels if strictest_content(known[id_], known) <= levels[id_]}
        written = {id_ for id_ in levels if known[id_].takes_posts}
        reads, writes = account.reads & within, account.writes & written
        return replace(account, reads=reads, writes=writes, until=self.until)

    def audience(self, collection: str, received: int) -> Audience:
        """The partners to which may go what a collection (its id) received at a time.

        Every agreement that names it must allow that, if it is in force or was at that time.
        """
        concerned = (*self.in_force, *(e for e in self.agreements if e.was_in_force(received)))
        named = (each.audience for each in concerned if collection in each.collections)
        return reduce(Audience.intersect, named, EVERYBODY)

    def _without_unserved(self, account: Account, known: Mapping[str, Collection]) -> Account:
        """The account without rights on feeds, and views of feeds, that serve other partners."""
        if all(each.audience.is_everybody for each in known.values()):
            return account
        mine = (account.reads | account.writes) & known.keys()
        others = {id_ for id_ in mine if not serves(known[id_], self.partner, known)}
        if not others:
            return account
        return replace(account, reads=account.reads - others, writes=account.writes - others)


def serves(
    collection: Collection, partner: Partner | None, known: Mapping[str, Collection]
) -> bool:
    """True if the partner belongs to those whom a collection and its sources serve."""
    country, sectors = "", tuple[str, ...]()
    if partner is not None:
        country, sectors = partner.country, tuple(each.lower() for each in partner.sectors)
    sources = collection.view.sources if collection.view is not None else ()
    every = (collection, *(known[each] for each in sources if each in known))
    return all(each.audience.has(country, sectors) for each in every)


def narrow_account(
    account: Account, known: AgreementLookup, now: int, *, required: bool
) -> Account:
    """The account with the rights that its partner's agreements leave it; see `narrow`."""
    own, partner = known.agreements_of(account.partner), known.find_partner(account.partner)
    return PartnerAgreements(own, now, required, partner).narrow(account, known.collections)


def strictest_content(collection: Collection, known: Mapping[str, Collection]) -> Tlp:
    """The strictest level that readers can find in a collection.

    `known` are all collections, by id.  In a verbatim collection, whose objects no rule has looked
    at, everything can be that may be sent.  An inbox shows nothing.
    """
    if collection.kind is CollectionKind.INBOX:
        return Tlp.CLEAR
    if collection.kind is CollectionKind.VERBATIM:
        return Tlp.AMBER_STRICT
    if collection.view is None:
        return collection.max_tlp
    sources = [known.get(each) for each in collection.view.sources]
    level = max(Tlp.RED if each is None else strictest_content(each, known) for each in sources)
    limit = collection.view.max_tlp
    return level if limit is None else min(level, limit)


def is_outdated(account: Account, now: int) -> bool:
    """True if an agreement has ended since the account's rights were decided."""
    return account.until is not None and now >= account.until


def find_raised(before: Agreement, after: Agreement) -> list[str]:
    """The names of the terms that allow more than before."""
    raised = {
        "collections": not after.collections <= before.collections,
        "max_tlp": after.max_tlp > before.max_tlp,
        "audience": not before.audience.includes(after.audience),
        "from": after.starts < before.starts,
        "until": before.until is not None and (after.until is None or after.until > before.until),
    }
    return [name for name, allows_more in raised.items() if allows_more]
