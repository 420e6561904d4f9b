"""Finds e-mail addresses and, where asked for, IP addresses.

Not addresses that belong to nobody: the names of RFC 2606 and RFC 6761
(example.com, .test), the networks for documentation of RFC 5737 and RFC 3849,
loopback, netmasks. Not systemd units, package versions or file names with @.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterator

from hybrid_coordinator.scrubbing.kinds import Found, Kind

_LOCAL = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._%+-'")
_LONGEST_LOCAL = 64
_DOMAIN = re.compile(r"(?:[^\W_](?:[\w-]{0,61}[^\W_])?\.){1,8}[^\W\d_]{2,24}(?![\w(\[=])")
_NOBODYS = re.compile(r"(?:^|\.)(?:example\.(?:com|org|net)|example|test|invalid|localhost)$")
_FILES_AND_UNITS = (
    "png|jpg|jpeg|gif|svg|webp|ico|css|js|mjs|tsx|jsx|json|html|htm|xml|yaml|yml|toml|lock|txt|log|"
    "service|socket|timer|mount|target|slice|scope|path|device|swap|cpp|hpp|dart|exe|dll|jar|war|whl"
)
_NOT_TOP_LEVEL = frozenset(_FILES_AND_UNITS.split("|"))


def find_emails(text: str) -> Iterator[Found]:
    """E-mail addresses; two spellings of one address have one identity."""
    at = text.find("@")
    while at >= 0:
        start = at
        while start > 0 and at - start < _LONGEST_LOCAL and _is_local(text[start - 1]):
            start -= 1
        while start < at and text[start] in ".'-%+":
            start += 1
        after = at + 1
        if start < at and (domain := _DOMAIN.match(text, after)):
            value = text[start : domain.end()]
            if _is_somebodys(text, start, domain):
                yield Found(start, domain.end(), Kind.EMAIL, value.lower())
                after = domain.end()
        at = text.find("@", after)


def _is_local(character: str) -> bool:
    return character in _LOCAL or (character > "\x7f" and character.isalnum())


def _is_somebodys(text: str, start: int, domain: re.Match[str]) -> bool:
    name = domain.group().lower()
    if _NOBODYS.search(name) or name.rpartition(".")[2] in _NOT_TOP_LEVEL:
        return False
    # ssh://user@host and git@host:path name a machine's account, not a person.
    following = text[domain.end() : domain.end() + 1]
    return text[start - 2 : start] != "//" and not (
        following == ":" and text[start : domain.start()] == "git@"
    )


_V4 = re.compile(r"(?<![\w.-])\d{1,3}\.\d{1,3}\.\d{1,3}\.\d{1,3}(?![\w-]|\.\d)")
_V6 = re.compile(
    r"(?<![\w:.])(?:[0-9A-Fa-f]{1,4}:){1,7}(?::?[0-9A-Fa-f]{1,4}){0,7}(?:\.\d{1,3}){0,3}:{0,2}(?![\w:.]*\w)"
)
_VERSION_BEFORE = re.compile(
    r"(?:\bv|[=~^><]=|~>|\^|§|(?:version|release|build|firmware|driver|upgrad|updat|section|chapter|"
    r"\brfc|\boid)[^\n]{0,24})\W{0,3}\Z",
    re.IGNORECASE,
)
_VERSION_AFTER = re.compile(r"[ ]?(?:release|version|build|update|firmware)", re.IGNORECASE)
_PREFIX = re.compile(r"/\d{1,3}(?!\d)")
_ALLOCATED = tuple(
    ipaddress.ip_network(network)
    for network in ("2000::/3", "fc00::/7", "fe80::/10", "64:ff9b::/96")
)
_DOCUMENTATION = tuple(
    ipaddress.ip_network(network)
    for network in (
        "192.0.2.0/24",
        "198.51.100.0/24",
        "203.0.113.0/24",
        "2001:db8::/32",
        "3fff::/20",
    )
)


def find_ip_addresses(text: str) -> Iterator[Found]:
    """Addresses of version 4 and 6 that a machine can have, private ones too."""
    for pattern, hint in ((_V4, "."), (_V6, ":")):
        if hint not in text:
            continue
        for match in pattern.finditer(text):
            if address := _address(match.group()):
                before = text[max(match.start() - 40, 0) : match.start()]
                if not (
                    _VERSION_BEFORE.search(before)
                    or _VERSION_AFTER.match(text, match.end())
                    or _is_network(match.group(), text, match.end())
                ):
                    yield Found(match.start(), match.end(), Kind.IP_ADDRESS, address)


def _is_network(written: str, text: str, end: int) -> bool:
    """Whether it is a whole network's name (``10.0.0.0/16``), which no machine has."""
    prefix = _PREFIX.match(text, end)
    if prefix is None:
        return False
    try:
        ipaddress.ip_network(written + prefix.group())
    except ValueError:
        return False
    return True


def _address(written: str) -> str | None:
    try:
        address = ipaddress.ip_address(written)
    except ValueError:
        return None
    if any(address in network for network in _DOCUMENTATION):
        return None
    if isinstance(address, ipaddress.IPv6Address):
        mapped = address.ipv4_mapped
        if mapped is not None:
            return _address(str(mapped))
        return address.compressed if any(address in n for n in _ALLOCATED) else None
    unusual = address.is_loopback or address.is_unspecified or address.is_multicast
    return None if unusual or address.is_reserved or address.packed[0] == 0 else address.compressed
