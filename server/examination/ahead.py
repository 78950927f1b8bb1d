"""Examine a submission before its turn, while another one is settled.

Settling waits for the database most of the time, so both go on at once.  Results are kept
until the submission has its turn.  So are faults of the examination, which are counted
against the submission only then.
"""

from __future__ import annotations

import threading

from tocsin.admission.model import Candidate
from tocsin.server.examination.examiner import Examination, step_length


class ExaminationAhead:
    """An examination that goes on in a thread, step by step, until all is examined."""

    def __init__(self, examination: Examination, objects: tuple[bytes, ...]) -> None:
        """`objects` are those of the task; `examination` ends with this one."""
        self._examination = examination
        self._objects = objects
        self._examined: list[Candidate] = []
        """Examined candidates that `examine_next` has not returned yet."""
        self._number = 0
        """Candidates that were examined so far."""
        self._error: Exception | None = None
        self._is_over = False
        self._changed = threading.Condition()
        self._thread = threading.Thread(target=self._run, name="examination ahead", daemon=True)
        self._thread.start()

    def examine_next(self, most: int) -> list[Candidate]:
        """See `Examination.examine_next`."""
        with self._changed:
            self._changed.wait_for(lambda: self._is_over or len(self._examined) >= most)
            if self._error is not None and not self._examined:
                raise self._error
            found, self._examined = self._examined[:most], self._examined[most:]
        return found

    def close(self) -> None:
        """See `Examination.close`.  Does not wait for the step under way."""
        with self._changed:
            self._is_over = True

    def _run(self) -> None:
        try:
            while not self._is_over and self._number < len(self._objects):
                self._step()
        except Exception as error:  # raised where the submission has its turn
            self._error = error
        finally:
            with self._changed:
                self._is_over = True
                self._changed.notify_all()
            self._examination.close()

    def _step(self) -> None:
        found = self._examination.examine_next(step_length(self._objects, self._number))
        with self._changed:
            self._examined += found
            self._number = self._number + len(found) if found else len(self._objects)
            self._changed.notify_all()
