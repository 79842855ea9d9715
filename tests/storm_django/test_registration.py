"""What can be registered in the admin, with what, and what the checks say of the rest."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any
from unittest import mock

from django.apps import apps
from django.contrib.admin import AdminSite
from django.contrib.admin.exceptions import AlreadyRegistered
from django.core.exceptions import ImproperlyConfigured
from django.db import connections
from django.test import SimpleTestCase, TransactionTestCase, override_settings, tag
from storm.locals import Int, Reference, Unicode

from storm_django import get_store
from storm_django.admin import StormAdmin, check_apps, check_references, register
from storm_django.mirror import mirror_of, registered
from tests.storm_django.aliases import extra_alias
from tests.storm_django.library import Book, Label, Shelf
from tests.storm_django.library_admin import other, site

LABEL = "tests_storm_django"


def made(class_name: str, **attributes: Any) -> Any:
    """A Storm class of this app, of which the registry has none of that name."""
    found = {"__storm_table__": class_name.lower(), "id": Int(primary=True), "__module__": __name__}
    return type(class_name, (), {**found, **attributes})


class Forgotten:
    """A test case that leaves no model of its own in the registry."""

    def setUp(self) -> None:
        models = apps.all_models[LABEL]
        before = dict(models)
        from storm_django.mirror import _mirrors

        mirrors = dict(_mirrors)

        def forget() -> None:
            models.clear()
            models.update(before)
            _mirrors.clear()
            _mirrors.update(mirrors)
            apps.clear_cache()

        self.addCleanup(forget)
        self.site = AdminSite(name="tried")


class RegisterTest(Forgotten, SimpleTestCase):
    def admin_of(self, storm_class: Any) -> Any:
        return self.site.get_model_admin(registered(storm_class))

    def test_one_line_is_enough(self) -> None:
        cls = made("Elk", name=Unicode(), age=Int())
        register(cls, site=self.site)
        found = self.admin_of(cls)
        self.assertIsInstance(found, StormAdmin)
        self.assertEqual(found.list_display, ["id", "name", "age"])
        self.assertEqual(found.search_fields, ["name"])
        self.assertEqual(registered(cls)._meta.label, f"{LABEL}.Elk")

    def test_goes_to_the_default_site(self) -> None:
        from django.contrib import admin

        cls = made("Elk")
        register(cls)
        self.addCleanup(admin.site.unregister, registered(cls))
        self.assertTrue(admin.site.is_registered(registered(cls)))

    def test_takes_the_options_of_a_model_admin(self) -> None:
        cls = made("Elk", name=Unicode())
        register(cls, site=self.site, list_display=["name"], list_per_page=7)
        self.assertEqual(self.admin_of(cls).list_display, ["name"])
        self.assertEqual(self.admin_of(cls).list_per_page, 7)
        self.assertEqual(self.admin_of(cls).search_fields, ["name"])

    def test_decorates_a_class(self) -> None:
        cls = made("Elk", name=Unicode())

        @register(cls, site=self.site, columns={"name": {"max_length": 3}})
        class ElkAdmin(StormAdmin):
            search_fields = ["id"]

        self.assertIsInstance(self.admin_of(cls), ElkAdmin)
        self.assertEqual(self.admin_of(cls).search_fields, ["id"])
        self.assertEqual(registered(cls)._meta.get_field("name").max_length, 3)

    def test_on_two_sites_it_is_one_model(self) -> None:
        self.assertTrue(
            site.is_registered(registered(Book)) and other.is_registered(registered(Book))
        )
        with self.assertRaises(AlreadyRegistered):
            register(Label, site=site)

    def test_options_of_one_class_are_not_for_several(self) -> None:
        with self.assertRaisesMessage(TypeError, "register each by itself"):
            register(made("Elk"), made("Doe"), site=self.site, meta={"verbose_name": "x"})

    def test_classes_of_one_call_refer_to_each_other(self) -> None:
        herd = made("Herd")
        elk = made("Elk", herd_id=Int(), mate_id=Int())
        elk.herd = Reference(elk.herd_id, herd.id)
        elk.mate = Reference(elk.mate_id, elk.id)
        register(elk, herd, site=self.site)
        names = {field.name: field.related_model for field in registered(elk)._meta.concrete_fields}
        self.assertEqual(names, {"id": None, "herd": registered(herd), "mate": registered(elk)})
        self.assertEqual(check_references(), [])

    def test_a_class_outside_of_all_apps_needs_a_label(self) -> None:
        cls = made("Elk", __module__="nowhere")
        with self.assertRaisesMessage(ImproperlyConfigured, "give an app_label"):
            register(cls, site=self.site)
        register(cls, site=self.site, app_label=LABEL)
        self.assertEqual(registered(cls)._meta.app_label, LABEL)

    def test_what_can_not_be_registered_says_why(self) -> None:
        for cls, message in [
            (made("Entry"), "has a model Entry already"),
            (made("Pair", __storm_primary__=("id", "b"), b=Int()), "primary key of Pair is b, id"),
        ]:
            with self.assertRaisesMessage(ImproperlyConfigured, message):
                register(cls, site=self.site)


class CheckTest(Forgotten, SimpleTestCase):
    def test_a_reference_to_a_class_that_comes_later(self) -> None:
        herd = made("Herd")
        elk = made("Elk", herd_id=Int())
        elk.herd = Reference(elk.herd_id, herd.id)
        register(elk, site=self.site)
        self.assertEqual(check_references(), [])
        register(herd, site=self.site)
        (warning,) = check_references()
        self.assertEqual(warning.id, "storm_django.W020")
        self.assertIn("Elk was registered in the admin before Herd", warning.msg)

    def test_a_reference_that_is_to_be_a_column_is_none(self) -> None:
        herd = made("Herd")
        elk = made("Elk", herd_id=Int())
        elk.herd = Reference(elk.herd_id, herd.id)
        register(elk, site=self.site, columns={"herd_id": {"help_text": "a number"}})
        register(herd, site=self.site)
        self.assertEqual(check_references(), [])

    def test_an_app_without_models(self) -> None:
        self.assertEqual(check_apps(), [])
        config: Any = apps.get_app_config(LABEL)
        with mock.patch.object(config, "models_module", None):
            (warning,) = check_apps()
        self.assertEqual(warning.id, "storm_django.W021")
        self.assertIn("tests.storm_django", warning.hint or "")


@tag("once")
class StoreTest(Forgotten, TransactionTestCase):
    """A class in a store that is not that of the default alias."""

    databases = "__all__"

    @classmethod
    def setUpClass(cls) -> None:
        folder = cls.enterClassContext(tempfile.TemporaryDirectory())
        cls.enterClassContext(extra_alias("annex", f"sqlite:{Path(folder, 'annex.sqlite3')}"))
        super().setUpClass()

    def test_without_a_router_it_is_a_clear_error(self) -> None:
        with self.assertRaisesMessage(ImproperlyConfigured, "StormRouter"):
            mirror_of(made("Elk"), store="annex")

    @override_settings(DATABASE_ROUTERS=["storm_django.routers.StormRouter"])
    def test_is_read_and_written_there(self) -> None:
        cls = made("Elk", name=Unicode())
        with connections["annex"].cursor() as cursor:
            cursor.execute("CREATE TABLE elk (id INTEGER PRIMARY KEY, name TEXT)")
        mirror: Any = mirror_of(cls, store="annex")
        row = mirror.objects.create(name="a")
        self.assertEqual(row._state.db, "annex")
        self.assertEqual(get_store("annex").find(cls).one().name, "a")
        get_store("annex").rollback()
        found = mirror.objects.get()
        found.name = "b"
        found.save()
        self.assertEqual(mirror.objects.get().storm_object.name, "b")
        get_store("annex").rollback()
        self.assertEqual(mirror.objects.all().delete()[0], 1)
        self.assertEqual(mirror.objects.count(), 0)
        self.assertEqual(mirror_of(Shelf).objects.db, "default")
