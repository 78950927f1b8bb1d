"""How the two commands begin: an interrupt ends them in good order while they load their modules.

Loads next to nothing itself, because an interrupt before `run_program` is Python's, which answers
with a traceback.
"""

import os
import signal
from importlib import import_module
from types import FrameType, ModuleType

_INTERRUPTED = 130
"""As `stdio.INTERRUPTED`."""


def run_program(module: str) -> int:
    """Load the module of a command, call its `main` and return the exit code."""
    try:
        code: int = load_module(module).main()
    except KeyboardInterrupt:  # `main` had not come to where it says so itself
        return _INTERRUPTED
    return code


def load_module(name: str, last_line: str = "") -> ModuleType:
    """Import a module; an interrupt ends the process at once, with this line on standard error.

    As an exception it could be lost, because Python only reports those of a callback, and some
    modules in C do not survive one while they are loaded.  If interrupts are ignored or answered in
    another way, that stays so.
    """

    def end(number: int, frame: FrameType | None) -> None:
        try:
            os.write(2, last_line.encode())
        finally:
            os._exit(_INTERRUPTED)

    if signal.getsignal(signal.SIGINT) is not signal.default_int_handler:
        return import_module(name)
    try:
        signal.signal(signal.SIGINT, end)
    except ValueError:  # not the main thread
        return import_module(name)
    try:
        return import_module(name)
    finally:
        signal.signal(signal.SIGINT, signal.default_int_handler)
