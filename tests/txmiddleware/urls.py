"""The views of the tests. A test puts the function that is to be the view into ``views``."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.urls import path

views: dict[str, Callable[[HttpRequest], Any]] = {}


def view(request: HttpRequest, name: str) -> HttpResponse:
    """Run the view of that name; what it returns is the response, or 200 for None."""
    return views[name](request) or HttpResponse("done")


async def async_view(request: HttpRequest, name: str) -> HttpResponse:
    """The same for a coroutine function."""
    return await views[name](request) or HttpResponse("done")


urlpatterns = [
    path("sync/<name>/", view),
    path("async/<name>/", async_view),
]
