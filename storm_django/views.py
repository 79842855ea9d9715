"""Django's generic views, on Storm classes.

``model`` is a Storm class, and ``get_queryset()`` returns a Storm ``ResultSet``. All else is as in
``django.views.generic``: templates, names in the context, pages, forms, hooks.
"""

from __future__ import annotations

from typing import Any

from django.apps import apps
from django.core.exceptions import ImproperlyConfigured
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.utils.translation import gettext as _
from django.views import generic
from storm.expr import Desc, Undef
from storm.info import get_cls_info
from storm.store import ResultSet, Store

from storm_django.forms import storm_form
from storm_django.pagination import StormPaginator
from storm_django.shortcuts import get_object_or_404
from storm_django.stores import get_store


class StormMixin:
    """What the views have in common."""

    model: Any = None
    """The Storm class."""
    store_name: str | None = None
    """The store, by default that behind the ``default`` alias."""
    queryset: Any = None
    """Not used: a result set is of one thread and one request. Define ``get_queryset()``."""

    template_name: Any
    template_name_suffix: str
    context_object_name: Any

    def get_queryset(self) -> Any:
        """The result set that is shown or searched: all objects of ``model``.

        Raises ``ImproperlyConfigured`` if the view has a ``queryset``, or no ``model``.
        """
        name = type(self).__name__
        if self.queryset is not None:
            raise ImproperlyConfigured(
                f"{name}.queryset can't be kept, since a result set is of one thread; define "
                f"{name}.get_queryset()"
            )
        if self.model is None:
            raise ImproperlyConfigured(f"{name} has no model; set it to a Storm class")
        return get_store(self.store_name).find(self.model)

    def get_storm_class(self) -> type | None:
        """The class of what is shown; None if there is none to name things after."""
        return self.model  # type: ignore[no-any-return]

    def get_template_names(self) -> list[str]:
        """``template_name``, or ``<app>/<class><suffix>.html`` with the app of the Storm class."""
        if self.template_name:
            return [self.template_name]
        storm_class = self.get_storm_class()
        app = apps.get_containing_app_config(storm_class.__module__) if storm_class else None
        if storm_class is None or app is None:
            raise ImproperlyConfigured(
                f"{type(self).__name__} needs a template_name, or a model in the package of an "
                f"installed app"
            )
        return [f"{app.label}/{storm_class.__name__.lower()}{self.template_name_suffix}.html"]

    def get_context_object_name(self, shown: Any) -> str | None:
        """``context_object_name``, or the name of the class, with ``_list`` for a list."""
        if self.context_object_name:
            return str(self.context_object_name)
        storm_class = self.get_storm_class()
        return storm_class.__name__.lower() if storm_class else None


class ListView(StormMixin, generic.ListView):  # type: ignore[type-arg]
    """A page of a list. ``object_list`` in the context is a list, fetched in one statement."""

    paginator_class = StormPaginator
    object_list: Any

    def get_queryset(self) -> Any:
        results = super().get_queryset()
        if ordering := self.get_ordering():
            names = (ordering,) if isinstance(ordering, str) else ordering
            results.order_by(*(_order(self.model, name) for name in names))
        return results

    def get_storm_class(self) -> type | None:
        results = self.object_list
        if self.model is None and isinstance(results, ResultSet):
            return results._find_spec.default_cls  # type: ignore[no-any-return]
        return super().get_storm_class()

    def get_context_object_name(self, shown: Any) -> str | None:  # type: ignore[override]
        name = super().get_context_object_name(shown)
        return name if name is None or self.context_object_name else f"{name}_list"

    def get_context_data(self, *, object_list: Any = None, **kwargs: Any) -> dict[str, Any]:
        results = self.object_list if object_list is None else object_list
        if not self.get_paginate_by(results):
            results = list(results)
            if not results and not self.get_allow_empty():
                raise Http404(
                    _("Empty list and “%(class_name)s.allow_empty” is False.")
                    % {"class_name": type(self).__name__}
                )
        return super().get_context_data(object_list=results, **kwargs)


def _order(storm_class: type, name: Any) -> Any:
    """An attribute's name, with ``-`` for descending, or an expression, for ``order_by()``."""
    if not isinstance(name, str):
        return name
    column = getattr(storm_class, name.removeprefix("-"))
    return Desc(column) if name.startswith("-") else column


