"""`tocsin-hub backup` and `restore`: the whole hub in one file, while it runs, and back."""

from __future__ import annotations

import os
import shutil
import stat
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager, nullcontext, suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import NamedTuple

import click

from tocsin.admission.errors import Conflict, Malformed, NotFound, Unavailable
from tocsin.admission.timestamps import timestamp
from tocsin.config.command_line import format_examples
from tocsin.config.settings import HubSettings
from tocsin.server.cli.command import AS_JSON, AS_PERSON, TIME, Answer, print_result
from tocsin.server.cli.journal import format_entry
from tocsin.server.cli.new_file import NEW_FILE, new_file, write_to_disk
from tocsin.server.cli.repeat import Repeated, read_later_entries, repeat_acts
from tocsin.server.cli.settings import print_notice, with_settings
from tocsin.server.runtime import check_policy, open_restored_runtime
from tocsin.server.secrets import (
    HubSecrets,
    begin_restore,
    end_restore,
    parse_secrets,
    put_secrets,
    read_secrets,
    remove_secrets,
)
from tocsin.server.store import Store
from tocsin.server.store.archive import ArchiveReader, ArchiveWriter, Manifest
from tocsin.server.store.backup import failures_explained
from tocsin.server.store.embedded import FILES_OF_A_HUB, database
from tocsin.server.store.feeds.clock import ClockState
from tocsin.server.store.journal import OPERATOR, JournalEntry, operator_name
from tocsin.server.store.schema import SCHEMA_VERSION

_PROGRESS_SECONDS = 0.2
_MOST_NAMED = 100
"""Entries to look at that are shown."""
_UNDONE = """\
tocsin-hub: the hub is as it was at {at}. Everything done since then is undone.
  {again}
  Ask your partners to send again what they sent since then.
  docs/operate/backup.md has the list."""
_DO_AGAIN = """\
Before you start it, do again what must hold: purges, revocations and withdrawals,
  revoked keys, removed or locked-out people, changed passwords and roles,
  disabled or removed partners, ended agreements, exclusions, changes of rights.
  With an export of the lost hub's journal, `restore --journal FILE` into another
  place does it for you."""
_IS_REPEATED = """\
Purges, revocations, removals and withdrawn rights of the journal are repeated now.{look}
  Reports of what was revoked or purged since then wait for a reviewer."""
_LOOK_AT = """ Before
  you start the hub, look at these entries of {file}
  (`look_at` has their numbers, which this hub gives to other entries)."""
_NOTHING_LATER = """\
tocsin-hub: {file} has no entry after number {last}, the last of the backup: nothing is repeated.
  If you have a later export of the lost hub's journal, restore with it, into another place."""
_LOCKED_OUT = """\
tocsin-hub: no password, app or passkey of these people is valid any more. The journal says that
  one of them was changed or removed, or removes the only operator whom the backup has:
  {people}
  For those who may sign in, make a link to set a new password, with their --role and --partner:
  tocsin-hub person invite MAILBOX"""


@click.command(
    "backup",
    short_help="Write everything that the hub holds into a new file.",
    epilog=format_examples(
        "tocsin-hub backup tocsin.tar --data /srv/tocsin",
        "tocsin-hub backup . --json",
        "tocsin-hub backup --verify tocsin.tar",
    ),
)
@click.argument("target", metavar="FILE_OR_DIR", type=NEW_FILE)
@click.option("--verify", is_flag=True, help="Check the backup FILE; needs no hub.")
@with_settings
@AS_PERSON
@AS_JSON
def backup_command(
    settings: HubSettings, target: Path, verify: bool, as_json: bool, person: str
) -> None:
    """Write everything that the hub holds into a new file, while it runs.

    The file is of one moment. In a directory it is named after the time. It holds the hub's
    secrets and what partners sent, as they sent it: keep it where only you can read it. hub.toml,
    policy.toml and TLS files are not in it.
    """
    if verify:
        print_result(verify_backup(target), as_json=as_json)
        print_notice(f"tocsin-hub: {target} is whole and unchanged")
    else:
        print_result(back_up(settings, target, operator_name(person)), as_json=as_json)


@click.command(
    "restore",
    short_help="Restore a backup into an empty database.",
    epilog=format_examples(
        "tocsin-hub backup --verify tocsin.tar",
        "tocsin-hub restore tocsin.tar --data /srv/tocsin-new",
        "tocsin-hub restore tocsin.tar --data /srv/tocsin-3 --journal journal.jsonl",
    ),
)
@click.argument("file", type=click.Path(path_type=Path))
@click.option(
    "--after",
    type=TIME,
    default=0,
    help="The latest X-TAXII-Date-Added-Last that a follower has, if you know it.",
)
@click.option(
    "--journal",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="An export of the lost hub's journal: its purges, revocations, removals and withdrawn "
    "rights are repeated.",
)
@with_settings
@AS_PERSON
@AS_JSON
def restore_command(  # noqa: PLR0913
    settings: HubSettings,
    file: Path,
    after: int,
    journal: Path | None,
    as_json: bool,
    person: str,
) -> None:
    """Restore a backup into an empty database; the hub may be started afterwards.

    The whole file is checked before anything is written. If it is interrupted, run it again: a
    half restored hub does not start. Stop every hub and worker of the database first.

    Followers go on by date (added_after). Page tokens (next) and entity tags of before are not
    valid any more. Everything done after the backup is undone: the command says what to repeat.
    """
    order = RestoreOrder(file, after, journal, operator_name(person))
    print_result(restore(settings, order), as_json=as_json)


