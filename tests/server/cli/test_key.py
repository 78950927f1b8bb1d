"""`tocsin-hub key`: a certificate is registered if it is of use; a key that is lost is named."""

import re
import uuid
from contextlib import redirect_stdout, suppress
from pathlib import Path

import pytest
from support.certificates import Holder, make_authority
from support.clock import ManualClock
from support.hub import HUB_SECRETS, HubInProcess

from tocsin.admission.errors import Conflict, Malformed
from tocsin.admission.timestamps import DAY, timestamp
from tocsin.config.settings import HubSettings
from tocsin.server.auth import certificate_fingerprint
from tocsin.server.cli.key import list_keys, register_certificate
from tocsin.server.cli.main import main
from tocsin.server.runtime import Runtime
from tocsin.server.store import Store, wall_clock

OWN = make_authority()


@pytest.fixture
def hub(store: Store) -> Runtime:
    """A hub with the partners acme and north."""
    services = HubInProcess(store).services
    return Runtime(HubSettings(), HUB_SECRETS, services, "operator:jane")


@pytest.fixture
def place(
    engine_uri: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, alone: None
) -> tuple[str, ...]:
    """The options that name a hub with the partner acme."""
    monkeypatch.setenv("TOCSIN_DATABASE", f"test_{uuid.uuid4().hex}")
    options = ("--mongo-uri", engine_uri, "--data", str(tmp_path / "data"))
    assert main(["partner", "add", "acme", "--name", "ACME", *options]) == 0
    return options


def test_an_expired_certificate_is_not_registered(hub: Runtime) -> None:
    with pytest.raises(Malformed, match="expired at .*: register a renewed one"):
        register_certificate(hub, "acme", OWN.issue("acme", days=0.5).der)


@pytest.mark.parametrize("ca_first", [True, False])
def test_of_a_chain_the_certificate_that_is_no_ca_is_registered(
    hub: Runtime, ca_first: bool
) -> None:
    own = OWN.issue("acme")
    chain = [OWN.certificate, own.certificate] if ca_first else [own.certificate, OWN.certificate]
    found = register_certificate(hub, "acme", "".join(chain).encode())
    assert found["id"] == certificate_fingerprint(own.der)


def test_a_certificate_that_is_twice_in_a_file_is_registered(hub: Runtime) -> None:
    own = OWN.issue("acme")
    found = register_certificate(hub, "acme", own.certificate.encode() * 2)
    assert found["id"] == certificate_fingerprint(own.der)


@pytest.mark.parametrize(
    "holders", [[OWN, make_authority("other")], [OWN, OWN.issue("a"), OWN.issue("b")]]
)
def test_a_file_with_several_certificates_that_it_could_be_is_refused(
    hub: Runtime, holders: list[Holder]
) -> None:
    file = "".join(each.certificate for each in holders).encode()
    with pytest.raises(
        Malformed, match=f"has {len(holders)} certificates, and .*; give a file with"
    ):
        register_certificate(hub, "acme", file)
    assert not [each for each in list_keys(hub, "acme") if each["kind"] == "certificate"]


def test_a_certificate_is_registered_once_only(hub: Runtime) -> None:
    certificate = OWN.issue("acme").der
    register_certificate(hub, "acme", certificate)
    with pytest.raises(Conflict, match="the certificate is registered already, for acme"):
        register_certificate(hub, "north", certificate)


def test_the_list_says_when_a_certificate_expires(store: Store) -> None:
    clock = ManualClock(wall_clock())
    services = HubInProcess(store, clock=clock).services
    hub = Runtime(HubSettings(), HUB_SECRETS, services, "operator:jane")
    certificate = OWN.issue("acme", days=61)
    end = timestamp(int(certificate.signed.not_valid_after_utc.timestamp()) * 1_000_000)
    assert register_certificate(hub, "acme", certificate.der)["expires"] == end
    states = []
    for days in (0, 45, 45):
        clock.now += days * DAY
        [found] = (each for each in list_keys(hub, "acme") if each["kind"] == "certificate")
        states.append((found["expires"], found["state"]))
    assert states == [(end, "valid"), (end, "expires soon"), (end, "expired")]


def test_the_end_of_a_certificate_that_an_older_hub_registered_is_not_known(hub: Runtime) -> None:
    hub.services.store.accounts.add_key("acme", certificate_fingerprint(b"older"))
    key, certificate = sorted(list_keys(hub, "acme"), key=lambda each: each["kind"] != "key")
    assert (key["expires"], certificate["expires"]) == ("", "not known")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("line", "advice"),
    [
        ("key issue acme", "the key was issued, but could not be shown: revoke it with "),
        ("partner add east --name East", "east was added, but its key could not be shown: "),
        (
            "person invite otto@hub.example --role operator",
            "the invitation was made, but its link could not be shown: invite the person again",
        ),
    ],
)
def test_a_secret_that_cannot_be_shown_is_said_to_be_lost(
    place: tuple[str, ...],
    capsys: pytest.CaptureFixture[str],
    line: str,
    advice: str,
) -> None:
    capsys.readouterr()
    with Path("/dev/full").open("w") as full, redirect_stdout(full), suppress(OSError):
        code = main([*line.split(), *place])
    err = capsys.readouterr().err
    assert code == 1
    assert advice in err
    if found := re.search("`tocsin-hub (key revoke [a-z]+ [0-9a-f]{12})`", err):
        assert main([*found[1].split(), *place]) == 0
    assert bool(found) == ("key" in advice)
