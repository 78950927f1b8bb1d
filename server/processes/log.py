"""The form of the log that each process of a hub writes to standard error."""

from __future__ import annotations

import logging
import time

_LOG_FORMAT = "%(asctime)s.%(msecs)03dZ %(levelname)s %(name)s %(message)s"
_LOG_TIME = "%Y-%m-%dT%H:%M:%S"


def begin_log(level: str) -> None:
    """Log to standard error from this level on; times are in UTC, as in the journal."""
    formatter = logging.Formatter(_LOG_FORMAT, _LOG_TIME)
    formatter.converter = time.gmtime
    handler = logging.StreamHandler()
    handler.setFormatter(formatter)
    logging.basicConfig(level=level.upper(), handlers=[handler])
    # At debug it logs commands with their content: hashes of passwords, mailboxes, objects.
    logging.getLogger("pymongo").setLevel(max(logging.WARNING, logging.root.level))