@dataclass(frozen=True, slots=True)
class RestoreOrder:
    """The backup to restore, and how."""

    file: Path
    after: int = 0
    """Everything published later is stamped later than now, and than this (µs)."""
    journal: Path | None = None
    """An export of the lost hub's journal; what it ends after the backup is repeated."""
    actor: str = OPERATOR


class _Source(NamedTuple):
    """A checked backup, and the entries of the journal after it."""

    archive: ArchiveReader
    manifest: Manifest
    entries: list[JournalEntry]


class _Restored(NamedTuple):
    """The result of a restore."""

    clock: ClockState
    repeated: Repeated | None
    """None if there was nothing to repeat."""


def back_up(settings: HubSettings, target: Path, actor: str = OPERATOR) -> Answer:
    """Back up the hub of these settings into a new file; a description of it.

    Raises NotFound if the data directory has no hub, Conflict if the file exists or is being
    written, Unavailable if the database cannot be read to the end.
    """
    secrets = read_secrets(settings.data)
    own = settings.mongo_uri
    place = nullcontext(own) if own else database(settings.data, print_notice)
    with place as uri, closing(Store.connect(uri, name=settings.database)) as store:
        store.backups.check()
        store.check_secrets(parse_secrets(secrets).fingerprint)
        name, partial = _choose_names(target)
        with new_file(name, partial) as file:
            with _progress() as progress:
                archive = ArchiveWriter(file)
                manifest = store.backups.write(archive, secrets, version("tocsin"), progress)
            answer = _describe(name, manifest, archive.finish(manifest), archive.octets)
            write_to_disk(file)  # else the journal may name a file for which the disk has no room
            if manifest.schema == SCHEMA_VERSION:  # else the journal must wait for `migrate`
                done = {"stamp": timestamp(manifest.stamp), "sha256": answer["sha256"]}
                store.commit(lambda txn: txn.add_journal_entry("backup", actor, done))
    return answer


def verify_backup(path: Path) -> Answer:
    """Check a backup as a whole; a description of it.

    Raises Malformed, with a sentence, if it is not a whole and unchanged backup.
    """
    with _open_archive(path) as archive:
        manifest, _ = _check(archive, path)
        return _describe(path, manifest, archive.sha256, archive.octets)


def restore(settings: HubSettings, order: RestoreOrder) -> Answer:
    """Restore a backup into the empty database of these settings.

    Raises Malformed for a damaged backup or another hub's journal, Conflict if the database or the
    data directory is in use: nothing was written then.  If it fails later, what it wrote is
    deleted.
    """
    with _open_archive(order.file) as archive:
        manifest, secrets = _check(archive, order.file)
        if manifest.schema > SCHEMA_VERSION:
            raise Unavailable(
                f"{order.file} has schema version {manifest.schema}, newer than this program's "
                f"{SCHEMA_VERSION}: use the tocsin-hub {manifest.program} that wrote it"
            )
        known = manifest.journal, manifest.journal_hash
        entries = read_later_entries(order.journal, known) if order.journal else []
        if entries:
            check_policy(settings)
        with _directory(settings), ExitStack() as opened:
            with failures_explained(_disk(settings)):
                place = opened.enter_context(_open_empty(settings, secrets))
            restored = _load(settings, order, *place, _Source(archive, manifest, entries))
    if order.journal and not entries:
        print_notice(_NOTHING_LATER.format(file=order.journal, last=manifest.journal))
    done = restored.repeated
    look = _LOOK_AT.format(file=order.journal) if done and done.left else ""
    again = _IS_REPEATED.format(look=look) if entries else _DO_AGAIN
    print_notice(_UNDONE.format(at=timestamp(manifest.created), again=again))
    answer = _describe(order.file, manifest, archive.sha256, archive.octets)
    answer |= {
        "data": str(settings.data),
        "clock": timestamp(restored.clock.stamp),
        "epoch": restored.clock.epoch,
    }
    if done is None:
        return answer
    left = [entry for entry in entries if entry.sequence in done.left]
    for entry in left[:_MOST_NAMED]:
        print_notice(format_entry(entry))
    if len(left) > _MOST_NAMED:
        print_notice(f"  … and {len(left) - _MOST_NAMED:,} more, in {order.journal}")
    if done.locked_out:
        print_notice(_LOCKED_OUT.format(people=", ".join(done.locked_out)))
    return {
        **answer,
        "repeated": done.repeated,
        "without_effect": done.without_effect,
        "look_at": list(done.left),
        "locked_out": list(done.locked_out),
    }


