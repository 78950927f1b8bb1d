"""Lists of natural-language words, kept as data files next to the code that uses them.

A list is `words/<name>.txt` in the package of its user: UTF-8, the first line a
`#` comment that says what the list is for, then one word or phrase a line.
Blank lines and further `#` lines are skipped.  A list may hold fragments of
regular expressions if its first line says so.
"""

from functools import cache
from importlib.resources import files


@cache
def load_words(package: str, name: str) -> tuple[str, ...]:
    """The entries of `words/<name>.txt` in a package, in the order of the file.

    `package` is the dotted name of the package that holds the `words` folder:
    `load_words("tocsin.admission.detectors", "street_types")`.
    """
    text = files(package).joinpath("words", f"{name}.txt").read_text(encoding="utf-8")
    lines = (line.strip() for line in text.splitlines())
    return tuple(line for line in lines if line and not line.startswith("#"))


def load_alternation(package: str, name: str) -> str:
    """The entries of a list as one group of a regular expression, without capturing.

    Entries are fragments of regular expressions; the first that matches wins.  Blanks are
    escaped, so that the group can be used in a verbose expression.
    """
    return f"(?:{'|'.join(load_words(package, name))})".replace(" ", r"\ ")
