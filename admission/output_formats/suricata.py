"""Suricata: rules with lists beside them (Suricata 7 or newer).

Names, addresses and hashes are in lists, so that a hundred thousand of them are a few rules.
Networks are in the addresses of rules, and each URL is a rule.  Suricata looks for the lists in
its `default-rule-path`, so all files belong there.
"""

import base64
import re
from collections.abc import Iterator
from itertools import islice
from zlib import crc32

from tocsin.admission.output_formats import CurrentState, OutputFile, OutputFormat, joined_lines
from tocsin.admission.output_formats.listed_values import ADDRESSES
from tocsin.admission.output_formats.rules import RuleNumbers, content, message, web_addresses

_FILE_HASHES = ("md5", "sha1", "sha256")
_FILE_PROTOCOLS = ("http", "smtp", "smb", "ftp-data", "nfs")
_LISTED = (*ADDRESSES, "domain", *_FILE_HASHES)
_NETWORKS_A_RULE = 150
_LONGEST_RULE = 8_000
"""Octets; Suricata cuts a line after 8,191, and loads no rules at all if the rest is none."""
_FIRST_OF_LISTS, _FIRST_OF_OTHERS, _SPAN = 1_100_000_000, 1_200_000_000, 400_000_000
"""Numbers of rules that no public rule set uses."""
_RULES_OF_LISTS = 100
_FEEDS = (_FIRST_OF_OTHERS - _FIRST_OF_LISTS) // _RULES_OF_LISTS
_ONCE_AN_HOUR = "threshold:type limit, track by_src, seconds 3600, count 1; "


def _write(state: CurrentState) -> Iterator[OutputFile]:
    name = _dataset_name(state.lasting_name)
    yield OutputFile(f"{name}.rules", joined_lines(_rules(state, name)))
    for kind in _LISTED:
        yield OutputFile(f"{name}-{kind}.lst", joined_lines(_list(state, kind)))


def _dataset_name(feed: str) -> str:
    """The name of the files of a feed, and the beginning of those of its datasets.

    >>> _dataset_name("green"), _dataset_name("AMBER / EU")
    ('tocsin-green', 'tocsin-amber-eu')
    """
    plain = re.sub("[^a-z0-9]+", "-", feed.lower()).strip("-")[:30]
    return f"tocsin-{plain}".rstrip("-")


def _list(state: CurrentState, kind: str) -> Iterator[bytes]:
    for each in state.values(kind):
        if kind == "domain":
            yield base64.b64encode(each.value.encode()) + b"\n"
        elif "/" not in each.value:
            yield f"{each.value}\n".encode()


def _rules(state: CurrentState, name: str) -> Iterator[bytes]:
    yield from _rules_of_lists(state, name)
    numbers = RuleNumbers(_FIRST_OF_OTHERS, _SPAN)
    yield from _rules_of_networks(state, numbers)
    left_out = 0
    for each in web_addresses(state):
        options = (
            f'http.host; content:"{content(each.host)}"; bsize:{len(each.host)}; '
            f'http.uri.raw; content:"{content(each.target)}"; bsize:{len(each.target)}; '
        )
        number = numbers.number(f"{state.lasting_name} {each.host}:{each.port}{each.target}")
        head = f"http any any -> any {each.port}"
        text = message(state.feed, f"request for a listed URL, {each.indicator}")
        rule = _rule(head, text, options, number)
        if len(rule) > _LONGEST_RULE:
            left_out += 1
        else:
            yield rule
    if left_out:
        yield f"# URLs too long for a rule, left out: {left_out}\n".encode()


def _rules_of_lists(state: CurrentState, name: str) -> Iterator[bytes]:
    """Rules that name a list, as far as it is not empty; each always has the same number."""
    number = _FIRST_OF_LISTS + crc32(state.lasting_name.encode()) % _FEEDS * _RULES_OF_LISTS
    for kind, head, text, options in _templates(name):
        number += 1
        if next(_list(state, kind), None) is not None:
            yield _rule(head, message(state.feed, text), options, number)


def _templates(name: str) -> Iterator[tuple[str, str, str, str]]:
    """For each rule the kind of its list, its head, its message and its options."""
    everything = "any any -> any any"
    for kind in ADDRESSES:
        dataset = f"dataset:isset,{name}-{kind},type {kind},load {name}-{kind}.lst; "
        for side, word in (("dst", "to"), ("src", "from")):
            options = f"ip.{side}; {dataset}{_ONCE_AN_HOUR}"
            yield kind, f"ip {everything}", f"packet {word} a listed address", options
    names = f"dataset:isset,{name}-domain,type string,load {name}-domain.lst; "
    for protocol, buffer, text in (
        ("dns", "dns.query; to_lowercase; ", "query for a listed name"),
        ("tls", "tls.sni; to_lowercase; ", "TLS connection to a listed name"),
        ("http", "http.host; ", "request to a listed name"),
    ):
        yield "domain", f"{protocol} {everything}", text, buffer + names
    for kind in _FILE_HASHES:
        for protocol in _FILE_PROTOCOLS:
            options = f"file{kind}:{name}-{kind}.lst; "
            yield kind, f"{protocol} {everything}", f"listed file ({kind})", options


def _rules_of_networks(state: CurrentState, numbers: RuleNumbers) -> Iterator[bytes]:
    networks = (each.value for each in state.values(*ADDRESSES) if "/" in each.value)
    while group := list(islice(networks, _NETWORKS_A_RULE)):
        number = numbers.number(f"{state.lasting_name} {group[0]}")
        head = f"ip any any -> [{','.join(group)}] any"
        text = message(state.feed, "packet to a listed network")
        yield _rule(head, text, _ONCE_AN_HOUR, number)


def _rule(head: str, text: str, options: str, number: int) -> bytes:
    return f'alert {head} (msg:"{text}"; {options}sid:{number}; rev:1;)\n'.encode()


FORMAT = OutputFormat("suricata", "rules and lists for Suricata 7", _write, has_one_file=False)
