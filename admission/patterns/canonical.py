"""The canonical form of a STIX pattern: patterns that match the same get the same text.

1. Each comparison: path, operator and values in one spelling.  A value whose
   field has a canonical form takes it (`observables/canonical_values.py`); every
   other value keeps every character.
2. The structure of AND and OR: flat, without duplicates, alternatives merged
   into IN.  A small structure is then multiplied out, redundant alternatives
   are dropped, and alternatives that differ in one place are merged again.  A
   larger one keeps its structure, which bounds the cost of any pattern.
3. Nothing moves across FOLLOWEDBY or a qualifier.

A simple pattern, as nearly all are, is handled without the parser.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from functools import lru_cache
from itertools import chain, product

from tocsin.admission.errors import Malformed
from tocsin.admission.observables.canonical_values import (
    canonical_address,
    canonical_email,
    canonical_host,
    canonical_mac,
    canonical_registry_key,
    canonicalizer,
)
from tocsin.admission.observables.hashes import hash_name
from tocsin.admission.patterns.grammar import (
    KEYWORDS,
    MAX_CHARACTERS,
    MAX_DEPTH,
    SIMPLE_PATTERN,
    Comparison,
    Junction,
    Literal,
    Node,
    Observation,
    Qualified,
    parse_pattern,
    quote_string,
)

_STEP = re.compile(r"'((?:[^'\\]|\\.)*)'|([A-Za-z_][A-Za-z0-9_]*)|(\[[^]]*\])", re.DOTALL)
_BARE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*", re.ASCII)
_ONE_BY_ONE = re.compile(r"(?:^|\.)hashes[.\[]|_(?:hex|bin)(?:\[[^]]*\])?$")
_REFERRED = re.compile(r"(?:.*\.)?([a-z_]+)_refs?(?:\[[^]]*\])?\.value", re.DOTALL)
_KEYS = re.compile(r"key|values\[\S+\]\.name")
_CONNECTED = ("network-traffic", "process", "domain-name", "ipv4-addr", "ipv6-addr")
_HOSTS = ("src", "dst", "resolves_to")
_MAILBOXES = ("from", "sender", "to", "cc", "bcc")
_EXACT = frozenset("%_K;`")
"""Wildcards of LIKE, and the ASCII characters that something else becomes under NFC."""


def canonical_comparison(test: Comparison) -> Node:
    """The comparison as it is always written; several of them where IN would not be understood."""
    path = canonical_path(test.path)
    operator, negated = test.operator, test.negated
    literals = tuple(_literal_spelt(test.kind, path, operator, each) for each in test.values)
    if operator in ("LIKE", "ISSUBSET") and _exact(test.kind, path, operator, literals[0]):
        operator = "="
        literals = (_literal_spelt(test.kind, path, operator, literals[0]),)
    if operator == "IN":
        return _set(Comparison(test.kind, path, operator, literals, negated))
    if negated and operator in ("=", "!="):
        operator, negated = ("!=" if operator == "=" else "="), False
    return Comparison(test.kind, path, operator, literals, negated)


def equals_one_of(
    kind: str, path: str, chosen: Iterable[Literal], *, negated: bool = False
) -> Comparison:
    """`=` for one value, IN for several, sorted and each once; `!=` and NOT IN if negated."""
    texts = {str(value): value for value in chosen}
    ordered = tuple(texts[text] for text in sorted(texts))
    if len(ordered) == 1:
        return Comparison(kind, path, "!=" if negated else "=", ordered)
    return Comparison(kind, path, "IN", ordered, negated)


def set_key(test: Comparison) -> tuple[str, str, str] | None:
    """The key that comparisons must share to be merged into one IN; None if they cannot be.

    The OASIS validator takes no IN for hashes, its matcher none for binaries
    and no set of different kinds of values.
    """
    if not test.values or _one_by_one(test.path):
        return None
    return test.kind, test.path, test.values[0].kind


def may_yield_several(test: Comparison) -> bool:
    """True if the path may yield several values, one of which is enough."""
    return "[*]" in test.path


def _set(test: Comparison) -> Node:
    """IN and NOT IN: each kind of value by itself; value by value where IN is not understood."""
    if not test.values:
        return test
    groups: dict[str, list[Literal]] = {}
    single = _one_by_one(test.path)
    if single and len(test.path) * len(test.values) > MAX_CHARACTERS:
        raise Malformed("the pattern is too long with each value of IN compared by itself")
    for value in test.values:
        groups.setdefault(str(value) if single else value.kind, []).append(value)
    if test.negated and may_yield_several(test):  # one value that is in neither is more than two
        return equals_one_of(test.kind, test.path, test.values, negated=True)
    tests = [
        equals_one_of(test.kind, test.path, group, negated=test.negated)
        for group in groups.values()
    ]
    tests.sort(key=str)
    return tests[0] if len(tests) == 1 else Junction("AND" if test.negated else "OR", tuple(tests))


@lru_cache(maxsize=1024)
def _one_by_one(path: str) -> bool:
    return _ONE_BY_ONE.search(path) is not None


def _exact(kind: str, path: str, operator: str, literal: Literal) -> bool:
    """True if `=` means the same: LIKE without wildcard, or ISSUBSET of a single address."""
    if operator == "ISSUBSET":
        network = "/" in literal.text and not literal.text.endswith(("/32", "/128"))
        return not network and field_canonicalizer(kind, path) in (
            canonical_address,
            _host_or_address,
        )
    return literal.text.isascii() and _EXACT.isdisjoint(literal.text) and not _binary(path)


def _binary(path: str) -> bool:
    return path.rstrip("]*[0123456789").endswith(("_hex", "_bin"))


@lru_cache(maxsize=1024)
def canonical_path(path: str) -> str:
    """Steps bare where they can be, hash names as STIX spells them: hashes.MD5 is hashes.'MD5'.

    >>> canonical_path("'hashes'.sha256"), canonical_path("extensions.'ntfs-ext'.'sid'")
    ("hashes.'SHA-256'", "extensions.'ntfs-ext'.sid")
    """
    spelt_path = before = ""
    for name, bare, index in _STEP.findall(path):
        if index:
            spelt_path, before = spelt_path + index, index
            continue
        step = bare or re.sub(r"\\(.)", r"\1", name, flags=re.DOTALL)
        if before == "hashes":
            written = quote_string(hash_name(step))
        else:
            written = step if _BARE.fullmatch(step) and step not in KEYWORDS else quote_string(step)
        spelt_path += f".{written}" if spelt_path else written
        before = step
    return spelt_path


def _literal_spelt(kind: str, path: str, operator: str, literal: Literal) -> Literal:
    if literal.kind != "string":
        return literal
    text = literal.text
    if operator in ("=", "!=", "IN"):
        speller = field_canonicalizer(kind, path)
        return Literal("string", speller(text)) if speller else literal
    if operator in ("ISSUBSET", "ISSUPERSET"):
        plain = canonical_address(text)
        if operator == "ISSUBSET" and "/" in text and "/" not in plain:
            plain += "/128" if ":" in plain else "/32"  # a matcher takes nothing but networks
        return Literal("string", plain)
    return literal


@lru_cache(maxsize=1024)
def field_canonicalizer(kind: str, path: str) -> Callable[[str], str] | None:
    """The function that makes values of a field canonical; None if every character counts."""
    referred = _REFERRED.fullmatch(path)
    if referred:
        return _of_reference(kind, referred[1])
    if kind == "windows-registry-key" and _KEYS.fullmatch(path):
        return _registry_key if path == "key" else str.lower
    return canonicalizer(kind, path)


def _of_reference(kind: str, name: str) -> Callable[[str], str] | None:
    if kind == "email-message":
        return canonical_email if name in _MAILBOXES else None
    return _host_or_address if kind in _CONNECTED and name in _HOSTS else None


def _host_or_address(text: str) -> str:
    """Canonical form of `src_ref.value`: an address, a MAC address or a host name."""
    return canonical_address(canonical_mac(canonical_host(text)))


def _registry_key(text: str) -> str:
    """A key in Windows is the same in any case; its hive is written in capitals."""
    hive, slash, rest = canonical_registry_key(text).partition("\\")
    return hive + slash + rest.lower()


MAX_PRODUCTS = 256
"""Maximum alternatives of a pattern that is multiplied out."""

MAX_PRODUCT_PARTS = 4096
"""Maximum parts in all these alternatives together."""

_MUCH_LONGER = 4
_MOST_ROUNDS = 16
_MOST_COMPARED = 64
_MOST_MATCHED = 64

Product = tuple[Node, ...]
"""The parts of an AND, sorted by their text."""


def canonical_expression(node: Node) -> Node:
    """A whole pattern, or what a qualifier or FOLLOWEDBY is about, in canonical form."""
    plain = _plain(node)
    if not isinstance(plain, Junction) or plain.word == "FOLLOWEDBY" or not _small(plain):
        return plain
    return _shorter(_joined_products(_together(_least(_products(plain)))), plain)


def canonical_brackets(node: Node) -> Node:
    """The content of one pair of brackets in canonical form."""
    plain = _plain_comparison(node)
    if not isinstance(plain, Junction) or not _small(plain):
        return plain
    least = _least(_products(plain))
    found = _joined_products(_together(least))
    clauses = _clauses(least)
    if clauses:
        factors = _joined_clauses(clauses)
        if len(str(factors)) < len(str(found)) and _small(factors):
            found = factors
    return _shorter(found, plain)


def _shorter(found: Node, plain: Node) -> Node:
    """The canonical form, unless it is far longer than the plain one."""
    return found if len(str(found)) <= _MUCH_LONGER * len(str(plain)) else plain


def _plain(node: Node) -> Node:
    if isinstance(node, Observation):
        return Observation(canonical_brackets(node.test))
    if isinstance(node, Qualified):
        part = canonical_expression(node.part)
        return part if node.qualifier == "REPEATS 1 TIMES" else Qualified(part, node.qualifier)
    if not isinstance(node, Junction):
        raise TypeError(node)
    if node.word == "FOLLOWEDBY":
        return _joined(node.word, _flat(node.word, map(canonical_expression, node.parts)))
    parts = _flat(node.word, map(_plain, node.parts))
    if node.word == "OR":
        parts = list(_each_once(_bracketed(parts)))
    return _joined(node.word, sorted(parts, key=str))  # `[a] AND [a]` is about two observations


def _bracketed(parts: list[Node]) -> Iterator[Node]:
    """`[a] OR [b]` is `[a OR b]`."""
    brackets = [part.test for part in parts if isinstance(part, Observation)]
    yield from (part for part in parts if not isinstance(part, Observation))
    if brackets:
        yield Observation(
            canonical_brackets(_joined("OR", brackets)) if len(brackets) > 1 else brackets[0]
        )


def _plain_comparison(node: Node) -> Node:
    if isinstance(node, Comparison):
        return canonical_comparison(node)
    if not isinstance(node, Junction):
        raise TypeError(node)
    parts = _flat(node.word, map(_plain_comparison, node.parts))
    drawn = _each_once(_sets(parts, negated=node.word == "AND"))
    return _joined(node.word, sorted(drawn, key=str))


def _sets(parts: Iterable[Node], *, negated: bool) -> Iterator[Node]:
    """`x = 1 OR x = 2` as IN, or `x != 1 AND x != 2` as NOT IN."""
    groups: dict[tuple[str, str, str], list[Comparison]] = {}
    for part in parts:
        place = _place(part, negated=negated)
        if place and isinstance(part, Comparison):
            groups.setdefault(place, []).append(part)
        else:
            yield part
    for (kind, path, _), tests in groups.items():
        yield equals_one_of(kind, path, chain(*(test.values for test in tests)), negated=negated)


def _place(node: Node, *, negated: bool) -> tuple[str, str, str] | None:
    """Where a test that may be drawn into IN (or NOT IN) belongs."""
    if not isinstance(node, Comparison):
        return None
    if not negated:
        return set_key(node) if _equal(node) else None
    unequal = node.operator == "!=" or (node.operator == "IN" and node.negated)
    return set_key(node) if unequal and not may_yield_several(node) else None


def _equal(test: Comparison) -> bool:
    return test.operator in ("=", "IN") and not test.negated


def _flat(word: str, parts: Iterable[Node]) -> list[Node]:
    flat: list[Node] = []
    for part in parts:
        same = isinstance(part, Junction) and part.word == word
        flat.extend(part.parts if same and isinstance(part, Junction) else (part,))
    return flat


def _each_once(parts: Iterable[Node]) -> Iterable[Node]:
    return {str(part): part for part in parts}.values()


def _joined(word: str, parts: Iterable[Node]) -> Node:
    parts = tuple(parts)
    return parts[0] if len(parts) == 1 else Junction(word, parts)


def _small(node: Node) -> bool:
    products, parts = _measured(node)
    return products <= MAX_PRODUCTS and parts <= MAX_PRODUCT_PARTS


def _measured(node: Node) -> tuple[int, int]:
    """Number of products, and of parts in all of them, when multiplied out."""
    if isinstance(node, Comparison):
        many = max(1, len(node.values))
        return (many, many) if _equal(node) else (1, many)
    if isinstance(node, Observation):
        products, parts = _measured(node.test)
        small = products <= MAX_PRODUCTS and parts <= MAX_PRODUCT_PARTS
        return (products, products) if small else (1, 1)
    if not isinstance(node, Junction) or node.word == "FOLLOWEDBY":
        return 1, 1
    products, parts = _measured(node.parts[0])
    for part in node.parts[1:]:
        more, its = _measured(part)
        if node.word == "OR":
            products, parts = products + more, parts + its
        else:
            products, parts = products * more, parts * more + its * products
        if products > MAX_PRODUCTS:
            break
    return products, parts


def _products(node: Node) -> set[Product]:
    """The node multiplied out: one of these products must hold."""
    if isinstance(node, Comparison):
        return _single(node)
    if isinstance(node, Observation) and _small(node.test):
        return {(Observation(_joined("AND", each)),) for each in _written(_products(node.test))}
    if not isinstance(node, Junction) or node.word == "FOLLOWEDBY":
        return {(node,)}
    if node.word == "OR":
        return set().union(*map(_products, node.parts))
    once = isinstance(_leaf(node), Comparison)
    found: set[Product] = {()}
    for part in node.parts:
        found = {_merged(one, two, once=once) for one, two in product(found, _products(part))}
    return found


def _single(test: Comparison) -> set[Product]:
    """`x IN (1, 2)` as x = 1 or x = 2; `x NOT IN (1, 2)` as x != 1 and x != 2."""
    if test.operator != "IN" or not test.values:
        return {(test,)}
    if not test.negated:
        return {(Comparison(test.kind, test.path, "=", (each,)),) for each in test.values}
    if may_yield_several(test):
        return {(test,)}
    return {tuple(Comparison(test.kind, test.path, "!=", (each,)) for each in test.values)}


def _merged(one: Product, two: Product, *, once: bool) -> Product:
    parts = (*one, *two)
    return tuple(sorted(_each_once(parts) if once else parts, key=str))


def _leaf(node: Node) -> Node:
    while isinstance(node, Junction):
        node = node.parts[0]
    return node


def _written(products: Iterable[Product]) -> Iterator[Product]:
    """Comparisons of one product as they are written: `x != 1 AND x != 2` as NOT IN."""
    for each in products:
        yield tuple(sorted(_sets(each, negated=True), key=str))


def _least(products: set[Product]) -> list[Product]:
    """The products without those from which another one follows, in a fixed order."""
    needs = {part: _needs(part) for part in set(chain(*products))}
    asked = [(each, frozenset[Node]().union(*(needs[part] for part in each))) for each in products]
    weights = {each: sum(len(needs[part]) for part in each) for each, _ in asked}
    asked.sort(key=lambda pair: (len(pair[0]), weights[pair[0]], _texts(pair[0])))  # least first
    kept: list[tuple[Product, frozenset[Node]]] = []
    for each, its in asked:
        if not any(their <= its and _follows(other, each, needs) for other, their in kept):
            kept.append((each, its))
    return sorted((each for each, _ in kept), key=_texts)


def _texts(each: Product) -> list[str]:
    return [str(part) for part in each]


def _needs(part: Node) -> frozenset[Node]:
    """The single comparisons that must all hold; the part itself if they are not known."""
    if isinstance(part, Observation) and _measured(part.test)[0] == 1:
        return frozenset(next(iter(_products(part.test))))
    return frozenset((part,))


def _follows(other: Product, each: Product, needs: dict[Node, frozenset[Node]]) -> bool:
    """True if `other` follows from `each`, whose comparisons include all that `other` needs."""
    if isinstance(other[0], Comparison):
        return True
    if len(other) * len(each) <= _MOST_MATCHED:
        return _matched(other, each, needs)
    missing = list((Counter(other) - Counter(each)).elements())
    spare = Counter(each) - Counter(other)
    return not missing or (len(missing) == 1 and any(needs[missing[0]] <= needs[s] for s in spare))


def _matched(other: Product, each: Product, needs: dict[Node, frozenset[Node]]) -> bool:
    """True if each part of `other` follows from a part of `each` of its own."""
    taken: dict[int, int] = {}

    def placed(at: int, tried: set[int]) -> bool:
        for place, part in enumerate(each):
            if place not in tried and needs[other[at]] <= needs[part]:
                tried.add(place)
                if place not in taken or placed(taken[place], tried):
                    taken[place] = at
                    return True
        return False

    return all(placed(at, set()) for at in range(len(other)))


def _together(products: list[Product]) -> list[Product]:
    """Products that differ in one part only, as one with that part's alternatives."""
    for _ in range(_MOST_ROUNDS):
        used: set[Product] = set()
        drawn: list[Product] = []
        for (_, rest), found in sorted(_alike(products).items(), key=lambda pair: -len(pair[1])):
            fresh = {each: part for each, part in found.items() if each not in used}
            if len(fresh) > 1:
                used.update(fresh)
                parts = (*rest, _union(list(fresh.values())))
                drawn.append(tuple(sorted(parts, key=str)))
        if not drawn:
            break
        products = sorted((*drawn, *(each for each in products if each not in used)), key=_texts)
    return products


