"""Number of examples of property tests."""

import os


def examples(thorough: int, quick: int | None = None) -> int:
    """Return `thorough` with scripts/test --all, else `quick` (a fifth, at least 5).

    $TOCSIN_TEST_EXAMPLES overrides both.
    """
    if number := os.environ.get("TOCSIN_TEST_EXAMPLES"):
        return int(number)
    if os.environ.get("TOCSIN_TEST_ALL"):
        return thorough
    return quick or max(5, thorough // 5)
