"""Snort 3: rules for names and URLs, and a list of addresses for its reputation inspector."""

from collections.abc import Iterator

from tocsin.admission.output_formats import CurrentState, OutputFile, OutputFormat, joined_lines
from tocsin.admission.output_formats.listed_values import ADDRESSES
from tocsin.admission.output_formats.rules import RuleNumbers, content, message, web_addresses

_FIRST, _SPAN = 1_600_000_000, 400_000_000


def _write(state: CurrentState) -> Iterator[OutputFile]:
    yield OutputFile("tocsin.rules", joined_lines(_rules(state)))
    addresses = (f"{each.value}\n".encode() for each in state.values(*ADDRESSES))
    yield OutputFile("ip-blocklist.txt", joined_lines(addresses))


def _rules(state: CurrentState) -> Iterator[bytes]:
    numbers = RuleNumbers(_FIRST, _SPAN)
    for name in state.values("domain"):
        text = message(state.feed, f"query for a listed name, {name.indicator}")
        options = f'content:"{_dns_name(name.value)}",nocase; '
        number = numbers.number(f"{state.lasting_name} {name.value}")
        yield _rule("udp any any -> any 53", text, options, number)
    for each in web_addresses(state):
        text = message(state.feed, f"request for a listed URL, {each.indicator}")
        options = (
            f'http_header:field host; content:"{content(each.host)}",nocase; '
            f'http_raw_uri; content:"{content(each.target)}"; bufferlen:{len(each.target)}; '
        )
        number = numbers.number(f"{state.lasting_name} {each.host}:{each.port}{each.target}")
        yield _rule(f"http any any -> any {each.port}", text, options, number)


def _dns_name(name: str) -> str:
    """A name as it is in a DNS query: the length of each label before it, a zero at the end.

    >>> _dns_name("bad.test")
    '|03|bad|04|test|00|'
    """
    labels = (f"|{len(label):02x}|{content(label)}" for label in name.split("."))
    return f"{''.join(labels)}|00|".replace("||", " ")


def _rule(head: str, text: str, options: str, number: int) -> bytes:
    return f'alert {head} (msg:"{text}"; {options}sid:{number}; rev:1;)\n'.encode()


FORMAT = OutputFormat("snort", "rules and an address list for Snort 3", _write, has_one_file=False)
