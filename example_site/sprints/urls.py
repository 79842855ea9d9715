"""Addresses of the scheduler."""

from django.urls import path, register_converter
from django.urls.converters import IntConverter

from example_site.sprints import views


class KeyConverter(IntConverter):
    """A number that fits into a database's integer key; with a longer one, no page is there."""

    regex = "[0-9]{1,9}"


register_converter(KeyConverter, "key")

urlpatterns = [
    path("", views.schedule, name="schedule"),
    path("sessions/<key:session_id>/", views.session, name="session"),
    path("sessions/<key:session_id>/join/", views.join, name="join"),
    path("sessions/<key:session_id>/leave/", views.leave, name="leave"),
    path("sessions/<key:session_id>/move/", views.move, name="move"),
    path("sessions/<key:session_id>/comment/", views.comment, name="comment"),
    path("propose/", views.propose, name="propose"),
    path("propose/nothing-kept/", views.nothing_kept, name="nothing-kept"),
    path("mine/", views.my_schedule, name="my-schedule"),
    path("account/", views.account, name="account"),
]
