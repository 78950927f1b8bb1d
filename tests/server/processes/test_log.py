"""The log of a process."""

import os
import subprocess
import sys

_LOG_FROM_ANOTHER_ZONE = """
import logging, time
from tocsin.server.processes import log
time.tzset()
log.begin_log("info")
record = logging.LogRecord("hub", logging.INFO, "", 0, "done", None, None)
record.created, record.msecs = 1700000000.25, 250.0
logging.getLogger().handle(record)
"""


_LOG_OF_THE_DATABASE = """
import logging
from tocsin.server.processes import log
log.begin_log("debug")
for name in ("hub", "pymongo.command"):
    logging.getLogger(name).debug("the command")
"""


def test_not_even_at_debug_does_the_log_have_commands_to_the_database() -> None:
    command = [sys.executable, "-c", _LOG_OF_THE_DATABASE]
    ran = subprocess.run(command, capture_output=True, text=True, check=True, timeout=30)
    assert ran.stderr.count("the command") == 1 and "DEBUG hub the command" in ran.stderr


def test_times_in_the_log_are_in_utc() -> None:
    ran = subprocess.run(
        [sys.executable, "-c", _LOG_FROM_ANOTHER_ZONE],
        env={**os.environ, "TZ": "Asia/Kathmandu"},
        capture_output=True,
        text=True,
        check=True,
        timeout=30,
    )
    assert ran.stderr == "2023-11-14T22:13:20.250Z INFO hub done\n"
