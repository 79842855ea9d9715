"""A transaction that a failed statement has ended, where the server keeps that to itself.

Whoever caught the error would go on, and commit the rest without what came before it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.db.utils import DatabaseErrorWrapper

from txmiddleware.exceptions import TransactionManagementError

if TYPE_CHECKING:
    from txmiddleware.databases import Participant

IN_ERROR = 3
"""libpq's ``PQTRANS_INERROR``, as psycopg 2 and 3 know it from the server's last answer."""

ENDING = frozenset({1020, 1206, 1213})
"""The errors after which InnoDB rolls back the transaction: the row has changed, no room for
locks, deadlock."""

LOCK_WAIT_TIMEOUT = 1205
"""InnoDB's error that undoes the statement only, unless the server is configured otherwise."""


class NotingErrorWrapper(DatabaseErrorWrapper):
    """Django's translation of the driver's errors, which all of Django's statements pass."""

    wrapper: Participant

    def __exit__(self, exc_type: Any, exc_value: Any, traceback: Any) -> None:
        if exc_type is not None:
            self.wrapper.note_error(exc_value)
            super().__exit__(exc_type, exc_value, traceback)


def has_ended(connection: Participant, error: BaseException) -> bool:
    """Whether the server has rolled back the transaction by itself when ``error`` occurred.

    MySQL says so by the error's code only: the driver does not show the server's status.
    """
    raw: Any = connection.connection
    if raw is None or connection.autocommit:
        return False
    driver = connection.Database  # type: ignore[attr-defined]
    if connection.vendor == "sqlite":
        try:
            return connection.__dict__["in_atomic_block"] and not raw.in_transaction
        except driver.Error:  # it is closed
            return False
    if connection.vendor != "mysql" or not isinstance(error, driver.Error):
        return False
    code = error.args[0] if error.args else None
    return code in ENDING or (code == LOCK_WAIT_TIMEOUT and _ends_at_timeouts(raw, driver))


def _ends_at_timeouts(raw: Any, driver: Any) -> bool:
    try:
        with raw.cursor() as cursor:
            cursor.execute("SELECT @@innodb_rollback_on_timeout")
            return bool(cursor.fetchone()[0])
    except driver.Error:  # rows are still to be read: expect the worst
        return True


def refuse_failed(connection: Participant) -> None:
    """Raise ``TransactionManagementError`` if a commit would not commit all, and not say so."""
    if connection.ended_by is not None:
        connection.refuse_ended()
    raw: Any = connection.connection
    if (
        connection.vendor == "postgresql"
        and raw is not None
        and raw.info.transaction_status == IN_ERROR
    ):
        raise TransactionManagementError(
            f"a statement failed on database {connection.alias!r} and its error was caught, so "
            f"the server would answer COMMIT by a rollback; put what may fail into atomic(), and "
            f"catch the error outside of the block"
        )
