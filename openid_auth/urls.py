"""The addresses of a sign-in: ``path("openid/", include("openid_auth.urls"))``."""

from django.urls import path

from openid_auth import identities, realm, views

urlpatterns = [
    path("login/", views.LoginView.as_view(), name="openid-login"),
    path("complete/", views.CompleteView.as_view(), name="openid-complete"),
    path("identities/", identities.IdentitiesView.as_view(), name="openid-identities"),
    path("identities/link/", identities.LinkView.as_view(), name="openid-link"),
    path(
        "identities/link/confirm/",
        identities.ConfirmLinkView.as_view(),
        name="openid-link-confirm",
    ),
    path("identities/<int:pk>/unlink/", identities.UnlinkView.as_view(), name="openid-unlink"),
    path("xrds/", realm.xrds, name="openid-xrds"),
    path("logo.gif", views.logo, name="openid-logo"),
]
