"""The settings of storm_django, read at each access so that ``override_settings`` works."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from storm.exceptions import URIError
from storm.uri import URI

ENGINE = "storm_django.backend"

SCHEMES = {"sqlite": "sqlite", "postgres": "postgresql", "mysql": "mysql"}
"""The schemes of Storm's URIs that the engine knows, and Django's name of each vendor."""

SERVERS_LEVEL = "default"
"""The ``isolation`` of a URI that leaves it to the server: psycopg2's word, Storm has none."""

OPTIONS = frozenset({"URI", "SCHEMA", "TWO_PHASE"})
"""The keys of one entry of ``STORM_STORES``."""


@dataclass(frozen=True)
class StoreSettings:
    """One entry of ``STORM_STORES``, or a URI that an alias of ``DATABASES`` carries itself."""

    name: str
    uri: str
    schema: str | None = None
    """Dotted path of a ``storm.schema.Schema``, or of a function of a store that returns one."""
    two_phase: bool = False
    """Whether it prepares its commit before any other resource of the transaction commits."""

    def as_dict(self) -> dict[str, Any]:
        """The same as plain values, which can stand in a settings module."""
        return asdict(self)

    def parsed(self) -> URI:
        """The URI in its parts. Raises ``ImproperlyConfigured`` if it is none of ours."""
        try:
            uri = URI(self.uri)
        except (URIError, ValueError) as error:
            raise ImproperlyConfigured(
                f"STORM_STORES[{self.name!r}] is not a URI ({error}); write for example "
                f"'postgres://user:secret@host/dbname' or 'sqlite:/path/to/file'"
            ) from None
        if uri.scheme not in SCHEMES:
            raise ImproperlyConfigured(
                f"STORM_STORES[{self.name!r}]: the scheme {uri.scheme!r} is unknown; use one of "
                f"{', '.join(SCHEMES)}"
            )
        return uri

    def fill_in(self, database: dict[str, Any], uri: URI, options: dict[str, Any]) -> None:
        """Put the parts of ``uri`` into an entry of ``DATABASES``.

        Raises ``ImproperlyConfigured`` if one is there already.
        """
        parts = {
            "NAME": uri.database,
            "USER": uri.username,
            "PASSWORD": uri.password,
            "HOST": uri.host,
            "PORT": uri.port,
        }
        for key, value in parts.items():
            if key != "NAME" and database.get(key):
                raise ImproperlyConfigured(
                    f"the entry of DATABASES for store {self.name!r} sets {key}, which comes from "
                    f"the store's URI; remove it there or put it into the URI"
                )
            database[key] = "" if value is None else str(value)
        database["OPTIONS"] = {**options, **database["OPTIONS"]}

    @property
    def vendor(self) -> str:
        """Django's name of the vendor: sqlite, postgresql or mysql."""
        return SCHEMES[self.parsed().scheme]


def _entry(name: str, value: Any) -> StoreSettings:
    if isinstance(value, str):
        value = {"URI": value}
    if not isinstance(value, dict):
        raise ImproperlyConfigured(
            f"STORM_STORES[{name!r}] is {value!r}; write a URI, or a dict with the key 'URI'"
        )
    if not isinstance(value.get("URI"), str):
        # Its values may hold a password.
        raise ImproperlyConfigured(
            f"STORM_STORES[{name!r}] is a dict with the keys {', '.join(map(repr, value))}; write "
            f"a URI, or a dict with the key 'URI'"
        )
    unknown = sorted(set(value) - OPTIONS)
    if unknown:
        raise ImproperlyConfigured(
            f"STORM_STORES[{name!r}] has the unknown key {unknown[0]!r}; the keys are "
            f"{', '.join(sorted(OPTIONS))}"
        )
    two_phase = value.get("TWO_PHASE", False)
    if not isinstance(two_phase, bool):
        raise ImproperlyConfigured(
            f"STORM_STORES[{name!r}]['TWO_PHASE'] is {two_phase!r}, not True or False"
        )
    if two_phase and value["URI"].partition(":")[0] != "postgres":
        raise ImproperlyConfigured(
            f"STORM_STORES[{name!r}] has TWO_PHASE, which only the driver for PostgreSQL can do; "
            f"remove it"
        )
    return StoreSettings(name, value["URI"], value.get("SCHEMA"), two_phase)


class Conf:
    """One property for each setting."""

    @property
    def stores(self) -> dict[str, StoreSettings]:
        """``STORM_STORES``: the stores by name.

        Each is a URI, or a dict with ``URI`` and optionally ``SCHEMA`` and ``TWO_PHASE``. Raises
        ``ImproperlyConfigured`` for an entry that is neither.
        """
        stores = getattr(settings, "STORM_STORES", {})
        if not isinstance(stores, dict):
            raise ImproperlyConfigured(
                f"STORM_STORES is {stores!r}, not a dict; write "
                f"STORM_STORES = {{'main': 'postgres://user:secret@host/dbname'}}"
            )
        return {name: _entry(name, value) for name, value in stores.items()}

    def store_of_alias(self, alias: str, database: dict[str, Any]) -> StoreSettings:
        """The store that an alias of ``DATABASES`` with our engine is about.

        ``NAME`` is the name of a store, or the URI of one that has the alias's name. Raises
        ``ImproperlyConfigured`` if it is neither, or if the alias has ``AUTOCOMMIT`` off.
        """
        if "STORE" in database:  # NAME has been replaced by that of the database
            return StoreSettings(**database["STORE"])
        if not database.get("AUTOCOMMIT", True):
            raise ImproperlyConfigured(
                f"DATABASES[{alias!r}]['AUTOCOMMIT'] is off, but the engine itself begins and ends "
                f"the transactions of a store; remove it"
            )
        name = str(database.get("NAME") or "")
        stores = self.stores
        if name in stores:
            return stores[name]
        if name.partition(":")[0] in SCHEMES:
            return StoreSettings(alias, name)
        raise ImproperlyConfigured(
            f"DATABASES[{alias!r}]['NAME'] is {name!r}, which is no store; STORM_STORES has "
            f"{', '.join(stores) or 'none'}"
        )

    def aliases(self) -> dict[str, str]:
        """The alias of ``DATABASES`` for each store that has one, by the store's name.

        Raises ``ImproperlyConfigured`` if two aliases name the same store.
        """
        aliases: dict[str, str] = {}
        for alias, database in settings.DATABASES.items():
            if database.get("ENGINE") != ENGINE:
                continue
            name = self.store_of_alias(alias, database).name
            if name in aliases:
                raise ImproperlyConfigured(
                    f"DATABASES[{aliases[name]!r}] and DATABASES[{alias!r}] both name the store "
                    f"{name!r}, whose connection only one alias can share; give the second a "
                    f"store of its own with the same URI"
                )
            aliases[name] = alias
        return aliases

    def alias_of_store(self, name: str) -> str:
        """The alias of ``DATABASES`` through which Django reads and writes a store.

        Raises ``ImproperlyConfigured`` if there is none.
        """
        alias = self.aliases().get(name)
        if alias is None:
            raise ImproperlyConfigured(
                f"the store {name!r} is behind no alias of DATABASES; add one with the engine "
                f"{ENGINE}"
            )
        return alias


conf = Conf()
