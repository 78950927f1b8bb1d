"""Splunk: events for its HTTP Event Collector, one for each listed value."""

from collections.abc import Iterator

import msgspec

from tocsin.admission.output_formats import CurrentState, OutputFile, OutputFormat, joined_lines
from tocsin.admission.output_formats.siem import present, siem_indicators


def _write(state: CurrentState) -> Iterator[OutputFile]:
    yield OutputFile("splunk.jsonl", joined_lines(_events(state)), "application/x-ndjson")


def _events(state: CurrentState) -> Iterator[bytes]:
    for each in siem_indicators(state):
        copied = ("id", "confidence", "valid_from", "valid_until", "created", "modified", "labels")
        common = {name: each.object.get(name) for name in copied}
        common |= {"name": each.name, "description": each.description, "tlp": each.tlp}
        for kind, value in each.values:
            event = present({"value": value, "value_type": kind, **common})
            line = {"source": state.lasting_name, "sourcetype": "tocsin:indicator", "event": event}
            yield msgspec.json.encode(line) + b"\n"


FORMAT = OutputFormat("splunk", "events for Splunk's HTTP Event Collector", _write)
