"""Storm classes in the admin: real pages, real users."""

from __future__ import annotations

from datetime import datetime, timezone
from decimal import Decimal
from typing import Any

from django.conf import settings
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import Permission, User
from django.contrib.contenttypes.models import ContentType
from django.core.checks import run_checks
from django.db import connection
from django.test import TestCase, TransactionTestCase, override_settings
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from storm.tracer import BaseStatementTracer, install_tracer, remove_tracer

from example_site.sprints.programme import Session, Slot
from storm_django import get_store
from storm_django.mirror import registered
from tests.storm_django.library import Book, Hall, Label, Sample, Shelf
from tests.storm_django.library_admin import other, site

BOOK = registered(Book)
SHELF = registered(Shelf)
assert BOOK is not None and SHELF is not None

VALID = {
    "title": "Emma",
    "blurb": "",
    "pages": "",
    "price": "",
    "kind": "1",
    "printed": "",
    "opens_0": "",
    "opens_1": "",
    "added_0": "",
    "added_1": "",
    "shelf": "",
}


# Without the templates of the example site, which has other URLs.
SITE = {
    "ROOT_URLCONF": "tests.storm_django.library_admin",
    "TEMPLATES": [{**settings.TEMPLATES[0], "DIRS": []}],
}


def url(name: str, *args: Any, current: str = "admin", model: str = "book") -> str:
    return reverse(f"admin:tests_storm_django_{model}_{name}", args=args, current_app=current)


def book(**values: Any) -> Book:
    found = Book()
    for name, value in {"title": "Emma", "lent": False, **values}.items():
        setattr(found, name, value)
    get_store().add(found)
    get_store().flush()
    return found


def shelf(name: str = "A") -> Shelf:
    found = get_store().add(Shelf(name))
    get_store().flush()
    return found


class Counter(BaseStatementTracer):
    """Counts Storm's statements."""

    def __init__(self) -> None:
        self.statements: list[str] = []

    def _expanded_raw_execute(self, conn: Any, raw_cursor: Any, statement: str) -> None:
        self.statements.append(statement)

    def __enter__(self) -> Counter:
        install_tracer(self)
        return self

    def __exit__(self, *exc_info: Any) -> None:
        remove_tracer(self)


class AdminMixin:
    def setUp(self) -> None:
        self.user = User.objects.create_superuser("root", password="x")
        self.client.force_login(self.user)

    def assertShown(self, response: Any, *texts: str) -> None:
        self.assertEqual(response.status_code, 200)
        for text in texts:
            self.assertContains(response, text)

    def limited(self, *actions: str) -> User:
        """Log a user in who may do no more than this with books."""
        user = User.objects.create_user("limited", password="x", is_staff=True)
        for action in actions:
            user.user_permissions.add(Permission.objects.get(codename=f"{action}_book"))
        self.client.force_login(user)
        return user

    def titles(self, response: Any) -> list[str]:
        return [row.title for row in response.context["cl"].result_list]


