"""Django's generic views on Storm classes."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django.conf import settings
from django.contrib.auth.models import AbstractUser, User
from django.contrib.messages import get_messages
from django.contrib.messages.views import SuccessMessageMixin
from django.core.exceptions import ImproperlyConfigured
from django.http import HttpRequest
from django.test import RequestFactory, SimpleTestCase, TestCase, override_settings
from django.urls import path
from storm.exceptions import IntegrityError
from storm.expr import Desc
from storm.locals import Bool, Int, Unicode
from storm.store import EmptyResultSet

from example_site.sprints.programme import Room, Session, Slot
from storm_django import get_store, views
from storm_django.forms import storm_form
from tests.storm_django.models import Entry, StormEntry
from tests.storm_django.statements import statements


def make_user() -> AbstractUser:
    """Somebody who proposes a session."""
    return User.objects.create(username="mei")


class PairEntry:
    """The table with a key of two columns."""

    __storm_table__ = Entry._meta.db_table
    __storm_primary__ = ("name", "position")

    name = Unicode()
    position = Int()
    done = Bool()


class EntryList(views.ListView):
    model = StormEntry
    ordering = "position"


class PagedList(EntryList):
    paginate_by = 2
    paginate_orphans = 1
    ordering = ("-position",)


class QueryList(views.ListView):
    """The hook that applications override, without a model."""

    def get_queryset(self) -> Any:
        if self.request.GET.get("none"):
            return EmptyResultSet()
        found = get_store().find(StormEntry, StormEntry.position > 1)
        return found.order_by(Desc(StormEntry.position))


class EntryDetail(views.DetailView):
    model = StormEntry
    slug_field = "name"


class PairDetail(views.DetailView):
    model = PairEntry
    pk_url_kwarg = ("name", "position")
    context_object_name = "pair"


class EntryCreate(SuccessMessageMixin, views.CreateView):
    model = StormEntry
    fields = ("name", "position")
    success_url = "/entries/{id}/"
    success_message = "%(name)s was added."


class FormCreate(views.CreateView):
    """Named after the class of its form, and in the store of that name."""

    form_class = storm_form(StormEntry, fields=["name"])
    success_url = "/entries/"
    store_name = "main"


class EntryUpdate(SuccessMessageMixin, views.UpdateView):
    model = StormEntry
    form_class = storm_form(StormEntry, fields=["name", "position"])
    success_url = "/entries/{id}/"
    success_message = "%(name)s was changed."


class EntryDelete(SuccessMessageMixin, views.DeleteView):
    model = StormEntry
    success_url = "/entries/?gone={name}"
    success_message = "It is gone."


class RoomDelete(views.DeleteView):
    model = Room
    success_url = "/"


urlpatterns = [
    path("entries/", EntryList.as_view()),
    path("some/", EntryList.as_view(allow_empty=False)),
    path("paged/", PagedList.as_view()),
    path("paged/<int:page>/", PagedList.as_view()),
    path("somepaged/", PagedList.as_view(allow_empty=False)),
    path("query/", QueryList.as_view(template_name="query.html", context_object_name="found")),
    path("queries/", QueryList.as_view()),
    path("entries/add/", EntryCreate.as_view()),
    path("entries/new/", FormCreate.as_view()),
    path("entries/<pk>/", EntryDetail.as_view()),
    path("named/<slug>/", EntryDetail.as_view()),
    path("both/<pk>/<slug>/", EntryDetail.as_view(query_pk_and_slug=True)),
    path("loose/<pk>/<slug>/", EntryDetail.as_view()),
    path("own/<pk>/", EntryDetail.as_view(template_name_field="name")),
    path("pairs/<name>/<position>/", PairDetail.as_view(template_name="pair.html")),
    path("nothing/", EntryDetail.as_view()),
    path("entries/<pk>/change/", EntryUpdate.as_view()),
    path("entries/<pk>/delete/", EntryDelete.as_view()),
    path("rooms/<pk>/delete/", RoomDelete.as_view()),
]

FORM = "{{ form.errors }}{{ form }}"
TEMPLATES = {
    "tests_storm_django/stormentry_list.html": (
        "{% for entry in stormentry_list %}{{ entry.name }} {% empty %}none{% endfor %}"
        "{{ object_list|length }}"
        "{% if is_paginated %} page {{ page_obj.number }} of {{ paginator.num_pages }}{% endif %}"
    ),
    "query.html": "{% for entry in found %}{{ entry.position }} {% endfor %}",
    "tests_storm_django/stormentry_detail.html": "{{ stormentry.name }} {{ object.position }}",
    "own": "its own template",
    "pair.html": "{{ pair.name }}/{{ pair.position }}",
    "tests_storm_django/stormentry_form.html": "{{ stormentry.name }}:" + FORM,
    "tests_storm_django/stormentry_confirm_delete.html": "Delete {{ stormentry.name }}?" + FORM,
}


@override_settings(
    ROOT_URLCONF=__name__,
    TEMPLATES=[
        {
            "BACKEND": "django.template.backends.django.DjangoTemplates",
            "OPTIONS": {
                "loaders": [("django.template.loaders.locmem.Loader", TEMPLATES)],
                "context_processors": settings.TEMPLATES[0]["OPTIONS"]["context_processors"],
            },
        }
    ],
)
class ViewTest(TestCase):
    def setUp(self) -> None:
        self.store = get_store()
        self.entries = [StormEntry(name, position) for position, name in enumerate("abc", 1)]
        for entry in self.entries:
            self.store.add(entry)
        self.store.flush()

    def text(self, url: str) -> str:
        response = self.client.get(url)
        self.assertEqual(response.status_code, 200)
        return response.content.decode()

    def missing(self, url: str) -> None:
        self.assertEqual(self.client.get(url).status_code, 404)


class ListTest(ViewTest):
    def test_the_list_is_in_the_context_under_djangos_names(self) -> None:
        self.assertEqual(self.text("/entries/"), "a b c 3")

    def test_the_list_is_one_statement(self) -> None:
        with statements() as executed:
            self.text("/entries/")
        self.assertEqual(len(executed), 1)

    def test_a_page_is_two_statements(self) -> None:
        Entry.objects.create(name="d", position=4)
        with statements() as executed:
            self.assertEqual(self.text("/paged/"), "d c 2 page 1 of 2")
        self.assertEqual(len(executed), 2)
        self.assertEqual(self.text("/paged/?page=last"), "b a 2 page 2 of 2")
        self.assertEqual(self.text("/paged/2/"), "b a 2 page 2 of 2")

    def test_orphans_are_on_the_last_page(self) -> None:
        self.assertEqual(self.text("/paged/"), "c b a 3")

    def test_a_page_that_is_not_there_is_a_404(self) -> None:
        for page in ("2", "0", "-1", "x", "", "9" * 30):
            with self.subTest(page):
                self.missing(f"/paged/?page={page}") if page else self.text("/paged/?page=")

    def test_nothing_is_an_empty_list_or_a_404(self) -> None:
        self.store.find(StormEntry).remove()
        self.assertEqual(self.text("/entries/"), "none0")
        self.assertEqual(self.text("/paged/"), "none0")
        self.missing("/some/")
        self.missing("/somepaged/")

    def test_the_result_set_can_be_any(self) -> None:
        self.assertEqual(self.text("/query/"), "3 2 ")
        self.assertEqual(self.text("/query/?none=1"), "")

    def test_the_names_are_those_of_the_classes_found(self) -> None:
        self.assertEqual(self.text("/queries/"), "c b 2")

    def test_without_a_class_a_template_has_to_be_named(self) -> None:
        with self.assertRaisesMessage(ImproperlyConfigured, "template_name"):
            self.client.get("/queries/?none=1")


class DetailTest(ViewTest):
    def test_the_object_of_a_primary_key(self) -> None:
        self.assertEqual(self.text(f"/entries/{self.entries[1].id}/"), "b 2")

    def test_the_object_of_a_slug(self) -> None:
        self.assertEqual(self.text("/named/c/"), "c 3")
        key = self.entries[2].id
        self.assertEqual(self.text(f"/both/{key}/c/"), "c 3")
        self.missing(f"/both/{key}/b/")
        self.assertEqual(self.text(f"/loose/{key}/b/"), "c 3")  # it is for people, as in Django

    def test_the_object_of_a_key_of_two_columns(self) -> None:
        self.assertEqual(self.text("/pairs/b/2/"), "b/2")
        self.missing("/pairs/b/1/")
        self.missing("/pairs/b/x/")

    def test_what_is_not_there_is_a_404(self) -> None:
        for key in ("0", "abc", "9" * 30, "-1", "1.5", "%00", "1;drop table"):
            with self.subTest(key):
                self.missing(f"/entries/{key}/")
        self.missing("/named/z/")
        self.missing("/named/%00/")

    def test_the_object_can_name_its_template(self) -> None:
        self.entries[0].name = "own"
        self.assertEqual(self.text(f"/own/{self.entries[0].id}/"), "its own template")
        self.assertEqual(self.text(f"/own/{self.entries[1].id}/"), "b 2")

    def test_a_url_without_a_key_is_a_mistake(self) -> None:
        with self.assertRaisesMessage(AttributeError, "primary key or a slug"):
            self.client.get("/nothing/")


class ChangeTest(ViewTest):
    def messages(self, response: Any) -> list[str]:
        return [str(message) for message in get_messages(response.wsgi_request)]

    def test_an_object_is_added(self) -> None:
        self.assertIn('name="position"', self.text("/entries/add/"))
        response = self.client.post("/entries/add/", {"name": "new", "position": "9"})
        row = Entry.objects.get(name="new")
        self.assertRedirects(response, f"/entries/{row.pk}/")
        self.assertEqual(row.position, 9)
        self.assertEqual(self.messages(response), ["new was added."])

    def test_the_form_can_say_which_class_it_is(self) -> None:
        self.assertIn('name="name"', self.text("/entries/new/"))
        self.assertRedirects(self.client.post("/entries/new/", {"name": "d"}), "/entries/")
        self.assertEqual(Entry.objects.filter(name="d").count(), 1)

    def test_an_object_is_changed(self) -> None:
        entry = self.entries[0]
        url = f"/entries/{entry.id}/change/"
        self.assertIn('value="a"', self.text(url))
        response = self.client.post(url, {"name": "new", "position": "9"})
        self.assertRedirects(response, f"/entries/{entry.id}/")
        self.assertEqual((entry.name, Entry.objects.get(pk=entry.id).position), ("new", 9))
        self.assertEqual(self.messages(response), ["new was changed."])

    def test_a_form_that_is_not_valid_changes_nothing(self) -> None:
        entry = self.entries[0]
        response = self.client.post(
            f"/entries/{entry.id}/change/", {"name": "new", "position": "x"}
        )
        self.assertContains(response, "Enter a whole number.")
        self.assertContains(response, "a:")  # the object is as it was
        self.assertEqual((entry.name, Entry.objects.get(pk=entry.id).name), ("a", "a"))
        response = self.client.post("/entries/add/", {"name": "new", "position": "x"})
        self.assertContains(response, "Enter a whole number.")
        self.assertEqual(Entry.objects.count(), 3)

    def test_what_is_not_there_can_not_be_changed(self) -> None:
        for url in ("/entries/0/change/", "/entries/abc/delete/"):
            self.assertEqual(self.client.post(url).status_code, 404)

    def test_an_object_is_removed_after_a_page_that_asks(self) -> None:
        entry = self.entries[0]
        self.assertIn("Delete a?", self.text(f"/entries/{entry.id}/delete/"))
        response = self.client.post(f"/entries/{entry.id}/delete/")
        self.assertRedirects(response, "/entries/?gone=a")
        self.assertEqual(self.messages(response), ["It is gone."])
        self.assertEqual(Entry.objects.filter(name="a").count(), 0)
        response = self.client.delete(f"/entries/{self.entries[1].id}/delete/")
        self.assertRedirects(response, "/entries/?gone=b")
        self.assertEqual([entry.name for entry in Entry.objects.all()], ["c"])

    def test_what_is_still_referred_to_is_an_error_in_the_view(self) -> None:
        room = self.store.add(Room("Attic", 20))
        session = self.store.add(Session("Title", "Text", make_user()))
        session.room = room
        session.slot = Slot(datetime(2026, 1, 31, 9), datetime(2026, 1, 31, 10))
        self.store.flush()
        with self.assertRaises(IntegrityError):
            self.client.post(f"/rooms/{room.id}/delete/")


class ConfigurationTest(SimpleTestCase):
    """No store is needed to define a view, nor a database to find what is wrong with it."""

    def request(self, view: type, **kwargs: Any) -> HttpRequest:
        request = RequestFactory().get("/")
        return view.as_view(**kwargs)(request, pk="1")  # type: ignore[attr-defined]

    def test_a_view_without_a_model_is_named(self) -> None:
        for view in (views.ListView, views.DetailView, views.DeleteView):
            with (
                self.subTest(view),
                self.assertRaisesMessage(ImproperlyConfigured, f"{view.__name__} has no model"),
            ):
                self.request(view)

    def test_a_result_set_can_not_be_kept_by_the_class(self) -> None:
        with self.assertRaisesMessage(ImproperlyConfigured, "ListView.get_queryset()"):
            self.request(views.ListView, queryset=EmptyResultSet())

    def test_a_form_view_needs_fields_or_a_form_and_not_both(self) -> None:
        for options in (
            {"model": StormEntry},
            {"fields": ["name"], "form_class": EntryUpdate.form_class},
        ):
            with (
                self.subTest(options),
                self.assertRaisesMessage(ImproperlyConfigured, "either fields or form_class"),
            ):
                self.request(views.CreateView, **options)

    def test_a_form_view_without_a_url_to_go_to_is_named(self) -> None:
        view = EntryUpdate(success_url=None)
        view.object = StormEntry("a")
        with self.assertRaisesMessage(ImproperlyConfigured, "No URL to redirect to"):
            view.get_success_url()
