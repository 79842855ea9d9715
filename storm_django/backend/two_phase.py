"""Two-phase commit, for stores that ``ZStorm.set_default_tpc()`` was called for."""

from __future__ import annotations

from uuid import uuid4

from storm.xid import Xid
from storm.zope.zstorm import global_zstorm
from transaction.interfaces import ITransaction

from storm_django.backend.data_manager import StoreDataManager
from storm_django.stores import get_store
from txmiddleware.data_manager import ACTIVE


class TwoPhaseDataManager(StoreDataManager):
    """The part of a connection that is prepared first, and committed when all others have voted.

    An outermost ``atomic()`` commits in one phase: there it is Django that commits.
    """

    is_two_phase = True

    def begin(self) -> None:
        super().begin()
        try:
            self._begin_two_phase()
        except BaseException:
            self.end(failed=True)
            raise

    def _begin_two_phase(self) -> None:
        self.uses_store = True  # which has both phases
        # All stores of a transaction have its id, and the store's name as the branch.
        ids = global_zstorm._txn_ids
        transaction_id = ids.setdefault(self.guard.transaction, f"_storm_{uuid4()}")
        name = self.connection.store_settings.name
        store = self.connection.store or get_store(name)
        store.begin(Xid(0, transaction_id, name))

    def commit(self, txn: ITransaction) -> None:
        store = self.connection.store
        if self.status == ACTIVE and store is not None:
            store.prepare()

    def tpc_vote(self, txn: ITransaction) -> None:
        pass

    def tpc_finish(self, txn: ITransaction) -> None:
        if self.status == ACTIVE:
            self.defer_callbacks()
            self.committed = True  # all have voted for it: if this fails an operator finishes it
            self.end(failed=False)

    def tell_store(self, *, failed: bool) -> None:
        """Have the store's own method end both phases in the driver."""
        store = self.connection.store
        if store is None or self.store_is_told:
            return
        with self.telling_store():
            if failed:
                store.rollback()
            else:
                store.commit()
