"""How many processes answer; `end_to_end/test_answering_processes.py` runs them."""

import os

import pytest

from tocsin.config.settings import HubSettings
from tocsin.server.answering.processes import count_answering


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="this system has no affinity")
def test_a_hub_that_may_use_one_processor_answers_in_its_first_process() -> None:
    usual = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(usual)})
    try:
        assert count_answering(HubSettings()) == 0
    finally:
        os.sched_setaffinity(0, usual)
