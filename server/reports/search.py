"""Search: from a text that somebody pasted to the published objects that the account may read.

The text is understood (`understand_text`) as admission would understand it: refanged, in
canonical form.  It is looked up by its terms in the index of each readable collection, what was
added last first.  Entries that are not indexed yet are compared one by one.
`server/store/value_terms.py` says which terms an object has, and spells them for both sides.

An account's results depend on its own collections alone: the index is one for each
collection.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum

import orjson

from tocsin.admission.errors import NotAllowed
from tocsin.admission.markings.revoked_definitions import is_ended_definition
from tocsin.admission.markings.tlp import strictest_tlp
from tocsin.admission.model import Observable, StixObject, Tlp
from tocsin.admission.observables.domain_names import canonical_host, registrable_domain
from tocsin.admission.observables.ioc_types import (
    IocType,
    RecognisedIoc,
    recognise_ioc,
    recognise_without_scheme,
)
from tocsin.admission.observables.refang import join_spaced, refang
from tocsin.admission.observables.values import extract_observables
from tocsin.admission.output_formats.listed_values import without_wildcard_end
from tocsin.admission.stix.object_titles import object_title
from tocsin.admission.warninglists.index import start_page_host
from tocsin.server.auth import may_read_contributions, readable_collections
from tocsin.server.model import (
    Account,
    Collection,
    CollectionKind,
    Entry,
    Exclusion,
    Page,
    Query,
    TermFilter,
)
from tocsin.server.store import Store
from tocsin.server.store.exclusions import start_pages
from tocsin.server.store.match_filters import visibility
from tocsin.server.store.value_terms import (
    INDEXED_PREFIXES,
    Network,
    domain_key,
    email_key,
    exact_filter,
    has_terms,
    hash_key,
    host_filter,
    host_key,
    host_of,
    inside_key,
    key_filter,
    network_key,
    network_text,
    parse_network,
    site_key,
    text_key,
    url_key,
    value_terms,
    word_keys,
)

LONGEST_TEXT = 2_000
"""Characters of a text that is searched for."""
MOST_HITS = 50
"""Hits of one search; the next ones are found with `until` set before the last hit's stamp."""
MOST_EXAMINED = 200
"""Entries of a collection that are examined for filters that no index answers."""
MOST_UNINDEXED = 1_000
"""Entries of a collection that are not indexed yet and are compared one by one."""
_PORTION = 100
"""Public objects that are read at once."""
_EVERYTHING = TermFilter("level", tuple(sorted(f"level={level.label}" for level in Tlp)))
"""Matches every entry."""
_MOST_NETWORKS = 16
"""Keys for the parts of a network, rather than one for a wider network around it."""
_WIDEST = {4: 8, 6: 19}
"""The widest networks that are looked up for an address: registries assign no larger ones."""
_STIX_ID = re.compile(
    r"[a-z][a-z0-9-]{1,249}--[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}",
    re.IGNORECASE,
)
_CVE = re.compile(r"CVE[-\u2010\u2011\u2013](\d{4})[-\u2010\u2011\u2013](\d{4,10})", re.IGNORECASE)
_ATTACK = re.compile(r"(?:TA|T|S|G|M|C|DS|DET|AN|A)\d{4}(?:\.\d{3})?", re.IGNORECASE | re.ASCII)
_HASH = re.compile(r"[0-9A-Fa-f]{32,128}")
_HOST_NAME = re.compile(r"(?:[A-Za-z0-9_-]{1,63}\.){1,20}[A-Za-z]{2,63}\.?")
_FILE_NAME = re.compile(r"[^\\/:*?\"<>|\s][^\\/:*?\"<>|]{0,250}\.[A-Za-z][A-Za-z0-9]{1,7}")


class SearchKind(StrEnum):
    """The ways in which a searched text is understood."""

    ID = "id"
    DOMAIN = "domain"
    URL = "url"
    ADDRESS = "address"
    NETWORK = "network"
    EMAIL = "email"
    HASH = "hash"
    CVE = "cve"
    ATTACK = "attack"
    FILE = "file"
    WORDS = "words"  # a label, a name, or words of one
    EVERYTHING = "everything"  # no text: the filters alone


