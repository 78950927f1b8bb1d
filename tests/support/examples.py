"""How many examples property tests try."""

import os


def examples(thorough: int, quick: int | None = None) -> int:
    """`thorough` with scripts/test --all, else `quick` (a fifth, at least 5).

    $TOCSIN_TEST_EXAMPLES says another number, for trying much harder.
    """
    if said := os.environ.get("TOCSIN_TEST_EXAMPLES"):
        return int(said)
    if os.environ.get("TOCSIN_TEST_ALL"):
        return thorough
    return quick or max(5, thorough // 5)
