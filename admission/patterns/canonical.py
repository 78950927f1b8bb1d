"""The canonical form of a STIX pattern: patterns that match the same get the same text.

1. Each comparison: path, operator and values in one spelling.  A value whose
   field has a canonical form takes it (`observables/values.py`, `registry_keys.py`); every
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
from tocsin.admission.lazy_patterns import compile_lazily
from tocsin.admission.observables.addresses import canonical_address
from tocsin.admission.observables.domain_names import canonical_host
from tocsin.admission.observables.hashes import hash_name, is_hash_table
from tocsin.admission.observables.registry_keys import canonical_registry_key
from tocsin.admission.observables.values import (
    HOST,
    MAILBOX,
    canonical_email,
    canonical_mac,
    canonicalizer,
    referred_kind,
)
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

_STEP = compile_lazily(r"'((?:[^'\\]|\\.)*)'|([A-Za-z_][A-Za-z0-9_]*)|(\[[^]]*\])", re.DOTALL)
_BARE_NAME = compile_lazily(r"[A-Za-z_][A-Za-z0-9_]*", re.ASCII)
_PATHS_WITHOUT_IN = compile_lazily(r"(?:^|\.)hashes[.\[]|_(?:hex|bin)(?:\[[^]]*\])?$")
_KEYS = compile_lazily(r"key|values\[\S+\]\.name")
_NOT_LITERAL = frozenset("%_K;`")
"""Wildcards of LIKE, and the ASCII characters that something else becomes under NFC."""

MAX_PRODUCTS = 256
"""Maximum alternatives of a pattern that is multiplied out."""

MAX_PRODUCT_PARTS = 4096
"""Maximum parts in all these alternatives together."""

_MAX_GROWTH = 4
_MAX_ROUNDS = 16
_MAX_COMPARED = 64
_MAX_MATCHED = 64
_MAX_CACHED = 4096
"""Maximum length of a pattern whose canonical form is cached."""

Product = tuple[Node, ...]
"""The parts of an AND, sorted by their text."""


def canonical_pattern(pattern: str) -> str:
    """The canonical form of a pattern: patterns that match the same get the same text.

    Idempotent.  Raises Malformed as `parse_pattern` does, and if the canonical form
    itself would be too long or too deep.

    >>> canonical_pattern("[url:value='HTTP://B.example'] OR [url:value = 'http://a.example']")
    "[url:value IN ('http://a.example', 'http://b.example')]"
    """
    return _cached_canonical(pattern) if len(pattern) <= _MAX_CACHED else _canonicalise(pattern)


def _canonicalise(pattern: str) -> str:
    simple = SIMPLE_PATTERN.fullmatch(pattern)
    if simple and len(pattern) <= MAX_CHARACTERS:
        kind, path, value = simple.groups()
        path = canonical_path(path)
        canonicalize = field_canonicalizer(kind, path)
        return f"[{kind}:{path} = {quote_string(canonicalize(value) if canonicalize else value)}]"
    text = str(canonical_expression(parse_pattern(pattern)))
    if len(text) > MAX_CHARACTERS or text.count("(") > MAX_DEPTH:
        parse_pattern(text)  # raises Malformed: others could not parse the canonical form
    return text


_cached_canonical = lru_cache(maxsize=1024)(_canonicalise)


def canonical_comparison(test: Comparison) -> Node:
    """The canonical form of a comparison; several comparisons where IN is not supported."""
    path = canonical_path(test.path)
    operator, negated = test.operator, test.negated
    literals = tuple(_canonical_literal(test.kind, path, operator, each) for each in test.values)
    if operator in ("LIKE", "ISSUBSET") and _is_equality_in_disguise(
        test.kind, path, operator, literals[0]
    ):
        operator = "="
        literals = (_canonical_literal(test.kind, path, operator, literals[0]),)
    if operator == "IN":
        return _canonical_in(Comparison(test.kind, path, operator, literals, negated))
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
    if not test.values or _excludes_in(test.path):
        return None
    return test.kind, test.path, test.values[0].kind


def may_yield_several(test: Comparison) -> bool:
    """True if the path may yield several values, one of which is enough."""
    return "[*]" in test.path


def _canonical_in(test: Comparison) -> Node:
    """Canonical IN and NOT IN: one per kind of value; single values where IN is not supported."""
    if not test.values:
        return test
    groups: dict[str, list[Literal]] = {}
    single = _excludes_in(test.path)
    if single and len(test.path) * len(test.values) > MAX_CHARACTERS:
        raise Malformed("the pattern is too long with each value of IN compared by itself")
    for value in test.values:
        groups.setdefault(str(value) if single else value.kind, []).append(value)
    if test.negated and may_yield_several(test):  # NOT IN over several values cannot be split
        return equals_one_of(test.kind, test.path, test.values, negated=True)
    tests = [
        equals_one_of(test.kind, test.path, group, negated=test.negated)
        for group in groups.values()
    ]
    tests.sort(key=str)
    return tests[0] if len(tests) == 1 else Junction("AND" if test.negated else "OR", tuple(tests))


@lru_cache(maxsize=1024)
def _excludes_in(path: str) -> bool:
    return _PATHS_WITHOUT_IN.search(path) is not None


def _is_equality_in_disguise(kind: str, path: str, operator: str, literal: Literal) -> bool:
    """True if `=` means the same: LIKE without wildcard, or ISSUBSET of a single address."""
    if operator == "ISSUBSET":
        network = "/" in literal.text and not literal.text.endswith(("/32", "/128"))
        return not network and field_canonicalizer(kind, path) in (
            canonical_address,
            _host_or_address,
        )
    return literal.text.isascii() and _NOT_LITERAL.isdisjoint(literal.text) and not _is_binary(path)


def _is_binary(path: str) -> bool:
    return path.rstrip("]*[0123456789").endswith(("_hex", "_bin"))


@lru_cache(maxsize=1024)
def canonical_path(path: str) -> str:
    """Quote steps only where needed; hash names as in STIX: hashes.MD5 becomes hashes.'MD5'.

    >>> canonical_path("'hashes'.sha256"), canonical_path("extensions.'ntfs-ext'.'sid'")
    ("hashes.'SHA-256'", "extensions.'ntfs-ext'.sid")
    """
    result = before = ""
    for name, bare, index in _STEP.findall(path):
        if index:
            result, before = result + index, index
            continue
        step = bare or _unquote(name)
        if is_hash_table(before):
            written = quote_string(hash_name(step))
        else:
            written = (
                step if _BARE_NAME.fullmatch(step) and step not in KEYWORDS else quote_string(step)
            )
        result += f".{written}" if result else written
        before = step
    return result


def path_steps(path: str) -> tuple[str, ...]:
    """The names of a path's steps, without quotes and places in lists.

    >>> path_steps("extensions.'http-request-ext'.request_header.Cookie[0]")
    ('extensions', 'http-request-ext', 'request_header', 'Cookie')
    """
    return tuple(bare or _unquote(name) for name, bare, index in _STEP.findall(path) if not index)


def _unquote(name: str) -> str:
    return re.sub(r"\\(.)", r"\1", name, flags=re.DOTALL)


def _canonical_literal(kind: str, path: str, operator: str, literal: Literal) -> Literal:
    if literal.kind != "string":
        return literal
    text = literal.text
    if operator in ("=", "!=", "IN"):
        canonicalize = field_canonicalizer(kind, path)
        return Literal("string", canonicalize(text)) if canonicalize else literal
    if operator in ("ISSUBSET", "ISSUPERSET"):
        plain = canonical_address(text)
        if operator == "ISSUBSET" and "/" in text and "/" not in plain:
            plain += "/128" if ":" in plain else "/32"  # a matcher takes only networks
        return Literal("string", plain)
    return literal


@lru_cache(maxsize=1024)
def field_canonicalizer(kind: str, path: str) -> Callable[[str], str] | None:
    """The function that makes values of a field canonical; None if every character counts."""
    referred = referred_kind(kind, path)
    if referred is not None:
        return _REFERRED_CANONICALIZERS.get(referred)
    if kind == "windows-registry-key" and _KEYS.fullmatch(path):
        return _registry_key if path == "key" else str.lower
    return canonicalizer(kind, path)


def _host_or_address(text: str) -> str:
    """Canonical form of `src_ref.value`: an address, a MAC address or a host name."""
    return canonical_address(canonical_mac(canonical_host(text)))


_REFERRED_CANONICALIZERS: dict[str, Callable[[str], str]] = {
    MAILBOX: canonical_email,
    HOST: _host_or_address,
}


def _registry_key(text: str) -> str:
    """Lower case, since Windows ignores case; the hive in capitals."""
    hive, slash, rest = canonical_registry_key(text).partition("\\")
    return hive + slash + rest.lower()


def canonical_expression(node: Node) -> Node:
    """The canonical form of a pattern, or of an operand of a qualifier or FOLLOWEDBY."""
    plain = _flatten_expression(node)
    if not isinstance(plain, Junction) or plain.word == "FOLLOWEDBY" or not _is_small(plain):
        return plain
    return _shorter_form(
        _join_products(_merge_similar(_drop_redundant(_multiply_out(plain)))), plain
    )


def canonical_brackets(node: Node) -> Node:
    """The canonical form of the content of one pair of brackets."""
    plain = _flatten_brackets(node)
    if not isinstance(plain, Junction) or not _is_small(plain):
        return plain
    least = _drop_redundant(_multiply_out(plain))
    found = _join_products(_merge_similar(least))
    clauses = _to_clauses(least)
    if clauses:
        factors = _join_clauses(clauses)
        if len(str(factors)) < len(str(found)) and _is_small(factors):
            found = factors
    return _shorter_form(found, plain)


def _shorter_form(found: Node, plain: Node) -> Node:
    """The canonical form, unless it is far longer than the plain one."""
    return found if len(str(found)) <= _MAX_GROWTH * len(str(plain)) else plain


def _flatten_expression(node: Node) -> Node:
    if isinstance(node, Observation):
        return Observation(canonical_brackets(node.test))
    if isinstance(node, Qualified):
        part = canonical_expression(node.part)
        return part if node.qualifier == "REPEATS 1 TIMES" else Qualified(part, node.qualifier)
    if not isinstance(node, Junction):
        raise TypeError(node)
    if node.word == "FOLLOWEDBY":
        return _join(node.word, _flatten(node.word, map(canonical_expression, node.parts)))
    parts = _flatten(node.word, map(_flatten_expression, node.parts))
    if node.word == "OR":
        parts = list(_unique(_merge_brackets(parts)))
    return _join(node.word, sorted(parts, key=str))  # `[a] AND [a]` is about two observations


def _merge_brackets(parts: list[Node]) -> Iterator[Node]:
    """`[a] OR [b]` is `[a OR b]`."""
    brackets = [part.test for part in parts if isinstance(part, Observation)]
    yield from (part for part in parts if not isinstance(part, Observation))
    if brackets:
        yield Observation(
            canonical_brackets(_join("OR", brackets)) if len(brackets) > 1 else brackets[0]
        )


def _flatten_brackets(node: Node) -> Node:
    if isinstance(node, Comparison):
        return canonical_comparison(node)
    if not isinstance(node, Junction):
        raise TypeError(node)
    parts = _flatten(node.word, map(_flatten_brackets, node.parts))
    merged = _unique(_merge_into_in(parts, negated=node.word == "AND"))
    return _join(node.word, sorted(merged, key=str))


def _merge_into_in(parts: Iterable[Node], *, negated: bool) -> Iterator[Node]:
    """`x = 1 OR x = 2` as IN, or `x != 1 AND x != 2` as NOT IN."""
    groups: dict[tuple[str, str, str], list[Comparison]] = {}
    for part in parts:
        place = _in_key(part, negated=negated)
        if place and isinstance(part, Comparison):
            groups.setdefault(place, []).append(part)
        else:
            yield part
    for (kind, path, _), tests in groups.items():
        yield equals_one_of(kind, path, chain(*(test.values for test in tests)), negated=negated)


def _in_key(node: Node, *, negated: bool) -> tuple[str, str, str] | None:
    """The position of a test that may be merged into IN (or NOT IN)."""
    if not isinstance(node, Comparison):
        return None
    if not negated:
        return set_key(node) if _is_equality(node) else None
    unequal = node.operator == "!=" or (node.operator == "IN" and node.negated)
    return set_key(node) if unequal and not may_yield_several(node) else None


def _is_equality(test: Comparison) -> bool:
    return test.operator in ("=", "IN") and not test.negated


def _flatten(word: str, parts: Iterable[Node]) -> list[Node]:
    flat: list[Node] = []
    for part in parts:
        same = isinstance(part, Junction) and part.word == word
        flat.extend(part.parts if same and isinstance(part, Junction) else (part,))
    return flat


def _unique(parts: Iterable[Node]) -> Iterable[Node]:
    return {str(part): part for part in parts}.values()


def _join(word: str, parts: Iterable[Node]) -> Node:
    parts = tuple(parts)
    return parts[0] if len(parts) == 1 else Junction(word, parts)


def _is_small(node: Node) -> bool:
    products, parts = _measure(node)
    return products <= MAX_PRODUCTS and parts <= MAX_PRODUCT_PARTS


def _measure(node: Node) -> tuple[int, int]:
    """Number of products, and of parts in all of them, when multiplied out."""
    if isinstance(node, Comparison):
        count = max(1, len(node.values))
        return (count, count) if _is_equality(node) else (1, count)
    if isinstance(node, Observation):
        products, parts = _measure(node.test)
        small = products <= MAX_PRODUCTS and parts <= MAX_PRODUCT_PARTS
        return (products, products) if small else (1, 1)
    if not isinstance(node, Junction) or node.word == "FOLLOWEDBY":
        return 1, 1
    products, parts = _measure(node.parts[0])
    for part in node.parts[1:]:
        more, its = _measure(part)
        if node.word == "OR":
            products, parts = products + more, parts + its
        else:
            products, parts = products * more, parts * more + its * products
        if products > MAX_PRODUCTS:
            break
    return products, parts


def _multiply_out(node: Node) -> set[Product]:
    """The node multiplied out: one of these products must hold."""
    if isinstance(node, Comparison):
        return _split_in(node)
    if isinstance(node, Observation) and _is_small(node.test):
        return {
            (Observation(_join("AND", each)),) for each in _write_products(_multiply_out(node.test))
        }
    if not isinstance(node, Junction) or node.word == "FOLLOWEDBY":
        return {(node,)}
    if node.word == "OR":
        return set().union(*map(_multiply_out, node.parts))
    once = isinstance(_first_leaf(node), Comparison)
    found: set[Product] = {()}
    for part in node.parts:
        found = {
            _merge_products(one, two, once=once) for one, two in product(found, _multiply_out(part))
        }
    return found


def _split_in(test: Comparison) -> set[Product]:
    """`x IN (1, 2)` as x = 1 or x = 2; `x NOT IN (1, 2)` as x != 1 and x != 2."""
    if test.operator != "IN" or not test.values:
        return {(test,)}
    if not test.negated:
        return {(Comparison(test.kind, test.path, "=", (each,)),) for each in test.values}
    if may_yield_several(test):
        return {(test,)}
    return {tuple(Comparison(test.kind, test.path, "!=", (each,)) for each in test.values)}


def _merge_products(one: Product, two: Product, *, once: bool) -> Product:
    parts = (*one, *two)
    return tuple(sorted(_unique(parts) if once else parts, key=str))


def _first_leaf(node: Node) -> Node:
    while isinstance(node, Junction):
        node = node.parts[0]
    return node


def _write_products(products: Iterable[Product]) -> Iterator[Product]:
    """Write the comparisons of each product in canonical form: `x != 1 AND x != 2` as NOT IN."""
    for each in products:
        yield tuple(sorted(_merge_into_in(each, negated=True), key=str))


def _drop_redundant(products: set[Product]) -> list[Product]:
    """Drop each product that implies another one; the rest in a fixed order."""
    needs = {part: _required_comparisons(part) for part in set(chain(*products))}
    weighed = [
        (each, frozenset[Node]().union(*(needs[part] for part in each))) for each in products
    ]
    weights = {each: sum(len(needs[part]) for part in each) for each, _ in weighed}
    weighed.sort(
        key=lambda pair: (len(pair[0]), weights[pair[0]], _sort_key(pair[0]))
    )  # least first
    kept: list[tuple[Product, frozenset[Node]]] = []
    for each, its in weighed:
        if not any(their <= its and _is_implied(other, each, needs) for other, their in kept):
            kept.append((each, its))
    return sorted((each for each, _ in kept), key=_sort_key)


def _sort_key(each: Product) -> list[str]:
    return [str(part) for part in each]


def _required_comparisons(part: Node) -> frozenset[Node]:
    """The single comparisons that must all hold; the part itself if they are not known."""
    if isinstance(part, Observation) and _measure(part.test)[0] == 1:
        return frozenset(next(iter(_multiply_out(part.test))))
    return frozenset((part,))


def _is_implied(other: Product, each: Product, needs: dict[Node, frozenset[Node]]) -> bool:
    """True if `other` follows from `each`, whose comparisons include all that `other` needs."""
    if isinstance(other[0], Comparison):
        return True
    if len(other) * len(each) <= _MAX_MATCHED:
        return _match_parts(other, each, needs)
    missing = list((Counter(other) - Counter(each)).elements())
    spare = Counter(each) - Counter(other)
    return not missing or (len(missing) == 1 and any(needs[missing[0]] <= needs[s] for s in spare))


def _match_parts(other: Product, each: Product, needs: dict[Node, frozenset[Node]]) -> bool:
    """True if each part of `other` follows from a different part of `each`."""
    taken: dict[int, int] = {}

    def place_part(at: int, tried: set[int]) -> bool:
        for place, part in enumerate(each):
            if place not in tried and needs[other[at]] <= needs[part]:
                tried.add(place)
                if place not in taken or place_part(taken[place], tried):
                    taken[place] = at
                    return True
        return False

    return all(place_part(at, set()) for at in range(len(other)))


def _merge_similar(products: list[Product]) -> list[Product]:
    """Merge products that differ in one part into one with the alternatives of that part."""
    for _ in range(_MAX_ROUNDS):
        used: set[Product] = set()
        merged: list[Product] = []
        for (_, rest), found in sorted(
            _group_similar(products).items(), key=lambda pair: -len(pair[1])
        ):
            fresh = {each: part for each, part in found.items() if each not in used}
            if len(fresh) > 1:
                used.update(fresh)
                parts = (*rest, _merge_alternatives(list(fresh.values())))
                merged.append(tuple(sorted(parts, key=str)))
        if not merged:
            break
        products = sorted(
            (*merged, *(each for each in products if each not in used)), key=_sort_key
        )
    return products


_Position = tuple[tuple[str, str, str] | None, Product]
"""Position whose values may be merged into one IN (None: a pair of brackets), and the rest."""


def _group_similar(products: list[Product]) -> dict[_Position, dict[Product, Node]]:
    """For each position: the products that have it, each with its part there."""
    groups: dict[_Position, dict[Product, Node]] = {}
    for each in products:
        for at, part in enumerate(each if len(each) <= _MAX_COMPARED else ()):
            place = _in_key(part, negated=False)
            if place or isinstance(part, Observation):
                groups.setdefault((place, each[:at] + each[at + 1 :]), {})[each] = part
    return groups


def _merge_alternatives(parts: list[Node]) -> Node:
    tests = [part for part in parts if isinstance(part, Comparison)]
    if tests:
        values = chain(*(test.values for test in tests))
        return equals_one_of(tests[0].kind, tests[0].path, values)
    inside = [part.test for part in parts if isinstance(part, Observation)]
    return Observation(canonical_brackets(Junction("OR", tuple(inside))))


def _to_clauses(least: list[Product]) -> list[frozenset[Node]]:
    """The products as an AND of alternatives; empty if there is nothing to gain.

    Products are added one by one: a clause without any of their parts gets one of them.
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


def _join_clauses(clauses: list[frozenset[Node]]) -> Node:
    written = [
        _join("OR", sorted(_merge_into_in(each, negated=False), key=str)) for each in clauses
    ]
    return _join("AND", sorted(_merge_into_in(written, negated=True), key=str))


def _join_products(products: list[Product]) -> Node:
    return _join("OR", sorted((_join("AND", each) for each in _write_products(products)), key=str))
