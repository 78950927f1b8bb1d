"""The checks of section 1, on servers with TLS of several makes."""

import shutil
import socket
import ssl
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlsplit

import pytest
from support.certificates import make_authority, write_private_file
from support.processes import free_port
from support.taxii_hub import TaxiiHub
from support.taxii_servers import serve_app

from tocsin.conformance.client import Options, basic_auth_header
from tocsin.conformance.http import Target
from tocsin.conformance.model import Outcome
from tocsin.conformance.registry import select_checks
from tocsin.conformance.runner import run_checks
from tocsin.conformance.server import Server
from tocsin.server.cli.main import main

OPENSSL = shutil.which("openssl")
needs_openssl = pytest.mark.skipif(OPENSSL is None, reason="needs the program openssl")
MODERN = "ECDHE+AESGCM:ECDHE+CHACHA20"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """The certificates of a server and of a client, and of their authority."""
    folder, own = tmp_path_factory.mktemp("certificates"), make_authority()
    write_private_file(folder / "ca.pem", own.certificate)
    own.server().write_pem(folder)
    own.issue("client").write_pem(folder)
    return folder


@contextmanager
def serving(
    folder: Any, ciphers: Any = MODERN, clients: Any = False, **settings: Any
) -> Iterator[Any]:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.set_ciphers(ciphers)
    context.load_cert_chain(folder / "hub.pem")
    for name, value in ({"num_tickets": 0} | settings).items():
        setattr(context, name, value)
    if clients:
        context.verify_mode = ssl.CERT_REQUIRED
        context.load_verify_locations(folder / "ca.pem")
    with serve_app(TaxiiHub().app, context) as origin:
        yield urlsplit(origin).port


def listens(port: Any) -> None:
    """Waits until somebody listens there."""
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
            return
        except ConnectionRefusedError:
            time.sleep(0.05)
    raise AssertionError("nobody listens")


def outcomes(port: Any, folder: Any) -> Any:
    trust = ssl.create_default_context(cafile=folder / "ca.pem")
    target = Target("https", "127.0.0.1", port, 20, trust)
    subject = Server(Options(target, credential=basic_auth_header("acme-robot:acme-robot-key")))
    return {
        r.check.number: r.outcome for r in run_checks(subject, select_checks(["1"]), lambda r: None)
    }


def test_a_server_as_it_should_be_passes(folder: Any) -> None:
    with serving(folder) as port:
        found = outcomes(port, folder)
    assert found.pop("1.8") is Outcome.SKIPPED
    assert set(found) == {"1.1", "1.2", "1.3", "1.4", "1.5", "1.9"}
    assert set(found.values()) == {Outcome.PASSED}


@pytest.mark.parametrize(
    ("made", "number", "outcome"),
    [
        ({"minimum_version": ssl.TLSVersion.TLSv1_3}, "1.2", Outcome.FAILED),
        ({"maximum_version": ssl.TLSVersion.TLSv1_2}, "1.3", Outcome.WARNED),
        ({"maximum_version": ssl.TLSVersion.TLSv1_2}, "1.4", Outcome.SKIPPED),
        ({"ciphers": "ALL:@SECLEVEL=0"}, "1.5", Outcome.WARNED),
    ],
    ids=["no TLS 1.2", "no TLS 1.3", "no early data without it", "weak suites"],
)
def test_a_server_that_is_not_is_found(folder: Any, made: Any, number: str, outcome: Any) -> None:
    with serving(folder, **made) as port:
        assert outcomes(port, folder)[number] is outcome


@needs_openssl
def test_tickets_are_no_fault_where_they_offer_no_early_data(folder: Any) -> None:
    with serving(folder, num_tickets=2) as port:
        assert outcomes(port, folder)["1.4"] is Outcome.PASSED


@needs_openssl
def test_early_data_is_found(folder: Any) -> None:
    port = free_port()
    line = [OPENSSL, "s_server", "-accept", f"127.0.0.1:{port}", "-cert", folder / "hub.pem"]
    line += ["-quiet", "-www", "-early_data", "-max_early_data", "9999"]
    server = subprocess.Popen(line, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        listens(port)
        assert outcomes(port, folder)["1.4"] is Outcome.FAILED
    finally:
        server.kill()
        server.wait()


def test_a_client_certificate_is_shown_if_it_is_given(
    folder: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    with serving(folder, clients=True) as port:
        words = ["conformance", f"https://127.0.0.1:{port}/taxii2/", "--ca", str(folder / "ca.pem")]
        words += ["--key", "acme-robot:acme-robot-key", "--only", "1.8"]
        assert main(words) == 3
        assert main([*words, "--cert", str(folder / "client.pem")]) == 0
    assert "1 passed" in capsys.readouterr().out


def test_a_certificate_of_an_unknown_authority_is_not_trusted(
    folder: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    with serving(folder) as port:
        assert main(["conformance", f"https://127.0.0.1:{port}/taxii2/", "--only", "1"]) == 3
    assert "certificate verify failed" in capsys.readouterr().err
