"""Warning lists: look up which lists name a value as harmless.

The lists are MISP's, vendored in `misp_lists.json.xz`, which
`scripts/update-vendored-data` renews, and one of certificates that anybody can
sign with.  An operator's fresher lists replace those of the same name; see
`sources`.  Not every list shows that a value is harmless (the million most
visited sites include many compromised ones): `lists` names each that counts and
the values for which its entries count.

In memory, all lists together are one block of bytes, searched where it lies
(`PackedList`): nothing is unpacked, so a block in a file can be mapped and every
process that maps it shares the same pages.  Values stand in order of their
checksum, text beside it.  Networks are cut at each of their ends, so that one
search tells all that an address lies in; beside them stand the starts of each list's
networks, so that a search for each list tells if one of its networks lies in another.
In the machine's own byte order.
"""

from __future__ import annotations

import json
import lzma
import re
import sys
from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from enum import IntEnum
from functools import cached_property
from hashlib import blake2b
from ipaddress import IPv4Address, IPv6Address, ip_network
from itertools import pairwise
from pathlib import Path
from typing import Any, Literal, NamedTuple
from urllib.parse import urlsplit
from zlib import crc32

import msgspec

from tocsin.admission.lazy_patterns import compile_lazily
from tocsin.admission.model import WarninglistHit, Warninglists
from tocsin.admission.observables.urls import without_scheme
from tocsin.admission.warninglists.lists import HELD_LISTS, LIST_REACH, OWN_LISTS, Reach

Network = tuple[int, int, int]
"""A network: IP version, prefix length, first address as a number."""
ListNumbers = tuple[int, ...]
"""Numbers of lists."""
Cover = tuple[tuple[int, int], ...]
"""Lists that name an address, each with the prefix length at which it does."""


class _Degree(IntEnum):
    """How far a value is the one that a list names."""

    NEAR = 0  # a subdomain of it, a page of it, an address inside it
    INCLUDES = 1  # see WarninglistHit.included
    EXACT = 2


_FILE = Path(__file__).with_name("misp_lists.json.xz")
_MOST_LAST_LABELS = 2_000
"""More than there are top-level domains."""
_HOSTS = frozenset(("domain-name", "url"))
_ADDRESSES = frozenset(("ipv4-addr", "ipv6-addr"))
_DIGESTS = frozenset(("file", "artifact", "x509-certificate"))


