"""A plain list of all values that indicators are about, of all kinds in one file."""

from collections.abc import Iterator

from tocsin.admission.output_formats import CurrentState, OutputFile, OutputFormat, joined_lines
from tocsin.admission.output_formats.listed_values import KINDS, spelt_once


def _write(state: CurrentState) -> Iterator[OutputFile]:
    values = spelt_once(each.value for each in state.values(*KINDS))
    lines = (f"{value}\n".encode() for value in values)
    yield OutputFile("values.txt", joined_lines(lines))


FORMAT = OutputFormat("list", "the values of all kinds, one a line", _write)
