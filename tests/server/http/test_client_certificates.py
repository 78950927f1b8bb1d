"""TLS at the hub's own socket, and certificates in place of keys (TAXII 2.1 sections 8.2.2, 8.3.1).

Certificates are made on the spot; the hub is the real listener over a real socket.
"""

import http.client
import json
import socket
import ssl
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest
from support.certificates import SERVER, make_authority, write_private_file
from support.socket_peers import serve_application
from support.taxii_hub import MT, TaxiiHub, basic

from tocsin.admission.certificates import first_certificate
from tocsin.admission.errors import Malformed, NotAuthenticated, Unavailable
from tocsin.clients.http import Hub, RetrySettings
from tocsin.clients.tls import TlsFiles
from tocsin.config.conversion import ConfigError
from tocsin.server import auth
from tocsin.server.auth import AuthScheme
from tocsin.server.http.connection import ConnectionLimits
from tocsin.server.http.tls import server_context
from tocsin.server.taxii.protocols import CLIENT_CERTIFICATE, ClientCertificate

KEY = {"Authorization": basic("acme", "acme-robot-key")}
OWN = make_authority()
ACME, NOBODY = OWN.issue("acme"), OWN.issue("nobody")
CHALLENGES = [
    'Basic realm="Tocsin", charset="UTF-8"',
    'Bearer realm="Tocsin"',
    'Certificate realm="Tocsin"',
]
NOWHERE = b"GET /nowhere HTTP/1.1\r\nHost: x\r\n\r\n"
HASTY = RetrySettings(connect=5, read=5, retries=0)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """The authority's certificate, and those that it issued, in files."""
    folder = tmp_path_factory.mktemp("certificates")
    write_private_file(folder / "ca.pem", OWN.certificate)
    strangers = (make_authority("other").issue("stranger"), OWN.issue("old", days=0.5))
    wrong = OWN.issue("server", uses=SERVER)
    for each in (OWN.server(), ACME, NOBODY, wrong, *strangers):
        each.write_pem(folder)
    return folder


@contextmanager
def serving(application: Any, folder: Any) -> Iterator[Any]:
    """The port of a hub with two threads that takes certificates of the authority."""
    tls = server_context(folder / "hub.pem", None, folder / "ca.pem")
    with serve_application(application, ConnectionLimits(), tls) as port:
        yield port


@pytest.fixture(scope="module")
def port(folder: Any) -> Iterator[Any]:
    taxii = TaxiiHub(schemes=frozenset(AuthScheme), max_content_length=10_000)
    taxii.people.by_digest[auth.certificate_fingerprint(ACME.der)] = taxii.acme
    with serving(taxii.app, folder) as port:
        yield port


@pytest.fixture
def trusting(folder: Any) -> Any:
    """The authorities that a client believes, and the certificate that it shows."""
    return ssl.create_default_context(cafile=folder / "ca.pem")


def ask(
    port: Any,
    trusting: Any,
    path: Any = "/taxii2/",
    method: Any = "GET",
    body: Any = None,
    **headers: Any,
) -> Any:
    connection = http.client.HTTPSConnection("127.0.0.1", port, timeout=10, context=trusting)
    try:
        connection.request(method, path, body, {"Accept": MT, **headers})
        answer = connection.getresponse()
        return answer, answer.read()
    finally:
        connection.close()


def shaken(port: Any, trusting: Any, **more: Any) -> Any:
    bare = socket.create_connection(("127.0.0.1", port), 10)
    return trusting.wrap_socket(bare, server_hostname="localhost", **more)


