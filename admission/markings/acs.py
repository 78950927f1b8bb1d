"""Access control markings of the United States government (ACS 3.0a), read and enforced.

Here it is decided whether the hub may share what carries a definition, from the groups that all
its readers belong to: anything not shown to be permitted is not permitted.  A definition is
enforced as its sender wrote it.  It is published without the parts that identify the sender:
restrictions are the sender's; identifier, dates, custodian and originator are the hub's.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterator, Mapping
from typing import Any

from tocsin.admission.errors import Malformed
from tocsin.admission.lazy_patterns import compile_lazily
from tocsin.admission.model import StixObject, Tlp
from tocsin.admission.timestamps import micros

ACS_EXTENSION = "extension-definition--3a65884d-005a-4290-8335-cb2d778a83ce"
"""The extension definition of ACS 3.0a: a marking definition with it is one of ACS."""

Check = Callable[[Any, str], Iterator[str]]
"""Yields the errors of a value; the second argument is its path in messages."""

_ALLOWED_PROPERTIES = frozenset(
    (
        *("type", "spec_version", "id", "created", "created_by_ref", "name", "extensions"),
        "object_marking_refs",
    )
)
"""Properties that a definition may have."""
_RESTRICTIONS = (
    *("extension_type", "policy_reference", "control_set", "access_privilege", "further_sharing"),
    "resource_disposition",
)
"""Properties of a marking that bind its readers; they are published as they were sent."""
_PUBLIC_AUTHORITIES = ("urn:isa:authority:misa", "urn:isa:authority:ais")
"""Authorities that many cite; any other may tell who sent the marking."""
_IDENTIFIER_OF_HUB = "isa:guide.{}.ACS3-"
_PRODUCTION, _TEST = "19001", "999191"
_UNPUBLISHED = "00000000-0000-0000-0000-000000000000"
_NEVER = "1970-01-01T00:00:00.000Z"
ORGANISATION = compile_lazily(r"[A-Z0-9]+\.[A-Z0-9]+(?:\.[A-Z0-9][A-Z0-9-]+)?")
_GROUPS = ("CDC", "CIKR", "DIB", "FIN", "ISAC", "NONFED", "PRIVATESECTOR")
_IDENTIFIER = compile_lazily(
    r"isa:guide\.\d+\.ACS3-[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.I
)
_AUTHORITY = compile_lazily(r"urn:isa:authority:\w+", re.ASCII)
_DEFAULTS = r"urn:isa:policy:acs:ns:v3\.0\?privdefault=(permit|deny)&sharedefault=(permit|deny)"
_POLICY = compile_lazily(rf"(?:{_DEFAULTS}\s?)+")
_VIEW_PRIVILEGES = frozenset(("ALL", "DSPLY", "CISAUSES"))
"""Privileges that a reader needs in order to see the object."""
_READER_LIMITS = {
    "permitted_nationalities": "nationalities",
    "shareability": "shareability",
    "entity": "kinds of entity",
    "sensitivity": "a sensitivity",
    "sci_controls": "controls of classified information",
    "logical_authority_category": "an authority category",
}
"""Tags of the control set that need more knowledge of readers than a hub has."""


def _require(test: Callable[[Any], bool], wanted: str) -> Check:
    def check(value: Any, place: str) -> Iterator[str]:
        if not test(value):
            yield f"{place} must be {wanted}"

    return check


def _one_of(*words: str) -> Check:
    return _require(lambda value: isinstance(value, str) and value in words, " or ".join(words))


def _matching(form: re.Pattern[str], wanted: str) -> Check:
    return _require(lambda value: isinstance(value, str) and bool(form.fullmatch(value)), wanted)


def _list_of(check: Check) -> Check:
    """A non-empty list of items that pass the check."""

    def check_list(value: Any, place: str) -> Iterator[str]:
        if not isinstance(value, list) or not value:
            yield f"{place} must be a list of at least one"
            return
        for at, item in enumerate(value):
            yield from check(item, f"{place}[{at}]")

    return check_list


def _object_of(optional: Mapping[str, Check], **required: Check) -> Check:
    """An object with these properties and no others."""
    known = {**optional, **required}

    def check(value: Any, place: str) -> Iterator[str]:
        if not isinstance(value, dict):
            yield f"{place} must be an object"
            return
        yield from (f"{place} lacks {name}" for name in required if name not in value)
        yield from (f"{place} has an unknown property" for name in value if name not in known)
        for name in known.keys() & value.keys():
            yield from known[name](value[name], f"{place}.{name}")

    return check


def _is_time(value: Any) -> bool:
    try:
        micros(value)
    except (Malformed, TypeError):
        return False
    return True


_text = _require(lambda value: isinstance(value, str), "text")
_number = _require(lambda value: type(value) is int, "a whole number")
_time = _require(lambda value: isinstance(value, str) and _is_time(value), "a timestamp")
_custodian = _matching(ORGANISATION, "an organisation such as USA.DHS")
_organisation = _require(
    lambda value: (
        isinstance(value, str) and (value in _GROUPS or ORGANISATION.fullmatch(value) is not None)
    ),
    "an organisation such as USA.DHS, or a group of them",
)
_effect = _one_of("permit", "deny")
_determination = _one_of(
    *("PUBREL", "NF", "AIS", "PII-NECESSARY-TO-UNDERSTAND-THREAT", "NO-PII-PRESENT", "FOUO"),
    "INFORMATION-DIRECTLY-RELATED-TO-CYBERSECURITY-THREAT",
)
_control_set = _object_of(
    {
        "formal_determination": _list_of(_determination),
        "caveat": _list_of(_one_of("FISA", "POSSIBLEPII", "CISAPROPRIETARY")),
        "sensitivity": _list_of(
            _one_of("NTOC_DHS_ECYBER_SVC_SHARE.NSA.NSA", "PCII", "LES", "INT", "PII", "PR", "TEI")
        ),
        "shareability": _list_of(_one_of("NCC", "EM", "LE", "IC")),
        "entity": _list_of(_one_of("MIL", "GOV", "CTR", "SVR", "SVC", "DEV", "NET")),
        "permitted_nationalities": _list_of(_text),
        "permitted_organizations": _list_of(_organisation),
        "sci_controls": _list_of(_text),
        "logical_authority_category": _list_of(_text),
    },
    classification=_one_of("U", "C", "S", "TS"),
)
_scope = _object_of(
    {
        name: _list_of(_text)
        for name in ("permitted_nationalities", "permitted_organizations", "shareability", "entity")
    }
)
_action = _one_of(
    *("DSPLY", "IDSRC", "TENOT", "NETDEF", "LEGAL", "INTEL", "TEARLINE", "OPACTION"),
    *("REQUEST", "ANONYMOUSACCESS", "CISAUSES", "ALL"),
)
_classified = {"classified_on": _time}
_SHAPE = _object_of(
    {
        "name": _text,
        "responsible_entity_originator": _organisation,
        "authority_reference": _list_of(_matching(_AUTHORITY, "urn:isa:authority: and a word")),
        "access_privilege": _list_of(
            _object_of({}, privilege_action=_action, privilege_scope=_scope, rule_effect=_effect)
        ),
        "further_sharing": _list_of(
            _object_of(
                {},
                sharing_scope=_list_of(
                    _require(
                        lambda value: (
                            value in ("FOREIGNGOV", "SECTOR") or not any(_organisation(value, ""))
                        ),
                        "an organisation, FOREIGNGOV or SECTOR",
                    )
                ),
                rule_effect=_effect,
            )
        ),
        "public_release": _object_of({"released_on": _time}, released_by=_text),
        "original_classification": _object_of(
            {**_classified, "classification_reason": _text, "compilation_reason": _text},
            classified_by=_text,
        ),
        "derivative_classification": _object_of(
            _classified, classified_by=_text, derived_from=_text
        ),
        "declassification": _object_of(
            {
                "declass_exemption": _text,
                "declass_period": _number,
                "declass_date": _time,
                "declass_event": _text,
            }
        ),
        "resource_disposition": _object_of({}, disposition_date=_time, disposition_process=_text),
    },
    extension_type=_one_of("property-extension"),
    identifier=_matching(_IDENTIFIER, "isa:guide.19001.ACS3- and a UUID"),
    create_date_time=_time,
    responsible_entity_custodian=_custodian,
    policy_reference=_matching(_POLICY, "urn:isa:policy:acs:ns:v3.0 with both defaults"),
    control_set=_control_set,
)


def is_acs(subject: StixObject | None) -> bool:
    """True for a marking definition of ACS."""
    if subject is None or subject.get("type") != "marking-definition":
        return False
    extensions = subject.get("extensions")
    return isinstance(extensions, dict) and ACS_EXTENSION in extensions


def is_classified(definition: StixObject) -> bool:
    """True if its classification is anything but U (unclassified)."""
    control = _as_dict(_as_dict(definition["extensions"][ACS_EXTENSION]).get("control_set"))
    return bool(control.get("classification", "U") != "U")


def anonymise_definition(definition: StixObject, custodian: str) -> StixObject:
    """The content of a definition without the parts that identify its maker.

    The hub is its custodian.

    Idempotent.  `complete_definition` adds what follows from the public id.
    """
    sent = _as_dict(definition["extensions"][ACS_EXTENSION])
    prefix = _IDENTIFIER_OF_HUB.format(_TEST).lower()  # as `_IDENTIFIER`, in any case
    test = str(sent.get("identifier")).lower().startswith(prefix)
    marking = {name: sent[name] for name in _RESTRICTIONS if name in sent}
    marking |= {
        "identifier": _IDENTIFIER_OF_HUB.format(_TEST if test else _PRODUCTION) + _UNPUBLISHED,
        "create_date_time": _NEVER,
        "responsible_entity_custodian": custodian,
        "responsible_entity_originator": custodian,
    }
    cited = sent.get("authority_reference")
    if known := [each for each in _PUBLIC_AUTHORITIES if isinstance(cited, list) and each in cited]:
        marking["authority_reference"] = known
    if "public_release" in sent:
        marking["public_release"] = {"released_by": custodian}
    return {
        "type": "marking-definition",
        "spec_version": "2.1",
        "extensions": {ACS_EXTENSION: marking},
    }


def complete_definition(definition: StixObject) -> StixObject:
    """A definition with its public id and date: the hub's identifier and date follow from them."""
    marking = _as_dict(definition["extensions"][ACS_EXTENSION])
    guide, _, number = str(marking.get("identifier", "")).partition("ACS3-")
    if number != _UNPUBLISHED:
        return definition  # its author agreed to be named
    _, _, own = str(definition["id"]).partition("--")
    public = {"identifier": f"{guide}ACS3-{own}", "create_date_time": definition["created"]}
    return {**definition, "extensions": {ACS_EXTENSION: marking | public}}


