"""A partner's file becomes candidates: one module here is one format.

Every module of this folder that defines `FORMAT` is a format, found by
looking, not by a list; modules whose name begins with an underscore are what
formats share.  A format never raises for one bad row or object: that is a
refused candidate whose finding names the line, and the rest go on.
"""

import importlib
import pkgutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache

from tocsin.admission.errors import Unprocessable
from tocsin.admission.model import Candidate, Tlp


@dataclass(frozen=True, slots=True)
class Reading:
    """How a file is to be read."""

    now: int
    """µs since 1970 UTC; the date of indicators to which the file gives none."""
    tlp: Tlp | None = None
    """For rows and texts that carry no level of their own."""


@dataclass(frozen=True, slots=True)
class Format:
    """A way in which people write indicators down."""

    name: str
    sentence: str
    """What it takes, for people who choose a file."""
    extensions: tuple[str, ...]
    """Typical endings of file names, with the dot; `claims` decides, not they."""
    claims: Callable[[str, bytes], bool]
    """Whether a file, by its name and its first bytes, is in this format."""
    candidates: Callable[[str, bytes, Reading], Iterator[Candidate]]
    """See `read`."""
    rank: int = 0
    """Formats are asked in this order; those that take nearly everything come last."""


@cache
def formats() -> tuple[Format, ...]:
    """Every format there is, in the order in which they are asked."""
    names = sorted(found.name for found in pkgutil.iter_modules(__path__) if found.name[0] != "_")
    modules = (importlib.import_module(f"{__name__}.{name}") for name in names)
    found = [module.FORMAT for module in modules if hasattr(module, "FORMAT")]
    return tuple(sorted(found, key=lambda each: (each.rank, each.name)))


def claim(name: str, content: bytes) -> Format | None:
    """The format of a file, by its name and what it begins with; None if none takes it."""
    return next((each for each in formats() if each.claims(name, content)), None)


def taken() -> str:
    """What kinds of files there are formats for, for people who choose one."""
    return "; ".join(each.sentence for each in formats())


def read(name: str, content: bytes, reading: Reading) -> Iterator[Candidate]:
    """The candidates of a file, numbered from 0 in its order.

    What cannot be read is a refused candidate without object; nothing is lost.

    Raises Unprocessable if no format takes the file, and Malformed if it is so
    broken that not even its parts can be told apart.
    """
    format_ = claim(name, content)
    if format_ is None:
        raise Unprocessable(f"no format claims this file. What is taken: {taken()}")
    return format_.candidates(name, content, reading)
