"""The part of a shared connection in a Zope transaction."""

from __future__ import annotations

from typing import TYPE_CHECKING

from transaction.interfaces import ITransaction

from txmiddleware.databases import ACTIVE, ENDED, DatabaseDataManager
from txmiddleware.guard import Guard

if TYPE_CHECKING:
    from storm_django.backend.shared import StoreWrapper


class StoreDataManager(DatabaseDataManager):
    """The part of a store and of Django's wrapper around its connection, in one transaction."""

    connection: StoreWrapper

    def __init__(self, connection: StoreWrapper, guard: Guard) -> None:
        super().__init__(connection, guard)
        self.is_djangos = False  # joined by an outermost atomic(), which ends this part itself
        self.is_apart = False  # and somebody else ends the transaction

    def begin_for_django(self) -> None:
        """Join for Django, which has just left autocommit and will commit or roll back itself.

        If a block on another database has begun the transaction, each ends its own part at its
        own end, as Django's users know it; they share the savepoints.
        """
        self.is_djangos = True
        self.is_apart = self.guard.owner is not None
        if not self.is_apart:
            self.guard.own(f"an atomic() block on database {self.connection.alias!r}")

    def end_for_django(self, *, failed: bool) -> None:
        """The outermost block ends: commit, or roll back, what it owns."""
        obstacle = None if failed else self.guard.obstacle()
        if self.guard.ended_by_other or self.is_apart:
            if not failed and obstacle is None:
                self.connection.flush_store()
            self.end(failed=failed or obstacle is not None)
            if not self.is_apart:
                self.guard.disown()
        elif failed or obstacle is not None:
            self.guard.abort()
            self.connection._ended_guard = self.guard
        else:
            self.guard.commit()
            self.connection._ended_guard = self.guard
        if obstacle is not None:
            raise obstacle

    @property
    def is_test_case(self) -> bool:
        blocks = self.connection.__dict__["atomic_blocks"]
        return self.is_djangos and bool(blocks) and bool(blocks[0]._from_testcase)

    @property
    def is_outermost(self) -> bool:
        return self.is_djangos or super().is_outermost

    @property
    def is_on_top(self) -> bool:
        return self.guard.ending if self.is_djangos else super().is_on_top

    def tpc_begin(self, txn: ITransaction) -> None:
        if self.is_apart:
            return
        super().tpc_begin(txn)
        if self.status == ACTIVE:
            # All resources do this before any commits: a flush that fails fails early.
            self.connection.flush_store()

    def defer_callbacks(self) -> None:
        if not self.is_djangos:  # Django runs them when its block, and with it all, has ended
            super().defer_callbacks()

    def end(self, *, failed: bool) -> None:
        if failed:
            self.connection.reset_store()
        elif (store := self.connection.store) is not None:
            # Storm's rule between transactions: the cache holds nothing that is believed.
            store.invalidate()
        try:
            if self.is_djangos:
                self.status = ENDED
                self.connection._data_manager = None
                self.connection.end_in_driver(failed=failed)
            else:
                super().end(failed=failed)
        finally:
            self.connection.watch_store()

    def tpc_vote(self, txn: ITransaction) -> None:
        if not self.is_apart:
            super().tpc_vote(txn)

    def abort(self, txn: ITransaction) -> None:
        if not self.is_apart:
            super().abort(txn)
