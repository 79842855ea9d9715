"""A page that says who is signed in."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse


def whoami(request: HttpRequest) -> HttpResponse:
    return HttpResponse(request.user.get_username() or "nobody", content_type="text/plain")
