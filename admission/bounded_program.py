"""The process behind `bounded_process`: answer requests of one task within limits.

Run by path and never imported, so that it loads nothing but the task.  It limits
its own memory and its processor time for each request, and ends when its standard
input ends, which it does with the process that started it.

Python code in it may not connect or start programs, nor, once the task is loaded,
write files or call native libraries; native code that was taken over can.  It is
not a sandbox: run the hub as a user of its own.

A frame of requests on standard input is `!I` requests, `!Q` octets for each, and
their bodies.  An answer on standard output is `!BdQ`: one of the kinds below,
seconds of processor time and octets, and its body.  FAILED and NOT_READY have the
error for the log; the last answer of a frame is followed by END.
"""

import contextlib
import importlib.util
import math
import os
import resource
import signal
import struct
import sys
import traceback
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO

ANSWER, END, FAILED, NOT_READY = range(4)

_FORBIDDEN = frozenset(
    (
        *("socket.connect", "socket.bind", "socket.sendto", "socket.sendmsg"),
        *("socket.getaddrinfo", "socket.getnameinfo"),
        *("socket.gethostbyname", "socket.gethostbyaddr"),
        *("subprocess.Popen", "os.system", "os.exec", "os.fork", "os.forkpty", "os.posix_spawn"),
        *("os.spawn", "pty.spawn"),
    )
)
_FORBIDDEN_ONCE_LOADED = frozenset(
    ("ctypes.dlopen", "ctypes.dlsym", "os.truncate", "os.remove", "os.rename")
)
"""Events of libraries that are being loaded; no request is a reason for them."""
_WRITING = os.O_WRONLY | os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_TRUNC
"""Flags with which a file is opened to be written, or emptied."""
_ROOT = Path(__file__).parent
_PACKAGE = "tocsin.admission"
_LONG = 0.25
"""Seconds of processor time after which the rest of a frame is left for another turn, so that
others who wait for a process get theirs."""


def main(task: str, seconds: str, memory: str, file_octets: str) -> None:
    """Answer frames of requests until there are no more.

    `task` is `MODULE` or `MODULE:ARGUMENT`: a module below `tocsin.admission`, or the path of a
    file, with a function `prepare` that gives the function that turns a request into an answer.
    """
    requests, answers = sys.stdin.buffer, _take_output()
    _limit(int(memory), int(file_octets))
    sys.addaudithook(_guard)
    module, _, argument = task.partition(":")
    try:
        answer = _load(module).prepare(*argument.split())
    except Exception:
        _write(answers, NOT_READY, 0, traceback.format_exc().encode()[-2000:])
        return
    _limit_for_good(resource.RLIMIT_FSIZE, 0)
    sys.addaudithook(_guard_loaded)
    while _answer_frame(requests, answers, answer, float(seconds)):
        if _used_memory() > int(memory) // 3:
            return  # a verdict must not depend on the requests before it


def _take_output() -> BinaryIO:
    """Standard output for answers only: a library that prints must not be read as one."""
    answers = os.fdopen(os.dup(1), "wb")
    with open(os.devnull, "wb") as nothing:
        os.dup2(nothing.fileno(), 1)
    return answers


def _load(name: str) -> types.ModuleType:
    """The module alone: the packages around it are bare, for their own code loads the rest."""
    if name.endswith(".py"):
        spec = importlib.util.spec_from_file_location("task", name)
        assert spec and spec.loader  # noqa: S101  (it is a Python file)
        task = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(task)
        return task
    steps = name.removeprefix(f"{_PACKAGE}.").split(".")
    bare = {"tocsin": _ROOT.parent / "tocsin", _PACKAGE: _ROOT}
    for depth in range(1, len(steps)):
        bare[".".join((_PACKAGE, *steps[:depth]))] = _ROOT.joinpath(*steps[:depth])
    for package, folder in bare.items():
        module = types.ModuleType(package)
        module.__path__ = [str(folder)]
        sys.modules[package] = module
    return importlib.import_module(name)


def _limit(memory: int, file_octets: int) -> None:
    _limit_for_good(resource.RLIMIT_AS, memory)
    _limit_for_good(resource.RLIMIT_FSIZE, file_octets)
    _limit_for_good(resource.RLIMIT_CORE, 0)


def _limit_for_good(kind: int, most: int) -> None:
    """Set the hard limit too, which no code in this process can raise unless it runs as root."""
    with contextlib.suppress(OSError, ValueError):  # macOS has no limit of address space
        hard = resource.getrlimit(kind)[1]
        if hard != resource.RLIM_INFINITY:
            most = min(most, hard)
        resource.setrlimit(kind, (most, most))


def _limit_processor_time(seconds: int) -> None:
    """The soft limit only: the next frame moves it, which a hard one would not allow."""
    with contextlib.suppress(OSError, ValueError):
        resource.setrlimit(
            resource.RLIMIT_CPU, (seconds, resource.getrlimit(resource.RLIMIT_CPU)[1])
        )


def _guard(event: str, details: tuple[object, ...]) -> None:
    if event in _FORBIDDEN:
        raise PermissionError(f"this program must not use {event}")


def _guard_loaded(event: str, details: tuple[Any, ...]) -> None:
    if event in _FORBIDDEN_ONCE_LOADED or (event == "open" and details[2] & _WRITING):
        raise PermissionError(f"this program must not use {event} once it is loaded")


def _answer_frame(
    requests: BinaryIO, answers: BinaryIO, answer: Callable[[bytes], bytes], seconds: float
) -> bool:
    """Answer one frame; False if there is none."""
    head = requests.read(4)
    if len(head) < 4:
        return False
    count = struct.unpack("!I", head)[0]
    sizes = struct.unpack(f"!{count}Q", requests.read(8 * count))
    bodies = [requests.read(size) for size in sizes]
    spent, began = 0.0, _processor_time()
    _limit_processor_time(math.ceil(began + _LONG + seconds) + 1)  # if the timer fails
    for body in bodies:
        signal.setitimer(signal.ITIMER_PROF, seconds)  # its signal ends the process
        kind, content = _answer(answer, body)
        signal.setitimer(signal.ITIMER_PROF, 0)
        ended = _processor_time()
        _write(answers, kind, ended - began, content)
        spent, began = spent + ended - began, ended
        if spent > _LONG:
            break
    _write(answers, END, 0, b"")
    return True


def _answer(answer: Callable[[bytes], bytes], body: bytes) -> tuple[int, bytes]:
    try:
        return ANSWER, answer(body)
    except MemoryError:
        os.abort()  # the same end as that of a compiler in Rust or C++ without memory
    except Exception:
        return FAILED, traceback.format_exc().encode()[-2000:]


def _write(answers: BinaryIO, kind: int, seconds: float, content: bytes) -> None:
    answers.write(struct.pack("!BdQ", kind, seconds, len(content)) + content)
    answers.flush()


def _processor_time() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def _used_memory() -> int:
    """Octets of address space that are in use; 0 where the system does not limit them.

    The greatest resident size is of no use: on Linux it begins with that of the parent.
    """
    with contextlib.suppress(OSError), open("/proc/self/statm") as file:
        return int(file.read().split()[0]) * resource.getpagesize()
    return 0


if __name__ == "__main__":
    main(*sys.argv[1:])
