"""Where a channel may call: anywhere outside, and nowhere inside unless that was allowed."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import (
    IPv4Address,
    IPv4Network,
    IPv6Address,
    IPv6Network,
    ip_address,
    ip_network,
)

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

_NAT64 = IPv6Network("64:ff9b::/96")
"""Holds the address of a host that only speaks IPv4. Source: RFC 6052."""
_HOST = re.compile(r"(?=.{1,253}\.?$)(?:[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?\.?)+")


@dataclass(frozen=True, kw_only=True, slots=True)
class Allowed:
    """Hosts inside that may be called all the same."""

    names: frozenset[str] = frozenset()
    networks: tuple[Network, ...] = ()

    def has_name(self, host: str) -> bool:
        return _spelt(host) in self.names

    def has_address(self, address: Address) -> bool:
        return any(address in network for network in self.networks)


def read_allowed(entries: Sequence[str]) -> tuple[Allowed, list[str]]:
    """Return the allowed hosts, and the entries that are no host name, address or network."""
    names: set[str] = set()
    networks: list[Network] = []
    unreadable: list[str] = []
    for entry in entries:
        try:
            networks.append(ip_network(entry.strip(), strict=False))
            continue
        except ValueError:
            pass
        if _HOST.fullmatch(_spelt(entry)):
            names.add(_spelt(entry))
        else:
            unreadable.append(entry)
    return Allowed(names=frozenset(names), networks=tuple(networks)), unreadable


def _spelt(host: str) -> str:
    return host.strip().casefold().rstrip(".")


def is_outside(address: Address) -> bool:
    """Say whether an address is one of the public internet.

    Private, loopback, link-local, shared, multicast, reserved and unspecified addresses are not;
    neither are the ways to write them as IPv6.
    """
    if isinstance(address, IPv6Address):
        inner = _embedded(address)
        if inner is not None:
            return is_outside(inner)
        if address.is_site_local:
            return False
    return address.is_global and not (
        address.is_multicast or address.is_reserved or address.is_unspecified
    )


def _embedded(address: IPv6Address) -> IPv4Address | None:
    """Return the IPv4 address that an IPv6 address stands for."""
    if address in _NAT64:
        return IPv4Address(int(address) & 0xFFFF_FFFF)
    if address.teredo is not None:
        return address.teredo[1]
    return address.ipv4_mapped or address.sixtofour


def complaint(host: str, name: str, allowed: Allowed) -> str:
    """Return why an address must not be called; empty: it may.

    host: what is connected to, as the operating system gets it. name: what was looked up to find
    it; empty: nothing was.
    """
    shown = f"{host} ({name})" if name and name != host else host
    try:
        address = ip_address(host.partition("%")[0])
    except ValueError:
        # The system would look it up once more, and nobody would see what it found.
        return f"{shown} is not called, because it is connected to by name"
    if is_outside(address) or allowed.has_address(address) or (name and allowed.has_name(name)):
        return ""
    return (
        f"{shown} is not called, because it is a private address: "
        'MONITORING["CHANNEL_PRIVATE_HOSTS"] can allow it'
    )
