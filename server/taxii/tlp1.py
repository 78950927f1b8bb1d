"""TLP 1.0 for the accounts that ask for it: their tools know the levels by those ids only.

In an answer each id of TLP 2.0 is replaced by that of TLP 1.0, and each definition of a TLP 2.0
level by that of TLP 1.0, padded with blanks to the same length.  TLP 1.0 has no AMBER+STRICT: it
is shown as RED, never as something weaker.  In a query the ids are replaced the other way round.
Ids of TLP 1.0 that are submitted stand for the same levels in any case.
"""

import re
from collections.abc import Iterable, Iterator, Mapping

import orjson

from tocsin.admission.markings.tlp import TLP_1_IDS, TLP_2_IDS, tlp_definition
from tocsin.admission.model import Tlp

_CREATED_1, _CREATED_2 = b"2017-01-20T00:00:00.000Z", b"2022-10-01T00:00:00.000Z"
_COLOURS = {Tlp.CLEAR: "white", Tlp.GREEN: "green", Tlp.AMBER: "amber", Tlp.RED: "red"}


def _shown_as(level: Tlp) -> Tlp:
    """The level of TLP 1.0 that stands for one of TLP 2.0."""
    return Tlp.RED if level is Tlp.AMBER_STRICT else level


def _definition(level: Tlp) -> bytes:
    """The marking definition of a level (STIX 2.1 section 7.2.1.4)."""
    colour = _COLOURS[level]
    return orjson.dumps(
        {
            "type": "marking-definition",
            "spec_version": "2.1",
            "id": TLP_1_IDS[level],
            "created": _CREATED_1.decode(),
            "definition_type": "tlp",
            "name": f"TLP:{colour.upper()}",
            "definition": {"tlp": colour},
        }
    )


def _padded(definition: bytes, length: int) -> bytes:
    return definition[:-1] + b" " * (length - len(definition)) + b"}"


_IDS = {TLP_2_IDS[each].encode(): TLP_1_IDS[_shown_as(each)].encode() for each in Tlp}
_DEFINITIONS = {
    definition: _padded(_definition(_shown_as(level)), len(definition))
    for level, definition in ((each, orjson.dumps(tlp_definition(each))) for each in Tlp)
}
_LEVELS: Mapping[str, tuple[str, ...]] = {
    shown: tuple(TLP_2_IDS[each] for each in Tlp if TLP_1_IDS[_shown_as(each)] == shown)
    for shown in TLP_1_IDS.values()
}
"""The ids of TLP 2.0 that an id of TLP 1.0 stands for."""
_RECORD = re.compile(
    rb'("id":"(?:%s)","date_added":"[^"]*","version":")%s"' % (b"|".join(_IDS), _CREATED_2)
)
"""The record of a definition in a manifest, up to its version."""
_ID_PARAMETERS = ("match[id]", "match[relationships-all]")


def show_page(octets: bytes) -> bytes:
    """An envelope or a manifest with TLP 1.0 in place of TLP 2.0; of the same length."""
    if b"tlp_2_0" in octets:
        for definition, shown in _DEFINITIONS.items():
            octets = octets.replace(definition, shown)
    octets = _RECORD.sub(rb'\g<1>%s"' % _CREATED_1, octets)
    for id_, shown in _IDS.items():
        octets = octets.replace(id_, shown)
    return octets


def show_versions(octets: bytes, object_id: str) -> bytes:
    """The versions of an object; those of a TLP definition are that of TLP 1.0."""
    return octets.replace(_CREATED_2, _CREATED_1) if object_id.encode() in _IDS else octets


def read_query(pairs: Iterable[tuple[str, str]]) -> Iterator[tuple[str, str]]:
    """The parameters of a query with the ids of TLP 2.0 for those of TLP 1.0.

    One id, or RED, becomes two where it stands for two levels.
    """
    for name, value in pairs:
        values = value.split(",")
        if name in _ID_PARAMETERS:
            value = ",".join(id_ for given in values for id_ in _LEVELS.get(given, (given,)))
        elif name == "match[tlp]" and "red" in values:
            value = f"{value},amber+strict"
        yield name, value


def read_id(object_id: str) -> str:
    """The id of the object that a path names; AMBER+STRICT for RED, which is never published."""
    return _LEVELS.get(object_id, (object_id,))[0]
