"""Requests at the same time on the same counters: each 200 counts exactly once, all else never.

CONCURRENCY_REQUESTS is their number; SQLite, which lets one write at a time, gets a tenth.
"""

from __future__ import annotations

import asyncio
import collections
import logging
import os
import random
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import transaction
from asgiref.sync import sync_to_async
from django.core.handlers.asgi import ASGIHandler
from django.core.handlers.wsgi import WSGIHandler
from django.db import connection, connections
from django.db.models import F
from django.http import Http404, HttpRequest, HttpResponse
from django.test import RequestFactory, TransactionTestCase, override_settings
from django.urls import path

from storm_django import get_store
from tests.storm_django.models import Entry, StormEntry
from tests.txmiddleware.asgi import Exchange
from txmiddleware import is_managed

REQUESTS = int(os.environ.get("CONCURRENCY_REQUESTS", "300"))
WORKERS = 16
if connection.vendor == "sqlite":
    REQUESTS, WORKERS = max(REQUESTS // 10, 1), 4
COUNTERS = range(1, 7)
NAMES_OF_LEVEL = ("transaction_isolation", "tx_isolation")


class Oops(Exception):
    """An error of the application."""


def add_with_django(counter: int) -> None:
    """One more, in a statement that waits for whoever has the row."""
    Entry.objects.filter(id=counter).update(position=F("position") + 1)


def add_with_storm(counter: int) -> None:
    get_store().find(StormEntry, id=counter).set(position=StormEntry.position + 1)


def add_to_a_django_object(counter: int) -> None:
    """One more than what was read: right only if the database finds lost updates."""
    entry = Entry.objects.get(id=counter)
    entry.position += 1
    entry.save()


def add_to_a_storm_object(counter: int) -> None:
    get_store().find(StormEntry, id=counter).one().position += 1


WAYS: dict[str, Callable[[int], None]] = {
    "django": add_with_django,
    "storm": add_with_storm,
}
if connection.vendor != "mysql":  # InnoDB's repeatable read loses them, unless told otherwise
    WAYS["django-object"] = add_to_a_django_object
    WAYS["storm-object"] = add_to_a_storm_object
OUTCOMES = ["200"] * 7 + ["503", "404", "error"]

attempts: collections.Counter[int] = collections.Counter()


def answer(request: Any, outcome: str) -> HttpResponse:
    attempts[request.tx_attempt] += 1
    if outcome == "error":
        raise Oops
    if outcome == "404":
        raise Http404
    return HttpResponse(status=int(outcome))


def view(request: HttpRequest, jobs: str, outcome: str) -> HttpResponse:
    """Do jobs like ``django:1,storm:3``, then answer or fail."""
    for way, counter in parsed(jobs):
        WAYS[way](counter)
    return answer(request, outcome)


async def async_view(request: HttpRequest, jobs: str, outcome: str) -> HttpResponse:
    for way, counter in parsed(jobs):
        if way == "django-object":
            entry = await Entry.objects.aget(id=counter)
            entry.position += 1
            await entry.asave()
        else:
            await sync_to_async(WAYS[way])(counter)
    return answer(request, outcome)


def parsed(jobs: str) -> Iterator[tuple[str, int]]:
    for job in jobs.split(","):
        way, counter = job.split(":")
        yield way, int(counter)


urlpatterns = [
    path("sync/<jobs>/<outcome>/", view),
    path("async/<jobs>/<outcome>/", async_view),
]


def handler404(request: HttpRequest, exception: Exception) -> HttpResponse:
    return HttpResponse(status=404)


def requests(number: int, seed: int) -> list[str]:
    """Paths: two counters in random order, each through either ORM, and how it shall end."""
    random_ = random.Random(seed)
    found = []
    for _ in range(number):
        counters = random_.sample(COUNTERS, 2)
        if connection.vendor == "postgresql" and random_.random() < 0.98:
            counters.sort()  # a deadlock takes it a second to notice
        jobs = ",".join(f"{random_.choice(list(WAYS))}:{counter}" for counter in counters)
        kind = random_.choice(["sync", "async"])
        found.append(f"/{kind}/{jobs}/{random_.choice(OUTCOMES)}/")
    return found


@override_settings(
    ROOT_URLCONF=__name__,
    MIDDLEWARE=["txmiddleware.middleware.TransactionMiddleware"],
    TX_ATTEMPTS=4,
)
class CountingTest(TransactionTestCase):
    def setUp(self) -> None:
        attempts.clear()
        Entry.objects.bulk_create(Entry(id=number, name="counter") for number in COUNTERS)
        logging.disable(logging.CRITICAL)
        self.addCleanup(logging.disable, logging.NOTSET)
        level = connection.settings_dict["OPTIONS"].get("isolation_level")
        if connection.vendor == "postgresql":
            self.assertEqual(level, 2)  # repeatable read
        elif connection.vendor == "mysql":
            with connection.cursor() as cursor:
                # MySQL's name for it, and MariaDB's.
                cursor.execute("SHOW VARIABLES WHERE Variable_name IN (%s, %s)", NAMES_OF_LEVEL)
                self.assertEqual({level for _, level in cursor.fetchall()}, {"REPEATABLE-READ"})
        self.requests = requests(REQUESTS, seed=REQUESTS)
        connection.close()

    def check(self, statuses: list[int | None]) -> None:
        """Each counter is what the responses that said 200 have made of it."""
        expected = collections.Counter(dict.fromkeys(COUNTERS, 0))
        for path_, status in zip(self.requests, statuses, strict=True):
            if status == 200:
                expected.update(counter for _, counter in parsed(path_.split("/")[2]))
        self.assertEqual(dict(Entry.objects.values_list("id", "position")), dict(expected))
        if "CONCURRENCY_REQUESTS" in os.environ:
            figures = f"{dict(collections.Counter(statuses))}, attempts {dict(attempts)}"
            print(f"{self.id().rsplit('.')[-1]}: {figures}")
        self.assertGreater(expected.total(), 0)
        if connection.vendor != "sqlite":
            self.assertGreater(attempts[2], 0, "there was no conflict at all")

    def test_threads(self) -> None:
        application = WSGIHandler()
        factory = RequestFactory()
        idle: list[bool] = []

        def handle(path_: str) -> int:
            statuses: list[str] = []
            response = application(
                factory.post(path_).environ, lambda status, headers: statuses.append(status)
            )
            response.close()
            idle.append(
                not (is_managed() or transaction.get()._resources or transaction.manager.explicit)
            )
            return int(statuses[0].split()[0])

        threads: set[int] = set()

        def begin() -> None:
            threads.add(threading.get_ident())

        with ThreadPoolExecutor(WORKERS, initializer=begin) as executor:
            statuses: list[int | None] = list(executor.map(handle, self.requests))
            # Those of one thread can't be closed by another.
            barrier = threading.Barrier(len(threads))

            def close() -> None:
                barrier.wait()
                connections.close_all()

            for _ in threads:
                executor.submit(close)
        self.assertEqual(idle, [True] * len(self.requests))
        self.check(statuses)

    def test_asgi(self) -> None:
        application = ASGIHandler()

        async def handle(path_: str, free: asyncio.Semaphore) -> int | None:
            async with free:
                return (await Exchange(path_).run(application)).status

        async def main() -> list[int | None]:
            free = asyncio.Semaphore(WORKERS)
            return await asyncio.gather(*(handle(path_, free) for path_ in self.requests))

        self.check(asyncio.run(main()))
