"""The test packages that hold models of their own, as Django apps with labels of their own."""

from django.apps import AppConfig


class StormDjangoTests(AppConfig):
    name = "tests.storm_django"
    label = "tests_storm_django"


class TxmiddlewareTests(AppConfig):
    name = "tests.txmiddleware"
    label = "tests_txmiddleware"


class OpenIDAuthTests(AppConfig):
    name = "tests.openid_auth"
    label = "tests_openid_auth"


class ReferencesTests(AppConfig):
    name = "tests.storm_references"
    label = "tests_references"
