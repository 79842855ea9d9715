"""What references on Storm classes have in common: the models, the keys, and what is cached."""

from __future__ import annotations

import weakref
from functools import cached_property
from typing import Any, ClassVar

from django.apps import apps
from django.db import models, router
from storm.info import get_obj_info
from storm.store import AutoReload, Store
from storm.variables import Variable

from storm_django.aliases import alias_of_store
from storm_django.unsaved import flush_for_django


class Link:
    """What has been loaded for one Storm object, as long as Storm would take it for valid."""

    def __init__(self, info: Any, key: Any, value: Any) -> None:
        self.key = key
        self.value = value
        self.store = info.get("store")
        self.made_while_invalid = bool(info.get("invalidated"))

    def is_fresh(self, info: Any) -> bool:
        """Whether it is still of the same transaction of the same store."""
        if info.get("invalidated") and not self.made_while_invalid:
            return False
        # An object may have been added since, and has lost its store if that was rolled back.
        return self.store is None or info.get("store") is self.store


class LinkedAttribute:
    """An attribute of a Storm class that gives what a Django model has about an object.

    ``local_key`` is a property of the class, or its name; ``model`` a Django model, or
    ``"app.Model"``; ``remote_key`` the name of its field that has the same value.
    """

    known: ClassVar[weakref.WeakSet[LinkedAttribute]] = weakref.WeakSet()  # for the checks
    owner: type
    name: str

    def __init__(self, local_key: Any, model: str | type[models.Model], remote_key: str) -> None:
        self._local_key = local_key
        self._model = model
        self._remote_key = remote_key

    def __set_name__(self, owner: type, name: str) -> None:
        self.owner = owner
        self.name = name
        self.known.add(self)

    def __repr__(self) -> str:
        return f"{self.owner.__qualname__}.{self.name}"

    # LinkedAttributes are keys of dicts; DjangoReference compares as SQL.
    __hash__ = object.__hash__

    @cached_property
    def model(self) -> type[models.Model]:
        """The Django model. Raises ``LookupError`` if there is none of that name."""
        if isinstance(self._model, str):
            found: type[models.Model] = apps.get_model(self._model)
            return found
        return self._model

    @cached_property
    def field(self) -> Any:
        """The model's field. Raises ``FieldDoesNotExist``."""
        meta = self.model._meta
        return meta.pk if self._remote_key == "pk" else meta.get_field(self._remote_key)

    @property
    def lookup(self) -> str:
        """The name of the field in a lookup."""
        name: str = self.field.attname
        return name

    def column(self, cls: type) -> Any:
        """The column of the local key. Raises ``AttributeError`` if the class has none."""
        if isinstance(self._local_key, str):
            return getattr(cls, self._local_key)
        return self._local_key.__get__(None, cls)

    def variable(self, info: Any) -> Variable:
        """The variable of an object's local key."""
        return info.variables[self.column(info.cls_info.cls)]

    def alias(self, store: Store | None) -> str:
        """The database where the rows are: that of the store, if it shares a connection."""
        alias = None if store is None else alias_of_store(store)
        return alias or router.db_for_read(self.model)

    # What is cached, in the dictionary that Storm keeps for each object.

    def link(self, info: Any, key: Any, value: Any) -> None:
        """Cache what has been loaded for an object."""
        info[self] = Link(info, key, value)
        info.event.hook("changed", self._on_changed)

    def linked(self, info: Any) -> Link | None:
        """What is cached for an object, if it is valid."""
        link: Link | None = info.get(self)
        if link is not None and not link.is_fresh(info):
            del info[self]
            return None
        return link

    def forget(self, info: Any) -> None:
        """Load it again the next time."""
        info.pop(self, None)

    def _on_changed(
        self, info: Any, variable: Variable, old_value: Any, new_value: Any, fromdb: bool
    ) -> bool | None:
        link = info.get(self)
        if link is None:
            return False
        # Storm sets all columns to AutoReload when it invalidates an object.
        if new_value is AutoReload or (variable is self.variable(info) and new_value != link.key):
            del info[self]
            return False
        return None

    # Lists.

    def missing(self, objects: list[Any]) -> tuple[Store | None, dict[Any, list[Any]]]:
        """Of which objects nothing is cached: their store, and their infos by local key.

        Objects that Storm has invalidated are loaded again in one query first.
        """
        infos = [info for info in map(get_obj_info, objects) if self.linked(info) is None]
        infos = [info for info in infos if info.get("store") is not None]
        if not infos:
            return None, {}
        store = infos[0]["store"]
        flush_for_django(store)
        self._reload(store, infos)
        by_key: dict[Any, list[Any]] = {}
        for info in infos:
            key = self.variable(info).get()
            if key is not None:
                by_key.setdefault(key, []).append(info)
        return store, by_key

    def _reload(self, store: Store, infos: list[Any]) -> None:
        invalid = [info for info in infos if self.variable(info).get_lazy() is AutoReload]
        if not invalid or len(invalid[0].cls_info.primary_key) != 1:
            return
        cls_info = invalid[0].cls_info
        keys = [info["primary_vars"][0].get() for info in invalid]
        list(store.find(cls_info.cls, cls_info.primary_key[0].is_in(keys)).order_by())
