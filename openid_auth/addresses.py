"""Which network addresses the site may be made to connect to."""

from __future__ import annotations

import ipaddress
import socket
import threading
from collections.abc import Sequence

IPAddress = ipaddress.IPv4Address | ipaddress.IPv6Address
IPNetwork = ipaddress.IPv4Network | ipaddress.IPv6Network

# RFC 6052: a gateway turns an address below this prefix into the IPv4 address at its end.
NAT64 = ipaddress.IPv6Network("64:ff9b::/96")


def _embedded(address: IPAddress) -> IPAddress:
    """Return the IPv4 address that ``address`` stands for, else ``address`` itself."""
    if isinstance(address, ipaddress.IPv6Address):
        if address.ipv4_mapped is not None:
            return address.ipv4_mapped
        if address.sixtofour is not None:
            return address.sixtofour
        if address.teredo is not None:
            return address.teredo[1]
        if address in NAT64:
            return ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
    return address


def is_permitted(address: str, private: bool | Sequence[IPNetwork] = False) -> bool:
    """Say whether a connection to ``address`` is allowed.

    ``private`` is True for every address, or the private networks that are allowed.
    """
    if private is True:
        return True
    # A zone index ("fe80::1%eth0") only occurs on link-local addresses.
    parsed = ipaddress.ip_address(address.partition("%")[0])
    if any(parsed.version == network.version and parsed in network for network in private or ()):
        return True
    meant = _embedded(parsed)
    return meant.is_global and not meant.is_multicast


def resolve(host: str, port: int, timeout: float) -> list[str]:
    """Return the addresses of ``host``, in the resolver's order, as numeric strings.

    Raises OSError when there are none, TimeoutError (an OSError) after ``timeout`` seconds.
    ``getaddrinfo`` has no time-out of its own, so it runs in a thread that is left behind when
    it takes too long; the resolver ends it.
    """
    found: list[str] = []
    failure: list[Exception] = []

    def look_up() -> None:
        try:
            for *_, address in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM):
                found.append(str(address[0]))
        except (OSError, UnicodeError) as error:
            failure.append(error)

    thread = threading.Thread(target=look_up, name="openid-resolve", daemon=True)
    thread.start()
    thread.join(timeout)
    if thread.is_alive():
        raise TimeoutError(f"looking up {host} took too long")
    if failure or not found:
        raise OSError(f"{host} cannot be looked up: {failure[0] if failure else 'no address'}")
    return found
