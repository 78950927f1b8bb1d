"""The values that objects are about, as index terms: what a search by value looks up.

A term is `about=KIND:VALUE`, in the canonical form that admission gives to values.
An object has terms for its own values and for what they lie in, so that a search needs
equality alone: a host name for its registrable domain, an address for the networks /8, /16 and
/24 around it (IPv6: /32, /48, /64), a name for its words.  A search asks the other way round
for what contains its value: an address for all networks that it lies in.

They are not among the terms of the match filters (`match_filters`), and are added to the index
later (`store/feeds/value_index.py`).  Pure; neither HTTP nor the database is known here.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from itertools import islice
from typing import TypeGuard
from urllib.parse import urlsplit

from tocsin.admission.model import Observable, StixObject
from tocsin.admission.observables.domain_names import canonical_host, registrable_domain
from tocsin.admission.observables.ioc_types import (
    IocType,
    RecognisedIoc,
    recognise_ioc,
    recognise_without_scheme,
)
from tocsin.admission.observables.refang import join_spaced, refang
from tocsin.admission.observables.urls import canonical_url
from tocsin.admission.observables.values import extract_observables
from tocsin.server.model import TermFilter
from tocsin.server.store.match_filters import make_term

MAX_VALUE_TERMS = 512
"""Terms of one object; a search does not find it by what lies beyond."""
LONGEST_TEXT = 2_000
"""Characters of a text that is searched for."""
_FIELD = "about"
_MOST_WORDS = 16
_SHORTEST_WORD = 3
_MOST_NETWORKS = 16
"""Keys for the parts of a network, rather than one for a wider network around it."""
_LEVELS = {4: (8, 16, 24), 6: (32, 48, 64)}
"""Lengths of the prefixes under which addresses and networks are found."""
_WIDEST = {4: 8, 6: 19}
"""The widest networks that are looked up for an address: registries assign no larger ones."""
_NAMES = ("name", "aliases", "x_mitre_aliases", "labels", "cpe", "subject", "display_name")
_WORD = re.compile(r"\w+")
_STIX_ID = re.compile(
    r"[a-z][a-z0-9-]{1,249}--[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}",
    re.IGNORECASE,
)
_CVE = re.compile(r"CVE[-\u2010\u2011\u2013](\d{4})[-\u2010\u2011\u2013](\d{4,10})", re.IGNORECASE)
_ATTACK = re.compile(r"(?:TA|T|S|G|M|C|DS|DET|AN|A)\d{4}(?:\.\d{3})?", re.IGNORECASE | re.ASCII)
_HASH = re.compile(r"[0-9A-Fa-f]{32,128}")
_HOST_NAME = re.compile(r"(?:[A-Za-z0-9_-]{1,63}\.){1,20}[A-Za-z]{2,63}\.?")
_FILE_NAME = re.compile(r"[^\\/:*?\"<>|\s][^\\/:*?\"<>|]{0,250}\.[A-Za-z][A-Za-z0-9]{1,7}")

Network = ipaddress.IPv4Network | ipaddress.IPv6Network


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
        return any(_touch(each, wanted) for each in find_networks(subject))


def value_terms(subject: StixObject) -> tuple[str, ...]:
    """The terms of the values of an object, each once, at most `MAX_VALUE_TERMS`."""
    distinct = dict.fromkeys(make_term(_FIELD, each) for each in _keys(subject))
    return tuple(islice(distinct, MAX_VALUE_TERMS))


def has_terms(terms: Iterable[str], wanted: Iterable[TermFilter]) -> bool:
    """True if an object with these terms matches all of the filters."""
    own = frozenset(terms)
    return all(not own.isdisjoint(each.terms) for each in wanted)


def exact_filter(observables: Iterable[Observable]) -> TermFilter:
    """Matches objects that have one of these values itself, not what it contains or lies in."""
    return _filter(key for each in observables for key in islice(_value_keys(each), 1))


def host_filter(host: str) -> TermFilter:
    """Matches objects with a URL, a mailbox or a name of exactly this host."""
    return _filter(islice(_host_keys(host), 1))


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
            return SearchedText(kind, value, word != plain, (_filter(keys),), network)
    return _search_words(plain)


def find_networks(subject: StixObject) -> Iterator[Network]:
    """The addresses, as networks of one, and the networks that an object is about."""
    for each in extract_observables(subject):
        if not each.negated and (network := _parse_network(each.value)) is not None:
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
        return SearchKind.CVE, value, [_text(value)], ""
    if _ATTACK.fullmatch(word):
        return SearchKind.ATTACK, word.upper(), [_text(word)], ""
    return None


def _recognise_value(word: str) -> _Understood | None:
    network = _parse_network(word)  # also private ones, and wider than admission takes
    if network is not None:
        return _search_network(network)
    if _HASH.fullmatch(word):
        return SearchKind.HASH, word.lower(), [_hash(word)], ""
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
            return SearchKind.EMAIL, value, [_email(value)], ""
        case _:
            return SearchKind.HASH, value, [_hash(value)], ""


def _search_network(network: Network) -> _Understood:
    value = _network_text(network)
    around = [_net(each) for each in _networks_around(network)]
    if network.prefixlen == network.max_prefixlen:
        return SearchKind.ADDRESS, value, [*around, f"host:{value}"], ""
    inside, exact = _keys_inside(network)
    return SearchKind.NETWORK, value, [*around, *inside], "" if exact else str(network)


def _domain_keys(host: str) -> list[str]:
    keys = [f"domain:{each}" for each in _parents(host)] + [f"host:{host}"]
    if registrable_domain(host) == host:
        keys.append(f"site:{host}")
    return keys


def _url_keys(url: str) -> list[str]:
    _, _, rest = url.partition("://")
    keys, host = [f"url:{url}"], _host_of(url)
    keys += [f"url:{scheme}://{rest}" for scheme in ("http", "https")]
    network = _parse_network(host)
    if network is not None:
        keys += map(_net, _networks_around(network))
    elif host:
        keys += [f"domain:{each}" for each in _parents(host)]
    return keys


def _recognise_file(word: str) -> _Understood | None:
    """A file name, or a host whose top-level domain is unknown here: a new or an internal one."""
    is_host = _HOST_NAME.fullmatch(word)
    if not is_host and not _FILE_NAME.fullmatch(word):
        return None
    keys = [_text(word), *(_domain_keys(canonical_host(word)) if is_host else ())]
    return SearchKind.FILE if _FILE_NAME.fullmatch(word) else SearchKind.DOMAIN, word, keys, ""


def _search_words(plain: str) -> SearchedText:
    words = list(islice(_words(plain), _MOST_WORDS))
    if len(words) < 2:
        keys = [_text(plain), *(f"word:{each}" for each in words)]
        return SearchedText(SearchKind.WORDS, plain, filters=(_filter(keys),))
    filters = tuple(_filter([f"word:{each}"], number) for number, each in enumerate(words))
    return SearchedText(SearchKind.WORDS, plain, filters=filters)


def _filter(keys: Iterable[str], number: int = 0) -> TermFilter:
    terms = sorted({make_term(_FIELD, each) for each in keys})
    return TermFilter(f"{_FIELD} {number}", tuple(terms))


def _keys(subject: StixObject) -> Iterator[str]:
    """The keys of everything by which an object is found, its own values first."""
    for each in extract_observables(subject):
        if not each.negated and each.value:
            yield from _value_keys(each)
    for text in _names(subject):
        yield _text(text)
        yield from (f"word:{word}" for word in islice(_words(text), _MOST_WORDS))


def _value_keys(observable: Observable) -> Iterator[str]:
    """The keys of a value; the first one is for the value itself."""
    kind, value = observable.kind, observable.value.strip()
    if "hashes." in observable.property:
        yield _hash(value)
        return
    network = _parse_network(value)
    if network is not None:
        yield _net(network)
        yield from _enclosing_keys(network)
    elif kind == "url" or "://" in value[:20]:
        yield f"url:{canonical_url(value)}"
        yield from _host_keys(_host_of(value))
    elif kind == "email-addr" or (kind == "email-message" and "@" in value):
        yield _email(value)
        yield from _host_keys(canonical_host(value.rpartition("@")[2]))
    elif kind == "domain-name" or observable.property.endswith("_ref.value"):
        host = canonical_host(value)
        yield f"domain:{host}"
        yield from _host_keys(host)
    else:
        yield _text(value)
        yield from (f"word:{word}" for word in islice(_words(value), _MOST_WORDS))


def _host_keys(host: str) -> Iterator[str]:
    network = _parse_network(host)
    if network is not None:
        yield f"host:{_network_text(network)}"
        yield from _enclosing_keys(network)
    elif host:
        yield f"host:{host}"
        if site := registrable_domain(host):
            yield f"site:{site}"


def _names(subject: StixObject) -> Iterator[str]:
    """The texts by which people call an object."""
    for name in _NAMES:
        value = subject.get(name)
        yield from (
            each for each in (value if isinstance(value, list) else [value]) if _is_text(each)
        )
    references = subject.get("external_references")
    for each in references if isinstance(references, list) else ():
        text = each.get("external_id") if isinstance(each, dict) else None
        if _is_text(text):
            yield text


def _is_text(value: object) -> TypeGuard[str]:
    return isinstance(value, str) and bool(value.strip())


def _words(text: str) -> Iterator[str]:
    found = (word.casefold() for word in _WORD.findall(text[:LONGEST_TEXT]))
    yield from dict.fromkeys(word for word in found if len(word) >= _SHORTEST_WORD)


def _text(value: str) -> str:
    return f"text:{' '.join(value.split()).casefold()}"


def _hash(value: str) -> str:
    return f"hash:{value.strip().lower()}"


def _email(value: str) -> str:
    return f"email:{value.strip().lower()}"


def _net(network: Network) -> str:
    return f"net:{_network_text(network)}"


def _network_text(network: Network) -> str:
    whole = network.prefixlen == network.max_prefixlen
    return str(network.network_address) if whole else str(network)


def _parse_network(text: str) -> Network | None:
    plain = text.strip().removeprefix("[").removesuffix("]")
    if not plain or len(plain) > 60 or not (plain[0].isdigit() or ":" in plain):
        return None
    try:
        network = ipaddress.ip_network(plain, strict=False)
    except ValueError:
        return None
    mapped = getattr(network.network_address, "ipv4_mapped", None)
    whole = network.prefixlen == network.max_prefixlen
    return ipaddress.ip_network(mapped) if mapped and whole else network


def _networks_around(network: Network) -> Iterator[Network]:
    """The network itself and all that contain it."""
    widest = min(_WIDEST[network.version], network.prefixlen)
    for length in range(network.prefixlen, widest - 1, -1):
        yield network.supernet(new_prefix=length)


def _enclosing_keys(network: Network) -> Iterator[str]:
    """The keys of the networks of fixed lengths that contain it."""
    for length in _LEVELS[network.version]:
        if length <= network.prefixlen:
            yield f"in:{network.supernet(new_prefix=length)}"


def _keys_inside(network: Network) -> tuple[list[str], bool]:
    """The keys under which everything inside a network is found; False: with more beside it."""
    levels = _LEVELS[network.version]
    for length in levels:
        if network.prefixlen <= length <= network.prefixlen + _MOST_NETWORKS.bit_length() - 1:
            return [f"in:{each}" for each in network.subnets(new_prefix=length)], True
    around = max((each for each in levels if each <= network.prefixlen), default=0)
    return ([f"in:{network.supernet(new_prefix=around)}"] if around else []), False


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


def _host_of(url: str) -> str:
    try:
        return (urlsplit(url).hostname or "").lower()
    except ValueError:
        return ""
