"""Configurations of Cobalt Strike's beacons, as parsers and scanners write them.

The servers of a beacon are an attacker's.  With a name for the header `Host`, it may hide behind
those of somebody else, so the names are held.  No other setting is read: a proxy with its user is
the victim's.
"""

from collections.abc import Iterator
from itertools import chain

from tocsin.admission.extraction.field_names import names_event, split_heading
from tocsin.admission.formats.json_records.exported_values import (
    SAMPLE,
    ExportedValue,
    Members,
    find_object,
    find_texts,
    list_objects,
    read_hashes,
)

_ARCHITECTURES = ("x86", "x64")
_CONFIGS = ("config", "BeaconConfig", "beacon_config", "beacon")
"""Members that hold a configuration, beside the hashes of the beacon."""
_SERVERS, _HOST_HEADER = "c2 server", "host header"
_NEEDED = frozenset((_SERVERS, "beacon type"))
_FRONTED = "the beacon sends another name in its header 'Host', so this may be anybody's server"


def read_beacons(value: object) -> Iterator[ExportedValue] | None:
    """The servers and hashes of beacons; None if the value holds none."""
    objects = list_objects(value)
    if not any(chain.from_iterable(map(_find_beacons, objects[:SAMPLE]))):
        return None
    return chain.from_iterable(map(_read_object, objects))


def _read_object(found: Members) -> Iterator[ExportedValue]:
    """The values of an object with beacons: a configuration, or the result of a scan."""
    of_scan = False
    for beacon, settings in _find_beacons(found):
        of_scan = of_scan or beacon is not found
        yield from read_hashes(beacon, found, None)
        doubt = _FRONTED if any(find_texts(settings, _HOST_HEADER)) else ""
        for each in find_texts(settings, _SERVERS):
            yield from _read_servers(each, found, doubt)
    if of_scan and "port" in found and not any(map(names_event, found)):
        yield from (ExportedValue("host", each, found) for each in find_texts(found, "host", "ip"))


def _read_servers(text: str, origin: Members, doubt: str) -> Iterator[ExportedValue]:
    """The servers in `evil.top,/a.js,45.9.70.7,/b.js`, which name a path after each."""
    for each in map(str.strip, text.split(",")):
        if each and not each.startswith("/"):
            yield ExportedValue("host", each, origin, doubt=doubt)


def _find_beacons(found: Members) -> Iterator[tuple[Members, Members]]:
    """The objects with hashes of beacons, and their settings by the words of their names."""
    for each in (found, *(find_object(found, name) for name in _ARCHITECTURES)):
        for held in (each, *(find_object(each, name) for name in _CONFIGS)):
            settings = {split_heading(name): value for name, value in held.items()}
            if settings.keys() >= _NEEDED:
                yield each, settings
