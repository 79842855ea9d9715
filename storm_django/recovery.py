"""Transactions that a crash has left prepared: how they ended, and ending what is left of them.

Before the first database prepares its part, each database of a transaction notes in it that it is
committed. So afterwards one that has committed shows the note. Where none does, the transaction
was reported committed to nobody, and is rolled back; but not before those that have prepared
nothing have been kept from committing it: a note of the same id that it is not is waited for where
the transaction still goes on, and refused where it has been committed.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from django.db import (
    DatabaseError,
    IntegrityError,
    OperationalError,
    ProgrammingError,
    connections,
)
from django.db.transaction import atomic
from django.utils import timezone
from storm.zope.zstorm import global_zstorm
from transaction.interfaces import ITransaction

from storm_django.backend.two_phase import PREFIX
from storm_django.conf import conf
from storm_django.models import TransactionOutcome
from txmiddleware.data_manager import ACTIVE, DatabaseDataManager
from txmiddleware.exceptions import TransactionManagementError
from txmiddleware.one_phase import one_phase_name, plain_store_name

COMMIT, ROLLBACK, GOES_ON = "commit", "roll back", "goes on"

PATIENCE = 2
"""How long a transaction may keep a note waiting before it counts as going on, in seconds."""

YOUNG = 60
"""How long a transaction is left alone after it was prepared, in seconds."""

KEPT = timedelta(days=1)
"""How long the notes of transactions that are not prepared any more are kept."""

NO_SUCH_PART = "42704"
"""PostgreSQL's code where a name, here of something prepared, is not known."""

_NOTED = object()


def note_commit(txn: ITransaction) -> None:
    """Have each database of ``txn`` note that it is committed. Call it before any prepares.

    Raises ``TransactionManagementError`` if one of the resources can't.
    """
    try:
        txn.data(_NOTED)
        return
    except KeyError:
        txn.set_data(_NOTED, True)
    refuse_without_note(txn)
    if len(txn._resources) == 1:
        return  # nobody could have another idea of how it ended
    for resource in txn._resources:
        if isinstance(resource, DatabaseDataManager) and resource.status == ACTIVE:
            alias = resource.connection.alias
            try:
                add_note(alias, global_zstorm._txn_ids[txn], is_committed=True)
            except DatabaseError as error:
                if not (is_table_missing(error) or is_read_only(error)):
                    raise
                raise TransactionManagementError(
                    f"database {alias!r} can't note the end of a transaction that commits in two "
                    f"phases ({error}); run manage.py migrate --database={alias}, or leave one "
                    f"that is only read out of TX_DATABASES"
                ) from error


def refuse_without_note(txn: ITransaction) -> None:
    """Raise ``TransactionManagementError`` if ``txn`` may be committed where nobody notes it."""
    for resource in txn._resources:
        if isinstance(resource, DatabaseDataManager):
            continue
        name = one_phase_name(resource) or plain_store_name(resource)
        if name is not None:
            raise TransactionManagementError(
                f"{name} can't note the end of a transaction that commits in two phases, so that "
                f"after a crash nobody could tell how it has ended; use a database behind an alias"
            )


def is_table_missing(error: DatabaseError) -> bool:
    """Whether a statement failed because notes have no table there."""
    return isinstance(error, ProgrammingError | OperationalError) and (
        TransactionOutcome._meta.db_table in str(error)
    )


def is_read_only(error: DatabaseError) -> bool:
    """Whether a database takes no changes, as a replica does not."""
    cause = error.__cause__
    return (
        getattr(cause, "pgcode", None) == "25006"
        or error.args[:1] == (1290,)  # MariaDB and MySQL with --read-only
        or "readonly database" in str(error)
    )


@dataclass
class InDoubt:
    """A transaction that some databases have prepared, and nobody has ended there."""

    id: str
    since: datetime
    age: float
    """How long ago that was, in seconds."""
    parts: dict[str, str] = field(default_factory=dict)
    """The name of the prepared part for each alias that has one."""

    def decide(self, *, for_good: bool) -> str:
        """How it ends. ``for_good``: have all databases agree from now on.

        Raises Django's ``DatabaseError`` if a database can't be asked.
        """
        if for_good and self.age < YOUNG:
            return GOES_ON
        ask = keep_from_committing if for_good else note
        others = [alias for alias in connections if alias not in self.parts and takes_notes(alias)]
        found = [ask(alias, self.id) for alias in others]
        if True in found:
            return COMMIT
        return GOES_ON if for_good and None in found else ROLLBACK

    def finish(self) -> str:
        """End the parts that are prepared, as the others have ended, unless it still goes on."""
        decision = self.decide(for_good=True)
        if decision == GOES_ON:
            return GOES_ON
        # In the order of the commit: whoever is still about to commit it fails at the first.
        for alias, part in sorted(self.parts.items()):
            verb = "COMMIT" if decision == COMMIT else "ROLLBACK"
            try:
                execute(alias, f"{verb} PREPARED %s", part)
            except ProgrammingError as error:
                if getattr(error.__cause__, "pgcode", None) != NO_SUCH_PART:
                    raise
                return GOES_ON  # somebody was faster
        return decision


