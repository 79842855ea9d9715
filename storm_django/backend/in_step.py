"""What keeps the two ORMs in step on one connection, statement by statement."""

from __future__ import annotations

from typing import Any

from storm.store import Store

from storm_django.backend import coherence
from storm_django.backend.data_manager import StoreDataManager
from storm_django.backend.statements import UNDO, effect_of
from storm_django.conf import StoreSettings
from storm_django.stores import existing_store, watch_store
from txmiddleware.databases import Participant


class InStepWrapper(Participant):
    """Django's wrapper, which tells the store of what Django does on their connection."""

    store_settings: StoreSettings
    _data_manager: StoreDataManager | None
    _leaving_store: Store | None = None  # removed from ZStorm in the transaction that it is in

    @property
    def store(self) -> Store | None:
        """This thread's store, if it has been made."""
        return existing_store(self.store_settings.name) or self._leaving_store

    def flush_store(self) -> None:
        """Send what Storm has pending."""
        store = self.store
        if store is not None:
            store.flush()

    def reset_store(self) -> None:
        """Have Storm forget what it has pending and what it believes, as after a rollback."""
        store = self.store
        if store is not None:
            store._connection.writes += 1
            with store._connection.no_transaction_control():
                store.rollback()

    def watch_store(self) -> None:
        """Notice the next use of the store."""
        store = self.store
        if store is not None and store._register_for_txn:
            watch_store(store, self.alias)

    def store_at_stake(self) -> Store | None:
        """The store, if it may know objects whose rows are of this transaction."""
        manager = self._data_manager
        if manager is None or not manager.involves_store:
            return None
        # Nothing to send, and nothing that can be stale?
        store = self.store
        return store if store is not None and (store._alive.data or store._dirty) else None

    def before_statement(self, sql: Any) -> None:
        """Django is about to execute a statement."""
        if self._data_manager is None and not (self.autocommit or self._no_join):
            self.join()
        store = self.store_at_stake()
        if store is not None:
            coherence.before_statement(store, effect_of(sql))

    def after_statement(
        self, sql: Any, params: Any = None, rowcount: int | None = None, *, failed: bool = False
    ) -> None:
        """Django has executed a statement, which may have changed what Storm has cached.

        One that has failed may have done a part of its work, unless it is a rollback.
        """
        store = self.store_at_stake()
        if store is None:
            return
        effect = effect_of(sql)
        if effect is not UNDO:
            coherence.after_statement(store, effect, params, rowcount)
        elif not failed:
            self.reset_store()
