"""Where Django reads and writes Storm classes that are not in the store of the default alias."""

from __future__ import annotations

from typing import Any

from storm_django.conf import conf


class StormRouter:
    """Sends each mirror to the alias of its store. For ``DATABASE_ROUTERS``."""

    def db_for_read(self, model: Any, **hints: Any) -> str | None:
        """The alias of the store that the mirror was made with; None for anything else."""
        store = getattr(model, "storm_store", None)
        return None if store is None else conf.alias_of_store(store)

    db_for_write = db_for_read
