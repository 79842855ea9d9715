"""A site with one way to make requests transactions, for ``benchmarks.transactions``.

It reads a JSON array from each line of its standard input, the name of a method of ``Site`` and
its arguments, and writes what that returns as a line of JSON.
"""

from __future__ import annotations

import cProfile
import json
import pstats
import sys
import time
from typing import Any

from storm.locals import Int, Store, Unicode, create_database
from storm.uri import URI

from benchmarks.stock import isolated_alike, stock_database

TABLE = "benchmark_request_row"
MIDDLEWARE = ["txmiddleware.middleware.TransactionMiddleware"]


def settings_of(kind: str, uri: str) -> dict[str, Any]:
    """The settings of ``store`` or ``stock``, under the middleware, or of ``ATOMIC_REQUESTS``."""
    if kind == "store":
        return {
            "INSTALLED_APPS": ["storm_django", "txmiddleware"],
            "STORM_STORES": {"main": str(isolated_alike(URI(uri)))},
            "DATABASES": {
                "default": {"ENGINE": "storm_django.backend", "NAME": "main", "CONN_MAX_AGE": None}
            },
            "MIDDLEWARE": MIDDLEWARE,
        }
    database = stock_database(URI(uri)) | {"ATOMIC_REQUESTS": kind != "stock"}
    return {
        "INSTALLED_APPS": ["txmiddleware"] if kind == "stock" else [],
        "DATABASES": {"default": database},
        "MIDDLEWARE": MIDDLEWARE if kind == "stock" else [],
    }


class Site:
    """The views, behind Django's WSGI handler."""

    def __init__(self, kind: str, uri: str) -> None:
        import django
        from django.conf import settings

        settings.configure(
            SECRET_KEY="of a benchmark",
            ALLOWED_HOSTS=["testserver"],
            ROOT_URLCONF=sys.modules[__name__],
            USE_TZ=True,
            **settings_of(kind, uri),
        )
        django.setup()
        from django.core.handlers.wsgi import WSGIHandler
        from django.db import models
        from django.http import HttpRequest, HttpResponse
        from django.test import RequestFactory
        from django.urls import path

        class Row(models.Model):
            name = models.CharField(max_length=40)

            class Meta:
                app_label = "benchmarks"
                db_table = TABLE

            def __str__(self) -> str:
                return self.name

        def create() -> None:
            Row.objects.create(name="new")

        class StormRow:
            __storm_table__ = TABLE
            id = Int(primary=True)
            name = Unicode()

        if kind == "store":
            from storm_django import get_store
        else:
            own = Store(create_database(uri))

            def get_store() -> Store:
                return own

        def add() -> None:
            row = StormRow()
            row.name = "new"
            get_store().add(row)

        def nothing(request: HttpRequest) -> HttpResponse:
            return HttpResponse("done")

        def read(request: HttpRequest) -> HttpResponse:
            return HttpResponse(Row.objects.get(pk=1).name)

        def write(request: HttpRequest) -> HttpResponse:
            for _ in range(5):
                create()
            return HttpResponse("done")

        def both(request: HttpRequest) -> HttpResponse:
            for way in (create, add, create, add, create):
                way()
            if kind != "store":
                get_store().commit()  # a second connection, with a transaction of its own
            return HttpResponse("done")

        views = {"nothing": nothing, "read": read, "write": write, "both": both}
        global urlpatterns
        urlpatterns = [path(f"{name}/", view) for name, view in views.items()]
        self.model = Row
        self.application = WSGIHandler()
        self.factory = RequestFactory()

    def make_table(self) -> None:
        """Make the table, with one row."""
        from django.db import connection

        with connection.schema_editor() as editor:
            if TABLE in connection.introspection.table_names():
                editor.delete_model(self.model)
            editor.create_model(self.model)
        self.model.objects.create(pk=1, name="first")
        if connection.vendor == "postgresql":
            with connection.cursor() as cursor:
                cursor.execute(f"SELECT setval(pg_get_serial_sequence('{TABLE}', 'id'), 10)")

    def handle(self, name: str) -> None:
        """Be the server for one request."""
        method = self.factory.get if name in ("nothing", "read") else self.factory.post
        environ = method(f"/{name}/").environ
        start = time.perf_counter()
        response = self.application(environ, lambda status, headers: None)
        b"".join(response)
        response.close()
        self.seconds = time.perf_counter() - start
        assert response.status_code == 200, response.content

    def run(self, name: str, number: int) -> float:
        """The seconds that ``number`` requests take."""
        total = 0.0
        for _ in range(number):
            self.handle(name)
            total += self.seconds
        return total

    def calls(self, name: str) -> int:
        """How many Python calls a request makes."""
        return int(self.profile(name).total_calls)  # type: ignore[attr-defined]

    def profile(self, name: str) -> pstats.Stats:
        method = self.factory.get if name in ("nothing", "read") else self.factory.post
        environ = method(f"/{name}/").environ
        profile = cProfile.Profile()
        profile.enable()
        response = self.application(environ, lambda status, headers: None)
        b"".join(response)
        response.close()
        profile.disable()
        return pstats.Stats(profile)

    def show(self, name: str) -> str:
        """Which functions a request calls, and how often."""
        import io

        stats = self.profile(name)
        stats.stream = io.StringIO()  # type: ignore[attr-defined]
        stats.sort_stats("ncalls").print_stats(80)
        found: str = stats.stream.getvalue()  # type: ignore[attr-defined]
        return found


def main() -> None:
    kind, uri = sys.argv[1:]
    site = Site(kind, uri)
    print(json.dumps("ready"), flush=True)
    for line in sys.stdin:
        name, *arguments = json.loads(line)
        print(json.dumps(getattr(site, name)(*arguments)), flush=True)


if __name__ == "__main__":
    main()
