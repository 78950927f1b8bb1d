"""Parts of a text that are technical: URLs, IP addresses, dates, versions, host names.

Numbers are everywhere in texts about attacks.  One inside such a part is not a
telephone, card or social security number.
"""

from __future__ import annotations

import re
from functools import lru_cache

from tocsin.admission.detectors.spans import SpanIndex
from tocsin.admission.lazy_patterns import compile_lazily

_TECHNICAL = compile_lazily(
    r"""\b[a-z][a-z0-9+.-]{1,12}(?:://|\[:\]//|:\\\\)[^\s<>"]+     # URL
      | (?<![\w.])(?:\d{1,3}(?:\.|\[\.\]|\(\.\))){3}\d{1,3}(?!\.?\d)(?:[:/]\d+)?   # IPv4
      | \b[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}\b               # UUID
      | \b(?!00)\d{4}[-/.]\d\d?[-/.]\d\d?(?:[T ]\d\d?:\d\d(?::\d\d)?(?:\.\d+)?)?  # date, time
      | \b\d\d?[-/.]\d\d?[-/.](?:19|20)\d\d\b
      | \b\d\d?:\d\d(?::\d\d)?(?:\.\d{1,9})?\b
      | \b(?:CVE|CWE|KB|MS|GHSA|RFC|ISO|NIST|SP|RHSA|DSA|AA)[- ]?\d[\d-]*
      | \bT[AS]?-?\d[\d-]*                                             # ATT&CK
      | \b(?!\d\d(?:\.\d\d){4}\b)\d+(?:\.\d+){4,}\b                    # OID, long version
      | \bv(?:er(?:sion)?)?\.?\s?\d+(?:[.\-]\d+)+                     # version
      | \b(?:[0-9a-f]{1,4}:){3,8}[0-9a-f:]{1,40}                      # IPv6, MAC
      | (?<![\w.-])[\w-]{1,63}(?:(?:\.|\[\.\])[\w-]{1,63}){0,9}(?:\.|\[\.\])[a-z]{2,24}(?![\w-])""",
    re.VERBOSE | re.IGNORECASE,
)


@lru_cache(maxsize=4)  # the detectors of numbers ask in turn about the same text
def find_technical_values(text: str) -> SpanIndex:
    """An index of these parts.  Costly: ask only when a number was found."""
    return SpanIndex(found.span() for found in _TECHNICAL.finditer(text))
