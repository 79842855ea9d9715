"""What txmiddleware raises. Code that knows only Django's errors catches it too."""

from django.db.transaction import TransactionManagementError
from transaction.interfaces import DoomedTransaction

__all__ = [
    "TransactionDoomed",
    "TransactionManagementError",
    "TransactionRequired",
    "TransactionTimeout",
]


class TransactionDoomed(TransactionManagementError, DoomedTransaction):  # type: ignore[misc]
    """An inner scope failed, or ``transaction.doom()`` was called: nothing was committed."""


class TransactionRequired(TransactionManagementError):
    """A :func:`txmiddleware.require_managed` function was called outside of a scope."""


class TransactionTimeout(TransactionManagementError):
    """The statements of a request took longer than ``TX_TIMEOUT``."""


class DurableInsideTransaction(TransactionManagementError, RuntimeError):
    """``atomic(durable=True)`` was entered inside a transaction that somebody else ends.

    It is a ``RuntimeError`` as well, which is what Django raises for a durable block in a block.
    """