@override_settings(**SITE)
class ListTest(AdminMixin, TestCase):
    def test_shows_the_columns_and_the_name_that_the_class_gives(self) -> None:
        book(shelf_id=shelf("Austen").id, kind="comic")
        self.assertShown(self.client.get(url("changelist")), "Emma", "the shelf Austen", "comic")
        self.assertShown(self.client.get(url("changelist", model="shelf")), "the shelf Austen")

    def test_searches_text(self) -> None:
        book(title="Emma")
        book(title="Persuasion")
        response = self.client.get(url("changelist"), {"q": "persua"})
        self.assertEqual(self.titles(response), ["Persuasion"])

    def test_searches_across_a_reference(self) -> None:
        book(title="Emma", shelf_id=shelf("Austen").id)
        book(title="Ulysses", shelf_id=shelf("Joyce").id)
        response = self.client.get(url("changelist", current="other"), {"q": "joyce"})
        self.assertEqual(self.titles(response), ["Ulysses"])

    def test_filters_by_truth_enum_and_reference(self) -> None:
        first, second = shelf("A"), shelf("B")
        book(title="one", lent=True, kind="novel", shelf_id=first.id)
        book(title="two", lent=False, kind="comic", shelf_id=second.id)
        for query, title in [
            ({"lent__exact": "1"}, "one"),
            ({"kind__exact": "2"}, "two"),
            ({"shelf__id__exact": first.id}, "one"),
        ]:
            with self.subTest(query):
                response = self.client.get(url("changelist", current="other"), query)
                self.assertEqual(self.titles(response), [title])

    def test_orders_as_the_class_and_as_the_reader_wants(self) -> None:
        for title, pages in [("b", 1), ("c", 3), ("a", 2)]:
            book(title=title, pages=pages)
        self.assertEqual(self.titles(self.client.get(url("changelist"))), ["c", "b", "a"])
        at = site.get_model_admin(BOOK).list_display.index("pages") + 1
        response = self.client.get(url("changelist"), {"o": str(at)})
        self.assertEqual(self.titles(response), ["b", "a", "c"])

    def test_has_pages(self) -> None:
        for number in range(7):
            book(title=f"book {number}")
        self.assertEqual(len(self.titles(self.client.get(url("changelist")))), 5)
        response = self.client.get(url("changelist"), {"p": "2"})
        self.assertEqual(self.titles(response), ["book 1", "book 0"])
        self.assertContains(response, "7 books")
        self.assertEqual(len(self.titles(self.client.get(url("changelist"), {"all": ""}))), 7)

    def test_the_number_of_statements_does_not_grow_with_the_page(self) -> None:
        self.client.get(url("changelist", current="other"))
        counts = []
        for number in (2, 20):
            for index in range(number):
                book(title=f"{number} {index}", shelf_id=shelf(f"{number} {index}").id)
            get_store().flush()
            get_store().invalidate()
            with CaptureQueriesContext(connection) as django, Counter() as storm:
                response = self.client.get(url("changelist", current="other"))
            self.assertShown(response, "thin", f"{number} 1 on the shelf {number} 1")
            counts.append((len(django), len(storm.statements)))
        self.assertEqual(counts[0], counts[1])
        # The shelves to filter by, those of the page, and its books.
        self.assertEqual(counts[1][1], 3, storm.statements)

    def test_a_page_that_needs_no_storm_object_loads_none(self) -> None:
        get_store().execute("INSERT INTO library_label (code, text) VALUES ('a', 'some text')")
        with Counter() as storm:
            self.assertContains(self.client.get(url("changelist", model="label")), "some text")
        self.assertEqual([s for s in storm.statements if s.startswith("SELECT")], [])

    def test_finds_by_date_on_the_clock_of_the_wall(self) -> None:
        # Brussels is ahead of UTC: with its time zone these would be of other days and years.
        book(title="last", opens=datetime(2023, 12, 31, 23, 45))
        book(title="first", opens=datetime(2024, 1, 1, 0, 15))
        path = url("changelist", current="other")
        response = self.client.get(path, {"opens__year": "2024"})
        self.assertEqual(self.titles(response), ["first"])
        response = self.client.get(path, {"opens__year": "2023", "opens__month": "12"})
        self.assertEqual(self.titles(response), ["last"])
        response = self.client.get(path)
        self.assertContains(response, "?opens__year=2023")
        self.assertContains(response, "?opens__year=2024")
        self.assertNotContains(response, "?opens__year=2022")
        response = self.client.get(
            path, {"opens__day": "1", "opens__month": "1", "opens__year": "2024"}
        )
        self.assertEqual(self.titles(response), ["first"])

    def test_edits_in_the_list(self) -> None:
        one, two = book(title="one", kind="novel"), book(title="two", kind="novel")
        ids = [str(two.id), str(one.id)]
        data = {
            "form-TOTAL_FORMS": "2",
            "form-INITIAL_FORMS": "2",
            "form-0-id": ids[0],
            "form-0-kind": "2",
            "form-1-id": ids[1],
            "form-1-kind": "1",
            "_save": "Save",
        }
        response = self.client.post(url("changelist", current="other"), data)
        self.assertRedirects(response, url("changelist", current="other"))
        self.assertEqual((one.kind, two.kind), ("novel", "comic"))


