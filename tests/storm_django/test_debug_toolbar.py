"""The panel of django-debug-toolbar, in a request that uses both ORMs."""

from __future__ import annotations

import unittest
from importlib import import_module
from importlib.util import find_spec
from typing import Any

from django.db import connections
from django.http import HttpRequest, HttpResponse
from django.test import TransactionTestCase, modify_settings, override_settings
from django.test.utils import CaptureQueriesContext
from django.urls import include, path

from storm_django import get_store
from tests.storm_django.models import Entry, StormEntry


def view(request: HttpRequest) -> HttpResponse:
    """Django, then Storm, then Django with a flush of Storm's before."""
    Entry.objects.create(name="django's")
    entry = get_store().find(StormEntry, name="django's").one()
    entry.name = "storm's"
    return HttpResponse(f"<body>{Entry.objects.get().name}</body>", content_type="text/html")


EXPECTED = ["INSERT", "SELECT", "UPDATE", "SELECT"]


def show(request: HttpRequest) -> bool:
    return True


@unittest.skipUnless(find_spec("debug_toolbar"), "django-debug-toolbar is not installed")
@modify_settings(INSTALLED_APPS={"append": "debug_toolbar"})
@override_settings(
    MIDDLEWARE=[
        "debug_toolbar.middleware.DebugToolbarMiddleware",
        "txmiddleware.middleware.TransactionMiddleware",
    ],
    DEBUG_TOOLBAR_CONFIG={
        "SHOW_TOOLBAR_CALLBACK": f"{__name__}.show",
        "IS_RUNNING_TESTS": False,
        "TOOLBAR_STORE_CLASS": "debug_toolbar.store.MemoryStore",
    },
)
class ToolbarTest(TransactionTestCase):
    def queries(self, name: str, **settings: Any) -> list[dict[str, Any]]:
        """What the SQL panel keeps of one request, but for the begin and the end of it."""
        toolbar = import_module("debug_toolbar.toolbar").DebugToolbar
        toolbar._panel_classes = None  # of another test
        self.addCleanup(self.take_off_toolbar)
        with override_settings(DEBUG_TOOLBAR_PANELS=[name], **settings):
            urls = (
                path("", view),
                path("__debug__/", include(("debug_toolbar.urls", "djdt"), namespace="djdt")),
            )
            with override_settings(ROOT_URLCONF=urls):
                response = self.client.get("/")
            (*_, latest) = import_module("debug_toolbar.store").get_store().request_ids()
            panel = toolbar.fetch(latest, "SQLPanel").get_panel_by_id("SQLPanel")
            found = panel.get_stats()["queries"]
        self.assertIn("storm's", response.content.decode())
        return [query for query in found if query["sql"] != "BEGIN"]

    def take_off_toolbar(self) -> None:
        for name in ("cursor", "chunked_cursor", "_djdt_cursor", "_djdt_chunked_cursor"):
            vars(connections["default"]).pop(name, None)

    def test_its_own_panel_shows_both_in_order(self) -> None:
        for settings in ({"DEBUG": False}, {"DEBUG": True}):
            Entry.objects.all().delete()
            with self.subTest(settings):
                found = self.queries("debug_toolbar.panels.sql.SQLPanel", **settings)
                self.assertEqual([query["sql"].split()[0] for query in found], EXPECTED)

    def test_our_panel_marks_storms(self) -> None:
        found = self.queries("storm_django.debug_toolbar.SQLPanel")
        marked = [query["sql"].startswith("/* Storm */ ") for query in found]
        self.assertEqual(marked, [False, True, True, False])
        self.assertEqual([query["raw_sql"].split()[0] for query in found], EXPECTED)
        self.assertRegex(found[2]["sql"], r"name='storm(''|\\')s'")

    def test_a_statement_before_the_toolbar_leaves_no_mark(self) -> None:
        with CaptureQueriesContext(connections["default"]):
            get_store().execute("SELECT 1")
            get_store().rollback()
        self.assertFalse(self.queries("storm_django.debug_toolbar.SQLPanel")[0]["sql"][0] == "/")

    def test_a_statement_in_the_log_too_is_there_once_in_each(self) -> None:
        connection = connections["default"]
        connection.force_debug_cursor = True
        self.addCleanup(setattr, connection, "force_debug_cursor", False)
        connection.queries_log.clear()
        found = self.queries("storm_django.debug_toolbar.SQLPanel")
        self.assertEqual(len(found), 4)
