"""A site on psycopg 3 and Django's own engine, in a process of its own; it prints what it found.

The process has no Storm, which needs psycopg2 and so can't be where psycopg 3 is.
"""

from __future__ import annotations

import json
import logging
import os
import sys
import threading
from contextlib import suppress
from typing import Any

import django
from django.conf import settings

DATABASE = json.loads(sys.argv[1])
POOL = {"min_size": 1, "max_size": 1}
NOWHERE = {"HOST": "127.0.0.1", "PORT": "1"}

settings.configure(
    SECRET_KEY="of a test",
    ALLOWED_HOSTS=["testserver"],
    DATABASES={
        "default": DATABASE,
        "pooled": DATABASE | {"OPTIONS": {"pool": POOL}},
        "nowhere": DATABASE | NOWHERE,
    },
    INSTALLED_APPS=["txmiddleware"],
    MIDDLEWARE=["txmiddleware.middleware.TransactionMiddleware"],
    ROOT_URLCONF=__name__,
    TX_TIMEOUT=1,
)
django.setup()
logging.disable(logging.CRITICAL)

from django.db import DatabaseError, connection, connections, models  # noqa: E402
from django.db.backends.postgresql.psycopg_any import IsolationLevel, is_psycopg3  # noqa: E402
from django.http import HttpRequest, HttpResponse  # noqa: E402
from django.test import Client, override_settings  # noqa: E402
from django.urls import path  # noqa: E402


class Entry(models.Model):
    """A row."""

    name = models.CharField(max_length=40)

    class Meta:
        app_label = "site"

    def __str__(self) -> str:
        return self.name


tries: list[int] = []


def execute(sql: str, alias: str = "default") -> Any:
    with connections[alias].cursor() as cursor:
        cursor.execute(sql)
        return cursor.fetchone()[0]


def work(name: str, number: int) -> None:
    """What a request does after it has written a row; ``number`` is that of the attempt."""
    match name:
        case "slow":
            execute("SELECT pg_sleep(60)")
        case "slow, caught":
            with suppress(DatabaseError):
                execute("SELECT pg_sleep(60)")
        case "killed" if number == 1:
            pid = execute("SELECT pg_backend_pid()")
            other = connection.copy()
            with other.cursor() as cursor:
                cursor.execute("SELECT pg_terminate_backend(%s)", [pid])
            other.close()
            try:
                execute("SELECT 1")
            except DatabaseError:
                execute("SELECT 1")  # of which the driver knows without the server
        case "refused":
            execute("SELECT 1", "nowhere")
        case "clash" if number == 1:
            Entry.objects.bulk_create([Entry(id=-1), Entry(id=-1)])


def view(request: HttpRequest, name: str) -> HttpResponse:
    tries.append(request.tx_attempt)  # type: ignore[attr-defined]
    Entry.objects.create(name=name)
    work(name, tries[-1])
    return HttpResponse("done")


def pooled(request: HttpRequest) -> HttpResponse:
    return HttpResponse(execute("SHOW statement_timeout", "pooled"))


urlpatterns = [path("pooled/", pooled), path("<name>/", view)]
client = Client(raise_request_exception=False)


def outcome(name: str, timeout: float | None = None) -> list[Any]:
    """The status, the number of tries and the number of rows that were kept."""
    tries.clear()
    with override_settings(TX_TIMEOUT=timeout):
        status = client.post(f"/{name}/").status_code
    kept = Entry.objects.count()
    Entry.objects.all().delete()
    return [status, len(tries), kept]


def in_thread(call: Any) -> Any:
    """What ``call()`` returns in a thread of its own."""
    found = []

    def run() -> None:
        found.append(call())
        connections.close_all()

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    return found[0]


def limits_in_pool(usual: str) -> list[bool]:
    """Whether the limit of the pool's one session is the usual one in a request, and afterwards."""
    inside = in_thread(lambda: client.get("/pooled/").content.decode())
    after = in_thread(lambda: execute("SHOW statement_timeout", "pooled"))
    return [inside == usual, after == usual]


def clash(level: int | None) -> list[Any]:
    connection.close()
    connection.settings_dict["OPTIONS"] = {} if level is None else {"isolation_level": level}
    return outcome("clash")


def main() -> None:
    assert is_psycopg3
    with connection.schema_editor() as editor:
        editor.create_model(Entry)
    try:
        found = {
            "fine": outcome("fine"),
            "slow": outcome("slow", 0.3),
            "slow, caught": outcome("slow, caught", 0.3),
            "killed": outcome("killed"),
            "refused": outcome("refused"),
            "pool": limits_in_pool(execute("SHOW statement_timeout")),
            "clash": clash(None),
            "clash, read committed": clash(IsolationLevel.READ_COMMITTED),
            "clash, serializable": clash(IsolationLevel.SERIALIZABLE),
        }
    finally:
        with connection.schema_editor() as editor:
            editor.delete_model(Entry)
    connections.close_all()
    print(json.dumps(found))
    sys.stdout.flush()
    os._exit(0)  # the pool's threads have no end


if __name__ == "__main__":
    main()
