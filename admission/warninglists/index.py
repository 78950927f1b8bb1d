"""Warning lists: look up which lists name a value as harmless.

The lists are MISP's, vendored in `misp_lists.json.xz`, which
`scripts/update-vendored-data` renews, and one of certificates that anybody can
sign with.  Not every list shows that a value is harmless (the million most
visited sites include many compromised ones), so `LIST_REACH` names each list
that counts and the values for which its entries count.
"""

from __future__ import annotations

import lzma
import sys
from collections.abc import (
    Callable,
    Collection,
    Iterable,
    Iterator,
    Mapping,
)
from enum import Enum
from hashlib import blake2b
from ipaddress import IPv4Address, IPv6Address, ip_network
from pathlib import Path
from urllib.parse import urlsplit
from zlib import crc32

import msgspec

from tocsin.admission.model import WarninglistHit, Warninglists
from tocsin.admission.warninglists.packed_list import Network, PackedList, pack


class Reach(Enum):
    """The values for which an entry of a list counts."""

    EXACT = "exact"  # the very value that it names
    WIDE = "wide"  # that value; and, with less weight, subdomains and addresses inside
    WITHIN = "within"  # shared by good and bad alike: never exactly, only with less weight


LIST_REACH: Mapping[str, Reach] = {
    **dict.fromkeys(
        (
            *("alexa", "cisco_top1000", "moz-top500", "tranco10k"),
            *("captive-portals", "findip-host", "whats-my-ip", "url-shortener"),
            "security-provider-blogpost",
            *("rfc6761", "tlds", "second-level-tlds", "university_domains"),
            *("public-dns-v4", "public-dns-v6"),
            *("common-ioc-false-positive", "empty-hashes", "eicar.com", "ti-falsepositives"),
            *("mozilla-CA", "mozilla-IntermediateCA", "android-test-keys"),
        ),
        Reach.EXACT,
    ),
    **dict.fromkeys(
        (
            *("google", "microsoft", "microsoft-office365", "microsoft-win10-connection-endpoints"),
            *("bank-website", "dax30"),
            *("google-gmail-sending-ips", "googlebot", "wikimedia", "umbrella-blockpage-hostname"),
            *("umbrella-blockpage-v4", "umbrella-blockpage-v6"),
        ),
        Reach.WIDE,
    ),
    **dict.fromkeys(
        (
            *("akamai", "cloudflare", "fastly", "stackpath", "zscaler", "github", "apple"),
            *("amazon-aws", "google-gcp", "microsoft-azure", "microsoft-azure-us-gov"),
            *("microsoft-azure-china", "microsoft-azure-germany", "microsoft-office365-ip"),
            *("microsoft-office365-cn", "lots-project", "sinkholes", "parking-domain"),
            *("censys-scanning", "shodan-scanning", "shadowserver"),
        ),
        Reach.WITHIN,
    ),
}
"""The lists that count, by the name of their folder.

Left out: the million-site lists, disposable mail, VPN ranges and dynamic DNS
(attackers live there), the RFC address ranges (the rule `private_addresses`
knows them) and lists that are matched by substring or expression.
"""

_BESIDES: Mapping[str, tuple[str, tuple[str, ...]]] = {
    "android-test-keys": (
        "Certificates whose private keys are part of Android's source code",
        (
            *("e89b158e4bcf988ebd09eb83f5378e87", "61ed377e85d386a8dfee6b864bd85b0bfaa5af81"),
            "a40da80a59d170caa950cf15c18c454d47a39b26989d8b640ecd745ba71bf5dc",  # testkey
            "27196e386b875e76adf700e7ea84e4c6eee33dfa",
            "c8a2e9bccf597c2fb6dc66bee293fc13f2fc47ec77bc6b2b0d52c11f51192ab8",  # platform
            "5b368cff2da2686996bc95eac190eaa4f5630fe5",  # shared
            "b79df4a82e90b57ea76525ab7037ab238a42f5d3",  # media
        ),
    ),
}
"""Further lists, with their titles: certificates with public keys sign harmless files too."""

_FILE = Path(__file__).with_name("misp_lists.json.xz")
_HOSTS = frozenset(("domain-name", "url"))
_ADDRESSES = frozenset(("ipv4-addr", "ipv6-addr"))
_DIGESTS = frozenset(("file", "artifact", "x509-certificate"))


