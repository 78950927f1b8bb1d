"""Statistics for the people who run a hub and for its partners.

Series by day, the concentration on few partners, pollers and how far they are behind,
and the value that came back to a partner.  Everything is read in a few bounded queries;
`server/store/statistics.py` fills the series in the background.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import accumulate

from tocsin.admission.errors import NotAllowed
from tocsin.admission.markings.audience import audience_of
from tocsin.admission.timestamps import DAY, HOUR
from tocsin.server.agreements import narrow_account
from tocsin.server.auth import (
    may_read,
    may_read_contributions,
    may_write,
    readable_collections,
)
from tocsin.server.model import Account, Collection, CollectionKind
from tocsin.server.reports.pollers import FeedPositions, Poller, describe_poller
from tocsin.server.reports.senders import SendingAccount, describe_sender
from tocsin.server.store import Store
from tocsin.server.store.deliveries import Delivery, LastPoll
from tocsin.server.store.feeds.views import HubState
from tocsin.server.store.public_objects import PublicSummary
from tocsin.server.store.statistics import ALL, LATENCIES, Counts

VALUE_SUBMISSIONS = 20
"""Latest submissions of a partner whose objects are looked at for the value returned."""
VALUE_OBJECTS = 200
"""Objects in them that are looked at."""


@dataclass(frozen=True, slots=True)
class Series:
    """Counts over time, one item for each day, the oldest first."""

    starts: tuple[int, ...]
    """The beginning of each, in µs since 1970 UTC."""
    submissions: tuple[int, ...]
    published: tuple[int, ...]
    """Objects published as new ones."""
    merged: tuple[int, ...]
    """Objects published with what others sent."""
    duplicate: tuple[int, ...]
    held: tuple[int, ...]
    refused: tuple[int, ...]
    median: tuple[int | None, ...]
    """Time from receipt to feed that half of the published objects stayed below, in µs, by
    buckets; None where nothing was published."""
    p95: tuple[int | None, ...]
    """The same for 95 % of them."""


@dataclass(frozen=True, slots=True)
class Share:
    """The part of one partner in all that was published."""

    partner: str
    objects: int
    percent: float


@dataclass(frozen=True, slots=True)
class ValueReturned:
    """The use that a partner had from the hub; of its own objects only the latest ones count."""

    objects: int
    """Objects of its latest submissions that were looked at, at most `VALUE_OBJECTS`."""
    seen_by_others: int
    """Those of them that are indicators and were reported by other sources, as readers see it."""
    sightings: int
    """Independent sources that sighted them."""
    received: int
    """Entries of collections that its accounts were served, about."""


class StatisticsReader:
    """Reads the statistics of a hub."""

    def __init__(
        self, store: Store, clock: Callable[[], int], *, requires_agreements: bool = False
    ) -> None:
        """`clock` gives the time in µs since 1970 UTC.

        `requires_agreements`: a partner without any agreement has no rights.
        """
        self._store, self._clock = store, clock
        self._requires_agreements = requires_agreements

    def by_day(self, account: Account, days: int, partner: str = ALL) -> Series:
        """The last days, today included, of a partner or of all.  One read.

        Raises NotAllowed if it is not the account's own partner, except for the hub's own people.
        """
        _check(account, partner)
        last = self._clock() // DAY
        wanted = range(last - days + 1, last + 1)
        return _series([day * DAY for day in wanted], self._store.statistics.days(partner, wanted))

    def concentration(self, account: Account, days: int) -> list[Share]:
        """Each partner's part in what was published in the last days, the largest first.

        Raises NotAllowed except for the hub's own people.
        """
        _check(account, ALL)
        last = self._clock() // DAY
        total: Counter[str] = Counter()
        for each in self._store.statistics.days(ALL, range(last - days + 1, last + 1)):
            total.update(each.shares)
        every = total.total()
        return [Share(name, n, 100 * n / every) for name, n in total.most_common()]

    def pollers(self, account: Account, partner: str | None = None) -> list[Poller]:
        """The accounts that may read now, with each of their collections, the worst first.

        Of all partners if `partner` is None.  Raises NotAllowed as `by_day` does.
        """
        _check(account, ALL if partner is None else partner)
        hub = self._store.feeds.look()
        collections, readers = hub.collections, self._find_accounts(hub, partner)
        polls = self._store.deliveries.last_polls(_pairs(readers, collections))
        feeds, now = FeedPositions(self._store.feeds), self._clock()
        pollers: list[Poller] = []
        for reader in readers:
            for collection in collections:
                if collection.id in reader.reads and may_read(reader, collection):
                    last = polls.get((reader.name, collection.id), LastPoll())
                    pollers.append(describe_poller(reader, collection, last, feeds, now))
        return sorted(pollers, key=lambda each: (-(each.behind or 0), each.account))

    def last_polls(self, most: int) -> dict[tuple[str, str], int]:
        """The hour of the last poll, in µs, by account and name of a collection that it may read.

        Of the accounts and collections of now, `most` at most are looked up.  About `most` / 200
        reads.
        """
        hub = self._store.feeds.look()
        names = {each.id: each.alias or each.id for each in hub.collections}
        pairs = _pairs(self._find_accounts(hub), hub.collections)[:most]
        polls = self._store.deliveries.last_polls(pairs)
        return {(account, names[id_]): last.hour for (account, id_), last in polls.items()}

    def senders(self, account: Account) -> list[SendingAccount]:
        """The accounts that have submitted and still may: the silent first, then by account.

        A document for each account, in a few reads by key.  Raises NotAllowed except for the hub's
        own people.
        """
        _check(account, ALL)
        hub = self._store.feeds.look()
        accounts = self._find_accounts(hub)
        every = {a.name: a for a in accounts if any(may_write(a, c) for c in hub.collections)}
        now, found = self._clock(), self._store.statistics.senders(list(every))
        senders = [
            describe_sender(every[name], each, now) for name, each in found.items() if each.runs
        ]
        return sorted(senders, key=lambda each: (not each.silent, each.account))

    def value_returned(self, account: Account, partner: str, days: int = 30) -> ValueReturned:
        """The use that a partner had from the hub.  About 50 reads at most.

        Only objects count that the account may read.  Raises NotAllowed as `by_day` does.
        """
        _check(account, partner)
        readable = readable_collections(account, self._store.feeds.look().collections)
        publics = self._find_own(partner, [e for e in readable if e.kind is CollectionKind.FEED])
        figures = [each.figures for each in publics if each.id.startswith("indicator--")]
        accounts = self._store.accounts.list_accounts(partner)
        return ValueReturned(
            objects=len(publics),
            seen_by_others=sum(each is not None and each.contributors > 1 for each in figures),
            sightings=sum(each.sightings for each in figures if each is not None),
            received=self._count_received(accounts, readable, days),
        )

    def _find_accounts(self, hub: HubState, partner: str | None = None) -> list[Account]:
        """The accounts that are not disabled, with the rights that they have now."""
        now, required = self._clock(), self._requires_agreements
        every = self._store.accounts.list_accounts(partner)
        enabled = (each for each in every if not each.disabled)
        return [narrow_account(each, hub, now, required=required) for each in enabled]

    def _find_served(
        self, pairs: Sequence[tuple[str, str]], days: int
    ) -> dict[tuple[str, str], list[Delivery]]:
        served: dict[tuple[str, str], list[Delivery]] = {}
        since = self._clock() - days * DAY
        for delivery in self._store.deliveries.of_accounts(pairs, since):
            served.setdefault((delivery.account, delivery.collection), []).append(delivery)
        return served

    def _find_own(self, partner: str, feeds: Sequence[Collection]) -> list[PublicSummary]:
        """Public objects in force of the partner's latest submissions that these feeds take."""
        ids: dict[str, None] = {}
        for each in self._store.submissions.list_of_partner(partner, VALUE_SUBMISSIONS):
            records = self._store.submissions.page_of_records(each.id, 0, VALUE_OBJECTS)
            ids |= dict.fromkeys(record.public_id for record in records if record.public_id)
            if len(ids) >= VALUE_OBJECTS:
                break
        wanted = list(ids)[:VALUE_OBJECTS]
        return [
            each
            for each in self._store.public_summaries(wanted)
            if not each.revoked and any(_takes(feed, each) for feed in feeds)
        ]

    def _count_received(
        self, accounts: Sequence[Account], collections: Sequence[Collection], days: int
    ) -> int:
        """Entries between the first and the last that any of the accounts was served."""
        feeds = [each for each in collections if each.view is None]
        by_feed: dict[str, list[Delivery]] = {}
        for (_, feed), every in self._find_served(_pairs(accounts, feeds), days).items():
            by_feed.setdefault(feed, []).extend(every)
        since, total = self._clock() - days * DAY, 0
        for feed, every in by_feed.items():
            ranges = [
                each for d in every if d.hour + HOUR > since for each in (*d.exact, *d.filtered)
            ]
            if ranges:
                first, last = min(start for start, _ in ranges), max(end for _, end in ranges)
                before = self._store.feeds.position_at(feed, first - 1)
                total += self._store.feeds.position_at(feed, last) - before
        return total