@dataclass(frozen=True, slots=True)
class SearchedText:
    """A searched text as it was understood."""

    kind: SearchKind
    value: str
    """The value in the spelling in which it is looked up."""
    was_refanged: bool = False
    filters: tuple[TermFilter, ...] = ()
    """An object must match all of them; empty for an id, and if everything is wanted."""
    network: str = ""
    """The network in which, or around which, the address of an object must lie, if the terms of
    the filters alone do not tell; else empty."""

    def matches(self, subject: StixObject) -> bool:
        """True if an object that matches the filters is meant; decided by the object itself."""
        if not self.network:
            return True
        wanted = ipaddress.ip_network(self.network)
        return any(_touch(each, wanted) for each in _find_networks(subject))


@dataclass(frozen=True, slots=True)
class SearchFilters:
    """Filters of a search, beside its text."""

    types: frozenset[str] = frozenset()
    """STIX types; empty: all."""
    collections: frozenset[str] = frozenset()
    """Ids or aliases of collections; empty: all that are readable."""
    since: int | None = None
    """Only what was added at this stamp or later."""
    until: int | None = None
    """Only what was added at this stamp or before."""
    partner: str = ""
    """Only objects to which this partner contributed; for the hub's own people."""


@dataclass(frozen=True, slots=True)
class SearchHit:
    """A published object that was found."""

    id: str
    type: str
    title: str
    """Its pattern, value or name."""
    name: str
    """Its name, if that is not the title."""
    tlp: Tlp
    collection: Collection
    """The fullest of the readable collections in which it was found."""
    stamp: int
    """Stamp of its current version there."""
    in_force: bool


@dataclass(frozen=True, slots=True)
class SearchResult:
    """The answer to a search."""

    understood: SearchedText
    hits: tuple[SearchHit, ...]
    """Hits in descending order of time added, each object once."""
    more: bool = False
    """There are further hits, or not all that might be one was examined."""
    unsearched: int = 0
    """Entries of readable collections that are not indexed yet and were not looked at."""
    older: int = 0
    """The `until` with which the search goes on; 0 if there is nothing more, or in a view.  A hit
    may then be found again."""


@dataclass(slots=True)
class _Found:
    """Results of the collections searched so far."""

    hits: dict[str, SearchHit] = field(default_factory=dict)
    more: bool = False
    unsearched: int = 0
    examined: int = 0
    """The stamp from which on all feeds were examined; 0: from the beginning."""


