"""A random key kept in a file of the state directory, made once and the same after every restart.

For keys that only this installation needs to know (fences around stored text,
placeholders of scrubbed values). Not for API keys of callers or of services.
"""

from __future__ import annotations

import os
import secrets
from pathlib import Path

from hybrid_coordinator.errors import SettingsError

KEY_BYTES = 32


def load_or_create(path: Path) -> bytes:
    """The key in ``path``; where there is none, a new one that is kept there.

    Any number of threads and processes may ask for it at once: all get the
    same key. The file is readable by its owner alone.

    Returns:
        ``KEY_BYTES`` random bytes.

    Raises:
        SettingsError: the file has not that many bytes.
        OSError: the file can be neither read nor made.
    """
    try:
        return _checked(path.read_bytes(), path)
    except FileNotFoundError:
        path.parent.mkdir(parents=True, exist_ok=True)
    key = secrets.token_bytes(KEY_BYTES)
    own = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    descriptor = os.open(own, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(key)
            file.flush()
            os.fsync(file.fileno())
        # Another process may start at the same time: whoever links first wins.
        try:
            os.link(own, path)
        except FileExistsError:
            key = _checked(path.read_bytes(), path)
    finally:
        own.unlink()
    return key


def _checked(key: bytes, path: Path) -> bytes:
    if len(key) != KEY_BYTES:
        raise SettingsError(
            f"{path} holds {len(key)} bytes where a key has {KEY_BYTES}: restore it from a "
            "backup, or remove it to get a new one",
            field="state_directory",
        )
    return key
