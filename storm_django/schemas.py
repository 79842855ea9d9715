"""The ``storm.schema.Schema`` of a store, from settings: what of it is there, and upgrading."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from copy import copy
from dataclasses import dataclass
from functools import partial
from typing import Any

from django.core.exceptions import ImproperlyConfigured
from django.utils.module_loading import import_string
from storm.exceptions import OperationalError, StormError
from storm.schema import Schema
from storm.schema.patch import Patch, UnknownPatchError
from storm.schema.schema import SchemaMissingError, UnappliedPatchesError
from storm.store import Store

from storm_django.conf import StoreSettings
from storm_django.constraints import add_missing_of_store
from storm_django.stores import get_store

CREATION = "the schema"
"""What :class:`Progress` is told of in place of a patch, where there is no schema yet."""


class SchemaError(Exception):
    """The schema of a store can't be upgraded; the message says why, and what is left."""


class Progress:
    """Told of what an upgrade does. A subclass shows it; this one is silent."""

    def waiting(self) -> None:
        """Another process has the lock."""

    def begin(self, what: str) -> None:
        """The creation, or a patch, begins."""

    def end(self, seconds: float) -> None:
        """It is committed."""


@dataclass(frozen=True)
class SchemaState:
    """What a database has of a schema; patches by version, in their order."""

    exists: bool
    applied: tuple[int, ...]
    pending: tuple[int, ...]
    unknown: tuple[int, ...]  # applied, but the code does not have them: it is older

    @property
    def is_current(self) -> bool:
        return self.exists and not self.pending and not self.unknown


def load_schema(settings: StoreSettings) -> Any:
    """What ``SCHEMA`` names: a schema, or a function that makes one for a store.

    Raises ``ImproperlyConfigured`` if it names neither.
    """
    path = settings.schema
    if path is None:
        raise ImproperlyConfigured(
            f"STORM_STORES[{settings.name!r}] has no SCHEMA; add the dotted path of a "
            f"storm.schema.Schema"
        )
    try:
        found = import_string(path)
    except ImportError as error:
        raise ImproperlyConfigured(
            f"STORM_STORES[{settings.name!r}]['SCHEMA'] is {path!r}, which can't be imported: "
            f"{error}"
        ) from error
    if not isinstance(found, Schema) and not callable(found):
        raise ImproperlyConfigured(
            f"STORM_STORES[{settings.name!r}]['SCHEMA'] is {path!r}, which is neither a "
            f"storm.schema.Schema nor a function that returns one"
        )
    return found


def get_schema(settings: StoreSettings, store: Store) -> Schema:
    """The schema of a store. Raises ``ImproperlyConfigured`` as :func:`load_schema` does."""
    found = load_schema(settings)
    return found if isinstance(found, Schema) else found(store)


def read_state(store: Store, schema: Schema) -> SchemaState:
    """What the database of ``store`` has of ``schema``. Leaves a transaction open."""
    known = schema._patch_set.get_patch_versions()
    try:
        schema.check(store)
    except SchemaMissingError:
        return SchemaState(False, (), tuple(known), ())
    except (UnappliedPatchesError, UnknownPatchError):
        pass
    found = set(store.find(Patch).values(Patch.version))
    return SchemaState(
        exists=True,
        applied=tuple(version for version in known if version in found),
        pending=tuple(version for version in known if version not in found),
        unknown=tuple(sorted(found - set(known))),
    )


def title_of(schema: Schema, version: int) -> str:
    """A patch's name, and the first line of its docstring. Raises ``SchemaError``."""
    try:
        module = schema._patch_set.get_patch_module(version)
    except Exception as error:
        raise SchemaError(
            f"patch_{version} can't be imported: {type(error).__name__}: {error}"
        ) from error
    words = (module.__doc__ or "").strip().partition("\n")[0]
    return f"patch_{version}: {words}" if words else f"patch_{version}"


def upgrade_schema(
    settings: StoreSettings, *, to: int | None = None, progress: Progress | None = None
) -> None:
    """Create the tables of a store, or apply the patches that it lacks, each in a transaction.

    With ``to`` only the patches up to that version. Of processes that do it at once, one works and
    the others wait. Raises ``SchemaError`` if a patch fails, or the database has one that the code
    does not have, and ``ImproperlyConfigured`` as :func:`load_schema` does.
    """
    store = get_store(settings.name)
    upgrade = _Upgrade(settings, store, to, progress or Progress())
    try:
        # Most times there is nothing to do, and no lock is needed to see it.
        while upgrade.next_step() is not None:
            with exclusive(store, settings.vendor, upgrade.progress.waiting):
                step = upgrade.next_step()  # another process may have done it
                if step is not None:
                    upgrade.take(*step)
        store.commit()
    except BaseException:
        store.rollback()
        raise
    add_missing_of_store(settings.name)


def plan_upgrade(settings: StoreSettings, *, to: int | None = None) -> list[str]:
    """What :func:`upgrade_schema` would do, which raises the same errors; nothing is changed."""
    store = get_store(settings.name)
    try:
        return [name for name, _ in _Upgrade(settings, store, to, Progress()).steps()]
    finally:
        store.rollback()


