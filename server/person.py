"""The people who use the console, their roles and their sessions.  Values only."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Role(StrEnum):
    """A person's task at the hub."""

    VIEWER = "viewer"  # of a partner: reads what its partner may read
    ANALYST = "analyst"  # of a partner: shares as well
    REVIEWER = "reviewer"  # of the hub: decides what waits
    OPERATOR = "operator"  # of the hub: runs it
    AUDITOR = "auditor"  # of the hub: reads everything, changes nothing


HUB_ROLES = frozenset({Role.REVIEWER, Role.OPERATOR, Role.AUDITOR})
"""Roles of the hub's own people; the others are those of a partner's."""


@dataclass(frozen=True, slots=True)
class Passkey:
    """A key in a person's authenticator (Web Authentication); the hub has the public half."""

    id: str
    """Id of the credential, in base64url; unique over all people."""
    name: str
    """Chosen by the person."""
    public_key: str
    """Attested credential data (Web Authentication section 6.5.2), in base64url."""
    added: int
    """µs since 1970 UTC."""
    used: int = 0
    """Time of the last sign-in with it; 0: none yet."""
    count: int = 0
    """The highest signature counter that was seen; 0: the authenticator does not count."""


@dataclass(frozen=True, slots=True)
class Person:
    """Someone who signs in."""

    id: str
    login: str
    """Mailbox, in lower case; unique."""
    name: str
    partner: str
    """Slug of the partner; empty for the hub's own people."""
    roles: frozenset[Role]
    password: str = ""
    """Argon2 hash; empty until the invitation is taken, or if another way is used."""
    totp: str = ""
    """Sealed secret of the authenticator app; empty: none."""
    totp_step: int = 0
    """The last step of 30 s of which a code was used."""
    disabled: bool = False
    zone: str = ""
    """Time zone that is shown beside UTC; empty: none."""
    has_keys: bool = True
    """Single keys act."""
    scheme: str = ""
    """`light` or `dark`; empty: as the system says."""
    undo_seconds: int = 20
    """Time for which a decision can be taken back."""
    created: int = 0
    wants_mail: bool = False
    """Gets notices by mail."""
    passkeys: tuple[Passkey, ...] = ()
    last_challenge: int = 0
    """Time, in µs, of the newest challenge that a passkey has answered; older ones are used up."""

    @property
    def is_of_hub(self) -> bool:
        """True for the hub's own people."""
        return not self.partner

    @property
    def has_second_factor(self) -> bool:
        """True if a password alone is not enough to sign in."""
        return bool(self.totp or self.passkeys)

    def has(self, *roles: Role) -> bool:
        """True if the person has any of these roles."""
        return not self.roles.isdisjoint(roles)


@dataclass(frozen=True, slots=True)
class Session:
    """Someone's stay, from signing in to signing out."""

    id: str
    """SHA-256 of the cookie, in hex."""
    person: str
    begun: int
    """µs since 1970 UTC."""
    seen: int
    """Time of its last request, to the minute."""
    token: str
    """Every form repeats it."""
    epoch: str = ""
    """That of the database: a restored backup brings no session back."""
    has_second_factor: bool = False
    client: str = ""
    """The browser's name for itself."""


@dataclass(frozen=True, slots=True)
class Invitation:
    """A link with which someone sets a password, once."""

    id: str
    """SHA-256 of the secret in the link, in hex."""
    login: str
    """Empty: the person chooses it."""
    name: str
    partner: str
    roles: frozenset[Role]
    until: int
    """µs since 1970 UTC."""
    by: str
    """Who invited."""
    person: str = ""
    """Id of a person who gets a new password; empty: a new person."""