class WarningLists:
    """An index over warning lists; see `tocsin.admission.model.Warninglists`.

    Host names are walked up label by label, addresses looked up once: no question
    depends on how long the lists are.
    """

    def __init__(
        self, lists: Iterable[tuple[str, Reach, Iterable[str]]] = (), mode: str = ""
    ) -> None:
        """Index lists given by name, reach and entries, all with one `WarninglistHit.mode`."""
        self._read(
            _pack_lists((ListAbout(name, reach, mode), entries) for name, reach, entries in lists)
        )

    @classmethod
    def of(cls, block: bytes | memoryview) -> WarningLists:
        """Load the index from a packed block.  Raises ValueError if it is not one."""
        index = cls.__new__(cls)
        index._read(block)
        return index

    def _read(self, block: bytes | memoryview) -> None:
        self._listed = PackedList(block)
        self._last_labels: dict[str, ListNumbers] = {}
        self._lists = [
            ListAbout(name, Reach(reach), mode) for name, reach, mode in self._listed.about
        ]

    def hits(self, kind: str, value: str) -> tuple[WarninglistHit, ...]:
        """See Warninglists.hits."""
        if kind in _HOSTS:
            found = self._host_hits(kind, value)
        elif kind in _ADDRESSES:
            found = self._address_hits(value)
        elif kind in _DIGESTS:
            found = ((number, _Degree.EXACT) for number in self._listed.names(value.lower()))
        else:
            return ()
        degrees: dict[int, _Degree] = {}
        for number, degree in found:
            reach = self._lists[number].reach
            degree = _Degree.NEAR if reach is Reach.WITHIN else degree
            if degree or reach not in (Reach.EXACT, Reach.PAGES):
                degrees[number] = max(degrees.get(number, _Degree.NEAR), degree)
        if not degrees:
            return ()
        hits = (self._hit(number, degree) for number, degree in degrees.items())
        return tuple(sorted(hits, key=lambda hit: (not hit.exact, not hit.included, hit.list)))

    def _hit(self, number: int, degree: _Degree) -> WarninglistHit:
        about, exact = self._lists[number], degree is _Degree.EXACT
        included = degree is _Degree.INCLUDES
        return WarninglistHit(about.title, exact, mode=about.mode, included=included)

    def _host_hits(self, kind: str, value: str) -> Iterator[tuple[int, _Degree]]:
        if kind == "url":
            host, degree = _host(value)
        else:
            host, degree = value.rstrip(".").lower(), _Degree.EXACT
        if _parse_network(host) is not None:
            yield from ((number, min(hit, degree)) for number, hit in self._address_hits(host))
            return
        page = True
        while host:
            found = self._listed.names(host) if "." in host else self._names_of_last(host)
            for number in found:
                covers = page and self._lists[number].reach is Reach.PAGES
                yield number, _Degree.EXACT if covers else degree
            host, degree, page = host.partition(".")[2], _Degree.NEAR, False

    def _names_of_last(self, label: str) -> ListNumbers:
        """The lists that name a last label; remembered, because `com` comes again and again."""
        found = self._last_labels.get(label)
        if found is None:
            found = self._listed.names(label)
            if len(self._last_labels) < _MOST_LAST_LABELS:
                self._last_labels[label] = found
        return found

    def _address_hits(self, value: str) -> Iterator[tuple[int, _Degree]]:
        place = _parse_network(value)
        if place is None:
            return
        for number, wide in self._listed.covers(place):
            exact = wide == place[1] or self._lists[number].reach is Reach.EACH
            yield number, _Degree.EXACT if exact else _Degree.NEAR
        for number in self._listed.inside(place):
            if self._lists[number].reach is not Reach.WITHIN:
                yield number, _Degree.INCLUDES


class ListAbout(NamedTuple):
    """Title, reach and mode of a list."""

    title: str
    """Its name as its publisher gives it."""
    reach: Reach
    mode: str = ""
    """See WarninglistHit.mode."""


def _pack_lists(lists: Iterable[tuple[ListAbout, Iterable[str]]]) -> bytes:
    """The lists as a block for `WarningLists.of`."""
    about: list[tuple[str, str, str]] = []
    values: dict[str, tuple[int, ...]] = {}
    networks: dict[Network, tuple[int, ...]] = {}
    for number, (each, entries) in enumerate(lists):
        about.append((each.title, each.reach.value, each.mode))
        for entry in entries:
            place = _parse_network(entry)
            if place is None:
                value = entry.strip(" .").lower()
                values[value] = (*values.get(value, ()), number)
            else:
                networks[place] = (*networks.get(place, ()), number)
    return pack(about, values, networks)


class ListContent(msgspec.Struct, frozen=True):
    """The content of a list."""

    name: str
    """Its title."""
    entries: list[str] = msgspec.field(name="list")
    version: int = 0
    """Its version as MISP numbers it; mostly a date."""


class ListDocument(msgspec.Struct, frozen=True):
    """Lists in one file: `misp_lists.json.xz`, or what the operator loaded."""

    source: str
    """Source of the lists, with its version."""
    lists: dict[str, ListContent]


