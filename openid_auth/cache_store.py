"""The store of associations and nonces in Django's cache, for sites with many processes.

``cache.add`` is the test of a nonce: Redis and Memcached do it for one caller only. The cache has
to be one that all processes share and that forgets nothing early; a system check looks at that.
"""

from __future__ import annotations

import base64
import time
from typing import Any

from django.core.cache import BaseCache, caches
from django.core.cache.backends.dummy import DummyCache
from django.core.exceptions import ImproperlyConfigured
from openid.association import Association as SharedSecret
from openid.store.interface import OpenIDStore

from openid_auth.conf import conf
from openid_auth.fields import digest
from openid_auth.models import MAX_SALT_LENGTH
from openid_auth.store import NONCE_SKEW, kept_lifetime


class CacheStore(OpenIDStore):  # type: ignore[misc]
    """Associations and nonces in the cache ``OPENID_CACHE``. Each ends there by itself."""

    @property
    def cache(self) -> BaseCache:
        cache = caches[conf.OPENID_CACHE]
        if isinstance(cache, DummyCache):
            raise ImproperlyConfigured(
                f"OPENID_CACHE is {conf.OPENID_CACHE!r}, a dummy cache, which lets every nonce in "
                "again and again: name one on Redis, or use openid_auth.store.DatabaseStore."
            )
        return cache

    def storeAssociation(self, server_url: str, association: SharedSecret) -> None:
        """Keep ``association``; one whose handle is not as section 8.2.1 says is not kept."""
        lifetime = kept_lifetime(association)
        remaining = int(association.issued) + lifetime - int(time.time())
        if lifetime <= 0 or remaining <= 0:
            return
        values = {
            "handle": association.handle,
            "secret": base64.b64encode(association.secret).decode("ascii"),
            "issued": int(association.issued),
            "lifetime": lifetime,
            "assoc_type": association.assoc_type,
        }
        newest = self.getAssociation(server_url)
        self.cache.set(_key("association", server_url, association.handle), values, remaining)
        if newest is None or newest.issued <= values["issued"]:
            self.cache.set(_key("newest", server_url), association.handle, remaining)

    def getAssociation(self, server_url: str, handle: str | None = None) -> SharedSecret | None:
        """Return the association with this handle, or the newest; None if it is unknown or over."""
        if handle is None:
            handle = self.cache.get(_key("newest", server_url))
            if handle is None:
                return None
        values: dict[str, Any] | None = self.cache.get(_key("association", server_url, handle))
        if values is None or values["issued"] + values["lifetime"] <= time.time():
            return None
        return SharedSecret(
            values["handle"],
            base64.b64decode(values["secret"]),
            values["issued"],
            values["lifetime"],
            values["assoc_type"],
        )

    def removeAssociation(self, server_url: str, handle: str) -> bool:
        """Forget an association; return whether there was one."""
        return bool(self.cache.delete(_key("association", server_url, handle)))

    def useNonce(self, server_url: str, timestamp: int, salt: str) -> bool:
        """Use a nonce up; return False if it was used before or is out of time (section 11.3)."""
        if abs(timestamp - time.time()) > NONCE_SKEW or len(salt) > MAX_SALT_LENGTH:
            return False
        # One from the future has to be remembered until it is as far in the past.
        key = _key("nonce", server_url, timestamp, salt)
        return bool(self.cache.add(key, 1, timeout=2 * NONCE_SKEW + 60))

    def cleanupNonces(self) -> int:
        """Nothing to do: they end by themselves."""
        return 0

    def cleanupAssociations(self) -> int:
        """Nothing to do: they end by themselves."""
        return 0


def _key(kind: str, *values: object) -> str:
    return f"openid_auth:{kind}:{digest(*values)}"