def find_errors(definition: StixObject) -> tuple[str, ...]:
    """The schema errors of a definition, in words."""
    found = [
        f"{name[:40]} is not allowed in it"
        for name in definition
        if name not in _ALLOWED_PROPERTIES
    ]
    others = definition["extensions"].keys() - {ACS_EXTENSION}
    found += ["it has a second extension" for _ in others]
    return (*found, *_SHAPE(definition["extensions"][ACS_EXTENSION], "the ACS marking"))


def find_sharing_obstacles(
    definition: StixObject, level: Tlp | None, readers: Collection[str]
) -> tuple[str, ...]:
    """Reasons why an object with this marking may not be shared; empty if it may.

    `level` is the object's TLP level, None if no object carries the marking yet.  Every reader
    is in one of the groups `readers`; empty means that nothing is known about readers.
    """
    wrong = find_errors(definition)
    if wrong:
        return wrong
    marking: Mapping[str, Any] = definition["extensions"][ACS_EXTENSION]
    control: Mapping[str, Any] = marking["control_set"]
    return (
        *(() if level is None else _find_tlp_conflicts(control, level)),
        *_find_reader_limits(control, readers),
        *_find_denied_access(marking, readers),
        *_find_denied_sharing(marking, readers),
    )


def _find_tlp_conflicts(control: Mapping[str, Any], level: Tlp) -> Iterator[str]:
    """Contradictions between the control set and the TLP level."""
    determined = control.get("formal_determination", ())
    released, official = "PUBREL" in determined, "FOUO" in determined
    word = f"TLP:{level.label.upper()}"
    if released and official:
        yield "PUBREL and FOUO contradict each other"
    if released and level is not Tlp.CLEAR:
        yield f"PUBREL (released to the public) contradicts {word}"
    if not released and level is Tlp.CLEAR:
        yield f"{word} needs PUBREL (released to the public)"
    if official and level is Tlp.CLEAR:
        yield f"FOUO (for official use only) contradicts {word}"


