"""The program that converts STIX 1.x to STIX 2.1: XML on standard input, JSON on standard output.

Run by `stix1` in a process of its own and never imported: the elevator keeps
its options in module globals, prints messages, and parses untrusted input.
Its memory and time are limited, it cannot write files while it converts, and it
cannot reach the network.
"""

import contextlib
import copy
import importlib
import io
import json
import logging
import resource
import sys
from collections.abc import Iterator
from typing import Any

_MEMORY = 1_500_000_000
_SECONDS = 120
_TABLES = 1_000_000
"""The longest file, in octets, while the elevator is loaded: a library of it writes tables to
the home directory, an empty one."""
_CORE = "{http://stix.mitre.org/stix-1}"
_FORBIDDEN = ("socket.connect", "socket.bind", "socket.getaddrinfo", "socket.sendto")
_NO_PROCESS = ("subprocess.Popen", "os.system", "os.exec", "os.fork", "os.posix_spawn")


def _guard(event: str, details: tuple[object, ...]) -> None:
    if event in _FORBIDDEN or event in _NO_PROCESS:
        raise PermissionError(f"this program must not use {event}")


def _limit() -> None:
    resource.setrlimit(resource.RLIMIT_AS, (_MEMORY, _MEMORY))
    resource.setrlimit(resource.RLIMIT_CPU, (_SECONDS, _SECONDS))
    resource.setrlimit(resource.RLIMIT_FSIZE, (_TABLES, _TABLES))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


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


def main(moment: str) -> int:
    """Convert; `moment` is the date of objects that have none.  1 if it is not STIX 1.x."""
    _limit()
    sys.addaudithook(_guard)
    objects: list[object] = []
    logging.disable(logging.CRITICAL)
    with contextlib.redirect_stdout(io.StringIO()):
        etree = importlib.import_module("lxml.etree")
        if not hasattr(etree, "_ElementStringResult"):  # gone since lxml 6.1; stixmarx asks for it
            vars(etree)["_ElementStringResult"] = etree._ElementUnicodeResult
        importlib.import_module("stix2elevator.options").initialize_options(
            {
                "missing_policy": "ignore",
                "default_timestamp": moment,
                "silent": True,
                "spec_version": "2.1",
                "policy": "no_policy",
            }
        )
        elevator = importlib.import_module("stix2elevator")
        resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
        for package in _packages(etree, sys.stdin.buffer.read()):
            elevated = elevator.elevate(package)
            if not elevated:
                return 1
            bundle = json.loads(elevated)
            objects += bundle.get("objects", ())
    sys.stdout.buffer.write(json.dumps({**bundle, "objects": objects}).encode())
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