@override_settings(**SITE)
class ChangeTest(AdminMixin, TestCase):
    def post(self, path: str, **values: Any) -> Any:
        return self.client.post(path, {**VALID, **values})

    def assertRefused(self, response: Any, **errors: list[str]) -> None:
        self.assertEqual(response.status_code, 200)
        self.assertEqual(response.context["adminform"].form.errors, errors)

    def test_adds_through_storm(self) -> None:
        Book.events.clear()
        # The hour is missing in the reader's time zone.
        response = self.post(
            url("add"),
            title=" Emma ",
            pages="12",
            price="1.50",
            lent="on",
            opens_0="2024-03-31",
            opens_1="02:30",
            added_0="2024-06-01",
            added_1="12:00",
        )
        self.assertRedirects(response, url("changelist"))
        found = get_store().find(Book).one()
        self.assertEqual((found.title, found.pages, found.kind), ("Emma", 12, "novel"))
        self.assertEqual((found.price, found.lent, found.shelf), (Decimal("1.5"), True, None))
        self.assertEqual(found.opens.replace(tzinfo=None), datetime(2024, 3, 31, 2, 30))
        self.assertEqual(found.added, datetime(2024, 6, 1, 10, tzinfo=timezone.utc))
        self.assertEqual(Book.events[:2], ["pre-flush Emma", "flushed Emma"])
        entry = LogEntry.objects.get()
        self.assertEqual(entry.object_id, str(found.id))
        self.assertEqual(entry.get_admin_url(), url("change", found.id))

    def test_adds_what_the_class_makes(self) -> None:
        self.post(url("add", current="other"), title="Emma")
        found = get_store().find(Book).one()
        self.assertEqual((found.title, found.blurb), ("Emma", "made"))

    def test_changes(self) -> None:
        found = book(blurb="old", pages=7)
        place = shelf()
        page = self.client.get(url("change", found.id))
        self.assertShown(page, 'value="Emma"', "the shelf A", 'value="7"')
        self.post(url("change", found.id), title="Emma", blurb="", pages="8", shelf=place.id)
        self.assertEqual((found.blurb, found.pages, found.shelf), (None, 8, place))

    def test_sets_only_what_has_changed(self) -> None:
        # The validator would refuse this title.
        found = book()
        get_store().execute("UPDATE library_book SET title = 'EMMA'")
        get_store().invalidate()
        response = self.post(url("change", found.id), title="EMMA", pages="5")
        self.assertEqual(response.status_code, 302)
        self.assertEqual((found.title, found.pages), ("EMMA", 5))

    def test_a_validator_of_storm_is_an_error_of_its_field(self) -> None:
        path = url("add")
        self.assertRefused(self.post(path, title="EMMA"), title=["no shouting in the title"])
        self.assertRefused(self.post(path, pages="2000"), pages=["too thick"])
        self.assertEqual(self.post(path, title="The Bible", pages="2000").status_code, 302)
        found = get_store().find(Book).one()
        response = self.post(url("change", found.id), title="WHAT", pages="2000")
        self.assertRefused(response, title=["no shouting in the title"])
        self.assertEqual(found.title, "The Bible")

    def test_what_the_database_refuses_is_an_error_of_the_form(self) -> None:
        shelf("A")
        path = url("add", model="shelf")
        response = self.client.post(path, {"name": "A"})
        self.assertEqual(response.status_code, 200)
        self.assertContains(response, "The database refused this: ")
        self.assertEqual(get_store().find(Shelf).count(), 1)
        self.assertEqual(LogEntry.objects.count(), 0)
        self.assertEqual(self.client.post(path, {"name": "B"}).status_code, 302)

    def test_a_check_in_the_database_is_an_error_of_the_form(self) -> None:
        found = book(title="The Bible", pages=1)
        response = self.post(url("change", found.id), title="The Bible", pages="6000")
        self.assertContains(response, "The database refused this: ")
        self.assertEqual(found.pages, 1)

    def test_text_that_is_too_long_is_an_error_of_the_form(self) -> None:
        if connection.vendor == "sqlite":
            self.skipTest("SQLite has no length")
        response = self.post(url("add"), title="a" * 31)
        self.assertContains(response, "The database refused this: ")

    def test_deletes_through_storm(self) -> None:
        found = book()
        self.assertShown(self.client.get(url("delete", found.id)), "Are you sure")
        response = self.client.post(url("delete", found.id), {"post": "yes"})
        self.assertRedirects(response, url("changelist"))
        self.assertEqual(get_store().find(Book).count(), 0)

    def test_does_not_delete_what_others_refer_to(self) -> None:
        place = shelf()
        book(title="Emma", shelf_id=place.id)
        path = url("delete", place.id, model="shelf")
        self.assertShown(self.client.get(path), "protected", "Book ")
        self.client.post(path, {"post": "yes"})
        self.assertEqual(get_store().find(Shelf).count(), 1)

    def test_deletes_what_is_selected(self) -> None:
        kept, *gone = (book(title=title) for title in "abc")
        data = {"action": "delete_selected", "_selected_action": [each.id for each in gone]}
        self.assertShown(self.client.post(url("changelist"), data), "Are you sure")
        response = self.client.post(url("changelist"), {**data, "post": "yes"})
        self.assertRedirects(response, url("changelist"))
        self.assertEqual(list(get_store().find(Book)), [kept])

    def test_what_the_database_does_not_let_go_is_a_message(self) -> None:
        hall, slot = Hall(), Slot(datetime(2024, 1, 1, 9), datetime(2024, 1, 1, 10))
        hall.name = "Aula"
        session = Session("Keynote", "", self.user)
        get_store().add(hall)
        get_store().add(slot)
        get_store().flush()
        session.room_id, session.slot_id = hall.id, slot.id
        get_store().add(session)
        path = url("delete", hall.id, model="hall")
        response = self.client.post(path, {"post": "yes"}, follow=True)
        self.assertEqual(response.redirect_chain, [(url("change", hall.id, model="hall"), 302)])
        self.assertContains(response, "The database refused this: ")
        data = {"action": "delete_selected", "_selected_action": [hall.id], "post": "yes"}
        response = self.client.post(url("changelist", model="hall"), data, follow=True)
        self.assertContains(response, "The database refused this: ")
        self.assertEqual(hall.name, "Aula")
        self.assertEqual(LogEntry.objects.count(), 0)

    def test_adds_a_related_object_in_a_popup(self) -> None:
        page = self.client.get(url("add"))
        self.assertContains(page, "add_id_shelf")
        path = url("add", model="shelf") + "?_popup=1&_to_field=id"
        self.assertShown(self.client.get(path), 'name="_popup"')
        response = self.client.post(path, {"name": "A", "_popup": "1", "_to_field": "id"})
        found = get_store().find(Shelf).one()
        self.assertShown(response, f"&quot;{found.id}&quot;", "the shelf A")

    def test_completes_a_related_object(self) -> None:
        place = shelf("Austen")
        query = {
            "term": "aus",
            "app_label": "tests_storm_django",
            "model_name": "book",
            "field_name": "shelf",
        }
        response = self.client.get(reverse("admin:autocomplete", current_app="other"), query)
        self.assertEqual(
            response.json()["results"], [{"id": str(place.id), "text": "the shelf Austen"}]
        )

    def test_has_a_history(self) -> None:
        found = book()
        self.post(url("change", found.id), title="Emma, again")
        self.assertShown(
            self.client.get(url("history", found.id)), "Changed Title and Kind.", "root"
        )
        self.assertContains(self.client.get(reverse("admin:index")), url("change", found.id))

    def test_edits_inline(self) -> None:
        place = shelf()
        kept, gone = book(title="kept", shelf_id=place.id), book(title="gone", shelf_id=place.id)
        path = url("change", place.id, model="shelf", current="other")
        self.assertShown(self.client.get(path), 'value="kept"', 'value="gone"')
        data = {
            "name": "A",
            "book_shelf_set-TOTAL_FORMS": "3",
            "book_shelf_set-INITIAL_FORMS": "2",
            "book_shelf_set-0-id": kept.id,
            "book_shelf_set-0-shelf": place.id,
            "book_shelf_set-0-title": "KEPT",
            "book_shelf_set-1-id": gone.id,
            "book_shelf_set-1-shelf": place.id,
            "book_shelf_set-1-title": "gone",
            "book_shelf_set-1-DELETE": "on",
            "book_shelf_set-2-shelf": place.id,
            "book_shelf_set-2-title": "new",
        }
        self.assertContains(self.client.post(path, data), "no shouting in the title")
        response = self.client.post(path, {**data, "book_shelf_set-0-title": "changed"})
        self.assertEqual(response.status_code, 302)
        self.assertEqual({each.title for each in get_store().find(Book)}, {"changed", "new"})
        data["book_shelf_set-INITIAL_FORMS"] = data["book_shelf_set-TOTAL_FORMS"] = "1"
        data["book_shelf_set-0-title"] = "x" * 31
        response = self.client.post(path, data)
        if connection.vendor != "sqlite":  # which has no length
            self.assertContains(response, "The database refused this: ")

    def test_shows_all_types(self) -> None:
        made = Sample()
        made.odd, made.pickled, made.word = "abc", [1], "yes"
        get_store().add(made)
        get_store().flush()
        self.assertShown(self.client.get(url("changelist", model="sample")), "yes")
        self.assertShown(self.client.get(url("change", made.id, model="sample")), "yes")

    def test_microseconds_stay(self) -> None:
        moment = datetime(2024, 6, 1, 10, 0, 7, 123456)
        found = book(opens=moment, added=moment.replace(tzinfo=timezone.utc))
        form = self.client.get(url("change", found.id)).context["adminform"].form
        data = {
            f"{name}_{part}": text
            for name in ("opens", "added")
            for part, text in enumerate(form[name].subwidgets[0].data["subwidgets"])
        }
        data = {name: each["value"] for name, each in data.items()}
        self.post(url("change", found.id), title="Emma", pages="3", **data)
        self.assertEqual(found.pages, 3)
        self.assertEqual(found.opens.replace(tzinfo=None), moment)
        self.assertEqual(found.added, moment.replace(tzinfo=timezone.utc))

    def test_two_people_on_one_row(self) -> None:
        found = book(pages=1)
        self.client.get(url("change", found.id))
        found.blurb = "from elsewhere"
        self.post(url("change", found.id), title="Emma", blurb="from elsewhere", pages="2")
        self.assertEqual((found.pages, found.blurb), (2, "from elsewhere"))

    def test_a_row_that_is_gone(self) -> None:
        found = book()
        get_store().remove(found)
        response = self.post(url("change", found.id))
        self.assertRedirects(response, reverse("admin:index"))
        self.assertEqual(get_store().find(Book).count(), 0)

    def test_a_key_that_people_type(self) -> None:
        self.client.post(url("add", model="label"), {"code": "a/b", "text": "x"})
        found = get_store().get(Label, "a/b")
        self.assertEqual(found.text, "x")
        path = url("change", "a_2Fb", model="label")
        self.assertNotContains(self.client.get(path), 'name="code"')
        self.client.post(path, {"code": "other", "text": "y"})
        self.assertEqual(
            [(each.code, each.text) for each in get_store().find(Label)], [("a/b", "y")]
        )
        response = self.client.post(url("add", model="label"), {"code": "a/b", "text": "z"})
        self.assertRefused(response, code=["Label with this Code already exists."])


