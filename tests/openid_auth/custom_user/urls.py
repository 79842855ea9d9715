"""Addresses of the project, which has no admin."""

from django.urls import include, path

from tests.openid_auth.whoami import whoami

urlpatterns = [
    path("", whoami, name="whoami"),
    path("openid/", include("openid_auth.urls")),
]
