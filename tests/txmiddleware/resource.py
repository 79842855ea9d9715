"""A data manager of the tests' own (``transaction.interfaces.IDataManager``)."""

from __future__ import annotations

import logging
import unittest
from typing import Any

import transaction


def expect_failures(test: unittest.TestCase) -> None:
    """Have the package not tell of each resource that could not be committed."""
    logger = logging.getLogger("txn")
    logger.setLevel(logging.CRITICAL + 1)
    test.addCleanup(logger.setLevel, logging.NOTSET)


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
