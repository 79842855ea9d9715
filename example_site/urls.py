"""Addresses of the example site."""

from typing import Any

from django.contrib import admin
from django.contrib.auth.views import LogoutView
from django.templatetags.static import static
from django.urls import include, path
from django.views.generic import RedirectView


class Favicon(RedirectView):
    """The icon, for pages that name none, such as the admin's."""

    def get_redirect_url(self, *args: Any, **kwargs: Any) -> str:
        return static("sprints/icon.svg")


urlpatterns = [
    path("favicon.ico", Favicon.as_view()),
    path("", include("example_site.sprints.urls")),
    path("openid/", include("openid_auth.urls")),
    path("sign-out/", LogoutView.as_view(), name="sign-out"),
    path("admin/", admin.site.urls),
]
