"""Access control markings of the United States government (ACS 3.0a), read and enforced.

A definition of this kind is passed on byte for byte, never rebuilt.  What it
asks of a hub is decided here, from the groups that all readers of the hub are
in: what cannot be shown to be permitted is not.
"""

from __future__ import annotations

import re
from collections.abc import (
    Callable,
    Collection,
    Iterator,
    Mapping,
)
from typing import Any

from tocsin.admission.errors import Malformed
from tocsin.admission.model import StixObject, Tlp
from tocsin.admission.timestamps import micros

ACS_EXTENSION = "extension-definition--3a65884d-005a-4290-8335-cb2d778a83ce"
"""The extension that makes a marking definition one of ACS 3.0a."""

Check = Callable[[Any, str], Iterator[str]]
"""What is wrong with a value at a place, in words."""

_OPEN = frozenset(
    ("type", "spec_version", "id", "created", "name", "extensions", "object_marking_refs")
)
"""Properties of the definition itself that may be passed on as they came."""
_ORGANISATION = re.compile(r"[A-Z0-9]+\.[A-Z0-9]+(?:\.[A-Z0-9][A-Z0-9-]+)?")
_GROUPS = ("CDC", "CIKR", "DIB", "FIN", "ISAC", "NONFED", "PRIVATESECTOR")
_IDENTIFIER = re.compile(r"isa:guide\.\d+\.ACS3-[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.I)
_AUTHORITY = re.compile(r"urn:isa:authority:\w+", re.ASCII)
_DEFAULTS = r"urn:isa:policy:acs:ns:v3\.0\?privdefault=(permit|deny)&sharedefault=(permit|deny)"
_POLICY = re.compile(rf"(?:{_DEFAULTS}\s?)+")
_SHOWING = frozenset(("ALL", "DSPLY", "CISAUSES"))
"""Privileges without which a reader could not be shown the object at all."""
_NARROW = {
    "permitted_nationalities": "nationalities",
    "shareability": "shareability",
    "entity": "kinds of entity",
    "sensitivity": "a sensitivity",
    "sci_controls": "controls of classified information",
    "logical_authority_category": "an authority category",
}
"""Tags of the control set that ask for more than a hub knows of its readers."""


def _that(test: Callable[[Any], bool], wanted: str) -> Check:
    def check(value: Any, place: str) -> Iterator[str]:
        if not test(value):
            yield f"{place} must be {wanted}"

    return check


def _words(*words: str) -> Check:
    return _that(lambda value: isinstance(value, str) and value in words, " or ".join(words))


def _like(form: re.Pattern[str], wanted: str) -> Check:
    return _that(lambda value: isinstance(value, str) and bool(form.fullmatch(value)), wanted)


def _some(check: Check) -> Check:
    """A list of at least one."""

    def checked(value: Any, place: str) -> Iterator[str]:
        if not isinstance(value, list) or not value:
            yield f"{place} must be a list of at least one"
            return
        for at, item in enumerate(value):
            yield from check(item, f"{place}[{at}]")

    return checked


def _table(optional: Mapping[str, Check], **required: Check) -> Check:
    """An object with these properties, and no others."""
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


_text = _that(lambda value: isinstance(value, str), "text")
_number = _that(lambda value: type(value) is int, "a whole number")
_time = _that(lambda value: isinstance(value, str) and _is_time(value), "a timestamp")
_custodian = _like(_ORGANISATION, "an organisation such as USA.DHS")
_organisation = _that(
    lambda value: (
        isinstance(value, str) and (value in _GROUPS or _ORGANISATION.fullmatch(value) is not None)
    ),
    "an organisation such as USA.DHS, or a group of them",
)
_effect = _words("permit", "deny")
_determination = _words(
    *("PUBREL", "NF", "AIS", "PII-NECESSARY-TO-UNDERSTAND-THREAT", "NO-PII-PRESENT", "FOUO"),
    "INFORMATION-DIRECTLY-RELATED-TO-CYBERSECURITY-THREAT",
)
_control_set = _table(
    {
        "formal_determination": _some(_determination),
        "caveat": _some(_words("FISA", "POSSIBLEPII", "CISAPROPRIETARY")),
        "sensitivity": _some(
            _words("NTOC_DHS_ECYBER_SVC_SHARE.NSA.NSA", "PCII", "LES", "INT", "PII", "PR", "TEI")
        ),
        "shareability": _some(_words("NCC", "EM", "LE", "IC")),
        "entity": _some(_words("MIL", "GOV", "CTR", "SVR", "SVC", "DEV", "NET")),
        "permitted_nationalities": _some(_text),
        "permitted_organizations": _some(_organisation),
        "sci_controls": _some(_text),
        "logical_authority_category": _some(_text),
    },
    classification=_words("U", "C", "S", "TS"),
)
_scope = _table(
    {
        name: _some(_text)
        for name in ("permitted_nationalities", "permitted_organizations", "shareability", "entity")
    }
)
_action = _words(
    *("DSPLY", "IDSRC", "TENOT", "NETDEF", "LEGAL", "INTEL", "TEARLINE", "OPACTION"),
    *("REQUEST", "ANONYMOUSACCESS", "CISAUSES", "ALL"),
)
_classified = {"classified_on": _time}
_SHAPE = _table(
    {
        "name": _text,
        "responsible_entity_originator": _organisation,
        "authority_reference": _some(_like(_AUTHORITY, "urn:isa:authority: and a word")),
        "access_privilege": _some(
            _table({}, privilege_action=_action, privilege_scope=_scope, rule_effect=_effect)
        ),
        "further_sharing": _some(
            _table(
                {},
                sharing_scope=_some(
                    _that(
                        lambda value: (
                            value in ("FOREIGNGOV", "SECTOR") or not any(_organisation(value, ""))
                        ),
                        "an organisation, FOREIGNGOV or SECTOR",
                    )
                ),
                rule_effect=_effect,
            )
        ),
        "public_release": _table({"released_on": _time}, released_by=_text),
        "original_classification": _table(
            {**_classified, "classification_reason": _text, "compilation_reason": _text},
            classified_by=_text,
        ),
        "derivative_classification": _table(_classified, classified_by=_text, derived_from=_text),
        "declassification": _table(
            {
                "declass_exemption": _text,
                "declass_period": _number,
                "declass_date": _time,
                "declass_event": _text,
            }
        ),
        "resource_disposition": _table({}, disposition_date=_time, disposition_process=_text),
    },
    extension_type=_words("property-extension"),
    identifier=_like(_IDENTIFIER, "isa:guide.19001.ACS3- and a UUID"),
    create_date_time=_time,
    responsible_entity_custodian=_custodian,
    policy_reference=_like(_POLICY, "urn:isa:policy:acs:ns:v3.0 with both defaults"),
    control_set=_control_set,
)


def is_acs(subject: StixObject | None) -> bool:
    """Whether an object is a marking definition of ACS."""
    if subject is None or subject.get("type") != "marking-definition":
        return False
    extensions = subject.get("extensions")
    return isinstance(extensions, dict) and ACS_EXTENSION in extensions


def is_classified(definition: StixObject) -> bool:
    """Whether it says that what carries it is classified: anything but U."""
    control = _dict(_dict(definition["extensions"][ACS_EXTENSION]).get("control_set"))
    return bool(control.get("classification", "U") != "U")


def find_errors(definition: StixObject) -> tuple[str, ...]:
    """What is wrong with its shape, in words."""
    found = [f"{name[:40]} has no place in it" for name in definition if name not in _OPEN]
    others = definition["extensions"].keys() - {ACS_EXTENSION}
    found += ["it has a second extension" for _ in others]
    return (*found, *_SHAPE(definition["extensions"][ACS_EXTENSION], "the ACS marking"))


def find_sharing_obstacles(
    definition: StixObject, level: Tlp | None, readers: Collection[str]
) -> tuple[str, ...]:
    """Why what carries it at a TLP level may not go to readers who are in these groups.

    Each reader is in one of the groups; none given means that nothing is known of readers.
    No level: nothing carries it yet.
    """
    wrong = find_errors(definition)
    if wrong:
        return wrong
    marking: Mapping[str, Any] = definition["extensions"][ACS_EXTENSION]
    control: Mapping[str, Any] = marking["control_set"]
    return (
        *(() if level is None else _at_odds(control, level)),
        *_too_narrow(control, readers),
        *_privileges(marking, readers),
        *_sharing(marking, readers),
    )


def _at_odds(control: Mapping[str, Any], level: Tlp) -> Iterator[str]:
    """Where it contradicts the TLP level beside it."""
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


def _too_narrow(control: Mapping[str, Any], readers: Collection[str]) -> Iterator[str]:
    for name in _NARROW.keys() & control.keys():
        yield f"it restricts readers by {_NARROW[name]}, which this hub cannot tell"
    if "FISA" in control.get("caveat", ()):
        yield "it carries the caveat FISA"
    ours = bool(readers) and all(reader.startswith("USA.") for reader in readers)
    if "NF" in control.get("formal_determination", ()) and not ours:
        yield "it may go to no foreigner (NF), and this hub's readers may be foreign"
    organisations = control.get("permitted_organizations")
    if organisations is not None and not _covers(organisations, readers):
        yield "it permits organisations that do not cover all readers of this hub"


def _privileges(marking: Mapping[str, Any], readers: Collection[str]) -> Iterator[str]:
    rules = [
        rule for rule in marking.get("access_privilege", ()) if rule["privilege_action"] in _SHOWING
    ]
    if any(rule["rule_effect"] == "deny" for rule in rules):
        yield "it denies privileges without which nobody could be shown it"
    elif "privdefault=deny" in marking["policy_reference"] and not any(
        _admits(rule["privilege_scope"], readers) for rule in rules
    ):
        yield "access is denied by default, and no privilege covers all readers of this hub"


def _admits(scope: Mapping[str, Any], readers: Collection[str]) -> bool:
    """Whether the scope of a privilege takes in every reader."""
    if not scope:
        return False
    rest = {name: value for name, value in scope.items() if name != "permitted_organizations"}
    organisations: list[str] = scope.get("permitted_organizations", ["ALL"])
    return all(value == ["ALL"] for value in rest.values()) and (
        organisations == ["ALL"] or _covers(organisations, readers)
    )


def _sharing(marking: Mapping[str, Any], readers: Collection[str]) -> Iterator[str]:
    rules = marking.get("further_sharing", ())
    denied = [s for r in rules if r["rule_effect"] == "deny" for s in r["sharing_scope"]]
    permitted = [s for r in rules if r["rule_effect"] == "permit" for s in r["sharing_scope"]]
    if denied and not (readers and all(_apart(r, s) for r in readers for s in denied)):
        yield "it denies sharing with groups that readers of this hub may be in"
    if "sharedefault=deny" in marking["policy_reference"] and not _covers(permitted, readers):
        yield "sharing is denied by default, and no permit covers all readers of this hub"


def _covers(scopes: Collection[str], readers: Collection[str]) -> bool:
    return bool(readers) and all(any(_within(r, scope) for scope in scopes) for r in readers)


def _within(group: str, scope: str) -> bool:
    """Whether everyone in the group is in the scope: USA.DHS.US-CERT is in USA.DHS."""
    return group == scope or group.startswith(f"{scope}.")


def _apart(group: str, scope: str) -> bool:
    """Whether certainly nobody is in both."""
    home, abroad = group.startswith("USA."), scope.startswith("USA.")
    if "FOREIGNGOV" in (group, scope):
        return home or abroad
    agencies = home and abroad and "USA.USG" not in (group, scope)
    return agencies and not _within(group, scope) and not _within(scope, group)


def _dict(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}
