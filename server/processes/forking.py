"""Processes that begin as copies of this one, with all that it has loaded.

They cost no import, and share with this process the memory that none of them changes.
"""

from __future__ import annotations

import ctypes
import gc
import io
import os
import signal
import subprocess
import sys
import threading
import time
import traceback
from collections.abc import Callable, Collection
from contextlib import suppress
from pathlib import Path
from typing import NoReturn

_TASKS, _FILES = Path("/proc/self/task"), Path("/proc/self/fd")
_PR_SET_NAME = 15
"""See prctl(2)."""
ANSWERING_NAME, CONSOLE_NAME = "tocsin-answer", "tocsin-console"
"""The names of the processes that answer requests, and of the one that serves the console."""
_FIRST_PAUSE, _LONGEST_PAUSE = 0.0005, 0.05
"""Seconds between two looks whether a process has ended."""


def can_fork() -> bool:
    """True if a copy of this process would be whole: it has no thread but the one that asks.

    Always False on another system than Linux.
    """
    try:
        return sys.platform == "linux" and len(list(_TASKS.iterdir())) == 1
    except OSError:
        return False


def name_process(name: str) -> None:
    """Let `ps -o comm`, `top` and the metrics show this process under a name of up to 15 letters.

    For the main thread.  It asks the kernel, since /proc may be read-only.
    """
    with suppress(AttributeError, OSError):  # not on Linux
        ctypes.CDLL(None).prctl(_PR_SET_NAME, name.encode(), 0, 0, 0)


class ForkedProcess:
    """A child process that runs a function; to be used like `subprocess.Popen`.

    Standard input and output of the child are pipes, standard error is that of this process.
    Safe for threads.
    """

    def __init__(self, run: Callable[[], int], inherited: Collection[int]) -> None:
        """`run` gives the exit code.  Only where `can_fork`.

        The child has the file descriptors of `inherited` and no others, so it holds no lock, and
        no pipe of another child.  Raises OSError.
        """
        gc.collect()
        gc.freeze()  # the child's garbage collection would copy what it looks at
        child_input, ours = os.pipe()
        self.stdin = io.FileIO(ours, "wb")
        ours, child_output = os.pipe()
        self.stdout = io.FileIO(ours, "rb")
        self._lock = threading.Lock()
        self._code: int | None = None
        for stream in (sys.stdout, sys.stderr):
            with suppress(AttributeError, OSError):  # there is none, or no room behind it
                stream.flush()  # else the child might print it again
        try:
            self.pid = os.fork()
            if self.pid == 0:
                _run(run, child_input, child_output, inherited)
        finally:
            os.close(child_input)
            os.close(child_output)

    def poll(self) -> int | None:
        """The exit code, negative for a signal; None while the process runs."""
        with self._lock:
            if self._code is None:
                try:
                    pid, status = os.waitpid(self.pid, os.WNOHANG)
                except ChildProcessError:  # this process was started with SIGCHLD ignored
                    pid, status = self.pid, 0
                if pid:
                    self._code = os.waitstatus_to_exitcode(status)
            return self._code

    def wait(self, timeout: float | None = None) -> int:
        """Wait for the exit code.  Raises subprocess.TimeoutExpired after `timeout` seconds."""
        if timeout is None:
            with suppress(ChildProcessError):  # another thread has taken note of its end
                os.waitid(os.P_PID, self.pid, os.WEXITED | os.WNOWAIT)
        deadline = time.monotonic() + (timeout or 0)
        pause = _FIRST_PAUSE
        while (code := self.poll()) is None:
            if timeout is not None and time.monotonic() > deadline:
                raise subprocess.TimeoutExpired(f"process {self.pid}", timeout)
            time.sleep(pause)
            pause = min(2 * pause, _LONGEST_PAUSE)
        return code

    def send_signal(self, number: int) -> None:
        """Send a signal; nothing happens if the process has ended."""
        with self._lock:  # nobody else takes note of its end meanwhile, so the id is still its own
            if self._code is None:
                with suppress(ProcessLookupError):  # gone where SIGCHLD is ignored
                    os.kill(self.pid, number)

    def terminate(self) -> None:
        """Send SIGTERM."""
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        """Send SIGKILL."""
        self.send_signal(signal.SIGKILL)

    def __enter__(self) -> ForkedProcess:
        return self

    def __exit__(self, *_: object) -> None:
        """Close the pipes, and wait for the end."""
        self.stdin.close()
        self.stdout.close()
        self.wait()


def _run(
    run: Callable[[], int], child_input: int, child_output: int, inherited: Collection[int]
) -> NoReturn:
    """Become the child: run, and end without a return to what the parent was doing."""
    code = 1
    try:
        os.setsid()  # a terminal's Ctrl-C is for the parent to handle
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, signal.SIG_DFL)
        os.dup2(child_input, 0)
        os.dup2(child_output, 1)
        _close_all_but({0, 1, 2, *inherited})
        code = run()
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else int(end.code is not None)
    except BaseException:
        traceback.print_exc()
    finally:
        try:
            sys.stderr.flush()
        finally:
            os._exit(code)


def _close_all_but(kept: Collection[int]) -> None:
    for each in [int(path.name) for path in _FILES.iterdir()]:
        if each not in kept:
            try:
                os.close(each)
            except OSError:
                continue  # that of the listing itself
