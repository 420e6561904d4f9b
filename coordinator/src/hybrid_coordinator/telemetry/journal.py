"""The systemd journal's native protocol: one datagram a record, fields beside the message.

For processes that systemd started with their stderr in the journal; whoever
has none of it logs to stderr. Not for reading the journal, and not for
deciding what is logged.
"""

from __future__ import annotations

import errno
import fcntl
import logging
import os
import socket
from collections.abc import Callable, Mapping
from typing import Any, Final

SOCKET: Final = "/run/systemd/journal/socket"
IDENTIFIER: Final = "hybrid-coordinator"

_TOO_LARGE: Final = (errno.EMSGSIZE, errno.ENOBUFS)


def priority_of(level: int) -> int:
    """A Python level as syslog's priority, which the journal sorts by."""
    if level >= logging.CRITICAL:
        return 2
    if level >= logging.ERROR:
        return 3
    if level >= logging.WARNING:
        return 4
    return 6 if level >= logging.INFO else 7


def in_journal(environment: Mapping[str, str], descriptor: int) -> bool:
    """Whether ``descriptor`` is the stream that systemd connected to the journal."""
    device, _, inode = environment.get("JOURNAL_STREAM", "").partition(":")
    if not device.isdigit() or not inode.isdigit():
        return False
    try:
        found = os.fstat(descriptor)
    except OSError:
        return False
    return (found.st_dev, found.st_ino) == (int(device), int(inode))


def encode(fields: Mapping[str, str]) -> bytes:
    """A record as the journal reads it: ``NAME=value``, or with a length where lines break."""
    parts: list[bytes] = []
    for name, value in fields.items():
        data = value.encode("utf-8", "backslashreplace")
        if b"\n" in data:
            parts += [name.encode(), b"\n", len(data).to_bytes(8, "little"), data, b"\n"]
        else:
            parts += [name.encode(), b"=", data, b"\n"]
    return b"".join(parts)


class JournalHandler(logging.Handler):
    """Sends records to the journal; what it cannot send goes to ``spare``.

    ``fields_of`` gives a record's own fields; their names become
    ``HYBRID_<NAME>``, so that none can pass for one of the journal's.

    Raises:
        OSError: the journal's socket cannot be reached.
    """

    def __init__(
        self,
        fields_of: Callable[[logging.LogRecord], Mapping[str, Any]],
        spare: logging.Handler,
        address: str = SOCKET,
    ) -> None:
        super().__init__()
        self._fields_of = fields_of
        self._spare = spare
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC)
        try:
            self._socket.connect(address)
        except OSError:
            self._socket.close()
            raise

    def emit(self, record: logging.LogRecord) -> None:
        try:
            self._send(encode(self._record(record)))
        except Exception:  # noqa: BLE001 - logging has no caller that could handle it
            self._spare.handle(record)

    def close(self) -> None:
        self._socket.close()
        super().close()

    def _record(self, record: logging.LogRecord) -> dict[str, str]:
        message = record.getMessage()
        if record.exc_info:
            message += "\n" + logging.Formatter().formatException(record.exc_info)
        fields = {
            "MESSAGE": message,
            "PRIORITY": str(priority_of(record.levelno)),
            "SYSLOG_IDENTIFIER": IDENTIFIER,
            "LOGGER": record.name,
            "CODE_FILE": record.pathname,
            "CODE_LINE": str(record.lineno),
            "CODE_FUNC": record.funcName or "",
        }
        for name, value in self._fields_of(record).items():
            fields[_field_name(name)] = str(value)
        return fields

    def _send(self, data: bytes) -> None:
        try:
            self._socket.send(data, socket.MSG_NOSIGNAL)
        except OSError as error:
            if error.errno not in _TOO_LARGE:
                raise
            self._send_file(data)

    def _send_file(self, data: bytes) -> None:
        """What is too long for a datagram goes as a sealed file in memory."""
        descriptor = os.memfd_create("journal", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            _seal(descriptor)
            socket.send_fds(self._socket, [b""], [descriptor])


def _seal(descriptor: int) -> None:
    seals = fcntl.F_SEAL_SEAL | fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_WRITE
    fcntl.fcntl(descriptor, fcntl.F_ADD_SEALS, seals)


def _field_name(name: str) -> str:
    """Upper case, digits and underscores, 64 characters at most: others are dropped unread."""
    plain = "".join(c if c.isascii() and c.isalnum() else "_" for c in name.upper())
    return f"HYBRID_{plain}"[:64]
