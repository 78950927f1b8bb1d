"""The warning lists that the package brings, indexed once for each test process."""

from functools import cache

from tocsin.admission.warninglists.index import Lists, load


@cache
def warning_lists() -> Lists:
    """The index; making it takes a second."""
    return load()
