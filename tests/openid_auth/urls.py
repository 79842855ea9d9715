"""The site that the tests sign in to."""

from django.contrib import admin
from django.urls import include, path

from tests.openid_auth.whoami import whoami

urlpatterns = [
    path("", whoami, name="whoami"),
    path("openid/", include("openid_auth.urls")),
    path("admin/", admin.site.urls),
]
