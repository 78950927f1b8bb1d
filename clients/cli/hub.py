"""The hub that a command talks to."""

from __future__ import annotations

from tocsin.admission.errors import Malformed
from tocsin.clients.cli.wrong_usage import WrongUsage
from tocsin.clients.http import Hub
from tocsin.config.settings import ClientSettings


def open_hub(settings: ClientSettings, kind: type[Hub] = Hub) -> Hub:
    """The hub of the settings; nothing is sent yet.

    `kind`: Hub20 for a server of TAXII 2.0.  Raises WrongUsage if a setting cannot be used.
    """
    if not settings.url:
        raise WrongUsage("no hub is named; run `tocsin login`, or give --url or TOCSIN_URL")
    try:
        return kind.from_settings(settings)
    except Malformed as error:
        raise WrongUsage(str(error)) from error
