"""The thread's transaction manager, and those who join when somebody asks it for a transaction."""

from __future__ import annotations

from typing import Protocol

from django.utils.asyncio import async_unsafe
from transaction import TransactionManager
from transaction.interfaces import ITransaction

ASYNC_UNSAFE = (
    "This was called in the thread of an event loop. The transaction of async code is in the "
    "thread in which Django runs the ORM for it: call this by sync_to_async(), and write "
    "'async with' for commit_on_success()."
)

SYNCHRONIZERS = 1
"""Our own. One more wants to know of each transaction."""


class Waiting(Protocol):
    """What has begun something that belongs to the thread's transaction, should there be one."""

    def admit(self, txn: ITransaction) -> None:
        """Join ``txn``, which has just come to be."""


class WaitedForManager(TransactionManager):  # type: ignore[misc]
    """Makes a transaction when it is asked for one, as ever, and then has the waiting join it.

    So a request that uses no database costs no transaction, nor does an ``atomic()`` block in
    which nobody but Django does anything.
    """

    explicit: bool
    owner: Waiting | None = None  # a scope, for which the transaction is begun
    waiting: list[Waiting]  # blocks of Django's, which it takes in
    is_guarded = False  # explicit, because what has begun a transaction has not ended

    def __init__(self) -> None:
        super().__init__()
        self.waiting = []

    @property
    def current(self) -> ITransaction | None:
        """The transaction that there is. Makes none."""
        return self._txn

    @async_unsafe(ASYNC_UNSAFE)
    def get(self) -> ITransaction:
        if self._txn is None:
            self._admit()
        return super().get()

    @async_unsafe(ASYNC_UNSAFE)
    def begin(self) -> ITransaction:
        if self._txn is None:
            self._admit()
        return super().begin()

    def _admit(self) -> None:
        owner, self.owner = self.owner, None
        waiting, self.waiting = self.waiting, []
        if owner is not None:
            owner.admit(super().begin())
        for one in waiting:
            one.admit(self._made())

    def _made(self) -> ITransaction:
        """What ``get()`` makes; for a block of Django's, which begins, in explicit mode too."""
        explicit, self.explicit = self.explicit, False
        try:
            return super().get()
        finally:
            self.explicit = explicit

    @property
    def has_to_begin(self) -> bool:
        """Whether there is none, and the site's explicit mode has ``get()`` make none."""
        return self.explicit and not self.is_guarded and self.is_free

    @property
    def is_free(self) -> bool:
        """Whether there is no transaction, and nobody waits for one."""
        return self._txn is None and self.owner is None and not self.waiting

    def own(self, owner: Waiting) -> bool:
        """Have ``owner`` own the next transaction; False if there is one, or others are first."""
        if not self.is_free or len(self._synchs.data.data) > SYNCHRONIZERS:
            return False
        self.owner = owner
        return True

    def wait(self, one: Waiting) -> bool:
        """Have ``one`` join the next transaction; False if there is one now."""
        if self._txn is not None:
            return False
        if len(self._synchs.data.data) > SYNCHRONIZERS:
            if self.has_to_begin:
                self._made()
            return False
        self.waiting.append(one)
        return True

    def forget(self) -> None:
        """Forget, in a child process, those who wait in its parent."""
        self.owner = None
        self.waiting = []

    def disown(self, owner: Waiting) -> None:
        """``owner`` has ended, and there was no transaction."""
        if self.owner is owner:
            self.owner = None
