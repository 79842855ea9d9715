"""The part of a shared connection in a Zope transaction."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from transaction.interfaces import ITransaction

from storm_django.stores import existing_store
from txmiddleware.data_manager import ACTIVE, ENDED, DatabaseDataManager

if TYPE_CHECKING:
    from storm_django.backend.shared import StoreWrapper


class StoreDataManager(DatabaseDataManager):
    """The part of a store and of Django's wrapper around its connection, in one transaction."""

    connection: StoreWrapper
    uses_store = False  # Storm has sent a statement, or begun an object's life
    store_is_told = False  # the store's own commit() or rollback() is ending this part

    @property
    def involves_store(self) -> bool:
        """Whether Storm has a part in this, and not Django alone."""
        if self.uses_store:
            return True
        # That of this thread, which may not be that of the block.
        store = existing_store(self.connection.store_settings.name)
        return store is not None and bool(store._dirty)

    def send_pending(self) -> None:
        """Flush the store, before a savepoint."""
        if self.status == ACTIVE and self.involves_store:
            self.connection.flush_store()

    def tpc_begin(self, txn: ITransaction) -> None:
        super().tpc_begin(txn)
        # All resources do this before any commits: a flush that fails fails early.
        if self.status == ACTIVE and self.involves_store:
            self.connection.flush_store()
            # Code that the flush has called may have asked for a rollback.
            self.refuse_unfit()
            if not self.is_alone:
                self.guard.refuse()

    # Commit, or roll back, as Django does.
    _end_connection = DatabaseDataManager.end

    def end(self, *, failed: bool) -> None:
        if not self.involves_store:
            self._end_connection(failed=failed)
            return
        self.tell_store(failed=failed)
        try:
            self._end_connection(failed=failed)
        finally:
            self.connection.watch_store()

    @contextmanager
    def telling_store(self) -> Iterator[None]:
        """Inside, and after it has gone well, the store has been told of the end."""
        self.store_is_told = True
        try:
            yield
        except BaseException:
            self.store_is_told = False
            raise

    def tell_store(self, *, failed: bool) -> None:
        """Have the store tidy up by its own ``commit()`` or ``rollback()``, as ZStorm does.

        Applications and Storm's test resources replace those of a store to learn of its end.
        """
        store = self.connection.store
        if store is None or self.store_is_told:
            return
        with self.telling_store(), store._connection.no_transaction_control():
            if failed:
                store.rollback()
            else:
                store.commit()


class DjangosDataManager(StoreDataManager):
    """The same where an outermost ``atomic()`` has joined, which ends this part itself."""

    is_apart = False  # somebody else ends the transaction

    def begin(self) -> None:
        """Join for Django, which has just left autocommit and will commit or roll back itself.

        If a block on another database has begun the transaction, each ends its own part at its
        own end, as Django's users know it; they share the savepoints.
        """
        self.is_apart = self.guard.owner is not None
        if not self.is_apart:
            self.guard.own(f"an atomic() block on database {self.connection.alias!r}")

    def end_for_django(self, *, failed: bool) -> None:
        """The outermost block ends: commit, or roll back, what it owns."""
        try:
            if not failed:
                self._send_pending_inside()
                self.refuse_unfit()
                self.guard.refuse()
            self._end_part_of_django(failed=failed)
        except BaseException:
            if self.status != ENDED:
                self._end_part_of_django(failed=True)
            self.connection.run_on_commit = []  # Django does so in rollback() only
            raise

    def _send_pending_inside(self) -> None:
        """Flush as inside of the block, which is where receivers of signals expect to be."""
        state = self.connection.__dict__
        state["in_atomic_block"] = True  # Django has closed it already
        try:
            self.send_pending()
        finally:
            state["in_atomic_block"] = False

    def _end_part_of_django(self, *, failed: bool) -> None:
        guard = self.guard
        if guard.ended_by_other or self.is_apart:
            self.end(failed=failed)
            if not self.is_apart:
                guard.disown()
            return
        try:
            if failed:
                guard.abort()
            else:
                guard.commit()
        finally:
            # The callbacks run where the connection runs Django's: back in autocommit.
            self.connection._ended_guards.append(guard)
            self.connection.run_commit_hooks_on_set_autocommit_on = True

    @property
    def is_test_case(self) -> bool:
        blocks = self.connection.__dict__["atomic_blocks"]
        return bool(blocks) and bool(blocks[0]._from_testcase)

    @property
    def is_outermost(self) -> bool:
        return True

    @property
    def is_on_top(self) -> bool:
        return self.guard.ending

    @property
    def commits_in_one_phase(self) -> bool:
        return not self.is_apart and super().commits_in_one_phase

    @property
    def is_covered(self) -> bool:
        return not self.is_apart and super().is_covered

    def defer_callbacks(self) -> None:
        pass  # Django runs them when its block, and with it all, has ended

    def _end_connection(self, *, failed: bool) -> None:
        self.status = ENDED
        self.connection._data_manager = None
        self.connection.end_in_driver(failed=failed)

    # Apart, there is nothing to do at the end of the transaction.

    def tpc_begin(self, txn: ITransaction) -> None:
        if not self.is_apart:
            super().tpc_begin(txn)

    def tpc_vote(self, txn: ITransaction) -> None:
        if not self.is_apart:
            super().tpc_vote(txn)

    def abort(self, txn: ITransaction) -> None:
        if not self.is_apart:
            super().abort(txn)
