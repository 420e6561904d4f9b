"""Log lines as events with fields: to the journal where there is one, else JSON lines on stderr.

A line is an event with a stable message and fields passed by ``extra=``; it
never holds a prompt, an answer or a key.
"""

from __future__ import annotations

import importlib
import logging
import os
import sys
from typing import Any

import orjson

from hybrid_coordinator.settings import LogLevel

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


def configure_logging(level: LogLevel) -> None:
    """Send this process's records to the journal, or to stderr in the form that suits it."""
    root = logging.getLogger()
    for handler in root.handlers[:]:
        root.removeHandler(handler)
    root.addHandler(_handler())
    root.setLevel(level.value.upper())
    for noisy in ("httpx", "httpcore", "aiohttp.access", "uvicorn", "asyncio"):
        logging.getLogger(noisy).setLevel(logging.WARNING)


def _handler() -> logging.Handler:
    if os.environ.get("JOURNAL_STREAM"):
        try:
            journal = importlib.import_module("systemd.journal")
        except ImportError:  # systemd-python is optional; JSON lines reach the journal as text
            pass
        else:
            return _JournalFields(journal.JournalHandler(SYSLOG_IDENTIFIER="hybrid-coordinator"))
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(Plain() if sys.stderr.isatty() else JsonLines())
    return handler


class _JournalFields(logging.Handler):
    """Hands records to systemd's handler with their fields in the journal's upper case."""

    def __init__(self, journal: logging.Handler) -> None:
        super().__init__()
        self._journal = journal

    def emit(self, record: logging.LogRecord) -> None:
        copy = logging.makeLogRecord(vars(record))
        for name, value in fields_of(record).items():
            delattr(copy, name)
            setattr(copy, f"HYBRID_{name.upper()}", value)
        self._journal.emit(copy)
