"""The addresses of the server that serves the provider and nothing else."""

from django.urls import include, path

urlpatterns = [path("openid/", include("example_site.provider.urls"))]
handler404 = "example_site.provider.views.not_found"
