"""The hub's services that the console uses, and its own settings."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from flask import request

if TYPE_CHECKING:
    from tocsin.server.console.oidc import Provider

from tocsin.admission.policy import Policy
from tocsin.server.console.drafts import DraftFiles
from tocsin.server.console.policy_trial import PolicyTrials
from tocsin.server.console.previews import Previews
from tocsin.server.intake.intake import Intake
from tocsin.server.lifecycle.lifecycle import Lifecycle
from tocsin.server.lifecycle.purge import Purger
from tocsin.server.monitoring import Monitor
from tocsin.server.partners.administration import Partners
from tocsin.server.partners.agreement_lifecycle import AgreementLifecycle
from tocsin.server.partners.partner_data import PartnerData
from tocsin.server.partners.passkeys import Passkeys, Site, site_of
from tocsin.server.partners.people import People
from tocsin.server.reports.object_report import ObjectReports
from tocsin.server.reports.search import Search
from tocsin.server.reports.statistics import StatisticsReader
from tocsin.server.store import Store
from tocsin.server.urls import CONSOLE_ROOT

ROOT = CONSOLE_ROOT
"""Prefix of all paths."""


@dataclass(frozen=True, slots=True)
class ConsoleSettings:
    """The settings of the console."""

    title: str
    """Title of the hub."""
    origin: str = ""
    """`https://hub.example`, where browsers reach it; empty: as they ask for it."""
    hosts: frozenset[str] = frozenset()
    """Names by which browsers may ask for it, without a port; empty: any."""
    is_secure: bool = False
    """Browsers reach it over TLS."""
    has_forwarded_for: bool = False
    """The proxy sets X-Forwarded-For."""
    max_content_length: int = 10 * 1024 * 1024
    require_agreements: bool = False
    """A partner without any agreement has no rights."""
    requires_second_factor: bool = False
    """People of the hub who have a password must have an authenticator app or a passkey."""
    four_eyes: bool = False
    """A purge waits until a second operator confirms it."""
    review_days: int = 14
    """Days after which an item without a decision is refused."""


@dataclass(frozen=True, slots=True)
class ConsoleServices:
    """The services behind the pages."""

    settings: ConsoleSettings
    store: Store
    people: People
    passkeys: Passkeys
    intake: Intake
    lifecycle: Lifecycle
    agreements: AgreementLifecycle
    partners: Partners
    policy: Policy
    policy_text: str
    trials: PolicyTrials
    statistics: StatisticsReader
    monitor: Monitor
    warning_lists: Path
    """File of the lists that the operator loaded; it may not exist."""
    clock: Callable[[], int]
    search: Search
    object_reports: ObjectReports
    purger: Purger
    partner_data: PartnerData
    drafts: DraftFiles
    previews: Previews
    check_room: Callable[[], None] = lambda: None
    """Raises Unavailable while the disk is nearly full."""
    provider: Provider | None = None
    """Identity provider at which people can sign in as well; None: there is none."""

    def require_provider(self) -> Provider:
        """The identity provider; only its pages ask."""
        if self.provider is None:
            raise RuntimeError("there is no identity provider")
        return self.provider

    def origin(self) -> str:
        """The URL of the console as the browser reaches it, without a slash at the end."""
        return f"{self._site()}{ROOT}"

    def taxii_url(self) -> str:
        """The URL that clients are given."""
        return f"{self._site()}/taxii2/"

    def passkey_site(self) -> Site | None:
        """The hub as passkeys know it; None where they do not work.

        A name that the browser alone says is not trusted, but for `localhost`.
        """
        origin = self._site()
        is_known = self.settings.origin or urlsplit(origin).hostname == "localhost"
        return site_of(origin, self.settings.title) if is_known else None

    def local_origin(self) -> str:
        """The console at `localhost`, if the browser asked this machine by an address; or empty."""
        parts = urlsplit(f"//{request.host}")
        if self.settings.origin or parts.hostname not in ("127.0.0.1", "::1"):
            return ""
        port = f":{parts.port}" if parts.port else ""
        return f"{request.scheme}://localhost{port}{ROOT}"

    def _site(self) -> str:
        return self.settings.origin or f"{request.scheme}://{request.host}"
