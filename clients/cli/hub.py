"""The hub that a command talks to."""

from __future__ import annotations

from tocsin.admission.errors import Malformed, NotAllowed
from tocsin.clients.cli.wrong_usage import WrongUsage
from tocsin.clients.http import NO_RIGHTS, Collection, Hub, list_names
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


def find_target(hub: Hub, name: str) -> Collection:
    """The collection to send to: that of --to, else the only one that the key may write to.

    Raises NotAllowed if there is none, WrongUsage if there are several.
    """
    if name:
        return hub.find_usable(name, "can_write")
    writable = [each for each in hub.list_collections() if each.can_write]
    if not writable:
        raise NotAllowed(f"this key may write to no collection: {NO_RIGHTS}")
    if len(writable) > 1:
        raise WrongUsage(
            f"this key may write to several collections ({list_names(writable)}): "
            "name one with --to"
        )
    return writable[0]
