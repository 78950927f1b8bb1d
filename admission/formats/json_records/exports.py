"""Exports of known programs, read as records; see `exported_values`."""

from collections.abc import Callable, Iterable, Sequence

from tocsin.admission.formats.json_records.beacons import read_beacons
from tocsin.admission.formats.json_records.cowrie import read_cowrie
from tocsin.admission.formats.json_records.exported_values import ExportedValue, drop_repeated
from tocsin.admission.formats.json_records.qradar import read_qradar
from tocsin.admission.formats.json_records.sandboxes import (
    read_cape,
    read_hybrid_analysis,
    read_joe,
)
from tocsin.admission.formats.json_records.threatconnect import read_threatconnect
from tocsin.admission.formats.json_records.virustotal import read_virustotal

_READERS: Sequence[Callable[[object], Iterable[ExportedValue] | None]] = (
    read_virustotal,
    read_qradar,
    read_threatconnect,
    read_cowrie,
    read_beacons,
    read_cape,
    read_joe,
    read_hybrid_analysis,
)
NOTHING_MALICIOUS = "it calls nothing malicious that could be shared"


def find_exported(value: object) -> list[ExportedValue] | None:
    """The values in an export of a known program; None if the value of a file is no such export."""
    for read in _READERS:
        found = read(value)
        if found is not None:
            return drop_repeated(found)
    return None
