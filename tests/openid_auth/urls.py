"""The site that the tests sign in to."""

from django.contrib import admin
from django.http import HttpRequest, HttpResponse
from django.urls import include, path


def whoami(request: HttpRequest) -> HttpResponse:
    return HttpResponse(request.user.get_username() or "nobody", content_type="text/plain")


urlpatterns = [
    path("", whoami, name="whoami"),
    path("openid/", include("openid_auth.urls")),
    path("admin/", admin.site.urls),
]
