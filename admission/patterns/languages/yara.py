"""YARA rules, compiled by yara-x and thrown away.

Includes are off: they would read the hub's files, and the complaint would
quote what stands in them.  Nothing of the complaint but its first line is
passed on.
"""

import yara_x

from tocsin.admission.errors import Malformed
from tocsin.admission.lazy_patterns import compile_lazily
from tocsin.admission.patterns.languages import Language, library_error

_RULE = compile_lazily(r"\brule\s{1,20}\w")


def check(pattern: str) -> None:
    """Raises Malformed if it is not one or more rules."""
    compiler = yara_x.Compiler(relaxed_re_syntax=True)
    compiler.enable_includes(False)
    try:
        compiler.add_source(pattern)
    except yara_x.CompileError as error:
        raise library_error("YARA", str(error)) from None
    if not _RULE.search(pattern):
        raise Malformed("not YARA: there is no rule in it")


LANGUAGE = Language(check)
