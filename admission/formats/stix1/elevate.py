"""The conversion of STIX 1.x to STIX 2.1, in a bounded process of its own.

Never imported by us, but by `bounded_program`: the elevator keeps its options in
module globals, prints messages, and parses untrusted input.
"""

import copy
import hashlib
import importlib
import itertools
import json
import logging
import sys
import traceback
import uuid
from collections.abc import Callable
from typing import Any

_OPTIONS = {
    "missing_policy": "ignore",
    "silent": True,
    "spec_version": "2.1",
    "policy": "no_policy",
}
_CORE = "{http://stix.mitre.org/stix-1}"
_LONGEST_ERROR = 2000
"""Characters of a traceback that are kept for the log, its last ones."""
_MOST_ERRORS = 10
_SLOW_EXTRA = "rfc3987_syntax"
"""A package that jsonschema checks IRIs with where it is installed; compiling its grammar takes
two thirds of the time of a document.  The elevator converts what is not valid all the same."""


def _packages(etree: Any, content: bytes) -> list[tuple[str, bytes]]:
    """The id and the XML of the package and of those nested in it, which the elevator ignores.

    The markings of a package apply to those nested in it.  Each stands alone: a nested one that
    cannot be parsed would take those around it along.
    """
    if b"Related_Package" not in content:
        return [("", content)]
    parser = etree.XMLParser(resolve_entities=False, no_network=True)
    try:
        whole = etree.fromstring(content, parser)
    except etree.XMLSyntaxError:  # for the elevator to refuse
        return [("", content)]
    packages = []
    nested = [each for each in whole.iterdescendants(f"{_CORE}Package") if len(each)]
    for package in reversed(nested):  # the innermost first: each inherits from those around it
        _mark(etree, package)
        package.tag = f"{_CORE}STIX_Package"
        packages.append((package.get("id", ""), etree.tostring(package, with_tail=False)))
        package.getparent().remove(package)
    packages.append((whole.get("id", ""), etree.tostring(whole)))
    return packages[::-1]


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

    A request is the date of objects that have none, a line feed, and the XML.  The answer is a
    JSON object: `bundle`; `failed`, the ids of the packages that cannot be converted; and
    `errors`, the first ones of the elevator, for the log.
    """
    logging.disable(logging.CRITICAL)
    sys.modules[_SLOW_EXTRA] = None  # type: ignore[assignment]  # as if it were not installed
    etree = importlib.import_module("lxml.etree")
    if not hasattr(etree, "_ElementStringResult"):  # gone since lxml 6.1; stixmarx asks for it
        vars(etree)["_ElementStringResult"] = etree._ElementUnicodeResult
    options = importlib.import_module("stix2elevator.options")
    elevator = importlib.import_module("stix2elevator")

    def convert(request: bytes) -> bytes:
        moment, _, document = request.partition(b"\n")
        options.initialize_options({**_OPTIONS, "default_timestamp": moment.decode()})
        vars(uuid)["uuid4"] = _repeatable_uuids(document)
        bundle: dict[str, object] = {"type": "bundle"}
        objects: list[object] = []
        failed, errors = [], []
        for name, package in _packages(etree, document):
            elevated, error = _elevate(elevator, package)
            if elevated:
                converted = json.loads(elevated)
                objects += converted.get("objects", ())
                bundle = {**converted, "objects": objects}
            else:
                failed.append(name)
                errors.append(error)
        answer = {"bundle": bundle, "failed": failed, "errors": errors[:_MOST_ERRORS]}
        return json.dumps(answer).encode()

    return convert


def _repeatable_uuids(document: bytes) -> Callable[[], uuid.UUID]:
    """UUIDs for what has no id in STIX 1.x, such as a relationship.

    A document gets the same ones each time, or what is sent again would be other objects.
    """
    digest, numbers = hashlib.sha256(document).digest(), itertools.count()

    def make() -> uuid.UUID:
        number = next(numbers).to_bytes(8, "big")
        return uuid.UUID(bytes=hashlib.sha256(digest + number).digest()[:16], version=4)

    return make


def _elevate(elevator: Any, package: bytes) -> tuple[str, str]:
    """The package as a bundle, empty if it cannot be converted, and then the error."""
    try:
        return elevator.elevate(package) or "", "no result"
    except MemoryError:
        raise
    except Exception:  # it takes the shape of a package for granted
        return "", traceback.format_exc()[-_LONGEST_ERROR:]