def _check(account: Account, partner: str) -> None:
    is_own = partner != ALL and account.partner == partner
    if not (is_own or may_read_contributions(account)):
        raise NotAllowed("this account may not read the statistics of others")


def _takes(feed: Collection, public: PublicSummary) -> bool:
    """True if a feed has an object: it takes its level, and serves only whom that may go to."""
    return public.tlp <= feed.max_tlp and audience_of(public.scope).includes(feed.audience)


def _pairs(readers: Iterable[Account], collections: Sequence[Collection]) -> list[tuple[str, str]]:
    """Accounts with the ids of collections that they read."""
    return [(a.name, each.id) for a in readers for each in collections if each.id in a.reads]


def _series(starts: Sequence[int], counts: Sequence[Counts]) -> Series:
    def of(verdict: str) -> tuple[int, ...]:
        return tuple(each.verdicts.get(verdict, 0) for each in counts)

    return Series(
        starts=tuple(starts),
        submissions=tuple(each.submissions for each in counts),
        published=of("admitted"),
        merged=of("merged"),
        duplicate=of("duplicate"),
        held=of("held"),
        refused=of("refused"),
        median=tuple(find_quantile(each.latencies, 0.5) for each in counts),
        p95=tuple(find_quantile(each.latencies, 0.95) for each in counts),
    )


def find_quantile(buckets: Sequence[int], part: float) -> int | None:
    """The time in µs that this part stayed below, taken as even within a bucket; None if empty.

    >>> find_quantile([0, 10, *[0] * 16], 0.5)
    150000
    """
    total = sum(buckets)
    if not total:
        return None
    wanted = part * total
    for i, reached in enumerate(accumulate(buckets)):
        if reached >= wanted and buckets[i]:
            low = LATENCIES[i - 1] if i else 0
            high = LATENCIES[i] if i < len(LATENCIES) else LATENCIES[-1]
            return round(low + (high - low) * (wanted - reached + buckets[i]) / buckets[i])
    return LATENCIES[-1]
