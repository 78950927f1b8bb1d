"""Settings: hub.toml, client.toml, policy.toml, and how they are read."""

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
