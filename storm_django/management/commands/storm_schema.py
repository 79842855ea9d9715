"""``manage.py storm_schema status|upgrade``."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from storm.schema.schema import SchemaMissingError, UnappliedPatchesError

from storm_django.conf import StoreSettings, conf
from storm_django.schemas import get_schema, upgrade_schema
from storm_django.stores import get_store


class Command(BaseCommand):
    """Shows or applies the ``storm.schema`` patches of the stores in ``STORM_STORES``."""

    help = "Shows or upgrades the Storm schema of the stores that have a SCHEMA in STORM_STORES."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("action", choices=["status", "upgrade"])
        parser.add_argument("--store", help="Only this store. Default: all that have a SCHEMA.")

    def handle(self, *args: Any, **options: Any) -> None:
        for settings in self._stores(options["store"]):
            before = self._status(settings)
            if options["action"] == "upgrade" and before != "up to date":
                upgrade_schema(settings)
                self.stdout.write(f"{settings.name}: {before}; upgraded")
            else:
                self.stdout.write(f"{settings.name}: {before}")

    def _stores(self, name: str | None) -> list[StoreSettings]:
        stores = [store for store in conf.stores.values() if store.schema is not None]
        if name is None:
            return stores
        chosen = [store for store in stores if store.name == name]
        if not chosen:
            known = ", ".join(store.name for store in stores) or "none"
            raise CommandError(f"There is no store {name!r} with a SCHEMA; there is {known}.")
        return chosen

    def _status(self, settings: StoreSettings) -> str:
        store = get_store(settings.name)
        try:
            get_schema(settings, store).check(store)
        except SchemaMissingError:
            return "no schema yet"
        except UnappliedPatchesError as error:
            missing = ", ".join(str(version) for version in error.unapplied_versions)
            return f"patches to apply: {missing}"
        finally:
            store.rollback()
        return "up to date"
