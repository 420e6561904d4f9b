"""Checks of what ages: certificates, the files of keys, and the keys of clients in them.

A certificate that ran out shuts everybody out at once, and a key that others
on the machine can read is no key. Never is a key's text, or a part of it, in
what is said. Keys that come as systemd credentials were copied by systemd at
start: their rights are right by construction, and their age is not known.
"""

from __future__ import annotations

import asyncio
import os
import stat
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

from hybrid_coordinator.api_keys import ApiKey, parse_keys
from hybrid_coordinator.configuration import read_secret
from hybrid_coordinator.errors import SettingsError
from hybrid_coordinator.health_report import Level, Part
from hybrid_coordinator.settings import Settings

CERTIFICATES: Final = "certificates"
KEYS: Final = "keys"
_DAY: Final = 86_400.0


async def check_certificates(settings: Settings, clock: Callable[[], float]) -> Part:
    """Whether a certificate of ``health.certificates`` has run out, or soon will."""
    return await asyncio.to_thread(_certificates, settings, clock())


def _certificates(settings: Settings, now: float) -> Part:
    # Costs every command 20 ms where it is imported at the start.
    from cryptography import x509

    ends: dict[Path, float] = {}
    unread: dict[Path, str] = {}
    for path in settings.health.certificates:
        try:
            # A chain begins with the server's own certificate.
            certificate = x509.load_pem_x509_certificates(path.read_bytes())[0]
        except OSError as error:
            unread[path] = error.strerror or type(error).__name__
        except ValueError:
            unread[path] = "it holds no certificate in PEM form"
        else:
            ends[path] = (certificate.not_valid_after_utc.timestamp() - now) / _DAY
    expired = [path for path, days in ends.items() if days <= 0]
    if expired:
        # Every client that checks it is turned away.
        return Part(
            name=CERTIFICATES,
            level=Level.CRITICAL,
            found=f"expired: {_named(expired)}",
            remedy="renew it, then reload nginx",
            cause=f"expired {_named(expired)}",
        )
    if unread:
        troubles = ", ".join(f"{path}: {reason}" for path, reason in unread.items())
        return Part(
            name=CERTIFICATES,
            level=Level.WARNING,
            found=f"cannot be read: {troubles}",
            remedy="let the service's user read it, or correct health.certificates",
            cause=f"unread {_named(list(unread))}",
        )
    soon = {path: days for path, days in ends.items() if days < settings.health.expiry_days}
    if soon:
        told = ", ".join(f"{path} in {days:.0f} days" for path, days in soon.items())
        return Part(
            name=CERTIFICATES,
            level=Level.WARNING,
            found=f"about to expire: {told}",
            remedy="see why it was not renewed",
            cause=f"soon {_named(list(soon))}",
        )
    days = min(ends.values())
    return Part(name=CERTIFICATES, level=Level.OK, found=f"the first expires in {days:.0f} days")


def _named(paths: list[Path]) -> str:
    return ", ".join(str(path) for path in paths)


async def check_keys(settings: Settings, clock: Callable[[], float]) -> Part:
    """The files of keys: rights and age; and whether a client's key has run out."""
    return await asyncio.to_thread(_keys, settings, clock())


def _keys(settings: Settings, now: float) -> Part:
    references = dict(secret_options(settings))
    if not references:
        return Part(name=KEYS, level=Level.OFF, found="no key is used")
    files = {option: Path(text) for option, text in references.items() if text.startswith("/")}
    troubles = [
        trouble
        for option, path in files.items()
        if (trouble := _file_trouble(option, path, settings.health.max_key_age_days, now))
    ]
    troubles += _client_troubles(settings, now)
    if troubles:
        remedy = troubles[0][2]
        return Part(
            name=KEYS,
            level=Level.WARNING,
            found="; ".join(found for _, found, _ in troubles),
            remedy=remedy,
            cause=" ".join(cause for cause, _, _ in troubles),
        )
    return Part(name=KEYS, level=Level.OK, found=f"{len(references)} keys are in order")


def secret_options(settings: Settings) -> Iterator[tuple[str, str]]:
    """Every option that names a secret, and what it names."""
    if settings.api_keys_file is not None:
        yield "api_keys_file", settings.api_keys_file
    if settings.qdrant.api_key_file is not None:
        yield "qdrant.api_key_file", settings.qdrant.api_key_file
    if settings.tracing.headers_file is not None:
        yield "tracing.headers_file", settings.tracing.headers_file
    for name, backend in settings.backends.items():
        if backend.api_key_file is not None:
            yield f"backends.{name}.api_key_file", backend.api_key_file


_Trouble = tuple[str, str, str]
"""Cause, what was found, what to do."""


def _file_trouble(
    option: str, path: Path, max_age_days: float | None, now: float
) -> _Trouble | None:
    try:
        status = path.stat()
    except OSError as error:
        if isinstance(error, PermissionError) and "CREDENTIALS_DIRECTORY" not in os.environ:
            # Somebody runs the check by hand who may not look: no fault of the file.
            return None
        found = f"{option}: {path} cannot be looked at: {error.strerror}"
        return f"{option} gone", found, "put the file back, or correct the option"
    mode = stat.S_IMODE(status.st_mode)
    if mode & (stat.S_IROTH | stat.S_IWOTH | stat.S_IWGRP):
        found = f"{option}: {path} has the rights {mode:04o}, so others can use or change it"
        return f"{option} rights", found, f"run 'chmod 0600 {path}', and change the key"
    age = (now - status.st_mtime) / _DAY
    if max_age_days is not None and age > max_age_days:
        found = f"{option}: {path} is {age:.0f} days old"
        return f"{option} age", found, "change the key, or raise health.max_key_age_days"
    return None


def _client_troubles(settings: Settings, now: float) -> list[_Trouble]:
    """Keys of clients that have run out, or soon will."""
    if settings.api_keys_file is None:
        return []
    try:
        keys = parse_keys(read_secret(settings.api_keys_file, option="api_keys_file"))
    except SettingsError as error:
        if "CREDENTIALS_DIRECTORY" not in os.environ:
            return []  # As above: whoever asks may not read it.
        return [("api_keys_file unread", error.message, "correct the file, then reload")]
    remedy = "make another with 'hybrid-coordinator keys create', then revoke the old one"
    over = [key.name for key in keys if key.ends <= now]
    soon = [key for key in keys if now < key.ends <= now + settings.health.expiry_days * _DAY]
    troubles = []
    if over:
        names = ", ".join(over)
        troubles.append((f"over {names}", f"no longer accepted are the keys of {names}", remedy))
    if soon:
        names = ", ".join(f"{key.name} ({_day(key)})" for key in soon)
        troubles.append((f"ending {names}", f"about to expire are the keys of {names}", remedy))
    return troubles


def _day(key: ApiKey) -> str:
    return f"last day {key.last_day}"
