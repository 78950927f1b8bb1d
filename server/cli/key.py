"""`tocsin-hub key`: the keys and client certificates of accounts."""

from __future__ import annotations

from pathlib import Path

import click

from tocsin.admission.certificates import only_certificate, read_validity
from tocsin.admission.errors import Conflict, Malformed
from tocsin.admission.timestamps import timestamp
from tocsin.config.command_line import format_examples
from tocsin.server.auth import certificate_fingerprint, hash_secret, is_certificate_fingerprint
from tocsin.server.cli.command import Answer, ShownOnce, with_acting_hub, with_hub
from tocsin.server.model import Credential
from tocsin.server.partners.administration import EXPIRES_SOON, Partners
from tocsin.server.runtime import Runtime
from tocsin.server.store import Transaction
from tocsin.server.urls import find_url

_SHORT_ID = 12
"""Characters of an id that is shown for `key revoke`."""


@click.group("key")
def key_command() -> None:
    """Keys and client certificates of accounts.

    An account has the name of its partner; the operator's is `operator`.
    """


@key_command.command("issue", epilog=format_examples("tocsin-hub key issue acme"))
@click.argument("account")
@with_acting_hub
def _issue(hub: Runtime, account: str) -> Answer:
    """Issue another key for an account; it is shown only once."""
    return show_key_once(issue_key(hub, account), "the key was issued, but could not be shown")


@key_command.command(
    "certificate", epilog=format_examples("tocsin-hub key certificate acme acme.crt")
)
@click.argument("account")
@click.argument("file", type=click.Path(path_type=Path))
@with_acting_hub
def _certificate(hub: Runtime, account: str, file: Path) -> Answer:
    """Register a client certificate (PEM or DER) for an account.

    If the file also has certificates of CAs, they are not registered.
    """
    return register_certificate(hub, account, file.read_bytes())


@key_command.command(
    "list",
    short_help="List the keys and certificates of an account.",
    epilog=format_examples("tocsin-hub key list acme --json"),
)
@click.argument("account")
@with_hub
def _list(hub: Runtime, account: str) -> list[Answer]:
    """List the keys and certificates of an account by their SHA-256.

    Shows when certificates expire; `not known` for those that an older hub registered.
    """
    return list_keys(hub, account)


@key_command.command(
    "revoke",
    short_help="Revoke a key or certificate.",
    epilog=format_examples("tocsin-hub key revoke acme 4f2a"),
)
@click.argument("account")
@click.argument("id")
@with_acting_hub
def _revoke(hub: Runtime, account: str, id: str) -> Answer:
    """Revoke a key or certificate: no request is let in with it any more.

    ID is what `key list` shows, or the first characters of it.
    """
    return revoke_key(hub, account, id)


def issue_key(hub: Runtime, account: str) -> Answer:
    """Add a key to an account; its other keys stay valid until they are revoked."""
    key = Partners(hub.services.store).issue_key(account, hub.actor)
    answer: Answer = {"account": account, "key": key.secret}
    return {**answer, **credential_of(hub, answer)}


def show_key_once(answer: Answer, if_lost: str) -> ShownOnce:
    """The answer with a key; `if_lost` and the command that revokes it, if it cannot be printed."""
    id_ = hash_secret(str(answer["key"]))[:_SHORT_ID]
    return ShownOnce(
        answer, f"{if_lost}: revoke it with `tocsin-hub key revoke {answer['account']} {id_}`"
    )


def credential_of(hub: Runtime, answer: Answer) -> Answer:
    """Account and key in one piece, and the line that sets them for `tocsin`."""
    credential = f"{answer['account']}:{answer['key']}"
    url = find_url(hub.settings)
    return {"credential": credential, "use": f"export TOCSIN_URL={url} TOCSIN_KEY={credential}"}


def register_certificate(hub: Runtime, account: str, file: bytes) -> Answer:
    """Let a client certificate, as its file has it, open an account.

    One that is not valid yet may be registered in time.  Raises Malformed if it has expired or
    the file has several that it could be, Conflict if it is registered already.
    """
    Partners(hub.services.store).require_account(account)
    der, now = only_certificate(file), hub.services.store.clock() / 1e6
    validity = read_validity(der)
    if now > validity.end:
        raise Malformed(f"the certificate {validity.find_fault(now)}: register a renewed one")
    digest, expires = certificate_fingerprint(der), int(validity.end * 1e6)

    def work(txn: Transaction) -> Answer:
        if (holder := txn.accounts.find_account_by_credential(digest)) is not None:
            raise Conflict(f"the certificate is registered already, for {holder.name}")
        txn.accounts.add_key(account, digest, txn.now, expires)
        txn.add_journal_entry("key.certificate", hub.actor, {"account": account, "id": digest})
        return {"account": account, "id": digest, "expires": timestamp(expires)}

    return hub.services.store.commit(work)


def list_keys(hub: Runtime, account: str) -> list[Answer]:
    """The SHA-256 of each key and certificate of an account, when it was added, when it expires."""
    Partners(hub.services.store).require_account(account)
    found = hub.services.store.accounts.list_credentials(account)
    return [_format_credential(each, hub.services.clock()) for each in found]


def _format_credential(credential: Credential, now: int) -> Answer:
    is_certificate = is_certificate_fingerprint(credential.id)
    answer: Answer = {
        "account": credential.account,
        "kind": "certificate" if is_certificate else "key",
        "id": credential.id,
        "added": timestamp(credential.added) if credential.added else "",
    }
    if not is_certificate:
        return answer | {"expires": "", "state": ""}
    if not credential.expires:
        return answer | {"expires": "not known", "state": ""}
    is_soon = credential.expires < now + EXPIRES_SOON
    state = "expired" if credential.expires < now else "expires soon" if is_soon else "valid"
    return answer | {"expires": timestamp(credential.expires), "state": state}


def revoke_key(hub: Runtime, account: str, prefix: str) -> Answer:
    """Revoke the key or certificate whose SHA-256 begins with `prefix`, from now on."""
    digest = Partners(hub.services.store).revoke_key(account, prefix, hub.actor)
    return {"account": account, "revoked": digest}
