"""What the databases note of transactions that were committed in two phases."""

from django.db import models


class TransactionOutcome(models.Model):
    """How a transaction with prepared parts ended, in a database that was a part of it.

    The row is written in that very transaction, so that it is there if, and only if, this
    database has committed it. :mod:`storm_django.recovery` writes one to keep a database from
    committing a transaction that it rolls back.
    """

    id = models.CharField(primary_key=True, max_length=200)
    """The id that all parts of the transaction share, a colon and the alias."""
    is_committed = models.BooleanField()
    noted = models.DateTimeField(auto_now_add=True)

    def __str__(self) -> str:
        return f"{self.id}: {'committed' if self.is_committed else 'rolled back'}"
