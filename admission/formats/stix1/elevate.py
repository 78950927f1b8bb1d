"""The conversion of STIX 1.x to STIX 2.1, in a bounded process of its own.

Never imported by us, but by `bounded_program`: the elevator keeps its options in
module globals, prints messages, and parses untrusted input.
"""

import copy
import importlib
import json
import logging
from collections.abc import Callable, Iterator
from typing import Any, cast

_OPTIONS = {
    "missing_policy": "ignore",
    "silent": True,
    "spec_version": "2.1",
    "policy": "no_policy",
}
_CORE = "{http://stix.mitre.org/stix-1}"


def _packages(etree: Any, content: bytes) -> Iterator[bytes]:
    """The package, then those nested in it, which the elevator ignores.

    The markings of a package apply to those nested in it.
    """
    yield content
    if b"Related_Package" not in content:
        return
    parser = etree.XMLParser(resolve_entities=False, no_network=True)
    whole = etree.fromstring(content, parser)
    inside = [each for each in whole.iter(f"{_CORE}Package") if len(each)]
    for package in reversed(inside):  # the innermost first: each inherits from those around it
        _mark(etree, package)
        package.tag = f"{_CORE}STIX_Package"
        yield etree.tostring(package, with_tail=False)


def _mark(etree: Any, package: Any) -> None:
    """Add the markings of the packages around a package to its own."""
    around = package.iterancestors(f"{_CORE}STIX_Package", f"{_CORE}Package")
    handling = f"{_CORE}STIX_Header/{_CORE}Handling/*"
    marks = [copy.deepcopy(mark) for outer in around for mark in outer.iterfind(handling)]
    if not marks:
        return
    place = package
    for at, name in enumerate(("STIX_Header", "Handling")):
        found = place.find(_CORE + name)
        if found is None:
            found = etree.Element(_CORE + name)
            place.insert(0 if at == 0 else len(place), found)
        place = found
    place.extend(marks)


def prepare() -> Callable[[bytes], bytes]:
    """The converter, for `bounded_program`.

    A request is the date of objects that have none, a line feed, and the XML; the answer is a
    bundle as JSON, empty if it is not STIX 1.x.
    """
    logging.disable(logging.CRITICAL)
    etree = importlib.import_module("lxml.etree")
    if not hasattr(etree, "_ElementStringResult"):  # gone since lxml 6.1; stixmarx asks for it
        vars(etree)["_ElementStringResult"] = etree._ElementUnicodeResult
    options = importlib.import_module("stix2elevator.options")
    elevator = importlib.import_module("stix2elevator")

    def convert(request: bytes) -> bytes:
        moment, _, document = request.partition(b"\n")
        options.initialize_options({**_OPTIONS, "default_timestamp": moment.decode()})
        objects: list[object] = []
        bundle: dict[str, object] = {}
        for package in _packages(etree, document):
            try:
                elevated = elevator.elevate(package)
            except MemoryError:
                raise
            except Exception:  # it takes the shape of a package for granted
                return b""
            if not elevated:
                return b""
            bundle = json.loads(elevated)
            objects += cast(list[object], bundle.get("objects", []))
        return json.dumps({**bundle, "objects": objects}).encode()

    return convert
