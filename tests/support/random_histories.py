"""Random histories for two worlds: everybody reports the same few values, in many ways.

Of the posts of partners other than the observer some are hidden, and some are seen in part: they
have objects at GREEN with parts at AMBER, or with objects at AMBER beside them.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from random import Random
from typing import Any

from hypothesis import strategies as st
from support.clock import sighting
from support.hub import Object, indicator, relationship, sdo
from support.statement_marking import STATEMENT
from support.strict_parts import STRICT
from support.two_worlds import (
    CHANGES,
    EXCLUDES,
    FEED_IS_ADDED,
    JOINS,
    LEVEL_CHANGES,
    RELEASES,
    SPACE,
    START,
    STRICT_ENDS,
    VALUES,
    WATCH,
    Act,
    World,
    guessed_ids,
    say_in_part,
    source_id,
)

from tocsin.admission.errors import NotFound
from tocsin.admission.markings.granular import format_selector
from tocsin.admission.markings.tlp import TLP_2_IDS
from tocsin.admission.merge.identity import definition_key, indicator_key, public_id
from tocsin.admission.model import Path, Tlp
from tocsin.admission.stix.references import referenced_ids
from tocsin.admission.timestamps import DAY, HOUR, stix_time
from tocsin.server.partners.partner_data import PartnerData

SEEN_IDS = (4, 5)
HIDDEN_IDS = (1, 2, 3)
"""Numbers of own ids: a partner that moves an object to another level does what is seen."""
EVERY_ID = (*HIDDEN_IDS, *SEEN_IDS)
KINDS = (
    *("indicator", "indicator", "indicator", "domain-name", "malware", "sighting", "relationship"),
    *("grouping", "note", "opinion", "language-content", "marking-definition", "file"),
)
LEVELS = (Tlp.GREEN, Tlp.AMBER)
_VALUES = (*VALUES, *VALUES[:1] * 3)
_TEXTS = (*[""] * 3, "seen by Mr John Smith of quiet.example", "the gateway of acme.example", "new")
_STATEMENTS = ("Copyright of somebody", "Copyright of somebody else")
_URLS = ("https://one.example/report", "https://two.example/report")
"""Reports that everybody may cite."""


def _version(number: int) -> str:
    return stix_time(START - DAY + number * 1_000_000)


def _definition_id(level: Tlp, text: str) -> str:
    content = {**STATEMENT, "definition": {"statement": text}}
    key = definition_key([(level, content)], level.label, "")
    return public_id("marking-definition", key, SPACE)


_STRICT_IDS = frozenset(
    public_id("indicator", f"{indicator_key('stix', pattern, Tlp.AMBER.label)}{end}", SPACE)
    for pattern in (f"[domain-name:value = '{value}']" for value in VALUES)
    for end in ("", "#1")
)
"""Public ids of indicators on the values at a stricter level."""


@dataclass(frozen=True)
class Author:
    """A partner that composes objects, and the bounds within which it does."""

    dice: Random
    numbers: Sequence[int]
    """Numbers of its own ids."""
    kinds: Sequence[str] = KINDS
    targets: Sequence[int] = ()
    """Numbers of own ids to which its objects refer; empty: the same."""
    strict: bool = True
    """It may refer to public ids of stricter indicators: a partner that can read them, and does
    so from what others read, says itself that they exist (docs/threat-model.md)."""
    marks_parts: bool = False
    """It marks parts of its objects more strictly."""
    is_observer: bool = False
    """It sees everything in its own objects, so it may mark any part."""
    hidden_targets: Sequence[int] = ()
    """Numbers of own ids to which stricter parts of its objects refer, and some others; or none."""

    def happens(self, one_in: int) -> bool:
        """True in one case of this number, at random."""
        return self.dice.randrange(one_in) == 0

    def report(self, level: Tlp) -> Object:
        """One object at a level, under ids and on values that others use too."""
        kind = self.dice.choice(self.kinds)
        return self.report_under(source_id(kind, self.dice.choice(self.numbers)), level)

    def report_under(self, id_: str, level: Tlp) -> Object:
        """One object under an id: often one that says the same as another, but for its parts."""
        source = replace(self, dice=Random(f"{id_} {self.dice.randrange(3)}"))
        common: Object = {
            "id": id_,
            "modified": _version(self.dice.randrange(4)),
            "created": _version(0),
            "object_marking_refs": [TLP_2_IDS[level]],
        }
        if self.happens(8):
            common["revoked"] = True
        if self.happens(30):
            common["object_marking_refs"].append(self._definition(level))
        sent = _BUILDERS[id_.split("--")[0]](source, common)
        if not self.marks_parts:
            return sent
        return _mark_parts(self if self.happens(3) else source, sent, self.dice)

    def describe(self) -> Object:
        """A description, or none."""
        text = self.dice.choice(_TEXTS)
        return {"description": text} if text else {}

    def target(self) -> str:
        """An id of its own or of others, public or private, seen or guessed."""
        numbers = self.targets or self.numbers
        own = [source_id("indicator", self.dice.choice(numbers))] * 5
        own.append(source_id("malware", self.dice.choice(numbers)))
        public = [each for each in guessed_ids()[:-1] if self.strict or each not in _STRICT_IDS]
        return self.dice.choice([*own, *public, *public[:1] * 3])

    def members(self) -> list[str]:
        """Up to three different ids."""
        return list(dict.fromkeys(self.target() for _ in range(self.dice.randint(1, 3))))

    def _definition(self, level: Tlp) -> str:
        own = source_id("marking-definition", self.dice.choice(self.numbers))
        known = [_definition_id(at, text) for at in (Tlp.GREEN, level) for text in _STATEMENTS]
        return self.dice.choice([own, *known])


def _indicator(author: Author, common: Object) -> Object:
    dice = author.dice
    urls = dice.sample(_URLS, dice.randint(1, 2))
    further: Object = {
        "name": dice.choice(("one", "two")),
        "valid_from": _version(dice.randrange(3)),
        "labels": dice.sample(("a", "b", "c"), dice.randint(1, 3)),
        "indicator_types": dice.choice((["anonymization"], ["benign", "compromised"])),
        "kill_chain_phases": [{"kill_chain_name": "mitre-attack", "phase_name": "discovery"}],
        "external_references": [{"source_name": "report", "url": each} for each in urls],
        "x_note": {"inner": "text", "other": ["text", "more"]},
        "confidence": dice.choice((60, 90)),
        "valid_until": stix_time(START + dice.randint(1, 4) * HOUR),
    }
    more = {name: value for name, value in further.items() if author.happens(3)}
    return indicator(dice.choice(_VALUES), **{**common, **author.describe(), **more})


def _domain(author: Author, common: Object) -> Object:
    names = ("id", "object_marking_refs", "revoked")
    kept = {name: common[name] for name in names if name in common}
    more = {"defanged": True} if author.happens(2) else {}
    value = {"value": author.dice.choice(_VALUES)}
    return {"type": "domain-name", "spec_version": "2.1", **kept, **value, **more}


def _file(author: Author, common: Object) -> Object:
    names = ("id", "object_marking_refs", "revoked")
    kept = {name: common[name] for name in names if name in common}
    more = {"defanged": True} if author.happens(2) else {}
    value = {"hashes": {"MD5": f"{author.dice.randrange(2)}" * 32}}
    return {"type": "file", "spec_version": "2.1", **kept, **value, **more}


def _malware(author: Author, common: Object) -> Object:
    more = {"labels": ["a", "b"]} if author.happens(2) else {}
    return sdo("malware", name="m", is_family=True, **common, **author.describe(), **more)


def _sighting(author: Author, common: Object) -> Object:
    more = {"count": author.dice.choice((0, 1))} if author.happens(2) else {}
    target = next(each for each in iter(author.target, "") if not each.startswith("domain-name"))
    return sighting({"id": target}, **common, **author.describe(), **more)


def _relationship(author: Author, common: Object) -> Object:
    malware = {"id": source_id("malware", author.dice.choice(author.targets or author.numbers))}
    more = {**common, **author.describe()}
    return relationship({"id": author.target()}, "indicates", malware, **more)


def _grouping(author: Author, common: Object) -> Object:
    more: Object = {"context": "malware-analysis", "object_refs": author.members()}
    return sdo("grouping", **more, **common, **author.describe())


def _note(author: Author, common: Object) -> Object:
    more: Object = {"abstract": "short", "object_refs": author.members()}
    return sdo("note", content=author.dice.choice(("one", "two")), **more, **common)


def _opinion(author: Author, common: Object) -> Object:
    more: Object = {"explanation": "why"} if author.happens(2) else {}
    word = author.dice.choice(("strongly-disagree", "agree"))
    return sdo("opinion", opinion=word, object_refs=author.members(), **more, **common)


def _translation(author: Author, common: Object) -> Object:
    names = author.dice.choice((["name"], ["description"], ["name", "description"]))
    contents: Object = {"de": dict.fromkeys(names, author.dice.choice(("Text", "Neues")))}
    if author.happens(2):
        contents["fr"] = {"name": "texte"}
    more: Object = {"object_ref": author.target(), "contents": contents}
    if author.strict and author.happens(3):
        more["object_modified"] = _version(author.dice.randrange(4))
    return sdo("language-content", **more, **common)


def _definition(author: Author, common: Object) -> Object:
    """Without a level, now and then."""
    more = {} if author.happens(4) else {"object_marking_refs": common["object_marking_refs"][:1]}
    text = {"definition": {"statement": author.dice.choice(_STATEMENTS)}}
    return {**STATEMENT, "id": common["id"], **text, **more}


_BUILDERS: dict[str, Callable[[Author, Object], Object]] = {
    "indicator": _indicator,
    "domain-name": _domain,
    "file": _file,
    "malware": _malware,
    "sighting": _sighting,
    "relationship": _relationship,
    "grouping": _grouping,
    "note": _note,
    "opinion": _opinion,
    "language-content": _translation,
    "marking-definition": _definition,
}

_WHOLE = ("type", "id", "spec_version", "created", "modified", "object_marking_refs", "revoked")
"""Properties without which an object is another one."""
_OPTIONAL = (
    *("description", "labels", "external_references", "x_note", "confidence", "valid_until"),
    *("indicator_types", "kill_chain_phases", "count", "defanged", "abstract", "explanation"),
)
_SPLIT = ("labels", "external_references", "x_note", "indicator_types", "object_refs")
"""Properties that can be marked in part."""


def _paths(subject: Object, *, needed: bool) -> list[Path]:
    """Parts that can be marked; `needed`: also those without which it would not be valid."""
    names = [each for each in subject if each in _OPTIONAL or (needed and each not in _WHOLE)]
    inner = [path for name in _SPLIT if name in subject for path in _below((name,), subject[name])]
    if not needed:  # the first member stays, and so does the name of a source
        kept = ("source_name", "name")
        inner = [path for path in inner if path != ("object_refs", 0) and path[-1] not in kept]
    else:
        inner += _text_paths(subject, ("name", "description"))
    return [*((name,) for name in names), *inner]


def _below(path: Path, value: Any) -> Iterator[Path]:
    steps: Iterable[tuple[str | int, Any]] = ()
    if isinstance(value, dict):
        steps = value.items()
    elif isinstance(value, list):
        steps = enumerate(value)
    for step, inner in steps:
        yield (*path, step)
        yield from _below((*path, step), inner)


def _text_paths(subject: Object, names: Sequence[str]) -> list[Path]:
    """The texts of a translation of these properties."""
    languages = subject.get("contents", {}).items()
    return [("contents", at, name) for at, texts in languages for name in names if name in texts]


def _mark_parts(author: Author, sent: Object, dice: Random) -> Object:
    """The object, perhaps with parts that are marked more strictly, or in another language.

    A description that is marked more strictly is new now and then.  All but the observer mark its
    translation as strictly as it may be: the hub would do so.
    """
    sent, markings = _with_hidden_references(author, sent)
    if not author.is_observer and (hidden := _text_paths(sent, ("description",))):
        texts = {at: {**each, "name": "Name"} for at, each in sent["contents"].items()}
        sent = {**sent, "contents": texts}  # something is left
        markings.append(_mark(Tlp.AMBER, hidden))
    paths = _paths(sent, needed=author.is_observer and author.happens(4))
    while paths and author.happens(2):
        level = author.dice.choice((Tlp.AMBER, Tlp.AMBER, Tlp.AMBER_STRICT, Tlp.GREEN, None))
        some = author.dice.sample(paths, min(len(paths), author.dice.randint(1, 3)))
        markings.append(_mark(level, some))
        if level in (Tlp.AMBER, Tlp.AMBER_STRICT) and ("description",) in some:
            sent = {**sent, "description": f"{sent['description']} {dice.randrange(3)}"}
    return {**sent, "granular_markings": markings} if markings else sent


_REFERENCES = {
    "malware": {"sample_refs": "file"},
    "domain-name": {"resolves_to_refs": "domain-name"},
    "file": {"contains_refs": "domain-name"},
}
"""Lists of references that objects of a type may have, and to what."""


def _with_hidden_references(author: Author, sent: Object) -> tuple[Object, list[Object]]:
    """The object with references to hidden ids, most only for stricter parts, and their marks."""
    markings: list[Object] = []
    if not author.hidden_targets or author.happens(3):
        return sent, markings
    hidden = replace(author, targets=author.hidden_targets, strict=True)
    lists = list(_REFERENCES.get(sent["type"], {}).items())
    if "object_refs" in sent:
        lists.append(("object_refs", ""))
    if not lists:
        return sent, markings
    name, kind = author.dice.choice(lists)
    for _ in range(author.dice.randint(1, 3)):
        own = source_id(kind, author.dice.choice(author.hidden_targets))
        target = own if kind else hidden.target()
        sent = {**sent, name: [*sent.get(name, ()), target]}
        level = author.dice.choice((Tlp.AMBER, Tlp.AMBER, Tlp.AMBER_STRICT))
        if not author.happens(4):
            markings.append(_mark(level, [(name, len(sent[name]) - 1)]))
    return sent, markings


def _mark(level: Tlp | None, paths: Sequence[Path]) -> Object:
    selectors = [format_selector(path) for path in paths]
    mark = {"lang": "en"} if level is None else {"marking_ref": TLP_2_IDS[level]}
    return {**mark, "selectors": selectors}


def _compose(author: Author, report: Callable[[str | None], Object]) -> list[Object]:
    """A few objects and most of those that they refer to.

    Some are there twice, some with a definition with which they are marked.  Each version of an
    object has one content.  `report` composes one, under the id that it is given, if any.
    """
    every = [report(None) for _ in range(author.dice.randint(1, 3))]
    own = {source_id(kind, n) for kind in ("indicator", "malware") for n in author.numbers}
    needed = sorted(own & {target for each in every for target in referenced_ids(each)})
    every += [report(name) for name in needed if not author.happens(3)]
    if author.happens(4):
        every.append(author.dice.choice(every))
    if author.happens(6):
        name = source_id("marking-definition", author.dice.choice(author.numbers))
        level = TLP_2_IDS[Tlp.GREEN]
        if author.strict:
            level = every[0].get("object_marking_refs", [level])[0]
        common: Object = {"id": name, "object_marking_refs": [level]}
        definition = _definition(author, common)
        every = [definition, *(_marked_with(each, definition) for each in every)]
    return _once(every)


def _once(every: Sequence[Object]) -> list[Object]:
    """The same with one content for each version of an object."""
    known: dict[tuple[str, str], Object] = {}
    return [known.setdefault((each["id"], each.get("modified", "")), each) for each in every]


def _marked_with(sent: Object, definition: Object) -> Object:
    marks = list(sent.get("object_marking_refs", ()))
    level = definition.get("object_marking_refs") or marks
    if level[:1] != marks[:1] or sent["type"] == "marking-definition":
        return sent
    return {**sent, "object_marking_refs": [*marks, definition["id"]]}


SEEDS = st.integers(0, 2**48)


def posts(
    who: str, levels: Sequence[Tlp], hidden: bool, kinds: Sequence[str] = KINDS
) -> st.SearchStrategy[Act]:
    """A post of a few objects."""

    def post(seed: int) -> Act:
        dice = Random(seed)
        numbers = EVERY_ID if who == WATCH else HIDDEN_IDS if hidden else SEEN_IDS
        own = who == WATCH
        author = Author(
            dice, numbers, kinds, strict=hidden or own, marks_parts=own, is_observer=own
        )

        def report(name: str | None) -> Object:
            level = dice.choice(levels)
            return author.report_under(name, level) if name else author.report(level)

        sent = _compose(author, report)
        name = f"post of {who}: {json.dumps(sent)}"
        hours = dice.choice(_HOURS)
        return Act(lambda world: world.post(who, sent, hidden=hidden), name, hidden, hours)

    return st.builds(post, SEEDS)


@dataclass(frozen=True)
class _PostInPart:
    """A post of objects at GREEN with parts at AMBER, perhaps with others at AMBER among them."""

    who: str
    sent: Sequence[Object]
    hours: int

    def number(self, place: int) -> Act:
        """The act, at a place of the history: each of its objects is newer than any before.

        If older ones came after a change of parts alone, it would show by their verdicts that
        there was one (docs/threat-model.md).
        """
        newer = {"modified": _version(10 + place)}
        sent = _once(
            [
                {**each, **newer}
                if "modified" in each and STRICT.isdisjoint(each["object_marking_refs"])
                else each
                for each in self.sent
            ]
        )
        name = f"post of {self.who}: {json.dumps(sent)}"
        return say_in_part(self.who, sent, name, self.hours)


def posts_in_part(
    who: str, with_hidden: bool, kinds: Sequence[str]
) -> st.SearchStrategy[_PostInPart]:
    """See `_PostInPart`."""

    def post(seed: int) -> _PostInPart:
        dice = Random(seed)
        green = Author(
            dice, SEEN_IDS, kinds, strict=False, marks_parts=True, hidden_targets=EVERY_ID
        )
        amber = Author(dice, HIDDEN_IDS, kinds, targets=EVERY_ID)

        def report(name: str | None) -> Object:
            if with_hidden and not name and amber.happens(3):
                return amber.report(Tlp.AMBER)
            return green.report_under(name, Tlp.GREEN) if name else green.report(Tlp.GREEN)

        return _PostInPart(who, _compose(green, report), dice.choice(_HOURS))

    return st.builds(post, SEEDS)


_HOURS = (0, 0, 0, 0, 1, 2)


def withdrawals(who: str, numbers: Sequence[int], *, hidden: bool) -> st.SearchStrategy[Act]:
    """An operator withdraws something for a partner."""
    kinds = ("marking-definition", "marking-definition", "indicator", "language-content")
    names = st.builds(source_id, st.sampled_from(kinds), st.sampled_from(numbers))
    return names.map(lambda name: _withdraw(who, name, hidden=hidden))


def _withdraw(who: str, name: str, *, hidden: bool) -> Act:
    def withdraw(world: World) -> None:
        services = world.hub.services
        data = PartnerData(services.store, services.publisher, services.intake, services.lifecycle)
        with suppress(NotFound):
            data.withdraw(who, [name], "operator", "why")

    return Act(withdraw, f"withdrawal of {name} of {who}", hidden)


def histories() -> st.SearchStrategy[list[Act]]:
    """Histories in which everybody reports the same few values, and a few kinds of objects."""
    others = sorted(set(KINDS) - {"indicator"})
    few = st.lists(st.sampled_from(others), min_size=1, max_size=3, unique=True)
    focus = few.map(lambda each: ("indicator", *each, *each))
    return st.one_of(st.just(KINDS), focus, focus).flatmap(_acts)


_WAITING = ("grouping", "grouping", "note", "malware", "domain-name", "file", "indicator")
_AWAITED = ("indicator", "indicator", "indicator", "malware", "domain-name", "file")


def histories_of_waiting() -> st.SearchStrategy[list[Act]]:
    """Histories in which stricter parts refer to much that comes later, or goes."""
    amber = (Tlp.AMBER, Tlp.AMBER, Tlp.AMBER, Tlp.AMBER_STRICT)
    acts = st.one_of(
        posts(WATCH, LEVELS, False, _AWAITED),
        posts_in_part("acme", False, _WAITING),
        posts_in_part("acme", True, _WAITING),
        posts_in_part("acme", False, _AWAITED),
        posts_in_part("open", False, _AWAITED),
        posts("acme", amber, True, _AWAITED),
        posts("acme", amber, True, _AWAITED),
        posts("acme", amber, True, _AWAITED),
        posts("north", amber, True, _AWAITED),
        st.one_of(
            st.sampled_from((JOINS, RELEASES, LEVEL_CHANGES, STRICT_ENDS)),
            withdrawals("acme", HIDDEN_IDS, hidden=True),
            withdrawals("acme", SEEN_IDS, hidden=False),
        ),
    )
    return _numbered(acts)


def _acts(kinds: Sequence[str]) -> st.SearchStrategy[list[Act]]:
    amber = (Tlp.AMBER, Tlp.AMBER, Tlp.AMBER_STRICT)
    acts = st.one_of(
        posts(WATCH, LEVELS, False, kinds),
        posts(WATCH, LEVELS, False, kinds),
        posts_in_part("acme", True, kinds),
        posts_in_part("acme", True, kinds),
        posts_in_part("open", False, kinds),
        posts("acme", amber, True, kinds),
        posts("north", amber, True, kinds),
        posts("north", amber, True, kinds),
        st.one_of(
            st.sampled_from(
                (JOINS, CHANGES, FEED_IS_ADDED, RELEASES, EXCLUDES, LEVEL_CHANGES, STRICT_ENDS)
            ),
            withdrawals("north", HIDDEN_IDS, hidden=True),
            withdrawals("acme", HIDDEN_IDS, hidden=True),
            withdrawals("open", SEEN_IDS, hidden=False),
            withdrawals(WATCH, EVERY_ID, hidden=False),
        ),
    )
    return _numbered(acts)


def _numbered(acts: st.SearchStrategy[Act | _PostInPart]) -> st.SearchStrategy[list[Act]]:
    return st.lists(acts, min_size=6, max_size=12).map(
        lambda every: [
            each.number(place) if isinstance(each, _PostInPart) else each
            for place, each in enumerate(every)
        ]
    )
