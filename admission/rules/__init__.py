"""Sanitising rules: one file, one rule, found by folder.

A rule is a module with

- `prepared(around)`, the rule for one submission: a pure function that returns
  a candidate as it came if there is nothing to do, and may be applied to its own
  result.  What the settings say is read once, not for each candidate;
- `DEFAULTS`, its settings with their defaults; `around.settings` goes before;
- `MODES`, if some settings are modes (see `_modes`): what each of them may be;
- `CHOICES`, the same for other settings.  A table has such choices as its values,
  a list as its members.
"""

from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from importlib import import_module
from pkgutil import iter_modules
from types import ModuleType

from tocsin.admission import masking
from tocsin.admission.errors import PolicyError
from tocsin.admission.model import Rule, RuleContext

_KINDS: Mapping[type, str] = {
    str: "text",
    list: "a list of words",
    bool: "true or false",
    int: "a whole number from 0",
    dict: "a table",
}
"""What TOML's types are called."""
_MANY = 20
"""So many choices are not all told."""

__all__ = ["Rule", "check", "defaults", "names", "overruled", "rule"]


def names() -> tuple[str, ...]:
    """The rules that there are, in alphabetical order."""
    found = (module.name for module in iter_modules(__path__))
    return tuple(sorted(name for name in found if not name.startswith("_")))


def rule(name: str, around: RuleContext) -> Rule:
    """The rule of that name, for one submission.  Raises PolicyError if there is none."""
    apply: Rule = _module(name).prepared(around)
    return apply


def defaults(name: str) -> Mapping[str, object]:
    """The settings of a rule.  Raises PolicyError if there is no such rule."""
    settings: Mapping[str, object] = _module(name).DEFAULTS
    return settings


def check(name: str, settings: Mapping[str, object], table: str = "rules") -> None:
    """Raises PolicyError if the rule has no such setting, or it is of another kind.

    `table` is where in policy.toml the settings stand: `partners.acme.rules`.
    """
    try:
        known, choices = defaults(name), {**_listed(name, "CHOICES"), **_listed(name, "MODES")}
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
            wanted = _KINDS[type(known[setting])]
            raise PolicyError(f"{place} must be {wanted}, not {ascii(value)[:80]}")
        _check_inside(place, value)
        if setting in choices:
            _check_choices(place, value, choices[setting])


def overruled(name: str, settings: Mapping[str, object]) -> dict[str, object]:
    """The rule's settings once an analyst has said yes to what it asked or held for."""
    return masking.released({**defaults(name), **settings}, _listed(name, "MODES"))


def _check_inside(place: str, value: object) -> None:
    """A list is of words."""
    if isinstance(value, list) and not all(isinstance(each, str) for each in value):
        raise PolicyError(f"{place} must be a list of words")


def _check_choices(place: str, value: object, choices: Sequence[str]) -> None:
    wanted = ", ".join(choices)
    if len(choices) > _MANY:
        wanted = f"{', '.join(choices[:3])} … {choices[-1]}"
    for each in _parts(value):
        if each not in choices:
            raise PolicyError(f"{place} must be one of {wanted}, not {ascii(each)[:80]}")


def _parts(value: object) -> Iterable[object]:
    if isinstance(value, dict):
        return value.values()
    return value if isinstance(value, list) else (value,)


def _listed(name: str, what: str) -> Mapping[str, Sequence[str]]:
    listed: Mapping[str, Sequence[str]] = getattr(_module(name), what, {})
    return listed


@cache
def _module(name: str) -> ModuleType:
    if name not in names():
        raise PolicyError(f"no sanitising rule {ascii(name[:40])} (there are {', '.join(names())})")
    return import_module(f"{__name__}.{name}")
