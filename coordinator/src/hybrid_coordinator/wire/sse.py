"""Server-sent events: bytes in, complete events out.

Splits a stream at the places the WHATWG HTML standard (section 9.2.6, "Interpreting an event
stream") says an event ends, whatever the chunks it arrives in. It reads no
JSON and knows no dialect; ``id`` and ``retry`` fields are left in ``raw``.
"""

from __future__ import annotations

import re
from typing import Final, NamedTuple

from hybrid_coordinator.wire.faults import ProtocolError

DEFAULT_MAX_EVENT_BYTES: Final = 8 * 1024 * 1024

_BOM: Final = b"\xef\xbb\xbf"
# Atomic, so that the two bytes of one CRLF are never taken for two line ends.
_BLANK_LINE: Final = re.compile(rb"(?>\r\n|\n|\r)(?>\r\n|\n|\r)")
_LINE_END: Final = re.compile(rb"\r\n|\n|\r")


class ServerSentEvent(NamedTuple):
    """One event.

    ``event`` is its name where it has one; ``data`` its data lines, joined by
    LF; ``raw`` all its bytes, blank line included, fit to be sent on.
    """

    event: str | None
    data: bytes
    raw: bytes


class EventSplitter:
    """Cuts one stream into events. Not shared between streams.

    Blocks without a data line (comments, a lone ``event:``) are no events by
    the standard and are dropped.
    """

    __slots__ = ("_at_start", "_buffer", "_has_cr", "_max", "_scan")

    def __init__(self, max_event_bytes: int = DEFAULT_MAX_EVENT_BYTES) -> None:
        self._buffer = bytearray()
        self._max = max_event_bytes
        self._scan = 0
        self._has_cr = False
        self._at_start = True

    def feed(self, data: bytes) -> list[ServerSentEvent]:
        """Take the next bytes; return the events they complete.

        Raises:
            ProtocolError: an event is longer than ``max_event_bytes``.
        """
        buffer = self._buffer
        buffer += data
        if self._at_start and not self._skip_bom(final=False):
            return []
        if b"\r" in data:
            self._has_cr = True
        events = self._cut_crlf(final=False) if self._has_cr else self._cut_lf()
        if len(buffer) > self._max:
            raise ProtocolError(self._too_long(len(buffer)))
        # A blank line may begin up to three bytes (CR LF CR) before what comes next.
        self._scan = max(0, len(buffer) - 3)
        return events

    def flush(self) -> list[ServerSentEvent]:
        """The stream has ended: return what is left.

        An unfinished last event is returned as if its blank line had come,
        because servers leave it out after their last event; its ``raw`` gets one.

        Raises:
            ProtocolError: an event is longer than ``max_event_bytes``.
        """
        if self._at_start:
            self._skip_bom(final=True)
        events = self._cut_crlf(final=True) if self._has_cr else self._cut_lf()
        rest = bytes(self._buffer)
        self._buffer.clear()
        self._scan = 0
        end = b"\n" if rest.endswith(b"\n") else b"\n\n"
        if rest and (event := self._event(rest, rest + end)):
            events.append(event)
        return events

    def _skip_bom(self, *, final: bool) -> bool:
        """Drop a leading byte order mark; false while it cannot be told yet."""
        if not final and len(self._buffer) < len(_BOM) and _BOM.startswith(self._buffer):
            return False
        if self._buffer.startswith(_BOM):
            del self._buffer[: len(_BOM)]
        self._at_start = False
        return True

    def _cut_lf(self) -> list[ServerSentEvent]:
        buffer = self._buffer
        events: list[ServerSentEvent] = []
        begin = 0
        while (end := buffer.find(b"\n\n", max(begin, self._scan))) >= 0:
            raw = bytes(buffer[begin : end + 2])
            if event := self._event(raw[:-2], raw):
                events.append(event)
            begin = end + 2
        if begin:
            del buffer[:begin]
        return events

    def _cut_crlf(self, *, final: bool) -> list[ServerSentEvent]:
        buffer = bytes(self._buffer)
        events: list[ServerSentEvent] = []
        begin = 0
        while match := _BLANK_LINE.search(buffer, max(begin, self._scan)):
            end = match.end()
            if end == len(buffer) and buffer[-1:] == b"\r" and not final:
                break  # The LF of this line end may be on its way.
            if event := self._event(buffer[begin : match.start()], buffer[begin:end]):
                events.append(event)
            begin = end
        if begin:
            del self._buffer[:begin]
        return events

    def _event(self, block: bytes, raw: bytes) -> ServerSentEvent | None:
        if len(raw) > self._max:
            raise ProtocolError(self._too_long(len(raw)))
        if block.startswith(b"data: ") and b"\n" not in block and b"\r" not in block:
            return ServerSentEvent(None, block[6:], raw)
        name: str | None = None
        data: list[bytes] = []
        for line in _LINE_END.split(block):
            field, _, value = line.partition(b":")
            value = value.removeprefix(b" ")
            if field == b"data":
                data.append(value)
            elif field == b"event":
                name = value.decode("utf-8", "replace") or None
        return ServerSentEvent(name, b"\n".join(data), raw) if data else None

    def _too_long(self, size: int) -> str:
        return f"a server-sent event of at least {size} bytes is over the limit of {self._max}"
