"""The hub's secrets file.

The namespace of the public ids is secret, so that nobody outside can tell which
submission became which public object.  The secrets are in one file with mode
0600 in the data directory.  Without it every object would get a new public id,
so it belongs in the backup.
"""

import hashlib
import hmac
import json
import os
import secrets
import stat
import uuid
from dataclasses import dataclass
from pathlib import Path

from tocsin.admission.errors import Conflict, Malformed, NotFound, Unavailable, Unprocessable

_FILE = "secrets.json"
_RESTORING = "restoring"
"""A file that is there while a restore runs; its database is marked only once there is one."""
_KEY_OCTETS = 32


@dataclass(frozen=True, slots=True)
class HubSecrets:
    """The hub's secrets."""

    namespace: uuid.UUID
    """The namespace of the public ids."""
    page_token_key: bytes
    """Authenticates `next`."""

    def page_token_key_of(self, epoch: str) -> bytes:
        """The key of `next` and of entity tags in an epoch: those of others are not known in it."""
        if not epoch:
            return self.page_token_key
        return hmac.digest(self.page_token_key, b"epoch:" + epoch.encode(), "sha256")

    @property
    def fingerprint(self) -> str:
        """Identifies these secrets without revealing them."""
        return hashlib.sha256(b"tocsin" + self.namespace.bytes + self.page_token_key).hexdigest()


def has_secrets(directory: Path) -> bool:
    """True if a hub has been made in this data directory."""
    return (directory / _FILE).exists()


def load_secrets(directory: Path) -> HubSecrets:
    """The secrets stored in `directory`; created on first use.  See `read_secrets`.

    Raises Unavailable if there are none because a restore has begun and not ended.
    """
    if not has_secrets(directory):
        if (directory / _RESTORING).exists():
            raise Unavailable(
                f"{directory} is half restored: `tocsin-hub restore` was interrupted, or still "
                "runs; if it does not run, run it again, or name another directory with --data"
            )
        made = {"namespace": str(uuid.uuid4()), "cursor_key": secrets.token_hex(_KEY_OCTETS)}
        _create(directory / _FILE, json.dumps(made).encode())
    return parse_secrets(read_secrets(directory))


def read_secrets(directory: Path) -> bytes:
    """The octets of the secrets file in `directory`, which are those of secrets.

    Raises NotFound if there is none, Malformed if it is damaged, Unprocessable if every user can
    read it: the file and its directory allow it.
    """
    file = directory / _FILE
    try:
        octets, mode = file.read_bytes(), file.stat().st_mode
        is_open = mode & stat.S_IROTH and directory.stat().st_mode & stat.S_IXOTH
    except FileNotFoundError as error:
        if not directory.is_dir() or not any(directory.iterdir()):
            raise NotFound(
                f"there is no hub in {directory}: name its data directory with --data, or put "
                f"{_FILE} back from a backup"
            ) from error
        raise NotFound(
            f"{directory} has no {_FILE}: name the hub's data directory with --data, or put the "
            "file back from a backup"
        ) from error
    if is_open:
        raise Unprocessable(f"every user can read the hub's secrets in {file}: run chmod 600 on it")
    try:
        parse_secrets(octets)
    except Malformed as error:
        raise Malformed(f"{file} is damaged: put it back from a backup") from error
    return octets


def parse_secrets(octets: bytes) -> HubSecrets:
    """The secrets in the octets of a secrets file.  Raises Malformed if they are not in it."""
    try:
        kept = json.loads(octets)
        found = HubSecrets(uuid.UUID(kept["namespace"]), bytes.fromhex(kept["cursor_key"]))
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise Malformed(f"{_FILE} is damaged") from error
    if len(found.page_token_key) < _KEY_OCTETS:
        raise Malformed(f"{_FILE} is damaged: its key is too short")
    return found


def put_secrets(directory: Path, octets: bytes) -> bool:
    """Store a secrets file as it is; False if the directory has the same secrets already.

    Raises Conflict if it has other ones.
    """
    file = directory / _FILE
    new = not file.exists()
    if new:
        _create(file, octets)
    if load_secrets(directory) != parse_secrets(octets):
        raise Conflict(
            f"{directory} has the secrets of another hub: name another directory with --data"
        )
    return new


def begin_restore(directory: Path) -> bool:
    """Let no hub be made in a data directory before `end_restore`; False if that was so before."""
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    is_new = not (directory / _RESTORING).exists()
    (directory / _RESTORING).touch(mode=0o600)
    return is_new


def end_restore(directory: Path) -> None:
    """The inverse of `begin_restore`."""
    (directory / _RESTORING).unlink(missing_ok=True)


def remove_secrets(directory: Path) -> None:
    """Remove a secrets file that `put_secrets` has stored."""
    (directory / _FILE).unlink(missing_ok=True)


def _create(file: Path, octets: bytes) -> None:
    file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    partial = file.with_name(f"{_FILE}.{secrets.token_hex(8)}")
    with os.fdopen(os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as out:
        out.write(octets)
        out.flush()
        os.fsync(out.fileno())
    try:
        os.link(partial, file)  # another process was first: its file stays
    except FileExistsError:
        pass
    finally:
        partial.unlink()
