"""Resources that commit in one phase: they can fail when they commit, and can't be undone then.

Of two the first would be committed where the second fails, so both can be kept from it only by not
committing at all, which is ``STORM_STRICT_COMMIT``.
"""

from __future__ import annotations

from typing import Any

from transaction._transaction import rm_key
from transaction.interfaces import ITransaction

from txmiddleware.exceptions import TransactionManagementError
from txmiddleware.retryable import is_unanswered


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
    return repr(resource) if _commits_in_vote(resource) else None


def _commits_in_vote(resource: Any) -> bool:
    # By convention those that do sort last, as zope.sqlalchemy's does; that one has finished before
    # the votes if it was only read.
    return str(rm_key(resource)).startswith("~") and getattr(resource, "state", "") != "no work"


def may_be_committed(txn: ITransaction, error: BaseException) -> bool:
    """Whether a part of ``txn`` is committed, or may be, though its commit failed with ``error``.

    Call it before the abort, after which the transaction does not know any more.
    """
    resources = txn._resources
    if any(getattr(resource, "committed", False) for resource in resources):
        return True
    if any(getattr(resource, "is_left_prepared", False) for resource in resources):
        return True  # and has locks, for which another attempt would wait
    # ITransaction has no public way to ask.
    voted = [resource for resource in resources if id(resource) in txn._voted]
    if voted and len(voted) == len(resources):  # the second phase had begun
        return len(voted) > 1 or is_unanswered(error)
    # Our own databases have been asked above.
    others = [each for each in resources if not hasattr(each, "commits_in_one_phase")]
    if is_unanswered(error):  # it may be one of them whose COMMIT it was
        return any(map(_commits_in_vote, others))
    return any(_commits_in_vote(each) for each in others if id(each) in txn._voted)


def plain_store_name(resource: Any) -> str | None:
    """What to call ``resource`` if it is ZStorm's own, of a store without an alias."""
    if hasattr(getattr(resource, "_store", None), "_tpc"):
        return f"{resource!r} of a Storm store without an alias"
    return None
