"""The scheduler in the admin: the programme, which Storm keeps, and what people say about it."""

from typing import Any

from django.conf import settings
from django.contrib import admin
from django.core.exceptions import ValidationError
from django.db import IntegrityError, models
from django.forms import ModelForm
from django.http import HttpRequest
from django.utils.html import format_html

from example_site.sprints.forms import PlaceForm
from example_site.sprints.models import Attendance, Comment
from example_site.sprints.programme import Room, Session, Slot
from example_site.sprints.scheduling import why_not_there
from storm_django.admin import StormAdmin, register

register(Room, columns={"name": {"max_length": 60, "unique": True}})
register(
    Slot,
    columns={
        "starts": {"unique": True},
        "label": {
            "max_length": 60,
            "blank": True,
            "help_text": "What is for everybody then. Without it, sessions can be held.",
        },
    },
    list_display=["__str__", "label"],
)


class SessionForm(PlaceForm, ModelForm):
    """A session, with both a room and a slot or neither."""


@register(
    Session,
    columns={
        "title": {"max_length": 100},
        "description": {"multiline": True},
        "proposer_id": models.ForeignKey(
            settings.AUTH_USER_MODEL,
            models.DO_NOTHING,
            db_constraint=False,
            related_name="+",
            verbose_name="proposer",
        ),
        "slot": {"limit_choices_to": {"label": ""}},
    },
)
class SessionAdmin(StormAdmin):
    """Sessions. A new one gets its room and slot afterwards, as those that people propose."""

    form = SessionForm
    list_display = ["title", "room", "slot", "proposer_id"]
    list_filter = ["room", "slot"]
    search_fields = ["title", "description"]
    readonly_fields = ["proposer"]

    def get_fields(self, request: HttpRequest, obj: Any = None) -> list[str]:
        return [
            "title",
            "description",
            *(["proposer", "room", "slot"] if obj else ["proposer_id"]),
        ]

    def get_deleted_objects(self, objs: Any, request: HttpRequest) -> Any:
        """Name what the database deletes with a session, too."""
        names, counts, *rest = super().get_deleted_objects(objs, request)
        for model in (Comment, Attendance):
            number = model.objects.filter(session__in=[obj.pk for obj in objs]).count()
            if number:
                counts[model._meta.verbose_name_plural] = number
        return names, counts, *rest

    def save_model(self, request: HttpRequest, obj: Any, form: ModelForm, change: bool) -> None:
        try:
            super().save_model(request, obj, form, change)
        except IntegrityError as error:
            if obj.slot is None:
                raise
            places = obj.storm_object, obj.room.storm_object, obj.slot.storm_object
            raise ValidationError(why_not_there(*places)) from error


@admin.display(description="session", ordering="session")
def session_link(instance: Attendance | Comment) -> str:
    """A link to the page of the session that *instance* is about."""
    session = instance.session
    return format_html('<a href="{}">{}</a>', session.get_absolute_url(), session)


class AboutSessionAdmin(admin.ModelAdmin):
    """What people do about sessions on their pages, and not here."""

    list_select_related = ["user"]

    def get_queryset(self, request: HttpRequest) -> models.QuerySet:
        return super().get_queryset(request).prefetch_related("session")

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False


@admin.register(Attendance)
class AttendanceAdmin(AboutSessionAdmin):
    """Who goes where; changed on the session's page only, where the clashes are found."""

    list_display = ["user", session_link]
    search_fields = ["user__username"]

    def has_change_permission(self, request: HttpRequest, obj: Attendance | None = None) -> bool:
        return False


@admin.register(Comment)
class CommentAdmin(AboutSessionAdmin):
    """Comments, for moderation."""

    list_display = ["user", session_link, "created", "text"]
    list_filter = ["created"]
    search_fields = ["user__username", "text"]
    fields = ["user", session_link, "text", "created"]
    readonly_fields = ["user", session_link, "created"]