_Place = tuple[tuple[str, str, str] | None, Product]
"""Where the values of a test may be drawn into one IN (None: a pair of brackets), and the rest."""


def _alike(products: list[Product]) -> dict[_Place, dict[Product, Node]]:
    """For each place of a part and what stands beside it: the products, and that part of them."""
    groups: dict[_Place, dict[Product, Node]] = {}
    for each in products:
        for at, part in enumerate(each if len(each) <= _MOST_COMPARED else ()):
            place = _place(part, negated=False)
            if place or isinstance(part, Observation):
                groups.setdefault((place, each[:at] + each[at + 1 :]), {})[each] = part
    return groups


def _union(parts: list[Node]) -> Node:
    tests = [part for part in parts if isinstance(part, Comparison)]
    if tests:
        values = chain(*(test.values for test in tests))
        return equals_one_of(tests[0].kind, tests[0].path, values)
    inside = [part.test for part in parts if isinstance(part, Observation)]
    return Observation(canonical_brackets(Junction("OR", tuple(inside))))


def _clauses(least: list[Product]) -> list[frozenset[Node]]:
    """The same comparisons as an AND of alternatives; empty if that is of no use.

    One product after the other is taken in: a clause that has none of its
    parts needs one of them.
    """
    clauses: list[frozenset[Node]] = [frozenset()]
    for each in least if max(map(len, least)) > 1 else ():
        met = [clause for clause in clauses if not clause.isdisjoint(each)]
        unmet = [clause for clause in clauses if clause.isdisjoint(each)]
        if len(unmet) * len(each) > MAX_PRODUCTS:
            return []
        for clause in sorted({clause | {part} for clause in unmet for part in each}, key=len):
            if not any(other <= clause for other in met):
                met.append(clause)
        clauses = met
    return clauses if clauses[0] else []


