"""One HTTP request from inside the machine under test; what came back, as one line of JSON.

``{"status", "headers", "body", "seconds"}`` on standard output, exit status 0 whatever the status
was; ``{"error"}`` and exit status 1 where no whole response came. A key is taken from a file and
never from the command line, so that it is in no process list and no journal.
"""

from __future__ import annotations

import argparse
import http.client
import json
import sys
import time
from pathlib import Path
from urllib.parse import urlsplit


def main(arguments: list[str]) -> int:
    """Send the request that the command line describes."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("method")
    parser.add_argument("url")
    parser.add_argument("--body", help="JSON text, sent as it is")
    parser.add_argument("--header", action="append", default=[], help="name: value")
    parser.add_argument("--key-file", type=Path, help="lines name:key, or one key")
    parser.add_argument("--caller", help="whose line of the key file; default: the first")
    parser.add_argument("--timeout", type=float, default=120.0)
    given = parser.parse_args(arguments)
    headers = {
        name.strip(): value.strip() for name, _, value in (h.partition(":") for h in given.header)
    }
    if given.key_file is not None:
        headers["Authorization"] = f"Bearer {key_of(given.key_file, given.caller)}"
    if given.body is not None:
        headers["Content-Type"] = "application/json"
    address = urlsplit(given.url)
    path = address.path + (f"?{address.query}" if address.query else "")
    started = time.monotonic()
    connection = http.client.HTTPConnection(address.netloc, timeout=given.timeout)
    try:
        connection.request(given.method, path, body=given.body, headers=headers)
        response = connection.getresponse()
        body = response.read()
    except (OSError, http.client.HTTPException) as error:
        print(json.dumps({"error": f"{type(error).__name__}: {error}"}))
        return 1
    finally:
        connection.close()
    print(
        json.dumps(
            {
                "status": response.status,
                "headers": {name.lower(): value for name, value in response.getheaders()},
                "body": body.decode("utf-8", "replace"),
                "seconds": time.monotonic() - started,
            }
        )
    )
    return 0


def key_of(file: Path, caller: str | None = None) -> str:
    """A caller's key from a key file (``name:key`` a line), or a nameless file's one key."""
    lines = [line.strip() for line in file.read_text(encoding="utf-8").splitlines()]
    lines = [line for line in lines if line and not line.startswith("#")]
    for line in lines:
        name, separator, key = line.partition(":")
        if not separator:
            return line
        if caller in (None, name):
            return key
    raise SystemExit(f"{file} has no key of '{caller}'")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
