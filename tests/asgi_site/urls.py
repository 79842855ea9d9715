"""Each view writes one row through each ORM."""

from asgiref.sync import sync_to_async
from django.db import connection
from django.http import HttpRequest, HttpResponse
from django.urls import path

from storm_django import get_store

TABLE = "asgi_row"


def write() -> None:
    get_store().execute(f"INSERT INTO {TABLE} (name) VALUES ('storm')", noresult=True)
    with connection.cursor() as cursor:
        cursor.execute(f"INSERT INTO {TABLE} (name) VALUES ('django')")


def sync_view(request: HttpRequest) -> HttpResponse:
    write()
    return HttpResponse("done")


async def async_view(request: HttpRequest) -> HttpResponse:
    await sync_to_async(write)()
    return HttpResponse("done")


def failing_view(request: HttpRequest) -> HttpResponse:
    write()
    return HttpResponse("failed", status=500)


urlpatterns = [
    path("sync/", sync_view),
    path("async/", async_view),
    path("failing/", failing_view),
]
