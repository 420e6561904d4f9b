"""An address that is not loopback, with somebody who answers there.

Gives the machine the documentation addresses 192.0.2.1 and 2001:db8::1 (RFC 5737, RFC 3849) and
greets whoever comes, by TCP and UDP, there and on loopback. So a probe that gets no answer was held
back by a filter, not by the want of a host. Needs root; the addresses go with the process's end.
Standard library alone: not every machine has a program that sets addresses.
"""

from __future__ import annotations

import contextlib
import fcntl
import signal
import socket
import struct
import sys
import threading
from collections.abc import Iterator

PORT = 9099
IPV4 = "192.0.2.1"
IPV6 = "2001:db8::1"
ALIAS = b"lo:hybrid"
SIOCSIFADDR = 0x8916
SIOCDIFADDR = 0x8936
SIOCSIFFLAGS = 0x8914
SIOCGIFINDEX = 0x8933
# The kernel takes an IPv6 address as its own a moment after it was given, not at once.
FREEBIND = {
    socket.AF_INET: (socket.IPPROTO_IP, 15),
    socket.AF_INET6: (socket.IPPROTO_IPV6, 78),
}
GREETING = b"hello from outside"


@contextlib.contextmanager
def addresses() -> Iterator[list[tuple[socket.AddressFamily, str]]]:
    """The addresses, while the block runs: families and texts, loopback's among them."""
    given = [(socket.AF_INET, "127.0.0.1"), (socket.AF_INET, IPV4)]
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as control:
        address = struct.pack("HH4s8x", socket.AF_INET, 0, socket.inet_aton(IPV4))
        fcntl.ioctl(control, SIOCSIFADDR, struct.pack("16s16s", ALIAS, address))
        index = struct.unpack(
            "16si", fcntl.ioctl(control, SIOCGIFINDEX, struct.pack("16si", b"lo", 0))
        )[1]
        request = struct.pack("16sIi", socket.inet_pton(socket.AF_INET6, IPV6), 128, index)
        with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as control6:
            fcntl.ioctl(control6, SIOCSIFADDR, request)
            given += [(socket.AF_INET6, "::1"), (socket.AF_INET6, IPV6)]
            try:
                yield given
            finally:
                fcntl.ioctl(control6, SIOCDIFADDR, request)
                # An alias is gone once it is down.
                fcntl.ioctl(control, SIOCSIFFLAGS, struct.pack("16sh14x", ALIAS, 0))


def greet(family: int, address: str) -> None:
    """Listen at an address by TCP and UDP, each in a thread, and greet for ever."""
    place = (address, PORT) if family == socket.AF_INET else (address, PORT, 0, 0)
    streams = socket.socket(family, socket.SOCK_STREAM)
    streams.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    datagrams = socket.socket(family, socket.SOCK_DGRAM)
    for made in (streams, datagrams):
        made.setsockopt(*FREEBIND[socket.AddressFamily(family)], 1)
        made.bind(place)
    streams.listen(16)

    def by_tcp() -> None:
        while True:
            connection, _ = streams.accept()
            with connection, contextlib.suppress(ConnectionError):
                connection.sendall(GREETING)

    def by_udp() -> None:
        while True:
            _, sender = datagrams.recvfrom(64)
            datagrams.sendto(GREETING, sender)

    for target in (by_tcp, by_udp):
        threading.Thread(target=target, daemon=True).start()


def main() -> int:
    """Answer until the process is told to end."""
    ending = {signal.SIGTERM, signal.SIGINT}
    signal.pthread_sigmask(signal.SIG_BLOCK, ending)
    with addresses() as found:
        for family, address in found:
            greet(family, address)
        print(f"greeting at {', '.join(a for _, a in found)}, port {PORT}", flush=True)
        signal.sigwait(ending)
    return 0


if __name__ == "__main__":
    sys.exit(main())
