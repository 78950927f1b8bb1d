"""Lines of logs that name the ends of a connection, of which one is the writer's own.

Firewalls, sensors and proxies write such lines, as CEF, LEEF, JSON or `key=value`.  An end with
a private address is the writer's, so the other one is not.  Between two public addresses either
may be: a machine of the writer that connects, or one that is attacked.
"""

import re
from functools import lru_cache
from itertools import chain

from tocsin.admission.word_lists import load_alternation

_PACKAGE = "tocsin.admission.extraction"
_VALUE = r"\"?\s{0,2}[=:]\s{0,2}(?:\"([^\"]{0,300})\"|([^\s|^,;\"}\]]{1,300}))"
_NEAR = re.compile(
    rf"(?<![\w.\"?&/-])\"?{load_alternation(_PACKAGE, 'fields_of_sources')}{_VALUE}", re.IGNORECASE
)
_FAR = re.compile(
    rf"(?<![\w.\"?&/-])\"?{load_alternation(_PACKAGE, 'fields_of_destinations')}{_VALUE}",
    re.IGNORECASE,
)
_OWN = re.compile(
    rf"(?<![\w.\"?&/-])\"?{load_alternation(_PACKAGE, 'fields_of_own_machines')}{_VALUE}",
    re.IGNORECASE,
)
_HEAD = re.compile(r"\b(?:CEF:\d|LEEF:\d)")
_PRIVATE = re.compile(
    r"(?:10|127|192\.168|169\.254|172\.(?:1[6-9]|2\d|3[01])|100\.(?:6[4-9]|[7-9]\d|1[01]\d|12[0-7]))"
    r"\.[\d.]+|f[cd][\da-f]{2}:.*|fe80:.*|::1",
    re.IGNORECASE,
)
_ADDRESS = re.compile(r"\d{1,3}(?:\.\d{1,3}){3}|[\da-f]{0,4}:[\da-f:]{2,39}", re.IGNORECASE)
_REFERRER = re.compile(r"(\" \d{3} (?:\d{1,12}|-) )\"https?://[^\"\s]{1,2000}\"")
"""In the access log of a web server: the writer's page from which a request came."""


def remove_own_ends(line: str) -> tuple[str, bool]:
    """A line without what may be the writer's own, and if neither end of it is known to be so.

    >>> remove_own_ends("src=10.1.2.3 dst=45.9.70.9 shost=pc.bank.com dhost=evil.com")
    ('  dst=45.9.70.9   dhost=evil.com', False)
    >>> remove_own_ends("srcip=45.9.70.9 dstip=10.1.2.3")
    ('srcip=45.9.70.9  ', False)
    >>> remove_own_ends("srcip=45.9.70.9 dstip=81.2.3.4 action=deny")
    ('    action=deny', True)
    """
    if '" ' in line:
        line = _REFERRER.sub(r"\1", line)
    if "=" not in line and '":' not in line:
        return line, False
    far = _FAR.search(line) is not None
    if _HEAD.search(line) is None and not (far and _NEAR.search(line)):
        return line, False
    return _remove_ends(line) if far else (_OWN.sub(" ", line), False)


@lru_cache(maxsize=2)  # called for the parts of a line
def _remove_ends(line: str) -> tuple[str, bool]:
    near, far = _addresses(_NEAR, line), _addresses(_FAR, line)
    line = _OWN.sub(" ", line)
    if far and all(map(_PRIVATE.fullmatch, far)):
        return _FAR.sub(" ", line), False
    unknown = bool(near and far) and not any(map(_PRIVATE.fullmatch, near))
    line = _NEAR.sub(" ", line)
    return (_FAR.sub(" ", line) if unknown else line), unknown


def _addresses(fields: re.Pattern[str], line: str) -> list[str]:
    found = filter(None, chain.from_iterable(fields.findall(line)))
    return [each for each in found if _ADDRESS.fullmatch(each)]
