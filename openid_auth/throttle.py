"""How many logins one address may begin, and fail, in a while; counted in Django's cache."""

from __future__ import annotations

import ipaddress
import time

from django.conf import settings
from django.core.cache import caches
from django.http import HttpRequest

from openid_auth.conf import conf
from openid_auth.exceptions import Throttled
from openid_auth.fields import digest

BEGUN = "begun"
FAILED = "failed"


def count(request: HttpRequest, kind: str) -> None:
    """Count one more login that was BEGUN or FAILED. Raises Throttled if it is one too many."""
    number = _number(request, kind, add=1)
    _raise_if_over(kind, number)


def check(request: HttpRequest, kind: str) -> None:
    """Raise Throttled if the address has used all of its attempts up; count nothing."""
    _raise_if_over(kind, _number(request, kind, add=0) + 1)


def client_address(request: HttpRequest) -> str | None:
    """Return the address that counts, None if it is not to be counted.

    Of an IPv6 address the first 64 bits count, since one visitor has all of the rest. A private
    one is most often that of a proxy, hence of everybody: it counts only if the site has set
    ``OPENID_THROTTLE`` or ``OPENID_CLIENT_ADDRESS``, and so has thought about it.
    """
    find = conf.OPENID_CLIENT_ADDRESS
    value = str(request.META.get("REMOTE_ADDR", "") if find is None else find(request))
    sure = find is not None or hasattr(settings, "OPENID_THROTTLE")
    try:
        address = ipaddress.ip_address(value.strip().partition("%")[0])
    except ValueError:
        return value if sure else None
    if not (sure or address.is_global):
        return None
    if isinstance(address, ipaddress.IPv6Address):
        if address.ipv4_mapped is None:
            return str(ipaddress.ip_network((address, 64), strict=False))
        address = address.ipv4_mapped
    return str(address)


def _number(request: HttpRequest, kind: str, *, add: int) -> int:
    limit = conf.OPENID_THROTTLE.get(kind)
    address = None if limit is None else client_address(request)
    if limit is None or address is None:
        return 0
    _most, seconds = limit
    window = int(time.time()) // seconds
    key = f"openid_auth:{kind}:{digest(address, window)}"
    cache = caches[conf.OPENID_CACHE]
    if not add:
        return int(cache.get(key, 0))
    cache.add(key, 0, timeout=seconds)
    try:
        return int(cache.incr(key))
    except ValueError:  # It ended, or was thrown out, between the two.
        return add


def _raise_if_over(kind: str, number: int) -> None:
    limit = conf.OPENID_THROTTLE.get(kind)
    if limit is None:
        return
    most, seconds = limit
    if number > most:
        raise Throttled(kind, seconds - int(time.time()) % seconds)
