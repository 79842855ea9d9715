"""``manage.py storm_schema status|upgrade``."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from django.core.exceptions import ImproperlyConfigured
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db.utils import Error as DjangoError
from storm.exceptions import StormError

from storm_django.conf import StoreSettings, conf
from storm_django.schemas import (
    CREATION,
    Progress,
    SchemaError,
    SchemaState,
    get_schema,
    plan_upgrade,
    read_state,
    title_of,
    upgrade_schema,
)
from storm_django.stores import get_store


def _participle(step: str) -> str:
    return "creating" if step == CREATION else "applying"


class _Printer(Progress):
    """Prints a line for each patch, as ``migrate`` does."""

    def __init__(self, store: str, write: Callable[..., Any]) -> None:
        self.store = store
        self.write = write
        self.steps = 0

    def waiting(self) -> None:
        self.write(f"{self.store}: waiting for another process")

    def begin(self, what: str) -> None:
        self.write(f"{self.store}: {_participle(what)} {what}...", ending="")

    def end(self, seconds: float) -> None:
        self.steps += 1
        self.write(f" OK ({seconds:.3f}s)")


class Command(BaseCommand):
    """Shows or applies the ``storm.schema`` patches of the stores in ``STORM_STORES``."""

    help = "Shows or upgrades the Storm schema of the stores that have a SCHEMA in STORM_STORES."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("action", choices=["status", "upgrade"])
        parser.add_argument("stores", nargs="*", help="Default: all that have a SCHEMA.")
        parser.add_argument(
            "--store", action="append", dest="stores_too", default=[], help="The same as an option."
        )
        parser.add_argument(
            "--check",
            action="store_true",
            help="status: exit with 1 unless all stores are up to date.",
        )
        parser.add_argument(
            "--dry-run", action="store_true", help="upgrade: say what would be applied."
        )
        parser.add_argument(
            "--to", type=int, metavar="VERSION", help="upgrade: no patch after this one."
        )

    def handle(self, *args: Any, **options: Any) -> None:
        self.verbosity = options["verbosity"]
        action, to = options["action"], options["to"]
        for option, meant_for in (("check", "status"), ("dry_run", "upgrade"), ("to", "upgrade")):
            if options[option] not in (None, False) and action != meant_for:
                raise CommandError(f"--{option.replace('_', '-')} is for {meant_for} only.")
        stores = self._stores([*options["stores"], *options["stores_too"]])
        if to is not None and len(stores) != 1:
            raise CommandError("--to is about the patches of one store; name it.")
        if not stores:
            self._say("No store in STORM_STORES has a SCHEMA.")
        states = []
        for settings in stores:
            with _errors(settings):
                if action == "upgrade":
                    self._upgrade(settings, to, dry_run=options["dry_run"])
                else:
                    states.append(self._status(settings))
        if options["check"] and not all(state.is_current for state in states):
            sys.exit(1)

    def _stores(self, names: list[str]) -> list[StoreSettings]:
        with _errors(None):
            stores = conf.stores
        if not names:
            return [store for store in stores.values() if store.schema is not None]
        unknown = [name for name in names if name not in stores]
        if unknown:
            raise CommandError(
                f"There is no store {unknown[0]!r} in STORM_STORES; there is "
                f"{', '.join(stores) or 'none'}."
            )
        for name in names:
            if stores[name].schema is None:
                raise CommandError(
                    f"STORM_STORES[{name!r}] has no SCHEMA; add the dotted path of a "
                    f"storm.schema.Schema."
                )
        return [stores[name] for name in dict.fromkeys(names)]

    def _status(self, settings: StoreSettings) -> SchemaState:
        store = get_store(settings.name)
        try:
            schema = get_schema(settings, store)
            state = read_state(store, schema)
        finally:
            store.rollback()
        name = settings.name
        if not state.exists:
            self._say(f"{name}: no schema yet")
            return state
        self._say(f"{name}: up to date" if state.is_current else f"{name}: not up to date")
        for version in state.applied if self.verbosity > 1 else ():
            self._say(f" [X] {title_of(schema, version)}")
        for version in state.pending:
            self._say(f" [ ] {title_of(schema, version)}")
        for version in state.unknown:
            self._say(f" [?] patch_{version}, which this code does not have")
        return state

    def _upgrade(self, settings: StoreSettings, to: int | None, *, dry_run: bool) -> None:
        name = settings.name
        if dry_run:
            steps = plan_upgrade(settings, to=to)
            for step in steps:
                verb = "create" if step == CREATION else "apply"
                self._say(f"{name}: would {verb} {step}")
            done = len(steps)
        else:
            printer = _Printer(name, self._say)
            upgrade_schema(settings, to=to, progress=printer)
            done = printer.steps
        if not done:
            self._say(f"{name}: nothing to apply")

    def _say(self, line: str, ending: str | None = None) -> None:
        if self.verbosity:
            self.stdout.write(line, ending=ending)
            self.stdout.flush()


@contextmanager
def _errors(settings: StoreSettings | None) -> Iterator[None]:
    """Report what the person at the keyboard can mend, without a traceback."""
    try:
        yield
    except (SchemaError, ImproperlyConfigured) as error:
        raise CommandError(str(error)) from error
    except (StormError, DjangoError) as error:
        name = settings.name if settings is not None else "STORM_STORES"
        raise CommandError(f"{name}: {error}") from error
