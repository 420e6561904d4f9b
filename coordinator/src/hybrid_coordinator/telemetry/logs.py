"""Log lines as events with fields: to the journal where there is one, else to stderr.

A line is an event with a stable message and fields passed by ``extra=``; it
never holds a prompt, an answer or a key. On stderr a person at a terminal
reads text, a file or pipe gets JSON lines, and the journal, where its own
socket cannot be reached, text with systemd's priority before each line.
"""

from __future__ import annotations

import logging
import os
import sys
from typing import Any

import orjson

from hybrid_coordinator.settings import LogLevel
from hybrid_coordinator.telemetry.journal import JournalHandler, in_journal, priority_of

_STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}


def fields_of(record: logging.LogRecord) -> dict[str, Any]:
    """What was passed by ``extra=``."""
    return {k: v for k, v in vars(record).items() if k not in _STANDARD}


class JsonLines(logging.Formatter):
    """One JSON object a record, its ``extra`` fields beside the message."""

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, Any] = {
            "time": round(record.created, 3),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
            **fields_of(record),
        }
        if record.exc_info:
            line["traceback"] = self.formatException(record.exc_info)
        return orjson.dumps(line, default=str).decode()


class Plain(logging.Formatter):
    """For a person at a terminal: level, message, fields."""

    def format(self, record: logging.LogRecord) -> str:
        fields = " ".join(f"{k}={v}" for k, v in fields_of(record).items())
        text = f"{record.levelname.lower()}: {record.getMessage()}"
        if fields:
            text += f"  [{fields}]"
        if record.exc_info:
            text += "\n" + self.formatException(record.exc_info)
        return text


class Prefixed(Plain):
    """For systemd's stream: text with ``<priority>`` before each line (sd-daemon(3))."""

    def format(self, record: logging.LogRecord) -> str:
        prefix = f"<{priority_of(record.levelno)}>"
        return "\n".join(prefix + line for line in super().format(record).split("\n"))


def configure_logging(level: LogLevel) -> None:
    """Send this process's records to the journal, or to stderr in the form that suits it."""
    root = logging.getLogger()
    for handler in root.handlers[:]:
        root.removeHandler(handler)
    root.addHandler(_handler())
    set_level(level)
    for noisy in ("httpx", "httpcore", "aiohttp.access", "uvicorn", "asyncio"):
        logging.getLogger(noisy).setLevel(logging.WARNING)


def set_level(level: LogLevel) -> None:
    """Log from this level on."""
    logging.getLogger().setLevel(level.value.upper())


def _handler() -> logging.Handler:
    handler = logging.StreamHandler(sys.stderr)
    if in_journal(os.environ, sys.stderr.fileno()):
        handler.setFormatter(Prefixed())
        try:
            return JournalHandler(fields_of, spare=handler)
        except OSError as error:  # A sandbox may hide the socket; the stream is always there.
            handler.handle(
                logging.makeLogRecord(
                    {
                        "name": __name__,
                        "levelno": logging.WARNING,
                        "levelname": "WARNING",
                        "msg": f"log lines have no fields, the journal cannot be reached: {error}",
                    }
                )
            )
    else:
        handler.setFormatter(Plain() if sys.stderr.isatty() else JsonLines())
    return handler
