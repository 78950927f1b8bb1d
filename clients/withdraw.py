"""Withdraw what was shared, by sending revoked versions of it.

A revoked version needs the id under which the object was sent.  The id of an indicator from a text
or a table follows from its value, so the value or the file is enough to find it again.  If it was
sent under a new id, the local record of pushes knows that.

A revoked version says nothing but its id: whatever else STIX requires has a neutral value.  So
withdrawing a file shares none of it, even if the check kept some of it back.  Knows no network.
"""

import re
import uuid
from collections.abc import Callable, Container, Iterable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, replace

from tocsin.admission.descriptions import describe_object, find_label
from tocsin.admission.errors import Malformed
from tocsin.admission.extraction.indicators import derive_id
from tocsin.admission.merge.identity import is_observable_type
from tocsin.admission.model import StixObject, Tlp
from tocsin.admission.timestamps import stix_time
from tocsin.clients.check import Preview, read_unexamined
from tocsin.clients.input_files import InputFile
from tocsin.clients.push_record import MAX_LABEL, SentVersion
from tocsin.clients.results import ObjectResult

_ID = re.compile(r"([a-z][a-z0-9-]*)--[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
_NAME = "withdrawn"
_PATTERN = "[domain-name:value = 'withdrawn.invalid']"
"""Matches nothing: RFC 6761 reserves `.invalid`."""
_SOMEBODY = f"identity--{uuid.UUID('b5b1e0f6-27ad-4c1c-8f5f-6f8c1d5e7a10')}"
"""The id of an object that does not exist, where STIX requires a reference."""
_ADDRESS = "ipv4-addr--e1f5bfd8-5ba5-5dbb-a49d-6e3b8f0ad1a7"
"""The same where it must be an observable."""
_NOW = object()
_REQUIRED: Mapping[str, Mapping[str, object]] = {
    **dict.fromkeys(
        (
            *("attack-pattern", "campaign", "course-of-action", "identity", "incident"),
            *("infrastructure", "intrusion-set", "threat-actor", "tool", "vulnerability"),
        ),
        {"name": _NAME},
    ),
    "extension-definition": {
        **{"name": _NAME, "schema": _NAME, "version": "0.0.0"},
        "extension_types": ["property-extension"],
    },
    "grouping": {"context": "unspecified", "object_refs": [_SOMEBODY]},
    "indicator": {"pattern": _PATTERN, "pattern_type": "stix", "valid_from": _NOW},
    "language-content": {"object_ref": _SOMEBODY, "contents": {"en": {"name": _NAME}}},
    "location": {"region": "world"},
    "malware": {"is_family": False},
    "malware-analysis": {"product": _NAME, "result": "unknown"},
    "note": {"content": _NAME, "object_refs": [_SOMEBODY]},
    "observed-data": {
        **{"first_observed": _NOW, "last_observed": _NOW, "number_observed": 1},
        "object_refs": [_ADDRESS],
    },
    "opinion": {"opinion": "neutral", "object_refs": [_SOMEBODY]},
    "relationship": {
        **{"relationship_type": "related-to", "source_ref": _SOMEBODY, "target_ref": _SOMEBODY},
    },
    "report": {"name": _NAME, "published": _NOW, "object_refs": [_SOMEBODY]},
    "sighting": {"sighting_of_ref": _SOMEBODY},
}
"""Neutral values of the properties, other than the common ones, that each STIX type requires."""
_NEVER_REVOKED = ("marking-definition", "bundle")
"""Types without the property `revoked`; observables have none either."""
_SHARED_BY_FILES = ("identity", "extension-definition")
"""Objects that other files are likely to use too; only an id on the command line names them."""
OUTCOMES = {"admitted": "withdrawn", "duplicate": "absent"}
"""From the verdict on a revoked version to what it means here."""

VERDICTS = ("withdrawn", "absent", "held", "refused", "pending", "unsent")
"""The outcomes, in the order in which they are counted.

`withdrawn`: nothing of the sender is published under the id any more.  `absent`: nothing was.
"""


@dataclass(frozen=True, slots=True)
class Target:
    """An object to be withdrawn."""

    id: str
    """The sender's own id for it."""
    label: str = ""
    """Its pattern, value or name, for people; empty if only the id is known."""
    file: str = ""
    """The file that it was found in, as the user named it; empty: the command line."""


def resolve_name(name: str, now: int) -> list[Target]:
    """The objects that an argument names: by an id, or by a value in any spelling.

    `now` in µs since 1970 UTC.  Raises Malformed if it is neither.
    """
    if match := _ID.fullmatch(name.strip().lower()):
        return [Target(match[0])]
    found = list_targets(read_unexamined(InputFile("values.txt", name.encode()), now, Tlp.AMBER))
    if not found:
        raise Malformed(
            f"{ascii(name)} is neither a domain, address, URL, e-mail address or hash nor the id "
            "of an object"
        )
    return [replace(each, file="") for each in found]


def resolve_revocable(name: str, now: int) -> list[Target]:
    """The objects that an argument names and that can be withdrawn; see `resolve_name`.

    Raises Malformed also for the id of an object of which STIX has no revocation.
    """
    try:
        found = resolve_name(name, now)
    except Malformed as error:
        raise Malformed(f"{error}; give the file that was sent with --file") from error
    for each in found:
        kind = each.id.partition("--")[0]
        if _is_never_revoked(kind):
            raise Malformed(
                f"{name}: STIX has no revocation of {kind} objects; ask the operator of the hub to "
                "withdraw it"
            )
    return found


def list_targets(preview: Preview) -> list[Target]:
    """The objects of a file that can be withdrawn; those that other files may share are not."""
    targets = []
    for candidate in preview.candidates:
        subject = candidate.object or {}
        match = _ID.fullmatch(str(subject.get("id")))
        if match and not _is_never_revoked(match[1]) and match[1] not in _SHARED_BY_FILES:
            targets.append(Target(match[0], find_label(subject), preview.file))
    return targets


def count_observables(preview: Preview) -> int:
    """The number of observables in a file; STIX has no revocation of them."""
    return sum(is_observable_type(str((c.object or {}).get("type"))) for c in preview.candidates)


def list_derived_labels(targets: Iterable[Target]) -> set[str]:
    """The labels of the targets whose ids follow from their values; they may have other ids too."""
    return {each.label for each in targets if each.id == derive_id(each.label)}


def add_other_ids(
    targets: Iterable[Target], ids_by_label: Mapping[str, Iterable[str]]
) -> Iterator[Target]:
    """The targets, each followed by those for other ids of the same value."""
    for target in targets:
        yield target
        if target.id == derive_id(target.label):
            for id in sorted(ids_by_label.get(target.label, ())):
                yield replace(target, id=id)


def has_value(pattern: str, label: str) -> bool:
    """True if a pattern has further values beside that of `label`, a pattern of one value."""
    path, _, value = label[1:-1].partition(" = ")
    return pattern != label and bool(value) and path in pattern and value in pattern


def find_current(
    sent: Sequence[SentVersion], ask_outcome: Callable[[SentVersion], str]
) -> SentVersion:
    """The version that counts at a hub, of those that were sent under one id, the last one first.

    That is the one with the latest `modified`, whatever was sent last, unless the hub refused it:
    then the one before stays published.  One that the hub has not decided about, for instance
    because a reviewer looks at it, counts too: it will take the place of its `former`.
    `ask_outcome` gives that of the hub's status; it is asked only if it makes a difference.
    """
    left, waiting = list(_sort_versions(sent)), None
    while waiting or len({each.label for each in left}) > 1:
        outcome = ask_outcome(left[0]) if left else ""
        if not left or outcome not in ("failure", "pending"):
            break
        waiting = waiting or (left[0] if outcome == "pending" else None)
        del left[0]
    if waiting:
        return replace(waiting, former=left[0].label if left else "")
    return left[0]


def _sort_versions(sent: Sequence[SentVersion]) -> Iterator[SentVersion]:
    """The versions by their `modified`, the latest first; of equal ones the last one sent."""
    left = list(sent)
    while left:
        newest = left[0]
        for each in left:
            newest = each if newest.is_older(each) else newest
        yield newest
        left.remove(newest)


def drop_replaced(targets: Iterable[Target], last: Mapping[str, SentVersion]) -> list[Target]:
    """The targets without named values whose id has another value now; that is to stay."""
    return [
        each
        for each in targets
        if each.file
        or not each.label
        or each.id not in last
        or _is_same(each.label, last[each.id].label)
    ]


def explain_others(
    labels: Iterable[str], last: Mapping[str, SentVersion], former: Mapping[str, Iterable[str]]
) -> Iterator[tuple[str, str]]:
    """Sentences about values that are not withdrawn though this computer sent them.

    Each with the label of the value.  `former`: the ids under which each was sent, by label.
    """
    for label in sorted(labels):
        value, _ = describe_object({}, label)
        for id, now in sorted(last.items()):
            if now.is_withdrawn or _is_same(label, now.label):
                continue
            if has_value(now.label, label):
                yield (
                    label,
                    f"{value} is one of several values of {now.label}, which is withdrawn as a "
                    f"whole; to take it back, withdraw {id}",
                )
            elif id in former.get(label, ()):
                yield label, _explain_replacement(value, id, now, _is_same(label, now.former))


def _explain_replacement(value: str, id: str, now: SentVersion, is_published: bool) -> str:
    other, kind = describe_object({}, now.label)
    named = other if kind else id
    if is_published:
        return (
            f"{value} stays published until the hub has decided about {other}, which is to replace "
            f"it under the same id ({id}); withdraw {named} to take back both"
        )
    return (
        f"{value} was replaced by {other} under the same id ({id}); withdraw {named} to take it "
        "back"
    )


def _is_same(label: str, recorded: str) -> bool:
    """True if a label is one of the record of pushes, apart from spaces."""
    return "".join(label[:MAX_LABEL].split()) == "".join(recorded.split())


def prepare_withdrawal(targets: Iterable[Target], now: int) -> Iterator[ObjectResult]:
    """A result with the revoked version for each target, ready to be sent; each id once."""
    unique = {each.id: each for each in reversed(list(targets))}
    for index, target in enumerate(reversed(unique.values())):
        yield ObjectResult(
            file=target.file,
            index=index,
            source_id=target.id,
            verdict="ready",
            findings=(),
            object=revoked_version(target.id, now),
            label=target.label,
        )


def revoked_version(id: str, now: int) -> StixObject:
    """A version of the object that revokes it and says nothing else; `now` in µs since 1970 UTC."""
    kind, time = id.partition("--")[0], stix_time(now)
    required = {
        name: time if value is _NOW else value for name, value in _REQUIRED.get(kind, {}).items()
    }
    common = {"type": kind, "spec_version": "2.1", "id": id, "created": time, "modified": time}
    return {**common, "revoked": True, **required}


def count_absent(results: Iterable[ObjectResult], explained: Set[str] = frozenset()) -> int:
    """The number of values of which nothing was published under any of their ids.

    Without those whose labels are `explained`.
    """
    absent: set[str] = set()
    found: set[str] = set()
    for each in results:
        (absent if each.verdict == "absent" else found).add(each.label)
    return len(absent - found - {""} - explained)


def count_unknown(results: Iterable[ObjectResult], sent: Container[str | None]) -> int:
    """The number of values, and ids without one, that were sent under none of their ids."""
    results = list(results)
    named = {each.label or each.source_id for each in results}
    return len(named - {each.label or each.source_id for each in results if each.source_id in sent})


def read_outcome(result: ObjectResult) -> ObjectResult:
    """The result of a push of a revoked version, with a verdict of this module."""
    return replace(result, verdict=OUTCOMES.get(result.verdict, result.verdict))


def _is_never_revoked(kind: str) -> bool:
    return kind in _NEVER_REVOKED or is_observable_type(kind)
