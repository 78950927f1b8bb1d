"""The warning lists that the package brings, indexed once for each test process."""

from functools import cache

from tocsin.admission.warninglists.index import WarningLists, load_warning_lists


@cache
def warning_lists() -> WarningLists:
    """The index; making it takes a second."""
    return load_warning_lists()
