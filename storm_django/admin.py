"""Storm classes in Django's admin.

``register(Room)`` is all that it takes. The admin works on the class's mirror
(:mod:`storm_django.mirror`), which reads with Django and writes with Storm.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import nullcontext
from typing import Any

from django.apps import apps
from django.contrib import admin, messages
from django.core.checks import CheckMessage, Warning
from django.core.checks import register as register_check
from django.core.exceptions import NON_FIELD_ERRORS, ValidationError
from django.db import DataError, IntegrityError, models, router, transaction
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse

from storm_django import column_fields as fields
from storm_django.mirror import (
    Mirror,
    app_label_of,
    mirror_of,
    missed_references,
    registered,
    registered_mirrors,
)
from storm_django.mirror_query import RowGoneError

__all__ = ["StormAdmin", "register"]

REFUSALS = (ValidationError, IntegrityError, DataError, RowGoneError)
"""What is an answer to what a person has entered. Any other error is one of the site."""

NOT_LISTED = (
    fields.BytesColumn,
    fields.JSONColumn,
    fields.OpaqueColumn,
    fields.TextColumn,
)


def refusal(error: Exception) -> ValidationError:
    """What the person is told of an error of the database or of a validator."""
    if isinstance(error, ValidationError):
        return error
    if isinstance(error, RowGoneError):
        return ValidationError(str(error))
    text = str(error.args[-1] if error.args else error).strip()  # MySQL's first is a number
    return ValidationError(f"The database refused this: {text}")


class _Refused:
    """A form that was valid until it was written."""

    storm_refusal: ValidationError

    def clean(self: Any) -> Any:
        data = super().clean()  # type: ignore[misc]
        for name, errors in self.storm_refusal.update_error_dict({}).items():
            if name == NON_FIELD_ERRORS or name in self.fields:
                self.add_error(None if name == NON_FIELD_ERRORS else name, errors)
            else:  # of a field that the form does not have
                self.add_error(None, [f"{name}: {text}" for text in ValidationError(errors)])
        return data


class StormAdmin(admin.ModelAdmin):  # type: ignore[type-arg]
    """A ``ModelAdmin`` for a Storm class, with all its options.

    ``list_display``, ``readonly_fields`` and the like may name what is a column, a reference, or
    any attribute, property or method of the Storm class. What Storm's validators or the database
    refuse is an error in the form.
    """

    def make_object(self, form: Any) -> Any:
        """A new Storm object for a valid form, or None: then it is made as when Storm loads one,
        without a call of ``__init__``. It is added, with the form's values, afterwards.
        """
        return None

    def _make(self, obj: Any, form: Any) -> None:
        made = self.make_object(form)
        if made is not None:
            obj.storm_object = made
            in_form = {*form.cleaned_data, self.opts.pk.name}
            obj.take(made, [f for f in self.opts.concrete_fields if f.name not in in_form])

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: bool) -> None:
        if not change:
            self._make(obj, form)
        super().save_model(request, obj, form, change)

    def get_form(
        self, request: HttpRequest, obj: Any = None, change: bool = False, **kwargs: Any
    ) -> Any:
        form: Any = super().get_form(request, obj, change, **kwargs)
        told = getattr(request, "_storm_refusal", None)
        if told is None:
            return form
        return type(form)(form.__name__, (_Refused, form), {"storm_refusal": told})

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        found = super().get_readonly_fields(request, obj)
        key = self.opts.pk
        if obj is None or isinstance(key, models.AutoField) or key.name in found:
            return found
        return [*found, key.name]  # to save with another key would make another object

    def get_list_select_related(self, request: HttpRequest) -> Any:
        found = super().get_list_select_related(request)
        if found is not False:
            return found
        shown = self.get_list_display(request)
        return [
            field.name
            for field in self.opts.concrete_fields
            if isinstance(field, models.ForeignKey) and field.name in shown
        ]

    def changeform_view(
        self,
        request: HttpRequest,
        object_id: Any = None,
        form_url: str = "",
        extra_context: Any = None,
    ) -> Any:
        try:
            return super().changeform_view(request, object_id, form_url, extra_context)
        except REFUSALS as error:
            if request.method != "POST" or hasattr(request, "_storm_refusal"):
                raise
            # All of it is rolled back. The form once more, with the answer.
            request._storm_refusal = refusal(error)  # type: ignore[attr-defined]
            return super().changeform_view(request, object_id, form_url, extra_context)

    def changelist_view(self, request: HttpRequest, extra_context: Any = None) -> Any:
        # An action logs what it is about to do.
        alias = router.db_for_write(self.model)
        try:
            with transaction.atomic(alias) if request.method == "POST" else nullcontext():
                return super().changelist_view(request, extra_context)
        except REFUSALS as error:
            return self._refuse(request, error, request.get_full_path())

    def delete_view(self, request: HttpRequest, object_id: str, extra_context: Any = None) -> Any:
        try:
            return super().delete_view(request, object_id, extra_context)
        except REFUSALS as error:
            name = f"admin:{self.opts.app_label}_{self.opts.model_name}_change"
            path = reverse(name, args=[object_id], current_app=self.admin_site.name)
            return self._refuse(request, error, path)

    def _refuse(self, request: HttpRequest, error: Exception, path: str) -> HttpResponse:
        if request.method != "POST":
            raise error
        for text in refusal(error).messages:
            self.message_user(request, text, messages.ERROR)
        return HttpResponseRedirect(path)


def register(
    *storm_classes: type,
    site: admin.AdminSite | None = None,
    app_label: str | None = None,
    columns: Any = None,
    meta: Any = None,
    store: str | None = None,
    **options: Any,
) -> Callable[[type[StormAdmin]], type[StormAdmin]]:
    """Register Storm classes in the admin: ``register(Room)``, ``register(Room, Slot, Session)``.

    Or decorate a subclass of :class:`StormAdmin` for them. ``options`` are those of a
    ``ModelAdmin``; ``columns``, ``meta`` and ``store`` are for :func:`~storm_django.mirror_of`,
    and for one class at a time. ``app_label`` is that of the app that holds the class, if it is
    not given; ``site`` is the default site.

    A class that refers to another has a choice of its objects if the other was registered before
    or is registered by the same call. Raises ``ImproperlyConfigured`` for a class that the admin
    can't have, and ``AlreadyRegistered``.
    """
    if len(storm_classes) != 1 and (columns or meta or store):
        raise TypeError("columns, meta and store are for one Storm class; register each by itself")
    labels = {cls: app_label or app_label_of(cls) for cls in storm_classes}
    mirrors = [
        mirror_of(
            cls,
            app_label=label,
            columns=columns,
            meta=meta,
            store=store,
            together={other: found for other, found in labels.items() if not registered(other)},
        )
        for cls, label in labels.items()
    ]
    where = site or admin.site
    for mirror in mirrors:
        where.register(mirror, StormAdmin, **_with_defaults(mirror, StormAdmin, options))

    def decorate(admin_class: type[StormAdmin]) -> type[StormAdmin]:
        for mirror in mirrors:
            where.unregister(mirror)
            where.register(mirror, admin_class, **_with_defaults(mirror, admin_class, options))
        return admin_class

    return decorate


def _with_defaults(
    mirror: type[Mirror], admin_class: type[StormAdmin], options: dict[str, Any]
) -> dict[str, Any]:
    """The options, and what the class's columns suggest where there is none."""
    columns = mirror._meta.concrete_fields
    named = mirror.storm_class.__str__ is not object.__str__
    suggested: dict[str, Sequence[str]] = {
        "list_display": [
            *(["__str__"] if named else []),
            *(
                field.name
                for field in columns
                if not isinstance(field, NOT_LISTED)
                and not (named and isinstance(field, models.AutoField))
            ),
        ],
        "list_filter": [
            field.name
            for field in columns
            if isinstance(field, models.BooleanField) or field.choices
        ],
        "search_fields": [
            field.name
            for field in columns
            if isinstance(field, (models.CharField, models.TextField)) and not field.choices
        ],
    }
    missing = {
        name: value
        for name, value in suggested.items()
        if getattr(admin_class, name) == getattr(admin.ModelAdmin, name)
    }
    return {**missing, **options}


@register_check()
def check_references(**kwargs: Any) -> list[CheckMessage]:
    """A class that refers to one registered after it has no choice of its objects."""
    return [
        Warning(
            f"{mirror.__name__} was registered in the admin before {target.__name__}, to which "
            f"its {name} refers, so it shows a number for it.",
            hint=f"Register {target.__name__} first, or both in one call.",
            obj=mirror,
            id="storm_django.W020",
        )
        for mirror in registered_mirrors()
        for name, target in missed_references(mirror)
    ]


@register_check()
def check_apps(**kwargs: Any) -> list[CheckMessage]:
    """Django makes content types and permissions only for apps that have a models module."""
    labels = {mirror._meta.app_label for mirror in registered_mirrors()}
    return [
        Warning(
            f"The app {label!r} has Storm classes in the admin and no models module, so migrate "
            f"makes no permissions for them: only superusers can use them.",
            hint=f"Add an empty models.py to {apps.get_app_config(label).name}.",
            id="storm_django.W021",
        )
        for label in sorted(labels)
        if apps.get_app_config(label).models_module is None
    ]