Step = tuple[str, Callable[[], None]]
"""The name of something that an upgrade does, and the function that does it."""


class _Upgrade:
    """The steps of one upgrade, each of which ends with a commit."""

    def __init__(
        self, settings: StoreSettings, store: Store, to: int | None, progress: Progress
    ) -> None:
        self.name = settings.name
        self.vendor = settings.vendor
        self.store = store
        # A copy: whether the site's own object commits is the site's to say.
        self.schema = copy(get_schema(settings, store))
        self.committer = self.schema._committer or store
        self.schema.autocommit(False)
        self.to = to
        self.progress = progress
        known = self.schema._patch_set.get_patch_versions()
        if to is not None and to not in known:
            raise SchemaError(
                f"{self.name}: there is no patch {to}; there is "
                f"{', '.join(map(str, known)) or 'none'}"
            )

    def next_step(self) -> Step | None:
        """What is to be done next. Raises ``SchemaError`` if nothing can be done."""
        return next(self.steps(), None)

    def steps(self) -> Iterator[Step]:
        """What is to be done, if nobody else does it."""
        state = read_state(self.store, self.schema)
        if state.unknown:
            raise SchemaError(
                f"{self.name}: the database has patches that this code does not have: "
                f"{', '.join(map(str, state.unknown))}; use the code that it was upgraded with"
            )
        if not state.exists:
            if self.to is not None:
                raise SchemaError(
                    f"{self.name}: there is no schema yet, and what creates it is as of the last "
                    f"patch; leave out --to"
                )
            yield CREATION, partial(self.schema.create, self.store)
            return
        for version in state.pending:
            if self.to is None or version <= self.to:
                yield title_of(self.schema, version), partial(self._apply, version)

    def _apply(self, version: int) -> None:
        # Not PatchApplier.apply(), which notes the patch before it runs: MySQL would keep that of
        # a patch that fails.
        self.schema._patch_set.get_patch_module(version).apply(self.store)
        self.store.add(Patch(version))

    def take(self, name: str, step: Callable[[], None]) -> None:
        """Do it and commit. Raises ``SchemaError`` if it fails."""
        begun = time.monotonic()
        self.progress.begin(name)
        try:
            step()
            self.committer.commit()
        except Exception as error:
            self.committer.rollback()
            left = "nothing of it is left"
            if self.vendor == "mysql":
                self._forget_creation(name)
                left = (
                    "MySQL can't roll back statements that define data (CREATE, ALTER, ...), so "
                    "what ran before the failure is still there; undo it before the next upgrade"
                )
            raise SchemaError(
                f"{self.name}: {name} failed and is not applied: {type(error).__name__}: "
                f"{str(error).strip()}; {left}. What was applied before is kept"
            ) from error
        except BaseException:
            self.committer.rollback()
            raise
        self.progress.end(time.monotonic() - begun)

    def _forget_creation(self, name: str) -> None:
        """Have a schema that could not be created count as none, on MySQL."""
        if name == CREATION and read_state(self.store, self.schema).exists:
            self.store.execute(self.schema._drop_patch)
        self.store.commit()


# Held by a session, since MySQL ends a transaction at each CREATE and ALTER: how to try, to wait
# and to let go. The server lets go when the connection is lost, and with it the upgrade.
_KEY = int.from_bytes(b"storm_sc", "big")
_LOCKS = {
    "postgresql": (
        f"SELECT pg_try_advisory_lock({_KEY})",
        f"SELECT pg_advisory_lock({_KEY})",
        f"SELECT pg_advisory_unlock({_KEY})",
    ),
    "mysql": (
        "SELECT GET_LOCK(CONCAT('storm_schema ', MD5(DATABASE())), 0)",
        "SELECT GET_LOCK(CONCAT('storm_schema ', MD5(DATABASE())), 31536000)",
        "SELECT RELEASE_LOCK(CONCAT('storm_schema ', MD5(DATABASE())))",
    ),
}


@contextmanager
def exclusive(store: Store, vendor: str, waiting: Callable[[], None]) -> Iterator[None]:
    """Let one process in at a time. Inside, a transaction sees what the one before has done."""
    store.commit()
    if vendor == "sqlite":
        _lock_file(store, waiting)
        yield  # it is held until the commit
        return
    attempt, wait, release = _LOCKS[vendor]
    try:
        if not store.execute(attempt).get_one()[0]:
            waiting()
            store.execute(wait).get_one()
        store.commit()  # the snapshot of a transaction is as old as its first statement
        yield
    finally:
        with suppress(StormError):  # the first error is the one to tell
            store.execute(release).get_one()
            store.rollback()


def _lock_file(store: Store, waiting: Callable[[], None]) -> None:
    """Begin a transaction that writes, before it has read anything."""
    told = False
    while True:
        try:
            store.execute("CREATE TABLE storm_schema_lock (held INTEGER)")
            store.execute("DROP TABLE storm_schema_lock")
            return
        except OperationalError as error:
            store.rollback()
            if "locked" not in str(error):
                raise
            if not told:
                waiting()
            told = True
