"""What txmiddleware raises. Each is one of Django's errors too, so that code which knows only Django catches it."""

from django.db.transaction import TransactionManagementError
from transaction.interfaces import DoomedTransaction

__all__ = ["TransactionDoomed", "TransactionManagementError", "TransactionRequired"]


class TransactionDoomed(TransactionManagementError, DoomedTransaction):  # type: ignore[misc]
    """The transaction can't be committed: an inner scope failed, or ``transaction.doom()`` was called."""


class TransactionRequired(TransactionManagementError):
    """Code marked with :func:`txmiddleware.require_managed` was called outside a managed transaction."""


class DurableInsideTransaction(TransactionManagementError, RuntimeError):
    """``atomic(durable=True)`` was entered inside a transaction that somebody else ends.

    It is a ``RuntimeError`` as well, which is what Django raises for a durable block in a block.
    """