class TestTransport:
    def test_1_1_discovery_is_answered_over_https(self, port: Any, trusting: Any) -> None:
        answer, response = ask(port, trusting, **KEY)
        assert (answer.status, json.loads(response)["default"]) == (200, "/hub/")
        assert answer.headers["Content-Type"] == MT

    @pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
    def test_1_2_1_3_tls_1_2_and_1_3_are_supported(
        self, port: Any, trusting: Any, version: Any
    ) -> None:
        trusting.minimum_version = trusting.maximum_version = version
        with shaken(port, trusting) as made:
            assert made.version() == version.name.replace("_", ".")

    def test_1_2_an_older_version_is_refused(self, port: Any) -> None:
        hello = b"\x03\x02" + b"r" * 32 + b"\0" + b"\0\x02\xc0\x13" + b"\x01\0"  # TLS 1.1
        message = b"\x01" + len(hello).to_bytes(3) + hello
        with socket.create_connection(("127.0.0.1", port), 10) as bare:
            bare.sendall(b"\x16\x03\x01" + len(message).to_bytes(2) + message)
            response = bare.recv(7)
        assert (response[0], response[6]) == (21, 70)  # an alert: protocol version

    @pytest.mark.parametrize(
        "suite", ["AES128-SHA", "AES128-GCM-SHA256", "ECDHE-ECDSA-AES128-SHA256"]
    )
    def test_1_5_suites_on_the_block_list_are_refused(
        self, port: Any, trusting: Any, suite: str
    ) -> None:
        trusting.maximum_version = ssl.TLSVersion.TLSv1_2
        trusting.set_ciphers(f"{suite}:@SECLEVEL=0")
        with pytest.raises(ssl.SSLError, match="(?i)alert handshake failure"):
            shaken(port, trusting)

    @pytest.mark.parametrize(
        "suite", ["ECDHE-ECDSA-AES128-GCM-SHA256", "ECDHE-ECDSA-CHACHA20-POLY1305"]
    )
    def test_1_5_suites_with_forward_secrecy_are_accepted(
        self, port: Any, trusting: Any, suite: str
    ) -> None:
        trusting.maximum_version = ssl.TLSVersion.TLSv1_2
        trusting.set_ciphers(suite)
        with shaken(port, trusting) as made:
            assert made.cipher()[0] == suite

    def test_1_4_no_session_ticket_is_issued(self, port: Any, trusting: Any) -> None:
        trusting.minimum_version = ssl.TLSVersion.TLSv1_3
        with shaken(port, trusting) as first:
            first.sendall(NOWHERE)
            assert first.recv(12) == b"HTTP/1.1 404"
            session = first.session
        assert session is None or not session.has_ticket
        with shaken(port, trusting, session=session) as second:
            assert not second.session_reused

    def test_plain_http_on_the_tls_port_gets_an_error_naming_https(self, port: Any) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
        connection.request("GET", "/taxii2/")
        answer = connection.getresponse()
        assert (answer.status, answer.headers["Content-Type"]) == (400, MT)
        assert "https" in json.loads(answer.read())["description"]
        connection.close()

    @pytest.mark.parametrize("said", [b"", b"\x16\x03\x01\x02\x00\x01\x00"])
    def test_incomplete_handshakes_do_not_block_others(
        self, port: Any, trusting: Any, said: bytes
    ) -> None:
        with ExitStack() as stack:
            for _ in range(20):
                bare = socket.create_connection(("127.0.0.1", port), 10)
                stack.enter_context(bare).sendall(said)
            assert ask(port, trusting, **KEY)[0].status == 200

    def test_pipelined_requests_are_all_answered(self, port: Any, trusting: Any) -> None:
        one = NOWHERE[:-2] + b"X: " + b"y" * (507 - len(NOWHERE)) + b"\r\n\r\n"
        assert len(one) == 512  # so that the hub's buffer ends where a request does
        with shaken(port, trusting) as made:
            made.sendall(one * 24)
            response = b""
            while response.count(b"HTTP/1.1 404") < 24:
                piece = made.recv(65536)
                assert piece, response[-100:]
                response += piece

    @pytest.mark.slow
    def test_7_6_a_far_too_long_body_gets_its_413_before_the_connection_closes(
        self, port: Any, trusting: Any
    ) -> None:
        path, headers = "/hub/collections/scratch/objects/", KEY | {"Content-Type": MT}
        answer, response = ask(port, trusting, path, "POST", b" " * 8_000_000, **headers)
        assert (answer.status, json.loads(response)["http_status"]) == (413, "413")


