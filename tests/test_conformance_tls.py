"""The checks of section 1, on servers with TLS of several makes."""

import shutil
import ssl
import subprocess
import threading
from contextlib import contextmanager

import pytest
from faulty import _Quiet
from taxii_fixtures import Taxii
from werkzeug.serving import make_server

from tocsin.server.cli import main
from tocsin.server.conformance.asking import Options, basic
from tocsin.server.conformance.catalogue import chosen
from tocsin.server.conformance.model import Outcome
from tocsin.server.conformance.runner import run
from tocsin.server.conformance.subject import Subject
from tocsin.server.conformance.wire import Target

OPENSSL = shutil.which("openssl")
pytestmark = pytest.mark.skipif(OPENSSL is None, reason="needs the program openssl")
MODERN = "ECDHE+AESGCM:ECDHE+CHACHA20"


@pytest.fixture(scope="module")
def certificate(tmp_path_factory):
    """A key and a certificate of its own for 127.0.0.1, in one file."""
    folder = tmp_path_factory.mktemp("tls")
    key, cert = folder / "key.pem", folder / "cert.pem"
    made = ["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=a"]
    names = ["-addext", "subjectAltName=IP:127.0.0.1", "-keyout", key, "-out", cert]
    subprocess.run([OPENSSL, *made, *names], check=True, capture_output=True)
    both = folder / "both.pem"
    both.write_text(key.read_text() + cert.read_text())
    return both


@contextmanager
def serving(certificate, lowest="TLSv1_2", highest="TLSv1_3", ciphers=MODERN, clients=False):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.set_ciphers(ciphers)
    context.load_cert_chain(certificate)
    context.minimum_version = ssl.TLSVersion[lowest]
    context.maximum_version = ssl.TLSVersion[highest]
    if clients:
        context.verify_mode = ssl.CERT_REQUIRED
        context.load_verify_locations(certificate)
    server = make_server(
        "127.0.0.1", 0, Taxii().app, threaded=True, request_handler=_Quiet, ssl_context=context
    )
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield server.port
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def outcomes(port, certificate):
    trust = ssl.create_default_context(cafile=certificate)
    target = Target("https", "127.0.0.1", port, 20, trust)
    subject = Subject(Options(target, credential=basic("acme-robot:acme-robot-key")))
    return {r.check.number: r.outcome for r in run(subject, chosen(["1"]), lambda r: None)}


def test_a_server_as_it_should_be_passes(certificate):
    with serving(certificate) as port:
        found = outcomes(port, certificate)
    assert found.pop("1.8") is Outcome.SKIPPED
    assert set(found) == {"1.1", "1.2", "1.3", "1.4", "1.5", "1.9"}
    assert set(found.values()) == {Outcome.PASSED}


@pytest.mark.parametrize(
    ("made", "number", "outcome"),
    [
        ({"lowest": "TLSv1_3"}, "1.2", Outcome.FAILED),
        ({"highest": "TLSv1_2"}, "1.3", Outcome.WARNED),
        ({"ciphers": "ALL:@SECLEVEL=0"}, "1.5", Outcome.WARNED),
    ],
    ids=["no TLS 1.2", "no TLS 1.3", "weak suites"],
)
def test_a_server_that_is_not_is_found(certificate, made, number, outcome):
    with serving(certificate, **made) as port:
        assert outcomes(port, certificate)[number] is outcome


def test_a_client_certificate_is_shown_if_it_is_given(certificate, capsys):
    with serving(certificate, clients=True) as port:
        words = ["conformance", f"https://127.0.0.1:{port}/taxii2/", "--ca", str(certificate)]
        words += ["--key", "acme-robot:acme-robot-key", "--only", "1.8"]
        assert main(words) == 3
        assert main([*words, "--cert", str(certificate)]) == 0
    assert "1 passed" in capsys.readouterr().out


def test_a_certificate_of_an_unknown_authority_is_not_trusted(certificate, capsys):
    with serving(certificate) as port:
        assert main(["conformance", f"https://127.0.0.1:{port}/taxii2/", "--only", "1"]) == 3
    assert "certificate verify failed" in capsys.readouterr().err
