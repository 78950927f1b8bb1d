"""Sign-in at an identity provider: OpenID Connect Core 1.0, authorization code with PKCE.

The provider proves a mailbox; who may sign in here, and as what, is decided here alone.  The
state between the two requests is in a sealed cookie of the browser that began.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import logging
import secrets
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import requests
from authlib.integrations.requests_client import OAuth2Session
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import KeySet

from tocsin.admission.errors import NotAuthenticated, Unavailable

log = logging.getLogger(__name__)

SECONDS = 600
"""Time that a person has to sign in at the provider."""
_TIMEOUT = 5.0
_KEPT_SECONDS = 3600
"""Time for which what the provider says about itself is remembered."""
_FAILED_SECONDS = 10
"""Time before the next attempt after the provider could not be reached."""
_MOST_AT_ONCE = 2
"""Requests to the provider at a time, so that a slow one does not hold up the whole console."""
_WAIT_TIMEOUT = 1.0
"""Seconds to wait for a request that another thread makes to the provider."""
_LONGEST = 1 << 20
_ALGORITHMS = ["RS256", "RS384", "RS512", "PS256", "ES256", "ES384", "EdDSA"]
_LEEWAY = 60
_REFUSED = "the provider did not confirm who you are: sign in again"
_AWAY = "the provider cannot be reached: sign in with a password, or try again"


@dataclass(frozen=True, slots=True)
class ProviderSettings:
    """The identity provider, and this hub as its client."""

    issuer: str
    client_id: str
    client_secret: str = field(default="", repr=False)


@dataclass(frozen=True, slots=True)
class AuthorizationRequest:
    """The redirect that begins a sign-in (OpenID Connect Core 1.0 section 3.1.2.1)."""

    url: str
    cookie: str
    """The value to give to `finish_sign_in`: the sealed state of this sign-in."""


@dataclass(frozen=True, slots=True)
class VerifiedLogin:
    """A person whose mailbox the provider has verified."""

    login: str
    """The mailbox that the provider has verified, in lower case."""
    name: str
    target: str
    """The page that the person asked for before signing in."""


class Provider:
    """An identity provider.  Safe for threads."""

    def __init__(self, settings: ProviderSettings, key: bytes, home: str) -> None:
        """`key` seals cookies; `home` is the URL to which the provider sends browsers back."""
        self._settings, self._home = settings, home
        self._key = hmac.digest(key, b"console oidc", "sha256")
        self._guard, self._failed = threading.Lock(), float("-inf")
        self._places = threading.BoundedSemaphore(_MOST_AT_ONCE)
        self._known: tuple[float, Mapping[str, Any], KeySet] | None = None

    def begin_sign_in(self, target: str) -> AuthorizationRequest:
        """The request to the provider that begins a sign-in, then shows `target`.

        Raises Unavailable if the provider cannot be reached.
        """
        about, _ = self._look()
        state, nonce, verifier = (secrets.token_urlsafe(32) for _ in range(3))
        with self._session() as session:
            url, _ = session.create_authorization_url(
                about["authorization_endpoint"],
                state=state,
                nonce=nonce,
                code_challenge=_challenge(verifier),
                code_challenge_method="S256",
            )
        kept = {"state": state, "nonce": nonce, "verifier": verifier, "target": target}
        return AuthorizationRequest(url, self._seal(kept | {"until": int(time.time()) + SECONDS}))

    def finish_sign_in(self, cookie: str, query: Mapping[str, str]) -> VerifiedLogin:
        """Exchange the code that the browser brings back, and check the ID token.

        Raises NotAuthenticated if anything is not as it must be, Unavailable if the provider cannot
        be reached.
        """
        kept = self._unseal(cookie)
        if not hmac.compare_digest(kept["state"].encode(), query.get("state", "").encode()):
            raise NotAuthenticated(_REFUSED)
        if "code" not in query:
            raise NotAuthenticated(_REFUSED)
        about, keys = self._look()
        token = self._fetch_token(str(about["token_endpoint"]), query["code"], kept["verifier"])
        claims = self._check(str(token.get("id_token", "")), keys, kept["nonce"])
        mailbox = str(claims.get("email", ""))
        if not mailbox or claims.get("email_verified") not in (True, "true"):
            raise NotAuthenticated("the provider has not verified a mailbox of yours")
        return VerifiedLogin(mailbox.lower(), str(claims.get("name", "")), kept["target"])

    def _fetch_token(self, url: str, code: str, verifier: str) -> Mapping[str, Any]:
        """The answer of the provider's token endpoint."""
        if not self._places.acquire(timeout=_WAIT_TIMEOUT):
            raise Unavailable(_AWAY)
        try:
            with self._session() as session:
                token: Mapping[str, Any] = session.fetch_token(
                    url,
                    code=code,
                    code_verifier=verifier,
                    grant_type="authorization_code",
                    timeout=_TIMEOUT,
                )
        except requests.RequestException as error:
            raise Unavailable(_AWAY) from error
        except Exception as error:  # whatever the provider answers instead of a token
            log.warning("console: the provider gave no token: %s", type(error).__name__)
            raise NotAuthenticated(_REFUSED) from error
        finally:
            self._places.release()
        return token

    def _check(self, token: str, keys: KeySet, nonce: str) -> Mapping[str, Any]:
        """The claims of an ID token (OpenID Connect Core 1.0 section 3.1.3.7)."""
        registry = jwt.JWTClaimsRegistry(
            leeway=_LEEWAY,
            iss={"essential": True, "value": self._settings.issuer},
            aud={"essential": True, "value": self._settings.client_id},
            exp={"essential": True},
            iat={"essential": True},
            nonce={"essential": True, "value": nonce},
        )
        try:
            claims = jwt.decode(token, keys, algorithms=_ALGORITHMS).claims
            registry.validate(claims)
        except (JoseError, ValueError) as error:
            log.warning("console: an ID token is not valid: %s", type(error).__name__)
            raise NotAuthenticated(_REFUSED) from error
        return claims

    def _session(self) -> OAuth2Session:
        return OAuth2Session(
            self._settings.client_id,
            self._settings.client_secret or None,
            scope="openid email profile",
            redirect_uri=self._home,
        )

    def _look(self) -> tuple[Mapping[str, Any], KeySet]:
        """The provider's metadata and its keys."""
        known = self._known
        if known is not None and time.monotonic() - known[0] < _KEPT_SECONDS:
            return known[1:]
        if not self._guard.acquire(timeout=_WAIT_TIMEOUT):
            raise Unavailable(_AWAY)
        try:
            return self._renew()
        finally:
            self._guard.release()

    def _renew(self) -> tuple[Mapping[str, Any], KeySet]:
        """Ask the provider, unless it was asked meanwhile, or could not be reached just now."""
        now = time.monotonic()
        if self._known is not None and now - self._known[0] < _KEPT_SECONDS:
            return self._known[1:]
        if now - self._failed < _FAILED_SECONDS:
            raise Unavailable(_AWAY)
        try:
            about, keys = self._ask()
        except Unavailable:
            self._failed = time.monotonic()
            raise
        self._known = (time.monotonic(), about, keys)
        return about, keys

    def _ask(self) -> tuple[Mapping[str, Any], KeySet]:
        url = f"{self._settings.issuer.rstrip('/')}/.well-known/openid-configuration"
        about = _get(url)
        if about.get("issuer") != self._settings.issuer:
            log.warning("console: the provider calls itself otherwise than oidc_issuer")
            raise Unavailable(_AWAY)
        return about, KeySet.import_key_set(_get(str(about["jwks_uri"])))  # type: ignore[arg-type]

    def _seal(self, values: Mapping[str, object]) -> str:
        octets = base64.urlsafe_b64encode(json.dumps(values).encode())
        return f"{octets.decode()}.{self._sign(octets)}"

    def _unseal(self, cookie: str) -> dict[str, str]:
        octets, _, proof = cookie.partition(".")
        if not hmac.compare_digest(proof.encode(), self._sign(octets.encode()).encode()):
            raise NotAuthenticated(_REFUSED)
        values: dict[str, Any] = json.loads(base64.urlsafe_b64decode(octets))
        if values["until"] < time.time():
            raise NotAuthenticated("this took too long: sign in again")
        return values

    def _sign(self, octets: bytes) -> str:
        return hmac.new(self._key, octets, hashlib.sha256).hexdigest()


def _challenge(verifier: str) -> str:
    """The code challenge of a verifier (RFC 7636 section 4.2)."""
    digest = hashlib.sha256(verifier.encode()).digest()
    return base64.urlsafe_b64encode(digest).rstrip(b"=").decode()


def _get(url: str) -> dict[str, Any]:
    """A JSON object of the provider.  Raises Unavailable."""
    try:
        with requests.get(url, timeout=_TIMEOUT, stream=True, allow_redirects=False) as answer:
            answer.raise_for_status()
            found = json.loads(answer.raw.read(_LONGEST, decode_content=True))
    except (requests.RequestException, ValueError, OSError) as error:
        log.warning("console: the provider cannot be reached: %s", type(error).__name__)
        raise Unavailable(_AWAY) from error
    if not isinstance(found, dict):
        raise Unavailable(_AWAY)
    return found
