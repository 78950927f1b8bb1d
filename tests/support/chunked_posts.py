"""Posts of unknown length for tests."""

from typing import Any

from support.taxii_hub import (
    MT,
)


def stream(taxii: Any, name: Any, body: Any, **environ: Any) -> Any:
    """Posts a body of unknown length, as a server hands on one that comes in chunks."""
    environ = {"wsgi.input": body, "wsgi.input_terminated": True} | environ
    more = {"environ_overrides": environ, "headers": {"Content-Type": MT}}
    return taxii.get(f"{name}/objects/", method="POST", **more)
