"""An on-disk cache for data that is slow to build and the same every time.

Cached files are mapped into memory, so all processes share their pages. A file is used only if no
other user can have written it and its digest is right; any error costs time and nothing else.
Knows nothing of what it stores.
"""

from __future__ import annotations

import logging
import mmap
import os
import stat
import tempfile
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from hashlib import blake2b
from pathlib import Path

_DIGEST_OCTETS = 32
_MAX_FILES = 4
"""Files kept of one kind: one for each release and setting in use."""

_NEW_PREFIX = ".new-"
_ABANDONED_SECONDS = 60
"""Age after which a half-written file counts as left by a program that was killed."""

log = logging.getLogger(__name__)


def load_or_build(name: str, make: Callable[[], bytes]) -> bytes | memoryview:
    """The cached data of this name; built with `make` and stored if there is none.

    The name states everything that the data depends on: `KIND-STATE`.
    """
    folder = cache_folder(os.environ)
    if folder is None:
        return make()
    file = folder / f"{name}.bin"
    _remove_abandoned_files(folder)
    try:
        return _map_file(file)
    except FileNotFoundError:
        pass
    except (OSError, ValueError) as error:
        log.warning("%s cannot be used and is built again: %s", file, error)
    data = make()
    try:
        _write_file(file, data)
    except OSError as error:
        log.info("%s cannot be written, so the next start builds it again: %s", file, error)
    return data


def cache_folder(environ: Mapping[str, str]) -> Path | None:
    """`$XDG_CACHE_HOME/tocsin` or `~/.cache/tocsin`; None if neither variable is set."""
    folder = environ.get("XDG_CACHE_HOME", "")
    if not folder and environ.get("HOME"):
        folder = environ["HOME"] + "/.cache"
    return Path(folder) / "tocsin" if Path(folder).is_absolute() else None


def _map_file(file: Path) -> memoryview:
    """Raises ValueError if another user could have written the file, or it is incomplete."""
    descriptor = os.open(file, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        status = os.fstat(descriptor)
        if status.st_uid != os.geteuid() or status.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
            raise ValueError("other users can write it")
        if not stat.S_ISREG(status.st_mode) or status.st_size <= _DIGEST_OCTETS:
            raise ValueError("it is incomplete or damaged")
        view = memoryview(mmap.mmap(descriptor, status.st_size, access=mmap.ACCESS_READ))
    finally:
        os.close(descriptor)
    content = view[: status.st_size - _DIGEST_OCTETS]
    if _digest(content) != view[status.st_size - _DIGEST_OCTETS :]:
        raise ValueError("it is incomplete or damaged")
    return content


def _write_file(file: Path, content: bytes) -> None:
    file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=file.parent, prefix=_NEW_PREFIX)  # 0600
    try:
        with os.fdopen(handle, "wb") as new:
            new.write(content)
            new.write(_digest(content))
        os.replace(name, file)
    except BaseException:
        with suppress(FileNotFoundError):
            os.unlink(name)
        raise
    kind = file.name.rpartition("-")[0]
    like = sorted(file.parent.glob(f"{kind}-*.bin"), key=lambda each: each.stat().st_mtime)
    for old in like[:-_MAX_FILES]:
        old.unlink(missing_ok=True)


def _remove_abandoned_files(folder: Path) -> None:
    """Remove half-written files of programs that were killed.

    A write in progress is younger; a write that was suspended for longer is only repeated.
    """
    with suppress(OSError):
        for left in folder.glob(f"{_NEW_PREFIX}*"):
            if time.time() - left.lstat().st_mtime > _ABANDONED_SECONDS:
                left.unlink(missing_ok=True)


def _digest(content: bytes | memoryview) -> bytes:
    return blake2b(content, digest_size=_DIGEST_OCTETS).digest()