def _joined_clauses(clauses: list[frozenset[Node]]) -> Node:
    written = [_joined("OR", sorted(_sets(each, negated=False), key=str)) for each in clauses]
    return _joined("AND", sorted(_sets(written, negated=True), key=str))


def _joined_products(products: list[Product]) -> Node:
    return _joined("OR", sorted((_joined("AND", each) for each in _written(products)), key=str))


_LONGEST_REMEMBERED = 4096


def canonical_pattern(pattern: str) -> str:
    """The one spelling of everything that matches the same.

    Idempotent.  Raises Malformed as `parse_pattern` does, and if the canonical form
    itself would be too long or too deep.

    >>> canonical_pattern("[url:value='HTTP://B.example'] OR [url:value = 'http://a.example']")
    "[url:value IN ('http://a.example', 'http://b.example')]"
    """
    return _remembered(pattern) if len(pattern) <= _LONGEST_REMEMBERED else _canonical(pattern)


def _canonical(pattern: str) -> str:
    simple = SIMPLE_PATTERN.fullmatch(pattern)
    if simple and len(pattern) <= MAX_CHARACTERS:
        kind, path, value = simple.groups()
        path = canonical_path(path)
        spell = field_canonicalizer(kind, path)
        return f"[{kind}:{path} = {quote_string(spell(value) if spell else value)}]"
    text = str(canonical_expression(parse_pattern(pattern)))
    if len(text) > MAX_CHARACTERS or text.count("(") > MAX_DEPTH:
        parse_pattern(text)  # what we say must be readable in its turn
    return text


_remembered = lru_cache(maxsize=1024)(_canonical)