class WithExclusions:
    """Warning lists with the hub's own before them; see `tocsin.admission.model.Warninglists`."""

    def __init__(self, own: Iterable[tuple[str, str, str]], others: Warninglists) -> None:
        """`own` is the exclusion list: kind, value and reason."""
        self._own = {_own_key(kind, value): reason for kind, value, reason in own}
        self._others = others

    def hits(self, kind: str, value: str) -> tuple[WarninglistHit, ...]:
        """See Warninglists.hits.

        Of the hub's own list count the value in any spelling, the start page of a domain or an
        address, and what a value includes.
        """
        others = self._others.hits(kind, value)
        if not self._own:
            return others
        reason = self._own.get(_own_key(kind, value))
        if reason is None and kind == "url":
            reason = self._reason_of_start_page(value)
        if reason is not None:
            return (_exclusion_hit(reason, exact=True), *others)
        reason = self._reason_inside(kind, value)
        return others if reason is None else (*others, _exclusion_hit(reason, exact=False))

    def _reason_of_start_page(self, url: str) -> str | None:
        """The reason for which the host is excluded of which the URL is the start page."""
        host = start_page_host(url)
        if not host:
            return None
        reasons = (self._own.get((kind, host)) for kind in ("domain-name", *_ADDRESSES))
        return next((each for each in reasons if each is not None), None)

    def _reason_inside(self, kind: str, value: str) -> str | None:
        """The reason for which something is excluded that would be blocked with the value."""
        if kind == "url":
            return self._shortened_urls.get(without_scheme(value)) if "://" in value else None
        place = _parse_network(value) if kind in _ADDRESSES and "/" in value else None
        if place is None:
            return None
        version, length, first = place
        starts, last = self._networks[version], first + _size(version, length) - 1
        at = bisect_left(starts, (first, length + 1, ""))
        return starts[at][2] if at < len(starts) and starts[at][0] <= last else None

    @cached_property
    def _shortened_urls(self) -> Mapping[str, str]:
        """The reason by excluded URL, as products compare it."""
        urls = ((url, reason) for (kind, url), reason in self._own.items() if kind == "url")
        return {without_scheme(url): reason for url, reason in urls if "://" in url}

    @cached_property
    def _networks(self) -> Mapping[int, Sequence[tuple[int, int, str]]]:
        """By IP version: first address, prefix length and reason of excluded networks, sorted."""
        found: dict[int, list[tuple[int, int, str]]] = {4: [], 6: []}
        for (kind, value), reason in self._own.items():
            place = _parse_network(value) if kind in _ADDRESSES else None
            if place is not None:
                found[place[0]].append((place[2], place[1], reason))
        return {version: sorted(networks) for version, networks in found.items()}


EXCLUSION_LIST = "this hub's exclusion list"
"""Name of the hub's own list where its reason is shown."""


def _own_key(kind: str, value: str) -> tuple[str, str]:
    """A hash is the same whatever it is the hash of, and a mailbox in any case."""
    if kind == "email-addr":
        return kind, value.lower()
    return "file" if kind in _DIGESTS else kind, value


def _exclusion_hit(reason: str, *, exact: bool) -> WarninglistHit:
    title = f"{EXCLUSION_LIST}: {reason}" if reason else EXCLUSION_LIST
    return WarninglistHit(title, exact, excluded=True, included=not exact)


KeepBytes = Callable[[str, Callable[[], bytes]], bytes | memoryview]
"""Gives the bytes kept under a name, or makes and keeps them."""


def load_warning_lists(
    names: Collection[str] | None = None,
    keep: KeepBytes = lambda _, make: make(),
    loaded: Path | None = None,
) -> WarningLists:
    """The warning lists that count, or those of them that are named, from the vendored file.

    `loaded` is a file of the operator's lists, which replace those of the same name; see
    `sources`.  To index them takes a few tenths of a second and `keep` saves it: all processes
    that keep in one place share the index, and with it the memory.

    Raises ValueError if `loaded` is damaged.
    """
    wanted = LIST_REACH if names is None else {name: LIST_REACH[name] for name in names}
    fresh = _read_octets(loaded)
    block = keep(
        f"warning-lists-{_state(wanted, fresh)}", lambda: _pack_lists(_read(wanted, fresh))
    )
    try:
        return WarningLists.of(block)
    except ValueError:  # spoilt where it was kept
        return WarningLists.of(_pack_lists(_read(wanted, fresh)))