def _find_reader_limits(control: Mapping[str, Any], readers: Collection[str]) -> Iterator[str]:
    for name in _READER_LIMITS.keys() & control.keys():
        yield f"it restricts readers by {_READER_LIMITS[name]}, which this hub cannot tell"
    if "FISA" in control.get("caveat", ()):
        yield "it carries the caveat FISA"
    ours = bool(readers) and all(reader.startswith("USA.") for reader in readers)
    if "NF" in control.get("formal_determination", ()) and not ours:
        yield "it must not be released to foreigners (NF), and this hub may have foreign readers"
    organisations = control.get("permitted_organizations")
    if organisations is not None and not _covers_all(organisations, readers):
        yield "it permits organisations that do not cover all readers of this hub"


def _find_denied_access(marking: Mapping[str, Any], readers: Collection[str]) -> Iterator[str]:
    rules = [
        rule
        for rule in marking.get("access_privilege", ())
        if rule["privilege_action"] in _VIEW_PRIVILEGES
    ]
    if any(rule["rule_effect"] == "deny" for rule in rules):
        yield "it denies privileges without which nobody could be shown it"
    elif "privdefault=deny" in marking["policy_reference"] and not any(
        _includes_all(rule["privilege_scope"], readers) for rule in rules
    ):
        yield "access is denied by default, and no privilege covers all readers of this hub"


