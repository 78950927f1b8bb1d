"""JSON lines: one STIX object a line, as it was received."""

from collections.abc import Iterator

from tocsin.admission.output_formats import CurrentState, OutputFile, OutputFormat, joined_lines


def format_json_line(object: bytes) -> bytes:
    """An object's JSON on one line, with its line end."""
    return object.translate(None, b"\r\n") + b"\n"  # in JSON they are blanks, never in strings


def _write(state: CurrentState) -> Iterator[OutputFile]:
    lines = joined_lines(map(format_json_line, state.objects()))
    yield OutputFile("objects.jsonl", lines, "application/x-ndjson")


FORMAT = OutputFormat(
    "jsonl", "STIX objects, one a line, as received", _write, is_indicators_only=False
)
