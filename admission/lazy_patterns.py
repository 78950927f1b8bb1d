"""Regular expressions that are compiled when they are first used.

Admission has more than six hundred of them, and one command uses some forty: compiling all
at import took a third of the time that a client needs to start.
"""

import re
from typing import cast


class _LazyPattern:
    """Everything that a compiled expression has, compiled at the first use of any of it."""

    def __init__(self, pattern: str, flags: int) -> None:
        self.pattern = pattern
        self._flags = flags
        self._compiled: re.Pattern[str] | None = None

    def __getattr__(self, name: str) -> object:
        if name.startswith("_"):
            raise AttributeError(name)  # asked by copy and pickle
        if self._compiled is None:
            self._compiled = re.compile(self.pattern, self._flags)
        attribute: object = getattr(self._compiled, name)
        setattr(self, name, attribute)  # the next use finds it without this method
        return attribute


def compile_lazily(pattern: str, flags: int = 0) -> re.Pattern[str]:
    """A pattern as `re.compile` gives it, except that it is compiled at its first use.

    For patterns that are constants of a module: a mistake in `pattern` is a `re.error` at the
    first use.  Functions of `re` itself do not take it (`P.sub(…)`, not `re.sub(P, …)`), and the
    `re` of a match is the compiled pattern, not this one.
    """
    return cast("re.Pattern[str]", _LazyPattern(pattern, flags))
