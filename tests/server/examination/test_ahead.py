"""An examination in a thread: the same results in the same order, faults in their place."""

import threading
from collections.abc import Callable

import pytest

from tocsin.admission.model import Candidate
from tocsin.server.examination.ahead import ExaminationAhead
from tocsin.server.examination.examiner import STEP, WorkerEnded

OBJECTS = (b"{}",) * 250


class Examination:
    """Examines nothing; may be held up, and may fail."""

    def __init__(self, before_step: Callable[[int], None] = lambda start: None) -> None:
        self.start = 0
        self.closed = threading.Event()
        self._before_step = before_step

    def examine_next(self, most: int) -> list[Candidate]:
        """See `Examination.examine_next`."""
        self._before_step(self.start)
        first, self.start = self.start, min(self.start + most, len(OBJECTS))
        return [Candidate(index, None) for index in range(first, self.start)]

    def close(self) -> None:
        """See `Examination.close`."""
        self.closed.set()


def take(ahead: ExaminationAhead, most: int) -> list[int]:
    """Ask for the next candidates; their indexes."""
    return [each.index for each in ahead.examine_next(most)]


def test_what_is_asked_for_comes_in_order_until_nothing_is_left() -> None:
    ahead = ExaminationAhead(Examination(), OBJECTS)
    found = [take(ahead, most) for most in (30, 100, 100, 100, 100)]
    assert sum(found, []) == list(range(250))
    assert [len(each) for each in found] == [30, 100, 100, 20, 0]


def test_it_goes_on_without_being_asked() -> None:
    examination = Examination()
    ExaminationAhead(examination, OBJECTS)
    assert examination.closed.wait(10)
    assert examination.start == 250


def test_what_was_examined_comes_before_the_fault() -> None:
    def fail(start: int) -> None:
        if start >= STEP:
            raise WorkerEnded("it ended")

    examination = Examination(fail)
    ahead = ExaminationAhead(examination, OBJECTS)
    assert take(ahead, STEP) == list(range(STEP))
    for _ in range(2):
        with pytest.raises(WorkerEnded):
            ahead.examine_next(STEP)
    assert examination.closed.wait(10)


def test_closing_ends_it_after_the_step_under_way() -> None:
    begun, may_go_on = threading.Event(), threading.Event()

    def wait(start: int) -> None:
        begun.set()
        may_go_on.wait(10)

    examination = Examination(wait)
    ahead = ExaminationAhead(examination, OBJECTS)
    assert begun.wait(10)
    ahead.close()
    may_go_on.set()
    assert examination.closed.wait(10)
    assert examination.start == STEP
