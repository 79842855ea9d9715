"""Programs of nested scopes, what they do, and what laws 2 and 3 say that they should do.

A program is a list of steps in an idle thread: writes through either ORM, and blocks that hold
steps. A step that fails ends the block that it is in; a block says whether its caller catches that.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

import transaction
from django.db import transaction as django_transaction
from django.http import HttpRequest, HttpResponse

from storm_django import get_store
from tests.storm_django.models import Entry, StormEntry
from txmiddleware import commit_on_success
from txmiddleware.middleware import TransactionMiddleware

ATOMIC = ("atomic", "atomic without savepoint", "durable")
SCOPES = ("commit_on_success", "commit_on_success with savepoint", "request", "request with 500")
# What opens a transaction in an idle thread, and what only marks a place in one.
OUTERMOST = (*ATOMIC, *SCOPES, "manager")
SAVEPOINTS = ("savepoint", "savepoint and rollback")
KINDS = (*OUTERMOST, *SAVEPOINTS)


@dataclass(frozen=True)
class Write:
    """A new row, written by ``"django"`` or by ``"storm"``; its position tells it apart."""

    orm: str
    position: int


@dataclass(frozen=True)
class Block:
    """Steps in a scope of one of ``KINDS``; ``caught`` says whether the caller catches failure."""

    kind: str
    steps: tuple[Step, ...]
    caught: bool = True


Step = Write | Block | str  # "raise", "doom"
Log = list[tuple[str, bool]]  # how each block ended, in this order: its kind, whether well


class Oops(Exception):
    """An error of the application."""


# What the laws say.


@dataclass
class Open:
    """An open transaction: what it would commit, and what stands against that."""

    owner: str  # the kind of the block that ends it; "nobody" for one that Storm began
    work: list[int] = field(default_factory=list)
    doomed: bool = False
    failed: bool = False  # doomed by an inner scope
    broken: bool = False  # Django asks for a rollback
    depth: int = 0  # blocks open in it

    def undo(self, mark: int) -> None:
        """Roll back to a savepoint."""
        del self.work[mark:]
        self.broken = False


class Model:
    """Follows a program by the laws alone; ``committed`` is what it leaves behind."""

    def __init__(self) -> None:
        self.committed: list[int] = []
        self.log: Log = []
        self.open: Open | None = None

    def program(self, steps: tuple[Step, ...], *, commits: bool) -> None:
        """Run ``steps`` in an idle thread, then end what Storm may have begun."""
        for step in steps:
            with suppress(Oops):
                self.run((step,))
        if self.open and commits and not (self.open.doomed or self.open.broken):
            self.committed += self.open.work

    def run(self, steps: tuple[Step, ...]) -> None:
        for step in steps:
            if isinstance(step, Write):
                self.write(step)
            elif isinstance(step, Block):
                try:
                    self.outermost(step) if self.is_outermost(step) else self.inner(step)
                    self.log.append((step.kind, True))
                except Oops:
                    self.log.append((step.kind, False))
                    if not step.caught:
                        raise
            elif step == "doom":
                assert self.open is not None
                self.open.doomed = True
            else:
                raise Oops

    def write(self, write: Write) -> None:
        if self.open is None and write.orm == "django":
            self.committed.append(write.position)  # autocommit
            return
        self.open = self.open or Open("nobody")
        if self.open.broken and write.orm == "django":
            raise Oops
        self.open.work.append(write.position)

    def is_outermost(self, block: Block) -> bool:
        # begin() gives up what nobody has promised to end, and no block is open on.
        return self.open is None or (
            block.kind == "manager" and self.open.owner == "nobody" and not self.open.depth
        )

    def outermost(self, block: Block) -> None:
        """The block that began the transaction ends it."""
        kind = block.kind
        self.open = txn = Open(kind)
        try:
            self.run(block.steps)
        finally:
            self.open = None
        if kind in ATOMIC and txn.broken:
            return  # as Django does, without an error
        if txn.failed or (txn.doomed and not kind.startswith("request")):
            raise Oops
        if txn.broken and kind == "manager":
            raise Oops
        if not (txn.doomed or txn.broken or kind == "request with 500"):
            self.committed += txn.work

    def inner(self, block: Block) -> None:
        """Inner success does nothing; inner failure dooms, or undoes exactly its own work."""
        kind, txn = block.kind, self.open
        assert txn is not None
        if kind in ("durable", "manager"):
            # Refused: they would end what is not theirs. To begin() where it would abort dooms.
            txn.doomed = txn.doomed or (kind == "manager" and txn.owner == "nobody")
            raise Oops
        saves = kind not in ("commit_on_success", "atomic without savepoint")
        # Where a rollback is due already there is nothing to save.
        mark = len(txn.work) if saves and not txn.broken else None
        try:
            txn.depth += 1
            self.run(block.steps)
        except Oops:
            if kind == "commit_on_success":
                txn.failed = txn.doomed = True
            elif kind == "atomic without savepoint":
                txn.broken = True
            elif kind not in SAVEPOINTS and mark is not None:
                txn.undo(mark)
            raise
        finally:
            txn.depth -= 1
        request = kind.startswith("request")
        aborts = (
            kind in ("savepoint and rollback", "request with 500")
            or (request and txn.doomed)
            or (saves and kind != "savepoint" and txn.broken)
        )
        if aborts and mark is not None:
            txn.undo(mark)
        if request and txn.failed:
            raise Oops


# The same for real.


@contextmanager
def _manager() -> Iterator[None]:
    begun = False
    try:
        with transaction.manager:
            begun = True
            yield
    except BaseException:
        if begun:
            transaction.abort()  # which the transaction package wants after a failed commit
        raise


@contextmanager
def _savepoint() -> Iterator[None]:
    transaction.savepoint()
    yield


@contextmanager
def _savepoint_and_rollback() -> Iterator[None]:
    savepoint = transaction.savepoint()
    yield
    savepoint.rollback()


CONTEXTS: dict[str, Callable[[], AbstractContextManager[Any]]] = {
    "atomic": django_transaction.atomic,
    "atomic without savepoint": lambda: django_transaction.atomic(savepoint=False),
    "durable": lambda: django_transaction.atomic(durable=True),
    "commit_on_success": commit_on_success,
    "commit_on_success with savepoint": lambda: commit_on_success(savepoint=True),
    "manager": _manager,
    "savepoint": _savepoint,
    "savepoint and rollback": _savepoint_and_rollback,
}


class Runner:
    """Does what a program says."""

    def __init__(self) -> None:
        self.log: Log = []

    def program(self, steps: tuple[Step, ...], *, commits: bool) -> None:
        """Run ``steps`` in an idle thread, then end what Storm may have begun."""
        for step in steps:
            with suppress(Exception):
                self.run((step,))
        try:
            if commits:
                transaction.commit()
        except Exception:
            pass
        finally:
            transaction.abort()

    def run(self, steps: tuple[Step, ...]) -> None:
        for step in steps:
            if isinstance(step, Write):
                self.write(step)
            elif isinstance(step, Block):
                try:
                    self.block(step)
                    self.log.append((step.kind, True))
                except Exception:
                    self.log.append((step.kind, False))
                    if not step.caught:
                        raise
            elif step == "doom":
                transaction.doom()
            else:
                raise Oops

    def write(self, write: Write) -> None:
        if write.orm == "django":
            Entry.objects.create(name="django", position=write.position)
        else:
            get_store().add(StormEntry("storm", write.position))

    def block(self, block: Block) -> None:
        if block.kind.startswith("request"):
            self.request(block)
            return
        with CONTEXTS[block.kind]():
            self.run(block.steps)

    def request(self, block: Block) -> None:
        def view(request: HttpRequest) -> HttpResponse:
            self.run(block.steps)
            return HttpResponse(status=500 if block.kind == "request with 500" else 200)

        request = HttpRequest()
        request.method, request.path = "POST", "/"
        TransactionMiddleware(view)(request)
