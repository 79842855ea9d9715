"""The provider's addresses. The first is the one to put into OPENID_SSO_SERVER_URL."""

from django.urls import path

from example_site.provider import views

urlpatterns = [
    path("", views.home, name="provider-home"),
    path("endpoint/", views.endpoint, name="provider-endpoint"),
    path("decide/", views.decide, name="provider-decide"),
    path("provider.css", views.stylesheet, name="provider-stylesheet"),
    path("id/<slug:name>/", views.identity, name="provider-identity"),
]
