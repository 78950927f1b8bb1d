"""POST requests without a Content-Length."""

from typing import Any

from support.taxii_hub import MT


def post_chunked(taxii: Any, name: Any, body: Any, **environ: Any) -> Any:
    """Post a body of unknown length, as a server passes on a chunked request."""
    environ = {"wsgi.input": body, "wsgi.input_terminated": True} | environ
    more = {"environ_overrides": environ, "headers": {"Content-Type": MT}}
    return taxii.get(f"{name}/objects/", method="POST", **more)
