"""Code that async views call in the thread of the event loop, where there is no transaction."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any
from unittest import mock

import transaction
from asgiref.sync import async_to_sync, sync_to_async
from django.core.exceptions import SynchronousOnlyOperation
from django.http import HttpRequest, HttpResponse
from django.test import TransactionTestCase, override_settings

from tests.storm_django.models import Entry
from tests.txmiddleware.resource import Resource
from tests.txmiddleware.test_middleware import TRANSACTIONS, RequestMixin, names
from tests.txmiddleware.urls import views
from txmiddleware import (
    attempts,
    commit_on_success,
    is_managed,
    on_abort,
    on_commit,
    require_managed,
)


def enter(block: Any) -> None:
    with block:
        pass


@override_settings(ROOT_URLCONF="tests.txmiddleware.urls", MIDDLEWARE=[TRANSACTIONS])
class EventLoopTest(RequestMixin, TransactionTestCase):
    def setUp(self) -> None:
        self.ran: list[str] = []

    def request_async(self, view: Callable[..., Any], kind: str) -> Any:
        """As a server speaks ASGI."""
        self.async_client.raise_request_exception = False
        with mock.patch.dict(views, view=view):
            return async_to_sync(self.async_client.post)(f"/{kind}/view/")

    def calls(self) -> dict[str, Callable[[], Any]]:
        """What belongs to the transaction, and would find another one there."""
        return {
            "on_commit": lambda: on_commit(lambda: self.ran.append("committed")),
            "on_abort": lambda: on_abort(lambda: self.ran.append("aborted")),
            "is_managed": is_managed,
            "require_managed": require_managed(lambda: self.ran.append("managed")),
            "with commit_on_success": lambda: enter(commit_on_success()),
            "with savepoint": lambda: enter(commit_on_success(savepoint=True)),
            "commit_on_success": commit_on_success(lambda: self.ran.append("decorated")),
            "attempts": attempts(2)(lambda: self.ran.append("attempted")),
            "doom": transaction.doom,
            "abort": transaction.abort,
            "commit": transaction.commit,
            "begin": transaction.begin,
            "savepoint": transaction.savepoint,
            "with transaction.manager": lambda: enter(transaction.manager),
            "join": lambda: transaction.get().join(Resource()),
            "addAfterCommitHook": lambda: transaction.get().addAfterCommitHook(print),
        }

    def test_the_call_is_refused_and_nothing_is_kept(self) -> None:
        for name, call in self.calls().items():
            for send in (self.request, self.request_async):
                with self.subTest(name, send=send.__name__):
                    errors = []

                    async def view(
                        request: HttpRequest, call: Any = call, errors: list[Any] = errors
                    ) -> HttpResponse:
                        await Entry.objects.acreate(name="a")
                        try:
                            call()
                        except SynchronousOnlyOperation as error:
                            errors.append(str(error))
                            raise
                        return HttpResponse("done")

                    self.assertEqual(send(view, kind="async").status_code, 500)
                    self.assertIn("sync_to_async()", errors[0])
                    self.assertEqual(names(), [])
        self.assertEqual(self.ran, [])

    def test_outside_of_requests_it_is_refused_too(self) -> None:
        async def main(call: Callable[[], Any]) -> None:
            call()

        for name, call in self.calls().items():
            with self.subTest(name), self.assertRaises(SynchronousOnlyOperation):
                asyncio.run(main(call))
        self.assertEqual(self.ran, [])

    def test_a_sync_client_needs_no_other_thread_where_nothing_is_of_the_transaction(self) -> None:
        async def main() -> Any:
            with mock.patch.dict(views, view=lambda request: HttpResponse("done")):
                return self.client.get("/sync/view/")

        self.assertEqual(asyncio.run(main()).content, b"done")

    def test_the_thread_of_the_orm_is_the_place_for_it(self) -> None:
        for outcome, committed, ran in (
            ("fine", ["a"], ["committed"]),
            ("doomed", [], ["aborted"]),
            ("undone", ["a"], ["committed"]),
        ):
            with self.subTest(outcome):

                async def view(request: HttpRequest, outcome: str = outcome) -> HttpResponse:
                    await Entry.objects.acreate(name="a")
                    self.assertTrue(await sync_to_async(is_managed)())
                    await sync_to_async(on_commit)(lambda: self.ran.append("committed"))
                    await sync_to_async(on_abort)(lambda: self.ran.append("aborted"))
                    if outcome == "doomed":
                        await sync_to_async(transaction.doom)()
                    if outcome == "undone":
                        with self.assertRaises(ZeroDivisionError):
                            async with commit_on_success(savepoint=True):
                                await Entry.objects.acreate(name="b")
                                raise ZeroDivisionError
                    return HttpResponse("done")

                for send in (self.request, self.request_async):
                    self.ran.clear()
                    self.assertEqual(send(view, kind="async").status_code, 200)
                    self.assertEqual(names(), committed)
                    self.assertEqual(self.ran, ran)
                    Entry.objects.all().delete()
