"""An independent baseline: the small normaliser that comes with the data.

It counts each word of a text and each cell of a table that is an indicator as a whole.
Our values are put into its spelling for comparison only.
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

from measures.fixtures import read_corpus

Value = tuple[str, str]
"""Kind and value."""


class Baseline:
    """The normaliser applied to files and values."""

    def __init__(self, folder: Path) -> None:
        csv.field_size_limit(1 << 24)
        self._folder = folder
        self._module = load_module(folder / "tools" / "iocnorm.py")
        self.classify = cache(self._module.classify)

    def files(self) -> list[tuple[str, str, bytes]]:
        """Return publisher, name and content of each file that it counts."""
        return [
            (entry["publisher"], entry["path"], raw)
            for entry, raw in read_corpus(self._folder, "iocs", "reports")
            if entry["publisher"] == "polkadot-phishing"
            or not re.search(r"\.(json|xml|ioc|yaml)$", entry["path"])
        ]

    def tokens(self, name: str, raw: bytes) -> Iterator[str]:
        """Yield the cells or words of a file; for JSON, the entries of its deny list."""
        if name.endswith(".json"):
            return iter(json.loads(raw)["deny"])
        return iter(self._module.tokens(name, decode_text(raw)))

    def find_values(self, name: str, raw: bytes) -> set[Value]:
        """Return the values that it counts in a file."""
        return {value for each in self.tokens(name, raw) if (value := self.classify(each))}

    def refang(self, text: str) -> str:
        """Refang each word of a text as the baseline does, in lower case."""
        return "\n".join(self._module.refang(line) for line in text.split("\n")).lower()

    def normalise(self, value: str) -> Value | None:
        """Return the baseline's spelling of a value, or a network; None if it is neither."""
        known: Value | None = self.classify(value)
        if known is None and re.fullmatch(r"[\d.]+/\d+|[0-9A-Fa-f:]+/\d+", value):
            return parse_network(value)
        return known

    def normalise_all(self, values: Iterable[str]) -> set[Value]:
        """Normalise the values, leaving out those that the baseline does not know."""
        return {known for value in values if (known := self.normalise(value)) is not None}


def decode_text(raw: bytes) -> str:
    """Decode a file as the baseline does."""
    utf16 = raw[:2] in (b"\xff\xfe", b"\xfe\xff")
    return raw.decode("utf-16" if utf16 else "utf-8-sig", "replace")


def load_module(path: Path) -> ModuleType:
    """Import a Python file by path."""
    spec = importlib.util.spec_from_file_location("baseline", path)
    if spec is None or spec.loader is None:
        sys.exit(f"not a Python file: {path}")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def parse_network(text: str) -> Value | None:
    """Parse a network, a kind that the baseline does not know; None if the text is none."""
    try:
        return ("cidr", str(ipaddress.ip_network(text, strict=False)))
    except ValueError:
        return None
