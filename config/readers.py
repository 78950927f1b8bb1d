"""How one setting is understood, wherever it was written.

A file gives TOML's types, the environment only text, the command line either;
a reader takes all of them and answers with the setting's own type.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True, slots=True)
class Reader:
    """Understands the values of one setting."""

    read: Callable[[object], Any]
    """The value; raises ValueError if `raw` is not what the setting wants."""
    wants: str
    """What would be right: `must be …`."""
    secret: bool = False
    """Whether what was written must not be shown."""


def text(pattern: str, wants: str) -> Reader:
    """Text that matches `pattern` as a whole."""
    return Reader(lambda raw: _matching(pattern, raw), wants)


def secret(pattern: str, wants: str) -> Reader:
    """Like `text`, and never shown."""
    return Reader(lambda raw: _matching(pattern, raw), wants, secret=True)


def choice(*words: str) -> Reader:
    """One of `words`, in upper or lower case."""

    def read(raw: object) -> str:
        word = _text(raw).lower()
        if word not in words:
            raise ValueError("not one of the words")
        return word

    return Reader(read, f"one of {', '.join(words)}")


def some_of(*known: str) -> Reader:
    """One or more of the words; in the environment they are separated by commas."""

    def read(raw: object) -> frozenset[str]:
        parts = raw.split(",") if isinstance(raw, str) else raw
        if not isinstance(parts, list | tuple):
            raise ValueError("not a list")
        chosen = frozenset(_text(part).strip().lower() for part in parts)
        if not chosen or not chosen <= set(known):
            raise ValueError("not of the words")
        return chosen

    return Reader(read, f"a list of one or more of {', '.join(known)}")


def whole(low: int, high: int) -> Reader:
    """A whole number."""

    def read(raw: object) -> int:
        count = int(raw) if isinstance(raw, str) and raw.isascii() else raw
        if not isinstance(count, int) or isinstance(count, bool) or not low <= count <= high:
            raise ValueError("not a whole number in range")
        return count

    return Reader(read, f"a whole number from {low} to {high}")


def number(low: float, high: float) -> Reader:
    """A number, with decimals or without."""

    def read(raw: object) -> float:
        amount = float(raw) if isinstance(raw, str | int) and not isinstance(raw, bool) else raw
        if not isinstance(amount, float) or not low <= amount <= high:
            raise ValueError("not a number in range")
        return amount

    return Reader(read, f"a number from {low:g} to {high:g}")


def switch() -> Reader:
    """On or off."""

    def read(raw: object) -> bool:
        words = {"true": True, "false": False}
        flag = words.get(raw.lower(), raw) if isinstance(raw, str) else raw
        if not isinstance(flag, bool):
            raise ValueError("neither true nor false")
        return flag

    return Reader(read, "true or false")


def path(*, empty_is_none: bool = False) -> Reader:
    """A path; `~` is the home folder."""

    def read(raw: object) -> Path | None:
        if isinstance(raw, Path):
            return raw
        if empty_is_none and raw == "":
            return None
        return Path(_matching(r"[^\0]+", raw)).expanduser()

    return Reader(read, "a path, or empty" if empty_is_none else "a path")


def words() -> Reader:
    """A list of texts; in the environment they are separated by commas."""

    def read(raw: object) -> tuple[str, ...]:
        parts = raw.split(",") if isinstance(raw, str) else raw
        if not isinstance(parts, list | tuple):
            raise ValueError("not a list")
        return tuple(word for part in parts if (word := _text(part).strip()))

    return Reader(read, "a list of texts")


def _matching(pattern: str, raw: object) -> str:
    word = _text(raw)
    if not re.fullmatch(pattern, word):
        raise ValueError("not of the right form")
    return word


def _text(raw: object) -> str:
    if not isinstance(raw, str):
        raise ValueError("not text")
    return raw
