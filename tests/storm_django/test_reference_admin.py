"""A reference to a Storm object in the admin of a Django model: choices, or a raw id."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.contrib.auth import get_user_model
from django.test import TestCase, override_settings
from django.urls import path

from storm_django import get_store
from storm_django.reference_admin import RawStormIdMixin
from tests.storm_references.models import Author, Note, Talk, Track
from tests.storm_references.statements import statements

site = admin.AdminSite()


class TalkInline(RawStormIdMixin, admin.TabularInline):
    model = Talk
    raw_id_fields = ("track",)
    extra = 1


@admin.register(Author, site=site)
class AuthorAdmin(admin.ModelAdmin):
    inlines = (TalkInline,)


@admin.register(Talk, site=site)
class TalkAdmin(RawStormIdMixin, admin.ModelAdmin):
    raw_id_fields = ("track", "speaker")


@admin.register(Note, site=site)
class NoteAdmin(admin.ModelAdmin):
    list_display = ("text", "track")
    list_filter = ("track",)

    def get_queryset(self, request: Any) -> Any:
        return super().get_queryset(request).prefetch_related("track")


urlpatterns = [path("admin/", site.urls)]


@override_settings(ROOT_URLCONF=__name__)
class AdminTest(TestCase):
    def setUp(self) -> None:
        self.client.force_login(get_user_model().objects.create_superuser("admin"))
        store = get_store()
        self.a, self.b = (store.add(Track(f"track {name}")) for name in "ab")
        store.flush()

    def test_the_objects_are_choices(self) -> None:
        page = self.client.get("/admin/tests_references/note/add/")
        for track in (self.a, self.b):
            option = f'<option value="{track.id}">{track.title}</option>'
            self.assertContains(page, option, html=True)
        response = self.client.post(
            "/admin/tests_references/note/add/", {"track": self.b.id, "text": "x"}
        )
        self.assertEqual(response.status_code, 302)
        self.assertIs(Note.objects.get().track, self.b)

    def test_the_list_shows_the_objects_and_loads_them_at_once(self) -> None:
        for track in (self.a, self.b, None):
            Note.objects.create(track=track, text="x")
        with statements() as executed:
            page = self.client.get("/admin/tests_references/note/")
        self.assertContains(page, "track a")
        self.assertContains(page, "track b")
        of_tracks = [sql for sql in executed if "FROM tests_references_track" in sql]
        self.assertLessEqual(len(of_tracks), 1)
        page = self.client.get(f"/admin/tests_references/note/?track={self.a.id}")
        self.assertContains(page, "1 note")

    def test_a_raw_id_is_typed_in_and_validated(self) -> None:
        url = "/admin/tests_references/talk/add/"
        self.assertContains(self.client.get(url), '<input type="text" name="track"')
        for wrong in (str(self.b.id + 1), "x", ""):
            page = self.client.post(url, {"track": wrong, "title": "x", "speaker": ""})
            self.assertIn("track", page.context["adminform"].form.errors)
        data = {"track": str(self.b.id), "title": "x", "speaker": ""}
        author = Author.objects.create(name="x")
        self.assertEqual(self.client.post(url, {**data, "speaker": author.pk}).status_code, 302)
        self.assertIs(Talk.objects.get().track, self.b)
        page = self.client.get(f"/admin/tests_references/talk/{Talk.objects.get().pk}/change/")
        self.assertContains(page, f'name="track" value="{self.b.id}"')

    def test_a_raw_id_in_an_inline(self) -> None:
        page = self.client.get("/admin/tests_references/author/add/")
        self.assertContains(page, '<input type="text" name="talk_set-0-track"')

    def test_the_checks_of_the_admin_find_nothing_but_what_is_wrong(self) -> None:
        self.assertEqual(
            [message for each in site._registry.values() for message in each.check()], []
        )

        class Wrong(TalkAdmin):
            raw_id_fields = ("title",)

        (message,) = Wrong(Talk, site).check()
        self.assertEqual(message.id, "admin.E003")