class Search:
    """Searches what is published."""

    def __init__(self, store: Store, clock: Callable[[], int]) -> None:
        """`clock` gives the time in µs since 1970 UTC."""
        self._store, self._clock = store, clock

    def search(
        self, account: Account, text: str, filters: SearchFilters | None = None
    ) -> SearchResult:
        """Find the objects that the text stands for and the account may read.

        Raises NotAllowed if it filters by partner and may not know who contributed.
        """
        filters = filters or SearchFilters()
        if filters.partner and not may_read_contributions(account):
            raise NotAllowed("this account may not search by partner")
        understood = understand_text(text)
        readable = readable_collections(account, self._store.feeds.look().collections)
        chosen = _choose(readable, filters.collections)
        if understood.kind is SearchKind.ID:
            found = self._find_ids(account, understood, filters, chosen)
        else:
            found = self._find_values(understood, filters, chosen)
        if filters.partner:
            found = self._of_partner(found, filters.partner)
        hits = sorted(found.hits.values(), key=lambda hit: (hit.stamp, hit.id), reverse=True)
        more = found.more or len(hits) > MOST_HITS
        is_checked = bool(understood.network or filters.partner)
        older = _find_older(hits, found, is_checked=is_checked) if more else 0
        return SearchResult(understood, tuple(hits[:MOST_HITS]), more, found.unsearched, older)

    def find_naming(self, about: Exclusion) -> list[str]:
        """The ids of objects in force that name a value, alone or in a larger pattern.

        A value's start page counts as the value.  Of very many those that were added last.
        """
        pages = start_pages(about)
        named = [Observable(e.type, e.property, e.value) for e in (about, *pages)]
        collections = self._store.feeds.collections()
        feeds = [e for e in collections if e.kind is CollectionKind.FEED and e.view is None]
        indexed = self._store.values.indexed([each.id for each in feeds])
        found = dict[str, None]()
        for feed in feeds:
            entries = self._newest(feed, indexed[feed.id], exact_filter(named))
            if pages:  # in other spellings: with another port, say
                on_host = self._newest(feed, indexed[feed.id], host_filter(about.value))
                entries += (each for each in on_host if _has_start_page(each, about.value))
            found |= {each.id: None for each in entries if self._is_in_force(each)}
        return list(found)

    def _newest(self, feed: Collection, position: int, wanted: TermFilter) -> list[Entry]:
        """The newest matching entries; after `position`, where the index ends, the first ones."""
        query = Query(limit=MOST_EXAMINED, filters=(wanted,))
        unindexed = self._unindexed(_Found(), feed, position, ((wanted,), SearchFilters()))
        return [*self._store.feeds.newest(feed.id, query).entries, *unindexed]

    def _is_in_force(self, entry: Entry) -> bool:
        subject: StixObject = orjson.loads(entry.body)
        return visibility(subject, strictest_tlp(subject)).active(self._clock())

    def _find_ids(
        self,
        account: Account,
        understood: SearchedText,
        filters: SearchFilters,
        collections: Sequence[Collection],
    ) -> _Found:
        """The object with this public id, or that the partner knows by this id of its own."""
        ids, partner = {understood.value}, filters.partner or account.partner
        if partner:
            own = self._store.read(lambda known: known.find_public_ids(partner, ids))
            ids |= set(filter(None, own.values()))
        query = Query(limit=MOST_HITS, ids=frozenset(ids), types=filters.types)
        found = _Found()
        for collection in collections:
            entries = self._store.feeds.page(collection.id, query).entries
            self._add(found, collection, _in_time(entries, filters))
        return found

    def _find_values(
        self, understood: SearchedText, filters: SearchFilters, collections: Sequence[Collection]
    ) -> _Found:
        most = MOST_EXAMINED if understood.network or filters.partner else MOST_HITS
        query = Query(
            limit=most,
            added_after=None if filters.since is None else max(filters.since, 1) - 1,
            types=filters.types,
            filters=understood.filters or (_EVERYTHING,),
        )
        found = _Found()
        feeds = [each for each in collections if each.view is None]
        indexed = self._store.values.indexed([each.id for each in feeds])
        for feed in feeds:
            page = self._store.feeds.newest(feed.id, query, filters.until)
            found.more |= page.more
            if page.more:
                found.examined = max(found.examined, page.entries[-1].stamp)
            entries = [*page.entries]
            if understood.filters:
                wanted = understood.filters, filters
                entries += self._unindexed(found, feed, indexed[feed.id], wanted)
            self._add(found, feed, (each for each in entries if _is_meant(each, understood)))
        if filters.until is not None:
            self._drop_later(found, feeds, filters.until)
        sources = {feed.id for feed in feeds}
        for view in collections:
            if view.view is not None and not sources.issuperset(view.view.sources):
                self._find_in_view(found, view, query, (understood, filters))
        return found

    def _unindexed(
        self,
        found: _Found,
        feed: Collection,
        position: int,
        wanted: tuple[Sequence[TermFilter], SearchFilters],
    ) -> list[Entry]:
        """The matching entries that are not indexed yet, compared one by one."""
        terms, filters = wanted
        query = Query(limit=MOST_UNINDEXED, position=position, types=filters.types)
        page = self._store.feeds.page(feed.id, query)
        if page.more:
            last = self._store.feeds.head(feed.id).position
            found.unsearched += last - page.entries[-1].position
        entries = [each for each in page.entries if _has_values(each, terms)]
        return list(_in_time(entries, filters))

    def _drop_later(self, found: _Found, feeds: Sequence[Collection], until: int) -> None:
        """Drop hits that a fuller collection has too, where they were added after `until`."""
        for feed in feeds:
            ids = frozenset(
                hit.id for hit in found.hits.values() if _fullness(hit.collection) < _fullness(feed)
            )
            query = Query(limit=2 * len(ids), ids=ids)
            page = self._store.feeds.page(feed.id, query, bodies=False) if ids else Page()
            for entry in page.entries:
                if entry.stamp > until:
                    found.hits.pop(entry.id, None)

    def _find_in_view(
        self,
        found: _Found,
        view: Collection,
        query: Query,
        wanted: tuple[SearchedText, SearchFilters],
    ) -> None:
        """Search a view of collections that the account may not read themselves.

        Entries that are not indexed yet are not found; of very many hits the first ones are.
        """
        understood, filters = wanted
        page = self._store.feeds.page(view.id, replace(query, limit=MOST_EXAMINED))
        found.more |= page.more
        entries = (each for each in page.entries if _is_meant(each, understood))
        self._add(found, view, _in_time(entries, filters))

    def _add(self, found: _Found, collection: Collection, entries: Iterable[Entry]) -> None:
        """Add hits; of several collections with an object the fullest one counts."""
        now = self._clock()
        for entry in entries:
            before = found.hits.get(entry.id)
            if before is None or _fullness(before.collection) <= _fullness(collection):
                found.hits[entry.id] = _make_hit(entry, collection, now)

    def _of_partner(self, found: _Found, partner: str) -> _Found:
        """The newest hits to which a partner contributed, as many as are shown and one more."""
        ordered = sorted(found.hits.values(), key=lambda hit: (hit.stamp, hit.id), reverse=True)
        own: dict[str, SearchHit] = {}
        for start in range(0, len(ordered), _PORTION):
            portion = {hit.id: hit for hit in ordered[start : start + _PORTION]}
            publics = self._store.read(lambda known: known.public_objects(portion.keys()))  # noqa: B023
            for id, hit in portion.items():
                public = publics.get(id)
                if public and any(each.partner == partner for each in public.contributions):
                    own[id] = hit
            if len(own) > MOST_HITS:
                break
        found.hits = own
        return found


