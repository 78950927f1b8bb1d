"""The program that makes STIX 2.1 of STIX 1.x: XML on standard input, JSON on standard output.

Run by `stix1` in a process of its own and never imported: the elevator keeps
its options in module globals, prints what it thinks, and parses what a
stranger wrote.  So it gets little memory and time, may write no file once it
looks at that, and may not reach the network.
"""

import contextlib
import importlib
import io
import logging
import resource
import sys

_MEMORY = 1_500_000_000
_SECONDS = 120
_TABLES = 1_000_000
"""The longest file, in octets, while the elevator is loaded: a library of its own keeps tables
in the home that it finds, which is an empty one."""
_FORBIDDEN = ("socket.connect", "socket.bind", "socket.getaddrinfo", "socket.sendto")
_NO_PROCESS = ("subprocess.Popen", "os.system", "os.exec", "os.fork", "os.posix_spawn")


def _guard(event: str, details: tuple[object, ...]) -> None:
    if event in _FORBIDDEN or event in _NO_PROCESS:
        raise PermissionError(f"{event} is not for this program")


def _limit() -> None:
    resource.setrlimit(resource.RLIMIT_AS, (_MEMORY, _MEMORY))
    resource.setrlimit(resource.RLIMIT_CPU, (_SECONDS, _SECONDS))
    resource.setrlimit(resource.RLIMIT_FSIZE, (_TABLES, _TABLES))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def main(moment: str) -> int:
    """Elevates; `moment` is the time of what has none.  1 if it is no STIX 1.x."""
    _limit()
    content = sys.stdin.buffer.read()
    sys.addaudithook(_guard)
    logging.disable(logging.CRITICAL)
    with contextlib.redirect_stdout(io.StringIO()):
        etree = importlib.import_module("lxml.etree")
        if not hasattr(etree, "_ElementStringResult"):  # gone since lxml 6.1; stixmarx asks for it
            vars(etree)["_ElementStringResult"] = etree._ElementUnicodeResult
        options = importlib.import_module("stix2elevator.options")
        elevator = importlib.import_module("stix2elevator")
        resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
        options.initialize_options(
            {
                "missing_policy": "ignore",
                "default_timestamp": moment,
                "silent": True,
                "spec_version": "2.1",
                "policy": "no_policy",
            }
        )
        elevated = elevator.elevate(content)
    if not elevated:
        return 1
    sys.stdout.buffer.write(elevated.encode())
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
