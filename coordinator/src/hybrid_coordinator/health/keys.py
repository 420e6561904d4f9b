"""The keys that checks need, which only the service and its jobs can read.

A person who runs the check by hand has no systemd credentials: then the part
cannot be asked directly and the coordinator's word has to do. In a job a key
that cannot be read is a fault like any other.
"""

from __future__ import annotations

import os

from hybrid_coordinator.configuration import read_secret
from hybrid_coordinator.errors import HybridError, SettingsError


class KeyNotHere(HybridError):
    """Whoever runs this check may not read the key."""


def key_for(reference: str | None, option: str) -> str | None:
    """The key that an option names, None where it names none.

    Raises:
        KeyNotHere: it cannot be read, and this is no job of the service.
        SettingsError: it cannot be read.
    """
    if reference is None:
        return None
    try:
        return read_secret(reference, option=option)
    except SettingsError as error:
        if "CREDENTIALS_DIRECTORY" in os.environ:
            raise
        raise KeyNotHere(error.message) from error