class WarningLists:
    """An index over warning lists; see `tocsin.admission.model.Warninglists`.

    Host names are walked up label by label, addresses looked up once: no question
    depends on how long the lists are.
    """

    def __init__(self, lists: Iterable[tuple[str, Reach, Iterable[str]]] = ()) -> None:
        """Index lists given by name, reach and entries."""
        self._read(_pack_lists(lists))

    @classmethod
    def of(cls, block: bytes | memoryview) -> WarningLists:
        """Load the index from a packed block.  Raises ValueError if it is not one."""
        index = cls.__new__(cls)
        index._read(block)
        return index

    def _read(self, block: bytes | memoryview) -> None:
        self._listed = PackedList(block)
        self._lists = [(name, Reach(reach)) for name, reach in self._listed.about]

    def hits(self, kind: str, value: str) -> tuple[WarninglistHit, ...]:
        """See KnownBenign.hits."""
        if kind in _HOSTS:
            found = self._host_hits(kind, value)
        elif kind in _ADDRESSES:
            found = self._address_hits(value)
        elif kind in _DIGESTS:
            found = ((number, True) for number in self._listed.names(value.lower()))
        else:
            return ()
        exact: dict[int, bool] = {}
        for number, whole in found:
            reach = self._lists[number][1]
            whole = whole and reach is not Reach.WITHIN
            if whole or reach is not Reach.EXACT:
                exact[number] = exact.get(number, False) or whole
        if not exact:
            return ()
        hits = (WarninglistHit(self._lists[number][0], whole) for number, whole in exact.items())
        return tuple(sorted(hits, key=lambda hit: (not hit.exact, hit.list)))

    def _host_hits(self, kind: str, value: str) -> Iterator[tuple[int, bool]]:
        host, whole = (value.rstrip(".").lower(), True) if kind != "url" else _host(value)
        if _parse_network(host) is not None:
            yield from ((number, hit and whole) for number, hit in self._address_hits(host))
            return
        while host:
            yield from ((number, whole) for number in self._listed.names(host))
            host, whole = host.partition(".")[2], False

    def _address_hits(self, value: str) -> Iterator[tuple[int, bool]]:
        place = _parse_network(value)
        if place is None:
            return
        yield from ((number, wide == place[1]) for number, wide in self._listed.covers(place))


def _pack_lists(lists: Iterable[tuple[str, Reach, Iterable[str]]]) -> bytes:
    """The lists as a block for `WarningLists.of`."""
    about: list[tuple[str, str]] = []
    values: dict[str, tuple[int, ...]] = {}
    networks: dict[Network, tuple[int, ...]] = {}
    for number, (name, reach, entries) in enumerate(lists):
        about.append((name, reach.value))
        for entry in entries:
            place = _parse_network(entry)
            if place is None:
                value = entry.strip(" .").lower()
                values[value] = (*values.get(value, ()), number)
            else:
                networks[place] = (*networks.get(place, ()), number)
    return pack(about, values, networks)


class _List(msgspec.Struct):
    name: str
    entries: list[str] = msgspec.field(name="list")


class _Document(msgspec.Struct):
    lists: dict[str, _List]


class WithExclusions:
    """Warning lists with the hub's own before them; see `tocsin.admission.model.Warninglists`."""

    def __init__(self, own: Iterable[tuple[str, str, str]], others: Warninglists) -> None:
        """`own` is the exclusion list: kind, value and reason."""
        self._own = {(_own_kind(kind), value): reason for kind, value, reason in own}
        self._others = others

    def hits(self, kind: str, value: str) -> tuple[WarninglistHit, ...]:
        """See KnownBenign.hits; of the hub's own list only the very value counts."""
        reason = self._own.get((_own_kind(kind), value))
        found = self._others.hits(kind, value)
        if reason is None:
            return found
        return (
            WarninglistHit(
                f"{EXCLUSION_LIST}: {reason}" if reason else EXCLUSION_LIST,
                exact=True,
                excluded=True,
            ),
            *found,
        )


EXCLUSION_LIST = "this hub's exclusion list"
"""Name of the hub's own list where its reason is shown."""


def _own_kind(kind: str) -> str:
    """A hash is the same whatever it is the hash of."""
    return "file" if kind in _DIGESTS else kind


KeepBytes = Callable[[str, Callable[[], bytes]], bytes | memoryview]
"""Gives the bytes kept under a name, or makes and keeps them."""


def load_warning_lists(
    names: Collection[str] | None = None, keep: KeepBytes = lambda _, make: make()
) -> WarningLists:
    """The warning lists that count, or those of them that are named, from the vendored file.

    To index them takes a few tenths of a second and `keep` saves it: all processes that
    keep in one place share the index, and with it the memory.
    """
    wanted = LIST_REACH if names is None else {name: LIST_REACH[name] for name in names}
    block = keep(f"warning-lists-{_state(wanted)}", lambda: _pack_lists(_read(wanted)))
    try:
        return WarningLists.of(block)
    except ValueError:  # spoilt where it was kept
        return WarningLists(_read(wanted))


def _state(wanted: Mapping[str, Reach]) -> str:
    """A digest of the lists and of how they are packed."""
    found = (2, sys.byteorder, crc32(_FILE.read_bytes()), [*wanted.items()], [*_BESIDES.items()])
    return blake2b(repr(found).encode(), digest_size=12).hexdigest()


def _read(wanted: Mapping[str, Reach]) -> Iterator[tuple[str, Reach, list[str]]]:
    vendored = msgspec.json.decode(lzma.decompress(_FILE.read_bytes()), type=_Document).lists
    for name, reach in wanted.items():
        if name in _BESIDES:
            title, entries = _BESIDES[name]
            yield title, reach, list(entries)
        if name in vendored:
            yield vendored[name].name, reach, vendored[name].entries


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


def _host(url: str) -> tuple[str, bool]:
    """A URL's host, and True if the URL consists only of it."""
    try:
        parts = urlsplit(url)
        host = (parts.hostname or "").rstrip(".")
    except ValueError:
        return "", False
    more = parts.path.strip("/") or parts.query or parts.fragment or "@" in parts.netloc
    return host, not more