class TestClientCertificates:
    def with_certificate(self, folder: Any, trusting: Any, name: Any) -> Any:
        trusting.load_cert_chain(folder / f"{name}.pem")
        return trusting

    def test_a_registered_certificate_authenticates_its_account(
        self, port: Any, folder: Any, trusting: Any
    ) -> None:
        answer, response = ask(
            port, self.with_certificate(folder, trusting, "acme"), "/hub/collections/"
        )
        assert answer.status == 200
        assert "inbox" in {one["alias"] for one in json.loads(response)["collections"]}

    def test_a_client_certificate_is_optional(self, port: Any, trusting: Any) -> None:
        assert ask(port, trusting, **KEY)[0].status == 200

    def test_1_8_a_valid_certificate_without_an_account_is_401(
        self, port: Any, folder: Any, trusting: Any
    ) -> None:
        answer, _ = ask(port, self.with_certificate(folder, trusting, "nobody"))
        assert answer.status == 401
        assert answer.headers.get_all("WWW-Authenticate") == CHALLENGES

    @pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
    @pytest.mark.parametrize(
        ("name", "alert"),
        [
            ("stranger", "unknown ca"),
            ("old", "certificate expired"),
            ("server", "unsupported certificate"),
        ],
    )
    def test_1_8_an_invalid_certificate_is_refused(
        self, port: Any, folder: Any, trusting: Any, name: str, alert: str, version: Any
    ) -> None:
        trusting.maximum_version = version
        with pytest.raises(ssl.SSLError, match=f"alert {alert}"):
            ask(port, self.with_certificate(folder, trusting, name))

    def test_a_resumed_session_keeps_its_certificate(
        self, port: Any, folder: Any, trusting: Any
    ) -> None:
        self.with_certificate(folder, trusting, "acme").maximum_version = ssl.TLSVersion.TLSv1_2
        with ExitStack() as stack:
            first = stack.enter_context(shaken(port, trusting))
            second = stack.enter_context(shaken(port, trusting, session=first.session))
            assert second.session_reused
            second.sendall(NOWHERE.replace(b"/nowhere", b"/hub/"))
            assert second.recv(12) == b"HTTP/1.1 200"

    def test_an_authorization_header_takes_precedence_over_the_certificate(
        self, port: Any, folder: Any, trusting: Any
    ) -> None:
        assert ask(port, self.with_certificate(folder, trusting, "nobody"), **KEY)[0].status == 200
        wrong = {"Authorization": "Bearer wrong"}
        assert ask(port, self.with_certificate(folder, trusting, "acme"), **wrong)[0].status == 401

    def test_an_expired_certificate_is_refused_on_an_open_connection(self) -> None:
        taxii = TaxiiHub(schemes=frozenset(AuthScheme))
        print_ = auth.certificate_fingerprint(ACME.der)
        taxii.people.by_digest[print_] = taxii.acme
        response = [
            taxii.ask(
                "/hub/",
                by=None,
                environ_overrides={CLIENT_CERTIFICATE: ClientCertificate(print_, at)},
            )
            for at in (time.time() + 60, time.time() - 1)
        ]
        assert [answer.status_code for answer in response] == [200, 401]


class TestClients:
    def hub(
        self, port: Any, folder: Any, cert: Any = "acme.pem", ca: Any = "ca.pem", **more: Any
    ) -> Any:
        tls = TlsFiles(cert=cert and folder / cert, ca=ca and folder / ca)
        return Hub(f"https://127.0.0.1:{port}/taxii2/", more.get("key", ""), HASTY, tls)

    def test_come_in_with_a_certificate_alone(self, port: Any, folder: Any) -> None:
        with self.hub(port, folder) as hub:
            assert {place.alias for place in hub.list_collections()} == {
                "green",
                "scratch",
                "inbox",
            }
            assert hub.fetch_page(hub.find_collection("green"), {}).objects == ()

    def test_believe_the_authority_that_they_are_given_whatever_the_environment_says(
        self, port: Any, folder: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(folder / "stranger.pem"))
        with self.hub(port, folder) as hub:
            assert hub.list_collections()

    def test_do_not_believe_a_hub_of_another_authority(self, port: Any, folder: Any) -> None:
        with self.hub(port, folder, ca=None) as hub, pytest.raises(Unavailable, match="--ca"):
            hub.list_collections()

    @pytest.mark.parametrize("name", ["old", "stranger"])
    def test_say_whose_certificate_was_refused(self, port: Any, folder: Any, name: str) -> None:
        with (
            self.hub(port, folder, f"{name}.pem") as hub,
            pytest.raises(NotAuthenticated, match="requires a client certificate"),
        ):
            hub.list_collections()

    def test_show_it_to_the_hub_only(self, folder: Any) -> None:
        tls = TlsFiles("https://hub.example/taxii2/", folder / "acme.pem", folder / "ca.pem")
        for url in ("https://hub.example/hub/", "https://hub.example:443/hub/"):
            assert tls.cert_for(url) and tls.ca_for(url)
        for url in ("https://hub.example.evil/", "https://hub.example:444/", "http://hub.example/"):
            assert tls.cert_for(url) is None and tls.ca_for(url) is None

    @pytest.mark.parametrize(
        ("cert", "ca", "said"),
        [
            ("none.pem", None, "--cert: cannot read"),
            ("ca.pem", None, "--cert: .* a certificate and its private key"),
            (None, "none.pem", "--ca: cannot read"),
            (None, "text.pem", "--ca: no certificate"),
        ],
    )
    def test_say_at_once_which_file_is_of_no_use(
        self, port: Any, folder: Any, cert: None | str, ca: None | str, said: str
    ) -> None:
        write_private_file(folder / "text.pem", "no certificate")
        with pytest.raises(Malformed, match=said):
            self.hub(port, folder, cert, ca)


