"""Microsoft Sentinel: bodies for its upload API for STIX objects, one a line.

The API takes a hundred objects a request.
"""

from collections.abc import Iterator
from itertools import islice

from tocsin.admission.output_formats import CurrentState, OutputFile, OutputFormat
from tocsin.admission.output_formats.entries import single_line
from tocsin.admission.output_formats.jsonl import format_json_line

_OBJECTS = 100


def _write(state: CurrentState) -> Iterator[OutputFile]:
    yield OutputFile("sentinel.jsonl", _requests(state), "application/x-ndjson")


def _requests(state: CurrentState) -> Iterator[bytes]:
    objects = (format_json_line(each).rstrip() for each in state.objects("indicator"))
    source = "".join(c for c in single_line(state.lasting_name, 80) if c not in '"\\')
    while part := list(islice(objects, _OBJECTS)):
        head = f'{{"sourcesystem":"Tocsin {source}","stixobjects":['.encode()
        yield head + b",".join(part) + b"]}\n"


FORMAT = OutputFormat("sentinel", "requests for Microsoft Sentinel's upload API", _write)
