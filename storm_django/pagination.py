"""Storm's result sets in Django's paginator."""

from __future__ import annotations

import warnings
from copy import copy
from typing import Any

from django.core.paginator import Page, Paginator, UnorderedObjectListWarning
from django.utils.functional import cached_property
from storm.expr import Alias, Count, Expr, Select, SetExpr, Undef
from storm.store import EmptyResultSet, ResultSet


class StormPaginator(Paginator):  # type: ignore[type-arg]
    """A paginator over a Storm result set, or over anything that Django's takes.

    The count is one statement, and a page is one, with LIMIT and OFFSET, executed when the page
    is made: ``page.object_list`` is a list. A result set without an order, neither ``order_by()``
    nor ``__storm_order__``, gives Django's ``UnorderedObjectListWarning``.
    """

    @cached_property
    def count(self) -> int:
        """How many objects there are on all pages."""
        if isinstance(self.object_list, ResultSet):
            return count(self.object_list)
        return super().count

    def page(self, number: int | str) -> Page[Any]:
        """The page of that number, from 1. Raises ``InvalidPage`` if there is none."""
        page: Page[Any] = super().page(number)
        if isinstance(page.object_list, (ResultSet, EmptyResultSet)):
            page.object_list = list(page.object_list) if self.count else []
        return page

    def _check_object_list_is_ordered(self) -> None:
        if not isinstance(self.object_list, ResultSet):
            super()._check_object_list_is_ordered()  # type: ignore[misc]
        elif self.object_list._order_by is Undef:
            warnings.warn(
                "Pagination may yield inconsistent results with an unordered result set; call its "
                "order_by(), or set __storm_order__ of the class",
                UnorderedObjectListWarning,
                stacklevel=3,
            )


def count(result_set: ResultSet) -> int:
    """How many rows a result set has, in one statement, whatever it is made of.

    Storm's own ``ResultSet.count()`` refuses a grouped one, counts a union of columns of two
    classes wrong, and fails on MySQL for a distinct find of classes with columns of one name.
    """
    plain = (result_set._select, result_set._group_by, result_set._limit, result_set._offset)
    if not result_set._distinct and all(part is Undef for part in plain):
        return int(result_set.count())
    rows = Alias(_as_subquery(result_set._get_select()), "_rows")
    return int(result_set._store._connection.execute(Select(Count(), tables=rows)).get_one()[0])


def _as_subquery(query: Expr) -> Expr:
    """A copy without an idle order, and with column names of which no two are the same."""
    query = copy(query)
    if query.limit is Undef and query.offset is Undef:
        query.order_by = Undef
    if isinstance(query, Select):
        query.columns = [
            column if isinstance(column, Alias) else Alias(column, f"_column{number}")
            for number, column in enumerate(query.columns)
        ]
    elif isinstance(query, SetExpr) and query.order_by is Undef:  # else it names the columns
        query.exprs = tuple(_as_subquery(part) for part in query.exprs)
    return query
