"""A STIX bundle of all objects, each as it was received."""

import uuid
from collections.abc import Iterable, Iterator

from tocsin.admission.output_formats import CurrentState, OutputFile, OutputFormat

_NAMESPACE = uuid.UUID("5d9c2b57-9d0c-4ffb-a1a3-4f6a1a2c9c57")
STIX = "application/stix+json;version=2.1"


def bundle_chunks(name: str, objects: Iterable[bytes]) -> Iterator[bytes]:
    """A bundle of objects; its id follows from `name`, so that equal feeds give equal files."""
    yield b'{"type":"bundle","id":"bundle--%s"' % str(uuid.uuid5(_NAMESPACE, name)).encode()
    is_empty = True
    for each in objects:
        yield (b',"objects":[\n' if is_empty else b",\n") + each
        is_empty = False
    yield b"}\n" if is_empty else b"\n]}\n"


def _write(state: CurrentState) -> Iterator[OutputFile]:
    yield OutputFile("bundle.json", bundle_chunks(state.lasting_name, state.objects()), STIX)


FORMAT = OutputFormat("bundle", "one STIX bundle", _write, is_indicators_only=False)
