"""A data manager of the tests' own (``transaction.interfaces.IDataManager``)."""

from __future__ import annotations

from typing import Any

import transaction


class Resource:
    """One that takes part in any transaction, and has nothing against it."""

    transaction_manager = transaction.manager

    def tpc_begin(self, txn: Any) -> None: ...
    def commit(self, txn: Any) -> None: ...
    def tpc_vote(self, txn: Any) -> None: ...
    def tpc_finish(self, txn: Any) -> None: ...
    def tpc_abort(self, txn: Any) -> None: ...
    def abort(self, txn: Any) -> None: ...

    def sortKey(self) -> str:
        return "resource"
