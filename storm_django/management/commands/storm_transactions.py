"""``manage.py storm_transactions``: what a crash has left prepared, and how to end it."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import Error

from storm_django.recovery import (
    COMMIT,
    GOES_ON,
    ROLLBACK,
    forget_old_outcomes,
    transactions_in_doubt,
)

TOLD = {
    COMMIT: "a database has committed it",
    ROLLBACK: "no database has committed it",
    GOES_ON: "it has just been prepared, or a database is still at work on it",
}


class Command(BaseCommand):
    help = (
        "List the transactions of stores with TWO_PHASE that a crash has left prepared. With "
        "--finish, commit each that some database has committed, and roll back the others."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--finish", action="store_true", help="end them, and delete old notes")

    def handle(self, *args: Any, finish: bool = False, **options: Any) -> None:
        try:
            self.tell(finish)
        except Error as error:
            raise CommandError(f"a database that may know more can't be asked: {error}") from error

    def tell(self, finish: bool) -> None:
        found = transactions_in_doubt()
        left = 0
        for one in found:
            decision = one.finish() if finish else one.decide(for_good=False)
            left += decision == GOES_ON or not finish
            self.stdout.write(
                f"{one.id}: prepared in {', '.join(sorted(one.parts))} at {one.since:%F %T}; "
                f"{TOLD[decision]}: {decision}"
            )
        if finish:
            forget_old_outcomes()
        if left:
            raise CommandError(
                f"{left} prepared; "
                + ("run it again later" if finish else "run it with --finish to end them")
            )
        self.stdout.write("Nothing is prepared.")