@override_settings(**SITE)
class PermissionTest(AdminMixin, TestCase):
    def test_each_class_has_its_permissions(self) -> None:
        kind = ContentType.objects.get_for_model(BOOK)
        found = Permission.objects.filter(content_type=kind).values_list("codename", flat=True)
        self.assertEqual(
            set(found), {f"{verb}_book" for verb in ("add", "change", "delete", "view")}
        )

    def test_without_one_there_is_nothing(self) -> None:
        found = book()
        self.limited()
        self.assertNotContains(self.client.get(reverse("admin:index")), "Books")
        for path in [
            url("changelist"),
            url("add"),
            url("change", found.id),
            url("delete", found.id),
            url("history", found.id),
        ]:
            with self.subTest(path):
                self.assertEqual(self.client.get(path).status_code, 403)
                self.assertEqual(self.client.post(path, {**VALID, "post": "yes"}).status_code, 403)
        self.assertEqual(found.title, "Emma")

    def test_who_may_view_may_no_more(self) -> None:
        found = book()
        self.limited("view")
        self.assertContains(self.client.get(reverse("admin:index")), "Books")
        self.assertShown(self.client.get(url("changelist")), "Emma")
        page = self.client.get(url("change", found.id))
        self.assertShown(page, "Emma")
        self.assertNotContains(page, 'name="_save"')
        self.assertEqual(self.client.post(url("change", found.id), VALID).status_code, 403)
        self.assertEqual(self.client.get(url("add")).status_code, 403)
        self.assertEqual(self.client.get(url("delete", found.id)).status_code, 403)

    def test_who_may_change_may_not_delete(self) -> None:
        found = book()
        self.limited("change")
        response = self.client.post(url("change", found.id), {**VALID, "title": "changed"})
        self.assertEqual(response.status_code, 302)
        self.assertEqual(found.title, "changed")
        self.assertEqual(
            self.client.post(url("delete", found.id), {"post": "yes"}).status_code, 403
        )
        data = {"action": "delete_selected", "_selected_action": [found.id], "post": "yes"}
        self.client.post(url("changelist"), data)
        self.assertEqual(get_store().find(Book).count(), 1)


