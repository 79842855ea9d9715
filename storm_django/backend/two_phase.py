"""Two-phase commit, for stores with ``TWO_PHASE``, or ``ZStorm.set_default_tpc()``."""

from __future__ import annotations

import logging
from typing import Any
from uuid import uuid4

from storm.exceptions import Error
from storm.xid import Xid
from storm.zope.zstorm import global_zstorm
from transaction.interfaces import ITransaction

from storm_django.backend.data_manager import StoreDataManager
from storm_django.stores import get_store
from txmiddleware.data_manager import ACTIVE, ENDED
from txmiddleware.guard import quietly
from txmiddleware.retryable import is_unanswered

logger = logging.getLogger("storm_django")

PREFIX = "_storm_"
"""What the ids of ZStorm's transactions begin with."""


def _takes_notes(resource: Any) -> bool:
    """Whether it is for an operator to tell how the transaction has ended."""
    return (
        isinstance(resource, TwoPhaseDataManager) and resource.connection.store_settings.two_phase
    )


def _has_committed(resource: Any) -> bool:
    """Whether a database has committed for certain."""
    return getattr(resource, "committed", False) and getattr(resource, "status", "") == ENDED


class TwoPhaseDataManager(StoreDataManager):
    """The part of a connection that is prepared first, and committed when all others have voted.

    An outermost ``atomic()`` commits in one phase: there it is Django that commits.
    """

    is_two_phase = True
    is_prepared = False  # or may be
    is_left_prepared = False  # or may be, since the connection was lost

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
        transaction_id = ids.setdefault(self.guard.transaction, f"{PREFIX}{uuid4()}")
        name = self.connection.store_settings.name
        store = self.connection.store or get_store(name)
        store.begin(Xid(0, transaction_id, name))

    def commit(self, txn: ITransaction) -> None:
        store = self.connection.store
        if self.status == ACTIVE and store is not None:
            if any(map(_takes_notes, txn._resources)):
                from storm_django.recovery import note_commit  # a model: not before the apps are

                note_commit(txn)
            self.refuse_unfit()  # other resources may have used the connection
            try:
                store.prepare()
            except Exception as error:
                self.is_prepared = is_unanswered(error)
                raise
            self.is_prepared = True

    def tpc_vote(self, txn: ITransaction) -> None:
        pass

    def tpc_finish(self, txn: ITransaction) -> None:
        if self.status == ACTIVE:
            self.defer_callbacks()
            self.committed = True  # all have voted for it: if this fails an operator finishes it
            try:
                self.end(failed=False)
            except Exception:
                if not any(_has_committed(resource) for resource in txn._resources):
                    raise
                # It is committed, and this part is prepared or the operator has been faster.
                self._give_up()
                quietly(self.abort, txn)

    def tpc_abort(self, txn: ITransaction) -> None:
        # One whose second phase has failed may have committed all the same.
        is_decided = any(getattr(resource, "committed", False) for resource in txn._resources)
        if self.status == ACTIVE and self.is_prepared and is_decided:
            self._give_up()  # an operator ends this part as the others have ended
        self.abort(txn)

    def _give_up(self) -> None:
        """Close the connection: before its part has ended the driver does nothing else with it."""
        raw = self.connection.connection
        if raw is not None:
            raw.close()

    def tell_store(self, *, failed: bool) -> None:
        """Have the store's own method end both phases in the driver."""
        store = self.connection.store
        if store is None or self.store_is_told:
            return
        with self.telling_store():
            if not failed:
                store.commit()
                return
            try:
                store.rollback()
            except Error:
                self._give_up()
            raw = self.connection.connection
            if self.is_prepared and (raw is None or raw.closed):
                self.is_left_prepared = True
                logger.error(
                    "%s: a part of a transaction may be prepared still; run manage.py "
                    "storm_transactions",
                    self.connection.alias,
                )
