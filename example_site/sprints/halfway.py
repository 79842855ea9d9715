"""A proposal that fails halfway, on purpose: what both object mappers wrote is gone afterwards."""

from collections.abc import Callable

from django.conf import settings
from django.core import signing
from django.core.exceptions import MiddlewareNotUsed
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse

from example_site.sprints.models import Attendance, Comment
from example_site.sprints.programme import Session
from storm_django import get_store

_SALT = "sprints.halfway"


def count_rows() -> dict[str, int]:
    """Return the number of rows in each table that a proposal writes to, by the table's name."""
    return {
        Session.__storm_table__: get_store().find(Session).count(),
        Attendance._meta.db_table: Attendance.objects.count(),
        Comment._meta.db_table: Comment.objects.count(),
    }


class HalfwayFailure(Exception):
    """The failure that the button asked for, with the row counts `before` it and `during` it."""

    def __init__(self, before: dict[str, int], during: dict[str, int]) -> None:
        super().__init__("failed halfway, as asked")
        self.before = before
        self.during = during

    def to_token(self) -> str:
        """Return the counts as signed text, for the address of the page that shows them."""
        return signing.dumps([self.before, self.during], salt=_SALT)

    @classmethod
    def from_token(cls, token: str) -> "HalfwayFailure":
        """Undo `to_token`. Raises django.core.signing.BadSignature for any other text."""
        return cls(*signing.loads(token, salt=_SALT))


class HalfwayFailureMiddleware:
    """Answer a HalfwayFailure that left a view with the page that counts again.

    It takes nothing back itself: that the exception left the view is what aborts the transaction.
    """

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        if not settings.SPRINTS_HALFWAY_BUTTON:
            raise MiddlewareNotUsed
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        return self.get_response(request)

    def process_exception(self, request: HttpRequest, exception: Exception) -> HttpResponse | None:
        if not isinstance(exception, HalfwayFailure):
            return None
        address = reverse("nothing-kept", query={"counts": exception.to_token()})
        return HttpResponseRedirect(address)
