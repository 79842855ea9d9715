"""The addresses of a sign-in: ``path("openid/", include("openid_auth.urls"))``."""

from django.urls import path

from openid_auth import views

urlpatterns = [
    path("login/", views.LoginView.as_view(), name="openid-login"),
    path("complete/", views.CompleteView.as_view(), name="openid-complete"),
]
