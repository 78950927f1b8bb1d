"""Programs of Debian that some tests run the hub with."""

import os
import shutil

import pytest


def require_program(name: str, package: str) -> str:
    """The path of a program; the test is skipped without it, or fails where .ci/run installs it."""
    found = shutil.which(name)
    if found is None:
        reason = f"{name} is not installed: apt-get install {package}"
        if "TOCSIN_TEST_PROGRAMS" in os.environ:
            pytest.fail(reason)
        pytest.skip(reason)
    return found
