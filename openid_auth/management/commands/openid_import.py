"""``manage.py openid_import``: take identities over from another package's tables."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from openid_auth.importing import SOURCES, Importer, Result
from openid_auth.models import account_verified_permissions


class Command(BaseCommand):
    help = (
        "Take the OpenID identities of accounts over from the tables of django-openid-auth, "
        "social-core or allauth. The old tables are only read, and it can be run again."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--from",
            dest="source",
            choices=sorted(SOURCES),
            default="django-openid-auth",
            help="The package that the tables are of. Default: %(default)s.",
        )
        parser.add_argument(
            "--provider",
            action="append",
            dest="providers",
            help="With social-core and allauth: a name of an OpenID provider in their table. "
            "Can be used multiple times. Default: openid.",
        )
        parser.add_argument(
            "--database",
            default="default",
            help="The alias of the database with the old tables. Default: %(default)s.",
        )
        parser.add_argument(
            "--batch-size", type=int, default=1000, help="Rows in one transaction. Default: 1000."
        )
        parser.add_argument(
            "--dry-run", action="store_true", help="Say what would be done, and write nothing."
        )

    def handle(self, *args: Any, **options: Any) -> None:
        source = SOURCES[options["source"]]
        if options["providers"]:
            if source.provider is None:
                raise CommandError("--provider is for --from social-core and --from allauth.")
            source = replace(source, providers=tuple(options["providers"]))
        if options["batch_size"] < 1:
            raise CommandError("--batch-size has to be 1 or more.")
        importer = Importer(
            source,
            using=options["database"],
            batch_size=options["batch_size"],
            dry_run=options["dry_run"],
        )
        if not importer.is_there():
            raise CommandError(
                f"The database {options['database']!r} has no table {source.table}: name its "
                "database with --database, or the package it is of with --from."
            )
        if not account_verified_permissions().exists():
            raise CommandError("Run manage.py migrate first: openid_auth has no permissions yet.")
        total = importer.total()
        importer.run(lambda done: self.tell(1, f"{done} of {total} rows"))
        holders = importer.take_over_permissions() if source.app_label else 0
        self.report(importer, holders)

    def report(self, importer: Importer, holders: int) -> None:
        """Say what was done; raise CommandError if something is left to decide."""
        for result in Result:
            self.tell(1, f"{importer.counts[result]:8} {result.value}")
        if importer.source.app_label:
            self.tell(1, f"{holders:8} users and groups with the permission account_verified")
        if importer.dry_run:
            self.tell(1, "Nothing was written: this was a dry run.")
        for row in importer.conflicts:
            self.stderr.write(f"row {row.pk}: {row.claimed_id} is for user {row.user}")
        if importer.conflicts:
            raise CommandError(
                f"{len(importer.conflicts)} identities belong to other accounts here than there. "
                "Decide in the admin whose they are."
            )

    def tell(self, verbosity: int, line: str) -> None:
        if self.verbosity >= verbosity:
            self.stdout.write(line)

    def execute(self, *args: Any, **options: Any) -> Any:
        self.verbosity = int(options["verbosity"])
        return super().execute(*args, **options)
