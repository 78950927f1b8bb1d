"""A failing application, between the parsed request and its answer."""

import threading
import weakref
from typing import Any

import pytest

from tocsin.server.http.gateway import BodyPending, WorkerPool, run_application
from tocsin.server.http.parser import BodyReader


@pytest.mark.parametrize("fault", [ValueError("a fault"), SystemExit(3)])
@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_a_failing_application_is_a_server_error(fault: BaseException, method: str) -> None:
    """It ends no thread, and the answer to HEAD has no body."""

    def fail(environ: Any, start_response: Any) -> Any:
        raise fault

    answer = run_application(fail, {"REQUEST_METHOD": method}, BodyReader(0, 100))
    assert answer is not None
    assert answer.status.startswith("500 ")
    assert bool(answer.pieces) == (method == "GET")


def test_an_application_that_needs_the_body_has_no_answer_yet() -> None:
    def read(environ: Any, start_response: Any) -> Any:
        return [environ["wsgi.input"].read()]

    def pend(environ: Any, start_response: Any) -> Any:
        raise BodyPending

    for application in (read, pend):
        environ = {"REQUEST_METHOD": "POST"}
        assert run_application(application, environ, BodyReader(5, 100)) is None


def test_an_idle_thread_keeps_nothing_of_its_last_request() -> None:
    gone, pool = threading.Event(), WorkerPool(1)

    def job() -> None:
        """A request."""

    weakref.finalize(job, gone.set)
    pool.submit("somebody", job)
    del job
    pool.start()
    assert gone.wait(5)
    pool.stop(5)