@override_settings(**SITE)
class TransactionTest(AdminMixin, TransactionTestCase):
    def test_a_failure_after_the_save_leaves_nothing(self) -> None:
        model_admin = site.get_model_admin(BOOK)

        def fail(*args: Any) -> None:
            raise ZeroDivisionError

        model_admin.log_addition = fail
        self.addCleanup(vars(model_admin).pop, "log_addition")
        with self.assertRaises(ZeroDivisionError):
            self.client.post(url("add"), VALID)
        self.assertEqual(get_store().find(Book).count(), 0)
        get_store().rollback()

    def test_what_was_refused_leaves_nothing_and_the_rest_is_committed(self) -> None:
        for name in ("A", "A", "B"):
            self.client.post(url("add", model="shelf"), {"name": name})
        store = get_store()
        self.assertEqual([each.name for each in store.find(Shelf)], ["A", "B"])
        store.rollback()
        self.assertEqual(LogEntry.objects.count(), 2)

    @override_settings(
        MIDDLEWARE=[
            "django.contrib.sessions.middleware.SessionMiddleware",
            "django.contrib.auth.middleware.AuthenticationMiddleware",
            "django.contrib.messages.middleware.MessageMiddleware",
        ]
    )
    def test_without_the_middleware_each_view_is_a_transaction(self) -> None:
        for name in ("A", "A", "B"):
            self.client.post(url("add", model="shelf"), {"name": name})
        store = get_store()
        self.assertEqual([each.name for each in store.find(Shelf)], ["A", "B"])
        store.rollback()


class CheckTest(TestCase):
    def test_the_checks_of_django_have_nothing_to_say(self) -> None:
        self.assertEqual([found for found in run_checks() if not found.is_silenced()], [])
        self.assertEqual(site.check(None) + other.check(None), [])
