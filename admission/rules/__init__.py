"""Sanitising rules: one file, one rule, found by folder.

To add a rule, write `admission/rules/<name>.py`, name it in policy.toml and explain it in
docs/privacy.md.  The module has

- `build_rule(context)`: the rule for one submission, a pure function from candidate to
  candidate.  It returns the candidate itself if there is nothing to do, and may be applied
  to its own result.  Read settings here, once, not for each candidate;
- `DEFAULTS`: its settings with their defaults; those in `context.settings` go before;
- `MODES`, if settings are modes (see `tocsin.admission.masking`): what each may be;
- `CHOICES`: the same for other settings.  The choices of a table are those of its values,
  the choices of a list those of its items;
- `RELEASED_WITH`: other rules that ask about the same; who releases theirs has seen this one's;
- `FORMS`: for settings that are words of a certain form, the form and its description.

Test it in tests/admission/rules/test_<name>.py with `apply_rule` of tests/support/rules.py;
name settings that are not modes in OTHER_SETTINGS of test_rule_settings_exhaustive.py.

A check that an operator may switch off is a rule; one that the standard demands belongs into
`admission/stix/validate.py`.  The order of the rules matters only where policy.toml says so.
"""

import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from functools import cache
from importlib import import_module
from pkgutil import iter_modules
from types import ModuleType

from tocsin.admission.errors import PolicyError
from tocsin.admission.masking import APPROVED, approve_mode
from tocsin.admission.model import Rule, RuleContext

_TYPE_NAMES: Mapping[type, str] = {
    str: "text",
    list: "a list of words",
    bool: "true or false",
    int: "a whole number from 0",
    dict: "a table",
}
"""Types of TOML values as messages name them."""
_MOST_CHOICES_NAMED = 20

__all__ = [
    "Rule",
    "approve_settings",
    "build_rule",
    "check_settings",
    "default_settings",
    "is_waived",
    "rule_names",
    "setting_choices",
    "setting_modes",
]


def rule_names() -> tuple[str, ...]:
    """The names of all rules, in alphabetical order."""
    found = (module.name for module in iter_modules(__path__))
    return tuple(sorted(name for name in found if not name.startswith("_")))


def build_rule(name: str, context: RuleContext) -> Rule:
    """The rule of that name, for one submission.  Raises PolicyError if there is none."""
    rule: Rule = _load_module(name).build_rule(context)
    return rule


def default_settings(name: str) -> Mapping[str, object]:
    """The settings of a rule.  Raises PolicyError if there is no such rule."""
    settings: Mapping[str, object] = _load_module(name).DEFAULTS
    return settings


def setting_modes(name: str) -> Mapping[str, Sequence[str]]:
    """The modes that each setting of a rule may have, for settings that are modes."""
    modes: Mapping[str, Sequence[str]] = getattr(_load_module(name), "MODES", {})
    return modes


def setting_choices(name: str) -> Mapping[str, Sequence[str]]:
    """The values that other settings of a rule may have, for those with a fixed choice."""
    choices: Mapping[str, Sequence[str]] = getattr(_load_module(name), "CHOICES", {})
    return choices


def is_waived(name: str, waived: Collection[str]) -> bool:
    """True if a reviewer released what the rule found, or what another found in its place."""
    others: Sequence[str] = getattr(_load_module(name), "RELEASED_WITH", ())
    return name in waived or not set(others).isdisjoint(waived)


def check_settings(name: str, settings: Mapping[str, object], table: str = "rules") -> None:
    """Raise PolicyError if the rule has no such setting, or its type or value is wrong.

    `table` is where in policy.toml the settings stand: `partners.acme.rules`.
    """
    try:
        known, choices = default_settings(name), {**setting_choices(name), **setting_modes(name)}
    except PolicyError as error:
        raise PolicyError(f"[{table}.{name}]: {error}") from error
    for setting, value in settings.items():
        place = f"[{table}.{name}] {setting}"
        if setting not in known:
            raise PolicyError(
                f"{place} is unknown (there are {', '.join(sorted(known)) or 'none'})"
            )
        negative = isinstance(value, int) and value < 0
        if type(value) is not type(known[setting]) or negative:
            expected = _TYPE_NAMES[type(known[setting])]
            raise PolicyError(f"{place} must be {expected}, not {ascii(value)[:80]}")
        _check_items(place, value)
        if setting in choices:
            _check_choices(place, value, choices[setting])
        form, expected = _setting_forms(name).get(setting, (None, ""))
        if form is not None and value and not form.fullmatch(str(value)):
            raise PolicyError(f"{place} must be {expected}, not {ascii(value)[:80]}")


def approve_settings(
    name: str, settings: Mapping[str, object], *, without_text: bool = False
) -> dict[str, object]:
    """The rule's settings after a reviewer's approval: held and reviewed content is kept.

    A rule still removes what it removes without asking, and refuses what it refuses.  Approved
    `without_text`, an object loses what can be taken out of it: texts are masked, properties
    stripped; what it matches is kept.
    """
    approved = {**default_settings(name), **settings, APPROVED: True}
    for setting, modes in setting_modes(name).items():
        approved[setting] = approve_mode(approved[setting], modes, without_text=without_text)
    return approved


def _check_items(place: str, value: object) -> None:
    if isinstance(value, list) and not all(isinstance(each, str) for each in value):
        raise PolicyError(f"{place} must be a list of words")


def _check_choices(place: str, value: object, choices: Sequence[str]) -> None:
    allowed = ", ".join(choices)
    if len(choices) > _MOST_CHOICES_NAMED:
        allowed = f"{', '.join(choices[:3])} … {choices[-1]}"
    for each in _values_in(value):
        if each not in choices:
            raise PolicyError(f"{place} must be one of {allowed}, not {ascii(each)[:80]}")


def _values_in(value: object) -> Iterable[object]:
    if isinstance(value, dict):
        return value.values()
    return value if isinstance(value, list) else (value,)


def _setting_forms(name: str) -> Mapping[str, tuple[re.Pattern[str], str]]:
    """The form of each setting that is neither free nor a choice, unless it is empty."""
    forms: Mapping[str, tuple[re.Pattern[str], str]] = getattr(_load_module(name), "FORMS", {})
    return forms


@cache
def _load_module(name: str) -> ModuleType:
    if name not in rule_names():
        known = ", ".join(rule_names())
        raise PolicyError(f"no sanitising rule {ascii(name[:40])} (there are {known})")
    return import_module(f"{__name__}.{name}")
