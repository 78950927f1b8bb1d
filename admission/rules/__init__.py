"""Sanitising rules: one file, one rule, found by folder.

A rule is a module with

- `apply(candidate, around)`, a pure function that returns the candidate as it
  came if there is nothing to do, and may be applied to its own result;
- `DEFAULTS`, its settings with their defaults; `around.settings` goes before.
"""

from collections.abc import Mapping
from importlib import import_module
from pkgutil import iter_modules
from types import ModuleType

from tocsin.admission.policy import PolicyError
from tocsin.admission.sanitise import Rule

__all__ = ["Rule", "check", "defaults", "names", "rule"]


def names() -> tuple[str, ...]:
    """The rules that there are, in alphabetical order."""
    found = (module.name for module in iter_modules(__path__))
    return tuple(sorted(name for name in found if not name.startswith("_")))


def rule(name: str) -> Rule:
    """The rule of that name.  Raises PolicyError if there is none."""
    apply: Rule = _module(name).apply
    return apply


def defaults(name: str) -> Mapping[str, object]:
    """The settings of a rule.  Raises PolicyError if there is no such rule."""
    settings: Mapping[str, object] = _module(name).DEFAULTS
    return settings


def check(name: str, settings: Mapping[str, object]) -> None:
    """Raises PolicyError if the rule has no such setting, or it is of another kind."""
    known = defaults(name)
    for setting, value in settings.items():
        if setting not in known:
            raise PolicyError(f"policy.toml: [rules.{name}] {setting} is unknown")
        if not isinstance(value, type(known[setting])):
            kind = type(known[setting]).__name__
            raise PolicyError(f"policy.toml: [rules.{name}] {setting} must be a {kind}")


def _module(name: str) -> ModuleType:
    if name not in names():
        raise PolicyError(f"no sanitising rule {ascii(name[:40])} (there are {', '.join(names())})")
    return import_module(f"{__name__}.{name}")
