"""What Storm believes about the rows that a statement of Django can have changed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import Any

from django.apps import apps
from storm.expr import Table
from storm.info import get_obj_info
from storm.store import PENDING_REMOVE, AutoReload, Store

from storm_django.backend.statements import MARK, NOTHING, UNDO, Effect, plain_name
from storm_django.unsaved import flush_for_django


def before_statement(store: Store, effect: Effect) -> None:
    """Send what Storm has pending, so that a statement with this effect finds it."""
    if effect is UNDO:
        return  # it would be undone, and the statement may be the only way to go on
    # At a savepoint whether it is blocked or not, as at a commit: to go back there would lose it.
    if store._implicit_flush_block_count == 0 or effect is MARK:
        # Not only if an object is known to be dirty: that a list or a document was changed in
        # place Storm notices when it flushes.
        if effect is MARK:
            store.flush()
        else:
            flush_for_django(store)


def after_statement(
    store: Store, effect: Effect, params: Any = None, rowcount: int | None = None
) -> None:
    """Have Storm forget what a statement can have changed; what is pending stays.

    ``rowcount`` is None if the driver's says nothing about what has changed.
    """
    if not (effect is NOTHING or effect is MARK or (effect.counted and rowcount == 0)):
        _forget(store, effect, params)


def doubt(obj: Any) -> None:
    """Have an object, or its ``ObjectInfo``, ask again for its row and what it has."""
    obj_info = get_obj_info(obj)
    _reload(obj_info)
    obj_info["invalidated"] = True


def _reload(obj_info: Any) -> None:
    if obj_info.get("pending") is not PENDING_REMOVE:
        for variable in _clean_variables(obj_info):
            variable.set(AutoReload)


def _forget(store: Store, effect: Effect, params: Any) -> None:
    store._connection.writes += 1
    alive = store._iter_alive()
    changed = _changed(alive, effect, params) if effect.table else None
    if changed is None:
        store._cache.clear()
        for obj_info in alive:
            doubt(obj_info)
    else:
        for obj_info in changed:
            _reload(obj_info)
    # When all are marked, since a hook may use other objects.
    for obj_info in alive if changed is None else changed:
        store._run_hook(obj_info, "__storm_invalidated__")


def _clean_variables(obj_info: Any) -> Iterator[Any]:
    """The variables that have what the database has, as far as Storm knows; not the key's."""
    primary = obj_info.cls_info.primary_key_idx
    for column in obj_info.cls_info.columns:
        variable = obj_info.variables[column]
        if id(column) not in primary and variable.get_lazy() is None and not variable.has_changed():
            yield variable


def _changed(alive: Sequence[Any], effect: Effect, params: Any) -> list[Any] | None:
    """Those of ``alive`` whose rows an UPDATE can have changed. None if it can be any."""
    touched = []
    primary = set(_primary_keys().get(effect.table, ()))
    for obj_info in alive:
        table = obj_info.cls_info.table
        if not isinstance(table, Table) or not isinstance(table.name, str):
            touched.append(obj_info)  # an expression
        elif plain_name(table.name) == effect.table:
            key = {plain_name(column.name) for column in obj_info.cls_info.primary_key}
            primary |= key
            if key != {effect.key} or _is_among(obj_info, effect, params):
                touched.append(obj_info)
    # A row with another key is another row, and the database may have changed what refers to it.
    # Where it is not known which column that is, it may be any.
    return touched if primary and primary.isdisjoint(effect.columns) else None


def _is_among(obj_info: Any, effect: Effect, params: Any) -> bool:
    """Whether the row of an object can be among those that the statement picked by their keys."""
    (variable,) = obj_info["primary_vars"]
    key = variable.get(to_db=True)
    if type(key) is not int or not isinstance(params, (list, tuple)):
        return True
    keys = params[-effect.keys :]
    # Only numbers are certainly as different for the database as for Python.
    return key in keys or not all(type(value) is int for value in keys)


@lru_cache(maxsize=1)
def _primary_keys() -> dict[str, set[str]]:
    """The columns of the primary keys of the models' tables."""
    found: dict[str, set[str]] = {}
    for model in apps.get_models(include_auto_created=True):
        columns = found.setdefault(plain_name(model._meta.db_table), set())
        columns.update(plain_name(str(field.column)) for field in model._meta.pk_fields)
    return found
