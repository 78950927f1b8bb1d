"""Zeek's Intelligence Framework: a file of tab-separated fields."""

from collections.abc import Iterator

from tocsin.admission.observables.urls import without_scheme
from tocsin.admission.output_formats import (
    CurrentState,
    ListedValue,
    OutputFile,
    OutputFormat,
    joined_lines,
)
from tocsin.admission.output_formats.entries import single_line
from tocsin.admission.output_formats.listed_values import KINDS

_TYPES = {"domain": "DOMAIN", "url": "URL", "email": "EMAIL"}
_HEADER = b"#fields\tindicator\tindicator_type\tmeta.source\tmeta.desc\n"


def _type_of(each: ListedValue) -> str:
    if each.kind in ("ipv4", "ipv6"):
        return "SUBNET" if "/" in each.value else "ADDR"
    return _TYPES.get(each.kind, "FILE_HASH")


def _write(state: CurrentState) -> Iterator[OutputFile]:
    source = single_line(state.lasting_name, 80).replace("-", "_") or "tocsin"

    def lines() -> Iterator[bytes]:
        yield _HEADER
        known: set[str] = set()
        for each in state.values(*KINDS):
            value = without_scheme(each.value) if each.kind == "url" else each.value
            if each.kind != "url" or value not in known:
                known.update({value} if each.kind == "url" else ())
                place = f"{source}\t{single_line(each.indicator)}"
                yield f"{value}\tIntel::{_type_of(each)}\t{place}\n".encode()

    yield OutputFile("tocsin.intel", joined_lines(lines()))


FORMAT = OutputFormat("zeek", "an intelligence file for Zeek", _write)