def read_list_documents(loaded: Path | None = None) -> list[ListDocument]:
    """The vendored lists, and the operator's if there are any.

    Raises ValueError if `loaded` is damaged.
    """
    fresh = _read_octets(loaded)
    return [_parse(_FILE.read_bytes()), *([_parse(fresh)] if fresh else [])]


def _read_octets(file: Path | None) -> bytes:
    """The content of a file; empty if there is none.  Raises ValueError if it is empty itself."""
    try:
        octets = file.read_bytes() if file is not None else None
    except FileNotFoundError:
        octets = None
    if octets == b"":
        raise ValueError("the file of warning lists is damaged: it is empty")
    return octets or b""


def _parse(octets: bytes) -> ListDocument:
    try:
        return msgspec.json.decode(lzma.decompress(octets), type=ListDocument)
    except (lzma.LZMAError, EOFError, msgspec.DecodeError) as error:
        raise ValueError(f"the file of warning lists is damaged: {error}") from error


def _state(wanted: Mapping[str, Reach], fresh: bytes) -> str:
    """A digest of the lists and of how they are packed."""
    how = (4, sys.byteorder, [*wanted.items()], sorted(HELD_LISTS), [*OWN_LISTS.items()])
    found = blake2b(repr(how).encode(), digest_size=12)
    found.update(_FILE.read_bytes())
    found.update(fresh)
    return found.hexdigest()


def _read(wanted: Mapping[str, Reach], fresh: bytes) -> Iterator[tuple[ListAbout, list[str]]]:
    lists = _parse(_FILE.read_bytes()).lists
    if fresh:
        lists = {**lists, **_parse(fresh).lists}
    for name, reach in wanted.items():
        mode = "hold" if name in HELD_LISTS else ""
        if name in OWN_LISTS:
            title, entries = OWN_LISTS[name]
            yield ListAbout(title, reach, mode), list(entries)
        if name in lists:
            yield ListAbout(lists[name].name, reach, mode), lists[name].entries


def _parse_network(text: str) -> Network | None:
    """The version, prefix length and first address that a text names; None if it is a name."""
    if ":" not in text and not text[-1:].isdigit():
        return None
    address, slash, length = text.partition("/")
    try:
        if slash and int(length) < 32 + 96 * (":" in text):
            network = ip_network(text, strict=False)
            return network.version, network.prefixlen, int(network.network_address)
        if ":" in address:
            return 6, 128, int(IPv6Address(address))
        return 4, 32, int(IPv4Address(address))
    except ValueError:
        return None


def _size(version: int, length: int) -> int:
    """The number of addresses in a network."""
    return 1 << ((32 if version == 4 else 128) - length)


def start_page_host(url: str) -> str:
    """The host of which a URL is the start page, on any port; empty if it is another page.

    >>> start_page_host("https://evil.example:8443/./#a"), start_page_host("http://evil.example/a")
    ('evil.example', '')
    """
    host, degree = _host(url)
    return "" if degree is _Degree.NEAR else host


def _host(url: str) -> tuple[str, _Degree]:
    """A URL's host, and how far the URL is its start page.

    `INCLUDES` if it is once fragment and credentials are dropped, as products do.
    """
    try:
        parts = urlsplit(url)
        host = (parts.hostname or "").rstrip(".")
    except ValueError:
        return "", _Degree.NEAR
    if parts.query or not _START_PAGE.fullmatch(parts.path):
        return host, _Degree.NEAR
    more = parts.fragment or "@" in parts.netloc
    return host, _Degree.INCLUDES if more else _Degree.EXACT


_START_PAGE = compile_lazily(r"(?:/|/(?:\.|%2e){1,2}(?=/|$))*", re.IGNORECASE)
"""The path of a start page, with the steps that a browser takes out."""


