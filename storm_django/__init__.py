"""Storm and Django on one connection, in one transaction.

:func:`get_store` and :func:`get_store_uri` are the public API; the engine is
``storm_django.backend``.
"""

from storm_django.stores import get_store, get_store_uri

__all__ = ["get_store", "get_store_uri"]
