"""Lines of logs that name the ends of a connection, of which one is the writer's own.

Firewalls, sensors and proxies write such lines, as CEF, LEEF, JSON or `key=value`.  An end with
a private address is the writer's, so the other one is not.  Between two public addresses either
may be: a machine of the writer that connects, or one that is attacked.
"""

import re
from functools import lru_cache
from itertools import chain

from tocsin.admission.detectors.ip_addresses import Network, is_private, parse_network
from tocsin.admission.detectors.own_parts import remove_own_parts
from tocsin.admission.lazy_patterns import compile_lazily
from tocsin.admission.word_lists import load_alternation

_VALUE = r"\"?\s{0,2}[=:]\s{0,2}(?:\"([^\"]{0,300})\"|([^\s|^,;\"}\]]{1,300}))"


def _fields(words: str) -> re.Pattern[str]:
    """The fields of a log that a list of words names, with their values."""
    names = load_alternation("tocsin.admission.extraction", words)
    return compile_lazily(rf"(?<![\w.\"?&/-])\"?{names}{_VALUE}", re.IGNORECASE)


_SOURCES = _fields("fields_of_sources")
_DESTINATIONS = _fields("fields_of_destinations")
_OWN = _fields("fields_of_own_machines")
_HEAD = compile_lazily(r"\b(?:CEF:\d|LEEF:\d)")
_REFERRER = compile_lazily(r"(\" \d{3} (?:\d{1,12}|-) )\"https?://[^\"\s]{1,2000}\"")
"""In the access log of a web server: the writer's page from which a request came."""


def remove_own_ends(line: str) -> tuple[str, bool]:
    """Remove what may be the writer's own from a line.

    The second value is true if either end may be: then both are removed.

    >>> remove_own_ends("src=10.1.2.3 dst=45.9.70.9 shost=pc.bank.com dhost=evil.com")
    ('  dst=45.9.70.9   dhost=evil.com', False)
    >>> remove_own_ends("srcip=45.9.70.9 dstip=10.1.2.3")
    ('srcip=45.9.70.9  ', False)
    >>> remove_own_ends("srcip=45.9.70.9 dstip=81.2.3.4 action=deny")
    ('    action=deny', True)
    """
    line = remove_own_parts(line)
    if '" ' in line:
        line = _REFERRER.sub(r"\1", line)
    if "=" not in line and '":' not in line:
        return line, False
    has_destination = _DESTINATIONS.search(line) is not None
    if _HEAD.search(line) is None and not (has_destination and _SOURCES.search(line)):
        return line, False
    return _remove_ends(line) if has_destination else (_OWN.sub(" ", line), False)


@lru_cache(maxsize=2)  # a line is asked about twice: for its values, and for a note on it
def _remove_ends(line: str) -> tuple[str, bool]:
    sources, destinations = _addresses(_SOURCES, line), _addresses(_DESTINATIONS, line)
    line = _OWN.sub(" ", line)
    if destinations and all(map(is_private, destinations)):
        return _DESTINATIONS.sub(" ", line), False
    is_unknown = bool(sources and destinations) and not any(map(is_private, sources))
    line = _SOURCES.sub(" ", line)
    return (_DESTINATIONS.sub(" ", line) if is_unknown else line), is_unknown


def _addresses(fields: re.Pattern[str], line: str) -> list[Network]:
    texts = filter(None, chain.from_iterable(fields.findall(line)))
    return [network for network in map(parse_network, texts) if network is not None]
