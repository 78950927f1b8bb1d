"""The hub and the collection that a command talks to."""

from __future__ import annotations

from tocsin.admission.errors import Malformed, NotAllowed
from tocsin.clients.bounds import ResponseBounds
from tocsin.clients.cli.wrong_usage import WrongUsage
from tocsin.clients.credentials import read_credential
from tocsin.clients.http import Collection, Hub, RetrySettings
from tocsin.clients.tls import TlsFiles
from tocsin.config import ClientSettings


def open_hub(settings: ClientSettings, kind: type[Hub] = Hub) -> Hub:
    """The hub of the settings; nothing is sent yet.

    `kind`: Hub20 for a server of TAXII 2.0.  Raises WrongUsage if a setting cannot be used.
    """
    if not settings.url:
        raise WrongUsage("no hub is named; run `tocsin login`, or give --url or TOCSIN_URL")
    try:
        return kind(
            settings.url,
            read_credential(settings),
            RetrySettings(
                read=settings.timeout,
                bounds=ResponseBounds(settings.max_response_length, settings.response_timeout),
            ),
            TlsFiles(cert=settings.cert, ca=settings.ca),
        )
    except Malformed as error:
        raise WrongUsage(str(error)) from error


def find_writable(hub: Hub, name: str) -> Collection:
    """The collection with this id, alias or title.  Raises NotAllowed if the key may not write."""
    collection = hub.find_collection(name, "can_write")
    if not collection.can_write:
        raise NotAllowed(f"this key may not write to {name}; ask the operator for the right")
    return collection
