"""Settings of the interpreter in which the embedded engine runs; Python loads this by its name.

A thread of the engine that computes lets another one run after 1 ms, not 5: so short look-ups,
which every poll needs, do not wait for the long ones of pages in the console.

The engine imports shapely, and with it numpy, for places on maps, of which a hub has none.  They
took 17 MB of memory and half of the time that its modules take to load.
"""

import sys
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any


class _Unused(ModuleType):
    """A module whose names are all classes without instances, each good for an `except`."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return type(name, (Exception,), {})


class _UnusedModules(MetaPathFinder, Loader):
    """Makes an unused module of shapely and of each of its parts."""

    def find_spec(self, fullname: str, *_: Any) -> ModuleSpec | None:
        is_unused = fullname.partition(".")[0] == "shapely"
        return ModuleSpec(fullname, self, is_package=True) if is_unused else None

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        return _Unused(spec.name)

    def exec_module(self, module: ModuleType) -> None:
        """Nothing to run."""


sys.setswitchinterval(0.001)
sys.meta_path.insert(0, _UnusedModules())