def _find_older(hits: Sequence[SearchHit], found: _Found, *, is_checked: bool) -> int:
    """The `until` of the next search; `is_checked`: not all entries that were read are hits."""
    is_full = len(hits) >= MOST_HITS
    ends = [hits[MOST_HITS - 1].stamp] if is_full else []
    if found.examined and (is_checked or not is_full):
        ends.append(found.examined)
    return max(ends, default=1) - 1


def _choose(collections: Sequence[Collection], names: frozenset[str]) -> list[Collection]:
    return [each for each in collections if not names or names & {each.id, each.alias}]


def _fullness(collection: Collection) -> tuple[bool, Tlp, str]:
    return collection.kind is CollectionKind.FEED, collection.max_tlp, collection.id


def _in_time(entries: Iterable[Entry], filters: SearchFilters) -> Iterator[Entry]:
    since, until = filters.since, filters.until
    for each in entries:
        if (since is None or each.stamp >= since) and (until is None or each.stamp <= until):
            yield each


def _is_meant(entry: Entry, understood: SearchedText) -> bool:
    return not understood.network or understood.matches(orjson.loads(entry.body))


def _has_values(entry: Entry, wanted: Sequence[TermFilter]) -> bool:
    return has_terms(value_terms(orjson.loads(entry.body)), wanted)


def _has_start_page(entry: Entry, host: str) -> bool:
    """True if the entry names the start page of a host, in any spelling."""
    urls = (o.value for o in extract_observables(orjson.loads(entry.body)) if not o.negated)
    return any(start_page_host(without_wildcard_end(url)) == host for url in urls)


def _make_hit(entry: Entry, collection: Collection, now: int) -> SearchHit:
    subject: StixObject = orjson.loads(entry.body)
    seen = visibility(subject, strictest_tlp(subject))
    title, name = object_title(subject), subject.get("name")
    return SearchHit(
        id=entry.id,
        type=str(subject.get("type", "")),
        title=title,
        name=name if isinstance(name, str) and name != title else "",
        tlp=seen.tlp,
        collection=collection,
        stamp=entry.stamp,
        in_force=seen.active(now) and not is_ended_definition(subject),
    )


def understand_text(text: str) -> SearchedText:
    """The meaning of a text that a person pasted; any text has one.

    A STIX pattern stands for the first value that it compares, defanged or not.
    """
    plain = text.strip()[:LONGEST_TEXT].strip()
    if not plain:
        return SearchedText(SearchKind.EVERYTHING, "")
    if _STIX_ID.fullmatch(plain):
        return SearchedText(SearchKind.ID, plain.lower())
    if (value := _first_value(plain)) is not None:
        return understand_text(value)
    word = refang(join_spaced(plain))
    for recognise in (_recognise_catalogue_id, _recognise_value, _recognise_file):
        if (found := recognise(word)) is not None:
            kind, value, keys, network = found
            return SearchedText(kind, value, word != plain, (key_filter(keys),), network)
    return _search_words(plain)


def _find_networks(subject: StixObject) -> Iterator[Network]:
    """The addresses, as networks of one, and the networks that an object is about."""
    for each in extract_observables(subject):
        if not each.negated and (network := parse_network(each.value)) is not None:
            yield network


def _first_value(text: str) -> str | None:
    """The first value that a STIX pattern compares; None if the text is not a pattern."""
    if not text.startswith(("[", "(")):
        return None
    found = extract_observables({"type": "indicator", "pattern": text})
    return next((each.value for each in found if each.value.strip() and not each.negated), None)


_Understood = tuple[SearchKind, str, list[str], str]
"""Kind, value, keys of which one is enough, and the network to compare with."""


