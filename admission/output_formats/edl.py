"""External dynamic lists: a text file for each kind of value, as firewalls fetch them.

Every kind has its file, even if it is empty: a firewall that is answered 404 goes on with the list
that it has.  Palo Alto's URL lists have no scheme, so URLs are written in both ways.  Firewalls
take `*` in a URL for any text, so it is written in per cent.
"""

from collections.abc import Iterator

from tocsin.admission.observables.urls import without_scheme
from tocsin.admission.output_formats import CurrentState, OutputFile, OutputFormat, joined_lines
from tocsin.admission.output_formats.listed_values import KINDS, spelt_once, without_wildcards


def _write(state: CurrentState) -> Iterator[OutputFile]:
    for kind in KINDS:
        values = spelt_once(each.value for each in state.values(kind))
        yield OutputFile(f"{kind}.txt", joined_lines(f"{value}\n".encode() for value in values))
    yield OutputFile("url-without-scheme.txt", joined_lines(_without_scheme(state)))


def _without_scheme(state: CurrentState) -> Iterator[bytes]:
    """Each URL once: `http` comes before `https`, so equal ones are remembered."""
    known: set[str] = set()
    for each in state.values("url"):
        plain = without_wildcards(without_scheme(each.value))
        if plain not in known:
            known.add(plain)
            yield f"{plain}\n".encode()


FORMAT = OutputFormat(
    "edl", "lists for firewalls, one file for each kind of value", _write, has_one_file=False
)
