"""The policy: the operator's decisions about admission, parsed from policy.toml.

Parsing is strict: an unknown setting or a wrong value is an error that names it,
because a policy that is silently half-read protects nobody.  The SHA-256 is
logged, so that a log line proves which policy was in force.
"""

import hashlib
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

from tocsin.admission import rules
from tocsin.admission.errors import PolicyError
from tocsin.admission.lazy_patterns import compile_lazily
from tocsin.admission.masking import NOTE
from tocsin.admission.merge.confidence import DECAY_KINDS, ConfidenceSettings
from tocsin.admission.timestamps import DAY


@dataclass(frozen=True, slots=True)
class Policy:
    """The objects that admission accepts, and the rules in the order in which they run."""

    object_octets: int
    """Maximum size of an object as compact JSON."""
    pattern_characters: int
    clock_skew: int
    """The furthest that `created` and `modified` may lie in the future, in µs."""
    unknown_types: str
    """keep | refuse | strip: object types that STIX 2.1 does not define.

    `strip` refuses them too, except revocations, which lose their texts.
    """
    unknown_patterns: str
    """keep | refuse: indicators in a language that the standard's vocabulary does not have."""
    custom_properties: str
    """strip | keep | refuse: properties that STIX 2.1 does not define."""
    quiet_period: int
    """Minimum time in µs before a merge that only raises counts is republished."""
    confidence: ConfidenceSettings
    """The numbers of the confidence formula."""
    rules: tuple[str, ...]
    """Sanitising rules in order."""
    rule_settings: Mapping[str, Mapping[str, Any]]
    """Each rule's own table, by name."""
    partner_settings: Mapping[str, Mapping[str, Mapping[str, Any]]]
    """By partner slug, then by rule: settings that override `rule_settings`."""
    sha256: str
    """SHA-256 of the text of policy.toml."""

    def settings_for(self, rule: str, partner: str) -> Mapping[str, Any]:
        """The settings of a rule for one partner; the partner's own override the general ones."""
        own = self.partner_settings.get(partner, {}).get(rule, {})
        return {**self.rule_settings.get(rule, {}), **own}

    @property
    def has_recogniser_rule(self) -> bool:
        """True if a recogniser of names is asked where it is installed."""
        return _RECOGNISER_RULE in self.rules

    @property
    def expects_recogniser(self) -> bool:
        """True if the hub must have the recogniser, by the general settings."""
        return bool(self.rule_settings.get(_RECOGNISER_RULE, {}).get("expected"))

    def for_preview(self) -> "Policy":
        """The policy of a preview, in which a recogniser's questions are only noted.

        Only the hub has reviewers; what a client holds or masks would never reach them.
        """
        name = _RECOGNISER_RULE
        if name not in self.rules:
            return self
        whole = {**rules.default_settings(name), **self.rule_settings.get(name, {})}
        partners = {
            slug: {**tables, name: _note_questions(tables[name])} if name in tables else tables
            for slug, tables in self.partner_settings.items()
        }
        general = {**self.rule_settings, name: _note_questions(whole)}
        return replace(self, rule_settings=general, partner_settings=partners)


