"""The keys file: which lines it has, and how one is added or taken out.

One key a line, ``name:key`` or, so that the file itself opens no door,
``name:sha256:<hex>`` with an optional ``:<date>``, the last day (UTC) on which
it is accepted. Keys made here have 256 random bits: nothing but the hash is
needed to check one, and there is nothing that a slow hash would protect, since
nobody can try 2^256 keys. Who a key belongs to while requests come is decided
in ``api.auth``.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import re
import secrets
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path
from typing import Final

from hybrid_coordinator.durable_files import sync_folder
from hybrid_coordinator.errors import Conflict, NotFound, SettingsError, Unprocessable

MIN_KEY_LENGTH: Final = 16
"""Characters; a shorter key can be guessed over a network."""

PREFIX: Final = "hybrid-"
"""Begins every key that is made here, so that secret scanners and people know one."""

_BYTES: Final = 32
_HASHED: Final = re.compile(r"sha256:([0-9a-f]{64})(?::([0-9]{4}-[0-9]{2}-[0-9]{2}))?")
_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@-]{0,63}")
_OPTION: Final = "api_keys_file"


@dataclass(frozen=True, slots=True)
class ApiKey:
    """One key. ``digest`` is its SHA-256; ``last_day`` None: it does not expire."""

    name: str
    digest: bytes
    last_day: date | None
    hashed: bool
    """Whether the file has its hash only."""

    @property
    def caller_id(self) -> str:
        """The stable public id of its caller: 16 hexadecimal digits that do not reveal it."""
        return hashlib.sha256(f"caller:{self.digest.hex()}".encode()).hexdigest()[:16]

    @property
    def ends(self) -> float:
        """Epoch seconds from which on it is refused."""
        if self.last_day is None:
            return float("inf")
        return datetime.combine(self.last_day + timedelta(1), time(), UTC).timestamp()


@dataclass(frozen=True, slots=True)
class NewKey:
    """A key that was made: ``key`` is shown once and kept nowhere."""

    key: str
    entry: ApiKey


def digest_of(key: bytes) -> bytes:
    """What is compared."""
    return hashlib.sha256(key).digest()


def parse_keys(text: str) -> tuple[ApiKey, ...]:
    """The keys of a file's text; blank lines and lines that begin with ``#`` are passed over.

    Raises:
        SettingsError: a line is no key, or a name or a key is there twice. No line is quoted.
    """
    entries: dict[str, ApiKey] = {}
    digests: set[bytes] = set()
    for number, raw in enumerate(text.splitlines(), start=1):
        line = raw.strip()
        if not line or line.startswith("#"):
            continue
        entry = _entry(line, number)
        if entry.name in entries:
            raise _wrong(number, f"the name '{entry.name}' is given twice.")
        if entry.digest in digests:
            raise _wrong(number, f"'{entry.name}' has another caller's key.")
        entries[entry.name] = entry
        digests.add(entry.digest)
    return tuple(entries.values())


def list_keys(path: Path) -> tuple[ApiKey, ...]:
    """The keys of a file; none where there is no file.

    Raises:
        SettingsError: it cannot be read, or a line is no key.
    """
    return parse_keys(_text(path))


def create_key(path: Path, name: str, *, last_day: date | None, today: date) -> NewKey:
    """Make a key and add its hash to the file, which is made where there is none.

    Raises:
        Unprocessable: the name is none, or the last day is over.
        Conflict: the name is taken.
        SettingsError: the file cannot be read or written, or a line is no key.
    """
    if not _NAME.fullmatch(name):
        raise Unprocessable(
            "A key's name is 1 to 64 letters, digits, '.', '_', '@' or '-', and begins with a "
            "letter or a digit.",
            field="name",
        )
    if last_day is not None and last_day < today:
        raise Unprocessable(f"{last_day} is over: name a later day.", field="expires")
    key = PREFIX + secrets.token_urlsafe(_BYTES)
    entry = ApiKey(name, digest_of(key.encode()), last_day, hashed=True)
    with _held(path):
        text = _text(path)
        if any(known.name == name for known in parse_keys(text)):
            raise Conflict(
                f"There is a key '{name}' already: revoke it first, or take another name.",
                field="name",
            )
        ending = "" if not text or text.endswith("\n") else "\n"
        _write(path, f"{text}{ending}{_line(entry)}\n")
    return NewKey(key, entry)


def revoke_key(path: Path, name: str) -> ApiKey:
    """Take a key out of the file; every other line stays as it is.

    Raises:
        NotFound: there is no key of that name.
        Conflict: it is the last one, and a file without any key is refused at the next start.
        SettingsError: the file cannot be read or written, or a line is no key.
    """
    with _held(path):
        text = _text(path)
        known = {entry.name: entry for entry in parse_keys(text)}
        if name not in known:
            raise NotFound(f"There is no key '{name}' in {path}.", field="name")
        if len(known) == 1:
            raise Conflict(
                f"'{name}' is the only key, and without one the coordinator does not start: "
                "create another first.",
                field="name",
            )
        kept = [line for line in text.splitlines(keepends=True) if _name_of(line) != name]
        _write(path, "".join(kept))
    return known[name]


def _entry(line: str, number: int) -> ApiKey:
    name, separator, key = (part.strip() for part in line.partition(":"))
    # Messages name the line and never quote it: it may hold a key.
    if not separator or not name:
        raise _wrong(number, "write it as name:key.")
    if (hashed := _HASHED.fullmatch(key)) is not None:
        return ApiKey(name, bytes.fromhex(hashed[1]), _day(hashed[2], number), hashed=True)
    if key.startswith("sha256:"):
        raise _wrong(number, "write a hashed key as name:sha256:<64 hexadecimal digits>.")
    if len(key) < MIN_KEY_LENGTH:
        raise _wrong(
            number,
            f"the key of '{name}' is shorter than {MIN_KEY_LENGTH} characters; make one with: "
            "hybrid-coordinator keys create",
        )
    if any(not 0x21 <= ord(char) <= 0x7E for char in key):
        raise _wrong(
            number,
            f"the key of '{name}' has a character that a header cannot carry; use letters, "
            "digits and punctuation only.",
        )
    return ApiKey(name, digest_of(key.encode()), None, hashed=False)


def _day(text: str | None, number: int) -> date | None:
    if text is None:
        return None
    try:
        # The day after it must exist, too.
        return (date.fromisoformat(text) + timedelta(1)) - timedelta(1)
    except (ValueError, OverflowError):
        raise _wrong(number, f"'{text}' is no day: write it as 2027-01-31.") from None


def _wrong(number: int, what: str) -> SettingsError:
    return SettingsError(f"API keys, line {number}: {what}", field=_OPTION)


def _name_of(line: str) -> str | None:
    stripped = line.strip()
    if not stripped or stripped.startswith("#"):
        return None
    return stripped.partition(":")[0].strip()


def _line(entry: ApiKey) -> str:
    ending = "" if entry.last_day is None else f":{entry.last_day.isoformat()}"
    return f"{entry.name}:sha256:{entry.digest.hex()}{ending}"


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return ""
    except (OSError, UnicodeDecodeError) as error:
        raise _unusable(path, error) from None


@contextlib.contextmanager
def _held(path: Path) -> Iterator[None]:
    """Hold off others that would change the file; the folder is locked, since the file is new."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError as error:
        raise _unusable(path, error) from None
    try:
        try:
            fcntl.flock(folder, fcntl.LOCK_EX)
        except OSError as error:
            raise _unusable(path, error) from None
        yield
    finally:
        os.close(folder)


def _write(path: Path, text: str) -> None:
    """Replace the file by one that is its owner's alone; whoever reads it sees one or the other."""
    target = path.resolve()  # A link stays one.
    fresh = target.with_name(f".{target.name}.{secrets.token_hex(8)}")
    try:
        descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            with os.fdopen(descriptor, "w", encoding="utf-8") as file:
                with contextlib.suppress(FileNotFoundError):
                    before = target.stat()
                    if (before.st_uid, before.st_gid) != (os.geteuid(), os.getegid()):
                        os.fchown(descriptor, before.st_uid, before.st_gid)
                file.write(text)
                file.flush()
                os.fsync(descriptor)
            fresh.replace(target)
            sync_folder(target.parent)
        finally:
            fresh.unlink(missing_ok=True)
    except OSError as error:
        raise _unusable(path, error) from None


def _unusable(path: Path, error: OSError | UnicodeDecodeError) -> SettingsError:
    reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
    return SettingsError(f"the keys file {path} cannot be used: {reason}", field=_OPTION)