_CODES: Mapping[str, Literal["B", "I", "Q"]] = {
    **{"sums": "I", "ends": "Q", "named": "I", "text": "B"},  # values
    **{"v4": "I", "v4covers": "I", "high": "Q", "low": "Q", "v6covers": "I"},  # networks
    # The starts of each list's networks, each with the longest prefix there.
    **{"starts4": "I", "lengths4": "B", "starts6high": "Q", "starts6low": "Q", "lengths6": "B"},
}
_HALF, _LOW = 64, 2**64 - 1


def pack(
    about: object, values: Mapping[str, ListNumbers], networks: Mapping[Network, ListNumbers]
) -> bytes:
    """The block for values and networks, each with the numbers of the lists that name it.

    `about` is any JSON value; `PackedList.about` gives it back.
    """
    numbers_of: dict[Any, int] = {}
    starts, ranges = _starts(networks)
    parts = {**_values(values, numbers_of), **_networks(networks, numbers_of), **starts}
    places, at = {}, 0
    for name, code in _CODES.items():
        places[name] = (at, len(parts[name]) * array(code).itemsize)
        at += -(-places[name][1] // 8) * 8
    header = json.dumps([about, places, list(numbers_of), ranges]).encode()
    rest = (bytes(parts[name]).ljust(-(-places[name][1] // 8) * 8, b"\0") for name in _CODES)
    return b"".join((array("Q", [len(header)]).tobytes(), header, *rest))


class PackedList:
    """A block that answers."""

    def __init__(self, block: bytes | memoryview) -> None:
        """Raises ValueError if `block` is not a packed list."""
        view = memoryview(block)
        start = array("Q", view[:8].tobytes())
        body = 8 + (start[0] if start else 0)
        self.about, places, sets, self._ranges = json.loads(view[8:body].tobytes())
        part = {
            name: view[body + at : body + at + size].cast(_CODES[name])
            for name, (at, size) in places.items()
        }
        self._sums, self._ends, self._named = part["sums"], part["ends"], part["named"]
        self._text = part["text"]
        self._v4, self._v4_covers = part["v4"], part["v4covers"]
        self._high, self._low, self._v6_covers = part["high"], part["low"], part["v6covers"]
        self._starts4, self._lengths = part["starts4"], (part["lengths4"], part["lengths6"])
        self._starts6 = part["starts6high"], part["starts6low"]
        self._sets: list[Any] = [
            tuple(tuple(each) if isinstance(each, list) else each for each in members)
            for members in sets
        ]

    def names(self, value: str) -> ListNumbers:
        """The lists that name a value."""
        wanted = value.encode("utf-8", "surrogatepass")
        total = crc32(wanted)
        at = bisect_left(self._sums, total)
        while at < len(self._sums) and self._sums[at] == total:
            if self._text[self._ends[at - 1] if at else 0 : self._ends[at]] == wanted:
                found: ListNumbers = self._sets[self._named[at]]
                return found
            at += 1
        return ()

    def covers(self, place: Network) -> Iterator[tuple[int, int]]:
        """The lists that name a network in which all of `place` lies; its prefix length."""
        version, length, at = place
        if version == 4:
            cover = self._v4_covers[bisect_right(self._v4, at) - 1]
        else:
            high, low = at >> _HALF, at & _LOW
            first = bisect_left(self._high, high)
            last = bisect_right(self._high, high, first)
            cover = self._v6_covers[bisect_right(self._low, low, first, last) - 1]
        return ((number, wide) for number, wide in self._sets[cover] if wide <= length)

    def inside(self, place: Network) -> Iterator[int]:
        """The lists that name a network inside `place`, other than this itself."""
        version, length, first = place
        size = _size(version, length)
        if size == 1:
            return
        is_v6 = version == 6
        start_at = self._start6 if is_v6 else self._starts4.__getitem__
        lengths = self._lengths[is_v6]
        for number, begin, end in self._ranges[is_v6]:
            at = begin + bisect_left(range(begin, end), first, key=start_at)
            if at < end and start_at(at) == first and lengths[at] <= length:
                at += 1  # it is not inside, but around
            if at < end and start_at(at) < first + size:
                yield number

    def _start6(self, at: int) -> int:
        return self._starts6[0][at] << _HALF | self._starts6[1][at]


def _values(values: Mapping[str, ListNumbers], numbers_of: dict[Any, int]) -> dict[str, array[int]]:
    encoded = ((value.encode("utf-8", "surrogatepass"), names) for value, names in values.items())
    ordered = sorted((crc32(text), text, names) for text, names in encoded)
    found = {name: array(_CODES[name]) for name in ("sums", "ends", "named", "text")}
    for total, text, names in ordered:
        found["sums"].append(total)
        found["text"].frombytes(text)
        found["ends"].append(len(found["text"]))
        found["named"].append(numbers_of.setdefault(names, len(numbers_of)))
    return found


def _networks(
    networks: Mapping[Network, ListNumbers], numbers_of: dict[Any, int]
) -> dict[str, array[int]]:
    found = {name: array(_CODES[name]) for name in ("v4", "v4covers", "high", "low", "v6covers")}
    for version, bits in ((4, 32), (6, 128)):
        own = {place[1:]: names for place, names in networks.items() if place[0] == version}
        for at, cover in _stretches(own, bits):
            found[f"v{version}covers"].append(numbers_of.setdefault(cover, len(numbers_of)))
            if version == 4:
                found["v4"].append(at)
            else:
                found["high"].append(at >> _HALF)
                found["low"].append(at & _LOW)
    return found


_Ranges = tuple[list[tuple[int, int, int]], list[tuple[int, int, int]]]
"""For IPv4 and IPv6: the number of each list with networks, and where its starts begin and end."""


def _starts(networks: Mapping[Network, ListNumbers]) -> tuple[dict[str, array[int]], _Ranges]:
    """The starts of each list's networks, sorted, with the longest prefix at each."""
    names = ("starts4", "lengths4", "starts6high", "starts6low", "lengths6")
    found = {name: array(_CODES[name]) for name in names}
    ranges: _Ranges = ([], [])
    longest: dict[tuple[int, int], dict[int, int]] = {}
    for (version, length, at), numbers in networks.items():
        for number in numbers:
            own = longest.setdefault((version, number), {})
            own[at] = max(length, own.get(at, 0))
    for (version, number), own in sorted(longest.items()):
        lengths = found[f"lengths{version}"]
        ranges[version == 6].append((number, len(lengths), len(lengths) + len(own)))
        for at in sorted(own):
            lengths.append(own[at])
            if version == 4:
                found["starts4"].append(at)
            else:
                found["starts6high"].append(at >> _HALF)
                found["starts6low"].append(at & _LOW)
    return found, ranges


def _stretches(
    networks: Mapping[tuple[int, int], ListNumbers], bits: int
) -> Iterable[tuple[int, Cover]]:
    """Starts of address stretches that the same networks cover, from address 0 on.

    Networks never overlap but one lies in another, so the open ones form a stack.
    """
    covers: dict[int, Cover] = {0: ()}
    inside: list[tuple[int, Cover]] = [(1 << bits, ())]
    for at, length in sorted((at, length) for length, at in networks):
        while inside[-1][0] <= at:
            end, _ = inside.pop()
            covers[end] = inside[-1][1]
        cover = inside[-1][1] + tuple((number, length) for number in networks[length, at])
        inside.append((at + (1 << (bits - length)), cover))
        covers[at] = cover
    for (end, _), (_, outer) in pairwise(reversed(inside)):
        covers[end] = outer
    return [each for each in sorted(covers.items()) if each[0] >> bits == 0]
