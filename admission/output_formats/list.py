"""A plain list of all values that indicators are about, of all kinds in one file."""

from collections.abc import Iterator

from tocsin.admission.output_formats import CurrentState, OutputFile, OutputFormat, joined_lines
from tocsin.admission.output_formats.listed_values import KINDS, without_wildcards


def _write(state: CurrentState) -> Iterator[OutputFile]:
    lines = (f"{without_wildcards(each.value)}\n".encode() for each in state.values(*KINDS))
    yield OutputFile("values.txt", joined_lines(lines))


FORMAT = OutputFormat("list", "the values of all kinds, one a line", _write)
