"""Section 1: the transport."""

from __future__ import annotations

import shutil
import socket
import ssl
import subprocess
from dataclasses import replace

from tocsin.conformance.client import SkipCheck
from tocsin.conformance.http import Request, Response, Target, Unreachable, send_request
from tocsin.conformance.model import Level, Looked, check, expect
from tocsin.conformance.server import Server

_OLD_CIPHERS = (
    "AES128-SHA:AES256-SHA:AES128-SHA256:AES256-SHA256:AES128-GCM-SHA256:"
    "ECDHE-RSA-AES128-SHA:ECDHE-ECDSA-AES128-SHA:ECDHE-RSA-AES128-SHA256:"
    "ECDHE-ECDSA-AES128-SHA256:@SECLEVEL=0"
)
"""Suites without forward secrecy or with CBC, which HTTP/2 blocks (RFC 7540 appendix A)."""
_PIECE, _MOST_READS = 64 * 1024, 64
"""Octets that are read at once, and how often, before a session is looked at."""


def _secure(on: Server) -> Target:
    if on.options.target.tls is None:
        raise SkipCheck("needs TLS: an https URL")
    return on.options.target


def _with(
    on: Server, lowest: ssl.TLSVersion, highest: ssl.TLSVersion, ciphers: str = ""
) -> Response | Unreachable:
    """The answer to a handshake that offers only this much."""
    target = _secure(on)
    context = _believing_all(lowest, highest)
    if ciphers:
        context.set_ciphers(ciphers)
    try:
        return send_request(replace(target, tls=context), Request("GET", on.options.discovery))
    except Unreachable as error:
        return error


def _believing_all(lowest: ssl.TLSVersion, highest: ssl.TLSVersion) -> ssl.SSLContext:
    """TLS context without certificate checks, for probes that send no secret."""
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.minimum_version, context.maximum_version = lowest, highest
    return context


@check("1.1", "8.2.2", Level.MUST)
def https(on: Server) -> Looked:
    """TAXII is served over HTTPS."""
    _secure(on)
    yield expect(on.discovery.status == 200, "discovery over HTTPS: 200", on.discovery)


@check("1.2", "8.2.2", Level.MUST)
def tls_1_2(on: Server) -> Looked:
    """The server accepts TLS 1.2."""
    if on.options.certificate:
        raise SkipCheck("not looked at where client certificates are used")
    found = _with(on, ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_2)
    yield expect(isinstance(found, Response), f"a handshake in TLS 1.2, not {found}", None)


@check("1.3", "8.2.2", Level.SHOULD)
def tls_1_3(on: Server) -> Looked:
    """The server accepts TLS 1.3."""
    if on.options.certificate:
        raise SkipCheck("not looked at where client certificates are used")
    found = _with(on, ssl.TLSVersion.TLSv1_3, ssl.TLSVersion.TLSv1_3)
    yield expect(isinstance(found, Response), f"a handshake in TLS 1.3, not {found}", None)


@check("1.4", "8.2.2", Level.MUST)
def no_early_data(on: Server) -> Looked:
    """TLS 1.3 offers no early data."""
    request = f"GET {on.options.discovery} HTTP/1.1\r\nHost: {_secure(on).host}\r\n"
    octets = f"{request}Connection: close\r\n\r\n".encode()
    offered = _early_data(on.options.target, octets) if _resumes(on, octets) else []
    yield expect(not offered, f"session tickets without early data, not {offered}", None)


def _resumes(on: Server, request: bytes) -> bool:
    """True if the server issues session tickets in TLS 1.3; without them there is no early data."""
    target = on.options.target
    context = _believing_all(ssl.TLSVersion.TLSv1_3, ssl.TLSVersion.TLSv1_3)
    try:
        with (
            socket.create_connection((target.host, target.port), target.timeout) as bare,
            context.wrap_socket(bare, server_hostname=target.host) as made,
        ):
            made.sendall(request)
            for _ in range(_MOST_READS):
                if not made.recv(_PIECE):
                    break
            return made.session is not None and made.session.has_ticket
    except OSError as error:
        raise SkipCheck(f"needs a connection in TLS 1.3, but: {error}") from error


def _early_data(target: Target, request: bytes) -> list[str]:
    """The amount of early data that the server's tickets offer, where it is above zero."""
    openssl = shutil.which("openssl")
    if not openssl:
        raise SkipCheck("needs the program openssl")
    where = f"{target.host}:{target.port}"
    line = [openssl, "s_client", "-tls1_3", "-connect", where, "-servername", target.host]
    transcript = subprocess.run(  # noqa: S603  (no shell; the host came from our own command line)
        [*line, "-ign_eof"], input=request, capture_output=True, timeout=60
    ).stdout.decode("utf-8", "replace")
    offers = [row.strip() for row in transcript.splitlines() if "Max Early Data:" in row]
    return [row for row in offers if not row.endswith(" 0")]


@check("1.5", "8.2.2", Level.SHOULD)
def no_weak_ciphers(on: Server) -> Looked:
    """Weak cipher suites of TLS 1.2 are refused."""
    try:
        found = _with(on, ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_2, _OLD_CIPHERS)
    except ssl.SSLError as error:
        raise SkipCheck("the TLS of this machine cannot offer weak suites") from error
    yield expect(isinstance(found, Unreachable), f"no handshake with only {_OLD_CIPHERS}", None)


@check("1.8", "8.3.1", Level.SHOULD)
def certificate(on: Server) -> Looked:
    """A valid client certificate is accepted."""
    _secure(on)
    if not on.options.certificate:
        raise SkipCheck("needs a client certificate: --cert")
    yield expect(on.discovery.status == 200, "200 with the certificate", on.discovery)


@check("1.9", "8.2.1", Level.SHOULD)
def no_user_agent(on: Server) -> Looked:
    """A request without User-Agent is answered."""
    answer = on.get(f"{on.root}collections/", (), User_Agent=None)
    yield expect(answer.status == 200, "200 without User-Agent", answer)
