"""What the engine of each vendor has in common: Django's side of the shared connection."""

from __future__ import annotations

import weakref
from contextlib import suppress
from typing import Any, ClassVar

from django.db import Error
from django.db.backends.utils import CursorDebugWrapper, CursorWrapper
from django.utils.asyncio import async_unsafe
from storm.database import Database
from storm.store import Store
from storm.uri import URI
from storm.zope.zstorm import global_zstorm
from transaction.interfaces import ITransaction

from storm_django.backend.cursors import CoherentCursor, CoherentDebugCursor
from storm_django.backend.data_manager import DjangosDataManager, StoreDataManager
from storm_django.backend.in_step import InStepWrapper
from storm_django.backend.thread_end import close_at_thread_end, forget_connection
from storm_django.backend.two_phase import TwoPhaseDataManager
from storm_django.conf import StoreSettings, conf
from txmiddleware.data_manager import ENDED, LOST
from txmiddleware.exceptions import TransactionManagementError
from txmiddleware.failed_statement import refuse_failed
from txmiddleware.guard import Guard, current_transaction, guard_of
from txmiddleware.manager import WaitedForManager
from txmiddleware.thread import has_scope, this_thread, watch


class StoreWrapper(InStepWrapper):
    """Django's wrapper around a connection that a Storm store uses too.

    The wrapper opens and closes the raw connection, as the stock engine does, and lends it to the
    store. While no transaction is open the driver is in autocommit. An outermost ``atomic()``, or
    the store's first use, joins the thread's Zope transaction.
    """

    cursor_class: type[CursorWrapper] = CoherentCursor
    debug_cursor_class: type[CursorDebugWrapper] = CoherentDebugCursor
    notes_alone = True
    _waits_on: WaitedForManager | None = None  # in a block of Django that is not a part of any
    store_database_class: ClassVar[type[Database]]

    def __init__(self, settings_dict: dict[str, Any], alias: str) -> None:
        self.store_settings: StoreSettings = conf.store_of_alias(alias, settings_dict)
        if "STORE" not in settings_dict:
            # In place: it is settings.DATABASES[alias], where Django puts the test database's name
            # and which all threads share.
            self.fill_in(settings_dict, self.store_settings.parsed())
            settings_dict["STORE"] = self.store_settings.as_dict()
        # The store connections of other threads too, where a wrapper is handed to one.
        self._borrowers: weakref.WeakSet[Any] = weakref.WeakSet()
        self._ended_guards: list[Guard] = []
        watch()
        super().__init__(settings_dict, alias)

    def fill_in(self, settings_dict: dict[str, Any], uri: URI) -> None:
        """Put the parts of the URI where Django's code for the vendor looks for them."""
        options = self.options_of_uri(dict(uri.options))
        self.store_settings.fill_in(settings_dict, uri, options)

    def options_of_uri(self, options: dict[str, str]) -> dict[str, Any]:
        """What the options of the URI are in ``OPTIONS`` of ``DATABASES``."""
        return dict(options)

    # The store and its connection.

    @property
    def data_manager_class(self) -> type[StoreDataManager]:  # type: ignore[override]
        """One that commits in two phases, if the settings or ZStorm have asked for it."""
        store = self.store_settings
        if store.two_phase or global_zstorm._default_tpcs.get(store.name):
            return TwoPhaseDataManager
        return StoreDataManager

    def make_store_database(self) -> Database:
        """Storm's ``Database`` whose connections borrow those of this alias."""
        return type(self).store_database_class(self.store_settings.parsed(), self.alias)

    def store_uri(self) -> URI:
        """The store's URI, with the name of the test database while tests run."""
        uri = self.store_settings.parsed()
        uri.database = self.settings_dict["NAME"] or None
        return uri

    def open(self) -> Any:
        """The raw connection, opened now if it is not open. Does not join a transaction."""
        with self._joining_suspended():
            self.ensure_connection()
        return self.connection

    def lend_to(self, borrower: Any) -> None:
        """Keep a store's connection informed of when the raw one is replaced or closed."""
        self._borrowers.add(borrower)

    def take_back(self, borrower: Any) -> None:
        """The store's connection has no more use of the raw one."""
        self._borrowers.discard(borrower)
        self._leaving_store = None

    def is_left(self, store: Store | None) -> bool:
        """Whether ``store``, removed from ZStorm, has no part in a transaction here any more."""
        if self._data_manager is None:
            return True
        self._leaving_store = store
        return False

    def connect(self) -> None:
        super().connect()
        close_at_thread_end(self)
        for borrower in tuple(self._borrowers):
            borrower.attach(self.connection)

    def after_fork(self) -> None:
        forget_connection(self)
        self._stop_waiting()
        self._ended_guards = []
        super().after_fork()
        if self.connection is None:
            for borrower in tuple(self._borrowers):
                borrower.detach()
        if self.is_current():
            self.reset_store()
            self.watch_store()

    def _close(self) -> None:
        self._end_before_close()
        forget_connection(self)
        for borrower in tuple(self._borrowers):
            borrower.detach()
        super()._close()  # type: ignore[misc]

    def _end_before_close(self) -> None:
        """The server rolls back what is open. Without this nobody would tell the transaction.

        In a scope it finds out by itself, when it commits.
        """
        self._stop_waiting()
        manager = self._data_manager
        if manager is None or manager.status == ENDED:
            return
        if isinstance(manager, DjangosDataManager):
            manager.status = ENDED
            self._data_manager = None
            self.reset_store()
            self.watch_store()
            if not manager.is_apart:
                manager.guard.abort()
                manager.guard.run_callbacks()
        elif not has_scope() and manager.is_on_top:
            manager.end_early(failed=True)

    # Coherence.

    def make_cursor(self, cursor: Any) -> CursorWrapper:
        return self.cursor_class(cursor, self)

    def make_debug_cursor(self, cursor: Any) -> CursorDebugWrapper:
        return self.debug_cursor_class(cursor, self)

    def _savepoint_commit(self, sid: str) -> None:
        try:
            super()._savepoint_commit(sid)
        except Error:
            raise
        except BaseException:
            # What Storm had pending can't be sent. atomic() does this for Django's errors only.
            try:
                self.savepoint_rollback(sid)
            except Error:
                self.needs_rollback = True
            raise

    def _savepoint_allowed(self) -> bool:
        return bool(self._data_manager) or super()._savepoint_allowed()  # type: ignore[misc]

    # Transactions.

    @async_unsafe
    def join_store(self) -> bool:
        """Storm is about to use the store. True if the connection is now in a transaction."""
        manager = self._data_manager
        if manager is None:
            if self._waits_on is None:
                self.join()
            if self._waits_on is not None:
                self._waits_on.get()
        elif manager.status == LOST:
            raise TransactionManagementError(
                "the transaction was aborted inside the scope that owns it; nothing more can be "
                "done until that scope has ended"
            )
        if self._data_manager is not None:
            self._data_manager.uses_store = True
        return self._data_manager is not None

    def join(self) -> None:
        if self.closed_in_transaction and self.__dict__["in_atomic_block"]:
            pass  # each statement fails until Django's block has ended
        elif self.autocommit or self.connection is None:
            super().join()
        else:  # by hand: set_autocommit(False), and then a commit
            self._join_for_django()

    def _join_for_django(self) -> None:
        """Django leaves autocommit: by an outermost ``atomic()``, or by ``set_autocommit()``.

        Where the thread has no transaction it waits for one: as long as nobody asks for it, by
        the store's use, by ``transaction.get()`` or anything else, Django is alone.
        """
        if self._data_manager is None and not self._no_join:
            manager = this_thread.manager
            if manager.wait(self):
                self._waits_on = manager
                self._no_join += 1
            else:
                self.admit(current_transaction())

    def admit(self, txn: ITransaction) -> None:
        self._stop_waiting()
        if self.is_current():
            manager = DjangosDataManager(self, guard_of(txn))
            manager.begin()
            self._enter(manager)

    def _stop_waiting(self) -> None:
        if self._waits_on is not None:
            if self in self._waits_on.waiting:  # and not taken in
                self._waits_on.waiting.remove(self)
            self._waits_on = None
            self._no_join -= 1

    def run_and_clear_commit_hooks(self) -> None:
        try:
            super().run_and_clear_commit_hooks()
        finally:  # a callback may raise
            guards, self._ended_guards = self._ended_guards, []
            for guard in guards:  # the thread is idle only now: they can use the database
                guard.run_callbacks()

    def _restart_transaction(self) -> None:
        self.reset_store()
        if not self.closed_in_transaction:
            super()._restart_transaction()

    def _set_autocommit(self, autocommit: bool) -> None:
        if autocommit and isinstance(self._data_manager, DjangosDataManager):
            raise TransactionManagementError(
                "set_autocommit(True) was called in a transaction of both ORMs; commit() or "
                "rollback() first"
            )
        if autocommit and self._waits_on is not None:
            self._stop_waiting()  # drivers that can do this in a transaction commit it
        try:
            self.switch_driver(autocommit)
        except Error:
            if not self.__dict__["in_atomic_block"]:
                self.close()  # a dead connection must not fail the next transaction too
            raise
        if not autocommit:
            self._join_for_django()

    def switch_driver(self, autocommit: bool) -> None:
        """Have the driver begin and leave autocommit. Raises Django's errors."""
        super()._set_autocommit(autocommit)  # type: ignore[misc]

    def _commit(self) -> None:
        manager = self._data_manager
        if manager is None and self.run_on_commit:
            refuse_failed(self)  # Django alone does not, and would run them
        if self._waits_on is not None:
            self._stop_waiting()
        if isinstance(manager, DjangosDataManager):
            manager.end_for_django(failed=False)
        else:
            super()._commit()

    def _rollback(self) -> None:
        if self._waits_on is not None:
            self._stop_waiting()
        manager = self._data_manager
        if isinstance(manager, DjangosDataManager):
            manager.end_for_django(failed=True)
        else:
            super()._rollback()

    def end_in_driver(self, *, failed: bool) -> None:
        """Commit or roll back on the raw connection."""
        if failed:
            super()._rollback()
        else:
            super()._commit()

    def end_for_store(self, *, failed: bool) -> None:
        """``Store.commit()`` or ``Store.rollback()`` was called by the application.

        Where nobody else ends the transaction that is its end, for this store. Raises what
        :meth:`refuse_end_for_store` does.
        """
        self.refuse_end_for_store(failed=failed)
        manager = self._data_manager
        if manager is None or manager.store_is_told:
            return
        try:
            with manager.telling_store():
                self.end_part(manager, failed=failed)
        except Error:
            if not failed:
                raise

    def refuse_end_for_store(self, *, failed: bool) -> None:
        """Raise ``TransactionManagementError`` if others end the transaction, or it can't be."""
        manager = self._data_manager
        if manager is None or manager.store_is_told:
            return
        verb = "rollback" if failed else "commit"
        if not self._is_stores(manager):
            if failed:
                manager.guard.doom()  # Storm has dropped what was pending
            raise TransactionManagementError(
                f"Store.{verb}() was called inside a transaction that other code ends; remove the "
                f"call, or raise an exception to roll back"
            )
        if not failed:
            manager.tpc_begin(manager.guard.transaction)

    def end_part(self, manager: StoreDataManager, *, failed: bool) -> None:
        """End the part of a store that has asked for it."""
        manager.end_early(failed=failed)

    def abandon(self) -> None:
        """The store is closed: roll back, if nobody else ends the transaction."""
        manager = self._data_manager
        if manager is not None and self._is_stores(manager):
            with suppress(Error):  # it is rolled back then because the connection is gone
                manager.end_early(failed=True)

    def _is_stores(self, manager: StoreDataManager) -> bool:
        """Whether only the store's own ``commit()`` or ``rollback()`` ends the transaction."""
        is_others = isinstance(manager, DjangosDataManager) or has_scope()
        return not is_others and manager.is_on_top
