"""A fair queue: no account keeps others from their files, nor all threads waiting."""

import threading
import time

import pytest

from tocsin.admission.errors import Unavailable
from tocsin.server.export.fair_queue import FairQueue


class Clock:
    """A clock that a test moves."""

    now = 100.0

    def __call__(self) -> float:
        return self.now


def is_refused(queue: FairQueue, account: str) -> bool:
    try:
        with queue.take(account):
            return False
    except Unavailable as error:
        assert error.seconds
        return True


def test_an_account_that_took_long_rests_while_another_one_was_refused() -> None:
    clock = Clock()
    queue = FairQueue(clock)
    with queue.take("west"):
        clock.now += 5
        assert is_refused(queue, "acme")
    assert is_refused(queue, "west")
    assert not is_refused(queue, "acme")
    assert not is_refused(queue, "west")


def test_it_rests_no_longer_than_twice_the_time_that_it_took() -> None:
    clock = Clock()
    queue = FairQueue(clock)
    with queue.take("west"):
        clock.now += 5
        assert is_refused(queue, "acme")
    clock.now += 9.9
    assert is_refused(queue, "west")
    clock.now += 0.2
    assert not is_refused(queue, "west")


def test_an_account_does_not_rest_for_what_all_need() -> None:
    clock = Clock()
    queue = FairQueue(clock)
    with queue.take("west", is_shared=True):
        clock.now += 5
        assert is_refused(queue, "acme")
    assert not is_refused(queue, "west")


def test_an_account_that_is_alone_never_rests() -> None:
    clock = Clock()
    queue = FairQueue(clock)
    for _ in range(3):
        with queue.take("west"):
            clock.now += 5
            assert is_refused(queue, "west")


@pytest.mark.slow
@pytest.mark.parametrize(("accounts", "most"), [(["west"] * 10, 2), (list("abcdefghij"), 6)])
def test_only_a_few_requests_wait(accounts: list[str], most: int) -> None:
    queue = FairQueue(patience=1.0)
    seconds: list[float] = []

    def ask(account: str) -> None:
        begin = time.monotonic()
        assert is_refused(queue, account)
        seconds.append(time.monotonic() - begin)

    threads = [threading.Thread(target=ask, args=(account,)) for account in accounts]
    with queue.take("acme"):
        for each in threads:
            each.start()
        for each in threads:
            each.join()
    assert sum(each > 0.9 for each in seconds) == most


def test_a_turn_that_fails_is_given_back() -> None:
    queue = FairQueue()
    with pytest.raises(ZeroDivisionError), queue.take("west"):
        raise ZeroDivisionError
    assert not is_refused(queue, "acme")
