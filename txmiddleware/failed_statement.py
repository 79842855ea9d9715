"""A transaction in which a statement failed, where the server keeps that to itself."""

from __future__ import annotations

from typing import Any

from txmiddleware.exceptions import TransactionManagementError

IN_ERROR = 3
"""libpq's ``PQTRANS_INERROR``, as psycopg 2 and 3 know it from the server's last answer."""


def refuse_failed(connection: Any) -> None:
    """Raise ``TransactionManagementError`` if PostgreSQL would answer COMMIT by a rollback."""
    if connection.connection.info.transaction_status == IN_ERROR:
        raise TransactionManagementError(
            f"a statement failed on database {connection.alias!r} and its error was caught, so "
            f"the server would answer COMMIT by a rollback; put what may fail into atomic(), and "
            f"catch the error outside of the block"
        )
