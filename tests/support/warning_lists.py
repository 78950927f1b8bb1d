"""The shipped warning lists, loaded once per test process."""

from functools import cache

from tocsin.admission.warninglists.index import WarningLists, load_warning_lists
from tocsin.config.cache import load_or_build


@cache
def warning_lists() -> WarningLists:
    """Load the index; building it takes a second, so test processes share it on disk."""
    return load_warning_lists(keep=load_or_build)