def _load(
    settings: HubSettings, order: RestoreOrder, store: Store, uri: str, source: _Source
) -> _Restored:
    """Load a checked archive into the empty database at `uri`, and end what the journal ends."""
    archive, manifest, entries = source
    backups, repeated = store.backups, None
    with backups.undone_if_it_fails(), failures_explained(_disk(settings)):
        name = backups.begin_restore()
        with _secrets_in_place(settings.data, archive.secrets):
            with _progress() as progress:
                backups.load(archive, progress)
                backups.finish_schema()
            store.check_secrets(parse_secrets(archive.secrets).fingerprint)
            clock = backups.begin_epoch(manifest, order.after)
            done = {"stamp": timestamp(manifest.stamp), "sha256": archive.sha256}
            store.commit(lambda txn: txn.add_journal_entry("restore", order.actor, done))
            if entries:
                with open_restored_runtime(settings, uri, name) as hub:
                    repeated = repeat_acts(replace(hub, actor=order.actor), entries)
            backups.end_restore(name)
    return _Restored(clock, repeated)


@contextmanager
def _secrets_in_place(data: Path, octets: bytes) -> Iterator[None]:
    """Put the secrets of a backup into the data directory; take them away if what follows fails."""
    is_new = put_secrets(data, octets)
    try:
        yield
    except BaseException:
        if is_new:
            remove_secrets(data)
        raise


def _disk(settings: HubSettings) -> Path | None:
    """The folder of the embedded engine; None on a MongoDB, whose disk is elsewhere."""
    return None if settings.mongo_uri else settings.data


def _describe(path: Path, manifest: Manifest, sha256: str, octets: int) -> Answer:
    return {
        "file": str(path),
        "octets": octets,
        "sha256": sha256,
        "created": timestamp(manifest.created),
        "stamp": timestamp(manifest.stamp),
        "program": manifest.program,
        "schema": manifest.schema,
        "journal": f"{manifest.journal}:{manifest.journal_hash}",
        "documents": sum(manifest.documents.values()),
    }


def _check(archive: ArchiveReader, path: Path) -> tuple[Manifest, HubSecrets]:
    manifest = archive.check()
    try:
        return manifest, parse_secrets(archive.secrets)
    except Malformed as error:
        raise Malformed(f"{path} is damaged at secrets.json: use another backup") from error


@contextmanager
def _open_archive(path: Path) -> Iterator[ArchiveReader]:
    if path.is_dir():
        raise Malformed(f"{path} is a directory: name the backup in it")
    with path.open("rb") as file:
        if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
            raise Malformed(f"{path} is not a file")
        yield ArchiveReader(file, str(path))


@contextmanager
def _directory(settings: HubSettings) -> Iterator[None]:
    """Mark a data directory while it is restored.

    If what follows fails, leave no trace of one that was not there, or empty.
    """
    data = settings.data
    existed = data.exists()
    new = not existed or not any(data.iterdir())
    if not new and any(each.name not in FILES_OF_A_HUB for each in data.iterdir()):
        raise Conflict(f"{data} has other files: restore into a new directory, named with --data")
    is_first = begin_restore(data)
    try:
        yield
        end_restore(data)
    except BaseException:
        if new and data.exists():
            for each in data.iterdir():
                shutil.rmtree(each) if each.is_dir() else each.unlink()
            if not existed:
                data.rmdir()
        elif is_first:
            end_restore(data)
        raise


@contextmanager
def _open_empty(settings: HubSettings, secrets: HubSecrets) -> Iterator[tuple[Store, str]]:
    """The empty database of these settings, for a hub with these secrets, and its URI."""
    with suppress(NotFound):
        if parse_secrets(read_secrets(settings.data)) != secrets:
            raise Conflict(
                f"{settings.data} has the secrets of another hub: name another directory with "
                "--data"
            )
    own = settings.mongo_uri
    place = nullcontext(own) if own else database(settings.data, print_notice)
    with place as uri, closing(Store.connect(uri, name=settings.database)) as store:
        store.backups.prepare_restore()
        yield store, uri


def _choose_names(target: Path) -> tuple[Path, Path]:
    """The name of a backup, in a directory after the time, and its name until it is complete."""
    if target.is_dir():
        now = datetime.now(UTC)
        return target / f"tocsin-{now:%Y%m%dT%H%M%SZ}.tar", target / "tocsin.tar.partial"
    return target, target.with_name(f"{target.name}.partial")


@contextmanager
def _progress() -> Iterator[Callable[[str, int], None]]:
    """Shows on a terminal, in one line, the collection in hand and the number of documents."""
    shown = sys.stderr.isatty()
    latest = 0.0

    def show(collection: str, documents: int) -> None:
        nonlocal latest
        if shown and time.monotonic() - latest >= _PROGRESS_SECONDS:
            latest = time.monotonic()
            print(f"\r{collection}: {documents:,} documents\x1b[K", end="", file=sys.stderr)

    try:
        yield show
    finally:
        if shown:
            print("\r\x1b[K", end="", file=sys.stderr, flush=True)
