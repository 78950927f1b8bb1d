"""Recipients of a mail, and their names in links, in any spelling that links use."""

import base64
import hashlib
import re
from collections.abc import Iterable, Iterator
from functools import lru_cache
from urllib.parse import unquote

from tocsin.admission.lazy_patterns import compile_lazily
from tocsin.admission.observables.domain_names import parse_known_host, registrable_domain
from tocsin.admission.word_lists import load_words

_FREE_MAIL = frozenset(load_words("tocsin.admission.extraction", "free_mail_providers"))
_MAILBOX = compile_lazily(r"[\w.+-]{1,64}@[a-z0-9-]{1,63}\.[a-z0-9.-]{2,190}", re.ASCII)
_NAME_WORD = compile_lazily(r"[^\W\d_]{3,40}")
_AFTER_HOST = compile_lazily(r"(?<=[^:/])[/?#].*", re.DOTALL)
_ENCODED = compile_lazily(r"[A-Za-z0-9+/_-]{8,2000}={0,2}")
_HEX = compile_lazily(r"(?:[0-9a-fA-F]{2}){5,300}")
_SHORTEST_NAME = 4
"""Characters of the shortest name of a mailbox that is recognised by itself."""
_COMMON_NAMES = frozenset(("info", "mail", "office", "admin", "sales", "contact", "support"))
_COMMON_NAMES |= {"service", "security", "abuse", "phishing", "spam", "postmaster", "webmaster"}
_REWRITES = 3
"""Maximum number of encodings upon each other in a link."""


class Recipients:
    """The recipients of a message and of those around it."""

    def __init__(self, mailboxes: Iterable[str], people: Iterable[str] = ()) -> None:
        """`people`: their names, as mail programs show them."""
        self._mailboxes = frozenset(each.lower() for each in mailboxes)
        self._signs = frozenset(sign for each in self._mailboxes for sign in _signs_of(each))
        self._people = frozenset(words for name in people if len(words := _words_of(name)) > 1)
        parts = [each.partition("@") for each in self._mailboxes]
        domains = (registrable_domain(domain) or domain for _, _, domain in parts)
        self._domains = frozenset(domain for domain in domains if domain not in _FREE_MAIL)
        self._names = frozenset(
            name
            for name, _, _ in parts
            if len(name) >= _SHORTEST_NAME and name not in _COMMON_NAMES
        )

    def are_named_in(self, text: str) -> bool:
        """True if a text names one of them, or their mailbox's name, in any usual encoding."""
        return any(self._mailbox_in(each) or self._name_in(each) for each in _decodings(text))

    def may_be_named_in(self, link: str) -> bool:
        """True if a link names one of them, or any mailbox after its host.

        Programs for mass mails know their recipients by addresses that the mail does not show.
        The name of a mailbox counts after the host only: `apple` does not name a person there.
        """
        if any(map(self._mailbox_in, _decodings(link))):
            return True
        after_host = _AFTER_HOST.search(link)
        return after_host is not None and any(
            self._name_in(each) or _MAILBOX.search(each) for each in _decodings(after_host[0])
        )

    def _mailbox_in(self, plain: str) -> bool:
        return any(each in plain for each in self._signs)

    def _name_in(self, plain: str) -> bool:
        if any(_is_word(each, plain) for each in self._names):
            return True
        words = _words_of(plain) if self._people else frozenset()
        return any(person <= words for person in self._people)

    def joined_by(self, mailboxes: Iterable[str]) -> "Recipients":
        """These recipients, and the owners of further mailboxes."""
        return Recipients((*self._mailboxes, *mailboxes), map(" ".join, self._people))

    def own_host(self, host: str) -> bool:
        """True if a host belongs to the organisation of one of them."""
        name = parse_known_host(host.lower()) or host.lower()
        return any(name == each or name.endswith(f".{each}") for each in self._domains)


def _signs_of(mailbox: str) -> Iterator[str]:
    """A mailbox, and the hashes of it by which programs for mass mails name it."""
    yield mailbox
    for algorithm in ("md5", "sha1", "sha256"):
        yield hashlib.new(algorithm, mailbox.encode(), usedforsecurity=False).hexdigest()


def _words_of(name: str) -> frozenset[str]:
    return frozenset(_NAME_WORD.findall(name.lower()))


def _is_word(name: str, plain: str) -> bool:
    place = plain.find(name)
    while place >= 0:
        around = plain[place - 1 : place] + plain[place + len(name) : place + len(name) + 1]
        if not any(map(str.isalnum, around)):
            return True
        place = plain.find(name, place + 1)
    return False


@lru_cache(maxsize=256)
def _decodings(text: str) -> tuple[str, ...]:
    """The text in lower case as it stands, and decoded from percent, base64 and hexadecimal."""
    found = {text: None}
    latest = [text]
    for _ in range(_REWRITES):
        latest = [each for one in latest for each in _decode_once(one) if each not in found]
        found.update(dict.fromkeys(latest))
    return tuple(each.lower() for each in found)


def _decode_once(text: str) -> Iterator[str]:
    if "%" in text:
        yield unquote(text)
    if "=40" in text or "=2E" in text:
        yield text.replace("=40", "@").replace("=2E", ".")
    if "_at_" in text or "-at-" in text:
        yield text.replace("_at_", "@").replace("-at-", "@")
    for found in _ENCODED.findall(text):
        yield from _decode_base64(found)
    for found in _HEX.findall(text):
        yield bytes.fromhex(found).decode("ascii", "ignore")


def _decode_base64(text: str) -> Iterator[str]:
    """Texts that base64 in a text may stand for: mailboxes, or base64 again."""
    plain = text.rstrip("=").replace("-", "+").replace("_", "/")
    for part in {plain, plain.rsplit("/", 1)[-1]}:
        try:
            found = base64.b64decode(part + "=" * (-len(part) % 4)).decode("ascii")
        except ValueError:
            continue
        if "@" in found or _ENCODED.fullmatch(found):
            yield found
