"""An authenticator of passkeys in software, and one of the browser's."""

from __future__ import annotations

import hashlib
import html
import json
import re
import secrets
from dataclasses import dataclass, field
from typing import Any

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from fido2.cose import ES256
from fido2.utils import websafe_decode, websafe_encode
from fido2.webauthn import AttestationObject, AttestedCredentialData, AuthenticatorData
from flask.testing import FlaskClient
from playwright.sync_api import CDPSession, Page
from support.console import PASSWORD, post

ORIGIN = "http://localhost"
FLAG = AuthenticatorData.FLAG


@dataclass
class Authenticator:
    """Has one passkey, and answers as its fields say; change them to answer wrongly."""

    origin: str = ORIGIN
    rp_id: str = "localhost"
    is_verified: bool = True
    """It has checked a PIN."""
    counter: int = 1
    """The counter of its next answer; 0: it does not count."""
    user: str = ""
    cross_origin: bool = False
    id: bytes = field(default_factory=lambda: secrets.token_bytes(32))
    key: ec.EllipticCurvePrivateKey = field(
        default_factory=lambda: ec.generate_private_key(ec.SECP256R1())
    )

    def create(self, options: dict[str, Any]) -> str:
        """Answer options to create a passkey, as the console's script sends it."""
        self.user = options["user"]["id"]
        key = ES256.from_cryptography_key(self.key.public_key())  # type: ignore[no-untyped-call]
        credential = AttestedCredentialData.create(b"\0" * 16, self.id, key)
        data = AuthenticatorData.create(
            self._rp_hash(), self._flags() | FLAG.AT, self._count(), credential
        )
        attestation = AttestationObject.create("none", data, {})
        client = self._client_data("webauthn.create", options)
        return self._answer(clientDataJSON=client, attestationObject=bytes(attestation))

    def use(self, options: dict[str, Any]) -> str:
        """Answer options to sign in."""
        data = AuthenticatorData.create(self._rp_hash(), self._flags(), self._count())
        client = self._client_data("webauthn.get", options)
        signed = bytes(data) + hashlib.sha256(client).digest()
        return self._answer(
            clientDataJSON=client,
            authenticatorData=bytes(data),
            signature=self.key.sign(signed, ec.ECDSA(hashes.SHA256())),
            userHandle=websafe_decode(self.user),
        )

    def _rp_hash(self) -> bytes:
        return hashlib.sha256(self.rp_id.encode()).digest()

    def _flags(self) -> FLAG:
        return FLAG.UP | (FLAG.UV if self.is_verified else FLAG(0))

    def _count(self) -> int:
        count = self.counter
        self.counter += 1 if count else 0
        return count

    def _client_data(self, kind: str, options: dict[str, Any]) -> bytes:
        made = {"type": kind, "challenge": options["challenge"], "origin": self.origin}
        return json.dumps({**made, "crossOrigin": self.cross_origin}).encode()

    def _answer(self, **parts: bytes) -> str:
        id = websafe_encode(self.id)
        response = {name: websafe_encode(part) for name, part in parts.items()}
        return json.dumps({"id": id, "rawId": id, "type": "public-key", "response": response})


def creation_options(client: FlaskClient, name: str = "laptop") -> dict[str, Any]:
    """The options of the page on which a passkey is created, after the password."""
    answer = post(client, "/console/me/passkeys/new", {"name": name, "password": PASSWORD})
    assert answer.status_code == 200, answer.text
    found = re.search(r'data-options="([^"]*)"', answer.text)
    assert found is not None
    options: dict[str, Any] = json.loads(html.unescape(found[1]))
    return options


def add_passkey(client: FlaskClient, made: Authenticator, name: str = "laptop") -> int:
    """Add a passkey to the person who is signed in; the status of the answer."""
    answer = made.create(creation_options(client, name))
    sent = post(client, "/console/me/passkeys", {"name": name, "passkey": answer})
    return int(sent.status_code)


def request_options(client: FlaskClient) -> dict[str, Any]:
    """Options to sign in, for this client."""
    headers = {"Sec-Fetch-Site": "same-origin"}
    answer = client.post("/console/sign-in/challenge", headers=headers)
    assert answer.status_code == 200
    return dict(answer.json or {})


def use_passkey(client: FlaskClient, made: Authenticator, **form: str) -> Any:
    """Sign in with a passkey."""
    form = {"passkey": made.use(request_options(client)), **form}
    return post(client, "/console/sign-in", form)


@dataclass(frozen=True)
class VirtualAuthenticator:
    """An authenticator of a browser that always agrees."""

    session: CDPSession
    about: dict[str, Any]

    def rewind(self) -> None:
        """Set the counters of its passkeys back, as a copy of an earlier day has them."""
        kept = self.session.send("WebAuthn.getCredentials", self.about)["credentials"]
        self.session.send("WebAuthn.clearCredentials", self.about)
        for each in kept:
            before = {**self.about, "credential": {**each, "signCount": 0}}
            self.session.send("WebAuthn.addCredential", before)


def add_virtual_authenticator(page: Page) -> VirtualAuthenticator:
    """Give the browser of a page an authenticator."""
    session = page.context.new_cdp_session(page)
    session.send("WebAuthn.enable")
    options = {
        "protocol": "ctap2",
        "transport": "internal",
        "hasResidentKey": True,
        "hasUserVerification": True,
        "isUserVerified": True,
        "automaticPresenceSimulation": True,
    }
    made = session.send("WebAuthn.addVirtualAuthenticator", {"options": options})
    return VirtualAuthenticator(session, {"authenticatorId": made["authenticatorId"]})
