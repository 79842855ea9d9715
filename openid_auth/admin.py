"""The admin of identities. Associations hold secrets, nonces are nobody's to edit: not here."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.contrib import admin

from openid_auth.models import UserOpenID

if TYPE_CHECKING:
    _ModelAdmin = admin.ModelAdmin[UserOpenID]
else:
    _ModelAdmin = admin.ModelAdmin


@admin.register(UserOpenID)
class UserOpenIDAdmin(_ModelAdmin):
    list_display = ("display_id", "user")
    list_select_related = ("user",)
    search_fields = ("claimed_id", "display_id")
    autocomplete_fields = ("user",)
    ordering = ("display_id",)
