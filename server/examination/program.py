"""The process behind `processes`: examines submissions within limits.

A frame on standard input or output is `!Q` octets and a value in MessagePack.
The first answer is empty: the process is ready for requests.  It keeps the
examinations that it was asked to begin, and ends when its standard input does,
which it does with the hub.
"""

from __future__ import annotations

import os
import resource
import signal
import struct
import sys
from pathlib import Path
from typing import BinaryIO

import msgspec

from tocsin.admission import parse_policy
from tocsin.admission.errors import Unavailable
from tocsin.admission.model import Candidate
from tocsin.admission.warninglists.index import load_warning_lists
from tocsin.config.cache import load_or_build
from tocsin.server.examination.examiner import ExaminationTask, LocalExamination
from tocsin.server.examination.reading import ReadFile, ReadTask, read_file

FRAME = struct.Struct("!Q")


class Setup(msgspec.Struct, frozen=True):
    """The first frame."""

    policy: str
    """The text of policy.toml."""
    memory: int
    """Octets of address space.  Not enforced on macOS."""
    seconds: float
    """Processor time for one request."""
    niceness: int = 0
    """Precedence that it gives other processes, from 0 to 19 (see nice(2))."""
    lists: str = ""
    """The file of warning lists that the operator loaded; empty if there cannot be one."""


class WorkerRequest(msgspec.Struct, frozen=True, omit_defaults=True):
    """Examine the next objects of a submission."""

    session: int
    most: int = 0
    """Number of candidates wanted at most; 0: forget the submission, without an answer."""
    task: ExaminationTask | None = None
    """Given with the first request of a session."""
    file: ReadTask | None = None
    """Read this file instead; the answer has what was read."""


class WorkerAnswer(msgspec.Struct, frozen=True, omit_defaults=True):
    """The answer to a request."""

    candidates: list[Candidate] = []
    unavailable: str = ""
    """A reason to try again later; empty if there is none."""
    file: ReadFile | None = None


def main() -> None:
    """Answer requests until there are no more."""
    requests, answers = sys.stdin.buffer, _take_output()
    setup = msgspec.msgpack.decode(_read(requests) or b"", type=Setup)
    os.nice(setup.niceness)
    _limit_memory(setup.memory)
    loaded = Path(setup.lists) if setup.lists else None
    lists = load_warning_lists(keep=load_or_build, loaded=loaded)
    policy = parse_policy(setup.policy)
    _write(answers, b"")
    sessions: dict[int, LocalExamination] = {}
    decoder = msgspec.msgpack.Decoder(WorkerRequest)
    while (octets := _read(requests)) is not None:
        signal.setitimer(signal.ITIMER_PROF, setup.seconds)  # its signal ends the process
        request = decoder.decode(octets)
        if request.file is None and not request.most:
            sessions.pop(request.session, None)
            continue
        if request.task is not None:
            sessions[request.session] = LocalExamination.begin(request.task, policy, lists)
        answer = _answer(request, sessions)
        _write(answers, msgspec.msgpack.encode(answer))
        signal.setitimer(signal.ITIMER_PROF, 0)


def _answer(request: WorkerRequest, sessions: dict[int, LocalExamination]) -> WorkerAnswer:
    try:
        if request.file is not None:
            return WorkerAnswer(file=read_file(request.file))
        return WorkerAnswer(sessions[request.session].examine_next(request.most))
    except Unavailable as error:
        return WorkerAnswer(unavailable=str(error))


def _take_output() -> BinaryIO:
    """Standard output for answers only: a library that prints must not be read as one."""
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    return answers


def _limit_memory(octets: int) -> None:
    try:
        resource.setrlimit(resource.RLIMIT_AS, (octets, resource.getrlimit(resource.RLIMIT_AS)[1]))
    except (OSError, ValueError):
        return  # macOS has no limit of address space


def _read(requests: BinaryIO) -> bytes | None:
    head = requests.read(FRAME.size)
    return requests.read(FRAME.unpack(head)[0]) if len(head) == FRAME.size else None


def _write(answers: BinaryIO, octets: bytes) -> None:
    answers.write(FRAME.pack(len(octets)) + octets)
    answers.flush()


if __name__ == "__main__":
    try:
        main()
    except MemoryError:
        os.abort()  # so that the hub can tell why
