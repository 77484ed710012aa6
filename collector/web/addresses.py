"""Addresses of clients: groups that share limits, and the addresses that a trusted proxy reports."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Sequence

Network = ipaddress.IPv4Network | ipaddress.IPv6Network


def read_networks(texts: Iterable[str]) -> list[Network]:
    """Parse addresses and networks such as ``10.0.0.5``, ``10.0.0.0/24`` or ``fd00::/8``.

    Raises:
        ValueError: a text is neither; the message names it.
    """
    return [ipaddress.ip_network(text.strip()) for text in texts]


def is_within(address: str, networks: Sequence[Network]) -> bool:
    """Return whether a text is an address in one of the networks."""
    try:
        parsed = _parse(address)
    except ValueError:
        return False
    return any(parsed in network for network in networks)


def group_of(address: str) -> str:
    """Return the name under which an address is counted: an IPv6 address together with its network of 64 bits."""
    try:
        parsed = _parse(address)
    except ValueError:
        return address[:64]
    if isinstance(parsed, ipaddress.IPv6Address):
        return str(ipaddress.ip_network((parsed, 64), strict=False))
    return str(parsed)


def forwarded_client(forwarded_for: str, networks: Sequence[Network]) -> str | None:
    """Return the client in ``X-Forwarded-For``: the last address that is not itself a trusted proxy.

    A proxy adds the address of its own client at the end. Everything before the last untrusted address was sent by that
    client, which may invent it. Return None if no address is usable.
    """
    for text in reversed(forwarded_for.split(",")):
        try:
            address = str(_parse(text.strip()))
        except ValueError:
            return None
        if not is_within(address, networks):
            return address
    return None


def _parse(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address:
    """Parse an address; an IPv4 address within IPv6 is the same client as the IPv4 address."""
    address = ipaddress.ip_address(text)
    mapped = getattr(address, "ipv4_mapped", None)
    return mapped if mapped is not None else address
