"""`tocsin-hub key certificate`: registers a certificate that is of use, once."""

import pytest
from support.certificates import make_authority
from support.hub import HUB_SECRETS, HubInProcess, default_admission

from tocsin.admission.errors import Conflict, Malformed
from tocsin.config import HubSettings
from tocsin.server.cli.key import register_certificate
from tocsin.server.runtime import Runtime
from tocsin.server.store import Store

OWN = make_authority()


@pytest.fixture
def hub(store: Store) -> Runtime:
    """A hub with the partners acme and north."""
    services, policy = HubInProcess(store).services, default_admission().policy
    return Runtime(HubSettings(), HUB_SECRETS, services, policy, "operator:jane")


def test_an_expired_certificate_is_not_registered(hub: Runtime) -> None:
    with pytest.raises(Malformed, match="expired at .*: register a renewed one"):
        register_certificate(hub, "acme", OWN.issue("acme", days=0.5).der)


def test_a_certificate_is_registered_once_only(hub: Runtime) -> None:
    certificate = OWN.issue("acme").der
    register_certificate(hub, "acme", certificate)
    with pytest.raises(Conflict, match="the certificate is registered already, for acme"):
        register_certificate(hub, "north", certificate)
