"""This head's IP addresses, without netlink: the unit's sandbox has no AF_NETLINK, so getifaddrs(3) fails there."""

from __future__ import annotations

import array
import fcntl
import ipaddress
import socket
import struct
from pathlib import Path

_SIOCGIFCONF = 0x8912
_IFREQ = 16 + max(16, struct.calcsize("P") * 3)
"""The size of struct ifreq: a name, then a union as large as struct ifmap (netdevice(7))."""
_MOST = 1024
"""Addresses that are looked at; a head has a handful."""

_IF_INET6 = Path("/proc/net/if_inet6")
_NOT_USABLE = 0x01 | 0x08 | 0x20 | 0x40
"""Temporary, duplicate, deprecated or tentative (linux/if_addr.h): not what others should be told."""


def own_addresses() -> tuple[str, ...]:
    """Every address that this head has at present, IPv4 first, each family in the order of its interfaces."""
    return (*_ipv4(), *(address for address, _ in _ipv6()))


def reachable_addresses() -> tuple[str, ...]:
    """Those of this head's addresses that others can use, the best first: neither loopback nor link-local."""
    stable = [address for address, flags in _ipv6() if not flags & _NOT_USABLE]
    return tuple(address for address in (*_ipv4(), *stable) if _leaves_the_link(address))


def _leaves_the_link(address: str) -> bool:
    parsed = ipaddress.ip_address(address)
    return not parsed.is_loopback and not parsed.is_link_local


def _ipv4() -> list[str]:
    room = array.array("B", bytes(_IFREQ * _MOST))
    pointer, size = room.buffer_info()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        try:
            answer = fcntl.ioctl(sock, _SIOCGIFCONF, struct.pack("iP", size, pointer))
        except OSError:
            return []
    filled = struct.unpack("iP", answer)[0]
    raw = room.tobytes()[:filled]
    found = [socket.inet_ntoa(raw[at + 20 : at + 24]) for at in range(0, filled, _IFREQ)]
    return list(dict.fromkeys(found))


def _ipv6() -> list[tuple[str, int]]:
    """Addresses with their flags, in the order of the interfaces' indexes."""
    try:
        lines = _IF_INET6.read_text(encoding="ascii").splitlines()
    except OSError:
        return []
    rows = [line.split() for line in lines]
    rows.sort(key=lambda row: int(row[1], 16))
    return [(str(ipaddress.IPv6Address(bytes.fromhex(row[0]))), int(row[4], 16)) for row in rows]