class SingleObjectMixin(StormMixin):
    """What the views of one object have in common."""

    object: Any
    kwargs: dict[str, Any]
    success_url: Any
    pk_url_kwarg: Any = "pk"
    """The name in the URL of the primary key; a tuple of names for one of several columns."""
    slug_url_kwarg: str
    query_pk_and_slug: bool

    def get_storm_class(self) -> type | None:
        if self.model is not None:
            return super().get_storm_class()
        return None if self.object is None else type(self.object)

    def get_template_names(self) -> list[str]:
        field = getattr(self, "template_name_field", None)
        if field and not self.template_name and (name := getattr(self.object, field, None)):
            return [name, *super().get_template_names()]
        return super().get_template_names()

    def get_object(self, queryset: Any = None) -> Any:
        """The object of the URL, by primary key or by slug. Raises ``Http404``."""
        results = self.get_queryset() if queryset is None else queryset
        names = self.pk_url_kwarg
        if isinstance(names, tuple):
            pk = tuple(self.kwargs[name] for name in names if name in self.kwargs) or Undef
        else:
            pk = self.kwargs.get(names, Undef)
        conditions = {}
        slug = self.kwargs.get(self.slug_url_kwarg)
        if slug is not None and (pk is Undef or self.query_pk_and_slug):
            conditions[self.get_slug_field()] = slug  # type: ignore[attr-defined]
        if pk is Undef and not conditions:
            raise AttributeError(
                f"{type(self).__name__} must be called with a primary key or a slug in the URLconf"
            )
        return get_object_or_404(results, pk=pk, **conditions)


class DetailView(SingleObjectMixin, generic.DetailView):  # type: ignore[type-arg, misc]
    """One object."""


class FormMixin(SingleObjectMixin):
    """What the views that change an object have in common."""

    fields: Any = None
    form_class: Any = None

    def get_storm_class(self) -> type | None:
        if self.model is None and self.object is None and self.form_class is not None:
            return self.form_class._meta.model.storm_class  # type: ignore[no-any-return]
        return super().get_storm_class()

    def get_form_class(self) -> Any:
        """``form_class``, or a form of ``fields`` of the Storm class."""
        name = type(self).__name__
        if (self.fields is None) == (self.form_class is None):
            raise ImproperlyConfigured(f"{name} needs either fields or form_class, and not both")
        if self.form_class is not None:
            return self.form_class
        storm_class = self.get_storm_class()
        if storm_class is None:
            raise ImproperlyConfigured(f"{name} has no model; set it to a Storm class")
        return storm_form(storm_class, fields=self.fields)

    def get_form_kwargs(self) -> dict[str, Any]:
        kwargs: dict[str, Any] = super().get_form_kwargs()  # type: ignore[misc]
        if self.store_name is not None:
            kwargs["store"] = self.store_name
        return kwargs

    def get_success_url(self) -> str:
        """``success_url``, in which ``{id}`` stands for that attribute of the object."""
        if self.success_url:
            return _formatted(self.success_url, self.object)
        url: str = super().get_success_url()  # type: ignore[misc]
        return url


class CreateView(FormMixin, generic.CreateView):  # type: ignore[type-arg, misc]
    """Add an object to the store."""


class UpdateView(FormMixin, generic.UpdateView):  # type: ignore[type-arg, misc]
    """Change an object."""


class DeleteView(SingleObjectMixin, generic.DeleteView):  # type: ignore[type-arg, misc]
    """Remove an object from its store, after a page that asks."""

    def get_success_url(self) -> str:
        """``success_url``, in which ``{id}`` stands for that attribute of the object."""
        if self.success_url:
            return _formatted(self.success_url, self.object)
        return super().get_success_url()

    def form_valid(self, form: Any) -> HttpResponse:
        return self._remove()

    def delete(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        self.object = self.get_object()
        return self._remove()

    def _remove(self) -> HttpResponse:
        success_url = self.get_success_url()
        store = Store.of(self.object)
        store.remove(self.object)
        store.flush()  # what still refers to it is an error here, not at the commit
        return HttpResponseRedirect(success_url)


def _formatted(url: Any, obj: Any) -> str:
    values = {name: getattr(obj, name) for name in get_cls_info(type(obj)).attributes}
    return str(url).format(**values)
