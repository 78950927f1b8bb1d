"""The independent ruler: a small normaliser beside the data, and the files that it counts.

It counts every word of a text and every cell of a table which is an indicator as a whole.
What we find is put into its spelling for the comparison only.
"""

import csv
import importlib.util
import ipaddress
import json
import re
import sys
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path
from types import ModuleType

from measures.court import corpus

Value = tuple[str, str]
"""Kind and value."""


class Ruler:
    """The normaliser, and what it says of files and values."""

    def __init__(self, folder: Path) -> None:
        csv.field_size_limit(1 << 24)
        self._folder = folder
        self._module = loaded(folder / "tools" / "iocnorm.py")
        self.classify = cache(self._module.classify)

    def files(self) -> list[tuple[str, str, bytes]]:
        """Publisher, name and content of each file that it counts."""
        return [
            (entry["publisher"], entry["path"], raw)
            for entry, raw in corpus(self._folder, "iocs", "reports")
            if entry["publisher"] == "polkadot-phishing"
            or not re.search(r"\.(json|xml|ioc|yaml)$", entry["path"])
        ]

    def tokens(self, name: str, raw: bytes) -> Iterator[str]:
        """The cells or words of a file; of JSON the entries that deny."""
        if name.endswith(".json"):
            return iter(json.loads(raw)["deny"])
        return iter(self._module.tokens(name, decoded(raw)))

    def indicators(self, name: str, raw: bytes) -> set[Value]:
        """What it counts in a file."""
        return {told for each in self.tokens(name, raw) if (told := self.classify(each))}

    def refanged(self, text: str) -> str:
        """A text with its words as the ruler reads them, in lower case."""
        return "\n".join(self._module.refang(line) for line in text.split("\n")).lower()

    def spelt(self, value: str) -> Value | None:
        """A value as the ruler spells it, networks besides; None if it is nothing to it."""
        told: Value | None = self.classify(value)
        if told is None and re.fullmatch(r"[\d.]+/\d+|[0-9A-Fa-f:]+/\d+", value):
            told = network(value)
        return told

    def normal(self, values: Iterable[str]) -> set[Value]:
        """Values as the ruler spells them."""
        return {told for value in values if (told := self.spelt(value)) is not None}


def decoded(raw: bytes) -> str:
    """The text of a file, as the ruler decodes it."""
    utf16 = raw[:2] in (b"\xff\xfe", b"\xfe\xff")
    return raw.decode("utf-16" if utf16 else "utf-8-sig", "replace")


def loaded(path: Path) -> ModuleType:
    """A Python file as a module."""
    spec = importlib.util.spec_from_file_location("ruler", path)
    if spec is None or spec.loader is None:
        sys.exit(f"not a Python file: {path}")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def network(text: str) -> Value | None:
    """A network, of a kind that the ruler does not know."""
    try:
        return ("cidr", str(ipaddress.ip_network(text, strict=False)))
    except ValueError:
        return None