def _recognise_catalogue_id(word: str) -> _Understood | None:
    if found := _CVE.fullmatch(word):
        value = f"CVE-{found[1]}-{found[2]}"
        return SearchKind.CVE, value, [text_key(value)], ""
    if _ATTACK.fullmatch(word):
        return SearchKind.ATTACK, word.upper(), [text_key(word)], ""
    return None


def _recognise_value(word: str) -> _Understood | None:
    network = parse_network(word)  # also private ones, and wider than admission takes
    if network is not None:
        return _search_network(network)
    if _HASH.fullmatch(word):
        return SearchKind.HASH, word.lower(), [hash_key(word)], ""
    found = recognise_ioc(word)
    if found is None and "/" in word:
        found = recognise_without_scheme(word)
    return None if found is None else _search_ioc(found)


def _search_ioc(found: RecognisedIoc) -> _Understood:
    value = found.value
    match found.kind:
        case IocType.IPV4 | IocType.IPV6:
            return _search_network(ipaddress.ip_network(value))
        case IocType.DOMAIN:
            return SearchKind.DOMAIN, value, _domain_keys(value), ""
        case IocType.URL:
            return SearchKind.URL, value, _url_keys(value), ""
        case IocType.EMAIL:
            return SearchKind.EMAIL, value, [email_key(value)], ""
        case _:
            return SearchKind.HASH, value, [hash_key(value)], ""


def _search_network(network: Network) -> _Understood:
    value = network_text(network)
    around = [network_key(each) for each in _networks_around(network)]
    if network.prefixlen == network.max_prefixlen:
        return SearchKind.ADDRESS, value, [*around, host_key(value)], ""
    inside, exact = _keys_inside(network)
    return SearchKind.NETWORK, value, [*around, *inside], "" if exact else str(network)


def _domain_keys(host: str) -> list[str]:
    keys = [domain_key(each) for each in _parents(host)] + [host_key(host)]
    if registrable_domain(host) == host:
        keys.append(site_key(host))
    return keys


def _url_keys(url: str) -> list[str]:
    _, _, rest = url.partition("://")
    keys, host = [url_key(url)], host_of(url)
    keys += [url_key(f"{scheme}://{rest}") for scheme in ("http", "https")]
    network = parse_network(host)
    if network is not None:
        keys += map(network_key, _networks_around(network))
    elif host:
        keys += [domain_key(each) for each in _parents(host)]
    return keys


def _recognise_file(word: str) -> _Understood | None:
    """A file name, or a host whose top-level domain is unknown here: a new or an internal one."""
    is_host = _HOST_NAME.fullmatch(word)
    if not is_host and not _FILE_NAME.fullmatch(word):
        return None
    keys = [text_key(word), *(_domain_keys(canonical_host(word)) if is_host else ())]
    return SearchKind.FILE if _FILE_NAME.fullmatch(word) else SearchKind.DOMAIN, word, keys, ""


def _search_words(plain: str) -> SearchedText:
    words = word_keys(plain)
    if len(words) < 2:
        filters: tuple[TermFilter, ...] = (key_filter([text_key(plain), *words]),)
    else:
        filters = tuple(key_filter([each], number) for number, each in enumerate(words))
    return SearchedText(SearchKind.WORDS, plain, filters=filters)


def _networks_around(network: Network) -> Iterator[Network]:
    """The network itself and all that contain it."""
    widest = min(_WIDEST[network.version], network.prefixlen)
    for length in range(network.prefixlen, widest - 1, -1):
        yield network.supernet(new_prefix=length)


def _keys_inside(network: Network) -> tuple[list[str], bool]:
    """The keys under which everything inside a network is found; False: with more beside it."""
    levels = INDEXED_PREFIXES[network.version]
    for length in levels:
        if network.prefixlen <= length <= network.prefixlen + _MOST_NETWORKS.bit_length() - 1:
            return [inside_key(each) for each in network.subnets(new_prefix=length)], True
    around = max((each for each in levels if each <= network.prefixlen), default=0)
    return ([inside_key(network.supernet(new_prefix=around))] if around else []), False


def _touch(one: Network, other: Network) -> bool:
    """True if one of two networks contains the other."""
    return one.version == other.version and one.overlaps(other)


def _parents(host: str) -> list[str]:
    """A host name and the names above it, down to the registrable domain."""
    top = registrable_domain(host)
    parents = [host]
    while host != top and host.endswith(f".{top}"):
        host = host.partition(".")[2]
        parents.append(host)
    return parents