def transactions_in_doubt() -> list[InDoubt]:
    """The transactions that a database behind an alias has prepared, the oldest first."""
    found: dict[str, InDoubt] = {}
    for name, alias in conf.aliases().items():
        wrapper: Any = connections[alias]
        if not wrapper.store_settings.two_phase:
            continue  # by ZStorm.set_default_tpc() nothing is noted
        from psycopg2.extensions import Xid  # which is there then

        for part, since, age in execute(
            alias,
            "SELECT gid, prepared, extract(epoch FROM now() - prepared) FROM pg_prepared_xacts "
            "WHERE database = current_database()",
        ):
            xid = Xid.from_string(part)
            if (xid.gtrid or "").startswith(PREFIX) and xid.bqual == name:
                one = found.setdefault(xid.gtrid, InDoubt(xid.gtrid, since, float(age)))
                one.since = min(one.since, since)
                one.age = min(one.age, float(age))  # of the last, after which comes the commit
                one.parts[alias] = part
    return sorted(found.values(), key=lambda one: one.since)


def takes_notes(alias: str) -> bool:
    """Whether a database has the table for notes."""
    wrapper = connections[alias]
    # An entry of DATABASES may be empty, as that of a default that nobody uses.
    return wrapper.vendor != "unknown" and (
        TransactionOutcome._meta.db_table in wrapper.introspection.table_names()
    )


def key_of(alias: str, id: str) -> str:
    """The key of a note. Two aliases may be about one database."""
    return f"{id}:{alias}"


def add_note(alias: str, id: str, *, is_committed: bool) -> None:
    """Have a database note how a transaction ended."""
    row = TransactionOutcome(id=key_of(alias, id), is_committed=is_committed)
    # In bulk: receivers of signals could write where all has been flushed.
    TransactionOutcome.objects.using(alias).bulk_create([row])


def note(alias: str, id: str) -> bool | None:
    """Whether a database has noted that a transaction was committed; None if it notes nothing."""
    row = TransactionOutcome.objects.using(alias).filter(pk=key_of(alias, id)).first()
    return None if row is None else row.is_committed


def keep_from_committing(alias: str, id: str) -> bool | None:
    """Have a database refuse to commit a transaction; True if it has committed it.

    None if it is still at work on it.
    """
    try:
        with impatient(alias), atomic(using=alias):
            add_note(alias, id, is_committed=False)
    except IntegrityError:
        return note(alias, id)
    except DatabaseError as error:
        if is_read_only(error):
            return False
        if isinstance(error, OperationalError):
            return None
        raise
    return False


@contextmanager
def impatient(alias: str) -> Iterator[None]:
    """Inside, a statement waits for a lock for ``PATIENCE`` seconds at most."""
    wrapper = connections[alias]
    settings = {"postgresql": "lock_timeout", "mysql": "innodb_lock_wait_timeout"}
    setting = settings.get(wrapper.vendor)
    if setting is None:  # SQLite's `timeout` goes for all that waits for the file
        yield
        return
    with wrapper.cursor() as cursor:
        cursor.execute(f"SET {setting} = {PATIENCE * (1000 if setting == 'lock_timeout' else 1)}")
        try:
            yield
        finally:
            cursor.execute(f"SET {setting} = DEFAULT")


def forget_old_outcomes() -> None:
    """Delete the notes of transactions that are over everywhere."""
    prepared = [key_of(alias, one.id) for one in transactions_in_doubt() for alias in connections]
    for alias in connections:
        if takes_notes(alias):
            notes = TransactionOutcome.objects.using(alias)
            old = notes.filter(pk__endswith=key_of(alias, ""), noted__lt=timezone.now() - KEPT)
            # By their keys: MariaDB would wait for the notes of those that go on.
            keys = list(old.exclude(pk__in=prepared).values_list("pk", flat=True))
            try:
                notes.filter(pk__in=keys).delete()
            except DatabaseError as error:
                if not is_read_only(error):  # a replica, which shows those of its source
                    raise


def execute(alias: str, sql: str, *params: Any) -> list[Any]:
    """The rows of a statement on the raw connection, outside of any transaction."""
    wrapper: Any = connections[alias]
    with wrapper.wrap_database_errors, wrapper.open().cursor() as cursor:
        cursor.execute(sql, params)
        return cursor.fetchall() if cursor.description else []
