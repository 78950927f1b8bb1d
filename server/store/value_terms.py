"""The values that objects are about, as index terms: what a search by value looks up.

A term is `about=KEY`, and a key is `KIND:VALUE`, in the canonical form that admission gives to
values.  The functions below that spell keys are the only ones: objects and searches
(`server/reports/search.py`) use the same.

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
from itertools import islice
from typing import TypeGuard
from urllib.parse import urlsplit

from tocsin.admission.model import Observable, StixObject
from tocsin.admission.observables.domain_names import canonical_host, registrable_domain
from tocsin.admission.observables.urls import canonical_url
from tocsin.admission.observables.values import extract_observables
from tocsin.server.model import TermFilter
from tocsin.server.store.match_filters import make_term

MAX_VALUE_TERMS = 512
"""Terms of one object; a search does not find it by what lies beyond."""
INDEXED_PREFIXES = {4: (8, 16, 24), 6: (32, 48, 64)}
"""Lengths of the prefixes under which addresses and networks are found, by version of IP."""
_FIELD = "about"
_LONGEST_TEXT = 2_000
"""Characters of a text of which words are taken."""
_MOST_WORDS = 16
_SHORTEST_WORD = 3
_NAMES = ("name", "aliases", "x_mitre_aliases", "labels", "cpe", "subject", "display_name")
_WORD = re.compile(r"\w+")

Network = ipaddress.IPv4Network | ipaddress.IPv6Network


def value_terms(subject: StixObject) -> tuple[str, ...]:
    """The terms of the values of an object, each once, at most `MAX_VALUE_TERMS`."""
    distinct = dict.fromkeys(make_term(_FIELD, each) for each in _keys(subject))
    return tuple(islice(distinct, MAX_VALUE_TERMS))


def has_terms(terms: Iterable[str], wanted: Iterable[TermFilter]) -> bool:
    """True if an object with these terms matches all of the filters."""
    own = frozenset(terms)
    return all(not own.isdisjoint(each.terms) for each in wanted)


def key_filter(keys: Iterable[str], number: int = 0) -> TermFilter:
    """Matches objects that have one of these keys; several filters of a query need numbers."""
    terms = sorted({make_term(_FIELD, each) for each in keys})
    return TermFilter(f"{_FIELD} {number}", tuple(terms))


def exact_filter(observables: Iterable[Observable]) -> TermFilter:
    """Matches objects that have one of these values itself, not what it contains or lies in."""
    return key_filter(key for each in observables for key in islice(_value_keys(each), 1))


def host_filter(host: str) -> TermFilter:
    """Matches objects with a URL, a mailbox or a name of exactly this host."""
    return key_filter(islice(_host_keys(host), 1))


def text_key(text: str) -> str:
    """The key of a whole text, such as a name or a label, in any case and spacing."""
    return f"text:{' '.join(text.split()).casefold()}"


def word_keys(text: str) -> list[str]:
    """The keys of the first words of a text, each once; short words have none."""
    words = (word.casefold() for word in _WORD.findall(text[:_LONGEST_TEXT]))
    distinct = dict.fromkeys(f"word:{word}" for word in words if len(word) >= _SHORTEST_WORD)
    return list(islice(distinct, _MOST_WORDS))


def hash_key(digest: str) -> str:
    """The key of a file's hash, of any algorithm."""
    return f"hash:{digest.strip().lower()}"


def email_key(mailbox: str) -> str:
    """The key of a mailbox itself; those of its host are others."""
    return f"email:{mailbox.strip().lower()}"


def domain_key(host: str) -> str:
    """The key of a canonical host name that is itself the value."""
    return f"domain:{host}"


def url_key(url: str) -> str:
    """The key of a canonical URL itself; those of its host are others."""
    return f"url:{url}"


def host_key(host: str) -> str:
    """The key of everything on a canonical host: names, URLs, mailboxes."""
    return f"host:{host}"


def site_key(domain: str) -> str:
    """The key of everything on the hosts of a registrable domain."""
    return f"site:{domain}"


def network_key(network: Network) -> str:
    """The key of a network that is itself the value; an address is a network of one."""
    return f"net:{network_text(network)}"


def inside_key(network: Network) -> str:
    """The key of what lies in a network; its prefix is one of `INDEXED_PREFIXES`."""
    return f"in:{network}"


def network_text(network: Network) -> str:
    """The network as text; one of a single address is that address."""
    whole = network.prefixlen == network.max_prefixlen
    return str(network.network_address) if whole else str(network)


def parse_network(text: str) -> Network | None:
    """The network, or the address as a network of one, that a text is; None if it is neither."""
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


def host_of(url: str) -> str:
    """The host of a URL; empty if it has none."""
    try:
        return (urlsplit(url).hostname or "").lower()
    except ValueError:
        return ""


def _keys(subject: StixObject) -> Iterator[str]:
    """The keys of everything by which an object is found, its own values first."""
    for each in extract_observables(subject):
        if not each.negated and each.value:
            yield from _value_keys(each)
    for text in _names(subject):
        yield text_key(text)
        yield from word_keys(text)


def _value_keys(observable: Observable) -> Iterator[str]:
    """The keys of a value; the first one is for the value itself."""
    kind, value = observable.kind, observable.value.strip()
    if "hashes." in observable.property:
        yield hash_key(value)
        return
    network = parse_network(value)
    if network is not None:
        yield network_key(network)
        yield from _enclosing_keys(network)
    elif kind == "url" or "://" in value[:20]:
        yield url_key(canonical_url(value))
        yield from _host_keys(host_of(value))
    elif kind == "email-addr" or (kind == "email-message" and "@" in value):
        yield email_key(value)
        yield from _host_keys(canonical_host(value.rpartition("@")[2]))
    elif kind == "domain-name" or observable.property.endswith("_ref.value"):
        host = canonical_host(value)
        yield domain_key(host)
        yield from _host_keys(host)
    else:
        yield text_key(value)
        yield from word_keys(value)


def _host_keys(host: str) -> Iterator[str]:
    """The keys of what is on a host; the first one is for the host itself."""
    network = parse_network(host)
    if network is not None:
        yield host_key(network_text(network))
        yield from _enclosing_keys(network)
    elif host:
        yield host_key(host)
        if site := registrable_domain(host):
            yield site_key(site)


def _enclosing_keys(network: Network) -> Iterator[str]:
    """The keys of the networks of fixed lengths that contain it."""
    for length in INDEXED_PREFIXES[network.version]:
        if length <= network.prefixlen:
            yield inside_key(network.supernet(new_prefix=length))


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
