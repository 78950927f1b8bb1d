"""The hub's secrets file, and the hub's identity.

The namespace of the public ids is secret, so that nobody outside can tell which
submission became which public object.  The secrets are in one file with mode
0600 in the data directory.  Without it every object would get a new public id,
so it belongs in the backup.
"""

import hashlib
import json
import os
import secrets
import uuid
from dataclasses import dataclass
from pathlib import Path

from tocsin.admission.model import StixObject
from tocsin.admission.timestamps import stix_time

_FILE = "secrets.json"
_BIRTH = 1_735_689_600_000_000
"""2025-01-01: `created` of the hub's identity, the same on every start."""


@dataclass(frozen=True, slots=True)
class HubSecrets:
    """The hub's secrets."""

    namespace: uuid.UUID
    """The namespace of the public ids."""
    page_token_key: bytes
    """Authenticates `next`."""

    @property
    def fingerprint(self) -> str:
        """Identifies these secrets without revealing them."""
        return hashlib.sha256(b"tocsin" + self.namespace.bytes + self.page_token_key).hexdigest()

    def identity(self, title: str) -> StixObject:
        """The hub as a STIX identity; the author of every public object."""
        return {
            "type": "identity",
            "spec_version": "2.1",
            "id": f"identity--{uuid.uuid5(self.namespace, 'hub')}",
            "created": stix_time(_BIRTH),
            "modified": stix_time(_BIRTH),
            "name": title,
            "identity_class": "organization",
        }


def load_secrets(directory: Path) -> HubSecrets:
    """The secrets stored in `directory`; created on first use."""
    file = directory / _FILE
    if not file.exists():
        _create(file)
    kept = json.loads(file.read_text("utf-8"))
    return HubSecrets(uuid.UUID(kept["namespace"]), bytes.fromhex(kept["cursor_key"]))


def _create(file: Path) -> None:
    file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    made = {"namespace": str(uuid.uuid4()), "cursor_key": secrets.token_hex(32)}
    partial = file.with_name(f"{_FILE}.{os.getpid()}")
    with os.fdopen(os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as out:
        out.write(json.dumps(made))
        out.flush()
        os.fsync(out.fileno())
    try:
        os.link(partial, file)  # another process was first: its file stays
    except FileExistsError:
        pass
    finally:
        partial.unlink()