class TestFiles:
    def test_a_missing_file_is_named_with_its_setting(self, folder: Any) -> None:
        hub, none = folder / "hub.pem", folder / "none.pem"
        for files, name in (((none,), "certificate"), ((hub, none), "key"), ((hub, hub, none), "")):
            with pytest.raises(
                ConfigError, match=rf"tls_{name or 'client_ca'}: cannot read .*none"
            ):
                server_context(*files)

    def test_a_key_of_another_certificate_is_refused(self, folder: Any) -> None:
        with pytest.raises(ConfigError, match="tls_key: .* is not the key of tls_certificate"):
            server_context(folder / "hub.pem", folder / "acme.pem")

    def test_a_file_without_a_certificate_is_refused(self, folder: Any) -> None:
        text = write_private_file(folder / "text.pem", "no certificate")
        with pytest.raises(ConfigError, match="tls_certificate: cannot read a certificate"):
            server_context(text, folder / "hub.pem")
        with pytest.raises(ConfigError, match="tls_client_ca: no certificate"):
            server_context(folder / "hub.pem", None, text)

    def test_a_leaf_certificate_is_refused_as_client_ca(self, folder: Any) -> None:
        with pytest.raises(ConfigError, match="tls_client_ca: no CA certificate"):
            server_context(folder / "hub.pem", None, folder / "acme.pem")

    def test_a_world_readable_key_is_refused(self, tmp_path: Path) -> None:
        file = OWN.server().write_pem(tmp_path)
        file.chmod(0o644)
        with pytest.raises(ConfigError, match="every user can read the key .* chmod 600"):
            server_context(file)

    def test_a_key_with_a_passphrase_is_refused_without_a_prompt(
        self, folder: Any, tmp_path: Path
    ) -> None:
        head = "Proc-Type: 4,ENCRYPTED\nDEK-Info: AES-256-CBC," + "00" * 16 + "\n\n"
        pem = ACME.key.replace("KEY-----\n", f"KEY-----\n{head}", 1)
        with pytest.raises(ConfigError, match="passphrase"):
            server_context(folder / "hub.pem", write_private_file(tmp_path / "key.pem", pem))
        both = write_private_file(tmp_path / "both.pem", ACME.certificate + pem)
        with pytest.raises(Malformed, match="passphrase"):
            TlsFiles(cert=both).check()

    def test_the_first_certificate_of_a_file_is_its_holders(self) -> None:
        chain = (ACME.key + ACME.certificate + OWN.certificate).encode()
        assert first_certificate(chain) == first_certificate(ACME.der) == ACME.der

    @pytest.mark.parametrize("octets", [b"", b"text", ACME.key.encode(), ACME.der[:-1]])
    def test_a_file_that_is_not_a_certificate_cannot_be_registered(self, octets: Any) -> None:
        with pytest.raises(Malformed, match="not a certificate"):
            first_certificate(octets)
