"""A site with two stores, each behind an alias, run by test_second_store in a process of its own.

Its arguments are the files of the two databases. Only the second has the room that is chosen.
"""

from __future__ import annotations

import sys

import django
from django.conf import settings
from django.test import Client
from django.urls import path
from storm.locals import Int, Reference, Unicode

first, second = sys.argv[1:]
settings.configure(
    DEBUG=True,
    SECRET_KEY="of a test",
    ALLOWED_HOSTS=["*"],
    ROOT_URLCONF=__name__,
    USE_TZ=True,
    STORM_STORES={"main": f"sqlite:{first}", "audit": f"sqlite:{second}"},
    DATABASES={
        "default": {"ENGINE": "storm_django.backend", "NAME": "main"},
        "other": {"ENGINE": "storm_django.backend", "NAME": "audit"},
    },
    MIDDLEWARE=["txmiddleware.middleware.TransactionMiddleware"],
    INSTALLED_APPS=["storm_django", "txmiddleware"],
)
django.setup()

from storm_django import get_store, views  # noqa: E402  (after the settings)
from storm_django.forms import storm_form  # noqa: E402


class Room:
    __storm_table__ = "room"

    id = Int(primary=True)
    name = Unicode(allow_none=False)


class Desk:
    __storm_table__ = "desk"
    __storm_order__ = "id"

    id = Int(primary=True)
    name = Unicode(allow_none=False)
    room_id = Int(allow_none=False)
    room = Reference(room_id, Room.id)


class DeskCreate(views.CreateView):
    model = Desk
    fields = ("name", "room")
    store_name = "audit"
    success_url = "/{id}/"


class DeskUpdate(views.UpdateView):
    model = Desk
    fields = ("name", "room")
    store_name = "audit"
    success_url = "/{id}/"


class DeskDelete(views.DeleteView):
    model = Desk
    store_name = "audit"
    success_url = "/"


urlpatterns = [
    path("add/", DeskCreate.as_view()),
    path("<pk>/", DeskUpdate.as_view()),
    path("<pk>/delete/", DeskDelete.as_view()),
]


def desks(name: str) -> list[str]:
    """The desks of a store, with their rooms."""
    store = get_store(name)
    found = [f"{desk.name} in {desk.room.name}" for desk in store.find(Desk)]
    store.commit()
    return found


def main() -> None:
    for name in ("main", "audit"):
        store = get_store(name)
        store.execute("CREATE TABLE room (id INTEGER PRIMARY KEY, name TEXT)")
        store.execute("CREATE TABLE desk (id INTEGER PRIMARY KEY, name TEXT, room_id INTEGER)")
        store.commit()
    attic, cellar = Room(), Room()
    attic.name, cellar.name = "attic", "cellar"
    store.add(attic)
    store.add(cellar)
    store.commit()
    client = Client()
    print(client.post("/add/", {"name": "first", "room": "1"}).headers["Location"])
    print(desks("main"), desks("audit"))
    print(client.post("/1/", {"name": "moved", "room": "2"}).headers["Location"])
    print(desks("main"), desks("audit"))
    print(storm_form(Desk, fields=["room"])({"room": "1"}).errors.as_json())  # main has none
    print(client.post("/1/delete/").status_code, desks("audit"))


if __name__ == "__main__":
    main()
