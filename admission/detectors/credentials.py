"""What opens a door, where a text quotes it: keys of services, credentials in headers of requests.

Not passwords by the word before them: those that texts about attacks quote are
nearly all attackers', of their archives and programs.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from tocsin.admission.detectors.terms import among

_KEYS = re.compile(
    r"""(?<![\w/+-])(?:
        (?:AKIA|ASIA)[0-9A-Z]{16}                     # Amazon
      | gh[pousr]_\w{20,255} | github_pat_\w{20,255} | glpat-[\w-]{20,60}
      | xox[abeoprs]-[\w-]{10,250} | AIza[\w-]{35} | ya29\.[\w-]{20,1000}
      | [sr]k_(?:live|test)_\w{16,250} | sk-(?:ant-|proj-)?[\w-]{20,250}
      | npm_\w{36} | hf_\w{30,60} | SG\.[\w-]{16,64}\.[\w-]{16,64}
    )(?![\w-])""",
    re.VERBOSE,
)
_HOOK = re.compile(r"hooks\.slack\.com/services/([\w/-]{20,120})", re.IGNORECASE)
_PRIVATE_KEY = re.compile(r"-----BEGIN [A-Z ]{0,30}PRIVATE KEY-----[\w+/=\s:,.-]{0,16384}")
_HEADER = re.compile(
    r"""(?<![\w-])(?:
        (?:proxy-)?authorization["']?\ ?:\ ?["']?(?:basic|token|digest|apikey|negotiate|ntlm)\ {1,4}
          (?P<credentials>[^\s"'<>]{6,4096})
      | x-(?:api|auth)-(?:key|token)["']?\ ?[:=]\ ?["']?(?P<key>[^\s"'<>]{6,4096})
    )""",
    re.VERBOSE | re.IGNORECASE,
)


_may_key = among(
    *("akia", "asia", "ghp_", "gho_", "ghu_", "ghs_", "ghr_", "github_pat_", "glpat-", "xox"),
    *("aiza", "ya29.", "k_live_", "k_test_", "sk-", "npm_", "hf_", "sg."),
)
_may_header = among("authorization", "x-api-", "x-auth-")


def secrets(text: str) -> Iterator[tuple[int, int]]:
    """Where keys and credentials of requests stand."""
    if _may_key(text):
        yield from (found.span() for found in _KEYS.finditer(text))
    if "slack" in text:
        yield from (found.span(1) for found in _HOOK.finditer(text))
    if "PRIVATE KEY" in text:
        yield from (found.span() for found in _PRIVATE_KEY.finditer(text))
    if _may_header(text):
        for found in _HEADER.finditer(text):
            yield found.span(found.lastgroup or 0)
