"""Handles of people on social media, and links to their profiles and posts."""

from __future__ import annotations

import re
from collections.abc import Iterator

from tocsin.admission.detectors.attackers import ATTACKER
from tocsin.admission.detectors.spans import Span
from tocsin.admission.detectors.text_search import DOT
from tocsin.admission.lazy_patterns import compile_lazily
from tocsin.admission.observables.domain_names import is_known_tld
from tocsin.admission.word_lists import load_words

HANDLE = "reporter's handle"

_LINK = compile_lazily(
    rf"""(?<![\w.@-])(?:h(?:tt|xx)ps?(?::|\[:\])//)?(?:www{DOT}|mobile{DOT})?
    (?: (?:(?:fx|vx)?twitter{DOT}com|x{DOT}com|nitter{DOT}net)/@?\w{{1,30}}(?:/status(?:es)?/\d+)?
      | bsky{DOT}app/profile/[\w.:-]{{1,80}}(?:/post/\w+)?
      | (?:[a-z]{{2}}{DOT})?linkedin{DOT}com/(?:in/[\w%-]{{2,100}}|posts/[^\W_]+-[\w%-]{{2,200}})
      | threads{DOT}(?:net|com)/@[\w.]{{1,30}}(?:/post/\w+)?
      | [\w-]{{1,63}}(?:{DOT}[\w-]{{1,63}}){{1,4}}/@\w{{1,30}}(?:@[\w.-]{{1,80}})?(?:/\d+)?
    )""",
    re.VERBOSE | re.IGNORECASE,
)
_POST = compile_lazily(r"/(?:status(?:es)?|posts?)/[\w-]|/@[\w.@-]+/\d", re.IGNORECASE)
"""The part of a link that leads to a post; a profile may be an attacker's own."""
_SITE = compile_lazily(r"/@|(?:com|net|app)/", re.IGNORECASE)
"""Every link has one of these; cheaper to look for than the links."""
_HANDLE = compile_lazily(
    r"(?<![\w@./+%=\]-])(?<!\w\\)(?:@|\[@\])(\w[\w.]{0,29}@[\w-]{1,63}(?:\.[\w-]{1,63}){1,4}|\w{2,30})(?![\w/(]|\.\w|@)"
)
_NOT_HANDLES = frozenset(load_words(__package__, "not_handles"))
_DOTTED = compile_lazily(
    r"(?<![^\s(\"',;])@[a-z][\w-]{1,20}\.[a-z][\w-]{2,20}(?![\w/(@-]|\.\w)",
    re.IGNORECASE | re.ASCII,
)
"""`@jane.roe`, if it is no domain."""
_OF_ATTACKER = compile_lazily(
    rf"""(?<!\w)(?<!our[ ])(?<!soc[ ])(?<!duty[ ])(?:{ATTACKER}
          |ransomware|extortionist|gang|seller|access[ ]broker)(?:['’]s)?
        (?:[ ](?:on|telegram|jabber|discord|forum|handle|account|channel|user(?:name)?|alias|bot
          |admin|is|aka|known[ ]as|named|called|at|uses)){{0,4}}[ ]?[:=(]?[ ]?["'`]?\Z""",
    re.VERBOSE | re.IGNORECASE,
)
"""Words right before the handle of an attacker: `the threat actor @`, `operator's Telegram: @`."""
_WORDS_BEFORE = 80
"""Characters before a handle that are searched for them."""


def find_handles(text: str) -> Iterator[Span]:
    """Handles (`@name`), and links to profiles and posts."""
    if "/" in text and _SITE.search(text):
        for found in _LINK.finditer(text):
            yield Span(*found.span(), HANDLE)
    if "@" in text:
        for found in _HANDLE.finditer(text):
            if found[1].lower() not in _NOT_HANDLES and not _is_of_attacker(text, found.start()):
                yield Span(*found.span(), HANDLE)
        for found in _DOTTED.finditer(text) if "." in text else ():
            is_domain = is_known_tld(found[0].rpartition(".")[2].lower())
            if not is_domain and not _is_of_attacker(text, found.start()):
                yield Span(*found.span(), HANDLE)


def _is_of_attacker(text: str, start: int) -> bool:
    """True if the words right before a handle say that it is an attacker's."""
    return _OF_ATTACKER.search(text, max(0, start - _WORDS_BEFORE), start) is not None


def is_post(url: str) -> bool:
    """True if a URL begins with a link to a post, not only to a profile."""
    if not _POST.search(url):  # far cheaper than the links
        return False
    link = _LINK.match(url)
    return link is not None and _POST.search(link[0]) is not None
