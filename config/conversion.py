"""Values of settings: converted to their types and checked, from whichever source they come.

The values of secrets never stand in a message.
"""

import re
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

import msgspec
from msgspec import Meta, inspect
from msgspec.structs import FieldInfo

SECRET = {"secret": True}
"""Marks a setting whose value must never be shown."""


class ConfigError(Exception):
    """A setting is unknown or wrong; the text names it and says what would be right."""


def is_secret(field: FieldInfo) -> bool:
    """True if the value of this setting must not be shown."""
    metadata = getattr(field.type, "__metadata__", ())
    return any(isinstance(each, Meta) and each.extra == SECRET for each in metadata)


def convert(field: FieldInfo, raw: object, source: str) -> Any:
    """The value in the setting's type: TOML's values as they are, text of any source parsed.

    Raises ConfigError.
    """
    if raw == "" and field.default is None:
        return None
    secret = is_secret(field)
    try:
        prepared = _prepare(raw, inspect.type_info(field.type))
        strict = not isinstance(raw, str)
        return msgspec.convert(prepared, field.type, strict=strict, dec_hook=_parse_path)
    except msgspec.ValidationError as error:
        given = "something else" if secret else ascii(raw)
        raise ConfigError(
            f"{field.name}: must be {_describe(field.type)}, but {source} says {given}"
        ) from (None if secret else error)


def _prepare(raw: object, type_: inspect.Type) -> object:
    """Split text at commas where a list is expected, and write words in lower case."""
    match type_:
        case inspect.Metadata():
            return _prepare(raw, type_.type)
        case inspect.FrozenSetType() | inspect.VarTupleType():
            if not isinstance(raw, str | list | tuple):
                return raw
            parts = raw.split(",") if isinstance(raw, str) else raw
            stripped = [part.strip() if isinstance(part, str) else part for part in parts]
            return [_prepare(part, type_.item_type) for part in stripped if part != ""]
        case inspect.LiteralType():
            return raw.lower() if isinstance(raw, str) else raw
        case _:
            return raw


def _parse_path(kind: type, raw: object) -> Path:
    """Raises ValueError, which msgspec turns into a ValidationError."""
    if isinstance(raw, Path):
        return raw
    if not isinstance(raw, str) or not re.fullmatch(r"[^\0]+", raw):
        raise ValueError("not a path")
    return Path(raw).expanduser()


def _describe(annotation: Any) -> str:
    """Describe a valid value of this type: `must be …`."""
    if get_origin(annotation) is Literal:  # msgspec would sort the words
        return f"one of {', '.join(get_args(annotation))}"
    match inspect.type_info(annotation):
        case inspect.Metadata(extra_json_schema={"description": str(description)}):
            return description
        case inspect.FrozenSetType(item_type=inspect.LiteralType(values=values)):
            return f"a list of one or more of {', '.join(map(str, values))}"
        case inspect.IntType(ge=low, le=high):
            return f"a whole number from {low} to {high}"
        case inspect.FloatType(ge=low, le=high):
            return f"a number from {low:g} to {high:g}"
        case inspect.UnionType():
            return "a path, or empty"
        case inspect.VarTupleType():
            return "a list of texts"
        case _:
            return "a path"
