"""References to Storm objects in the admin of a Django model, with the key typed in."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib.admin.checks import BaseModelAdminChecks, InlineModelAdminChecks
from django.contrib.admin.checks import ModelAdminChecks as DjangoChecks
from django.contrib.admin.options import BaseModelAdmin, InlineModelAdmin
from django.contrib.admin.widgets import AdminTextInputWidget
from django.core.checks import CheckMessage

from storm_django.fields import StormForeignKey


class _AllowsReferences(BaseModelAdminChecks):
    def _check_raw_id_fields_item(
        self, obj: Any, field_name: str, label: str
    ) -> list[CheckMessage]:
        if field_name in _references_of(obj.model):
            return []
        found: list[CheckMessage] = super()._check_raw_id_fields_item(obj, field_name, label)  # type: ignore[misc]
        return found


class _ModelAdminChecks(_AllowsReferences, DjangoChecks):
    pass


class _InlineChecks(_AllowsReferences, InlineModelAdminChecks):
    pass


def _references_of(model: Any) -> set[str]:
    return {field.name for field in model._meta.fields if isinstance(field, StormForeignKey)}


class RawStormIdMixin(BaseModelAdmin):  # type: ignore[type-arg]
    """For a ``ModelAdmin`` or an inline: ``raw_id_fields`` can name a ``StormForeignKey``.

    The key is a text input then, and a key without an object is an error in the form. Without the
    mixin, or in other fields, the objects are choices.
    """

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if "checks_class" not in cls.__dict__:
            is_inline = issubclass(cls, InlineModelAdmin)
            cls.checks_class = _InlineChecks if is_inline else _ModelAdminChecks

    def formfield_for_dbfield(
        self, db_field: Any, request: Any, **kwargs: Any
    ) -> forms.Field | None:
        if isinstance(db_field, StormForeignKey) and db_field.name in self.raw_id_fields:
            kwargs.setdefault("widget", AdminTextInputWidget)
        return super().formfield_for_dbfield(db_field, request, **kwargs)
