"""One client that connects and waits for its answer, however long; when it came, as JSON.

``timed.py HOST:PORT`` asks for ``/health`` and prints ``{"sent", "answered", "status"}`` in seconds
of the monotonic clock, which is the one that systemd's ``…TimestampMonotonic`` properties have.
Standard library alone.
"""

from __future__ import annotations

import http.client
import json
import sys
import time


def main(arguments: list[str]) -> int:
    """Ask once."""
    connection = http.client.HTTPConnection(arguments[0], timeout=600)
    sent = time.clock_gettime(time.CLOCK_MONOTONIC)
    connection.request("GET", "/health")
    response = connection.getresponse()
    response.read()
    answered = time.clock_gettime(time.CLOCK_MONOTONIC)
    print(json.dumps({"sent": sent, "answered": answered, "status": response.status}))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
