"""Settings: hub.toml, client.toml, policy.toml, and how they are read.

Names are loaded when they are first used: the programs begin with a module of this package.
"""

from importlib import import_module

TYPE_CHECKING = False
"""As in typing, which takes longer to load than all that loads before the programs run."""

if TYPE_CHECKING:
    from tocsin.config.conversion import ConfigError
    from tocsin.config.loading import (
        CLIENT_FILE,
        HUB_FILE,
        find_client_file,
        has_settings,
        load_client,
        load_hub,
        personal_file,
        policy_text,
    )
    from tocsin.config.settings import CONSENTS, TLP_WORDS, ClientSettings, HubSettings

__all__ = [
    "CLIENT_FILE",
    "CONSENTS",
    "HUB_FILE",
    "TLP_WORDS",
    "ClientSettings",
    "ConfigError",
    "HubSettings",
    "find_client_file",
    "has_settings",
    "load_client",
    "load_hub",
    "personal_file",
    "policy_text",
]
_MODULES = {
    "ConfigError": "conversion",
    **dict.fromkeys(("CONSENTS", "TLP_WORDS", "ClientSettings", "HubSettings"), "settings"),
}
"""The module of each name that is not one of `loading`."""


def __getattr__(name: str) -> object:
    """The value of a name in `__all__` (PEP 562)."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_MODULES.get(name, 'loading')}"), name)
