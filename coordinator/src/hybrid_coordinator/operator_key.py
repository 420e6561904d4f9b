"""The key by which jobs and commands of this machine are known as the operator's.

Where API keys are configured, a timer's job needs one as well; it is made by
the service and lies in the state directory, readable by the service's user
(and root) alone. Who a key belongs to is decided in ``api.auth``.
"""

from __future__ import annotations

import logging
import os
import secrets
import stat
from pathlib import Path
from typing import Final

from hybrid_coordinator.errors import SettingsError

FILE: Final = "operator.key"
_BYTES: Final = 32
_OTHERS: Final = stat.S_IRWXG | stat.S_IRWXO

log = logging.getLogger(__name__)


def operator_key(state_directory: Path) -> str:
    """The operator's key, made where there is none; for the service. Blocks on the disk.

    A file that others can read or that holds no key is replaced: what may have
    been read is worth nothing any more. Of two processes that make one at the
    same time, both get the same.

    Raises:
        SettingsError: the state directory cannot be written.
    """
    path = state_directory / FILE
    try:
        state_directory.mkdir(parents=True, exist_ok=True)
        found = _read(path)
        if found is None and path.is_symlink() | path.exists():
            log.warning("the operator's key was open to others or damaged: there is a new one")
            path.unlink(missing_ok=True)
        return found or _make(path)
    except OSError as error:
        raise SettingsError(
            f"the operator's key {path} cannot be made: {error.strerror}; let the service's user "
            "write the state directory",
            field="state_directory",
        ) from None


def read_operator_key(state_directory: Path) -> str | None:
    """The operator's key for a command; None where there is none that this user may read."""
    try:
        return _read(state_directory / FILE)
    except OSError:
        return None


def _read(path: Path) -> str | None:
    """The key in the file; None where there is no file, or it is not a private one with a key."""
    try:
        # A link could lead to a file of somebody else's choice.
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK)
    except FileNotFoundError:
        return None
    except OSError:
        if path.is_symlink():
            return None
        raise
    with os.fdopen(descriptor, "rb") as file:
        about = os.fstat(descriptor)
        if not stat.S_ISREG(about.st_mode) or about.st_mode & _OTHERS:
            return None
        if about.st_uid not in (os.geteuid(), path.parent.stat().st_uid):
            return None
        text = file.read(256).decode("ascii", "replace").strip()
    return text if len(text) == 2 * _BYTES and text.isalnum() else None


def _make(path: Path) -> str:
    key = secrets.token_hex(_BYTES)
    fresh = path.with_name(f".{FILE}.{secrets.token_hex(8)}")
    descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        with os.fdopen(descriptor, "w", encoding="ascii") as file:
            file.write(key + "\n")
            file.flush()
            os.fsync(descriptor)
        try:
            # Unlike a rename it does not replace what another process made meanwhile.
            os.link(fresh, path)
        except FileExistsError:
            return _read(path) or key
    finally:
        fresh.unlink(missing_ok=True)
    return key
