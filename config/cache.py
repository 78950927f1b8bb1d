"""What is dear to make and the same every time is kept in the user's cache folder.

A kept file is mapped into memory, so all processes that use it share its pages.
It is used only if nobody else can have written it, and its digest is right;
whatever goes wrong with it costs time and nothing else.
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

_DIGEST = 32
_MOST = 4
"""Files of one kind that are left: one for each release and setting that is in use."""

_NEW = ".new-"
_ABANDONED = 60
"""Seconds after which a half-written file belongs to nobody."""

log = logging.getLogger(__name__)


def kept(name: str, make: Callable[[], bytes]) -> bytes | memoryview:
    """What `make` made when it was first asked for under this name.

    The name says everything that the result depends on: `KIND-STATE`.
    """
    folder = cache_folder(os.environ)
    if folder is None:
        return make()
    file = folder / f"{name}.bin"
    _sweep(folder)
    try:
        return _mapped(file)
    except FileNotFoundError:
        pass
    except (OSError, ValueError) as error:
        log.warning("%s cannot be used and is made anew: %s", file, error)
    made = make()
    try:
        _write(file, made)
    except OSError as error:
        log.info("%s cannot be kept, so the next start makes it again: %s", file, error)
    return made


def cache_folder(environ: Mapping[str, str]) -> Path | None:
    """Where the user's caches are, `$XDG_CACHE_HOME/tocsin` or `~/.cache/tocsin`, if anywhere."""
    folder = environ.get("XDG_CACHE_HOME", "")
    if not folder and environ.get("HOME"):
        folder = environ["HOME"] + "/.cache"
    return Path(folder) / "tocsin" if Path(folder).is_absolute() else None


def _mapped(file: Path) -> memoryview:
    """Raises ValueError if somebody else could have written the file, or it is not whole."""
    opened = os.open(file, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        said = os.fstat(opened)
        if said.st_uid != os.geteuid() or said.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
            raise ValueError("others can write it")
        if not stat.S_ISREG(said.st_mode) or said.st_size <= _DIGEST:
            raise ValueError("it is not whole")
        view = memoryview(mmap.mmap(opened, said.st_size, access=mmap.ACCESS_READ))
    finally:
        os.close(opened)
    content = view[: said.st_size - _DIGEST]
    if _digest(content) != view[said.st_size - _DIGEST :]:
        raise ValueError("it is not whole")
    return content


def _write(file: Path, content: bytes) -> None:
    file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=file.parent, prefix=_NEW)  # 0600
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
    for old in like[:-_MOST]:
        old.unlink(missing_ok=True)


def _sweep(folder: Path) -> None:
    """Remove what killed programs left.

    A write in progress is younger; one that was stopped for so long is only made again.
    """
    with suppress(OSError):
        for left in folder.glob(f"{_NEW}*"):
            if time.time() - left.lstat().st_mtime > _ABANDONED:
                left.unlink(missing_ok=True)


def _digest(content: bytes | memoryview) -> bytes:
    return blake2b(content, digest_size=_DIGEST).digest()