def _includes_all(scope: Mapping[str, Any], readers: Collection[str]) -> bool:
    """True if the scope of a privilege includes every reader."""
    if not scope:
        return False
    rest = {name: value for name, value in scope.items() if name != "permitted_organizations"}
    organisations: list[str] = scope.get("permitted_organizations", ["ALL"])
    return all(value == ["ALL"] for value in rest.values()) and (
        organisations == ["ALL"] or _covers_all(organisations, readers)
    )


def _find_denied_sharing(marking: Mapping[str, Any], readers: Collection[str]) -> Iterator[str]:
    rules = marking.get("further_sharing", ())
    denied = [s for r in rules if r["rule_effect"] == "deny" for s in r["sharing_scope"]]
    permitted = [s for r in rules if r["rule_effect"] == "permit" for s in r["sharing_scope"]]
    if denied and not (readers and all(_are_disjoint(r, s) for r in readers for s in denied)):
        yield "it denies sharing with groups that readers of this hub may be in"
    if "sharedefault=deny" in marking["policy_reference"] and not _covers_all(permitted, readers):
        yield "sharing is denied by default, and no permit covers all readers of this hub"


def _covers_all(scopes: Collection[str], readers: Collection[str]) -> bool:
    return bool(readers) and all(any(_is_within(r, scope) for scope in scopes) for r in readers)


def _is_within(group: str, scope: str) -> bool:
    """True if the group is within the scope: USA.DHS.US-CERT is within USA.DHS."""
    return group == scope or group.startswith(f"{scope}.")


def _are_disjoint(group: str, scope: str) -> bool:
    """True if the two groups certainly have no common member."""
    home, abroad = group.startswith("USA."), scope.startswith("USA.")
    if "FOREIGNGOV" in (group, scope):
        return home or abroad
    agencies = home and abroad and "USA.USG" not in (group, scope)
    return agencies and not _is_within(group, scope) and not _is_within(scope, group)


def _as_dict(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}
