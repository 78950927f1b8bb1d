"""Finds values of the Windows registry that name a machine's owner or user, or are passwords.

Windows logs a user on by itself with `DefaultUserName` and `DefaultPassword`, and remembers who
was logged on last.  A value without a name has that of the last part of its key, as in exports.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, NamedTuple

from tocsin.admission.lazy_patterns import compile_lazily
from tocsin.admission.model import Path, StixObject
from tocsin.admission.observables.values import extract_observables


class RegistryNames(NamedTuple):
    """Names of values in the registry."""

    exact: re.Pattern[str]
    """A whole name, as in an object."""
    compared: re.Pattern[str]
    """A name in a pattern, also with wildcards of LIKE or in a regular expression."""


OWNERS = RegistryNames(
    compile_lazily(
        r"\s*(?:Registered(?:Owner|Organi[sz]ation)|(?:Alt)?DefaultUserName|LastUsedUserName"
        r"|LastLoggedOn(?:SAM|Display|User)\w*)\s*",
        re.IGNORECASE,
    ),
    compile_lazily(
        r"Registered(?:Own|Org|[\W_]|$)|DefaultUser(?:Name|[\W_]|$)|LastUsedUser"
        r"|LastLoggedOn(?:SAM|Display|User|[\W_]|$)",
        re.IGNORECASE,
    ),
)
"""Those that name the owner or a user of a machine."""
PASSWORDS = RegistryNames(
    compile_lazily(r"\s*(?:(?:Alt)?Default|Control|Proxy)?Password(?:ViewOnly)?\s*", re.IGNORECASE),
    compile_lazily(
        r"DefaultPass|(?<![^\W_])(?:Control|Proxy)?Password(?:ViewOnly)?(?![^\W_])", re.IGNORECASE
    ),
)
"""Those that are passwords: of Windows, and of programs for remote access."""


def find_registry_data(subject: StixObject, names: RegistryNames) -> Iterator[Path]:
    """The paths of the data of values with these names in a registry key."""
    values = subject.get("values") if subject.get("type") == "windows-registry-key" else None
    for place, each in enumerate(values if isinstance(values, list) else ()):
        if isinstance(each, dict) and "data" in each:
            name = each.get("name") or _last_part(subject.get("key"))
            if names.exact.fullmatch(str(name)):
                yield "values", place, "data"


def compares_registry_data(subject: StixObject, names: RegistryNames) -> bool:
    """True for an indicator whose pattern compares one of these names, and data."""
    if subject.get("type") != "indicator" or "registry" not in str(subject.get("pattern")):
        return False
    values = [o for o in extract_observables(subject) if o.kind == "windows-registry-key"]
    if not any(o.property.endswith(".data") for o in values):
        return False
    named = [o.value for o in values if o.property.endswith(".name")]
    keys = [_last_part(o.value) for o in values if o.property == "key"]
    return any(names.compared.search(each) for each in (*named, *keys))


def _last_part(key: Any) -> str:
    return str(key).rpartition("\\")[2]