SLUG = compile_lazily(r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?")
"""A partner's short name."""
_RECOGNISER_RULE = "recognised_names"
_FIRST_RULE = "user_paths"
_AFTER_USER_PATHS = ("anonymise_source", "personal_data")
"""Rules whose masks stand where a path or a URL would tell that a user's name follows."""
_MAX_NUMBER = 1_000_000_000
_CHOICES = {
    "unknown_types": ("strip", "keep", "refuse"),
    "unknown_patterns": ("keep", "refuse"),
    "custom_properties": ("strip", "keep", "refuse"),
}
_TABLES: dict[str, tuple[str, ...]] = {
    "limits": ("object_octets", "pattern_characters", "clock_skew_seconds"),
    "accept": ("unknown_types", "unknown_patterns", "custom_properties"),
    "merge": (
        "quiet_period_seconds",
        "ceiling",
        "corroboration_percent",
        "unreliable_percent",
        "reliable_percent",
        "false_positive_percent",
        "refresh_days",
    ),
    "decay": ("step", *(f"{kind}_days" for kind in (*DECAY_KINDS.values(), "hash", "other"))),
    "sanitise": ("rules",),
}


def _note_questions(settings: Mapping[str, Any]) -> dict[str, Any]:
    return {n: NOTE if value in ("hold", "ask") else value for n, value in settings.items()}


def parse_policy(text: str, file: Path | None = None) -> Policy:
    """Parse the text of a policy.toml, the rules and their settings included.

    Raises PolicyError, naming the file and the setting, if anything is missing, unknown or of
    the wrong type.
    """
    try:
        policy = _parse_tables(text)
        _check_rules(policy)
    except PolicyError as error:
        raise PolicyError(f"{file or 'policy.toml'}: {error}") from error
    return policy


def _parse_tables(text: str) -> Policy:
    try:
        tables = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise PolicyError(f"not TOML: {error}") from error
    _check_names(tables)
    limits, accept = _Table(tables, "limits"), _Table(tables, "accept")
    merge, decay = _Table(tables, "merge"), _Table(tables, "decay")
    return Policy(
        object_octets=limits.number("object_octets"),
        pattern_characters=limits.number("pattern_characters"),
        clock_skew=limits.number("clock_skew_seconds") * 1_000_000,
        unknown_types=accept.choice("unknown_types"),
        unknown_patterns=accept.choice("unknown_patterns"),
        custom_properties=accept.choice("custom_properties"),
        quiet_period=merge.number("quiet_period_seconds") * 1_000_000,
        confidence=_parse_confidence(merge, decay),
        rules=_parse_rules(tables["sanitise"]["rules"]),
        rule_settings=_parse_rule_settings(tables.get("rules", {}), "rules"),
        partner_settings=_parse_partners(tables.get("partners", {})),
        sha256=hashlib.sha256(text.encode()).hexdigest(),
    )


def _check_rules(policy: Policy) -> None:
    """Check that each rule exists and that its settings are known and of the right type."""
    for name in policy.rules:
        try:
            rules.default_settings(name)
        except PolicyError as error:
            raise PolicyError(f"[sanitise] rules: {error}") from error
    tables = {"rules": policy.rule_settings}
    tables |= {f"partners.{slug}.rules": own for slug, own in policy.partner_settings.items()}
    for place, by_rule in tables.items():
        for name, settings in by_rule.items():
            rules.check_settings(name, settings, place)
            if name not in policy.rules:
                raise PolicyError(
                    f"[{place}.{name}] has no effect: [sanitise] rules does not name {name};"
                    " add it there, or leave the table out"
                )


def _check_names(tables: Mapping[str, Any]) -> None:
    known = (*_TABLES, "rules", "partners")
    for table in tables:
        if table not in known:
            there = ", ".join(f"[{each}]" for each in known)
            raise PolicyError(f"[{table}] is not a table of a policy (known: {there})")
    for table, names in _TABLES.items():
        table_values = tables.get(table)
        if not isinstance(table_values, dict):
            raise PolicyError(f"the table [{table}] is missing; it has {', '.join(names)}")
        for name in sorted(table_values.keys() - set(names)):
            raise PolicyError(f"[{table}] {name} is unknown (known: {', '.join(names)})")
        for name in sorted(set(names) - table_values.keys()):
            raise PolicyError(f"[{table}] {name} is missing; the shipped policy.toml has it")


class _Table:
    """One table of policy.toml; its errors name the table and the setting."""

    def __init__(self, tables: Mapping[str, Any], name: str) -> None:
        self._name, self._values = name, tables[name]

    def number(self, name: str, least: int = 0, most: int = _MAX_NUMBER) -> int:
        value = self._values[name]
        if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= most:
            raise self._wrong(name, f"a whole number from {least} to {most}")
        return value

    def choice(self, name: str) -> str:
        value = self._values[name]
        if value not in _CHOICES[name]:
            raise self._wrong(name, f"one of {', '.join(_CHOICES[name])}")
        return str(value)

    def _wrong(self, name: str, wanted: str) -> PolicyError:
        value = ascii(self._values[name])[:80]
        return PolicyError(f"[{self._name}] {name} must be {wanted}, not {value}")


def _parse_rule_settings(tables: object, name: str) -> Mapping[str, Mapping[str, Any]]:
    found = {}
    for rule, table in _require_table(tables, name).items():
        found[rule] = MappingProxyType(_require_table(table, f"{name}.{rule}"))
    return MappingProxyType(found)


def _parse_partners(tables: object) -> Mapping[str, Mapping[str, Mapping[str, Any]]]:
    found = {}
    for slug, table in _require_table(tables, "partners").items():
        place = f"partners.{slug}"
        if not SLUG.fullmatch(slug):
            wanted = "1 to 63 small letters, digits and hyphens"
            raise PolicyError(f"[{place}]: the short name of a partner is {wanted}")
        for name in _require_table(table, place):
            if name != "rules":
                raise PolicyError(f"[{place}] {name} is unknown (there is rules)")
        found[slug] = _parse_rule_settings(table.get("rules", {}), f"{place}.rules")
    return MappingProxyType(found)


def _require_table(value: object, name: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise PolicyError(f"[{name}] must be a table")
    return value


def _parse_confidence(merge: _Table, decay: _Table) -> ConfidenceSettings:
    kinds = (*DECAY_KINDS.values(), "hash", "other")
    return ConfidenceSettings(
        ceiling=merge.number("ceiling", most=100),
        corroboration_percent=merge.number("corroboration_percent", most=90),
        unreliable_percent=merge.number("unreliable_percent", most=100),
        reliable_percent=merge.number("reliable_percent", most=100),
        false_positive_percent=merge.number("false_positive_percent", most=100),
        refresh_interval=merge.number("refresh_days", least=1) * DAY,
        step=decay.number("step", least=10, most=100),
        half_lives=MappingProxyType({k: decay.number(f"{k}_days") * DAY for k in kinds}),
    )


def _parse_rules(names: object) -> tuple[str, ...]:
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise PolicyError("[sanitise] rules must be a list of rule names")
    if "marking" not in names:
        raise PolicyError("[sanitise] rules must name `marking`: it refuses TLP:RED")
    for name in _AFTER_USER_PATHS:
        if _FIRST_RULE in names and name in names[: names.index(_FIRST_RULE)]:
            raise PolicyError(
                f'[sanitise] rules: put "{_FIRST_RULE}" before "{name}", '
                "whose masks would hide the names of users beside them"
            )
    return tuple(names)
