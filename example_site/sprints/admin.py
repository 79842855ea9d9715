"""The Django side of the scheduler in the admin: to look at, and to moderate."""

from django.contrib import admin
from django.http import HttpRequest
from django.urls import reverse
from django.utils.html import format_html

from example_site.sprints.models import Attendance, Comment


@admin.display(description="session", ordering="session_id")
def session_link(instance: Attendance | Comment) -> str:
    """A link to the page of the session that *instance* is about."""
    address = reverse("session", args=[instance.session_id])
    return format_html('<a href="{}">Session {}</a>', address, instance.session_id)


@admin.register(Attendance)
class AttendanceAdmin(admin.ModelAdmin):
    """Who goes where; changed on the session's page only, where the clashes are found."""

    list_display = ["user", session_link]
    list_select_related = ["user"]
    search_fields = ["user__username"]

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Attendance | None = None) -> bool:
        return False


@admin.register(Comment)
class CommentAdmin(admin.ModelAdmin):
    """Comments, for moderation."""

    list_display = ["user", session_link, "created", "text"]
    list_select_related = ["user"]
    list_filter = ["created"]
    search_fields = ["user__username", "text"]
    fields = ["user", session_link, "text", "created"]
    readonly_fields = ["user", session_link, "created"]

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False
