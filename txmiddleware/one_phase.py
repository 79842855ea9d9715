"""``STORM_STRICT_COMMIT``: not more than one resource that commits in one phase.

Such a resource can fail when it commits, and can't be undone once it has. Of two the first would
be committed where the second fails, so both can be kept from it only by not committing at all.
"""

from __future__ import annotations

from typing import Any

from transaction.interfaces import ITransaction

from txmiddleware.exceptions import TransactionManagementError


def refuse_several(txn: ITransaction) -> None:
    """Raise ``TransactionManagementError`` if several resources of ``txn`` commit in one phase.

    Call it when all of them have flushed, and before any has voted.
    """
    names = [name for name in map(one_phase_name, txn._resources) if name is not None]
    if len(names) > 1:
        raise TransactionManagementError(
            f"STORM_STRICT_COMMIT: {' and '.join(sorted(names))} would each commit in one phase, "
            f"so that a failure of one could leave another committed; have all but one commit in "
            f"two phases, use one of them only, or leave a database that needs no part in the "
            f"transaction out of TX_DATABASES"
        )


def one_phase_name(resource: Any) -> str | None:
    """What to call ``resource`` if it has work and commits in one phase."""
    if hasattr(resource, "commits_in_one_phase"):
        alias = resource.connection.alias
        return f"database {alias!r}" if resource.commits_in_one_phase else None
    if getattr(getattr(resource, "_store", None), "_tpc", True) is False:
        return plain_store_name(resource)
    # By convention those that commit in tpc_vote() sort last, as zope.sqlalchemy's does; that one
    # has finished by now if it was only read.
    if str(resource.sortKey()).startswith("~") and getattr(resource, "state", "") != "no work":
        return repr(resource)
    return None


def plain_store_name(resource: Any) -> str | None:
    """What to call ``resource`` if it is ZStorm's own, of a store without an alias."""
    if hasattr(getattr(resource, "_store", None), "_tpc"):
        return f"{resource!r} of a Storm store without an alias"
    return None
