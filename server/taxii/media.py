"""Media types: what may be asked for, what may be sent (TAXII 2.1 section 3.1).

`Accept` is read as RFC 7231 section 5.3.2 has it, with lists, quality, order
of specificity and any spelling of parameters.
"""

import re
from dataclasses import dataclass
from urllib.request import parse_http_list

from werkzeug.http import parse_options_header

from tocsin.admission.errors import NotAcceptable, WrongMediaType

VERSION = "2.1"
TAXII = "application/taxii+json"
STIX = "application/stix+json"
MEDIA_TYPE = f"{TAXII};version={VERSION}"
"""The media type of every answer, errors included."""
OPENAPI = "application/openapi+json;version=3.1"
"""The media type of the description (draft-ietf-httpapi-rest-api-mediatypes)."""

_QUALITY = re.compile(r"[01](?:\.[0-9]{0,3})?|\.[0-9]{1,3}", re.ASCII)


@dataclass(frozen=True, slots=True)
class _Range:
    """One media range of an `Accept` header (RFC 7231 section 5.3.2)."""

    type: str
    version: str | None
    quality: float

    @property
    def specificity(self) -> int:
        """How closely it names what it means."""
        if self.type in ("*", "*/*"):
            return 0
        return 1 if self.type.endswith("/*") else 2 + (self.version is not None)

    def covers(self, type: str) -> bool:
        """Whether the range includes a type; of TAXII only this version."""
        if self.type == type:
            return self.version is None or type != TAXII or self.version == VERSION
        return self.type in ("*", "*/*", type.partition("/")[0] + "/*")


def accept(header: str | None, *also: str) -> None:
    """Raises NotAcceptable unless `Accept` allows an answer.

    An absent or empty header allows everything, a range without a version the
    latest (TAXII 2.1 section 1.6.8.2).  Types in `also` count as ours.
    """
    if header is None or not header.strip():
        return
    ranges = [_range(part) for part in parse_http_list(header)]
    for type in (TAXII, *also):
        covering = [r for r in ranges if r.covers(type)]
        if covering and max(covering, key=lambda r: (r.specificity, r.quality)).quality > 0:
            return
    raise NotAcceptable(f"answers are given as {MEDIA_TYPE} only; ask for it in Accept")


def _range(text: str) -> _Range:
    type, options = parse_options_header(text)
    found = _QUALITY.fullmatch(options.get("q", "1"))
    quality = min(float(found[0]), 1.0) if found else 1.0
    return _Range(type.strip().lower(), options.get("version"), quality)


def content_type(header: str | None) -> None:
    """Raises WrongMediaType unless a body is declared to be a TAXII envelope in UTF-8."""
    type, options = parse_options_header(header)
    if (
        type.strip().lower() != TAXII
        or options.get("version", VERSION) != VERSION
        or options.get("charset", "utf-8").lower() not in ("utf-8", "utf8")
    ):
        raise WrongMediaType(f"send an envelope as Content-Type: {MEDIA_TYPE}")
