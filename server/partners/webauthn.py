"""The protocol of passkeys: Web Authentication, <https://www.w3.org/TR/webauthn-3/>.

Options for browsers, and the checks of what their authenticators answer.  Knows neither people nor
the database: whether a challenge is ours and a counter has risen is for `passkeys` to decide.
`passkeys` loads this module when it is first needed, since it takes a tenth of the time of a start.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import orjson
from fido2.server import Fido2Server
from fido2.utils import websafe_decode, websafe_encode
from fido2.webauthn import (
    AttestedCredentialData,
    AuthenticationResponse,
    PublicKeyCredentialRpEntity,
    RegistrationResponse,
)

from tocsin.admission.errors import NotAuthenticated
from tocsin.server.person import Person

log = logging.getLogger(__name__)

LONGEST_ANSWER = 16_384
"""Characters of an answer; those of usual authenticators have 600 to 6,000."""
_ALGORITHMS = (-7, -8, -257)  # ES256, EdDSA, RS256
_LONGEST_CREDENTIAL = 2_048
"""Octets of a credential that is stored: its id, 1,023 at most, and its key."""
_PRESENT_SECONDS = 120
"""Time that a person has to touch the authenticator."""
_REFUSED = "the passkey was not accepted: try again"


@dataclass(frozen=True, slots=True)
class Creation:
    """A new credential that was checked."""

    id: str
    public_key: str
    count: int


@dataclass(frozen=True, slots=True)
class Assertion:
    """An answer to sign in, as it came; only `verify_assertion` says if it is true."""

    challenge: bytes
    credential: str
    user: str
    """The id of the person that the authenticator keeps beside the key."""
    parsed: AuthenticationResponse


@dataclass(frozen=True, slots=True)
class Presence:
    """The proof in an answer to sign in."""

    count: int
    """The authenticator's signature counter; 0: it does not count."""
    is_verified: bool
    """The authenticator has checked who holds it, by a PIN or a fingerprint."""


class RelyingParty:
    """This hub, at the one origin for which it takes answers."""

    def __init__(self, origin: str, title: str) -> None:
        self.id = urlsplit(origin).hostname or ""
        self._title = title
        logging.getLogger("fido2").setLevel(logging.WARNING)  # it logs ids of credentials
        party = PublicKeyCredentialRpEntity(name=title, id=self.id)
        # Without our own check, other ports and other hosts of the same domain would do.
        self._server = Fido2Server(party, verify_origin=lambda given: given == origin)

    def creation_options(self, challenge: bytes, person: Person) -> dict[str, object]:
        """Options for `navigator.credentials.create`; octets are in base64url."""
        present = [{"type": "public-key", "id": each.id} for each in person.passkeys]
        return {
            "rp": {"id": self.id, "name": self._title},
            "user": {
                "id": websafe_encode(person.id.encode()),
                "name": person.login,
                "displayName": person.name,
            },
            "challenge": websafe_encode(challenge),
            "pubKeyCredParams": [{"type": "public-key", "alg": each} for each in _ALGORITHMS],
            "timeout": _PRESENT_SECONDS * 1_000,
            "excludeCredentials": present,
            # A key that the authenticator can find by itself: then the form need not say which
            # keys a mailbox has, and so not if there is such a person.
            "authenticatorSelection": {
                "residentKey": "required",
                "requireResidentKey": True,
                "userVerification": "preferred",
            },
            "attestation": "none",
        }

    def request_options(self, challenge: bytes) -> dict[str, object]:
        """Options for `navigator.credentials.get`."""
        return {
            "rpId": self.id,
            "challenge": websafe_encode(challenge),
            "timeout": _PRESENT_SECONDS * 1_000,
            "userVerification": "preferred",
        }

    def read_creation(self, text: str) -> tuple[bytes, RegistrationResponse]:
        """The challenge of an answer to `creation_options`, and the answer.  Nothing is checked.

        Raises NotAuthenticated if it cannot be read.
        """
        try:
            parsed = RegistrationResponse.from_dict(_parse(text))
            return bytes(parsed.response.client_data.challenge), parsed
        except Exception as error:  # whatever hostile octets make of the library
            raise _refuse(error) from error

    def verify_creation(self, challenge: bytes, parsed: RegistrationResponse) -> Creation:
        """Check an answer with this challenge (section 7.1).

        Raises NotAuthenticated if it is not for this hub, or has a key of another kind.
        """
        state = {"challenge": websafe_encode(challenge), "user_verification": None}
        try:
            _check_frame(parsed.response.client_data)
            found = self._server.register_complete(state, parsed)
            credential = found.credential_data
            if credential is None or credential.public_key[3] not in _ALGORITHMS:
                raise ValueError("no key, or one of another kind")
            if len(credential) > _LONGEST_CREDENTIAL:
                raise ValueError("the key is too long")
            if credential.credential_id != parsed.raw_id:
                raise ValueError("the id is not that of the key")
        except Exception as error:
            raise _refuse(error) from error
        return Creation(
            websafe_encode(credential.credential_id), websafe_encode(credential), found.counter
        )

    def read_assertion(self, text: str) -> Assertion:
        """An answer to `request_options`.  Nothing is checked.

        Raises NotAuthenticated if it cannot be read.
        """
        try:
            parsed = AuthenticationResponse.from_dict(_parse(text))
            return Assertion(
                bytes(parsed.response.client_data.challenge),
                websafe_encode(parsed.raw_id),
                (parsed.response.user_handle or b"").decode("ascii"),
                parsed,
            )
        except Exception as error:
            raise _refuse(error) from error

    def verify_assertion(self, assertion: Assertion, public_key: str) -> Presence:
        """Check an answer with this key (section 7.2), but for the counter.

        Raises NotAuthenticated if it is not for this hub, or not signed with the key.
        """
        state = {"challenge": websafe_encode(assertion.challenge), "user_verification": None}
        parsed = assertion.parsed
        try:
            key = AttestedCredentialData(websafe_decode(public_key))
            _check_frame(parsed.response.client_data)
            self._server.authenticate_complete(state, [key], parsed)
        except Exception as error:
            raise _refuse(error) from error
        found = parsed.response.authenticator_data
        return Presence(found.counter, found.is_user_verified())


def _parse(text: str) -> dict[str, Any]:
    if len(text) > LONGEST_ANSWER:
        raise ValueError("the answer is too long")
    parsed = orjson.loads(text)
    if not isinstance(parsed, dict):
        raise ValueError("the answer is not an object")
    return parsed


def _check_frame(client_data: Any) -> None:
    """Raises ValueError if the page was within one of another site."""
    if client_data.cross_origin:
        raise ValueError("asked for within a page of another site")


def _refuse(error: Exception) -> NotAuthenticated:
    log.info("a passkey was refused: %s %s", type(error).__name__, ascii(str(error))[:80])
    return NotAuthenticated(_REFUSED)
